import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createArena, type Core } from '../arena/core.ts';
import { allocKey } from '../arena/keys.ts';
import { memoryStats } from '../arena/memory-stats.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { MegaflowLayout as M } from './generated/megaflow.ts';
import { PmdLayout as P } from './generated/pmd.ts';

const module = new WebAssembly.Module(
  readFileSync(new URL('../../dist/core.unshared.wasm', import.meta.url)),
);

/** A pmd whose megaflows differ in nw_src: number n is installed, found and deleted by n. */
class Flows {
  readonly core: Core = createArena({ module, sizeMb: 64, shared: false, seed: 1, threadName: 'main' });
  readonly pmd: number;
  readonly #key: number;
  readonly #mask: number;

  constructor() {
    const { core } = this;
    core.x.threadOnline();
    this.pmd = core.x.pmdCreate(0) >>> 0;
    this.#key = allocKey(core);
    this.#mask = allocKey(core);
    core.dv.setUint32(this.#mask + K.nwSrc, 0xffffffff);
  }

  install(n: number): number {
    this.core.dv.setUint32(this.#key + K.nwSrc, n);
    return this.core.x.megaflowInstall(this.pmd, this.#key, this.#mask, 0, 0, 1) >>> 0;
  }

  /** The megaflow that the unique id of `mf` leads to. */
  byUfid(mf: number): number {
    const { dv, x } = this.core;
    const [a = 0, b = 0, c = 0, d = 0] = [M.ufid0, M.ufid1, M.ufid2, M.ufid3].map((at) =>
      dv.getUint32(mf + at, true),
    );
    return x.megaflowFindUfid(this.pmd, a, b, c, d) >>> 0;
  }

  /** All that a dump sees. */
  dump(): Set<number> {
    const { dv } = this.core;
    const slots = dv.getUint32(this.pmd + P.flowSlots, true);
    const used = dv.getUint32(this.pmd + P.slotsUsed, true);
    const all = Array.from({ length: used }, (_, i) => dv.getUint32(slots + 4 * i, true));
    return new Set(all.filter((mf) => mf !== 0));
  }
}

describe('the directory of megaflows', () => {
  it('finds each by its id while buckets split one by one', () => {
    const flows = new Flows();
    const live: number[] = [];
    for (let n = 0; n < 9000; n++) {
      live.push(flows.install(n));
      // Around powers of two the number of address bits changes.
      if ((n & 1023) === 0 || (n & 1023) === 1) for (const mf of live) expect(flows.byUfid(mf)).toBe(mf);
    }
    expect(new Set(live).size).toBe(9000);
    expect(flows.core.dv.getUint32(flows.pmd + P.bucketCount, true)).toBe(9000);
    expect(flows.dump()).toEqual(new Set(live));
  });

  it('knows who is there, whatever comes and goes', () => {
    const flows = new Flows();
    const live = new Map<number, number>();
    const change = fc.record({
      add: fc.boolean(),
      from: fc.nat(3000),
      count: fc.integer({ min: 1, max: 600 }),
    });
    const start = memoryStats(flows.core).blocksInUse;
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        for (const { add, from, count } of changes) {
          for (let n = from; n < from + count; n++) {
            const known = live.get(n);
            if (add) {
              const mf = flows.install(n);
              if (known === undefined) live.set(n, mf);
              else expect(mf).toBe(known);
            } else if (known !== undefined) {
              expect(flows.core.x.megaflowDelete(known)).toBe(1);
              expect(flows.byUfid(known)).toBe(0);
              live.delete(n);
            }
          }
          flows.core.x.quiesce();
        }
        expect(flows.dump()).toEqual(new Set(live.values()));
        for (const mf of live.values()) expect(flows.byUfid(mf)).toBe(mf);
        expect(flows.core.dv.getUint32(flows.pmd + P.flowCount, true)).toBe(live.size);
      }),
      { numRuns: 40 },
    );
    flows.core.x.megaflowFlush(flows.pmd);
    for (let i = 0; i < 4; i++) flows.core.x.quiesce();
    expect(flows.dump().size).toBe(0);
    // Segments of buckets stay, and the record of the port with its list.
    expect(memoryStats(flows.core).blocksInUse - start).toBeLessThanOrEqual(8);
    expect(memoryStats(flows.core).badFrees).toBe(0);
  });
});
