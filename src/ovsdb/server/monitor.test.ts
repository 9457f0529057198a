import { describe, expect, it } from 'vitest';
import { isJsonObject } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { datumFromKeys } from '../data/datum.ts';
import { schemaFromJson } from '../schema.ts';
import { Database } from './database.ts';
import { Monitor } from './monitor.ts';
import { Transaction } from './transaction.ts';

const columns = Array.from({ length: 9 }, (_, i) => `c${i}`);
const schema = schemaFromJson({
  name: 'Test',
  tables: Object.fromEntries(
    ['A', 'B', 'C'].map((name) => [
      name,
      { isRoot: true, columns: Object.fromEntries(columns.map((c) => [c, { type: 'integer' }])) },
    ]),
  ),
});

/** Tables whose rows have 1 to 9 in `c0`; each row's uuid ends in that. */
function database(): Database {
  const filled = new Database(schema);
  const transaction = new Transaction(filled);
  for (const table of filled.tables.values()) {
    for (let n = 1; n <= 9; n++) {
      const uuid = `00000000-0000-4000-8000-00000000000${n}`;
      transaction.insert(table, uuid, new Map([['c0', datumFromKeys([n])]]));
    }
  }
  transaction.check();
  filled.apply(transaction.changes());
  return filled;
}

/** Which rows a monitor sees that asks for column `ci` where `c0` is i + 1, `counts` times for each table. */
function seen(counts: Readonly<Record<string, number>>): Record<string, string[]> {
  const requests: Record<string, Json> = {};
  for (const [table, count] of Object.entries(counts)) {
    requests[table] = columns
      .slice(0, count)
      .map((column, i): Json => ({ columns: [column], where: [['c0', '==', i + 1]] }));
  }
  const initial = new Monitor(database(), 'm', requests, 2).initial();
  return Object.fromEntries(
    Object.entries(initial).map(([table, rows]) => [
      table,
      isJsonObject(rows) ? Object.keys(rows).map((uuid) => uuid.slice(-1)) : [],
    ]),
  );
}

describe('several requests of a monitor for a table', () => {
  // As the stock server, whose table of requests grows at 2 and at 8.
  it.each([
    [{ A: 1 }, { A: ['1'] }],
    [{ A: 2 }, { A: ['1'] }],
    [{ A: 3 }, { A: ['3'] }],
    [{ A: 7 }, { A: ['7'] }],
    [{ A: 8 }, { A: ['2'] }],
    [{ A: 9 }, { A: ['9'] }],
    [
      { A: 2, B: 1 },
      { A: ['2'], B: ['1'] },
    ],
    [
      { A: 3, B: 3, C: 3 },
      { A: ['3'], B: ['1'], C: ['2'] },
    ],
    [
      { A: 5, B: 4 },
      { A: ['5'], B: ['2'] },
    ],
  ])('%j: the conditions of %j count', (counts, rows) => {
    expect(seen(counts)).toEqual(rows);
  });

  it('complains of the first fault, the columns of a request before its condition', () => {
    const where = [['c0', '==', 'x']];
    const monitor = (request: Json): Monitor => new Monitor(database(), 'm', { A: [request] }, 2);
    expect(() => monitor({ columns: ['c0', 'c0', 'nothere'], where })).toThrow(
      'column c0 mentioned more than once',
    );
    expect(() => monitor({ columns: ['c0'], where })).toThrow('expected integer');
  });
});
