/** A transaction of a typed client: as `IdlTransaction`, with rows for uuids. */
import type { Atom } from '../data/atom.ts';
import type { DatabaseShape, Reference, RowHandle, TypedRow } from './describe.ts';
import type { IdlTransaction } from './transaction.ts';
import type { TypedRows } from './typed-row.ts';
import type { InputValue } from './value.ts';

type Name<Shape> = keyof Shape & string;
type Columns<Shape extends DatabaseShape<Shape>, Table extends keyof Shape> = Shape[Table]['columns'];
type ColumnName<Shape extends DatabaseShape<Shape>, Table extends keyof Shape> = keyof Columns<Shape, Table> &
  string;

function uuidOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && '_uuid' in value ? value._uuid : value;
}

/** Rows become their uuids, in sets and maps too. */
function inputOf(value: unknown): InputValue {
  if (Array.isArray(value)) return value.map(uuidOf) as readonly Atom[];
  if (value instanceof Map)
    return new Map(
      [...(value as ReadonlyMap<unknown, unknown>)].map(([k, v]) => [uuidOf(k), uuidOf(v)] as [Atom, Atom]),
    );
  if (typeof value !== 'object' || value === null) return value as InputValue;
  if ('_uuid' in value) return value._uuid as string;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, uuidOf(v) as Atom]));
}

export class TypedTransaction<Shape extends DatabaseShape<Shape>> {
  readonly #transaction: IdlTransaction;

  constructor(transaction: IdlTransaction) {
    this.#transaction = transaction;
  }

  /** Adds a row; columns left out get their defaults. The result may be written to references. */
  insert<Table extends Name<Shape>>(table: Table, columns: Columns<Shape, Table>): RowHandle<Table> {
    const _uuid = this.#transaction.insert(table);
    const row: RowHandle<Table> = { _table: table, _uuid };
    this.update(row, columns);
    return row;
  }

  update<Table extends Name<Shape>>(row: RowHandle<Table>, columns: Columns<Shape, Table>): void {
    const values = Object.entries(columns).map(([name, value]) => [name, inputOf(value)] as const);
    this.#transaction.update(row._table, row._uuid, Object.fromEntries(values));
  }

  delete(row: RowHandle<Name<Shape>>): void {
    this.#transaction.delete(row._table, row._uuid);
  }

  /** The transaction is built anew if the server's contents of these columns differ from what was read here. */
  verify<Table extends Name<Shape>>(row: RowHandle<Table>, ...columns: ColumnName<Shape, Table>[]): void {
    for (const column of columns) this.#transaction.verify(row._table, row._uuid, column);
  }

  /** Writes one pair of a map and leaves the others alone, whatever they are on the server by then. */
  setKey<Table extends Name<Shape>>(
    row: RowHandle<Table>,
    column: ColumnName<Shape, Table>,
    key: Atom,
    value: Atom | RowHandle,
  ): void {
    this.#transaction.setKey(row._table, row._uuid, column, key, uuidOf(value) as Atom);
  }
  deleteKey<Table extends Name<Shape>>(
    row: RowHandle<Table>,
    column: ColumnName<Shape, Table>,
    key: Atom,
  ): void {
    this.#transaction.deleteKey(row._table, row._uuid, column, key);
  }

  /** Adds elements to a set; others that were added meanwhile stay. */
  insertElements<Table extends Name<Shape>>(
    row: RowHandle<Table>,
    column: ColumnName<Shape, Table>,
    elements: readonly (Atom | Reference)[],
  ): void {
    this.#transaction.insertElements(row._table, row._uuid, column, elements.map(uuidOf) as readonly Atom[]);
  }
  deleteElements<Table extends Name<Shape>>(
    row: RowHandle<Table>,
    column: ColumnName<Shape, Table>,
    elements: readonly (Atom | Reference)[],
  ): void {
    this.#transaction.deleteElements(row._table, row._uuid, column, elements.map(uuidOf) as readonly Atom[]);
  }

  /** Adds 1 to an integer column; see `Committed.incrementResult`. One a transaction. */
  increment<Table extends Name<Shape>>(row: RowHandle<Table>, column: ColumnName<Shape, Table>): void {
    this.#transaction.increment(row._table, row._uuid, column);
  }

  /** A line for the database's log, as shown by `ovsdb-tool show-log`. */
  comment(text: string): void {
    this.#transaction.comment(text);
  }
}

/** What is known once a transaction is committed. */
export class Committed<Shape extends DatabaseShape<Shape>> {
  readonly #transaction: IdlTransaction;
  readonly #rows: TypedRows;

  constructor(transaction: IdlTransaction, rows: TypedRows) {
    this.#transaction = transaction;
    this.#rows = rows;
  }

  /** What `increment` made of its column; undefined if there was none. */
  get incrementResult(): number | undefined {
    return this.#transaction.incrementResult;
  }
  /** The lasting uuid of a row, also of an inserted one. */
  uuid(row: RowHandle<Name<Shape>>): string | undefined {
    return this.#transaction.realUuid(row._uuid);
  }
  /** The row itself; undefined if it is not monitored or already gone. */
  row<Table extends Name<Shape>>(row: RowHandle<Table>): Shape[Table]['row'] | undefined {
    const found: TypedRow | undefined = this.#rows.find(row._table, this.uuid(row) ?? '');
    return found;
  }
}
