import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createArena, type Core } from '../../arena/core.ts';
import { memoryStats } from '../../arena/memory-stats.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { counter } from '../../util/counters.ts';
import { ArenaFullError } from '../../util/errors.ts';
import { setVlogSink } from '../../util/log.ts';
import { FlowLoad, flowShapes, type FlowShape } from '../testing/flow-load.ts';
import { UpcallBench } from '../testing/upcall-bench.ts';

const ports = [1, 2, 3, 4].map((i) => ({ name: `p${i}`, ofp: i, odp: i }));
const module = new WebAssembly.Module(
  readFileSync(new URL('../../../dist/core.unshared.wasm', import.meta.url)),
);
const hits = counter('upcall_flow_limit_hit');

/** A bench in an arena of 16 MiB, the smallest. */
function smallBench(): UpcallBench {
  const core = createArena({ module, sizeMb: 16, shared: false, seed: 1, threadName: 'main' });
  core.x.threadOnline();
  const bench = new UpcallBench([{ name: 'br0', ports }], { flowLimit: 1_000_000 }, core);
  bench.udpif.setFlowLimit(1_000_000);
  return bench;
}

/** Takes all memory that is left, from 64 KiB pieces down to the last bytes. @returns The blocks, small ones first. */
function fill(core: Core): number[] {
  const blocks: number[] = [];
  for (let size = 1 << 15; size >= 16; size >>= 1) {
    for (let at = core.x.alloc(size) >>> 0; at !== 0; at = core.x.alloc(size) >>> 0) blocks.push(at);
  }
  return blocks.reverse();
}

function inUse(core: Core): number {
  for (let i = 0; i < 4; i++) core.x.quiesce();
  return memoryStats(core).blocksInUse;
}

function purge(bench: UpcallBench): void {
  bench.udpif.purge();
  bench.settle();
  // Evicted flows go in the round after.
  bench.udpif.waitTarget();
  bench.advance(10);
}

let lines: string[] = [];
let nowMs = 0;
beforeEach(() => {
  lines = [];
  // Far from other tests' times, so that rate limits are fresh.
  nowMs += 10_000_000;
  setVlogSink(
    (r) => lines.push(`${r.module}|${r.level}|${r.message}`),
    '',
    () => nowMs,
  );
});
afterEach(() => {
  setVlogSink(
    () => undefined,
    '',
    () => 0,
  );
});

describe('the flow limit', () => {
  it('refuses flows, forwards their packets, and says so now and then', () => {
    const bench = smallBench();
    const load = new FlowLoad(bench, flowShapes.ipv4);
    bench.udpif.setFlowLimit(10);
    const before = hits.total;
    for (let n = 0; n < 320; n += 32) expect(load.burst(n)).toBe(32);
    expect(bench.flows()).toHaveLength(10);
    expect(hits.total - before).toBe(310);
    const line = 'ofproto_dpif_upcall|warn|upcall: datapath reached the dynamic limit of 10 flows.';
    expect(lines).toEqual([line, line, line, line, line]);
    bench.udpif.setFlowLimit(1000);
    for (let n = 0; n < 320; n += 32) expect(load.burst(n)).toBe(32);
    expect(bench.flows()).toHaveLength(320);
  });

  it('deletes all above twice of it, and installs again below', () => {
    const bench = smallBench();
    const load = new FlowLoad(bench, flowShapes.ipv4);
    load.send(0, 320);
    bench.startRevalidators(1);
    bench.settle();
    bench.udpif.setFlowLimit(100);
    const kills = counter('upcall_flow_limit_kill').total;
    bench.advance(600);
    expect(bench.flows().length).toBeLessThanOrEqual(100);
    expect(counter('upcall_flow_limit_kill').total).toBeGreaterThan(kills);
    expect(lines.join('\n')).toContain(
      'Number of datapath flows (320) twice as high as current dynamic flow limit (100).  Starting to delete flows unconditionally as an emergency measure.',
    );
    load.send(1000, 1010);
    expect(bench.flows().length).toBeGreaterThanOrEqual(10);
  });
});

describe('a full arena', () => {
  for (const shape of Object.values(flowShapes) as FlowShape[]) {
    it(`refuses new flows, forwards all packets, and takes flows again: ${shape.name}`, () => {
      const bench = smallBench();
      const { core } = bench;
      const load = new FlowLoad(bench, shape);
      bench.startRevalidators(1);
      // What stays once and for all: lists of the ports, the translator's own.
      load.send(0, 64);
      purge(bench);
      const start = inUse(core);
      const blocks = fill(core);
      for (const at of blocks.splice(-20)) core.x.free(at);
      const before = hits.total;
      for (let n = 0; n < 3200; n += 32) expect(load.burst(n)).toBe(32);
      const standing = bench.flows().length;
      expect(standing).toBeGreaterThan(0);
      expect(standing).toBeLessThan(3200);
      expect(hits.total - before).toBeGreaterThanOrEqual(3200 - standing - 1);
      expect(lines.filter((l) => l.includes('upcall_cb failure: ukey installation fails'))).toHaveLength(1);
      // Flows that stand are hit, and survive a round with other tables.
      bench.udpif.revalidate();
      bench.advance(10);
      for (let n = 0; n < 3200; n += 32) expect(load.burst(n)).toBe(32);
      for (const at of blocks) core.x.free(at);
      load.send(0, 3200);
      expect(bench.flows().length).toBeGreaterThanOrEqual(3200);
      purge(bench);
      expect(bench.flows()).toEqual([]);
      // The directory keeps its buckets, in segments for 1,024 megaflows.
      const segments = Math.ceil(3300 / 1024);
      expect(inUse(core)).toBeLessThanOrEqual(start + segments + learnedMacs(bench));
      expect(memoryStats(core).badFrees).toBe(0);
    });
  }

  /** MAC entries stay when their flows go, and what the table needs for them. */
  function learnedMacs(bench: UpcallBench): number {
    return bench.bridges.reduce((n, b) => n + bench.core.x.macTableFlush(b.macTable), 0);
  }

  it('harms nothing, whatever is asked for in it', () => {
    const bench = smallBench();
    const { core } = bench;
    const rules = ['output:2', 'output:3', 'mod_nw_tos:8,2', 'NORMAL', 'controller,2'];
    const loads = (Object.values(flowShapes) as FlowShape[]).map((s) => new FlowLoad(bench, s));
    bench.startRevalidators(1);
    const rule = bench.addRule('br0', 'priority=9,tcp,nw_dst=10.0.0.2,actions=output:2');
    const blocks: number[] = [];
    const step = fc.oneof(
      fc.record({ do: fc.constant('burst' as const), load: fc.nat(loads.length - 1), from: fc.nat(2000) }),
      fc.record({ do: fc.constant('fill' as const) }),
      fc.record({ do: fc.constant('free' as const), count: fc.nat(60) }),
      fc.record({ do: fc.constant('change' as const), actions: fc.constantFrom(...rules) }),
      fc.record({ do: fc.constantFrom('round' as const, 'purge' as const) }),
    );
    let sent = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
        for (const s of steps) {
          if (s.do === 'burst') sent += loads[s.load]?.burst(s.from) ?? 0;
          else if (s.do === 'fill') blocks.push(...fill(core));
          else if (s.do === 'free') for (const at of blocks.splice(-s.count)) core.x.free(at);
          else if (s.do === 'change') {
            try {
              bench.setActions(rule, s.actions);
            } catch (error) {
              // Main tells the controller that its rule does not fit.
              if (!(error instanceof ArenaFullError)) throw error;
            }
          } else if (s.do === 'round') bench.advance(600, 100);
          else purge(bench);
        }
        for (const at of blocks.splice(0)) core.x.free(at);
        // Every flow is found by what it was made for, and the directory knows all.
        const count = core.dv.getUint32(bench.pmd + PmdLayout.flowCount, true);
        expect(bench.flows()).toHaveLength(count);
        const key = core.x.alloc(2 * 768) >>> 0;
        for (const mf of bench.flows()) {
          core.x.megaflowExpand(mf, key, key + 768);
          expect(core.x.megaflowLookup(bench.pmd, key) >>> 0).toBe(mf);
        }
        core.x.free(key);
        expect(memoryStats(core).badFrees).toBe(0);
        purge(bench);
        expect(bench.flows()).toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(sent).toBeGreaterThan(0);
  });
});
