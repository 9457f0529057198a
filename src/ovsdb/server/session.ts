/**
 * One client of the server: its requests, monitors, locks and waiting transactions.
 */
import { formatJson, JsonRpcConnection } from '../../stream/index.ts';
import type { ByteStream, Json, JsonRpcMessage, StreamHandlers } from '../../stream/index.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { isId } from '../data/atom.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import type { Database } from './database.ts';
import type { LockHolder } from './locks.ts';
import type { MonitorVersion } from './monitor.ts';
import type { CommitUpdates } from './monitor-sharing.ts';
import { AccessControl, permissionError } from './rbac.ts';
import type { OvsdbServer } from './server.ts';
import { SessionMonitors } from './session-monitors.ts';

const log = vlog('ovsdb_jsonrpc_server');
const badRequests = rateLimit(60, 5);

export interface SessionSettings {
  /** 0 = never probe. */
  readonly probeIntervalMs: number;
  readonly isReadOnly: boolean;
  /** Name of the client's role for access control; empty or absent: it may do everything. */
  readonly role?: string;
}

/** A reply that is not an RFC error object: OVS answers these with a bare string. */
class PlainError extends Error {}

export class ServerSession implements LockHolder {
  readonly name: string;
  /** What the stream delivers to. */
  readonly handlers: StreamHandlers;
  readonly #server: OvsdbServer;
  readonly #connection: JsonRpcConnection;
  readonly #onEnd: (() => void) | undefined;
  #settings: SessionSettings;
  readonly #monitors: SessionMonitors;
  /** Transactions under way, by the text of their ids. */
  readonly #pending = new Map<string, () => boolean>();
  #isDbChangeAware = false;
  #lastActivityMs: number;
  #isProbing = false;
  #cancelProbe: () => void = () => undefined;

  constructor(server: OvsdbServer, stream: ByteStream, settings: SessionSettings, onEnd?: () => void) {
    this.name = stream.name;
    this.#onEnd = onEnd;
    this.#server = server;
    this.#settings = settings;
    this.#connection = new JsonRpcConnection(stream, { holdsBack: true });
    this.#monitors = new SessionMonitors(this.#connection, server.monitorClasses);
    this.#lastActivityMs = server.timers.clock.nowMs();
    this.handlers = this.#connection.attach({
      onMessage: (message) => this.#onMessage(message),
      onClose: () => this.#onClose(),
      onDrain: () => this.#monitors.flush(false),
    });
    this.#armProbe();
  }

  /** What each monitor follows, as text: equal for those that follow the same. */
  monitoredContents(): string[] {
    return this.#monitors.contents();
  }
  get backlogBytes(): number {
    return this.#connection.backlogBytes;
  }
  /** Whether nothing may be changed nor locked. */
  get isReadOnly(): boolean {
    return this.#settings.isReadOnly || this.#server.isBackup;
  }

  #mayOnlyRead(database: string): boolean {
    return this.isReadOnly || this.#server.hosted(database)?.isBackup === true;
  }

  close(): void {
    this.#connection.close();
    this.#onClose();
  }

  /** Other rights need a new connection; a client learns of what it may do only when it asks. */
  setSettings(settings: SessionSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    if (before.isReadOnly !== settings.isReadOnly || before.role !== settings.role) {
      this.disconnect('remote options changed');
    } else if (before.probeIntervalMs !== settings.probeIntervalMs) {
      this.#cancelProbe();
      this.#armProbe();
    }
  }

  /** Closes the connection, so that the client looks again at what is here. */
  disconnect(reason: string): void {
    log.info(`${this.name}: disconnecting (${reason})`);
    this.close();
  }

  #onClose(): void {
    if (!this.#server.sessions.delete(this)) return;
    this.#cancelProbe();
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
    this.#monitors.clear();
    this.#server.locks.release(this);
    this.#onEnd?.();
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

  /** Databases came or went, `gone` among them. */
  onDatabasesChanged(reason: string, gone?: Database): void {
    if (!this.#isDbChangeAware) this.disconnect(reason);
    else if (gone !== undefined) this.#monitors.cancelAll(gone);
  }

  onCommit(updates: CommitUpdates): void {
    this.#monitors.onCommit(updates);
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
      case 'error':
        // Only a probe is answered.
        if (message.kind === 'reply' && message.id === 'echo') return;
        log.warn(`${this.name}: received unexpected ${message.kind} message`, badRequests);
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
    if (method.startsWith('monitor_cond') && !this.#server.isMonitorCondEnabled)
      throw new PlainError('unknown method');
    switch (method) {
      case 'transact':
        this.#transact(id, params);
        return undefined;
      case 'convert':
        this.#convert(id, params);
        return undefined;
      case 'monitor':
        return this.#monitor(params, 1);
      case 'monitor_cond':
        return this.#monitor(params, 2);
      case 'monitor_cond_since':
        return this.#monitor(params, 3);
      case 'monitor_cond_change':
        this.#monitors.change(params);
        return {};
      case 'monitor_cancel':
        if (params.length !== 1) throw new PlainError('invalid parameters');
        if (!this.#monitors.cancel(params[0] ?? null)) throw new PlainError('unknown monitor');
        return {};
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
    const hosted = this.#server.hosted(name);
    if (hosted === undefined) {
      throw new OvsdbError(
        'unknown database',
        `${method} request specifies unknown database ${name}`,
        params,
      );
    }
    if (hosted.database === null) {
      throw new OvsdbError(
        'database not available',
        `${method} request specifies database ${name} which is not yet available because it has not completed joining its cluster`,
        params,
      );
    }
    return hosted.database;
  }

  #transact(id: Json, params: readonly Json[]): void {
    const database = this.#database('transact', params);
    const key = formatJson(id);
    if (this.#pending.has(key)) throw new OvsdbError('syntax error', 'duplicate request ID', id);
    const progress = { isDone: false };
    const cancel = this.#server.transact({
      database,
      operations: params.slice(1),
      isReadOnly: this.#mayOnlyRead(database.name) || database.name === '_Server',
      access: AccessControl.of(database, this.#client),
      hasLock: (name) => this.#server.locks.isOwner(name, this),
      onDone: (results, error) => {
        progress.isDone = true;
        this.#pending.delete(key);
        this.#monitors.flush(true);
        if (error === undefined) this.#connection.reply(id, results);
        else this.#connection.replyError(id, error);
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

  get #client(): { role: string; id: string | null } {
    return { role: this.#settings.role ?? '', id: this.#connection.peerId };
  }

  #convert(id: Json, params: readonly Json[]): void {
    const database = this.#database('convert', params);
    const { name } = database;
    if (params.length !== 2) throw new OvsdbError('syntax error', 'array expected', params);
    // The stock server lets a client of a read-only remote convert; that can only be an oversight.
    if (this.#mayOnlyRead(name))
      throw new OvsdbError(
        'not allowed',
        'convert operation not allowed when database server is in read only mode',
      );
    if (this.#client.role !== '') {
      throw permissionError(
        this.#client,
        `"convert" of database ${name} (only the root role may convert databases)`,
      );
    }
    const { forwarder } = this.#server.hosted(name) ?? {};
    if (forwarder !== undefined) {
      forwarder.forward('convert', params, (result, error) => {
        if (error === null) this.#connection.reply(id, result);
        else this.#connection.replyError(id, error);
      });
      return;
    }
    const schema = schemaFromJson(params[1] ?? null);
    if (schema.name !== name) {
      throw new OvsdbError(
        'invalid parameters',
        `new schema name (${schema.name}) does not match database name (${name})`,
      );
    }
    this.#server.convert(name, schema, () => this.#connection.reply(id, {}));
  }

  #monitor(params: readonly Json[], version: MonitorVersion): Json {
    const method = { 1: 'monitor', 2: 'monitor_cond', 3: 'monitor_cond_since' }[version];
    return this.#monitors.add(this.#database(method, params), params, version);
  }

  #lock(method: 'lock' | 'steal' | 'unlock', params: readonly Json[]): Json {
    const [name] = params;
    if (params.length !== 1 || typeof name !== 'string' || !isId(name)) {
      throw new OvsdbError('syntax error', `${method} request params must be <id>`, params);
    }
    if (this.isReadOnly) {
      throw new PlainError('lock and unlock methods not allowed, DB server is read only.');
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
