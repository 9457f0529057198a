import { benchmarks as classifier } from './classifier.ts';
import { benchmarks as forward } from './forward.ts';
import { benchmarks as packetPath } from './packet-path.ts';
import { reference, time } from './registry.ts';
import type { BenchmarkFactory, Measurement } from './registry.ts';
import { benchmarks as translation } from './translation.ts';
import { benchmarks as upcall } from './upcall.ts';

/** Made in seconds: what CI compares. */
const quickGroups: readonly (readonly BenchmarkFactory[])[] = [packetPath, classifier, translation];
const groups: readonly (readonly BenchmarkFactory[])[] = [forward, ...quickGroups, upcall];

export interface MicroResults {
  readonly node: string;
  readonly referenceNs: number;
  readonly results: readonly Measurement[];
}

/** Windows a benchmark in a check, where best of few is enough. */
const quickWindows = 6;

/**
 * Runs the micro benchmarks whose name `wants`. Times are CPU time; the reference loop runs again
 * before each benchmark, so that a machine that slows down in between changes no ratio.
 *
 * @param isCheck Those that CI compares, and fewer windows of them.
 * @param print Takes each line of the table as it is known.
 */
export function runMicro(
  isCheck: boolean,
  wants: (name: string) => boolean,
  print: (line: string) => void,
): MicroResults {
  const firstNs = reference();
  const results: Measurement[] = [];
  print(`${'benchmark'.padEnd(56)} ${'best'.padStart(10)} ${'median'.padStart(10)} ${'ratio'.padStart(8)}`);
  for (const make of (isCheck ? quickGroups : groups).flat()) {
    const benchmark = make();
    if (wants(benchmark.name)) {
      const baseNs = reference(5);
      const { best, median } = time(
        benchmark.run,
        benchmark.operations,
        isCheck ? quickWindows : undefined,
        benchmark.before,
      );
      const isRate = benchmark.unit.endsWith('/s');
      const show = (ns: number): number => (isRate ? 1e9 / ns : ns);
      const ratio = best / baseNs;
      results.push({
        name: benchmark.name,
        unit: benchmark.unit,
        value: show(best),
        median: show(median),
        ratio,
      });
      const digits = isRate ? 0 : 1;
      print(
        `${benchmark.name.padEnd(56)} ${show(best).toFixed(digits).padStart(10)} ` +
          `${show(median).toFixed(digits).padStart(10)} ${ratio.toFixed(2).padStart(8)}  ${benchmark.unit}`,
      );
    }
    benchmark.close?.();
  }
  return { node: process.version, referenceNs: firstNs, results };
}
