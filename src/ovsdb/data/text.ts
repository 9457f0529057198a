/**
 * Datums as users type and read them (ovs-vsctl(8), "Database Values"): `a`, `[a, b]`, `{k=v, ...}`.
 */
import { OvsdbError } from '../errors.ts';
import { atomFromText, compareAtoms, formatAtom, formatAtomBare } from './atom.ts';
import type { Atom, SymbolTable } from './atom.ts';
import type { Datum } from './datum.ts';
import { checkAtom, typeToEnglish } from './type.ts';
import type { BaseType, ColumnType } from './type.ts';

export function formatDatum(type: ColumnType, datum: Datum): string {
  const { values } = datum;
  const items = datum.keys.map((key, i) => {
    const text = formatAtom(type.key.type, key);
    return type.value === null ? text : `${text}=${formatAtom(type.value.type, values?.[i] ?? '')}`;
  });
  const [open, close] = type.value === null ? '[]' : '{}';
  return type.max > 1 || items.length === 0 ? `${open}${items.join(', ')}${close}` : (items[0] ?? '');
}

/** Without brackets and quotes, separated by spaces. */
export function formatDatumBare(type: ColumnType, datum: Datum): string {
  const { values } = datum;
  return datum.keys
    .map((key, i) => {
      const text = formatAtomBare(type.key.type, key);
      return type.value === null ? text : `${text}=${formatAtomBare(type.value.type, values?.[i] ?? '')}`;
    })
    .join(' ');
}

/** Most integers that a range may stand for, as in OVS. */
const maxRange = 4096;

/** `LOW-HIGH` in a set of integers. */
function readRange(base: BaseType, text: string, at: number): { keys: number[]; end: number } | null {
  const match = /^(-?\d+)-(\d+)(?=$|[\s,\]])/.exec(text.slice(at));
  if (match === null) return null;
  const low = Number(match[1]);
  const high = Number(match[2]);
  for (const end of [low, high]) checkAtom(base, end);
  if (low > high || high - low >= maxRange)
    throw new OvsdbError(`"${match[0]}" is not a valid range. Range end cannot be before start.`);
  return { keys: Array.from({ length: high - low + 1 }, (_, i) => low + i), end: at + match[0].length };
}

const delimiters = ':=, []{}!<>';

/** Reads one word at `at`: quoted, or up to a delimiter. Returns the raw text and where it ends. */
export function readToken(text: string, at: number): { token: string; end: number } {
  if (text[at] === '"') {
    for (let end = at + 1; end < text.length; end++) {
      if (text[end] === '\\') end++;
      else if (text[end] === '"') return { token: text.slice(at, end + 1), end: end + 1 };
    }
    throw new OvsdbError(`${text.slice(at)}: quoted string extends past end of argument`);
  }
  let end = at;
  while (end < text.length && !delimiters.includes(text.charAt(end)) && !/\s/.test(text.charAt(end))) end++;
  return { token: text.slice(at, end), end };
}

/** An atom from text, checked against the constraints of its type. @throws OvsdbError */
export function checkedAtomFromText(base: BaseType, text: string, symbols?: SymbolTable): Atom {
  const atom = atomFromText(base.type, text, symbols);
  checkAtom(base, atom);
  return atom;
}

/** @throws OvsdbError in OVS's words */
export function datumFromText(type: ColumnType, text: string, symbols?: SymbolTable): Datum {
  const isMap = type.value !== null;
  const skipSpaces = (from: number): number => {
    let at = from;
    while (at < text.length && /\s/.test(text.charAt(at))) at++;
    return at;
  };
  const readAtom = (base: BaseType, at: number): { atom: Atom; end: number } => {
    const { token, end } = readToken(text, at);
    if (end === at) {
      const found = text.charAt(at);
      throw new OvsdbError(
        found === ''
          ? `${text}: unexpected end of input parsing ${typeToEnglish(type)}`
          : `${text}: unexpected "${found}" parsing ${typeToEnglish(type)}`,
      );
    }
    return { atom: checkedAtomFromText(base, token, symbols), end };
  };
  const skipSeparator = (from: number): number => {
    const separator = skipSpaces(from);
    return text.charAt(separator) === ',' ? skipSpaces(separator + 1) : separator;
  };
  let at = skipSpaces(0);
  const opening = text.charAt(at);
  let closing = '';
  if (opening === (isMap ? '{' : '[')) {
    closing = isMap ? '}' : ']';
    at = skipSpaces(at + 1);
  }
  const entries: [Atom, Atom][] = [];
  while (at < text.length && text.charAt(at) !== closing) {
    const start = at;
    const range = type.value === null && type.key.type === 'integer' ? readRange(type.key, text, at) : null;
    if (range !== null) {
      for (const key of range.keys) {
        checkAtom(type.key, key);
        entries.push([key, '']);
      }
      at = skipSeparator(range.end);
      continue;
    }
    const key = readAtom(type.key, at);
    at = key.end;
    let value: Atom = '';
    if (type.value !== null) {
      if (text.charAt(at) !== '=') {
        // The C string of OVS ends where the text does.
        const found = text.charAt(at);
        throw new OvsdbError(
          `${text.slice(start)}: syntax error at "${found === '' ? '' : `${found}" expecting "="`}`,
        );
      }
      // Nothing is a text, too, though not a valid one.
      const { token, end } = readToken(text, at + 1);
      value = checkedAtomFromText(type.value, token, symbols);
      at = end;
    }
    entries.push([key.atom, value]);
    at = skipSeparator(at);
  }
  if (closing !== '') {
    if (text.charAt(at) !== closing) throw new OvsdbError(`${text}: missing "${closing}" at end of data`);
    if (skipSpaces(at + 1) < text.length)
      throw new OvsdbError(`${text}: trailing garbage after "${closing}"`);
  }
  const what = isMap ? 'pair(s)' : 'value(s)';
  if (entries.length < type.min) {
    throw new OvsdbError(
      `${text}: ${entries.length} ${what} specified but the minimum number is ${type.min}`,
    );
  }
  if (entries.length > type.max) {
    throw new OvsdbError(
      `${text}: ${entries.length} ${what} specified but the maximum number is ${type.max}`,
    );
  }
  entries.sort((a, b) => compareAtoms(a[0], b[0]));
  if (entries.some((e, i) => i > 0 && e[0] === entries[i - 1]?.[0])) {
    throw new OvsdbError(`${text}: ${isMap ? 'map contains duplicate key' : 'set contains duplicate value'}`);
  }
  return { keys: entries.map((e) => e[0]), values: isMap ? entries.map((e) => e[1]) : null };
}
