import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';
import { FullRateSwitch, unaccounted } from './full-rate-switch.ts';

/** A few minutes' worth of full-rate.ts in small: without devices, so that it needs no root. */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });

describe.skipIf(skip !== null)('a PMD at full rate while rules and ports change', () => {
  let s: SwitchUnderTest;
  let soak: FullRateSwitch;

  beforeAll(async () => {
    s = await SwitchUnderTest.start('ours', ['--enable-dummy']);
    soak = new FullRateSwitch(s, 4000, 'dummy');
  });
  afterAll(async () => {
    soak.close();
    await s.stop();
  });

  it('accounts for every packet and gives its memory back', async () => {
    const blocks = (m: Map<string, number>): Map<string, number> =>
      new Map([...m].filter(([k]) => /^arena \d+B$/.test(k)));
    const memory: Map<string, number>[] = [];
    for (let cycle = 0; cycle < 4; cycle++) {
      await soak.begin(3);
      for (let i = 0; i < 12; i++) {
        soak.change();
        await soak.standing();
      }
      const account = await soak.account();
      expect(account.received).toBeGreaterThan(100_000);
      expect(account.droppedByRule).toBeGreaterThan(0);
      expect({ ...account, unaccounted: unaccounted(account) }).toMatchObject({ unaccounted: 0 });
      memory.push(await soak.end());
    }
    // The first cycle warms lists; one block a cycle from then on would be a leak.
    const [, before = new Map<string, number>(), , after = new Map<string, number>()] = memory;
    expect(after.get('arena bad frees')).toBe(0);
    const grown = [...blocks(after)].filter(([k, n]) => n - (before.get(k) ?? 0) >= 2);
    expect(grown.map(([k, n]) => `${k}: ${before.get(k) ?? 0} -> ${n}`)).toEqual([]);
  });
});
