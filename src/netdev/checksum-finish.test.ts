import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testCore } from '../arena/testing/test-core.ts';

/** The obvious ones' complement sum, folded. */
function sum16(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? (bytes[i] ?? 0) << 8 : (bytes[i] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

const cases = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  isTcp: fc.boolean(),
  tags: fc.nat(2),
  payload: fc.uint8Array({ maxLength: 1400 }),
  padding: fc.nat(20),
  addresses: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

interface Built {
  readonly frame: Uint8Array;
  readonly l3: number;
  readonly field: number;
  readonly pseudo: number;
  readonly complete: number;
}

function build(c: typeof cases extends fc.Arbitrary<infer T> ? T : never): Built {
  const l3 = 14 + 4 * c.tags;
  const addressBytes = c.version === 4 ? 8 : 32;
  const l4 = l3 + (c.version === 4 ? 20 : 40);
  const end = l4 + (c.isTcp ? 20 : 8) + c.payload.length;
  const frame = new Uint8Array(end + c.padding).fill(0x5a, end);
  const view = new DataView(frame.buffer);
  for (let t = 0; t < c.tags; t++) view.setUint16(12 + 4 * t, t === 0 ? 0x88a8 : 0x8100);
  view.setUint16(l3 - 2, c.version === 4 ? 0x0800 : 0x86dd);
  const protocol = c.isTcp ? 6 : 17;
  if (c.version === 4) {
    frame[l3] = 0x45;
    view.setUint16(l3 + 2, end - l3);
    // Don't fragment is not a fragment.
    view.setUint16(l3 + 6, 0x4000);
    frame[l3 + 9] = protocol;
  } else {
    frame[l3] = 0x60;
    view.setUint16(l3 + 4, end - l4);
    frame[l3 + 6] = protocol;
  }
  frame.set(c.addresses.subarray(0, addressBytes), l3 + (c.version === 4 ? 12 : 8));
  if (c.isTcp) frame[l4 + 12] = 0x50;
  frame.set(c.payload, end - c.payload.length);
  const pseudo = sum16(c.addresses.subarray(0, addressBytes), protocol + end - l4);
  const sum = ~sum16(frame.subarray(l4, end), pseudo) & 0xffff;
  return { frame, l3, field: l4 + (c.isTcp ? 16 : 6), pseudo, complete: sum === 0 ? 0xffff : sum };
}

describe('unfinished checksums that nobody told of', () => {
  const core = testCore({ sizeMb: 16 });
  const at = core.x.alloc(2048) >>> 0;
  const finish = (frame: Uint8Array): { wasUnfinished: boolean; frame: Uint8Array } => {
    core.u8.set(frame, at);
    const wasUnfinished = core.x.finishPseudoChecksum(at, frame.length) !== 0;
    return { wasUnfinished, frame: core.u8.slice(at, at + frame.length) };
  };
  const withField = (b: Built, value: number): Uint8Array => {
    const frame = b.frame.slice();
    new DataView(frame.buffer).setUint16(b.field, value);
    return frame;
  };

  it('are completed', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const b = build(c);
        const done = finish(withField(b, b.pseudo));
        expect(done).toEqual({ wasUnfinished: true, frame: withField(b, b.complete) });
      }),
    );
  });
  it('are no others', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 0xffff }), (c, value) => {
        const b = build(c);
        // Complete ones stay what they are, even one that equals the pseudo header's sum.
        expect(finish(withField(b, b.complete)).frame).toEqual(withField(b, b.complete));
        if (value === b.pseudo) return;
        expect(finish(withField(b, value))).toEqual({ wasUnfinished: false, frame: withField(b, value) });
      }),
    );
  });
  it('of fragments stay', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(0x2000, 0x0001, 0x3fff), (c, fragment) => {
        const b = build({ ...c, version: 4 });
        const frame = withField(b, b.pseudo);
        new DataView(frame.buffer).setUint16(b.l3 + 6, fragment);
        expect(finish(frame)).toEqual({ wasUnfinished: false, frame });
      }),
    );
  });
  it('are looked for in frames of any length and content', () => {
    fc.assert(
      fc.property(cases, fc.nat(80), fc.uint8Array({ maxLength: 200 }), (c, cut, noise) => {
        const b = build({ ...c, padding: 0 });
        const short = withField(b, b.pseudo).subarray(0, Math.max(b.frame.length - 1 - cut, 14));
        expect(finish(short)).toEqual({ wasUnfinished: false, frame: short });
        const odd = Uint8Array.from([...withField(b, b.pseudo).subarray(0, 14), ...noise]);
        expect(finish(odd).frame).toHaveLength(odd.length);
      }),
    );
  });
});
