/**
 * What OVS says about a text that is not JSON: position and cause, e.g.
 * `line 0, column 3, byte 3: invalid keyword 'foo'`. For texts that users typed; `parseJson` reads the good ones.
 *
 * The position is that of the byte at which OVS's parser, which is fed byte by byte, notices: a string ends
 * with its quote, a number or a word with the byte after it.
 */
import { JSON_MAX_HEIGHT } from './json.ts';

class Fault extends Error {}

type Token = '{' | '}' | '[' | ']' | ':' | ',' | 'string' | 'value';
/** What may come next. */
type State = 'start' | 'end' | 'keyOrClose' | 'key' | 'colon' | 'member' | 'valueOrClose' | 'value' | 'item';

const complaints: Readonly<Record<State, string>> = {
  start: 'syntax error at beginning of input',
  end: 'trailing garbage at end of input',
  keyOrClose: 'syntax error parsing object expecting string',
  key: 'syntax error parsing object expecting string',
  colon: "syntax error parsing object expecting ':'",
  member: "syntax error expecting '}' or ','",
  valueOrClose: 'syntax error expecting value',
  value: 'syntax error expecting value',
  item: "syntax error expecting ']' or ','",
};

/** @returns null if the text is JSON whose top is an object or an array */
export function jsonErrorText(text: string): string | null {
  const diagnosis = new Diagnosis(new TextEncoder().encode(text));
  try {
    diagnosis.run();
    return null;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return `${diagnosis.position()}: ${error.message}`;
  }
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isLetter = (byte: number): boolean => byte >= 0x61 && byte <= 0x7a;
const isSpace = (byte: number): boolean =>
  byte === 0x20 || (byte >= 0x09 && byte <= 0x0d && byte !== 0x0b && byte !== 0x0c);
/** Bytes that go on with a number once it has begun; not all of them make sense. */
const isNumeric = (byte: number): boolean => isDigit(byte) || '+-.eE'.includes(String.fromCharCode(byte));

class Diagnosis {
  readonly #bytes: Uint8Array;
  #at = 0;
  #state: State = 'start';
  readonly #stack: ('{' | '[')[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  position(): string {
    let [line, column] = [0, 0];
    for (const byte of this.#bytes.subarray(0, this.#at)) {
      if (byte === 0x0a) [line, column] = [line + 1, 0];
      else column++;
    }
    return `line ${line}, column ${column + Math.max(0, this.#at - this.#bytes.length)}, byte ${this.#at}`;
  }

  run(): void {
    const { length } = this.#bytes;
    let isTokenLast = false;
    while (this.#at < length) {
      const byte = this.#bytes[this.#at] ?? 0;
      const char = String.fromCharCode(byte);
      isTokenLast = false;
      if (isSpace(byte)) this.#at++;
      else if ('{}[]:,'.includes(char)) {
        this.#take(char as Token);
        this.#at++;
      } else if (byte === 0x22) this.#string();
      else if (isDigit(byte) || byte === 0x2d) {
        this.#number();
        isTokenLast = true;
      } else if (isLetter(byte)) {
        this.#word();
        isTokenLast = true;
      } else this.#fail(`invalid character ${byte >= 0x21 && byte < 0x7f ? `'${char}'` : `U+${hex4(byte)}`}`);
    }
    if (this.#state === 'end') return;
    // The end of the text ended that token, as a byte of its own.
    if (isTokenLast) this.#at++;
    this.#fail(this.#state === 'start' ? 'empty input stream' : 'unexpected end of input');
  }

  #fail(message: string): never {
    throw new Fault(message);
  }

  #word(): void {
    const start = this.#at;
    while (isLetter(this.#bytes[this.#at] ?? 0)) this.#at++;
    const word = this.#slice(start);
    if (!['true', 'false', 'null'].includes(word)) this.#fail(`invalid keyword '${word}'`);
    this.#take('value');
  }

  #slice(start: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(start, this.#at));
  }

  #number(): void {
    const start = this.#at;
    while (isNumeric(this.#bytes[this.#at] ?? 0)) this.#at++;
    const text = this.#slice(start);
    if (/^-(?!\d)/.test(text)) this.#fail("'-' must be followed by digit");
    if (/^-?0\d/.test(text)) this.#fail('leading zeros not allowed');
    if (/^-?\d+\.(?!\d)/.test(text)) this.#fail('decimal point must be followed by digit');
    if (/^-?\d+(\.\d+)?[eE](?![-+]?\d)/.test(text)) this.#fail('exponent must contain at least one digit');
    if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text)) this.#fail('syntax error in number');
    if (!Number.isFinite(Number(text))) this.#fail('number outside valid range');
    this.#take('value');
  }

  #string(): void {
    const start = ++this.#at;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) this.#fail('unexpected end of input in quoted string');
      if (byte < 0x20) this.#fail(`U+${hex4(byte).toUpperCase()} must be escaped in quoted string`);
      if (byte === 0x22) break;
      // The byte after a backslash may be a quote, and may be missing.
      this.#at += byte === 0x5c && this.#at + 1 < this.#bytes.length ? 2 : 1;
    }
    this.#checkEscapes(this.#slice(start));
    this.#take('string');
    this.#at++;
  }

  #checkEscapes(text: string): void {
    for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at)) {
      const letter = text.charAt(at + 1);
      if (letter !== 'u') {
        if (!'"\\/bfnrt'.includes(letter)) this.#fail(`bad escape \\${letter}`);
        at += 2;
        continue;
      }
      const code = this.#codeUnit(text, at);
      at += 6;
      if (code === 0) this.#fail('null bytes not supported in quoted strings');
      if (code < 0xd800 || code > 0xdbff) continue;
      if (text.slice(at, at + 2) !== '\\u') this.#fail('malformed escaped surrogate pair');
      const second = this.#codeUnit(text, at);
      if (second < 0xdc00 || second > 0xdfff)
        this.#fail('second half of escaped surrogate pair is not trailing surrogate');
      at += 6;
    }
  }

  #codeUnit(text: string, at: number): number {
    const digits = text.slice(at + 2, at + 6);
    if (digits.length < 4) this.#fail('quoted string ends within \\u escape');
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail('malformed \\u escape');
    return Number.parseInt(digits, 16);
  }

  #take(token: Token): void {
    const state = this.#state;
    const canHaveValue = state === 'value' || state === 'valueOrClose';
    if ((token === '{' || token === '[') && (state === 'start' || canHaveValue)) {
      this.#stack.push(token);
      if (this.#stack.length > JSON_MAX_HEIGHT)
        this.#fail(`input exceeds maximum nesting depth ${JSON_MAX_HEIGHT}`);
      this.#state = token === '{' ? 'keyOrClose' : 'valueOrClose';
    } else if (token === '}' && (state === 'keyOrClose' || state === 'member')) this.#close();
    else if (token === ']' && (state === 'valueOrClose' || state === 'item')) this.#close();
    else if (token === 'string' && (state === 'keyOrClose' || state === 'key')) this.#state = 'colon';
    else if ((token === 'string' || token === 'value') && canHaveValue) this.#afterValue();
    else if (token === ':' && state === 'colon') this.#state = 'value';
    else if (token === ',' && state === 'member') this.#state = 'key';
    else if (token === ',' && state === 'item') this.#state = 'value';
    else this.#fail(complaints[state]);
  }

  #close(): void {
    this.#stack.pop();
    this.#afterValue();
  }

  #afterValue(): void {
    const top = this.#stack.at(-1);
    this.#state = top === undefined ? 'end' : top === '{' ? 'member' : 'item';
  }
}

function hex4(byte: number): string {
  return byte.toString(16).padStart(4, '0');
}
