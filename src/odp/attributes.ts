import { WireError } from '../util/errors.ts';

/** One netlink attribute: `type` without the nested flag, payload borrowed from the input. */
export interface Attribute {
  readonly type: number;
  readonly payload: Uint8Array;
}

/**
 * Splits bytes into netlink attributes.
 *
 * @throws WireError when a length does not fit.
 */
export function parseAttributes(bytes: Uint8Array): Attribute[] {
  const out: Attribute[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    const type = ((bytes[at + 2] ?? 0) | ((bytes[at + 3] ?? 0) << 8)) & 0x3fff;
    if (length < 4 || at + length > bytes.length) {
      throw new WireError('BAD_ATTRIBUTE', `attribute ${type} of ${length} bytes does not fit`, at);
    }
    out.push({ type, payload: bytes.subarray(at + 4, at + length) });
    at += (length + 3) & ~3;
  }
  if (at < bytes.length) throw new WireError('BAD_ATTRIBUTE', 'trailing bytes after attributes', at);
  return out;
}

/** Attributes by type; of two with one type the later counts. */
export function attributeMap(bytes: Uint8Array): Map<number, Uint8Array> {
  return new Map(parseAttributes(bytes).map((a) => [a.type, a.payload]));
}

export function le16(b: Uint8Array, at = 0): number {
  return (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8);
}

export function le32(b: Uint8Array, at = 0): number {
  return (le16(b, at) | (le16(b, at + 2) << 16)) >>> 0;
}

export function putLe32(b: Uint8Array, at: number, v: number): void {
  b[at] = v & 0xff;
  b[at + 1] = (v >>> 8) & 0xff;
  b[at + 2] = (v >>> 16) & 0xff;
  b[at + 3] = v >>> 24;
}
