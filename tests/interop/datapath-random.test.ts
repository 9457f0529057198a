import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';
import { TraceCases } from '../support/trace-cases.ts';

/**
 * Random rules, VLAN settings and packets through the stock switch and ours, over dummy ports and virtual
 * time: megaflows with masks, actions and statistics, OpenFlow counters, and learned addresses must be
 * equal. DATAPATH_SEEDS=first-last runs more.
 */
const skip = missing({ tools: ['ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });
const [firstSeed = 21, lastSeed = 23] = (process.env['DATAPATH_SEEDS'] ?? '21-23').split('-').map(Number);
const rulesPerSeed = 8;
const packetsPerSeed = 15;
const ports = [1, 2, 3, 4, 5, 6];

/** Lines in a settled order, without what differs by nature: real time, ids, ages (whole seconds of either clock). */
function normalise(text: string): string[] {
  return text
    .replace(/recirc_id=[1-9]\d*/g, 'recirc_id=N')
    .replace(/duration=[0-9.]+s/g, 'duration=Ts')
    .replace(/used:[0-9.]+s/g, 'used:Ts')
    .replace(/(idle|hard)_age=\d+, /g, '')
    .replace(/( (?:[0-9a-f]{2}:){5}[0-9a-f]{2}) +\d+$/gm, '$1')
    .replace(/^\d{4}-.*$/gm, '')
    .split('\n')
    .filter((l) => l !== '' && !l.includes('reply'))
    .sort();
}

describe.skipIf(skip !== null)('random traffic, same as the stock switch', () => {
  const switches: SwitchUnderTest[] = [];

  /** Runs a stock tool on both switches: both must accept, or both refuse. */
  const both = (...args: [string, ...string[]]): boolean => {
    const [tool, ...rest] = args;
    const [stock, ours] = switches.map((s) => s.stock(tool, ...rest));
    expect(ours?.status, `${args.join(' ')}: ${ours?.stderr ?? ''}`).toBe(stock?.status);
    return stock?.status === 0;
  };
  const words = (text: string): [string, ...string[]] => text.split(' ') as [string, ...string[]];

  beforeAll(async () => {
    for (const kind of ['stock', 'ours'] as const) {
      switches.push(await SwitchUnderTest.start(kind, ['--enable-dummy', '--disable-system']));
    }
    ['br0', 'br1'].forEach((b, i) => {
      const settings = 'datapath-type=dummy fail-mode=secure protocols=OpenFlow10,OpenFlow13';
      both(
        ...words(
          `ovs-vsctl add-br ${b} -- set bridge ${b} ${settings} other-config:hwaddr=aa:55:aa:55:00:0${i}`,
        ),
      );
    });
    for (const i of ports)
      both(...words(`ovs-vsctl add-port br0 p${i} -- set interface p${i} type=dummy ofport_request=${i}`));
    both(
      ...words('ovs-vsctl add-port br0 pa -- set interface pa type=patch options:peer=pb ofport_request=7'),
    );
    both(
      ...words('ovs-vsctl add-port br1 pb -- set interface pb type=patch options:peer=pa ofport_request=7'),
    );
    for (const i of [1, 2, 3])
      both(...words(`ovs-vsctl add-port br1 q${i} -- set interface q${i} type=dummy ofport_request=${i}`));
    both('ovs-appctl', 'time/stop');
  });
  afterAll(async () => {
    for (const s of switches) await s.stop();
  });

  function setVlans(cases: TraceCases): void {
    const args: string[] = [];
    for (const i of ports) {
      const mode = cases.pick(['trunk', 'access', 'trunk', 'native-tagged', 'native-untagged']);
      const tag = cases.pick([10, 20]);
      args.push('--', 'clear', 'port', `p${i}`, 'tag', 'trunks', 'vlan_mode');
      if (mode !== 'trunk') args.push('--', 'set', 'port', `p${i}`, `tag=${tag}`);
      if (mode.startsWith('native')) args.push('--', 'set', 'port', `p${i}`, `vlan_mode=${mode}`);
    }
    both('ovs-vsctl', ...args.slice(1));
  }

  function addRule(cases: TraceCases): void {
    const { text, protocol } = cases.rule();
    both(
      'ovs-ofctl',
      protocol === 'OpenFlow10' ? '-FNXM+table_id' : `-O${protocol}`,
      'add-flow',
      'br0',
      text,
    );
  }

  const settle = (ms: number): void => {
    both('ovs-appctl', 'time/warp', String(ms));
    both('ovs-appctl', 'revalidator/wait');
  };

  for (let seed = firstSeed; seed <= lastSeed; seed++) {
    it(`seed ${seed}`, () => {
      const cases = new TraceCases(seed);
      setVlans(cases);
      for (const bridge of ['br0', 'br1']) both('ovs-ofctl', 'del-flows', bridge);
      both('ovs-appctl', 'fdb/flush');
      settle(1000);
      both('ovs-appctl', 'revalidator/purge');
      both('ovs-appctl', 'time/warp', '100');
      for (let i = 0; i < rulesPerSeed; i++) addRule(cases);
      both(...words('ovs-ofctl add-flow br0 priority=2,actions=NORMAL'));
      both(...words('ovs-ofctl add-flow br1 actions=NORMAL'));
      for (let i = 0; i < packetsPerSeed; i++) {
        const port = cases.pick(ports);
        const packet = cases.packet(port);
        for (let n = 1 + cases.below(3); n > 0; n--)
          both('ovs-appctl', 'netdev-dummy/receive', `p${port}`, packet);
        both('ovs-appctl', 'time/warp', '10');
        if (i % 5 === 4) settle(600);
        if (i === 9) {
          addRule(cases);
          settle(600);
        }
      }
      settle(1000);
      const reports = [
        'ovs-appctl dpctl/dump-flows', 'ovs-ofctl -OOpenFlow13 dump-flows br0', 'ovs-ofctl dump-flows br1',
        'ovs-appctl fdb/show br0', 'ovs-appctl fdb/show br1',
      ]; // prettier-ignore
      for (const report of reports) {
        const [tool, ...args] = words(report);
        const [stock, ours] = switches.map((s) => normalise(s.stockOk(tool, ...args)));
        expect(ours, report).toEqual(stock);
      }
    });
  }
});
