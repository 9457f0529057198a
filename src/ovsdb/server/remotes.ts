/**
 * The connections of a server: given on the command line, by unixctl, by a configuration file, or by rows of a
 * database (`db:DATABASE,TABLE,COLUMN`, see ovsdb-server(1)).
 *
 * `reconcile` opens what is wanted and not open, and closes what is open and no longer wanted; it
 * runs when remotes or a database change. A remote that cannot be opened is logged and stays listed.
 */
import {
  OVSDB_PORT,
  TlsIdentity,
  dscpOf,
  isPassiveTarget,
  parseTarget,
  strerror,
  withDscp,
} from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { SystemError } from '../../util/errors.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { OvsdbError } from '../errors.ts';
import { rowDatum } from './database.ts';
import type { Database, Row, Table } from './database.ts';
import { dbNameOf, isDbColumn, parseDbColumn } from './db-column.ts';
import type { DbColumn } from './db-column.ts';
import { openRemote } from './remote.ts';
import type { OpenRemote, RemoteOptions } from './remote.ts';
import type { OvsdbServer } from './server.ts';
import { ServerTls } from './server-tls.ts';

const log = vlog('ovsdb_jsonrpc_server');
const openErrors = rateLimit(1, 5);
/** A port that is taken, or keys that are not there yet, may be free or there later. */
const retryMs = 1000;

export class RemoteManager {
  readonly #server: OvsdbServer;
  readonly #runDir: string;
  readonly #tls: ServerTls;
  /** Given ones, `db:` forms among them, by target. */
  #remotes = new Map<string, RemoteOptions>();
  readonly #open = new Map<string, OpenRemote>();
  readonly #opening = new Map<string, Promise<void>>();
  readonly #watched = new WeakSet<Database>();
  #cancelStatus: () => void = () => undefined;
  #cancelRetry: () => void = () => undefined;
  #lastWanted: ReadonlyMap<string, RemoteOptions> = new Map();
  #isClosed = false;

  /** @param tls What the command line says of keys, `db:` forms included. */
  constructor(server: OvsdbServer, runDir: string, tls = new TlsIdentity()) {
    this.#server = server;
    this.#runDir = runDir;
    this.#tls = new ServerTls(server, tls);
    server.onDatabasesChanged(() => void this.reconcile());
  }

  get remotes(): string[] {
    return [...this.#remotes.keys()].sort();
  }

  /**
   * @throws OvsdbError for a `db:` remote that names something that is not there; of a relay that has not yet heard from
   * its source it may be there later
   */
  async add(remote: string): Promise<void> {
    if (isDbColumn(remote) && !this.#isAwaited(remote)) parseDbColumn(this.#server, remote);
    if (!this.#remotes.has(remote)) this.#remotes.set(remote, { target: remote });
    await this.reconcile();
  }

  /**
   * Puts others in the place of all remotes; connections of those that stay live on.
   *
   * @returns what is wrong with `db:` remotes, empty if nothing
   */
  async replaceAll(remotes: readonly RemoteOptions[]): Promise<string> {
    this.#remotes = new Map(remotes.map((remote) => [remote.target, remote]));
    await this.reconcile();
    const known = [...this.#remotes.keys()].filter(
      (remote) => isDbColumn(remote) && !this.#isAwaited(remote),
    );
    const wrong = known.flatMap((remote) => {
      try {
        this.#parseDb(remote);
        return [];
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    });
    return wrong.join('\n');
  }

  /** @throws OvsdbError `no such remote` */
  async remove(remote: string): Promise<void> {
    if (!this.#remotes.delete(remote)) throw new OvsdbError('no such remote');
    await this.reconcile();
  }

  #isAwaited(remote: string): boolean {
    return this.#server.hosted(dbNameOf(remote))?.database === null;
  }

  #parseDb(remote: string): DbColumn {
    const parsed = parseDbColumn(this.#server, remote);
    const { type } = parsed.column;
    if (type.value !== null || (type.key.type !== 'string' && type.key.refTable === null)) {
      throw new OvsdbError(
        `"${remote}": table "${parsed.table.schema.name}" column "${parsed.column.name}" is not string or set of strings`,
      );
    }
    return parsed;
  }

  #wanted(): Map<string, RemoteOptions> {
    const wanted = new Map<string, RemoteOptions>();
    for (const [remote, options] of this.#remotes) {
      if (!isDbColumn(remote)) {
        wanted.set(remote, options);
        continue;
      }
      if (this.#isAwaited(remote)) continue;
      try {
        for (const found of this.#wantedOf(this.#parseDb(remote))) wanted.set(found.target, found);
      } catch (error) {
        log.warn(error instanceof Error ? error.message : String(error), openErrors);
      }
    }
    return wanted;
  }

  *#wantedOf({ database, table, column }: DbColumn): Generator<RemoteOptions> {
    const { refTable } = column.type.key;
    for (const row of table.rows.values()) {
      for (const atom of rowDatum(row, column.name).keys) {
        if (refTable === null) {
          if (atom !== '') yield { target: String(atom) };
          continue;
        }
        const referred = database.table(refTable).rows.get(String(atom));
        const options = referred === undefined ? null : optionsFromRow(referred);
        if (options !== null) yield options;
        else log.info(`Table \`${refTable}' has missing or invalid \`target' column`, openErrors);
      }
    }
  }

  /** Follows every database that decides about a remote or a key. */
  #watch(): void {
    for (const name of this.#server.databaseNames) {
      const database = this.#server.database(name);
      if (database === undefined || name === '_Server' || this.#watched.has(database)) continue;
      this.#watched.add(database);
      database.onCommit(() => {
        if (this.#tls.followsDatabases || [...this.#remotes.keys()].some(isDbColumn))
          queueMicrotask(() => void this.reconcile());
      });
    }
  }

  /** Resolves when every listener that can be opened now is open. */
  async reconcile(): Promise<void> {
    if (this.#isClosed) return;
    this.#watch();
    this.#tls.refresh();
    const wanted = this.#wanted();
    this.#lastWanted = wanted;
    for (const [target, remote] of this.#open) {
      const options = wanted.get(target);
      if (options !== undefined && options.dscp === remote.options.dscp) {
        remote.setOptions(options);
        continue;
      }
      log.info(`${target}: remote deconfigured`);
      this.#open.delete(target);
      remote.close();
    }
    for (const [target, options] of wanted) {
      if (this.#open.has(target) || this.#opening.has(target)) continue;
      const opening = this.#openRemote(options).finally(() => this.#opening.delete(target));
      this.#opening.set(target, opening);
    }
    await Promise.all(this.#opening.values());
    this.#armStatus();
    this.#cancelRetry();
    if ([...wanted.keys()].some((target) => !this.#open.has(target)))
      this.#cancelRetry = this.#server.timers.after(retryMs, () => void this.reconcile());
  }

  async #openRemote(options: RemoteOptions): Promise<void> {
    const { target } = options;
    try {
      const parsed = parseTarget(target, OVSDB_PORT, this.#runDir, this.#tls.identity);
      const remote = await openRemote(this.#server, options, withDscp(parsed, options.dscp ?? 0));
      if (this.#isClosed) remote.close();
      else this.#open.set(target, remote);
    } catch (error) {
      const what = error instanceof SystemError ? strerror(error.code) : String(error);
      log.err(`${target}: listen failed: ${what}`, openErrors);
    }
  }

  /** Writes `is_connected` and `status` of the rows that configure remotes, every few seconds while there are some. */
  #armStatus(): void {
    this.#cancelStatus();
    if (this.#isClosed || ![...this.#remotes.keys()].some(isDbColumn)) return;
    this.#cancelStatus = this.#server.timers.after(2500, () => {
      this.#writeStatus();
      this.#armStatus();
    });
  }

  #writeStatus(): void {
    if (this.#server.isBackup) return;
    for (const remote of this.#remotes.keys()) {
      if (!isDbColumn(remote)) continue;
      let parsed: DbColumn;
      try {
        parsed = this.#parseDb(remote);
      } catch {
        continue;
      }
      const { refTable } = parsed.column.type.key;
      if (refTable === null || this.#server.hosted(parsed.database.name)?.isBackup === true) continue;
      const table = parsed.database.table(refTable);
      const operations = [...table.rows.values()].flatMap((row) => this.#statusOperation(table, row));
      if (operations.length === 0) continue;
      this.#server.transact({
        database: parsed.database,
        operations,
        isReadOnly: false,
        hasLock: () => false,
        onDone: () => undefined,
      });
    }
  }

  #statusOperation(table: Table, row: Row): Json[] {
    const target = rowDatum(row, 'target').keys[0];
    const open = typeof target === 'string' ? this.#open.get(target) : undefined;
    if (
      typeof target !== 'string' ||
      (open === undefined && (isPassiveTarget(target) || !this.#lastWanted.has(target))) ||
      !table.schema.columns.has('is_connected') ||
      !table.schema.columns.has('status')
    )
      return [];
    const { isConnected, status } = open?.status() ?? { isConnected: false, status: { state: 'BACKOFF' } };
    return [
      {
        op: 'update',
        table: table.schema.name,
        where: [['_uuid', '==', ['uuid', row.uuid]]],
        row: { is_connected: isConnected, status: ['map', Object.entries(status)] },
      },
    ];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelStatus();
    this.#cancelRetry();
    await Promise.allSettled(this.#opening.values());
    for (const remote of this.#open.values()) remote.close();
    this.#open.clear();
  }

  /** Closes every session; active ones connect again (ovsdb-server/reconnect). */
  reconnect(): void {
    for (const session of [...this.#server.sessions]) session.disconnect('user ran ovsdb-server/reconnect');
  }
}

/** Null without a target. */
function optionsFromRow(row: Row): RemoteOptions | null {
  const first = (name: string): unknown => rowDatum(row, name).keys[0];
  const number = (name: string): number | undefined => {
    const value = first(name);
    return value === undefined ? undefined : Number(value);
  };
  const { keys, values } = rowDatum(row, 'other_config');
  const dscp = values?.[keys.indexOf('dscp')];
  const target = first('target');
  const role = first('role');
  if (typeof target !== 'string' || target === '') return null;
  return {
    target,
    maxBackoffMs: number('max_backoff'),
    probeIntervalMs: number('inactivity_probe'),
    isReadOnly: first('read_only') === true,
    role: typeof role === 'string' ? role : '',
    dscp: dscpOf(dscp === undefined ? undefined : String(dscp), 0),
  };
}
