import { describe, expect, it } from 'vitest';
import { setVlogSink } from '../../util/log.ts';
import { estimateBalance, canBalance, variance } from './pmd-balance.ts';
import { LoadHistory, loadIntervals } from './load-history.ts';
import { parseCpuMask, PmdConfigReader } from './pmd-config.ts';
import { parseRxqAffinity } from './rx-port.ts';

/** What reading these settings, one after the other, logs. */
function logOf(...settings: Record<string, string>[]): string[] {
  const lines: string[] = [];
  setVlogSink(
    (record) => void lines.push(`${record.level} ${record.message}`),
    'test',
    () => 0,
  );
  const reader = new PmdConfigReader();
  for (const s of settings) {
    lines.length = 0;
    reader.read(new Map(Object.entries(s)));
  }
  return lines;
}

describe('settings of PMD threads', () => {
  it('are told at first as OVS tells them', () => {
    expect(logOf({})).toEqual([
      'info pmd-rxq-affinity isolates PMD core',
      'info PMD auto load balance interval set to 1 mins',
      'info PMD auto load balance improvement threshold set to 25%',
      'info PMD auto load balance load threshold set to 95%',
      'info PMD auto load balance is disabled.',
      'info PMD max sleep request is 0 usecs.',
      'info PMD load based sleeps are disabled.',
    ]);
  });

  it('are told when they change, and wrong ones warned of', () => {
    expect(logOf({}, { 'pmd-rxq-assign': 'bogus', 'pmd-rxq-isolate': 'false' })).toEqual([
      "warn Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to 'cycles'.",
      'warn pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group',
    ]);
    expect(logOf({}, { 'pmd-rxq-assign': 'group', 'pmd-rxq-isolate': 'false' })).toEqual([
      "info Rxq to PMD assignment mode changed to: 'group'.",
      'info pmd-rxq-affinity does not isolate PMD core',
    ]);
    expect(logOf({}, { 'pmd-auto-lb': 'true', 'pmd-auto-lb-load-threshold': '50' })).toEqual([
      'info PMD auto load balance load threshold set to 50%',
      'info PMD auto load balance is enabled, interval 1 mins, pmd load threshold 50%, improvement threshold 25%.',
    ]);
    expect(logOf({}, { 'pmd-maxsleep': '50' })).toEqual([
      'info PMD max sleep request is 50 usecs.',
      'info PMD load based sleeps are enabled.',
    ]);
    expect(
      logOf({}, { 'pmd-auto-lb-load-threshold': '500', 'pmd-auto-lb-rebal-interval': '200000' }),
    ).toEqual([]);
  });

  it('take masks, affinities and sleeps as text', () => {
    expect(parseCpuMask('0xF1')).toEqual([0, 4, 5, 6, 7]);
    expect(parseCpuMask('zz')).toEqual([]);
    expect([...parseRxqAffinity('0:3,1:7')]).toEqual([
      [0, 3],
      [1, 7],
    ]);
    expect(parseRxqAffinity('').size).toBe(0);
    for (const text of ['x:1', '0', '0:-1', '0:1:2']) {
      expect(() => parseRxqAffinity(text)).toThrow('Invalid argument');
    }
    const config = new PmdConfigReader().read(new Map([['pmd-sleep-max', '50,8:0,9:20000']]));
    expect(config.maxSleepUs).toBe(50);
    expect([...config.maxSleepUsOf]).toEqual([
      [8, 0],
      [9, 10000],
    ]);
  });
});

describe('loads', () => {
  it('are kept for a minute', () => {
    const history = new LoadHistory();
    for (let i = 1; i <= 20; i++) history.fold(10 * i);
    expect(history.sum()).toBe(10 * loadIntervals);
    expect(history.sum(2)).toBe(20);
    history.restart();
    history.fold(3);
    expect(history.sum(2)).toBe(13);
  });

  it('are compared by their variance', () => {
    expect(variance([50, 50])).toBe(0);
    expect(variance([100, 0])).toBe(2500);
    const pmds = [0, 1].map((coreId) => ({ coreId, numaId: 0, isolated: false, totalCycles: 100 }));
    const [a, b, c] = [{ cycles: 60 }, { cycles: 40 }, { cycles: 0 }];
    const before = new Map([
      [a, 0],
      [b, 0],
      [c, 1],
    ]);
    const after = new Map([
      [a, 0],
      [b, 1],
      [c, 1],
    ]);
    const plan = { coreOf: after, isolated: new Set<number>(), crossesNuma: false, lines: [] };
    expect(estimateBalance(pmds, before, plan)).toEqual([
      { numaId: 0, current: 2500, estimated: 100, improvement: 96 },
    ]);
    expect(estimateBalance(pmds, after, { ...plan, coreOf: before })[0]?.improvement).toBe(0);
    expect(canBalance([{ isolated: false, queues: 2 }])).toBe(false);
    expect(canBalance([1, 1].map((queues) => ({ isolated: false, queues })))).toBe(false);
    expect(canBalance([2, 0].map((queues) => ({ isolated: false, queues })))).toBe(true);
  });
});
