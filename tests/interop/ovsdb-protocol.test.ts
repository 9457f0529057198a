import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schemaFromJson, schemaToJson } from '../../src/ovsdb/schema.ts';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { fuzzProtocol } from '../support/ovsdb-protocol-fuzz.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { TestClient, canonical, startOurs, startStock } from '../support/ovsdb.ts';
import type { ServerUnderTest } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server'] });
const ownSchema = fileURLToPath(new URL('../../share/vswitch.ovsschema', import.meta.url));
const stockSchema = '/usr/share/openvswitch/vswitch.ovsschema';

const insert = (row: Json): Json => ({ op: 'insert', table: 'root', row, 'uuid-name': 'r' });
const zero = '00000000-0000-0000-0000-000000000000';

/** Requests in order, each by client 0 or 1; what follows is compared: replies and notifications. */
const script: readonly (readonly [client: 0 | 1, method: string, params: Json])[] = [
  [0, 'list_dbs', []],
  [0, 'get_schema', ['Test']],
  [0, 'get_schema', ['Nope']],
  [0, 'get_schema', []],
  [0, 'get_schema', ['_Server']],
  [0, 'nope', []],
  [0, 'echo', [1, { a: null }]],
  [0, 'set_db_change_aware', [1]],
  [0, 'set_db_change_aware', [true]],
  [0, 'lock', ['a']],
  [0, 'lock', ['a']],
  [0, 'lock', ['1a']],
  [1, 'lock', ['a']],
  [1, 'transact', ['Test', { op: 'assert', lock: 'a' }]],
  [0, 'transact', ['Test', { op: 'assert', lock: 'a' }]],
  [0, 'unlock', ['a']],
  [1, 'transact', ['Test', { op: 'assert', lock: 'a' }]],
  [0, 'steal', ['a']],
  [1, 'unlock', ['a']],
  [1, 'unlock', ['a']],
  [0, 'unlock', ['a']],
  [0, 'monitor', ['Nope', 1, {}]],
  [0, 'monitor', ['Test', 1, { nope: {} }]],
  [0, 'monitor', ['Test', 1, { root: { columns: ['nope'] } }]],
  [0, 'monitor', ['Test', 1, { root: { columns: ['name', 'name'] } }]],
  [0, 'monitor', ['Test', 1, { root: { where: [true] } }]],
  [0, 'monitor', ['Test', 1, { root: { select: { initial: 1 } } }]],
  [0, 'monitor', ['Test', 1, { root: { select: { nope: true } } }]],
  [
    0,
    'monitor',
    ['Test', 1, { root: [{ columns: ['name'], select: { modify: false } }, { columns: ['number', 'ids'] }] }],
  ],
  [0, 'monitor', ['Test', 1, { root: {} }]],
  [
    0,
    'monitor_cond',
    [
      'Test',
      [2],
      {
        root: [
          {
            columns: ['name', 'number'],
            where: [
              ['number', '<', 2],
              ['name', '==', 'z'],
            ],
          },
        ],
        child: [{ columns: ['kind'], where: [false] }],
      },
    ],
  ],
  [0, 'monitor_cond', ['Test', 'bad', { root: [{ where: [['nope', '==', 1]] }] }]],
  [0, 'monitor_cond', ['Test', 'bad', { root: [{ where: [1] }] }]],
  [1, 'monitor_cond_since', ['Test', { x: 1 }, { root: [{ columns: ['name', 'ids'] }] }, zero]],
  [1, 'monitor_cond_since', ['Test', 'bad', { root: [] }, 'x']],
  [
    1,
    'transact',
    [
      'Test',
      insert({
        name: 'a',
        number: 1,
        ids: [
          'map',
          [
            ['k', 'v'],
            ['l', 'w'],
          ],
        ],
      }),
    ],
  ],
  [1, 'transact', ['Test', insert({ name: 'z', number: 5 })]],
  [1, 'transact', ['Test', insert({ name: 'y', number: 6 })]],
  [1, 'transact', ['Test', { op: 'mutate', table: 'root', where: [], mutations: [['number', '-=', 4]] }]],
  [
    1,
    'transact',
    [
      'Test',
      {
        op: 'update',
        table: 'root',
        where: [['name', '==', 'a']],
        row: {
          ids: [
            'map',
            [
              ['k', 'u'],
              ['m', 'w'],
            ],
          ],
        },
      },
    ],
  ],
  [
    1,
    'transact',
    ['Test', { op: 'update', table: 'root', where: [['name', '==', 'a']], row: { name: 'b' } }],
  ],
  [0, 'monitor_cond_change', [[2], [3], { root: [{ where: [['number', '>', 0]] }] }]],
  [0, 'monitor_cond_change', [[2], [3], {}]],
  [0, 'monitor_cond_change', [[3], [3], { nope: [{ where: [] }] }]],
  [0, 'monitor_cond_change', [[3], [3], { root: [{ columns: ['name'], where: [] }] }]],
  [0, 'monitor_cond_change', [[3], [3], { root: [{ where: [] }] }]],
  [1, 'transact', ['Test', { op: 'delete', table: 'root', where: [['name', '==', 'z']] }]],
  [0, 'monitor_cancel', [1]],
  [0, 'monitor_cancel', [1]],
  [0, 'monitor_cancel', []],
  [1, 'transact', ['Test', { op: 'delete', table: 'root', where: [] }]],
  [
    1,
    'transact',
    [
      'Test',
      insert({ name: 'n', children: ['named-uuid', 'c'] }),
      { op: 'insert', table: 'child', row: { kind: 'a' }, 'uuid-name': 'c' },
    ],
  ],
  [1, 'transact', ['Test', insert({}), insert({})]],
  [1, 'transact', ['Test', { op: 'select', table: 'root', where: [], columns: ['name', 'name'] }]],
  [1, 'transact', ['Test', { op: 'select', table: 'root', where: [], columns: ['flag'] }]],
  [
    1,
    'transact',
    ['Test', { op: 'wait', table: 'root', where: [], columns: ['name'], until: '=', rows: [] }],
  ],
  [1, 'transact', ['Test', { op: 'commit' }]],
  [1, 'transact', ['Test', { op: 'abort' }, { op: 'comment', comment: 'x' }]],
  [1, 'transact', ['Test', { op: 'update', table: 'root', where: [], row: { fixed: 'x' } }]],
  [1, 'transact', ['Test', { op: 'update', table: 'root', where: [], row: { _uuid: ['uuid', zero] } }]],
  [
    1,
    'transact',
    ['Test', { op: 'mutate', table: 'root', where: [], mutations: [['fixed', 'insert', 'x']] }],
  ],
  [1, 'transact', ['Test', { op: 'mutate', table: 'root', where: [], mutations: [['number', '/=', 0]] }]],
  [1, 'transact', ['Test', { op: 'insert', table: 'root', row: {}, 'uuid-name': 'x', uuid: 'y' }]],
  [1, 'transact', ['_Server', { op: 'delete', table: 'Database', where: [] }]],
  [1, 'transact', []],
  [1, 'transact', ['Test', 5]],
];

/** Uuids by order of appearance. */
function renumbered(json: Json, known: Map<string, string>): string {
  const text = formatJson(canonical(json), true).replace(
    /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    (uuid) => {
      if (uuid === zero) return uuid;
      const name = known.get(uuid) ?? `uuid${known.size}`;
      known.set(uuid, name);
      return name;
    },
  );
  return formatJson(canonical(parseJson(text)), true);
}

/** Our server numbers the transactions of a standalone database, which the stock one does not. */
function withoutTxnId(method: string, params: readonly Json[]): readonly Json[] {
  return method === 'update3' ? [params[0] ?? null, zero, params[2] ?? null] : params;
}

function withoutTxnIdInReply(method: string, reply: Json): Json {
  const result = isJsonObject(reply) ? reply['result'] : undefined;
  if (method !== 'monitor_cond_since' || !isJsonArray(result)) return reply;
  return { result: [result[0] ?? null, zero, result[2] ?? null] };
}

describe.skipIf(skip !== null)('the protocol of ovsdb-server against the stock one', () => {
  let servers: [ServerUnderTest, ServerUnderTest];
  let pairs: [[TestClient, TestClient], [TestClient, TestClient]];

  const connect = async ({ socket }: ServerUnderTest): Promise<[TestClient, TestClient]> => [
    await TestClient.connect(socket),
    await TestClient.connect(socket),
  ];
  beforeAll(async () => {
    servers = [await startOurs(testSchema), await startStock(testSchema)];
    pairs = [await connect(servers[0]), await connect(servers[1])];
  });
  afterAll(async () => {
    for (const client of pairs.flat()) client.close();
    for (const server of servers) await server.stop();
  });

  it('answers and notifies alike', async () => {
    const known = [new Map<string, string>(), new Map<string, string>()];
    for (const [who, method, params] of script) {
      const seen: string[][] = [];
      for (const [i, pair] of pairs.entries()) {
        const names = known[i] ?? new Map<string, string>();
        const reply = await pair[who].call(method, params as readonly Json[]);
        // Whatever the request caused for the other client has been sent before this answer.
        await pair[who === 0 ? 1 : 0].call('echo', []);
        const notes = pair.map((client) =>
          client.notifications
            .splice(0)
            .map((n) => renumbered([n.method, ...withoutTxnId(n.method, n.params)], names))
            .sort(),
        );
        seen.push([renumbered(withoutTxnIdInReply(method, reply), names), ...notes.flat()]);
      }
      expect.soft(seen[0], `${method} ${formatJson(params)}`).toEqual(seen[1]);
    }
  });

  it('keeps a wait until it is met, timed out or cancelled', async () => {
    const wait = (name: string, timeout?: number): Json => ({
      op: 'wait',
      table: 'root',
      where: [['name', '==', name]],
      columns: ['name'],
      until: '==',
      rows: [{ name }],
      ...(timeout === undefined ? {} : { timeout }),
    });
    const texts: string[][] = [];
    for (const [a, b] of pairs) {
      const met = a.call('transact', ['Test', wait('met'), { op: 'comment', comment: 'x' }]);
      await a.call('echo', []);
      await b.call('transact', ['Test', { op: 'insert', table: 'root', row: { name: 'met', number: 77 } }]);
      const late = b.call('transact', ['Test', wait('late', 5)]);
      texts.push([formatJson(await met, true), formatJson(await late, true).replace(/\d+ ms/, 'N ms')]);
    }
    expect(texts[0]).toEqual(texts[1]);
  });

  /** Client 0, 1 or 2 locks, steals or unlocks. */
  it.each([
    '0L 1S 1U',
    '0S 1S 1U',
    '0L 1S 0U 1U',
    '0S 1S 2L 1U',
    '0L 1S 2S 2U 1U',
    '0S 1L 2S 2U',
    '0S 1S 0L',
    '0S 1S 1U 0L 0U 0L',
    '0S 1S 2S 1U 0U 2U',
    '1S 0S 1U 2L 0U',
  ])('passes a lock on: %s', async (steps) => {
    const seen: string[][] = [];
    for (const server of servers) {
      const clients = await Promise.all([0, 1, 2].map(async () => await TestClient.connect(server.socket)));
      const log: string[] = [];
      for (const [, who, what] of steps.matchAll(/(\d)(\w)/g)) {
        const method = what === 'L' ? 'lock' : what === 'S' ? 'steal' : 'unlock';
        const reply = await clients[Number(who)]?.call(method, [`L_${steps.replaceAll(' ', '_')}`]);
        log.push(formatJson(reply ?? null, true));
        for (const [i, client] of clients.entries()) {
          await client.call('echo', []);
          for (const note of client.notifications.splice(0)) log.push(`${i} ${note.method}`);
        }
      }
      for (const client of clients) client.close();
      seen.push(log);
    }
    expect(seen[0]).toEqual(seen[1]);
  });

  // Many more: npx tsx tests/soak/ovsdb-protocol.ts
  it.each([1, 2, 3, 4])('answers random messages alike, seed %i', async (seed) => {
    await expect(fuzzProtocol(seed, 200)).resolves.toMatchObject({});
  });

  it('describes its databases in _Server', async () => {
    const rows: string[] = [];
    for (const [client] of pairs) {
      const reply = await client.call('monitor_cond', [
        '_Server',
        'server',
        {
          Database: [
            { columns: ['name', 'model', 'connected', 'leader', 'schema'], where: [['name', '==', 'Test']] },
          ],
        },
      ]);
      rows.push(renumbered(reply, new Map()));
    }
    expect(rows[0]).toBe(rows[1]);
    expect(rows[0]).toContain('standalone');
  });
});

describe('share/vswitch.ovsschema', () => {
  const read = (path: string): Json => parseJson(readFileSync(path, 'utf8'));

  it('is what our own printer makes of it', () => {
    const json = read(ownSchema);
    expect(formatJson(schemaToJson(schemaFromJson(json)), true)).toBe(formatJson(json, true));
    expect(isJsonObject(json) && json['version']).toBe('8.3.1');
  });

  it.skipIf(!existsSync(stockSchema))('has the tables, columns and constraints of the stock one', () => {
    expect(schemaToJson(schemaFromJson(read(ownSchema)))).toEqual(
      schemaToJson(schemaFromJson(read(stockSchema))),
    );
  });
});
