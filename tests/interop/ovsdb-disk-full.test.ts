import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runOvsdbServer } from '../../src/ovsdb/server/embed.ts';
import { createDatabase } from '../../src/ovsdb/server/storage.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { TestClient, canonical } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-tool', 'mount'], root: true });
const schema: Json = {
  name: 'Full',
  tables: { T: { isRoot: true, columns: { n: { type: 'integer' }, text: { type: 'string' } } } },
};

function resultsOf(reply: Json): readonly Json[] {
  const result = isJsonObject(reply) ? reply['result'] : undefined;
  return isJsonArray(result) ? result : [];
}

function errorOf(reply: Json): Json | undefined {
  return resultsOf(reply).find((r) => isJsonObject(r) && r['error'] !== undefined);
}

describe.skipIf(skip !== null)('a database on a full file system', () => {
  it('answers with an I/O error, loses nothing and goes on when there is room', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'w-core-full-'));
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'w-core-full', dir]).status).toBe(0);
    try {
      const file = join(dir, 'full.db');
      const filler = join(dir, 'filler');
      writeFileSync(filler, new Uint8Array(128 * 1024));
      createDatabase(file, schemaFromJson(schema));
      const socket = `${dir}.sock`;
      const running = await runOvsdbServer({
        files: [file],
        remotes: [`punix:${socket}`],
        unixctlPath: null,
      });
      const client = await TestClient.connect(socket);
      const write = async (n: number): Promise<Json> =>
        await client.call('transact', [
          'Full',
          { op: 'insert', table: 'T', row: { n, text: 'x'.repeat(5000) } },
          { op: 'commit', durable: n % 2 === 0 },
        ]);
      const acknowledged: number[] = [];
      let n = 0;
      let failure: Json | undefined;
      while (failure === undefined) {
        failure = errorOf(await write(n));
        if (failure === undefined) acknowledged.push(n);
        n++;
      }
      expect(acknowledged.length).toBeGreaterThan(5);
      const bytes = statSync(file).size;
      expect(failure).toEqual({
        error: 'I/O error',
        'io-error': 'No space left on device',
        details: `${file}: write failed`,
      });
      expect(errorOf(await write(n++))).toEqual(failure);
      expect(statSync(file).size).toBe(bytes);
      rmSync(filler);
      for (const end = n + 10; n < end; n++) {
        expect(errorOf(await write(n))).toBeUndefined();
        acknowledged.push(n);
      }
      const query: Json[] = ['Full', { op: 'select', table: 'T', where: [], columns: ['n'] }];
      const served = canonical(await client.call('transact', query));
      const rows = acknowledged.map((each): Json => ({ n: each }));
      expect(served).toEqual(canonical({ result: [{ rows }] }));
      const tool = spawnSync('ovsdb-tool', ['query', file, formatJson(query)], { encoding: 'utf8' });
      expect(canonical({ result: parseJson(tool.stdout) })).toEqual(served);
      client.close();
      await running.close();
    } finally {
      spawnSync('umount', [dir]);
      rmSync(dir, { recursive: true });
    }
  });
});
