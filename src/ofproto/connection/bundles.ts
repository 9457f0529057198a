/**
 * The bundles that a controller has open on one connection (OpenFlow 1.4 §6.8, EXT-230 for 1.3).
 *
 * Messages are kept as bytes, packed into large pieces: a bundle of a million flow_mods is no million
 * objects. Each was checked when it was added and is decoded again when the bundle is committed.
 *
 * Life cycle: open -> add messages -> close -> commit or discard. A step out of this order, or with flags that
 * differ from the first ones, ends the bundle; so does other_config:bundle-idle-timeout
 * without one.
 */
import { OfpError } from '../../util/errors.ts';

export interface Bundle {
  readonly id: number;
  /** OFPBF_ATOMIC = 1, OFPBF_ORDERED = 2. */
  readonly flags: number;
  isClosed: boolean;
  usedMs: number;
  /** The message that opened it: an error about its time-out refers to it. */
  readonly opener: Uint8Array;
  readonly messages: MessageStore;
}

const pieceBytes = 1 << 18;
const checkIntervalMs = 1000;

/** Messages one after the other. */
export class MessageStore {
  readonly #pieces: Uint8Array[] = [];
  #room = 0;
  count = 0;

  /** Copies a message in. */
  add(message: Uint8Array): void {
    let piece = this.#pieces.at(-1);
    if (piece === undefined || this.#room < message.length) {
      piece = new Uint8Array(Math.max(pieceBytes, message.length));
      this.#pieces.push(piece);
      this.#room = piece.length;
    }
    piece.set(message, piece.length - this.#room);
    this.#room -= message.length;
    this.count++;
  }

  /** Every message in order, as views; a length of 0 is the unused end of a piece. */
  *[Symbol.iterator](): Generator<Uint8Array> {
    for (const piece of this.#pieces) {
      for (let at = 0; at + 8 <= piece.length;) {
        const length = ((piece[at + 2] ?? 0) << 8) | (piece[at + 3] ?? 0);
        if (length === 0) break;
        yield piece.subarray(at, at + length);
        at += length;
      }
    }
  }
}

export class Bundles {
  readonly #bundles = new Map<number, Bundle>();
  /** When `expire` looks next; Infinity while there is no bundle. */
  expireAtMs = Infinity;

  /** @throws OfpError OFPBFC_BAD_ID when there is one with this id, which is gone then. */
  open(id: number, flags: number, opener: Uint8Array, nowMs: number): Bundle {
    if (this.#bundles.delete(id)) throw new OfpError('OFPBFC_BAD_ID');
    const messages = new MessageStore();
    const bundle: Bundle = { id, flags, isClosed: false, usedMs: nowMs, opener: opener.slice(), messages };
    this.#bundles.set(id, bundle);
    if (this.expireAtMs === Infinity) this.expireAtMs = nowMs + checkIntervalMs;
    return bundle;
  }

  /** The bundle to add a message to, opened if need be. @throws OfpError OFPBFC_BUNDLE_CLOSED, OFPBFC_BAD_FLAGS */
  toAdd(id: number, flags: number, opener: Uint8Array, nowMs: number): Bundle {
    const bundle = this.#bundles.get(id);
    if (bundle === undefined) return this.open(id, flags, opener, nowMs);
    if (bundle.isClosed) this.#end(bundle, 'OFPBFC_BUNDLE_CLOSED');
    if (bundle.flags !== flags) this.#end(bundle, 'OFPBFC_BAD_FLAGS');
    bundle.usedMs = nowMs;
    return bundle;
  }

  /** @throws OfpError OFPBFC_BAD_ID, OFPBFC_BUNDLE_CLOSED, OFPBFC_BAD_FLAGS */
  close(id: number, flags: number, nowMs: number): void {
    const bundle = this.#require(id);
    if (bundle.isClosed) this.#end(bundle, 'OFPBFC_BUNDLE_CLOSED');
    if (bundle.flags !== flags) this.#end(bundle, 'OFPBFC_BAD_FLAGS');
    bundle.usedMs = nowMs;
    bundle.isClosed = true;
  }

  /** Takes a bundle out, to commit or to discard it. @throws OfpError OFPBFC_BAD_ID */
  take(id: number): Bundle {
    const bundle = this.#require(id);
    this.#bundles.delete(id);
    return bundle;
  }

  /**
   * Once a second: ends bundles that have been idle too long.
   *
   * @param ended Hears of each.
   */
  expire(nowMs: number, idleTimeoutMs: number, ended: (bundle: Bundle) => void): void {
    if (nowMs < this.expireAtMs) return;
    for (const bundle of this.#bundles.values()) {
      if (bundle.usedMs > nowMs - idleTimeoutMs) continue;
      this.#bundles.delete(bundle.id);
      ended(bundle);
    }
    this.expireAtMs = this.#bundles.size === 0 ? Infinity : nowMs + checkIntervalMs;
  }

  clear(): void {
    this.#bundles.clear();
    this.expireAtMs = Infinity;
  }

  #require(id: number): Bundle {
    const bundle = this.#bundles.get(id);
    if (bundle === undefined) throw new OfpError('OFPBFC_BAD_ID');
    return bundle;
  }

  #end(bundle: Bundle, code: string): never {
    this.#bundles.delete(bundle.id);
    throw new OfpError(code);
  }
}
