import { checksum, checksumAdd, checksumFinish, pseudoHeaderSum4, pseudoHeaderSum6 } from './checksum.ts';
import { EthType, Icmpv6Type, IpProto } from './ether-types.ts';
import {
  ArpHeader,
  EthernetHeader,
  IcmpHeader,
  Ipv4Header,
  Ipv6Header,
  NdHeader,
  putU16,
  putU32,
  TcpHeader,
  UdpHeader,
} from './headers.ts';

/**
 * Building whole packets, from the outside in: `ethernet({...}, ipv4({...}, udp({...})))`.
 *
 * A transport header needs its pseudo header for the checksum, so the inner builders return a `Segment`
 * that the IP builder finishes. Addresses are byte arrays (6, 4, 16); results are new arrays.
 */
export interface Segment {
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** Where the checksum stands, absent when the protocol has none; `pseudo` = with the pseudo header. */
  readonly checksumAt?: number;
  readonly pseudo?: boolean;
}

export interface EthernetOptions {
  readonly dst: Uint8Array;
  readonly src: Uint8Array;
  /** Tags from the outside in; tpid 0x8100 unless given. */
  readonly vlans?: readonly { readonly tci: number; readonly tpid?: number }[];
}

export interface Payload {
  readonly ethertype: number;
  readonly bytes: Uint8Array;
}

export function ethernet(options: EthernetOptions, payload: Payload): Uint8Array {
  const tags = options.vlans ?? [];
  const out = new Uint8Array(EthernetHeader.size + 4 * tags.length + payload.bytes.length);
  out.set(options.dst.subarray(0, 6), EthernetHeader.dst);
  out.set(options.src.subarray(0, 6), EthernetHeader.src);
  let at: number = EthernetHeader.type;
  for (const tag of tags) {
    putU16(out, at, tag.tpid ?? EthType.vlan8021q);
    putU16(out, at + 2, tag.tci);
    at += 4;
  }
  putU16(out, at, payload.ethertype);
  out.set(payload.bytes, at + 2);
  return out;
}

export interface ArpOptions {
  /** 1 request, 2 reply. */
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

export function arp(options: ArpOptions): Payload {
  const bytes = new Uint8Array(ArpHeader.size);
  putU16(bytes, ArpHeader.hardwareType, 1);
  putU16(bytes, ArpHeader.protocolType, EthType.ipv4);
  bytes[ArpHeader.hardwareLength] = 6;
  bytes[ArpHeader.protocolLength] = 4;
  putU16(bytes, ArpHeader.operation, options.operation);
  bytes.set(options.senderMac.subarray(0, 6), ArpHeader.senderMac);
  bytes.set(options.senderIp.subarray(0, 4), ArpHeader.senderIp);
  bytes.set(options.targetMac.subarray(0, 6), ArpHeader.targetMac);
  bytes.set(options.targetIp.subarray(0, 4), ArpHeader.targetIp);
  return { ethertype: EthType.arp, bytes };
}

export interface Ipv4Options {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly ttl?: number;
  readonly tos?: number;
  readonly identification?: number;
  /** Flags (0x4000 DF, 0x2000 MF) and offset in 8-byte units. */
  readonly flagsOffset?: number;
}

export function ipv4(options: Ipv4Options, segment: Segment): Payload {
  const start = Ipv4Header.size;
  const bytes = new Uint8Array(start + segment.bytes.length);
  bytes[Ipv4Header.versionIhl] = 0x45;
  bytes[Ipv4Header.tos] = options.tos ?? 0;
  putU16(bytes, Ipv4Header.totalLength, bytes.length);
  putU16(bytes, Ipv4Header.identification, options.identification ?? 0);
  putU16(bytes, Ipv4Header.flagsOffset, options.flagsOffset ?? 0);
  bytes[Ipv4Header.ttl] = options.ttl ?? 64;
  bytes[Ipv4Header.protocol] = segment.protocol;
  bytes.set(options.src.subarray(0, 4), Ipv4Header.src);
  bytes.set(options.dst.subarray(0, 4), Ipv4Header.dst);
  putU16(bytes, Ipv4Header.checksum, checksum(bytes, 0, start));
  bytes.set(segment.bytes, start);
  finish(bytes, start, segment, pseudoHeaderSum4(bytes, 0, segment.bytes.length));
  return { ethertype: EthType.ipv4, bytes };
}

export interface Ipv6Options {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
}

export function ipv6(options: Ipv6Options, segment: Segment): Payload {
  const start = Ipv6Header.size;
  const bytes = new Uint8Array(start + segment.bytes.length);
  const word = 0x60000000 + (options.trafficClass ?? 0) * 0x100000 + (options.flowLabel ?? 0);
  putU32(bytes, Ipv6Header.versionClassLabel, word);
  putU16(bytes, Ipv6Header.payloadLength, segment.bytes.length);
  bytes[Ipv6Header.nextHeader] = segment.protocol;
  bytes[Ipv6Header.hopLimit] = options.hopLimit ?? 64;
  bytes.set(options.src.subarray(0, 16), Ipv6Header.src);
  bytes.set(options.dst.subarray(0, 16), Ipv6Header.dst);
  bytes.set(segment.bytes, start);
  finish(bytes, start, segment, pseudoHeaderSum6(bytes, 0, segment.protocol, segment.bytes.length));
  return { ethertype: EthType.ipv6, bytes };
}

function finish(bytes: Uint8Array, start: number, segment: Segment, pseudo: number): void {
  if (segment.checksumAt === undefined) return;
  const sum = checksumFinish(checksumAdd(segment.pseudo === true ? pseudo : 0, bytes, start, bytes.length));
  // In UDP zero stands for "no checksum".
  putU16(bytes, start + segment.checksumAt, sum === 0 && segment.protocol === IpProto.udp ? 0xffff : sum);
}

export function udp(src: number, dst: number, payload: Uint8Array): Segment {
  const bytes = new Uint8Array(UdpHeader.size + payload.length);
  putU16(bytes, UdpHeader.src, src);
  putU16(bytes, UdpHeader.dst, dst);
  putU16(bytes, UdpHeader.length, bytes.length);
  bytes.set(payload, UdpHeader.size);
  return { protocol: IpProto.udp, bytes, checksumAt: UdpHeader.checksum, pseudo: true };
}

export interface TcpOptions {
  readonly src: number;
  readonly dst: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** The 12 flag bits. */
  readonly flags: number;
  readonly window?: number;
}

export function tcp(options: TcpOptions, payload: Uint8Array): Segment {
  const bytes = new Uint8Array(TcpHeader.size + payload.length);
  putU16(bytes, TcpHeader.src, options.src);
  putU16(bytes, TcpHeader.dst, options.dst);
  putU32(bytes, TcpHeader.sequence, options.sequence ?? 0);
  putU32(bytes, TcpHeader.acknowledgment, options.acknowledgment ?? 0);
  putU16(bytes, TcpHeader.offsetFlags, 0x5000 | (options.flags & 0xfff));
  putU16(bytes, TcpHeader.window, options.window ?? 65535);
  bytes.set(payload, TcpHeader.size);
  return { protocol: IpProto.tcp, bytes, checksumAt: TcpHeader.checksum, pseudo: true };
}

export interface EchoOptions {
  readonly reply: boolean;
  readonly identifier: number;
  readonly sequence: number;
}

export function icmpEcho(options: EchoOptions, payload: Uint8Array): Segment {
  return echo(IpProto.icmp, options.reply ? 0 : 8, options, payload);
}

export function icmpv6Echo(options: EchoOptions, payload: Uint8Array): Segment {
  return echo(
    IpProto.icmpv6,
    options.reply ? Icmpv6Type.echoReply : Icmpv6Type.echoRequest,
    options,
    payload,
  );
}

function echo(protocol: number, type: number, options: EchoOptions, payload: Uint8Array): Segment {
  const bytes = new Uint8Array(IcmpHeader.size + payload.length);
  bytes[IcmpHeader.type] = type;
  putU16(bytes, IcmpHeader.identifier, options.identifier);
  putU16(bytes, IcmpHeader.sequence, options.sequence);
  bytes.set(payload, IcmpHeader.size);
  return { protocol, bytes, checksumAt: IcmpHeader.checksum, pseudo: protocol === IpProto.icmpv6 };
}

/** Who has `target`? From the node with `sourceMac`. */
export function neighborSolicit(target: Uint8Array, sourceMac: Uint8Array): Segment {
  return neighbor(Icmpv6Type.neighborSolicit, 0, target, 1, sourceMac);
}

/** `target` is at `targetMac`; solicited and override are set. */
export function neighborAdvert(target: Uint8Array, targetMac: Uint8Array): Segment {
  return neighbor(Icmpv6Type.neighborAdvert, 0x60000000, target, 2, targetMac);
}

function neighbor(type: number, flags: number, target: Uint8Array, option: number, mac: Uint8Array): Segment {
  const bytes = new Uint8Array(NdHeader.size + 8);
  bytes[NdHeader.type] = type;
  putU32(bytes, NdHeader.flags, flags);
  bytes.set(target.subarray(0, 16), NdHeader.target);
  bytes[NdHeader.size] = option;
  bytes[NdHeader.size + 1] = 1;
  bytes.set(mac.subarray(0, 6), NdHeader.size + 2);
  return { protocol: IpProto.icmpv6, bytes, checksumAt: NdHeader.checksum, pseudo: true };
}
