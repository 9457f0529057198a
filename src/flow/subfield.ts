import { bitsAreZero, copyBits, readBits, setBits, writeBits } from './bits.ts';
import type { Field, Subfield } from './fields.ts';

/**
 * Reading and writing fields and parts of them in a key.
 *
 * `base` is where the key starts in `u8`: 0 for a key of its own, an address for one in the arena.
 * Nothing here allocates. Bits that a field has but the key does not store (the high byte of arp_op)
 * read as zero and are not written.
 */

/** The whole of a field as a subfield. */
export function wholeField(field: Field): Subfield {
  let s = whole[field.id];
  if (s === undefined) whole[field.id] = s = { field, ofs: 0, nBits: field.bits };
  return s;
}
const whole: Subfield[] = [];

/** First bit of the subfield that the key stores. */
function firstBit(sf: Subfield): number {
  return sf.ofs > sf.field.lowest ? sf.ofs : sf.field.lowest;
}

/** One past the last bit of it that the key stores. */
function lastBit(sf: Subfield): number {
  const to = sf.ofs + sf.nBits;
  // A whole vlan_vid stands for its 12 bits; the CFI bit is reached by field values only.
  return to < sf.field.stored ? to : sf.field.stored;
}

/** The low 32 bits of a subfield, unsigned. */
export function readSubfield32(u8: Uint8Array, base: number, sf: Subfield): number {
  return readSubfieldPart(u8, base, sf, 0);
}

/** Bits [from, from + 32) of a subfield, unsigned; bits above its width are zero. */
export function readSubfieldPart(u8: Uint8Array, base: number, sf: Subfield, from: number): number {
  let lo = sf.ofs + from;
  let hi = lo + 32;
  const end = lastBit(sf);
  if (hi > end) hi = end;
  let up = 0;
  if (lo < sf.field.lowest) {
    up = sf.field.lowest - lo;
    lo = sf.field.lowest;
  }
  if (hi <= lo) return 0;
  const bit = sf.field.shift + lo;
  return (readBits(u8, base + sf.field.end - (bit >>> 3), bit & 7, hi - lo) << up) >>> 0;
}

/** Writes the low 32 bits of a subfield; its higher bits become zero. */
export function writeSubfield32(u8: Uint8Array, base: number, sf: Subfield, value: number): void {
  const lo = firstBit(sf);
  const hi = lastBit(sf);
  if (hi <= lo) return;
  const skip = lo - sf.ofs;
  for (let at = lo; at < hi; at += 32) {
    const bit = sf.field.shift + at;
    const n = hi - at < 32 ? hi - at : 32;
    writeBits(u8, base + sf.field.end - (bit >>> 3), bit & 7, n, at === lo ? value >>> skip : 0);
  }
  if (sf.field.format === 'ofp port') widenInPort(u8, base, sf.field);
}

/** Writes a subfield from big-endian bytes, right-aligned in `value`; missing high bytes are zero. */
export function writeSubfield(u8: Uint8Array, base: number, sf: Subfield, value: Uint8Array): void {
  const lo = firstBit(sf);
  const hi = lastBit(sf);
  for (let at = lo; at < hi; at += 32) {
    const n = hi - at < 32 ? hi - at : 32;
    const bit = sf.field.shift + at;
    const from = at - sf.ofs;
    const end = value.length - (from >>> 3);
    const word = end > 0 ? readTail(value, end, from & 7, n) : 0;
    writeBits(u8, base + sf.field.end - (bit >>> 3), bit & 7, n, word);
  }
  if (sf.field.format === 'ofp port') widenInPort(u8, base, sf.field);
}

/** Reads a subfield into `out`, big-endian and right-aligned; all of `out` is written. */
export function readSubfield(u8: Uint8Array, base: number, sf: Subfield, out: Uint8Array): void {
  const last = out.length;
  for (let from = 0; from < last * 8; from += 8) {
    out[last - 1 - (from >>> 3)] = from < sf.nBits ? readSubfieldPart(u8, base, sf, from) & 0xff : 0;
  }
  if ((sf.nBits & 7) !== 0) {
    const i = last - 1 - (sf.nBits >>> 3);
    if (i >= 0) out[i] = (out[i] ?? 0) & ((1 << (sf.nBits & 7)) - 1);
  }
}

/** Sets all bits of a subfield: for masks. */
export function maskSubfield(u8: Uint8Array, base: number, sf: Subfield): void {
  const lo = firstBit(sf);
  const hi = lastBit(sf);
  if (hi <= lo) return;
  const bit = sf.field.shift + lo;
  setBits(u8, base + sf.field.end - (bit >>> 3), bit & 7, hi - lo);
  if (sf.field.format === 'ofp port') u8.fill(0xff, base + sf.field.end - 4, base + sf.field.end);
}

/** Whether all bits of a subfield are zero. */
export function subfieldIsZero(u8: Uint8Array, base: number, sf: Subfield): boolean {
  const lo = firstBit(sf);
  const hi = lastBit(sf);
  if (hi <= lo) return true;
  const bit = sf.field.shift + lo;
  return bitsAreZero(u8, base + sf.field.end - (bit >>> 3), bit & 7, hi - lo);
}

/**
 * Copies one subfield to another, as `move` does: the lower of the two widths is copied, higher bits of
 * the destination stay.
 */
export function copySubfield(
  u8: Uint8Array,
  fromBase: number,
  from: Subfield,
  to8: Uint8Array,
  toBase: number,
  to: Subfield,
): void {
  const n = from.nBits < to.nBits ? from.nBits : to.nBits;
  if (simple(from) && simple(to)) {
    const f = from.field.shift + from.ofs;
    const t = to.field.shift + to.ofs;
    copyBits(
      u8,
      fromBase + from.field.end - (f >>> 3),
      f & 7,
      to8,
      toBase + to.field.end - (t >>> 3),
      t & 7,
      n,
    );
    return;
  }
  for (let at = 0; at < n; at += 32) {
    const width = n - at < 32 ? n - at : 32;
    const part = { field: to.field, ofs: to.ofs + at, nBits: width };
    writeSubfield32(to8, toBase, part, readSubfieldPart(u8, fromBase, from, at));
  }
}

/** Whether the key stores the subfield bit for bit. */
function simple(sf: Subfield): boolean {
  const f = sf.field;
  return f.lowest === 0 && f.stored >= f.bits && f.format !== 'ofp port';
}

function readTail(value: Uint8Array, end: number, shift: number, nBits: number): number {
  let v = 0;
  let scale = 1;
  for (let i = end - 1, got = -shift; got < nBits; i--, got += 8) {
    v += (i >= 0 ? (value[i] ?? 0) : 0) * scale;
    scale *= 256;
  }
  v = Math.floor(v / (1 << shift));
  return nBits >= 32 ? v >>> 0 : v & ((1 << nBits) - 1);
}

/** The 16-bit in_port names the reserved ports 0xff00.. of OpenFlow 1.0: widen to 32 bits. */
function widenInPort(u8: Uint8Array, base: number, field: Field): void {
  const end = base + field.end;
  const high = u8[end - 2] === 0xff && (u8[end - 1] ?? 0) >= 0xf7 ? 0xff : 0;
  u8[end - 4] = high;
  u8[end - 3] = high;
}
