import { KeyLayout as K } from '../flow/generated/key.ts';
import { isNd } from '../flow/flow-wildcards.ts';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { be16, be32, isZero, putBe16, putBe32 } from '../flow/numbers-text.ts';
import { dlTypeNone, EthType, IpProto, isMplsType, isVlanType } from '../wire/ether-types.ts';
import { OdpActionWriter } from './action-writer.ts';
import { attributeMap, le16, le32 } from './attributes.ts';
import { OvsKeyAttr as A, OvsNshKeyAttr } from './attrs.ts';
import { readTunnelKey, writeTunnelKey } from './tunnel-key.ts';

/** [attribute, [key offset, attribute offset, bytes]...] of the records copied as they are. */
type Copies = readonly (readonly [key: number, attr: number, size: number])[];

const copies = {
  ethernet: [[K.dlSrc, 0, 6], [K.dlDst, 6, 6]],
  ipv4: [[K.nwSrc, 0, 4], [K.nwDst, 4, 4], [K.nwProto, 8, 1], [K.nwTos, 9, 1], [K.nwTtl, 10, 1]],
  ipv6: [
    [K.ipv6Src, 0, 16], [K.ipv6Dst, 16, 16], [K.ipv6Label, 32, 4], [K.nwProto, 36, 1], [K.nwTos, 37, 1], [K.nwTtl, 38, 1],
  ],
  arp: [[K.nwSrc, 0, 4], [K.nwDst, 4, 4], [K.nwProto, 9, 1], [K.arpSha, 10, 6], [K.arpTha, 16, 6]],
  nd: [[K.ndTarget, 0, 16], [K.arpSha, 16, 6], [K.arpTha, 22, 6]],
  ndExt: [[K.igmpGroupIp4, 0, 4], [K.tcpFlags + 1, 4, 1]],
  ports: [[K.tpSrc, 0, 2], [K.tpDst, 2, 2]],
  icmp: [[K.tpSrc + 1, 0, 1], [K.tpDst + 1, 1, 1]],
  ctTuple4: [[K.ctNwSrc, 0, 4], [K.ctNwDst, 4, 4], [K.ctTpSrc, 8, 2], [K.ctTpDst, 10, 2], [K.ctNwProto, 12, 1]],
  ctTuple6: [[K.ctIpv6Src, 0, 16], [K.ctIpv6Dst, 16, 16], [K.ctTpSrc, 32, 2], [K.ctTpDst, 34, 2], [K.ctNwProto, 36, 1]],
  nshBase: [[K.nshFlags, 0, 1], [K.nshTtl, 1, 1], [K.nshMdtype, 2, 1], [K.nshNp, 3, 1], [K.nshPathHdr, 4, 4]],
} as const satisfies Record<string, Copies>; // prettier-ignore

/** OVS_FRAG_TYPE_*: none, first, later. */
function fragToAttr(frag: number): number {
  return (frag & 2) !== 0 ? 2 : (frag & 1) !== 0 ? 1 : 0;
}

function fragFromAttr(frag: number): number {
  return frag === 2 ? 3 : frag === 1 ? 1 : 0;
}

/**
 * A flow key as attributes of the datapath interface, in OVS's order.
 *
 * @param flow Key with the datapath's in_port.
 */
export function odpKeyToNetlink(flow: Uint8Array): Uint8Array {
  return toNetlink(flow, flow, false);
}

/** A mask as attributes; which of them there are depends on the flow. */
export function odpMaskToNetlink(mask: Uint8Array, flow: Uint8Array): Uint8Array {
  return toNetlink(mask, flow, true);
}

function toNetlink(data: Uint8Array, flow: Uint8Array, isMask: boolean): Uint8Array {
  const w = new OdpActionWriter(new Uint8Array(1024));
  const copy = (attr: number, size: number, list: Copies): number => {
    const p = w.attribute(attr, size);
    for (const [from, to, n] of list) if (p >= 0) w.memory.set(data.subarray(from, from + n), p + to);
    return p;
  };
  w.u32(A.priority, be32(data, K.skbPriority));
  if (!isZero(flow, K.tunDst, 4) || !isZero(flow, K.tunIpv6Dst, 16)) {
    const nest = w.beginNested(A.tunnel);
    writeTunnelKey(data, 0, w);
    w.endNested(nest);
  }
  w.u32(A.skbMark, be32(data, K.pktMark));
  w.u32(A.ctState, be32(data, K.ctState));
  w.u16(A.ctZone, be16(data, K.ctZone));
  w.u32(A.ctMark, be32(data, K.ctMark));
  w.raw(A.ctLabels, data.subarray(K.ctLabel, K.ctLabel + 16));
  const dlType = be16(flow, K.dlType);
  if (flow[K.ctNwProto] !== 0) {
    if (dlType === EthType.ipv4) copy(A.ctOrigTupleIpv4, 13, copies.ctTuple4);
    else if (dlType === EthType.ipv6) copy(A.ctOrigTupleIpv6, 37, copies.ctTuple6);
  }
  w.u32(A.recircId, be32(data, K.recircId));
  w.u32(A.dpHash, be32(data, K.dpHash));
  if (isMask || be32(flow, K.inPort) !== 0xffffffff) w.u32(A.inPort, be32(data, K.inPort));
  w.raw(A.packetType, data.subarray(K.packetType, K.packetType + 4));
  const nests: number[] = [];
  if (be32(flow, K.packetType) === 0) {
    copy(A.ethernet, 12, copies.ethernet);
    for (const at of [K.vlanTpid0, K.vlanTpid1]) {
      const tagged = be16(flow, at + 2) !== 0;
      // A tag that was cut off leaves its type in dl_type.
      if (!tagged && !isVlanType(dlType)) break;
      w.be16(A.ethertype, isMask ? 0xffff : tagged ? be16(flow, at) : dlType);
      w.raw(A.vlan, data.subarray(at + 2, at + 4));
      nests.push(w.beginNested(A.encap));
      if (!tagged) break;
    }
  }
  writeInner(w, copy, data, flow, dlType, isMask);
  for (const nest of nests.reverse()) w.endNested(nest);
  return w.bytes().slice();
}

function writeInner(
  w: OdpActionWriter,
  copy: (attr: number, size: number, list: Copies) => number,
  data: Uint8Array,
  flow: Uint8Array,
  dlType: number,
  isMask: boolean,
): void {
  if (dlType < 0x600) {
    // No Ethertype: told by a mask without a key.
    if (isMask) w.be16(A.ethertype, 0xffff);
    return;
  }
  if (isVlanType(dlType)) return;
  w.raw(A.ethertype, data.subarray(K.dlType, K.dlType + 2));
  const frag = isMask ? (data[K.nwFrag] === 0 ? 0 : 0xff) : fragToAttr(data[K.nwFrag] ?? 0);
  if (dlType === EthType.ipv4 || dlType === EthType.ipv6) {
    const v4 = dlType === EthType.ipv4;
    const p = v4 ? copy(A.ipv4, 12, copies.ipv4) : copy(A.ipv6, 40, copies.ipv6);
    if (p >= 0) {
      w.memory[p + (v4 ? 11 : 39)] = frag;
      if (!v4) w.memory[p + 32] = 0;
      if (!v4) w.memory[p + 33] = (w.memory[p + 33] ?? 0) & 0x0f;
    }
    if (((flow[K.nwFrag] ?? 0) & 2) === 0) writeL4(w, copy, data, flow, isMask);
  } else if (dlType === EthType.arp || dlType === EthType.rarp) {
    const p = copy(A.arp, 24, copies.arp);
    if (p >= 0 && isMask) w.memory[p + 8] = data[K.nwProto] ?? 0;
  } else if (isMplsType(dlType)) {
    let n = 0;
    while (n < 3) {
      n++;
      if ((be32(flow, K.mplsLse0 + 4 * (n - 1)) & 0x100) !== 0) break;
    }
    w.raw(A.mpls, data.subarray(K.mplsLse0, K.mplsLse0 + 4 * n));
  } else if (dlType === EthType.nsh) {
    const nest = w.beginNested(A.nsh);
    copy(OvsNshKeyAttr.base, 8, copies.nshBase);
    if (flow[K.nshMdtype] === 1) w.raw(OvsNshKeyAttr.md1, data.subarray(K.nshC1, K.nshC1 + 16));
    w.endNested(nest);
  }
}

function writeL4(
  w: OdpActionWriter,
  copy: (attr: number, size: number, list: Copies) => number,
  data: Uint8Array,
  flow: Uint8Array,
  isMask: boolean,
): void {
  const v4 = be16(flow, K.dlType) === EthType.ipv4;
  switch (flow[K.nwProto]) {
    case IpProto.tcp:
      copy(A.tcp, 4, copies.ports);
      w.raw(A.tcpFlags, data.subarray(K.tcpFlags, K.tcpFlags + 2));
      break;
    case IpProto.udp:
      copy(A.udp, 4, copies.ports);
      break;
    case IpProto.sctp:
      copy(A.sctp, 4, copies.ports);
      break;
    case IpProto.icmp:
      if (v4) copy(A.icmp, 2, copies.icmp);
      break;
    case IpProto.icmpv6:
      if (v4) break;
      copy(A.icmpv6, 2, copies.icmp);
      // Only a mask that fixes type and code may look at what they imply.
      if (!isNd(flow) || (isMask && (data[K.tpSrc + 1] !== 0xff || data[K.tpDst + 1] !== 0xff))) break;
      copy(A.nd, 28, copies.nd);
      if (!isZero(data, K.igmpGroupIp4, 4) || !isZero(data, K.tcpFlags, 2))
        copy(A.ndExtensions, 8, copies.ndExt);
      break;
  }
}

/**
 * Reads key attributes into a flow key. A key without an Ethertype is one of a frame that has none.
 *
 * @throws WireError for malformed attributes.
 */
export function odpKeyFromNetlink(bytes: Uint8Array): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  const attrs = attributeMap(bytes);
  readMetadata(attrs, key);
  if (!attrs.has(A.inPort)) putBe32(key, K.inPort, 0xffffffff);
  const packetType = attrs.get(A.packetType);
  if (packetType?.length === 4) key.set(packetType, K.packetType);
  else if (!attrs.has(A.ethernet) && attrs.has(A.ethertype)) {
    putBe32(key, K.packetType, 0x10000 | be16(attrs.get(A.ethertype) ?? new Uint8Array(2), 0));
  }
  let level = attrs;
  let tag = 0;
  for (;;) {
    const type = level.get(A.ethertype);
    const vlan = level.get(A.vlan);
    if (type && isVlanType(be16(type, 0)) && tag < 2 && be32(key, K.packetType) === 0) {
      const tci = vlan === undefined ? 0 : be16(vlan, 0);
      if (tci !== 0) {
        putBe16(key, tag === 0 ? K.vlanTpid0 : K.vlanTpid1, be16(type, 0));
        putBe16(key, tag === 0 ? K.vlanTci0 : K.vlanTci1, tci);
        level = new Map([...attributeMap(level.get(A.encap) ?? new Uint8Array(0))]);
        tag++;
        continue;
      }
    }
    putBe16(key, K.dlType, type ? be16(type, 0) : dlTypeNone);
    break;
  }
  readHeaders(level, key, false);
  copyIn(attrs.get(A.ethernet), 12, copies.ethernet, key);
  return key;
}

/**
 * Reads the attributes of a mask.
 *
 * @param flow The flow that the mask belongs to, as `odpKeyFromNetlink` returned it.
 * @throws WireError
 */
export function odpMaskFromNetlink(bytes: Uint8Array, flow: Uint8Array): Uint8Array {
  const mask = new Uint8Array(KEY_SIZE);
  const attrs = attributeMap(bytes);
  readMetadata(attrs, mask);
  const packetType = attrs.get(A.packetType);
  if (packetType?.length === 4) mask.set(packetType, K.packetType);
  copyIn(attrs.get(A.ethernet), 12, copies.ethernet, mask);
  let level = attrs;
  for (const at of [K.vlanTpid0, K.vlanTpid1]) {
    if (be16(flow, at + 2) === 0) break;
    const vlan = level.get(A.vlan);
    if (vlan?.length === 2) mask.set(vlan, at + 2);
    const type = level.get(A.ethertype);
    if (type?.length === 2) mask.set(type, at);
    const encap = level.get(A.encap);
    level = encap ? attributeMap(encap) : new Map<number, Uint8Array>();
  }
  const type = level.get(A.ethertype);
  if (type?.length === 2) mask.set(type, K.dlType);
  readHeaders(level, mask, true);
  return mask;
}

function copyIn(payload: Uint8Array | undefined, size: number, list: Copies, key: Uint8Array): void {
  if (!payload || payload.length < size) return;
  for (const [to, from, n] of list) key.set(payload.subarray(from, from + n), to);
}

function readMetadata(attrs: ReadonlyMap<number, Uint8Array>, key: Uint8Array): void {
  const word = (attr: number, at: number): void => {
    const p = attrs.get(attr);
    if (p?.length === 4) putBe32(key, at, le32(p));
  };
  word(A.priority, K.skbPriority);
  word(A.skbMark, K.pktMark);
  word(A.ctState, K.ctState);
  word(A.ctMark, K.ctMark);
  word(A.recircId, K.recircId);
  word(A.dpHash, K.dpHash);
  word(A.inPort, K.inPort);
  const zone = attrs.get(A.ctZone);
  if (zone?.length === 2) putBe16(key, K.ctZone, le16(zone));
  const labels = attrs.get(A.ctLabels);
  if (labels?.length === 16) key.set(labels, K.ctLabel);
  copyIn(attrs.get(A.ctOrigTupleIpv4), 13, copies.ctTuple4, key);
  copyIn(attrs.get(A.ctOrigTupleIpv6), 37, copies.ctTuple6, key);
  const tunnel = attrs.get(A.tunnel);
  if (tunnel) readTunnelKey(tunnel, key);
}

function readHeaders(attrs: ReadonlyMap<number, Uint8Array>, key: Uint8Array, isMask: boolean): void {
  const v4 = attrs.get(A.ipv4);
  copyIn(v4, 12, copies.ipv4, key);
  const v6 = attrs.get(A.ipv6);
  copyIn(v6, 40, copies.ipv6, key);
  const frag = v4 ? v4[11] : v6 ? v6[39] : undefined;
  if (frag !== undefined) key[K.nwFrag] = isMask ? (frag === 0 ? 0 : 3) : fragFromAttr(frag);
  copyIn(attrs.get(A.arp), 24, copies.arp, key);
  const mpls = attrs.get(A.mpls);
  if (mpls) key.set(mpls.subarray(0, Math.min(12, mpls.length & ~3)), K.mplsLse0);
  for (const attr of [A.tcp, A.udp, A.sctp]) copyIn(attrs.get(attr), 4, copies.ports, key);
  for (const attr of [A.icmp, A.icmpv6]) copyIn(attrs.get(attr), 2, copies.icmp, key);
  const flags = attrs.get(A.tcpFlags);
  if (flags?.length === 2) key.set(flags, K.tcpFlags);
  copyIn(attrs.get(A.nd), 28, copies.nd, key);
  copyIn(attrs.get(A.ndExtensions), 8, copies.ndExt, key);
  const nsh = attrs.get(A.nsh);
  if (nsh) {
    const parts = attributeMap(nsh);
    copyIn(parts.get(OvsNshKeyAttr.base), 8, copies.nshBase, key);
    const md1 = parts.get(OvsNshKeyAttr.md1);
    if (md1?.length === 16) key.set(md1, K.nshC1);
  }
}
