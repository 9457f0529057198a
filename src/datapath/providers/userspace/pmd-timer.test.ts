import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { testCore } from '../../../arena/testing/test-core.ts';
import type { Core } from '../../../arena/core.ts';
import { ManualClock } from '../../../util/clock.ts';
import {
  pmdBusyIterations,
  pmdBusyNs,
  pmdIdleIterations,
  pmdIdleNs,
  pmdSleepNs,
  setPmdPerf,
} from '../../generated/pmd.ts';
import { rxqBusyNs } from '../../generated/rxq.ts';
import { perfBin, perfHistograms } from './perf-histogram.ts';
import { createPerf } from './pmd-perf.ts';
import { readPerfHistory, readPerfTotals } from './perf-record.ts';
import { PmdTimer } from './pmd-timer.ts';

describe('the time of a PMD', () => {
  let core: Core;
  let clock: ManualClock;
  let pmd: number;
  let timer: PmdTimer;
  let rxqs: number[];

  beforeEach(() => {
    core = testCore();
    clock = new ManualClock();
    pmd = core.x.pmdCreate(1) >>> 0;
    rxqs = [0, 1].map(() => core.x.alloc(16) >>> 0);
    timer = new PmdTimer(core, clock, pmd);
    timer.setQueues(rxqs);
  });

  /** An iteration in which each queue takes so many milliseconds to deal with its packets, 0 = none came. */
  const iterate = (...costs: number[]): void => {
    const isSampled = timer.begin(clock.nowMs());
    let packets = 0;
    costs.forEach((ms, i) => {
      if (isSampled) timer.mark();
      if (ms === 0) return;
      clock.advance(ms);
      packets += 32;
      if (isSampled) timer.measured(i);
    });
    clock.advance(0.01);
    timer.end(packets, costs.filter((ms) => ms > 0).length);
  };

  it('is busy with packets, else idle, or asleep', () => {
    for (let i = 0; i < 10; i++) iterate(0.5, 0);
    for (let i = 0; i < 5; i++) iterate(0, 0);
    timer.blocks(clock.nowMs());
    clock.advance(100);
    iterate(0, 0);
    timer.blocks(clock.nowMs());
    expect(pmdBusyNs(core.dv, pmd)).toBeCloseTo(10 * 0.51e6);
    expect(pmdIdleNs(core.dv, pmd)).toBeCloseTo(6 * 0.01e6);
    expect(pmdSleepNs(core.dv, pmd)).toBeCloseTo(100e6);
    expect(pmdBusyIterations(core.dv, pmd)).toBe(10);
    expect(pmdIdleIterations(core.dv, pmd)).toBe(6);
  });

  it('is shared out among queues as they need it', () => {
    for (let i = 0; i < 1000; i++) iterate(0.003, i % 3 === 0 ? 0.003 : 0);
    timer.blocks(clock.nowMs());
    const [a = 0, b = 0] = rxqs.map((rxq) => rxqBusyNs(core.dv, rxq));
    // 3 of 4 by true cost; the rest of the busy time is nobody's. Samples are some 200.
    expect(a / (a + b)).toBeGreaterThan(0.68);
    expect(a / (a + b)).toBeLessThan(0.82);
    expect(a + b).toBeLessThanOrEqual(pmdBusyNs(core.dv, pmd));
    expect(a + b).toBeGreaterThan(0.2 * pmdBusyNs(core.dv, pmd));
  });

  it('does not count without queues', () => {
    timer.setQueues([]);
    for (let i = 0; i < 5; i++) iterate();
    timer.blocks(clock.nowMs());
    clock.advance(100);
    iterate();
    timer.blocks(clock.nowMs());
    expect(pmdIdleNs(core.dv, pmd) + pmdSleepNs(core.dv, pmd)).toBe(0);
  });

  it('goes into histograms and histories while metrics are collected', () => {
    const perf = createPerf(core);
    clock.advance(5);
    iterate(0, 0);
    setPmdPerf(core.dv, pmd, perf);
    clock.advance(5);
    for (let i = 0; i < 50; i++) iterate(0.5, 0.25);
    iterate(0, 0);
    timer.blocks(clock.nowMs());
    // The iteration that was running when metrics were turned on belongs to those before.
    expect(readPerfTotals(core, perf)).toMatchObject({ iterations: 51, packets: 3200, batches: 100 });
    expect(readPerfHistory(core, perf, 'iterations', 3).map((r) => [r.stamp, r.packets])).toEqual([
      [51, 0],
      [50, 64],
      [49, 64],
    ]);
    const inMs = readPerfHistory(core, perf, 'milliseconds', 998).reduce((n, r) => n + r.iterations, 0);
    expect(inMs).toBeGreaterThan(45);
    setPmdPerf(core.dv, pmd, 0);
    clock.advance(5);
    iterate(1, 0);
    iterate(1, 0);
    expect(readPerfTotals(core, perf).iterations).toBe(51);
  });

  it('finds the bin of every value', () => {
    const histogram = fc.nat({ max: perfHistograms.length - 1 });
    const value = fc.oneof(fc.nat({ max: 40 }), fc.double({ min: 0, max: 1e9, noNaN: true }));
    fc.assert(
      fc.property(histogram, value, (index, v) => {
        const walls: readonly number[] = perfHistograms[index]?.walls ?? [];
        const first = walls.findIndex((wall) => v <= wall);
        expect(perfBin(index, v)).toBe(first < 0 ? walls.length : first);
      }),
    );
  });

  it('has the bounds that OVS shows', () => {
    const ends = perfHistograms.map((h) => [h.walls[1], h.walls[12], h.walls[30]]);
    expect(ends).toEqual([
      [716, 37279, 24_000_000],
      [1, 13, 1000],
      [1096, 12060, 30_000],
      [1, 12, 32],
      [1, 12, 512],
      [1, 12, 30],
      [1258, 15848, 1_000_000],
    ]);
    for (const h of perfHistograms) {
      expect(h.walls).toHaveLength(31);
      expect(h.walls.every((w, i) => i === 0 || w > (h.walls[i - 1] ?? 0))).toBe(true);
    }
  });
});
