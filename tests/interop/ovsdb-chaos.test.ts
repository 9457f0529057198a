import { describe, expect, it } from 'vitest';
import type { Kind } from '../support/ovsdb-services.ts';
import { runChaos } from '../support/ovsdb-chaos.ts';
import { missing } from '../support/tools.ts';

/**
 * An active server, its backup, a relay and a relay of that, with writers and followers, while servers are killed, stopped, converted
 * and change places. Longer runs: tests/soak/ovsdb-chaos.ts.
 */
const skip = missing({ tools: ['ovsdb-server', 'ovs-appctl', 'ovsdb-client'] });
const seconds = Number(process.env['OVSDB_CHAOS_SECONDS'] ?? 8);
const seed = Number(process.env['OVSDB_CHAOS_SEED'] ?? 5);

// Not two stock servers in a row: what the stock server does wrong alone is no news (tests/support/ovsdb-chaos/fleet.ts).
const fleets: readonly (readonly [string, readonly Kind[]])[] = [
  ['our servers alone', ['ours', 'ours', 'ours', 'ours']],
  ['ours and stock ones', ['ours', 'stock', 'ours', 'stock']],
];

describe.skipIf(skip !== null)('databases and their copies under fire', () => {
  it.each(fleets)('%s keep what they promised and agree in the end', async (_, kinds) => {
    const result = await runChaos(seed, seconds, undefined, kinds);
    if (result === null) return;
    expect(result.done).toBeGreaterThan(0);
    expect(Object.keys(result.events).length).toBeGreaterThan(0);
  });
});
