import { KeyLayout as K } from '../flow/generated/key.ts';
import { isZero } from '../flow/numbers-text.ts';
import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import type { OdpActionWriter } from './action-writer.ts';
import { OvsActionAttr, OvsKeyAttr, SlowPath } from './attrs.ts';
import { commitTunnel } from './commit-tunnel.ts';

/**
 * Turns "the flow was A, now it is B" into datapath actions (OVS's `commit_odp_actions`).
 *
 * What: `base` is the packet as the actions written so far leave it, `flow` as the pipeline sees it. For
 * every header that differs, one action is written and `base` is brought up to date. A set is masked:
 * within an attribute, only fields that differ are in the mask, and of those the bits that the
 * wildcards know (translation ORs every bit that it writes into `wc`); a whole attribute set exactly is a
 * plain `set`. What a changed attribute reads of its header is ORed into `wc`.
 *
 * Costs: no allocation. All three keys lie in `u8` (the arena, or three arrays in one), at addresses.
 */

/** An attribute's fields: triples of key offset, offset in the attribute, bytes. */
type Parts = readonly number[];

const ethernetParts: Parts = [K.dlSrc, 0, 6, K.dlDst, 6, 6];
const ipv4Parts: Parts = [
  K.nwSrc, 0, 4, K.nwDst, 4, 4, K.nwProto, 8, 1, K.nwTos, 9, 1, K.nwTtl, 10, 1, K.nwFrag, 11, 1,
]; // prettier-ignore
const ipv6Parts: Parts = [
  K.ipv6Src, 0, 16, K.ipv6Dst, 16, 16, K.ipv6Label, 32, 4, K.nwProto, 36, 1, K.nwTos, 37, 1, K.nwTtl, 38, 1,
  K.nwFrag, 39, 1,
]; // prettier-ignore
const arpParts: Parts = [
  K.nwSrc, 0, 4, K.nwDst, 4, 4, K.nwProto, 9, 1, K.arpSha, 10, 6, K.arpTha, 16, 6,
]; // prettier-ignore
const ndParts: Parts = [K.ndTarget, 0, 16, K.arpSha, 16, 6, K.arpTha, 22, 6];
const ndExtParts: Parts = [K.igmpGroupIp4, 0, 4, K.tcpFlags + 1, 4, 1];
const portParts: Parts = [K.tpSrc, 0, 2, K.tpDst, 2, 2];
const icmpParts: Parts = [K.tpSrc + 1, 0, 1, K.tpDst + 1, 1, 1];

const IPV4_SIZE = 12;
const IPV6_SIZE = 40;
const ARP_SIZE = 24;
const ND_SIZE = 28;
const ND_EXT_SIZE = 8;

/**
 * Writes the actions that lead from `base` to `flow`.
 *
 * @param u8 Memory of all three keys.
 * @param flow Address of the wanted key.
 * @param base Address of the key so far; becomes equal to `flow` in all header fields.
 * @param wc Address of the translation's mask.
 * @param useMasked Whether the datapath knows masked sets.
 * @returns SlowPath bits when the datapath cannot do some of it by itself, else 0.
 */
export function commitOdpActions(
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked = true,
): number {
  commitPacketType(u8, flow, base, writer);
  commitEthernet(u8, flow, base, wc, writer, useMasked);
  // Popping MPLS first uncovers the IP header that later sets want to change.
  let mplsDone = false;
  if (isMplsType(get16(u8, base + K.dlType)) && !isMplsType(get16(u8, flow + K.dlType))) {
    commitMpls(u8, flow, base, writer);
    mplsDone = true;
  }
  let slow = commitNetwork(u8, flow, base, wc, writer, useMasked);
  commitPorts(u8, flow, base, wc, writer, useMasked);
  slow |= commitIcmp(u8, flow, base, wc, writer);
  if (!mplsDone) commitMpls(u8, flow, base, writer);
  commitVlans(u8, flow, base, wc, writer);
  commitWord(OvsKeyAttr.priority, K.skbPriority, u8, flow, base, wc, writer, useMasked);
  commitWord(OvsKeyAttr.skbMark, K.pktMark, u8, flow, base, wc, writer, useMasked);
  return slow;
}

/** Writes the tunnel metadata of an output to a tunnel port that wants it set (flow-based tunnels). */
export function commitTunnelAction(
  u8: Uint8Array,
  flow: number,
  base: number,
  writer: OdpActionWriter,
): void {
  commitTunnel(u8, flow, base, writer);
}

function get16(u8: Uint8Array, p: number): number {
  return ((u8[p] ?? 0) << 8) | (u8[p + 1] ?? 0);
}

function same(u8: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (u8[a + i] !== u8[b + i]) return false;
  return true;
}

/**
 * Sets one attribute when any of its parts differ.
 *
 * The mask of a part that is equal is left out of the action. When the mask covers the attribute whole
 * (or masks are unknown to the datapath) a plain set is written and all parts become matched.
 */
function commitParts(
  attr: number,
  parts: Parts,
  size: number,
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
  tosKeep = 0xff,
): boolean {
  let differ = false;
  let exact = true;
  for (let i = 0; i < parts.length; i += 3) {
    const at = parts[i] ?? 0;
    const length = parts[i + 2] ?? 0;
    if (same(u8, flow + at, base + at, length)) exact = false;
    else {
      differ = true;
      for (let k = 0; k < length; k++) if (u8[wc + at + k] !== 0xff) exact = false;
    }
  }
  if (!differ) return false;
  const masked = useMasked && !exact;
  const nest = writer.beginNested(masked ? OvsActionAttr.setMasked : OvsActionAttr.set);
  const p = writer.attribute(attr, masked ? 2 * size : size);
  const out = writer.memory;
  for (let i = 0; i < parts.length; i += 3) {
    const at = parts[i] ?? 0;
    const to = p + (parts[i + 1] ?? 0);
    const length = parts[i + 2] ?? 0;
    if (masked) {
      if (!same(u8, flow + at, base + at, length) && p >= 0) {
        for (let k = 0; k < length; k++) {
          const m = u8[wc + at + k] ?? 0;
          out[to + k] = (u8[flow + at + k] ?? 0) & m;
          out[to + size + k] = m;
        }
      }
    } else {
      for (let k = 0; k < length; k++) {
        if (p >= 0) out[to + k] = u8[flow + at + k] ?? 0;
        u8[wc + at + k] = 0xff;
      }
    }
    u8.copyWithin(base + at, flow + at, flow + at + length);
  }
  if (masked && p >= 0) fixMask(attr, out, p + size, tosKeep);
  writer.endNested(nest);
  return true;
}

/**
 * Where an attribute is wider or narrower than the key's slot, and where ECN bits that came out of a tunnel
 * stay the datapath's.
 */
function fixMask(attr: number, out: Uint8Array, mask: number, tosKeep: number): void {
  if (attr === OvsKeyAttr.arp) {
    if (out[mask + 9] === 0xff) out[mask + 8] = 0xff;
  } else if (attr === OvsKeyAttr.ipv6) {
    out[mask + 32] = 0;
    out[mask + 33] = (out[mask + 33] ?? 0) & 0x0f;
    out[mask + 37] = (out[mask + 37] ?? 0) & tosKeep;
  } else if (attr === OvsKeyAttr.ipv4) {
    out[mask + 9] = (out[mask + 9] ?? 0) & tosKeep;
  }
}

/** Bits of the TOS byte that a masked set may name. */
function writableTos(u8: Uint8Array, flow: number, base: number): number {
  const tunnelled = !isZero4(u8, base + K.tunDst) || !isZero(u8, base + K.tunIpv6Dst, 16);
  return tunnelled && (((u8[base + K.nwTos] ?? 0) ^ (u8[flow + K.nwTos] ?? 0)) & 3) === 0 ? 0xfc : 0xff;
}

function commitEthernet(
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
): void {
  if (!isZero4(u8, flow + K.packetType)) return;
  commitParts(OvsKeyAttr.ethernet, ethernetParts, 12, u8, flow, base, wc, writer, useMasked);
}

function isZero4(u8: Uint8Array, p: number): boolean {
  return u8[p] === 0 && u8[p + 1] === 0 && u8[p + 2] === 0 && u8[p + 3] === 0;
}

/** Adds or takes the Ethernet header when the packet type changed. */
function commitPacketType(u8: Uint8Array, flow: number, base: number, writer: OdpActionWriter): void {
  if (same(u8, flow + K.packetType, base + K.packetType, 4)) return;
  if (isZero4(u8, flow + K.packetType)) {
    const p = writer.attribute(OvsActionAttr.pushEth, 12);
    if (p >= 0) {
      writer.memory.set(u8.subarray(flow + K.dlSrc, flow + K.dlSrc + 6), p);
      writer.memory.set(u8.subarray(flow + K.dlDst, flow + K.dlDst + 6), p + 6);
    }
    u8.copyWithin(base + K.dlDst, flow + K.dlDst, flow + K.dlSrc + 6);
  } else if (isZero4(u8, base + K.packetType)) {
    popVlans(u8, base, countTags(u8, base), writer);
    writer.popEth();
    u8.fill(0, base + K.dlDst, base + K.dlSrc + 6);
  }
  u8.copyWithin(base + K.packetType, flow + K.packetType, flow + K.packetType + 4);
  u8.copyWithin(base + K.dlType, flow + K.dlType, flow + K.dlType + 2);
}

function commitNetwork(
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
): number {
  // A flow that lost its L3 header (MPLS pushed) has nothing to set there.
  if (u8[flow + K.nwProto] === 0) return 0;
  switch (get16(u8, base + K.dlType)) {
    case EthType.ipv4:
      commitParts(
        OvsKeyAttr.ipv4,
        ipv4Parts,
        IPV4_SIZE,
        u8,
        flow,
        base,
        wc,
        writer,
        useMasked,
        writableTos(u8, flow, base),
      );
      return 0;
    case EthType.ipv6:
      commitParts(
        OvsKeyAttr.ipv6,
        ipv6Parts,
        IPV6_SIZE,
        u8,
        flow,
        base,
        wc,
        writer,
        useMasked,
        writableTos(u8, flow, base),
      );
      return commitNd(u8, flow, base, wc, writer, useMasked);
    case EthType.arp:
      return commitParts(OvsKeyAttr.arp, arpParts, ARP_SIZE, u8, flow, base, wc, writer, useMasked)
        ? SlowPath.action
        : 0;
    default:
      return 0;
  }
}

function commitNd(
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
): number {
  if (u8[flow + K.nwProto] !== IpProto.icmpv6) return 0;
  const type = get16(u8, flow + K.tpSrc);
  if ((type !== 135 && type !== 136) || get16(u8, flow + K.tpDst) !== 0) return 0;
  const nd = commitParts(OvsKeyAttr.nd, ndParts, ND_SIZE, u8, flow, base, wc, writer, useMasked);
  const ext = commitParts(
    OvsKeyAttr.ndExtensions,
    ndExtParts,
    ND_EXT_SIZE,
    u8,
    flow,
    base,
    wc,
    writer,
    useMasked,
  );
  return nd || ext ? SlowPath.action : 0;
}

function commitPorts(
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
): void {
  const type = get16(u8, base + K.dlType);
  if (u8[flow + K.nwProto] === 0 || (type !== EthType.ipv4 && type !== EthType.ipv6)) return;
  // Without ports in the flow there is nothing to set.
  if (isZero4(u8, flow + K.tpSrc)) return;
  const proto = u8[flow + K.nwProto];
  const attr =
    proto === IpProto.tcp
      ? OvsKeyAttr.tcp
      : proto === IpProto.udp
        ? OvsKeyAttr.udp
        : proto === IpProto.sctp
          ? OvsKeyAttr.sctp
          : 0;
  if (attr !== 0) commitParts(attr, portParts, 4, u8, flow, base, wc, writer, useMasked);
}

function commitIcmp(u8: Uint8Array, flow: number, base: number, wc: number, writer: OdpActionWriter): number {
  const type = get16(u8, flow + K.dlType);
  const proto = u8[flow + K.nwProto];
  const attr =
    type === EthType.ipv4 && proto === IpProto.icmp
      ? OvsKeyAttr.icmp
      : type === EthType.ipv6 && proto === IpProto.icmpv6
        ? OvsKeyAttr.icmpv6
        : 0;
  if (attr === 0) return 0;
  return commitParts(attr, icmpParts, 2, u8, flow, base, wc, writer, false) ? SlowPath.action : 0;
}

function countTags(u8: Uint8Array, key: number): number {
  if (((u8[key + K.vlanTci0] ?? 0) & 0x10) === 0) return 0;
  return ((u8[key + K.vlanTci1] ?? 0) & 0x10) === 0 ? 1 : 2;
}

const tagSlots = [K.vlanTpid0, K.vlanTpid1] as const;

function popVlans(u8: Uint8Array, base: number, count: number, writer: OdpActionWriter): void {
  for (let i = 0; i < count; i++) {
    writer.popVlan();
    u8.copyWithin(base + K.vlanTpid0, base + K.vlanTpid1, base + K.vlanTpid1 + 4);
    u8.fill(0, base + K.vlanTpid1, base + K.vlanTpid1 + 4);
  }
}

/** Tags shared from the inside out stay; the others are popped and pushed anew. */
function commitVlans(u8: Uint8Array, flow: number, base: number, wc: number, writer: OdpActionWriter): void {
  let baseTags = countTags(u8, base);
  let flowTags = countTags(u8, flow);
  while (
    baseTags > 0 &&
    flowTags > 0 &&
    same(u8, base + (tagSlots[baseTags - 1] ?? 0), flow + (tagSlots[flowTags - 1] ?? 0), 4)
  ) {
    baseTags--;
    flowTags--;
  }
  for (let i = 0; i < baseTags; i++) {
    const at = wc + (tagSlots[i] ?? 0);
    u8.fill(0xff, at, at + 4);
  }
  popVlans(u8, base, baseTags, writer);
  for (let i = flowTags - 1; i >= 0; i--) {
    const f = flow + (tagSlots[i] ?? 0);
    writer.pushVlan(get16(u8, f), get16(u8, f + 2));
  }
  u8.copyWithin(base + K.vlanTpid0, flow + K.vlanTpid0, flow + K.vlanTpid1 + 4);
}

function countLabels(u8: Uint8Array, key: number): number {
  if (!isMplsType(get16(u8, key + K.dlType))) return 0;
  for (let i = 0; i < MPLS_DEPTH; i++) if (((u8[key + K.mplsLse0 + 4 * i + 2] ?? 0) & 1) !== 0) return i + 1;
  return MPLS_DEPTH;
}

const MPLS_DEPTH = 3;

/** As for VLANs, but an entry on top that merely differs is rewritten instead of popped and pushed. */
function commitMpls(u8: Uint8Array, flow: number, base: number, writer: OdpActionWriter): void {
  let baseLabels = countLabels(u8, base);
  const flowLabels = countLabels(u8, flow);
  const stack = K.mplsLse0;
  let common = 0;
  while (
    common < baseLabels &&
    common < flowLabels &&
    same(u8, base + stack + 4 * (baseLabels - 1 - common), flow + stack + 4 * (flowLabels - 1 - common), 4)
  ) {
    common++;
  }
  const flowType = get16(u8, flow + K.dlType);
  while (baseLabels > common) {
    if (baseLabels - 1 === common && flowLabels > common) {
      const from = flow + stack + 4 * (flowLabels - baseLabels);
      const nest = writer.beginNested(OvsActionAttr.set);
      const p = writer.attribute(OvsKeyAttr.mpls, 4);
      if (p >= 0) writer.memory.set(u8.subarray(from, from + 4), p);
      writer.endNested(nest);
      u8.copyWithin(base + stack, from, from + 4);
      common++;
    } else {
      // What is under an entry that is not the last is MPLS, whatever the flow becomes.
      writer.popMpls(baseLabels > 1 && !isMplsType(flowType) ? EthType.mpls : flowType);
      u8.copyWithin(base + stack, base + stack + 4, base + stack + 4 * MPLS_DEPTH);
      u8.fill(0, base + stack + 4 * (MPLS_DEPTH - 1), base + stack + 4 * MPLS_DEPTH);
      baseLabels--;
      if (baseLabels === 0) put16(u8, base + K.dlType, flowType);
    }
  }
  while (baseLabels < flowLabels) {
    const from = flow + stack + 4 * (flowLabels - baseLabels - 1);
    writer.pushMpls(((get16(u8, from) << 16) | get16(u8, from + 2)) >>> 0, flowType);
    u8.copyWithin(base + stack + 4, base + stack, base + stack + 4 * (MPLS_DEPTH - 1));
    u8.copyWithin(base + stack, from, from + 4);
    put16(u8, base + K.dlType, flowType);
    baseLabels++;
  }
}

function put16(u8: Uint8Array, p: number, v: number): void {
  u8[p] = v >>> 8;
  u8[p + 1] = v & 0xff;
}

/** skb_priority and skb_mark: host-order words in the attribute, network order in the key. */
function commitWord(
  attr: typeof OvsKeyAttr.priority | typeof OvsKeyAttr.skbMark,
  at: number,
  u8: Uint8Array,
  flow: number,
  base: number,
  wc: number,
  writer: OdpActionWriter,
  useMasked: boolean,
): void {
  if (same(u8, flow + at, base + at, 4)) return;
  let exact = true;
  for (let i = 0; i < 4; i++) if (u8[wc + at + i] !== 0xff) exact = false;
  const masked = useMasked && !exact;
  const nest = writer.beginNested(masked ? OvsActionAttr.setMasked : OvsActionAttr.set);
  const p = writer.attribute(attr, masked ? 8 : 4);
  for (let i = 0; i < 4; i++) {
    const m = masked ? (u8[wc + at + 3 - i] ?? 0) : 0xff;
    if (p >= 0) {
      writer.memory[p + i] = (u8[flow + at + 3 - i] ?? 0) & m;
      if (masked) writer.memory[p + 4 + i] = m;
    }
    if (!masked) u8[wc + at + 3 - i] = 0xff;
  }
  u8.copyWithin(base + at, flow + at, flow + at + 4);
  writer.endNested(nest);
}
