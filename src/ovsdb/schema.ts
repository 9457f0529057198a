/**
 * Database schemas (RFC 7047 §3.2).
 */
import { formatJson, isJsonArray, isJsonObject } from '../stream/json.ts';
import type { Json } from '../stream/json.ts';
import { isId } from './data/atom.ts';
import { expectMembers, inHashOrder } from './data/members.ts';
import { columnTypeFromJson, columnTypeToJson, plainBase } from './data/type.ts';
import type { BaseType, ColumnType } from './data/type.ts';
import { syntaxError } from './errors.ts';

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
  if (typeof name !== 'string' || !isId(name))
    throw syntaxError(json, "Parsing database schema failed: Type mismatch for member 'name'.");
  if (typeof version !== 'string' || (version !== '' && !/^\d+\.\d+\.\d+$/.test(version))) {
    throw syntaxError(
      json,
      `schema version "${typeof version === 'string' ? version : formatJson(version)}" not in format x.y.z`,
    );
  }
  if (typeof cksum !== 'string')
    throw syntaxError(json, "Parsing database schema failed: Type mismatch for member 'cksum'.");
  if (!isJsonObject(tablesJson))
    throw syntaxError(json, "Parsing database schema failed: Type mismatch for member 'tables'.");
  const tables = new Map<string, TableSchema>();
  for (const [tableName, tableJson] of Object.entries(tablesJson)) {
    if (tableName.startsWith('_')) throw syntaxError(json, `names beginning with "_" are reserved`);
    if (!isId(tableName)) throw syntaxError(json, 'name must be a valid id');
    tables.set(tableName, tableFromJson(tableName, tableJson));
  }
  // Before isRoot existed every table was a root; a schema without any means that.
  const hasRoot = [...tables.values()].some((t) => t.isRoot);
  if (!hasRoot) for (const [key, table] of tables) tables.set(key, { ...table, isRoot: true });
  checkReferences(tables, json);
  return { name, version, cksum, tables };
}

function checkReferences(tables: ReadonlyMap<string, TableSchema>, json: Json): void {
  const check = (table: TableSchema, column: ColumnSchema, base: BaseType | null, word: string): void => {
    if (base?.refTable === null || base?.refTable === undefined) return;
    const target = tables.get(base.refTable);
    if (target === undefined) {
      throw syntaxError(
        json,
        `table ${table.name} column ${column.name} ${word} refers to undefined table ${base.refTable}`,
      );
    }
  };
  for (const table of tables.values()) {
    for (const column of table.columns.values()) {
      check(table, column, column.type.key, 'key');
      check(table, column, column.type.value, 'value');
    }
  }
}

function tableFromJson(name: string, json: Json): TableSchema {
  const what = `table schema for table ${name}`;
  const o = expectMembers(json, what, ['columns'], ['maxRows', 'isRoot', 'indexes']);
  const { columns: columnsJson, maxRows = null, isRoot = false, indexes = [] } = o;
  if (!isJsonObject(columnsJson))
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'columns'.`);
  if (maxRows !== null && (typeof maxRows !== 'number' || !Number.isInteger(maxRows) || maxRows <= 0)) {
    throw syntaxError(json, 'maxRows must be at least 1');
  }
  if (typeof isRoot !== 'boolean')
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'isRoot'.`);
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
  if (!isJsonArray(indexes))
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'indexes'.`);
  return {
    name,
    columns,
    maxRows: maxRows ?? Infinity,
    isRoot,
    indexes: indexes.map((index) => indexFromJson(index, columns)),
  };
}

function indexFromJson(json: Json, columns: ReadonlyMap<string, ColumnSchema>): string[] {
  if (!isJsonArray(json)) throw syntaxError(json, 'array of column names expected');
  if (json.length === 0) throw syntaxError(json, 'index must have at least one column');
  return json.map((name) => {
    const column = typeof name === 'string' ? columns.get(name) : undefined;
    if (column === undefined) throw syntaxError(json, `${formatJson(name)} is not a valid column name`);
    if (!column.isPersistent)
      throw syntaxError(json, `ephemeral columns (such as ${column.name}) may not be indexed`);
    return column.name;
  });
}

function columnFromJson(name: string, json: Json): ColumnSchema {
  const what = `schema for column ${name}`;
  const o = expectMembers(json, what, ['type'], ['mutable', 'ephemeral']);
  const { mutable = true, ephemeral = false } = o;
  if (typeof mutable !== 'boolean')
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'mutable'.`);
  if (typeof ephemeral !== 'boolean')
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'ephemeral'.`);
  const type = columnTypeFromJson(o['type'] ?? null);
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
