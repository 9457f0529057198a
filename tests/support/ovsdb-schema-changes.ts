import { atomicTypes, columnNames, randomBase, randomColumn, randomSchema } from './ovsdb-schemas.ts';
import type { BaseModel, ColumnModel, Dice, SchemaModel, TableModel } from './ovsdb-schemas.ts';

/** One thing about a type of atoms made different. */
function changedBase(dice: Dice, base: BaseModel, tables: readonly string[]): BaseModel {
  switch (dice.below(4)) {
    case 0:
      return { ...base, enum: null, min: null, max: null };
    case 1:
      if (base.type !== 'uuid') return randomBase(dice, tables, base.type);
      return { ...base, isWeak: !base.isWeak };
    case 2:
      if (base.type !== 'uuid') return randomBase(dice, tables, base.type);
      return { ...base, refTable: dice.chance(30) ? null : dice.pick(tables) };
    default:
      return randomBase(dice, tables, dice.chance(50) ? base.type : dice.pick(atomicTypes));
  }
}

function changedColumn(dice: Dice, column: ColumnModel, tables: readonly string[]): ColumnModel {
  switch (dice.below(8)) {
    case 0:
      return { ...column, isMutable: !column.isMutable };
    case 1:
      return { ...column, isEphemeral: !column.isEphemeral };
    case 2:
      return { ...column, min: column.min === 0 ? 1 : 0 };
    case 3:
      return { ...column, max: dice.pick([1, 2, 3, 5, Infinity]) };
    case 4:
      return { ...column, value: column.value === null ? randomBase(dice, tables, 'string') : null };
    case 5:
      return randomColumn(dice, tables, column.name);
    case 6:
      if (column.value !== null) return { ...column, value: changedBase(dice, column.value, tables) };
      return { ...column, key: changedBase(dice, column.key, tables) };
    default:
      return { ...column, key: changedBase(dice, column.key, tables) };
  }
}

function changedTable(dice: Dice, table: TableModel, tables: readonly string[]): TableModel {
  const { columns } = table;
  const at = dice.below(columns.length);
  switch (dice.below(8)) {
    case 0:
      return { ...table, isRoot: !table.isRoot };
    case 1:
      return { ...table, maxRows: dice.chance(40) ? null : 1 + dice.below(6) };
    case 2: {
      const indexable = columns.filter((c) => !c.isEphemeral);
      if (indexable.length === 0 || dice.chance(30)) return { ...table, indexes: [] };
      return {
        ...table,
        indexes: [
          dice
            .shuffled(indexable)
            .slice(0, 1 + dice.below(2))
            .map((c) => c.name),
        ],
      };
    }
    case 3:
      return columns.length === 1 ? table : { ...table, columns: columns.filter((_, i) => i !== at) };
    case 4: {
      const free = columnNames.filter((name) => !columns.some((c) => c.name === name));
      return { ...table, columns: [...columns, randomColumn(dice, tables, dice.pick(free))] };
    }
    default:
      return { ...table, columns: columns.map((c, i) => (i === at ? changedColumn(dice, c, tables) : c)) };
  }
}

/** What names tables, columns or itself must still be there. */
function repaired(schema: SchemaModel): SchemaModel {
  const names = new Set(schema.tables.map((t) => t.name));
  const known = (base: BaseModel): BaseModel =>
    base.refTable === null || names.has(base.refTable) ? base : { ...base, refTable: null, isWeak: false };
  return {
    tables: schema.tables.map((table) => {
      const columns = table.columns.map((c) => ({
        ...c,
        key: known(c.key),
        value: c.value === null ? null : known(c.value),
      }));
      const isIndexable = (name: string): boolean => columns.some((c) => c.name === name && !c.isEphemeral);
      return { ...table, columns, indexes: table.indexes.filter((index) => index.every(isIndexable)) };
    }),
  };
}

/**
 * `schema` with some changes: tables and columns that come and go, other types, counts, ranges, references,
 * indexes and limits. What refers to what is gone goes too, but for a few times in which the schema stays wrong.
 */
export function changedSchema(dice: Dice, schema: SchemaModel): SchemaModel {
  let { tables } = schema;
  for (let count = dice.pick([0, 1, 1, 1, 2, 2, 3, 5]); count > 0; count--) {
    const names = tables.map((t) => t.name);
    const at = dice.below(tables.length);
    const kind = dice.below(12);
    if (kind === 0 && tables.length > 1) tables = tables.filter((_, i) => i !== at);
    else if (kind === 1) {
      const more = randomSchema(dice).tables.find((t) => !names.includes(t.name));
      if (more !== undefined) tables = [...tables, more];
    } else tables = tables.map((table, i) => (i === at ? changedTable(dice, table, names) : table));
  }
  return dice.chance(4) ? { tables } : repaired({ tables });
}
