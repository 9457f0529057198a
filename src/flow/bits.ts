/**
 * Ranges of bits in big-endian bytes.
 *
 * A range is named by `end` (index just past the byte with its lowest bit), `shift` (place of that bit
 * in the byte, 0-7) and its width. The functions work in place on any `Uint8Array`, also the
 * arena's, and allocate nothing.
 */

/** Reads up to 32 bits as an unsigned number. */
export function readBits(u8: Uint8Array, end: number, shift: number, nBits: number): number {
  let p = end - 1;
  let value = (u8[p] ?? 0) >>> shift;
  let scale = 1 << (8 - shift);
  for (let got = 8 - shift; got < nBits; got += 8) {
    p--;
    value += (u8[p] ?? 0) * scale;
    scale *= 256;
  }
  return nBits >= 32 ? value >>> 0 : value & ((1 << nBits) - 1);
}

/** Writes the low `nBits` (up to 32) of `value`; other bits stay. */
export function writeBits(u8: Uint8Array, end: number, shift: number, nBits: number, value: number): void {
  let p = end - 1;
  let left = nBits;
  let rest = value >>> 0;
  let at = shift;
  while (left > 0) {
    const n = left < 8 - at ? left : 8 - at;
    const mask = ((1 << n) - 1) << at;
    u8[p] = ((u8[p] ?? 0) & ~mask) | ((rest << at) & mask);
    rest >>>= n;
    left -= n;
    at = 0;
    p--;
  }
}

/** Sets every bit of the range. */
export function setBits(u8: Uint8Array, end: number, shift: number, nBits: number): void {
  let p = end - 1;
  let left = nBits;
  let at = shift;
  while (left > 0) {
    const n = left < 8 - at ? left : 8 - at;
    u8[p] = (u8[p] ?? 0) | (((1 << n) - 1) << at);
    left -= n;
    at = 0;
    p--;
  }
}

/** Whether every bit of the range is zero. */
export function bitsAreZero(u8: Uint8Array, end: number, shift: number, nBits: number): boolean {
  for (let done = 0; done < nBits; done += 32) {
    const bit = shift + done;
    const n = nBits - done < 32 ? nBits - done : 32;
    if (readBits(u8, end - (bit >>> 3), bit & 7, n) !== 0) return false;
  }
  return true;
}

/**
 * Copies a range of bits. The two may lie in one array but, when they overlap, only the first 32
 * bits are safe to share.
 */
export function copyBits(
  from: Uint8Array,
  fromEnd: number,
  fromShift: number,
  to: Uint8Array,
  toEnd: number,
  toShift: number,
  nBits: number,
): void {
  if (fromShift === 0 && toShift === 0 && (nBits & 7) === 0) {
    const n = nBits >>> 3;
    if (n > 8) {
      if (from === to) to.copyWithin(toEnd - n, fromEnd - n, fromEnd);
      else for (let i = 1; i <= n; i++) to[toEnd - i] = from[fromEnd - i] ?? 0;
      return;
    }
  }
  for (let done = 0; done < nBits; done += 32) {
    const n = nBits - done < 32 ? nBits - done : 32;
    const f = fromShift + done;
    const t = toShift + done;
    writeBits(to, toEnd - (t >>> 3), t & 7, n, readBits(from, fromEnd - (f >>> 3), f & 7, n));
  }
}
