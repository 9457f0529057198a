/**
 * A relay: a copy in memory of a database of another server, its source (ovsdb(7), "Relay Service Model").
 *
 * What: reads and monitors are served from the copy; transactions that change something are handed on to
 * the source, whose update arrives before its reply. While the source is not reachable the copy stays, its
 * row of `_Server` says so, and changes wait; those that were under way are answered with an error.
 *
 * Life cycle: made and hosted at once; `close` when the database is removed.
 */
import { isJsonArray } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { vlog } from '../../util/log.ts';
import { ZERO_UUID, isUuid } from '../data/atom.ts';
import { DatabaseLink } from '../client/link.ts';
import type { LinkTimes } from '../client/link.ts';
import { SERVER_DATABASE, ServerStatusRows, serverColumns, whyUnfit } from '../client/server-status.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import { formatJson } from '../../stream/index.ts';
import { applyTableUpdates, resetTables } from './copy.ts';
import { Database } from './database.ts';
import type { Forwarder, Hosted } from './hosted.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('relay');
const statusMonitor = 'status of the source';

interface Forwarded {
  readonly method: string;
  readonly params: readonly Json[];
  onReply: (result: Json | null, error: Json | null) => void;
}

export class RelaySource implements Forwarder {
  readonly hosted: Hosted;
  readonly #server: OvsdbServer;
  #remotes: string;
  #times: LinkTimes;
  #link: DatabaseLink;
  readonly #unsent: Forwarded[] = [];
  /** Notifications that came before the contents they change; null while in step. */
  #early: (readonly Json[])[] | null = [];
  #status: ServerStatusRows | null = null;
  /** The last transaction of the source that the copy has. */
  #lastId = ZERO_UUID;
  #isClosed = false;

  /** @param remotes Connection methods of servers that have the database, with commas between. */
  constructor(server: OvsdbServer, name: string, remotes: string, times: LinkTimes) {
    this.#server = server;
    this.hosted = {
      name,
      model: 'relay',
      source: `relay:${name}:${remotes}`,
      database: null,
      storage: undefined,
      forwarder: this,
      isConnected: false,
      isBackup: false,
      compactAfterMs: Infinity,
    };
    this.#remotes = remotes;
    this.#times = times;
    this.#link = this.#makeLink();
  }

  /** @throws SystemError EAFNOSUPPORT for a remote that is none */
  #makeLink(): DatabaseLink {
    const { name } = this.hosted;
    const link: DatabaseLink = new DatabaseLink(
      { remote: this.#remotes, ...this.#times, timers: this.#server.timers },
      {
        onConnect: () => this.#onConnect(),
        onDisconnect: () => this.#setConnected(false),
        onNotification: (method, params) => this.#onNotification(method, params),
        onGaveUp: () => undefined,
      },
    );
    log.info(`${name}: relay source set to '${this.#remotes}'`);
    return link;
  }

  /** Takes the contents from elsewhere from now on, or changes the options of the connection, which then stays. */
  setSource(remotes: string, times: LinkTimes): void {
    this.#times = times;
    if (remotes === this.#remotes) {
      this.#link.setTimes(times);
      return;
    }
    const before = this.#link;
    this.#remotes = remotes;
    this.hosted.source = `relay:${this.hosted.name}:${remotes}`;
    this.#link = this.#makeLink();
    before.close();
    this.#setConnected(false);
    this.#link.start();
  }
  setProbeInterval(probeIntervalMs: number): void {
    this.setSource(this.#remotes, { ...this.#times, probeIntervalMs });
  }

  start(): void {
    this.#link.start();
  }
  close(): void {
    this.#isClosed = true;
    this.#link.close();
    for (const { onReply } of this.#unsent.splice(0)) onReply(null, 'canceled');
  }

  #setConnected(isConnected: boolean): void {
    if (this.hosted.isConnected === isConnected || this.#isClosed) return;
    this.hosted.isConnected = isConnected;
    this.#server.describe(this.hosted);
  }

  #onConnect(): void {
    this.#early = [];
    const link = this.#link;
    this.#fetch().catch((error: unknown) => {
      if (this.#link !== link) return;
      const what = error instanceof Error ? error.message : String(error);
      log.warn(`${this.hosted.name}: ${what}`);
      link.drop(what);
    });
  }

  /**
   * Follows what the source says of the database in its `_Server`, if it has one: a member that has left its
   * cluster, or a relay without source, is left for the next remote.
   */
  async #followStatus(): Promise<void> {
    this.#status = null;
    const requests = { Database: [{ columns: [...serverColumns] }] };
    let contents: Json;
    try {
      contents = await this.#link.call('monitor_cond', [SERVER_DATABASE, statusMonitor, requests]);
    } catch (error) {
      if (error instanceof OvsdbError && error.code === 'connection lost') throw error;
      return;
    }
    this.#status = new ServerStatusRows();
    this.#applyStatus(contents);
  }

  /** @throws OvsdbError if the source cannot be used */
  #applyStatus(updates: Json): void {
    this.#status?.apply(updates);
    const why = whyUnfit(this.#status?.of(this.hosted.name), this.hosted.name, false, 0);
    if (why !== null) throw new OvsdbError(why);
  }

  async #fetch(): Promise<void> {
    const { name } = this.hosted;
    await this.#followStatus();
    const schema = schemaFromJson(await this.#link.call('get_schema', [name]));
    const before = this.hosted.database;
    const isSame =
      before !== null && formatJson(schemaToJson(before.schema)) === formatJson(schemaToJson(schema));
    const database = isSame ? before : new Database(schema);
    if (!isSame) this.#lastId = ZERO_UUID;
    const requests: Record<string, Json> = {};
    for (const table of schema.tables.values()) {
      requests[table.name] = [{ columns: [...table.columns.keys()].filter((c) => !c.startsWith('_')) }];
    }
    const [found, lastId, contents] = await this.#monitor(requests);
    if (this.#isClosed) return;
    this.#server.commit(database, (transaction) => {
      if (found) applyTableUpdates(transaction, contents);
      else resetTables(transaction, database.tables.values(), contents);
    });
    this.#lastId = lastId;
    if (!isSame) this.#server.replaceDatabase(name, database);
    const early = this.#early ?? [];
    this.#early = null;
    for (const params of early) this.#apply(params);
    this.#setConnected(true);
    for (const forwarded of this.#unsent.splice(0)) this.#send(forwarded);
  }

  /** The dialect that the source knows, the one with history if it can be. */
  async #monitor(requests: Json): Promise<[found: boolean, lastId: string, contents: Json]> {
    const { name } = this.hosted;
    let reply: Json;
    try {
      reply = await this.#link.call('monitor_cond_since', [name, name, requests, this.#lastId]);
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.code !== 'unknown method') throw error;
      return [false, ZERO_UUID, await this.#link.call('monitor_cond', [name, name, requests])];
    }
    const [found, lastId, contents] = isJsonArray(reply) ? reply : [];
    if (typeof found !== 'boolean' || typeof lastId !== 'string' || contents === undefined)
      throw new OvsdbError('syntax error', 'bad reply to monitor_cond_since', reply);
    return [found, isUuid(lastId) ? lastId : ZERO_UUID, contents];
  }

  #onNotification(method: string, params: readonly Json[]): void {
    if (method === 'update2' && params[0] === statusMonitor) {
      try {
        this.#applyStatus(params[1] ?? null);
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        log.info(`${this.#link.name}: ${error.message}`);
        this.#link.drop(error.message);
      }
      return;
    }
    if ((method !== 'update2' && method !== 'update3') || params[0] !== this.hosted.name) return;
    if (this.#early !== null) this.#early.push(params);
    else {
      try {
        this.#apply(params);
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        log.warn(`${this.hosted.name}: ${error.message}`);
        this.#lastId = ZERO_UUID;
        this.#link.drop(error.message);
      }
    }
  }

  /** @param params Of `update2` or `update3`. */
  #apply(params: readonly Json[]): void {
    const { database } = this.hosted;
    const lastId = params.length > 2 ? params[1] : undefined;
    const updates = params.at(-1) ?? null;
    if (database === null) return;
    this.#server.commit(database, (transaction) => applyTableUpdates(transaction, updates));
    if (typeof lastId === 'string' && isUuid(lastId)) this.#lastId = lastId;
  }

  forward(
    method: 'transact' | 'convert',
    params: readonly Json[],
    onReply: Forwarded['onReply'],
  ): () => void {
    const forwarded: Forwarded = { method, params, onReply };
    if (this.hosted.isConnected) this.#send(forwarded);
    else this.#unsent.push(forwarded);
    return () => {
      forwarded.onReply = () => undefined;
      const at = this.#unsent.indexOf(forwarded);
      if (at >= 0) this.#unsent.splice(at, 1);
    };
  }

  #send(forwarded: Forwarded): void {
    this.#link.call(forwarded.method, forwarded.params).then(
      (result) => forwarded.onReply(result, null),
      (error: unknown) =>
        forwarded.onReply(
          null,
          error instanceof OvsdbError && error.code !== 'connection lost' ? error.toJson() : 'canceled',
        ),
    );
  }
}

/** Takes `relay:DB:REMOTES` apart; null if the text is none. */
export function parseRelay(text: string): { name: string; remotes: string } | null {
  if (!text.startsWith('relay:')) return null;
  const rest = text.slice('relay:'.length);
  const colon = rest.indexOf(':');
  if (colon <= 0) throw new OvsdbError('ovsdb error', `${text}: invalid syntax`);
  return { name: rest.slice(0, colon), remotes: rest.slice(colon + 1) };
}
