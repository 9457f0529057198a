/**
 * An OVSDB server: databases, locks and the sessions that use them.
 *
 * What: `accept` serves a connection; `transact` runs a request; a commit is written to the log, applied,
 * told to monitors, and answered, in this order. A durable commit is answered after fdatasync, which many
 * commits share; the server goes on meanwhile. A transaction whose `wait` is unmet stays in `#waiting` and
 * runs again after each commit to its database, until it is met, times out or is cancelled.
 *
 * Threads: one; nothing here blocks except writing to the log.
 */
import { trimMemory } from '../../sys/trim-memory.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import type { Random } from '../../util/random.ts';
import { counter } from '../../util/counters.ts';
import { SystemTimers, isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { ByteStream, Json, Timers } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';
import { Database } from './database.ts';
import type { Table } from './database.ts';
import { serverRow, wouldChange } from './hosted.ts';
import type { Forwarder, Hosted } from './hosted.ts';
import { LockTable } from './locks.ts';
import { CommitUpdates, MonitorClasses } from './monitor-sharing.ts';
import { Execution } from './operations.ts';
import type { AccessControl } from './rbac.ts';
import { serverSchema } from './server-schema.ts';
import { ServerSession } from './session.ts';
import type { SessionSettings } from './session.ts';
import type { OpenDatabase } from './storage.ts';
import { logChanges } from './table-log.ts';
import { Transaction } from './transaction.ts';

const log = vlog('ovsdb_server');
const failures = rateLimit(5, 20);
const transactions = counter('ovsdb_transactions');
const compactIntervalMs = 10 * 60_000;

export interface TransactRequest {
  readonly database: Database;
  readonly operations: readonly Json[];
  readonly isReadOnly: boolean;
  /** Null or absent: the client may do everything. */
  readonly access?: AccessControl | null;
  hasLock(name: string): boolean;
  /** Called exactly once, unless the request is cancelled; `error` if there are no results at all. */
  onDone(results: readonly Json[], error?: Json): void;
}

interface Waiting {
  readonly request: TransactRequest;
  readonly startMs: number;
  cancelTimer: () => void;
}

export interface ServerOptions {
  readonly timers?: Timers;
  readonly random?: Random;
}

export class OvsdbServer {
  readonly id: string;
  readonly locks = new LockTable();
  readonly monitorClasses = new MonitorClasses();
  readonly timers: Timers;
  readonly sessions = new Set<ServerSession>();
  /** Whose changes are logged (ovsdb-server/tlog-set). */
  readonly loggedTables = new Set<Table>();
  /** Whether the logs of databases opened from now on may hold changes of columns as differences. */
  hasColumnDiff = true;
  /** Of relays given by the command line or a command; undefined: the default. */
  relayProbeIntervalMs: number | undefined;
  #isMonitorCondEnabled = true;
  /** A backup changes only as its active server does. */
  #isBackup = false;
  readonly #random: Random;
  readonly #hosted = new Map<string, Hosted>();
  readonly #waiting = new Set<Waiting>();
  readonly #serverRows = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  constructor(options: ServerOptions = {}) {
    this.timers = options.timers ?? new SystemTimers();
    this.#random = options.random ?? new SystemRandom();
    this.id = randomUuid(this.#random);
    this.addDatabase(new Database(schemaFromJson(serverSchema)));
  }

  get databaseNames(): string[] {
    return [...this.#hosted.keys()].sort();
  }
  get isBackup(): boolean {
    return this.#isBackup;
  }
  hosted(name: string): Hosted | undefined {
    return this.#hosted.get(name);
  }
  database(name: string): Database | undefined {
    return this.#hosted.get(name)?.database ?? undefined;
  }
  storage(name: string): OpenDatabase | undefined {
    return this.#hosted.get(name)?.storage;
  }

  /** @throws OvsdbError if a database of this name is served already */
  addDatabase(database: Database, storage?: OpenDatabase): void {
    this.host({
      name: database.name,
      model: 'standalone',
      source: storage?.path ?? null,
      database,
      storage,
      forwarder: undefined,
      isConnected: true,
      isBackup: false,
      compactAfterMs: this.timers.clock.nowMs() + compactIntervalMs,
    });
  }

  /** @throws OvsdbError if a database of this name is served already */
  host(hosted: Hosted): void {
    const { name } = hosted;
    if (this.#hosted.has(name)) throw new OvsdbError('ovsdb error', `${name}: duplicate database name`);
    this.#hosted.set(name, hosted);
    this.#watch(hosted);
    this.describe(hosted);
    this.#tellSessions(`adding ${name} database`);
  }

  /** Follows the commits of a database, for its monitors. */
  #watch({ database }: Hosted): void {
    database?.onCommit((changes) => {
      if (this.loggedTables.size > 0) logChanges(this.loggedTables, changes);
      const updates = new CommitUpdates(database, changes);
      for (const session of this.sessions) session.onCommit(updates);
    });
  }

  /** @throws OvsdbError if there is none of this name */
  removeDatabase(name: string, reason = `removing ${name} database`): void {
    const hosted = this.#hosted.get(name);
    if (hosted === undefined) throw new OvsdbError(`Failed to find the database.`);
    this.#hosted.delete(name);
    this.#cancelWaiting(hosted.database);
    this.#tellSessions(reason, hosted.database);
    const row = this.#serverRows.get(name);
    this.#serverRows.delete(name);
    if (row !== undefined)
      this.#serverTransact([{ op: 'delete', table: 'Database', where: [['_uuid', '==', ['uuid', row]]] }]);
    hosted.forwarder?.close();
    hosted.storage?.close();
  }

  /** Puts another schema and contents in the place of a database; its monitors and waiting transactions end. */
  replaceDatabase(name: string, database: Database, reason = `database ${name} schema changed`): void {
    const hosted = this.#hosted.get(name);
    if (hosted === undefined) throw new OvsdbError(`Failed to find the database.`);
    const before = hosted.database;
    this.#cancelWaiting(before);
    hosted.database = database;
    this.#watch(hosted);
    this.#tellSessions(reason, before);
    this.describe(hosted);
  }

  /**
   * Gives a database another schema (the `convert` request).
   *
   * @param onDone Called when it is done, before connections are closed because of it.
   * @throws OvsdbError and then nothing has changed
   */
  convert(name: string, schema: DatabaseSchema, onDone: () => void): void {
    const { storage } = this.#hosted.get(name) ?? {};
    if (storage === undefined) throw new OvsdbError('not supported', `${name} cannot be converted`);
    const converted = storage.convertRunning(schema, 'converted by ovsdb-server', this.timers.clock.wallMs());
    onDone();
    this.replaceDatabase(name, converted, `committed ${name} database schema conversion`);
  }

  /** Clients that are not aware of such changes lose their connection, which tells them to look again. */
  #tellSessions(reason: string, gone?: Database | null): void {
    for (const session of [...this.sessions]) session.onDatabasesChanged(reason, gone ?? undefined);
    for (const fn of this.#listeners) fn();
  }

  #cancelWaiting(database: Database | null): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.request.database !== database) continue;
      this.#drop(waiting);
      waiting.request.onDone([], 'canceled');
    }
  }

  /** Whether clients may use `monitor_cond` and what came after it. */
  get isMonitorCondEnabled(): boolean {
    return this.#isMonitorCondEnabled;
  }
  /** All clients have to connect anew. */
  disableMonitorCond(reason: string): void {
    this.#isMonitorCondEnabled = false;
    for (const session of [...this.sessions]) session.disconnect(reason);
  }

  /** Becomes a backup, whose clients may only read, or active again. Connections stay, as those of the stock server do. */
  setBackup(isBackup: boolean): void {
    this.#isBackup = isBackup;
  }

  /** Writes the database's row of `_Server`, by which clients learn what is here. */
  describe(hosted: Hosted): void {
    const row = serverRow(hosted);
    const known = this.#serverRows.get(hosted.name);
    if (known !== undefined) {
      this.#serverTransact([
        { op: 'update', table: 'Database', where: [['_uuid', '==', ['uuid', known]]], row },
      ]);
      return;
    }
    const [result] = this.#serverTransact([{ op: 'insert', table: 'Database', row }]);
    const uuid = (result as { uuid?: readonly Json[] } | undefined)?.uuid?.[1];
    if (typeof uuid === 'string') this.#serverRows.set(hosted.name, uuid);
  }

  #serverTransact(operations: readonly Json[]): readonly Json[] {
    const database = this.database('_Server');
    let results: readonly Json[] = [];
    if (database === undefined) return results;
    const onDone = (done: readonly Json[]): void => {
      results = done;
    };
    this.transact({ database, operations, isReadOnly: false, hasLock: () => false, onDone });
    return results;
  }

  /** Serves a connection. @param onEnd Called when it has ended. */
  accept(stream: ByteStream, settings: SessionSettings, onEnd?: () => void): ServerSession {
    const session = this.adopt(stream, settings, onEnd);
    stream.start(session.handlers);
    return session;
  }

  /** As `accept`, for a stream whose delivery the caller starts with the session's handlers. */
  adopt(stream: ByteStream, settings: SessionSettings, onEnd?: () => void): ServerSession {
    const session = new ServerSession(this, stream, settings, onEnd);
    this.sessions.add(session);
    return session;
  }

  /** Calls `fn` after databases came, went or were replaced. */
  onDatabasesChanged(fn: () => void): void {
    this.#listeners.add(fn);
  }

  /** Runs a transaction now, or hands it to the database's source. @returns a function that cancels it while it waits. */
  transact(request: TransactRequest): () => boolean {
    const { forwarder } = this.#hosted.get(request.database.name) ?? {};
    if (forwarder !== undefined && wouldChange(request.operations)) return this.#forward(request, forwarder);
    const waiting: Waiting = { request, startMs: this.timers.clock.nowMs(), cancelTimer: () => undefined };
    this.#attempt(waiting);
    return () => this.#drop(waiting);
  }

  #forward(request: TransactRequest, forwarder: Forwarder): () => boolean {
    // The source knows neither the client's role nor whether it may write.
    if (request.isReadOnly || request.access != null) {
      const execution = this.#execute(request, new Transaction(request.database), 0);
      const refusals = ['permission error', 'not allowed'];
      if (execution.hasFailed && refusals.includes(errorCodeOf(execution.results))) {
        request.onDone(execution.results);
        return () => false;
      }
    }
    let isPending = true;
    const forget = forwarder.forward(
      'transact',
      [request.database.name, ...request.operations],
      (result, error) => {
        isPending = false;
        if (error === null && isJsonArray(result ?? undefined)) request.onDone(result as readonly Json[]);
        else request.onDone([], error ?? 'canceled');
      },
    );
    return () => {
      if (!isPending) return false;
      forget();
      return true;
    };
  }

  #execute(request: TransactRequest, transaction: Transaction, elapsedMs: number): Execution {
    const execution = new Execution({
      database: request.database,
      transaction,
      random: this.#random,
      elapsedMs,
      isReadOnly: request.isReadOnly,
      access: request.access ?? null,
      hasLock: (name) => request.hasLock(name),
    });
    execution.run(request.operations);
    return execution;
  }

  /**
   * Makes changes that come from elsewhere than a client: from the server that this one copies.
   *
   * @throws OvsdbError and then nothing has changed
   */
  commit(database: Database, change: (transaction: Transaction) => void): void {
    const transaction = new Transaction(database);
    change(transaction);
    this.#commit(transaction, '');
  }

  #drop(waiting: Waiting): boolean {
    waiting.cancelTimer();
    return this.#waiting.delete(waiting);
  }

  #attempt(waiting: Waiting): void {
    const { request } = waiting;
    const { database } = request;
    transactions.add();
    const transaction = new Transaction(database);
    const elapsedMs = Math.trunc(this.timers.clock.nowMs() - waiting.startMs);
    const execution = this.#execute(request, transaction, elapsedMs);
    const { state, results } = execution;
    if (state.retryWithinMs !== undefined) {
      this.#park(waiting, state.retryWithinMs);
      return;
    }
    this.#drop(waiting);
    if (execution.hasFailed) {
      request.onDone(results);
      return;
    }
    try {
      this.#commit(transaction, state.comments.join('\n'));
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      request.onDone([...results, error.toJson()]);
      return;
    }
    const { storage } = this.#hosted.get(database.name) ?? {};
    if (!state.isDurable || storage === undefined) {
      request.onDone(results);
      return;
    }
    storage.sync().then(
      () => request.onDone(results),
      (error: unknown) => {
        const failure = error instanceof OvsdbError ? error : new OvsdbError('I/O error', String(error));
        request.onDone([...results, failure.toJson()]);
      },
    );
  }

  #park(waiting: Waiting, withinMs: number): void {
    waiting.cancelTimer();
    this.#waiting.add(waiting);
    if (withinMs < Infinity)
      waiting.cancelTimer = this.timers.after(withinMs + 1, () => this.#attempt(waiting));
  }

  #commit(transaction: Transaction, comment: string): void {
    const { database } = transaction;
    transaction.check();
    const changes = transaction.changes();
    if (changes.length === 0) return;
    const hosted = this.#hosted.get(database.name);
    try {
      hosted?.storage?.append(changes, comment, this.timers.clock.wallMs());
    } catch (error) {
      if (error instanceof OvsdbError) log.err(error.message, failures);
      throw error;
    }
    database.apply(changes);
    if (hosted !== undefined) this.#compactIfLong(hosted);
    this.#retryWaiting(database);
  }

  #retryWaiting(database: Database): void {
    const due = [...this.#waiting].filter((w) => w.request.database === database);
    if (due.length === 0) return;
    // After the reply of the transaction that woke them.
    queueMicrotask(() => {
      for (const waiting of due) if (this.#waiting.has(waiting)) this.#attempt(waiting);
    });
  }

  #compactIfLong(hosted: Hosted): void {
    const nowMs = this.timers.clock.nowMs();
    const { storage } = hosted;
    if (storage === undefined || nowMs < hosted.compactAfterMs || !storage.shouldCompact(nowMs)) return;
    hosted.compactAfterMs = nowMs + compactIntervalMs;
    this.compact(hosted.name).catch((error: unknown) => {
      log.warn(
        `${storage.path}: compaction failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  /** Whether memory is given back after each compaction (ovsdb-server/memory-trim-on-compaction). */
  trimsOnCompaction = false;

  /** Rewrites the log of a database, in slices; commits go on meanwhile. @throws OvsdbError */
  async compact(name: string): Promise<void> {
    const storage = this.storage(name);
    if (storage === undefined) return;
    const before = storage.log.sizeBytes;
    if (!(await storage.compactOnline('compacting database online', this.timers.clock.wallMs()))) return;
    log.dbg(`${storage.path}: compacted from ${before} to ${storage.log.sizeBytes} bytes`);
    if (this.trimsOnCompaction) trimMemory();
  }

  /** Transactions whose `wait` is unmet. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Makes everything durable and closes files and sessions. */
  async close(): Promise<void> {
    for (const session of [...this.sessions]) session.close();
    for (const waiting of [...this.#waiting]) this.#drop(waiting);
    for (const { storage, forwarder } of this.#hosted.values()) {
      forwarder?.close();
      await storage?.sync();
      storage?.close();
    }
    this.#hosted.clear();
  }
}

/** The tag of the error at the end of results, empty if there is none. */
function errorCodeOf(results: readonly Json[]): string {
  for (const result of results) {
    const code = isJsonObject(result) ? result['error'] : undefined;
    if (typeof code === 'string') return code;
  }
  return '';
}
