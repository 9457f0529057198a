import {
  checksum,
  checksumAdd,
  checksumFinish,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
} from '../wire/checksum.ts';
import { dlTypeNone, EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import { KeyLayout as K } from './generated/key.ts';
import { be16, be32, isZero, putBe16, putBe32 } from './numbers-text.ts';

export interface ComposeOptions {
  /** Payload of TCP (without SYN, FIN, RST), UDP and echoes; 64 counting bytes when absent. */
  readonly payload?: Uint8Array;
  /** Spoils IP and transport checksums. */
  readonly badChecksum?: boolean;
}

/** A growing packet. */
class Bytes {
  u8 = new Uint8Array(256);
  length = 0;

  /** Appends zeroes; returns where they start. */
  put(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.u8.length) {
      const bigger = new Uint8Array(Math.max(this.length, 2 * this.u8.length));
      bigger.set(this.u8);
      this.u8 = bigger;
    }
    return at;
  }

  putBytes(bytes: Uint8Array): number {
    const at = this.put(bytes.length);
    this.u8.set(bytes, at);
    return at;
  }

  insert(at: number, bytes: Uint8Array): void {
    this.put(bytes.length);
    this.u8.copyWithin(at + bytes.length, at, this.length - bytes.length);
    this.u8.set(bytes, at);
  }
}

const countingPayload = Uint8Array.from({ length: 64 }, (_, i) => i);

/**
 * Builds a packet that has the given flow, as OVS does for `ofproto/trace -generate` and
 * `netdev-dummy/receive`: right lengths and checksums, no padding to 60 bytes.
 *
 * @returns A new array of the packet's exact length.
 */
export function composePacket(flow: Uint8Array, options: ComposeOptions = {}): Uint8Array {
  const b = new Bytes();
  const payload = options.payload ?? countingPayload;
  const dlType = be16(flow, K.dlType);
  b.putBytes(flow.subarray(K.dlDst, K.dlDst + 6));
  b.putBytes(flow.subarray(K.dlSrc, K.dlSrc + 6));
  b.put(2);
  putBe16(b.u8, 12, dlType);
  if (dlType === dlTypeNone) {
    putBe16(b.u8, 12, b.length);
    return b.u8.slice(0, b.length);
  }
  for (const at of [K.vlanTpid1, K.vlanTpid0]) {
    if ((be16(flow, at + 2) & 0x1000) === 0) continue;
    const tag = Uint8Array.of(0x81, 0, 0, 0);
    const tpid = be16(flow, at);
    putBe16(tag, 0, tpid === 0 ? EthType.vlan8021q : tpid);
    putBe16(tag, 2, be16(flow, at + 2) & ~0x1000);
    b.insert(12, tag);
  }
  if (dlType === EthType.ipv4) composeIpv4(b, flow, payload, options.badChecksum === true);
  else if (dlType === EthType.ipv6) composeIpv6(b, flow, payload, options.badChecksum === true);
  else if (dlType === EthType.arp || dlType === EthType.rarp) composeArp(b, flow);
  if (isMplsType(dlType)) {
    let n = 1;
    while (n < 3 && (be32(flow, K.mplsLse0 + 4 * (n - 1)) & 0x100) === 0) n++;
    const at = b.put(4 * n);
    b.u8.set(flow.subarray(K.mplsLse0, K.mplsLse0 + 4 * n), at);
  }
  return b.u8.slice(0, b.length);
}

function composeIpv4(b: Bytes, flow: Uint8Array, payload: Uint8Array, bad: boolean): void {
  const ip = b.put(20);
  b.u8[ip] = 0x45;
  b.u8[ip + 1] = flow[K.nwTos] ?? 0;
  b.u8[ip + 8] = flow[K.nwTtl] ?? 0;
  b.u8[ip + 9] = flow[K.nwProto] ?? 0;
  b.u8.set(flow.subarray(K.nwSrc, K.nwSrc + 4), ip + 12);
  b.u8.set(flow.subarray(K.nwDst, K.nwDst + 4), ip + 16);
  const frag = flow[K.nwFrag] ?? 0;
  if ((frag & 1) !== 0) putBe16(b.u8, ip + 6, 0x2000 | ((frag & 2) !== 0 ? 100 : 0));
  const l4 = b.length;
  composeL4(b, flow, payload);
  putBe16(b.u8, ip + 2, b.length - ip);
  const sum = checksum(b.u8, ip, ip + 20);
  putBe16(b.u8, ip + 10, bad ? ~sum & 0xffff : sum);
  if ((frag & 2) === 0) finishL4(b, flow, l4, pseudoHeaderSum4(b.u8, ip, b.length - l4), bad);
}

function composeIpv6(b: Bytes, flow: Uint8Array, payload: Uint8Array, bad: boolean): void {
  const ip = b.put(40);
  const tos = flow[K.nwTos] ?? 0;
  putBe32(b.u8, ip, ((6 << 28) | (tos << 20) | (be32(flow, K.ipv6Label) & 0xfffff)) >>> 0);
  b.u8[ip + 6] = flow[K.nwProto] ?? 0;
  b.u8[ip + 7] = flow[K.nwTtl] ?? 0;
  b.u8.set(flow.subarray(K.ipv6Src, K.ipv6Src + 16), ip + 8);
  b.u8.set(flow.subarray(K.ipv6Dst, K.ipv6Dst + 16), ip + 24);
  const l4 = b.length;
  composeL4(b, flow, payload);
  putBe16(b.u8, ip + 4, b.length - l4);
  const length = b.length - l4;
  if (((flow[K.nwFrag] ?? 0) & 2) === 0) {
    finishL4(b, flow, l4, pseudoHeaderSum6(b.u8, ip, flow[K.nwProto] ?? 0, length), bad);
  }
}

function composeL4(b: Bytes, flow: Uint8Array, payload: Uint8Array): void {
  if (((flow[K.nwFrag] ?? 0) & 2) !== 0) return;
  const type = flow[K.tpSrc + 1] ?? 0;
  const code = flow[K.tpDst + 1] ?? 0;
  switch (flow[K.nwProto]) {
    case IpProto.tcp: {
      const tcp = b.put(20);
      b.u8.set(flow.subarray(K.tpSrc, K.tpSrc + 4), tcp);
      const flags = be16(flow, K.tcpFlags) & 0xfff;
      putBe16(b.u8, tcp + 12, 0x5000 | flags);
      if ((flags & 7) === 0) b.putBytes(payload);
      break;
    }
    case IpProto.udp: {
      const udp = b.put(8);
      b.u8.set(flow.subarray(K.tpSrc, K.tpSrc + 4), udp);
      b.putBytes(payload);
      putBe16(b.u8, udp + 4, b.length - udp);
      break;
    }
    case IpProto.sctp:
      b.u8.set(flow.subarray(K.tpSrc, K.tpSrc + 4), b.put(12));
      break;
    case IpProto.icmp: {
      const icmp = b.put(8);
      b.u8[icmp] = type;
      b.u8[icmp + 1] = code;
      if ((type === 8 || type === 0) && code === 0) b.putBytes(payload);
      break;
    }
    case IpProto.igmp: {
      const igmp = b.put(8);
      b.u8[igmp] = type;
      b.u8[igmp + 1] = code;
      b.u8.set(flow.subarray(K.igmpGroupIp4, K.igmpGroupIp4 + 4), igmp + 4);
      break;
    }
    case IpProto.icmpv6:
      composeIcmpv6(b, flow, type, code, payload);
      break;
  }
}

function composeIcmpv6(b: Bytes, flow: Uint8Array, type: number, code: number, payload: Uint8Array): void {
  const icmp = b.put(8);
  b.u8[icmp] = type;
  b.u8[icmp + 1] = code;
  if (code !== 0) return;
  if (type === 135 || type === 136) {
    b.u8.set(flow.subarray(K.igmpGroupIp4, K.igmpGroupIp4 + 4), icmp + 4);
    b.putBytes(flow.subarray(K.ndTarget, K.ndTarget + 16));
    for (const [kind, at] of [
      [1, K.arpSha],
      [2, K.arpTha],
    ] as const) {
      // prettier-ignore
      if (isZero(flow, at, 6)) continue;
      const opt = b.put(8);
      b.u8[opt] = kind;
      b.u8[opt + 1] = 1;
      b.u8.set(flow.subarray(at, at + 6), opt + 2);
    }
  } else if (type === 128 || type === 129) {
    b.putBytes(payload);
  }
}

/** Fills the transport checksum. */
function finishL4(b: Bytes, flow: Uint8Array, l4: number, pseudo: number, bad: boolean): void {
  const end = b.length;
  let at: number;
  let sum: number;
  switch (flow[K.nwProto]) {
    case IpProto.tcp:
      at = l4 + 16;
      sum = checksumFinish(checksumAdd(pseudo, b.u8, l4, end));
      break;
    case IpProto.udp:
      at = l4 + 6;
      sum = checksumFinish(checksumAdd(pseudo, b.u8, l4, end)) || 0xffff;
      break;
    case IpProto.icmp:
    case IpProto.igmp:
      at = l4 + 2;
      sum = checksum(b.u8, l4, end);
      break;
    case IpProto.icmpv6:
      at = l4 + 2;
      sum = checksumFinish(checksumAdd(pseudo, b.u8, l4, end));
      break;
    default:
      return;
  }
  putBe16(b.u8, at, bad ? ~sum & 0xffff : sum);
}

function composeArp(b: Bytes, flow: Uint8Array): void {
  const arp = b.put(28);
  putBe16(b.u8, arp, 1);
  putBe16(b.u8, arp + 2, EthType.ipv4);
  b.u8[arp + 4] = 6;
  b.u8[arp + 5] = 4;
  const op = flow[K.nwProto] ?? 0;
  putBe16(b.u8, arp + 6, op);
  if (op !== 1 && op !== 2) return;
  b.u8.set(flow.subarray(K.arpSha, K.arpSha + 6), arp + 8);
  b.u8.set(flow.subarray(K.nwSrc, K.nwSrc + 4), arp + 14);
  b.u8.set(flow.subarray(K.arpTha, K.arpTha + 6), arp + 18);
  b.u8.set(flow.subarray(K.nwDst, K.nwDst + 4), arp + 24);
}
