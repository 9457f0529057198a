import { readBits, writeBits } from '../../flow/bits.ts';
import { fields, type Field, type FieldPrereqs, type Subfield } from '../../flow/fields.ts';
import { formatFieldText } from '../../flow/field-text.ts';
import { formatSubfield } from '../../flow/subfield-text.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { copySubfield, maskSubfield, readSubfield, wholeField, writeSubfield } from '../../flow/subfield.ts';
import { BugError } from '../../util/errors.ts';
import type { XlateContext } from './context.ts';

/** How the VLAN slot is to be mended after a write to a field of it. */
const VLAN_TCI = 1;
const VLAN_VID = 2;
const VLAN_DL_VLAN = 3;
const VLAN_PCP = 4;

const vlanFields: Readonly<Record<string, number>> = {
  vlan_tci: VLAN_TCI,
  vlan_vid: VLAN_VID,
  dl_vlan: VLAN_DL_VLAN,
  vlan_pcp: VLAN_PCP,
  dl_vlan_pcp: VLAN_PCP,
};
const vlanKind: readonly number[] = fields.map((f) => vlanFields[f.name] ?? 0);

/**
 * Fields of the IP and ARP headers: whoever writes them needs to know that there is such a header, which
 * nw_proto shows (the shifted ip_dscp is not among them in OVS).
 */
const ipHeaderFields = new Set([
  'ip_src',
  'ip_dst',
  'ipv6_src',
  'ipv6_dst',
  'ipv6_label',
  'nw_tos',
  'nw_ecn',
  'nw_ttl',
]);
const isIpHeader: readonly boolean[] = fields.map((f) => ipHeaderFields.has(f.name));
const isArpHeader: readonly boolean[] = fields.map((f) => f.prereqs === 'arp');

/** Fields that are whole bytes of the key, as long as their values. */
const isPlain: readonly boolean[] = fields.map(
  (f) => f.shift === 0 && f.lowest === 0 && f.stored === f.bytes * 8,
);

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_SCTP = 132;
const CFI = 0x1000;
const FRAG_LATER = 2;

export function fieldOf(number: number): Field {
  const f = fields[number];
  if (f === undefined) throw new BugError(`no field ${number}`);
  return f;
}

/** A subfield with its place in a key, when that is whole bytes. */
interface PlacedSubfield extends Subfield {
  /** Offset of its first byte, -1 when it is not whole bytes or not stored as it is. */
  readonly at: number;
  /** Bytes there. */
  readonly bytes: number;
}

/** Subfields that words have named so far, so that executing them makes no objects. */
const subfields = new Map<number, PlacedSubfield>();

/** The subfield of two ofpact words. */
export function subfieldOf(number: number, place: number): PlacedSubfield {
  const ofs = place & 0xffff;
  const nBits = place >>> 16;
  const key = number * 4194304 + ofs * 2048 + nBits;
  let sf = subfields.get(key);
  if (sf === undefined) {
    const field = fieldOf(number);
    const isWhole = isPlain[field.id] === true && ((ofs | nBits) & 7) === 0 && field.format !== 'ofp port';
    sf = { field, ofs, nBits, at: isWhole ? field.end - ((ofs + nBits) >>> 3) : -1, bytes: nBits >>> 3 };
    subfields.set(key, sf);
  }
  return sf;
}

/** Whether the packet has IP protocol `proto` over IPv4 or IPv6; looks at nw_proto if it may. */
function hasIpProto(ctx: XlateContext, proto: number): boolean {
  if (!ctx.isIpAny) return false;
  ctx.u8[ctx.wc + K.nwProto] = 0xff;
  return ctx.u8[ctx.flow + K.nwProto] === proto;
}

/** OVS's is_nd: a neighbour solicitation or advertisement. */
function isNd(ctx: XlateContext): boolean {
  if (ctx.dlType !== 0x86dd || !hasIpProto(ctx, IPPROTO_ICMPV6)) return false;
  ctx.maskBytes(K.tpDst, 2);
  if (ctx.dv.getUint16(ctx.flow + K.tpDst) !== 0) return false;
  ctx.maskBytes(K.tpSrc, 2);
  const type = ctx.dv.getUint16(ctx.flow + K.tpSrc);
  return type === 135 || type === 136;
}

/** Whether the packet has a field at all (OVS's mf_are_prereqs_ok); marks what it looked at. */
function prereqsOk(ctx: XlateContext, prereqs: FieldPrereqs): boolean {
  switch (prereqs) {
    case 'none':
      return true;
    case 'ethernet':
      ctx.maskBytes(K.packetType, 4);
      return ctx.dv.getUint32(ctx.flow + K.packetType) === 0;
    case 'arp':
      return ctx.dlType === 0x0806 || ctx.dlType === 0x8035;
    case 'vlan':
      ctx.mask16(K.vlanTci0, CFI);
      return (ctx.dv.getUint16(ctx.flow + K.vlanTci0) & CFI) !== 0;
    case 'ipv4':
      return ctx.dlType === 0x0800;
    case 'ipv6':
      return ctx.dlType === 0x86dd;
    case 'ip':
      return ctx.isIpAny;
    case 'nsh':
      return ctx.dlType === 0x894f;
    case 'mpls':
      return ctx.dlType === 0x8847 || ctx.dlType === 0x8848;
    case 'ct': {
      const trk = 0x20;
      const valid = 0x01 | 0x02 | 0x04 | 0x08 | 0x20;
      const at = ctx.flow + K.ctState;
      ctx.dv.setUint32(ctx.wc + K.ctState, ctx.dv.getUint32(ctx.wc + K.ctState) | valid);
      return (ctx.dv.getUint32(at) & trk) !== 0 && (ctx.dv.getUint32(at) & (valid & ~trk)) !== 0;
    }
    case 'tcp':
      return hasIpProto(ctx, IPPROTO_TCP) && !isLater(ctx);
    case 'udp':
      return hasIpProto(ctx, IPPROTO_UDP) && !isLater(ctx);
    case 'sctp':
      return hasIpProto(ctx, IPPROTO_SCTP) && !isLater(ctx);
    case 'icmpv4':
      return ctx.dlType === 0x0800 && hasIpProto(ctx, IPPROTO_ICMP);
    case 'icmpv6':
      return ctx.dlType === 0x86dd && hasIpProto(ctx, IPPROTO_ICMPV6);
    case 'nd':
      return isNd(ctx);
    case 'nd solicit':
      return isNd(ctx) && ctx.dv.getUint16(ctx.flow + K.tpSrc) === 135;
    case 'nd advert':
      return isNd(ctx) && ctx.dv.getUint16(ctx.flow + K.tpSrc) === 136;
  }
}

function isLater(ctx: XlateContext): boolean {
  return ((ctx.u8[ctx.flow + K.nwFrag] ?? 0) & FRAG_LATER) !== 0;
}

/** A TCI without TPID gets 802.1Q, a TPID without TCI vanishes. */
function fixVlanTpid(ctx: XlateContext): void {
  const { dv, flow } = ctx;
  const tci = dv.getUint16(flow + K.vlanTci0);
  if (tci === 0) dv.setUint16(flow + K.vlanTpid0, 0);
  else if (dv.getUint16(flow + K.vlanTpid0) === 0) dv.setUint16(flow + K.vlanTpid0, 0x8100);
}

/** After a write to a VLAN field of `flow`: the presence bit, then the TPID. */
function afterVlanWrite(ctx: XlateContext, field: Field): void {
  const kind = vlanKind[field.id] ?? 0;
  if (kind === 0) return;
  if (kind === VLAN_PCP || kind === VLAN_DL_VLAN) {
    const at = ctx.flow + K.vlanTci0;
    ctx.dv.setUint16(at, ctx.dv.getUint16(at) | CFI);
  }
  fixVlanTpid(ctx);
}

/**
 * set_field: writes the masked value and marks the bits, if the packet has the field.
 *
 * @param value Arena address of `length` bytes, big-endian and right-aligned; `mask` likewise.
 */
export function setField(ctx: XlateContext, field: Field, value: number, mask: number, length: number): void {
  if (!prereqsOk(ctx, field.prereqs)) {
    ctx.report('warn', `unmet prerequisites for ${field.name}, set_field ignored`);
    return;
  }
  const { u8 } = ctx;
  if (isPlain[field.id] === true) {
    const at = field.end - length;
    for (let i = 0; i < length; i++) {
      const m = u8[mask + i] ?? 0;
      if (m === 0) continue;
      const p = ctx.flow + at + i;
      u8[p] = ((u8[p] ?? 0) & ~m) | ((u8[value + i] ?? 0) & m);
      u8[ctx.wc + at + i] = (u8[ctx.wc + at + i] ?? 0) | m;
    }
  } else {
    // Only fields of up to one word are not whole bytes.
    const n = field.stored < length * 8 ? field.stored : length * 8;
    const m = (readBits(u8, mask + length, 0, n) & (-1 << field.lowest)) >>> 0;
    const old = readBits(u8, ctx.flow + field.end, field.shift, n);
    const v = readBits(u8, value + length, 0, n);
    writeBits(u8, ctx.flow + field.end, field.shift, n, (old & ~m) | (v & m));
    writeBits(u8, ctx.wc + field.end, field.shift, n, readBits(u8, ctx.wc + field.end, field.shift, n) | m);
  }
  if (field.format === 'ofp port') widenInPort(ctx);
  if (isArpHeader[field.id] === true || (isIpHeader[field.id] === true && ctx.isIpAny)) {
    u8[ctx.wc + K.nwProto] = 0xff;
  }
  afterVlanWrite(ctx, field);
}

/** in_port of OpenFlow 1.0 is 16 bits: its reserved numbers are at the top of the 32-bit range. */
function widenInPort(ctx: XlateContext): void {
  const at = ctx.flow + K.inPort;
  const low = ctx.dv.getUint16(at + 2);
  ctx.dv.setUint16(at, low >= 0xff00 ? 0xffff : 0);
}

/** move: copies one subfield to another, if the packet has both. */
export function moveField(ctx: XlateContext, src: PlacedSubfield, dst: PlacedSubfield): void {
  if (!prereqsOk(ctx, dst.field.prereqs) || !prereqsOk(ctx, src.field.prereqs)) return;
  const { u8, flow, wc } = ctx;
  const isApart = src.at - dst.at >= src.bytes || dst.at - src.at >= src.bytes;
  if (src.at >= 0 && dst.at >= 0 && src.bytes === dst.bytes && isApart) {
    moveBytes(ctx, src.at, dst.at, src.bytes);
    afterVlanWrite(ctx, dst.field);
    return;
  }
  copySubfield(u8, flow, src, u8, flow, dst);
  maskSubfield(u8, wc, src);
  maskSubfield(u8, wc, dst);
  afterVlanWrite(ctx, dst.field);
}

/** Copies whole bytes of the flow to another place in it; the mask has both then. */
function moveBytes(ctx: XlateContext, from: number, to: number, bytes: number): void {
  const { dv, u8, flow, wc } = ctx;
  if (bytes === 4) {
    dv.setInt32(flow + to, dv.getInt32(flow + from));
    dv.setInt32(wc + from, -1);
    dv.setInt32(wc + to, -1);
    return;
  }
  for (let i = 0; i < bytes; i++) {
    u8[flow + to + i] = u8[flow + from + i] ?? 0;
    u8[wc + from + i] = 0xff;
    u8[wc + to + i] = 0xff;
  }
}

/** Writes `value` (big-endian) into a subfield and marks it. */
export function writeField(ctx: XlateContext, sf: Subfield, value: Uint8Array): void {
  writeSubfield(ctx.u8, ctx.flow, sf, value);
  maskSubfield(ctx.u8, ctx.wc, sf);
  afterVlanWrite(ctx, sf.field);
}

/** Traces the new value of a subfield. */
export function reportSubfield(ctx: XlateContext, sf: Subfield): void {
  if (ctx.trace === null) return;
  const { field } = sf;
  let text: string;
  if (sf.ofs === 0 && sf.nBits >= field.bits) {
    const value = new Uint8Array(field.bytes);
    readSubfield(ctx.u8, ctx.flow, wholeField(field), value);
    text = formatFieldText(field, value);
  } else {
    const value = new Uint8Array(Math.ceil(sf.nBits / 8));
    readSubfield(ctx.u8, ctx.flow, sf, value);
    text = hexBytes(value);
  }
  ctx.trace.report('detail', `${formatSubfield(sf)} is now ${text}`);
}

/** OVS's ds_put_hex: no leading zeros, "0" for nothing. */
function hexBytes(bytes: Uint8Array): string {
  let hex = '';
  for (const b of bytes) hex += b.toString(16).padStart(2, '0');
  hex = hex.replace(/^0+/, '');
  return hex === '' ? '0' : `0x${hex}`;
}
