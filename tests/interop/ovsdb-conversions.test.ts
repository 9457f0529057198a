import { describe, expect, it } from 'vitest';
import { runConversion } from '../support/ovsdb-conversions.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovsdb-tool'] });

// Many more: npx tsx tests/soak/ovsdb-conversions.ts
describe.skipIf(skip !== null)('conversions of random databases', () => {
  // Among these: strong references that are ephemeral, bounds that are none, contents that do not fit, limits that do not hold.
  it.each([1, 19, 37, 50, 57, 374])('by our programs and the stock ones, seed %i', async (seed) => {
    await expect(runConversion(seed)).resolves.toMatchObject({});
  });
});
