/**
 * The Internet checksum (RFC 1071) over ranges of a `Uint8Array`, and its pseudo headers.
 *
 * Sums are unfolded numbers: add ranges, then `checksumFinish` once. Ranges start at even offsets of the
 * data that is summed.
 */

/** Adds `u8[from, to)` to a sum. */
export function checksumAdd(sum: number, u8: Uint8Array, from: number, to: number): number {
  let s = sum;
  let i = from;
  for (; i + 1 < to; i += 2) s += ((u8[i] ?? 0) << 8) | (u8[i + 1] ?? 0);
  if (i < to) s += (u8[i] ?? 0) << 8;
  return s;
}

/** Folds a sum and inverts it: the value for the header. */
export function checksumFinish(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return ~s & 0xffff;
}

export function checksum(u8: Uint8Array, from: number, to: number): number {
  return checksumFinish(checksumAdd(0, u8, from, to));
}

/**
 * Sum of the IPv4 pseudo header.
 *
 * @param ip Offset of the IPv4 header.
 * @param length Bytes of the transport header and payload.
 */
export function pseudoHeaderSum4(u8: Uint8Array, ip: number, length: number): number {
  return checksumAdd((u8[ip + 9] ?? 0) + length, u8, ip + 12, ip + 20);
}

/** Sum of the IPv6 pseudo header, for a given transport protocol. */
export function pseudoHeaderSum6(u8: Uint8Array, ip: number, proto: number, length: number): number {
  return checksumAdd(proto + length, u8, ip + 8, ip + 40);
}
