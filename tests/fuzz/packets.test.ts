import { describe, expect, it } from 'vitest';
import { sampleFrames } from '../../src/datapath/testing/packets.ts';
import { readCorpus } from './corpus.ts';
import { PacketFuzzer } from './packet-fuzz.ts';

describe('mutated packets through extraction and caches', () => {
  it.each([1, 2, 3])('agree with the reference, seed %i', (seed) => {
    const result = new PacketFuzzer({ corpus: [...readCorpus().values()], count: 40_000, seed }).run();
    expect(result.mismatches).toEqual([]);
    // A run that never hit a cache or never missed would prove nothing.
    expect(result.emcHits).toBeGreaterThan(1000);
    expect(result.megaflowHits).toBeGreaterThan(1000);
    expect(result.misses).toBeGreaterThan(500);
  });

  it('start from a corpus with every sample frame', () => {
    const corpus = readCorpus();
    for (const [name, frame] of sampleFrames()) expect(corpus.get(`${name}.hex`)).toEqual(frame);
  });
});
