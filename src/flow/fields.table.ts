import { KeyLayout as K } from './generated/key.ts';

/**
 * The fields of ovs-fields(7), one row each, in OVS's order.
 *
 * Place: `end` is the key offset just past the byte with the least significant bit, `shift` the
 * position of that bit in it; so a value of `bits` bits is found at bits [shift, shift + bits) counted
 * up from the end of that byte, whatever its width.
 *
 * Headers: `NAME(field)` since the first protocol, `NAME(field)@1.3` since that version.
 */
export interface FieldRow {
  readonly name: string;
  readonly alias?: string;
  /** Bytes of a value. */
  readonly bytes: number;
  /** Low bits of it that may be nonzero, when fewer than 8 * bytes. */
  readonly bits?: number;
  readonly end: number;
  readonly shift?: number;
  /** Bits that the key stores, when not `bits`. */
  readonly stored?: number;
  readonly maskable: boolean;
  readonly format: FieldFormat;
  readonly prereqs: FieldPrereqs;
  readonly writable: boolean;
  /** What OpenFlow 1.0 / 1.1 can match: nothing, exact only, CIDR, any mask. */
  readonly of10?: FieldReach;
  readonly of11?: FieldReach;
  readonly headers: string;
}

export type FieldFormat =
  | 'decimal'
  | 'hexadecimal'
  | 'ct state'
  | 'ethernet'
  | 'ipv4'
  | 'ipv6'
  | 'ofp port'
  | 'ofp port oxm'
  | 'frag'
  | 'tun flags'
  | 'tcp flags'
  | 'packet type';

export type FieldPrereqs =
  | 'none'
  | 'ethernet'
  | 'arp'
  | 'vlan'
  | 'ipv4'
  | 'ipv6'
  | 'ip'
  | 'nsh'
  | 'ct'
  | 'mpls'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'nd solicit'
  | 'nd advert';

export type FieldReach = 'none' | 'exact' | 'cidr' | 'bitwise';

type Extra = Partial<Pick<FieldRow, 'alias' | 'bits' | 'shift' | 'stored' | 'of10' | 'of11'>>;

function row(
  name: string,
  at: number,
  bytes: number,
  flags: 'm' | 'w' | 'mw' | '',
  format: FieldFormat,
  prereqs: FieldPrereqs,
  headers: string,
  extra: Extra = {},
): FieldRow {
  return {
    name,
    bytes,
    end: at + Math.ceil((extra.stored ?? extra.bits ?? bytes * 8) / 8),
    maskable: flags.includes('m'),
    writable: flags.includes('w'),
    format,
    prereqs,
    headers,
    ...extra,
  };
}

/** A row whose last byte is given outright: fields inside wider slots. */
function inner(end: number, r: FieldRow): FieldRow {
  return { ...r, end };
}

const exact = { of10: 'exact', of11: 'exact' } as const;
const cidr = { of10: 'cidr', of11: 'bitwise' } as const;

function many(n: number, make: (i: number) => FieldRow): FieldRow[] {
  return Array.from({ length: n }, (_, i) => make(i));
}

export const fieldRows: readonly FieldRow[] = [
  row('dp_hash', K.dpHash, 4, 'm', 'hexadecimal', 'none', 'NXM_NX_DP_HASH(35) NXOXM_ET_DP_HASH(0)@1.5'),
  row('recirc_id', K.recircId, 4, '', 'decimal', 'none', 'NXM_NX_RECIRC_ID(36)'),
  row('packet_type', K.packetType, 4, '', 'packet type', 'none', 'OXM_OF_PACKET_TYPE(44)@1.5'),
  row('conj_id', K.conjId, 4, '', 'decimal', 'none', 'NXM_NX_CONJ_ID(37)'),
  row('tun_id', K.tunId, 8, 'mw', 'hexadecimal', 'none', 'NXM_NX_TUN_ID(16) OXM_OF_TUNNEL_ID(38)@1.3', {
    alias: 'tunnel_id',
  }),
  row('tun_src', K.tunSrc, 4, 'mw', 'ipv4', 'none', 'NXM_NX_TUN_IPV4_SRC(31)'),
  row('tun_dst', K.tunDst, 4, 'mw', 'ipv4', 'none', 'NXM_NX_TUN_IPV4_DST(32)'),
  row('tun_ipv6_src', K.tunIpv6Src, 16, 'mw', 'ipv6', 'none', 'NXM_NX_TUN_IPV6_SRC(109)'),
  row('tun_ipv6_dst', K.tunIpv6Dst, 16, 'mw', 'ipv6', 'none', 'NXM_NX_TUN_IPV6_DST(110)'),
  inner(
    K.tunFlags + 2,
    row('tun_flags', K.tunFlags, 2, 'mw', 'tun flags', 'none', 'NXM_NX_TUN_FLAGS(104)', { bits: 1 }),
  ),
  row('tun_ttl', K.tunTtl, 1, '', 'decimal', 'none', ''),
  row('tun_tos', K.tunTos, 1, '', 'decimal', 'none', ''),
  row('tun_gbp_id', K.tunGbpId, 2, 'mw', 'decimal', 'none', 'NXM_NX_TUN_GBP_ID(38)'),
  row('tun_gbp_flags', K.tunGbpFlags, 1, 'mw', 'hexadecimal', 'none', 'NXM_NX_TUN_GBP_FLAGS(39)'),
  row('tun_erspan_ver', K.tunErspanVer, 1, 'mw', 'decimal', 'none', 'NXOXM_ET_ERSPAN_VER(12)', { bits: 4 }),
  inner(
    K.tunErspanIdx + 4,
    row('tun_erspan_idx', K.tunErspanIdx, 4, 'mw', 'hexadecimal', 'none', 'NXOXM_ET_ERSPAN_IDX(11)', {
      bits: 20,
    }),
  ),
  row('tun_erspan_dir', K.tunErspanDir, 1, 'mw', 'decimal', 'none', 'NXOXM_ET_ERSPAN_DIR(13)', { bits: 1 }),
  row('tun_erspan_hwid', K.tunErspanHwid, 1, 'mw', 'hexadecimal', 'none', 'NXOXM_ET_ERSPAN_HWID(14)', {
    bits: 6,
  }),
  row('tun_gtpu_flags', K.tunGtpuFlags, 1, 'm', 'hexadecimal', 'none', 'NXOXM_ET_GTPU_FLAGS(15)'),
  row('tun_gtpu_msgtype', K.tunGtpuMsgtype, 1, 'm', 'decimal', 'none', 'NXOXM_ET_GTPU_MSGTYPE(16)'),
  ...many(64, (i) =>
    row(
      `tun_metadata${i}`,
      K.tunMetadata,
      124,
      'mw',
      'hexadecimal',
      'none',
      `NXM_NX_TUN_METADATA${i}(${40 + i})`,
    ),
  ),
  row('metadata', K.metadata, 8, 'mw', 'hexadecimal', 'none', 'OXM_OF_METADATA(2)@1.2', { of11: 'bitwise' }),
  inner(K.inPort + 4, row('in_port', K.inPort, 2, 'w', 'ofp port', 'none', 'NXM_OF_IN_PORT(0)', exact)),
  row('in_port_oxm', K.inPort, 4, 'w', 'ofp port oxm', 'none', 'OXM_OF_IN_PORT(0)@1.2', { of11: 'exact' }),
  row(
    'actset_output',
    K.actsetOutput,
    4,
    '',
    'ofp port oxm',
    'none',
    'ONFOXM_ET_ACTSET_OUTPUT(43)@1.3 OXM_OF_ACTSET_OUTPUT(43)@1.5',
  ),
  row('skb_priority', K.skbPriority, 4, '', 'hexadecimal', 'none', ''),
  row('pkt_mark', K.pktMark, 4, 'mw', 'hexadecimal', 'none', 'NXM_NX_PKT_MARK(33)'),
  row('ct_state', K.ctState, 4, 'm', 'ct state', 'none', 'NXM_NX_CT_STATE(105)'),
  row('ct_zone', K.ctZone, 2, '', 'hexadecimal', 'none', 'NXM_NX_CT_ZONE(106)'),
  row('ct_mark', K.ctMark, 4, 'mw', 'hexadecimal', 'none', 'NXM_NX_CT_MARK(107)'),
  row('ct_label', K.ctLabel, 16, 'mw', 'hexadecimal', 'none', 'NXM_NX_CT_LABEL(108)'),
  row('ct_nw_proto', K.ctNwProto, 1, '', 'decimal', 'ct', 'NXM_NX_CT_NW_PROTO(119)'),
  row('ct_nw_src', K.ctNwSrc, 4, 'm', 'ipv4', 'ct', 'NXM_NX_CT_NW_SRC(120)'),
  row('ct_nw_dst', K.ctNwDst, 4, 'm', 'ipv4', 'ct', 'NXM_NX_CT_NW_DST(121)'),
  row('ct_ipv6_src', K.ctIpv6Src, 16, 'm', 'ipv6', 'ct', 'NXM_NX_CT_IPV6_SRC(122)'),
  row('ct_ipv6_dst', K.ctIpv6Dst, 16, 'm', 'ipv6', 'ct', 'NXM_NX_CT_IPV6_DST(123)'),
  row('ct_tp_src', K.ctTpSrc, 2, 'm', 'decimal', 'ct', 'NXM_NX_CT_TP_SRC(124)'),
  row('ct_tp_dst', K.ctTpDst, 2, 'm', 'decimal', 'ct', 'NXM_NX_CT_TP_DST(125)'),
  ...many(16, (i) => row(`reg${i}`, K.regs + 4 * i, 4, 'mw', 'hexadecimal', 'none', `NXM_NX_REG${i}(${i})`)),
  ...many(8, (i) =>
    row(`xreg${i}`, K.regs + 8 * i, 8, 'mw', 'hexadecimal', 'none', `OXM_OF_PKT_REG${i}(${i})@1.3`),
  ),
  ...many(4, (i) =>
    row(`xxreg${i}`, K.regs + 16 * i, 16, 'mw', 'hexadecimal', 'none', `NXM_NX_XXREG${i}(${111 + i})`),
  ),
  row('eth_src', K.dlSrc, 6, 'mw', 'ethernet', 'ethernet', 'NXM_OF_ETH_SRC(2) OXM_OF_ETH_SRC(4)@1.2', {
    alias: 'dl_src',
    of10: 'exact',
    of11: 'bitwise',
  }),
  row('eth_dst', K.dlDst, 6, 'mw', 'ethernet', 'ethernet', 'NXM_OF_ETH_DST(1) OXM_OF_ETH_DST(3)@1.2', {
    alias: 'dl_dst',
    of10: 'exact',
    of11: 'bitwise',
  }),
  row('eth_type', K.dlType, 2, '', 'hexadecimal', 'ethernet', 'NXM_OF_ETH_TYPE(3) OXM_OF_ETH_TYPE(5)@1.2', {
    alias: 'dl_type',
    ...exact,
  }),
  row('vlan_tci', K.vlanTci0, 2, 'mw', 'hexadecimal', 'ethernet', 'NXM_OF_VLAN_TCI(4)', exact),
  row('dl_vlan', K.vlanTci0, 2, 'w', 'decimal', 'ethernet', '', { bits: 12, ...exact }),
  row('vlan_vid', K.vlanTci0, 2, 'mw', 'decimal', 'ethernet', 'OXM_OF_VLAN_VID(6)@1.2', {
    bits: 12,
    stored: 13,
    ...exact,
  }),
  row('dl_vlan_pcp', K.vlanTci0, 1, 'w', 'decimal', 'ethernet', '', { bits: 3, shift: 5, ...exact }),
  row('vlan_pcp', K.vlanTci0, 1, 'w', 'decimal', 'vlan', 'OXM_OF_VLAN_PCP(7)@1.2', {
    bits: 3,
    shift: 5,
    ...exact,
  }),
  inner(
    K.mplsLse0 + 3,
    row('mpls_label', K.mplsLse0, 4, 'w', 'decimal', 'mpls', 'OXM_OF_MPLS_LABEL(34)@1.2', {
      bits: 20,
      shift: 4,
      of11: 'exact',
    }),
  ),
  row('mpls_tc', K.mplsLse0 + 2, 1, 'w', 'decimal', 'mpls', 'OXM_OF_MPLS_TC(35)@1.2', {
    bits: 3,
    shift: 1,
    of11: 'exact',
  }),
  row('mpls_bos', K.mplsLse0 + 2, 1, '', 'decimal', 'mpls', 'OXM_OF_MPLS_BOS(36)@1.3', { bits: 1 }),
  row('mpls_ttl', K.mplsLse0 + 3, 1, 'w', 'decimal', 'mpls', 'NXM_NX_MPLS_TTL(30)'),
  row('ip_src', K.nwSrc, 4, 'mw', 'ipv4', 'ipv4', 'NXM_OF_IP_SRC(7) OXM_OF_IPV4_SRC(11)@1.2', {
    alias: 'nw_src',
    ...cidr,
  }),
  row('ip_dst', K.nwDst, 4, 'mw', 'ipv4', 'ipv4', 'NXM_OF_IP_DST(8) OXM_OF_IPV4_DST(12)@1.2', {
    alias: 'nw_dst',
    ...cidr,
  }),
  row('ipv6_src', K.ipv6Src, 16, 'mw', 'ipv6', 'ipv6', 'NXM_NX_IPV6_SRC(19) OXM_OF_IPV6_SRC(26)@1.2'),
  row('ipv6_dst', K.ipv6Dst, 16, 'mw', 'ipv6', 'ipv6', 'NXM_NX_IPV6_DST(20) OXM_OF_IPV6_DST(27)@1.2'),
  inner(
    K.ipv6Label + 4,
    row(
      'ipv6_label',
      K.ipv6Label,
      4,
      'mw',
      'hexadecimal',
      'ipv6',
      'NXM_NX_IPV6_LABEL(27) OXM_OF_IPV6_FLABEL(28)@1.2',
      {
        bits: 20,
      },
    ),
  ),
  row('nw_proto', K.nwProto, 1, '', 'decimal', 'ip', 'NXM_OF_IP_PROTO(6) OXM_OF_IP_PROTO(10)@1.2', {
    alias: 'ip_proto',
    ...exact,
  }),
  // The value is the whole byte; its low two bits must be zero.
  row('nw_tos', K.nwTos, 1, 'w', 'decimal', 'ip', 'NXM_OF_IP_TOS(5)', exact),
  row('ip_dscp', K.nwTos, 1, 'w', 'decimal', 'ip', 'OXM_OF_IP_DSCP(8)@1.2', { bits: 6, shift: 2, ...exact }),
  row('nw_ecn', K.nwTos, 1, 'w', 'decimal', 'ip', 'NXM_NX_IP_ECN(28) OXM_OF_IP_ECN(9)@1.2', {
    alias: 'ip_ecn',
    bits: 2,
    of11: 'exact',
  }),
  row('nw_ttl', K.nwTtl, 1, 'w', 'decimal', 'ip', 'NXM_NX_IP_TTL(29)'),
  row('ip_frag', K.nwFrag, 1, 'm', 'frag', 'ip', 'NXM_NX_IP_FRAG(26)', { alias: 'nw_frag', bits: 2 }),
  row('arp_op', K.nwProto, 2, 'w', 'decimal', 'arp', 'NXM_OF_ARP_OP(15) OXM_OF_ARP_OP(21)@1.2', {
    stored: 8,
    ...exact,
  }),
  row('arp_spa', K.nwSrc, 4, 'mw', 'ipv4', 'arp', 'NXM_OF_ARP_SPA(16) OXM_OF_ARP_SPA(22)@1.2', cidr),
  row('arp_tpa', K.nwDst, 4, 'mw', 'ipv4', 'arp', 'NXM_OF_ARP_TPA(17) OXM_OF_ARP_TPA(23)@1.2', cidr),
  row('arp_sha', K.arpSha, 6, 'mw', 'ethernet', 'arp', 'NXM_NX_ARP_SHA(17) OXM_OF_ARP_SHA(24)@1.2'),
  row('arp_tha', K.arpTha, 6, 'mw', 'ethernet', 'arp', 'NXM_NX_ARP_THA(18) OXM_OF_ARP_THA(25)@1.2'),
  row('tcp_src', K.tpSrc, 2, 'mw', 'decimal', 'tcp', 'NXM_OF_TCP_SRC(9) OXM_OF_TCP_SRC(13)@1.2', {
    alias: 'tp_src',
    ...exact,
  }),
  row('tcp_dst', K.tpDst, 2, 'mw', 'decimal', 'tcp', 'NXM_OF_TCP_DST(10) OXM_OF_TCP_DST(14)@1.2', {
    alias: 'tp_dst',
    ...exact,
  }),
  row(
    'tcp_flags',
    K.tcpFlags,
    2,
    'm',
    'tcp flags',
    'tcp',
    'NXM_NX_TCP_FLAGS(34) ONFOXM_ET_TCP_FLAGS(42)@1.3 OXM_OF_TCP_FLAGS(42)@1.5',
    { bits: 12 },
  ),
  row('udp_src', K.tpSrc, 2, 'mw', 'decimal', 'udp', 'NXM_OF_UDP_SRC(11) OXM_OF_UDP_SRC(15)@1.2', exact),
  row('udp_dst', K.tpDst, 2, 'mw', 'decimal', 'udp', 'NXM_OF_UDP_DST(12) OXM_OF_UDP_DST(16)@1.2', exact),
  row('sctp_src', K.tpSrc, 2, 'mw', 'decimal', 'sctp', 'OXM_OF_SCTP_SRC(17)@1.2', { of11: 'exact' }),
  row('sctp_dst', K.tpDst, 2, 'mw', 'decimal', 'sctp', 'OXM_OF_SCTP_DST(18)@1.2', { of11: 'exact' }),
  row(
    'icmp_type',
    K.tpSrc + 1,
    1,
    'w',
    'decimal',
    'icmpv4',
    'NXM_OF_ICMP_TYPE(13) OXM_OF_ICMPV4_TYPE(19)@1.2',
    exact,
  ),
  row(
    'icmp_code',
    K.tpDst + 1,
    1,
    'w',
    'decimal',
    'icmpv4',
    'NXM_OF_ICMP_CODE(14) OXM_OF_ICMPV4_CODE(20)@1.2',
    exact,
  ),
  row(
    'icmpv6_type',
    K.tpSrc + 1,
    1,
    'w',
    'decimal',
    'icmpv6',
    'NXM_NX_ICMPV6_TYPE(21) OXM_OF_ICMPV6_TYPE(29)@1.2',
  ),
  row(
    'icmpv6_code',
    K.tpDst + 1,
    1,
    'w',
    'decimal',
    'icmpv6',
    'NXM_NX_ICMPV6_CODE(22) OXM_OF_ICMPV6_CODE(30)@1.2',
  ),
  row('nd_target', K.ndTarget, 16, 'mw', 'ipv6', 'nd', 'NXM_NX_ND_TARGET(23) OXM_OF_IPV6_ND_TARGET(31)@1.2'),
  row('nd_sll', K.arpSha, 6, 'mw', 'ethernet', 'nd solicit', 'NXM_NX_ND_SLL(24) OXM_OF_IPV6_ND_SLL(32)@1.2'),
  row('nd_tll', K.arpTha, 6, 'mw', 'ethernet', 'nd advert', 'NXM_NX_ND_TLL(25) OXM_OF_IPV6_ND_TLL(33)@1.2'),
  row('nd_reserved', K.igmpGroupIp4, 4, 'w', 'decimal', 'nd', 'ERICOXM_OF_ICMPV6_ND_RESERVED(1)'),
  row('nd_options_type', K.tcpFlags + 1, 1, 'w', 'decimal', 'nd', 'ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE(2)'),
  row('nsh_flags', K.nshFlags, 1, 'mw', 'decimal', 'nsh', 'NXOXM_NSH_FLAGS(1)'),
  row('nsh_ttl', K.nshTtl, 1, 'w', 'decimal', 'nsh', 'NXOXM_NSH_TTL(10)'),
  row('nsh_mdtype', K.nshMdtype, 1, '', 'decimal', 'nsh', 'NXOXM_NSH_MDTYPE(2)'),
  row('nsh_np', K.nshNp, 1, '', 'decimal', 'nsh', 'NXOXM_NSH_NP(3)'),
  row('nsh_spi', K.nshPathHdr, 4, 'w', 'hexadecimal', 'nsh', 'NXOXM_NSH_SPI(4)', { alias: 'nsp', bits: 24 }),
  row('nsh_si', K.nshPathHdr + 3, 1, 'w', 'decimal', 'nsh', 'NXOXM_NSH_SI(5)', { alias: 'nsi' }),
  ...[1, 2, 3, 4].map((i) =>
    row(`nsh_c${i}`, K.nshC1 + 4 * (i - 1), 4, 'mw', 'hexadecimal', 'nsh', `NXOXM_NSH_C${i}(${5 + i})`, {
      alias: `nshc${i}`,
    }),
  ),
];
