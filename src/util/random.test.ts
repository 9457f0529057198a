import { describe, expect, it } from 'vitest';
import { SeededRandom, randomUuid } from './random.ts';

describe('randomUuid', () => {
  it('is of version 4 and has all bits of chance else', () => {
    const random = new SeededRandom(1);
    const uuids = Array.from({ length: 2000 }, () => randomUuid(random));
    for (const uuid of uuids)
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(uuids).size).toBe(uuids.length);
    // Every digit but that of the version takes all its values.
    for (let at = 0; at < 36; at++) {
      const seen = new Set(uuids.map((uuid) => uuid[at])).size;
      expect(seen).toBe([8, 13, 14, 18, 23].includes(at) ? 1 : at === 19 ? 4 : 16);
    }
  });
  it('writes words in order', () => {
    const words = [0x01234567, 0x89abcdef, 0xfedcba98, 0x76543210];
    expect(randomUuid({ u32: () => words.shift() ?? 0 })).toBe('01234567-89ab-4def-bedc-ba9876543210');
  });
});
