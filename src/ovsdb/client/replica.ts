/**
 * The client's copy of the monitored part of a database: rows by table and uuid, changed by the
 * server's updates in any of their forms (RFC 7047 §4.1.6 `update`, ovsdb-server(7) `update2`).
 */
import { isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { applyDiff, datumEquals, datumFromJson, defaultDatum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import { isBuiltinColumn } from '../schema.ts';
import type { DatabaseSchema, TableSchema } from '../schema.ts';
import { IdlRow } from './row.ts';

export interface IdlChange {
  readonly kind: 'insert' | 'modify' | 'delete';
  readonly table: string;
  readonly row: IdlRow;
  /** Columns that changed; of an insert, those that differ from their defaults. */
  readonly columns: readonly string[];
}

export class Replica {
  readonly #tables = new Map<string, Map<string, IdlRow>>();
  #schema: DatabaseSchema | undefined;

  get schema(): DatabaseSchema | undefined {
    return this.#schema;
  }
  rows(table: string): IdlRow[] {
    return [...(this.#tables.get(table)?.values() ?? [])];
  }
  row(table: string, uuid: string): IdlRow | undefined {
    return this.#tables.get(table)?.get(uuid);
  }

  /** Begins anew under another schema. @returns The rows that went, as changes. */
  reset(schema: DatabaseSchema): IdlChange[] {
    this.#schema = schema;
    return this.#removeExcept(new Set());
  }

  #removeExcept(kept: ReadonlySet<string>): IdlChange[] {
    const changes: IdlChange[] = [];
    for (const [table, rows] of this.#tables) {
      for (const [uuid, row] of rows) {
        if (kept.has(uuid)) continue;
        rows.delete(uuid);
        changes.push({ kind: 'delete', table, row, columns: [] });
      }
    }
    return changes;
  }

  /**
   * Takes fresh contents: rows not in them are gone, others change where they differ.
   *
   * @throws OvsdbError `syntax error`
   */
  replaceAll(json: Json): IdlChange[] {
    const seen = new Set<string>();
    if (isJsonObject(json)) {
      for (const rows of Object.values(json))
        if (isJsonObject(rows)) for (const uuid of Object.keys(rows)) seen.add(uuid);
    }
    const changes = this.#removeExcept(seen);
    changes.push(...this.apply(json));
    return changes;
  }

  /** Takes one update. @throws OvsdbError `syntax error` */
  apply(json: Json): IdlChange[] {
    if (!isJsonObject(json)) throw new OvsdbError('syntax error', '<table-updates> is not an object');
    const changes: IdlChange[] = [];
    for (const [tableName, updates] of Object.entries(json)) {
      const table = this.#schema?.tables.get(tableName);
      if (table === undefined || !isJsonObject(updates))
        throw new OvsdbError('syntax error', `bad update of table ${tableName}`);
      for (const [uuid, update] of Object.entries(updates)) {
        if (!isJsonObject(update)) throw new OvsdbError('syntax error', `bad update of row ${uuid}`);
        const change = this.#applyRow(table, uuid, update);
        if (change !== null) changes.push(change);
      }
    }
    return changes;
  }

  #tableRows(name: string): Map<string, IdlRow> {
    let rows = this.#tables.get(name);
    if (rows === undefined) {
      rows = new Map();
      this.#tables.set(name, rows);
    }
    return rows;
  }

  #applyRow(table: TableSchema, uuid: string, update: JsonObject): IdlChange | null {
    const rows = this.#tableRows(table.name);
    const old = rows.get(uuid);
    const isDelete = 'delete' in update || ('old' in update && !('new' in update));
    if (isDelete) {
      if (old === undefined) return null;
      rows.delete(uuid);
      return { kind: 'delete', table: table.name, row: old, columns: [] };
    }
    const modify = update['modify'];
    if (isJsonObject(modify)) {
      if (old === undefined) throw new OvsdbError('syntax error', `modify of unknown row ${uuid}`);
      return this.#writeColumns(old, modify, true, 'modify');
    }
    const contents = update['initial'] ?? update['insert'] ?? update['new'] ?? {};
    if (!isJsonObject(contents)) throw new OvsdbError('syntax error', `bad contents of row ${uuid}`);
    if (old !== undefined) return this.#writeColumns(old, contents, false, 'modify', !('new' in update));
    const row = new IdlRow(table, uuid);
    rows.set(uuid, row);
    return this.#writeColumns(row, contents, false, 'insert');
  }

  #writeColumns(
    row: IdlRow,
    json: JsonObject,
    isDiff: boolean,
    kind: 'insert' | 'modify',
    isWhole = false,
  ): IdlChange | null {
    const columns: string[] = [];
    const write = (name: string, value: Json | undefined): void => {
      const column = row.table.columns.get(name);
      if (column === undefined || isBuiltinColumn(name)) return;
      const before = row.datum(name);
      let after =
        value === undefined
          ? defaultDatum(column.type)
          : datumFromJson(column.type, value, { isUnbounded: isDiff, isUnchecked: true });
      if (isDiff) after = applyDiff(column.type, before, after);
      if (datumEquals(before, after)) return;
      row.setDatum(name, after);
      columns.push(name);
    };
    // Contents that begin anew leave out columns with default values.
    for (const name of isWhole ? row.table.columns.keys() : Object.keys(json)) write(name, json[name]);
    if (kind === 'modify' && columns.length === 0) return null;
    return { kind, table: row.table.name, row, columns };
  }
}
