import { goals } from './goals.table.ts';
import type { GoalRow } from './goals.table.ts';
import { median, spread } from './samples.ts';
import type { Samples } from './samples.ts';

/** One case, both switches. Ratios are > 1 where ours is better, also where less is better. */
export interface Cell {
  readonly table: string;
  readonly case: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly ovs: number | null;
  readonly ratio: number | null;
  /** Ratio to reach; null where the goal is absolute or there is none. */
  readonly goal: number | null;
  readonly goalText: string;
  /** null: no goal, or not measured. */
  readonly isReached: boolean | null;
  /** Half of the distance between the extremes, as a part of the median. */
  readonly oursSpread: number;
  readonly ovsSpread: number;
  readonly runs: number;
}

/** Significant figures a reader can use: 19.7, 0.58, 611, 1,204. */
export function formatFigure(value: number | null): string {
  if (value === null) return '-';
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

function cellOf(row: GoalRow, samples: Samples): Cell | null {
  const ours = samples.get(row.table, row.case, 'ours');
  const ovs = samples.get(row.table, row.case, 'ovs');
  if (ours === undefined && ovs === undefined) return null;
  const oursValue = ours === undefined ? null : median(ours.values);
  const ovsValue = ovs === undefined ? null : median(ovs.values);
  // A trickle is no rate: it does not work.
  const isNothing = (value: number | null): boolean => value === null || value < 0.005;
  const ratio =
    oursValue === null || ovsValue === null || isNothing(oursValue) || isNothing(ovsValue)
      ? null
      : row.better === 'more'
        ? oursValue / ovsValue
        : ovsValue / oursValue;
  const isMet = (limit: number, value: number): boolean =>
    row.better === 'more' ? value >= limit : value <= limit;
  let isReached: boolean | null = null;
  if (row.goal !== null && ratio !== null) isReached = ratio >= row.goal;
  else if (row.absolute !== undefined && oursValue !== null) isReached = isMet(row.absolute.value, oursValue);
  const ratioText = row.goal === null ? [] : [`${row.goal}x`];
  return {
    table: row.table,
    case: row.case,
    unit: row.unit,
    ours: oursValue,
    ovs: ovsValue,
    ratio,
    goal: row.goal,
    goalText: [...ratioText, ...(row.absolute === undefined ? [] : [row.absolute.text])].join('; '),
    isReached,
    oursSpread: spread(ours?.values ?? []),
    ovsSpread: spread(ovs?.values ?? []),
    runs: Math.max(ours?.values.length ?? 0, ovs?.values.length ?? 0),
  };
}

/** Cells of all cases that were measured, in the order of the goals; then those nobody set a goal for. */
export function makeCells(samples: Samples): Cell[] {
  const known = new Set(goals.map((g) => `${g.table}\n${g.case}`));
  const extra = new Map<string, GoalRow>();
  for (const s of samples.all()) {
    const key = `${s.table}\n${s.case}`;
    if (known.has(key)) continue;
    extra.set(key, {
      table: s.table,
      case: s.case,
      unit: s.unit,
      better: /\/s$|pps$|^x$/.test(s.unit) ? 'more' : 'less',
      goal: null,
      documented: '-',
    });
  }
  return [...goals, ...extra.values()].flatMap((row) => cellOf(row, samples) ?? []);
}
