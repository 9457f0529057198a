import { isJsonArray, isJsonObject } from '../../../src/stream/index.ts';
import type { Json } from '../../../src/stream/index.ts';
import type { Dice } from '../ovsdb-schemas.ts';
import type { Pace } from './follower.ts';
import type { Gate } from './gate.ts';
import type { Ledger, Outcome } from './ledger.ts';
import { RawClient } from './raw-client.ts';
import type { RawReply } from './raw-client.ts';
import { database } from './schema.ts';

const words = ['a', 'b', 'c', 'd', 'é'] as const;

/** @returns of each operation, empty if there are none */
function resultsOf(reply: RawReply): readonly Json[] {
  const result = reply?.['result'] ?? null;
  return isJsonArray(result) ? result : [];
}

/** Of a reply to `transact`. A request that is refused as a whole may have been handed on and withdrawn: nobody knows. */
function outcomeOf(reply: RawReply): Outcome {
  const results = resultsOf(reply);
  if (results.length === 0) return 'unknown';
  return results.some((result) => isJsonObject(result) && 'error' in result) ? 'failed' : 'done';
}

function rowsOf(result: Json | undefined): readonly Json[] {
  const rows = isJsonObject(result ?? null) ? (result as Record<string, Json>)['rows'] : undefined;
  return isJsonArray(rows ?? null) ? (rows as readonly Json[]) : [];
}

/** Uuids of a set of references. */
function uuidsOf(json: Json | undefined): string[] {
  if (!isJsonArray(json)) return [];
  const [tag, items] = json;
  const list = tag === 'set' && isJsonArray(items) ? items : [json];
  return list.flatMap((item) => (isJsonArray(item) && typeof item[1] === 'string' ? [item[1]] : []));
}

const set = (items: readonly Json[]): Json => ['set', items];
const map = (pairs: readonly (readonly [Json, Json])[]): Json => ['map', pairs];

/**
 * A client that writes: each transaction counts up its row, writes a row of the Ledger, and changes references, maps and sets by
 * chance; some are meant to fail. It goes from server to server.
 */
export class Writer {
  readonly name: string;
  readonly #sockets: readonly string[];
  readonly #dice: Dice;
  readonly #pace: Pace;
  readonly #gate: Gate;
  readonly #ledger: Ledger;
  /** Leaves out what the stock server does not do right. */
  readonly #isGentle: boolean;
  #client: RawClient | null = null;
  #serial = 0;
  /** Its entries and everybody's, as last read. */
  #own: readonly string[] = [];
  #entries: readonly string[] = [];
  readonly #everOwn = new Set<string>();
  /** What it waits for, for a run that hangs. */
  waitsFor = '';

  constructor(
    name: string,
    sockets: readonly string[],
    dice: Dice,
    world: { readonly pace: Pace; readonly gate: Gate; readonly ledger: Ledger },
    isGentle: boolean,
  ) {
    this.name = name;
    this.#sockets = sockets;
    this.#dice = dice;
    this.#pace = world.pace;
    this.#gate = world.gate;
    this.#ledger = world.ledger;
    this.#isGentle = isGentle;
  }

  async run(): Promise<void> {
    const dice = this.#dice;
    while (!this.#pace.isOver()) {
      if (this.#client?.isOpen !== true) {
        const socket = dice.pick(this.#sockets);
        this.#client = await RawClient.connect(socket);
        this.waitsFor = socket;
      }
      const client = this.#client;
      if (client === null) {
        await this.#pace.pass(20);
        continue;
      }
      await this.#gate.through(async () => {
        if (dice.chance(3)) await this.#audit(client);
        else await this.#transaction(client);
      });
      if (dice.chance(2)) client.destroy();
      if (dice.chance(20)) await this.#pace.pass(dice.below(100));
    }
    this.#client?.destroy();
    this.waitsFor = '';
  }

  async #transaction(client: RawClient): Promise<void> {
    const serial = ++this.#serial;
    const operations = this.#operations(serial);
    const call = client.call('transact', [database, ...operations]);
    // Gone before the reply: it may still be carried out, now or later.
    if (this.#dice.chance(2)) client.destroy();
    const reply = await call;
    this.#ledger.note(this.name, serial, outcomeOf(reply));
    const [row] = rowsOf(resultsOf(reply)[operations.length - 2]);
    if (isJsonObject(row)) this.#own = uuidsOf(row['last']);
    for (const uuid of this.#own) this.#everOwn.add(uuid);
    const entries = rowsOf(resultsOf(reply)[operations.length - 1]);
    if (entries.length > 0)
      this.#entries = entries.flatMap((entry) => (isJsonObject(entry) ? uuidsOf(entry['_uuid']) : []));
  }

  #operations(serial: number): Json[] {
    const dice = this.#dice;
    const writer = this.name;
    const where: Json = [['name', '==', writer]];
    const note = map(dice.list(2, () => true).map((_, i) => [words[i] ?? '', dice.below(3)]));
    const operations: Json[] = [
      { op: 'mutate', table: 'Writer', where, mutations: [['done', '+=', 1]] },
      { op: 'insert', table: 'Ledger', row: { writer, serial, note } },
    ];
    const changesEntries = dice.chance(60);
    if (changesEntries) operations.push(...this.#entryOperations(serial, where));
    if (dice.chance(40))
      operations.push({ op: 'mutate', table: 'Writer', where, mutations: this.#mutations() });
    // The stock server keeps weak references to rows that go with a change of the row that has them; its copies do not.
    if (!changesEntries || !this.#isGentle) operations.push(...this.#weakOperations(where));
    if (dice.chance(6)) operations.push(this.#failure(where));
    if (dice.chance(10)) operations.push({ op: 'commit', durable: true });
    if (dice.chance(10)) operations.push({ op: 'comment', comment: `${writer} ${serial}` });
    operations.push({ op: 'select', table: 'Writer', where, columns: ['last'] });
    operations.push({ op: 'select', table: 'Entry', where: [], columns: ['_uuid'] });
    return operations;
  }

  /** Changes of references to entries of anybody, which may be gone by now. */
  #weakOperations(where: Json): Json[] {
    const dice = this.#dice;
    const operations: Json[] = [];
    const some = dice.shuffled(this.#entries).slice(0, 1 + dice.below(4));
    const friends = set(some.map((uuid): Json => ['uuid', uuid]));
    if (dice.chance(30)) {
      const mutations: Json = [['friends', dice.chance(60) ? 'insert' : 'delete', friends]];
      operations.push({ op: 'mutate', table: 'Circle', where, mutations });
    }
    if (dice.chance(15)) {
      const next: Json =
        this.#entries.length > 0 && dice.chance(80) ? ['uuid', dice.pick(this.#entries)] : set([]);
      const own: Json = [['writer', '==', this.name]];
      operations.push({ op: 'update', table: 'Entry', where: own, row: { next } });
    }
    return operations;
  }

  /** New entries with parts, in the place of the oldest. */
  #entryOperations(serial: number, where: Json): Json[] {
    const dice = this.#dice;
    const operations: Json[] = [];
    const made = dice.list(1, () => true).length + 1;
    const others = this.#isGentle ? this.#entries.filter((uuid) => !this.#everOwn.has(uuid)) : this.#entries;
    for (let i = 0; i < made; i++) {
      const parts: (readonly [Json, Json])[] = [];
      for (let j = dice.below(4); j > 0; j--) {
        const sizes = set([0.5, 1.5, 2.25, dice.below(9)].slice(dice.below(4)));
        const row = { name: dice.pick(words), sizes };
        operations.push({ op: 'insert', table: 'Part', row, 'uuid-name': `part_${i}_${j}` });
        parts.push([`p${j}`, ['named-uuid', `part_${i}_${j}`]]);
      }
      const row = {
        writer: this.name,
        serial,
        parts: map(parts),
        next: others.length > 0 ? ['uuid', dice.pick(others)] : set([]),
        ...(dice.chance(10) ? { extra: dice.pick(words) } : {}),
      };
      operations.push({ op: 'insert', table: 'Entry', row, 'uuid-name': `entry_${i}` });
    }
    const kept = this.#own.slice(0, dice.below(6 - made)).map((uuid): Json => ['uuid', uuid]);
    const fresh = Array.from({ length: made }, (_, i): Json => ['named-uuid', `entry_${i}`]);
    operations.push({ op: 'update', table: 'Writer', where, row: { last: set([...kept, ...fresh]) } });
    return operations;
  }

  #mutations(): Json[] {
    const dice = this.#dice;
    // Long ones fill the buffers of clients that do not read.
    const tag = dice.chance(30) ? 'x'.repeat(dice.below(20_000)) : dice.pick(words);
    return [
      dice.pick<Json>([
        ['tags', 'insert', map([[dice.pick(words), tag]])],
        ['tags', 'delete', set([dice.pick(words)])],
      ]),
      dice.pick<Json>([
        ['numbers', 'insert', set([dice.below(8), dice.below(8) + 8])],
        ['numbers', 'delete', set([dice.below(8)])],
        ['numbers', '%=', 16],
      ]),
    ];
  }

  #failure(where: Json): Json {
    const nowhere: Json = ['uuid', '01234567-89ab-4cde-8f01-23456789abcd'];
    return this.#dice.pick<Json>([
      { op: 'abort' },
      { op: 'insert', table: 'Writer', row: { name: this.name } },
      { op: 'update', table: 'Writer', where, row: { last: nowhere } },
      {
        op: 'wait',
        table: 'Writer',
        where,
        until: '==',
        timeout: 0,
        columns: ['done'],
        rows: [{ done: -1 }],
      },
      { op: 'update', table: 'Writer', where, row: { nonsense: 1 } },
      { op: 'insert', table: 'Part', row: { sizes: -1 } },
    ]);
  }

  /** Reads its rows of the Ledger and deletes them, so that the database stays small. */
  async #audit(client: RawClient): Promise<void> {
    const uuids = await Writer.read(client, this.name, this.#ledger);
    if (uuids.length < 40) return;
    await client.call('transact', [
      database,
      ...uuids.map((uuid): Json => ({
        op: 'delete',
        table: 'Ledger',
        where: [['_uuid', '==', ['uuid', uuid]]],
      })),
    ]);
  }

  /** Notes a writer's rows of the Ledger. @returns their uuids */
  static async read(client: RawClient, writer: string, ledger: Ledger): Promise<string[]> {
    const where: Json = [['writer', '==', writer]];
    const reply = await client.call('transact', [
      database,
      { op: 'select', table: 'Ledger', where, columns: ['_uuid', 'serial'] },
    ]);
    return rowsOf(resultsOf(reply)[0]).flatMap((row) => {
      if (!isJsonObject(row)) return [];
      const uuids = uuidsOf(row['_uuid']);
      for (const uuid of uuids) ledger.see(writer, Number(row['serial']), uuid);
      return uuids;
    });
  }
}
