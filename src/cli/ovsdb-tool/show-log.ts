/** `ovsdb-tool show-log`: the records of a database file in words. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { formatJson, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { datumFromJson } from '../../ovsdb/data/datum.ts';
import { formatDatum } from '../../ovsdb/data/text.ts';
import { OvsdbError } from '../../ovsdb/errors.ts';
import { schemaFromJson } from '../../ovsdb/schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../../ovsdb/schema.ts';
import { damageError, readRecord } from '../../ovsdb/server/log-record.ts';

/**
 * @param verbosity 0: dates and comments; 1: also the rows changed; 2: also the columns.
 * @returns what can be read, and why the rest cannot
 * @throws OvsdbError if it cannot be opened, or the records make no sense
 */
export function showLog(path: string, verbosity: number): { text: string; error: string | null } {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    let text = '';
    let schema: DatabaseSchema | undefined;
    const names = new Map<string, string>();
    let number = 0;
    for (let at = 0; at < size;) {
      const record = readRecord(fd, at, size);
      if (!('json' in record)) return { text, error: damageError(path, record).message };
      at = record.endOffset;
      text += `record ${number}:`;
      if (number++ === 0) {
        schema = schemaFromJson(record.json);
        text += ` "${schema.name}" schema, version="${schema.version}", cksum="${schema.cksum}"\n\n`;
      } else text += `${recordText(schema, record.json, verbosity, names)}\n`;
    }
    return { text, error: null };
  } finally {
    closeSync(fd);
  }
}

/** In the order in which the stock tool, whose JSON objects are hash tables, walks them. */
function membersInOrder(object: JsonObject): [string, Json][] {
  return hmapOrder(Object.entries(object), ([name]) => hashString(name));
}

function recordText(
  schema: DatabaseSchema | undefined,
  record: Json,
  verbosity: number,
  names: Map<string, string>,
): string {
  if (!isJsonObject(record) || schema === undefined)
    throw new OvsdbError('syntax error', 'object expected', record);
  let out = '';
  const { _date: date, _comment: comment, _is_diff: isDiff } = record;
  if (typeof date === 'bigint' || Number.isInteger(date)) out += ` ${dateText(BigInt(date as number))}`;
  if (typeof comment === 'string') out += ` "${comment}"`;
  if (verbosity === 0) return out;
  let isFirst = true;
  for (const [tableName, rows] of membersInOrder(record)) {
    if (tableName.startsWith('_') || !isJsonObject(rows)) continue;
    if (isFirst) out += '\n';
    isFirst = false;
    const table = schema.tables.get(tableName);
    for (const [uuid, row] of membersInOrder(rows))
      out += rowText(tableName, table, uuid, row, isDiff === true, verbosity, names);
  }
  return out;
}

function rowText(
  tableName: string,
  table: TableSchema | undefined,
  uuid: string,
  row: Json,
  isDiff: boolean,
  verbosity: number,
  names: Map<string, string>,
): string {
  const short = uuid.slice(0, 8);
  const old = names.get(uuid);
  const name = isJsonObject(row) && row['name'] !== undefined ? formatJson(row['name']) : undefined;
  let out = `  table ${tableName}`;
  if (old === undefined)
    out += ` insert row${name === undefined ? '' : ` ${name}`} ${name === undefined ? short : `(${short})`}:\n`;
  else out += ` row ${old} (${short})${isDiff ? ' diff' : ''}:\n`;
  if (row === null) {
    names.delete(uuid);
    return `${out}    delete row\n`;
  }
  if (old === undefined || name !== undefined) names.set(uuid, name ?? short);
  if (verbosity < 2 || !isJsonObject(row)) return out;
  for (const [columnName, value] of membersInOrder(row)) {
    out += `    ${columnName}=${valueText(table?.columns.get(columnName), value)}\n`;
  }
  return out;
}

/** As JSON where it is none of the column's values. */
function valueText(column: ColumnSchema | undefined, value: Json): string {
  if (column === undefined) return formatJson(value, true);
  try {
    return formatDatum(column.type, datumFromJson(column.type, value, { isUnchecked: true }));
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    return formatJson(value, true);
  }
}

/** @param date Milliseconds since 1970, or seconds as old files have them. */
function dateText(date: bigint): string {
  const isSeconds = date > -(2n ** 31n) && date < 2n ** 31n;
  const ms = isSeconds ? date * 1000n : date;
  // 400 years are as many days whatever year they begin with, and a Date does not reach as far as an int64.
  const era = 146_097n * 86_400_000n;
  const eras = ms >= 0n ? ms / era : -((era - 1n - ms) / era);
  const within = new Date(Number(ms - eras * era));
  const year = BigInt(within.getUTCFullYear()) + eras * 400n;
  return `${year.toString().padStart(4, '0')}${within.toISOString().slice(4, -1).replace('T', ' ')}`;
}
