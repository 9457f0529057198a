/**
 * The connections of a server: given on the command line, by unixctl, or by rows of a database
 * (`db:DATABASE,TABLE,COLUMN`, see ovsdb-server(1)).
 *
 * `reconcile` opens what is wanted and not open, and closes what is open and no longer wanted; it
 * runs when remotes or a database change. A remote that cannot be opened is logged and stays listed.
 */
import { StreamSession, isPassiveTarget, listenStream, parseTarget, OVSDB_PORT } from '../../stream/index.ts';
import type { Json, StreamListener } from '../../stream/index.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import type { ColumnSchema } from '../schema.ts';
import { OvsdbError } from '../errors.ts';
import { rowDatum } from './database.ts';
import type { Database, Row, Table } from './database.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('ovsdb_jsonrpc_server');
const openErrors = rateLimit(1, 5);
const defaultProbeMs = 5000;

interface Wanted {
  readonly target: string;
  readonly maxBackoffMs: number;
  readonly probeIntervalMs: number | undefined;
  readonly isReadOnly: boolean;
}

interface OpenRemote {
  readonly wanted: Wanted;
  close(): void;
  status(): { isConnected: boolean; status: Record<string, string> };
}

interface DbRemote {
  readonly database: Database;
  readonly table: Table;
  readonly column: ColumnSchema;
}

export class RemoteManager {
  readonly #server: OvsdbServer;
  readonly #runDir: string;
  readonly #remotes = new Set<string>();
  readonly #open = new Map<string, OpenRemote>();
  readonly #opening = new Map<string, Promise<void>>();
  readonly #watched = new Set<Database>();
  #cancelStatus: () => void = () => undefined;
  #isClosed = false;

  constructor(server: OvsdbServer, runDir: string) {
    this.#server = server;
    this.#runDir = runDir;
  }

  get remotes(): string[] {
    return [...this.#remotes].sort();
  }

  /** @throws OvsdbError for a `db:` remote that names something that is not there */
  async add(remote: string): Promise<void> {
    if (remote.startsWith('db:')) this.#parseDb(remote);
    this.#remotes.add(remote);
    await this.reconcile();
  }

  /** @throws OvsdbError `no such remote` */
  async remove(remote: string): Promise<void> {
    if (!this.#remotes.delete(remote)) throw new OvsdbError('no such remote');
    await this.reconcile();
  }

  #parseDb(remote: string): DbRemote {
    const [databaseName = '', tableName, columnName] = remote.slice('db:'.length).split(',');
    if (tableName === undefined || columnName === undefined) {
      throw new OvsdbError(`"${remote}": invalid syntax`);
    }
    const database = this.#server.database(databaseName);
    if (database === undefined) throw new OvsdbError(`"${remote}": no database named ${databaseName}`);
    const table = database.tables.get(tableName);
    if (table === undefined) throw new OvsdbError(`"${remote}": no table named ${tableName}`);
    const column = table.schema.columns.get(columnName);
    if (column === undefined)
      throw new OvsdbError(`"${remote}": table "${tableName}" has no column "${columnName}"`);
    const { type } = column;
    if (type.value !== null || (type.key.type !== 'string' && type.key.refTable === null)) {
      throw new OvsdbError(`"${remote}": type of column is not string or reference`);
    }
    return { database, table, column };
  }

  #wanted(): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>();
    for (const remote of this.#remotes) {
      if (!remote.startsWith('db:')) {
        wanted.set(remote, {
          target: remote,
          maxBackoffMs: 8000,
          probeIntervalMs: undefined,
          isReadOnly: false,
        });
        continue;
      }
      try {
        for (const found of this.#wantedOf(this.#parseDb(remote))) wanted.set(found.target, found);
      } catch (error) {
        log.warn(error instanceof Error ? error.message : String(error), openErrors);
      }
    }
    return wanted;
  }

  *#wantedOf({ database, table, column }: DbRemote): Generator<Wanted> {
    this.#watch(database);
    for (const row of table.rows.values()) {
      for (const atom of rowDatum(row, column.name).keys) {
        const { refTable } = column.type.key;
        if (refTable === null) {
          if (atom !== '')
            yield { target: String(atom), maxBackoffMs: 8000, probeIntervalMs: undefined, isReadOnly: false };
          continue;
        }
        const referred = database.table(refTable).rows.get(String(atom));
        const target = referred === undefined ? undefined : rowDatum(referred, 'target').keys[0];
        if (referred === undefined || typeof target !== 'string' || target === '') continue;
        const number = (name: string): number | undefined => {
          const value = rowDatum(referred, name).keys[0];
          return value === undefined ? undefined : Number(value);
        };
        yield {
          target,
          maxBackoffMs: number('max_backoff') ?? 8000,
          probeIntervalMs: number('inactivity_probe'),
          isReadOnly: rowDatum(referred, 'read_only').keys[0] === true,
        };
      }
    }
  }

  #watch(database: Database): void {
    if (this.#watched.has(database)) return;
    this.#watched.add(database);
    database.onCommit(() => {
      queueMicrotask(() => void this.reconcile());
    });
  }

  /** Resolves when every listener that can be opened now is open. */
  async reconcile(): Promise<void> {
    if (this.#isClosed) return;
    const wanted = this.#wanted();
    for (const [target, remote] of this.#open) {
      const still = wanted.get(target);
      const isSame =
        still?.probeIntervalMs === remote.wanted.probeIntervalMs &&
        still?.maxBackoffMs === remote.wanted.maxBackoffMs &&
        still.isReadOnly === remote.wanted.isReadOnly;
      if (isSame) continue;
      this.#open.delete(target);
      remote.close();
    }
    for (const [target, remote] of wanted) {
      if (this.#open.has(target) || this.#opening.has(target)) continue;
      const opening = this.#openRemote(remote).finally(() => this.#opening.delete(target));
      this.#opening.set(target, opening);
    }
    await Promise.all(this.#opening.values());
    this.#armStatus();
  }

  async #openRemote(wanted: Wanted): Promise<void> {
    const { target } = wanted;
    try {
      const remote = isPassiveTarget(target) ? await this.#listen(wanted) : this.#connect(wanted);
      if (this.#isClosed) remote.close();
      else this.#open.set(target, remote);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      log.err(`${target}: listen failed: ${what}`, openErrors);
    }
  }

  async #listen(wanted: Wanted): Promise<OpenRemote> {
    const target = parseTarget(wanted.target, OVSDB_PORT, this.#runDir);
    const probeIntervalMs = wanted.probeIntervalMs ?? (target.kind === 'unix' ? 0 : defaultProbeMs);
    const sessions = new Set<{ close(): void }>();
    const { clock } = this.#server.timers;
    const openedMs = clock.nowMs();
    let connectedMs = openedMs;
    let disconnectedMs = openedMs;
    const since = (ms: number): string => String(Math.trunc((clock.nowMs() - ms) / 1000));
    const listener: StreamListener = await listenStream(target, (stream) => {
      connectedMs = clock.nowMs();
      const session = this.#server.accept(stream, {
        probeIntervalMs,
        isReadOnly: wanted.isReadOnly,
        onEnd: () => {
          disconnectedMs = clock.nowMs();
          sessions.delete(session);
        },
      });
      sessions.add(session);
    });
    return {
      wanted,
      close: () => {
        void listener.close();
        for (const session of [...sessions]) session.close();
      },
      status: () => ({
        isConnected: sessions.size > 0,
        status: {
          ...(listener.boundPort === 0 ? {} : { bound_port: String(listener.boundPort) }),
          ...(sessions.size > 1 ? { n_connections: String(sessions.size) } : {}),
          sec_since_connect: connectedMs === openedMs ? '0' : since(connectedMs),
          sec_since_disconnect: disconnectedMs === openedMs ? '0' : since(disconnectedMs),
        },
      }),
    };
  }

  #connect(wanted: Wanted): OpenRemote {
    const target = parseTarget(wanted.target, OVSDB_PORT, this.#runDir);
    const session = new StreamSession({
      name: wanted.target,
      target,
      timers: this.#server.timers,
      maxBackoffMs: wanted.maxBackoffMs,
      // The server session probes.
      probeIntervalMs: 0,
      onConnect: (stream) =>
        this.#server.adopt(stream, {
          probeIntervalMs: wanted.probeIntervalMs ?? (target.kind === 'unix' ? 0 : defaultProbeMs),
          isReadOnly: wanted.isReadOnly,
        }),
      onDisconnect: () => undefined,
      onProbe: () => undefined,
    });
    session.start();
    return {
      wanted,
      close: () => session.stop(),
      status: () => {
        const { state, connectedMs, disconnectedMs } = session.reconnect;
        const nowMs = this.#server.timers.clock.nowMs();
        const since = (ms: number): string => String(Math.trunc((nowMs - ms) / 1000));
        return {
          isConnected: session.isConnected,
          status: {
            state: state.toUpperCase(),
            ...(session.lastError === '' ? {} : { last_error: session.lastError }),
            ...(connectedMs === -Infinity ? {} : { sec_since_connect: since(connectedMs) }),
            ...(disconnectedMs === -Infinity ? {} : { sec_since_disconnect: since(disconnectedMs) }),
          },
        };
      },
    };
  }

  /** Writes `is_connected` and `status` of the rows that configure remotes, every few seconds while there are some. */
  #armStatus(): void {
    this.#cancelStatus();
    if (this.#isClosed || ![...this.#remotes].some((r) => r.startsWith('db:'))) return;
    this.#cancelStatus = this.#server.timers.after(2500, () => {
      this.#writeStatus();
      this.#armStatus();
    });
  }

  #writeStatus(): void {
    for (const remote of this.#remotes) {
      if (!remote.startsWith('db:')) continue;
      let parsed: DbRemote;
      try {
        parsed = this.#parseDb(remote);
      } catch {
        continue;
      }
      const { refTable } = parsed.column.type.key;
      if (refTable === null) continue;
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
      open === undefined ||
      !table.schema.columns.has('is_connected') ||
      !table.schema.columns.has('status')
    )
      return [];
    const { isConnected, status } = open.status();
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
    await Promise.allSettled(this.#opening.values());
    for (const remote of this.#open.values()) remote.close();
    this.#open.clear();
  }

  /** Closes every session; active ones connect again (ovsdb-server/reconnect). */
  reconnect(): void {
    for (const session of [...this.#server.sessions]) session.close();
  }
}
