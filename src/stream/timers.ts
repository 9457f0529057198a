/**
 * Timers for code that is driven by sockets: the one place of this layer that arms real ones.
 * Tests and simulations inject `ManualTimers`.
 */
import { ManualClock, SystemClock } from '../util/clock.ts';
import type { Clock } from '../util/clock.ts';

export interface Timers {
  readonly clock: Clock;
  /** Calls `fn` once after `delayMs`; the result cancels it. */
  after(delayMs: number, fn: () => void): () => void;
}

/** The host's timers. They do not keep the process alive unless `isRef`. */
export class SystemTimers implements Timers {
  readonly clock: Clock;
  readonly #isRef: boolean;
  constructor(clock: Clock = new SystemClock(), isRef = true) {
    this.clock = clock;
    this.#isRef = isRef;
  }
  after(delayMs: number, fn: () => void): () => void {
    const timer = setTimeout(fn, Math.min(Math.max(0, Math.ceil(delayMs)), 0x7fffffff));
    if (!this.#isRef) timer.unref();
    return () => clearTimeout(timer);
  }
}

/** Timers that fire only inside `advance`. */
export class ManualTimers implements Timers {
  readonly clock = new ManualClock(0);
  #pending: { atMs: number; fn: () => void }[] = [];
  after(delayMs: number, fn: () => void): () => void {
    const entry = { atMs: this.clock.nowMs() + Math.max(0, delayMs), fn };
    this.#pending.push(entry);
    return () => {
      this.#pending = this.#pending.filter((e) => e !== entry);
    };
  }
  advance(ms: number): void {
    const endMs = this.clock.nowMs() + ms;
    for (;;) {
      const due = this.#pending.filter((e) => e.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#pending = this.#pending.filter((e) => e !== due);
      this.clock.advance(Math.max(0, due.atMs - this.clock.nowMs()));
      due.fn();
    }
    this.clock.advance(endMs - this.clock.nowMs());
  }
}
