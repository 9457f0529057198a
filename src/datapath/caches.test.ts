import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStats } from '../arena/memory-stats.ts';
import { settle } from '../arena/testing/test-core.ts';
import { frameOf, frameSpecs, LookupRig, maskSets } from './testing/lookup-rig.ts';

const frame = (tag: number, src: number): Uint8Array =>
  frameOf({ tag, v6: false, src, dst: 1, sport: 1, dport: 1, syn: false });

describe('a cached verdict', () => {
  it.each([
    ['EMC', { emc: true }],
    ['SMC', { smc: true }],
    ['EMC and SMC', { emc: true, smc: true }],
  ])('of the %s equals the uncached one while megaflows come and go', (_, caches) => {
    fc.assert(
      fc.property(maskSets, frameSpecs, fc.infiniteStream(fc.nat(2)), (masks, specs, coins) => {
        const rig = new LookupRig(caches);
        const all = specs.map((f) => frameOf({ ...f, tag: f.tag % masks.length }));
        const toss = (): number => Number(coins.next().value);
        for (let round = 0; round < 4; round++) {
          const live = new Set<number>();
          for (const f of all) if (toss() !== 0) live.add(rig.install(f, f[5] ?? 0, masks[f[5] ?? 0] ?? []));
          // Twice: the second time from the caches.
          for (let pass = 0; pass < 2; pass++) expect(rig.lookUp(all)).toEqual(rig.reference(all));
          for (const mf of live) if (toss() === 0) rig.core.x.megaflowDelete(mf);
          rig.core.x.quiesce();
          expect(rig.lookUp(all)).toEqual(rig.reference(all));
        }
        rig.core.x.pmdDestroy(rig.pmd);
      }),
      { numRuns: 25 },
    );
  });
});

describe('the signature match cache', () => {
  it('answers instead of the dpcls, goes when it is turned off, and leaves no memory behind', () => {
    const rig = new LookupRig();
    const { core, pmd } = rig;
    settle(core);
    const before = memoryStats(core).usedBytes;
    core.x.pmdSetSmc(pmd, true);
    const flows = Array.from({ length: 200 }, (_, i) => frame(i % 3, i));
    flows.forEach((f) => rig.install(f, f[5] ?? 0, [0, 1, 2]));
    rig.lookUp(flows);
    expect(rig.counter('smcHits')).toBe(0);
    const hits = rig.counter('megaflowHits');
    rig.lookUp(flows);
    expect(rig.counter('smcHits')).toBe(200);
    expect(rig.counter('megaflowHits')).toBe(hits);
    core.x.pmdSetSmc(pmd, false);
    rig.lookUp(flows);
    expect(rig.counter('smcHits')).toBe(200);
    core.x.megaflowFlush(pmd);
    settle(core);
    // Records of the input port and the directory stay; the cache alone took 8 MiB.
    expect(memoryStats(core).usedBytes - before).toBeLessThan(1 << 20);
  });
});

describe('simple match', () => {
  it('passes the caches by while a port has only megaflows of port, type, tag and fragment bits', () => {
    const rig = new LookupRig({ emc: true, smc: true });
    const flows = Array.from({ length: 40 }, (_, i) => frame(0, i));
    const simple = rig.install(flows[0] ?? frame(0, 0), 0, [5], false);
    expect(new Set(rig.lookUp(flows))).toEqual(new Set([simple]));
    expect(rig.counter('simpleHits')).toBe(40);
    // One megaflow that looks at an address, of another Ethertype: no longer simple.
    const v6 = frameOf({ tag: 0, v6: true, src: 1, dst: 1, sport: 1, dport: 1, syn: false });
    const complex = rig.install(v6, 1, [5, 7], false);
    expect(rig.lookUp([...flows, v6])).toEqual([...flows.map(() => simple), complex]);
    expect(rig.counter('simpleHits')).toBe(40);
    rig.core.x.megaflowDelete(complex);
    rig.lookUp(flows);
    expect(rig.counter('simpleHits')).toBe(80);
    expect(rig.counter('emcHits')).toBe(0);
  });
});

it('the EMC of a pmd without packets lets go of deleted megaflows when it is swept', () => {
  const rig = new LookupRig({ emc: true });
  const { core, pmd } = rig;
  const flows = Array.from({ length: 50 }, (_, i) => frame(i % 2, i));
  flows.forEach((f) => rig.install(f, f[5] ?? 0, [0, 1]));
  rig.lookUp(flows);
  rig.lookUp(flows);
  expect(rig.counter('emcHits')).toBeGreaterThan(0);
  core.x.megaflowFlush(pmd);
  settle(core);
  const held = memoryStats(core).blocksInUse;
  core.x.pmdSweep(pmd);
  settle(core);
  expect(memoryStats(core).blocksInUse).toBeLessThan(held);
});
