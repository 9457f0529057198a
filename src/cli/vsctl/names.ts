/**
 * Finding tables, columns and records by what the user typed (ovs-vsctl(8), "Identifying Tables,
 * Records, and Columns").
 */
import { isUuid } from '../../ovsdb/data/atom.ts';
import type { Atom } from '../../ovsdb/data/atom.ts';
import { isBuiltinColumn } from '../../ovsdb/schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../../ovsdb/schema.ts';
import { UsageError } from '../../util/errors.ts';
import type { Context } from './context.ts';

/** How names lead to rows: `column` of `table` (or, by `via`, what that column refers to); '.' is the only row. */
interface RowId {
  readonly table: string;
  /** Column with the name; null for `.`. */
  readonly name: string | null;
  /** Column of `table` that refers to the wanted row; null if the row itself is wanted. */
  readonly via: string | null;
}

const direct = (table: string, name: string): RowId => ({ table, name, via: null });
const viaBridge = (via: string): RowId => ({ table: 'Bridge', name: 'name', via });

/** Tables in the order of their names. */
export const rowIds: Readonly<Record<string, readonly RowId[]>> = {
  AutoAttach: [viaBridge('auto_attach')],
  Bridge: [direct('Bridge', 'name')],
  CT_Timeout_Policy: [],
  CT_Zone: [],
  Controller: [viaBridge('controller')],
  Datapath: [],
  Flow_Sample_Collector_Set: [direct('Flow_Sample_Collector_Set', 'id')],
  Flow_Table: [direct('Flow_Table', 'name')],
  IPFIX: [viaBridge('ipfix')],
  Interface: [direct('Interface', 'name')],
  Manager: [direct('Manager', 'target')],
  Mirror: [direct('Mirror', 'name')],
  NetFlow: [viaBridge('netflow')],
  Open_vSwitch: [{ table: 'Open_vSwitch', name: null, via: null }],
  Port: [direct('Port', 'name')],
  QoS: [{ table: 'Port', name: 'name', via: 'qos' }],
  Queue: [],
  SSL: [{ table: 'Open_vSwitch', name: null, via: 'ssl' }],
  sFlow: [viaBridge('sflow')],
};

function normal(name: string): string {
  return name.toLowerCase().replaceAll('-', '_');
}

/** Exact names beat prefixes. */
function matches<T extends { readonly name: string }>(items: Iterable<T>, typed: string): T[] {
  const wanted = normal(typed);
  const all = [...items];
  const exact = all.filter((item) => normal(item.name) === wanted);
  if (exact.length > 0 || wanted === '') return exact;
  return all.filter((item) => normal(item.name).startsWith(wanted));
}

function namesOf(items: readonly { readonly name: string }[]): string {
  return items
    .map((item) => item.name)
    .sort()
    .join(', ');
}

export function findTable(schema: DatabaseSchema, typed: string): TableSchema {
  const found = matches(schema.tables.values(), typed);
  const [table] = found;
  if (table === undefined) throw new UsageError(`unknown table "${typed}"`);
  if (found.length > 1) throw new UsageError(`"${typed}" matches multiple table names: ${namesOf(found)}`);
  return table;
}

/** @param hasUuid Whether `_uuid`, in full, is a column too: it can be read but not written or searched for. */
export function findColumn(table: TableSchema, typed: string, hasUuid = false): ColumnSchema {
  const uuid = hasUuid && typed === '_uuid' ? table.columns.get(typed) : undefined;
  if (uuid !== undefined) return uuid;
  const columns = [...table.columns.values()].filter((c) => !isBuiltinColumn(c.name));
  const found = matches(columns, typed);
  const [column] = found;
  if (column === undefined)
    throw new UsageError(`${table.name} does not contain a column whose name matches "${typed}"`);
  if (found.length > 1)
    throw new UsageError(
      `${table.name} contains more than one column whose name matches "${typed}": ${namesOf(found)}`,
    );
  return column;
}

/** The columns of `--columns`. @throws UsageError */
export function namedColumns(table: TableSchema, option: string): readonly ColumnSchema[] {
  const names = option.split(/[ ,]+/).filter((name) => name !== '');
  if (names.length === 0) throw new UsageError('must specify at least one column name');
  return names.map((name) => findColumn(table, name, true));
}

/** @returns uuid, or undefined if there is none and `mustExist` is false */
export function findRow(
  context: Context,
  table: TableSchema,
  typed: string,
  mustExist: boolean,
): string | undefined {
  const { transaction } = context;
  if (isUuid(typed) && transaction.exists(table.name, typed.toLowerCase())) return typed.toLowerCase();
  if (typed.startsWith('@')) {
    const symbol = context.symbols.get(typed.slice(1));
    if (symbol !== undefined && transaction.exists(table.name, symbol.uuid)) return symbol.uuid;
  }
  const all = transaction.uuids(table.name);
  if (typed === '.' && all.length === 1) return all[0];
  let found: string | undefined;
  for (const id of rowIds[table.name] ?? []) {
    for (const candidate of byId(context, table, id, typed)) {
      if (found !== undefined && found !== candidate)
        throw new UsageError(`multiple rows in ${table.name} match "${typed}"`);
      found = candidate;
    }
  }
  if (found !== undefined) return found;
  if (/^[0-9a-f-]{4,36}$/i.test(typed)) {
    const partial = all.filter((uuid) => uuid.startsWith(typed.toLowerCase()));
    if (partial.length === 1) return partial[0];
  }
  if (mustExist) throw new UsageError(`no row "${typed}" in table ${table.name}`);
  return undefined;
}

/** A number may be typed in any way that means the same. */
function isNamed(name: Atom, typed: string): boolean {
  if (typeof name === 'string') return name === typed;
  return /^-?\d+$/.test(typed) && String(name) === String(BigInt(typed));
}

function* byId(context: Context, table: TableSchema, id: RowId, typed: string): Generator<string> {
  const { transaction } = context;
  const sources = transaction.uuids(id.table);
  if (id.name === null && (typed !== '.' || sources.length !== 1)) return;
  for (const uuid of sources) {
    if (id.name !== null) {
      const name = transaction.datum(id.table, uuid, id.name).keys[0];
      if (name === undefined || !isNamed(name, typed)) continue;
    }
    if (id.via === null) yield uuid;
    else {
      const { keys } = transaction.datum(id.table, uuid, id.via);
      if (keys.length === 1 && transaction.exists(table.name, String(keys[0]))) yield String(keys[0]);
    }
  }
}
