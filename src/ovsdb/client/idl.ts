/**
 * IDL: a replica of a part of a database, kept up to date by the server.
 *
 * What: tables and columns asked for are monitored; `rows` reads them without waiting. Changes come
 * through `onChange`, once per update of the server, and bump `seqno`. Writing goes through
 * `transaction()`; its commit resolves after the replica has the changes.
 *
 * Life cycle: `start` connects and goes on connecting for ever; `ready()` resolves with the first whole
 * contents. After a lost connection the replica keeps what it had until the server's new contents
 * arrive, and then tells the differences as changes.
 *
 * Threads: the one that made it. Source: RFC 7047 §4.1, OVS ovsdb-server(7) for monitor_cond.
 */
import { rateLimit, vlog } from '../../util/log.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import {
  JsonRpcConnection,
  OVSDB_PORT,
  StreamSession,
  SystemTimers,
  isJsonObject,
  parseTarget,
} from '../../stream/index.ts';
import type {
  ByteStream,
  Json,
  JsonObject,
  JsonRpcMessage,
  StreamHandlers,
  Timers,
} from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { applyDiff, datumEquals, datumFromJson, defaultDatum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import { isBuiltinColumn, schemaFromJson } from '../schema.ts';
import type { DatabaseSchema, TableSchema } from '../schema.ts';
import { errorFromJson } from './error-reply.ts';
import { IdlRow } from './row.ts';
import { IdlTransaction } from './transaction.ts';

const log = vlog('ovsdb_idl');
const parseErrors = rateLimit(5, 5);

export interface IdlOptions {
  /** E.g. `unix:/run/openvswitch/db.sock`. */
  readonly remote: string;
  readonly database: string;
  /** Columns wanted of each table, or all. Tables and columns that the server lacks are ignored. */
  readonly tables: Readonly<Record<string, readonly string[] | 'all'>> | 'all';
  /** Name of a lock to ask for and to assert in every transaction. */
  readonly lock?: string;
  /** Inactivity probe; default 5000 for tcp, none for unix. */
  readonly probeIntervalMs?: number;
  readonly timers?: Timers;
  /** Gives up after this many attempts: `ready` then rejects. */
  readonly maxTries?: number;
}

export interface IdlChange {
  readonly kind: 'insert' | 'modify' | 'delete';
  readonly table: string;
  readonly row: IdlRow;
  /** Columns that a modify changed. */
  readonly columns: readonly string[];
}

type Reply = (message: JsonRpcMessage | null) => void;

export class Idl {
  readonly #options: IdlOptions;
  readonly #session: StreamSession;
  readonly #tables = new Map<string, Map<string, IdlRow>>();
  readonly #listeners = new Set<(changes: readonly IdlChange[]) => void>();
  readonly #stateListeners = new Set<() => void>();
  readonly #replies = new Map<number, Reply>();
  readonly #readyWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #monitorId: string;
  #connection: JsonRpcConnection | undefined;
  #schema: DatabaseSchema | undefined;
  #isSynced = false;
  #wasReady = false;
  #seqno = 0;
  #hasLock = false;
  #isLockContended = false;
  #failure: Error | undefined;

  constructor(options: IdlOptions) {
    this.#options = options;
    this.#monitorId = randomUuid(new SystemRandom());
    const isTcp = options.remote.startsWith('tcp:');
    this.#session = new StreamSession({
      name: options.remote,
      target: parseTarget(options.remote, OVSDB_PORT, ovsRundir()),
      timers: options.timers ?? new SystemTimers(),
      probeIntervalMs: options.probeIntervalMs ?? (isTcp ? 5000 : 0),
      ...(options.maxTries === undefined ? {} : { maxTries: options.maxTries }),
      onConnect: (stream) => this.#onConnect(stream),
      onDisconnect: () => this.#onDisconnect(),
      onProbe: () => {
        this.#request('echo', []).catch(() => undefined);
      },
      onConnectFailed: () => {
        if (this.#session.reconnect.state === 'void') this.#giveUp(new OvsdbError(this.#session.lastError));
      },
    });
  }

  /** Connects; safe to call once. */
  start(): this {
    this.#session.start();
    return this;
  }
  close(): void {
    this.#session.stop();
    this.#connection?.close();
    this.#connection = undefined;
    this.#failReplies();
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }
  /** Whether the replica holds whole contents (maybe old ones, while the connection is down). */
  get isReady(): boolean {
    return this.#wasReady;
  }
  /** Whether the replica follows the server right now. */
  get isSynced(): boolean {
    return this.#isSynced;
  }
  get lastError(): string {
    return this.#session.lastError;
  }
  /** Grows with every change. */
  get seqno(): number {
    return this.#seqno;
  }
  /** True when the lock asked for is ours; true also if none was asked for. */
  get hasLock(): boolean {
    return this.#options.lock === undefined || this.#hasLock;
  }
  /** Another client holds our lock. */
  get isLockContended(): boolean {
    return this.#isLockContended;
  }
  get lockName(): string | undefined {
    return this.#options.lock;
  }
  get databaseName(): string {
    return this.#options.database;
  }
  /** @throws OvsdbError before the first contents. */
  get schema(): DatabaseSchema {
    if (this.#schema === undefined) throw new OvsdbError('not connected');
    return this.#schema;
  }

  /** Resolves when the first whole contents are there. @throws OvsdbError after `maxTries`, or if the database does not exist. */
  async ready(): Promise<void> {
    if (this.#wasReady) return;
    if (this.#failure !== undefined) throw this.#failure;
    await new Promise<void>((resolve, reject) => this.#readyWaiters.push({ resolve, reject }));
  }

  /** Calls `fn` after each update of the replica. @returns a function that stops it. */
  onChange(fn: (changes: readonly IdlChange[]) => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }
  /** Calls `fn` when the connection, the lock or readiness changed. */
  onState(fn: () => void): () => void {
    this.#stateListeners.add(fn);
    return () => this.#stateListeners.delete(fn);
  }

  /** Resolves with the next change after `seqno`. */
  async waitChange(seqno: number): Promise<void> {
    if (this.#seqno > seqno) return;
    await new Promise<void>((resolve) => {
      const stop = this.onChange(() => {
        stop();
        resolve();
      });
    });
  }

  table(name: string): TableSchema | undefined {
    return this.#schema?.tables.get(name);
  }
  rows(table: string): IdlRow[] {
    return [...(this.#tables.get(table)?.values() ?? [])];
  }
  row(table: string, uuid: string): IdlRow | undefined {
    return this.#tables.get(table)?.get(uuid);
  }
  /** The rows that a reference column of `row` points at; those not in the replica are left out. */
  refs(row: IdlRow, column: string): IdlRow[] {
    const target = row.column(column).type.key.refTable ?? row.column(column).type.value?.refTable ?? '';
    const isValue = row.column(column).type.key.refTable === null;
    const { keys, values } = row.datum(column);
    const found: IdlRow[] = [];
    for (const uuid of isValue ? (values ?? []) : keys) {
      const referred = this.row(target, String(uuid));
      if (referred !== undefined) found.push(referred);
    }
    return found;
  }

  transaction(): IdlTransaction {
    return new IdlTransaction(this);
  }

  /**
   * Sends a request.
   *
   * @throws OvsdbError `connection lost` if no reply came, or the error of the reply.
   */
  async call(method: string, params: readonly Json[]): Promise<Json> {
    return await this.#request(method, params);
  }

  async #request(method: string, params: readonly Json[]): Promise<Json> {
    const connection = this.#connection;
    if (connection === undefined) throw new OvsdbError('connection lost');
    return await new Promise<Json>((resolve, reject) => {
      const id = connection.request(method, params);
      this.#replies.set(id, (message) => {
        if (message === null) reject(new OvsdbError('connection lost'));
        else if (message.kind === 'reply') resolve(message.result);
        else if (message.kind === 'error') reject(errorFromJson(message.error));
      });
    });
  }

  #failReplies(): void {
    const replies = [...this.#replies.values()];
    this.#replies.clear();
    for (const reply of replies) reply(null);
  }

  #onConnect(stream: ByteStream): StreamHandlers {
    const connection = new JsonRpcConnection(stream);
    this.#connection = connection;
    const handlers = connection.attach({
      onMessage: (message) => this.#onMessage(connection, message),
      onClose: () => undefined,
    });
    this.#sync().catch((error: unknown) => {
      const what = error instanceof Error ? error.message : String(error);
      if (this.#connection !== connection) return;
      log.err(`${this.#options.remote}: ${what}`, parseErrors);
      this.#giveUp(error instanceof Error ? error : new Error(what));
      this.#session.drop(what);
    });
    this.#tellState();
    return handlers;
  }

  #onDisconnect(): void {
    this.#connection = undefined;
    this.#isSynced = false;
    this.#hasLock = false;
    this.#isLockContended = false;
    this.#failReplies();
    if (this.#session.reconnect.state === 'void') this.#giveUp(new OvsdbError('connection lost'));
    this.#tellState();
  }

  #giveUp(error: Error): void {
    if (this.#wasReady) return;
    this.#failure = error;
    for (const waiter of this.#readyWaiters.splice(0)) waiter.reject(error);
  }

  #tellState(): void {
    for (const fn of this.#stateListeners) fn();
  }

  async #sync(): Promise<void> {
    const { database, lock } = this.#options;
    const schema = schemaFromJson(await this.#request('get_schema', [database]));
    this.#schema = schema;
    if (lock !== undefined) {
      const reply = await this.#request('lock', [lock]);
      this.#hasLock = isJsonObject(reply) && reply['locked'] === true;
      this.#isLockContended = !this.#hasLock;
    }
    const requests = this.#monitorRequests(schema);
    let initial: Json;
    try {
      initial = await this.#request('monitor_cond', [database, this.#monitorId, requests]);
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.code === 'connection lost') throw error;
      log.dbg(`${this.#options.remote}: no monitor_cond (${error.message}), using monitor`);
      initial = await this.#request('monitor', [database, this.#monitorId, requests]);
    }
    this.#replaceAll(schema, initial);
    this.#isSynced = true;
    this.#wasReady = true;
    this.#failure = undefined;
    for (const waiter of this.#readyWaiters.splice(0)) waiter.resolve();
    this.#tellState();
  }

  #monitorRequests(schema: DatabaseSchema): JsonObject {
    const requests: Record<string, Json> = {};
    for (const table of schema.tables.values()) {
      const wanted = this.#options.tables === 'all' ? 'all' : this.#options.tables[table.name];
      if (wanted === undefined) continue;
      const columns = [...table.columns.keys()].filter(
        (c) => !isBuiltinColumn(c) && (wanted === 'all' || wanted.includes(c)),
      );
      requests[table.name] = [{ columns }];
    }
    return requests;
  }

  #onMessage(connection: JsonRpcConnection, message: JsonRpcMessage): void {
    if (this.#connection !== connection) return;
    switch (message.kind) {
      case 'request':
        if (message.method === 'echo') connection.reply(message.id, message.params);
        else connection.replyError(message.id, { error: 'unknown method', details: message.method });
        return;
      case 'notification':
        this.#onNotification(message.method, message.params);
        return;
      case 'reply':
      case 'error': {
        const id = typeof message.id === 'number' ? message.id : -1;
        const reply = this.#replies.get(id);
        this.#replies.delete(id);
        reply?.(message);
      }
    }
  }

  #onNotification(method: string, params: readonly Json[]): void {
    if (method === 'locked' || method === 'stolen') {
      if (params[0] !== this.#options.lock) return;
      this.#hasLock = method === 'locked';
      this.#isLockContended = !this.#hasLock;
      this.#seqno++;
      this.#tellState();
    } else if ((method === 'update' || method === 'update2') && params[0] === this.#monitorId) {
      const schema = this.#schema;
      if (schema === undefined) return;
      try {
        this.#tell(this.#applyUpdates(schema, params[1] ?? null));
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        log.warn(`${this.#options.remote}: bad update: ${what}`, parseErrors);
        this.#session.drop(what);
      }
    }
  }

  #tell(changes: readonly IdlChange[]): void {
    if (changes.length === 0) return;
    this.#seqno++;
    for (const fn of [...this.#listeners]) fn(changes);
  }

  #tableRows(name: string): Map<string, IdlRow> {
    let rows = this.#tables.get(name);
    if (rows === undefined) {
      rows = new Map();
      this.#tables.set(name, rows);
    }
    return rows;
  }

  /** Fresh contents: rows not in them are gone, others change where they differ. */
  #replaceAll(schema: DatabaseSchema, json: Json): void {
    const seen = new Set<string>();
    const changes: IdlChange[] = [];
    if (isJsonObject(json)) {
      for (const rows of Object.values(json))
        if (isJsonObject(rows)) for (const uuid of Object.keys(rows)) seen.add(uuid);
    }
    for (const [table, rows] of this.#tables) {
      for (const [uuid, row] of rows) {
        if (seen.has(uuid)) continue;
        rows.delete(uuid);
        changes.push({ kind: 'delete', table, row, columns: [] });
      }
    }
    changes.push(...this.#applyUpdates(schema, json));
    if (changes.length === 0) this.#seqno++;
    this.#tell(changes);
  }

  #applyUpdates(schema: DatabaseSchema, json: Json): IdlChange[] {
    if (!isJsonObject(json)) throw new OvsdbError('syntax error', '<table-updates> is not an object');
    const changes: IdlChange[] = [];
    for (const [tableName, updates] of Object.entries(json)) {
      const table = schema.tables.get(tableName);
      if (table === undefined || !isJsonObject(updates))
        throw new OvsdbError('syntax error', `bad update of table ${tableName}`);
      for (const [uuid, update] of Object.entries(updates)) {
        if (!isJsonObject(update)) throw new OvsdbError('syntax error', `bad update of row ${uuid}`);
        const change = this.#applyRow(table, uuid, update);
        if (change !== null) changes.push(change);
      }
    }
    return changes;
  }

  #applyRow(table: TableSchema, uuid: string, update: JsonObject): IdlChange | null {
    const rows = this.#tableRows(table.name);
    const old = rows.get(uuid);
    const isDelete = 'delete' in update || ('old' in update && !('new' in update));
    if (isDelete) {
      if (old === undefined) return null;
      rows.delete(uuid);
      return { kind: 'delete', table: table.name, row: old, columns: [] };
    }
    const modify = update['modify'];
    if (isJsonObject(modify)) {
      if (old === undefined) throw new OvsdbError('syntax error', `modify of unknown row ${uuid}`);
      return this.#writeColumns(old, modify, true, 'modify');
    }
    const contents = update['initial'] ?? update['insert'] ?? update['new'] ?? {};
    if (!isJsonObject(contents)) throw new OvsdbError('syntax error', `bad contents of row ${uuid}`);
    if (old !== undefined) return this.#writeColumns(old, contents, false, 'modify', !('new' in update));
    const row = new IdlRow(table, uuid);
    rows.set(uuid, row);
    return this.#writeColumns(row, contents, false, 'insert');
  }

  #writeColumns(
    row: IdlRow,
    json: JsonObject,
    isDiff: boolean,
    kind: 'insert' | 'modify',
    isWhole = false,
  ): IdlChange | null {
    const columns: string[] = [];
    const write = (name: string, value: Json | undefined): void => {
      const column = row.table.columns.get(name);
      if (column === undefined || isBuiltinColumn(name)) return;
      const before = row.datum(name);
      let after =
        value === undefined
          ? defaultDatum(column.type)
          : datumFromJson(column.type, value, { isUnbounded: isDiff, isUnchecked: true });
      if (isDiff) after = applyDiff(column.type, before, after);
      if (datumEquals(before, after)) return;
      row.setDatum(name, after);
      columns.push(name);
    };
    // Contents that begin anew leave out columns with default values.
    for (const name of isWhole ? row.table.columns.keys() : Object.keys(json)) write(name, json[name]);
    if (kind === 'modify' && columns.length === 0) return null;
    return { kind, table: row.table.name, row, columns };
  }
}
