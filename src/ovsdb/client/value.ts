/**
 * Column contents as plain JavaScript values, which is how users of the IDL see them:
 * scalar -> atom; optional (min 0, max 1) -> atom or undefined; set -> array; map -> Map.
 */
import type { Atom } from '../data/atom.ts';
import { datumFromEntries, datumFromKeys, emptyDatum, scalarDatum } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { isOptional, isScalar } from '../data/type.ts';
import type { ColumnType } from '../data/type.ts';

export type Value = Atom | undefined | readonly Atom[] | ReadonlyMap<Atom, Atom>;
/** What may be written: also null for "empty" and a plain object for a map with string keys. */
export type InputValue = Value | null | Readonly<Record<string, Atom>>;

export function valueFromDatum(type: ColumnType, datum: Datum): Value {
  if (type.value !== null) {
    return new Map(datum.keys.map((key, i) => [key, datum.values?.[i] ?? '']));
  }
  return isScalar(type) || isOptional(type) ? datum.keys[0] : datum.keys;
}

export function datumFromValue(type: ColumnType, value: InputValue): Datum {
  if (value === undefined || value === null) return emptyDatum(type);
  if (type.value !== null) {
    const entries =
      value instanceof Map
        ? [...(value as ReadonlyMap<Atom, Atom>)]
        : Object.entries(value as Record<string, Atom>);
    return datumFromEntries(entries, true);
  }
  if (Array.isArray(value)) return datumFromKeys(value as readonly Atom[]);
  return scalarDatum(value as Atom);
}
