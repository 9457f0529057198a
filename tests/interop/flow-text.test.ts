import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { composePacket } from '../../src/flow/compose.ts';
import { formatMatch } from '../../src/flow/match-format.ts';
import { parseExactFlow, parseMatchText } from '../../src/flow/match-parse.ts';
import { normalizeMatch } from '../../src/flow/match-set.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { formatHex } from '../../src/wire/address.ts';
import { randomMatchText } from '../support/random-flows.ts';
import { missing } from '../support/tools.ts';

/**
 * Text of matches and composed packets, against the stock ovs-ofctl: what it prints for a flow must
 * be what we print, for listed and for generated ones.
 */
const skip = missing({ tools: ['ovs-ofctl'] });

/** What the stock tool prints for each flow. */
function stock(flows: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'megaflow-flow-text-'));
  try {
    const file = join(folder, 'flows');
    writeFileSync(file, flows.map((f) => `${f}${f === '' ? '' : ','}actions=drop\n`).join(''));
    const text = execFileSync('ovs-ofctl', ['parse-flows', file], { encoding: 'utf8' });
    return text
      .split('\n')
      .filter((line) => /FLOW_MOD/.test(line))
      .map((line) => line.replace(/.*?: (?:ADD )?/, '').replace(/ ?actions=drop$/, ''));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(skip !== null)('match text, stock ovs-ofctl', () => {
  it('prints 500 generated flows alike', () => {
    const random = new SeededRandom(7);
    const flows = Array.from({ length: 500 }, () => randomMatchText(random));
    const ours = flows.map((flow) => {
      const match = parseMatchText(flow);
      normalizeMatch(match);
      return formatMatch(match);
    });
    const theirs = stock(flows);
    expect(theirs.length).toBe(flows.length);
    const differ = flows
      .map((flow, i) => ({ flow, ours: ours[i], theirs: theirs[i] }))
      .filter((d) => d.ours !== d.theirs);
    expect(differ).toEqual([]);
  });
});

const packets = [
  'tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_src=5,tcp_dst=6,nw_ttl=64',
  'tcp,nw_src=10.0.0.1,tcp_flags=syn',
  'tcp,tcp_flags=ack|ns',
  'udp,nw_src=10.0.0.1,udp_src=5,nw_tos=8,nw_ecn=2',
  'udp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,udp_dst=6,ipv6_label=0x12345,nw_tos=8',
  'sctp,sctp_src=5',
  'icmp,icmp_type=8',
  'icmp,icmp_type=3,icmp_code=1',
  'icmp6,icmpv6_type=128',
  'icmp6,icmpv6_type=135,nd_target=fe80::5,nd_sll=00:01:02:03:04:05,ipv6_src=fe80::1',
  'icmp6,icmpv6_type=136,nd_target=fe80::5,nd_tll=00:01:02:03:04:05',
  'ip,nw_proto=2',
  'ip,nw_proto=58',
  'tcp,ip_frag=first,tcp_src=4',
  'tcp,ip_frag=later',
  'tcp6,ip_frag=later',
  'arp,arp_op=1,arp_spa=1.2.3.4,arp_tpa=4.3.2.1,arp_sha=00:01:02:03:04:05',
  'arp,arp_op=3',
  'dl_type=0x05ff,dl_src=00:01:02:03:04:05',
  'dl_vlan=5,dl_vlan_pcp=3,udp',
  'dl_vlan=5,mpls,mpls_label=100,mpls_bos=1',
  'mplsm,mpls_label=100,mpls_tc=5',
];

describe.skipIf(skip !== null)('composed packets, stock ovs-ofctl', () => {
  it.each(packets)('%s', (flow) => {
    // It exits with an error for flows that its own extraction does not give back, after the dump.
    const run = spawnSync('ovs-ofctl', ['compose-packet', flow], { encoding: 'utf8' });
    const theirs = run.stdout
      .split('\n')
      .filter((line) => /^[0-9a-f]{8} /.test(line))
      .map((line) => line.slice(8, 58).replace(/[ -]/g, ''))
      .join('');
    expect(formatHex(composePacket(parseExactFlow(flow)))).toBe(theirs);
  });
});
