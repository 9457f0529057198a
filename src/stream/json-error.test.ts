import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonErrorText } from './json-error.ts';
import { parseJson } from './json.ts';

describe('jsonErrorText', () => {
  it.each([
    ['foo', "line 0, column 3, byte 3: invalid keyword 'foo'"],
    ['', 'line 0, column 0, byte 0: empty input stream'],
    ['{"a":1', 'line 0, column 7, byte 7: unexpected end of input'],
    ['{', 'line 0, column 1, byte 1: unexpected end of input'],
    ['{"a"}', "line 0, column 4, byte 4: syntax error parsing object expecting ':'"],
    ['{"a":1,}', 'line 0, column 7, byte 7: syntax error parsing object expecting string'],
    ['[1,]', 'line 0, column 3, byte 3: syntax error expecting value'],
    ['[1 2]', "line 0, column 4, byte 4: syntax error expecting ']' or ','"],
    ['["a" "b"]', "line 0, column 7, byte 7: syntax error expecting ']' or ','"],
    ['[]]', 'line 0, column 2, byte 2: trailing garbage at end of input'],
    ['5', 'line 0, column 1, byte 1: syntax error at beginning of input'],
    ['[01]', 'line 0, column 3, byte 3: leading zeros not allowed'],
    ['[--1]', "line 0, column 4, byte 4: '-' must be followed by digit"],
    ['[1e400]', 'line 0, column 6, byte 6: number outside valid range'],
    ['["\\q"]', 'line 0, column 4, byte 4: bad escape \\q'],
    ['["\\ud800"]', 'line 0, column 8, byte 8: malformed escaped surrogate pair'],
    ['["a\nb"]', 'line 0, column 3, byte 3: U+000A must be escaped in quoted string'],
    ['["a\\', 'line 0, column 4, byte 4: unexpected end of input in quoted string'],
    ['[\n x]', "line 1, column 2, byte 4: invalid keyword 'x'"],
    ['[é]', 'line 0, column 1, byte 1: invalid character U+00c3'],
  ])('says what the stock programs say of %j', (text, wanted) => {
    expect(jsonErrorText(text)).toBe(wanted);
  });

  it('finds no fault in JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(0, 2), (value, indent) => {
        // A null character is beyond OVS's JSON.
        fc.pre(!JSON.stringify(value).includes('\\u0000'));
        expect(jsonErrorText(JSON.stringify(value, null, indent))).toBeNull();
      }),
    );
  });

  it('finds a fault wherever the parser does', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '1',
      '-',
      '0',
      '.5',
      'e1',
      'true',
      'nul',
      ' ',
      '"',
      '\\',
      '\\u00e9',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = `[${parts.join('')}`;
        let isJson = true;
        try {
          parseJson(text);
        } catch {
          isJson = false;
        }
        expect(jsonErrorText(text) === null).toBe(isJson);
      }),
      { numRuns: 2000 },
    );
  });
});
