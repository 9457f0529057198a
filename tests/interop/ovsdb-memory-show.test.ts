import { createConnection } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { formatJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { waitFor } from '../support/daemons.ts';
import { DbServer } from '../support/ovsdb-services.ts';
import type { Kind } from '../support/ovsdb-services.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovs-appctl'] });

const some = (key: Json, more: Record<string, Json> = {}): Json => ({
  type: { key, min: 0, max: 'unlimited', ...more },
});
const schema: Json = {
  name: 'Test',
  version: '1.0.0',
  tables: {
    root: {
      isRoot: true,
      columns: {
        name: { type: 'string' },
        n: { type: 'integer' },
        set: some('integer'),
        map: some('string', { value: 'string' }),
        strong: some({ type: 'uuid', refTable: 'child' }),
        weak: some({ type: 'uuid', refTable: 'child', refType: 'weak' }),
      },
    },
    child: { columns: { x: { type: 'string' } } },
  },
};

const servers: DbServer[] = [];
async function start(kind: Kind, setup: Parameters<typeof DbServer.start>[1]): Promise<DbServer> {
  const server = await DbServer.start(kind, setup);
  servers.push(server);
  return server;
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

const insert = (table: string, row: Json, name?: string): Json => ({
  op: 'insert',
  table,
  row,
  ...(name === undefined ? {} : { 'uuid-name': name }),
});
const update = (row: Json): Json => ({
  op: 'update',
  table: 'root',
  where: [['name', '==', 'a']],
  row,
});
const named = (name: string): Json => ['named-uuid', name];

describe.skipIf(skip !== null)('memory/show', () => {
  /** What it says in states that make its figures move. */
  async function figures(kind: Kind): Promise<string[]> {
    const server = await start(kind, { schemas: [schema] });
    const said: string[] = [];
    const note = async (state: string): Promise<void> => {
      said.push(`${state}: ${await server.ask('memory/show')}`);
    };
    await note('fresh');
    const client = await server.connect();
    await client.call('echo', []);
    await note('a session');
    await client.call('transact', [
      'Test',
      insert('child', { x: 'c' }, 'k'),
      insert('child', { x: 'd' }, 'l'),
      insert('root', {
        name: 'a',
        set: ['set', [1, 2, 3]],
        map: [
          'map',
          [
            ['a', 'b'],
            ['c', 'd'],
          ],
        ],
        strong: ['set', [named('k'), named('l')]],
        weak: ['set', [named('k'), named('l')]],
      }),
      insert('root', { name: 'b', weak: named('k') }),
    ]);
    await note('rows');
    // One monitor for the server, as they follow the same columns.
    await client.call('monitor', ['Test', 'm1', { root: {} }]);
    await client.call('monitor_cond', ['Test', 'm2', { root: [{ where: [['n', '==', 1]] }] }]);
    const other = await server.connect();
    await other.call('monitor', ['Test', 'm', { root: {} }]);
    await note('equal monitors');
    await client.call('monitor_cond', ['Test', 'm3', { root: [{ columns: ['name', 'n'] }] }]);
    await other.call('monitor_cond', ['Test', 'm4', { root: [{ columns: ['n', 'name'] }] }]);
    await other.call('monitor_cond', ['Test', 'm5', { root: [{ select: { initial: false } }] }]);
    await note('other monitors');
    const waiting = client.begin('transact', [
      'Test',
      {
        op: 'wait',
        table: 'root',
        where: [],
        columns: ['n'],
        until: '==',
        rows: [{ n: 7 }],
        timeout: 1_000_000,
      },
    ]);
    await waitFor(async () => (await server.ask('memory/show')).includes('triggers'), 'it waits');
    await note('a trigger');
    client.notify('cancel', [waiting.id]);
    await waitFor(async () => !(await server.ask('memory/show')).includes('triggers'), 'it is cancelled');

    const deaf = createConnection(server.socket);
    deaf.pause();
    const request = { method: 'monitor', params: ['Test', 'deaf', { root: {} }], id: 0 };
    deaf.write(formatJson(request));
    await waitFor(
      async () => (await server.ask('memory/show')).includes('sessions:3'),
      'the deaf one is there',
    );
    for (let i = 0; i < 10; i++)
      await client.call('transact', [
        'Test',
        update({ map: ['map', [['a', 'x'.repeat(100_000) + String(i)]]] }),
      ]);
    await note('a backlog');
    deaf.destroy();
    await waitFor(async () => (await server.ask('memory/show')).includes('sessions:2'), 'it has gone');
    await note('no backlog');
    await client.call('monitor_cancel', ['m3']);
    await other.call('monitor_cancel', ['m4']);
    await note('fewer monitors');
    await client.call('transact', ['Test', { op: 'delete', table: 'root', where: [] }]);
    await note('no rows');
    client.close();
    other.close();
    // What has been written in part counts whole in ours.
    return said.map((line) => line.replace(/backlog:[1-9]\d*/, 'backlog:SOME'));
  }

  it('says what the stock server says', async () => {
    const wanted = await figures('stock');
    expect(wanted.join('')).toContain('backlog:SOME');
    expect(await figures('ours')).toEqual(wanted);
  });

  it('has the history of a relay', async () => {
    const source = await start('ours', { schemas: [schema] });
    const relay = await start('ours', { databases: [`relay:Test:${source.remote}`] });
    const client = await relay.connect();
    await client.call('set_db_change_aware', [true]);
    await waitFor(
      async () => 'result' in ((await client.call('get_schema', ['Test'])) as object),
      'it relays',
    );
    await client.call('transact', ['Test', insert('root', { name: 'a' })]);
    // _uuid, _version, name and n.
    expect(await relay.ask('memory/show')).toContain('txn-history:1 txn-history-atoms:4');
    await client.call('transact', ['Test', update({ n: 5 })]);
    expect(await relay.ask('memory/show')).toContain('txn-history:2 txn-history-atoms:12');
    client.close();
  });
});
