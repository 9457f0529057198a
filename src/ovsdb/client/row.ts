/**
 * A row of the client's replica. The object stays the same while the row exists; its contents change
 * with updates from the server. Columns that are not monitored read as their defaults.
 */
import type { Atom } from '../data/atom.ts';
import { defaultDatum, mapValue } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { BugError } from '../../util/errors.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import { valueFromDatum } from './value.ts';
import type { Value } from './value.ts';

export class IdlRow {
  readonly table: TableSchema;
  readonly uuid: string;
  readonly #columns = new Map<string, Datum>();

  constructor(table: TableSchema, uuid: string) {
    this.table = table;
    this.uuid = uuid;
  }

  column(name: string): ColumnSchema {
    const column = this.table.columns.get(name);
    if (column === undefined) throw new BugError(`table ${this.table.name} has no column ${name}`);
    return column;
  }
  has(name: string): boolean {
    return this.table.columns.has(name);
  }
  datum(name: string): Datum {
    if (name === '_uuid') return { keys: [this.uuid], values: null };
    return this.#columns.get(name) ?? defaultDatum(this.column(name).type);
  }
  /** For the replica only. */
  setDatum(name: string, datum: Datum): void {
    this.#columns.set(name, datum);
  }
  get(name: string): Value {
    return valueFromDatum(this.column(name).type, this.datum(name));
  }
  /** First element as text; empty if none. */
  str(name: string): string {
    const atom = this.datum(name).keys[0];
    return atom === undefined ? '' : String(atom);
  }
  /** First element as number (integer or real); `fallback` if none. */
  num(name: string, fallback = 0): number {
    const atom = this.datum(name).keys[0];
    return atom === undefined ? fallback : Number(atom);
  }
  bool(name: string, fallback = false): boolean {
    const atom = this.datum(name).keys[0];
    return atom === undefined ? fallback : atom === true;
  }
  opt(name: string): Atom | undefined {
    return this.datum(name).keys[0];
  }
  /** All elements of a set, or keys of a map. */
  set(name: string): readonly Atom[] {
    return this.datum(name).keys;
  }
  strings(name: string): readonly string[] {
    return this.datum(name).keys.map(String);
  }
  numbers(name: string): readonly number[] {
    return this.datum(name).keys.map(Number);
  }
  /** References of a uuid column. */
  uuids(name: string): readonly string[] {
    return this.datum(name).keys.map(String);
  }
  map(name: string): ReadonlyMap<Atom, Atom> {
    const { keys, values } = this.datum(name);
    return new Map(keys.map((key, i) => [key, values?.[i] ?? '']));
  }
  strMap(name: string): ReadonlyMap<string, string> {
    const { keys, values } = this.datum(name);
    return new Map(keys.map((key, i) => [String(key), String(values?.[i] ?? '')]));
  }
  /** smap_get: the value of one key of a string map. */
  smap(name: string, key: string): string | undefined {
    const value = mapValue(this.datum(name), key);
    return value === undefined ? undefined : String(value);
  }
  /** smap_get_bool: exactly "true" or "false" count. */
  smapBool(name: string, key: string, fallback: boolean): boolean {
    const text = this.smap(name, key);
    if (fallback) return text !== 'false';
    return text === 'true';
  }
  smapInt(name: string, key: string, fallback: number): number {
    const text = this.smap(name, key);
    return text !== undefined && /^\s*[-+]?\d+$/.test(text) ? Number(text) : fallback;
  }
}
