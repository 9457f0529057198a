import { PERF_BINS } from '../../datapath.layout.ts';

/** A histogram of dpif-netdev/pmd-perf-show: upper bounds of its bins, and its place in the block. */
export interface PerfHistogram {
  /** As the heading says, and the line of averages. */
  readonly heading: string;
  readonly average: string;
  /** Largest value of each bin; the last one has no bound. */
  readonly walls: readonly number[];
}

const walled = PERF_BINS - 1;

/** OVS's linear bounds, rounded down. */
function linear(min: number, max: number): number[] {
  return Array.from({ length: walled }, (_, i) => Math.floor(min + ((max - min) * i) / (walled - 1)));
}

/** OVS's logarithmic bounds: whole numbers that grow; with `min` 0 the others start at 1. */
function logarithmic(min: number, max: number): number[] {
  const walls: number[] = min === 0 ? [0] : [];
  const start = walls.length;
  const [from, to] = [Math.log(min === 0 ? 1 : min), Math.log(max)];
  for (let i = start; i < walled; i++) {
    const wall = Math.floor(Math.exp(from + ((i - start) * (to - from)) / (walled - 1 - start)));
    walls.push(i === walled - 1 ? max : Math.max(wall, (walls.at(-1) ?? -1) + 1));
  }
  return walls;
}

/** In the order of their columns. */
export const perfHistograms = [
  { heading: 'cycles/it', average: 'cycles/it', walls: logarithmic(500, 24_000_000) },
  { heading: 'packets/it', average: 'packets/it', walls: logarithmic(0, 1000) },
  { heading: 'cycles/pkt', average: 'cycles/pkt', walls: linear(100, 30_000) },
  { heading: 'pkts/batch', average: 'pkts/batch', walls: linear(0, 32) },
  { heading: 'max vhost qlen', average: 'vhost qlen', walls: logarithmic(0, 512) },
  { heading: 'upcalls/it', average: 'upcalls/it', walls: linear(0, 30) },
  { heading: 'cycles/upcall', average: 'cycles/upcall', walls: logarithmic(1000, 1_000_000) },
] as const satisfies readonly PerfHistogram[];

/** Bounds of all histograms one after the other, for the packet path: no objects on the way. */
const perfWalls = new Float64Array(perfHistograms.flatMap((h) => [...h.walls, Infinity]));

/** The bin of a value: the first whose bound is not below it. @param histogram Index into perfHistograms. */
export function perfBin(histogram: number, value: number): number {
  const first = histogram * PERF_BINS;
  let below = first - 1;
  for (let step = PERF_BINS >> 1; step > 0; step >>= 1) {
    if (value > (perfWalls[below + step] ?? Infinity)) below += step;
  }
  return below + 1 - first;
}
