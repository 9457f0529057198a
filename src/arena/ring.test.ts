import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../util/clock.ts';
import { ArenaClock } from './clock.ts';
import { attachArena } from './core.ts';
import { EventRing } from './ring.ts';
import { testCore } from './testing/test-core.ts';

describe('event ring', () => {
  it('delivers in order what it took, and counts what it dropped', () => {
    const core = testCore({ sizeMb: 16 });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constant('drain' as const)), {
          maxLength: 300,
        }),
        (ops) => {
          const ring = EventRing.create(core, 1024);
          const reader = new EventRing(core, ring.address);
          const queued: (readonly [number, readonly number[]])[] = [];
          const got: (readonly [number, readonly number[]])[] = [];
          const drain = (): number => reader.drain((kind, bytes) => got.push([kind, [...bytes]]), 3);
          let dropped = 0;
          let taken = 0;
          for (const [i, op] of ops.entries()) {
            if (op === 'drain') taken += drain();
            else if (ring.tryPush(i, op)) queued.push([i, [...op]]);
            else dropped++;
          }
          while (drain() > 0);
          expect(got).toEqual(queued);
          expect(taken).toBeLessThanOrEqual(got.length);
          expect(ring.dropped).toBe(dropped);
          expect(ring.isEmpty).toBe(true);
          ring.destroy();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('takes a record as large as it is, and none larger', () => {
    const core = testCore({ sizeMb: 16 });
    const ring = EventRing.create(core, 1024);
    expect(ring.tryPush(1, new Uint8Array(1016))).toBe(true);
    expect(ring.tryPush(1, new Uint8Array(0))).toBe(false);
    expect(ring.drain(() => undefined)).toBe(1);
    expect(ring.tryPush(1, new Uint8Array(1017))).toBe(false);
    expect(ring.dropped).toBe(2);
  });
});

describe('arena clock', () => {
  it('stops for all threads at once and moves only by warp', () => {
    const main = testCore({ sizeMb: 16 });
    const other = attachArena({ module: main.module, memory: main.memory, threadName: 'other' });
    const real = new ManualClock(1000, 1_700_000_000_000);
    const clocks = [new ArenaClock(main, real), new ArenaClock(other, real)] as const;
    real.advance(5);
    expect(clocks.map((c) => c.nowMs())).toEqual([1005, 1005]);
    clocks[0].stop();
    real.advance(1000);
    expect(clocks.map((c) => c.nowMs())).toEqual([1005, 1005]);
    clocks[0].warp(250);
    clocks[0].stop();
    expect(clocks.map((c) => [c.nowMs(), c.wallMs()])).toEqual([
      [1255, 1_700_000_000_255],
      [1255, 1_700_000_000_255],
    ]);
  });
});
