/**
 * The way between log records and rows.
 *
 * A transaction record maps table -> uuid -> columns, null for a deleted row, with `_date`, `_comment`
 * and `_is_diff`: if that is true, changed columns of rows that existed before stand as differences
 * (`datumDiff`), as stock servers since 2.16 write them; both forms are read.
 *
 * Two kinds of differences the stock server 3.1 writes and then cannot read back: those of more elements than
 * the column may hold, when many are replaced at once, and those from the default of a column that may not be
 * empty, which it reads as differences from nothing. A record with one of them is written without differences here.
 */
import { formatJson, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { exactAtomToJson, isUuid } from '../data/atom.ts';
import { applyDiff, datumDiff, datumFromJson, datumToJson } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { isComposite } from '../data/type.ts';
import { OvsdbError } from '../errors.ts';
import type { Changes, Database, Table } from './database.ts';
import type { Row } from './row.ts';
import type { Transaction } from './transaction.ts';

/**
 * What to write for a commit; null if nothing of it is persistent.
 *
 * @param isDiff Whether changed columns may stand as differences.
 */
export function recordFromChanges(
  changes: Changes,
  comment: string,
  wallMs: number,
  isDiff: boolean,
): Json | null {
  const tables: Record<string, Record<string, Json>> = {};
  for (const change of changes) {
    const json =
      change.new === undefined ? null : columnsToJson(change.table, change.old, change.new, isDiff);
    if (json === undefined) return recordFromChanges(changes, comment, wallMs, false);
    if (json !== null && change.old !== undefined && Object.keys(json).length === 0) continue;
    (tables[change.table.schema.name] ??= {})[change.uuid] = json;
  }
  if (Object.keys(tables).length === 0) return null;
  const record: Record<string, Json> = tables;
  if (comment !== '') record['_comment'] = comment;
  record['_date'] = Math.trunc(wallMs);
  if (isDiff) record['_is_diff'] = true;
  return record;
}

/** @returns undefined if a difference would not be read back by a stock server. */
function columnsToJson(
  table: Table,
  old: Row | undefined,
  row: Row,
  isDiff: boolean,
): JsonObject | undefined {
  const json: Record<string, Json> = {};
  for (const column of table.persistentColumns) {
    const { name, type } = column;
    if (old === undefined ? row.hasDefault(name) : row.hasSame(name, old)) continue;
    const after = row.get(name);
    const datum = old === undefined || !isDiff ? after : datumDiff(type, old.get(name), after);
    const isFromDefault = isDiff && old !== undefined && type.max > 1 && type.min > 0 && old.hasDefault(name);
    if (isFromDefault || datum.keys.length > type.max) return undefined;
    json[name] = datumToJson(type, datum, exactAtomToJson);
  }
  return json;
}

/**
 * The text of the one record that holds what `database` holds now; the pieces may be made later.
 */
export function snapshotPieces(database: Database, comment: string, wallMs: number): Iterable<string> {
  const tables = [...database.tables.values()].map((table) => ({ table, rows: [...table.rows.values()] }));
  const members = { _comment: comment, _date: Math.trunc(wallMs) };
  return (function* () {
    yield '{';
    for (const { table, rows } of tables) {
      if (rows.length === 0) continue;
      yield `${JSON.stringify(table.schema.name)}:{`;
      for (const [i, row] of rows.entries()) {
        yield `"${row.uuid}":${formatJson(columnsToJson(table, undefined, row, false) ?? {})}${i === rows.length - 1 ? '},' : ','}`;
      }
    }
    yield `${JSON.stringify(members).slice(1)}\n`;
  })();
}

/** Makes the changes of a log record. @throws OvsdbError if it makes no sense */
export function replayRecord(transaction: Transaction, record: Json): void {
  if (!isJsonObject(record)) throw new OvsdbError('syntax error', 'object expected', record);
  const isDiff = record['_is_diff'] === true;
  for (const [tableName, rows] of Object.entries(record)) {
    if (isAboutRecord(tableName, rows)) continue;
    const table = transaction.database.tables.get(tableName);
    if (table === undefined) throw new OvsdbError('unknown table', `No table named ${tableName}.`, record);
    if (!isJsonObject(rows)) throw new OvsdbError('syntax error', 'object expected', rows);
    for (const [id, json] of Object.entries(rows)) {
      if (!isUuid(id)) throw new OvsdbError('syntax error', `"${id}" is not a valid UUID`, rows);
      const uuid = id.toLowerCase();
      const old = transaction.row(table, uuid);
      if (json === null) {
        if (old === undefined)
          throw new OvsdbError('syntax error', `transaction deletes row ${uuid} that does not exist`);
        transaction.delete(table, uuid);
        continue;
      }
      const columns = columnsFromRecord(table, old, json, isDiff);
      if (old === undefined) transaction.insert(table, uuid, columns);
      else transaction.update(table, old, columns);
    }
  }
}

function isAboutRecord(name: string, value: Json): boolean {
  switch (name) {
    case '_date':
      return typeof value === 'bigint' || Number.isInteger(value);
    case '_comment':
      return true;
    case '_is_diff':
      return typeof value === 'boolean';
    default:
      return false;
  }
}

function columnsFromRecord(
  table: Table,
  old: Row | undefined,
  json: Json,
  isDiff: boolean,
): Map<string, Datum> {
  if (!isJsonObject(json)) throw new OvsdbError('syntax error', 'row must be JSON object', json);
  const columns = new Map<string, Datum>();
  for (const [name, value] of Object.entries(json)) {
    const column = table.schema.columns.get(name);
    if (column === undefined)
      throw new OvsdbError('unknown column', `No column ${name} in table ${table.schema.name}.`, json);
    const isChange = isDiff && old !== undefined;
    const datum = datumFromJson(column.type, value, {
      isUnbounded: isChange,
      isUnchecked: isChange && isComposite(column.type),
    });
    columns.set(name, isChange ? applyDiff(column.type, old.get(name), datum) : datum);
  }
  return columns;
}
