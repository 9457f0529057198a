/**
 * Active-backup replication: the databases of a backup server follow those of its active server
 * (ovsdb-server(1), "Active-Backup Options").
 *
 * What: databases that both have, with schemas that fit, are monitored whole, made equal once, and then
 * changed as the active server's are. Tables may be excluded and are then left alone. Life cycle: `start`
 * becomes a backup, `stop` active again; settings changed meanwhile take effect with the next `start`.
 *
 * Command line and commands have one for the whole server, a configuration file one for each database (`only`).
 */
import type { Json } from '../../stream/index.ts';
import { isJsonArray } from '../../stream/index.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { isUuid } from '../data/atom.ts';
import { columnTypeToJson } from '../data/type.ts';
import { formatJson, jsonEquals } from '../../stream/index.ts';
import { DatabaseLink } from '../client/link.ts';
import type { LinkTimes } from '../client/link.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';
import { applyTableUpdates, resetTables } from './copy.ts';
import type { Database, Table } from './database.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('replication');
const warnings = rateLimit(5, 25);
const defaultProbeMs = 60_000;

/** Database name -> tables. */
type Excluded = ReadonlyMap<string, ReadonlySet<string>>;

interface Replica {
  readonly database: Database;
  readonly tables: readonly Table[];
  /** Updates that came before the contents that they change; null once these are there. */
  early: Json[] | null;
}

export class Replication {
  readonly #server: OvsdbServer;
  readonly #only: string | null;
  #activeServer: string | null = null;
  #probeIntervalMs = defaultProbeMs;
  #maxBackoffMs: number | undefined;
  #excluded: Excluded = new Map();
  #excludedGiven = '';
  #link: DatabaseLink | null = null;
  #replicas = new Map<string, Replica>();

  /** @param only Name of the database, null for all that the active server has too. */
  constructor(server: OvsdbServer, only: string | null = null) {
    this.#server = server;
    this.#only = only;
  }

  #setBackup(isBackup: boolean): void {
    if (this.#only === null) this.#server.setBackup(isBackup);
    else {
      const hosted = this.#server.hosted(this.#only);
      if (hosted !== undefined) hosted.isBackup = isBackup;
    }
  }

  /** A connection method, null if none was given. */
  get activeServer(): string | null {
    return this.#activeServer;
  }
  get isBackup(): boolean {
    return this.#link !== null;
  }
  get probeIntervalMs(): number {
    return this.#probeIntervalMs;
  }

  setActiveServer(remote: string): void {
    this.#activeServer = remote;
    if (this.isBackup) this.start();
  }
  /** Changes the options of the connection, which stays. */
  setOptions({ probeIntervalMs = defaultProbeMs, maxBackoffMs }: LinkTimes): void {
    this.#probeIntervalMs = probeIntervalMs;
    this.#maxBackoffMs = maxBackoffMs;
    this.#link?.setTimes({ probeIntervalMs, maxBackoffMs });
  }
  setProbeInterval(probeIntervalMs: number): void {
    this.#probeIntervalMs = probeIntervalMs;
    if (this.isBackup) this.start();
  }

  /** @param text `DB:TABLE,DB:TABLE...`. @throws OvsdbError and then nothing has changed */
  setExcluded(text: string): void {
    this.#excluded = parseExcluded(text, this.#only);
    this.#excludedGiven = text;
    if (this.isBackup) this.start();
  }
  /** Whether it has these settings. @param excluded As given to `setExcluded`. */
  isFrom(remote: string, excluded: string): boolean {
    return this.#activeServer === remote && this.#excludedGiven === excluded;
  }
  /** As `setExcluded` takes it, in order. */
  get excludedText(): string {
    const words: string[] = [];
    for (const [name, tables] of this.#excluded) for (const table of tables) words.push(`${name}:${table}`);
    return words.sort().join(',');
  }

  /** Becomes a backup of the active server, from the start if it is one already. */
  start(): void {
    if (this.#activeServer === null) return;
    this.#link?.close();
    this.#replicas.clear();
    this.#setBackup(true);
    const link: DatabaseLink = new DatabaseLink(
      {
        remote: this.#activeServer,
        probeIntervalMs: this.#probeIntervalMs,
        maxBackoffMs: this.#maxBackoffMs,
        timers: this.#server.timers,
      },
      {
        onConnect: () => this.#onConnect(link),
        onDisconnect: () => this.#replicas.clear(),
        onNotification: (method, params) => {
          if (method === 'update') this.#onUpdate(params);
        },
        onGaveUp: () => undefined,
      },
    );
    this.#link = link;
    link.start();
  }

  /** Becomes active. */
  stop(): void {
    this.#link?.close();
    this.#link = null;
    this.#replicas.clear();
    this.#setBackup(false);
  }

  /** The server ends. */
  close(): void {
    this.#link?.close();
    this.#link = null;
  }

  #onConnect(link: DatabaseLink): void {
    this.#fetch(link).catch((error: unknown) => {
      const what = error instanceof Error ? error.message : String(error);
      if (this.#link === link && what !== 'connection lost') this.#fail(what);
    });
  }

  /** What cannot be replicated will not do so by trying again: the server is active then. */
  #fail(what: string): void {
    log.warn(what, warnings);
    this.stop();
  }

  async #fetch(link: DatabaseLink): Promise<void> {
    const serverId = await link.call('get_server_id', []);
    if (typeof serverId !== 'string' || !isUuid(serverId))
      throw new OvsdbError('Server ID is not valid UUID');
    if (serverId === this.#server.id)
      throw new OvsdbError('Server ID check failed: Self replicating is not allowed');
    const names = await link.call('list_dbs', []);
    if (!isJsonArray(names)) throw new OvsdbError('list_dbs response is not array');
    let shared = 0;
    for (const name of names) {
      if (typeof name !== 'string' || name === '_Server' || (this.#only ?? name) !== name) continue;
      const database =
        this.#server.hosted(name)?.model === 'standalone' ? this.#server.database(name) : undefined;
      if (database === undefined) continue;
      shared++;
      const schema = schemaFromJson(await link.call('get_schema', [name]));
      const replica = this.#replicaOf(database, schema);
      if (replica !== null) this.#replicas.set(name, replica);
    }
    if (this.#only !== null && shared === 0)
      throw new OvsdbError('list_dbs failed', `${this.#only}: database name is not in the list`);
    if (shared > 0 && this.#replicas.size === 0) throw new OvsdbError('Nothing to replicate.');
    for (const [name, replica] of this.#replicas) await this.#monitor(link, name, replica);
  }

  /** Which tables to follow; null if the other schema does not fit ours. */
  #replicaOf(database: Database, theirs: DatabaseSchema): Replica | null {
    const { name, schema } = database;
    if (theirs.version !== schema.version) {
      log.info(`Schema version mismatch, checking if ${name} can still be replicated or not.`);
      const why = misfit(theirs, schema, this.#excluded.get(name));
      if (why !== null) {
        log.info(why);
        log.info(`${name} cannot be replicated.`);
        return null;
      }
      log.info(`${name} can be replicated.`);
    }
    const tables = [...database.tables.values()].filter(
      ({ schema: { name: table } }) =>
        theirs.tables.has(table) && this.#excluded.get(name)?.has(table) !== true,
    );
    return { database, tables, early: [] };
  }

  async #monitor(link: DatabaseLink, name: string, replica: Replica): Promise<void> {
    const requests: Record<string, Json> = {};
    for (const { schema } of replica.tables) {
      requests[schema.name] = { columns: [...schema.columns.keys()].filter((c) => !c.startsWith('_')) };
    }
    const contents = await link.call('monitor', [name, name, requests]);
    this.#server.commit(replica.database, (transaction) =>
      resetTables(transaction, replica.tables, contents),
    );
    for (const updates of replica.early ?? []) this.#apply(replica, updates);
    replica.early = null;
  }

  #onUpdate([name, updates = null]: readonly Json[]): void {
    const replica = typeof name === 'string' ? this.#replicas.get(name) : undefined;
    if (replica === undefined) return;
    if (replica.early !== null) {
      replica.early.push(updates);
      return;
    }
    try {
      this.#apply(replica, updates);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#fail(error.message);
    }
  }

  #apply({ database }: Replica, updates: Json): void {
    this.#server.commit(database, (transaction) => applyTableUpdates(transaction, updates));
  }

  /** What `ovsdb-server/sync-status` prints. */
  statusText(): string {
    const link = this.#link;
    if (link === null) return 'state: active\n';
    return `state: backup\n${this.#connectionText(link)}`;
  }

  #connectionText(link: DatabaseLink): string {
    const remote = this.#activeServer ?? '';
    const replicas = [...this.#replicas.keys()].sort();
    const areThere = [...this.#replicas.values()].every(({ early }) => early === null);
    if (!link.isConnected || replicas.length === 0 || !areThere) return `connecting: ${remote}\n`;
    const excluded = this.excludedText;
    return (
      `replicating: ${remote}\n` +
      (this.#only === null ? `database: ${replicas.join(', ')}\n` : '') +
      (excluded === '' ? '' : `exclude: ${excluded}\n`)
    );
  }
}

/** Why databases of their schema cannot be copied into ours, null if they can. */
function misfit(theirs: DatabaseSchema, ours: DatabaseSchema, excluded?: ReadonlySet<string>): string | null {
  for (const table of theirs.tables.values()) {
    if (excluded?.has(table.name) === true) continue;
    const local = ours.tables.get(table.name);
    if (local === undefined) return `Table ${table.name} not present in the local db schema`;
    for (const column of table.columns.values()) {
      const localColumn = local.columns.get(column.name);
      if (localColumn === undefined)
        return `Column ${column.name} not present in the local db schema table ${table.name}.`;
      if (!jsonEquals(columnTypeToJson(column.type), columnTypeToJson(localColumn.type)))
        return `Column ${column.name} mismatch in local db schema table ${table.name}.`;
    }
  }
  return null;
}

/** @param only Database of names that stand alone; null: none may. */
function parseExcluded(text: string, only: string | null): Excluded {
  const excluded = new Map<string, Set<string>>();
  for (const word of text.split(',')) {
    if (word === '') continue;
    const [name = '', table = '', ...rest] = (
      only === null || word.includes(':') ? word : `${only}:${word}`
    ).split(':');
    if (name === '' || table === '' || rest.length > 0)
      throw new OvsdbError(`Can't parse excluded table: ${formatJson(word).slice(1, -1)}`);
    const tables = excluded.get(name);
    if (tables === undefined) excluded.set(name, new Set([table]));
    else tables.add(table);
  }
  return excluded;
}
