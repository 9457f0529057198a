import { libc } from './libc.ts';

const POLLIN = 1;

/**
 * A poll(2) set that makes no garbage: `clear`, `add` for each descriptor, then `wait`.
 *
 * Layout of struct pollfd: s32 fd | s16 events | s16 revents. Belongs to one thread.
 */
export class PollSet {
  #words: Int32Array;
  #count = 0;
  constructor(capacity = 16) {
    this.#words = new Int32Array(capacity * 2);
  }
  get count(): number {
    return this.#count;
  }
  clear(): void {
    this.#count = 0;
  }
  /** @returns The index to ask `revents` for. */
  add(fd: number, events = POLLIN): number {
    if (this.#count * 2 === this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const at = this.#count++;
    this.#words[at * 2] = fd;
    this.#words[at * 2 + 1] = events & 0xffff;
    return at;
  }
  /** @param timeoutMs 0 = do not block, -1 = for ever. @returns Ready descriptors; 0 after a signal too. */
  wait(timeoutMs: number): number {
    const ready = libc.poll(this.#words, this.#count, timeoutMs);
    return ready < 0 ? 0 : ready;
  }
  revents(index: number): number {
    return (this.#words[index * 2 + 1] ?? 0) >>> 16;
  }
}
