/**
 * One transaction on a database: an overlay of changed rows over the committed ones, checked as a
 * whole and then applied at once.
 *
 * Life cycle: operations insert, update and delete rows; `check` runs the deferred constraints of
 * RFC 7047 §4.1.3 in OVS's order (references, garbage, row limits, weak references, indexes) and may
 * change more rows; `changes` is what to log and `Database.apply`. A transaction that fails is dropped.
 */
import { ZERO_UUID } from '../data/atom.ts';
import type { Atom } from '../data/atom.ts';
import { compareDatums, datumFromEntries, datumFromKeys } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { formatDatum } from '../data/text.ts';
import { OvsdbError } from '../errors.ts';
import { columnsInHashOrder } from '../schema.ts';
import { indexKey, referredUuids } from './database.ts';
import type { Database, Reference, RowChange, Table } from './database.ts';
import { Row } from './row.ts';

interface Touched {
  readonly table: Table;
  readonly old: Row | undefined;
  new: Row | undefined;
}

export class Transaction {
  readonly database: Database;
  readonly #touched = new Map<Table, Map<string, Touched>>();
  readonly #deletedByOperation = new Set<Row>();
  /** Strong references that this transaction adds to rows of each table, or takes. */
  readonly #references = new Map<Table, Map<string, number>>();

  constructor(database: Database) {
    this.database = database;
  }

  #of(table: Table): Map<string, Touched> {
    let rows = this.#touched.get(table);
    if (rows === undefined) this.#touched.set(table, (rows = new Map<string, Touched>()));
    return rows;
  }

  row(table: Table, uuid: string): Row | undefined {
    const touched = this.#touched.get(table)?.get(uuid);
    return touched === undefined ? table.rows.get(uuid) : touched.new;
  }

  /** Every row as this transaction sees the table. */
  *rows(table: Table): Generator<Row> {
    const touched = this.#touched.get(table);
    for (const row of table.rows.values()) {
      const change = touched?.get(row.uuid);
      if (change === undefined) yield row;
      else if (change.new !== undefined) yield change.new;
    }
    if (touched === undefined) return;
    for (const change of touched.values())
      if (change.old === undefined && change.new !== undefined) yield change.new;
  }

  #count(table: Table): number {
    let count = table.rows.size;
    for (const change of this.#touched.get(table)?.values() ?? []) {
      count += (change.new === undefined ? 0 : 1) - (change.old === undefined ? 0 : 1);
    }
    return count;
  }

  /** Whether a row of this uuid was in the table before, or at any time in this transaction. */
  isUsed(table: Table, uuid: string): boolean {
    return this.#touched.get(table)?.has(uuid) === true || table.rows.has(uuid);
  }

  insert(table: Table, uuid: string, columns: ReadonlyMap<string, Datum>): void {
    this.#of(table).set(uuid, { table, old: undefined, new: Row.create(uuid, table.layout, columns) });
  }

  update(table: Table, row: Row, columns: ReadonlyMap<string, Datum>): void {
    this.#write(table, row.uuid, row.with(columns));
  }

  delete(table: Table, uuid: string): void {
    const row = table.rows.get(uuid);
    if (row !== undefined) this.#deletedByOperation.add(row);
    this.#write(table, uuid, undefined);
  }

  #write(table: Table, uuid: string, row: Row | undefined): void {
    const rows = this.#of(table);
    const touched = rows.get(uuid);
    if (touched === undefined) rows.set(uuid, { table, old: table.rows.get(uuid), new: row });
    else if (row === undefined && touched.old === undefined) rows.delete(uuid);
    else touched.new = row;
  }

  *#allTouched(): Generator<[string, Touched]> {
    for (const rows of this.#touched.values()) yield* rows;
  }

  /**
   * Runs the deferred checks, collects garbage and drops weak references to rows that are gone.
   *
   * @throws OvsdbError `referential integrity violation` or `constraint violation`
   */
  check(): void {
    this.#dropUnchanged();
    this.#countReferences();
    this.#collectGarbage();
    this.#checkMaxRows();
    this.#dropWeakReferences();
    this.#checkIndexes();
  }

  /** Rows that were written and are as before concern no check. */
  #dropUnchanged(): void {
    for (const rows of this.#touched.values()) {
      for (const [uuid, { old, new: row }] of rows) {
        if (old !== undefined && row !== undefined && row.equals(old)) rows.delete(uuid);
      }
    }
  }

  #addReferences(row: Row, table: Table, sign: number): void {
    for (const reference of table.strongColumns) {
      const target = this.database.table(reference.refTable);
      let counts = this.#references.get(target);
      if (counts === undefined) this.#references.set(target, (counts = new Map<string, number>()));
      for (const uuid of referredUuids(row, reference)) counts.set(uuid, (counts.get(uuid) ?? 0) + sign);
    }
  }

  /** How many strong references there are to a row. */
  #referenceCount(table: Table, uuid: string): number {
    return (table.strongRefs.get(uuid) ?? 0) + (this.#references.get(table)?.get(uuid) ?? 0);
  }

  /** Counts and checks strong references. */
  #countReferences(): void {
    for (const [, touched] of this.#allTouched()) {
      if (touched.old !== undefined) this.#addReferences(touched.old, touched.table, -1);
      if (touched.new !== undefined) this.#addReferences(touched.new, touched.table, 1);
    }
    for (const [, touched] of this.#allTouched())
      if (touched.new !== undefined) this.#checkTargets(touched.table, touched.new);
    for (const [uuid, touched] of this.#allTouched()) {
      if (touched.new !== undefined) continue;
      const left = this.#referenceCount(touched.table, uuid);
      if (left > 0) {
        throw new OvsdbError(
          'referential integrity violation',
          `cannot delete ${touched.table.schema.name} row ${uuid} because of ${left} remaining reference(s)`,
        );
      }
    }
  }

  #checkTargets(table: Table, row: Row): void {
    for (const reference of table.strongColumns) {
      const target = this.database.table(reference.refTable);
      for (const uuid of referredUuids(row, reference)) {
        const old = target.rows.get(uuid);
        if (this.row(target, uuid) !== undefined || (old !== undefined && this.#deletedByOperation.has(old)))
          continue;
        throw new OvsdbError(
          'referential integrity violation',
          `Table ${table.schema.name} column ${reference.column} row ${row.uuid} references nonexistent row ${uuid} in table ${reference.refTable}.`,
        );
      }
    }
  }

  #collectGarbage(): void {
    const candidates: [Table, string][] = [];
    const consider = (table: Table, uuid: string): void => {
      if (!table.schema.isRoot) candidates.push([table, uuid]);
    };
    for (const [uuid, touched] of this.#allTouched()) {
      if (touched.new !== undefined) consider(touched.table, uuid);
      if (touched.old !== undefined) this.#eachTarget(touched.table, touched.old, consider);
    }
    for (let next = candidates.pop(); next !== undefined; next = candidates.pop()) {
      const [table, uuid] = next;
      const row = this.row(table, uuid);
      if (row === undefined || this.#referenceCount(table, uuid) > 0) continue;
      this.#write(table, uuid, undefined);
      this.#addReferences(row, table, -1);
      this.#eachTarget(table, row, consider);
    }
  }

  #eachTarget(table: Table, row: Row, fn: (table: Table, uuid: string) => void): void {
    for (const reference of table.strongColumns) {
      const target = this.database.table(reference.refTable);
      for (const uuid of referredUuids(row, reference)) fn(target, uuid);
    }
  }

  #checkMaxRows(): void {
    for (const table of this.#touched.keys()) {
      const { maxRows, name } = table.schema;
      const count = maxRows === Infinity ? 0 : this.#count(table);
      if (count > maxRows) {
        throw new OvsdbError(
          'constraint violation',
          `transaction causes "${name}" table to contain ${count} rows, greater than the schema-defined limit of ${maxRows} row(s)`,
        );
      }
    }
  }

  #dropWeakReferences(): void {
    const suspects: [Table, string][] = [];
    for (const [uuid, touched] of this.#allTouched()) {
      if (touched.new !== undefined) suspects.push([touched.table, uuid]);
      else {
        for (const table of this.database.tables.values()) {
          if (table.weakColumns.length === 0) continue;
          const sources = table.weakSources.get(uuid) ?? [];
          for (const source of typeof sources === 'string' ? [sources] : sources)
            suspects.push([table, source]);
        }
      }
    }
    for (const [table, uuid] of suspects) {
      if (table.weakColumns.length === 0) continue;
      const row = this.row(table, uuid);
      if (row !== undefined) this.#dropWeakReferencesOf(table, row);
    }
  }

  #dropWeakReferencesOf(table: Table, row: Row): void {
    const columns = new Map<string, Datum>();
    for (const name of new Set(table.weakColumns.map((r) => r.column))) {
      const references = table.weakColumns.filter((r) => r.column === name);
      const before = row.get(name);
      const keep = before.keys.map((key, i) =>
        references.every(
          (r) =>
            this.row(this.database.table(r.refTable), String(r.isValue ? before.values?.[i] : key)) !==
            undefined,
        ),
      );
      if (keep.every(Boolean)) continue;
      const entries = before.keys.flatMap((key, i) =>
        keep[i] === true ? [[key, before.values?.[i] ?? ''] as const] : [],
      );
      const after =
        before.values === null ? datumFromKeys(entries.map((e) => e[0])) : datumFromEntries(entries, true);
      this.#checkNotEmptied(table, row, references[0], before, after);
      columns.set(name, after);
    }
    if (columns.size > 0) this.update(table, row, columns);
  }

  #checkNotEmptied(
    table: Table,
    row: Row,
    reference: Reference | undefined,
    before: Datum,
    after: Datum,
  ): void {
    const column = table.schema.columns.get(reference?.column ?? '');
    if (column === undefined || after.keys.length > 0 || column.type.min === 0) return;
    const isZero = before.keys.includes(ZERO_UUID) || before.values?.includes(ZERO_UUID) === true;
    const isNew =
      this.#touched.get(table)?.get(row.uuid)?.old === undefined &&
      this.#touched.get(table)?.has(row.uuid) === true;
    const where = `column "${column.name}" in "${table.schema.name}" row ${row.uuid}${isNew ? ' (inserted within this transaction)' : ''}`;
    throw new OvsdbError(
      'constraint violation',
      isZero
        ? `Weak reference ${where} contained all-zeros UUID (probably as the default value for this column) but deleting this value caused a constraint volation because this column is not allowed to be empty.`
        : `Deletion of ${before.keys.length} weak reference(s) to deleted (or never-existing) rows from ${where} caused this column to become empty, but constraints on this column disallow an empty column.`,
    );
  }

  #checkIndexes(): void {
    for (const [table, rows] of this.#touched) {
      table.schema.indexes.forEach((columns, i) => {
        const seen = new Map<Atom, Touched>();
        for (const touched of rows.values()) {
          if (touched.new === undefined) continue;
          const key = indexKey(table.schema, touched.new, columns);
          const twin = seen.get(key);
          if (twin !== undefined) throw duplicateIndex(table, columns, touched, twin);
          seen.set(key, touched);
          const holder = table.indexes[i]?.get(key);
          const committed = holder === undefined || rows.has(holder) ? undefined : table.rows.get(holder);
          if (committed !== undefined)
            throw duplicateIndex(table, columns, { table, old: committed, new: committed }, touched);
        }
      });
    }
  }

  /**
   * What to commit, after `check`; modified rows get a new version. A row that lost a weak reference may be as before
   * all the same: its new version is told.
   */
  changes(): RowChange[] {
    const changes: RowChange[] = [];
    for (const [uuid, { table, old, new: row }] of this.#allTouched()) {
      if (old === undefined && row === undefined) continue;
      const isModified = old !== undefined && row !== undefined;
      changes.push({ table, uuid, old, new: isModified ? row.withNewVersion() : row });
    }
    return changes;
  }
}

function indexText(table: Table, columns: readonly string[], row: Row): string {
  return enumerate(
    columns.map((name) => {
      const column = table.schema.columns.get(name);
      return column === undefined ? '' : formatDatum(column.type, row.get(name));
    }),
  );
}

function enumerate(texts: readonly string[]): string {
  if (texts.length < 2) return texts[0] ?? '';
  return `${texts.slice(0, -1).join(', ')} and ${texts.at(-1) ?? ''}`;
}

/** Where a row with a repeated index comes from, in OVS's words. */
function indexOrigin(columns: readonly string[], table: Table, { old, new: row }: Touched): string {
  if (old === undefined || row === undefined) return 'was inserted by this transaction';
  if (old === row)
    return 'existed in the database before this transaction and was not modified by the transaction';
  if (indexKey(table.schema, old, columns) === indexKey(table.schema, row, columns)) {
    return "existed in the database before this transaction, which modified some of the row's columns but not any columns in this index";
  }
  return `had the following index values before the transaction: ${indexText(table, columns, old)}`;
}

function compareWhole(table: Table, a: Touched, b: Touched): number {
  if (a.new === undefined || b.new === undefined) return 0;
  for (const name of columnsInHashOrder(table.schema)) {
    const order = compareDatums(a.new.get(name), b.new.get(name));
    if (order !== 0) return order;
  }
  return 0;
}

/** @param pair In any order: OVS names the greater row first, compared column by column as they stand in a hash table. */
function duplicateIndex(
  table: Table,
  columns: readonly string[],
  ...pair: readonly [Touched, Touched]
): OvsdbError {
  const [first, second] = compareWhole(table, ...pair) < 0 ? [pair[1], pair[0]] : pair;
  const word = columns.length === 1 ? 'column' : 'columns';
  const names = columns.map((c) => `"${c}"`);
  const list = enumerate(names);
  const values = first.new === undefined ? '' : indexText(table, columns, first.new);
  return new OvsdbError(
    'constraint violation',
    `Transaction causes multiple rows in "${table.schema.name}" table to have identical values (${values}) for index on ${word} ${list}.` +
      `  First row, with UUID ${first.new?.uuid ?? ''}, ${indexOrigin(columns, table, first)}.` +
      `  Second row, with UUID ${second.new?.uuid ?? ''}, ${indexOrigin(columns, table, second)}.`,
  );
}
