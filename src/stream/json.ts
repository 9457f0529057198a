/**
 * JSON as OVSDB and unixctl speak it.
 *
 * What: JSON whose integers are 64 bits wide. Why: OVSDB's `integer` is an int64 and JSON.parse
 * rounds beyond 2^53, which would corrupt counters. An integer is a `number` while it is safe and a
 * `bigint` only when it is not, so `===` and Map keys work on values of either kind.
 *
 * Costs: texts without a run of 16 digits go to JSON.parse; others to the slower parser below.
 */
import { OvsError } from '../util/errors.ts';

export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Deepest nesting accepted, as in OVS. */
export const JSON_MAX_HEIGHT = 1000;

export class JsonError extends OvsError {
  constructor(message: string) {
    super('JSON', message);
  }
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isJsonArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Brings an integer into its one form: number if safe, else bigint. */
export function normalInteger(value: bigint): number | bigint {
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : value;
}

const longDigits = /\d{16}/;
const hugeNumber = /\d[eE]\+?\d{3}|\d{309}/;
const surrogate = /\\u[dD][89a-fA-F]/;

/**
 * Parses a whole JSON text.
 *
 * @throws JsonError on anything that is not one JSON value nested at most `JSON_MAX_HEIGHT` deep.
 */
export function parseJson(text: string): Json {
  checkHeight(text);
  if (text.includes('\\u0000')) throw new JsonError('null bytes not supported in quoted strings');
  if (surrogate.test(text)) checkSurrogates(text);
  if (hugeNumber.test(text)) checkNumbers(text);
  if (longDigits.test(text)) return new WideParser(text).parse();
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new JsonError(`syntax error: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** JSON.parse takes half of a pair, which has no form in UTF-8. */
function checkSurrogates(text: string): void {
  let isHigh = false;
  let end = 0;
  for (const match of text.matchAll(/\\(?:u([0-9a-fA-F]{4})|.)/g)) {
    const unit = parseInt(match[1] ?? '0', 16);
    const isLow = unit >= 0xdc00 && unit < 0xe000;
    if (isLow !== isHigh || (isHigh && match.index !== end))
      throw new JsonError('malformed escaped surrogate pair');
    isHigh = unit >= 0xd800 && unit < 0xdc00;
    end = match.index + match[0].length;
  }
  if (isHigh) throw new JsonError('malformed escaped surrogate pair');
}

/** JSON.parse makes Infinity of a number that is too large. */
function checkNumbers(text: string): void {
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g))
    if (!token.startsWith('"') && Math.abs(Number(token)) === Infinity)
      throw new JsonError('number outside valid range');
}

function checkHeight(text: string): void {
  if (text.length <= JSON_MAX_HEIGHT) return;
  let height = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (isInString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) isInString = false;
    } else if (c === 0x22) isInString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++height > JSON_MAX_HEIGHT) {
        throw new JsonError(`input exceeds maximum nesting depth ${JSON_MAX_HEIGHT}`);
      }
    } else if (c === 0x7d || c === 0x5d) height--;
  }
}

/** No spaces. If `isSorted`, as OVS shows values: keys sorted, reals of 15 digits. */
export function formatJson(value: Json, isSorted = false): string {
  if (!isSorted) {
    try {
      return JSON.stringify(value);
    } catch {
      // It has a bigint in it, which is rare.
    }
  }
  return formatWide(value, isSorted);
}

function formatWide(value: Json, isSorted: boolean): string {
  switch (typeof value) {
    case 'bigint':
      return value.toString();
    case 'number':
      if (!isSorted) return JSON.stringify(value);
      // An integer of 64 bits is one, however it was written.
      if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 63) return formatReal(value);
      return BigInt(value).toString();
    case 'object': {
      if (value === null) return 'null';
      if (isJsonArray(value)) {
        let out = '[';
        for (let i = 0; i < value.length; i++) {
          if (i > 0) out += ',';
          out += formatWide(value[i] ?? null, isSorted);
        }
        return out + ']';
      }
      let out = '{';
      const keys = Object.keys(value);
      if (isSorted) keys.sort();
      for (const key of keys) {
        const member = value[key];
        if (member === undefined) continue;
        out += `${out.length > 1 ? ',' : ''}${JSON.stringify(key)}:${formatWide(member, isSorted)}`;
      }
      return out + '}';
    }
    default:
      return JSON.stringify(value);
  }
}

/** C's `%.15g`, as OVS prints reals. */
export function formatReal(value: number): string {
  return formatG(value, 15);
}

function formatG(value: number, digits: number): string {
  if (Object.is(value, -0)) return '-0';
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const [mantissa = '0', exponentText = '0'] = value.toExponential(digits - 1).split('e');
  const exponent = Number(exponentText);
  const trim = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
  if (exponent < -4 || exponent >= digits) {
    const e = Math.abs(exponent).toString().padStart(2, '0');
    return `${trim(mantissa)}e${exponent < 0 ? '-' : '+'}${e}`;
  }
  return trim(value.toFixed(Math.max(0, Math.min(100, digits - 1 - exponent))));
}

/** Indented by two with closing brackets at the end of lines, as OVS's tools print with --pretty. */
export function formatJsonPretty(value: Json, isSorted = true, indent = ''): string {
  if (typeof value !== 'object' || value === null) return formatJson(value);
  const inner = `${indent}  `;
  if (isJsonArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((v) => inner + formatJsonPretty(v, isSorted, inner)).join(',\n')}]`;
  }
  const keys = Object.keys(value);
  if (keys.length === 0) return '{}';
  if (isSorted) keys.sort();
  const members = keys.map(
    (k) => `${inner}${JSON.stringify(k)}: ${formatJsonPretty(value[k] ?? null, isSorted, inner)}`,
  );
  return `{\n${members.join(',\n')}}`;
}

/** Whether two values are equal; the order of object members does not count. */
export function jsonEquals(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (isJsonArray(a)) {
    return isJsonArray(b) && a.length === b.length && a.every((v, i) => jsonEquals(v, b[i] ?? null));
  }
  if (isJsonArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((k) => Object.hasOwn(b, k) && jsonEquals(a[k] ?? null, b[k] ?? null));
}

const numberAt = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const stringAt = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const spaceAt = /[ \t\r\n]*/y;

/** Recursive descent with exact int64; used only where JSON.parse would round. */
class WideParser {
  readonly #text: string;
  #at = 0;
  constructor(text: string) {
    this.#text = text;
  }

  parse(): Json {
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) this.#fail('trailing garbage at end of input');
    return value;
  }

  #fail(what: string): never {
    throw new JsonError(`syntax error: ${what} at offset ${this.#at}`);
  }

  #space(): void {
    spaceAt.lastIndex = this.#at;
    spaceAt.exec(this.#text);
    this.#at = spaceAt.lastIndex;
  }

  #expect(char: string): void {
    this.#space();
    if (this.#text[this.#at] !== char) this.#fail(`'${char}' expected`);
    this.#at++;
  }

  #peek(): string {
    this.#space();
    return this.#text[this.#at] ?? '';
  }

  #value(): Json {
    switch (this.#peek()) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('invalid keyword');
    this.#at += word.length;
    return value;
  }

  #object(): JsonObject {
    const entries: [string, Json][] = [];
    this.#expect('{');
    if (this.#peek() === '}') {
      this.#at++;
      return {};
    }
    for (;;) {
      if (this.#peek() !== '"') this.#fail('string expected');
      const key = this.#string();
      this.#expect(':');
      entries.push([key, this.#value()]);
      if (this.#peek() === '}') break;
      this.#expect(',');
    }
    this.#at++;
    return Object.fromEntries(entries);
  }

  #array(): Json[] {
    const items: Json[] = [];
    this.#expect('[');
    if (this.#peek() === ']') {
      this.#at++;
      return items;
    }
    for (;;) {
      items.push(this.#value());
      if (this.#peek() === ']') break;
      this.#expect(',');
    }
    this.#at++;
    return items;
  }

  #string(): string {
    stringAt.lastIndex = this.#at;
    const match = stringAt.exec(this.#text);
    if (match === null) this.#fail('invalid string');
    this.#at = stringAt.lastIndex;
    return JSON.parse(match[0]) as string;
  }

  #number(): number | bigint {
    numberAt.lastIndex = this.#at;
    const match = numberAt.exec(this.#text);
    if (match === null) this.#fail('value expected');
    this.#at = numberAt.lastIndex;
    if (match[1] === undefined && match[2] === undefined) {
      const wide = BigInt(match[0]);
      if (wide >= INT64_MIN && wide <= INT64_MAX) return normalInteger(wide);
    }
    return Number(match[0]);
  }
}
