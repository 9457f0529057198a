/**
 * Destination addresses that a bridge does not forward: 802.1D's own and those of Extreme's and
 * Cisco's link protocols. Source: OVS eth_addr_is_reserved, vswitchd.conf.db(5) forward-bpdu.
 */
const reserved: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [0x00e02b00, new Set([0x0000, 0x0004, 0x0006])],
  [0x01000c00, new Set([0x0000])],
  [0x01000ccc, new Set([0xccc0, 0xccc1, 0xccc2, 0xccc3, 0xccc4, 0xccc5, 0xccc6, 0xccc7, 0xcccc, 0xcccd])],
  [0x01000ccd, new Set([0xcdcd])],
]);

/** @param at Index of six address bytes in `u8`. */
export function isReservedMac(u8: Uint8Array, at: number): boolean {
  const first = u8[at] ?? 0;
  if (first > 1) return false;
  const high =
    ((first << 24) | ((u8[at + 1] ?? 0) << 16) | ((u8[at + 2] ?? 0) << 8) | (u8[at + 3] ?? 0)) >>> 0;
  const low = ((u8[at + 4] ?? 0) << 8) | (u8[at + 5] ?? 0);
  if (high === 0x0180c200) return low < 0x10;
  return reserved.get(high)?.has(low) ?? false;
}
