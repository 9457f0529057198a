import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageFramer } from './framer.ts';

function message(length: number, fill: number): Uint8Array {
  const m = new Uint8Array(length).fill(fill);
  m[2] = length >> 8;
  m[3] = length & 255;
  return m;
}

test('any cutting of the stream gives the same messages', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 8, max: 700 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }),
      (lengths, cuts) => {
        const sent = lengths.map((n, i) => message(n, i));
        const stream = new Uint8Array(sent.reduce((n, m) => n + m.length, 0));
        let at = 0;
        for (const m of sent) {
          stream.set(m, at);
          at += m.length;
        }
        const framer = new MessageFramer();
        const got: Uint8Array[] = [];
        let cut = 0;
        for (at = 0; at < stream.length;) {
          const n = cuts[cut++ % cuts.length] ?? 1;
          expect(framer.push(stream.subarray(at, at + n), (m) => got.push(m))).toBe(true);
          at += n;
        }
        expect(got).toEqual(sent);
      },
    ),
  );
});

test('a length below a header breaks the stream', () => {
  expect(new MessageFramer().push(Uint8Array.of(1, 0, 0, 7, 0, 0, 0, 0), () => undefined)).toBe(false);
  const framer = new MessageFramer();
  expect(framer.push(Uint8Array.of(1, 0), () => undefined)).toBe(true);
  expect(framer.push(Uint8Array.of(0, 4), () => undefined)).toBe(false);
});
