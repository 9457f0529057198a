/** Bits of big-endian values, as in OVS's bitwise_*(): bit 0 is the lowest of the last byte. */

function getBit(value: Uint8Array, bit: number): boolean {
  return (((value[value.length - 1 - (bit >>> 3)] ?? 0) >>> (bit & 7)) & 1) !== 0;
}

/** Sets bits [ofs, ofs + nBits) to the low bits of `bits`. */
export function putBits(value: Uint8Array, ofs: number, nBits: number, bits: bigint): void {
  for (let i = 0; i < nBits; i++) {
    const at = value.length - 1 - ((ofs + i) >>> 3);
    const mask = 1 << ((ofs + i) & 7);
    const isSet = ((bits >> BigInt(i)) & 1n) !== 0n;
    value[at] = isSet ? (value[at] ?? 0) | mask : (value[at] ?? 0) & ~mask;
  }
}

/** Bits [ofs, ofs + nBits) as a number. */
function getBits(value: Uint8Array, ofs: number, nBits: number): bigint {
  return (bytesToBigint(value) >> BigInt(ofs)) & ((1n << BigInt(nBits)) - 1n);
}

export function bytesToBigint(value: Uint8Array): bigint {
  let n = 0n;
  for (const b of value) n = (n << 8n) | BigInt(b);
  return n;
}

/** `size` big-endian bytes of a number; higher bits are dropped. */
export function bigintToBytes(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}

/** One run of set mask bits, at most 64 long. */
export interface LoadSegment {
  readonly ofs: number;
  readonly nBits: number;
  readonly value: bigint;
}

/** Splits a masked value into runs that one `load` each can write, low bits first. */
export function loadSegments(value: Uint8Array, mask: Uint8Array, fieldBits: number): LoadSegment[] {
  const out: LoadSegment[] = [];
  let at = 0;
  while (at < fieldBits) {
    while (at < fieldBits && !getBit(mask, at)) at++;
    if (at >= fieldBits) break;
    const limit = Math.min(at + 64, fieldBits);
    let end = at + 1;
    while (end < limit && getBit(mask, end)) end++;
    out.push({ ofs: at, nBits: end - at, value: getBits(value, at, end - at) });
    at = end;
  }
  return out;
}
