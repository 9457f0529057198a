/**
 * Column types: base types with their constraints (RFC 7047 §3.2 <base-type>, <type>).
 */
import { formatJson, formatReal, isJsonArray } from '../../stream/json.ts';
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
import { expectMembers, rejectOthers } from './members.ts';

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

/** @throws OvsdbError */
function baseTypeFromJson(json: Json): BaseType {
  if (typeof json === 'string') return { ...plainBase(atomicTypeFromJson(json)) };
  const o = expectMembers(
    json,
    'ovsdb type',
    ['type'],
    [
      'enum',
      'minInteger',
      'maxInteger',
      'minReal',
      'maxReal',
      'minLength',
      'maxLength',
      'refTable',
      'refType',
    ],
  );
  const type = atomicTypeFromJson(o['type'] ?? null);
  const base = plainBase(type);
  if (o['enum'] !== undefined) {
    return { ...base, enum: enumFromJson(type, o['enum']) };
  }
  if (type === 'integer' || type === 'real' || type === 'string') {
    const [minName, maxName] = bounds[type];
    const min = boundFromJson(type, minName, o[minName]);
    const max = boundFromJson(type, maxName, o[maxName]);
    rejectMembers(o, ['type', minName, maxName]);
    if (min !== null && max !== null && min > max) throw syntaxError(json, `${minName} exceeds ${maxName}`);
    return { ...base, min, max };
  }
  if (type === 'uuid') {
    rejectMembers(o, ['type', 'refTable', 'refType']);
    const { refTable = null, refType = null } = o;
    if (refTable === null) return base;
    if (typeof refTable !== 'string' || !isId(refTable)) {
      throw syntaxError(json, "Type mismatch for member 'refTable'.");
    }
    if (refType !== null && refType !== 'strong' && refType !== 'weak') {
      throw syntaxError(json, 'refType must be "strong" or "weak" (not "' + formatJson(refType) + '")');
    }
    return { ...base, refTable, refType: refType ?? 'strong' };
  }
  rejectMembers(o, ['type']);
  return base;
}

function rejectMembers(o: JsonObject, known: readonly string[]): void {
  rejectOthers(o, 'ovsdb type', (key) => known.includes(key));
}

function boundFromJson(type: AtomicType, name: string, json: Json | undefined): number | bigint | null {
  if (json === undefined) return null;
  if (type === 'real' ? typeof json === 'number' || typeof json === 'bigint' : isInteger(json)) {
    if (type === 'string' && Number(json) < 0)
      throw syntaxError(json, `${name} out of valid range 0 to 4294967295`);
    return json as number | bigint;
  }
  throw syntaxError(json, `Parsing ovsdb type failed: Type mismatch for member '${name}'.`);
}

function enumFromJson(type: AtomicType, json: Json): readonly Atom[] {
  const list = isJsonArray(json) && json[0] === 'set' && isJsonArray(json[1]) ? json[1] : [json];
  const atoms = list.map((item) => atomFromJson(type, item)).sort(compareAtoms);
  if (atoms.some((atom, i) => i > 0 && atom === atoms[i - 1]))
    throw syntaxError(json, 'set contains duplicate');
  return atoms;
}

/** A base type without constraints. */
export function plainBase(type: AtomicType): BaseType {
  return { type, enum: null, min: null, max: null, refTable: null, refType: 'strong' };
}

function atomicTypeFromJson(json: Json): AtomicType {
  if (typeof json === 'string' && isAtomicType(json)) return json;
  if (typeof json === 'string') throw syntaxError(json, `"${json}" is not an atomic-type`);
  throw syntaxError(json, 'atomic-type expected');
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
  const o = expectMembers(json, 'ovsdb type', ['key'], ['value', 'min', 'max']);
  const { min = 1, max = 1 } = o;
  const key = baseTypeFromJson(o['key'] ?? null);
  const value = o['value'] === undefined ? null : baseTypeFromJson(o['value']);
  const maxNumber = max === 'unlimited' ? Infinity : max;
  if ((min !== 0 && min !== 1) || typeof maxNumber !== 'number' || maxNumber < 1) {
    throw syntaxError(json, 'ovsdb type fails constraint checks');
  }
  return { key, value, min, max: maxNumber };
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
