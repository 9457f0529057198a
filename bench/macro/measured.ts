import { parseArgs } from 'node:util';

/** One figure of a macro benchmark. */
export interface Measured {
  readonly case: string;
  /** With `/s` more is better, else less is. */
  readonly unit: string;
  readonly value: number;
}

export type Side = 'ours' | 'stock';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/**
 * Runs a macro benchmark alone: ours and the stock programs in turn, `--runs` times (3), or one of them
 * (`--only ours|stock`); prints medians and every value. `--size` is for the benchmark to understand.
 */
export async function comparePairs(
  run: (side: Side, size: number | undefined) => Promise<readonly Measured[]>,
): Promise<void> {
  const { values } = parseArgs({
    options: { runs: { type: 'string' }, size: { type: 'string' }, only: { type: 'string' } },
  });
  const size = values.size === undefined ? undefined : Number(values.size);
  const sides = (['ours', 'stock'] as const).filter((s) => values.only === undefined || values.only === s);
  const found = new Map<string, Record<Side, number[]>>();
  for (let i = 0; i < Number(values.runs ?? 3); i++) {
    for (const side of sides) {
      for (const m of await run(side, size)) {
        const key = `${m.case} (${m.unit})`;
        const row = found.get(key) ?? { ours: [], stock: [] };
        row[side].push(m.value);
        found.set(key, row);
      }
    }
  }
  const digits = (value: number): number => (value < 100 ? 1 : 0);
  for (const [key, row] of found) {
    const shown = sides.map((side) => {
      const all = row[side].map((v) => v.toFixed(digits(v))).join(' ');
      return `${side} ${median(row[side]).toFixed(digits(median(row[side])))} [${all}]`.padEnd(36);
    });
    console.log(`${key.padEnd(60)} ${shown.join(' ')}`);
  }
}
