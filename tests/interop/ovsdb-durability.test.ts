import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, openDatabase } from '../../src/ovsdb/server/storage.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { Storm } from '../support/ovsdb-storm.ts';
import { TestClient, canonical, startStock, whenListening } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const skip = missing({ tools: ['ovsdb-server', 'ovsdb-tool'] });
const insert = (name: string): Json => ({
  op: 'insert',
  table: 'root',
  row: { name, number: Number(name), real: 0 },
});
/** As the test schema, with room for rows. */
const schema: Json = JSON.parse(JSON.stringify(testSchema).replace('"maxRows":4,', '')) as Json;

function names(file: string): string[] {
  const storage = openDatabase(file, { isReadOnly: true });
  try {
    return [...storage.database.table('root').rows.values()].map((row) => String(row.get('name').keys[0]));
  } finally {
    storage.close();
  }
}

describe('a database file', () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
    file = join(dir, 'test.db');
    createDatabase(file, schemaFromJson(schema));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function start(): ChildProcess {
    const args = [
      'dist/programs/run.cjs',
      'ovsdb-server',
      `--remote=punix:${dir}/db.sock`,
      `--unixctl=${dir}/ctl`,
      '-vconsole:off',
      '-vsyslog:off',
      file,
    ];
    return spawn(process.execPath, args, {
      cwd: root,
      stdio: 'ignore',
      env: { ...process.env, OVS_RUNDIR: dir },
    });
  }

  it('has every acknowledged transaction after kill -9 in the middle of 1,000', async () => {
    const server = start();
    const ended = new Promise((resolve) => server.once('exit', resolve));
    await whenListening(join(dir, 'db.sock'), server);
    const client = await TestClient.connect(join(dir, 'db.sock'));
    const acknowledged: string[] = [];
    const all = Array.from({ length: 1000 }, async (_, i) => {
      const reply = await client.call('transact', [
        'Test',
        insert(String(i)),
        { op: 'commit', durable: true },
      ]);
      const results = isJsonObject(reply) ? reply['result'] : undefined;
      if (!isJsonArray(results) || results.some((r) => isJsonObject(r) && r['error'] !== undefined)) return;
      acknowledged.push(String(i));
      if (acknowledged.length === 500) server.kill('SIGKILL');
    });
    await Promise.all(all);
    await ended;
    client.close();
    expect(acknowledged.length).toBeGreaterThanOrEqual(500);
    const present = new Set(names(file));
    expect(acknowledged.filter((name) => !present.has(name))).toEqual([]);
  });

  it('survives kill -9 again and again while clients write', async () => {
    const storm = new Storm(dir, 8);
    const kills: Promise<void>[] = [];
    await storm.run(() => {
      if (kills.length < 3 && storm.total >= 150 * (kills.length + 1)) kills.push(storm.kill());
      return storm.total >= 600;
    });
    await Promise.all(kills);
    expect(storm.kills).toBe(3);
  });

  it.skipIf(skip !== null)('of the stock server opens here, and one of ours there', async () => {
    const stock = await startStock(schema);
    try {
      const client = await TestClient.connect(stock.socket);
      for (let i = 0; i < 5; i++) {
        await client.call('transact', ['Test', insert(String(i)), { op: 'comment', comment: `row ${i}` }]);
      }
      const change = {
        op: 'mutate',
        table: 'root',
        where: [['number', '<', 3]],
        mutations: [
          [
            'ids',
            'insert',
            [
              'map',
              [
                ['a', 'b'],
                ['c', 'd'],
              ],
            ],
          ],
        ],
      };
      const drop = {
        op: 'mutate',
        table: 'root',
        where: [['number', '==', 1]],
        mutations: [
          ['ids', 'delete', ['set', ['a']]],
          ['number', '+=', 100],
        ],
      };
      const gone = { op: 'delete', table: 'root', where: [['name', '==', '4']] };
      for (const operation of [change, drop, gone])
        await client.call('transact', ['Test', operation, { op: 'commit', durable: true }]);
      const select: Json[] = ['Test', { op: 'select', table: 'root', where: [] }];
      const wanted = canonical(await client.call('transact', select));
      client.close();

      const copy = join(dir, 'copy.db');
      spawnSync('cp', [stock.file, copy]);
      const storage = openDatabase(copy);
      storage.compact('compacted', 0);
      storage.close();
      const tool = spawnSync('ovsdb-tool', ['query', copy, JSON.stringify(select)], { encoding: 'utf8' });
      expect(canonical({ result: JSON.parse(tool.stdout) as Json })).toEqual(wanted);
      expect(names(copy).sort()).toEqual(['0', '1', '2', '3']);
    } finally {
      await stock.stop();
    }
  });
});
