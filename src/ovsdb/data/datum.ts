/**
 * Datums: the contents of one column of one row.
 *
 * What: every value is a set of keys, each with a value if the column is a map; a scalar is a set of
 * one. Keys are sorted and distinct, so equality is element-wise and printing is stable. Datums are
 * never changed once made: rows share them.
 */
import { isJsonArray } from '../../stream/json.ts';
import type { Json } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import { atomFromJson, atomToJson, compareAtoms, defaultAtom } from './atom.ts';
import type { Atom, SymbolTable } from './atom.ts';
import { checkAtom, hasConstraints, isComposite } from './type.ts';
import type { BaseType, ColumnType } from './type.ts';

export interface Datum {
  readonly keys: readonly Atom[];
  /** As many as keys; null if the column is not a map. */
  readonly values: readonly Atom[] | null;
}

const EMPTY_SET: Datum = { keys: [], values: null };
const EMPTY_MAP: Datum = { keys: [], values: [] };

export function emptyDatum(type: ColumnType): Datum {
  return type.value === null ? EMPTY_SET : EMPTY_MAP;
}

/** RFC 7047 §5.2.1: what a column has when an insert does not give it. */
export function defaultDatum(type: ColumnType): Datum {
  if (type.min === 0) return emptyDatum(type);
  return {
    keys: [defaultAtom(type.key.type)],
    values: type.value === null ? null : [defaultAtom(type.value.type)],
  };
}

export function isDefaultDatum(type: ColumnType, datum: Datum): boolean {
  return datumEquals(datum, defaultDatum(type));
}

export function datumEquals(a: Datum, b: Datum): boolean {
  if (a === b) return true;
  if (a.keys.length !== b.keys.length) return false;
  for (let i = 0; i < a.keys.length; i++) if (a.keys[i] !== b.keys[i]) return false;
  if (a.values !== null && b.values !== null) {
    for (let i = 0; i < a.values.length; i++) if (a.values[i] !== b.values[i]) return false;
  }
  return true;
}

/** Total order used by output sorting: by number of elements, keys, then values. */
export function compareDatums(a: Datum, b: Datum): number {
  if (a.keys.length !== b.keys.length) return a.keys.length - b.keys.length;
  for (let i = 0; i < a.keys.length; i++) {
    const order = compareAtoms(a.keys[i] ?? 0, b.keys[i] ?? 0);
    if (order !== 0) return order;
  }
  for (let i = 0; a.values !== null && b.values !== null && i < a.values.length; i++) {
    const order = compareAtoms(a.values[i] ?? 0, b.values[i] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

/** Position of `key`, or -1. */
export function findKey(datum: Datum, key: Atom): number {
  let low = 0;
  let high = datum.keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = compareAtoms(datum.keys[middle] ?? 0, key);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -1;
}

/** The value that a map has for `key`. */
export function mapValue(datum: Datum, key: Atom): Atom | undefined {
  const at = findKey(datum, key);
  return at < 0 ? undefined : datum.values?.[at];
}

/** Sorts entries; a repeated key keeps its first value. */
export function datumFromEntries(entries: readonly (readonly [Atom, Atom])[], isMap: boolean): Datum {
  const sorted = [...entries].sort((a, b) => compareAtoms(a[0], b[0]));
  const unique = sorted.filter((entry, i) => i === 0 || entry[0] !== sorted[i - 1]?.[0]);
  return { keys: unique.map((e) => e[0]), values: isMap ? unique.map((e) => e[1]) : null };
}

export function datumFromKeys(keys: readonly Atom[]): Datum {
  const sorted = [...keys].sort(compareAtoms);
  return { keys: sorted.filter((k, i) => i === 0 || k !== sorted[i - 1]), values: null };
}

export function scalarDatum(atom: Atom): Datum {
  return { keys: [atom], values: null };
}

export interface ParseOptions {
  readonly symbols?: SymbolTable | undefined;
  /** Accepts any number of elements (mutators, conditions and differences). */
  readonly isUnbounded?: boolean;
  /** Skips the checks of enum and range. */
  readonly isUnchecked?: boolean;
}

/**
 * Reads `<value>` of RFC 7047 §5.1.
 *
 * @throws OvsdbError `syntax error` or `constraint violation`
 */
export function datumFromJson(type: ColumnType, json: Json, options: ParseOptions = {}): Datum {
  const { symbols, isUnbounded = false, isUnchecked = false } = options;
  const min = isUnbounded ? 0 : type.min;
  const max = isUnbounded ? Infinity : type.max;
  const isTagged = isJsonArray(json) && (type.value !== null || json[0] === 'set');
  const key = (item: Json): Atom =>
    checked(type.key, atomFromJson(type.key.type, item, symbols), isUnchecked);
  if (type.value === null && !isTagged) {
    return scalarDatum(key(json));
  }
  const word = type.value === null ? 'set' : 'map';
  const inner = isTagged && json.length === 2 && json[0] === word ? json[1] : undefined;
  if (!isJsonArray(inner)) throw syntaxError(json, `expected ["${word}", <array>]`);
  if (inner.length < min || inner.length > max) {
    const limit =
      min === max ? 'exactly one member' : `${min} to ${max === Infinity ? 0xffffffff : max} members`;
    throw syntaxError(json, `${word} must have ${limit} but ${inner.length} are present`);
  }
  const valueType = type.value;
  if (valueType === null) {
    const keys = inner.map(key).sort(compareAtoms);
    if (keys.some((k, i) => i > 0 && k === keys[i - 1])) throw duplicate('set');
    return { keys, values: null };
  }
  const entries = inner.map((pair): [Atom, Atom] => {
    if (!isJsonArray(pair) || pair.length !== 2) throw syntaxError(pair, 'expected 2-element array');
    return [
      key(pair[0] ?? null),
      checked(valueType, atomFromJson(valueType.type, pair[1] ?? null, symbols), isUnchecked),
    ];
  });
  entries.sort((a, b) => compareAtoms(a[0], b[0]));
  if (entries.some((e, i) => i > 0 && e[0] === entries[i - 1]?.[0])) throw duplicate('map');
  return { keys: entries.map((e) => e[0]), values: entries.map((e) => e[1]) };
}

function duplicate(word: 'set' | 'map'): OvsdbError {
  return new OvsdbError(
    'ovsdb error',
    word === 'map' ? 'map contains duplicate key' : 'set contains duplicate',
  );
}

/** Checks enum and range of every element. @throws OvsdbError `constraint violation` */
export function checkDatum(type: ColumnType, datum: Datum | undefined): void {
  if (datum === undefined) return;
  if (hasConstraints(type.key)) for (const key of datum.keys) checkAtom(type.key, key);
  if (type.value !== null && hasConstraints(type.value))
    for (const value of datum.values ?? []) checkAtom(type.value, value);
}

function checked(base: BaseType, atom: Atom, isUnchecked: boolean): Atom {
  if (!isUnchecked && hasConstraints(base)) checkAtom(base, atom);
  return atom;
}

/** @param toJson Replaces the form of atoms, as for uuids of rows that a transaction inserts. */
export function datumToJson(type: ColumnType, datum: Datum, toJson: typeof atomToJson = atomToJson): Json {
  const { key, value } = type;
  if (value !== null) {
    const values = datum.values ?? [];
    return ['map', datum.keys.map((k, i) => [toJson(key.type, k), toJson(value.type, values[i] ?? '')])];
  }
  const [only] = datum.keys;
  if (datum.keys.length === 1 && only !== undefined) return toJson(key.type, only);
  return ['set', datum.keys.map((k) => toJson(key.type, k))];
}

/**
 * The difference that turns `from` into `to`, as `update2` and the log write it: for sets the
 * elements in exactly one of them; for maps the pairs removed (as they were) and the pairs added or
 * changed (as they are); for other columns the new contents.
 */
export function datumDiff(type: ColumnType, from: Datum, to: Datum): Datum {
  if (!isComposite(type)) return to;
  const entries: [Atom, Atom][] = [];
  const { values: a } = from;
  const { values: b } = to;
  for (let i = 0, j = 0; i < from.keys.length || j < to.keys.length;) {
    const left = from.keys[i];
    const right = to.keys[j];
    const order = left === undefined ? 1 : right === undefined ? -1 : compareAtoms(left, right);
    if (order < 0 && left !== undefined) {
      entries.push([left, a?.[i] ?? '']);
      i++;
    } else if (order > 0 && right !== undefined) {
      entries.push([right, b?.[j] ?? '']);
      j++;
    } else {
      if (right !== undefined && a !== null && b !== null && a[i] !== b[j]) entries.push([right, b[j] ?? '']);
      i++;
      j++;
    }
  }
  return { keys: entries.map((e) => e[0]), values: type.value === null ? null : entries.map((e) => e[1]) };
}

/** The inverse of `datumDiff`: what `from` becomes under `diff`. */
export function applyDiff(type: ColumnType, from: Datum, diff: Datum): Datum {
  if (!isComposite(type)) return diff;
  const result = new Map<Atom, Atom>(from.keys.map((k, i) => [k, from.values?.[i] ?? '']));
  diff.keys.forEach((key, i) => {
    const value = diff.values?.[i] ?? '';
    if (result.has(key) && (type.value === null || result.get(key) === value)) result.delete(key);
    else result.set(key, value);
  });
  return datumFromEntries([...result], type.value !== null);
}

/** Set union; a key that both maps have keeps the value of `a`. */
export function datumUnion(a: Datum, b: Datum): Datum {
  const isMap = a.values !== null;
  const entries = (d: Datum): [Atom, Atom][] => d.keys.map((k, i) => [k, d.values?.[i] ?? '']);
  const result = new Map<Atom, Atom>(entries(b));
  for (const [k, v] of entries(a)) result.set(k, v);
  return datumFromEntries([...result], isMap);
}

/** `a` without the keys of `b`; a map pair goes only if its value agrees too, where `b` is a map. */
export function datumSubtract(a: Datum, b: Datum): Datum {
  const keep = a.keys.map((key, i) => {
    const at = findKey(b, key);
    return at < 0 || (a.values !== null && b.values !== null && a.values[i] !== b.values[at]);
  });
  return {
    keys: a.keys.filter((_, i) => keep[i]),
    values: a.values === null ? null : a.values.filter((_, i) => keep[i]),
  };
}
