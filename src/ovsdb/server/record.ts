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
import { OvsdbError } from '../errors.ts';
import type { Changes, Database, RowChange, Table } from './database.ts';
import { Row } from './row.ts';

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

/** What a log record changes. @throws OvsdbError */
export function changesFromRecord(database: Database, record: Json): RowChange[] {
  if (!isJsonObject(record)) throw new OvsdbError('syntax error', 'object expected', record);
  const isDiff = record['_is_diff'] === true;
  const changes: RowChange[] = [];
  for (const [tableName, rows] of Object.entries(record)) {
    if (tableName.startsWith('_')) continue;
    const table = database.tables.get(tableName);
    if (table === undefined) throw new OvsdbError('unknown table', `No table named ${tableName}.`);
    if (!isJsonObject(rows)) throw new OvsdbError('syntax error', 'object expected', rows);
    for (const [uuid, json] of Object.entries(rows)) {
      if (!isUuid(uuid)) throw new OvsdbError('syntax error', `"${uuid}" is not a valid UUID`);
      const old = table.rows.get(uuid);
      if (json === null) {
        if (old === undefined)
          throw new OvsdbError('syntax error', `record deletes row ${uuid} that does not exist`);
        changes.push({ table, uuid, old, new: undefined });
      } else changes.push({ table, uuid, old, new: rowFromRecord(table, uuid, old, json, isDiff) });
    }
  }
  return changes;
}

function rowFromRecord(table: Table, uuid: string, old: Row | undefined, json: Json, isDiff: boolean): Row {
  if (!isJsonObject(json)) throw new OvsdbError('syntax error', 'object expected', json);
  const columns = new Map<string, Datum>();
  for (const [name, value] of Object.entries(json)) {
    const column = table.schema.columns.get(name);
    if (column === undefined)
      throw new OvsdbError('unknown column', `No column ${name} in table ${table.schema.name}.`);
    const isChange = isDiff && old !== undefined;
    const datum = datumFromJson(column.type, value, { isUnbounded: isChange, isUnchecked: isChange });
    columns.set(name, isChange ? applyDiff(column.type, old.get(name), datum) : datum);
  }
  return old === undefined ? Row.create(uuid, table.layout, columns) : old.with(columns).withNewVersion();
}
