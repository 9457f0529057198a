import {
  formatIpv4,
  formatIpv6,
  formatMac,
  parseIpv4,
  parseIpv6,
  parseMac,
  prefixLength,
  prefixMask,
} from '../wire/address.ts';
import { tcpFlagNames } from '../wire/ether-types.ts';
import { UsageError } from '../util/errors.ts';
import type { Field } from './fields.ts';
import { ctStateFlagNames, tunFlagNames } from './match-format.ts';
import { maskIsValid } from './match-set.ts';
import {
  be16,
  be32,
  formatFlags,
  formatFlagsMasked,
  hexBytes,
  hexNumber,
  hexPadded,
  putBe16,
  putBe32,
} from './numbers-text.ts';
import type { FlagNames } from './numbers-text.ts';
import { formatOfpPort, parseOfpPort } from './ofp-port-text.ts';
import type { PortMap } from './port-map.ts';
import { noPorts } from './port-map.ts';

/** A field's value and mask, big-endian, `field.bytes` each. */
export interface FieldValue {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

/**
 * Reads `value` or `value/mask` in the field's own format; `*` is a wildcard.
 *
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseFieldText(field: Field, text: string, ports: PortMap = noPorts): FieldValue {
  if (text === '*') return { value: new Uint8Array(field.bytes), mask: new Uint8Array(field.bytes) };
  const parsed = parseByFormat(field, text, ports);
  if (!maskIsValid(field, parsed.mask)) throw new UsageError(`${text}: invalid mask for field ${field.name}`);
  return parsed;
}

/**
 * Reads a value without a mask.
 *
 * @throws UsageError
 */
export function parseFieldValueText(field: Field, text: string, ports: PortMap = noPorts): Uint8Array {
  const { value, mask } = parseFieldText(field, text, ports);
  if (!mask.every((b) => b === 0xff)) throw new UsageError(`${text}: wildcards not allowed here`);
  return value;
}

function exact(value: Uint8Array): FieldValue {
  return { value, mask: new Uint8Array(value.length).fill(0xff) };
}

function parseByFormat(field: Field, text: string, ports: PortMap): FieldValue {
  switch (field.format) {
    case 'decimal':
    case 'hexadecimal':
      return parseInteger(field, text);
    case 'ethernet':
      return parseMasked(text, parseMac, `${text}: invalid Ethernet address`);
    case 'ipv4':
      return parseNetwork(
        text,
        parseIpv4,
        32,
        'invalid IP address',
        'IPv4 network prefix bits not between 0 and 32, inclusive',
      );
    case 'ipv6':
      return parseNetwork(
        text,
        parseIpv6,
        128,
        'invalid IPv6 address',
        'IPv6 network prefix bits not between 0 and 128, inclusive',
      );
    case 'ofp port': {
      const port = parseOfpPort(text, ports);
      if (port === undefined) throw new UsageError(`${text}: invalid or unknown port for ${field.name}`);
      return exact(Uint8Array.of((port >>> 8) & 0xff, port & 0xff));
    }
    case 'ofp port oxm': {
      const port = parseOfpPort(text, ports);
      if (port === undefined) throw new UsageError(`${text}: port value out of range for ${field.name}`);
      const value = new Uint8Array(4);
      putBe32(value, 0, port);
      return exact(value);
    }
    case 'frag':
      return parseFrag(text);
    case 'tcp flags':
      return parseFlagField(text, 'TCP', tcpFlagNames, 2, 0xfff);
    case 'ct state':
      return parseFlagField(text, 'ct_state', ctStateFlagNames, 4, 0xff);
    case 'tun flags':
      return parseFlagField(text, 'tunnel', tunFlagNames, 2, 1);
    case 'packet type':
      return parsePacketType(text);
  }
}

const integerText = /^(0[xX][0-9a-fA-F]+|\d+)$/;

/** Reads a decimal, hexadecimal or octal number; undefined for other text. */
export function parseUnsigned(text: string): bigint | undefined {
  if (!integerText.test(text)) return undefined;
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`);
  if (/^0\d+$/.test(text)) return undefined;
  return BigInt(text);
}

function parseInteger(field: Field, text: string): FieldValue {
  const slash = text.indexOf('/');
  const read = (part: string, what: string): Uint8Array => {
    const v = part.startsWith('-') && integerText.test(part.slice(1)) ? 1n << 1024n : parseUnsigned(part);
    if (v === undefined) throw new UsageError(`${text}: bad syntax for ${field.name} ${what}`);
    if (v >> BigInt(8 * field.bytes) !== 0n) {
      throw new UsageError(`${text}: value too large for ${field.bytes}-byte field ${field.name}`);
    }
    return bigintBytes(v, field.bytes);
  };
  if (slash < 0) return exact(read(text, 'value'));
  return { value: read(text.slice(0, slash), 'value'), mask: read(text.slice(slash + 1), 'mask') };
}

export function bigintBytes(v: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let rest = v;
  for (let i = length - 1; i >= 0; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}

export function bytesBigint(bytes: Uint8Array): bigint {
  let v = 0n;
  for (const b of bytes) v = (v << 8n) | BigInt(b);
  return v;
}

function parseMasked(text: string, read: (t: string) => Uint8Array | undefined, error: string): FieldValue {
  const slash = text.indexOf('/');
  const value = read(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? value?.map(() => 0xff) : read(text.slice(slash + 1));
  if (!value || !mask) throw new UsageError(error);
  return { value, mask };
}

function parseNetwork(
  text: string,
  read: (t: string) => Uint8Array | undefined,
  bits: number,
  badAddress: string,
  badPrefix: string,
): FieldValue {
  const slash = text.indexOf('/');
  const value = read(slash < 0 ? text : text.slice(0, slash));
  if (!value) throw new UsageError(`${text}: ${badAddress}`);
  if (slash < 0) return exact(value);
  const rest = text.slice(slash + 1);
  const mask = read(rest);
  if (mask) return { value, mask };
  if (!/^\d+$/.test(rest))
    throw new UsageError(
      `${text}: ${bits === 128 && /^[0-9a-fA-F:.]+$/.test(rest) ? 'Invalid IPv6 mask' : badAddress}`,
    );
  if (Number(rest) > bits) throw new UsageError(`${text}: ${badPrefix}`);
  return { value, mask: prefixMask(Number(rest), bits / 8) };
}

/** Names of ip_frag with value and mask. */
const fragNames: readonly (readonly [name: string, value: number, mask: number])[] = [
  ['no', 0, 3],
  ['yes', 1, 1],
  ['first', 1, 3],
  ['later', 3, 3],
  ['not_later', 0, 2],
];

function parseFrag(text: string): FieldValue {
  const found = fragNames.find(([name]) => name === text);
  if (!found) {
    throw new UsageError(
      `${text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"`,
    );
  }
  // All three bits of the mask byte's upper part are ones for an exact match.
  return { value: Uint8Array.of(found[1]), mask: Uint8Array.of(found[2] === 3 ? 0xff : found[2]) };
}

/** Flags of `+a-b` (masked), `a|b` or a number with an optional mask. */
export function parseFlags(
  text: string,
  what: string,
  names: FlagNames,
  allowed: number,
): { flags: number; mask: number } {
  const byName = (name: string): number => {
    const known = names.find(([, n]) => n === name);
    const bit = known?.[0] ?? 0;
    if (bit === 0 || (bit & allowed) === 0) throw new UsageError(`${name}: unknown ${what} flag(s)`);
    return bit;
  };
  if (/^\d/.test(text)) {
    const [v, m, ...more] = text.split('/');
    const value = parseUnsigned(v ?? '');
    const mask = m === undefined ? 0xffffffffn : parseUnsigned(m);
    if (value === undefined || mask === undefined || more.length > 0) {
      throw new UsageError(`${text}: unknown ${what} flag(s)`);
    }
    if ((value & ~BigInt(allowed)) !== 0n || (m !== undefined && (mask & ~BigInt(allowed)) !== 0n)) {
      throw new UsageError(`${text}: unknown ${what} flag(s)`);
    }
    return { flags: Number(value), mask: m === undefined ? 0xffffffff : Number(mask) };
  }
  if (/^[+-]/.test(text)) {
    let flags = 0;
    let mask = 0;
    for (const part of text.match(/[+-][^+-]*/g) ?? []) {
      const bit = byName(part.slice(1));
      if ((mask & bit) !== 0)
        throw new UsageError(`${part.slice(1)}: Each ${what} flag can be specified only once`);
      mask |= bit;
      if (part.startsWith('+')) flags |= bit;
    }
    return { flags, mask };
  }
  let flags = 0;
  for (const name of text.split('|')) flags |= byName(name);
  return { flags, mask: 0xffffffff };
}

function parseFlagField(
  text: string,
  what: string,
  names: FlagNames,
  bytes: number,
  allowed: number,
): FieldValue {
  const { flags, mask } = parseFlags(text, what, names, allowed);
  const put = (v: number): Uint8Array =>
    bigintBytes(BigInt(v >>> 0) & ((1n << BigInt(8 * bytes)) - 1n), bytes);
  return { value: put(flags), mask: put(mask) };
}

function parsePacketType(text: string): FieldValue {
  const fail = (rest: string, what: string): never => {
    throw new UsageError(`${rest}: bad syntax for packet type ${what}`);
  };
  if (!text.startsWith('(')) return fail(text, "missing '('");
  const rest = text.slice(1);
  const number = (t: string): bigint | undefined => {
    const v = parseUnsigned(t);
    return v === undefined || v > 0xffffn ? undefined : v;
  };
  const ns = number(/^\w*/.exec(rest)?.[0] ?? '');
  if (ns === undefined) return fail(rest, 'ns');
  const comma = rest.indexOf(',');
  if (comma < 0) return fail(rest, "missing ','");
  const tail = rest.slice(comma + 1);
  const type = number(/^\w*/.exec(tail)?.[0] ?? '');
  if (type === undefined) return fail(tail, 'ns_type');
  if (!/^\w*\)$/.test(tail)) return fail(tail, "missing ')'");
  const value = new Uint8Array(4);
  putBe16(value, 0, Number(ns));
  putBe16(value, 2, Number(type));
  return exact(value);
}

/**
 * Prints a value (and a mask unless all ones or absent) as OVS's `mf_format` does: in `set_field`, in
 * `dump-flows` of learned flows, in error texts. An all-zero mask is `ANY`.
 */
export function formatFieldText(
  field: Field,
  value: Uint8Array,
  mask?: Uint8Array,
  ports: PortMap = noPorts,
): string {
  if (mask?.every((b) => b === 0)) return 'ANY';
  const m = mask === undefined || mask.every((b) => b === 0xff) ? undefined : mask;
  const full = new Uint8Array(field.bytes).fill(0xff);
  switch (field.format) {
    case 'ofp port':
      if (m === undefined) return formatOfpPort(widenPort(be16(value, 0)), ports);
      return formatInteger(field, value, m);
    case 'ofp port oxm':
      if (m === undefined) return formatOfpPort(be32(value, 0), ports);
      return formatInteger(field, value, m);
    case 'decimal':
    case 'hexadecimal':
      return formatInteger(field, value, m);
    case 'ethernet':
      return m === undefined ? formatMac(value) : `${formatMac(value)}/${formatMac(m)}`;
    case 'ipv4': {
      const n = prefixLength(m ?? full);
      return n === 32 ? formatIpv4(value) : `${formatIpv4(value)}/${n < 0 ? formatIpv4(m ?? full) : n}`;
    }
    case 'ipv6': {
      const n = prefixLength(m ?? full);
      return n === 128 ? formatIpv6(value) : `${formatIpv6(value)}/${n < 0 ? formatIpv6(m ?? full) : n}`;
    }
    case 'frag': {
      const bits = (m?.[0] ?? 0xff) & 3;
      const v = (value[0] ?? 0) & bits;
      return fragNames.find(([, fv, fm]) => fv === v && fm === bits)?.[0] ?? '<error>';
    }
    case 'tcp flags': {
      const bits = m === undefined ? 0xfff : be16(m, 0) & 0xfff;
      return bits === 0xfff
        ? formatFlags(tcpFlagNames, be16(value, 0), '|') || '0'
        : formatFlagsMasked(tcpFlagNames, be16(value, 0), bits);
    }
    case 'ct state':
      return m === undefined
        ? formatFlags(ctStateFlagNames, be32(value, 0), '|') || '0'
        : formatFlagsMasked(ctStateFlagNames, be32(value, 0), be32(m, 0));
    case 'tun flags':
      return m === undefined
        ? formatFlags(tunFlagNames, be16(value, 0), '|') || '0'
        : formatFlagsMasked(tunFlagNames, be16(value, 0), be16(m, 0));
    case 'packet type': {
      const v = be32(value, 0);
      if (m === undefined) return `(${v >>> 16},${v >>> 16 === 1 ? hexNumber(v & 0xffff) : v & 0xffff})`;
      if (be32(m, 0) === 0xffff0000) return `(${v >>> 16},*)`;
      return `${hexPadded(v, 8)}/${hexPadded(be32(m, 0), 8)}`;
    }
  }
}

function widenPort(port: number): number {
  return port >= 0xff00 ? (port | 0xffff0000) >>> 0 : port;
}

function formatInteger(field: Field, value: Uint8Array, mask: Uint8Array | undefined): string {
  const v = field.format === 'hexadecimal' || field.bytes > 8 ? hexBytes(value) : String(bytesBigint(value));
  return mask === undefined ? v : `${v}/${hexBytes(mask)}`;
}
