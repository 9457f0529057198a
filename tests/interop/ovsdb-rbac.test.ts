import { afterAll, describe, expect, it } from 'vitest';
import {
  JsonRpcConnection,
  OVSDB_PORT,
  TlsIdentity,
  connectStream,
  parseTarget,
} from '../../src/stream/index.ts';
import { applyTlsOption } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { TestClient, canonical } from '../support/ovsdb.ts';
import { DbServer } from '../support/ovsdb-services.ts';
import type { Kind } from '../support/ovsdb-services.ts';
import { waitFor } from '../support/daemons.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'openssl'] });

/** As OVN's southbound schema has it: a chassis may change its own rows. */
const schema: Json = {
  name: 'Rbac',
  version: '1.0.0',
  tables: {
    Wanted: {
      isRoot: true,
      columns: {
        remotes: {
          type: { key: { type: 'uuid', refTable: 'Connection' }, min: 0, max: 'unlimited' },
        },
      },
    },
    Connection: {
      columns: {
        target: { type: 'string' },
        role: { type: 'string' },
        read_only: { type: { key: 'boolean', min: 0 } },
      },
    },
    RBAC_Role: {
      isRoot: true,
      columns: {
        name: { type: 'string' },
        permissions: {
          type: {
            key: 'string',
            value: { type: 'uuid', refTable: 'RBAC_Permission', refType: 'weak' },
            min: 0,
            max: 'unlimited',
          },
        },
      },
    },
    RBAC_Permission: {
      isRoot: true,
      columns: {
        table: { type: 'string' },
        authorization: { type: { key: 'string', min: 0, max: 'unlimited' } },
        insert_delete: { type: 'boolean' },
        update: { type: { key: 'string', min: 0, max: 'unlimited' } },
      },
    },
    Chassis: {
      isRoot: true,
      columns: {
        name: { type: 'string' },
        hostname: { type: 'string' },
        nb_cfg: { type: 'integer' },
        external_ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
    Encap: {
      isRoot: true,
      columns: {
        owners: { type: { key: 'string', min: 0, max: 'unlimited' } },
        owner: { type: { key: 'string', min: 0 } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        ip: { type: 'string' },
      },
    },
    Open: { isRoot: true, columns: { n: { type: 'integer' } } },
    Frozen: { isRoot: true, columns: { n: { type: 'integer' } } },
    Unlisted: { isRoot: true, columns: { n: { type: 'integer' } } },
  },
};

const permission = (table: string, authorization: Json[], insertDelete: boolean, update: Json[]): Json => ({
  op: 'insert',
  table: 'RBAC_Permission',
  'uuid-name': `p${table}`,
  row: {
    table,
    authorization: ['set', authorization],
    insert_delete: insertDelete,
    update: ['set', update],
  },
});

const setUp = (port: number): Json[] => [
  permission('Chassis', ['name'], true, ['nb_cfg', 'external_ids:a']),
  permission('Encap', ['owners', 'owner', 'ids:chassis', 'nope', 'nope:x'], true, ['ip', 'ids']),
  permission('Open', [''], true, ['n']),
  permission('Frozen', [''], false, []),
  {
    op: 'insert',
    table: 'RBAC_Role',
    row: {
      name: 'controller',
      permissions: [
        'map',
        ['Chassis', 'Encap', 'Open', 'Frozen'].map((table) => [table, ['named-uuid', `p${table}`]]),
      ],
    },
  },
  {
    op: 'insert',
    table: 'Connection',
    'uuid-name': 'r0',
    row: { target: `pssl:${port}:127.0.0.1`, role: 'controller' },
  },
  {
    op: 'insert',
    table: 'Connection',
    'uuid-name': 'r1',
    row: { target: `pssl:${port + 1}:127.0.0.1`, role: 'nobody' },
  },
  {
    op: 'insert',
    table: 'Connection',
    'uuid-name': 'r2',
    row: { target: `ptcp:${port + 2}:127.0.0.1`, role: 'controller' },
  },
  {
    op: 'insert',
    table: 'Connection',
    'uuid-name': 'r3',
    row: { target: `pssl:${port + 3}:127.0.0.1`, read_only: true },
  },
  {
    op: 'insert',
    table: 'Wanted',
    row: { remotes: ['set', ['r0', 'r1', 'r2', 'r3'].map((name) => ['named-uuid', name])] },
  },
  { op: 'insert', table: 'Chassis', row: { name: 'other' } },
  { op: 'insert', table: 'Frozen', row: { n: 1 } },
  { op: 'insert', table: 'Unlisted', row: { n: 1 } },
];

const insert = (table: string, row: Json): Json => ({ op: 'insert', table, row });
const update = (table: string, row: Json, where: Json = []): Json => ({ op: 'update', table, where, row });
const mutate = (table: string, mutations: Json, where: Json = []): Json => ({
  op: 'mutate',
  table,
  where,
  mutations,
});
const remove = (table: string, where: Json = []): Json => ({ op: 'delete', table, where });
const mine: Json = [['name', '==', 'c1']];

const script: readonly Json[][] = [
  [insert('Chassis', { name: 'c1' })],
  [insert('Chassis', { name: 'c2' })],
  [insert('Chassis', { hostname: 'c1' })],
  [update('Chassis', { nb_cfg: 1 }, mine)],
  [update('Chassis', { hostname: 'x' }, mine)],
  [update('Chassis', { external_ids: ['map', [['b', 'c']]] }, mine)],
  [update('Chassis', { nb_cfg: 2 })],
  [update('Chassis', { hostname: 'x' }, [['name', '==', 'none']])],
  [mutate('Chassis', [['nb_cfg', '+=', 1]], mine)],
  [mutate('Chassis', [['external_ids', 'insert', ['map', [['a', 'c']]]]], mine)],
  [mutate('Chassis', [['nb_cfg', '+=', 1]])],
  [remove('Chassis', [['name', '==', 'other']])],
  [remove('Chassis')],
  [remove('Chassis', [['name', '==', 'none']])],
  [insert('Encap', { owner: 'c1' })],
  [insert('Encap', { owners: 'c1' })],
  [remove('Unlisted', [['n', '==', 77]])],
  [remove('Frozen', [['n', '==', 77]])],
  [update('Frozen', { n: 3 }, [['n', '==', 77]])],
  [update('Unlisted', { n: 3 }, [['n', '==', 77]])],
  [insert('Encap', { owners: ['set', ['c1', 'c2']] })],
  [insert('Encap', { ids: ['map', [['chassis', 'c1']]] })],
  [insert('Encap', { ids: ['map', [['chassis', 'c2']]] })],
  [insert('Encap', {})],
  [update('Encap', { ip: '1.1.1.1' })],
  [mutate('Encap', [['owners', 'delete', 'c1']])],
  [insert('Open', { n: 1 }), update('Open', { n: 2 }), mutate('Open', [['n', '*=', 2]]), remove('Open')],
  [insert('Frozen', { n: 1 })],
  [update('Frozen', { n: 1 })],
  [remove('Frozen')],
  [insert('Unlisted', { n: 1 })],
  [update('Unlisted', { n: 2 })],
  [mutate('Unlisted', [['n', '+=', 2]])],
  [remove('Unlisted')],
  [{ op: 'select', table: 'Unlisted', where: [], columns: ['n'] }],
  [insert('Chassis', { name: 1 })],
  [update('Chassis', { name: 1 })],
  [update('Chassis', { name: 'x' }, [['name', '==', 1]])],
  [mutate('Chassis', [['nb_cfg', '+=', 'x']])],
  [mutate('Chassis', [['nb_cfg', '+=', 1]], [['name', '==', 1]])],
  [remove('Chassis', [['name', '==', 1]])],
  [{ op: 'insert', table: 'Chassis', row: {}, nope: 1 }],
  [insert('RBAC_Role', { name: 'mine' })],
  [update('Connection', { role: '' })],
  [remove('Chassis', mine)],
  [insert('Chassis', { name: 'c1' }), insert('Chassis', { name: 'c2' })],
  [{ op: 'select', table: 'Chassis', where: [], columns: ['name', 'nb_cfg', 'external_ids'] }],
];

describe.skipIf(skip !== null)('role-based access control', () => {
  const pki = new Pki();
  afterAll(() => pki.remove());

  /** @param source Of which kind the server is whose relay is tried; null = it is no relay. */
  async function play(kind: Kind, port: number, source: Kind | null = null): Promise<Json[]> {
    const main = source === null ? null : await DbServer.start(source, { schemas: [schema] });
    const server = await DbServer.start(kind, {
      ...(main === null ? { schemas: [schema] } : { databases: [`relay:Rbac:${main.remote}`] }),
      options: ['--remote=db:Rbac,Wanted,remotes', ...pki.options('server', 'a')],
    });
    const replies: Json[] = [];
    try {
      const root = await (main ?? server).connect();
      expect(await root.call('transact', ['Rbac', ...setUp(port)])).not.toHaveProperty('error');
      const tls = new TlsIdentity();
      for (const option of pki.options('c1', 'a')) {
        const equals = option.indexOf('=');
        applyTlsOption({ name: option.slice(2, equals), value: option.slice(equals + 1) }, tls);
      }
      for (const remote of [
        `ssl:127.0.0.1:${port}`,
        `ssl:127.0.0.1:${port + 1}`,
        `tcp:127.0.0.1:${port + 2}`,
        `ssl:127.0.0.1:${port + 3}`,
      ]) {
        let client: TestClient | undefined;
        await waitFor(async () => {
          try {
            const stream = await connectStream(parseTarget(remote, OVSDB_PORT, '/', tls));
            client = TestClient.over(new JsonRpcConnection(stream));
            return true;
          } catch {
            return false;
          }
        }, `${remote} listens`);
        for (const operations of script)
          replies.push(canonical((await client?.call('transact', ['Rbac', ...operations])) ?? null));
        replies.push((await client?.call('lock', ['l'])) ?? null);
        client?.close();
      }
      root.close();
    } finally {
      await server.stop();
      await main?.stop();
    }
    return replies.map(withoutUuids);
  }

  it('decides as the stock server does', async () => {
    const port = 20_000 + (process.pid % 20_000);
    const [ours, stock] = [await play('ours', port), await play('stock', port + 4)];
    expect(differing(ours, stock)).toEqual([]);
  });

  it.each(['ours', 'stock'] as const)(
    'decides in a relay as the stock relay does; source: %s',
    async (source) => {
      const port = 20_000 + (process.pid % 20_000);
      const [ours, stock] = [await play('ours', port, source), await play('stock', port + 4, source)];
      expect(differing(ours, stock)).toEqual([]);
    },
  );
});

function differing(ours: readonly Json[], stock: readonly Json[]): Json[] {
  return ours.flatMap((reply, i) =>
    JSON.stringify(reply) === JSON.stringify(stock[i])
      ? []
      : [{ asked: script[i % (script.length + 1)] ?? i, ours: reply, stock: stock[i] ?? null }],
  );
}

function withoutUuids(json: Json): Json {
  return JSON.parse(
    JSON.stringify(json).replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID'),
  ) as Json;
}
