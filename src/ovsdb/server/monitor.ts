/**
 * Monitors: what a client follows of a database, in the three dialects (RFC 7047 §4.1.5 `monitor`;
 * OVS's `monitor_cond` and `monitor_cond_since`, see ovsdb-server(7)).
 */
import { formatJson, isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { clauseHolds, conditionFromJson } from '../data/condition.ts';
import type { Condition } from '../data/condition.ts';
import { inHashOrder, rejectOthers } from '../data/members.ts';
import { datumDiff, datumToJson } from '../data/datum.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import { columnsInHashOrder } from '../schema.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import type { Changes, Database } from './database.ts';
import type { Row } from './row.ts';

/** 1: `update`; 2: `update2`; 3: `update3`. */
export type MonitorVersion = 1 | 2 | 3;
type Kind = 'initial' | 'insert' | 'delete' | 'modify';
type Select = Readonly<Record<Kind, boolean>>;

interface MonitoredColumn {
  readonly column: ColumnSchema;
  readonly select: Select;
}

interface MonitoredTable {
  readonly schema: TableSchema;
  readonly columns: MonitoredColumn[];
  select: Select;
  /** A row is seen if any clause holds; none means every row. */
  condition: Condition;
}

const selectKinds = ['initial', 'insert', 'delete', 'modify'] as const;
const noneSelected: Select = { initial: false, insert: false, delete: false, modify: false };

export class Monitor {
  readonly database: Database;
  readonly version: MonitorVersion;
  id: Json;
  readonly #tables = new Map<string, MonitoredTable>();

  /** @throws OvsdbError for a bad request */
  constructor(database: Database, id: Json, requests: Json, version: MonitorVersion) {
    this.database = database;
    this.id = id;
    this.version = version;
    if (!isJsonObject(requests)) throw syntaxError(requests, 'monitor-requests must be object');
    const conditions: [string, Condition][] = [];
    for (const name of inHashOrder(Object.keys(requests))) {
      const json = requests[name] ?? null;
      const schema = database.tables.get(name)?.schema;
      if (schema === undefined) throw new OvsdbError('syntax error', `no table named ${name}`);
      const table: MonitoredTable = { schema, columns: [], select: noneSelected, condition: [] };
      for (const request of isJsonArray(json) ? json : [json])
        conditions.push([name, this.#addRequest(table, request)]);
      this.#tables.set(name, table);
    }
    // Of several requests for a table OVS heeds the condition of the one that it finds in a hash table of all.
    for (const [name, condition] of hmapOrder(conditions, ([table]) => hashString(table)).reverse()) {
      const table = this.#tables.get(name);
      if (table !== undefined) table.condition = condition;
    }
  }

  #addRequest(table: MonitoredTable, json: Json): Condition {
    const what = `table ${table.schema.name}`;
    const request = objectWith(
      json,
      what,
      this.version === 1 ? ['columns', 'select'] : ['columns', 'select', 'where'],
    );
    const select = selectFromJson(request['select'], what);
    const { columns: columnsJson, where } = request;
    const columns =
      columnsJson === undefined ? allColumns(table.schema) : namedColumns(table.schema, columnsJson);
    for (const column of columns) {
      if (table.columns.some((c) => c.column === column)) {
        throw new OvsdbError('syntax error', `column ${column.name} mentioned more than once`, columnsJson);
      }
      table.columns.push({ column, select });
    }
    table.select = {
      initial: table.select.initial || select.initial,
      insert: table.select.insert || select.insert,
      delete: table.select.delete || select.delete,
      modify: table.select.modify || select.modify,
    };
    return where === undefined ? [] : conditionFromJson(table.schema, where);
  }

  /** Database, tables, columns and kinds of change, as text that says nothing else. */
  get contents(): string {
    const tables = [...this.#tables].map(([name, { columns }]): Json => {
      const selected = columns.map(({ column, select }): Json => [
        column.name,
        ...selectKinds.map((k) => select[k]),
      ]);
      return [name, ...selected.map((item) => formatJson(item)).sort()];
    });
    return formatJson([this.database.name, ...tables.map((table) => formatJson(table)).sort()]);
  }

  /** The `<table-updates>` of the reply to the request. */
  initial(): JsonObject {
    const updates: Record<string, Json> = {};
    for (const [name, monitored] of this.#tables) {
      if (!monitored.select.initial) continue;
      const rows: Record<string, Json> = {};
      for (const row of this.database.table(name).rows.values()) {
        if (!sees(monitored.condition, row)) continue;
        rows[row.uuid] = this.#rowUpdate(monitored, 'initial', undefined, row) ?? {};
      }
      if (Object.keys(rows).length > 0) updates[name] = rows;
    }
    return updates;
  }

  /** The reply to a `monitor_cond_since`: what happened after the transaction `lastId` if that is known, else everything. */
  initialSince(lastId: string): Json {
    const { history } = this.database;
    const missed = history.since(lastId);
    if (missed === null) return [false, history.latestId, this.initial()];
    return [true, history.latestId, this.updates(missed) ?? {}];
  }

  /** What a commit means for this monitor; null if nothing. */
  updates(changes: Changes): JsonObject | null {
    const updates: Record<string, Record<string, Json>> = {};
    for (const { table, uuid, old, new: row } of changes) {
      const monitored = this.#tables.get(table.schema.name);
      if (monitored === undefined) continue;
      const saw = old !== undefined && sees(monitored.condition, old);
      const isSeen = row !== undefined && sees(monitored.condition, row);
      const update = this.#change(monitored, saw ? old : undefined, isSeen ? row : undefined);
      if (update !== null) (updates[table.schema.name] ??= {})[uuid] = update;
    }
    return Object.keys(updates).length === 0 ? null : updates;
  }

  #change(monitored: MonitoredTable, old: Row | undefined, row: Row | undefined): Json | null {
    if (old === undefined && row === undefined) return null;
    const kind: Kind = old === undefined ? 'insert' : row === undefined ? 'delete' : 'modify';
    return monitored.select[kind] ? this.#rowUpdate(monitored, kind, old, row) : null;
  }

  #rowUpdate(monitored: MonitoredTable, kind: Kind, old: Row | undefined, row: Row | undefined): Json | null {
    return this.version === 1 ? rowUpdate1(monitored, kind, old, row) : rowUpdate2(monitored, kind, old, row);
  }

  /**
   * Replaces conditions.
   *
   * @returns The rows that come into view or leave it, null if none.
   * @throws OvsdbError and then nothing has changed
   */
  changeConditions(requests: Json): JsonObject | null {
    if (!isJsonObject(requests))
      throw new OvsdbError('syntax error', 'monitor-cond-change-requests must be object');
    const fresh = new Map<string, Condition>();
    for (const name of inHashOrder(Object.keys(requests))) {
      const json = requests[name] ?? null;
      const monitored = this.#tables.get(name);
      if (monitored === undefined) {
        const where = this.database.tables.has(name) ? ' in monitor session' : '';
        throw new OvsdbError('syntax error', `no table named ${name}${where}`);
      }
      if (!isJsonArray(json))
        throw new OvsdbError('syntax error', `table ${name} no monitor-cond-change JSON array`);
      // The last one counts.
      for (const item of json) {
        const request = objectWith(item, `table ${name}`, ['columns', 'where']);
        if (request['columns'] !== undefined) throw syntaxError(item, 'changing columns is unsupported');
        const { where = [] } = request;
        // Monitors of RFC 7047 have no conditions, but may take another id this way.
        if (this.version > 1) fresh.set(name, conditionFromJson(monitored.schema, where));
      }
    }
    const updates: Record<string, Record<string, Json>> = {};
    for (const [name, condition] of fresh) {
      const monitored = this.#tables.get(name);
      if (monitored === undefined) continue;
      for (const row of this.database.table(name).rows.values()) {
        const saw = sees(monitored.condition, row);
        const isSeen = sees(condition, row);
        if (saw === isSeen) continue;
        const update = this.#change(monitored, saw ? row : undefined, isSeen ? row : undefined);
        if (update !== null) (updates[name] ??= {})[row.uuid] = update;
      }
      monitored.condition = condition;
    }
    return Object.keys(updates).length === 0 ? null : updates;
  }
}

function allColumns(schema: TableSchema): ColumnSchema[] {
  return columnsInHashOrder(schema).flatMap((name) => {
    const column = name === '_uuid' ? undefined : schema.columns.get(name);
    return column === undefined ? [] : [column];
  });
}

/** @throws OvsdbError at the first name that is not a column's, once those before it are taken */
function* namedColumns(schema: TableSchema, json: Json): Generator<ColumnSchema> {
  if (!isJsonArray(json)) throw syntaxError(json, 'array of column names expected');
  for (const name of json) {
    if (typeof name !== 'string') throw syntaxError(json, 'array of column names expected');
    const column = schema.columns.get(name);
    if (column === undefined) throw syntaxError(json, `${name} is not a valid column name`);
    yield column;
  }
}

function sees(condition: Condition, row: Row): boolean {
  if (condition.length === 0) return true;
  return condition.some((clause) => clauseHolds(clause, (column) => row.get(column)));
}

function objectWith(json: Json, what: string, allowed: readonly string[]): JsonObject {
  if (!isJsonObject(json)) throw new OvsdbError('syntax error', `Parsing ${what} failed: Object expected.`);
  for (const name of ['where', 'columns']) {
    if (allowed.includes(name) && json[name] !== undefined && !isJsonArray(json[name])) {
      throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member '${name}'.`);
    }
  }
  if (allowed.includes('select') && json['select'] !== undefined && !isJsonObject(json['select'])) {
    throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member 'select'.`);
  }
  rejectOthers(json, what, (name) => allowed.includes(name));
  return json;
}

function selectFromJson(json: Json | undefined, what: string): Select {
  const select: Record<Kind, boolean> = { initial: true, insert: true, delete: true, modify: true };
  if (json === undefined || !isJsonObject(json)) return select;
  for (const kind of selectKinds) {
    const value = json[kind];
    if (value === undefined) continue;
    if (typeof value !== 'boolean')
      throw syntaxError(json, `Parsing ${what} select failed: Type mismatch for member '${kind}'.`);
    select[kind] = value;
  }
  rejectOthers(json, `${what} select`, (name) => selectKinds.some((kind) => kind === name));
  return select;
}

/** `{ "old": ..., "new": ... }`: old has what changed, new everything that is monitored. */
function rowUpdate1(
  table: MonitoredTable,
  kind: Kind,
  old: Row | undefined,
  row: Row | undefined,
): Json | null {
  const before: Record<string, Json> = {};
  const after: Record<string, Json> = {};
  let hasChanged = kind !== 'modify';
  for (const { column, select } of table.columns) {
    const isChanged = old !== undefined && row !== undefined && !row.hasSame(column.name, old);
    hasChanged ||= isChanged;
    if (!select[kind]) continue;
    if (old !== undefined && (kind === 'delete' || isChanged))
      before[column.name] = datumToJson(column.type, old.get(column.name));
    if (row !== undefined) after[column.name] = datumToJson(column.type, row.get(column.name));
  }
  if (!hasChanged) return null;
  return {
    ...(kind === 'delete' || kind === 'modify' ? { old: before } : {}),
    ...(kind === 'delete' ? {} : { new: after }),
  };
}

/** `{ kind: <row> }`: differences for a modify, columns that are not default for a new row. */
function rowUpdate2(
  table: MonitoredTable,
  kind: Kind,
  old: Row | undefined,
  row: Row | undefined,
): Json | null {
  if (kind === 'delete' || row === undefined) return { delete: null };
  const json: Record<string, Json> = {};
  for (const { column, select } of table.columns) {
    if (!select[kind]) continue;
    const { name, type } = column;
    if (old === undefined) {
      if (!row.hasDefault(name)) json[name] = datumToJson(type, row.get(name));
    } else if (!row.hasSame(name, old)) {
      json[name] = datumToJson(type, datumDiff(type, old.get(name), row.get(name)));
    }
  }
  if (kind === 'modify' && Object.keys(json).length === 0) return null;
  return { [kind]: json };
}
