import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/util/random.ts';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';
import { SoakSwitch } from './soak-switch.ts';

/** Equal cycles of configuration and traffic on dummy ports: what is removed gives its memory back. (A thread
 * that is killed takes its few private blocks with it.) */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });

describe.skipIf(skip !== null)('memory after equal cycles', () => {
  let s: SwitchUnderTest;

  beforeAll(async () => {
    s = await SwitchUnderTest.start('ours', ['--enable-dummy']);
  });
  afterAll(() => s.stop());

  async function cycle(): Promise<Map<string, number>> {
    const soak = new SoakSwitch(s, new SeededRandom(7), true);
    for (const b of ['skb1', 'skb2']) soak.addBridge(b);
    soak.addPort('skb1', 'skp1');
    soak.addPort('skb2', 'skp2');
    soak.vsctl(
      'add-port',
      'skb1',
      'skpa',
      '--',
      'set',
      'interface',
      'skpa',
      'type=patch',
      'options:peer=skpb',
      '--',
      'add-port',
      'skb2',
      'skpb',
      '--',
      'set',
      'interface',
      'skpb',
      'type=patch',
      'options:peer=skpa',
    );
    for (const p of ['skp1', 'skp2']) soak.traffic(p, 3);
    soak.flowMods('skb1', 100);
    for (const p of ['skp1', 'skp2']) soak.traffic(p, 3);
    soak.vsctl('set', 'port', 'skp1', 'tag=5');
    soak.vsctl('set', 'Open_vSwitch', '.', 'other_config:n-revalidator-threads=3');
    await soak.controllerOn('skb1');
    soak.controllerOff('skb1');
    for (const b of ['skb1', 'skb2']) soak.vsctl('del-br', b);
    soak.vsctl('clear', 'Open_vSwitch', '.', 'other_config');
    soak.end();
    return await soak.settledMemory();
  }

  it('is as before', async () => {
    await cycle();
    const blocks = (m: Map<string, number>): Map<string, number> =>
      new Map([...m].filter(([k]) => /^arena \d+B$/.test(k)));
    const before = await cycle();
    let after = before;
    for (let i = 0; i < 3; i++) after = await cycle();
    expect(after.get('arena bad frees')).toBe(0);
    // One block a cycle would be a leak.
    const grown = [...blocks(after)].filter(([k, n]) => n - (before.get(k) ?? 0) >= 3);
    expect(grown.map(([k, n]) => `${k}: ${before.get(k) ?? 0} -> ${n}`)).toEqual([]);
  });
});
