/**
 * Atoms: the scalar values of OVSDB (RFC 7047 §5.1 <atom>).
 *
 * In memory an integer is a number, or a bigint where a number is not exact; a real is a number; a
 * uuid is a lower-case string. The type comes from the column, never from the value.
 */
import { formatReal, isJsonArray, normalInteger, roundReal } from '../../stream/json.ts';
import { jsonErrorText } from '../../stream/json-error.ts';
import type { Json } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';

export type Atom = number | bigint | boolean | string;
const atomicTypes = ['integer', 'real', 'boolean', 'string', 'uuid'] as const;
export type AtomicType = (typeof atomicTypes)[number];

/**
 * Turns `["named-uuid", name]` into a uuid within one transaction; absent where names are not allowed.
 */
export type SymbolTable = (name: string) => string;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const idPattern = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** Whether `text` is an RFC 7047 <id>. */
export function isId(text: string): boolean {
  return idPattern.test(text);
}

export function isAtomicType(text: string): text is AtomicType {
  return (atomicTypes as readonly string[]).includes(text);
}

export const ZERO_UUID = '00000000-0000-0000-0000-000000000000';

export function defaultAtom(type: AtomicType): Atom {
  switch (type) {
    case 'integer':
    case 'real':
      return 0;
    case 'boolean':
      return false;
    case 'string':
      return '';
    case 'uuid':
      return ZERO_UUID;
  }
}

/** Total order of atoms of one type: numeric, false before true, or by characters. */
export function compareAtoms(a: Atom, b: Atom): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A key for Map and Set that tells atoms of one type apart. */
export function isInteger(value: Json): value is number | bigint {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
}

/** @throws OvsdbError `syntax error` */
export function atomFromJson(type: AtomicType, json: Json, symbols?: SymbolTable): Atom {
  switch (type) {
    case 'string':
      if (typeof json === 'string') return json;
      break;
    case 'integer':
      if (isInteger(json)) return json === 0 ? 0 : json;
      break;
    case 'real':
      if (typeof json === 'number') return json === 0 ? 0 : json;
      if (typeof json === 'bigint') return Number(json);
      break;
    case 'boolean':
      if (typeof json === 'boolean') return json;
      break;
    case 'uuid':
      return uuidFromJson(json, symbols);
  }
  throw syntaxError(json, `expected ${type}`);
}

function uuidFromJson(json: Json, symbols: SymbolTable | undefined): string {
  if (isJsonArray(json) && json.length === 2) {
    const [tag, text] = json;
    if (tag === 'uuid' && typeof text === 'string') {
      if (!isUuid(text)) throw syntaxError(json, `"${text}" is not a valid UUID`);
      return text.toLowerCase();
    }
    if (tag === 'named-uuid' && symbols !== undefined && typeof text === 'string') {
      if (!isId(text)) throw syntaxError(json, 'named-uuid string is not a valid <id>');
      return symbols(text);
    }
  }
  throw syntaxError(json, 'expected ["uuid", <string>]');
}

/** A real is rounded to 15 digits, as OVS's JSON has it. */
export function atomToJson(type: AtomicType, atom: Atom): Json {
  if (type === 'uuid') return ['uuid', atom];
  if (type !== 'real' || typeof atom !== 'number') return atom;
  return Number.isInteger(atom) && Math.abs(atom) < 1e15 ? atom : roundReal(atom);
}

/** As `atomToJson` without rounding. */
export function exactAtomToJson(type: AtomicType, atom: Atom): Json {
  return type === 'uuid' ? ['uuid', atom] : atom;
}

/** Words that a bare string must not look like: they would read back as another type. */
const needsQuotes = /^(true|false)$|[^-_.a-zA-Z0-9]|^[^_a-zA-Z]|^$/;

/** Whether OVS prints `text` without quotes in a database value. */
export function isBareString(text: string): boolean {
  return !needsQuotes.test(text) && !isUuid(text);
}

/** An atom as ovs-vsctl prints it. */
export function formatAtom(type: AtomicType, atom: Atom): string {
  if (type === 'real') return formatReal(Number(atom));
  if (type === 'string' && typeof atom === 'string') return isBareString(atom) ? atom : JSON.stringify(atom);
  return String(atom);
}

/** An atom without quotes, as `--bare` prints it. */
export function formatAtomBare(type: AtomicType, atom: Atom): string {
  return type === 'string' ? String(atom) : formatAtom(type, atom);
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * An atom from text typed by a user, without quotes handling.
 *
 * @throws OvsdbError whose message is OVS's.
 */
export function atomFromText(type: AtomicType, text: string, symbols?: SymbolTable): Atom {
  switch (type) {
    case 'integer': {
      if (/^[-+]?\d+$/.test(text)) {
        const wide = BigInt(text.replace(/^\+/, ''));
        if (wide >= INT64_MIN && wide <= INT64_MAX) return normalInteger(wide);
      }
      throw new OvsdbError(`"${text}" is not a valid integer or range`);
    }
    case 'real': {
      const value = Number(text);
      if (text.trim() === '' || Number.isNaN(value))
        throw new OvsdbError(`"${text}" is not a valid real number`);
      if (!Number.isFinite(value)) throw new OvsdbError(`"${text}" is out of range`);
      return value;
    }
    case 'boolean':
      if (['true', 'yes', 'on', '1'].includes(text)) return true;
      if (['false', 'no', 'off', '0'].includes(text)) return false;
      throw new OvsdbError(`"${text}" is not a valid boolean (use "true" or "false")`);
    case 'string': {
      if (text === '')
        throw new OvsdbError('An empty string is not valid as input; use "" to represent the empty string');
      if (!text.startsWith('"')) return text;
      try {
        return JSON.parse(text) as string;
      } catch {
        if (text.length < 2 || !text.endsWith('"'))
          throw new OvsdbError(`${text}: missing quote at end of quoted string`);
        throw new OvsdbError(
          `${text}: ${jsonErrorText(`[${text}]`)?.replace(/^line \d+, column \d+, byte \d+: /, '') ?? 'trailing garbage'}`,
        );
      }
    }
    case 'uuid':
      if (text.startsWith('@') && symbols !== undefined) return symbols(text);
      if (!isUuid(text)) throw new OvsdbError(`"${text}" is not a valid UUID`);
      return text.toLowerCase();
  }
}
