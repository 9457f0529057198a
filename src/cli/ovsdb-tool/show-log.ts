/** `ovsdb-tool show-log`: the records of a database file in words. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { datumFromJson } from '../../ovsdb/data/datum.ts';
import { formatDatum } from '../../ovsdb/data/text.ts';
import { OvsdbError } from '../../ovsdb/errors.ts';
import { schemaFromJson } from '../../ovsdb/schema.ts';
import type { DatabaseSchema, TableSchema } from '../../ovsdb/schema.ts';
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
  if (typeof date === 'number') out += ` ${dateText(date)}`;
  if (typeof comment === 'string') out += ` "${comment}"`;
  if (verbosity === 0) return out;
  out += '\n';
  for (const [tableName, rows] of membersInOrder(record)) {
    const table = schema.tables.get(tableName);
    if (tableName.startsWith('_') || table === undefined || !isJsonObject(rows)) continue;
    for (const [uuid, row] of membersInOrder(rows))
      out += rowText(table, uuid, row, isDiff === true, verbosity, names);
  }
  return out;
}

function rowText(
  table: TableSchema,
  uuid: string,
  row: Json,
  isDiff: boolean,
  verbosity: number,
  names: Map<string, string>,
): string {
  const short = uuid.slice(0, 8);
  const old = names.get(uuid);
  const name = isJsonObject(row) && typeof row['name'] === 'string' ? `"${row['name']}"` : undefined;
  let out = `  table ${table.name}`;
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
    const column = table.columns.get(columnName);
    if (column === undefined) continue;
    const datum = datumFromJson(column.type, value, { isUnbounded: true, isUnchecked: true });
    out += `    ${columnName}=${formatDatum(column.type, datum)}\n`;
  }
  return out;
}

function dateText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '');
}
