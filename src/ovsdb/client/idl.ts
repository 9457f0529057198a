/**
 * IDL: a replica of a part of a database, kept up to date by the server.
 *
 * What: tables and columns asked for are monitored; `rows` reads them without waiting. Changes come
 * through `onChange`, once per update of the server, and bump `seqno`. Writing goes through
 * `transaction()`; its commit resolves after the replica has the changes.
 *
 * Life cycle: `start` connects and goes on connecting for ever; `ready()` resolves with the first whole
 * contents. After a lost connection the replica keeps what it had; the next server tells what was
 * missed (monitor_cond_since) or everything, of which the differences are told as changes.
 *
 * Threads: the one that made it. Source: RFC 7047 §4.1, ovsdb-server(7), ovsdb-server(5).
 */
import { rateLimit, vlog } from '../../util/log.ts';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { ZERO_UUID } from '../data/atom.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import type { DatabaseSchema, TableSchema } from '../schema.ts';
import { DatabaseLink } from './link.ts';
import type { LinkOptions } from './link.ts';
import { MonitorPlan } from './monitor-plan.ts';
import type { MonitorCondition, MonitorTablesOf } from './monitor-plan.ts';
import { Replica } from './replica.ts';
import type { IdlChange } from './replica.ts';
import type { IdlRow } from './row.ts';
import { SERVER_DATABASE, ServerStatusRows, serverColumns, whyUnfit } from './server-status.ts';
import type { ServerStatus } from './server-status.ts';
import { IdlTransaction } from './transaction.ts';

const log = vlog('ovsdb_idl');
const csLog = vlog('ovsdb_cs');
const parseErrors = rateLimit(5, 5);

/** A server answers so when it had the database that it has been asked for, and does no more. */
const unavailable: readonly string[] = ['unknown database', 'database not available'];

export interface IdlOptions extends LinkOptions {
  readonly database: string;
  /** Columns wanted of each table, or all. Tables and columns that the server lacks are ignored. */
  readonly tables: MonitorTablesOf;
  /** Rows wanted of a table from the start; all of them if absent. */
  readonly conditions?: Readonly<Record<string, MonitorCondition>>;
  /** Of a cluster, only its leader will do; default true. */
  readonly leaderOnly?: boolean;
  /** Name of a lock to ask for and to assert in every transaction. */
  readonly lock?: string;
}

export class Idl {
  readonly #options: IdlOptions;
  readonly #link: DatabaseLink;
  readonly #replica = new Replica();
  readonly #plan: MonitorPlan;
  readonly #listeners = new Set<(changes: readonly IdlChange[]) => void>();
  readonly #stateListeners = new Set<() => void>();
  readonly #readyWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #conditionWaiters: (() => void)[] = [];
  readonly #monitorId: Json;
  readonly #monitorIdText: string;
  readonly #serverMonitorId: Json = ['monid', SERVER_DATABASE];
  #servers: ServerStatusRows | undefined;
  /** Where to resume; ZERO_UUID = begin anew. */
  #lastTransaction = ZERO_UUID;
  #minIndex = 0;
  #schemaText = '';
  /** Counts attempts to follow a server: what an older one still hears is stale. */
  #epoch = 0;
  #isFollowing = false;
  #isChangingConditions = false;
  #isSynced = false;
  #wasReady = false;
  #isClosed = false;
  #seqno = 0;
  #hasLock = false;
  #isLockContended = false;
  #failure: Error | undefined;

  /** @throws SystemError EAFNOSUPPORT for a remote that is none. */
  constructor(options: IdlOptions) {
    this.#options = options;
    this.#plan = new MonitorPlan(options.tables, options.conditions);
    this.#monitorId = ['monid', options.database];
    this.#monitorIdText = formatJson(this.#monitorId);
    this.#link = new DatabaseLink(options, {
      onConnect: () => this.#onConnect(),
      onDisconnect: () => this.#onDisconnect(),
      onNotification: (method, params) => this.#onNotification(method, params),
      onGaveUp: (error) => this.#giveUp(error),
    });
  }

  /** Connects; safe to call once. */
  start(): this {
    this.#link.start();
    return this;
  }
  close(): void {
    this.#isClosed = true;
    this.#epoch++;
    this.#isSynced = false;
    this.#link.close();
    this.#giveUp(new OvsdbError('connection lost', 'closed'));
    this.#tellConditions();
  }

  get isConnected(): boolean {
    return this.#link.isConnected;
  }
  /** Whether the replica holds whole contents (maybe old ones, while the connection is down). */
  get isReady(): boolean {
    return this.#wasReady;
  }
  /** Whether the replica follows the server right now. */
  get isSynced(): boolean {
    return this.#isSynced;
  }
  /** False once the client has given up or was closed. */
  get isAlive(): boolean {
    return !this.#isClosed && (this.#wasReady || this.#failure === undefined);
  }
  /** The remote in use, or to be tried next. */
  get remote(): string {
    return this.#link.name;
  }
  get lastError(): string {
    return this.#link.lastError;
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
  /** What the server says of the database: cluster or not, leader or not; undefined if it does not say. */
  get serverStatus(): ServerStatus | undefined {
    return this.#servers?.of(this.#options.database);
  }
  /** @throws OvsdbError before the first contents. */
  get schema(): DatabaseSchema {
    const { schema } = this.#replica;
    if (schema === undefined) throw new OvsdbError('not connected');
    return schema;
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

  /** Resolves when the replica follows a server. @throws OvsdbError once closed. */
  async synced(): Promise<void> {
    while (!this.#isSynced) {
      if (this.#isClosed || this.#failure !== undefined)
        throw this.#failure ?? new OvsdbError('connection lost');
      await new Promise<void>((resolve) => {
        const stop = this.onState(() => {
          stop();
          resolve();
        });
      });
    }
  }

  table(name: string): TableSchema | undefined {
    return this.#replica.schema?.tables.get(name);
  }
  rows(table: string): IdlRow[] {
    return this.#replica.rows(table);
  }
  row(table: string, uuid: string): IdlRow | undefined {
    return this.#replica.row(table, uuid);
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

  /**
   * Changes which rows of a table the replica holds.
   *
   * @returns When the server has the condition and the replica its rows, or the client was closed. A
   * server without `monitor_cond` sends all rows whatever the condition.
   */
  async setCondition(table: string, condition: MonitorCondition): Promise<void> {
    this.#plan.want(table, condition);
    const done = new Promise<void>((resolve) => this.#conditionWaiters.push(resolve));
    this.#pushConditions();
    await done;
  }

  transaction(): IdlTransaction {
    return new IdlTransaction(this);
  }

  /**
   * Builds a transaction and commits it, again and again while the answer is `try again`: a verified
   * column had changed, or the connection was lost or the request cancelled before it was known to be done. In the latter
   * cases the server may have done it already, so `build` should look at what is there. A database that the server lost is
   * waited for.
   *
   * @param build Fills the transaction; called for each attempt, when the replica is up to date.
   * @returns The transaction as committed.
   * @throws OvsdbError of the server; `not locked` if the lock is another's.
   */
  async transact(build: (transaction: IdlTransaction) => void): Promise<IdlTransaction> {
    for (;;) {
      await this.synced();
      const transaction = this.transaction();
      build(transaction);
      const { seqno } = this;
      const status = await transaction.commit();
      // Removed since it was here; that is told before or after.
      const isGone = status === 'error' && unavailable.includes(transaction.error?.code ?? '');
      if (status === 'error' && !isGone) throw transaction.error ?? new OvsdbError('unknown error');
      if (status === 'not locked') throw new OvsdbError('not owner', 'database not locked');
      if (status !== 'try again' && !isGone) return transaction;
      // The verified column changed: its update may be still to come.
      if ((transaction.isOutdated || isGone) && this.#isSynced && this.#seqno === seqno)
        await this.#changeOrState();
    }
  }

  async #changeOrState(): Promise<void> {
    await new Promise<void>((resolve) => {
      const stops = [this.onChange(() => done()), this.onState(() => done())];
      const done = (): void => {
        for (const stop of stops) stop();
        resolve();
      };
    });
  }

  /**
   * Sends a request.
   *
   * @throws OvsdbError `connection lost` if no reply came, or the error of the reply.
   */
  async call(method: string, params: readonly Json[]): Promise<Json> {
    return await this.#link.call(method, params);
  }

  #onConnect(): void {
    const epoch = ++this.#epoch;
    this.#servers = undefined;
    this.#schemaText = '';
    this.#greet(epoch).catch((error: unknown) => this.#failed(epoch, error));
    this.#tellState();
  }

  #onDisconnect(): void {
    this.#epoch++;
    this.#isFollowing = false;
    this.#isSynced = false;
    this.#hasLock = false;
    this.#isLockContended = false;
    // Whether the server took the new conditions is not known, so nor is what it has told by them.
    if (this.#isChangingConditions) this.#lastTransaction = ZERO_UUID;
    this.#isChangingConditions = false;
    this.#tellState();
  }

  #failed(epoch: number, error: unknown): void {
    if (epoch !== this.#epoch) return;
    const what = error instanceof Error ? error.message : String(error);
    log.err(`${this.#link.name}: ${what}`, parseErrors);
    this.#giveUp(error instanceof Error ? error : new OvsdbError(what));
    this.#link.drop(what);
  }

  #giveUp(error: Error): void {
    if (this.#wasReady) return;
    this.#failure = error;
    for (const waiter of this.#readyWaiters.splice(0)) waiter.reject(error);
  }

  #tellState(): void {
    for (const fn of [...this.#stateListeners]) fn();
  }

  /** Asks a fresh server for the lock and what it is; `#judge` goes on from there. */
  async #greet(epoch: number): Promise<void> {
    this.#requestLock(epoch);
    const servers = new ServerStatusRows();
    const request = { Database: [{ columns: serverColumns }] };
    try {
      await this.#link.call('monitor_cond', [SERVER_DATABASE, this.#serverMonitorId, request], (result) => {
        servers.apply(result);
        this.#servers = servers;
      });
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.code === 'connection lost') throw error;
      log.dbg(`${this.#link.name}: server does not tell about itself (${error.message})`);
      const schema = await this.#link.call('get_schema', [this.#options.database]);
      await this.#follow(epoch, formatJson(schema));
      return;
    }
    // Without this the server drops the connection when databases come, go or change their schema.
    this.#link.call('set_db_change_aware', [true]).catch(() => undefined);
    await this.#judge(epoch);
  }

  /** Goes to another server, waits, or follows this one, after what it says about itself. */
  async #judge(epoch: number): Promise<void> {
    const { database, leaderOnly = true } = this.#options;
    const status = this.serverStatus;
    const why = whyUnfit(status, database, leaderOnly, this.#minIndex);
    if (why !== null || status === undefined) {
      if (this.#link.remoteCount > 1) {
        csLog.info(`${this.#link.name}: ${why ?? ''}`);
        // All are asked again at once if this one was good till now: one of them took its place.
        if (this.#isFollowing) this.#link.resetBackoff();
        this.#link.drop('');
      } else if (!this.#isFollowing) {
        csLog.warn(`${this.#link.name}: ${why ?? ''}`, parseErrors);
        if (status === undefined) throw new OvsdbError('unknown database', why ?? '');
      }
      return;
    }
    if (status.index !== null) this.#minIndex = status.index;
    if (status.schema === null || (this.#isFollowing && status.schema === this.#schemaText)) return;
    if (this.#isFollowing) this.#link.call('monitor_cancel', [this.#monitorId]).catch(() => undefined);
    await this.#follow(epoch, status.schema);
  }

  #requestLock(epoch: number): void {
    const { lock } = this.#options;
    if (lock === undefined) return;
    this.#link
      .call('lock', [lock], (reply) => this.#setLock(isJsonObject(reply) && reply['locked'] === true))
      .catch((error: unknown) => this.#failed(epoch, error));
  }

  #setLock(isHeld: boolean): void {
    this.#hasLock = isHeld;
    this.#isLockContended = !isHeld;
    this.#seqno++;
    this.#tellState();
  }

  async #follow(epoch: number, schemaText: string): Promise<void> {
    this.#isFollowing = true;
    if (schemaText !== this.#schemaText || this.#replica.schema === undefined) {
      const schema = schemaFromJson(parseJson(schemaText));
      this.#schemaText = schemaText;
      if (!sameSchema(this.#replica.schema, schema)) {
        this.#lastTransaction = ZERO_UUID;
        this.#tell(this.#replica.reset(schema));
      }
    }
    await this.#monitor();
    if (epoch !== this.#epoch) return;
    this.#isSynced = true;
    this.#wasReady = true;
    this.#failure = undefined;
    for (const waiter of this.#readyWaiters.splice(0)) waiter.resolve();
    this.#tellState();
    this.#pushConditions();
  }

  /** Starts to monitor by the best method that the server has. */
  async #monitor(): Promise<void> {
    const { database } = this.#options;
    const isResumed = this.#lastTransaction !== ZERO_UUID;
    const requests = this.#plan.requests(this.schema, isResumed ? 'acked' : 'wanted');
    const conditions = this.#plan.snapshot();
    const params = [database, this.#monitorId, requests];
    const begin = (contents: Json): void => {
      this.#plan.confirm(conditions);
      this.#restart(contents);
    };
    if (
      await this.#tryMonitor('monitor_cond_since', [...params, this.#lastTransaction], (reply) => {
        const [found, last, contents = null] = isJsonArray(reply) ? reply : [];
        if (found === true) this.#tell(this.#replica.apply(contents));
        else if (isResumed) this.#restart(contents);
        else begin(contents);
        this.#lastTransaction = typeof last === 'string' ? last : ZERO_UUID;
      })
    )
      return;
    this.#lastTransaction = ZERO_UUID;
    const all = [database, this.#monitorId, this.#plan.requests(this.schema, 'wanted')];
    if (await this.#tryMonitor('monitor_cond', all, begin)) return;
    const plain = new MonitorPlan(this.#options.tables).requests(this.schema, 'wanted');
    await this.#link.call('monitor', [database, this.#monitorId, plain], (contents) => {
      this.#plan.confirm(conditions);
      this.#restart(contents);
    });
  }

  /** @returns false if the server refuses the method. */
  async #tryMonitor(method: string, params: readonly Json[], take: (reply: Json) => void): Promise<boolean> {
    const seen = { reply: false };
    try {
      await this.#link.call(method, params, (reply) => {
        seen.reply = true;
        take(reply);
      });
      return true;
    } catch (error) {
      if (seen.reply || !(error instanceof OvsdbError) || error.code === 'connection lost') throw error;
      log.dbg(`${this.#link.name}: no ${method} (${error.message})`);
      return false;
    }
  }

  #restart(contents: Json): void {
    const changes = this.#replica.replaceAll(contents);
    if (changes.length === 0) this.#seqno++;
    this.#tell(changes);
  }

  #pushConditions(): void {
    if (!this.#isSynced || this.#isChangingConditions) return;
    const changes = this.#plan.changes(this.schema);
    if (changes === null) {
      this.#tellConditions();
      return;
    }
    const conditions = this.#plan.snapshot();
    const epoch = this.#epoch;
    this.#isChangingConditions = true;
    this.#link
      .call('monitor_cond_change', [this.#monitorId, this.#monitorId, changes], () => {
        this.#isChangingConditions = false;
        this.#plan.confirm(conditions);
      })
      .then(
        () => this.#pushConditions(),
        (error: unknown) => this.#failed(epoch, error),
      );
  }

  #tellConditions(): void {
    for (const resolve of this.#conditionWaiters.splice(0)) resolve();
  }

  #onNotification(method: string, params: readonly Json[]): void {
    const [id = null] = params;
    switch (method) {
      case 'locked':
      case 'stolen':
        if (id === this.#options.lock) this.#setLock(method === 'locked');
        return;
      case 'update':
      case 'update2':
      case 'update3':
        this.#onUpdate(method, formatJson(id), params);
        return;
      case 'monitor_canceled':
        if (formatJson(id) === this.#monitorIdText) this.#onCanceled();
    }
  }

  #onUpdate(method: string, id: string, params: readonly Json[]): void {
    try {
      if (id === this.#monitorIdText) {
        const isSince = method === 'update3';
        this.#tell(this.#replica.apply(params[isSince ? 2 : 1] ?? null));
        if (isSince && typeof params[1] === 'string') this.#lastTransaction = params[1];
      } else if (id === formatJson(this.#serverMonitorId)) {
        this.#servers?.apply(params[1] ?? null);
        const epoch = this.#epoch;
        this.#judge(epoch).catch((error: unknown) => this.#failed(epoch, error));
      }
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      log.warn(`${this.#link.name}: bad update: ${what}`, parseErrors);
      // The replica may be half changed: nothing but the whole contents will do.
      this.#lastTransaction = ZERO_UUID;
      this.#link.drop(what);
    }
  }

  /** The database is being converted or removed: what follows is told through `_Server`. */
  #onCanceled(): void {
    this.#isFollowing = false;
    this.#isSynced = false;
    this.#schemaText = '';
    const epoch = ++this.#epoch;
    this.#judge(epoch).catch((error: unknown) => this.#failed(epoch, error));
    this.#tellState();
  }

  #tell(changes: readonly IdlChange[]): void {
    if (changes.length === 0) return;
    this.#seqno++;
    for (const fn of [...this.#listeners]) fn(changes);
  }
}

function sameSchema(a: DatabaseSchema | undefined, b: DatabaseSchema): boolean {
  return a !== undefined && formatJson(schemaToJson(a)) === formatJson(schemaToJson(b));
}
