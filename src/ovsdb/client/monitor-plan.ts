/**
 * What of the database is monitored: tables, columns, and for each table a condition that may change
 * while the client runs.
 *
 * The server knows a condition from the monitor request or from `monitor_cond_change`; `wanted` is what
 * the user asked for last, `acked` what the server has confirmed. A client that takes up its place again
 * must name the acked ones, since what it missed is told by them, and changes them afterwards.
 */
import { formatJson } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { isBuiltinColumn } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';

/**
 * Rows wanted of a table: those for which any clause holds. A clause is `[column, function, value]` as
 * in RFC 7047 §5.1 <condition>, or a boolean; `[]` means none, as `[false]` does.
 */
export type MonitorCondition = readonly (boolean | readonly [column: string, fn: string, value: Json])[];

/** Columns wanted of each table, or all of them; perhaps known only from the server's schema. */
export type MonitorTables = Readonly<Record<string, readonly string[] | 'all'>> | 'all';
export type MonitorTablesOf = MonitorTables | ((schema: DatabaseSchema) => MonitorTables);

const everything: MonitorCondition = [true];

function sameCondition(a: MonitorCondition, b: MonitorCondition): boolean {
  return formatJson(a) === formatJson(b);
}

/** An empty list would mean "all" to the server. */
function conditionToJson(condition: MonitorCondition): Json {
  return condition.length === 0 ? [false] : condition;
}

export class MonitorPlan {
  readonly #tables: MonitorTablesOf;
  readonly #wanted: Map<string, MonitorCondition>;
  #acked = new Map<string, MonitorCondition>();

  constructor(tables: MonitorTablesOf, conditions: Readonly<Record<string, MonitorCondition>> = {}) {
    this.#tables = tables;
    this.#wanted = new Map(Object.entries(conditions));
  }

  want(table: string, condition: MonitorCondition): void {
    this.#wanted.set(table, condition);
  }

  /**
   * The `<monitor-cond-requests>` for a schema. Tables and columns that it lacks are left out.
   *
   * @param which `acked` when the client resumes from a transaction that it has seen.
   */
  requests(schema: DatabaseSchema, which: 'wanted' | 'acked'): JsonObject {
    const conditions = which === 'wanted' ? this.#wanted : this.#acked;
    const requests: Record<string, Json> = {};
    const tables = typeof this.#tables === 'function' ? this.#tables(schema) : this.#tables;
    for (const table of schema.tables.values()) {
      const wanted = tables === 'all' ? 'all' : tables[table.name];
      if (wanted === undefined) continue;
      const columns = [...table.columns.keys()].filter(
        (c) => !isBuiltinColumn(c) && (wanted === 'all' || wanted.includes(c)),
      );
      const condition = conditions.get(table.name);
      requests[table.name] = [
        condition === undefined || sameCondition(condition, everything)
          ? { columns }
          : { columns, where: conditionToJson(condition) },
      ];
    }
    return requests;
  }

  /** The conditions that the server does not have yet, as `monitor_cond_change` wants them; null if none. */
  changes(schema: DatabaseSchema): JsonObject | null {
    const changes: Record<string, Json> = {};
    for (const [table, condition] of this.#wanted) {
      if (!schema.tables.has(table)) continue;
      if (!sameCondition(condition, this.#acked.get(table) ?? everything))
        changes[table] = [{ where: conditionToJson(condition) }];
    }
    return Object.keys(changes).length === 0 ? null : changes;
  }

  /** The conditions in use now, to be passed to `confirm` when the server has accepted them. */
  snapshot(): ReadonlyMap<string, MonitorCondition> {
    return new Map(this.#wanted);
  }
  confirm(conditions: ReadonlyMap<string, MonitorCondition>): void {
    this.#acked = new Map(conditions);
  }
}
