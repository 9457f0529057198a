import { describe, expect, it } from 'vitest';
import { expectArp, expectEthernet, expectIp } from '../wire/testing/expect-packet.ts';
import { composePacket } from './compose.ts';
import { extractFlow } from './extract.ts';
import { parseExactFlow } from './match-parse.ts';
import { formatFlow } from './match-format.ts';

const flows = [
  'tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_src=5,tcp_dst=6,nw_ttl=64',
  'tcp,tcp_flags=syn,nw_tos=8,nw_ecn=1',
  'udp,udp_src=5',
  'udp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,udp_dst=6,ipv6_label=0x12345',
  'sctp,sctp_src=5',
  'icmp,icmp_type=8',
  'icmp,icmp_type=3,icmp_code=1',
  'icmp6,icmpv6_type=128',
  'icmp6,icmpv6_type=135,nd_target=fe80::5,nd_sll=00:01:02:03:04:05',
  'tcp,ip_frag=first,tcp_src=4',
  'ip,ip_frag=later,nw_proto=17',
  'arp,arp_op=1,arp_spa=1.2.3.4,arp_tpa=4.3.2.1,arp_sha=00:01:02:03:04:05',
  'dl_vlan=5,dl_vlan_pcp=3,udp',
  'mpls,mpls_label=100,mpls_bos=1,mpls_ttl=64',
  'dl_type=0x1234',
];

describe('composePacket', () => {
  it.each(flows)('%s', (text) => {
    const flow = parseExactFlow(`in_port=1,${text}`);
    const packet = composePacket(flow);
    const back = extractFlow(packet, { inPort: 1 }).flow;
    expect(formatFlow(back)).toBe(formatFlow(flow));
  });

  it('has right checksums, or wrong ones when asked', () => {
    for (const text of [
      'tcp,nw_src=1.2.3.4',
      'udp,udp_src=3',
      'icmp,icmp_type=8',
      'tcp6',
      'udp6',
      'icmp6,icmpv6_type=128',
    ]) {
      const flow = parseExactFlow(text);
      const payload = expectEthernet(composePacket(flow), {});
      expectIp(payload, {});
      const bad = expectEthernet(composePacket(flow, { badChecksum: true }), {});
      expect(() => expectIp(bad, {})).toThrow('checksum is wrong');
    }
  });

  it('takes a payload', () => {
    const packet = composePacket(parseExactFlow('udp'), { payload: Uint8Array.of(7, 8) });
    expect([...packet.subarray(-2)]).toEqual([7, 8]);
    expect(packet.length).toBe(14 + 20 + 8 + 2);
  });

  it('fills ARP', () => {
    const packet = composePacket(parseExactFlow('arp,arp_op=2,arp_spa=1.2.3.4,arp_tha=00:00:00:00:00:09'));
    const arp = expectEthernet(packet, { ethertype: 0x806 });
    expectArp(arp, { operation: 2, senderIp: '1.2.3.4', targetMac: '00:00:00:00:00:09' });
  });
});
