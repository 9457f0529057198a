import { createInterface } from 'node:readline';
import { benchmarks } from './forward.ts';

/**
 * One pmd in a process of its own: for each line `SECONDS` of standard input it forwards that long and prints packets
 * a second of its CPU time. Several of these at once, each on a core, share nothing but the machine: what they reach
 * together is what PMDs of one switch could (bench/macro/scaling.ts).
 */
const make = benchmarks.find((_, i) => i === 2);
if (make === undefined) throw new Error('bench: no benchmark');
const benchmark = make();

function measure(seconds: number): number {
  const startCpu = process.cpuUsage();
  const endMs = performance.now() + seconds * 1000;
  let packets = 0;
  while (performance.now() < endMs) {
    benchmark.run();
    packets += benchmark.operations;
  }
  const { user, system } = process.cpuUsage(startCpu);
  return (packets / (user + system)) * 1e6;
}

measure(1);
process.stdout.write('ready\n');
createInterface(process.stdin).on('line', (line) => process.stdout.write(`${measure(Number(line))}\n`));
