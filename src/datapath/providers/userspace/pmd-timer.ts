import type { Core } from '../../../arena/core.ts';
import type { Clock } from '../../../util/clock.ts';
import { PmdLayout } from '../../generated/pmd.ts';
import { RxqLayout } from '../../generated/rxq.ts';
import { tscHz } from '../../../sys/numa.ts';
import { PmdPerf } from './pmd-perf.ts';

// Fields of the accumulators, in the order of the counters in the record from idleNs on. NONE = not counted.
const IDLE = 0;
const BUSY = 1;
const SLEEP = 2;
const NONE = 3;
const ITERATIONS = 4;
const fields = 8;
const counterOffsets: readonly (readonly [slot: number, at: number, scale: number])[] = [
  [IDLE, PmdLayout.idleNs, 1e6],
  [BUSY, PmdLayout.busyNs, 1e6],
  [SLEEP, PmdLayout.sleepNs, 1e6],
  [ITERATIONS + IDLE, PmdLayout.idleIterations, 1],
  [ITERATIONS + BUSY, PmdLayout.busyIterations, 1],
  [ITERATIONS + SLEEP, PmdLayout.sleepIterations, 1],
];
/** Counters reach the arena at least this often while the thread runs. */
const flushMs = 1;
/** Time between iterations whose queues are measured one by one, with up to as much again by chance. */
const sampleMs = 0.05;
/** Busy time is shared out among the queues after this many samples, or when the thread blocks. */
const samplesToShare = 64;

/**
 * Where a PMD's time goes: busy and idle iterations, blocking, and each receive queue's share.
 *
 * An iteration lasts from the time that its step is given to that of the next, so the totals are whole and
 * cost no look at the clock. Queues are measured by sample, one iteration in 50-100 us, two looks at the
 * clock (40 ns each) for a queue with packets; the busy time since the last sharing-out is divided as the
 * samples were. Sums are kept here and stored to the arena once a millisecond. With `perf` set (other_config:
 * pmd-perf-metrics) each iteration goes into histograms and histories too (pmd-perf.ts).
 *
 * Time is the monotonic clock's, stored in nanoseconds. Threads: the PMD's own.
 */
export class PmdTimer {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #pmd: number;
  readonly #acc = new Float64Array(fields);
  #rxqs: readonly number[] = [];
  /** Samples of each queue, and the last place: of whole iterations. Milliseconds. */
  #samples = new Float64Array(1);
  #sampleCount = 0;
  /** Busy time that no queue has been credited with. */
  #unshared = 0;
  #state = NONE;
  #lastMs = 0;
  #markMs = 0;
  #sampleAtMs = 0;
  #flushAtMs = 0;
  #wasSampled = false;
  #random = 0x9e3779b9;
  #packets = 0;
  #batches = 0;
  #perf: PmdPerf | null = null;

  constructor(core: Core, clock: Clock, pmd: number) {
    this.#core = core;
    this.#clock = clock;
    this.#pmd = pmd;
  }

  /** @param rxqs Arena address of the `rxq` record of each queue, in the order in which they are polled; 0 = none. */
  setQueues(rxqs: readonly number[]): void {
    this.#share();
    this.#rxqs = rxqs;
    this.#samples = new Float64Array(rxqs.length + 1);
    this.#sampleCount = 0;
  }

  /** An iteration begins, and the one before ends. @returns Whether its queues are to be measured. */
  begin(nowMs: number): boolean {
    this.#account(nowMs);
    if (nowMs >= this.#flushAtMs) this.#flush(nowMs);
    if (nowMs < this.#sampleAtMs) return (this.#wasSampled = false);
    let r = this.#random;
    r ^= r << 13;
    r ^= r >>> 17;
    r ^= r << 5;
    this.#random = r;
    this.#sampleAtMs = nowMs + sampleMs * (1 + (r >>> 16) / 65536);
    return (this.#wasSampled = true);
  }

  #account(nowMs: number): void {
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    const state = this.#state;
    const acc = this.#acc;
    acc[state] = (acc[state] ?? 0) + elapsedMs;
    if (state === BUSY) {
      this.#unshared += elapsedMs;
      if (this.#wasSampled) {
        const last = this.#rxqs.length;
        this.#samples[last] = (this.#samples[last] ?? 0) + elapsedMs;
        if (++this.#sampleCount >= samplesToShare) this.#share();
      }
    }
    if (this.#perf !== null && state !== NONE && state !== SLEEP) {
      this.#perf.iteration(nowMs, elapsedMs * 1e6, this.#packets, this.#batches);
    }
  }

  /** Before a queue is polled, in an iteration whose queues are measured. */
  mark(): void {
    this.#markMs = this.#clock.nowMs();
  }

  /** After a queue gave packets and they are dealt with, since `mark`. @param index Of `setQueues`. */
  measured(index: number): void {
    this.#samples[index] = (this.#samples[index] ?? 0) + this.#clock.nowMs() - this.#markMs;
  }

  /** All queues have been polled. @param batches Queues that gave packets. */
  end(packets: number, batches: number): void {
    if (this.#rxqs.length === 0) {
      this.#state = NONE;
      return;
    }
    this.#packets = packets;
    this.#batches = batches;
    const state = packets > 0 ? BUSY : IDLE;
    this.#state = state;
    this.#acc[ITERATIONS + state] = (this.#acc[ITERATIONS + state] ?? 0) + 1;
  }

  /** @returns What `upcallsDone` wants to know. */
  upcallsBegin(): number {
    return this.#perf === null ? 0 : this.#clock.nowMs();
  }

  /** @param handled Upcalls that were handled since `upcallsBegin` gave `beganMs`. */
  upcallsDone(beganMs: number, handled: number): void {
    this.#perf?.upcalls(handled, beganMs === 0 ? 0 : (this.#clock.nowMs() - beganMs) * 1e6);
  }

  /** The thread is about to block; the time up to the next `begin` is sleep. */
  blocks(nowMs: number): void {
    this.#account(nowMs);
    const state = this.#state;
    if (state !== NONE) {
      this.#state = SLEEP;
      this.#acc[ITERATIONS + SLEEP] = (this.#acc[ITERATIONS + SLEEP] ?? 0) + 1;
    }
    this.#share();
    this.#flush(nowMs);
    if (state !== NONE) this.#core.dv.setFloat64(this.#pmd + PmdLayout.blockedAtMs, nowMs, true);
  }

  #flush(nowMs: number): void {
    const { dv } = this.#core;
    const pmd = this.#pmd;
    this.#flushAtMs = nowMs + flushMs;
    for (const [slot, at, scale] of counterOffsets) {
      dv.setFloat64(pmd + at, dv.getFloat64(pmd + at, true) + (this.#acc[slot] ?? 0) * scale, true);
    }
    this.#acc.fill(0);
    dv.setFloat64(pmd + PmdLayout.blockedAtMs, 0, true);
    const perf = dv.getUint32(pmd + PmdLayout.perf, true);
    if (perf !== (this.#perf?.address ?? 0)) {
      this.#perf = perf === 0 ? null : new PmdPerf(this.#core, pmd, perf, tscHz());
    }
  }

  /** Divides the busy time since last time among the queues. Without samples it waits for some. */
  #share(): void {
    const { dv } = this.#core;
    const total = this.#samples[this.#rxqs.length] ?? 0;
    if (total <= 0) return;
    const scale = (this.#unshared / total) * 1e6;
    this.#rxqs.forEach((rxq, i) => {
      if (rxq === 0) return;
      const at = rxq + RxqLayout.busyNs;
      dv.setFloat64(at, dv.getFloat64(at, true) + (this.#samples[i] ?? 0) * scale, true);
    });
    this.#unshared = 0;
    this.#sampleCount = 0;
    this.#samples.fill(0);
  }

  close(nowMs: number): void {
    this.#share();
    this.#flush(nowMs);
  }
}
