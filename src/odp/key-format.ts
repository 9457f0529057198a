import { formatIpv4, formatIpv6, formatMac } from '../wire/address.ts';
import { tcpFlagNames } from '../wire/ether-types.ts';
import {
  be16,
  be32,
  formatFlags,
  formatFlagsMasked,
  hexBytes,
  hexNumber,
  hexPadded,
  isOnes,
  isZero,
} from '../flow/numbers-text.ts';
import { attributeMap, le16, le32, parseAttributes } from './attributes.ts';
import { ctStateNames, OvsKeyAttr as A, OvsNshKeyAttr, OvsTunnelKeyAttr as T } from './attrs.ts';
import { keySpecs, partSizes } from './key-specs.ts';
import type { PartSpec } from './key-specs.ts';

/** Names of datapath ports. */
export interface OdpPortNames {
  readonly byName: (name: string) => number | undefined;
  readonly byNumber: (port: number) => string | undefined;
}

export interface OdpKeyFormat {
  /** Print names instead of port numbers. */
  readonly ports?: OdpPortNames;
  /** Also print what is wildcarded (`dpctl/dump-flows -m`). */
  readonly verbose?: boolean;
}

/**
 * Prints key attributes as dpctl does: `recirc_id(0),in_port(1),...`.
 *
 * @param mask Attributes of the mask; undefined for an exact key.
 * @throws WireError for malformed attributes.
 */
export function formatOdpAttributes(
  key: Uint8Array,
  mask: Uint8Array | undefined,
  options: OdpKeyFormat = {},
): string {
  if (key.length === 0) return '<empty>';
  const masks = mask === undefined || mask.length === 0 ? undefined : attributeMap(mask);
  const out: string[] = [];
  let hasEthertype = false;
  let packetTypeShown = false;
  for (const { type, payload } of parseAttributes(key)) {
    if (type === A.ethertype) hasEthertype = true;
    const m = masks?.get(type);
    const nested = type === A.encap || type === A.tunnel || type === A.nsh;
    const wildcard = masks !== undefined && (m === undefined || isZero(m, 0, m.length));
    if (options.verbose !== true && wildcard && type !== A.encap) {
      // An Ethernet packet is told by its packet type or, where that is not shown, by eth().
      if (type === A.ethernet && !packetTypeShown) out.push('eth()');
      continue;
    }
    if (type === A.packetType) packetTypeShown = true;
    const shown = masks === undefined ? undefined : (m ?? new Uint8Array(nested ? 0 : payload.length));
    out.push(formatOdpAttribute(type, payload, shown, options));
  }
  if (!hasEthertype) {
    const m = masks?.get(A.ethertype);
    if (m) out.push(`eth_type(0/${hexPadded(be16(m, 0), 4)})`);
  }
  return out.join(',');
}

/** One attribute with its name: `eth(src=..,dst=..)`. An absent mask means exact. */
export function formatOdpAttribute(
  type: number,
  value: Uint8Array,
  mask: Uint8Array | undefined,
  options: OdpKeyFormat = {},
): string {
  const spec = keySpecs.get(type);
  if (!spec) return `key${type}(${hexDump(value)}${mask ? `/${hexDump(mask)}` : ''})`;
  const sized = spec.size === 0 || (type === A.mpls ? value.length % 4 === 0 : value.length >= spec.size);
  if (!sized || (mask !== undefined && spec.size !== 0 && mask.length < Math.min(value.length, spec.size))) {
    return `${spec.name}(bad key length ${value.length}, expected ${spec.size})`;
  }
  return `${spec.name}(${formatBody(type, value, mask, options)})`;
}

function formatBody(type: number, v: Uint8Array, m: Uint8Array | undefined, options: OdpKeyFormat): string {
  const verbose = options.verbose === true;
  switch (type) {
    case A.encap:
      return v.length === 0 ? '' : formatOdpAttributes(v, m, options);
    case A.tunnel:
      return formatTunnelBody(v, m, verbose);
    case A.nsh:
      return formatNshBody(v, m, verbose);
    case A.inPort: {
      const port = le32(v);
      const exact = m === undefined || isOnes(m, 0, 4);
      const name = exact ? options.ports?.byNumber(port) : undefined;
      return name ?? `${port}${exact ? '' : `/${hexNumber(le32(m))}`}`;
    }
    case A.ethertype: {
      const text = hexPadded(be16(v, 0), 4);
      return m === undefined || isOnes(m, 0, 2) ? text : `${text}/${hexPadded(be16(m, 0), 4)}`;
    }
    case A.ctState: {
      const state = le32(v);
      if (verbose) {
        const exact = m === undefined || isOnes(m, 0, 4);
        return `${hexNumber(state)}${exact ? '' : `/${hexNumber(le32(m))}`}`;
      }
      const mask = m === undefined ? 0xffffffff : le32(m);
      return mask === 0xffffffff
        ? formatFlags(ctStateNames, state, '|') || '0'
        : formatFlagsMasked(ctStateNames, state, mask);
    }
    case A.ctLabels:
      return `${hexLittle(v)}${m === undefined || isOnes(m, 0, 16) ? '' : `/${hexLittle(m)}`}`;
    case A.tcpFlags: {
      const flags = be16(v, 0);
      const mask = m === undefined ? 0xfff : be16(m, 0) & 0xfff;
      return mask === 0xfff
        ? formatFlags(tcpFlagNames, flags, '|')
        : formatFlagsMasked(tcpFlagNames, flags, mask);
    }
    case A.vlan:
      return formatVlan(be16(v, 0), m === undefined ? 0xffff : be16(m, 0), verbose);
    case A.mpls:
      return formatMpls(v, m);
    default: {
      const parts = keySpecs.get(type)?.parts ?? [];
      return parts
        .map((part) => formatPart(part, v, m, verbose))
        .filter((s) => s !== '')
        .join(',');
    }
  }
}

/** ct_label attributes hold the network-order bytes; the number printed is big-endian. */
function hexLittle(bytes: Uint8Array): string {
  return hexBytes(bytes.subarray(0, 16));
}

/** Hexadecimal with 0x, also of zero. */
function plainHex(bytes: Uint8Array): string {
  const s = hexBytes(bytes);
  return s === '0' ? '0x0' : s;
}

function hexDump(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
}

function formatPart(part: PartSpec, v: Uint8Array, m: Uint8Array | undefined, verbose: boolean): string {
  const size = partSizes[part.kind];
  const { at } = part;
  const empty = m !== undefined && isZero(m, at, size);
  if (empty && !verbose && part.name !== '') return '';
  const full = m === undefined || isFull(part, m, size);
  const name = part.name === '' ? '' : `${part.name}=`;
  const value = partText(part, v);
  if (full) return `${name}${value}`;
  return `${name}${value}/${maskText(part, m)}`;
}

function isFull(part: PartSpec, m: Uint8Array, size: number): boolean {
  if (part.bits !== undefined)
    return be32(m, part.at) >>> 0 === 2 ** part.bits - 1 || isOnes(m, part.at, size);
  return isOnes(m, part.at, size);
}

function partText(part: PartSpec, v: Uint8Array): string {
  const { at } = part;
  switch (part.kind) {
    case 'u8':
      return String(v[at] ?? 0);
    case 'u8x':
      return hexNumber(v[at] ?? 0);
    case 'be16':
      return String(be16(v, at));
    case 'be16x':
      return hexNumber(be16(v, at));
    case 'be32':
      return String(be32(v, at));
    case 'be32x':
      return hexNumber(be32(v, at));
    case 'u16x':
      return hexNumber(le16(v, at));
    case 'u32x':
      return hexNumber(le32(v, at));
    case 'mac':
      return formatMac(v, at);
    case 'ipv4':
      return formatIpv4(v, at);
    case 'ipv6':
      return formatIpv6(v, at);
    case 'frag':
      return ['no', 'first', 'later'][v[at] ?? 0] ?? '<error>';
  }
}

function maskText(part: PartSpec, m: Uint8Array): string {
  const { at } = part;
  switch (part.kind) {
    case 'mac':
      return formatMac(m, at);
    case 'ipv4':
      return formatIpv4(m, at);
    case 'ipv6':
      return formatIpv6(m, at);
    case 'u16x':
      return hexNumber(le16(m, at));
    case 'u32x':
      return hexNumber(le32(m, at));
    case 'be16':
    case 'be16x':
      return hexNumber(be16(m, at));
    case 'be32':
    case 'be32x':
      return hexNumber(be32(m, at));
    default:
      return hexNumber(m[at] ?? 0);
  }
}

function formatVlan(tci: number, mask: number, verbose: boolean): string {
  const out: string[] = [];
  const vidMask = mask & 0xfff;
  if (verbose || (tci & 0xfff) !== 0 || vidMask !== 0) {
    out.push(`vid=${tci & 0xfff}${vidMask === 0xfff ? '' : `/0x${vidMask.toString(16)}`}`);
  }
  const pcpMask = mask >>> 13;
  if (verbose || tci >>> 13 !== 0 || pcpMask !== 0) {
    out.push(`pcp=${tci >>> 13}${pcpMask === 7 ? '' : `/0x${pcpMask.toString(16)}`}`);
  }
  if ((tci & 0x1000) === 0) out.push('cfi=0');
  return out.join(',');
}

function formatMpls(v: Uint8Array, m: Uint8Array | undefined): string {
  if (v.length === 4) {
    const lse = be32(v, 0);
    const parts = [lse >>> 12, (lse >>> 9) & 7, lse & 0xff, (lse >>> 8) & 1] as const;
    if (m === undefined || isOnes(m, 0, 4))
      return `label=${parts[0]},tc=${parts[1]},ttl=${parts[2]},bos=${parts[3]}`;
    const mask = be32(m, 0);
    const x = (n: number): string => n.toString(16);
    return (
      `label=${parts[0]}/0x${x(mask >>> 12)},tc=${parts[1]}/${x((mask >>> 9) & 7)},` +
      `ttl=${parts[2]}/0x${x(mask & 0xff)},bos=${parts[3]}/${x((mask >>> 8) & 1)}`
    );
  }
  const out: string[] = [];
  for (let i = 0; i < v.length; i += 4) {
    const mask = m === undefined || isOnes(m, i, 4) ? '' : `/${hexNumber(be32(m, i))}`;
    out.push(`lse${i / 4}=${hexNumber(be32(v, i))}${mask}`);
  }
  return out.join(',');
}

const tunnelParts: readonly (readonly [type: number, part: PartSpec])[] = [
  [T.ipv4Src, { name: 'src', kind: 'ipv4', at: 0 }],
  [T.ipv4Dst, { name: 'dst', kind: 'ipv4', at: 0 }],
  [T.ipv6Src, { name: 'ipv6_src', kind: 'ipv6', at: 0 }],
  [T.ipv6Dst, { name: 'ipv6_dst', kind: 'ipv6', at: 0 }],
  [T.tos, { name: 'tos', kind: 'u8x', at: 0 }],
  [T.ttl, { name: 'ttl', kind: 'u8', at: 0 }],
  [T.tpSrc, { name: 'tp_src', kind: 'be16', at: 0 }],
  [T.tpDst, { name: 'tp_dst', kind: 'be16', at: 0 }],
];

function formatTunnelBody(v: Uint8Array, m: Uint8Array | undefined, verbose: boolean): string {
  const masks = m === undefined ? undefined : attributeMap(m);
  const out: string[] = [];
  const flags: string[] = [];
  for (const { type, payload } of parseAttributes(v)) {
    const am = masks === undefined ? undefined : (masks.get(type) ?? new Uint8Array(payload.length));
    if (type === T.id && payload.length === 8) {
      if (am && isZero(am, 0, 8) && !verbose) continue;
      const id = plainHex(payload);
      out.push(am && !isOnes(am, 0, 8) ? `tun_id=${id}/${plainHex(am)}` : `tun_id=${id}`);
      flags.push('key');
      continue;
    }
    if (type === T.dontFragment) flags.push('df');
    else if (type === T.csum) flags.push('csum');
    else if (type === T.oam) flags.push('oam');
    const part = tunnelParts.find(([t]) => t === type)?.[1];
    if (part && payload.length === partSizes[part.kind]) {
      const text = formatPart(part, payload, am, verbose);
      if (text !== '') out.push(text);
    }
  }
  const whole = masks === undefined || [T.dontFragment, T.csum, T.oam].every((t) => masks.has(t));
  if (whole)
    out.push(`flags(${['df', 'csum', 'key', 'oam'].filter((f) => flags.includes(f)).join('|') || '0'})`);
  else {
    const bits = [
      [T.dontFragment, 'df'],
      [T.csum, 'csum'],
      [T.id, 'key'],
      [T.oam, 'oam'],
    ] as const;
    const shown = bits
      .filter(([t]) => masks.has(t))
      .map(([, name]) => (flags.includes(name) ? '+' : '-') + name)
      .join('');
    out.push(`flags(${shown})`);
  }
  return out.join(',');
}

const nshParts: readonly PartSpec[] = [
  { name: 'flags', kind: 'u8', at: 0 },
  { name: 'ttl', kind: 'u8', at: 1 },
  { name: 'mdtype', kind: 'u8', at: 2 },
  { name: 'np', kind: 'u8', at: 3 },
];

function formatNshBody(v: Uint8Array, m: Uint8Array | undefined, verbose: boolean): string {
  const values = attributeMap(v);
  const masks = m === undefined ? undefined : attributeMap(m);
  const base = values.get(OvsNshKeyAttr.base) ?? new Uint8Array(8);
  const baseMask = masks === undefined ? undefined : (masks.get(OvsNshKeyAttr.base) ?? new Uint8Array(8));
  const out = nshParts.map((p) => formatPart(p, base, baseMask, verbose));
  const path = be32(base, 4);
  const pathMask = baseMask === undefined ? 0xffffffff : be32(baseMask, 4);
  const spiMask = pathMask >>> 8;
  if (verbose || spiMask !== 0) {
    out.push(`spi=${hexNumber(path >>> 8)}${spiMask === 0xffffff ? '' : `/${hexNumber(spiMask)}`}`);
  }
  const siMask = pathMask & 0xff;
  if (verbose || siMask !== 0) out.push(`si=${path & 0xff}${siMask === 0xff ? '' : `/${hexNumber(siMask)}`}`);
  const md1 = values.get(OvsNshKeyAttr.md1);
  if (md1) {
    const mm = masks === undefined ? undefined : (masks.get(OvsNshKeyAttr.md1) ?? new Uint8Array(16));
    for (let i = 0; i < 4; i++)
      out.push(formatPart({ name: `c${i + 1}`, kind: 'be32x', at: 4 * i }, md1, mm, verbose));
  }
  return out.filter((s) => s !== '').join(',');
}
