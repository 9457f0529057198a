import { KeyLayout as K } from './generated/key.ts';

/**
 * Packet bytes -> flow key in plain TypeScript: for programs without an arena (ovs-ofctl) and as the
 * second opinion that core.wasm's extraction is tested against.
 *
 * Behaviour is that of OVS 3.1 (ovs-fields(7), lib/flow.c): a header that is cut off or lies about its length
 * ends extraction, and the fields it would have given stay zero. Written as a chain of parsers over a
 * shrinking window, so that it shares neither code nor structure with the fast one.
 */
export interface ExtractOptions {
  readonly inPort?: number;
  readonly recircId?: number;
  readonly dpHash?: number;
  readonly skbPriority?: number;
  readonly pktMark?: number;
  /** VLAN tags to take off (other_config:vlan-limit): 1 in the switch, 2 in ovs-ofctl. */
  readonly vlanLimit?: number;
}

export interface Extracted {
  /** 768 bytes in the layout of key.layout.ts. */
  readonly flow: Uint8Array;
  /** Offsets from the start of the frame, -1 = none. */
  readonly l25: number;
  readonly l3: number;
  readonly l4: number;
}

const ETHERTYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  qinq: 0x88a8,
  ipv6: 0x86dd,
  nsh: 0x894f,
} as const;
const PROTO = { icmp: 1, igmp: 2, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, auth: 51, destination: 60 } as const;
const NO_TYPE = 0x05ff;

/** The bytes of a packet that are still to be read. */
class Window {
  readonly bytes: Uint8Array;
  at = 0;
  end: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  get size(): number {
    return this.end - this.at;
  }

  u8(offset: number): number {
    const index = this.at + offset;
    if (index >= this.end) throw new RangeError(`read at ${String(index)} of ${String(this.end)}`);
    return this.bytes[index] ?? 0;
  }

  u16(offset: number): number {
    return this.u8(offset) * 256 + this.u8(offset + 1);
  }

  u32(offset: number): number {
    return this.u16(offset) * 65536 + this.u16(offset + 2);
  }

  slice(offset: number, length: number): Uint8Array {
    if (this.at + offset + length > this.end) throw new RangeError('slice runs over the end');
    return this.bytes.subarray(this.at + offset, this.at + offset + length);
  }

  /** Drops bytes from the front; false, and nothing dropped, when there are not that many. */
  pull(length: number): boolean {
    if (length > this.size) return false;
    this.at += length;
    return true;
  }
}

class FlowWriter {
  readonly flow = new Uint8Array(K.size);
  readonly #view = new DataView(this.flow.buffer);

  u8(at: number, value: number): void {
    this.#view.setUint8(at, value);
  }
  u16(at: number, value: number): void {
    this.#view.setUint16(at, value);
  }
  u32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }
  bytes(at: number, value: Uint8Array): void {
    this.flow.set(value, at);
  }
}

/** Extracts the flow of an Ethernet frame. Never throws on any bytes. */
export function extractFlow(bytes: Uint8Array, options: ExtractOptions = {}): Extracted {
  const out = new FlowWriter();
  const w = new Window(bytes);
  const result = { flow: out.flow, l25: -1, l3: -1, l4: -1 };
  out.u32(K.inPort, options.inPort ?? 0);
  out.u32(K.recircId, options.recircId ?? 0);
  out.u32(K.dpHash, options.dpHash ?? 0);
  out.u32(K.skbPriority, options.skbPriority ?? 0);
  out.u32(K.pktMark, options.pktMark ?? 0);
  if (w.size < 14) return result;

  const type = ethernet(w, out, options.vlanLimit ?? 1);
  if (type === 0x8847 || type === 0x8848) {
    result.l25 = w.at;
    labels(w, out);
    result.l3 = w.at;
    return result;
  }
  result.l3 = w.at;
  let ip: IpInfo | null = null;
  if (type === ETHERTYPE.ipv4) ip = ipv4(w, out);
  else if (type === ETHERTYPE.ipv6) ip = ipv6(w, out);
  else if (type === ETHERTYPE.arp || type === ETHERTYPE.rarp) arp(w, out);
  else if (type === ETHERTYPE.nsh) nsh(w, out);
  if (ip === null) return result;

  result.l4 = w.at;
  out.u8(K.nwProto, ip.proto);
  out.u8(K.nwTos, ip.tos);
  out.u8(K.nwTtl, ip.ttl);
  out.u8(K.nwFrag, (ip.isFragment ? 1 : 0) | (ip.isLater ? 2 : 0));
  if (!ip.isLater) transport(w, out, ip.proto);
  return result;
}

/** Addresses, tags and Ethertype. Returns the Ethertype. */
function ethernet(w: Window, out: FlowWriter, vlanLimit: number): number {
  out.bytes(K.dlDst, w.slice(0, 6));
  out.bytes(K.dlSrc, w.slice(6, 6));
  w.pull(12);
  const slots = [K.vlanTpid0, K.vlanTpid1];
  for (const slot of slots.slice(0, vlanLimit)) {
    const tpid = w.u16(0);
    if ((tpid !== ETHERTYPE.vlan && tpid !== ETHERTYPE.qinq) || w.size < 6) break;
    out.u16(slot, tpid);
    out.u16(slot + 2, w.u16(2) | 0x1000);
    w.pull(4);
  }
  const type = etherType(w);
  out.u16(K.dlType, type);
  return type;
}

function etherType(w: Window): number {
  const type = w.u16(0);
  w.pull(2);
  if (type >= 0x600) return type;
  const snap = [0xaa, 0xaa, 0x03, 0, 0, 0];
  if (w.size < 8 || snap.some((byte, i) => w.u8(i) !== byte)) return NO_TYPE;
  const inner = w.u16(6);
  w.pull(8);
  return inner >= 0x600 ? inner : NO_TYPE;
}

function labels(w: Window, out: FlowWriter): void {
  const slots = [K.mplsLse0, K.mplsLse1, K.mplsLse2];
  for (let depth = 0; w.size >= 4; depth++) {
    const lse = w.u32(0);
    w.pull(4);
    const slot = slots[depth];
    if (slot !== undefined) out.u32(slot, lse);
    if ((lse & 0x100) !== 0) return;
  }
}

interface IpInfo {
  readonly proto: number;
  readonly tos: number;
  readonly ttl: number;
  readonly isFragment: boolean;
  readonly isLater: boolean;
}

function ipv4(w: Window, out: FlowWriter): IpInfo | null {
  if (w.size < 20) return null;
  const header = (w.u8(0) & 15) * 4;
  const total = w.u16(2);
  if (header < 20 || header > w.size || total > w.size || total < header || w.size - total > 0xffff)
    return null;
  w.end = w.at + total;
  out.bytes(K.nwSrc, w.slice(12, 4));
  out.bytes(K.nwDst, w.slice(16, 4));
  const offset = w.u16(6) & 0x1fff;
  const hasMore = (w.u16(6) & 0x2000) !== 0;
  const info = {
    proto: w.u8(9),
    tos: w.u8(1),
    ttl: w.u8(8),
    isFragment: hasMore || offset !== 0,
    isLater: offset !== 0,
  };
  w.pull(header);
  return info;
}

function ipv6(w: Window, out: FlowWriter): IpInfo | null {
  if (w.size < 40) return null;
  const payload = w.u16(4);
  if (40 + payload > w.size || w.size - payload - 40 > 0xffff) return null;
  w.end = w.at + 40 + payload;
  out.bytes(K.ipv6Src, w.slice(8, 16));
  out.bytes(K.ipv6Dst, w.slice(24, 16));
  const label = w.u32(0) & 0xfffff;
  const tos = (w.u16(0) >>> 4) & 0xff;
  const ttl = w.u8(7);
  let proto = w.u8(6);
  let isFragment = false;
  let isLater = false;
  w.pull(40);
  const extensions: readonly number[] = Object.values(EXTENSION);
  while (!isLater && extensions.includes(proto)) {
    if (w.size < 8) return null;
    const next = w.u8(0);
    let length = (w.u8(1) + 1) * 8;
    if (proto === EXTENSION.auth) length = (w.u8(1) + 2) * 4;
    if (proto === EXTENSION.fragment) {
      length = 8;
      isFragment ||= w.u16(2) !== 0;
      isLater = (w.u16(2) & 0xfff8) !== 0;
    }
    if (!w.pull(length)) return null;
    // What a later fragment carries is not known: the protocol stays "fragment".
    if (!isLater) proto = next;
  }
  out.u32(K.ipv6Label, label);
  return { proto, tos, ttl, isFragment, isLater };
}

function arp(w: Window, out: FlowWriter): void {
  if (w.size < 28) return;
  if (w.u16(0) !== 1 || w.u16(2) !== ETHERTYPE.ipv4 || w.u8(4) !== 6 || w.u8(5) !== 4) return;
  const opcode = w.u16(6);
  if (opcode <= 0xff) out.u8(K.nwProto, opcode);
  out.bytes(K.arpSha, w.slice(8, 6));
  out.bytes(K.nwSrc, w.slice(14, 4));
  out.bytes(K.arpTha, w.slice(18, 6));
  out.bytes(K.nwDst, w.slice(24, 4));
}

function nsh(w: Window, out: FlowWriter): void {
  if (w.size < 8) return;
  const head = w.u16(0);
  const length = (head & 0x3f) * 4;
  const kind = w.u8(2);
  if (head >>> 14 !== 0 || length > w.size) return;
  if (kind === 1 ? length !== 24 : kind === 2 && length < 8) return;
  out.u8(K.nshFlags, (head >>> 12) & 3);
  out.u8(K.nshTtl, (head >>> 6) & 0x3f);
  out.u8(K.nshMdtype, kind);
  out.u8(K.nshNp, w.u8(3));
  out.bytes(K.nshPathHdr, w.slice(4, 4));
  if (kind === 1) out.bytes(K.nshC1, w.slice(8, 16));
}

function transport(w: Window, out: FlowWriter, proto: number): void {
  const smallest: Record<number, number> = {
    [PROTO.tcp]: 20,
    [PROTO.udp]: 8,
    [PROTO.sctp]: 12,
    [PROTO.icmp]: 8,
    [PROTO.igmp]: 8,
    [PROTO.icmpv6]: 8,
  };
  const size = smallest[proto];
  if (size === undefined || w.size < size) return;
  switch (proto) {
    case PROTO.tcp: {
      const header = (w.u8(12) >>> 4) * 4;
      if (header < 20 || header > w.size) return;
      ports(w, out);
      out.u16(K.tcpFlags, w.u16(12) & 0xfff);
      return;
    }
    case PROTO.udp:
    case PROTO.sctp:
      ports(w, out);
      return;
    default:
      out.u16(K.tpSrc, w.u8(0));
      out.u16(K.tpDst, w.u8(1));
  }
  if (proto === PROTO.igmp) out.bytes(K.igmpGroupIp4, w.slice(4, 4));
  if (proto === PROTO.icmpv6 && w.u8(1) === 0 && (w.u8(0) === 135 || w.u8(0) === 136)) neighbour(w, out);
}

function ports(w: Window, out: FlowWriter): void {
  out.u16(K.tpSrc, w.u16(0));
  out.u16(K.tpDst, w.u16(2));
}

/** Neighbour solicitation and advertisement: reserved word, target, link-layer address options. */
function neighbour(w: Window, out: FlowWriter): void {
  out.bytes(K.igmpGroupIp4, w.slice(4, 4));
  w.pull(8);
  if (w.size < 16) return;
  const target = w.slice(0, 16);
  w.pull(16);
  const found = new Map<number, Uint8Array>();
  let first = 0;
  let isBad = false;
  const isZero = (mac: Uint8Array | undefined): boolean =>
    mac === undefined || mac.every((byte) => byte === 0);
  while (w.size >= 8) {
    const kind = w.u8(0);
    const length = w.u8(1) * 8;
    if (length === 0 || length > w.size) break;
    if (length === 8 && (kind === 1 || kind === 2)) {
      if (!isZero(found.get(kind))) {
        isBad = true;
        break;
      }
      found.set(kind, w.slice(2, 6));
      if (first === 0) first = kind;
    }
    w.pull(length);
  }
  out.u16(K.tcpFlags, first);
  if (isBad) return;
  out.bytes(K.ndTarget, target);
  const source = found.get(1);
  const destination = found.get(2);
  if (source !== undefined) out.bytes(K.arpSha, source);
  if (destination !== undefined) out.bytes(K.arpTha, destination);
}
