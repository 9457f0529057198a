import type { LayoutSpec } from '../util/layout.ts';

/**
 * The flow key: one slot for every field of OVS's `struct flow`.
 *
 * What: 12 blocks of 64 bytes, ordered by how often packets need them. A key, a mask and a
 * megaflow are all in this layout. The same bytes serve JavaScript (`Match` holds two
 * `Uint8Array(768)`) and the arena, so moving a match into the arena is a copy.
 *
 * Byte order: everything is in network order, also numbers that OVS keeps in host order (in_port,
 * registers...). One rule for all: extraction copies bytes, a field is a plain range of bytes, a
 * mask is a mask of bytes, and prefixes sort by first byte.
 *
 * Present blocks: a bitmap (bit n = block n may be non-zero) travels beside each key. Caches store,
 * hash and compare only present blocks. INVARIANT: a scratch key is zero in every absent block.
 *
 * in_port: the datapath port number in a datapath key, the OpenFlow port in a translation's flow,
 * as in OVS. As in OVS too: ARP uses nwSrc/nwDst/nwProto (opcode) and arpSha/arpTha; ND uses
 * arpSha/arpTha for sll/tll, igmpGroupIp4 for the reserved word, tcpFlags for the option type;
 * ICMP type/code stand in tpSrc/tpDst (as 16-bit numbers); a VLAN TCI has the CFI bit (0x1000) set
 * when the tag is present.
 */
export const keyLayout = {
  name: 'key',
  size: 768,
  source: "OVS 'struct flow' (include/openvswitch/flow.h); ovs-fields(7)",
  fields: {
    // Block 0: what nearly every packet has.
    recircId: { at: 0, type: 'be32', doc: 'Recirculation id, 0 at first.' },
    inPort: { at: 4, type: 'be32', doc: 'Input port (odp or ofp, see above).' },
    dlDst: { at: 8, type: 'mac', doc: 'Ethernet destination.' },
    dlSrc: { at: 14, type: 'mac', doc: 'Ethernet source.' },
    dlType: { at: 20, type: 'be16', doc: 'Ethertype after VLAN tags; 0x05ff for 802.2 without SNAP.' },
    nwProto: { at: 22, type: 'u8', doc: 'IP protocol or low 8 bits of the ARP opcode.' },
    nwTos: { at: 23, type: 'u8', doc: 'DSCP and ECN.' },
    nwTtl: { at: 24, type: 'u8', doc: 'TTL or hop limit.' },
    nwFrag: { at: 25, type: 'u8', doc: 'FLOW_NW_FRAG_ANY 1, FLOW_NW_FRAG_LATER 2.' },
    tcpFlags: { at: 26, type: 'be16', doc: 'TCP flags (12 bits); ND option type.' },
    vlanTpid0: { at: 28, type: 'be16', doc: 'TPID of the outer tag, 0 = no tag.' },
    vlanTci0: { at: 30, type: 'be16', doc: 'TCI of the outer tag, with CFI.' },
    vlanTpid1: { at: 32, type: 'be16', doc: 'TPID of the second tag.' },
    vlanTci1: { at: 34, type: 'be16', doc: 'TCI of the second tag, with CFI.' },
    nwSrc: { at: 36, type: 'be32', doc: 'IPv4 source or ARP SPA.' },
    nwDst: { at: 40, type: 'be32', doc: 'IPv4 destination or ARP TPA.' },
    tpSrc: { at: 44, type: 'be16', doc: 'TCP/UDP/SCTP source port or ICMP type.' },
    tpDst: { at: 46, type: 'be16', doc: 'TCP/UDP/SCTP destination port or ICMP code.' },
    packetType: { at: 48, type: 'be32', doc: 'OpenFlow packet type, (ns << 16) | ns_type; 0 = Ethernet.' },
    dpHash: { at: 52, type: 'be32', doc: 'Datapath hash.' },
    skbPriority: { at: 56, type: 'be32', doc: 'Packet priority for QoS.' },
    pktMark: { at: 60, type: 'be32', doc: 'Packet mark.' },
    // Block 1: IPv6, ARP, ND.
    ipv6Src: { at: 64, type: 'bytes', length: 16, doc: 'IPv6 source.' },
    ipv6Dst: { at: 80, type: 'bytes', length: 16, doc: 'IPv6 destination.' },
    ipv6Label: { at: 96, type: 'be32', doc: 'IPv6 flow label (20 bits).' },
    ndTarget: { at: 100, type: 'bytes', length: 16, doc: 'ND target address.' },
    arpSha: { at: 116, type: 'mac', doc: 'ARP/ND source hardware address.' },
    arpTha: { at: 122, type: 'mac', doc: 'ARP/ND target hardware address.' },
    // Block 2: connection tracking, MPLS, IGMP.
    ctState: { at: 128, type: 'be32', doc: 'Connection state, CS_* bits.' },
    ctZone: { at: 132, type: 'be16', doc: 'Connection tracking zone.' },
    ctNwProto: { at: 134, type: 'u8', doc: 'Protocol of the original direction tuple.' },
    ctMark: { at: 136, type: 'be32', doc: 'Connection mark.' },
    ctLabel: { at: 140, type: 'bytes', length: 16, doc: 'Connection label.' },
    ctNwSrc: { at: 156, type: 'be32', doc: 'Original direction IPv4 source.' },
    ctNwDst: { at: 160, type: 'be32', doc: 'Original direction IPv4 destination.' },
    ctTpSrc: { at: 164, type: 'be16', doc: 'Original direction source port.' },
    ctTpDst: { at: 166, type: 'be16', doc: 'Original direction destination port.' },
    mplsLse0: { at: 168, type: 'be32', doc: 'Outermost MPLS label stack entry.' },
    mplsLse1: { at: 172, type: 'be32', doc: 'Second MPLS label stack entry.' },
    mplsLse2: { at: 176, type: 'be32', doc: 'Third MPLS label stack entry.' },
    mplsLse3: { at: 180, type: 'be32', doc: 'Spare slot of the stack (OVS pads to 4).' },
    igmpGroupIp4: { at: 184, type: 'be32', doc: 'IGMP group or ND reserved word.' },
    // Block 3: original IPv6 addresses of a connection, NSH.
    ctIpv6Src: { at: 192, type: 'bytes', length: 16, doc: 'Original direction IPv6 source.' },
    ctIpv6Dst: { at: 208, type: 'bytes', length: 16, doc: 'Original direction IPv6 destination.' },
    nshFlags: { at: 224, type: 'u8', doc: 'NSH flags.' },
    nshTtl: { at: 225, type: 'u8', doc: 'NSH TTL.' },
    nshMdtype: { at: 226, type: 'u8', doc: 'NSH metadata type.' },
    nshNp: { at: 227, type: 'u8', doc: 'NSH next protocol.' },
    nshPathHdr: { at: 228, type: 'be32', doc: 'NSH service path id and index.' },
    nshC1: { at: 232, type: 'be32', doc: 'NSH context 1.' },
    nshC2: { at: 236, type: 'be32', doc: 'NSH context 2.' },
    nshC3: { at: 240, type: 'be32', doc: 'NSH context 3.' },
    nshC4: { at: 244, type: 'be32', doc: 'NSH context 4.' },
    // Block 4: tunnel.
    tunDst: { at: 256, type: 'be32', doc: 'Outer IPv4 destination.' },
    tunSrc: { at: 260, type: 'be32', doc: 'Outer IPv4 source.' },
    tunIpv6Dst: { at: 264, type: 'bytes', length: 16, doc: 'Outer IPv6 destination.' },
    tunIpv6Src: { at: 280, type: 'bytes', length: 16, doc: 'Outer IPv6 source.' },
    tunId: { at: 296, type: 'be64', doc: 'Tunnel key.' },
    tunFlags: { at: 304, type: 'be16', doc: 'FLOW_TNL_F_*.' },
    tunTos: { at: 306, type: 'u8', doc: 'Outer TOS.' },
    tunTtl: { at: 307, type: 'u8', doc: 'Outer TTL.' },
    tunTpSrc: { at: 308, type: 'be16', doc: 'Outer source port.' },
    tunTpDst: { at: 310, type: 'be16', doc: 'Outer destination port.' },
    tunGbpId: { at: 312, type: 'be16', doc: 'VXLAN group policy id.' },
    tunGbpFlags: { at: 314, type: 'u8', doc: 'VXLAN group policy flags.' },
    tunErspanVer: { at: 315, type: 'u8', doc: 'ERSPAN version.' },
    tunErspanIdx: { at: 316, type: 'be32', doc: 'ERSPAN index.' },
    // Block 5: rest of the tunnel.
    tunErspanDir: { at: 320, type: 'u8', doc: 'ERSPAN direction.' },
    tunErspanHwid: { at: 321, type: 'u8', doc: 'ERSPAN hardware id.' },
    tunGtpuFlags: { at: 322, type: 'u8', doc: 'GTP-U flags.' },
    tunGtpuMsgtype: { at: 323, type: 'u8', doc: 'GTP-U message type.' },
    tunMetadataTab: { at: 324, type: 'be32', doc: 'Version of the TLV table, 0 = raw options.' },
    tunMetadataPresent: { at: 328, type: 'be64', doc: 'Bitmap of tun_metadata0..63.' },
    // Blocks 6-9: tunnel options.
    tunMetadata: { at: 384, type: 'bytes', length: 256, doc: 'Tunnel option bytes.' },
    // Block 10: registers (translation only, never in a datapath key).
    regs: { at: 640, type: 'bytes', length: 64, doc: 'reg0..reg15, four bytes each.' },
    // Block 11: rest of the pipeline state (translation only).
    metadata: { at: 704, type: 'be64', doc: 'OpenFlow metadata.' },
    conjId: { at: 712, type: 'be32', doc: 'Conjunction id.' },
    actsetOutput: { at: 716, type: 'be32', doc: 'Output port of the action set.' },
  },
} as const satisfies LayoutSpec;

export const KEY_SIZE = 768;
export const KEY_BLOCK_SIZE = 64;
export const KEY_BLOCKS = 12;

/** Bytes [from, to) of the key that each classifier stage ends with, by field; see OVS's flow.h. */
export type KeyStage = 0 | 1 | 2 | 3;
type KeyField = keyof typeof keyLayout.fields;

/** Classifier stage of each slot: 0 metadata, 1 L2, 2 L3, 3 L4 (as ofproto/trace of OVS 3.1 shows). */
export const keyStages = {
  recircId: 0, inPort: 0, packetType: 0, dpHash: 0, skbPriority: 0, pktMark: 0,
  ctState: 0, ctZone: 0, ctNwProto: 0, ctMark: 0, ctLabel: 0,
  tunDst: 0, tunSrc: 0, tunIpv6Dst: 0, tunIpv6Src: 0, tunId: 0, tunFlags: 0, tunTos: 0, tunTtl: 0,
  tunTpSrc: 0, tunTpDst: 0, tunGbpId: 0, tunGbpFlags: 0, tunErspanVer: 0, tunErspanIdx: 0,
  tunErspanDir: 0, tunErspanHwid: 0, tunGtpuFlags: 0, tunGtpuMsgtype: 0, tunMetadataTab: 0,
  tunMetadataPresent: 0, tunMetadata: 0, regs: 0, metadata: 0, conjId: 0, actsetOutput: 0,
  dlDst: 1, dlSrc: 1, dlType: 1, vlanTpid0: 1, vlanTci0: 1, vlanTpid1: 1, vlanTci1: 1,
  mplsLse0: 1, mplsLse1: 1, mplsLse2: 1, mplsLse3: 1,
  nwSrc: 2, nwDst: 2, ctNwSrc: 2, ctNwDst: 2, ipv6Src: 2, ipv6Dst: 2, ctIpv6Src: 2, ctIpv6Dst: 2,
  ipv6Label: 2, nwFrag: 2, nwTos: 2, nwTtl: 2, nwProto: 2,
  ndTarget: 3, arpSha: 3, arpTha: 3, tcpFlags: 3, nshFlags: 3, nshTtl: 3, nshMdtype: 3, nshNp: 3,
  nshPathHdr: 3, nshC1: 3, nshC2: 3, nshC3: 3, nshC4: 3,
  tpSrc: 3, tpDst: 3, ctTpSrc: 3, ctTpDst: 3, igmpGroupIp4: 3,
} as const satisfies Record<KeyField, KeyStage>; // prettier-ignore
