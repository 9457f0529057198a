import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runWorld } from '../support/ovsdb-world.ts';
import { missing } from '../support/tools.ts';

/**
 * Random transactions on random schemas, on our server and on the stock one at the same time: replies, updates of
 * monitors in all dialects, contents afterwards, and the files read by the other side must agree. Longer runs:
 * tests/soak/ovsdb-differential.ts.
 */
const skip = missing({ tools: ['ovsdb-server', 'ovsdb-tool'] });
const runs = Number(process.env['OVSDB_RUNS'] ?? 12);
const steps = Number(process.env['OVSDB_STEPS'] ?? 60);
const firstSeed = Number(process.env['OVSDB_SEED'] ?? 20);

describe.skipIf(skip !== null)('ovsdb-server against the stock one', () => {
  it(`answers random transactions alike (${runs} schemas of ${steps} steps, seed ${firstSeed})`, async () => {
    let transactions = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 0x7fffffff }), async (seed) => {
        transactions += (await runWorld(seed, steps)).transactions;
      }),
      { numRuns: runs, seed: firstSeed, endOnFailure: true },
    );
    expect(transactions).toBeGreaterThan((runs * steps) / 2);
  });
});
