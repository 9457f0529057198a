import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyBits, readBits, setBits, writeBits } from './bits.ts';
import { bigintBytes, bytesBigint } from './field-text.ts';
import { fields, requireField } from './fields.ts';
import { KEY_SIZE } from './key.layout.ts';
import {
  copySubfield,
  maskSubfield,
  readSubfield,
  readSubfield32,
  subfieldIsZero,
  wholeField,
  writeSubfield,
  writeSubfield32,
} from './subfield.ts';
import { formatSubfield, parseSubfieldText } from './subfield-text.ts';

/** The range as a number, the slow way. */
function slowRead(u8: Uint8Array, end: number, shift: number, nBits: number): bigint {
  return (bytesBigint(u8.subarray(0, end)) >> BigInt(shift)) & ((1n << BigInt(nBits)) - 1n);
}

const range = fc.tuple(
  fc.integer({ min: 5, max: 20 }),
  fc.integer({ min: 0, max: 7 }),
  fc.integer({ min: 1, max: 32 }),
);

describe('bits', () => {
  it('reads and writes ranges as big-endian numbers', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 24, maxLength: 24 }),
        range,
        fc.integer({ min: 0, max: 0xffffffff }),
        (u8, [end, shift, n], v) => {
          expect(BigInt(readBits(u8, end, shift, n))).toBe(slowRead(u8, end, shift, n));
          const before = u8.slice();
          writeBits(u8, end, shift, n, v);
          const low = Number(BigInt(v) & ((1n << BigInt(n)) - 1n));
          expect(readBits(u8, end, shift, n)).toBe(low);
          writeBits(u8, end, shift, n, Number(slowRead(before, end, shift, n)));
          expect(u8).toEqual(before);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('copies ranges between arrays', () => {
    const wide = fc.tuple(fc.integer({ min: 17, max: 24 }), fc.integer({ min: 0, max: 7 }));
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 24, maxLength: 24 }),
        fc.uint8Array({ minLength: 24, maxLength: 24 }),
        wide,
        wide,
        fc.integer({ min: 1, max: 128 }),
        (from, to, [fe, fs], [te, ts], n) => {
          const expected = slowRead(from, fe, fs, n);
          const above = slowRead(to, te, ts + n, 8);
          copyBits(from, fe, fs, to, te, ts, n);
          expect(slowRead(to, te, ts, n)).toBe(expected);
          if (te * 8 > ts + n + 8) expect(slowRead(to, te, ts + n, 8)).toBe(above);
        },
      ),
    );
  });

  it('sets ranges', () => {
    const u8 = new Uint8Array(4);
    setBits(u8, 4, 3, 18);
    expect([...u8]).toEqual([0, 0x1f, 0xff, 0xf8]);
  });
});

const anySubfield = fc
  .constantFrom(...fields.filter((f) => !f.name.startsWith('tun_metadata')))
  .chain((field) =>
    fc
      .tuple(fc.integer({ min: 0, max: field.bits - 1 }), fc.integer({ min: 1, max: field.bits }))
      .map(([ofs, n]) => ({ field, ofs, nBits: Math.min(n, field.bits - ofs) })),
  );

describe('subfields', () => {
  it('read what was written, as bytes, at any base', () => {
    fc.assert(
      fc.property(anySubfield, fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (sf, v) => {
        fc.pre(sf.field.name !== 'arp_op' && sf.field.name !== 'nw_tos');
        const base = 100;
        const memory = new Uint8Array(KEY_SIZE + base + 50);
        const value = v & ((1n << BigInt(sf.nBits)) - 1n);
        writeSubfield(memory, base, sf, bigintBytes(value, 16));
        const out = new Uint8Array(16).fill(0xa5);
        readSubfield(memory, base, sf, out);
        expect(bytesBigint(out)).toBe(value);
        expect(readSubfield32(memory, base, sf)).toBe(Number(value & 0xffffffffn));
        expect(subfieldIsZero(memory, base, sf)).toBe(value === 0n);
        expect(memory.subarray(0, base).every((b) => b === 0)).toBe(true);
        expect(memory.subarray(base + KEY_SIZE).every((b) => b === 0)).toBe(true);
        // Only bits of its own mask may have changed.
        const mask = new Uint8Array(KEY_SIZE);
        maskSubfield(mask, 0, sf);
        expect(mask.every((m, i) => ((memory[base + i] ?? 0) & ~m) === 0)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('move between fields', () => {
    fc.assert(
      fc.property(
        anySubfield,
        anySubfield,
        fc.uint8Array({ minLength: KEY_SIZE, maxLength: KEY_SIZE }),
        (from, to, key) => {
          fc.pre(!/arp_op|nw_tos|in_port/.test(from.field.name + to.field.name));
          const n = Math.min(from.nBits, to.nBits);
          const a = { ...from, nBits: n };
          const expected = new Uint8Array(16);
          readSubfield(key, 0, a, expected);
          const target = new Uint8Array(KEY_SIZE);
          copySubfield(key, 0, from, target, 0, to);
          const got = new Uint8Array(16);
          readSubfield(target, 0, { ...to, nBits: n }, got);
          expect(got).toEqual(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('widens 16-bit reserved ports', () => {
    const key = new Uint8Array(KEY_SIZE);
    writeSubfield32(key, 0, wholeField(requireField('in_port')), 0xfffe);
    expect(readSubfield32(key, 0, wholeField(requireField('in_port_oxm')))).toBe(0xfffffffe);
    writeSubfield32(key, 0, wholeField(requireField('in_port')), 5);
    expect(readSubfield32(key, 0, wholeField(requireField('in_port_oxm')))).toBe(5);
  });

  it('does not touch ECN through nw_tos', () => {
    const key = new Uint8Array(KEY_SIZE);
    writeSubfield32(key, 0, wholeField(requireField('nw_ecn')), 3);
    writeSubfield32(key, 0, wholeField(requireField('nw_tos')), 0x20);
    expect(readSubfield32(key, 0, wholeField(requireField('nw_ecn')))).toBe(3);
    expect(readSubfield32(key, 0, wholeField(requireField('nw_tos')))).toBe(0x20);
    expect(readSubfield32(key, 0, wholeField(requireField('ip_dscp')))).toBe(8);
  });
});

describe('subfield text', () => {
  it.each([
    ['NXM_OF_VLAN_TCI[0..11]', 'NXM_OF_VLAN_TCI[0..11]'],
    ['reg0[0..15]', 'NXM_NX_REG0[0..15]'],
    ['reg0[5]', 'NXM_NX_REG0[5]'],
    ['reg0[]', 'NXM_NX_REG0[]'],
    ['reg0', 'NXM_NX_REG0[]'],
    ['eth_src[0..47]', 'NXM_OF_ETH_SRC[]'],
    ['xreg0', 'OXM_OF_PKT_REG0[]'],
  ])('%s', (text, printed) => {
    expect(formatSubfield(parseSubfieldText(text))).toBe(printed);
  });

  it.each([
    ['reg0[32]', 'reg0[32]: starting bit 32 is not valid because field is only 32 bits wide'],
    ['reg0[5..3]', 'reg0[5..3]: starting bit 5 is after ending bit 3'],
    ['reg0[0..32]', 'reg0[0..32]: ending bit 32 is not valid because field is only 32 bits wide'],
    ['zork', "zork: unknown field `zork'"],
  ])('%s is refused', (text, error) => {
    expect(() => parseSubfieldText(text)).toThrow(error);
  });
});
