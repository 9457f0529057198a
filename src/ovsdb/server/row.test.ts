import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { datumEquals, defaultDatum, emptyDatum } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { SeededRandom } from '../../util/random.ts';
import { schemaFromJson } from '../schema.ts';
import { NumberedUuids } from './numbered-uuids.ts';
import { Row } from './row.ts';
import { RowLayout } from './row-layout.ts';

const columnCount = 12;
const columns = Object.fromEntries(
  Array.from({ length: columnCount }, (_, i) => [
    `c${i}`,
    {
      type: [
        'integer',
        { key: 'string', min: 0, max: 3 },
        { key: 'string', value: 'integer', min: 0, max: 3 },
      ][i % 3],
    },
  ]),
);
const schema = schemaFromJson({ name: 'Test', tables: { T: { columns } } } as never).tables.get('T');

/** Contents that are often the default, and maps that often have the same keys. */
const datum = (at: number): fc.Arbitrary<Datum> =>
  at % 3 === 0
    ? fc.integer({ min: 0, max: 2 }).map((n) => ({ keys: [n], values: null }))
    : at % 3 === 1
      ? fc.subarray(['a', 'b', 'c']).map((keys) => ({ keys, values: null }))
      : fc
          .subarray(['a', 'b', 'c'])
          .chain((keys) =>
            fc
              .array(fc.integer({ min: 0, max: 2 }), { minLength: keys.length, maxLength: keys.length })
              .map((values) => ({ keys, values })),
          );
const change = fc
  .uniqueArray(fc.integer({ min: 0, max: columnCount - 1 }), { maxLength: 4 })
  .chain((positions) =>
    fc.tuple(...positions.map((at) => datum(at).map((d): [string, Datum] => [`c${at}`, d]))),
  );

describe('rows', () => {
  it('have what was put in, whatever cells their shapes give them', () => {
    if (schema === undefined) throw new Error('no table');
    const layout = new RowLayout(schema, new NumberedUuids(new SeededRandom(1)));
    const types = new Map([...schema.columns].filter(([name]) => name.startsWith('c')));
    const wanted = (model: ReadonlyMap<string, Datum>, name: string): Datum => {
      const type = types.get(name)?.type;
      if (type === undefined) throw new Error(name);
      return model.get(name) ?? defaultDatum(type);
    };
    const rows: { row: Row; model: ReadonlyMap<string, Datum> }[] = [];
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        let row = Row.create('u', layout, new Map());
        let model: ReadonlyMap<string, Datum> = new Map();
        for (const entries of changes) {
          row = row.with(new Map(entries));
          model = new Map([...model, ...entries]);
          for (const [name, { type }] of types) {
            const expected = wanted(model, name);
            expect(row.get(name)).toEqual(expected.keys.length === 0 ? emptyDatum(type) : expected);
            expect(row.hasDefault(name)).toBe(datumEquals(expected, defaultDatum(type)));
          }
        }
        rows.push({ row, model });
        const other = rows[Math.floor(rows.length / 2)];
        if (other === undefined) return;
        const same = [...types.keys()].map((name) =>
          datumEquals(wanted(model, name), wanted(other.model, name)),
        );
        expect([...types.keys()].map((name) => row.hasSame(name, other.row))).toEqual(same);
        expect(row.equals(other.row)).toBe(same.every(Boolean));
      }),
      { numRuns: 1500 },
    );
  });
  it('of many different columns share the shape with all of them in the end', () => {
    if (schema === undefined) throw new Error('no table');
    const layout = new RowLayout(schema, new NumberedUuids(new SeededRandom(1)));
    for (let bits = 0; bits < 1 << columnCount; bits++) {
      layout.shapeOf([...Array(columnCount).keys()].filter((i) => (bits >> i) & 1));
    }
    const all = layout.shapeOf([...Array(columnCount).keys()]);
    expect(layout.shapeOf([1, 3, 5, 7, 9, 11])).toBe(all);
    expect(layout.shapeOf([0])).not.toBe(all);
  });
});
