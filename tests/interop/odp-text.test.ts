import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { composePacket } from '../../src/flow/compose.ts';
import { formatFlow } from '../../src/flow/match-format.ts';
import { parseExactFlow } from '../../src/flow/match-parse.ts';
import { formatOdpActions } from '../../src/odp/actions-format.ts';
import { parseOdpActions } from '../../src/odp/actions-parse.ts';
import { parseOdpKeyText } from '../../src/odp/key-parse.ts';
import { formatOdpKey } from '../../src/odp/key-text.ts';
import { decodePcap } from '../../src/wire/pcap.ts';
import { formatHex } from '../../src/wire/address.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwitchUnderTest } from '../support/daemons.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { randomFlowText } from '../support/random-flows.ts';
import { missing } from '../support/tools.ts';

/**
 * Datapath keys and actions in text, and packets composed from keys, against the stock userspace
 * datapath: what it prints after `dpctl/add-flow` must be what we print after reading the same text.
 */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-appctl', 'ovs-vswitchd', 'ovsdb-server'] });

const eth = 'recirc_id(0),in_port(1),eth(dst=00:00:00:00:00:00)';
const keys = [
  `${eth},eth_type(0x0800),ipv4(frag=no)`,
  'recirc_id(5),in_port(1),eth(src=00:00:00:00:00:01/ff:00:00:00:00:ff),eth_type(0x0800),ipv4(src=1.2.3.4/255.255.0.0,frag=first)',
  `${eth},eth_type(0x0800),ipv4(proto=17,ttl=64,tos=0x10/0xfc,frag=no),udp(src=1,dst=2/0xff)`,
  'recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(),tcp_flags(syn|ack)',
  `${eth},eth_type(0x0800),ipv4(proto=6,frag=no),tcp(dst=80),tcp_flags(+syn-ack)`,
  `${eth},eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8,code=0)`,
  `${eth},eth_type(0x0800),ipv4(proto=132,frag=no),sctp(src=8,dst=0/0x1)`,
  `${eth},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::/ffff::,label=0x12345,proto=17,tclass=0x4/0xfc,hlimit=3,frag=no),udp(dst=5)`,
  `${eth},eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6(type=128,code=0)`,
  `${eth},eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.0.0/255.255.0.0,op=1,sha=00:00:00:00:00:01,tha=00:00:00:00:00:00/00:00:00:00:00:01)`,
  `${eth},eth_type(0x8035),arp(op=3)`,
  `${eth},eth_type(0x8847),mpls(label=100,tc=3,ttl=64,bos=1)`,
  `${eth},eth_type(0x8847),mpls(label=100/0x0,tc=3/0,ttl=64/0x0,bos=1/1)`,
  `${eth},eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))`,
  `${eth},eth_type(0x8100),vlan(vid=5/0xf,pcp=0/0),encap(eth_type(0x1234))`,
  `${eth},eth_type(0x1234)`,
  'skb_priority(0x5),skb_mark(0x3/0x7),recirc_id(0x1),dp_hash(0x5/0xf),in_port(1),packet_type(ns=0,id=0),eth(dst=00:00:00:00:00:00),eth_type(0x1234)',
  `ct_state(-new+est-inv+trk),ct_zone(0x10),ct_mark(0x5/0xff),ct_label(0x123/0xfff),${eth},eth_type(0x0800),ipv4(frag=no)`,
  `ct_state(0x21),${eth},eth_type(0x0800),ipv4(frag=no)`,
  `ct_state(+est+trk),ct_tuple4(src=1.2.3.4,dst=10.0.0.0/255.0.0.0,proto=6,tp_src=4,tp_dst=0/0),${eth},eth_type(0x0800),ipv4(frag=no)`,
  `ct_state(+est+trk),ct_tuple6(src=::1,dst=fe80::/ffff::,proto=6,tp_src=4),${eth},eth_type(0x86dd),ipv6(frag=no)`,
  `tunnel(tun_id=0x7f,src=1.1.1.1,dst=2.2.2.2,tos=0,ttl=64,flags(df|csum|key)),${eth},eth_type(0x0800),ipv4(frag=no)`,
  `tunnel(ipv6_src=::1,ipv6_dst=fe80::1,ttl=64,tp_src=5,tp_dst=4789,flags(-df+csum)),${eth},eth_type(0x0800),ipv4(frag=no)`,
];

const actions = [
  '1,2', 'trunc(100),2', 'recirc(1)', 'push_vlan(vid=5,pcp=3),2', 'push_vlan(tpid=0x88a8,vid=5,pcp=0),2',
  'push_vlan(vid=5,pcp=0,cfi=0),2', 'pop_vlan,2', 'set(ipv4(src=1.2.3.4,dst=5.6.7.8/255.255.0.0,tos=0x4/0xfc,ttl=3)),2',
  'set(eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)),2', 'set(eth(dst=00:00:00:00:00:02)),2', 'set(tcp(src=1)),2',
  'set(udp(src=1/0xff,dst=2)),2', 'set(ipv6(src=::1,label=0x12345,tclass=0x10/0xfc,hlimit=3)),2',
  'set(skb_mark(0x5/0xff)),2', 'set(skb_priority(0x5)),2', 'set(mpls(label=5,tc=1,ttl=3,bos=1)),2',
  'set(arp(sip=1.2.3.4,op=2)),2', 'set(nd(target=::1)),2', 'set(icmp(type=3,code=1)),2',
  'set(tunnel(tun_id=0x0,src=1.1.1.1,dst=2.2.2.2,tos=0x4,ttl=64,flags(df|key))),2',
  'set(tunnel(ipv6_dst=fe80::1,ttl=64,flags())),2', 'sample(sample=12.5%,actions(2,push_vlan(vid=1,pcp=0)))',
  'clone(1,set(ipv4(ttl=3)),2),3', 'check_pkt_len(size=200,gt(drop),le(5,6))', 'meter(3),2', 'ct_clear,2', 'ct',
  'ct(commit,zone=5,mark=0x1/0xff,label=0x1234/0xffff,helper=ftp,timeout=tp1)', 'ct(force_commit,zone=7)', 'ct(nat)',
  'ct(commit,label=0xf000000000000000000000000000000f/0xffffffffffffffffffffffffffffffff)',
  'ct(commit,nat(src=10.0.0.240:32768-65535,random))', 'ct(commit,nat(dst=10.0.0.128-10.0.0.254,hash))',
  'ct(commit,nat(src=[fe80::1]-[fe80::5]:255-256,persistent))', 'ct(commit,nat(src=10.0.0.1-10.0.0.1))',
  'userspace(pid=42,controller(reason=1,dont_send=0,continuation=0,recirc_id=1,rule_cookie=0x5,controller_id=3,max_len=65535))',
  'userspace(pid=0,slow_path(match))', 'userspace(pid=0,slow_path())', 'userspace(pid=0,sFlow(vid=9,pcp=7,output=10),actions)',
  'userspace(pid=0,flow_sample(probability=123,collector_set_id=1234,obs_domain_id=2345,obs_point_id=3456,output_port=5,egress))',
  'userspace(pid=0,ipfix(output_port=7),tunnel_out_port=10)', 'tnl_pop(4)', 'lb_output(5)',
  'push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x123,si=5,c1=0x1,c2=0x2,c3=0x3,c4=0x4)', 'pop_nsh()',
]; // prettier-ignore

const macs = 'in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07)';
const packets = [
  `${macs},eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=10),tcp_flags(syn)`,
  `${macs},eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=10)`,
  `${macs},eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,ttl=64,frag=no),icmp(type=8,code=0)`,
  `${macs},eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0x1,ttl=64,frag=later)`,
  `${macs},eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,ttl=64,frag=first),udp(src=1,dst=2)`,
  `${macs},eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(src=192.168.0.1,proto=132,ttl=64,frag=no),sctp(src=1,dst=2))`,
  `${macs},eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=2,sha=50:54:00:00:00:05,tha=00:00:00:00:00:00)`,
  `${macs},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=5,proto=58,tclass=0,hlimit=255,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=50:54:00:00:00:05,tll=00:00:00:00:00:00)`,
  `${macs},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,proto=10,tclass=0x70,hlimit=128,frag=no)`,
  `${macs},eth_type(0x1234)`,
  macs,
  `${macs},eth_type(0x8847),mpls(label=100,tc=0,ttl=64,bos=1)`,
];

describe.skipIf(skip !== null)('datapath text, stock dpctl', () => {
  let stock: SwitchUnderTest;
  const ports = {
    byName: () => undefined,
    byNumber: (n: number) => (n === 1 ? 'p1' : n === 2 ? 'p2' : undefined),
  };
  const dp = 'dummy@ovs-dummy';

  beforeAll(async () => {
    stock = await SwitchUnderTest.start('stock', ['--enable-dummy', '--disable-system']);
    stock.stockOk('ovs-vsctl', 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy', 'fail_mode=secure',
      '--', 'add-port', 'br0', 'p1', '--', 'set', 'interface', 'p1', 'type=dummy', 'ofport_request=1', `options:pcap=${join(stock.rundir, 'p1.pcap')}`,
      '--', 'add-port', 'br0', 'p2', '--', 'set', 'interface', 'p2', 'type=dummy', 'ofport_request=2'); // prettier-ignore
    // Revalidators would delete flows that no upcall made.
    stock.stockOk('ovs-appctl', 'revalidator/pause');
  });

  afterAll(async () => {
    await stock.stop();
  });

  /** Adds one flow and returns what the two dumps print: key, verbose key, actions. */
  function dumped(key: string, action: string): readonly string[] {
    stock.stockOk('ovs-appctl', 'dpctl/del-flows', dp);
    stock.stockOk('ovs-appctl', 'dpctl/add-flow', dp, key, action);
    const line = (...more: string[]): string =>
      stock
        .stockOk('ovs-appctl', 'dpctl/dump-flows', ...more, dp)
        .split('\n')
        .find((l) => l.includes(', packets:')) ?? '';
    const short = line();
    const long = line('-m');
    return [
      short.replace(/, packets:.*/, ''),
      long.replace(/^ufid:[-0-9a-f]+, /, '').replace(/, packets:.*/, ''),
      short.replace(/.*actions:/, ''),
    ];
  }

  it.each(keys)('key %s', (text) => {
    const [short, long] = dumped(text, '2');
    const { flow, mask } = parseOdpKeyText(text);
    expect(formatOdpKey(flow, mask)).toBe(short);
    expect(formatOdpKey(flow, mask, { verbose: true, ports })).toBe(long);
  });

  it.each(actions)('actions %s', (text) => {
    const [, , theirs] = dumped(`${eth},eth_type(0x0800),ipv4(frag=no)`, text);
    expect(formatOdpActions(parseOdpActions(text))).toBe(theirs);
  });

  it('prints 150 generated flows as ofproto/trace does', () => {
    const random = new SeededRandom(11);
    const differ: unknown[] = [];
    for (let i = 0; i < 150; i++) {
      const flow = randomFlowText(random);
      const trace = stock.stockOk('ovs-appctl', 'ofproto/trace', 'br0', flow);
      const theirs = /^Flow: (.*)$/m.exec(trace)?.[1];
      const ours = formatFlow(parseExactFlow(flow));
      if (ours !== theirs) differ.push({ flow, ours, theirs });
    }
    expect(differ).toEqual([]);
  });

  it('composes the packets that netdev-dummy/receive makes of flows', async () => {
    for (const text of packets) stock.stockOk('ovs-appctl', 'netdev-dummy/receive', 'p1', text);
    const file = join(stock.rundir, 'p1.pcap');
    await expect.poll(() => decodePcap(readFileSync(file)).length, { timeout: 30_000 }).toBe(packets.length);
    const theirs = decodePcap(readFileSync(file)).map((p) => formatHex(p.bytes));
    expect(packets.map((text) => formatHex(composePacket(parseOdpKeyText(text).flow)))).toEqual(theirs);
  });
});
