/** transact, query and dump. */
import { formatJson, isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { compareDatums, datumFromJson } from '../../ovsdb/data/datum.ts';
import type { Datum } from '../../ovsdb/data/datum.ts';
import { inHashOrder } from '../../ovsdb/data/members.ts';
import type { ColumnType } from '../../ovsdb/data/type.ts';
import type { ColumnSchema, TableSchema } from '../../ovsdb/schema.ts';
import { UsageError } from '../../util/errors.ts';
import { parseJsonArgument } from '../json-argument.ts';
import { fetchSchema, printJson } from './command.ts';
import type { Command } from './command.ts';
import { tableNamed } from './schema-commands.ts';

function databaseIn([text = '']: readonly string[]): string {
  return parseTransaction(text)[0];
}

function parseTransaction(text: string): readonly [database: string, ...operations: Json[]] {
  const request = parseJsonArgument(text);
  const [database, ...operations] = isJsonArray(request) ? request : [];
  if (typeof database !== 'string') throw new UsageError('not a valid OVSDB query');
  return [database, ...operations];
}

const transact: Command = {
  needs: 'server',
  minArgs: 1,
  maxArgs: 1,
  databaseIn,
  run: async (run) =>
    printJson(run, await run.connection.call('transact', parseTransaction(run.args[0] ?? ''))),
};

/** An abort at the end keeps the results of what came before and changes nothing. */
const query: Command = {
  needs: 'server',
  minArgs: 1,
  maxArgs: 1,
  databaseIn,
  run: async (run) => {
    const request = parseTransaction(run.args[0] ?? '');
    const results = await run.connection.call('transact', [...request, { op: 'abort' }]);
    const last = isJsonArray(results) && results.length === request.length ? results.at(-1) : undefined;
    const isAborted = isJsonObject(last) && last['error'] === 'aborted';
    printJson(run, isAborted && isJsonArray(results) ? results.slice(0, -1) : results);
  },
};

/** Columns in the order of their names; all if none are named, but never `_version`. @throws UsageError */
function dumpColumns(table: TableSchema, names: readonly string[]): ColumnSchema[] {
  const columns =
    names.length === 0
      ? [...table.columns.values()]
      : names.map((name) => {
          const column = table.columns.get(name);
          if (column === undefined) throw new UsageError(`Table "${table.name}" has no column ${name}.`);
          return column;
        });
  return columns.filter((c) => c.name !== '_version').sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface TypedDatum {
  readonly type: ColumnType;
  readonly datum: Datum;
}

/** Uuids mean nothing to a reader: only their number counts. */
function compareCells(a: TypedDatum, b: TypedDatum): number {
  if (a.type.key.type === 'uuid') return a.datum.keys.length - b.datum.keys.length;
  return compareDatums(a.datum, b.datum);
}

/** Rows of a reply to select, sorted by their columns from left to right. */
function sortedRows(rowsJson: readonly Json[], columns: readonly ColumnSchema[]): TypedDatum[][] {
  const rows = rowsJson.map((row) =>
    columns.map((column) => ({
      type: column.type,
      datum: datumFromJson(column.type, isJsonObject(row) ? (row[column.name] ?? null) : null, {
        isUnchecked: true,
      }),
    })),
  );
  return rows.sort((a, b) => {
    for (let x = 0; x < columns.length; x++) {
      const [left, right] = [a[x], b[x]];
      const order = left === undefined || right === undefined ? 0 : compareCells(left, right);
      if (order !== 0) return order;
    }
    return 0;
  });
}

/** As the stock tool, whose objects are hash tables, prints JSON that it does not sort. */
function formatInHashOrder(json: Json): string {
  if (!isJsonObject(json)) return formatJson(json);
  return formatJson(
    Object.fromEntries(inHashOrder(Object.keys(json)).map((key) => [key, json[key] ?? null])),
  );
}

const dump: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: Infinity,
  run: async (run) => {
    const schema = await fetchSchema(run);
    const [tableName, ...columnNames] = run.args;
    const tables =
      tableName === undefined
        ? [...schema.tables.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
        : [tableNamed(schema, tableName)];
    const wanted = tables.map((table) => ({ table, columns: dumpColumns(table, columnNames) }));
    const operations = wanted.map(({ table, columns }) => ({
      op: 'select',
      table: table.name,
      where: [],
      columns: columns.map((c) => c.name),
    }));
    const results = await run.connection.call('transact', [run.database, ...operations]);
    wanted.forEach(({ table, columns }, i) => {
      const result = isJsonArray(results) ? (results[i] ?? null) : null;
      const found = isJsonObject(result) ? result['rows'] : undefined;
      if (!isJsonArray(found)) {
        const text = formatInHashOrder(result);
        throw new UsageError(
          `${table.name} table reply is not an object with a "rows" member array: ${text}`,
        );
      }
      const rows = sortedRows(found, columns);
      const headings = columns.map((c) => c.name);
      run.output.out(run.style.print({ caption: `${table.name} table`, headings, rows }));
    });
  },
};

export const dataCommands: Readonly<Record<string, Command>> = { transact, query, dump };
