/**
 * Growing writer and bounded reader of big-endian bytes: what all OpenFlow codecs are written with.
 *
 * A reader never goes past its end: a read that would throws the `OfpError` it was made with (the
 * length error of whatever is being decoded).
 */
import { OfpError } from '../util/errors.ts';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  /** Bytes written so far. */
  length = 0;

  /** Makes room; the buffer and its view may be others afterwards, so name them after the call. */
  #grow(more: number): number {
    const at = this.length;
    const need = at + more;
    if (need > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(need, this.#bytes.length * 2));
      bigger.set(this.#bytes);
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.length = need;
    return at;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }
  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }
  u64(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value);
    return this;
  }
  zeros(count: number): this {
    const at = this.#grow(count);
    this.#bytes.fill(0, at, at + count);
    return this;
  }
  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }
  /** UTF-8 text, cut or padded with zeros to `size`, always with a closing zero. */
  text(value: string, size: number): this {
    const encoded = textEncoder.encode(value).subarray(0, size - 1);
    return this.bytes(encoded).zeros(size - encoded.length);
  }
  /** Zeros up to a multiple of `multiple` bytes counted from `start`. */
  padTo(multiple: number, start = 0): this {
    return this.zeros((multiple - ((this.length - start) % multiple)) % multiple);
  }
  setU16(at: number, value: number): void {
    this.#view.setUint16(at, value);
  }
  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }
  setU8(at: number, value: number): void {
    this.#view.setUint8(at, value);
  }
  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
  /** A copy of [from, length). */
  from(from: number): Uint8Array {
    return this.#bytes.slice(from, this.length);
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #lengthError: string;
  readonly end: number;
  at: number;

  /** Reads [at, end) of `bytes`; `lengthError` is the OFPxxx code of reading past the end. */
  constructor(bytes: Uint8Array, lengthError = 'OFPBRC_BAD_LEN', at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#lengthError = lengthError;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  #take(count: number): number {
    if (count > this.end - this.at || count < 0) throw new OfpError(this.#lengthError);
    const at = this.at;
    this.at += count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }
  /** A copy. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.slice(at, at + count);
  }
  skip(count: number): void {
    this.#take(count);
  }
  /** Text up to the first zero of a field of `size` bytes. */
  text(size: number): string {
    const field = this.bytes(size);
    const zero = field.indexOf(0);
    return textDecoder.decode(zero < 0 ? field : field.subarray(0, zero));
  }
  /** A reader of the next `count` bytes, which this one skips. */
  sub(count: number, lengthError = this.#lengthError): ByteReader {
    const at = this.#take(count);
    return new ByteReader(this.#bytes, lengthError, at, at + count);
  }
  /** Whether the next `count` bytes are all zero; skips them. */
  allZeros(count: number): boolean {
    const at = this.#take(count);
    for (let i = at; i < at + count; i++) if (this.#bytes[i] !== 0) return false;
    return true;
  }
  /** Everything left, as a copy. */
  rest(): Uint8Array {
    return this.bytes(this.left);
  }
  peekU16(offset = 0): number {
    if (offset + 2 > this.left) throw new OfpError(this.#lengthError);
    return this.#view.getUint16(this.at + offset);
  }
  peekU32(offset = 0): number {
    if (offset + 4 > this.left) throw new OfpError(this.#lengthError);
    return this.#view.getUint32(this.at + offset);
  }
}
