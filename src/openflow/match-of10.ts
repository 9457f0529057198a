/**
 * The ofp_match of OpenFlow 1.0: 40 bytes with a word of wildcards.
 *
 *     wildcards 32 | in_port 16 | dl_src 6x8 | dl_dst 6x8 | dl_vlan 16 | dl_vlan_pcp 8 | pad 8 | dl_type 16 |
 *     nw_tos 8 | nw_proto 8 | pad 16 | nw_src 32 | nw_dst 32 | tp_src 16 | tp_dst 16
 */
import { KeyLayout as K } from '../flow/generated/key.ts';
import { setDefaultPacketType } from '../flow/match-set.ts';
import { Match } from '../flow/match.ts';
import { be16, be32, putBe16, putBe32 } from '../flow/numbers-text.ts';
import { EthType } from '../wire/ether-types.ts';
import type { ByteReader, ByteWriter } from './byte-io.ts';
import { ofp10ToOfp11Port } from './ports.ts';

const W = {
  IN_PORT: 1 << 0,
  DL_VLAN: 1 << 1,
  DL_SRC: 1 << 2,
  DL_DST: 1 << 3,
  DL_TYPE: 1 << 4,
  NW_PROTO: 1 << 5,
  TP_SRC: 1 << 6,
  TP_DST: 1 << 7,
  NW_SRC_SHIFT: 8,
  NW_DST_SHIFT: 14,
  DL_VLAN_PCP: 1 << 20,
  NW_TOS: 1 << 21,
} as const;
const OFP_VLAN_NONE = 0xffff;
const VLAN_CFI = 0x1000;
const VLAN_VID_MASK = 0x0fff;
const VLAN_PCP_MASK = 0xe000;

const prefixMask = (wildBits: number): number => (wildBits >= 32 ? 0 : (0xffffffff << wildBits) >>> 0);

/** Whether anything but the input port counts; such a match is for Ethernet packets only. */
function matchesHeaders(wildcards: number): boolean {
  const exactBits =
    W.DL_VLAN | W.DL_SRC | W.DL_DST | W.DL_TYPE | W.NW_PROTO | W.TP_SRC | W.TP_DST | W.DL_VLAN_PCP | W.NW_TOS;
  const addressBits = (32 << 8) | (32 << 14);
  return (wildcards & exactBits) !== exactBits || (wildcards & addressBits) !== addressBits;
}

/** Reads 40 bytes. Values under a wildcard are ignored, as is what 1.0 says has no meaning. */
export function pullOf10Match(r: ByteReader): Match {
  const match = new Match();
  const { flow, mask } = match;
  const wildcards = r.u32();
  const has = (bit: number): boolean => (wildcards & bit) === 0;
  const inPort = r.u16();
  const dlSrc = r.bytes(6);
  const dlDst = r.bytes(6);
  const dlVlan = r.u16();
  const dlVlanPcp = r.u8();
  r.skip(1);
  const dlType = r.u16();
  const nwTos = r.u8();
  const nwProto = r.u8();
  r.skip(2);
  const nwSrc = r.u32();
  const nwDst = r.u32();
  const tpSrc = r.u16();
  const tpDst = r.u16();
  const exact = (at: number, value: Uint8Array): void => {
    flow.set(value, at);
    mask.fill(0xff, at, at + value.length);
  };
  const exact16 = (at: number, value: number): void => {
    putBe16(flow, at, value);
    putBe16(mask, at, 0xffff);
  };

  if (has(W.IN_PORT)) {
    putBe32(flow, K.inPort, ofp10ToOfp11Port(inPort));
    putBe32(mask, K.inPort, 0xffffffff);
  }
  if (matchesHeaders(wildcards)) setDefaultPacketType(match);
  if (has(W.DL_SRC)) exact(K.dlSrc, dlSrc);
  if (has(W.DL_DST)) exact(K.dlDst, dlDst);
  if (has(W.DL_TYPE)) exact16(K.dlType, dlType);
  if (has(W.NW_TOS)) {
    flow[K.nwTos] = nwTos & 0xfc;
    mask[K.nwTos] = 0xfc;
  }
  if (has(W.NW_PROTO)) {
    flow[K.nwProto] = nwProto;
    mask[K.nwProto] = 0xff;
  }
  const srcMask = prefixMask((wildcards >>> W.NW_SRC_SHIFT) & 0x3f);
  const dstMask = prefixMask((wildcards >>> W.NW_DST_SHIFT) & 0x3f);
  putBe32(mask, K.nwSrc, srcMask);
  putBe32(flow, K.nwSrc, (nwSrc & srcMask) >>> 0);
  putBe32(mask, K.nwDst, dstMask);
  putBe32(flow, K.nwDst, (nwDst & dstMask) >>> 0);
  if (has(W.TP_SRC)) exact16(K.tpSrc, tpSrc);
  if (has(W.TP_DST)) exact16(K.tpDst, tpDst);

  const hasVlan = has(W.DL_VLAN);
  const hasPcp = has(W.DL_VLAN_PCP);
  if (hasVlan && hasPcp && dlVlan === OFP_VLAN_NONE) {
    putBe16(mask, K.vlanTci0, 0xffff);
  } else if (hasVlan && dlVlan === OFP_VLAN_NONE) {
    putBe16(mask, K.vlanTci0, 0xffff);
  } else if (hasVlan || hasPcp) {
    const vid = hasVlan ? dlVlan & VLAN_VID_MASK : 0;
    const pcp = hasPcp ? (dlVlanPcp & 7) << 13 : 0;
    putBe16(flow, K.vlanTci0, vid | pcp | VLAN_CFI);
    putBe16(mask, K.vlanTci0, VLAN_CFI | (hasVlan ? VLAN_VID_MASK : 0) | (hasPcp ? VLAN_PCP_MASK : 0));
  }
  return match;
}

function wildBits(mask: number): number {
  return mask === 0
    ? 32
    : Math.clz32((mask & -mask) >>> 0) === 32
      ? 32
      : 31 - Math.clz32((mask & -mask) >>> 0);
}

/** Writes 40 bytes; what 1.0 cannot say is left out. */
export function putOf10Match(w: ByteWriter, match: Match): void {
  const { flow, mask } = match;
  let wildcards = 0;
  const wild = (bit: number, isWild: boolean): boolean => {
    if (isWild) wildcards |= bit;
    return !isWild;
  };
  const inPort = wild(W.IN_PORT, be32(mask, K.inPort) === 0) ? be32(flow, K.inPort) & 0xffff : 0;
  const isZeroMac = (at: number): boolean => mask.subarray(at, at + 6).every((b) => b === 0);
  wild(W.DL_TYPE, be16(mask, K.dlType) === 0);
  wildcards |= wildBits(be32(mask, K.nwSrc)) << W.NW_SRC_SHIFT;
  wildcards |= wildBits(be32(mask, K.nwDst)) << W.NW_DST_SHIFT;
  wild(W.NW_PROTO, mask[K.nwProto] === 0);
  wild(W.NW_TOS, ((mask[K.nwTos] ?? 0) & 0xfc) === 0);
  wild(W.DL_SRC, isZeroMac(K.dlSrc));
  wild(W.DL_DST, isZeroMac(K.dlDst));
  wild(W.TP_SRC, be16(mask, K.tpSrc) === 0);
  wild(W.TP_DST, be16(mask, K.tpDst) === 0);

  const tci = be16(flow, K.vlanTci0);
  const tciMask = be16(mask, K.vlanTci0);
  let dlVlan = 0;
  let dlVlanPcp = 0;
  if (tciMask === 0) wildcards |= W.DL_VLAN | W.DL_VLAN_PCP;
  else if ((tciMask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    dlVlan = OFP_VLAN_NONE;
  } else {
    if ((tciMask & VLAN_VID_MASK) === 0) wildcards |= W.DL_VLAN;
    else dlVlan = tci & VLAN_VID_MASK;
    if ((tciMask & VLAN_PCP_MASK) === 0) wildcards |= W.DL_VLAN_PCP;
    else dlVlanPcp = tci >>> 13;
  }
  w.u32(wildcards >>> 0).u16(inPort);
  w.bytes(flow.subarray(K.dlSrc, K.dlSrc + 6)).bytes(flow.subarray(K.dlDst, K.dlDst + 6));
  w.u16(dlVlan).u8(dlVlanPcp).u8(0).u16(be16(flow, K.dlType));
  w.u8((flow[K.nwTos] ?? 0) & 0xfc)
    .u8(flow[K.nwProto] ?? 0)
    .zeros(2);
  w.u32(be32(flow, K.nwSrc)).u32(be32(flow, K.nwDst));
  const isArp = be16(flow, K.dlType) === EthType.arp;
  w.u16(isArp ? 0 : be16(flow, K.tpSrc)).u16(isArp ? 0 : be16(flow, K.tpDst));
}
