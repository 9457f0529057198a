import { readBits } from './bits.ts';
import { formatIpv4, formatIpv6, formatMac, formatHex, prefixLength } from '../wire/address.ts';

/**
 * Masked values as OVS prints them. Every function appends `name=value,` or, for a zero mask,
 * nothing; `f` and `m` are a key and its mask, `at` the place of the value in both.
 */

export function be16(key: Uint8Array, at: number): number {
  return ((key[at] ?? 0) << 8) | (key[at + 1] ?? 0);
}

export function be32(key: Uint8Array, at: number): number {
  return readBits(key, at + 4, 0, 32);
}

export function putBe16(key: Uint8Array, at: number, value: number): void {
  key[at] = (value >>> 8) & 0xff;
  key[at + 1] = value & 0xff;
}

export function putBe32(key: Uint8Array, at: number, value: number): void {
  putBe16(key, at, value >>> 16);
  putBe16(key, at + 2, value & 0xffff);
}

export function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

export function isOnes(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0xff) return false;
  return true;
}

/** C's "%#x": zero has no prefix. */
export function hexNumber(v: number | bigint): string {
  return v === 0 || v === 0n ? '0' : `0x${v.toString(16)}`;
}

export function hexPadded(v: number, digits: number): string {
  return `0x${v.toString(16).padStart(digits, '0')}`;
}

/** Bytes as one number in "%#x" form, as OVS prints ct_label and the like. */
export function hexBytes(bytes: Uint8Array): string {
  const digits = formatHex(bytes).replace(/^0+/, '');
  return digits === '' ? '0' : `0x${digits}`;
}

export function u32Hex(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  return hexMasked(name, be32(f, at), be32(m, at), 0xffffffff);
}

function hexMasked(name: string, value: number, mask: number, full: number): string {
  if (mask === 0) return '';
  return mask === full ? `${name}=${hexNumber(value)},` : `${name}=${hexNumber(value)}/${hexNumber(mask)},`;
}

/** Decimal when exact, hexadecimal with a mask. */
export function decMasked(name: string, value: number, mask: number, full: number): string {
  if (mask === 0) return '';
  if (mask === full) return `${name}=${value},`;
  return `${name}=0x${value.toString(16)}/0x${mask.toString(16)},`;
}

export function be16Dec(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  return decMasked(name, be16(f, at), be16(m, at), 0xffff);
}

export function be32Dec(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  return decMasked(name, be32(f, at), be32(m, at), 0xffffffff);
}

/** Wide hexadecimal: be64 and 128-bit labels. */
export function wideHex(name: string, f: Uint8Array, m: Uint8Array, at: number, length: number): string {
  if (isZero(m, at, length)) return '';
  const value = `${name}=${hexBytes(f.subarray(at, at + length))}`;
  return isOnes(m, at, length) ? `${value},` : `${value}/${hexBytes(m.subarray(at, at + length))},`;
}

export function macMasked(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  if (isZero(m, at, 6)) return '';
  return `${name}=${macWithMask(f, m, at)},`;
}

function macWithMask(f: Uint8Array, m: Uint8Array, at: number): string {
  return isOnes(m, at, 6) ? formatMac(f, at) : `${formatMac(f, at)}/${formatMac(m, at)}`;
}

export function ipv4Masked(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  if (isZero(m, at, 4)) return '';
  return `${name}=${ipv4WithMask(f, m, at)},`;
}

/** `1.2.3.4`, `1.2.3.0/24` or `1.2.0.4/255.255.0.255`. */
function ipv4WithMask(f: Uint8Array, m: Uint8Array, at: number): string {
  const n = prefixLength(m, at, 4);
  const ip = formatIpv4(f, at);
  return n === 32 ? ip : n < 0 ? `${ip}/${formatIpv4(m, at)}` : `${ip}/${n}`;
}

export function ipv6Masked(name: string, f: Uint8Array, m: Uint8Array, at: number): string {
  if (isZero(m, at, 16)) return '';
  return `${name}=${ipv6WithMask(f, m, at)},`;
}

function ipv6WithMask(f: Uint8Array, m: Uint8Array, at: number): string {
  const n = prefixLength(m, at, 16);
  const ip = formatIpv6(f, at);
  return n === 128 ? ip : n < 0 ? `${ip}/${formatIpv6(m, at)}` : `${ip}/${n}`;
}

export type FlagNames = readonly (readonly [bit: number, name: string, ...rest: unknown[]])[];

/** Set flags joined by `separator`; unknown bits as one hexadecimal number; "" when none. */
export function formatFlags(names: FlagNames, value: number, separator: string): string {
  const out: string[] = [];
  let rest = value;
  for (const [bit, name] of names) {
    if ((rest & bit) !== 0) {
      out.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0) out.push(`0x${(rest >>> 0).toString(16)}`);
  return out.join(separator);
}

/** `+a-b` for the bits of the mask; unknown bits as numbers. */
export function formatFlagsMasked(names: FlagNames, value: number, mask: number): string {
  let s = '';
  let known = 0;
  for (const [bit, name] of names) {
    known |= bit;
    if ((mask & bit) !== 0) s += ((value & bit) !== 0 ? '+' : '-') + name;
  }
  for (let bit = 1, i = 0; i < 32; i++, bit *= 2) {
    if ((mask & bit & ~known) === 0) continue;
    s += `${(value & bit) !== 0 ? '+' : '-'}[${bit.toString(16)}]`;
  }
  return s;
}
