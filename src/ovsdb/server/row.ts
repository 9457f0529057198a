/**
 * Rows in memory.
 *
 * A row is never changed in place. Its cells are those of the columns that its shape names, what is not set takes none; a
 * set of one element, as most columns are, is kept as that element alone, and what the row before had is shared
 * with it. So a row takes some 150 bytes and 8 for each column set, and what they hold.
 */
import type { Datum } from '../data/datum.ts';
import { datumOf, sameCell } from './row-layout.ts';
import type { Cell, RowLayout, RowShape } from './row-layout.ts';

export class Row {
  readonly uuid: string;
  readonly #shape: RowShape;
  readonly #version: number;
  readonly #cells: readonly Cell[];

  private constructor(uuid: string, shape: RowShape, version: number, cells: readonly Cell[]) {
    this.uuid = uuid;
    this.#shape = shape;
    this.#version = version;
    this.#cells = cells;
  }

  /** A row of a new version; columns that are not named have their defaults. */
  static create(uuid: string, layout: RowLayout, columns: ReadonlyMap<string, Datum>): Row {
    return new Row(uuid, layout.empty, layout.versions.next(), []).with(columns);
  }

  get version(): string {
    return this.#shape.layout.versions.text(this.#version);
  }

  /** The contents of the column at a position of the layout. */
  #cell(at: number): Cell {
    const slot = this.#shape.slots[at] ?? -1;
    return (slot < 0 ? this.#shape.layout.defaults[at] : this.#cells[slot]) ?? 0;
  }

  /** The contents of a column, `_uuid` and `_version` included. */
  get(name: string): Datum {
    const at = this.#shape.layout.positions.get(name);
    if (at !== undefined) return datumOf(this.#cell(at));
    return { keys: name === '_uuid' ? [this.uuid] : name === '_version' ? [this.version] : [], values: null };
  }

  /** Whether a column is the same in `other`. */
  hasSame(name: string, other: Row): boolean {
    const at = this.#shape.layout.positions.get(name);
    if (at === undefined) return this.get(name).keys[0] === other.get(name).keys[0];
    return sameCell(this.#cell(at), other.#cell(at));
  }

  /** Whether a column has its default. */
  hasDefault(name: string): boolean {
    const { layout, slots } = this.#shape;
    const at = layout.positions.get(name);
    if (at === undefined) return false;
    return (slots[at] ?? -1) < 0 || sameCell(this.#cell(at), layout.defaults[at] ?? 0);
  }

  /** Whether all columns of the schema are the same in `other`. */
  equals(other: Row): boolean {
    if (this.#shape === other.#shape) {
      return this.#cells.every((cell, slot) => sameCell(cell, other.#cells[slot] ?? 0));
    }
    return this.#shape.slots.every((_, at) => sameCell(this.#cell(at), other.#cell(at)));
  }

  /** This row with other contents of some columns, still of its version. */
  with(columns: ReadonlyMap<string, Datum>): Row {
    if (columns.size === 0) return this;
    const { layout } = this.#shape;
    let shape = this.#shape;
    const changed: (readonly [at: number, cell: Cell])[] = [];
    for (const [name, datum] of columns) {
      const at = layout.positions.get(name);
      const column = at === undefined ? undefined : layout.columns[at];
      if (at === undefined || column === undefined) continue;
      const cell = layout.cell(at, column, datum);
      if (shape.slots[at] === -1) {
        if (sameCell(cell, layout.defaults[at] ?? 0)) continue;
        shape = shape.with(at);
      }
      changed.push([at, cell]);
    }
    const cells = shape === this.#shape ? this.#cells.slice() : shape.positions.map((at) => this.#cell(at));
    for (const [at, cell] of changed) {
      const slot = shape.slots[at];
      if (slot !== undefined) cells[slot] = cell;
    }
    return new Row(this.uuid, shape, this.#version, cells);
  }

  withNewVersion(): Row {
    return new Row(this.uuid, this.#shape, this.#shape.layout.versions.next(), this.#cells);
  }

  /** Figures of memory/show. */
  get atomCount(): number {
    let count = 0;
    for (const at of this.#shape.slots.keys()) {
      const datum = datumOf(this.#cell(at));
      count += datum.keys.length + (datum.values?.length ?? 0);
    }
    return count;
  }
  get cellCount(): number {
    return this.#shape.slots.length;
  }
}
