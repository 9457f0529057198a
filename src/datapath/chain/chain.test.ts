import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameOf, frameSpecs, LookupRig, maskSets } from '../testing/lookup-rig.ts';

describe('a compiled chain', () => {
  it('finds what the interpreted lookup finds, for any masks, also while megaflows come and go', () => {
    fc.assert(
      fc.property(maskSets, frameSpecs, fc.infiniteStream(fc.nat(2)), (masks, specs, coins) => {
        const rig = new LookupRig();
        const all = specs.map((f) => frameOf({ ...f, tag: f.tag % masks.length }));
        const toss = (): number => Number(coins.next().value);
        const live = new Set<number>();
        for (const frame of all) {
          if (toss() === 0) continue;
          const tag = frame[5] ?? 0;
          live.add(rig.install(frame, tag, masks[tag] ?? []));
        }
        const interpreted = rig.lookUp(all);
        expect(interpreted).toEqual(rig.reference(all));
        if (live.size > 0) {
          expect(rig.chains.install(rig.compile())).toBe(true);
          expect(rig.lookUp(all)).toEqual(interpreted);
          for (const mf of live) {
            if (toss() !== 0) continue;
            rig.core.x.megaflowDelete(mf);
            expect(rig.lookUp(all)).toEqual(rig.reference(all));
          }
        }
        // Without a new chain the interpreter goes on where the subtables changed.
        for (const frame of all) rig.install(frame, frame[5] ?? 0, masks[frame[5] ?? 0] ?? []);
        expect(rig.lookUp(all)).toEqual(rig.reference(all));
        rig.core.x.pmdDestroy(rig.pmd);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused when the subtables have changed since it was read', () => {
    const rig = new LookupRig();
    const frame = frameOf({ tag: 0, v6: false, src: 1, dst: 1, sport: 1, dport: 1, syn: false });
    rig.install(frame, 0, [0]);
    const chain = rig.compile();
    const other = frame.slice();
    other[5] = 1;
    rig.install(other, 1, [2]);
    expect(rig.chains.install(chain)).toBe(false);
    expect(rig.chains.install(rig.compile())).toBe(true);
    rig.chains.clear();
    expect(rig.lookUp([frame, other])).toEqual(rig.reference([frame, other]));
  });

  it('counts hits of each subtable, so that ranks and the chain after it follow the traffic', () => {
    const rig = new LookupRig();
    const make = (tag: number): Uint8Array =>
      frameOf({ tag, v6: false, src: tag, dst: 1, sport: 1, dport: 1, syn: false });
    for (let tag = 0; tag < 9; tag++) rig.install(make(tag), tag, [tag % 7, tag % 5]);
    const before = rig.compile();
    expect(rig.chains.install(before)).toBe(true);
    rig.lookUp(Array.from({ length: 64 }, () => make(8)));
    rig.core.x.pmdRank(rig.pmd);
    const after = rig.compile();
    expect(after.changes).toBe(before.changes);
    expect(after.order[0]).toBe(before.order[before.order.length - 1]);
    expect(rig.chains.install(after)).toBe(true);
    expect(rig.lookUp([make(8), make(0)])).toEqual(rig.reference([make(8), make(0)]));
  });
});
