import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../src/ovsdb/server/storage.ts';
import { datumToJson } from '../../src/ovsdb/data/datum.ts';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../src/stream/index.ts';
import type { Json, JsonObject } from '../../src/stream/index.ts';
import { ServerPair, StockDied } from './ovsdb-pair.ts';
import type { Begun } from './ovsdb-pair.ts';
import { hasDanglingReference } from './ovsdb-dangling.ts';
import { Dice, randomSchema, schemaJson } from './ovsdb-schemas.ts';
import type { SchemaModel } from './ovsdb-schemas.ts';
import { TransactionGenerator } from './ovsdb-transactions.ts';
import { canonical, startOurs, startStock } from './ovsdb.ts';

const zeroUuid = '00000000-0000-0000-0000-000000000000';
/** Clients: one that changes things, one that only follows, one that waits. */
const clients = ['changer', 'follower', 'waiter'] as const;
const methods = { 1: 'monitor', 2: 'monitor_cond', 3: 'monitor_cond_since' } as const;

/** A monitor of a client. */
interface Followed {
  readonly client: string;
  id: Json;
  readonly requests: JsonObject;
}

/**
 * A random life of a database on both servers: transactions, monitors of all dialects that come, change and go, a
 * transaction that waits, locks. After each step replies and updates are compared; at the end the contents and the
 * files, each read by the other side.
 */
class World {
  readonly #dice: Dice;
  readonly #generator: TransactionGenerator;
  readonly #pair: ServerPair;
  readonly #log: string[] = [];
  #monitors = 0;
  readonly #followed: Followed[] = [];
  #waiting: Begun | null = null;
  transactions = 0;

  constructor(dice: Dice, schema: SchemaModel, pair: ServerPair) {
    this.#dice = dice;
    this.#generator = new TransactionGenerator(dice, schema);
    this.#pair = pair;
    pair.onRow = (table, label) => this.#generator.learn(table, label);
  }

  async #call(client: string, method: string, params: readonly Json[]): Promise<{ ours: Json; stock: Json }> {
    this.#log.push(`${client} ${method} ${formatJson(params)}`);
    if (method === 'transact') this.transactions++;
    return await this.#pair.call(client, method, params);
  }

  /** Where the two differ: what was sent last, and both replies. */
  #differs(what: string, ours: unknown, stock: unknown): Error {
    const show = (value: unknown): string =>
      Array.isArray(value) && typeof value[0] === 'string'
        ? value.join('\n    ')
        : formatJson(value as Json, true);
    return new Error(
      `${what}\n  after ${[
        ...this.#log
          .slice(0, -4)
          .filter((line) => /^\w+ (lock|unlock|steal|monitor\w*) /.test(line))
          .slice(-30),
        ...this.#log.slice(-4),
      ].join('\n    ')}\n  ours  ${show(ours)}\n  stock ${show(stock)}`,
    );
  }

  #requireEqual(what: string, ours: Json, stock: Json): void {
    if (formatJson(ours, true) !== formatJson(stock, true)) throw this.#differs(what, ours, stock);
  }

  async start(): Promise<void> {
    const everything = Object.fromEntries(this.#generator.schema.tables.map((t) => [t.name, [{}]]));
    for (const version of [1, 2, 3] as const) await this.#monitor('changer', version, everything);
    for (let i = 0; i < 4; i++) await this.#transact('changer', this.#generator.start());
  }

  async step(): Promise<void> {
    const kind = this.#dice.below(100);
    if (kind < 82)
      await this.#transact(this.#dice.chance(90) ? 'changer' : 'follower', this.#generator.transaction());
    else if (kind < 90) await this.#changeMonitors();
    else if (kind < 95) await this.#wait();
    else await this.#lock();
    await this.#compareUpdates();
  }

  async #transact(client: string, operations: readonly Json[]): Promise<void> {
    const params: Json[] = ['Test', ...operations];
    const { ours, stock } = await this.#call(client, 'transact', params);
    for (const operation of operations) this.#learn(operation);
    if (!(await this.#pair.same(client, params, ours, stock))) throw this.#differs('replies', ours, stock);
  }

  #learn(operation: Json): void {
    if (!isJsonObject(operation)) return;
    const { op, table, uuid } = operation;
    if (op === 'insert' && typeof uuid === 'string' && typeof table === 'string')
      this.#generator.learn(table, uuid);
  }

  async #monitor(client: string, version: 1 | 2 | 3, requests: JsonObject): Promise<void> {
    const params: Json[] = [
      'Test',
      this.#dice.pick<Json>([`m${this.#monitors}`, this.#monitors, null]),
      requests,
    ];
    this.#monitors++;
    if (version === 3) params.push(zeroUuid);
    const { ours, stock } = await this.#call(client, methods[version], params);
    // The stock server knows no transactions of standalone databases.
    const alike = (reply: Json): string =>
      formatJson(reply, true).replace(/^({"result":\[false),"[^"]*"/, '$1,"ID"');
    if (alike(ours) !== alike(stock)) throw this.#differs('monitor', ours, stock);
    if (!isError(ours)) this.#followed.push({ client, id: params[1] ?? null, requests });
  }

  async #changeMonitors(): Promise<void> {
    const dice = this.#dice;
    const client = dice.pick(['changer', 'follower']);
    const id = (): Json =>
      dice.pick<Json>([`m${dice.below(this.#monitors)}`, dice.below(this.#monitors), null]);
    const followed = dice.chance(90) ? this.#followed.filter((f) => f.client === client) : [];
    const target = followed.length > 0 ? dice.pick(followed) : { client, id: id(), requests: {} };
    const kind = dice.below(5);
    if (kind === 0) {
      const version = dice.pick([1, 2, 3] as const);
      await this.#monitor(client, version, this.#generator.monitorRequests(version));
    } else if (kind === 1) {
      await this.#cancelMonitor(client, target.id);
    } else {
      const isAny = dice.chance(10);
      const changes = this.#generator.conditionChange(({ name }) => {
        const requests = target.requests[name];
        // The stock server dies of a condition for a table of which nothing is monitored.
        return requests === undefined ? isAny : !isJsonArray(requests) || requests.length > 0;
      }, !this.#isShared(target));
      const newId = dice.chance(50) ? target.id : id();
      const { ours, stock } = await this.#call(client, 'monitor_cond_change', [target.id, newId, changes]);
      this.#requireEqual('monitor_cond_change', ours, stock);
      const found = this.#find(client, target.id);
      if (!isError(ours) && found !== undefined) found.id = newId;
      // The stock server does what precedes an error.
      if (isError(ours) && Object.keys(changes).length > 1) await this.#cancelMonitor(client, target.id);
    }
  }

  /**
   * Whether another monitor asks for the same. The stock server keeps one set of columns for both and, when a changed
   * condition adds one, reads past the end of the rows that it had noted before (valgrind: invalid read).
   */
  #isShared({ requests }: Pick<Followed, 'requests'>): boolean {
    const text = formatJson(requests, true);
    return this.#followed.filter((f) => formatJson(f.requests, true) === text).length > 1;
  }

  #find(client: string, id: Json): Followed | undefined {
    return this.#followed.find((f) => f.client === client && f.id === id);
  }

  async #cancelMonitor(client: string, id: Json): Promise<void> {
    const { ours, stock } = await this.#call(client, 'monitor_cancel', [id]);
    this.#requireEqual('monitor_cancel', ours, stock);
    const found = this.#find(client, id);
    if (found !== undefined) this.#followed.splice(this.#followed.indexOf(found), 1);
  }

  /** Begins a transaction that waits, or withdraws the one that does. */
  async #wait(): Promise<void> {
    if (this.#waiting !== null) {
      this.#log.push('cancel');
      const reply = await this.#waiting.cancel();
      this.#waiting = null;
      this.#requireEqual('cancel', reply, { error: 'canceled' });
      return;
    }
    const wait = this.#generator.wait(
      this.#dice.pick(this.#generator.schema.tables),
      this.#dice.chance(50) ? undefined : 1e9,
    );
    const params = ['Test', ...this.#generator.transaction(), wait, ...this.#generator.transaction()].map(
      withoutDelay,
    );
    this.#log.push(`waiter transact ${formatJson(params)}`);
    this.transactions++;
    this.#waiting = await this.#pair.begin('waiter', 'transact', params);
  }

  async #finishWaiting(): Promise<void> {
    const begun = this.#waiting;
    if (begun === null) return;
    this.#waiting = null;
    const { ours, stock } = await begun.finish();
    if (!(await this.#pair.same('waiter', begun.params, ours, stock)))
      throw this.#differs('waiting', ours, stock);
  }

  async #lock(): Promise<void> {
    const dice = this.#dice;
    const params: Json[] = [dice.pick<Json>(['l1', 'l1', 'l2', 'l2', '1x', 3])];
    const client = dice.pick(clients);
    // One client alone steals, so that no lock is taken from who stole it.
    const method = dice.pick(client === 'changer' ? ['lock', 'steal', 'unlock'] : ['lock', 'unlock']);
    const { ours, stock } = await this.#call(client, method, params);
    this.#requireEqual('lock', ours, stock);
  }

  async #compareUpdates(): Promise<void> {
    for (const client of clients) await this.#pair.settle(client);
    const [ours, stock] = this.#waiting?.isDone() ?? [false, false];
    if (ours !== stock) throw this.#differs('a waiting transaction ended', ours, stock);
    // Its reply names rows that the updates have.
    if (ours) await this.#finishWaiting();
    for (const client of clients) {
      const updates = await this.#pair.updates(client);
      // The stock server may tell of both commits, that of the step and the one that it woke, at once.
      if (ours && updates.ours.length > updates.stock.length) continue;
      if (updates.ours.join('\n') !== updates.stock.join('\n'))
        throw this.#differs(`updates of ${client}`, updates.ours, updates.stock);
    }
  }

  /** Whether the stock server has references that it should have dropped: no difference from there on counts. */
  async isStockDangling(): Promise<boolean> {
    const client = await this.#pair.stock.client('judge');
    const reply = await client.call('transact', ['Test', ...this.#selects(true)]);
    const results = isJsonObject(reply) ? reply['result'] : undefined;
    return isJsonArray(results) && hasDanglingReference(this.#generator.schema, results);
  }

  /** @returns false if nobody can read the stock file. */
  async finish(): Promise<boolean> {
    if (this.#waiting !== null) await this.#wait();
    const selects = this.#selects(true);
    const { ours, stock } = await this.#call('changer', 'transact', ['Test', ...selects]);
    this.#requireEqual('contents', ours, stock);
    return await this.#compareFiles();
  }

  #selects(hasEphemeral: boolean): Json[] {
    return this.#generator.schema.tables.map((table) => {
      const columns = [
        '_uuid',
        ...table.columns.filter((c) => hasEphemeral || !c.isEphemeral).map((c) => c.name),
      ];
      return { op: 'select', table: table.name, where: [], columns };
    });
  }

  /** Each side's file, read by the other side. @returns false if nobody can read the stock file. */
  async #compareFiles(): Promise<boolean> {
    const [ours, stock] = [this.#pair.ours, this.#pair.stock];
    const query: Json[] = ['Test', ...this.#selects(false)];
    const copies = [ours, stock].map(({ server }) => {
      const copy = join(server.dir, 'copy.db');
      copyFileSync(server.file, copy);
      return copy;
    });
    const [ourCopy = '', stockCopy = ''] = copies;
    const wanted = await Promise.all(
      [ours, stock].map(async (side) =>
        canonical(await (await side.client('changer')).call('transact', query)),
      ),
    );
    const tool = spawnSync('ovsdb-tool', ['query', ourCopy, formatJson(query)], { encoding: 'utf8' });
    if (tool.status !== 0) throw this.#differs('ovsdb-tool', tool.stderr, '');
    const showLog = spawnSync('ovsdb-tool', ['show-log', '-mmm', ourCopy], { encoding: 'utf8' });
    if (showLog.status !== 0) throw this.#differs('ovsdb-tool show-log', showLog.stderr, '');
    const read = canonical({ result: parseJson(tool.stdout) });
    this.#requireEqual('our file, read by the stock tool', wanted[0] ?? null, read);
    let dump: Json;
    try {
      dump = canonical({ result: this.#dump(stockCopy) });
    } catch (error) {
      if (spawnSync('ovsdb-tool', ['query', stockCopy, formatJson(query)]).status !== 0) return false;
      throw error;
    }
    this.#requireEqual('the stock file, read by us', dump, wanted[1] ?? null);
    return true;
  }

  #dump(file: string): Json[] {
    const storage = openDatabase(file, { isReadOnly: true });
    try {
      return this.#generator.schema.tables.map((model) => {
        const table = storage.database.table(model.name);
        const names = ['_uuid', ...model.columns.filter((c) => !c.isEphemeral).map((c) => c.name)];
        const rows = [...table.rows.values()].map((row) =>
          Object.fromEntries(
            names.map((name) => {
              const column = table.schema.columns.get(name);
              return [name, column === undefined ? null : datumToJson(column.type, row.get(name))];
            }),
          ),
        );
        return { rows };
      });
    } finally {
      storage.close();
    }
  }
}

function isError(reply: Json): boolean {
  return isJsonObject(reply) && reply['error'] !== undefined;
}

/** A `wait` that gives up after some time would end at another moment on either side, a durable commit later than an echo. */
function withoutDelay(operation: Json): Json {
  if (!isJsonObject(operation)) return operation;
  if (Number(operation['timeout']) < 1e9) return { ...operation, timeout: 0 };
  return operation['durable'] === true ? { ...operation, durable: false } : operation;
}

/** A request that it does not survive; a state that may not be; a file that neither side can read. */
export type StockFault = 'died' | 'left a dangling reference' | 'wrote an unreadable file';

export interface WorldResult {
  readonly transactions: number;
  /** Errors that were equal but for the row, number or value that they name. */
  readonly loose: number;
  /** What the stock server did that ended the run before its time, if anything. */
  readonly stockFault: StockFault | null;
}

/**
 * Runs `steps` random steps on a random schema, on our server and the stock one.
 *
 * @throws Error with the first difference as its cause
 */
export async function runWorld(seed: number, steps: number): Promise<WorldResult> {
  const dice = new Dice(seed);
  const schema = randomSchema(dice);
  const json = schemaJson(schema);
  const pair = new ServerPair(await startOurs(json), await startStock(json));
  const world = new World(dice, schema, pair);
  const result = (stockFault: StockFault | null): WorldResult => ({
    transactions: world.transactions,
    loose: pair.looseMatches,
    stockFault,
  });
  try {
    await world.start();
    for (let i = 0; i < steps; i++) await world.step();
    const isReadable = await world.finish();
    return result(isReadable ? null : 'wrote an unreadable file');
  } catch (error) {
    if (error instanceof StockDied) return result('died');
    if (await world.isStockDangling()) return result('left a dangling reference');
    throw new Error(`seed ${seed}, schema ${formatJson(json)}`, { cause: error });
  } finally {
    await pair.close();
  }
}
