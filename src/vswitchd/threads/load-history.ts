/** Load is kept for this many intervals of this length, as in OVS: one minute. */
export const loadIntervals = 12;
export const loadIntervalMs = 5000;

/** Sums of the last intervals of a growing counter. */
export class LoadHistory {
  readonly #intervals: number[] = [];
  #last: number;

  /** @param start The counter now. */
  constructor(start = 0) {
    this.#last = start;
  }

  /** Ends an interval. @param total The counter now. */
  fold(total: number): void {
    this.#intervals.unshift(Math.max(0, total - this.#last));
    this.#intervals.length = Math.min(this.#intervals.length, loadIntervals);
    this.#last = total;
  }

  /** The counter starts anew at 0; what was seen stays. */
  restart(): void {
    this.#last = 0;
  }

  /** Growth in the last `intervals`, less when there were not as many yet. */
  sum(intervals: number = loadIntervals): number {
    return this.#intervals.slice(0, intervals).reduce((a, b) => a + b, 0);
  }

  /** Intervals seen. */
  get length(): number {
    return this.#intervals.length;
  }
}
