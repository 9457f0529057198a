/** Numbers of flow text, with ovs-ofctl's error texts. */
import { UsageError } from '../util/errors.ts';
import { parseIpv4, parseMac } from '../wire/address.ts';

/** A C integer (decimal, 0x..., 0...); undefined when the text is none. */
export function parseInteger(text: string): bigint | undefined {
  const m = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.exec(text);
  const digits = m?.[2];
  if (!m || digits === undefined) return undefined;
  const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  return m[1] === '-' ? -value : value;
}

function parseSmall(text: string, name: string, max: bigint): number {
  const value = parseInteger(text);
  if (value === undefined || value < 0n || value > max) {
    throw new UsageError(`invalid ${name} "${text}"`);
  }
  return Number(value);
}

/** `name` is what the error calls it: `invalid idle_timeout "x"`. */
export function parseU8(text: string, name: string): number {
  return parseSmall(text, name, 0xffn);
}
export function parseU16(text: string, name: string): number {
  return parseSmall(text, name, 0xffffn);
}

export function parseU32(text: string): number {
  if (text === '') throw new UsageError('missing required numeric argument');
  const value = parseInteger(text);
  if (value === undefined || value > 0xffffffffn || value < -0x80000000n) {
    throw new UsageError(`invalid numeric format ${text}`);
  }
  return Number(BigInt.asUintN(32, value));
}

export function parseU64(text: string): bigint {
  if (text === '') throw new UsageError('missing required numeric argument');
  const value = parseInteger(text);
  if (value === undefined || value > 0xffffffffffffffffn)
    throw new UsageError(`invalid numeric format ${text}`);
  return BigInt.asUintN(64, value);
}

export function requireMac(text: string): Uint8Array {
  const mac = parseMac(text);
  if (!mac) throw new UsageError(`invalid mac address ${text}`);
  return mac;
}

export function requireIpv4(text: string): number {
  const ip = parseIpv4(text);
  if (!ip) throw new UsageError(`${text}: could not convert to IP address`);
  return new DataView(ip.buffer, ip.byteOffset).getUint32(0);
}
