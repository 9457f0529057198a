/**
 * Places of fields in packet headers: byte offsets from the start of each header, sizes in bytes. One
 * table a protocol; all scalars are big-endian.
 */

/** IEEE 802.3. */
export const EthernetHeader = { size: 14, dst: 0, src: 6, type: 12 } as const;

/** RFC 826, for Ethernet and IPv4. */
export const ArpHeader = {
  size: 28,
  hardwareType: 0,
  protocolType: 2,
  hardwareLength: 4,
  protocolLength: 5,
  operation: 6,
  senderMac: 8,
  senderIp: 14,
  targetMac: 18,
  targetIp: 24,
} as const;

/**
 * RFC 791.
 *
 *      0       4       8              16  19                        31
 *     |version| ihl   |   tos        |          total length        |
 *     |        identification        |flags|    fragment offset     |
 *     |      ttl      |   protocol   |            checksum          |
 */
export const Ipv4Header = {
  size: 20,
  versionIhl: 0,
  tos: 1,
  totalLength: 2,
  identification: 4,
  flagsOffset: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  src: 12,
  dst: 16,
} as const;

/** RFC 8200. */
export const Ipv6Header = {
  size: 40,
  versionClassLabel: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  src: 8,
  dst: 24,
} as const;

/** RFC 9293. */
export const TcpHeader = {
  size: 20,
  src: 0,
  dst: 2,
  sequence: 4,
  acknowledgment: 8,
  offsetFlags: 12,
  window: 14,
  checksum: 16,
  urgent: 18,
} as const;

/** RFC 768. */
export const UdpHeader = { size: 8, src: 0, dst: 2, length: 4, checksum: 6 } as const;

/** RFC 792; identifier and sequence for echoes. */
export const IcmpHeader = { size: 8, type: 0, code: 1, checksum: 2, identifier: 4, sequence: 6 } as const;

/** RFC 4861 neighbour solicitation and advertisement; options follow. */
export const NdHeader = { size: 24, type: 0, code: 1, checksum: 2, flags: 4, target: 8 } as const;

export function getU16(u8: Uint8Array, at: number): number {
  return ((u8[at] ?? 0) << 8) | (u8[at + 1] ?? 0);
}

export function getU32(u8: Uint8Array, at: number): number {
  return ((getU16(u8, at) << 16) | getU16(u8, at + 2)) >>> 0;
}

export function putU16(u8: Uint8Array, at: number, value: number): void {
  u8[at] = (value >>> 8) & 0xff;
  u8[at + 1] = value & 0xff;
}

export function putU32(u8: Uint8Array, at: number, value: number): void {
  putU16(u8, at, value >>> 16);
  putU16(u8, at + 2, value & 0xffff);
}
