import fc from 'fast-check';
import type { Json } from '../../src/stream/index.ts';

/** A schema that has every kind of type and constraint. */
export const testSchema: Json = {
  name: 'Test',
  version: '1.2.3',
  tables: {
    root: {
      isRoot: true,
      maxRows: 4,
      indexes: [['name'], ['number', 'real']],
      columns: {
        name: { type: 'string' },
        number: { type: 'integer' },
        real: { type: 'real' },
        flag: { type: 'boolean' },
        anyid: { type: 'uuid' },
        fixed: { type: 'string', mutable: false },
        fleeting: { type: 'string', ephemeral: true },
        children: { type: { key: { type: 'uuid', refTable: 'child' }, min: 0, max: 'unlimited' } },
        friends: {
          type: { key: { type: 'uuid', refTable: 'child', refType: 'weak' }, min: 0, max: 'unlimited' },
        },
        favourite: { type: { key: { type: 'uuid', refTable: 'root', refType: 'weak' }, min: 0 } },
        kids: { type: { key: 'string', value: { type: 'uuid', refTable: 'child' }, min: 0, max: 3 } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
    child: {
      columns: {
        name: { type: { key: { type: 'string', minLength: 1, maxLength: 3 }, min: 0 } },
        level: { type: { key: { type: 'integer', minInteger: 0, maxInteger: 9 }, min: 0, max: 4 } },
        ratio: { type: { key: { type: 'real', minReal: -1.5 }, min: 0, max: 1 } },
        kind: { type: { key: { type: 'string', enum: ['set', ['a', 'b', 'c']] } } },
        some: { type: { key: 'integer', min: 1, max: 3 } },
        next: { type: { key: { type: 'uuid', refTable: 'child' }, min: 0, max: 2 } },
      },
    },
    must: {
      isRoot: true,
      columns: {
        target: { type: { key: { type: 'uuid', refTable: 'root', refType: 'weak' }, min: 1, max: 2 } },
      },
    },
  },
};

const uuids = Array.from(
  { length: 8 },
  (_, i) => `${String(i + 1).repeat(8)}-0000-4000-8000-00000000000${i}`,
);
const uuidText = fc.constantFrom(...uuids);
const uuid: fc.Arbitrary<Json> = uuidText.map((u) => ['uuid', u]);
const word = fc.constantFrom('', 'a', 'b', 'c', 'abcd', 'd');
const integer: fc.Arbitrary<Json> = fc.oneof(
  fc.integer({ min: -2, max: 11 }),
  fc.constantFrom<Json>(9007199254740993n, 2n ** 63n - 1n, -(2n ** 63n)),
);
const real: fc.Arbitrary<Json> = fc.constantFrom<Json>(0, 1, -1.25, 2.5, 1e100, 0.1);

const atoms: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  string: word,
  integer,
  real,
  boolean: fc.boolean(),
  uuid,
};
const setOf = (atom: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc.oneof(
    atom,
    fc.array(atom, { maxLength: 4 }).map((items): Json => ['set', items]),
  );
const mapOf = (key: fc.Arbitrary<Json>, value: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc
    .array(fc.tuple(key, value), { maxLength: 4 })
    .map((pairs): Json => ['map', pairs.map(([k, v]): Json => [k, v])]);

const columns: Readonly<Record<string, Readonly<Record<string, fc.Arbitrary<Json>>>>> = {
  root: {
    name: word,
    number: integer,
    real,
    flag: fc.boolean(),
    anyid: uuid,
    fixed: word,
    fleeting: word,
    children: setOf(uuid),
    friends: setOf(uuid),
    favourite: setOf(uuid),
    kids: mapOf(word, uuid),
    ids: mapOf(word, word),
  },
  child: {
    name: setOf(word),
    level: setOf(integer),
    ratio: setOf(real),
    kind: word,
    some: setOf(integer),
    next: setOf(uuid),
  },
  must: { target: setOf(uuid) },
};

/** Now and then something of another type. */
const anyValue = fc.oneof({
  weight: 1,
  arbitrary: fc.oneof(...Object.values(atoms), fc.constant<Json>(null)),
});
const mostly = (value: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc.oneof({ weight: 30, arbitrary: value }, { weight: 1, arbitrary: anyValue });

const tableName = fc.constantFrom('root', 'root', 'child', 'child', 'child', 'must');

function columnOf(table: string): fc.Arbitrary<[string, Json]> {
  const own = Object.entries(columns[table] ?? {});
  return fc
    .constantFrom(...own)
    .chain(([name, value]) => mostly(value).map((json): [string, Json] => [name, json]));
}

function rowOf(table: string): fc.Arbitrary<Json> {
  return fc.array(columnOf(table), { maxLength: 4 }).map((entries): Json => Object.fromEntries(entries));
}

const functionName = fc.constantFrom('==', '!=', '<', '<=', '>', '>=', 'includes', 'excludes');

function whereOf(table: string): fc.Arbitrary<Json> {
  const clause = fc.oneof(
    uuid.map((u): Json => ['_uuid', '==', u]),
    fc.tuple(columnOf(table), functionName).map(([[name, value], fn]): Json => [name, fn, value]),
    fc.boolean(),
  );
  return fc.array(clause, { maxLength: 2 });
}

const mutator = fc.constantFrom('+=', '-=', '*=', '/=', '%=', 'insert', 'insert', 'delete', 'delete');

const operation: fc.Arbitrary<Json> = tableName.chain((table): fc.Arbitrary<Json> => {
  const where = whereOf(table);
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(rowOf(table), uuidText)
        .map(([row, id]): Json => ({ op: 'insert', table, row, uuid: id })),
    },
    { weight: 2, arbitrary: where.map((w): Json => ({ op: 'select', table, where: w })) },
    {
      weight: 4,
      arbitrary: fc
        .tuple(where, rowOf(table))
        .map(([w, row]): Json => ({ op: 'update', table, where: w, row })),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(where, fc.array(fc.tuple(columnOf(table), mutator), { maxLength: 2 }))
        .map(([w, list]): Json => ({
          op: 'mutate',
          table,
          where: w,
          mutations: list.map(([[name, value], m]): Json => [name, m, value]),
        })),
    },
    { weight: 1, arbitrary: where.map((w): Json => ({ op: 'delete', table, where: w })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(where, columnOf(table), fc.constantFrom('==', '!='))
        .map(([w, [name, value], until]): Json => ({
          op: 'wait',
          table,
          where: w,
          columns: [name],
          until,
          rows: [{ [name]: value }],
          timeout: 0,
        })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Json>(
        { op: 'commit', durable: true },
        { op: 'comment', comment: 'x' },
        { op: 'assert', lock: 'l' },
      ),
    },
  );
});

/** A start that most often succeeds, so that later transactions find rows. */
export const transaction: fc.Arbitrary<readonly Json[]> = fc.array(operation, { minLength: 1, maxLength: 4 });
export const transactions: fc.Arbitrary<readonly (readonly Json[])[]> = fc.array(transaction, {
  minLength: 5,
  maxLength: 40,
});
