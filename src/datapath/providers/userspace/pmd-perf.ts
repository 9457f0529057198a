import type { Core } from '../../../arena/core.ts';
import { allocOrThrow } from '../../../arena/core.ts';
import { counter } from '../../../util/counters.ts';
import { vlog } from '../../../util/log.ts';
import { PERF_BINS, PERF_HISTOGRAMS, PERF_HISTORY } from '../../datapath.layout.ts';
import { PerfRecordLayout } from '../../generated/perf-record.ts';
import { PmdLayout } from '../../generated/pmd.ts';
import { PmdPerfLayout } from '../../generated/pmd-perf.ts';
import { perfBin } from './perf-histogram.ts';
import { formatIterationRow, iterationHeading, readPerfHistory } from './perf-record.ts';

const log = vlog('pmd_perf');
const suspicious = counter('pmd_perf_log_susp_iteration_neighborhood');
const histogramBytes = 8 * PERF_BINS * PERF_HISTOGRAMS;
const recordBytes = PerfRecordLayout.size;
const [CYCLES, PACKETS, CYCLES_PER_PACKET, BATCH, QUEUE, UPCALLS, CYCLES_PER_UPCALL] = [0, 1, 2, 3, 4, 5, 6];

/** Makes the block of a PMD's metrics. Main. @throws ArenaFullError */
export function createPerf(core: Core): number {
  const size = PmdPerfLayout.size + histogramBytes + recordBytes * (2 * PERF_HISTORY + 1);
  const perf = allocOrThrow(core, size);
  const { dv } = core;
  const histograms = perf + PmdPerfLayout.size;
  dv.setUint32(perf + PmdPerfLayout.histograms, histograms, true);
  dv.setUint32(perf + PmdPerfLayout.totals, histograms + histogramBytes, true);
  dv.setUint32(perf + PmdPerfLayout.iterations, histograms + histogramBytes + recordBytes, true);
  dv.setUint32(
    perf + PmdPerfLayout.milliseconds,
    histograms + histogramBytes + recordBytes * (1 + PERF_HISTORY),
    true,
  );
  return perf;
}

/**
 * Histograms and histories of a PMD's iterations while other_config:pmd-perf-metrics is on, and the log
 * of suspicious iterations. Threads: the PMD's writes, main reads (one value may be newer than another).
 *
 * Costs some 100 ns an iteration, no allocation but for a logged neighbourhood.
 */
export class PmdPerf {
  readonly address: number;
  readonly #core: Core;
  readonly #pmd: number;
  readonly #cyclesPerNs: number;
  #upcalls = 0;
  #upcallNs = 0;
  /** Iteration that is suspicious and whose neighbourhood is yet to be logged, 0 = none. */
  #suspect = 0;
  #logAt = 0;

  constructor(core: Core, pmd: number, perf: number, tscHz: number) {
    this.#core = core;
    this.#pmd = pmd;
    this.address = perf;
    this.#cyclesPerNs = tscHz / 1e9;
  }

  /** Upcalls of the running iteration. */
  upcalls(handled: number, ns: number): void {
    this.#upcalls += handled;
    this.#upcallNs += ns;
  }

  /** An iteration that is over. @param nowMs Its end. @param batches Queues that gave packets. */
  iteration(nowMs: number, ns: number, packets: number, batches: number): void {
    const { dv } = this.#core;
    const perf = this.address;
    if (dv.getUint32(perf + PmdPerfLayout.clear, true) !== dv.getUint32(perf + PmdPerfLayout.cleared, true)) {
      this.#clear();
    }
    const cycles = ns * this.#cyclesPerNs;
    this.#sample(CYCLES, cycles);
    this.#sample(PACKETS, packets);
    this.#sample(QUEUE, 0);
    this.#sample(UPCALLS, this.#upcalls);
    if (packets > 0) {
      this.#sample(CYCLES_PER_PACKET, cycles / packets);
      for (let i = 0; i < batches; i++) this.#sample(BATCH, packets / batches);
    }
    if (this.#upcalls > 0) {
      this.#sample(CYCLES_PER_UPCALL, (this.#upcallNs * this.#cyclesPerNs) / this.#upcalls);
      const at = this.#pmd + PmdLayout.upcallNs;
      dv.setFloat64(at, dv.getFloat64(at, true) + this.#upcallNs, true);
    }
    const number = dv.getFloat64(perf + PmdPerfLayout.iteration, true) + 1;
    dv.setFloat64(perf + PmdPerfLayout.iteration, number, true);
    const next = dv.getUint32(perf + PmdPerfLayout.iterationNext, true);
    const record = dv.getUint32(perf + PmdPerfLayout.iterations, true) + recordBytes * next;
    this.#restart(record, number);
    this.#add(record, ns, packets, batches);
    dv.setUint32(perf + PmdPerfLayout.iterationNext, (next + 1) % PERF_HISTORY, true);
    this.#add(this.#millisecond(nowMs), ns, packets, batches);
    this.#add(dv.getUint32(perf + PmdPerfLayout.totals, true), ns, packets, batches);
    this.#upcalls = 0;
    this.#upcallNs = 0;
    if (dv.getUint32(perf + PmdPerfLayout.logEnabled, true) !== 0) this.#watch(number, ns);
  }

  #sample(histogram: number, value: number): void {
    const bin = histogram * PERF_BINS + perfBin(histogram, value);
    const at = this.#core.dv.getUint32(this.address + PmdPerfLayout.histograms, true) + 8 * bin;
    this.#core.dv.setFloat64(at, this.#core.dv.getFloat64(at, true) + 1, true);
  }

  #millisecond(nowMs: number): number {
    const { dv } = this.#core;
    const ring = dv.getUint32(this.address + PmdPerfLayout.milliseconds, true);
    const stamp = Math.floor(nowMs);
    let index = dv.getUint32(this.address + PmdPerfLayout.msNext, true);
    if (dv.getFloat64(ring + recordBytes * index + PerfRecordLayout.stamp, true) !== stamp) {
      index = (index + 1) % PERF_HISTORY;
      this.#restart(ring + recordBytes * index, stamp);
      dv.setUint32(this.address + PmdPerfLayout.msNext, index, true);
    }
    return ring + recordBytes * index;
  }

  #restart(record: number, stamp: number): void {
    for (let at = 0; at < recordBytes; at += 8) this.#core.dv.setFloat64(record + at, 0, true);
    this.#core.dv.setFloat64(record + PerfRecordLayout.stamp, stamp, true);
  }

  #add(record: number, ns: number, packets: number, batches: number): void {
    this.#addTo(record + PerfRecordLayout.iterations, 1);
    this.#addTo(record + PerfRecordLayout.ns, ns);
    if (packets > 0) this.#addTo(record + PerfRecordLayout.busyNs, ns);
    this.#addTo(record + PerfRecordLayout.packets, packets);
    this.#addTo(record + PerfRecordLayout.batches, batches);
    this.#addTo(record + PerfRecordLayout.upcalls, this.#upcalls);
    this.#addTo(record + PerfRecordLayout.upcallNs, this.#upcallNs);
  }

  #addTo(at: number, n: number): void {
    this.#core.dv.setFloat64(at, this.#core.dv.getFloat64(at, true) + n, true);
  }

  /** As asked by main: a fresh start of all but the numbers of iterations, which go on as in OVS. */
  #clear(): void {
    const { dv, u8 } = this.#core;
    const perf = this.address;
    const from = perf + PmdPerfLayout.size;
    for (let at = from; at < from + histogramBytes + recordBytes; at += 8) dv.setFloat64(at, 0, true);
    for (const ring of [PmdPerfLayout.iterations, PmdPerfLayout.milliseconds]) {
      const start = dv.getUint32(perf + ring, true);
      u8.fill(0, start, start + recordBytes * PERF_HISTORY);
    }
    dv.setUint32(perf + PmdPerfLayout.cleared, dv.getUint32(perf + PmdPerfLayout.clear, true), true);
  }

  /** Notes a suspicious iteration, and logs it with its neighbours once `after` more are over. */
  #watch(number: number, ns: number): void {
    const { dv } = this.#core;
    const perf = this.address;
    const isSuspect = ns > 1000 * dv.getUint32(perf + PmdPerfLayout.logUs, true);
    const isPending = this.#suspect !== 0;
    if (isSuspect && (!isPending || dv.getUint32(perf + PmdPerfLayout.logExtend, true) !== 0)) {
      if (!isPending) this.#suspect = number;
      this.#logAt = number + dv.getUint32(perf + PmdPerfLayout.logAfter, true);
      log.warn(
        `Suspicious iteration (Excessive total cycles): iter=${number} duration=${Math.round(ns / 1000)} us`,
      );
    }
    if (this.#suspect === 0 || number < this.#logAt) return;
    const first = Math.max(1, this.#suspect - dv.getUint32(perf + PmdPerfLayout.logBefore, true));
    this.#suspect = 0;
    suspicious.add();
    const rows = readPerfHistory(this.#core, perf, 'iterations', number - first + 1).map((record) =>
      formatIterationRow(record, this.#cyclesPerNs),
    );
    log.warn(`Neighborhood of suspicious iteration:\n${iterationHeading}${rows.join('')}`);
  }
}
