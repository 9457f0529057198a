/** `db:DATABASE,TABLE,COLUMN`: a setting that is read from a database (ovsdb-server(1)). */
import { OvsdbError } from '../errors.ts';
import type { ColumnSchema } from '../schema.ts';
import { rowDatum } from './database.ts';
import type { Database, Table } from './database.ts';
import type { OvsdbServer } from './server.ts';

export interface DbColumn {
  readonly database: Database;
  readonly table: Table;
  readonly column: ColumnSchema;
}

export function isDbColumn(text: string): boolean {
  return text.startsWith('db:');
}

/** The database that such a text names. */
export function dbNameOf(text: string): string {
  return text.slice('db:'.length).split(',')[0] ?? '';
}

/** @throws OvsdbError if the text is malformed or what it names is not there */
export function parseDbColumn(server: OvsdbServer, text: string): DbColumn {
  const [databaseName = '', tableName, columnName] = text.slice('db:'.length).split(',');
  if (tableName === undefined || columnName === undefined) throw new OvsdbError(`"${text}": invalid syntax`);
  const database = server.database(databaseName);
  if (database === undefined) throw new OvsdbError(`"${text}": no database named ${databaseName}`);
  const table = database.tables.get(tableName);
  if (table === undefined) throw new OvsdbError(`"${text}": no table named ${tableName}`);
  const column = table.schema.columns.get(columnName);
  if (column === undefined)
    throw new OvsdbError(`"${text}": table "${tableName}" has no column "${columnName}"`);
  return { database, table, column };
}

/** The first nonempty string in a column of strings, null if there is none. @throws OvsdbError */
export function readDbString(server: OvsdbServer, text: string): string | null {
  const { table, column } = parseDbColumn(server, text);
  if (column.type.value !== null || column.type.key.type !== 'string') {
    throw new OvsdbError(
      `"${text}": table "${table.schema.name}" column "${column.name}" is not string or set of strings`,
    );
  }
  for (const row of table.rows.values()) {
    for (const atom of rowDatum(row, column.name).keys) if (atom !== '') return String(atom);
  }
  return null;
}
