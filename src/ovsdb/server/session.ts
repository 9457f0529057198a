/**
 * One client of the server: its requests, monitors, locks and waiting transactions.
 */
import { formatJson, isJsonObject, jsonEquals, JsonRpcConnection } from '../../stream/index.ts';
import type { ByteStream, Json, JsonRpcMessage, StreamHandlers } from '../../stream/index.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { isId, isUuid } from '../data/atom.ts';
import { OvsdbError } from '../errors.ts';
import { schemaToJson } from '../schema.ts';
import type { Changes, Database } from './database.ts';
import type { LockHolder } from './locks.ts';
import { Monitor } from './monitor.ts';
import type { MonitorVersion } from './monitor.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('ovsdb_jsonrpc_server');
const badRequests = rateLimit(60, 5);
/** A client that reads nothing while updates pile up loses its connection, as it would start over anyway. */
const maxBacklogBytes = 64 * 1024 * 1024;

export interface SessionSettings {
  /** 0 = never probe. */
  readonly probeIntervalMs: number;
  readonly isReadOnly: boolean;
  readonly onEnd?: () => void;
}

/** A reply that is not an RFC error object: OVS answers these with a bare string. */
class PlainError extends Error {}

export class ServerSession implements LockHolder {
  readonly name: string;
  /** What the stream delivers to. */
  readonly handlers: StreamHandlers;
  readonly #server: OvsdbServer;
  readonly #connection: JsonRpcConnection;
  readonly #settings: SessionSettings;
  readonly #monitors: Monitor[] = [];
  /** Transactions under way, by the text of their ids. */
  readonly #pending = new Map<string, () => boolean>();
  #isDbChangeAware = false;
  #lastActivityMs: number;
  #isProbing = false;
  #cancelProbe: () => void = () => undefined;

  constructor(server: OvsdbServer, stream: ByteStream, settings: SessionSettings) {
    this.name = stream.name;
    this.#server = server;
    this.#settings = settings;
    this.#connection = new JsonRpcConnection(stream, { holdsBack: true });
    this.#lastActivityMs = server.timers.clock.nowMs();
    this.handlers = this.#connection.attach({
      onMessage: (message) => this.#onMessage(message),
      onClose: () => this.#onClose(),
    });
    this.#armProbe();
  }

  get monitorCount(): number {
    return this.#monitors.length;
  }

  close(): void {
    this.#connection.close();
    this.#onClose();
  }

  #onClose(): void {
    if (!this.#server.sessions.delete(this)) return;
    this.#cancelProbe();
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
    this.#monitors.length = 0;
    this.#server.locks.release(this);
    this.#settings.onEnd?.();
  }

  #armProbe(): void {
    const { probeIntervalMs } = this.#settings;
    if (probeIntervalMs <= 0) return;
    const { timers } = this.#server;
    const dueMs = this.#lastActivityMs + probeIntervalMs * (this.#isProbing ? 2 : 1);
    this.#cancelProbe = timers.after(dueMs - timers.clock.nowMs(), () => {
      const idleMs = timers.clock.nowMs() - this.#lastActivityMs;
      if (idleMs >= probeIntervalMs * 2 && this.#isProbing) {
        log.err(
          `${this.name}: no response to inactivity probe after ${probeIntervalMs / 1000} seconds, disconnecting`,
        );
        this.#connection.abort(null);
        this.#onClose();
        return;
      }
      if (idleMs >= probeIntervalMs && !this.#isProbing) {
        this.#isProbing = true;
        this.#connection.send({ kind: 'request', id: 'echo', method: 'echo', params: [] });
      }
      this.#armProbe();
    });
  }

  onLocked(name: string): void {
    this.#connection.notify('locked', [name]);
  }
  onStolen(name: string): void {
    this.#connection.notify('stolen', [name]);
  }

  /** A database was added, or `removed` was taken away. */
  onDatabasesChanged(removed?: Database): void {
    if (!this.#isDbChangeAware) {
      this.close();
      return;
    }
    for (const monitor of this.#monitors.filter((m) => m.database === removed)) {
      this.#monitors.splice(this.#monitors.indexOf(monitor), 1);
      this.#connection.notify('monitor_canceled', [monitor.id]);
    }
  }

  onCommit(database: Database, changes: Changes): void {
    for (const monitor of this.#monitors) {
      if (monitor.database !== database) continue;
      const updates = monitor.updates(changes);
      if (updates !== null) this.#sendUpdates(monitor, updates);
    }
  }

  #sendUpdates(monitor: Monitor, updates: Json): void {
    if (monitor.version === 1) this.#connection.notify('update', [monitor.id, updates]);
    else if (monitor.version === 2) this.#connection.notify('update2', [monitor.id, updates]);
    else this.#connection.notify('update3', [monitor.id, monitor.database.history.latestId, updates]);
    if (this.#connection.backlogBytes <= maxBacklogBytes) return;
    log.warn(`${this.name}: ${this.#connection.backlogBytes} bytes of updates not read, disconnecting`);
    this.#connection.abort(null);
  }

  #onMessage(message: JsonRpcMessage): void {
    this.#lastActivityMs = this.#server.timers.clock.nowMs();
    this.#isProbing = false;
    switch (message.kind) {
      case 'request':
        this.#onRequest(message.id, message.method, message.params);
        return;
      case 'notification':
        if (message.method === 'cancel' && message.params.length === 1)
          this.#cancel(message.params[0] ?? null);
        return;
      case 'reply':
        return;
      case 'error':
        log.warn(`${this.name}: received unexpected error message`, badRequests);
        this.#connection.abort(null);
        this.#onClose();
    }
  }

  #onRequest(id: Json, method: string, params: readonly Json[]): void {
    try {
      const result = this.#call(id, method, params);
      if (result !== undefined) this.#connection.reply(id, result);
    } catch (error) {
      if (error instanceof OvsdbError) this.#connection.replyError(id, error.toJson());
      else if (error instanceof PlainError) this.#connection.replyError(id, error.message);
      else throw error;
    }
  }

  /** @returns the result, or undefined if the reply comes later. */
  #call(id: Json, method: string, params: readonly Json[]): Json | undefined {
    switch (method) {
      case 'transact':
        this.#transact(id, params);
        return undefined;
      case 'monitor':
        return this.#monitor(params, 1);
      case 'monitor_cond':
        return this.#monitor(params, 2);
      case 'monitor_cond_since':
        return this.#monitor(params, 3);
      case 'monitor_cond_change':
        return this.#monitorCondChange(params);
      case 'monitor_cancel':
        return this.#monitorCancel(params);
      case 'get_schema':
        return schemaToJson(this.#database(method, params).schema);
      case 'list_dbs':
        return this.#server.databaseNames;
      case 'get_server_id':
        return this.#server.id;
      case 'set_db_change_aware': {
        const [aware] = params;
        if (params.length !== 1 || typeof aware !== 'boolean') {
          throw new OvsdbError(
            'syntax error',
            'set_db_change_aware: true or false parameter expected',
            params,
          );
        }
        this.#isDbChangeAware = aware;
        return {};
      }
      case 'lock':
      case 'steal':
      case 'unlock':
        return this.#lock(method, params);
      case 'echo':
        return params;
      default:
        throw new PlainError('unknown method');
    }
  }

  #database(method: string, params: readonly Json[]): Database {
    const [name] = params;
    if (typeof name !== 'string') {
      throw new OvsdbError('syntax error', `${method} request params must begin with <db-name>`, params);
    }
    const database = this.#server.database(name);
    if (database === undefined) {
      throw new OvsdbError(
        'unknown database',
        `${method} request specifies unknown database ${name}`,
        params,
      );
    }
    return database;
  }

  #transact(id: Json, params: readonly Json[]): void {
    const database = this.#database('transact', params);
    const key = formatJson(id);
    if (this.#pending.has(key)) throw new OvsdbError('syntax error', 'duplicate request ID', id);
    const progress = { isDone: false };
    const cancel = this.#server.transact({
      database,
      operations: params.slice(1),
      isReadOnly: this.#settings.isReadOnly || database.name === '_Server',
      hasLock: (name) => this.#server.locks.isOwner(name, this),
      onDone: (results) => {
        progress.isDone = true;
        this.#pending.delete(key);
        this.#connection.reply(id, results);
      },
    });
    if (!progress.isDone) this.#pending.set(key, cancel);
  }

  #cancel(id: Json): void {
    const key = formatJson(id);
    const cancel = this.#pending.get(key);
    if (cancel?.() !== true) return;
    this.#pending.delete(key);
    this.#connection.replyError(id, 'canceled');
  }

  #monitor(params: readonly Json[], version: MonitorVersion): Json {
    const method = { 1: 'monitor', 2: 'monitor_cond', 3: 'monitor_cond_since' }[version];
    const database = this.#database(method, params);
    if (params.length !== (version === 3 ? 4 : 3)) {
      throw new OvsdbError('syntax error', 'invalid parameters', params);
    }
    const [, id = null, requests = null, lastId = null] = params;
    if (!isJsonObject(requests))
      throw new OvsdbError('syntax error', 'monitor-requests must be object', requests);
    if (this.#monitors.some((m) => jsonEquals(m.id, id)))
      throw new OvsdbError('syntax error', 'duplicate monitor ID', id);
    if (version === 3 && typeof lastId !== 'string')
      throw new OvsdbError('syntax error', 'last-txn-id must be string', lastId);
    if (typeof lastId === 'string' && !isUuid(lastId)) {
      throw new OvsdbError('syntax error', 'last-txn-id must be UUID format.', lastId);
    }
    const monitor = new Monitor(database, id, requests, version);
    this.#monitors.push(monitor);
    return typeof lastId === 'string' ? monitor.initialSince(lastId) : monitor.initial();
  }

  #monitorCondChange(params: readonly Json[]): Json {
    if (params.length !== 3) throw new OvsdbError('syntax error', 'invalid parameters', params);
    const [id = null, newId = null, requests = null] = params;
    const monitor = this.#monitors.find((m) => jsonEquals(m.id, id));
    if (monitor === undefined) throw new OvsdbError('syntax error', 'unknown monitor session', id);
    if (!jsonEquals(id, newId) && this.#monitors.some((m) => jsonEquals(m.id, newId))) {
      throw new OvsdbError('syntax error', 'duplicate monitor ID', newId);
    }
    const updates = monitor.changeConditions(requests);
    monitor.id = newId;
    if (updates !== null) this.#sendUpdates(monitor, updates);
    return {};
  }

  #monitorCancel(params: readonly Json[]): Json {
    if (params.length !== 1) throw new PlainError('invalid parameters');
    const at = this.#monitors.findIndex((m) => jsonEquals(m.id, params[0] ?? null));
    if (at < 0) throw new PlainError('unknown monitor');
    this.#monitors.splice(at, 1);
    return {};
  }

  #lock(method: 'lock' | 'steal' | 'unlock', params: readonly Json[]): Json {
    const [name] = params;
    if (params.length !== 1 || typeof name !== 'string' || !isId(name)) {
      throw new OvsdbError('syntax error', `${method} request params must be <id>`, params);
    }
    const { locks } = this.#server;
    if (method === 'unlock') {
      if (!locks.isInvolved(name, this)) {
        throw new OvsdbError('syntax error', 'unlock: "unlock" without "lock" or "steal"', params);
      }
      locks.unlock(name, this);
      return {};
    }
    if (locks.isInvolved(name, this)) {
      throw new OvsdbError('syntax error', `must issue "unlock" before new "${method}"`, params);
    }
    if (method === 'lock') return { locked: locks.lock(name, this) };
    locks.steal(name, this);
    return { locked: true };
  }
}
