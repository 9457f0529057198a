/**
 * Database schemas (RFC 7047 §3.2).
 */
import { isJsonArray, isJsonObject } from '../stream/json.ts';
import type { Json } from '../stream/json.ts';
import { isId, isInteger } from './data/atom.ts';
import { expectMembers, inHashOrder, typeMismatch } from './data/members.ts';
import { columnTypeFromJson, columnTypeToJson, plainBase } from './data/type.ts';
import type { BaseType, ColumnType } from './data/type.ts';
import { OvsdbError, syntaxError } from './errors.ts';

export interface ColumnSchema {
  readonly name: string;
  readonly type: ColumnType;
  readonly isMutable: boolean;
  /** False for ephemeral columns, which the log leaves out. */
  readonly isPersistent: boolean;
}

export interface TableSchema {
  readonly name: string;
  /** All columns with `_uuid` and `_version`, by name. */
  readonly columns: ReadonlyMap<string, ColumnSchema>;
  readonly maxRows: number;
  readonly isRoot: boolean;
  /** Column names of each index. */
  readonly indexes: readonly (readonly string[])[];
}

export interface DatabaseSchema {
  readonly name: string;
  readonly version: string;
  readonly cksum: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}

const uuidColumn: ColumnSchema = {
  name: '_uuid',
  type: { key: plainBase('uuid'), value: null, min: 1, max: 1 },
  isMutable: false,
  isPersistent: true,
};
const versionColumn: ColumnSchema = { ...uuidColumn, name: '_version', isPersistent: false };

/** Whether a column exists in every table and is not part of the schema. */
export function isBuiltinColumn(name: string): boolean {
  return name === '_uuid' || name === '_version';
}

/** @throws OvsdbError `syntax error` */
export function schemaFromJson(json: Json): DatabaseSchema {
  const o = expectMembers(json, 'database schema', ['name', 'tables'], ['version', 'cksum']);
  const { name, version = '', cksum = '', tables: tablesJson } = o;
  if (typeof name !== 'string' || !isId(name)) throw typeMismatch(json, 'database schema', 'name');
  if (typeof version !== 'string') throw typeMismatch(json, 'database schema', 'version');
  // As scanf(3) reads numbers.
  if (version !== '' && !/^\s*[+-]?\d+\.\s*[+-]?\d+\.\s*[+-]?\d+$/.test(version))
    throw syntaxError(json, `schema version "${version}" not in format x.y.z`);
  if (typeof cksum !== 'string') throw typeMismatch(json, 'database schema', 'cksum');
  if (!isJsonObject(tablesJson)) throw typeMismatch(json, 'database schema', 'tables');
  const tables = new Map<string, TableSchema>();
  for (const [tableName, tableJson] of Object.entries(tablesJson)) {
    if (tableName.startsWith('_')) throw syntaxError(json, `names beginning with "_" are reserved`);
    if (!isId(tableName)) throw syntaxError(json, 'name must be a valid id');
    tables.set(tableName, tableFromJson(tableName, tableJson));
  }
  // Before isRoot existed every table was a root; a schema without any means that.
  const hasRoot = [...tables.values()].some((t) => t.isRoot);
  if (!hasRoot) for (const [key, table] of tables) tables.set(key, { ...table, isRoot: true });
  checkReferences(tables);
  for (const [key, table] of tables) tables.set(key, withPersistentOwners(table, tables));
  return { name, version, cksum, tables };
}

function checkReferences(tables: ReadonlyMap<string, TableSchema>): void {
  const check = (column: ColumnSchema, base: BaseType | null, word: string): void => {
    if (base?.refTable === null || base?.refTable === undefined) return;
    const target = tables.get(base.refTable);
    if (target === undefined) {
      throw new OvsdbError(
        'syntax error',
        `column ${column.name} ${word} refers to undefined table ${base.refTable}`,
      );
    }
  };
  for (const table of tables.values()) {
    for (const column of table.columns.values()) {
      check(column, column.type.key, 'key');
      check(column, column.type.value, 'value');
    }
  }
}

/** A column that keeps rows alive is in the log whatever the schema says: reading it back would lose them. */
function withPersistentOwners(table: TableSchema, tables: ReadonlyMap<string, TableSchema>): TableSchema {
  const owns = (base: BaseType | null): boolean =>
    base?.refTable != null && base.refType === 'strong' && tables.get(base.refTable)?.isRoot === false;
  const columns = [...table.columns].map(([name, column]): [string, ColumnSchema] => [
    name,
    owns(column.type.key) || owns(column.type.value) ? { ...column, isPersistent: true } : column,
  ]);
  return { ...table, columns: new Map(columns) };
}

/** As many as OVS can count. */
const unlimitedRows = 4294967295;

function tableFromJson(name: string, json: Json): TableSchema {
  const what = `table schema for table ${name}`;
  const o = expectMembers(json, what, ['columns'], ['maxRows', 'isRoot', 'indexes']);
  const { columns: columnsJson, maxRows = unlimitedRows, isRoot = false, indexes = [] } = o;
  if (!isJsonObject(columnsJson)) throw typeMismatch(json, what, 'columns');
  if (!isInteger(maxRows)) throw typeMismatch(json, what, 'maxRows');
  if (typeof isRoot !== 'boolean') throw typeMismatch(json, what, 'isRoot');
  if (!isJsonArray(indexes)) throw typeMismatch(json, what, 'indexes');
  if (Number(maxRows) <= 0) throw syntaxError(json, 'maxRows must be at least 1');
  const own = Object.entries(columnsJson);
  if (own.length === 0) throw syntaxError(json, 'table must have at least one column');
  const columns = new Map<string, ColumnSchema>([
    ['_uuid', uuidColumn],
    ['_version', versionColumn],
  ]);
  for (const [columnName, columnJson] of own) {
    if (columnName.startsWith('_')) throw syntaxError(json, 'names beginning with "_" are reserved');
    if (!isId(columnName)) throw syntaxError(json, 'name must be a valid id');
    columns.set(columnName, columnFromJson(columnName, columnJson));
  }
  return {
    name,
    columns,
    maxRows: Number(maxRows) >= unlimitedRows ? Infinity : Number(maxRows),
    isRoot,
    indexes: indexes.map((index) => indexFromJson(json, index, columns)),
  };
}

function indexFromJson(
  table: Json,
  json: Json,
  columns: ReadonlyMap<string, ColumnSchema>,
): readonly string[] {
  const distinct = (): OvsdbError => syntaxError(json, 'array of distinct column names expected');
  if (!isJsonArray(json) || !json.every((name) => typeof name === 'string')) throw distinct();
  const unknown = json.find((name) => !columns.has(name));
  if (unknown !== undefined) throw syntaxError(json, `${unknown} is not a valid column name`);
  if (new Set(json).size < json.length) throw distinct();
  if (json.length === 0) throw syntaxError(table, 'index must have at least one column');
  const ephemeral = json.find((name) => columns.get(name)?.isPersistent !== true);
  if (ephemeral !== undefined)
    throw syntaxError(table, `ephemeral columns (such as ${ephemeral}) may not be indexed`);
  return json;
}

function columnFromJson(name: string, json: Json): ColumnSchema {
  const what = `schema for column ${name}`;
  const o = expectMembers(json, what, ['type'], ['mutable', 'ephemeral']);
  const { mutable = true, ephemeral = false } = o;
  if (typeof mutable !== 'boolean') throw typeMismatch(json, what, 'mutable');
  if (typeof ephemeral !== 'boolean') throw typeMismatch(json, what, 'ephemeral');
  const { type: typeJson } = o;
  if (typeof typeJson !== 'string' && !isJsonObject(typeJson)) throw typeMismatch(json, what, 'type');
  const type = columnTypeFromJson(typeJson);
  // A weak reference vanishes with its target, so the column has to be changeable.
  const isWeak = [type.key, type.value].some((b) => b?.refTable != null && b.refType === 'weak');
  return { name, type, isMutable: mutable || isWeak, isPersistent: !ephemeral };
}

/** Names of all columns in the order in which OVS, having read them from an object, walks its table of them. */
export function columnsInHashOrder(schema: TableSchema): string[] {
  const names = [...schema.columns.keys()];
  const own = inHashOrder(names.filter((name) => !isBuiltinColumn(name)));
  return inHashOrder([...names.filter(isBuiltinColumn), ...own]);
}

/** The schema as JSON, columns and tables in the order of the source. */
export function schemaToJson(schema: DatabaseSchema): Json {
  const showRoot = [...schema.tables.values()].some((t) => !t.isRoot);
  const tables: Record<string, Json> = {};
  for (const table of schema.tables.values()) {
    const columns: Record<string, Json> = {};
    for (const column of table.columns.values()) {
      if (isBuiltinColumn(column.name)) continue;
      columns[column.name] = {
        type: columnTypeToJson(column.type),
        ...(column.isMutable ? {} : { mutable: false }),
        ...(column.isPersistent ? {} : { ephemeral: true }),
      };
    }
    tables[table.name] = {
      columns,
      ...(table.maxRows === Infinity ? {} : { maxRows: table.maxRows }),
      ...(table.isRoot && showRoot ? { isRoot: true } : {}),
      ...(table.indexes.length === 0 ? {} : { indexes: table.indexes }),
    };
  }
  return {
    name: schema.name,
    ...(schema.version === '' ? {} : { version: schema.version }),
    ...(schema.cksum === '' ? {} : { cksum: schema.cksum }),
    tables,
  };
}
