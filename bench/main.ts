import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benchmarks as classifier } from './micro/classifier.ts';
import { benchmarks as forward } from './micro/forward.ts';
import { benchmarks as packetPath } from './micro/packet-path.ts';
import { benchmarks as translation } from './micro/translation.ts';
import { reference, time } from './micro/registry.ts';
import type { BenchmarkFactory, Measurement } from './micro/registry.ts';

/** Usage: npm run bench -- [--filter TEXT] [--json FILE] */
const groups: readonly (readonly BenchmarkFactory[])[] = [forward, packetPath, classifier, translation];

const { values } = parseArgs({ options: { filter: { type: 'string' }, json: { type: 'string' } } });
const baseNs = reference();
console.log(
  `reference loop ${baseNs.toFixed(2)} ns; ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
);
console.log(`${'benchmark'.padEnd(52)} ${'best'.padStart(9)} ${'median'.padStart(9)} ${'ratio'.padStart(8)}`);

const results: Measurement[] = [];
for (const make of groups.flat()) {
  const benchmark = make();
  if (values.filter === undefined || benchmark.name.includes(values.filter)) {
    const { best, median } = time(benchmark.run, benchmark.operations);
    const isRate = benchmark.unit.endsWith('/s');
    const show = (ns: number): number => (isRate ? 1e9 / ns : ns);
    results.push({
      name: benchmark.name,
      unit: benchmark.unit,
      value: show(best),
      median: show(median),
      ratio: best / baseNs,
    });
    const digits = isRate ? 0 : 1;
    console.log(
      `${benchmark.name.padEnd(52)} ${show(best).toFixed(digits).padStart(9)} ${show(median).toFixed(digits).padStart(9)} ` +
        `${(best / baseNs).toFixed(1).padStart(8)}  ${benchmark.unit}`,
    );
  }
  benchmark.close?.();
}
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ node: process.version, referenceNs: baseNs, results }, null, 2)}\n`,
  );
}
