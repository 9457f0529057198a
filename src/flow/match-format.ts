import { EthType, IpProto, tcpFlagNames } from '../wire/ether-types.ts';
import { wildcardsForPacket } from './flow-wildcards.ts';
import { KeyLayout as K } from './generated/key.ts';
import type { Match } from './match.ts';
import {
  be16, be16Dec, be32, be32Dec, decMasked, formatFlags, formatFlagsMasked, hexNumber, hexPadded,
  ipv4Masked, ipv6Masked, isOnes, isZero, macMasked, u32Hex, wideHex,
} from './numbers-text.ts'; // prettier-ignore
import { formatOfpPort } from './ofp-port-text.ts';
import type { PortMap } from './port-map.ts';
import { noPorts } from './port-map.ts';

export const ctStateFlagNames = [
  [0x01, 'new'],
  [0x02, 'est'],
  [0x04, 'rel'],
  [0x08, 'rpl'],
  [0x10, 'inv'],
  [0x20, 'trk'],
  [0x40, 'snat'],
  [0x80, 'dnat'],
] as const;

export const tunFlagNames = [[1, 'oam']] as const;

/**
 * Text of a match as `ovs-ofctl dump-flows` prints it, e.g. `tcp,in_port=1,nw_src=10.0.0.0/8`; empty for a
 * match of everything. Priority is the caller's.
 */
export function formatMatch(match: Match, ports: PortMap = noPorts): string {
  const f = match.flow;
  const m = match.mask;
  let s = formatMetadata(f, m, ports);
  const { text: types, dlType, skipType, skipProto } = formatTypes(f, m);
  s += types;
  for (let i = 0; i < 16; i++) s += u32Hex(`reg${i}`, f, m, K.regs + 4 * i);
  s += formatTunnel(f, m);
  s += wideHex('metadata', f, m, K.metadata, 8);
  if (!isZero(m, K.inPort, 4)) s += `in_port=${formatOfpPort(be32(f, K.inPort), ports)},`;
  s += formatVlans(f, m);
  s += macMasked('dl_src', f, m, K.dlSrc);
  s += macMasked('dl_dst', f, m, K.dlDst);
  if (!skipType && !isZero(m, K.dlType, 2)) s += `dl_type=${hexPadded(be16(f, K.dlType), 4)},`;
  const arp = dlType === EthType.arp || dlType === EthType.rarp;
  if (dlType === EthType.ipv6) {
    s += ipv6Masked('ipv6_src', f, m, K.ipv6Src);
    s += ipv6Masked('ipv6_dst', f, m, K.ipv6Dst);
    if (!isZero(m, K.ipv6Label, 4)) {
      s += `ipv6_label=${hexPadded(be32(f, K.ipv6Label), 5)}`;
      if (!isOnes(m, K.ipv6Label, 4)) s += `/${hexPadded(be32(m, K.ipv6Label), 5)}`;
      s += ',';
    }
  } else if (arp) {
    s += ipv4Masked('arp_spa', f, m, K.nwSrc) + ipv4Masked('arp_tpa', f, m, K.nwDst);
  } else if (dlType === EthType.nsh) {
    s += formatNsh(f, m);
  } else {
    s += ipv4Masked('nw_src', f, m, K.nwSrc) + ipv4Masked('nw_dst', f, m, K.nwDst);
  }
  if (!skipProto && m[K.nwProto] !== 0) s += `${arp ? 'arp_op' : 'nw_proto'}=${f[K.nwProto] ?? 0},`;
  if (arp) s += macMasked('arp_sha', f, m, K.arpSha) + macMasked('arp_tha', f, m, K.arpTha);
  const tos = m[K.nwTos] ?? 0;
  if ((tos & 0xfc) !== 0) s += `nw_tos=${(f[K.nwTos] ?? 0) & 0xfc},`;
  if ((tos & 3) !== 0) s += `nw_ecn=${(f[K.nwTos] ?? 0) & 3},`;
  if (m[K.nwTtl] !== 0) s += `nw_ttl=${f[K.nwTtl] ?? 0},`;
  s += formatMpls(f, m);
  s += formatFrag(f[K.nwFrag] ?? 0, m[K.nwFrag] ?? 0);
  s += formatL4(f, m, dlType);
  return s.endsWith(',') ? s.slice(0, -1) : s;
}

/**
 * Text of a flow as `ofproto/trace` and packet-ins print it: every field that such a packet has, except
 * pipeline fields that are zero.
 */
export function formatFlow(flow: Uint8Array, ports: PortMap = noPorts): string {
  const mask = wildcardsForPacket(flow);
  const hide = (at: number, length: number): void => {
    if (isZero(flow, at, length)) mask.fill(0, at, at + length);
  };
  hide(K.inPort, 4);
  hide(K.skbPriority, 4);
  hide(K.pktMark, 4);
  hide(K.recircId, 4);
  hide(K.dpHash, 4);
  hide(K.ctState, 4);
  hide(K.ctZone, 2);
  hide(K.ctMark, 4);
  hide(K.ctLabel, 16);
  if (((flow[K.ctState + 3] ?? 0) & 0x0b) === 0 || flow[K.ctNwProto] === 0) {
    const type = be16(flow, K.dlType);
    if (type === EthType.ipv4) mask.fill(0, K.ctNwSrc, K.ctNwDst + 4);
    if (type === EthType.ipv6) mask.fill(0, K.ctIpv6Src, K.ctIpv6Dst + 16);
    mask.fill(0, K.ctTpSrc, K.ctTpDst + 2);
    mask[K.ctNwProto] = 0;
  }
  for (let i = 0; i < 16; i++)
    if (!isZero(flow, K.regs + 4 * i, 4)) mask.fill(0xff, K.regs + 4 * i, K.regs + 4 * i + 4);
  if (!isZero(flow, K.metadata, 8)) mask.fill(0xff, K.metadata, K.metadata + 8);
  const shown = { flow: flow.slice(), mask };
  return formatMatch(shown as Match, ports);
}

function formatMetadata(f: Uint8Array, m: Uint8Array, ports: PortMap): string {
  let s = u32Hex('pkt_mark', f, m, K.pktMark);
  s += u32Hex('recirc_id', f, m, K.recircId);
  s += u32Hex('dp_hash', f, m, K.dpHash);
  if (!isZero(m, K.conjId, 4)) s += `conj_id=${be32(f, K.conjId)},`;
  if (!isZero(m, K.skbPriority, 4)) s += `skb_priority=${hexNumber(be32(f, K.skbPriority))},`;
  if (!isZero(m, K.actsetOutput, 4)) s += `actset_output=${formatOfpPort(be32(f, K.actsetOutput), ports)},`;
  const ctMask = be32(m, K.ctState);
  if (ctMask !== 0) {
    const state = be32(f, K.ctState);
    // All eight known bits, or all of the field, is an exact match.
    if ((ctMask & 0xff) === 0xff) s += `ct_state=${formatFlags(ctStateFlagNames, state, '|') || '0'},`;
    else s += `ct_state=${formatFlagsMasked(ctStateFlagNames, state, ctMask)},`;
  }
  s += decMasked('ct_zone', be16(f, K.ctZone), be16(m, K.ctZone), 0xffff);
  s += u32Hex('ct_mark', f, m, K.ctMark);
  s += wideHex('ct_label', f, m, K.ctLabel, 16);
  s += ipv4Masked('ct_nw_src', f, m, K.ctNwSrc);
  s += ipv6Masked('ct_ipv6_src', f, m, K.ctIpv6Src);
  s += ipv4Masked('ct_nw_dst', f, m, K.ctNwDst);
  s += ipv6Masked('ct_ipv6_dst', f, m, K.ctIpv6Dst);
  if (m[K.ctNwProto] !== 0) {
    s += `ct_nw_proto=${f[K.ctNwProto] ?? 0},`;
    s += be16Dec('ct_tp_src', f, m, K.ctTpSrc);
    s += be16Dec('ct_tp_dst', f, m, K.ctTpDst);
  }
  return s;
}

const ipv4Names: Readonly<Record<number, string>> = {
  [IpProto.icmp]: 'icmp',
  [IpProto.tcp]: 'tcp',
  [IpProto.udp]: 'udp',
  [IpProto.sctp]: 'sctp',
};
const ipv6Names: Readonly<Record<number, string>> = {
  [IpProto.icmpv6]: 'icmp6',
  [IpProto.tcp]: 'tcp6',
  [IpProto.udp]: 'udp6',
  [IpProto.sctp]: 'sctp6',
};
const typeNames: Readonly<Record<number, string>> = {
  [EthType.arp]: 'arp',
  [EthType.rarp]: 'rarp',
  [EthType.mpls]: 'mpls',
  [EthType.mplsMulticast]: 'mplsm',
};

const shortHex = (n: number): string => (n < 10 ? String(n) : hexNumber(n));

/** packet_type and the protocol abbreviation. */
function formatTypes(
  f: Uint8Array,
  m: Uint8Array,
): { text: string; dlType: number; skipType: boolean; skipProto: boolean } {
  let text = '';
  let dlType = be16(f, K.dlType);
  const packetType = be32(f, K.packetType);
  if (!isZero(m, K.packetType, 4)) {
    const isDefault = packetType === 0 && isOnes(m, K.packetType, 4);
    // A megaflow is told by its recirc_id and shows the packet type always.
    if (!isDefault || !isZero(m, K.recircId, 4)) {
      if (isDefault) text += 'eth,';
      else text += formatPacketType(packetType, be32(m, K.packetType));
      if (packetType >>> 16 === 1) dlType = packetType & 0xffff;
    }
  }
  if (isZero(m, K.dlType, 2)) return { text, dlType, skipType: false, skipProto: false };
  const proto = f[K.nwProto] ?? 0;
  const named = m[K.nwProto] !== 0;
  if (dlType === EthType.ipv4 || dlType === EthType.ipv6) {
    const name = named ? (dlType === EthType.ipv4 ? ipv4Names : ipv6Names)[proto] : undefined;
    text += `${name ?? (dlType === EthType.ipv4 ? 'ip' : 'ipv6')},`;
    return { text, dlType, skipType: true, skipProto: name !== undefined };
  }
  const name = typeNames[dlType];
  if (name !== undefined) text += `${name},`;
  return { text, dlType, skipType: name !== undefined, skipProto: false };
}

function formatPacketType(value: number, mask: number): string {
  const ns = value >>> 16;
  if (mask === 0xffffffff) return `packet_type=(${shortHex(ns)},${shortHex(value & 0xffff)}),`;
  if (mask === 0xffff0000) return `packet_type=(${shortHex(ns)},*),`;
  return `packet_type=${hexPadded(value, 8)}/${hexPadded(mask, 8)},`;
}

function formatTunnel(f: Uint8Array, m: Uint8Array): string {
  let s = wideHex('tun_id', f, m, K.tunId, 8);
  s += ipv4Masked('tun_src', f, m, K.tunSrc) + ipv4Masked('tun_dst', f, m, K.tunDst);
  s += ipv6Masked('tun_ipv6_src', f, m, K.tunIpv6Src) + ipv6Masked('tun_ipv6_dst', f, m, K.tunIpv6Dst);
  if (!isZero(m, K.tunGbpId, 2))
    s += decMasked('tun_gbp_id', be16(f, K.tunGbpId), be16(m, K.tunGbpId), 0xffff);
  if (m[K.tunGbpFlags] !== 0) s += `tun_gbp_flags=${hexNumber(f[K.tunGbpFlags] ?? 0)},`;
  if (m[K.tunTos] !== 0) s += `tun_tos=${(f[K.tunTos] ?? 0).toString(16)},`;
  if (m[K.tunTtl] !== 0) s += `tun_ttl=${f[K.tunTtl] ?? 0},`;
  if (m[K.tunErspanVer] !== 0) {
    // The version says which of the others mean anything.
    const version = f[K.tunErspanVer] ?? 0;
    s += `tun_erspan_ver=${version},`;
    if (version === 1 && !isZero(m, K.tunErspanIdx, 4))
      s += `tun_erspan_idx=${hexNumber(be32(f, K.tunErspanIdx))},`;
    if (version === 2) {
      if (m[K.tunErspanDir] !== 0) s += `tun_erspan_dir=${f[K.tunErspanDir] ?? 0},`;
      if (m[K.tunErspanHwid] !== 0) s += `tun_erspan_hwid=${hexNumber(f[K.tunErspanHwid] ?? 0)},`;
    }
  }
  if (m[K.tunGtpuFlags] !== 0) s += `gtpu_flags=${hexNumber(f[K.tunGtpuFlags] ?? 0)},`;
  if (m[K.tunGtpuMsgtype] !== 0) s += `gtpu_msgtype=${f[K.tunGtpuMsgtype] ?? 0},`;
  const flags = be16(m, K.tunFlags);
  if ((flags & 0x1f) === 0x1f)
    s += `tun_flags=${formatFlags(allTunFlagNames, be16(f, K.tunFlags), '|') || '0'},`;
  else if ((flags & 0x1f) !== 0)
    s += `tun_flags=${formatFlagsMasked(allTunFlagNames, be16(f, K.tunFlags), flags & 0x1f)},`;
  return s;
}

const allTunFlagNames = [
  [1, 'oam'],
  [2, 'df'],
  [4, 'csum'],
  [8, 'key'],
] as const;

function formatVlans(f: Uint8Array, m: Uint8Array): string {
  let s = '';
  for (let i = 0; i < 2; i++) {
    const at = i === 0 ? K.vlanTci0 : K.vlanTci1;
    const mask = be16(m, at);
    if (mask === 0) break;
    const tci = be16(f, at);
    const tag = i === 0 ? '' : '1';
    const vid = mask & 0xfff;
    const pcp = mask & 0xe000;
    const tagged = (mask & 0x1000) !== 0 && (tci & 0x1000) !== 0;
    if (tagged && (vid === 0 || vid === 0xfff) && (pcp === 0 || pcp === 0xe000) && (vid | pcp) !== 0) {
      if (vid !== 0) s += `dl_vlan${tag}=${tci & 0xfff},`;
      if (pcp !== 0) s += `dl_vlan_pcp${tag}=${tci >>> 13},`;
    } else if (mask === 0xffff) {
      s += `vlan_tci${tag}=${hexPadded(tci, 4)},`;
    } else {
      s += `vlan_tci${tag}=${hexPadded(tci, 4)}/${hexPadded(mask, 4)},`;
    }
  }
  return s;
}

function formatMpls(f: Uint8Array, m: Uint8Array): string {
  let s = '';
  const lse = be32(f, K.mplsLse0);
  const mask = be32(m, K.mplsLse0);
  if (mask >>> 12 !== 0) s += `mpls_label=${lse >>> 12},`;
  if ((mask & 0xe00) !== 0) s += `mpls_tc=${(lse >>> 9) & 7},`;
  if ((mask & 0xff) !== 0) s += `mpls_ttl=${lse & 0xff},`;
  if ((mask & 0x100) !== 0) s += `mpls_bos=${(lse >>> 8) & 1},`;
  s += be32Dec('mpls_lse1', f, m, K.mplsLse1);
  s += be32Dec('mpls_lse2', f, m, K.mplsLse2);
  return s;
}

function formatNsh(f: Uint8Array, m: Uint8Array): string {
  let s = '';
  s += decMasked('nsh_flags', f[K.nshFlags] ?? 0, m[K.nshFlags] ?? 0, 0xff);
  s += decMasked('nsh_ttl', f[K.nshTtl] ?? 0, m[K.nshTtl] ?? 0, 0xff);
  s += decMasked('nsh_mdtype', f[K.nshMdtype] ?? 0, m[K.nshMdtype] ?? 0, 0xff);
  s += decMasked('nsh_np', f[K.nshNp] ?? 0, m[K.nshNp] ?? 0, 0xff);
  const path = be32(f, K.nshPathHdr);
  const pathMask = be32(m, K.nshPathHdr);
  s += plainHex('nsh_spi', path >>> 8, pathMask >>> 8, 0xffffff);
  s += decMasked('nsh_si', path & 0xff, pathMask & 0xff, 0xff);
  if (f[K.nshMdtype] === 1) {
    for (let i = 0; i < 4; i++) {
      s += plainHex(`nsh_c${i + 1}`, be32(f, K.nshC1 + 4 * i), be32(m, K.nshC1 + 4 * i), 0xffffffff);
    }
  }
  return s;
}

function plainHex(name: string, value: number, mask: number, full: number): string {
  if (mask === 0) return '';
  return `${name}=0x${value.toString(16)}${mask === full ? '' : `/0x${mask.toString(16)}`},`;
}

function formatFrag(frag: number, mask: number): string {
  const any = (frag & 1) !== 0;
  const later = (frag & 2) !== 0;
  switch (mask & 3) {
    case 3:
      return `nw_frag=${any ? (later ? 'later' : 'first') : later ? '<error>' : 'no'},`;
    case 1:
      return `nw_frag=${any ? 'yes' : 'no'},`;
    case 2:
      return `nw_frag=${later ? 'later' : 'not_later'},`;
    default:
      return '';
  }
}

function formatL4(f: Uint8Array, m: Uint8Array, dlType: number): string {
  const proto = f[K.nwProto] ?? 0;
  let s = '';
  if (dlType === EthType.ipv4 && proto === IpProto.icmp) {
    s += be16Dec('icmp_type', f, m, K.tpSrc) + be16Dec('icmp_code', f, m, K.tpDst);
  } else if (dlType === EthType.ipv6 && proto === IpProto.icmpv6) {
    s += be16Dec('icmp_type', f, m, K.tpSrc) + be16Dec('icmp_code', f, m, K.tpDst);
    s += ipv6Masked('nd_target', f, m, K.ndTarget);
    s += macMasked('nd_sll', f, m, K.arpSha) + macMasked('nd_tll', f, m, K.arpTha);
    s += be32Dec('nd_reserved', f, m, K.igmpGroupIp4);
    s += be16Dec('nd_options_type', f, m, K.tcpFlags);
  } else {
    s += be16Dec('tp_src', f, m, K.tpSrc) + be16Dec('tp_dst', f, m, K.tpDst);
  }
  const flags = be16(m, K.tcpFlags) & 0xfff;
  if ((dlType === EthType.ipv4 || dlType === EthType.ipv6) && proto === IpProto.tcp && flags !== 0) {
    s += `tcp_flags=${formatTcpFlags(be16(f, K.tcpFlags) & 0xfff, flags)},`;
  }
  return s;
}

/** TCP flags with a mask: `syn|ack` or `0` when exact, else `+syn-ack`. */
export function formatTcpFlags(value: number, mask: number): string {
  if (mask === 0xfff) return formatFlags(tcpFlagNames, value, '|') || '0';
  return formatFlagsMasked(tcpFlagNames, value, mask);
}

/** A megaflow's match as `ofproto/trace` prints it after "Megaflow: ". */
export function formatMegaflowMatch(flow: Uint8Array, mask: Uint8Array, ports: PortMap = noPorts): string {
  const f = flow.slice();
  for (let i = 0; i < f.length; i++) f[i] = (f[i] ?? 0) & (mask[i] ?? 0);
  const m = mask.slice();
  // The line is known as a megaflow's by its recirc_id, always there.
  m.fill(0xff, K.recircId, K.recircId + 4);
  return formatMatch({ flow: f, mask: m } as Match, ports);
}
