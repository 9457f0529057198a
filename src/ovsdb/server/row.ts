/**
 * Rows in memory.
 *
 * A row is never changed in place. Its columns stand in one array in the order of the schema, most of them being
 * what the default is or what the row before had, and shared with it; a set of one element, as most columns
 * are, is kept as that element alone. So a row of 10 columns takes some 300 bytes and its strings, where a
 * map of datums takes 2 KB.
 */
import type { Atom } from '../data/atom.ts';
import { datumEquals, defaultDatum, emptyDatum } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { isBuiltinColumn } from '../schema.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import type { NumberedUuids } from './numbered-uuids.ts';

/** The contents of a column: the only element of a set, or a whole datum. */
type Cell = Atom | Datum;

function cellOf(column: ColumnSchema, datum: Datum): Cell {
  const [only] = datum.keys;
  if (only === undefined) return emptyDatum(column.type);
  return datum.keys.length === 1 && datum.values === null ? only : datum;
}

function datumOf(cell: Cell): Datum {
  return typeof cell === 'object' ? cell : { keys: [cell], values: null };
}

function sameCell(a: Cell, b: Cell): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && datumEquals(a, b));
}

/** Which column stands where in the rows of a table. */
export class RowLayout {
  /** Without `_uuid` and `_version`. */
  readonly columns: readonly ColumnSchema[];
  readonly positions: ReadonlyMap<string, number>;
  readonly defaults: readonly Cell[];
  readonly versions: NumberedUuids;

  constructor(schema: TableSchema, versions: NumberedUuids) {
    this.columns = [...schema.columns.values()].filter((column) => !isBuiltinColumn(column.name));
    this.positions = new Map(this.columns.map((column, i) => [column.name, i]));
    this.defaults = this.columns.map((column) => cellOf(column, defaultDatum(column.type)));
    this.versions = versions;
  }
}

export class Row {
  readonly uuid: string;
  readonly #layout: RowLayout;
  readonly #version: number;
  readonly #cells: readonly Cell[];

  private constructor(uuid: string, layout: RowLayout, version: number, cells: readonly Cell[]) {
    this.uuid = uuid;
    this.#layout = layout;
    this.#version = version;
    this.#cells = cells;
  }

  /** A row of a new version; columns that are not named have their defaults. */
  static create(uuid: string, layout: RowLayout, columns: ReadonlyMap<string, Datum>): Row {
    return new Row(uuid, layout, layout.versions.next(), withColumns(layout, layout.defaults, columns));
  }

  get version(): string {
    return this.#layout.versions.text(this.#version);
  }

  /** The contents of a column, `_uuid` and `_version` included. */
  get(name: string): Datum {
    const at = this.#layout.positions.get(name);
    const cell = at === undefined ? undefined : this.#cells[at];
    if (cell !== undefined) return datumOf(cell);
    return { keys: name === '_uuid' ? [this.uuid] : name === '_version' ? [this.version] : [], values: null };
  }

  /** Whether a column is the same in `other`. */
  hasSame(name: string, other: Row): boolean {
    const at = this.#layout.positions.get(name);
    if (at === undefined) return this.get(name).keys[0] === other.get(name).keys[0];
    return sameCell(this.#cells[at] ?? 0, other.#cells[at] ?? 0);
  }

  /** Whether a column has its default. */
  hasDefault(name: string): boolean {
    const at = this.#layout.positions.get(name);
    return at !== undefined && sameCell(this.#cells[at] ?? 0, this.#layout.defaults[at] ?? 0);
  }

  /** Whether all columns of the schema are the same in `other`. */
  equals(other: Row): boolean {
    return this.#cells.every((cell, i) => sameCell(cell, other.#cells[i] ?? 0));
  }

  /** This row with other contents of some columns, still of its version. */
  with(columns: ReadonlyMap<string, Datum>): Row {
    return new Row(this.uuid, this.#layout, this.#version, withColumns(this.#layout, this.#cells, columns));
  }

  withNewVersion(): Row {
    return new Row(this.uuid, this.#layout, this.#layout.versions.next(), this.#cells);
  }

  /** Figures of memory/show. */
  get atomCount(): number {
    let count = 0;
    for (const cell of this.#cells) {
      const datum = datumOf(cell);
      count += datum.keys.length + (datum.values?.length ?? 0);
    }
    return count;
  }
  get cellCount(): number {
    return this.#cells.length;
  }
}

function withColumns(
  layout: RowLayout,
  cells: readonly Cell[],
  columns: ReadonlyMap<string, Datum>,
): readonly Cell[] {
  if (columns.size === 0) return cells;
  const copy = cells.slice();
  for (const [name, datum] of columns) {
    const at = layout.positions.get(name);
    const column = at === undefined ? undefined : layout.columns[at];
    if (at !== undefined && column !== undefined) copy[at] = cellOf(column, datum);
  }
  return copy;
}
