/**
 * A database in memory: committed rows, and what keeps integrity checks cheap.
 *
 * Rows are never changed in place: a commit replaces them, so readers (monitors, open transactions)
 * may keep any row they have. Of each table `strongRefs` counts the references to its rows, `weakSources` says
 * which of its rows hold weak references to a uuid, `indexes` maps the contents of each index to a row.
 *
 * Threads: one. Only `Transaction.commit` and the log reader write.
 */
import type { Atom } from '../data/atom.ts';
import { defaultDatum } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { isScalar } from '../data/type.ts';
import type { BaseType } from '../data/type.ts';
import { SystemRandom } from '../../util/random.ts';
import { OvsdbError } from '../errors.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../schema.ts';
import { columnsInHashOrder, isBuiltinColumn } from '../schema.ts';
import { TransactionHistory } from './history.ts';
import { NumberedUuids } from './numbered-uuids.ts';
import { RowLayout } from './row-layout.ts';
import type { Row } from './row.ts';

const $random = new SystemRandom();

export interface RowChange {
  readonly table: Table;
  readonly uuid: string;
  readonly old: Row | undefined;
  readonly new: Row | undefined;
}

/** What a commit did, in no particular order. */
export type Changes = readonly RowChange[];

export interface Reference {
  readonly column: string;
  readonly base: BaseType;
  readonly refTable: string;
  readonly isValue: boolean;
}

export class Table {
  readonly schema: TableSchema;
  readonly rows = new Map<string, Row>();
  /** One map per index of the schema: `indexKey` -> uuid. */
  readonly indexes: Map<Atom, string>[];
  readonly strongColumns: readonly Reference[];
  readonly weakColumns: readonly Reference[];
  readonly defaults: ReadonlyMap<string, Datum>;
  readonly layout: RowLayout;
  /** How many references there are to each row of this table. */
  readonly strongRefs = new Map<string, number>();
  /** Uuid -> the rows of this table that refer to it weakly; most have one. */
  readonly weakSources = new Map<string, string | Set<string>>();
  /** Columns that stand in the log. */
  readonly persistentColumns: readonly ColumnSchema[];

  constructor(schema: TableSchema, versions: NumberedUuids) {
    this.schema = schema;
    this.layout = new RowLayout(schema, versions);
    this.indexes = schema.indexes.map(() => new Map<Atom, string>());
    const references: Reference[] = [];
    const defaults = new Map<string, Datum>();
    // In the order in which errors name them.
    for (const name of columnsInHashOrder(schema)) {
      const column = schema.columns.get(name);
      if (column === undefined || isBuiltinColumn(name)) continue;
      defaults.set(column.name, defaultDatum(column.type));
      for (const [base, isValue] of [
        [column.type.key, false],
        [column.type.value, true],
      ] as const) {
        if (base?.refTable != null)
          references.push({ column: column.name, base, refTable: base.refTable, isValue });
      }
    }
    this.strongColumns = references.filter((r) => r.base.refType === 'strong');
    this.weakColumns = references.filter((r) => r.base.refType === 'weak');
    this.defaults = defaults;
    this.persistentColumns = [...schema.columns.values()].filter(
      (column) => column.isPersistent && !isBuiltinColumn(column.name),
    );
  }
}

export type { Row } from './row.ts';

/** Reads a column of a row, `_uuid` and `_version` included. */
export function rowDatum(row: Row, column: string): Datum {
  return row.get(column);
}

/** The uuids that a reference column of a row holds; a strong reference to itself keeps no row alive and does not count. */
export function referredUuids(row: Row, reference: Reference): readonly string[] {
  const { keys, values } = row.get(reference.column);
  const uuids = ((reference.isValue ? values : keys) ?? []) as readonly string[];
  return reference.base.refType === 'strong' && uuids.includes(row.uuid)
    ? uuids.filter((uuid) => uuid !== row.uuid)
    : uuids;
}

/** What `Table.indexes` knows a row by: the atom of one scalar column, else the contents as text. */
export function indexKey(table: TableSchema, row: Row, columns: readonly string[]): Atom {
  const [name = ''] = columns;
  const column = table.columns.get(name);
  if (columns.length === 1 && column !== undefined && isScalar(column.type))
    return row.get(name).keys[0] ?? 0;
  return JSON.stringify(
    columns.map((name) => {
      const { keys, values } = row.get(name);
      return [keys.map(String), values?.map(String) ?? 0];
    }),
  );
}

export class Database {
  readonly schema: DatabaseSchema;
  readonly tables = new Map<string, Table>();
  readonly history = new TransactionHistory($random);
  readonly #listeners = new Set<(changes: Changes) => void>();

  constructor(schema: DatabaseSchema) {
    this.schema = schema;
    const versions = new NumberedUuids($random);
    for (const table of schema.tables.values()) this.tables.set(table.name, new Table(table, versions));
  }

  get name(): string {
    return this.schema.name;
  }

  table(name: string): Table {
    const table = this.tables.get(name);
    if (table === undefined) throw new OvsdbError('unknown table', `No table named ${name}.`);
    return table;
  }

  /** Calls `fn` with the changes of each commit, before its reply is made. */
  onCommit(fn: (changes: Changes) => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  get rowCount(): number {
    let count = 0;
    for (const table of this.tables.values()) count += table.rows.size;
    return count;
  }

  /** Makes `changes` the committed contents and tells of it; the caller has checked them. */
  apply(changes: Changes): void {
    this.load(changes);
    this.history.add(changes, this.rowCount);
    for (const fn of [...this.#listeners]) fn(changes);
  }

  /** As `apply`, of what was committed before. */
  load(changes: Changes): void {
    for (const change of changes) if (change.old !== undefined) this.#forget(change.table, change.old);
    for (const change of changes) {
      if (change.new === undefined) change.table.rows.delete(change.uuid);
      else {
        change.table.rows.set(change.uuid, change.new);
        this.#learn(change.table, change.new);
      }
    }
  }

  #forget(table: Table, row: Row): void {
    for (const reference of table.strongColumns) {
      const { strongRefs } = this.table(reference.refTable);
      for (const uuid of referredUuids(row, reference)) {
        const count = (strongRefs.get(uuid) ?? 0) - 1;
        if (count > 0) strongRefs.set(uuid, count);
        else strongRefs.delete(uuid);
      }
    }
    for (const reference of table.weakColumns) {
      for (const uuid of referredUuids(row, reference)) {
        removeSource(table.weakSources, uuid, row.uuid);
      }
    }
    table.schema.indexes.forEach((columns, i) =>
      table.indexes[i]?.delete(indexKey(table.schema, row, columns)),
    );
  }

  #learn(table: Table, row: Row): void {
    for (const reference of table.strongColumns) {
      const { strongRefs } = this.table(reference.refTable);
      for (const uuid of referredUuids(row, reference)) strongRefs.set(uuid, (strongRefs.get(uuid) ?? 0) + 1);
    }
    for (const reference of table.weakColumns) {
      for (const uuid of referredUuids(row, reference)) {
        addSource(table.weakSources, uuid, row.uuid);
      }
    }
    table.schema.indexes.forEach((columns, i) =>
      table.indexes[i]?.set(indexKey(table.schema, row, columns), row.uuid),
    );
  }

  /** Figures of memory/show. */
  usage(): { atoms: number; cells: number; weakRefs: number } {
    let atoms = 0;
    let cells = 0;
    let weakRefs = 0;
    for (const table of this.tables.values()) {
      for (const row of table.rows.values()) {
        // _uuid and _version count, too.
        cells += row.cellCount + 2;
        atoms += row.atomCount + 2;
      }
      for (const sources of table.weakSources.values())
        weakRefs += typeof sources === 'string' ? 1 : sources.size;
    }
    return { atoms, cells, weakRefs };
  }
}

function addSource(sources: Map<string, string | Set<string>>, uuid: string, source: string): void {
  const known = sources.get(uuid);
  if (known === undefined || known === source) sources.set(uuid, source);
  else if (typeof known === 'string') sources.set(uuid, new Set([known, source]));
  else known.add(source);
}

function removeSource(sources: Map<string, string | Set<string>>, uuid: string, source: string): void {
  const known = sources.get(uuid);
  if (known === source) sources.delete(uuid);
  else if (typeof known === 'object' && known.delete(source) && known.size === 0) sources.delete(uuid);
}
