/**
 * Which columns the rows of a table keep, and where.
 *
 * Most columns of most rows have their default (of the 45 of an Interface some ten are set), so a row has
 * cells for the others only. Rows with the same columns set share a `RowShape`, which says in which cell each
 * column stands, as V8's hidden classes do for objects. A shape only grows: a column that gets its default back keeps
 * its cell. A table makes at most `maxShapes`, then the one with all columns serves.
 */
import type { Atom } from '../data/atom.ts';
import { datumEquals, defaultDatum, emptyDatum } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { isBuiltinColumn } from '../schema.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import type { NumberedUuids } from './numbered-uuids.ts';

const maxShapes = 256;

/** The contents of a column: the only element of a set, or a whole datum. */
export type Cell = Atom | Datum;

function cellOf(column: ColumnSchema, datum: Datum): Cell {
  const [only] = datum.keys;
  if (only === undefined) return emptyDatum(column.type);
  return datum.keys.length === 1 && datum.values === null ? only : datum;
}

export function datumOf(cell: Cell): Datum {
  return typeof cell === 'object' ? cell : { keys: [cell], values: null };
}

export function sameCell(a: Cell, b: Cell): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && datumEquals(a, b));
}

export class RowShape {
  readonly layout: RowLayout;
  /** Positions of the columns that have cells, ascending, in the order of the cells. */
  readonly positions: readonly number[];
  /** Cell of each column by its position in the layout, -1 if it has its default. */
  readonly slots: readonly number[];
  readonly #larger: (RowShape | undefined)[];

  constructor(layout: RowLayout, positions: readonly number[]) {
    this.layout = layout;
    this.positions = positions;
    this.slots = layout.columns.map((_, position) => positions.indexOf(position));
    this.#larger = layout.columns.map(() => undefined);
  }

  /** The shape that also has a cell for the column at `position`. */
  with(position: number): RowShape {
    return (this.#larger[position] ??= this.layout.shapeOf(
      [...this.positions, position].sort((a, b) => a - b),
    ));
  }
}

/** The columns of a table, without `_uuid` and `_version`. */
export class RowLayout {
  readonly columns: readonly ColumnSchema[];
  readonly positions: ReadonlyMap<string, number>;
  readonly defaults: readonly Cell[];
  readonly versions: NumberedUuids;
  readonly empty: RowShape;
  readonly #shapes = new Map<string, RowShape>();
  /** By position: the keys of the map that came last. */
  readonly #keys: (readonly Atom[])[] = [];

  constructor(schema: TableSchema, versions: NumberedUuids) {
    this.columns = [...schema.columns.values()].filter((column) => !isBuiltinColumn(column.name));
    this.positions = new Map(this.columns.map((column, i) => [column.name, i]));
    this.defaults = this.columns.map((column) => cellOf(column, defaultDatum(column.type)));
    this.versions = versions;
    this.empty = this.shapeOf([]);
  }

  /** A shape with at least these columns. */
  shapeOf(positions: readonly number[]): RowShape {
    const wanted = this.#shapes.size < maxShapes ? positions : this.columns.map((_, i) => i);
    const key = wanted.join();
    let shape = this.#shapes.get(positions.join()) ?? this.#shapes.get(key);
    if (shape === undefined) this.#shapes.set(key, (shape = new RowShape(this, wanted)));
    return shape;
  }

  /** A column's contents as they are kept. Maps that follow each other mostly have the same keys, and then share them. */
  cell(at: number, column: ColumnSchema, datum: Datum): Cell {
    const cell = cellOf(column, datum);
    if (typeof cell !== 'object' || cell.values === null) return cell;
    const { keys, values } = cell;
    const known = this.#keys[at];
    if (known?.length === keys.length && known.every((key, i) => key === keys[i]))
      return { keys: known, values };
    this.#keys[at] = keys;
    return cell;
  }
}
