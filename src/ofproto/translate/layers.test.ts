import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BytePool, Layers } from './layers.ts';

describe('layers', () => {
  it('behave as a stack of arrays', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('push' as const), value: fc.nat(9) }),
      fc.record({ do: fc.constantFrom('pop' as const, 'clear' as const, 'close' as const) }),
      fc.record({ do: fc.constant('open' as const), copy: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const layers = new Layers<number>();
        const model: number[][] = [[]];
        const marks: number[] = [];
        for (const s of steps) {
          const top = model.at(-1) ?? [];
          if (s.do === 'push') {
            layers.push(s.value);
            top.push(s.value);
          } else if (s.do === 'pop') expect(layers.pop()).toBe(top.pop());
          else if (s.do === 'clear') {
            layers.clear();
            top.length = 0;
          } else if (s.do === 'open') {
            marks.push(layers.open(s.copy));
            model.push(s.copy ? [...top] : []);
          } else if (marks.length > 0) {
            layers.close(marks.pop() ?? 0);
            model.pop();
          }
          const now = model.at(-1) ?? [];
          expect(Array.from({ length: layers.length }, (_, i) => layers.at(i))).toEqual(now);
        }
      }),
    );
  });

  it('byte arrays are handed out once until they are given back', () => {
    const pool = new BytePool();
    const a = pool.take(4);
    const b = pool.take(4);
    expect(a).not.toBe(b);
    expect([a.length, b.length, pool.take(0).length]).toEqual([4, 4, 0]);
    pool.reset();
    expect(pool.take(4)).toBe(a);
    expect(pool.take(4)).toBe(b);
  });
});
