import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocKey, readKey, writeKey } from '../../arena/keys.ts';
import { wildcardsForPacket } from '../../flow/flow-wildcards.ts';
import { parseExactFlow } from '../../flow/match-parse.ts';
import { testCore } from '../testing/bench.ts';
import { ExactMasks } from './exact-mask.ts';

const protocols = [
  'tcp', 'udp', 'icmp', 'sctp', 'ip,nw_proto=47', 'ip,nw_proto=2', 'tcp6', 'udp6', 'icmp6,icmpv6_type=135,icmpv6_code=0',
  'icmp6,icmpv6_type=128,icmpv6_code=0', 'arp', 'rarp', 'dl_type=0x1234', 'mpls,mpls_bos=1', 'mpls,mpls_bos=0',
]; // prettier-ignore

describe('exact masks', () => {
  it('are those of the packets, however they come', () => {
    const core = testCore();
    const masks = new ExactMasks(core);
    const key = allocKey(core);
    const out = allocKey(core);
    const packet = fc.record({
      protocol: fc.constantFrom(...protocols),
      vlan: fc.constantFrom('', ',dl_vlan=7'),
      frag: fc.constantFrom('', ',nw_frag=first', ',nw_frag=later'),
      tunnel: fc.constantFrom('', ',tun_id=5', ',tun_src=1.2.3.4,tun_dst=5.6.7.8'),
    });
    fc.assert(
      fc.property(packet, ({ protocol, vlan, frag, tunnel }) => {
        const isIp = !/arp|dl_type|mpls/.test(protocol);
        const flow = parseExactFlow(`in_port=1,${protocol}${isIp ? frag : ''}${vlan}${tunnel}`);
        writeKey(core, key, flow);
        for (let turn = 0; turn < 2; turn++) {
          core.u8.fill(0x55, out, out + 768);
          masks.write(key, out);
          expect(readKey(core, out)).toEqual(wildcardsForPacket(flow));
        }
      }),
      { numRuns: 500 },
    );
    masks.destroy();
  });
});
