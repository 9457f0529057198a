import { hash } from 'node:crypto';
import type { Json } from '../../src/stream/index.ts';

/** Database files whose last record is odd, or damaged. */
export const logSchema: Json = {
  name: 'D',
  version: '1.0.0',
  tables: {
    R: {
      isRoot: true,
      maxRows: 3,
      indexes: [['n']],
      columns: {
        name: { type: 'string' },
        n: { type: { key: { type: 'integer', minInteger: 0, maxInteger: 10 } } },
        few: { type: { key: 'integer', min: 0, max: 2 } },
        kids: { type: { key: { type: 'uuid', refTable: 'K' }, min: 0, max: 'unlimited' } },
        weak: { type: { key: { type: 'uuid', refTable: 'K', refType: 'weak' }, min: 0, max: 'unlimited' } },
        fleeting: { type: 'string', ephemeral: true },
        map: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
    K: { columns: { label: { type: 'string' } } },
  },
};

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const ref = (n: number): Json => ['uuid', uuid(n)];
const row = (n: number, columns: Json): Json => ({ R: { [uuid(n)]: columns } });

function record(body: string | Uint8Array): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`OVSDB JSON ${bytes.length} ${hash('sha1', bytes)}\n`), bytes]);
}
const jsonRecord = (json: Json): Buffer => record(`${JSON.stringify(json)}\n`);

const head = Buffer.concat([
  jsonRecord(logSchema),
  jsonRecord({
    R: { [uuid(1)]: { name: 'a', n: 1, kids: ref(11) } },
    K: { [uuid(11)]: { label: 'x' } },
    _date: 1_700_000_000_000,
    _comment: 'c',
  }),
]);

/** Records that make sense to both sides, by what is odd about them. */
const sensible: Readonly<Record<string, readonly Json[]>> = {
  nothing: [{}],
  'a comment alone': [{ _comment: 'c' }],
  'a date in seconds': [{ _date: 1_700_000_000 }],
  'a date before 1970': [{ _date: -5 }],
  'no rows': [{ R: {} }],
  'a comment that is no text': [{ _comment: 5 }],
  'an ephemeral column': [row(5, { n: 2, fleeting: 'here' })],
  'a difference of a map': [
    { ...(row(1, { map: ['map', [['a', 'b']]] }) as object), _is_diff: true },
    { ...(row(1, { map: ['map', [['a', 'c'], ['d', 'e']]] }) as object), _is_diff: true }, // prettier-ignore
  ],
  'a uuid in capitals': [{ R: { 'ABCDEF00-0000-4000-8000-000000000001': { n: 2 } } }],
  'a name to be quoted': [row(5, { n: 2, name: 'a"b\n' })],
  'a weak reference to nothing': [row(5, { n: 2, weak: ref(77) })],
  'a row that nothing refers to': [{ K: { [uuid(12)]: { label: 'o' } } }],
  'a row that loses its owner': [row(1, { kids: ['set', []] })],
  'a weak reference to a row that is collected': [
    row(5, { n: 2, weak: ref(11) }),
    { R: { [uuid(1)]: null } },
  ],
};

/** Transactions that cannot have been committed: left out. */
const impossible: Readonly<Record<string, readonly Json[]>> = {
  'an index value twice': [row(5, { n: 1 })],
  'too many rows': [{ R: Object.fromEntries([2, 3, 4].map((n) => [uuid(n), { n }])) }],
  'a reference to nothing': [row(5, { n: 2, kids: ref(77) })],
  'a row deleted that is referred to': [{ K: { [uuid(11)]: null } }],
};

/** The stock server begins without such a record and all that follows, ours does not begin. */
const senseless: Readonly<Record<string, readonly Json[]>> = {
  'an unknown table': [{ X: { [uuid(5)]: {} } }],
  'an unknown column': [row(5, { zz: 1, n: 5 })],
  'a hidden table': [{ _foo: { a: 1 } }],
  'a date that is no number': [{ _date: 'x' }],
  'a difference that is neither': [{ _is_diff: 'x' }],
  'a value out of range': [row(5, { n: 11 })],
  'a difference out of range': [{ ...(row(1, { n: 11 }) as object), _is_diff: true }],
  'a value of another type': [row(5, { n: 'x' })],
  'too many elements': [row(5, { n: 2, few: ['set', [1, 2, 3]] })],
  'an element twice': [row(5, { n: 2, few: ['set', [1, 1]] })],
  'a row that is gone': [{ R: { [uuid(55)]: null } }],
  'no uuid': [{ R: { xx: { n: 2 } } }],
  'no row': [{ R: { [uuid(5)]: 3 } }],
  'no rows at all': [{ R: 3 }],
};

/** Records that are no transactions. */
const damaged: Readonly<Record<string, Uint8Array>> = {
  'half a surrogate pair': record(`{"R":{"${uuid(5)}":{"n":2,"name":"\\ud800"}}}\n`),
  'a null character': record(`{"R":{"${uuid(5)}":{"n":2,"name":"a\\u0000"}}}\n`),
  'two values': record('{} {}\n'),
  'half a value': record('{"R":\n'),
  'an array': record('[]\n'),
  'a number': record('5\n'),
  'no body': record(''),
  'a byte order mark': record('\ufeff{}\n'),
  'half a header': Buffer.from('OVSDB JSON 12 a6f755'),
  'half a body': jsonRecord(row(5, { n: 5 })).subarray(0, -5),
  'another hash': Buffer.from(`OVSDB JSON 3 ${'0'.repeat(40)}\n{}\n`),
  'a length beyond the file': Buffer.from(`OVSDB JSON 4294967296 ${'0'.repeat(40)}\n{}\n`),
  'a length beyond 64 bits': Buffer.from(`OVSDB JSON 99999999999999999999 ${'0'.repeat(40)}\n{}\n`),
  'an unknown word': Buffer.from(jsonRecord({}).toString().replace('JSON', 'KSON')),
  'the word of clusters': Buffer.from(jsonRecord({}).toString().replace('JSON', 'CLUSTER')),
  garbage: Buffer.from('garbage'),
  'an empty line': Buffer.from('\n'),
};

/** Headers that are written otherwise than by any server. */
const tolerated: Readonly<Record<string, Uint8Array>> = {
  'a sign': Buffer.from(
    jsonRecord(row(5, { n: 5 }))
      .toString()
      .replace('JSON ', 'JSON +'),
  ),
  'a space more': Buffer.from(
    jsonRecord(row(5, { n: 5 }))
      .toString()
      .replace('JSON ', 'JSON  '),
  ),
  zeros: Buffer.from(
    jsonRecord(row(5, { n: 5 }))
      .toString()
      .replace('JSON ', 'JSON 000'),
  ),
  'a line that ends as in DOS': record('{}\r\n'),
  'no newline': record('{}'),
};

/** The first record damaged. */
const beheaded: Readonly<Record<string, Uint8Array>> = {
  'an empty file': Buffer.alloc(0),
  'half a schema': head.subarray(0, 80),
  'half a header of the schema': head.subarray(0, 30),
  'a damaged schema': Buffer.from(head.toString('latin1').replace('maxRows', 'MaxRows'), 'latin1'),
  'an unknown word': Buffer.from(head.toString('latin1').replace('JSON', 'KSON'), 'latin1'),
  'another file': Buffer.from('#!/bin/sh\n'),
};

const whole = (cases: Readonly<Record<string, readonly Json[]>>): Record<string, Uint8Array> =>
  Object.fromEntries(
    Object.entries(cases).map(([what, records]) => [what, Buffer.concat([head, ...records.map(jsonRecord)])]),
  );
const tailed = (cases: Readonly<Record<string, Uint8Array>>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(cases).map(([what, tail]) => [what, Buffer.concat([head, tail])]));

export const logFiles = {
  sensible: whole(sensible),
  impossible: whole(impossible),
  senseless: whole(senseless),
  damaged: tailed(damaged),
  tolerated: tailed(tolerated),
  beheaded,
};
