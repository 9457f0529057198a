/**
 * Keeping a copy of another server's database: `<table-updates>` of a monitor (RFC 7047 §4.1.6, and the
 * `update2` form of ovsdb-server(7)) carried out on a transaction of our own.
 */
import { isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { isUuid } from '../data/atom.ts';
import { applyDiff, datumFromJson } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import { isBuiltinColumn } from '../schema.ts';
import { rowDatum } from './database.ts';
import type { Row, Table } from './database.ts';
import type { Transaction } from './transaction.ts';

/** Carries out what has changed. @throws OvsdbError if it does not fit what is there */
export function applyTableUpdates(transaction: Transaction, updates: Json): void {
  for (const [table, uuid, update] of rowUpdates(transaction, updates)) {
    const row = transaction.row(table, uuid);
    const modify = update['modify'];
    const contents = contentsOf(update);
    if (isJsonObject(modify)) {
      if (row === undefined) throw missing('modify', table, uuid);
      transaction.update(table, row, differences(table, row, modify));
    } else if (contents === null) {
      if (row === undefined) throw missing('delete', table, uuid);
      transaction.delete(table, uuid);
    } else if (row === undefined) transaction.insert(table, uuid, columnsFromJson(table, contents));
    else if ('old' in update) transaction.update(table, row, columnsFromJson(table, contents));
    else transaction.update(table, row, new Map([...table.defaults, ...columnsFromJson(table, contents)]));
  }
}

/** Makes the tables equal to the initial contents of a monitor. @throws OvsdbError */
export function resetTables(transaction: Transaction, tables: Iterable<Table>, initial: Json): void {
  for (const table of tables) {
    const rows = isJsonObject(initial) ? initial[table.schema.name] : undefined;
    for (const uuid of [...table.rows.keys()]) {
      if (!isJsonObject(rows) || !Object.hasOwn(rows, uuid)) transaction.delete(table, uuid);
    }
  }
  applyTableUpdates(transaction, initial);
}

function* rowUpdates(
  { database }: Transaction,
  updates: Json,
): Generator<[table: Table, uuid: string, update: JsonObject]> {
  if (!isJsonObject(updates)) throw new OvsdbError('ovsdb error', 'Not a JSON object', updates);
  for (const [name, rows] of Object.entries(updates)) {
    const table = database.tables.get(name);
    if (table === undefined) throw new OvsdbError('ovsdb error', `unknown table ${name}`);
    if (!isJsonObject(rows)) throw new OvsdbError('ovsdb error', '<table-update> for table is not object');
    for (const [uuid, update] of Object.entries(rows)) {
      if (!isUuid(uuid)) throw new OvsdbError('ovsdb error', '<table-update> names must be UUIDs');
      if (!isJsonObject(update)) throw new OvsdbError('ovsdb error', '<row-update> is not object');
      yield [table, uuid, update];
    }
  }
}

function contentsOf(update: JsonObject): JsonObject | null {
  const contents = update['initial'] ?? update['insert'] ?? update['new'];
  return isJsonObject(contents) ? contents : null;
}

function columnsFromJson(table: Table, json: JsonObject): Map<string, Datum> {
  const columns = new Map<string, Datum>();
  for (const [name, value] of Object.entries(json)) {
    const column = table.schema.columns.get(name);
    if (column !== undefined && !isBuiltinColumn(name)) columns.set(name, datumFromJson(column.type, value));
  }
  return columns;
}

function differences(table: Table, row: Row, json: JsonObject): Map<string, Datum> {
  const columns = new Map<string, Datum>();
  for (const [name, value] of Object.entries(json)) {
    const column = table.schema.columns.get(name);
    if (column === undefined || isBuiltinColumn(name)) continue;
    const diff = datumFromJson(column.type, value, { isUnbounded: true, isUnchecked: true });
    columns.set(name, applyDiff(column.type, rowDatum(row, name), diff));
  }
  return columns;
}

function missing(what: string, table: Table, uuid: string): OvsdbError {
  return new OvsdbError(
    'consistency violation',
    `cannot ${what} missing row ${uuid} from table ${table.schema.name}`,
  );
}
