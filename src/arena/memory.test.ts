import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../util/random.ts';
import { ARENA_ROOT } from './arena.layout.ts';
import { allocOrThrow, attachArena, detachArena } from './core.ts';
import { setArenaRootLayoutHash } from './generated/arena-root.ts';
import { memoryStats } from './memory-stats.ts';
import { settle, testCore, testModule } from './testing/test-core.ts';

describe.each([
  { sizeMb: 16, shared: true },
  { sizeMb: 16, shared: false },
  { sizeMb: 4096, shared: true },
])('allocator with $sizeMb MiB, shared $shared', ({ sizeMb, shared }) => {
  it('gives out zeroed, aligned blocks that never overlap, and takes all back', () => {
    const core = testCore({ sizeMb, shared });
    const { x, u8 } = core;
    const random = new SeededRandom(7);
    const before = memoryStats(core);
    const live = new Map<number, { size: number; mark: number }>();
    const check = (at: number, { size, mark }: { size: number; mark: number }): void => {
      // First, last and a middle byte carry the mark of the owner.
      for (const i of [0, size >>> 1, size - 1]) if (size > 0) expect(u8[at + i]).toBe(mark);
    };
    for (let i = 0; i < 20_000; i++) {
      if (random.u32() % 100 < 55) {
        const size = random.u32() % (random.u32() % 50 === 0 ? 300_000 : random.u32() % 5 === 0 ? 9000 : 300);
        const at = x.alloc(size) >>> 0;
        if (at === 0) continue;
        expect(at % 16).toBe(0);
        for (const o of [0, size >>> 1, size - 1]) if (size > 0) expect(u8[at + o]).toBe(0);
        const mark = 1 + (random.u32() % 255);
        u8.fill(mark, at, at + size);
        live.set(at, { size, mark });
      } else if (live.size > 0) {
        let skip = random.u32() % Math.min(live.size, 20);
        for (const [at, block] of live) {
          if (skip-- > 0) continue;
          check(at, block);
          if (random.u32() % 2 === 0) x.free(at);
          else x.deferFree(at);
          live.delete(at);
          break;
        }
      }
      if (i % 1000 === 0) x.quiesce();
    }
    const ranges = [...live].map(([at, b]) => [at, at + b.size] as const).sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < ranges.length; i++)
      expect(ranges[i]?.[0]).toBeGreaterThanOrEqual(ranges[i - 1]?.[1] ?? 0);
    for (const [at, block] of live) {
      check(at, block);
      x.free(at);
    }
    settle(core);
    const after = memoryStats(core);
    expect(after.blocksInUse).toBe(before.blocksInUse);
    expect(after.badFrees).toBe(0);
    expect(after.limboBlocks).toBe(0);
    // What thread caches keep is bounded by a page per size class.
    expect(after.usedBytes).toBeLessThan(40 * 65536);
  });
});

describe('a full arena', () => {
  it('refuses, and serves again what is freed', () => {
    const core = testCore({ sizeMb: 16 });
    const blocks: number[] = [];
    for (;;) {
      const at = core.x.alloc(5000) >>> 0;
      if (at === 0) break;
      blocks.push(at);
    }
    expect(blocks.length).toBeGreaterThan(2500);
    expect(memoryStats(core).failedAllocs).toBeGreaterThan(0);
    expect(() => allocOrThrow(core, 5000)).toThrow(/arena is full/);
    for (const at of blocks) core.x.free(at);
    // All pages join again: nearly the whole arena in one block.
    expect(core.x.alloc(14 << 20) >>> 0).not.toBe(0);
  });

  it('uses addresses above 2 GiB', () => {
    const core = testCore({ sizeMb: 4096 });
    const low = core.x.alloc(0x9000_0000) >>> 0;
    const high = core.x.alloc(1 << 20) >>> 0;
    expect(high).toBeGreaterThan(2 ** 31);
    core.u8[high] = 7;
    core.x.free(low);
    core.x.free(high);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: 0, badFrees: 0 });
  });
});

describe('bad frees', () => {
  it('counts and ignores double frees and addresses that are no blocks', () => {
    const core = testCore();
    const { x } = core;
    const small = x.alloc(100) >>> 0;
    const big = x.alloc(100_000) >>> 0;
    x.free(small);
    x.free(small);
    x.free(big);
    x.free(big);
    x.free(12345);
    x.free(small + 32);
    x.free(0xffff_fff0);
    x.free(0);
    const deferred = x.alloc(40) >>> 0;
    x.deferFree(deferred);
    x.deferFree(deferred);
    x.free(deferred);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ badFrees: 7, blocksInUse: 0 });
  });

  it('changes the generation of a block at each free', () => {
    const core = testCore();
    const at = core.x.alloc(64) >>> 0;
    const generation = core.x.blockGeneration(at);
    core.x.free(at);
    expect(core.x.alloc(64) >>> 0).toBe(at);
    expect(core.x.blockGeneration(at)).toBe(generation + 1);
  });
});

describe('epochs', () => {
  it('keeps deferred blocks while a thread that may hold them is online', () => {
    const main = testCore();
    const reader = attachArena({ module: main.module, memory: main.memory, threadName: 'reader' });
    const at = main.x.alloc(64) >>> 0;
    reader.x.threadOnline();
    main.x.deferFree(at);
    settle(main);
    expect(memoryStats(main)).toMatchObject({ limboBlocks: 1, blocksInUse: 1 });
    reader.x.quiesce();
    settle(main);
    expect(memoryStats(main)).toMatchObject({ limboBlocks: 0, blocksInUse: 0 });
    const second = main.x.alloc(64) >>> 0;
    main.x.deferFree(second);
    settle(main);
    expect(memoryStats(main).limboBlocks).toBe(1);
    reader.x.threadOffline();
    settle(main);
    expect(memoryStats(main).limboBlocks).toBe(0);
    detachArena(reader);
  });

  it('lets main take over a thread that died: locks, limbo, cached blocks', () => {
    const main = testCore();
    const worker = attachArena({ module: main.module, memory: main.memory, threadName: 'worker' });
    worker.x.threadOnline();
    const lock = main.x.alloc(16) >>> 0;
    worker.x.lock(lock);
    for (let i = 0; i < 100; i++) worker.x.deferFree(worker.x.alloc(64) >>> 0);
    for (let i = 0; i < 100; i++) worker.x.free(worker.x.alloc(200) >>> 0);
    expect(main.x.tryLock(lock)).toBe(0);
    expect(main.x.threadReap(worker.threadIndex)).toBe(1);
    expect(main.x.tryLock(lock)).toBe(1);
    main.x.unlock(lock);
    settle(main);
    expect(memoryStats(main)).toMatchObject({ limboBlocks: 0, blocksInUse: 1, badFrees: 0 });
    const next = attachArena({ module: main.module, memory: main.memory, threadName: 'next' });
    expect(next.threadIndex).toBe(worker.threadIndex);
  });
});

describe('attach', () => {
  it('refuses a memory of other layouts', () => {
    const main = testCore();
    setArenaRootLayoutHash(main.dv, ARENA_ROOT, 1);
    expect(() => attachArena({ module: testModule(), memory: main.memory, threadName: 'x' })).toThrow(
      /layouts/,
    );
  });

  it('refuses more threads than there are blocks', () => {
    const main = testCore();
    const attach = (): unknown => attachArena({ module: main.module, memory: main.memory, threadName: 'x' });
    for (let i = 1; i < 64; i++) attach();
    expect(attach).toThrow(/all thread blocks are taken/);
  });
});
