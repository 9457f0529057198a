import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TranslationBench } from '../../src/ofproto/testing/translation-bench.ts';
import type { VlanMode } from '../../src/ofproto/snapshot.ts';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';
import { TraceCases } from '../support/trace-cases.ts';

/**
 * Translation against the stock switch: random rules, VLAN settings and packets go to both, and all of
 * `ofproto/trace` must be equal: tables, explanations, megaflow mask, datapath actions. Our side is the
 * translator alone. TRACE_SEEDS=first-last runs more.
 */
const skip = missing({ tools: ['ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });
const [firstSeed = 1, lastSeed = 12] = (process.env['TRACE_SEEDS'] ?? '1-12').split('-').map(Number);
const rulesPerSeed = 15;
const flowsPerSeed = 15;

/** Ids of frozen states depend on what was traced before. */
const normal = (text: string): string => text.replace(/recirc_id=[1-9]\d*/g, 'recirc_id=N');

describe.skipIf(skip !== null)('ofproto/trace', () => {
  let stock: SwitchUnderTest;
  let odp: (name: string) => number;
  const ports = [1, 2, 3, 4, 5, 6];

  beforeAll(async () => {
    stock = await SwitchUnderTest.start('stock', ['--enable-dummy', '--disable-system']);
    const vsctl = (text: string): void => {
      stock.stockOk('ovs-vsctl', ...text.split(' '));
    };
    for (const b of ['br0', 'br1']) {
      vsctl(
        `add-br ${b} -- set bridge ${b} datapath-type=dummy fail-mode=secure protocols=OpenFlow10,OpenFlow13`,
      );
    }
    // One by one, so that the order of ports is that of their creation.
    for (const i of ports) vsctl(`add-port br0 p${i} -- set interface p${i} type=dummy ofport_request=${i}`);
    vsctl('add-port br0 pa -- set interface pa type=patch options:peer=pb ofport_request=7');
    vsctl('add-port br1 pb -- set interface pb type=patch options:peer=pa ofport_request=7');
    for (const i of [1, 2, 3])
      vsctl(`add-port br1 q${i} -- set interface q${i} type=dummy ofport_request=${i}`);
    const show = stock.stockOk('ovs-appctl', 'dpif/show');
    odp = (name) => Number(new RegExp(` ${name} \\d+/(\\d+):`).exec(show)?.[1]);
  });
  afterAll(async () => {
    await stock.stop();
  });

  /** The same bridges on our side, with VLAN modes as given for p1..p6. */
  function ours(modes: readonly string[], tags: readonly number[]): TranslationBench {
    const bundle = (name: string, mode: string, tag: number) => ({
      name,
      vlanMode: (mode === 'trunks' ? 'trunk' : mode) as VlanMode,
      vlan: mode.startsWith('trunk') ? -1 : tag,
      ...(mode === 'trunks' ? { trunks: [10, 20] } : {}),
      priorityTags: 'no' as const,
      protected: false,
      floodable: true,
    });
    return new TranslationBench([
      {
        name: 'br0',
        ports: [
          { name: 'br0', ofp: 0xfffffffe, odp: odp('br0') },
          ...ports.map((i) => ({ name: `p${i}`, ofp: i, odp: odp(`p${i}`) })),
          { name: 'pa', ofp: 7, peer: { bridge: 'br1', ofp: 7 } },
        ],
        bundles: [
          bundle('br0', 'trunk', 0),
          ...ports.map((i, k) => bundle(`p${i}`, modes[k] ?? 'trunk', tags[k] ?? 0)),
          bundle('pa', 'trunk', 0),
        ],
      },
      {
        name: 'br1',
        ports: [
          { name: 'br1', ofp: 0xfffffffe, odp: odp('br1') },
          { name: 'pb', ofp: 7, peer: { bridge: 'br0', ofp: 7 } },
          ...[1, 2, 3].map((i) => ({ name: `q${i}`, ofp: i, odp: odp(`q${i}`) })),
        ],
      },
    ]);
  }

  function setVlans(modes: readonly string[], tags: readonly number[]): void {
    const args: string[] = [];
    modes.forEach((mode, k) => {
      const port = `p${k + 1}`;
      for (const column of ['tag', 'trunks', 'vlan_mode']) args.push('--', 'clear', 'port', port, column);
      if (mode === 'trunks') args.push('--', 'set', 'port', port, 'trunks=10,20');
      else if (mode !== 'trunk') args.push('--', 'set', 'port', port, `tag=${tags[k]}`);
      if (mode.startsWith('native')) args.push('--', 'set', 'port', port, `vlan_mode=${mode}`);
    });
    stock.stockOk('ovs-vsctl', ...args.slice(1));
  }

  /** Traces on both sides; a refusal must have the same words. @returns Whether it was accepted. */
  function compare(bench: TranslationBench, args: readonly string[]): boolean {
    const theirs = stock.stock('ovs-appctl', 'ofproto/trace', ...args);
    const accepted = theirs.status === 0;
    let mine: string;
    try {
      mine = bench.trace(...args);
    } catch (error) {
      mine = `${(error as Error).message}\n`;
    }
    const want = accepted ? theirs.stdout : theirs.stderr.replace(/\novs-appctl:[^]*$/, '\n');
    expect(normal(mine), args.join(' ')).toBe(normal(want));
    return accepted;
  }

  for (let seed = firstSeed; seed <= lastSeed; seed++) {
    it(`equals stock OVS's, seed ${seed}`, () => {
      const cases = new TraceCases(seed);
      const modes = ports.map(() =>
        cases.pick(['trunk', 'trunk', 'access', 'trunks', 'native-tagged', 'native-untagged']),
      );
      const tags = ports.map(() => cases.pick([10, 20]));
      setVlans(modes, tags);
      const bench = ours(modes, tags);
      for (const bridge of ['br0', 'br1']) stock.stockOk('ovs-ofctl', 'del-flows', bridge);
      stock.stockOk('ovs-appctl', 'fdb/flush');
      const add = (bridge: string, text: string, protocol: string): void => {
        const version = protocol === 'OpenFlow10' ? '-FNXM+table_id' : `-O${protocol}`;
        // What OVS refuses (actions that do not suit the match ...) is left out on both sides.
        if (stock.stock('ovs-ofctl', version, 'add-flow', bridge, text).status === 0)
          bench.addRule(bridge, text);
      };
      for (let i = 0; i < rulesPerSeed; i++) {
        const { text, protocol } = cases.rule();
        add('br0', text, protocol);
      }
      add('br1', 'priority=5,in_port=7 actions=NORMAL', 'OpenFlow13');
      add('br1', `priority=9,${cases.match()} actions=${cases.actions(5)}`, 'OpenFlow13');
      add('br1', 'priority=4 actions=1,7,NORMAL', 'OpenFlow13');
      for (let i = 0; i < flowsPerSeed; i++) {
        const args = ['br0', cases.flow(), ...(cases.chance(50) ? ['-generate'] : [])];
        compare(bench, args);
      }
    });
  }

  it('refuses what stock OVS refuses, with its words', () => {
    const bench = ours([], []);
    const attempts = [
      ['br9', 'in_port=1'], ['br0', 'in_port=1,foo=2'], ['br0', '--foo', 'in_port=1'], ['a', 'b', 'c', 'd'],
      ['br0', 'in_port=1', 'ff'], ['br0', 'in_port=1', 'zz'], ['in_port=1'], ['br0', 'in_port(1)'], ['in_port(55)'],
      ['br0', 'in_port=1', '--ct-next'], ['br0', 'in_port=1', '--ct-next', 'foo'], ['br0', 'in_port=1', '-generate', '5054'],
      ['br0', 'in_port=1,tcp_dst=3'], ['br0', 'in_port=1,ip,nw_src=1.2.3.4/24'], ['ovs-dummy', 'in_port=1'],
    ]; // prettier-ignore
    for (const args of attempts) {
      expect(compare(bench, args), args.join(' ')).toBe(false);
    }
  });

  it('takes datapath flows, packets and port names', () => {
    const bench = ours([], []);
    for (const bridge of ['br0', 'br1']) stock.stockOk('ovs-ofctl', 'del-flows', bridge);
    setVlans(
      ports.map(() => 'trunk'),
      [],
    );
    stock.stockOk('ovs-appctl', 'fdb/flush');
    for (const rule of ['in_port=1 actions=mod_nw_tos:4,2,7', 'priority=3 actions=NORMAL']) {
      stock.stockOk('ovs-ofctl', 'add-flow', 'br0', rule);
      bench.addRule('br0', rule);
    }
    const frame =
      '5054000000075054000000050800450000280000400040066e6c0a0000010a00000200500051000000000000000050021000000000000000';
    const attempts = [
      [`in_port(${odp('p1')}),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=1.0.0.1,dst=1.0.0.2,proto=6,tos=0,ttl=9,frag=no),tcp(src=8,dst=10)`],
      ['ovs-dummy', `in_port(${odp('p2')}),eth_type(0x0806)`], ['br0', 'in_port=1', frame], ['br0', 'in_port=p2', frame],
      ['br0', 'in_port=1,tcp', '--names'], ['br0', 'in_port=LOCAL,arp', '--names', '-generate'], [`in_port(${odp('p3')})`, frame],
    ]; // prettier-ignore
    for (const args of attempts) compare(bench, args);
  });
});
