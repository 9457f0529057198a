import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Atom } from './atom.ts';
import { formatReal } from '../../stream/json.ts';
import { atomToJson, isBareString } from './atom.ts';
import {
  applyDiff,
  datumDiff,
  datumEquals,
  datumFromEntries,
  datumFromJson,
  datumFromKeys,
  datumSubtract,
  datumToJson,
  datumUnion,
} from './datum.ts';
import { datumFromText, formatDatum, formatDatumBare } from './text.ts';
import { columnTypeFromJson, columnTypeToJson } from './type.ts';
import type { ColumnType } from './type.ts';

const type = (json: Parameters<typeof columnTypeFromJson>[0]): ColumnType => columnTypeFromJson(json);
const strings = type({ key: 'string', min: 0, max: 'unlimited' });
const integers = type({ key: 'integer', min: 0, max: 5000 });
const map = type({ key: 'string', value: 'string', min: 0, max: 'unlimited' });
const optional = type({ key: 'string', min: 0 });

const text = fc.string({ unit: 'grapheme', maxLength: 6 });
const setOf = (atom: fc.Arbitrary<Atom>) => fc.array(atom, { maxLength: 6 }).map(datumFromKeys);
const mapDatum = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), text), { maxLength: 6 })
  .map((e) => datumFromEntries(e, true));

describe('differences', () => {
  it('turn one datum into the other', () => {
    fc.assert(
      fc.property(
        setOf(fc.constantFrom('a', 'b', 'c', 'd')),
        setOf(fc.constantFrom('a', 'b', 'c', 'd')),
        (a, b) => {
          expect(applyDiff(strings, a, datumDiff(strings, a, b))).toEqual(b);
        },
      ),
    );
    fc.assert(
      fc.property(mapDatum, mapDatum, (a, b) => {
        expect(applyDiff(map, a, datumDiff(map, a, b))).toEqual(b);
      }),
    );
  });
  it('replace what holds at most one', () => {
    const [a, b] = [datumFromKeys(['x']), datumFromKeys(['y'])];
    expect(datumDiff(optional, a, b)).toEqual(b);
    expect(applyDiff(optional, a, datumFromKeys([]))).toEqual(datumFromKeys([]));
  });
});

describe('union and difference', () => {
  it('keep what was there', () => {
    fc.assert(
      fc.property(mapDatum, mapDatum, (a, b) => {
        const union = datumUnion(a, b);
        expect(a.keys.every((k, i) => union.values?.[union.keys.indexOf(k)] === a.values?.[i])).toBe(true);
        expect(datumSubtract(union, union).keys).toEqual([]);
        expect(datumSubtract(a, { keys: b.keys, values: null }).keys.some((k) => b.keys.includes(k))).toBe(
          false,
        );
      }),
    );
  });
});

describe('JSON and text forms', () => {
  it('read back', () => {
    fc.assert(
      fc.property(setOf(text), mapDatum, setOf(fc.integer()), (set, pairs, numbers) => {
        for (const [t, datum] of [
          [strings, set],
          [map, pairs],
          [integers, numbers],
        ] as const) {
          expect(datumEquals(datumFromJson(t, datumToJson(t, datum)), datum)).toBe(true);
          expect(datumEquals(datumFromText(t, formatDatum(t, datum)), datum)).toBe(true);
        }
      }),
    );
  });
  it.each([
    [strings, ['a'], '[a]'],
    [optional, ['a'], 'a'],
    [optional, [], '[]'],
    [
      strings,
      ['a b', 'true', '1x', '_x', 'a.b-c', '', 'tcp:1'],
      '["", "1x", _x, "a b", a.b-c, "tcp:1", "true"]',
    ],
  ])('%# prints as OVS', (t, keys, wanted) => {
    expect(formatDatum(t, datumFromKeys(keys))).toBe(wanted);
  });
  it('prints maps, and bare', () => {
    const datum = datumFromEntries(
      [
        ['k', 'v w'],
        ['a', 'b'],
      ],
      true,
    );
    expect(formatDatum(map, datum)).toBe('{a=b, k="v w"}');
    expect(formatDatumBare(map, datum)).toBe('a=b k=v w');
  });
  it('reads ranges of integers', () => {
    expect(datumFromText(integers, '1-3,7').keys).toEqual([1, 2, 3, 7]);
    expect(() => datumFromText(integers, '3-1')).toThrow('is not a valid range');
  });
  it('refuses duplicates and wrong counts', () => {
    expect(() => datumFromJson(strings, ['set', ['a', 'a']])).toThrow('set contains duplicate');
    expect(() => datumFromJson(type('string'), ['set', []])).toThrow(
      'set must have exactly one member but 0 are present',
    );
    expect(() => datumFromJson(optional, ['set', ['a', 'b']])).toThrow(
      'set must have 0 to 1 members but 2 are present',
    );
  });
  it('prints reals as C does', () => {
    expect([0, -0, 1, -1.5, 0.1, 1e100, 1e15, 123456789012345680, 1e-5, 0.0001].map(formatReal)).toEqual([
      '0',
      '-0',
      '1',
      '-1.5',
      '0.1',
      '1e+100',
      '1e+15',
      '1.23456789012346e+17',
      '1e-05',
      '0.0001',
    ]);
  });
  it('rounds reals to even digits where two are as close', () => {
    const ties = [
      1000000000000005, 1000000000000015, 1000000000000025, -1000000000000005, 100000000000000.5,
      12345678901234.25,
    ];
    expect(ties.map(formatReal)).toEqual([
      '1e+15',
      '1.00000000000002e+15',
      '1.00000000000002e+15',
      '-1e+15',
      '100000000000000',
      '12345678901234.2',
    ]);
    expect(atomToJson('real', 1000000000000005)).toBe(1e15);
  });
  it('quotes what would read as something else', () => {
    expect(
      ['a', 'true', 'falsehood', '1', '-', 'a1', '550e8400-e29b-41d4-a716-446655440000'].map(isBareString),
    ).toEqual([true, false, true, false, false, true, false]);
  });
});

describe('types', () => {
  it.each([
    'string',
    { key: { type: 'integer', minInteger: 1, maxInteger: 4095 }, min: 0 },
    { key: { type: 'string', enum: ['set', ['a', 'b']] }, min: 0, max: 'unlimited' },
    { key: 'string', value: { type: 'uuid', refTable: 'T', refType: 'weak' }, min: 0, max: 3 },
  ])('%j reads back', (json) => {
    expect(columnTypeToJson(columnTypeFromJson(json))).toEqual(json);
  });
  it.each([
    ['nope', 'is not an atomic-type'],
    [{ key: 'string', min: 2 }, 'ovsdb type fails constraint checks'],
    [{ key: { type: 'integer', minInteger: 5, maxInteger: 4 } }, 'minInteger exceeds maxInteger'],
    [{ key: { type: 'boolean', minInteger: 5 } }, 'is present but not allowed here'],
  ])('%j is refused', (json, message) => {
    expect(() => columnTypeFromJson(json)).toThrow(message);
  });
});
