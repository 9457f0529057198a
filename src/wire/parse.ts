import { WireError } from '../util/errors.ts';
import { checksumAdd, checksumFinish, pseudoHeaderSum4, pseudoHeaderSum6 } from './checksum.ts';
import { EthType, IpProto, isVlanType } from './ether-types.ts';
import {
  ArpHeader,
  EthernetHeader,
  getU16,
  getU32,
  Ipv4Header,
  Ipv6Header,
  TcpHeader,
  UdpHeader,
} from './headers.ts';

/**
 * Packets in parsed form, for hosts of the lab, tests and printing; not for the packet path, which has
 * its own extraction. All byte arrays are views into the packet.
 */
export interface ParsedEthernet {
  readonly dst: Uint8Array;
  readonly src: Uint8Array;
  /** Tags from the outside in. */
  readonly vlans: readonly { readonly tpid: number; readonly tci: number }[];
  readonly ethertype: number;
  readonly payload: Uint8Array;
}

export interface ParsedArp {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

export interface ParsedIp {
  readonly version: 4 | 6;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly tos: number;
  readonly ttl: number;
  readonly protocol: number;
  /** Flags and offset of IPv4, 0 for IPv6. */
  readonly flagsOffset: number;
  /** Whether the IPv4 header checksum is right; true for IPv6. */
  readonly checksumValid: boolean;
  readonly payload: Uint8Array;
  /** Whether the transport checksum over the payload is right; undefined when there is none to check. */
  readonly payloadChecksumValid: boolean | undefined;
}

function need(bytes: Uint8Array, size: number, what: string): void {
  if (bytes.length < size) throw new WireError('TRUNCATED', `${what} of ${bytes.length} bytes`, bytes.length);
}

/** @throws WireError */
export function parseEthernet(packet: Uint8Array): ParsedEthernet {
  need(packet, EthernetHeader.size, 'Ethernet frame');
  const vlans: { tpid: number; tci: number }[] = [];
  let at: number = EthernetHeader.type;
  while (isVlanType(getU16(packet, at))) {
    need(packet, at + 6, 'VLAN tag');
    vlans.push({ tpid: getU16(packet, at), tci: getU16(packet, at + 2) });
    at += 4;
  }
  return {
    dst: packet.subarray(0, 6),
    src: packet.subarray(6, 12),
    vlans,
    ethertype: getU16(packet, at),
    payload: packet.subarray(at + 2),
  };
}

/** @throws WireError */
export function parseArp(bytes: Uint8Array): ParsedArp {
  need(bytes, ArpHeader.size, 'ARP packet');
  if (getU16(bytes, ArpHeader.hardwareType) !== 1 || getU16(bytes, ArpHeader.protocolType) !== EthType.ipv4) {
    throw new WireError('BAD_ARP', 'ARP packet that is not for Ethernet and IPv4', 0);
  }
  return {
    operation: getU16(bytes, ArpHeader.operation),
    senderMac: bytes.subarray(ArpHeader.senderMac, ArpHeader.senderMac + 6),
    senderIp: bytes.subarray(ArpHeader.senderIp, ArpHeader.senderIp + 4),
    targetMac: bytes.subarray(ArpHeader.targetMac, ArpHeader.targetMac + 6),
    targetIp: bytes.subarray(ArpHeader.targetIp, ArpHeader.targetIp + 4),
  };
}

/** @throws WireError for headers that do not fit. */
export function parseIpv4(bytes: Uint8Array): ParsedIp {
  need(bytes, Ipv4Header.size, 'IPv4 packet');
  const header = ((bytes[Ipv4Header.versionIhl] ?? 0) & 15) * 4;
  const total = getU16(bytes, Ipv4Header.totalLength);
  if (
    (bytes[Ipv4Header.versionIhl] ?? 0) >>> 4 !== 4 ||
    header < Ipv4Header.size ||
    total < header ||
    total > bytes.length
  ) {
    throw new WireError('BAD_IPV4', 'IPv4 header that lies about its length', 0);
  }
  const protocol = bytes[Ipv4Header.protocol] ?? 0;
  const payload = bytes.subarray(header, total);
  const flagsOffset = getU16(bytes, Ipv4Header.flagsOffset);
  return {
    version: 4,
    src: bytes.subarray(Ipv4Header.src, Ipv4Header.src + 4),
    dst: bytes.subarray(Ipv4Header.dst, Ipv4Header.dst + 4),
    tos: bytes[Ipv4Header.tos] ?? 0,
    ttl: bytes[Ipv4Header.ttl] ?? 0,
    protocol,
    flagsOffset,
    checksumValid: checksumFinish(checksumAdd(0, bytes, 0, header)) === 0,
    payload,
    payloadChecksumValid:
      (flagsOffset & 0x3fff) === 0
        ? transportValid(protocol, payload, pseudoHeaderSum4(bytes, 0, payload.length))
        : undefined,
  };
}

/** @throws WireError for headers that do not fit. Extension headers are left in the payload. */
export function parseIpv6(bytes: Uint8Array): ParsedIp {
  need(bytes, Ipv6Header.size, 'IPv6 packet');
  const length = getU16(bytes, Ipv6Header.payloadLength);
  const word = getU32(bytes, Ipv6Header.versionClassLabel);
  if (word >>> 28 !== 6 || Ipv6Header.size + length > bytes.length) {
    throw new WireError('BAD_IPV6', 'IPv6 header that lies about its length', 0);
  }
  const protocol = bytes[Ipv6Header.nextHeader] ?? 0;
  const payload = bytes.subarray(Ipv6Header.size, Ipv6Header.size + length);
  return {
    version: 6,
    src: bytes.subarray(Ipv6Header.src, Ipv6Header.src + 16),
    dst: bytes.subarray(Ipv6Header.dst, Ipv6Header.dst + 16),
    tos: (word >>> 20) & 0xff,
    ttl: bytes[Ipv6Header.hopLimit] ?? 0,
    protocol,
    flagsOffset: 0,
    checksumValid: true,
    payload,
    payloadChecksumValid: transportValid(protocol, payload, pseudoHeaderSum6(bytes, 0, protocol, length)),
  };
}

function transportValid(protocol: number, payload: Uint8Array, pseudo: number): boolean | undefined {
  switch (protocol) {
    case IpProto.udp:
      if (payload.length < UdpHeader.size) return false;
      if (getU16(payload, UdpHeader.checksum) === 0) return undefined;
      return checksumFinish(checksumAdd(pseudo, payload, 0, payload.length)) === 0;
    case IpProto.tcp:
      if (payload.length < TcpHeader.size) return false;
      return checksumFinish(checksumAdd(pseudo, payload, 0, payload.length)) === 0;
    case IpProto.icmpv6:
      return checksumFinish(checksumAdd(pseudo, payload, 0, payload.length)) === 0;
    case IpProto.icmp:
      return checksumFinish(checksumAdd(0, payload, 0, payload.length)) === 0;
    default:
      return undefined;
  }
}
