/**
 * Cuts a byte stream into JSON values, whatever the sizes of the pieces it arrives in.
 *
 * A value ends where its brackets close; only then is it decoded and parsed. Text outside of an
 * object or array, invalid UTF-8, too deep nesting and too long values are errors, after which the
 * parser must not be used again: the peer has lost its place.
 */
import { JSON_MAX_HEIGHT, JsonError, parseJson } from './json.ts';
import type { Json } from './json.ts';

export class JsonStreamParser {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #height = 0;
  #isInString = false;
  #isEscaped = false;

  /** @param maxBytes Longest value accepted. */
  constructor(maxBytes = 128 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the stream stands inside a value. */
  get isPartial(): boolean {
    return this.#height > 0;
  }

  /**
   * Takes the next bytes and calls `onValue` for each value that they complete.
   *
   * `bytes` may be kept until its value is complete: the caller must not write to it afterwards.
   * @throws JsonError
   */
  feed(bytes: Uint8Array, onValue: (value: Json) => void): void {
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const c = bytes[at] ?? 0;
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (c === 0x5c) this.#isEscaped = true;
        else if (c === 0x22) this.#isInString = false;
        continue;
      }
      if (c === 0x7b || c === 0x5b) {
        if (this.#height++ === 0) start = at;
        if (this.#height > JSON_MAX_HEIGHT) {
          throw new JsonError(`input exceeds maximum nesting depth ${JSON_MAX_HEIGHT}`);
        }
      } else if (this.#height === 0) {
        if (c !== 0x20 && c !== 0x09 && c !== 0x0a && c !== 0x0d) {
          throw new JsonError('syntax error at beginning of input');
        }
      } else if (c === 0x22) this.#isInString = true;
      else if ((c === 0x7d || c === 0x5d) && --this.#height === 0) {
        onValue(parseJson(this.#decode(bytes.subarray(start, at + 1))));
      }
    }
    if (this.#height > 0) this.#keep(bytes.subarray(start));
  }

  #keep(bytes: Uint8Array): void {
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes > this.#maxBytes) {
      throw new JsonError(`input exceeds maximum length ${this.#maxBytes}`);
    }
    this.#pieces.push(bytes);
    if (this.#pieces.length > 1024) this.#pieces = [this.#join()];
  }

  #join(): Uint8Array {
    const whole = new Uint8Array(this.#pieceBytes);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  #decode(last: Uint8Array): string {
    let whole = last;
    if (this.#pieces.length > 0) {
      this.#keep(last);
      whole = this.#pieces.length === 1 ? (this.#pieces[0] ?? last) : this.#join();
      this.#pieces = [];
      this.#pieceBytes = 0;
    } else if (last.length > this.#maxBytes) {
      throw new JsonError(`input exceeds maximum length ${this.#maxBytes}`);
    }
    try {
      return this.#decoder.decode(whole);
    } catch {
      throw new JsonError('input is not valid UTF-8');
    }
  }
}
