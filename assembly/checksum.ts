/**
 * Internet checksums (RFC 1071, RFC 1624). Sums are of 16-bit words as they lie in memory: one's
 * complement addition does not care for byte order.
 *
 * An unfinished checksum (FLAG_NEEDS_CSUM) holds the sum of the pseudo header, not complemented: a change
 * of an address changes it, a change of a port does not, since whoever finishes it sums the ports.
 */

/** What replacing `old` by `now` adds to a sum. */
// @ts-ignore: decorator
@inline
export function delta16(old: u32, now: u32): u32 {
  return (~old & 0xffff) + now;
}

// @ts-ignore: decorator
@inline
export function delta32(old: u32, now: u32): u32 {
  return (~old & 0xffff) + (~old >>> 16) + (now & 0xffff) + (now >>> 16);
}

// @ts-ignore: decorator
@inline
function fold(sum: u32): u32 {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** Applies a change to the complete checksum at `at`. */
export function checksumApply(at: usize, delta: u32): void {
  store<u16>(at, <u16>~fold((~(<u32>load<u16>(at)) & 0xffff) + delta));
}

/** Applies a change of the pseudo header to the unfinished checksum at `at`. */
export function checksumApplyPartial(at: usize, delta: u32): void {
  store<u16>(at, <u16>fold(<u32>load<u16>(at) + delta));
}

/** What xor-ing the first word of an SCTP packet by `change` does to its CRC-32C; bits reflected. */
export function crc32cChange(change: u32, length: u32): u32 {
  let crc = change;
  // Register starts at the difference of the first four bytes, then length - 4 zero bytes and itself.
  for (let bits = length << 3; bits > 0; bits--) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
}
