import { formatJson, isJsonArray, isJsonObject } from '../../../src/stream/index.ts';
import type { Json } from '../../../src/stream/index.ts';
import type { Dice } from '../ovsdb-schemas.ts';
import { RawClient } from './raw-client.ts';
import { columnsOf, database, tableNames } from './schema.ts';
import { WireReplica } from './wire-replica.ts';

const zeroUuid = '00000000-0000-0000-0000-000000000000';
export type Dialect = 'monitor' | 'monitor_cond' | 'monitor_cond_since';
export const dialects: readonly Dialect[] = ['monitor', 'monitor_cond', 'monitor_cond_since'];

/** Time that passes, and whether the run is over. */
export interface Pace {
  isOver(): boolean;
  /** Lets time go by; at once when the run is over. */
  pass(ms: number): Promise<void>;
}

/** Clauses of which any must hold; `[true]`: all rows. */
type Clauses = readonly Json[];

/** @returns clauses that follow the contents: rows move in and out. */
function randomClauses(dice: Dice, table: string): Clauses {
  const serial = dice.below(200);
  const byTable: Readonly<Record<string, readonly Json[]>> = {
    Writer: [
      ['done', '<', serial],
      ['name', '!=', 'w0'],
      ['numbers', 'includes', dice.below(8)],
    ],
    Circle: [
      ['friends', '==', ['set', []]],
      ['name', '!=', 'w1'],
    ],
    Entry: [
      ['serial', '>', serial],
      ['writer', '==', `w${dice.below(3)}`],
      ['next', '!=', ['set', []]],
    ],
    Part: [
      ['name', '==', 'a'],
      ['sizes', 'excludes', 1.5],
    ],
    Ledger: [
      ['serial', '>=', serial],
      ['writer', '!=', `w${dice.below(3)}`],
      ['note', 'includes', ['map', [['a', 1]]]],
    ],
  };
  if (dice.chance(25)) return [true];
  return dice.list(1, () => true).length > 0
    ? [dice.pick(byTable[table] ?? [true])]
    : [dice.pick(byTable[table] ?? [true]), dice.pick(byTable[table] ?? [true])];
}

/**
 * A client that follows one server by one dialect, with conditions that change, stops reading at times, goes away and comes back,
 * and keeps what it was told.
 */
export class Follower {
  readonly socket: string;
  readonly dialect: Dialect;
  readonly #dice: Dice;
  readonly #pace: Pace;
  readonly #columns: Readonly<Record<string, readonly string[]>>;
  #replica: WireReplica;
  #conditions: Readonly<Record<string, Clauses>>;
  #lastId = zeroUuid;
  #client: RawClient | null = null;
  #isFollowing = false;
  /** What it could not make sense of; fatal. */
  fault: Error | null = null;
  resumed = 0;
  restarted = 0;

  /**
   * @param hasAllColumns Whether it follows whole rows. The stock server takes a changed condition on a column that is not monitored for
   * something else now and then.
   */
  constructor(socket: string, dialect: Dialect, dice: Dice, pace: Pace, hasAllColumns: boolean) {
    this.socket = socket;
    this.dialect = dialect;
    this.#dice = dice;
    this.#pace = pace;
    const tables = dice.shuffled(tableNames).slice(0, 1 + dice.below(tableNames.length));
    this.#columns = Object.fromEntries(
      tables.map((table) => [table, (columnsOf[table] ?? []).filter(() => dice.chance(75) || hasAllColumns)]),
    );
    this.#conditions = Object.fromEntries(
      tables.map((table) => [table, dialect === 'monitor' ? [true] : randomClauses(dice, table)]),
    );
    this.#replica = new WireReplica(this.#columns);
  }

  async run(): Promise<void> {
    const dice = this.#dice;
    while (!this.#pace.isOver()) {
      if (!this.#isFollowing) {
        if (!(await this.#connect())) await this.#pace.pass(50);
        continue;
      }
      await this.#pace.pass(100 + dice.below(1000));
      const client = this.#client;
      if (client?.isOpen !== true || this.#pace.isOver()) continue;
      const kind = dice.below(10);
      if (kind < 3) {
        client.pause();
        await this.#pace.pass(300 + dice.below(2000));
        client.resume();
      } else if (kind < 6) await this.#changeConditions(client);
      else if (kind === 6) {
        client.endWriting();
        await client.closed;
      } else if (kind === 7) client.destroy();
    }
  }

  #fail(error: unknown, what: Json): void {
    this.fault ??= new Error(`${this.dialect} of ${this.socket}: ${formatJson(what).slice(0, 1000)}`, {
      cause: error,
    });
  }

  /** @returns whether it follows now */
  async #connect(): Promise<boolean> {
    const client = await RawClient.connect(this.socket);
    if (client === null) return false;
    this.#client = client;
    const lose = (): void => {
      if (this.#client !== client) return;
      this.#client = null;
      this.#isFollowing = false;
    };
    void client.closed.then(lose);
    client.onNotification = (method, params) => {
      if (this.#client !== client) return;
      try {
        this.#onNotification(client, method, params);
      } catch (error) {
        this.#fail(error, [method, ...params]);
      }
    };
    if (this.#dice.chance(50)) void client.call('set_db_change_aware', [true]);
    await this.#monitor(client);
    if (!this.#isFollowing) client.destroy();
    return this.#isFollowing;
  }

  async #monitor(client: RawClient): Promise<void> {
    const requests = Object.fromEntries(
      Object.entries(this.#columns).map(([table, columns]): [string, Json] => [
        table,
        this.dialect === 'monitor' ? { columns } : [{ columns, where: this.#conditions[table] ?? [true] }],
      ]),
    );
    const params: Json[] = [database, 'm', requests];
    if (this.dialect === 'monitor_cond_since') params.push(this.#lastId);
    // Updates of rows that the reply tells come after it, in the same piece of the stream perhaps.
    const early: (readonly [string, readonly Json[]])[] = [];
    const later = client.onNotification;
    client.onNotification = (method, notified) => early.push([method, notified]);
    const reply = await client.call(this.dialect, params);
    client.onNotification = later;
    if (reply === null || reply['error'] !== null) return;
    const result = reply['result'] ?? null;
    try {
      if (this.dialect === 'monitor_cond_since') {
        const [found, lastId, contents = null] = isJsonArray(result) ? result : [];
        if (found !== true) this.#replica = new WireReplica(this.#columns);
        this.#replica.apply(contents);
        this.#lastId = typeof lastId === 'string' ? lastId : zeroUuid;
        if (found === true) this.resumed++;
        else this.restarted++;
      } else {
        this.#replica = new WireReplica(this.#columns);
        this.#replica.apply(result);
      }
      this.#isFollowing = true;
      for (const [method, notified] of early) this.#onNotification(client, method, notified);
    } catch (error) {
      this.#fail(error, result);
    }
  }

  #onNotification(client: RawClient, method: string, params: readonly Json[]): void {
    if (method === 'monitor_canceled') {
      client.destroy();
      return;
    }
    this.#replica.apply(params.at(-1) ?? null);
    if (method === 'update3' && typeof params[1] === 'string') this.#lastId = params[1];
  }

  async #changeConditions(client: RawClient): Promise<void> {
    if (this.dialect === 'monitor') return;
    const table = this.#dice.pick(Object.keys(this.#columns));
    const clauses = randomClauses(this.#dice, table);
    const reply = await client.call('monitor_cond_change', ['m', 'm', { [table]: [{ where: clauses }] }]);
    if (reply === null || reply['error'] !== null) {
      // Told by the old or by the new condition: nobody knows.
      this.#lastId = zeroUuid;
      client.destroy();
    } else this.#conditions = { ...this.#conditions, [table]: clauses };
  }

  /** Whether it has what the server has; the two texts if not. */
  async compare(): Promise<{ known: string; wanted: string } | null> {
    if (this.fault !== null) throw this.fault;
    // It was away when the run ended.
    if (!this.#isFollowing) await this.#connect();
    const client = this.#client;
    if (client === null || !this.#isFollowing) return { known: 'not connected', wanted: '' };
    const tables = Object.entries(this.#columns).flatMap(([table, columns]) =>
      (this.#conditions[table] ?? [true]).map((clause) => ({ table, columns, clause })),
    );
    const reply = await client.call('transact', [
      database,
      ...tables.map(({ table, columns, clause }) => ({
        op: 'select',
        table,
        where: clause === true ? [] : [clause],
        columns: ['_uuid', ...columns],
      })),
    ]);
    const results = isJsonArray(reply?.['result'] ?? null) ? (reply?.['result'] as readonly Json[]) : [];
    const rows: Record<string, Json[]> = {};
    tables.forEach(({ table }, i) => {
      const result = results[i] ?? null;
      const found = isJsonObject(result) && isJsonArray(result['rows']) ? result['rows'] : [];
      (rows[table] ??= []).push(...found);
    });
    const wanted = WireReplica.textOfRows(rows);
    const known = this.#replica.text();
    return known === wanted ? null : { known, wanted };
  }

  close(): void {
    this.#client?.destroy();
  }
}
