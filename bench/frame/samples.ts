import type { TargetKind } from '../macro/target.ts';

/** Middle value; of an even number of them the lower one. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? NaN;
}

/** Half of the distance between the extremes, as a part of the median: 0.05 reads "+-5 %". */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return values.length < 2 || middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / 2 / middle;
}

/** What one switch showed in one case, run by run. */
export interface Series {
  readonly table: string;
  readonly case: string;
  readonly kind: TargetKind;
  readonly unit: string;
  readonly values: number[];
}

/** All samples of one run of the bench. Keys are those of goals.table.ts where there is a goal. */
export class Samples {
  readonly #series = new Map<string, Series>();
  readonly notes: string[] = [];

  add(table: string, name: string, unit: string, kind: TargetKind, value: number): void {
    const key = [table, name, kind].join('\n');
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { table, case: name, kind, unit, values: [] };
      this.#series.set(key, series);
    }
    series.values.push(value);
  }

  /** Something a reader of the figures must know: a case that failed, a set-up that differs. */
  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  get(table: string, name: string, kind: TargetKind): Series | undefined {
    return this.#series.get([table, name, kind].join('\n'));
  }

  all(): Series[] {
    return [...this.#series.values()];
  }
}
