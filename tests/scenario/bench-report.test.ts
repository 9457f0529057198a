import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFigure, makeCells } from '../../bench/frame/cells.ts';
import { drawChart } from '../../bench/frame/chart.ts';
import { goals, tables } from '../../bench/frame/goals.table.ts';
import { formatMarkdown } from '../../bench/frame/report.ts';
import { Samples, median } from '../../bench/frame/samples.ts';
import { compareWithBaseline, formatBaseline } from '../../bench/micro/baseline.ts';

function samplesOf(table: string, name: string, unit: string, ours: number[], ovs: number[]): Samples {
  const samples = new Samples();
  for (const v of ours) samples.add(table, name, unit, 'ours', v);
  for (const v of ovs) samples.add(table, name, unit, 'ovs', v);
  return samples;
}

describe('cells of the comparison', () => {
  it('have a ratio above 1 where ours is better, of rates and of times', () => {
    const [rate] = makeCells(samplesOf(tables.perFlow, '50,000 megaflows', 'Mpps', [6, 9, 7], [3, 3.5, 3]));
    expect(rate).toMatchObject({ ours: 7, ovs: 3, goal: 2, isReached: true, runs: 3 });
    expect(rate?.ratio).toBeCloseTo(7 / 3);
    const [time] = makeCells(
      samplesOf(tables.system, 'ping -f, average round trip', 'us', [40, 40, 40], [20, 30, 20]),
    );
    expect(time).toMatchObject({ ratio: 0.5, isReached: false });
  });

  it('take the absolute goal where OVS does not work', () => {
    const [cell] = makeCells(samplesOf(tables.afxdp, 'TCP, one stream, untuned', 'Gb/s', [3.5], [0.0001]));
    expect(cell).toMatchObject({ ratio: null, isReached: true, goalText: '3 Gb/s' });
  });

  it('keep the order of the goals, and cases without one come last', () => {
    const samples = samplesOf('other', 'something', 'us', [1], [2]);
    const reversed = [...goals].reverse();
    for (const g of reversed) samples.add(g.table, g.case, g.unit, 'ours', 1);
    const cells = makeCells(samples);
    expect(cells.map((c) => c.case)).toEqual([...goals.map((g) => g.case), 'something']);
    expect(cells.at(-1)?.ratio).toBe(2);
  });

  it('are all in the table and in the chart', () => {
    const samples = new Samples();
    for (const g of goals) samples.add(g.table, g.case, g.unit, 'ours', 1);
    const cells = makeCells(samples);
    const text = formatMarkdown(cells, { lines: [], notes: ['a < b'] });
    const chart = drawChart(cells, 'a < b & c');
    for (const g of goals) {
      expect(text).toContain(`| ${g.case} `);
      expect(chart).toContain(`>${g.case}</text>`);
    }
    expect(chart).toContain('a &lt; b &amp; c');
  });

  it('show figures of any size in few digits', () => {
    expect([0.58, 19.66, 611.4, 1204, null].map(formatFigure)).toEqual(['0.58', '19.7', '611', '1,204', '-']);
  });

  it('median is one of the values, with half of them on each side', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const m = median(values);
        expect(values).toContain(m);
        expect(values.filter((v) => v < m).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((v) => v > m).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('the baseline of micro benchmarks', () => {
  const measured = (name: string, ratio: number) => ({ name, unit: 'ns/packet', value: 1, median: 1, ratio });

  it('names what is worse than it allows, and nothing else', () => {
    const baseline = new Map([
      ['a', { ratio: 2, tolerance: 0.5 }],
      ['b', { ratio: 2, tolerance: 0.5 }],
    ]);
    const found = compareWithBaseline(
      [measured('a', 3.1), measured('b', 2.9), measured('new', 99)],
      baseline,
    );
    expect(found).toEqual([{ name: 'a', ratio: 3.1, baseline: 2, allowed: 3 }]);
  });

  it('accepts what it was made of', () => {
    const results = [measured('a', 2), measured('dpcls hit, 100000 flows', 26.4)];
    const entries = JSON.parse(formatBaseline(results)) as Record<
      string,
      { ratio: number; tolerance: number }
    >;
    expect(compareWithBaseline(results, new Map(Object.entries(entries)))).toEqual([]);
  });
});
