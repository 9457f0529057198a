import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/tool-batch.ts';
import { environment } from '../support/tool-differential.ts';
import { missing } from '../support/tools.ts';

/** Database files that one side's ovsdb-tool made or changed, read by the other's. */
const skip = missing({ tools: ['ovsdb-tool'] });
const paths = {
  ours: fileURLToPath(new URL('../../bin/ovsdb-tool', import.meta.url)),
  stock: 'ovsdb-tool',
} as const;
type Kind = keyof typeof paths;
const sides: readonly (readonly [writer: Kind, reader: Kind])[] = [
  ['ours', 'stock'],
  ['stock', 'ours'],
];

const schema = (version: string, extra: object): string =>
  JSON.stringify({
    name: 'Files',
    version,
    tables: {
      Top: {
        isRoot: true,
        columns: {
          name: { type: 'string' },
          numbers: { type: { key: 'integer', min: 0, max: 'unlimited' } },
          map: { type: { key: 'string', value: 'real', min: 0, max: 'unlimited' } },
          items: { type: { key: { type: 'uuid', refTable: 'Item' }, min: 0, max: 'unlimited' } },
          ...extra,
        },
      },
      Item: { columns: { label: { type: 'string' } } },
    },
  });

const transactions: readonly (readonly object[])[] = [
  [
    { op: 'insert', table: 'Item', 'uuid-name': 'i', row: { label: 'né\n"x"' } },
    {
      op: 'insert',
      table: 'Top',
      row: {
        name: 'a',
        numbers: ['set', [3, 1, 9007199254740993]],
        map: ['map', [['k', 1.5]]],
        items: ['named-uuid', 'i'],
      },
    },
    { op: 'comment', comment: 'first' },
  ],
  [{ op: 'mutate', table: 'Top', where: [], mutations: [['numbers', 'insert', ['set', [7]]]] }],
  [{ op: 'update', table: 'Top', where: [], row: { map: ['map', [['l', -2]]], name: '' } }],
  [{ op: 'insert', table: 'Top', row: { name: 'b' } }],
  [{ op: 'delete', table: 'Top', where: [['name', '==', 'b']] }],
];
const everything = [
  'Files',
  { op: 'select', table: 'Top', where: [], columns: ['name', 'numbers', 'map'] },
  { op: 'select', table: 'Item', where: [], columns: ['label'] },
];

describe.skipIf(skip !== null)('database files', () => {
  let dir: string;
  const tool = async (kind: Kind, ...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await runProgram(paths[kind], args, {
      env: environment(dir),
      cwd: dir,
    });
    expect({ status, stderr }, `${kind} ${args.join(' ')}`).toEqual({ status: 0, stderr: '' });
    return stdout;
  };
  // The number is beyond what JSON.stringify keeps.
  const json = (value: unknown): string =>
    JSON.stringify(value).replace('9007199254740992', '9007199254740993');

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'files-'));
    writeFileSync(join(dir, 'old.ovsschema'), schema('1.0.0', { gone: { type: 'string' } }));
    writeFileSync(
      join(dir, 'new.ovsschema'),
      schema('1.1.0', { fresh: { type: { key: 'integer', min: 0 } } }),
    );
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it.each(sides)(
    'made, changed, compacted and converted by %s tools are read by %s ones',
    async (writer, reader) => {
      const file = `${writer}.db`;
      await tool(writer, 'create', file, 'old.ovsschema');
      for (const operations of transactions)
        await tool(writer, 'transact', file, json(['Files', ...operations]));
      const contents = await tool(writer, 'query', file, json(everything));
      expect(contents).toContain('9007199254740993');
      expect(await tool(reader, 'query', file, json(everything))).toBe(contents);
      for (const options of [[], ['-m'], ['-mm']]) {
        const args = [...options, 'show-log', file];
        expect(await tool(reader, ...args)).toBe(await tool(writer, ...args));
      }
      await tool(writer, 'compact', file, `${writer}-compact.db`);
      expect(await tool(reader, 'query', `${writer}-compact.db`, json(everything))).toBe(contents);
      await tool(writer, 'compact', file);
      expect(await tool(reader, 'query', file, json(everything))).toBe(contents);
      expect(await tool(reader, 'needs-conversion', file, 'new.ovsschema')).toBe('yes\n');
      await tool(writer, 'convert', file, 'new.ovsschema');
      expect(await tool(reader, 'needs-conversion', file, 'new.ovsschema')).toBe('no\n');
      expect(await tool(reader, 'query', file, json(everything))).toBe(contents);
      // Both sides write to it in turn.
      const next = json(['Files', { op: 'update', table: 'Top', where: [], row: { fresh: 5 } }]);
      await tool(reader, 'transact', file, next);
      const fresh = json(['Files', { op: 'select', table: 'Top', where: [], columns: ['fresh'] }]);
      expect(await tool(writer, 'query', file, fresh)).toBe('[{"rows":[{"fresh":5}]}]\n');
    },
  );

  it('are compacted and converted into the same records by both', async () => {
    await tool('stock', 'create', 'base.db', 'old.ovsschema');
    for (const operations of transactions)
      await tool('stock', 'transact', 'base.db', json(['Files', ...operations]));
    const records = async (kind: Kind, ...args: string[]): Promise<string[]> => {
      await tool(kind, ...args, `${kind}-out.db`);
      const log = await tool('stock', '-mm', 'show-log', `${kind}-out.db`);
      rmSync(join(dir, `${kind}-out.db`));
      return log
        .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?/g, 'TIME')
        .split('\n')
        .sort();
    };
    for (const args of [
      ['compact', 'base.db'],
      ['convert', 'base.db', 'new.ovsschema'],
    ]) {
      expect(await records('ours', ...args)).toEqual(await records('stock', ...args));
    }
    expect(readFileSync(join(dir, 'base.db'), 'utf8')).toContain('first');
  });
});
