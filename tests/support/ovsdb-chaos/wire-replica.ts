import { formatJson, isJsonArray, isJsonObject } from '../../../src/stream/index.ts';
import type { Json } from '../../../src/stream/index.ts';
import { chaosSchema, columnsOf } from './schema.ts';

/** Elements of a set as text, or pairs of a map, both parts as text. */
type Value = ReadonlySet<string> | ReadonlyMap<string, string>;

interface ColumnShape {
  readonly isMap: boolean;
  /** At most one element: differences are the new value. */
  readonly isSingle: boolean;
  readonly initial: Value;
}

const atomDefaults: Readonly<Record<string, Json>> = { integer: 0, real: 0, boolean: false, string: '' };
const uuidDefault: Json = ['uuid', '00000000-0000-0000-0000-000000000000'];

function shapeOf(table: string, column: string): ColumnShape {
  const schema = chaosSchema(1, true) as unknown as {
    tables: Record<string, { columns: Record<string, { type: Json }> } | undefined>;
  };
  const type = schema.tables[table]?.columns[column]?.type ?? null;
  const { key = type, value, min = 1, max = 1 } = isJsonObject(type) ? type : {};
  const atom = isJsonObject(key) ? key['type'] : key;
  const isMap = value !== undefined;
  const initial =
    min === 0 ? [] : [formatJson((typeof atom === 'string' ? atomDefaults[atom] : undefined) ?? uuidDefault)];
  return { isMap, isSingle: max === 1, initial: isMap ? new Map() : new Set(initial) };
}

const shapes = new Map(
  Object.entries(columnsOf).map(([table, columns]) => [
    table,
    new Map(columns.map((column) => [column, shapeOf(table, column)])),
  ]),
);

function valueOf(json: Json): Value {
  if (isJsonArray(json) && isJsonArray(json[1])) {
    const [tag, items] = json;
    if (tag === 'set') return new Set(items.map((item) => formatJson(item)));
    return new Map(
      items.map((pair) => {
        const [key = null, value = null] = isJsonArray(pair) ? pair : [];
        return [formatJson(key), formatJson(value)];
      }),
    );
  }
  return new Set([formatJson(json)]);
}

/** ovsdb-server(7) 4.1.14: `<row-update2>`, differences of a column. */
function applyDifference({ isMap, isSingle }: ColumnShape, before: Value, diff: Value): Value {
  if (isMap) {
    const out = new Map(before as ReadonlyMap<string, string>);
    for (const [key, value] of diff as ReadonlyMap<string, string>)
      if (out.get(key) === value) out.delete(key);
      else out.set(key, value);
    return out;
  }
  if (isSingle) return diff;
  const out = new Set(before.keys());
  for (const key of diff.keys()) if (!out.delete(key)) out.add(key);
  return out;
}

function textOfUuid(json: Json): string {
  return isJsonArray(json) && typeof json[1] === 'string' ? json[1] : '';
}

function textOf(value: Value): string {
  return [...value.entries()]
    .map(([key, item]) => `${key}=${item}`)
    .sort()
    .join(' ');
}

/**
 * What a client knows from its monitor, by the documents alone and by none of our code: rows by table and uuid.
 */
export class WireReplica {
  readonly #tables = new Map<string, Map<string, Map<string, Value>>>();
  readonly #columns: Readonly<Record<string, readonly string[]>>;

  /** @param columns Monitored, by table. */
  constructor(columns: Readonly<Record<string, readonly string[]>>) {
    this.#columns = columns;
  }

  clear(): void {
    this.#tables.clear();
  }

  /** @throws Error if the update does not fit what is there */
  apply(updates: Json): void {
    if (!isJsonObject(updates)) throw new Error(`no table updates: ${formatJson(updates)}`);
    for (const [table, rows] of Object.entries(updates))
      for (const [uuid, update] of Object.entries(isJsonObject(rows) ? rows : {}))
        this.#applyRow(table, uuid, update);
  }

  #applyRow(table: string, uuid: string, update: Json): void {
    if (!isJsonObject(update)) throw new Error(`no row update: ${formatJson(update)}`);
    const rows = this.#tables.get(table) ?? new Map<string, Map<string, Value>>();
    this.#tables.set(table, rows);
    const known = rows.get(uuid);
    const isNew = 'initial' in update || 'insert' in update || ('new' in update && !('old' in update));
    const isGone = 'delete' in update || ('old' in update && !('new' in update));
    if (isNew ? known !== undefined : known === undefined)
      throw new Error(`${isNew ? 'known' : 'unknown'} row of ${table} ${uuid}: ${formatJson(update)}`);
    if (isGone) {
      rows.delete(uuid);
      return;
    }
    const row = known ?? new Map<string, Value>();
    const contents = update['initial'] ?? update['insert'] ?? update['new'] ?? update['modify'];
    for (const name of this.#columns[table] ?? []) {
      const shape = shapes.get(table)?.get(name);
      const json = isJsonObject(contents) ? contents[name] : undefined;
      if (shape === undefined) throw new Error(`no column ${name}`);
      if (json === undefined) {
        if (isNew) row.set(name, shape.initial);
      } else {
        const value =
          shape.isMap || !isJsonArray(json) || json[0] !== 'map' ? valueOf(json) : new Map<string, string>();
        row.set(
          name,
          'modify' in update ? applyDifference(shape, row.get(name) ?? shape.initial, value) : value,
        );
      }
    }
    rows.set(uuid, row);
  }

  /** A line per row, in order. */
  text(): string {
    const lines: string[] = [];
    for (const [table, rows] of this.#tables)
      for (const [uuid, row] of rows)
        lines.push(
          `${table} ${uuid} ${[...row]
            .map(([name, value]) => `${name}: ${textOf(value)}`)
            .sort()
            .join(', ')}`,
        );
    return lines.sort().join('\n');
  }

  /** As `text`, of rows by table as `select` gives them. */
  static textOfRows(tables: Readonly<Record<string, readonly Json[]>>): string {
    const lines = new Set<string>();
    for (const [table, rows] of Object.entries(tables)) {
      for (const row of rows) {
        if (!isJsonObject(row)) continue;
        const { _uuid: uuid = null, ...columns } = row;
        const cells = Object.entries(columns).map(([name, json]) => `${name}: ${textOf(valueOf(json))}`);
        lines.add(`${table} ${textOfUuid(uuid)} ${cells.sort().join(', ')}`);
      }
    }
    return [...lines].sort().join('\n');
  }
}
