import { describe, expect, it } from 'vitest';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { Match } from '../flow/match.ts';
import { parseExactFlow, parseMatchPart } from '../flow/match-parse.ts';
import { splitKeyValues } from '../flow/key-values.ts';
import { OdpActionWriter } from './action-writer.ts';
import { formatOdpActions } from './actions-format.ts';
import { commitOdpActions } from './commit.ts';

const FLOW = 0;
const BASE = KEY_SIZE;
const WC = 2 * KEY_SIZE;

/** Commits the way from one flow to another; `wc` lists what the translation has looked at or set. */
function commit(before: string, after: string, wc: string): { text: string; slow: number; u8: Uint8Array } {
  const u8 = new Uint8Array(3 * KEY_SIZE);
  u8.set(parseExactFlow(after), FLOW);
  u8.set(parseExactFlow(before), BASE);
  const match = new Match(new Uint8Array(KEY_SIZE), u8.subarray(WC));
  for (const { key, value } of splitKeyValues(wc)) parseMatchPart(match, key, value);
  const writer = new OdpActionWriter(new Uint8Array(512));
  const slow = commitOdpActions(u8, FLOW, BASE, WC, writer);
  expect(writer.overflowed).toBe(false);
  return { text: formatOdpActions(writer.bytes()), slow, u8 };
}

const SLOW = 32;

/** before, after, wildcards, actions of the stock ofproto/trace, slow-path reasons. */
const cases: readonly (readonly [string, string, string, string, number])[] = [
  [
    'tcp,nw_src=10.0.0.1,nw_ttl=64',
    'tcp,nw_src=1.2.3.4,nw_tos=8,nw_ttl=63',
    'nw_src=0.0.0.0,nw_tos=0,nw_ttl=0,nw_proto=0',
    'set(ipv4(src=1.2.3.4,tos=0x8/0xfc,ttl=63))',
    0,
  ],
  ['tcp,nw_src=10.0.0.1', 'tcp,nw_src=10.0.0.1', 'nw_src=0.0.0.0', 'drop', 0],
  [
    'tcp,tp_src=5,tp_dst=6',
    'dl_src=00:00:00:00:00:01,tcp,tp_src=7,tp_dst=6',
    'dl_src=00:00:00:00:00:00,tp_src=0',
    'set(eth(src=00:00:00:00:00:01)),set(tcp(src=7))',
    0,
  ],
  ['tcp,tp_src=5,tp_dst=6', 'tcp,tp_src=7,tp_dst=8', 'tp_src=0,tp_dst=0', 'set(tcp(src=7,dst=8))', 0],
  [
    'tcp,tp_src=5,tp_dst=6,nw_src=10.0.0.1',
    'tcp,dl_src=00:00:00:00:00:ff,tp_src=7,tp_dst=6,nw_src=10.0.0.1',
    'dl_src=00:00:00:00:00:00/00:00:00:00:00:ff,tp_src=0/0xff,nw_src=0.0.0.1/0.0.0.255',
    'set(eth(src=00:00:00:00:00:ff/00:00:00:00:00:ff)),set(tcp(src=7/0xff))',
    0,
  ],
  ['dl_vlan=10,tcp', 'tcp', '', 'pop_vlan', 0],
  ['dl_vlan=10,tcp', 'dl_vlan=12,tcp', '', 'pop_vlan,push_vlan(vid=12,pcp=0)', 0],
  ['tcp', 'dl_vlan=12,dl_vlan_pcp=2,tcp', '', 'push_vlan(vid=12,pcp=2)', 0],
  [
    'ip',
    'mpls,mpls_label=5,mpls_ttl=64,mpls_bos=1',
    '',
    'push_mpls(label=5,tc=0,ttl=64,bos=1,eth_type=0x8847)',
    0,
  ],
  [
    'mpls,mpls_label=100,mpls_bos=1,mpls_ttl=64',
    'mpls,mpls_label=5,mpls_bos=1,mpls_ttl=64',
    'mpls_label=0',
    'set(mpls(label=5,tc=0,ttl=64,bos=1))',
    0,
  ],
  ['mpls,mpls_label=100,mpls_bos=1,mpls_ttl=64', 'ip', '', 'pop_mpls(eth_type=0x800)', 0],
  ['icmp,icmp_type=8', 'icmp,icmp_type=3', 'icmp_type=0', 'set(icmp(type=3,code=0))', SLOW],
  [
    'icmp6,icmpv6_type=135,nd_target=fe80::1',
    'icmp6,icmpv6_type=135,nd_target=fe80::2',
    'nd_target=::',
    'set(nd(target=fe80::2))',
    SLOW,
  ],
  [
    'icmp6,icmpv6_type=136,nd_target=fe80::1',
    'icmp6,icmpv6_type=136,nd_target=fe80::1,nd_reserved=1',
    'nd_reserved=0',
    'set(nd_ext(nd_reserved=0x1))',
    SLOW,
  ],
  [
    'arp,arp_op=1,arp_spa=1.1.1.1',
    'arp,arp_op=2,arp_spa=1.1.1.1,arp_tpa=1.1.1.1',
    'arp_op=0,arp_tpa=0.0.0.0,arp_spa=0.0.0.0',
    'set(arp(tip=1.1.1.1,op=2))',
    SLOW,
  ],
  ['tcp', 'pkt_mark=5,tcp', 'pkt_mark=0', 'set(skb_mark(0x5))', 0],
  ['tcp', 'pkt_mark=5,tcp', 'pkt_mark=0/0xff', 'set(skb_mark(0x5/0xff))', 0],
  ['tcp', 'skb_priority=3,tcp', 'skb_priority=0', 'set(skb_priority(0x3))', 0],
  [
    'tcp6,ipv6_src=::1,nw_ttl=64',
    'tcp6,ipv6_src=::2,nw_ttl=63,ipv6_label=0x123',
    'ipv6_src=::,nw_ttl=0,ipv6_label=0',
    'set(ipv6(src=::2,label=0x123,hlimit=63))',
    0,
  ],
  [
    'sctp,sctp_src=4',
    'sctp,sctp_src=4,sctp_dst=5,nw_ecn=1',
    'sctp_dst=0,nw_ecn=0',
    'set(ipv4(tos=0x1/0x3)),set(sctp(dst=5))',
    0,
  ],
];

describe('commitOdpActions', () => {
  it.each(cases)('%s -> %s (%s)', (before, after, wc, expected, slow) => {
    const result = commit(before, after, wc);
    expect(result.text).toBe(expected);
    expect(result.slow).toBe(slow);
  });

  it('brings the base up to date, so that a second commit writes nothing', () => {
    for (const [before, after, wc] of cases) {
      const { u8 } = commit(before, after, wc);
      const writer = new OdpActionWriter(new Uint8Array(512));
      commitOdpActions(u8, FLOW, BASE, WC, writer);
      expect(formatOdpActions(writer.bytes()), `${before} -> ${after}`).toBe('drop');
    }
  });

  it('matches a popped tag whole', () => {
    const { u8 } = commit('dl_vlan=10,tcp', 'tcp', '');
    expect([...u8.subarray(WC + 28, WC + 32)]).toEqual([255, 255, 255, 255]);
  });

  it('says so when the memory is too small', () => {
    const u8 = new Uint8Array(3 * KEY_SIZE);
    u8.set(parseExactFlow('tcp,nw_src=1.2.3.4'), FLOW);
    u8.set(parseExactFlow('tcp'), BASE);
    u8.fill(0xff, WC);
    const writer = new OdpActionWriter(new Uint8Array(16));
    commitOdpActions(u8, FLOW, BASE, WC, writer);
    expect(writer.overflowed).toBe(true);
  });
});
