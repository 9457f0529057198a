import { afterEach, describe, expect, it } from 'vitest';
import { formatJson, isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { waitFor } from '../support/daemons.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { canonical } from '../support/ovsdb.ts';
import type { TestClient } from '../support/ovsdb.ts';
import { DbServer } from '../support/ovsdb-services.ts';
import type { Kind, ServerSetup } from '../support/ovsdb-services.ts';
import { RaftCluster } from '../support/raft.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovs-appctl'] });
const pairs: readonly (readonly [Kind, Kind])[] = [
  ['ours', 'ours'],
  ['ours', 'stock'],
  ['stock', 'ours'],
  ['stock', 'stock'],
];

const insert = (row: Json): Json => ({ op: 'insert', table: 'root', row });
const selectAll: Json = { op: 'select', table: 'root', where: [], columns: ['name', 'number', 'ids'] };

const servers: DbServer[] = [];
async function start(kind: Kind, setup: ServerSetup): Promise<DbServer> {
  const server = await DbServer.start(kind, setup);
  servers.push(server);
  return server;
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function rows(server: DbServer, client?: TestClient): Promise<string> {
  const connection = client ?? (await server.connect());
  const reply = await connection.call('transact', ['Test', selectAll]);
  if (client === undefined) connection.close();
  return formatJson(canonical(reply));
}

async function transact(server: DbServer, ...operations: Json[]): Promise<Json> {
  const client = await server.connect();
  const reply = await client.call('transact', ['Test', ...operations]);
  client.close();
  return reply;
}

async function sameRows(a: DbServer, b: DbServer): Promise<void> {
  await waitFor(async () => (await rows(a)) === (await rows(b)), 'both have the same rows');
}

async function serverRow(client: TestClient): Promise<Json> {
  const reply = await client.call('transact', [
    '_Server',
    {
      op: 'select',
      table: 'Database',
      where: [['name', '==', 'Test']],
      columns: ['name', 'model', 'connected', 'leader', 'cid', 'sid', 'index'],
    },
  ]);
  const results = isJsonObject(reply) ? reply['result'] : null;
  const first = isJsonArray(results ?? undefined) ? (results as readonly Json[])[0] : null;
  return isJsonObject(first ?? undefined) ? ((first as { rows?: Json }).rows ?? null) : null;
}

describe.skipIf(skip !== null)('active-backup', () => {
  /** Texts of a backup's life, with the paths that differ taken out. */
  const texts = new Map<string, string[]>();

  it.each(pairs)('active %s, backup %s', async (activeKind, backupKind) => {
    const active = await start(activeKind, { schemas: [testSchema] });
    await transact(active, insert({ name: 'a', number: 1, ids: ['map', [['k', 'v']]] }));
    const backup = await start(backupKind, {
      schemas: [testSchema],
      options: [`--sync-from=${active.remote}`],
    });
    const said: string[] = [];
    const note = (text: string): void => {
      said.push(text.replaceAll(active.remote, 'ACTIVE').replaceAll(backup.remote, 'BACKUP'));
    };
    await sameRows(active, backup);
    await transact(active, insert({ name: 'b', number: 2 }));
    await transact(active, {
      op: 'mutate',
      table: 'root',
      where: [],
      mutations: [
        ['number', '+=', 5],
        ['ids', 'insert', ['map', [['l', 'w']]]],
      ],
    });
    await transact(active, { op: 'delete', table: 'root', where: [['name', '==', 'a']] });
    await sameRows(active, backup);
    note(await backup.ask('ovsdb-server/sync-status'));
    note(await backup.ask('ovsdb-server/get-active-ovsdb-server'));
    note(await backup.ask('ovsdb-server/get-sync-exclude-tables'));
    note(formatJson(canonical(await transact(backup, insert({ name: 'c' })))));
    const client = await backup.connect();
    note(formatJson(await client.call('lock', ['x'])));
    note(formatJson(await client.call('unlock', ['x'])));
    note(formatJson(canonical(await serverRow(client))));

    await backup.ask('ovsdb-server/set-sync-exclude-tables', 'Test:child,Test:root');
    note(await backup.ask('ovsdb-server/get-sync-exclude-tables'));
    await backup.ask('ovsdb-server/disconnect-active-ovsdb-server');
    note(await backup.ask('ovsdb-server/sync-status'));
    expect(await transact(backup, insert({ name: 'own', number: 9 }))).toHaveProperty('result');
    expect(await rows(backup)).toContain('own');
    // With the table excluded the backup's own rows stay.
    await backup.ask('ovsdb-server/connect-active-ovsdb-server');
    await waitFor(
      async () => (await backup.ask('ovsdb-server/sync-status')).includes('replicating'),
      'it replicates again',
    );
    note(await backup.ask('ovsdb-server/sync-status'));
    expect(await rows(backup)).toContain('own');
    texts.set(`${activeKind} ${backupKind}`, said);
  });

  it('says what the stock server says', () => {
    const expected = texts.get('stock stock');
    expect(expected).toBeDefined();
    for (const said of texts.values()) expect(said).toEqual(expected);
  });

  it('prepares to be a backup with --active', async () => {
    const other = await start('ours', { schemas: [testSchema] });
    const server = await start('ours', {
      schemas: [testSchema],
      options: [`--sync-from=${other.remote}`, '--active'],
    });
    expect(await transact(server, insert({ name: 'x' }))).toHaveProperty('result');
    expect(await server.ask('ovsdb-server/get-active-ovsdb-server')).toBe(`${other.remote}\n`);
    await server.ask('ovsdb-server/connect-active-ovsdb-server');
    await sameRows(other, server);
  });

  it('does not copy itself', async () => {
    const server = await start('ours', { schemas: [testSchema] });
    await server.ask('ovsdb-server/set-active-ovsdb-server', server.remote);
    await server.ask('ovsdb-server/connect-active-ovsdb-server');
    await waitFor(
      async () => (await server.ask('ovsdb-server/sync-status')) === 'state: active\n',
      'it refuses',
    );
    expect(await transact(server, insert({ name: 'x' }))).toHaveProperty('result');
  });

  it('takes other tables to exclude at once, and refuses nonsense', async () => {
    const other = await start('ours', { schemas: [testSchema] });
    await transact(other, insert({ name: 'theirs' }));
    const server = await start('ours', {
      schemas: [testSchema],
      options: [`--sync-from=${other.remote}`, '--sync-exclude-tables=Test:root'],
    });
    await waitFor(
      async () => (await server.ask('ovsdb-server/sync-status')).includes('replicating'),
      'it replicates',
    );
    expect(await rows(server)).not.toContain('theirs');
    const bad = await server.appctl('ovsdb-server/set-sync-exclude-tables', 'nonsense');
    expect(bad.stderr).toContain("Can't parse excluded table: nonsense");
    await server.ask('ovsdb-server/set-sync-exclude-tables', '');
    await sameRows(other, server);
  });
});

describe.skipIf(skip !== null)('relay', () => {
  const texts = new Map<string, string[]>();

  it.each(pairs)('source %s, relay %s', async (sourceKind, relayKind) => {
    const source = await start(sourceKind, { schemas: [testSchema] });
    await transact(source, insert({ name: 'a', number: 1 }));
    const relay = await start(relayKind, { databases: [`relay:Test:${source.remote}`] });
    const said: string[] = [];
    let client = await relay.connect();
    await client.call('set_db_change_aware', [true]);
    await waitFor(async () => formatJson(await serverRow(client)).includes('"connected":true'), 'it relays');
    said.push(formatJson(canonical(await serverRow(client))));
    expect(await rows(relay, client)).toBe(await rows(source));

    await client.call('monitor_cond', ['Test', 'm', { root: [{ columns: ['name', 'number'] }] }]);
    const order: string[] = [];
    const reply = client.call('transact', ['Test', insert({ name: 'b', number: 2 })]).then((json) => {
      order.push(`reply after ${client.notifications.length}`);
      return json;
    });
    said.push(formatJson(await reply).replace(/[0-9a-f-]{36}/, 'UUID'));
    expect(order).toEqual(['reply after 1']);
    expect(await rows(source)).toBe(await rows(relay, client));
    await transact(source, {
      op: 'mutate',
      table: 'root',
      where: [['name', '==', 'b']],
      mutations: [['number', '+=', 1]],
    });
    await waitFor(async () => {
      await client.call('echo', []);
      return client.notifications.length === 2;
    }, 'the relay tells');
    said.push(
      ...client.notifications.map((n) => formatJson(n as unknown as Json).replace(/[0-9a-f-]{36}/g, 'UUID')),
    );
    // Errors come from the source as they are.
    for (const operations of [
      [insert({ nope: 1 })],
      [{ op: 'delete', table: 'nope', where: [] }],
      [insert({ name: 'z' }), { op: 'abort' }],
    ])
      said.push(
        formatJson(canonical(await client.call('transact', ['Test', ...operations]))).replace(
          /[0-9a-f-]{36}/g,
          'UUID',
        ),
      );
    said.push(await relay.ask('ovsdb-server/list-dbs'));
    const again = await relay.appctl('ovsdb-server/add-db', `relay:Test:${source.remote}`);
    said.push(`${again.status} ${again.stderr.replaceAll(/ovs-appctl: .*: /g, '')}`);

    texts.set(`${sourceKind} ${relayKind}`, said);
    // A stock relay goes on calling itself connected.
    if (relayKind === 'stock') return;
    const before = await rows(relay, client);
    await source.stop();
    servers.splice(servers.indexOf(source), 1);
    client.close();
    client = await relay.connect();
    await waitFor(async () => formatJson(await serverRow(client)).includes('"connected":false'), 'it knows');
    expect(await rows(relay, client)).toBe(before);
    client.close();
  });

  it('says what the stock server says', () => {
    const expected = texts.get('stock stock');
    expect(expected).toBeDefined();
    for (const said of texts.values()) expect(said).toEqual(expected);
  });

  it('goes on when its source is back', async () => {
    const source = await start('ours', { schemas: [testSchema] });
    const relay = await start('ours', { databases: [`relay:Test:${source.remote}`] });
    const client = await relay.connect();
    await client.call('set_db_change_aware', [true]);
    await waitFor(async () => formatJson(await serverRow(client)).includes('"connected":true'), 'it relays');
    // All clients of the source lose their connection; the relay comes back.
    source.running.remotes.reconnect();
    await waitFor(async () => {
      const reply = await client.call('transact', ['Test', insert({ name: 'late' })]);
      return formatJson(reply).includes('uuid');
    }, 'it commits again');
    expect(await rows(source)).toContain('late');
    client.close();
  });

  it('follows a raft cluster whose leader is killed', async () => {
    const cluster = await RaftCluster.start(3, '/usr/share/openvswitch/vswitch.ovsschema');
    try {
      const relay = await start('ours', { databases: [`relay:Open_vSwitch:${cluster.remotes}`] });
      const client = await relay.connect();
      await client.call('set_db_change_aware', [true]);
      /** Until it is committed; a transaction that was under way when the leader died may have been, too. */
      const commits = async (what: string, ...operations: Json[]): Promise<void> => {
        await waitFor(async () => {
          const reply = formatJson(await client.call('transact', ['Open_vSwitch', ...operations]));
          return !reply.includes('"error"') || reply.includes('Transaction causes');
        }, `${what} is committed`);
      };
      const bridge = (name: string): Json[] => [
        { op: 'insert', table: 'Bridge', 'uuid-name': 'b', row: { name } },
        {
          op: 'mutate',
          table: 'Open_vSwitch',
          where: [],
          mutations: [['bridges', 'insert', ['set', [['named-uuid', 'b']]]]],
        },
      ];
      await commits('the root', { op: 'insert', table: 'Open_vSwitch', row: {} });
      await commits('first', ...bridge('first'));
      await cluster.kill(await cluster.leader());
      await commits('second', ...bridge('second'));
      const select = { op: 'select', table: 'Bridge', where: [], columns: ['name'] };
      const reply = await client.call('transact', ['Open_vSwitch', select]);
      expect(formatJson(reply)).toContain('first');
      expect(formatJson(reply)).toContain('second');
      client.close();
    } finally {
      await cluster.stop();
    }
  });
});
