import type { Core } from '../../arena/core.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { PmdPerfLayout } from '../../datapath/generated/pmd-perf.ts';
import type { Clock } from '../../util/clock.ts';

/** Counters of a pmd record that dpif-netdev/pmd-stats-show and pmd-perf-show tell. */
const counters = {
  rxPackets: PmdLayout.rxPackets,
  recirculations: PmdLayout.recirculations,
  simpleHits: PmdLayout.simpleHits,
  emcHits: PmdLayout.emcHits,
  smcHits: PmdLayout.smcHits,
  megaflowHits: PmdLayout.megaflowHits,
  subtableLookups: PmdLayout.subtableLookups,
  missOk: PmdLayout.missOk,
  missFailed: PmdLayout.missFailed,
  txPackets: PmdLayout.txPackets,
  txBatches: PmdLayout.txBatches,
  idleNs: PmdLayout.idleNs,
  busyNs: PmdLayout.busyNs,
  sleepNs: PmdLayout.sleepNs,
  idleIterations: PmdLayout.idleIterations,
  busyIterations: PmdLayout.busyIterations,
  sleepIterations: PmdLayout.sleepIterations,
  upcallNs: PmdLayout.upcallNs,
} as const;
type CounterName = keyof typeof counters;
const names = Object.keys(counters) as CounterName[];

/** Times in nanoseconds; `sinceMs` is how long they have been counted. */
export type PmdNumbers = Readonly<Record<CounterName, number>> & { readonly sinceMs: number };

/**
 * The counters of a PMD since they were last cleared. Clearing notes where they stand, so that the thread,
 * their only writer, need not be asked. Main only.
 */
export class PmdMeter {
  readonly #core: Core;
  readonly #pmd: number;
  readonly #clock: Clock;
  #startMs: number;
  #zero: Record<CounterName, number>;

  constructor(core: Core, pmd: number, clock: Clock) {
    this.#core = core;
    this.#pmd = pmd;
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#zero = this.#raw();
  }

  #raw(): Record<CounterName, number> {
    const { dv } = this.#core;
    const entries = names.map((name) => [name, dv.getFloat64(this.#pmd + counters[name], true)] as const);
    const raw = Object.fromEntries(entries) as Record<CounterName, number>;
    const blockedAtMs = dv.getFloat64(this.#pmd + PmdLayout.blockedAtMs, true);
    if (blockedAtMs > 0) raw.sleepNs += Math.max(0, this.#clock.nowMs() - blockedAtMs) * 1e6;
    return raw;
  }

  read(): PmdNumbers {
    const raw = this.#raw();
    for (const name of names) raw[name] = Math.max(0, raw[name] - this.#zero[name]);
    return { ...raw, sinceMs: this.#clock.nowMs() - this.#startMs };
  }

  /** dpif-netdev/pmd-stats-clear: histograms start over too, with the thread's next iteration. */
  clear(): void {
    this.#zero = this.#raw();
    this.#startMs = this.#clock.nowMs();
    const { dv } = this.#core;
    const perf = dv.getUint32(this.#pmd + PmdLayout.perf, true);
    if (perf === 0) return;
    const at = perf + PmdPerfLayout.clear;
    dv.setUint32(at, (dv.getUint32(at, true) + 1) >>> 0, true);
  }
}
