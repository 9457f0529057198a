import { OvsKeyAttr as A } from './attrs.ts';

/**
 * Shapes of the datapath key attributes that are plain records, for printing, reading and
 * conversion: one table instead of three switch statements.
 *
 * Kinds: `u8`, `be16`, `be32` print decimal, with an `x` hexadecimal; `u32x` and `u16x` are in host
 * (little-endian) order.
 */
type PartKind =
  'u8' | 'u8x' | 'be16' | 'be16x' | 'be32' | 'be32x' | 'u16x' | 'u32x' | 'mac' | 'ipv4' | 'ipv6' | 'frag';

export interface PartSpec {
  readonly name: string;
  readonly kind: PartKind;
  readonly at: number;
  /** Bits of the value that exist, when fewer than the kind has (IPv6 label). */
  readonly bits?: number;
}

interface KeySpec {
  readonly attr: number;
  readonly name: string;
  readonly size: number;
  /** Several named parts, or one without a name. */
  readonly parts: readonly PartSpec[];
}

export const partSizes: Readonly<Record<PartKind, number>> = {
  u8: 1,
  u8x: 1,
  be16: 2,
  be16x: 2,
  be32: 4,
  be32x: 4,
  u16x: 2,
  u32x: 4,
  mac: 6,
  ipv4: 4,
  ipv6: 16,
  frag: 1,
};

function spec(
  attr: number,
  name: string,
  size: number,
  ...parts: readonly (readonly [string, PartKind, number, number?])[]
): KeySpec {
  return {
    attr,
    name,
    size,
    parts: parts.map(([n, kind, at, bits]) =>
      bits === undefined ? { name: n, kind, at } : { name: n, kind, at, bits },
    ),
  };
}

export const keySpecs: ReadonlyMap<number, KeySpec> = new Map(
  [
    spec(A.priority, 'skb_priority', 4, ['', 'u32x', 0]),
    spec(A.skbMark, 'skb_mark', 4, ['', 'u32x', 0]),
    spec(A.ctState, 'ct_state', 4, ['', 'u32x', 0]),
    spec(A.ctZone, 'ct_zone', 2, ['', 'u16x', 0]),
    spec(A.ctMark, 'ct_mark', 4, ['', 'u32x', 0]),
    spec(A.ctLabels, 'ct_label', 16),
    spec(
      A.ctOrigTupleIpv4, 'ct_tuple4', 13,
      ['src', 'ipv4', 0], ['dst', 'ipv4', 4], ['proto', 'u8', 12], ['tp_src', 'be16', 8], ['tp_dst', 'be16', 10],
    ),
    spec(
      A.ctOrigTupleIpv6, 'ct_tuple6', 37,
      ['src', 'ipv6', 0], ['dst', 'ipv6', 16], ['proto', 'u8', 36], ['src_port', 'be16', 32], ['dst_port', 'be16', 34],
    ),
    spec(A.tunnel, 'tunnel', 0),
    spec(A.recircId, 'recirc_id', 4, ['', 'u32x', 0]),
    spec(A.dpHash, 'dp_hash', 4, ['', 'u32x', 0]),
    spec(A.inPort, 'in_port', 4),
    spec(A.packetType, 'packet_type', 4, ['ns', 'be16', 0], ['id', 'be16x', 2]),
    spec(A.ethernet, 'eth', 12, ['src', 'mac', 0], ['dst', 'mac', 6]),
    spec(A.vlan, 'vlan', 2),
    spec(A.encap, 'encap', 0),
    spec(A.ethertype, 'eth_type', 2),
    spec(A.mpls, 'mpls', 4),
    spec(
      A.ipv4, 'ipv4', 12,
      ['src', 'ipv4', 0], ['dst', 'ipv4', 4], ['proto', 'u8', 8], ['tos', 'u8x', 9], ['ttl', 'u8', 10], ['frag', 'frag', 11],
    ),
    spec(
      A.ipv6, 'ipv6', 40,
      ['src', 'ipv6', 0], ['dst', 'ipv6', 16], ['label', 'be32x', 32, 20], ['proto', 'u8', 36], ['tclass', 'u8x', 37],
      ['hlimit', 'u8', 38], ['frag', 'frag', 39],
    ),
    spec(A.tcp, 'tcp', 4, ['src', 'be16', 0], ['dst', 'be16', 2]),
    spec(A.udp, 'udp', 4, ['src', 'be16', 0], ['dst', 'be16', 2]),
    spec(A.sctp, 'sctp', 4, ['src', 'be16', 0], ['dst', 'be16', 2]),
    spec(A.tcpFlags, 'tcp_flags', 2),
    spec(A.icmp, 'icmp', 2, ['type', 'u8', 0], ['code', 'u8', 1]),
    spec(A.icmpv6, 'icmpv6', 2, ['type', 'u8', 0], ['code', 'u8', 1]),
    spec(
      A.arp, 'arp', 24,
      ['sip', 'ipv4', 0], ['tip', 'ipv4', 4], ['op', 'be16', 8], ['sha', 'mac', 10], ['tha', 'mac', 16],
    ),
    spec(A.nd, 'nd', 28, ['target', 'ipv6', 0], ['sll', 'mac', 16], ['tll', 'mac', 22]),
    spec(A.ndExtensions, 'nd_ext', 8, ['nd_reserved', 'be32x', 0], ['nd_options_type', 'u8', 4]),
    spec(A.nsh, 'nsh', 0),
  ].map((s) => [s.attr, s]),
); // prettier-ignore

export const keySpecsByName: ReadonlyMap<string, KeySpec> = new Map(
  [...keySpecs.values()].map((s) => [s.name, s]),
);
