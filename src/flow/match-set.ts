import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import type { Field } from './fields.ts';
import { KeyLayout as K } from './generated/key.ts';
import type { Match } from './match.ts';
import { be16, be32, putBe16 } from './numbers-text.ts';
import { maskSubfield, writeSubfield } from './subfield.ts';

/**
 * Setting fields of a match with OVS's meaning of each (`mf_set`).
 *
 * Values and masks are big-endian, `field.bytes` long. The caller has checked them with `valueIsValid`
 * and `maskIsValid`; bits of the value outside the mask are dropped.
 */
export function setMatchField(match: Match, field: Field, value: Uint8Array, mask?: Uint8Array): void {
  if (mask !== undefined && mask.every((b) => b === 0)) {
    wildcardMatchField(match, field);
    return;
  }
  // A label has 20 bits: all of them are the whole field.
  const isWholeLabel =
    field.name === 'ipv6_label' && mask !== undefined && (be32(mask, 0) & 0xfffff) === 0xfffff;
  if (mask === undefined || isWholeLabel || mask.every((b) => b === 0xff)) {
    setExact(match, field, value);
    return;
  }
  const whole = wholeValue(field);
  const masked = value.map((b, i) => b & (mask[i] ?? 0));
  writeSubfield(match.flow, 0, whole, masked);
  writeSubfield(match.mask, 0, whole, mask);
  if (field.name === 'ct_state') {
    // The pipeline knows eight bits.
    match.mask.fill(0, K.ctState, K.ctState + 3);
    match.flow.fill(0, K.ctState, K.ctState + 3);
  }
}

/** All bits of a field's value that the key stores (13 for vlan_vid). */
function wholeValue(field: Field): { field: Field; ofs: number; nBits: number } {
  return { field, ofs: 0, nBits: Math.max(field.stored, field.bits) };
}

function setExact(match: Match, field: Field, value: Uint8Array): void {
  const f = match.flow;
  const m = match.mask;
  switch (field.name) {
    case 'dl_vlan': {
      const vid = be16(value, 0);
      if (vid === 0xffff) {
        // OFP10_VLAN_NONE: no tag at all.
        putBe16(f, K.vlanTci0, 0);
        putBe16(m, K.vlanTci0, 0xffff);
      } else {
        putBe16(f, K.vlanTci0, (be16(f, K.vlanTci0) & 0xe000) | 0x1000 | (vid & 0xfff));
        putBe16(m, K.vlanTci0, be16(m, K.vlanTci0) | 0x1fff);
      }
      return;
    }
    case 'dl_vlan_pcp':
    case 'vlan_pcp':
      putBe16(f, K.vlanTci0, (be16(f, K.vlanTci0) & 0x1fff) | 0x1000 | (((value[0] ?? 0) & 7) << 13));
      putBe16(m, K.vlanTci0, be16(m, K.vlanTci0) | 0xf000);
      return;
    case 'ct_state':
      f.fill(0, K.ctState, K.ctState + 4);
      f[K.ctState + 3] = value[3] ?? 0;
      m[K.ctState + 3] = 0xff;
      return;
    default:
      writeSubfield(f, 0, wholeValue(field), value);
      maskSubfield(m, 0, wholeValue(field));
      maskWholeSlot(m, field);
  }
}

/** Fields that fill a wider slot of the key are exact on all of the slot. */
function maskWholeSlot(mask: Uint8Array, field: Field): void {
  switch (field.name) {
    case 'icmp_type':
    case 'icmpv6_type':
    case 'icmp_code':
    case 'icmpv6_code':
    case 'nd_options_type':
    case 'tcp_flags':
      mask[field.end - 2] = 0xff;
      break;
    case 'ipv6_label':
    case 'tun_erspan_idx':
      mask.fill(0xff, field.end - 4, field.end);
      break;
    case 'ip_frag':
      mask[K.nwFrag] = 3;
      break;
  }
}

/** Makes a match ignore a field. */
function wildcardMatchField(match: Match, field: Field): void {
  const zero = new Uint8Array(field.bytes);
  const whole = wholeValue(field);
  if (field.format === 'ofp port' || field.format === 'ofp port oxm') {
    match.flow.fill(0, field.end - 4, field.end);
    match.mask.fill(0, field.end - 4, field.end);
    return;
  }
  if (field.name === 'dl_vlan' || field.name === 'vlan_vid') {
    const keep = be16(match.mask, K.vlanTci0) & 0xe000;
    putBe16(match.mask, K.vlanTci0, keep === 0 ? 0 : keep | 0x1000);
    putBe16(match.flow, K.vlanTci0, be16(match.flow, K.vlanTci0) & be16(match.mask, K.vlanTci0));
    return;
  }
  writeSubfield(match.flow, 0, whole, zero);
  writeSubfield(match.mask, 0, whole, zero);
  for (const key of [match.flow, match.mask]) {
    if (/^icmp|^nd_options_type|^tcp_flags/.test(field.name)) key[field.end - 2] = 0;
    if (field.name === 'ipv6_label') key.fill(0, field.end - 4, field.end);
  }
}

/** The value of a field and its mask, from a match; the mask is zero when the field is wildcarded. */
export function getMatchField(match: Match, field: Field): { value: Uint8Array; mask: Uint8Array } {
  return { value: getFieldValue(match.flow, field), mask: getFieldMask(match.mask, field) };
}

/** A field's value in a key, `field.bytes` big-endian bytes. */
export function getFieldValue(key: Uint8Array, field: Field, base = 0): Uint8Array {
  const out = new Uint8Array(field.bytes);
  copyOut(key, base, field, out);
  return out;
}

/**
 * A field's mask in a key's mask. All ones when each bit that the field has is masked (so that fields of
 * fewer bits than bytes count as exact).
 */
export function getFieldMask(mask: Uint8Array, field: Field, base = 0): Uint8Array {
  const out = new Uint8Array(field.bytes);
  copyOut(mask, base, field, out);
  switch (field.name) {
    case 'ct_state':
      if (out[3] === 0xff) out.fill(0xff);
      break;
    case 'ipv6_label':
      out[0] = mask[base + field.end - 4] ?? 0;
      out[1] = mask[base + field.end - 3] ?? 0;
      break;
    case 'tcp_flags':
      out[0] = mask[base + K.tcpFlags] ?? 0;
      break;
    case 'vlan_vid':
      if (be16(out, 0) === 0x1fff) out.fill(0xff);
      break;
    case 'arp_op':
      out[0] = out[1] ?? 0;
      break;
    default: {
      const full = (1 << (field.bits & 7)) - 1;
      const top = field.bytes - 1 - (field.bits >>> 3);
      const exact =
        field.bits < field.bytes * 8 &&
        !field.maskable &&
        out.every((b, i) => (i < top ? true : i === top ? b === full : b === 0xff));
      if (exact || (field.name === 'nw_tos' && out[0] === 0xfc)) out.fill(0xff);
    }
  }
  return out;
}

function copyOut(key: Uint8Array, base: number, field: Field, out: Uint8Array): void {
  const bits = Math.max(field.stored, field.bits);
  for (let i = 0; i < field.bytes; i++) {
    const from = 8 * i;
    const p = base + field.end - 1 - i;
    let byte = from < field.stored ? (key[p] ?? 0) >>> field.shift : 0;
    if (field.shift !== 0 && from + 8 - field.shift < field.stored)
      byte |= (key[p - 1] ?? 0) << (8 - field.shift);
    if (from + 8 > bits) byte &= from < bits ? (1 << (bits - from)) - 1 : 0;
    out[field.bytes - 1 - i] = byte & 0xff;
  }
  if (field.lowest !== 0) out[field.bytes - 1] = (out[field.bytes - 1] ?? 0) & (0xff << field.lowest);
}

/** Whether a value is one that the field can have. */
export function valueIsValid(field: Field, value: Uint8Array): boolean {
  switch (field.name) {
    case 'dl_vlan': {
      const v = be16(value, 0);
      return (v & 0xf000) === 0 || v === 0xffff;
    }
    case 'vlan_vid':
      return (be16(value, 0) & 0xe000) === 0;
    case 'nw_tos':
      return ((value[0] ?? 0) & 3) === 0;
    case 'arp_op':
      return value[0] === 0;
    case 'nsh_ttl':
      return (value[0] ?? 0) < 64;
    case 'in_port_oxm':
    case 'actset_output': {
      const v = be32(value, 0);
      return v < 0xff00 || v >= 0xffffff00;
    }
    default: {
      for (let i = 0; i < field.bytes; i++) {
        const from = 8 * (field.bytes - 1 - i);
        const allowed =
          from >= field.bits ? 0 : field.bits - from >= 8 ? 0xff : (1 << (field.bits - from)) - 1;
        if (((value[i] ?? 0) & ~allowed) !== 0) return false;
      }
      return true;
    }
  }
}

/** Whether a mask may be used with the field. */
export function maskIsValid(field: Field, mask: Uint8Array): boolean {
  return field.maskable || mask.every((b) => b === 0xff) || mask.every((b) => b === 0);
}

/** Adds the condition "an Ethernet packet", unless there is one on the packet type already. */
export function setDefaultPacketType(match: Match): void {
  if (be32(match.mask, K.packetType) === 0) match.mask.fill(0xff, K.packetType, K.packetType + 4);
}

/**
 * Drops conditions on fields that the match's protocols do not have, as OVS does when it takes a flow in.
 *
 * @returns Whether something was dropped.
 */
export function normalizeMatch(match: Match): boolean {
  const f = match.flow;
  const m = match.mask;
  const packetType = be32(f, K.packetType);
  const dlType = packetType >>> 16 === 1 ? packetType & 0xffff : be16(f, K.dlType);
  const proto = f[K.nwProto] ?? 0;
  const ip = dlType === EthType.ipv4;
  const ip6 = dlType === EthType.ipv6;
  const arp = dlType === EthType.arp || dlType === EthType.rarp;
  const ported = proto === IpProto.tcp || proto === IpProto.udp || proto === IpProto.sctp;
  const icmp6 = ip6 && proto === IpProto.icmpv6;
  const type = be16(f, K.tpSrc);
  const solicit = icmp6 && type === 135;
  const advert = icmp6 && type === 136;

  let changed = false;
  const drop = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      if (m[i] !== 0) changed = true;
      m[i] = 0;
      f[i] = 0;
    }
  };
  if (packetType !== 0) drop(K.dlDst, K.dlSrc + 6);
  if (!ip && !arp) drop(K.nwSrc, K.nwDst + 4);
  if (!((ip && (ported || proto === IpProto.icmp)) || (ip6 && ported) || icmp6)) drop(K.tpSrc, K.tpDst + 2);
  if (!ip && !ip6 && !arp) drop(K.nwProto, K.nwProto + 1);
  if (!ip && !ip6) drop(K.nwTos, K.nwFrag + 1);
  if (!arp && !solicit) drop(K.arpSha, K.arpSha + 6);
  if (!arp && !advert) drop(K.arpTha, K.arpTha + 6);
  if (!ip6) drop(K.ipv6Src, K.ipv6Label + 4);
  if (!solicit && !advert) {
    drop(K.ndTarget, K.ndTarget + 16);
  }
  if (!isMplsType(dlType)) drop(K.mplsLse0, K.mplsLse2 + 4);
  return changed;
}
