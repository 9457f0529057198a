import { createArena } from '../../src/arena/core.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { MegaflowLayout as M } from '../../src/datapath/generated/megaflow.ts';
import { FlowLoad, flowShapes, type FlowShape } from '../../src/ofproto/testing/flow-load.ts';
import { UpcallBench } from '../../src/ofproto/testing/upcall-bench.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import type { Benchmark, BenchmarkFactory } from './registry.ts';

/**
 * The slow path and revalidation, with the shapes of docs/performance/goals.md §3. Bursts of 32 through a PMD in
 * this thread; one revalidator, stepped here.
 */
const ports = [1, 2, 3, 4].map((i) => ({ name: `p${i}`, ofp: i, odp: i }));
const FLOWS = 200_000;

function makeBench(sizeMb: number): UpcallBench {
  const module = loadCoreModule();
  const core = createArena({ module, sizeMb, shared: true, seed: 1, threadName: 'bench' });
  core.x.threadOnline();
  const bench = new UpcallBench([{ name: 'br0', ports }], { flowLimit: 10_000_000 }, core);
  bench.udpif.setFlowLimit(10_000_000);
  return bench;
}

/** Packets that all miss: translate, install, execute; the flows are deleted now and then. */
function upcalls(name: string, shape: FlowShape): BenchmarkFactory {
  return (): Benchmark => {
    const operations = 4096;
    let from = 0;
    let made: { bench: UpcallBench; load: FlowLoad } | undefined;
    // Made late: benchmarks that are filtered out cost nothing.
    const get = (): { bench: UpcallBench; load: FlowLoad } => {
      if (made === undefined) {
        const bench = makeBench(512);
        made = { bench, load: new FlowLoad(bench, shape) };
      }
      return made;
    };
    const run = (): void => {
      get().load.send(from, from + operations);
      from += operations;
    };
    // What stands is deleted as a revalidator would, outside of the timing.
    const before = (): void => {
      const { bench } = get();
      if (from % 65_536 !== 0 || from === 0) return;
      bench.startRevalidators(1);
      bench.udpif.purge();
      bench.settle();
      bench.advance(10);
    };
    return { name: `upcall: ${name}`, unit: 'upcalls/s', operations, run, before };
  };
}

function standing(shape: FlowShape, count: number): UpcallBench {
  const bench = makeBench(1024);
  new FlowLoad(bench, shape).send(0, count);
  const found = bench.flows().length;
  if (found < count) throw new Error(`bench: ${found} flows instead of ${count}`);
  bench.startRevalidators(1);
  bench.settle();
  return bench;
}

/** A round over 200,000 flows; `traffic`: each had packets since the last. */
function dump(name: string, kind: 'idle' | 'traffic' | 'changed', shape: FlowShape): BenchmarkFactory {
  return (): Benchmark => {
    let bench: UpcallBench | undefined;
    let flows: readonly number[] = [];
    const before = (): void => {
      if (bench === undefined) {
        bench = standing(shape, FLOWS);
        flows = bench.flows();
      }
      const { dv } = bench.core;
      const nowMs = bench.clock.nowMs();
      for (const mf of flows) {
        if (kind !== 'idle') {
          dv.setFloat64(mf + M.packets, dv.getFloat64(mf + M.packets, true) + 3, true);
          dv.setFloat64(mf + M.bytes, dv.getFloat64(mf + M.bytes, true) + 180, true);
        }
        dv.setFloat64(mf + M.usedMs, nowMs, true);
      }
    };
    const run = (): void => {
      if (bench === undefined) return;
      if (kind === 'changed') bench.udpif.revalidate();
      else bench.udpif.waitTarget();
      bench.clock.advance(5);
      bench.settle();
    };
    return { name: `revalidate 200,000: ${name}`, unit: 'ns/flow', operations: FLOWS, run, before };
  };
}

/** Arena bytes that a megaflow of each shape takes, everything included. */
export function megaflowBytes(count = FLOWS): { name: string; bytes: number }[] {
  return Object.values(flowShapes).map((shape: FlowShape) => {
    const bench = makeBench(1024);
    const load = new FlowLoad(bench, shape);
    const { usedBytes } = memoryStats(bench.core);
    load.send(0, count);
    return { name: shape.name, bytes: (memoryStats(bench.core).usedBytes - usedBytes) / count };
  });
}

export const benchmarks: readonly BenchmarkFactory[] = [
  upcalls('exact match, IPv4 5-tuple', flowShapes.ipv4),
  upcalls('NORMAL, new source MACs', flowShapes.normal),
  upcalls('10 tables, IPv4 5-tuple', flowShapes.tables),
  dump('steady, no packets', 'idle', flowShapes.ipv4),
  dump('steady, packets in each', 'traffic', flowShapes.ipv4),
  dump('tables changed', 'changed', flowShapes.ipv4),
];
