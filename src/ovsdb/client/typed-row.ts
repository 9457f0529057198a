/**
 * Typed rows: objects with a getter for each column of the description. A getter reads the replica's
 * row as it is now and follows references; a row object is made once for each row of the replica.
 */
import type { Atom } from '../data/atom.ts';
import { defaultDatum } from '../data/datum.ts';
import { isOptional, isScalar } from '../data/type.ts';
import type { BaseType } from '../data/type.ts';
import { isBuiltinColumn } from '../schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../schema.ts';
import type { TypedRow } from './describe.ts';
import type { Idl } from './idl.ts';
import type { IdlRow } from './row.ts';

type Prototype = object;

export class TypedRows {
  readonly #idl: Idl;
  readonly #prototypes = new Map<string, Prototype>();
  readonly #rows = new WeakMap<IdlRow, TypedRow>();

  constructor(idl: Idl, schema: DatabaseSchema) {
    this.#idl = idl;
    for (const table of schema.tables.values()) this.#prototypes.set(table.name, this.#prototype(table));
  }

  #prototype(table: TableSchema): Prototype {
    const prototype = {};
    for (const column of table.columns.values()) {
      if (isBuiltinColumn(column.name)) continue;
      const read = (row: IdlRow): unknown => this.#read(column, row);
      Object.defineProperty(prototype, column.name, {
        enumerable: true,
        get(this: TypedRow): unknown {
          return read(this._row);
        },
      });
    }
    return prototype;
  }

  /** The typed form of a row of the replica. */
  of(row: IdlRow): TypedRow {
    let typed = this.#rows.get(row);
    if (typed === undefined) {
      const own = { _table: row.table.name, _uuid: row.uuid, _row: row };
      typed = Object.assign(Object.create(this.#prototypes.get(row.table.name) ?? null) as object, own);
      this.#rows.set(row, typed);
    }
    return typed;
  }

  /** The row of a table, or undefined if the replica has none of that uuid. */
  find(table: string, uuid: string): TypedRow | undefined {
    const row = this.#idl.row(table, uuid);
    return row === undefined ? undefined : this.of(row);
  }

  #atom(base: BaseType, atom: Atom): unknown {
    if (base.refTable !== null) return this.find(base.refTable, String(atom));
    return base.type === 'integer' ? Number(atom) : atom;
  }

  #read({ name, type }: ColumnSchema, row: IdlRow): unknown {
    const { keys, values } = row.has(name) ? row.datum(name) : defaultDatum(type);
    if (type.value !== null) {
      const map = new Map<unknown, unknown>();
      for (const [i, key] of keys.entries()) {
        const entry = [this.#atom(type.key, key), this.#atom(type.value, values?.[i] ?? '')] as const;
        if (entry[0] !== undefined && entry[1] !== undefined) map.set(...entry);
      }
      return map;
    }
    const [first] = keys;
    if (isScalar(type) || isOptional(type))
      return first === undefined ? undefined : this.#atom(type.key, first);
    return keys.map((key) => this.#atom(type.key, key)).filter((value) => value !== undefined);
  }
}
