import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/ovsdb/server/storage.ts';
import { formatJson, parseJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { logFiles, logSchema } from '../support/ovsdb-log-cases.ts';
import { TestClient, canonical, startOurs, startStock } from '../support/ovsdb.ts';
import type { ServerUnderTest } from '../support/ovsdb.ts';
import type { ToolOutcome } from '../support/tool-batch.ts';
import { ToolDifferential } from '../support/tool-differential.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovsdb-tool'] });
const selects: readonly Json[] = [
  { op: 'select', table: 'R', where: [] },
  { op: 'select', table: 'K', where: [] },
];
const query = formatJson(['D', ...selects]);

/** What a server makes of a file, and what it answers to an insertion. */
async function served(
  start: typeof startOurs,
  path: string,
): Promise<{ before: Json; after: Json; file: Json }> {
  const server: ServerUnderTest = await start(logSchema, path);
  try {
    const client = await TestClient.connect(server.socket);
    const transact = async (...operations: Json[]): Promise<Json> =>
      canonical(await client.call('transact', ['D', ...operations]));
    const before = await transact(...selects);
    const insert = { op: 'insert', table: 'R', row: { n: 9 }, uuid: 'aaaaaaaa-0000-4000-8000-000000000001' };
    const after = [await transact(insert), await transact(...selects)];
    client.close();
    const read = openDatabase(server.file, { isReadOnly: true });
    const file = Array.from(read.database.tables.values(), ({ rows }) => [...rows.keys()].sort());
    read.close();
    return { before, after, file };
  } finally {
    await server.stop();
  }
}

describe.skipIf(skip !== null)('log records', () => {
  let dir: string;
  let tools: ToolDifferential;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'records-'));
    tools = new ToolDifferential({ ours: dir, stock: dir });
  });
  afterAll(async () => {
    await tools.close();
    rmSync(dir, { recursive: true });
  });

  /** Rows in one order, without what ours warns of. */
  const plain = ({ status, stdout, stderr }: ToolOutcome): ToolOutcome => ({
    status,
    stdout: stdout.startsWith('[') ? formatJson(canonical(parseJson(stdout)), true) : stdout,
    stderr: stderr.replaceAll(/^.*\|ovsdb_file\|WARN\|.* is left out: .*\n/gm, ''),
  });
  const sameOfTools = async (bytes: Uint8Array): Promise<void> => {
    const file = join(dir, 'a.db');
    for (const line of [
      'ovsdb-tool db-name a.db',
      'ovsdb-tool db-cksum a.db',
      'ovsdb-tool db-is-standalone a.db',
      'ovsdb-tool db-cid a.db',
      'ovsdb-tool show-log a.db',
      'ovsdb-tool -m show-log a.db',
      'ovsdb-tool -mm show-log a.db',
      `ovsdb-tool query a.db '${query}'`,
      `ovsdb-tool transact a.db '["D",{"op":"comment","comment":"x"},{"op":"abort"}]'`,
      'ovsdb-tool compact a.db b.db',
    ]) {
      const outcomes: ToolOutcome[] = [];
      for (const side of ['ours', 'stock'] as const) {
        writeFileSync(file, bytes);
        outcomes.push(plain(await tools[side](line)));
      }
      expect.soft(outcomes[0], line).toEqual(outcomes[1]);
    }
  };

  it.each(
    Object.entries(logFiles).flatMap(([kind, files]) =>
      Object.entries(files).map(([what, bytes]) => [kind, what, bytes] as const),
    ),
  )('%s: %s, to the tools', async (_, __, bytes) => await sameOfTools(bytes));

  it.each(
    (['sensible', 'impossible', 'damaged', 'tolerated'] as const).flatMap((kind) =>
      Object.entries(logFiles[kind]).map(([what, bytes]) => [kind, what, bytes] as const),
    ),
  )('%s: %s, to the servers', async (_, __, bytes) => {
    const file = join(dir, 'c.db');
    writeFileSync(file, bytes);
    const ours = await served(startOurs, file);
    expect(ours).toEqual(await served(startStock, file));
  });

  it.each(Object.entries(logFiles.senseless))('senseless: %s, is kept', (_, bytes) => {
    const file = join(dir, 'd.db');
    writeFileSync(file, bytes);
    expect(() => openDatabase(file)).toThrow(/; this is the transaction at offset \d+, which is undamaged/);
    expect(() => openDatabase(file)).toThrow(/truncate -s \d+/);
  });
});
