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
import { vlog } from '../../util/log.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import type { Random } from '../../util/random.ts';
import { counter } from '../../util/counters.ts';
import { SystemTimers, formatJson } from '../../stream/index.ts';
import type { ByteStream, Json, StreamHandlers, Timers } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import { Database } from './database.ts';
import type { Changes } from './database.ts';
import { LockTable } from './locks.ts';
import { Execution } from './operations.ts';
import { serverSchema } from './server-schema.ts';
import { ServerSession } from './session.ts';
import type { SessionSettings } from './session.ts';
import type { OpenDatabase } from './storage.ts';
import { Transaction } from './transaction.ts';

const log = vlog('ovsdb_server');
const transactions = counter('ovsdb_transactions');
const compactIntervalMs = 10 * 60_000;

export interface TransactRequest {
  readonly database: Database;
  readonly operations: readonly Json[];
  readonly isReadOnly: boolean;
  hasLock(name: string): boolean;
  /** Called exactly once, unless the request is cancelled. */
  onDone(results: readonly Json[]): void;
}

interface Waiting {
  readonly request: TransactRequest;
  readonly startMs: number;
  cancelTimer: () => void;
}

interface Hosted {
  readonly database: Database;
  /** Absent for databases in memory. */
  readonly storage: OpenDatabase | undefined;
  compactAfterMs: number;
}

export interface ServerOptions {
  readonly timers?: Timers;
  readonly random?: Random;
}

export class OvsdbServer {
  readonly id: string;
  readonly locks = new LockTable();
  readonly timers: Timers;
  readonly sessions = new Set<ServerSession>();
  readonly #random: Random;
  readonly #hosted = new Map<string, Hosted>();
  readonly #waiting = new Set<Waiting>();
  readonly #serverRows = new Map<string, string>();

  constructor(options: ServerOptions = {}) {
    this.timers = options.timers ?? new SystemTimers();
    this.#random = options.random ?? new SystemRandom();
    this.id = randomUuid(this.#random);
    this.addDatabase(new Database(schemaFromJson(serverSchema)));
  }

  get databaseNames(): string[] {
    return [...this.#hosted.keys()].sort();
  }
  database(name: string): Database | undefined {
    return this.#hosted.get(name)?.database;
  }
  storage(name: string): OpenDatabase | undefined {
    return this.#hosted.get(name)?.storage;
  }

  /** @throws OvsdbError if a database of this name is served already */
  addDatabase(database: Database, storage?: OpenDatabase): void {
    if (this.#hosted.has(database.name)) throw new OvsdbError(`${database.name}: duplicate database name`);
    this.#hosted.set(database.name, {
      database,
      storage,
      compactAfterMs: this.timers.clock.nowMs() + compactIntervalMs,
    });
    database.onCommit((changes) => this.#tellMonitors(database, changes));
    this.#describe(database);
    for (const session of [...this.sessions]) session.onDatabasesChanged();
  }

  removeDatabase(name: string): void {
    const hosted = this.#hosted.get(name);
    if (hosted === undefined) throw new OvsdbError(`Failed to find the database.`);
    this.#hosted.delete(name);
    for (const waiting of [...this.#waiting]) {
      if (waiting.request.database !== hosted.database) continue;
      this.#drop(waiting);
      waiting.request.onDone([new OvsdbError('canceled').toJson()]);
    }
    const row = this.#serverRows.get(name);
    this.#serverRows.delete(name);
    if (row !== undefined)
      this.#serverTransact([{ op: 'delete', table: 'Database', where: [['_uuid', '==', ['uuid', row]]] }]);
    for (const session of [...this.sessions]) session.onDatabasesChanged(hosted.database);
    hosted.storage?.close();
  }

  /** Adds the database's row to `_Server`, by which clients learn what is here. */
  #describe(database: Database): void {
    const row: Json = {
      name: database.name,
      model: 'standalone',
      connected: true,
      leader: true,
      schema: formatJson(schemaToJson(database.schema), true),
    };
    const [result] = this.#serverTransact([{ op: 'insert', table: 'Database', row }]);
    const uuid = (result as { uuid?: readonly Json[] } | undefined)?.uuid?.[1];
    if (typeof uuid === 'string') this.#serverRows.set(database.name, uuid);
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

  accept(stream: ByteStream, settings: SessionSettings): ServerSession {
    const session = new ServerSession(this, stream, settings);
    this.sessions.add(session);
    stream.start(session.handlers);
    return session;
  }

  /** As `accept`, for a stream whose delivery the caller starts with the handlers returned. */
  adopt(stream: ByteStream, settings: SessionSettings): StreamHandlers {
    const session = new ServerSession(this, stream, settings);
    this.sessions.add(session);
    return session.handlers;
  }

  /** Runs a transaction now. @returns a function that cancels it while it waits. */
  transact(request: TransactRequest): () => boolean {
    const waiting: Waiting = { request, startMs: this.timers.clock.nowMs(), cancelTimer: () => undefined };
    this.#attempt(waiting);
    return () => this.#drop(waiting);
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
    const execution = new Execution({
      database,
      transaction,
      random: this.#random,
      elapsedMs,
      isReadOnly: request.isReadOnly,
      hasLock: (name) => request.hasLock(name),
    });
    execution.run(request.operations);
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
    hosted?.storage?.append(changes, comment, this.timers.clock.wallMs());
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

  #tellMonitors(database: Database, changes: Changes): void {
    for (const session of this.sessions) session.onCommit(database, changes);
  }

  #compactIfLong(hosted: Hosted): void {
    const nowMs = this.timers.clock.nowMs();
    const { storage } = hosted;
    if (storage === undefined || nowMs < hosted.compactAfterMs || !storage.shouldCompact(nowMs)) return;
    hosted.compactAfterMs = nowMs + compactIntervalMs;
    this.compact(hosted.database.name).catch((error: unknown) => {
      log.warn(
        `${storage.path}: compaction failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  /** Rewrites the log of a database, in slices; commits go on meanwhile. @throws OvsdbError */
  async compact(name: string): Promise<void> {
    const storage = this.storage(name);
    if (storage === undefined) return;
    const before = storage.log.sizeBytes;
    if (!(await storage.compactOnline('compacting database online', this.timers.clock.wallMs()))) return;
    log.info(`${storage.path}: compacted from ${before} to ${storage.log.sizeBytes} bytes`);
  }

  /** Figures of memory/show. */
  usage(): Record<string, number> {
    let atoms = 0;
    let cells = 0;
    let weakRefs = 0;
    for (const { database } of this.#hosted.values()) {
      const usage = database.usage();
      atoms += usage.atoms;
      cells += usage.cells;
      weakRefs += usage.weakRefs;
    }
    let monitors = 0;
    for (const session of this.sessions) monitors += session.monitorCount;
    const figures: Record<string, number> = { atoms, cells, monitors, 'n-weak-refs': weakRefs };
    if (this.sessions.size > 0) figures['sessions'] = this.sessions.size;
    if (this.#waiting.size > 0) figures['triggers'] = this.#waiting.size;
    return figures;
  }

  /** Makes everything durable and closes files and sessions. */
  async close(): Promise<void> {
    for (const session of [...this.sessions]) session.close();
    for (const waiting of [...this.#waiting]) this.#drop(waiting);
    for (const { storage } of this.#hosted.values()) {
      await storage?.sync();
      storage?.close();
    }
    this.#hosted.clear();
  }
}
