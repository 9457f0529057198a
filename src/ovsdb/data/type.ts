/**
 * Column types: base types with their constraints (RFC 7047 §3.2 <base-type>, <type>).
 */
import { formatReal, isJsonArray, isJsonObject } from '../../stream/json.ts';
import type { Json, JsonObject } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import {
  atomFromJson,
  compareAtoms,
  exactAtomToJson,
  formatAtom,
  isAtomicType,
  isId,
  isInteger,
} from './atom.ts';
import type { Atom, AtomicType } from './atom.ts';
import { expectMembers, rejectOthers, typeMismatch } from './members.ts';

export interface BaseType {
  readonly type: AtomicType;
  /** Allowed values, sorted; null if any. */
  readonly enum: readonly Atom[] | null;
  /** Bounds of an integer or real, or of the length of a string. */
  readonly min: number | bigint | null;
  readonly max: number | bigint | null;
  readonly refTable: string | null;
  readonly refType: 'strong' | 'weak';
}

export interface ColumnType {
  readonly key: BaseType;
  /** Null for a set or scalar, else the type of a map's values. */
  readonly value: BaseType | null;
  readonly min: 0 | 1;
  /** At least 1; Infinity for "unlimited". */
  readonly max: number;
}

const bounds = {
  integer: ['minInteger', 'maxInteger'],
  real: ['minReal', 'maxReal'],
  string: ['minLength', 'maxLength'],
} as const;

export function isScalar(type: ColumnType): boolean {
  return type.value === null && type.min === 1 && type.max === 1;
}
export function isOptional(type: ColumnType): boolean {
  return type.value === null && type.min === 0 && type.max === 1;
}
/** Whether changes travel as differences in `update2` and in the log: what may have more than one element. */
export function isComposite(type: ColumnType): boolean {
  return type.max > 1;
}

const what = 'ovsdb type';
/** As many as OVS can count. */
const countLimit = 4294967295;

/** @throws OvsdbError */
function baseTypeFromJson(json: Json): BaseType {
  if (typeof json === 'string') return { ...plainBase(atomicTypeFromJson(json)) };
  // Which members may be there depends on others.
  const o = expectMembers(json, what, ['type'], isJsonObject(json) ? Object.keys(json) : []);
  if (typeof o['type'] !== 'string') throw typeMismatch(json, what, 'type');
  const type = atomicTypeFromJson(o['type']);
  const base = plainBase(type);
  const rejectAllBut = (...known: readonly string[]): void =>
    rejectOthers(o, what, (key) => key === 'type' || known.includes(key));
  if (o['enum'] !== undefined) {
    const values = enumFromJson(type, o['enum']);
    rejectAllBut('enum');
    return { ...base, enum: values };
  }
  if (type === 'integer' || type === 'real' || type === 'string') {
    const [minName, maxName] = bounds[type];
    const min = boundFromJson(type, 0, o);
    const max = boundFromJson(type, 1, o);
    rejectAllBut(minName, maxName);
    if (min !== null && max !== null && min > max) throw syntaxError(json, `${minName} exceeds ${maxName}`);
    return { ...base, min, max };
  }
  if (type === 'uuid' && o['refTable'] !== undefined) {
    const { refTable, refType = 'strong' } = o;
    if (typeof refTable !== 'string' || !isId(refTable)) throw typeMismatch(json, what, 'refTable');
    if (typeof refType !== 'string') throw typeMismatch(json, what, 'refType');
    if (refType !== 'strong' && refType !== 'weak')
      throw syntaxError(json, `refType must be "strong" or "weak" (not "${refType}")`);
    rejectAllBut('refTable', 'refType');
    return { ...base, refTable, refType };
  }
  rejectAllBut();
  return base;
}

/** What each type goes down to and up to anyway. */
const noBounds: Readonly<Record<'integer' | 'real' | 'string', readonly [number | bigint, number | bigint]>> =
  {
    integer: [-(2n ** 63n), 2n ** 63n - 1n],
    real: [-Number.MAX_VALUE, Number.MAX_VALUE],
    string: [0, countLimit],
  };

/** @param side 0: the least value or length, 1: the greatest */
function boundFromJson(
  type: 'integer' | 'real' | 'string',
  side: 0 | 1,
  o: JsonObject,
): number | bigint | null {
  const name = bounds[type][side];
  const { [name]: json } = o;
  if (json === undefined) return null;
  const isGood = type === 'real' ? typeof json === 'number' || typeof json === 'bigint' : isInteger(json);
  if (!isGood) throw typeMismatch(o, what, name);
  if (type === 'string' && (Number(json) < 0 || Number(json) > countLimit))
    throw syntaxError(json, `${name} out of valid range 0 to ${countLimit}`);
  const bound = json as number | bigint;
  // Such a bound is none: the stock programs do not print it either.
  return bound === noBounds[type][side] ? null : bound;
}

function enumFromJson(type: AtomicType, json: Json): readonly Atom[] {
  const list = isJsonArray(json) && json[0] === 'set' && isJsonArray(json[1]) ? json[1] : [json];
  if (list.length === 0)
    throw syntaxError(json, `set must have 1 to ${countLimit} members but 0 are present`);
  const atoms = list.map((item) => atomFromJson(type, item)).sort(compareAtoms);
  if (atoms.some((atom, i) => i > 0 && atom === atoms[i - 1]))
    throw new OvsdbError('ovsdb error', 'set contains duplicate');
  return atoms;
}

/** A base type without constraints. */
export function plainBase(type: AtomicType): BaseType {
  return { type, enum: null, min: null, max: null, refTable: null, refType: 'strong' };
}

function atomicTypeFromJson(text: string): AtomicType {
  if (!isAtomicType(text)) throw syntaxError(text, `"${text}" is not an atomic-type`);
  return text;
}

function baseTypeToJson(base: BaseType): Json {
  const o: Record<string, Json> = { type: base.type };
  if (base.enum !== null) {
    const [first] = base.enum;
    o['enum'] =
      base.enum.length === 1 && first !== undefined
        ? exactAtomToJson(base.type, first)
        : ['set', base.enum.map((a) => exactAtomToJson(base.type, a))];
  }
  if (base.type === 'integer' || base.type === 'real' || base.type === 'string') {
    const [minName, maxName] = bounds[base.type];
    if (base.min !== null) o[minName] = base.min;
    if (base.max !== null) o[maxName] = base.max;
  }
  if (base.refTable !== null) {
    o['refTable'] = base.refTable;
    if (base.refType === 'weak') o['refType'] = 'weak';
  }
  return Object.keys(o).length === 1 ? base.type : o;
}

/** @throws OvsdbError */
export function columnTypeFromJson(json: Json): ColumnType {
  if (typeof json === 'string') return { key: baseTypeFromJson(json), value: null, min: 1, max: 1 };
  const o = expectMembers(json, what, ['key'], ['value', 'min', 'max']);
  const { key: keyJson = null, value: valueJson, min = 1, max = 1 } = o;
  const isBase = (base: Json): boolean => typeof base === 'string' || isJsonObject(base);
  if (!isBase(keyJson)) throw typeMismatch(json, what, 'key');
  if (valueJson !== undefined && !isBase(valueJson)) throw typeMismatch(json, what, 'value');
  if (!isInteger(min)) throw typeMismatch(json, what, 'min');
  if (!isInteger(max) && typeof max !== 'string') throw typeMismatch(json, what, 'max');
  const key = baseTypeFromJson(keyJson);
  const value = valueJson === undefined ? null : baseTypeFromJson(valueJson);
  const [least, most] = [countFromJson(min), max === 'unlimited' ? Infinity : countFromJson(max)];
  if ((least !== 0 && least !== 1) || most < 1) throw syntaxError(json, 'ovsdb type fails constraint checks');
  return { key, value, min: least, max: most };
}

function countFromJson(json: Json): number {
  const count = typeof json === 'string' ? -1 : Number(json);
  if (count < 0 || count >= countLimit) throw syntaxError(json, 'bad min or max value');
  return count;
}

export function columnTypeToJson(type: ColumnType): Json {
  const key = baseTypeToJson(type.key);
  if (isScalar(type) && typeof key === 'string') return key;
  const o: Record<string, Json> = { key };
  if (type.value !== null) o['value'] = baseTypeToJson(type.value);
  if (type.min !== 1) o['min'] = type.min;
  if (type.max !== 1) o['max'] = type.max === Infinity ? 'unlimited' : type.max;
  return o;
}

/** @throws OvsdbError `constraint violation` if `atom` is outside what `base` allows. */
export function checkAtom(base: BaseType, atom: Atom): void {
  if (base.enum !== null) {
    if (base.enum.includes(atom)) return;
    const allowed = base.enum.map((a) => formatAtom(base.type, a));
    throw new OvsdbError(
      'constraint violation',
      `${formatAtom(base.type, atom)} is not one of the allowed values ([${allowed.join(', ')}])`,
    );
  }
  const { min, max } = base;
  if (min === null && max === null) return;
  const violation = (details: string): OvsdbError => new OvsdbError('constraint violation', details);
  if (typeof atom === 'string') {
    let length = 0;
    for (const _ of atom) length++;
    if (min !== null && length < min) {
      throw violation(`"${atom}" length ${length} is less than minimum allowed length ${min}`);
    }
    if (max !== null && length > max) {
      throw violation(`"${atom}" length ${length} is greater than maximum allowed length ${max}`);
    }
    return;
  }
  if (typeof atom === 'boolean') return;
  const show = (n: number | bigint): string => (base.type === 'real' ? formatReal(Number(n)) : String(n));
  if ((min === null || atom >= min) && (max === null || atom <= max)) return;
  if (min !== null && max !== null) {
    throw violation(`${show(atom)} is not in the valid range ${show(min)} to ${show(max)} (inclusive)`);
  }
  if (min !== null) throw violation(`${show(atom)} is less than minimum allowed value ${show(min)}`);
  throw violation(`${show(atom)} is greater than maximum allowed value ${show(max ?? 0)}`);
}

/** Whether any value of `type` could violate a constraint beyond its element count. */
export function hasConstraints(base: BaseType): boolean {
  return base.enum !== null || base.min !== null || base.max !== null;
}

/** A type as OVS's messages put it: `string`, `set of up to 4096 integers`, `map of (string, string) pairs`. */
export function typeToEnglish(type: ColumnType): string {
  if (isScalar(type)) return type.key.type;
  const kind = type.value === null ? 'set' : 'map';
  const few =
    type.max === Infinity
      ? type.min === 0
        ? 'of'
        : 'of 1 or more'
      : type.min === 0
        ? `of up to ${type.max}`
        : `of 1 to ${type.max}`;
  const what = type.value === null ? `${type.key.type}s` : `(${type.key.type}, ${type.value.type}) pairs`;
  return `${kind} ${few} ${what}`;
}
