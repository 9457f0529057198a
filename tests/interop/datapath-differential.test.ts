import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/**
 * The same flows and packets into the stock switch and into ours, over dummy ports and virtual time:
 * megaflows, their statistics, OpenFlow counters and learned addresses must be the same text.
 */
const skip = missing({ tools: ['ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });

const ports = [1, 2, 3];
const eth = 'eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02)';
const back = 'eth(src=50:54:00:00:00:02,dst=50:54:00:00:00:01)';
const ipv4 =
  'eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)';
const tcp =
  'eth_type(0x0800),ipv4(src=10.1.2.3,dst=192.168.7.9,proto=6,tos=4,ttl=3,frag=no),tcp(src=5,dst=80),tcp_flags(syn)';
const ipv6 =
  'eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=58,tclass=0,hlimit=255,frag=no),icmpv6(type=128,code=0)';
const arp =
  'eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:01,tha=00:00:00:00:00:00)';
const vlan =
  'eth_type(0x8100),vlan(vid=10,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0))';

interface Case {
  readonly name: string;
  readonly setup?: readonly string[];
  readonly flows: readonly string[];
  readonly packets: readonly (readonly [port: number, packet: string])[];
}

const cases: readonly Case[] = [
  {
    name: 'NORMAL learns and floods',
    flows: ['actions=NORMAL'],
    packets: [
      [1, `${eth},${ipv4}`],
      [2, `${back},${ipv4}`],
      [1, `${eth},${ipv4}`],
      [3, `${eth},${arp}`],
    ],
  },
  {
    name: 'address prefixes widen the mask',
    flows: [
      'ip,nw_dst=10.0.0.0/24,actions=2',
      'ip,nw_dst=192.168.0.0/16,actions=3',
      'priority=1,actions=drop',
    ],
    packets: [
      [1, `${eth},${ipv4}`],
      [1, `${eth},${tcp}`],
      [2, `${eth},${ipv6}`],
    ],
  },
  {
    name: 'ports and protocols',
    flows: ['tcp,tp_dst=80,actions=2', 'udp,tp_src=1000,actions=3', 'icmp6,actions=1', 'arp,actions=NORMAL'],
    packets: [
      [1, `${eth},${ipv4}`],
      [1, `${eth},${tcp}`],
      [2, `${eth},${ipv6}`],
      [3, `${eth},${arp}`],
    ],
  },
  {
    name: 'header rewriting',
    flows: [
      'in_port=1,udp,actions=mod_dl_dst:aa:aa:aa:aa:aa:aa,mod_nw_src:1.2.3.4,mod_tp_dst:99,dec_ttl,2',
      'in_port=1,tcp,actions=mod_nw_tos:8,dec_ttl,output:2,mod_tp_src:7,output:3',
      'in_port=2,ipv6,actions=set_field:fe80::99->ipv6_dst,1',
    ],
    packets: [
      [1, `${eth},${ipv4}`],
      [1, `${eth},${tcp}`],
      [2, `${eth},${ipv6}`],
    ],
  },
  {
    name: 'VLAN tags',
    flows: [
      'in_port=1,dl_vlan=10,actions=strip_vlan,2',
      'in_port=2,actions=push_vlan:0x8100,mod_vlan_vid:20,3',
      'in_port=3,actions=mod_vlan_pcp:5,1',
    ],
    packets: [
      [1, `${eth},${vlan}`],
      [2, `${eth},${ipv4}`],
      [3, `${eth},${vlan}`],
      [3, `${eth},${arp}`],
    ],
  },
  {
    name: 'registers and resubmit',
    flows: [
      'table=0,in_port=1,actions=load:5->NXM_NX_REG0[],resubmit(,1)',
      'table=1,reg0=5,ip,actions=move:NXM_OF_IP_SRC[0..15]->NXM_NX_REG1[0..15],resubmit(,2)',
      'table=2,reg1=1,actions=2',
      'table=2,reg1=0x203,actions=3',
      'table=0,in_port=2,actions=resubmit(1,0)',
    ],
    packets: [
      [1, `${eth},${ipv4}`],
      [1, `${eth},${tcp}`],
      [2, `${eth},${ipv4}`],
    ],
  },
  {
    name: 'goto_table, write_actions, metadata',
    flows: [
      'table=0,in_port=1,actions=write_actions(output:2),write_metadata:0x12/0xff,goto_table:3',
      'table=3,metadata=0x12,udp,actions=write_actions(set_field:9->udp_dst)',
      'table=3,metadata=0x12,tcp,actions=clear_actions',
    ],
    packets: [
      [1, `${eth},${ipv4}`],
      [1, `${eth},${tcp}`],
    ],
  },
  {
    name: 'output forms',
    flows: ['in_port=1,actions=IN_PORT', 'in_port=2,actions=ALL', 'in_port=3,actions=FLOOD,LOCAL'],
    packets: [
      [1, `${eth},${ipv4}`],
      [2, `${eth},${ipv4}`],
      [3, `${eth},${ipv4}`],
    ],
  },
  {
    name: 'access and trunk ports',
    setup: ['set port p1 tag=10', 'set port p2 trunks=10,11', 'set port p3 tag=11'],
    flows: ['actions=NORMAL'],
    packets: [
      [1, `${eth},${ipv4}`],
      [2, `${back},${vlan}`],
      [3, `${eth},${arp}`],
      [1, `${eth},${vlan}`],
    ],
  },
  {
    name: 'no rule at all',
    flows: [],
    packets: [
      [1, `${eth},${ipv4}`],
      [2, `${eth},${ipv6}`],
    ],
  },
];

/** Ports at the end of a line of actions, in a settled order. */
const sortedOutputs = (line: string): string =>
  line.replace(/((?:[0-9]+,)+[0-9]+)$/, (list) => list.split(',').sort().join(','));

/** Lines in a settled order, without what differs by nature: durations, ages (a second's edge) and the order of flooding. */
function normalise(text: string): string[] {
  return text
    .replace(/duration=[0-9.]+s/g, 'duration=Xs')
    .replace(/used:[0-9.]+s/g, 'used:Xs')
    .replace(/(idle|hard)_age=\d+, /g, '')
    .replace(/^.*actions:.*$/gm, sortedOutputs)
    .replace(/( [0-9a-f:]{17}) +[0-9]+$/gm, '$1 AGE')
    .split('\n')
    .filter((l) => l !== '' && !l.includes('reply'))
    .sort();
}

describe.skipIf(skip !== null)('same as the stock switch', () => {
  const switches: SwitchUnderTest[] = [];

  beforeAll(async () => {
    for (const kind of ['stock', 'ours'] as const) {
      const s = await SwitchUnderTest.start(kind, ['--enable-dummy', '--disable-system']);
      switches.push(s);
      const add = ports.flatMap((p) => [
        '--',
        'add-port',
        'br0',
        `p${p}`,
        '--',
        'set',
        'interface',
        `p${p}`,
        'type=dummy',
        `ofport_request=${p}`,
      ]);
      s.stockOk(
        'ovs-vsctl',
        'add-br',
        'br0',
        '--',
        'set',
        'bridge',
        'br0',
        'datapath_type=dummy',
        'fail_mode=secure',
        'other_config:hwaddr=aa:55:aa:55:00:00',
        ...add,
      );
      s.stockOk('ovs-appctl', 'time/stop');
    }
  });

  afterAll(async () => {
    for (const s of switches) await s.stop();
  });

  it.each(cases)('$name', async ({ setup = [], flows, packets }) => {
    const texts: Record<string, string[]>[] = [];
    for (const s of switches) {
      s.stockOk('ovs-ofctl', 'del-flows', 'br0');
      for (const p of ports) s.stockOk('ovs-vsctl', 'clear', 'port', `p${p}`, 'tag', 'trunks');
      for (const command of setup) s.stockOk('ovs-vsctl', ...command.split(' '));
      s.stockOk('ovs-appctl', 'fdb/flush', 'br0');
      s.stockOk('ovs-appctl', 'revalidator/purge');
      for (const flow of flows) s.stockOk('ovs-ofctl', '-O', 'OpenFlow13', 'add-flow', 'br0', flow);
      const traces: string[] = [];
      for (const [port, packet] of packets) {
        const flow = `in_port(${port}),${packet}`;
        traces.push(...s.stockOk('ovs-appctl', 'ofproto/trace', 'ovs-dummy', flow).split('\n'));
        // Twice: the second one meets the megaflow.
        for (let i = 0; i < 2; i++) {
          s.stockOk('ovs-appctl', 'netdev-dummy/receive', `p${port}`, flow);
          s.stockOk('ovs-appctl', 'time/warp', '10');
        }
      }
      s.stockOk('ovs-appctl', 'time/warp', '1000');
      s.stockOk('ovs-appctl', 'revalidator/wait');
      texts.push({
        traces: traces.map((l) => (l.includes('Datapath actions: ') ? sortedOutputs(l) : l)),
        megaflows: normalise(s.stockOk('ovs-appctl', 'dpctl/dump-flows')),
        flows: normalise(s.stockOk('ovs-ofctl', '-O', 'OpenFlow13', 'dump-flows', 'br0')),
        macs: normalise(s.stockOk('ovs-appctl', 'fdb/show', 'br0')),
      });
    }
    expect(texts[1]).toEqual(texts[0]);
    await Promise.resolve();
  });
});
