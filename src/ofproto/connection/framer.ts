/**
 * Cuts a byte stream into OpenFlow messages by the length in their headers.
 *
 * A message is handed out whole, as a view of a copy that it shares with its neighbours. At most 64 KiB of an
 * unfinished message are kept, since the length field has 16 bits.
 */
export class MessageFramer {
  #held: Uint8Array = new Uint8Array(0);
  #length = 0;

  /**
   * Takes a piece of the stream.
   *
   * @param emit Gets each complete message; its bytes do not change any more.
   * @returns False when the stream lost its framing (a length below 8): the caller disconnects.
   */
  push(bytes: Uint8Array, emit: (message: Uint8Array) => void): boolean {
    let at = 0;
    if (this.#length > 0) {
      while (this.#length > 0 && at < bytes.length) {
        const want = this.#length < 4 ? 4 - this.#length : headerLength(this.#held, 0) - this.#length;
        const take = Math.min(want, bytes.length - at);
        this.#reserve(this.#length + take);
        this.#held.set(bytes.subarray(at, at + take), this.#length);
        this.#length += take;
        at += take;
        if (this.#length < 4) return true;
        const total = headerLength(this.#held, 0);
        if (total < 8) return false;
        if (this.#length === total) {
          emit(this.#held.slice(0, total));
          this.#length = 0;
        }
      }
    }
    // One copy for all messages of the piece: a flow_mod is smaller than what an array of its own costs.
    const own = bytes.slice(at);
    const base = at;
    while (bytes.length - at >= 4) {
      const total = headerLength(bytes, at);
      if (total < 8) return false;
      if (bytes.length - at < total) break;
      emit(own.subarray(at - base, at - base + total));
      at += total;
    }
    if (at < bytes.length) {
      this.#reserve(bytes.length - at);
      this.#held.set(bytes.subarray(at), 0);
      this.#length = bytes.length - at;
    }
    return true;
  }

  #reserve(size: number): void {
    if (this.#held.length >= size) return;
    const grown = new Uint8Array(Math.max(size, 2 * this.#held.length, 256));
    grown.set(this.#held.subarray(0, this.#length));
    this.#held = grown;
  }
}

function headerLength(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}
