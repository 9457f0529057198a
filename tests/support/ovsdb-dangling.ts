import { isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import type { SchemaModel } from './ovsdb-schemas.ts';

/**
 * Whether rows hold weak references to rows that do not exist. The stock server leaves some if the row that holds
 * them was changed by the transaction that deleted the other; whether it does depends on the order of uuids.
 *
 * @param selected The result of a `select` of each table of the schema, with `_uuid`.
 */
export function hasDanglingReference(schema: SchemaModel, selected: readonly Json[]): boolean {
  const rows = new Map(schema.tables.map(({ name }, i) => [name, rowsOf(selected[i])]));
  const uuids = new Map(
    [...rows].map(([name, list]) => [name, new Set(list.map((r) => uuidOf(r['_uuid'])))]),
  );
  return schema.tables.some((table) =>
    table.columns.some((column) =>
      [column.key, column.value].some((base, part) => {
        if (base?.refTable == null || !base.isWeak) return false;
        const known = uuids.get(base.refTable);
        return (rows.get(table.name) ?? []).some((row) =>
          atomsOf(row[column.name], part).some((atom) => known?.has(uuidOf(atom)) === false),
        );
      }),
    ),
  );
}

function rowsOf(result: Json | undefined): readonly Readonly<Record<string, Json>>[] {
  const rows = isJsonObject(result) ? result['rows'] : undefined;
  return isJsonArray(rows) ? rows.filter(isJsonObject) : [];
}

/** The keys (`part` 0) or values (1) of a datum. */
function atomsOf(datum: Json | undefined, part: number): readonly (Json | undefined)[] {
  if (!isJsonArray(datum)) return [];
  const [tag, items] = datum;
  if (tag === 'map' && isJsonArray(items))
    return items.map((pair) => (isJsonArray(pair) ? pair[part] : pair));
  return tag === 'set' && isJsonArray(items) ? items : [datum];
}

function uuidOf(atom: Json | undefined): Json | undefined {
  return isJsonArray(atom) ? atom[1] : undefined;
}
