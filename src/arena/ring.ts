import { BugError } from '../util/errors.ts';
import type { Core } from './core.ts';
import { allocOrThrow } from './core.ts';

/** Offsets in the ring block: producer and consumer words on lines of their own. */
const HEAD = 0;
const DROPPED = 4;
const TAIL = 64;
const CAPACITY = 128;
const DATA = 192;
/** Kind of the record that fills the end of the buffer before the wrap. */
const KIND_PAD = 0xffff_ffff;

/**
 * A bounded FIFO of records {kind, bytes} from one thread to another, in the arena: packet-ins, log
 * lines and other events for main.
 *
 * One thread pushes, one drains. A record is {u32 length, u32 kind, bytes padded to 8} and never
 * wraps. Head and tail count bytes modulo 2^32. A record that does not fit is dropped and counted.
 */
export class EventRing {
  readonly #core: Core;
  readonly address: number;
  readonly #capacity: number;

  /** Opens the ring at `address`, made by `create`, from any thread. */
  constructor(core: Core, address: number) {
    this.#core = core;
    this.address = address;
    this.#capacity = core.dv.getUint32(address + CAPACITY, true);
    if (this.#capacity === 0) throw new BugError('not an event ring');
  }

  /** A new ring; `capacity` in bytes is a power of two. */
  static create(core: Core, capacity: number): EventRing {
    if (capacity < 64 || (capacity & (capacity - 1)) !== 0)
      throw new BugError('ring capacity is no power of two');
    const address = allocOrThrow(core, DATA + capacity);
    core.dv.setUint32(address + CAPACITY, capacity, true);
    return new EventRing(core, address);
  }

  /** Records that did not fit so far. */
  get dropped(): number {
    return Atomics.load(this.#core.u32, (this.address + DROPPED) >>> 2);
  }

  get isEmpty(): boolean {
    const { u32 } = this.#core;
    return Atomics.load(u32, (this.address + HEAD) >>> 2) === Atomics.load(u32, (this.address + TAIL) >>> 2);
  }

  /** Producer: appends a copy of `bytes`; false when it does not fit (counted). `kind` < 2^32 - 1. */
  tryPush(kind: number, bytes: Uint8Array): boolean {
    const { u32, u8, dv } = this.#core;
    const head = Atomics.load(u32, (this.address + HEAD) >>> 2);
    const tail = Atomics.load(u32, (this.address + TAIL) >>> 2);
    const need = 8 + ((bytes.length + 7) & ~7);
    let at = head & (this.#capacity - 1);
    const pad = this.#capacity - at < need ? this.#capacity - at : 0;
    if (bytes.length > this.#capacity || need + pad > this.#capacity - ((head - tail) >>> 0)) {
      Atomics.add(u32, (this.address + DROPPED) >>> 2, 1);
      return false;
    }
    if (pad > 0) {
      dv.setUint32(this.address + DATA + at, pad - 8, true);
      dv.setUint32(this.address + DATA + at + 4, KIND_PAD, true);
      at = 0;
    }
    const record = this.address + DATA + at;
    dv.setUint32(record, bytes.length, true);
    dv.setUint32(record + 4, kind, true);
    u8.set(bytes, record + 8);
    Atomics.store(u32, (this.address + HEAD) >>> 2, (head + pad + need) >>> 0);
    return true;
  }

  /**
   * Consumer: calls `fn` for up to `max` records in order; `bytes` is a view into the ring, valid
   * during the call only. Returns the number of records.
   */
  drain(fn: (kind: number, bytes: Uint8Array) => void, max = Infinity): number {
    const { u32, u8, dv } = this.#core;
    const head = Atomics.load(u32, (this.address + HEAD) >>> 2);
    let tail = Atomics.load(u32, (this.address + TAIL) >>> 2);
    let count = 0;
    while (tail !== head && count < max) {
      const record = this.address + DATA + (tail & (this.#capacity - 1));
      const length = dv.getUint32(record, true);
      const kind = dv.getUint32(record + 4, true);
      tail = (tail + 8 + ((length + 7) & ~7)) >>> 0;
      if (kind !== KIND_PAD) {
        fn(kind, u8.subarray(record + 8, record + 8 + length));
        count++;
      }
      Atomics.store(u32, (this.address + TAIL) >>> 2, tail);
    }
    return count;
  }

  /** Frees the ring; neither side may use it any more. */
  destroy(): void {
    this.#core.x.free(this.address);
  }
}
