import { parseIpv4, parseIpv6, parseMac, prefixMask } from '../wire/address.ts';
import { tcpFlagNames } from '../wire/ether-types.ts';
import { bigintBytes, parseFlags, parseUnsigned } from '../flow/field-text.ts';
import { putBe16, putBe32 } from '../flow/numbers-text.ts';
import { UsageError } from '../util/errors.ts';
import { OdpActionWriter } from './action-writer.ts';
import { putLe32 } from './attributes.ts';
import { ctStateNames, OvsKeyAttr as A, OvsNshKeyAttr, OvsTunnelKeyAttr as T } from './attrs.ts';
import type { OdpPortNames } from './key-format.ts';
import { odpKeyFromNetlink, odpMaskFromNetlink } from './key-netlink.ts';
import { keySpecs, keySpecsByName, partSizes } from './key-specs.ts';
import type { PartSpec } from './key-specs.ts';

/** A key and its mask as netlink attributes. */
export interface OdpAttributes {
  readonly key: Uint8Array;
  readonly mask: Uint8Array;
}

/**
 * Reads `recirc_id(0),in_port(1),eth(src=..,dst=..),...` as dpctl prints and takes it.
 *
 * Fields without a mask are exact, fields left out of an attribute are wildcarded.
 *
 * @throws UsageError `syntax error at ...`
 */
export function parseOdpAttributes(text: string, ports?: OdpPortNames): OdpAttributes {
  const key = new OdpActionWriter(new Uint8Array(4096));
  const mask = new OdpActionWriter(new Uint8Array(4096));
  const cursor = new Cursor(text);
  parseList(cursor, key, mask, ports, false);
  if (key.overflowed || mask.overflowed) throw new UsageError('flow key is too long');
  return { key: key.bytes().slice(), mask: mask.bytes().slice() };
}

/** A flow key and mask from their text. @throws UsageError */
export function parseOdpKeyText(text: string, ports?: OdpPortNames): { flow: Uint8Array; mask: Uint8Array } {
  const { key, mask } = parseOdpAttributes(text, ports);
  const flow = odpKeyFromNetlink(key);
  return { flow, mask: odpMaskFromNetlink(mask, flow) };
}

/**
 * Reads the inside of `set(..)`: one key attribute.
 *
 * @returns The attribute, and its mask when one was given.
 * @throws UsageError
 */
export function parseOneAttribute(
  text: string,
  ports?: OdpPortNames,
): { type: number; value: Uint8Array; mask: Uint8Array } {
  const { key, mask } = parseOdpAttributes(text, ports);
  const size = (key[0] ?? 0) | ((key[1] ?? 0) << 8);
  if (size < 4 || ((size + 3) & ~3) !== key.length) throw new UsageError(`syntax error at ${text}`);
  return {
    type: (key[2] ?? 0) | ((key[3] ?? 0) << 8),
    value: key.subarray(4, size),
    mask: mask.subarray(4, size),
  };
}

/** A place in a text. */
class Cursor {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get rest(): string {
    return this.#text.slice(this.at);
  }

  get done(): boolean {
    return this.at >= this.#text.length;
  }

  /** Takes what matches at this place (a sticky regular expression's first group, or all). */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const m = pattern.exec(this.#text);
    if (!m) return undefined;
    this.at += m[0].length;
    return m[1] ?? m[0];
  }

  fail(): never {
    throw new UsageError(`syntax error at ${this.rest}`);
  }
}

function parseList(
  c: Cursor,
  key: OdpActionWriter,
  mask: OdpActionWriter,
  ports: OdpPortNames | undefined,
  nested: boolean,
): void {
  for (;;) {
    c.take(/[, \t\r\n]*/y);
    if (c.done || (nested && c.rest.startsWith(')'))) return;
    const start = c.at;
    const name = c.take(/(\w+)\(/y);
    const spec = name === undefined ? undefined : keySpecsByName.get(name);
    if (!spec) {
      c.at = start;
      c.fail();
    }
    try {
      parseAttribute(c, spec.attr, key, mask, ports);
      if (c.take(/\)/y) === undefined) c.fail();
    } catch (error) {
      // The message shows the attribute from its start.
      c.at = start;
      throw error instanceof UsageError ? new UsageError(`syntax error at ${c.rest}`) : error;
    }
  }
}

function parseAttribute(
  c: Cursor,
  attr: number,
  key: OdpActionWriter,
  mask: OdpActionWriter,
  ports: OdpPortNames | undefined,
): void {
  const both = (value: Uint8Array, m: Uint8Array): void => {
    key.raw(attr, value);
    mask.raw(attr, m);
  };
  switch (attr) {
    case A.encap: {
      const k = key.beginNested(attr);
      const m = mask.beginNested(attr);
      parseList(c, key, mask, ports, true);
      key.endNested(k);
      mask.endNested(m);
      return;
    }
    case A.inPort: {
      const start = c.at;
      const body = c.take(/[^)/]+/y) ?? c.fail();
      const number = parseUnsigned(body);
      const port = number === undefined ? ports?.byName(body) : Number(number & 0xffffffffn);
      if (port === undefined) {
        c.at = start;
        c.fail();
      }
      both(le(port), le(c.take(/\//y) === undefined ? 0xffffffff : takeNumber(c, 4)));
      return;
    }
    case A.ethertype: {
      const value = takeNumber(c, 2);
      const m = c.take(/\//y) === undefined ? 0xffff : takeNumber(c, 2);
      // "eth_type(0/0xffff)" stands for a frame without Ethertype.
      if (value !== 0 || m !== 0xffff) key.be16(attr, value);
      mask.be16(attr, m);
      return;
    }
    case A.ctState:
    case A.tcpFlags: {
      const text = c.take(/[^)]*/y) ?? '';
      const tcp = attr === A.tcpFlags;
      const { flags, mask: m } = tcp
        ? parseFlags(text, 'TCP', tcpFlagNames, 0xffff)
        : parseFlags(text, 'ct_state', ctStateNames, 0xff);
      if (tcp) both(be(flags, 2), be(m & 0xffff, 2));
      else both(le(flags), le(m & 0xff));
      return;
    }
    case A.ctLabels: {
      const value = takeWide(c);
      both(value, c.take(/\//y) === undefined ? new Uint8Array(16).fill(0xff) : takeWide(c));
      return;
    }
    case A.vlan:
      parseVlan(c, both);
      return;
    case A.mpls:
      parseMpls(c, both);
      return;
    case A.tunnel:
      parseTunnel(c, key, mask);
      return;
    case A.nsh:
      parseNsh(c, key, mask);
      return;
    default:
      parseParts(c, attr, both);
  }
}

function le(v: number): Uint8Array {
  const b = new Uint8Array(4);
  putLe32(b, 0, v);
  return b;
}

function be(v: number, size: number): Uint8Array {
  return bigintBytes(BigInt(v >>> 0), size);
}

function takeNumber(c: Cursor, size: number): number {
  const start = c.at;
  const v = parseUnsigned(c.take(/\w+/y) ?? '');
  if (v === undefined || v >> BigInt(8 * size) !== 0n) {
    c.at = start;
    c.fail();
  }
  return Number(v);
}

function takeWide(c: Cursor): Uint8Array {
  const start = c.at;
  const v = parseUnsigned(c.take(/\w+/y) ?? '');
  if (v === undefined || v >> 128n !== 0n) {
    c.at = start;
    c.fail();
  }
  return bigintBytes(v, 16);
}

/** ct_tuple6 is printed with these names and read with the others too, as in OVS. */
const ct6Aliases: Readonly<Record<string, string>> = { src_port: 'tp_src', dst_port: 'tp_dst' };

type Put = (value: Uint8Array, mask: Uint8Array) => void;

function parseParts(c: Cursor, attr: number, put: Put): void {
  const spec = keySpecs.get(attr);
  if (!spec) c.fail();
  const value = new Uint8Array(spec.size);
  const mask = new Uint8Array(spec.size);
  const single = spec.parts[0];
  if (spec.parts.length === 1 && single?.name === '') {
    takePart(c, single, value, mask);
  } else {
    for (;;) {
      c.take(/[, ]*/y);
      if (c.done || c.rest.startsWith(')')) break;
      const start = c.at;
      const name = c.take(/(\w+)=/y);
      const part = spec.parts.find((p) => p.name === name || ct6Aliases[p.name] === name);
      if (!part) {
        c.at = start;
        c.fail();
      }
      takePart(c, part, value, mask);
    }
  }
  put(value, mask);
}

/** Reads `value[/mask]` of one part into both arrays. */
function takePart(c: Cursor, part: PartSpec, value: Uint8Array, mask: Uint8Array): void {
  const start = c.at;
  const text =
    c.take(part.kind === 'ipv6' || part.kind === 'mac' ? /[0-9a-fA-F:.]+/y : /[\w.<>]+/y) ?? c.fail();
  const v = readPart(part, text);
  let m: Uint8Array | undefined = new Uint8Array(partSizes[part.kind]).fill(0xff);
  if (part.bits !== undefined) m = be(2 ** part.bits - 1, 4);
  if (c.take(/\//y) !== undefined) {
    const maskText =
      c.take(part.kind === 'ipv6' || part.kind === 'mac' ? /[0-9a-fA-F:.]+/y : /[\w.]+/y) ?? '';
    m = readPartMask(part, maskText);
  }
  if (!v || !m) {
    c.at = start;
    c.fail();
  }
  value.set(v, part.at);
  mask.set(m, part.at);
}

function readPart(part: PartSpec, text: string): Uint8Array | undefined {
  if (part.kind === 'frag') {
    const i = ['no', 'first', 'later'].indexOf(text);
    return i < 0 ? undefined : Uint8Array.of(i);
  }
  return readScalar(part, text);
}

function readPartMask(part: PartSpec, text: string): Uint8Array | undefined {
  if ((part.kind === 'ipv4' || part.kind === 'ipv6') && /^\d+$/.test(text)) {
    const size = partSizes[part.kind];
    return Number(text) <= size * 8 ? prefixMask(Number(text), size) : undefined;
  }
  return readScalar(part, text);
}

function readScalar(part: PartSpec, text: string): Uint8Array | undefined {
  switch (part.kind) {
    case 'mac':
      return parseMac(text);
    case 'ipv4':
      return parseIpv4(text);
    case 'ipv6':
      return parseIpv6(text);
    default: {
      const size = partSizes[part.kind];
      const v = parseUnsigned(text);
      if (v === undefined || v >> BigInt(part.bits ?? 8 * size) !== 0n) return undefined;
      const bytes = bigintBytes(v, size);
      return part.kind === 'u16x' || part.kind === 'u32x' ? bytes.reverse() : bytes;
    }
  }
}

function parseVlan(c: Cursor, put: Put): void {
  let tci = 0x1000;
  let mask = 0x1000;
  const parts: Record<string, readonly [shift: number, full: number]> = {
    vid: [0, 0xfff],
    pcp: [13, 7],
    cfi: [12, 1],
  };
  for (;;) {
    c.take(/[, ]*/y);
    if (c.done || c.rest.startsWith(')')) break;
    const start = c.at;
    const part = parts[c.take(/(\w+)=/y) ?? ''];
    if (!part) {
      c.at = start;
      c.fail();
    }
    const [shift, full] = part;
    const v = takeNumber(c, 2);
    const m = c.take(/\//y) === undefined ? full : takeNumber(c, 2);
    if (v > full || m > full) {
      c.at = start;
      c.fail();
    }
    tci = (tci & ~(full << shift)) | (v << shift);
    mask = (mask & ~(full << shift)) | (m << shift);
  }
  put(be(tci, 2), be(mask, 2));
}

const lseParts: Readonly<Record<string, readonly [shift: number, full: number]>> = {
  label: [12, 0xfffff],
  tc: [9, 7],
  ttl: [0, 255],
  bos: [8, 1],
};

function parseMpls(c: Cursor, put: Put): void {
  const value = new Uint8Array(12);
  const mask = new Uint8Array(12);
  let n = 0;
  let lse = 0;
  let lseMask = 0;
  for (;;) {
    c.take(/[, ]*/y);
    if (c.done || c.rest.startsWith(')')) break;
    const start = c.at;
    const name = c.take(/(\w+)=/y) ?? '';
    const whole = /^lse([0-2])$/.exec(name);
    const part = lseParts[name];
    if (whole) {
      const i = Number(whole[1]);
      putBe32(value, 4 * i, takeNumber(c, 4));
      putBe32(mask, 4 * i, c.take(/\//y) === undefined ? 0xffffffff : takeNumber(c, 4));
      n = Math.max(n, i + 1);
    } else if (part && n === 0) {
      const v = takeNumber(c, 4);
      // The masks of tc and bos are printed without 0x; one digit either way.
      const m = c.take(/\//y) === undefined ? part[1] : takeNumber(c, 4);
      lse |= (v & part[1]) << part[0];
      lseMask |= (m & part[1]) << part[0];
    } else {
      c.at = start;
      c.fail();
    }
  }
  if (n === 0) {
    putBe32(value, 0, lse);
    putBe32(mask, 0, lseMask);
    n = 1;
  }
  put(value.slice(0, 4 * n), mask.slice(0, 4 * n));
}

const tunnelParts: ReadonlyMap<string, readonly [attr: number, part: PartSpec]> = new Map([
  ['src', [T.ipv4Src, { name: 'src', kind: 'ipv4', at: 0 }]],
  ['dst', [T.ipv4Dst, { name: 'dst', kind: 'ipv4', at: 0 }]],
  ['ipv6_src', [T.ipv6Src, { name: 'ipv6_src', kind: 'ipv6', at: 0 }]],
  ['ipv6_dst', [T.ipv6Dst, { name: 'ipv6_dst', kind: 'ipv6', at: 0 }]],
  ['tos', [T.tos, { name: 'tos', kind: 'u8x', at: 0 }]],
  ['ttl', [T.ttl, { name: 'ttl', kind: 'u8', at: 0 }]],
  ['tp_src', [T.tpSrc, { name: 'tp_src', kind: 'be16', at: 0 }]],
  ['tp_dst', [T.tpDst, { name: 'tp_dst', kind: 'be16', at: 0 }]],
]);

/** Flags of the text; that of the key comes with tun_id. */
const tunnelFlags = [
  [1, 'df', T.dontFragment],
  [2, 'csum', T.csum],
  [4, 'key', undefined],
  [8, 'oam', T.oam],
] as const;

function parseTunnel(c: Cursor, key: OdpActionWriter, mask: OdpActionWriter): void {
  const k = key.beginNested(A.tunnel);
  const m = mask.beginNested(A.tunnel);
  for (;;) {
    c.take(/[, ]*/y);
    if (c.done || c.rest.startsWith(')')) break;
    const start = c.at;
    if (c.take(/flags\(/y) !== undefined) {
      const text = c.take(/[^)]*/y) ?? '';
      const { flags, mask: m } = parseFlags(text === '' ? '0' : text, 'tunnel', tunnelFlags, 0xf);
      for (const [bit, , attr] of tunnelFlags) {
        if (attr === undefined) continue;
        if ((flags & bit) !== 0) key.flag(attr);
        if ((m & bit) !== 0) mask.flag(attr);
      }
      if (c.take(/\)/y) === undefined) c.fail();
      continue;
    }
    const name = c.take(/(\w+)=/y) ?? '';
    if (name === 'tun_id') {
      const value = takeWide(c);
      const idMask = c.take(/\//y) === undefined ? new Uint8Array(16).fill(0xff) : takeWide(c);
      key.raw(T.id, value.slice(8));
      mask.raw(T.id, idMask.slice(8));
      continue;
    }
    const part = tunnelParts.get(name);
    if (!part) {
      c.at = start;
      c.fail();
    }
    const size = partSizes[part[1].kind];
    const v = new Uint8Array(size);
    const vm = new Uint8Array(size);
    takePart(c, part[1], v, vm);
    key.raw(part[0], v);
    mask.raw(part[0], vm);
  }
  key.endNested(k);
  mask.endNested(m);
}

function parseNsh(c: Cursor, key: OdpActionWriter, mask: OdpActionWriter): void {
  const base = new Uint8Array(8);
  const baseMask = new Uint8Array(8);
  const md1 = new Uint8Array(16);
  const md1Mask = new Uint8Array(16);
  const bytes = ['flags', 'ttl', 'mdtype', 'np'];
  let path = 0;
  let pathMask = 0;
  for (;;) {
    c.take(/[, ]*/y);
    if (c.done || c.rest.startsWith(')')) break;
    const start = c.at;
    const name = c.take(/(\w+)=/y) ?? '';
    const i = bytes.indexOf(name);
    const context = /^c([1-4])$/.exec(name);
    if (i >= 0) {
      base[i] = takeNumber(c, 1);
      baseMask[i] = c.take(/\//y) === undefined ? 0xff : takeNumber(c, 1);
    } else if (context) {
      const at = 4 * (Number(context[1]) - 1);
      putBe32(md1, at, takeNumber(c, 4));
      putBe32(md1Mask, at, c.take(/\//y) === undefined ? 0xffffffff : takeNumber(c, 4));
    } else if (name === 'spi') {
      path |= takeNumber(c, 3) << 8;
      pathMask |= (c.take(/\//y) === undefined ? 0xffffff : takeNumber(c, 3)) << 8;
    } else if (name === 'si') {
      path |= takeNumber(c, 1);
      pathMask |= c.take(/\//y) === undefined ? 0xff : takeNumber(c, 1);
    } else {
      c.at = start;
      c.fail();
    }
  }
  putBe16(base, 4, path >>> 16);
  putBe16(base, 6, path & 0xffff);
  putBe16(baseMask, 4, pathMask >>> 16);
  putBe16(baseMask, 6, pathMask & 0xffff);
  for (const [w, b, d] of [
    [key, base, md1],
    [mask, baseMask, md1Mask],
  ] as const) {
    // prettier-ignore
    const nest = w.beginNested(A.nsh);
    w.raw(OvsNshKeyAttr.base, b);
    if (base[2] === 1) w.raw(OvsNshKeyAttr.md1, d);
    w.endNested(nest);
  }
}
