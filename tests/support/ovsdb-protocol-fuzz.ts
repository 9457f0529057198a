import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { JsonStreamParser, formatJson, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { Dice } from './ovsdb-schemas.ts';
import { testSchema } from './ovsdb-test-schema.ts';
import { canonical, startOurs, startStock } from './ovsdb.ts';
import type { ServerUnderTest } from './ovsdb.ts';

const uuids = [1, 2, 3].map((n) => `0000000${n}-0000-4000-8000-000000000000`);
const anyUuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** A connection that takes any bytes and keeps what comes. */
class RawClient {
  readonly #socket: Socket;
  readonly #parser = new JsonStreamParser();
  readonly #received: Json[] = [];
  #isClosed = false;
  #onChange: () => void = () => undefined;

  constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.on('data', (bytes: Buffer) => {
      this.#parser.feed(bytes, (json) => this.#received.push(json));
      this.#onChange();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.#isClosed = true;
      this.#onChange();
    });
  }

  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** What came until the answer to an echo, or the end: that is `closed`. */
  async settle(): Promise<Json[]> {
    this.write('{"method":"echo","params":["sync"],"id":"sync"}');
    const isSync = (json: Json): boolean => isJsonObject(json) && json['id'] === 'sync';
    while (!this.#isClosed && !this.#received.some(isSync))
      await new Promise<void>((resolve) => (this.#onChange = resolve));
    const received = this.#received.splice(0).filter((json) => !isSync(json));
    return this.#isClosed ? [...received, 'closed'] : received;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }
  close(): void {
    this.#socket.destroy();
  }
}

/** Random messages: mostly requests with something wrong in them. */
class MessageGenerator {
  readonly #dice: Dice;
  /** Part of the names of locks. */
  epoch = 0;
  constructor(dice: Dice) {
    this.#dice = dice;
  }

  #junk(): Json {
    return this.#dice.pick<Json>([
      null, true, false, 0, -1, 1.5, 9007199254740993n, '', 'x', 'a', '1a', '_x', 'a b', 'é', 'Test', '_Server', 'nope', [], {}, [[]], [1],
      ['a'], ['Test'], { a: 1 }, { root: {} }, ['uuid', uuids[0] ?? ''], 'A'.repeat(40), [null], { '': null },
    ]); // prettier-ignore
  }

  #database(): Json {
    return this.#dice.chance(80) ? 'Test' : this.#dice.chance(50) ? '_Server' : this.#junk();
  }
  #id(): Json {
    return this.#dice.pick<Json>([0, 1, 1, 'm', 'm', [1], { a: 1 }, null, true, 2.5, '']);
  }
  #lock(): string {
    return `${this.#dice.pick(['a', 'b'])}${this.epoch}`;
  }
  #columns(): Json {
    return this.#dice.pick<Json>([
      ['name'],
      ['name', 'number'],
      [],
      ['name', 'name'],
      ['nope'],
      ['_uuid'],
      ['_version'],
      'name',
      [1],
      null,
    ]);
  }
  #where(): Json {
    const clause = (): Json =>
      this.#dice.pick<Json>([['name', '==', 'a'], ['number', '<', 3], ['number', '!=', 1], true, false, ['nope', '==', 1], ['name', '~', 'a'],
        ['name', '==', 1], ['name', '<', 'a'], ['_uuid', '==', ['uuid', uuids[0] ?? '']], [], 1, ['name'], ['name', '==', 'a', 1]]); // prettier-ignore
    return this.#dice.chance(90) ? this.#dice.list(2, clause) : this.#junk();
  }
  #requests(isConditional: boolean): Json {
    const dice = this.#dice;
    const request = (): Json => {
      const out: Record<string, Json> = {};
      if (dice.chance(70)) out['columns'] = dice.chance(85) ? ['name', 'number'] : this.#columns();
      if (dice.chance(40))
        out['select'] = dice.chance(85)
          ? { initial: dice.chance(50), modify: dice.chance(50) }
          : this.#junk();
      if (dice.chance(isConditional ? 40 : 5)) out['where'] = this.#where();
      if (dice.chance(4)) out['extra'] = 1;
      return dice.chance(95) ? out : this.#junk();
    };
    const list = (): Json => (dice.chance(50) ? request() : dice.list(2, request));
    if (dice.chance(8)) return this.#junk();
    return { [dice.chance(90) ? 'root' : 'nope']: list(), ...(dice.chance(20) ? { child: list() } : {}) };
  }
  #operation(): Json {
    const dice = this.#dice;
    const row = { name: dice.pick(['a', 'b', 'c']), number: dice.below(4) };
    const where = this.#where();
    const operation = dice.pick<Json>([
      { op: 'insert', table: 'root', row, uuid: dice.pick(uuids) },
      { op: 'insert', table: 'root', row, uuid: dice.pick(uuids), 'uuid-name': 'r' },
      { op: 'select', table: 'root', where, columns: ['name', 'number'] },
      { op: 'update', table: 'root', where, row: { number: dice.below(4) } },
      { op: 'delete', table: 'root', where },
      { op: 'mutate', table: 'root', where, mutations: [['number', '+=', 1]] },
      { op: 'wait', table: 'root', where, columns: ['name'], until: '==', rows: [{ name: 'a' }], timeout: 0 },
      { op: 'comment', comment: 'c' }, { op: 'abort' }, { op: 'commit', durable: false }, { op: 'assert', lock: this.#lock() },
    ]); // prettier-ignore
    if (!dice.chance(15) || !isJsonObject(operation)) return operation;
    const member = dice.pick(Object.keys(operation));
    return dice.chance(50) && member !== 'timeout'
      ? Object.fromEntries(Object.entries(operation).filter(([name]) => name !== member && name !== 'until'))
      : { ...operation, [dice.chance(70) && member !== 'timeout' ? member : 'extra']: this.#junk() };
  }

  #call(): [method: Json, params: Json[]] {
    const dice = this.#dice;
    const version = dice.pick(['monitor', 'monitor_cond', 'monitor_cond_since'] as const);
    const since = version === 'monitor_cond_since' ? [dice.chance(80) ? (uuids[0] ?? '') : this.#junk()] : [];
    return dice.pick<() => [Json, Json[]]>([
      () => ['echo', dice.list(3, () => this.#junk())],
      () => ['list_dbs', []],
      () => ['get_schema', [this.#database()]],
      () => ['set_db_change_aware', [dice.chance(60) ? dice.chance(50) : this.#junk()]],
      () => [dice.pick(['lock', 'steal', 'unlock']), [dice.chance(75) ? this.#lock() : this.#junk()]],
      () => [dice.pick(['lock', 'steal', 'unlock']), [this.#lock()]],
      () => [version, [this.#database(), this.#id(), this.#requests(version !== 'monitor'), ...since]],
      () => [version, ['Test', this.#id(), this.#requests(version !== 'monitor'), ...since]],
      () => ['monitor_cancel', [this.#id()]],
      () => ['monitor_cond_change', [this.#id(), this.#id(), dice.chance(50) ? {} : this.#junk()]],
      () => ['transact', [this.#database(), ...dice.list(3, () => this.#operation())]],
      () => ['transact', ['Test', this.#operation()]],
      () => ['convert', [this.#database(), this.#junk()]],
      () => [
        dice.pick<Json>(['nope', '', 'Echo', 'monitor_cond2', 'update', 'locked', 'stolen']),
        [this.#junk()],
      ],
    ])();
  }

  /** One message and what is done to it. */
  message(): Json {
    const dice = this.#dice;
    const [method, params] = this.#call();
    const kind = dice.below(100);
    const id = dice.chance(70) ? dice.pick<Json>([1, 'r', 2, [1], { a: null }, true, 1.5, '']) : this.#junk();
    if (kind < 60) return { method, params, id };
    // The stock server dies of a monitor without requests.
    if (kind < 68 && method !== 'monitor') return { method, params: params.slice(0, -1), id };
    if (kind < 76) return { method, params: [...params, this.#junk()], id };
    if (kind < 82) return { method, params: params.map((p) => (dice.chance(40) ? this.#junk() : p)), id };
    if (kind < 86) return { method, params, id: null };
    if (kind < 88) return { method, params, ...(dice.chance(50) ? {} : { id, extra: 1 }) };
    if (kind < 90) return { method, params: this.#junk(), id };
    if (kind < 91) return { method: this.#junk(), params, id };
    if (kind < 93) return { id, result: this.#junk(), error: null };
    if (kind < 94) return { id, result: null, error: this.#junk() };
    if (kind < 95) return { id, result: this.#junk(), error: this.#junk() };
    if (kind < 96) return { id: null, result: [], error: null };
    if (kind < 97)
      return { id, method, params, result: dice.pick<Json>([null, 1]), error: dice.pick<Json>([null, 1]) };
    return kind < 99 ? [this.#junk()] : {};
  }

  /** Bytes that are no message. */
  garbage(): string {
    return this.#dice.pick(['}', 'x', '"a"', '5', '{"id":}', '{"id":1,"id":2}', '\0', '{"method":"echo","params":["\\ud800"],"id":1}',
      '{"method":"echo","params":["\\u0000"],"id":1}', '{"method":"echo","params":[01],"id":1}', '{"method":"echo","params":[1e999],"id":1}',
      '{"method":"echo","params":[99999999999999999999, 1E2, 0.0, -0, -0.0, 1e15, 1e16, 123456789012345678],"id":1}', '   \n\t\r ',
      '{"method":"echo","params":["\\/\\b\\f\\u00e9"],"id":1}', "{'id':1}", '[1,2]', 'null', 'true', '\ufeff{}', '//x']); // prettier-ignore
  }
}

/** What a side saw in a step, as text. */
function seen(lists: readonly Json[][]): string {
  return lists
    .map((list) =>
      list
        .map((json) =>
          formatJson(canonical(json), true)
            .replace(/First row, .*?\.(?=","error")/g, '')
            .replace(anyUuid, 'UUID'),
        )
        .join('\n    '),
    )
    .join('\n  and ');
}

/**
 * Sends random messages to our server and the stock one.
 *
 * @returns how many were sent, and whether the stock server died of one
 * @throws Error with the messages before a difference
 */
export async function fuzzProtocol(
  seed: number,
  steps: number,
): Promise<{ sent: number; stockDied: boolean }> {
  const dice = new Dice(seed);
  const generator = new MessageGenerator(dice);
  const servers: readonly ServerUnderTest[] = [await startOurs(testSchema), await startStock(testSchema)];
  // Two clients of each side.
  let clients = servers.map(({ socket }) => [new RawClient(socket), new RawClient(socket)]);
  const sent: string[] = [];
  try {
    for (let step = 0; step < steps; step++) {
      const who = dice.below(2);
      const count = dice.chance(85) ? 1 : 1 + dice.below(4);
      const isBatch = count > 1;
      const text = dice.chance(3)
        ? generator.garbage()
        : Array.from({ length: count }, () => formatJson(generator.message())).join(
            dice.pick(['', ' ', '\n']),
          );
      sent.push(`${who}: ${text}`);

      const bytes = Buffer.from(text);
      const cut = dice.chance(20) ? dice.below(bytes.length + 1) : bytes.length;
      const results: string[] = [];
      for (const pair of clients) {
        const client = pair[who];
        client?.write(bytes.subarray(0, cut));
        if (cut < bytes.length) {
          // In a write of its own, and most likely read as one.
          await new Promise((resolve) => setImmediate(resolve));
          client?.write(bytes.subarray(cut));
        }
        const lists: Json[][] = [];
        for (const at of [who, 1 - who]) {
          lists.push((await pair[at]?.settle()) ?? []);
        }
        // Whom a lock of the ended connection goes to, and when, is left out.
        if (lists[0]?.at(-1) === 'closed') lists.length = 1;
        results.push(seen(lists));
      }
      if (clients.flat().some((client) => client.isClosed)) {
        generator.epoch++;
        for (const client of clients.flat()) client.close();
        clients = servers.map(({ socket }) => [new RawClient(socket), new RawClient(socket)]);
      }
      const [ours = '', stock = ''] = results;
      if (ours === stock) continue;
      // Of what came in one read, the stock server may have answered the first when it meets something bad.
      if (isBatch && ours.includes('"closed"') && stock.includes('"closed"')) continue;
      const check = new RawClient(servers[1]?.socket ?? '');
      const isAlive = (await check.settle()).at(-1) !== 'closed';
      check.close();
      if (!isAlive) return { sent: step, stockDied: true };
      throw new Error(`seed ${seed}\n  ${sent.slice(-4).join('\n  ')}\n  ours  ${ours}\n  stock ${stock}`);
    }
    return { sent: steps, stockDied: false };
  } finally {
    for (const client of clients.flat()) client.close();
    for (const server of servers) await server.stop();
  }
}
