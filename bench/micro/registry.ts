/**
 * Micro benchmarks: each is a function that runs `iterations` operations and returns nothing; the runner
 * times it. Register more by adding a file that exports `benchmarks` and naming it in main.ts.
 */
export interface Benchmark {
  /** What is measured, as printed. */
  readonly name: string;
  /** 'ns/packet', 'ns/translation', ... for time an operation; '.../s' for rates. */
  readonly unit: string;
  /** Operations a call of `run` does. */
  readonly operations: number;
  readonly run: () => void;
  /** Called before each `run`, not timed; for runs of at least a millisecond. */
  readonly before?: () => void;
  /** Frees what the benchmark holds; called after it was measured. */
  readonly close?: () => void;
}

/** Made when its turn comes, so that one benchmark's memory is gone before the next. */
export type BenchmarkFactory = () => Benchmark;

export interface Measurement {
  readonly name: string;
  readonly unit: string;
  /** Best of all windows. */
  readonly value: number;
  /** Median of all windows. */
  readonly median: number;
  /** value divided by the reference loop's ns of the same run: compares across machines. */
  readonly ratio: number;
}

const WINDOWS = 15;
const WINDOW_NS = 20e6;

/** CPU time of this process: other load on the machine costs caches, but no time. */
function nowNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1e3;
}

/** Nanoseconds an operation takes: best and median of 15 windows of about 20 ms, after a warm-up. */
export function time(
  run: () => void,
  operations: number,
  windows = WINDOWS,
  before?: () => void,
): { best: number; median: number } {
  if (before !== undefined) return timeEach(run, operations, windows, before);

  const warmUntil = nowNs() + 5 * WINDOW_NS;
  let calls = 0;
  const start = nowNs();
  while (nowNs() < warmUntil) {
    run();
    calls++;
  }
  const perWindow = Math.max(1, Math.round((calls * WINDOW_NS) / (nowNs() - start)));
  const found: number[] = [];
  for (let w = 0; w < windows; w++) {
    const from = nowNs();
    for (let i = 0; i < perWindow; i++) run();
    found.push((nowNs() - from) / (perWindow * operations));
  }
  found.sort((a, b) => a - b);
  return { best: found[0] ?? 0, median: found[windows >> 1] ?? 0 };
}

/** The same for long runs that need something done before each. */
function timeEach(
  run: () => void,
  operations: number,
  windows: number,
  before: () => void,
): { best: number; median: number } {
  const found: number[] = [];
  let total = 0;
  for (let i = 0; i < windows + 2 || (total < windows * WINDOW_NS && i < 1000); i++) {
    before();
    const from = nowNs();
    run();
    const took = nowNs() - from;
    total += took;
    if (i >= 2) found.push(took / operations);
  }
  found.sort((a, b) => a - b);
  return { best: found[0] ?? 0, median: found[found.length >> 1] ?? 0 };
}

/**
 * The reference loop: 1,024 dependent steps of integer arithmetic over 4 KiB. Nanoseconds a step.
 *
 * @param windows Fewer where it only follows a machine that changes its speed.
 */
export function reference(windows = WINDOWS): number {
  const table = new Uint32Array(1024);
  let x = 1;
  const { best } = time(
    () => {
      for (let i = 0; i < 1024; i++) {
        x = (Math.imul(x, 0x9e3779b1) + (table[x & 1023] ?? 0)) >>> 0;
        table[i] = x;
      }
    },
    1024,
    windows,
  );
  return best;
}
