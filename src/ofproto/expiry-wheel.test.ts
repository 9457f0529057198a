import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExpiryWheel } from './expiry-wheel.ts';

test('each rule comes out once its deadline has passed, within a second, or for a look each turn', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 50 }),
      fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 60 }),
      (deadlines, steps) => {
        const wheel = new ExpiryWheel(0);
        const deadlineOf = new Map(deadlines.map((ms, i) => [i + 1, ms]));
        for (const [rule, ms] of deadlineOf) wheel.add(rule, ms);
        let nowMs = 0;
        for (const step of steps) {
          nowMs += step;
          const seen: number[] = [];
          wheel.due(nowMs, (rule) => seen.push(rule));
          expect(new Set(seen).size).toBe(seen.length);
          for (const rule of seen) {
            const ms = deadlineOf.get(rule) ?? -1;
            if (ms < nowMs) deadlineOf.delete(rule);
            else wheel.add(rule, ms);
          }
          for (const ms of deadlineOf.values()) expect(ms).toBeGreaterThan(nowMs - 2000);
          expect(wheel.size).toBe(deadlineOf.size);
        }
      },
    ),
  );
});
