import { readFileSync } from 'node:fs';
import type { Measurement } from './registry.ts';

/** What one micro benchmark may cost, as a multiple of the reference loop of the same run. */
export interface BaselineEntry {
  readonly ratio: number;
  /** Part of `ratio` that it may be worse: 0.5 = half as much again. */
  readonly tolerance: number;
}

export interface Worse {
  readonly name: string;
  readonly ratio: number;
  readonly baseline: number;
  readonly allowed: number;
}

/** A busy neighbour in the same caches costs up to a half, and twice as much where the data is large. */
const defaultTolerance = 0.75;
const memoryTolerance = 1.5;
const waitsForMemory = /\b\d{5,}\b|\d,\d{3},?|classifier/;

export function readBaseline(file: string): Map<string, BaselineEntry> {
  const found = JSON.parse(readFileSync(file, 'utf8')) as Record<string, BaselineEntry>;
  return new Map(Object.entries(found));
}

/** The text of a baseline file of these measurements. */
export function formatBaseline(results: readonly Measurement[]): string {
  const entries = results.map((r): [string, BaselineEntry] => [
    r.name,
    {
      ratio: Number(r.ratio.toPrecision(3)),
      tolerance: waitsForMemory.test(r.name) ? memoryTolerance : defaultTolerance,
    },
  ]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

/** Benchmarks that cost more than the baseline allows. One that the baseline does not name is not compared. */
export function compareWithBaseline(
  results: readonly Measurement[],
  baseline: ReadonlyMap<string, BaselineEntry>,
): Worse[] {
  return results.flatMap(({ name, ratio }) => {
    const entry = baseline.get(name);
    if (entry === undefined) return [];
    const allowed = entry.ratio * (1 + entry.tolerance);
    return ratio > allowed ? [{ name, ratio, baseline: entry.ratio, allowed }] : [];
  });
}
