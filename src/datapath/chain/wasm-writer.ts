/**
 * Bytes of a small WebAssembly module, written front to back: just what chain.ts needs of the binary
 * format (WebAssembly core specification, chapter 5).
 */
export class WasmWriter {
  #bytes = new Uint8Array(4096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(...values: readonly number[]): this {
    this.#reserve(values.length);
    for (const value of values) this.#bytes[this.#length++] = value;
    return this;
  }

  /** LEB128 of an unsigned number below 2^32. */
  u32(value: number): this {
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  /** LEB128 of a signed number of up to 64 bits. */
  signed(value: bigint): this {
    this.#reserve(10);
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
      this.#bytes[this.#length++] = done ? low : low | 0x80;
      if (done) return this;
    }
  }

  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u32(bytes.length).bytes(bytes);
  }

  /** A section or a function body: `content` behind its length. */
  sized(content: WasmWriter): this {
    return this.u32(content.length).bytes(content.finish());
  }

  /** What was written so far; a view that the next write may end. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const bigger = new Uint8Array(2 * (this.#length + more));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
  }
}
