import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { datumFromKeys } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { schemaFromJson } from '../schema.ts';
import type { Json } from '../../stream/index.ts';
import { createDatabase, openDatabase } from './storage.ts';
import type { OpenDatabase } from './storage.ts';
import { Transaction } from './transaction.ts';

const schemaJson = (extra: Record<string, Json> = {}): Json => ({
  name: 'D',
  tables: {
    T: {
      columns: {
        name: { type: 'string' },
        few: { type: { key: 'integer', min: 0, max: 3 } },
        many: { type: { key: 'string', min: 0, max: 'unlimited' } },
        ...extra,
      },
    },
  },
});

function commit(storage: OpenDatabase, uuid: string, columns: Readonly<Record<string, Datum>>): void {
  const { database } = storage;
  const table = database.table('T');
  const transaction = new Transaction(database);
  const row = transaction.row(table, uuid);
  const datums = new Map(Object.entries(columns));
  if (row === undefined) transaction.insert(table, uuid, datums);
  else transaction.update(table, row, datums);
  transaction.check();
  const changes = transaction.changes();
  storage.append(changes, '', 0);
  database.apply(changes);
}

const uuidOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const word = (text: string): Datum => ({ keys: [text], values: null });

function contents(storage: OpenDatabase): Map<string, readonly Datum[]> {
  const rows = [...storage.database.table('T').rows.values()].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
  return new Map(rows.map((row) => [row.uuid, ['name', 'few', 'many'].map((name) => row.get(name))]));
}

describe('a database file', () => {
  let dir: string;
  let file: string;
  const opened: OpenDatabase[] = [];
  const open = (isReadOnly = false): OpenDatabase => {
    const storage = openDatabase(file, { isReadOnly });
    opened.push(storage);
    return storage;
  };
  const reopened = (): Map<string, readonly Datum[]> => {
    const storage = openDatabase(file, { isReadOnly: true });
    try {
      return contents(storage);
    } finally {
      storage.close();
    }
  };
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
    file = join(dir, 'd.db');
    createDatabase(file, schemaFromJson(schemaJson()));
  });
  afterEach(() => {
    for (const storage of opened.splice(0)) storage.close();
    rmSync(dir, { recursive: true });
  });

  it('is refused if good records follow a damaged one', () => {
    const storage = openDatabase(file);
    const offsets = [0, 1, 2].map((n) => {
      const offset = statSync(file).size;
      commit(storage, uuidOf(n), { name: word('x'.repeat(50 + n)) });
      return offset;
    });
    storage.close();
    const [, second = 0, third = 0] = offsets;
    const whole = readFileSync(file);
    fc.assert(
      fc.property(fc.integer({ min: second, max: third - 1 }), (at) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ 0x01;
        writeFileSync(file, bytes);
        expect(() => open()).toThrow(
          `the record at offset ${second} is damaged, but good ones follow from offset ${third}.`,
        );
        expect([...reopened().keys()]).toEqual([uuidOf(0)]);
        expect(readFileSync(file)).toEqual(bytes);
      }),
    );
    truncateSync(file, second);
    expect([...contents(open()).keys()]).toEqual([uuidOf(0)]);
  });

  it('loses only what was torn off its end', () => {
    const storage = openDatabase(file);
    const ends = [0, 1, 2].map((n) => {
      commit(storage, uuidOf(n), { name: word(`row ${n}`) });
      return statSync(file).size;
    });
    storage.close();
    const whole = readFileSync(file);
    fc.assert(
      fc.property(
        fc.integer({ min: statSync(file).size - 300, max: whole.length }),
        fc.boolean(),
        (size, hasZeros) => {
          const cut = whole.subarray(0, size);
          writeFileSync(file, hasZeros ? Buffer.concat([cut, new Uint8Array(5000)]) : cut);
          const good = ends.filter((end) => end <= size).length;
          const again = openDatabase(file);
          expect([...contents(again).keys()]).toEqual([0, 1, 2].slice(0, good).map(uuidOf));
          commit(again, uuidOf(9), { name: word('new') });
          again.close();
          expect(reopened().size).toBe(good + 1);
        },
      ),
    );
  });

  it('reads back any change of a bounded set', () => {
    const set = fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), set), { maxLength: 12 }),
        fc.boolean(),
        (writes, hasDiff) => {
          const storage = openDatabase(file);
          storage.hasColumnDiff = hasDiff;
          for (const [n, few] of writes) commit(storage, uuidOf(n), { few: datumFromKeys(few) });
          const wanted = contents(storage);
          storage.close();
          expect(reopened()).toEqual(wanted);
        },
      ),
    );
  });

  it('is compacted while commits go on', async () => {
    const storage = open();
    for (let n = 0; n < 3000; n++)
      commit(storage, uuidOf(n), { name: word(`row ${n}`), many: datumFromKeys(['a', 'b']) });
    const before = statSync(file).size;
    const state = { isDone: false };
    const done = storage.compactOnline('comment', 0).then((isCompacted) => {
      state.isDone = true;
      return isCompacted;
    });
    let commits = 0;
    while (!state.isDone) {
      commit(storage, uuidOf(commits % 4000), { name: word(`commit ${commits}`) });
      if (commits++ % 3 === 0) await storage.sync();
      else await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await done).toBe(true);
    expect(commits).toBeGreaterThan(3);
    commit(storage, uuidOf(5000), { name: word('behind') });
    await storage.sync();
    expect(reopened()).toEqual(contents(storage));
    expect(statSync(file).size).toBeLessThan(before);
    expect(storage.log.sizeBytes).toBe(statSync(file).size);
  });

  it('is converted while it is compacted, which then ends', async () => {
    const storage = open();
    for (let n = 0; n < 100; n++) commit(storage, uuidOf(n), { name: word(`row ${n}`) });
    const compaction = storage.compactOnline('comment', 0);
    const database = storage.convertRunning(
      schemaFromJson(schemaJson({ fresh: { type: 'integer' } })),
      'converted',
      0,
    );
    expect(await compaction).toBe(false);
    expect(storage.database).toBe(database);
    expect(database.table('T').rows.get(uuidOf(7))?.get('fresh').keys).toEqual([0]);
    commit(storage, uuidOf(200), { fresh: { keys: [5], values: null } });
    const again = openDatabase(file, { isReadOnly: true });
    expect(again.database.table('T').rows.get(uuidOf(200))?.get('fresh').keys).toEqual([5]);
    expect(again.database.table('T').rows.size).toBe(101);
    again.close();
  });

  it('stays as it is if it cannot be converted', () => {
    const storage = open();
    commit(storage, uuidOf(1), { name: word('long') });
    const bytes = readFileSync(file);
    const narrow = schemaFromJson(schemaJson({ name: { type: { key: { type: 'string', maxLength: 2 } } } }));
    expect(() => storage.convertRunning(narrow, '', 0)).toThrow(
      '"long" length 4 is greater than maximum allowed length 2',
    );
    expect(readFileSync(file)).toEqual(bytes);
  });
});
