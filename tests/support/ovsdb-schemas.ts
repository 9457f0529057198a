import type { Json } from '../../src/stream/index.ts';
import type { AtomicType } from '../../src/ovsdb/data/atom.ts';
import { SeededRandom } from '../../src/util/random.ts';

/** Choices of a generator, all from one seed. */
export class Dice {
  readonly #random: SeededRandom;
  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }
  /** 0 <= result < n */
  below(n: number): number {
    return this.#random.u32() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, make);
  }
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.below(0x10000) }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

export interface BaseModel {
  readonly type: AtomicType;
  readonly enum: readonly Json[] | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly refTable: string | null;
  readonly isWeak: boolean;
}

export interface ColumnModel {
  readonly name: string;
  readonly key: BaseModel;
  readonly value: BaseModel | null;
  readonly min: 0 | 1;
  readonly max: number;
  readonly isMutable: boolean;
  readonly isEphemeral: boolean;
}

export interface TableModel {
  readonly name: string;
  readonly columns: readonly ColumnModel[];
  readonly maxRows: number | null;
  readonly isRoot: boolean;
  readonly indexes: readonly (readonly string[])[];
}

/** A random schema of small tables with every kind of type and constraint. */
export interface SchemaModel {
  readonly tables: readonly TableModel[];
}

export const atomsOf: Readonly<Record<Exclude<AtomicType, 'uuid'>, readonly Json[]>> = {
  string: ['', 'a', 'b', 'c', 'ab', 'abcd', 'true', 'x y', 'é"\\', '1', '\u{1f600}'],
  integer: [
    -3,
    -1,
    0,
    1,
    2,
    3,
    4,
    7,
    10,
    12,
    2 ** 31,
    2 ** 53 - 1,
    9007199254740993n,
    2n ** 63n - 1n,
    // The stock server wraps, fails or dies of arithmetic with numbers close to -2**63.
    -9007199254740993n,
  ],
  real: [-1.25, 0, 0.1, 0.5, 1, 2, 2.5, 3, 10, 1e15, 1e16, 123456.789, 1e-7, 1.5e300, -1.5e300, 1 / 3],
  boolean: [true, false],
};

export const atomicTypes: readonly AtomicType[] = [
  'string',
  'string',
  'integer',
  'integer',
  'real',
  'boolean',
  'uuid',
];

/** A random type of atoms. */
export function randomBase(dice: Dice, tables: readonly string[], type: AtomicType): BaseModel {
  const plain: BaseModel = { type, enum: null, min: null, max: null, refTable: null, isWeak: false };
  if (type === 'uuid')
    return dice.chance(80) ? { ...plain, refTable: dice.pick(tables), isWeak: dice.chance(50) } : plain;
  if (dice.chance(12)) {
    const values = dice.shuffled(atomsOf[type].filter((a) => typeof a !== 'bigint' && a !== 1 / 3));
    return { ...plain, enum: values.slice(0, 1 + dice.below(Math.min(4, values.length))) };
  }
  if (type === 'boolean' || !dice.chance(25)) return plain;
  const low = type === 'string' ? dice.below(2) : dice.below(4) - 3;
  const high = low + dice.below(type === 'string' ? 4 : 12);
  const which = dice.below(3);
  const real = type === 'real' ? 0.5 : 0;
  return { ...plain, min: which === 1 ? null : low + real, max: which === 2 ? null : high + real };
}

function isReference(model: BaseModel | null): boolean {
  return model !== null && model.refTable !== null;
}

export function randomColumn(dice: Dice, tables: readonly string[], name: string): ColumnModel {
  const key = randomBase(dice, tables, dice.pick(atomicTypes));
  const any = dice.chance(25) ? randomBase(dice, tables, dice.pick(atomicTypes)) : null;
  // The stock server goes on counting a strong reference that went with a weak one.
  const isMixed = isReference(key) && isReference(any) && any?.isWeak !== key.isWeak;
  const value = isMixed && any !== null ? { ...any, refTable: null, isWeak: false } : any;
  const isScalar = value === null && dice.chance(45);
  return {
    name,
    key,
    value,
    min: isScalar || dice.chance(20) ? 1 : 0,
    max: isScalar ? 1 : dice.pick([1, 1, 2, 3, 4, Infinity, Infinity]),
    isMutable: !dice.chance(8),
    // A reference that may not be empty and is not in the file makes the file unreadable.
    isEphemeral: dice.chance(8) && !isReference(key) && !isReference(value),
  };
}

export const columnNames = [
  'name',
  'other_config',
  'n',
  'a',
  'b',
  'ports',
  'zeta',
  'external_ids',
  'up',
  'k9',
];

export function randomSchema(dice: Dice): SchemaModel {
  const names = ['Root', 'Port', 'Leaf', 'Log'].slice(0, 1 + dice.below(4));
  return {
    tables: names.map((name, i) => {
      const columns = dice
        .shuffled(columnNames)
        .slice(0, 1 + dice.below(6))
        .map((columnName) => randomColumn(dice, names, columnName));
      const indexable = columns.filter((c) => !c.isEphemeral);
      const hasIndex = indexable.length > 0 && dice.chance(35);
      return {
        name,
        columns,
        maxRows: dice.chance(15) ? 1 + dice.below(4) : null,
        isRoot: i === 0 || dice.chance(40),
        indexes: hasIndex
          ? Array.from({ length: 1 + dice.below(2) }, () =>
              dice
                .shuffled(indexable)
                .slice(0, 1 + dice.below(2))
                .map((c) => c.name),
            )
          : [],
      };
    }),
  };
}

const boundNames = {
  integer: ['minInteger', 'maxInteger'],
  real: ['minReal', 'maxReal'],
  string: ['minLength', 'maxLength'],
} as const;

function baseJson(model: BaseModel): Json {
  const json: Record<string, Json> = { type: model.type };
  if (model.enum !== null) json['enum'] = ['set', model.enum];
  if (model.type !== 'uuid' && model.type !== 'boolean') {
    const [min, max] = boundNames[model.type];
    if (model.min !== null) json[min] = model.min;
    if (model.max !== null) json[max] = model.max;
  }
  if (model.refTable !== null) {
    json['refTable'] = model.refTable;
    if (model.isWeak) json['refType'] = 'weak';
  }
  return json;
}

export function schemaJson(schema: SchemaModel, version = '1.2.3'): Json {
  const tables: Record<string, Json> = {};
  for (const table of schema.tables) {
    const columns: Record<string, Json> = {};
    for (const c of table.columns) {
      columns[c.name] = {
        type: {
          key: baseJson(c.key),
          ...(c.value === null ? {} : { value: baseJson(c.value) }),
          min: c.min,
          max: c.max === Infinity ? 'unlimited' : c.max,
        },
        ...(c.isMutable ? {} : { mutable: false }),
        ...(c.isEphemeral ? { ephemeral: true } : {}),
      };
    }
    tables[table.name] = {
      columns,
      isRoot: table.isRoot,
      ...(table.maxRows === null ? {} : { maxRows: table.maxRows }),
      ...(table.indexes.length === 0 ? {} : { indexes: table.indexes }),
    };
  }
  return { name: 'Test', version, tables };
}
