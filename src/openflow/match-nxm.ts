/**
 * Matches as NXM (Nicira extensions of 1.0) and OXM (1.2+).
 *
 * Fields are written in OVS's order, so that equal matches are equal bytes on both sides. Which fields
 * are written at all follows from the match's protocols: a match on TCP writes `tcp_src`, one on UDP
 * `udp_src` for the same bytes of the key.
 */
import { requireField } from '../flow/fields.ts';
import type { Field } from '../flow/fields.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import {
  getFieldMask,
  getFieldValue,
  maskIsValid,
  setDefaultPacketType,
  setMatchField,
  valueIsValid,
} from '../flow/match-set.ts';
import { Match } from '../flow/match.ts';
import { be16, be32, isZero, putBe16 } from '../flow/numbers-text.ts';
import { prereqsMet } from '../flow/prereqs.ts';
import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import { OfpError } from '../util/errors.ts';
import type { ByteReader } from './byte-io.ts';
import { ByteWriter } from './byte-io.ts';
import { pullEntry, putCookieEntry, putFieldEntry } from './nxm.ts';

/** OFPMT_OXM. */
const OXM_MATCH = 1;
const STANDARD_MATCH = 0;
const STANDARD_MATCH_LENGTH = 88;
const OFP15 = 6;
const PT_ETH = new Uint8Array(4);
const VLAN_PCP_MASK = 0xe000;
const VLAN_VID_CFI = 0x1fff;

const named = (...names: string[]): Field[] => names.map(requireField);

const start = named('dp_hash', 'recirc_id', 'conj_id');
const ethernet = named('eth_src', 'eth_dst', 'eth_type');
const mpls = named('mpls_tc', 'mpls_bos', 'mpls_ttl', 'mpls_label');
const ipv4 = named('ip_src', 'ip_dst');
const ipv6 = named('ipv6_src', 'ipv6_dst');
const arp = named('arp_op', 'arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha');
const tunnel = named(
  'tun_id', 'tun_flags', 'tun_src', 'tun_dst', 'tun_ipv6_src', 'tun_ipv6_dst', 'tun_gbp_id', 'tun_gbp_flags',
  'tun_gtpu_flags', 'tun_gtpu_msgtype', 'tun_erspan_idx', 'tun_erspan_ver', 'tun_erspan_dir', 'tun_erspan_hwid',
  'nsh_flags', 'nsh_ttl', 'nsh_mdtype', 'nsh_np', 'nsh_spi', 'nsh_si', 'nsh_c1', 'nsh_c2', 'nsh_c3', 'nsh_c4',
); // prettier-ignore
const registers = Array.from({ length: 16 }, (_, i) => requireField(`reg${i}`));
const wideRegisters = Array.from({ length: 8 }, (_, i) => requireField(`xreg${i}`));
const connection = named(
  'pkt_mark', 'ct_state', 'ct_zone', 'ct_mark', 'ct_label', 'ct_nw_src', 'ct_ipv6_src', 'ct_nw_dst', 'ct_ipv6_dst',
); // prettier-ignore
const connectionPorts = named('ct_nw_proto', 'ct_tp_src', 'ct_tp_dst');
const ports: Readonly<Record<number, readonly Field[]>> = {
  [IpProto.tcp]: named('tcp_src', 'tcp_dst', 'tcp_flags'),
  [IpProto.udp]: named('udp_src', 'udp_dst'),
  [IpProto.sctp]: named('sctp_src', 'sctp_dst'),
};
const icmp4 = named('icmp_type', 'icmp_code');
const icmp6 = named('icmpv6_type', 'icmpv6_code');

/** Ethertype that the match's protocols go by (a non-Ethernet packet type has its own). */
function dlTypeOf(flow: Uint8Array): number {
  const packetType = be32(flow, K.packetType);
  return packetType >>> 16 === 1 ? packetType & 0xffff : be16(flow, K.dlType);
}

/** The layer 3 and 4 fields of an IP match, in OVS's order. */
function ipFields(flow: Uint8Array, dlType: number, isOxm: boolean): Field[] {
  const out = [...(dlType === EthType.ipv4 ? ipv4 : ipv6)];
  out.push(...named('ip_frag', isOxm ? 'ip_dscp' : 'nw_tos', 'nw_ecn', 'nw_ttl', 'ipv6_label', 'nw_proto'));
  const proto = flow[K.nwProto] ?? 0;
  out.push(...(ports[proto] ?? []));
  if (dlType === EthType.ipv4 && proto === IpProto.icmp) out.push(...icmp4);
  if (dlType === EthType.ipv6 && proto === IpProto.icmpv6) {
    out.push(...icmp6);
    const type = be16(flow, K.tpSrc);
    const isNd = be16(flow, K.tpDst) === 0 && (type === 135 || type === 136);
    if (isNd) {
      out.push(...named('nd_target', 'nd_reserved', 'nd_options_type'));
      out.push(requireField(type === 135 ? 'nd_sll' : 'nd_tll'));
    }
  }
  return out;
}

/**
 * Writes the fields of a match without header or padding.
 *
 * @param version OpenFlow wire version whose OXM to write, or 0 for NXM.
 * @param cookieMask 0n for none.
 */
export function putMatchFields(
  out: ByteWriter,
  match: Match,
  version: number,
  cookie = 0n,
  cookieMask = 0n,
): void {
  const { flow, mask } = match;
  const isOxm = version !== 0;
  const w = new ByteWriter();
  const seen = { impliesEthernet: false };
  const put = (field: Field): void => {
    const fieldMask = wireMask(mask, field);
    if (isZero(fieldMask, 0, fieldMask.length)) return;
    if (field.prereqs !== 'none') seen.impliesEthernet = true;
    putFieldEntry(w, field, version, getFieldValue(flow, field), field.maskable ? fieldMask : null);
  };
  const putAll = (list: readonly Field[]): void => {
    for (const field of list) put(field);
  };

  const isDefaultType = be32(mask, K.packetType) === 0xffffffff && be32(flow, K.packetType) === 0;
  if (be32(mask, K.packetType) !== 0 && !isDefaultType) put(requireField('packet_type'));
  putAll(start);
  put(requireField(isOxm ? 'in_port_oxm' : 'in_port'));
  put(requireField('actset_output'));
  putAll(ethernet);
  if (isOxm) putVlan(w, match, version, () => (seen.impliesEthernet = true));
  else put(requireField('vlan_tci'));
  const dlType = dlTypeOf(flow);
  if (isMplsType(dlType)) putAll(mpls);
  if (dlType === EthType.ipv4 || dlType === EthType.ipv6) putAll(ipFields(flow, dlType, isOxm));
  else if (dlType === EthType.arp || dlType === EthType.rarp) putAll(arp);
  putAll(tunnel);
  putTunnelMetadata(put, mask);
  putAll(version < OFP15 ? registers : wideRegisters);
  putAll(connection);
  if (flow[K.ctNwProto] !== 0) putAll(connectionPorts);
  put(requireField('metadata'));
  if (cookieMask !== 0n) putCookieEntry(w, cookie, cookieMask);
  // Without any field that implies it, "an Ethernet packet" has to be said.
  if (isDefaultType && !seen.impliesEthernet)
    putFieldEntry(out, requireField('packet_type'), version, PT_ETH, null);
  out.bytes(w.finish());
}

/** A field's mask as it goes out: two fields count as exact, or not, by other rules than in text. */
function wireMask(mask: Uint8Array, field: Field): Uint8Array {
  if (field.name === 'ct_state') return mask.slice(K.ctState, K.ctState + 4);
  if (field.name === 'ip_frag') {
    const bits = (mask[K.nwFrag] ?? 0) & 3;
    return Uint8Array.of(bits === 3 ? 0xff : bits);
  }
  return getFieldMask(mask, field);
}

function putVlan(w: ByteWriter, match: Match, version: number, implied: () => void): void {
  const tci = be16(match.flow, K.vlanTci0);
  const mask = be16(match.mask, K.vlanTci0);
  const vidMask = mask & VLAN_VID_CFI;
  const vid = tci & VLAN_VID_CFI;
  const two = (n: number): Uint8Array => {
    const b = new Uint8Array(2);
    putBe16(b, 0, n);
    return b;
  };
  if (vidMask !== 0) {
    putFieldEntry(
      w,
      requireField('vlan_vid'),
      version,
      two(vid),
      vidMask === VLAN_VID_CFI ? null : two(vidMask),
    );
    implied();
  }
  if (vid !== 0 && (mask & VLAN_PCP_MASK) !== 0) {
    putFieldEntry(w, requireField('vlan_pcp'), version, Uint8Array.of(tci >>> 13), null);
    implied();
  }
}

const tunnelMetadata = Array.from({ length: 64 }, (_, i) => requireField(`tun_metadata${i}`));

function putTunnelMetadata(put: (field: Field) => void, mask: Uint8Array): void {
  const present = new DataView(mask.buffer, mask.byteOffset).getBigUint64(K.tunMetadataPresent);
  if (present === 0n) return;
  for (const [i, field] of tunnelMetadata.entries()) if (((present >> BigInt(i)) & 1n) !== 0n) put(field);
}

/** Writes an nx_match with its padding; returns its length without padding. */
export function putNxMatch(w: ByteWriter, match: Match, cookie = 0n, cookieMask = 0n): number {
  const from = w.length;
  putMatchFields(w, match, 0, cookie, cookieMask);
  const length = w.length - from;
  w.padTo(8, from);
  return length;
}

/** Writes an ofp11_match_header with OXM fields and padding. */
export function putOxmMatch(w: ByteWriter, match: Match, version: number): void {
  const from = w.length;
  w.u16(OXM_MATCH).u16(0);
  putMatchFields(w, match, version);
  w.setU16(from + 2, w.length - from);
  w.padTo(8, from);
}

export interface DecodedMatch {
  readonly match: Match;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
}

export interface PullMatchOptions {
  /** Skip unknown fields and prerequisites: for what a switch sends. */
  readonly loose?: boolean;
  /** Take NXM_NX_COOKIE out of the fields. */
  readonly allowCookie?: boolean;
  /** Only pipeline fields (packet_out of 1.5). */
  readonly pipelineOnly?: boolean;
}

function toU64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}

const pipelineFields =
  /^(tun_|metadata$|in_port|actset_output|reg|xreg|xxreg|packet_type|pkt_mark|ct_|recirc_id|dp_hash|conj_id|skb_priority)/;

/** Reads NXM or OXM fields up to the end of `r`. @throws OfpError OFPBMC_* */
export function pullMatchFields(r: ByteReader, options: PullMatchOptions = {}): DecodedMatch {
  const { loose = false, allowCookie = false, pipelineOnly = false } = options;
  const match = new Match();
  let cookie = 0n;
  let cookieMask = 0n;
  while (r.left > 0) {
    const { field, isCookie, value, mask } = pullEntry(r);
    if (!field) {
      if (isCookie && allowCookie) {
        if (cookieMask !== 0n) throw new OfpError('OFPBMC_DUP_FIELD');
        cookie = toU64(value);
        cookieMask = toU64(mask);
      } else if (!loose) throw new OfpError('OFPBMC_BAD_FIELD');
      continue;
    }
    if (!maskIsValid(field, mask)) throw new OfpError('OFPBMC_BAD_MASK');
    if (!valueIsValid(field, value)) throw new OfpError('OFPBMC_BAD_VALUE');
    if (!loose && !prereqsMet(field, match.flow, 0)) throw new OfpError('OFPBMC_BAD_PREREQ');
    if (!isAllWild(match, field)) throw new OfpError('OFPBMC_DUP_FIELD');
    if (pipelineOnly && !pipelineFields.test(field.name)) throw new OfpError('OFPBRC_PIPELINE_FIELDS_ONLY');
    setMatchField(match, field, value, mask);
    if (field.prereqs !== 'none') setDefaultPacketType(match);
  }
  return { match, cookie, cookieMask };
}

function isAllWild(match: Match, field: Field): boolean {
  // "An Ethernet packet" may have been implied by an earlier field.
  if (field.name === 'packet_type') return true;
  if (field.name === 'vlan_pcp') return (be16(match.mask, K.vlanTci0) & VLAN_PCP_MASK) === 0;
  return getFieldMask(match.mask, field).every((b) => b === 0);
}

/** Takes an nx_match of `length` bytes and its padding. @throws OfpError OFPBMC_* */
export function pullNxMatch(r: ByteReader, length: number, options: PullMatchOptions = {}): DecodedMatch {
  const padded = Math.ceil(length / 8) * 8;
  if (padded > r.left) throw new OfpError('OFPBMC_BAD_LEN');
  const fields = r.sub(length, 'OFPBMC_BAD_LEN');
  r.skip(padded - length);
  return pullMatchFields(fields, options);
}

/** Takes an ofp11_match_header, its OXM fields and its padding. @throws OfpError OFPBMC_* */
export function pullOxmMatch(r: ByteReader, options: PullMatchOptions = {}): Match {
  if (r.left < 4) throw new OfpError('OFPBMC_BAD_LEN');
  const type = r.peekU16();
  const length = r.peekU16(2);
  if (type !== OXM_MATCH) {
    // The match of 1.1 has one length only.
    const isBadLength = type === STANDARD_MATCH && length !== STANDARD_MATCH_LENGTH;
    throw new OfpError(isBadLength ? 'OFPBMC_BAD_LEN' : 'OFPBMC_BAD_TYPE');
  }
  if (length < 4) throw new OfpError('OFPBMC_BAD_LEN');
  const padded = Math.ceil(length / 8) * 8;
  if (padded > r.left) throw new OfpError('OFPBMC_BAD_LEN');
  const fields = r.sub(length, 'OFPBMC_BAD_LEN');
  r.skip(padded - length);
  fields.skip(4);
  return pullMatchFields(fields, options).match;
}
