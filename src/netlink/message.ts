import { WireError } from '../util/errors.ts';

/**
 * Netlink messages and attributes: building, and reading with every length checked.
 *
 *   nlmsghdr  u32 length | u16 type | u16 flags | u32 sequence | u32 port
 *   nlattr    u16 length (header included) | u16 type | payload, padded to 4
 *
 * All in host byte order, which is little-endian on every machine that we run on.
 */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
const headerBytes = 16;
const attributeHeaderBytes = 4;
const typeMask = 0x3fff;

const align4 = (n: number): number => (n + 3) & ~3;

/** Writes one message into a buffer that grows. */
export class NetlinkWriter {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Starts over with a header; `finish` fills in the length. */
  begin(type: number, flags: number, sequence: number): this {
    this.#length = headerBytes;
    this.#bytes.fill(0);
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags, true);
    this.#view.setUint32(8, sequence, true);
    return this;
  }
  #reserve(size: number): number {
    const at = this.#length;
    const end = at + align4(size);
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(2 ** Math.ceil(Math.log2(end)));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = end;
    return at;
  }
  /** The family's fixed header after nlmsghdr. */
  fixed(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#reserve(bytes.length));
    return this;
  }
  attribute(type: number, payload: Uint8Array): this {
    const at = this.#reserve(attributeHeaderBytes + payload.length);
    this.#view.setUint16(at, attributeHeaderBytes + payload.length, true);
    this.#view.setUint16(at + 2, type, true);
    this.#bytes.set(payload, at + attributeHeaderBytes);
    return this;
  }
  u32(type: number, value: number): this {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, value, true);
    return this.attribute(type, payload);
  }
  /** NUL-terminated, as the kernel wants names. */
  string(type: number, text: string): this {
    return this.attribute(type, new TextEncoder().encode(`${text}\0`));
  }
  nested(type: number, fill: (writer: this) => void): this {
    const at = this.#reserve(attributeHeaderBytes);
    fill(this);
    this.#view.setUint16(at, this.#length - at, true);
    this.#view.setUint16(at + 2, type, true);
    return this;
  }
  /** @returns A copy of the message. */
  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }
}

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** After nlmsghdr; a view into the datagram. */
  readonly payload: Uint8Array;
}

/** Splits a datagram. @throws WireError when a length lies. */
export function* netlinkMessages(datagram: Uint8Array): Generator<NetlinkMessage> {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  let at = 0;
  while (datagram.length - at >= headerBytes) {
    const length = view.getUint32(at, true);
    if (length < headerBytes || at + length > datagram.length) {
      throw new WireError(
        'NLMSG_LENGTH',
        `netlink message of ${length} bytes at ${at} of ${datagram.length}`,
        at,
      );
    }
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: datagram.subarray(at + headerBytes, at + length),
    };
    at += align4(length);
  }
}

/** Attributes by type (the last of a kind wins); views into `bytes`. @throws WireError */
export function netlinkAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = new Map<number, Uint8Array>();
  let at = 0;
  while (bytes.length - at >= attributeHeaderBytes) {
    const length = view.getUint16(at, true);
    if (length < attributeHeaderBytes || at + length > bytes.length) {
      throw new WireError(
        'NLA_LENGTH',
        `netlink attribute of ${length} bytes at ${at} of ${bytes.length}`,
        at,
      );
    }
    found.set(
      view.getUint16(at + 2, true) & typeMask,
      bytes.subarray(at + attributeHeaderBytes, at + length),
    );
    at += align4(length);
  }
  return found;
}

/** First four bytes as a number, or `absent` when there are fewer. */
export function readU32(payload: Uint8Array | undefined, absent: number): number {
  if (payload === undefined || payload.length < 4) return absent;
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
}

/** Text up to the first NUL. */
export function readString(payload: Uint8Array | undefined): string {
  if (payload === undefined) return '';
  const end = payload.indexOf(0);
  return new TextDecoder().decode(end < 0 ? payload : payload.subarray(0, end));
}
