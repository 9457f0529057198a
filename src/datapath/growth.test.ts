import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStats } from '../arena/memory-stats.ts';
import { settle } from '../arena/testing/test-core.ts';
import { frameOf, LookupRig } from './testing/lookup-rig.ts';

/** One mask for all: source address, source and destination port. */
const mask = [0, 1, 3, 4];
const frame = (i: number): Uint8Array =>
  frameOf({
    tag: 1,
    v6: false,
    src: i & 31,
    dst: 1,
    sport: (i >>> 5) & 0xff,
    dport: (i >>> 13) & 3,
    syn: false,
  });

describe("a subtable's table", () => {
  it('finds all and nothing else at each moment of growing, whatever comes and goes meanwhile', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 800, max: 3000 }),
        fc.integer({ min: 0, max: 3 }),
        fc.infiniteStream(fc.nat(3)),
        (count, deletions, dice) => {
          const rig = new LookupRig();
          const { core, pmd } = rig;
          settle(core);
          const before = memoryStats(core).blocksInUse;
          const live = new Map<number, number>();
          const order: number[] = [];
          const probe = (from: number): void => {
            const some = Array.from({ length: 96 }, (_, k) => from + 37 * k);
            expect(rig.lookUp(some.map(frame))).toEqual(some.map((i) => live.get(i) ?? 0));
          };
          for (let i = 0; i < count; i++) {
            live.set(i, rig.install(frame(i), 1, mask));
            order.push(i);
            // Old ones and young ones: on both sides of what a table in the making has copied.
            for (let d = 0; d < deletions && order.length > 0 && Number(dice.next().value) === 0; d++) {
              const at = Number(dice.next().value) < 2 ? order.length - 1 : (i * 7919) % order.length;
              const [gone = 0] = order.splice(at, 1);
              core.x.megaflowDelete(live.get(gone) ?? 0);
              live.delete(gone);
            }
            if (i % 61 === 0) probe(i >> 1);
          }
          for (let from = 0; from < count + 96; from += 96) {
            const all = Array.from({ length: 96 }, (_, k) => from + k);
            expect(rig.lookUp(all.map(frame))).toEqual(all.map((i) => live.get(i) ?? 0));
            expect(rig.reference(all.map(frame))).toEqual(all.map((i) => live.get(i) ?? 0));
          }
          core.x.megaflowFlush(pmd);
          settle(core);
          // The input port, its list and the directory stay.
          expect(memoryStats(core).blocksInUse - before).toBeLessThan(20);
          core.x.pmdDestroy(pmd);
        },
      ),
      { numRuns: 8 },
    );
  });
});
