import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../util/random.ts';
import { schemaFromJson } from '../schema.ts';
import { Database } from './database.ts';
import type { RowChange } from './database.ts';
import { Row } from './row.ts';
import { TransactionHistory } from './history.ts';

const schema = schemaFromJson({ name: 'D', tables: { T: { columns: { n: { type: 'integer' } } } } });
const table = new Database(schema).table('T');
const row = (uuid: string, n: number): Row =>
  Row.create(uuid, table.layout, new Map([['n', { keys: [n], values: null }]]));

describe('the history of a database', () => {
  it('tells what happened since any transaction that it still has', () => {
    const step = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.boolean()), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const history = new TransactionHistory(new SeededRandom(1));
        const rows = new Map<string, Row>();
        const past = [{ id: history.latestId, rows: new Map(rows) }];
        let n = 0;
        for (const writes of steps) {
          const changes = new Map<string, RowChange>();
          for (const [uuid, isPresent] of writes) {
            const old = past.at(-1)?.rows.get(uuid);
            const fresh = isPresent ? row(uuid, n++) : undefined;
            if (old !== undefined || fresh !== undefined) changes.set(uuid, { table, uuid, old, new: fresh });
            else changes.delete(uuid);
            if (fresh === undefined) rows.delete(uuid);
            else rows.set(uuid, fresh);
          }
          history.add([...changes.values()], 4);
          past.push({ id: history.latestId, rows: new Map(rows) });
        }
        for (const { id, rows: then } of past) {
          const changes = history.since(id);
          expect(changes).not.toBeNull();
          const replayed = new Map(then);
          for (const { uuid, old, new: fresh } of changes ?? []) {
            expect(replayed.get(uuid)).toBe(old);
            if (fresh === undefined) replayed.delete(uuid);
            else replayed.set(uuid, fresh);
          }
          expect(replayed).toEqual(rows);
        }
      }),
    );
  });
  it('keeps 100 transactions and knows no others', () => {
    const history = new TransactionHistory(new SeededRandom(1));
    const ids = [history.latestId];
    for (let i = 0; i < 150; i++) {
      history.add([{ table, uuid: 'a', old: undefined, new: row('a', i) }], 1);
      ids.push(history.latestId);
    }
    expect(ids.map((id) => history.since(id) !== null).lastIndexOf(false)).toBe(49);
    expect(history.since(ids[150] ?? '')).toEqual([]);
    expect(new TransactionHistory(new SeededRandom(2)).since(ids[150] ?? '')).toBeNull();
    expect(history.since('00000000-0000-0000-0000-000000000000')).toBeNull();
  });
  it('gives up old transactions that are larger than the database', () => {
    const history = new TransactionHistory(new SeededRandom(1));
    const first = history.latestId;
    const many = Array.from({ length: 200 }, (_, i) => ({
      table,
      uuid: String(i),
      old: undefined,
      new: row(String(i), i),
    }));
    history.add(many, 200);
    expect(history.since(first)).toHaveLength(200);
    history.add(many, 200);
    expect(history.since(first)).toBeNull();
  });
});
