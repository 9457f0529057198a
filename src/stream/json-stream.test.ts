import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonStreamParser } from './json-stream.ts';
import { formatJson, formatJsonPretty, jsonEquals, parseJson } from './json.ts';
import type { Json } from './json.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function feedAll(parser: JsonStreamParser, bytes: Uint8Array, cuts: readonly number[]): Json[] {
  const values: Json[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    const to = Math.max(from, Math.min(cut, bytes.length));
    parser.feed(bytes.slice(from, to), (value) => values.push(value));
    from = to;
  }
  return values;
}

const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc
      .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
      .map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)),
    fc.string({ unit: 'grapheme' }).filter((s) => !s.includes('\0')),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((k) => k !== '__proto__' && !k.includes('\0')),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value;
const topLevel = fc.oneof(
  fc.array(json, { maxLength: 4 }),
  fc.dictionary(fc.constantFrom('a', 'b', 'method'), json),
);

describe('JsonStreamParser', () => {
  it('finds the same values however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(topLevel, { maxLength: 4 }), fc.array(fc.nat(300)), (values, cuts) => {
        const bytes = bytesOf(values.map((v) => formatJson(v)).join(' \n'));
        const sorted = [...cuts].sort((a, b) => a - b);
        for (const each of [sorted, Array.from({ length: bytes.length }, (_, i) => i)]) {
          const parsed = feedAll(new JsonStreamParser(), bytes, each);
          expect(parsed.length).toBe(values.length);
          expect(parsed.every((p, i) => jsonEquals(p, values[i] ?? null))).toBe(true);
        }
      }),
    );
  });

  it('throws nothing but JsonError on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          new JsonStreamParser().feed(bytes, () => undefined);
        } catch (error) {
          expect(error).toHaveProperty('code', 'JSON');
        }
      }),
    );
  });

  const failure = (bytes: Uint8Array, maxBytes?: number): string => {
    try {
      new JsonStreamParser(maxBytes).feed(bytes, () => undefined);
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
    return 'no error';
  };
  it.each([
    ['text outside of a value', bytesOf('x'), 'syntax error at beginning of input'],
    ['invalid UTF-8', Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d), 'input is not valid UTF-8'],
    ['deep nesting', bytesOf('['.repeat(1001)), 'input exceeds maximum nesting depth 1000'],
    ['crossed brackets', bytesOf('[}'), 'syntax error'],
    ['half a surrogate pair', bytesOf('["\\ud83d"]'), 'malformed escaped surrogate pair'],
    ['the other half', bytesOf('["\\ude00"]'), 'malformed escaped surrogate pair'],
    ['halves apart', bytesOf('["\\ud83d","\\ude00"]'), 'malformed escaped surrogate pair'],
    ['a number too large', bytesOf('[1e999]'), 'number outside valid range'],
    ['a number too long', bytesOf(`[${'9'.repeat(400)}]`), 'number outside valid range'],
  ])('says what is wrong with %s', (_, bytes, text) => {
    expect(failure(bytes)).toContain(text);
  });
  it('limits the length of a value', () => {
    expect(failure(bytesOf('["aaaaaaaaaaaaaaaaaaaa'), 10)).toBe('input exceeds maximum length 10');
    expect(failure(bytesOf('["aaaaaaaaaaaaaaaaaaaa"]'), 10)).toBe('input exceeds maximum length 10');
  });
});

describe('JSON', () => {
  it('keeps 64-bit integers', () => {
    expect(
      parseJson('[9223372036854775807,-9223372036854775808,9007199254740993,1e3,12345678901234567890]'),
    ).toEqual([2n ** 63n - 1n, -(2n ** 63n), 9007199254740993n, 1000, 12345678901234567890]);
    expect(formatJson([2n ** 63n - 1n, 1.5])).toBe('[9223372036854775807,1.5]');
  });
  it('takes pairs of surrogates and text that looks like halves of them or like large numbers', () => {
    expect(parseJson('["\\ud83d\\ude00","\\\\ud83d","1e999","a\\"1e999"]')).toEqual([
      '\u{1f600}',
      '\\ud83d',
      '1e999',
      'a"1e999',
    ]);
  });
  it('reads long digits inside of strings and escapes', () => {
    expect(parseJson('{"a\\n\\u00e9":"1234567890123456789","b":[1234567890123456789,true,null]}')).toEqual({
      'a\né': '1234567890123456789',
      b: [1234567890123456789n, true, null],
    });
  });
  it('prints as OVS does with --pretty', () => {
    expect(formatJsonPretty({ b: [{ name: 'br1' }], a: [] })).toBe(
      '{\n  "a": [],\n  "b": [\n    {\n      "name": "br1"}]}',
    );
  });
});
