import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { composePacket } from '../../src/flow/compose.ts';
import { formatFieldText } from '../../src/flow/field-text.ts';
import { requireField } from '../../src/flow/fields.ts';
import { formatMatch } from '../../src/flow/match-format.ts';
import { parseExactFlow, parseMatchText } from '../../src/flow/match-parse.ts';
import { getMatchField, normalizeMatch, setMatchField, valueIsValid } from '../../src/flow/match-set.ts';
import { Match } from '../../src/flow/match.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { formatHex } from '../../src/wire/address.ts';
import { missing } from '../support/tools.ts';

/**
 * Text of matches and composed packets, against the stock ovs-ofctl: what it prints for a flow must
 * be what we print, for listed and for generated ones.
 */
const skip = missing({ tools: ['ovs-ofctl'] });

const always = ['in_port', 'dl_src', 'dl_dst', 'reg0', 'reg7', 'xreg2', 'xxreg3', 'tun_id', 'ct_mark', 'ct_label', 'pkt_mark', 'metadata', 'ct_zone', 'tun_src', 'tun_dst', 'tun_gbp_id'];
const tagged = ['vlan_tci', 'dl_vlan_pcp', 'dl_vlan'];
const ip = ['nw_tos', 'nw_ecn', 'nw_ttl'];
const groups: readonly (readonly [word: string, fields: readonly string[]])[] = [
  ['', []],
  ['ip', ['nw_src', 'nw_dst', 'nw_proto', ...ip]],
  ['tcp', ['nw_src', 'nw_dst', 'tcp_src', 'tcp_dst', 'tcp_flags', ...ip]],
  ['udp', ['nw_src', 'nw_dst', 'udp_src', 'udp_dst', ...ip]],
  ['sctp', ['nw_dst', 'sctp_src', 'sctp_dst']],
  ['icmp', ['nw_src', 'icmp_type', 'icmp_code']],
  ['ipv6', ['ipv6_src', 'ipv6_dst', 'ipv6_label', ...ip]],
  ['tcp6', ['ipv6_src', 'ipv6_dst', 'tcp_src', 'tcp_flags']],
  ['icmp6', ['ipv6_dst', 'icmpv6_type', 'icmpv6_code']],
  ['icmp6,icmpv6_type=135,icmpv6_code=0', ['nd_target', 'nd_sll']],
  ['icmp6,icmpv6_type=136,icmpv6_code=0', ['nd_target', 'nd_tll', 'nd_reserved', 'nd_options_type']],
  ['arp', ['arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha', 'arp_op']],
  ['mpls', ['mpls_label', 'mpls_tc', 'mpls_bos', 'mpls_ttl']],
  ['dl_type=0x894f,nsh_mdtype=1', ['nsh_flags', 'nsh_ttl', 'nsh_np', 'nsh_spi', 'nsh_si', 'nsh_c1', 'nsh_c4']],
];

/** A flow of random conditions whose prerequisites hold. */
function randomFlow(random: SeededRandom): string {
  const [word, own] = groups[random.u32() % groups.length] ?? groups[0] ?? ['', []];
  const parts = word === '' ? [] : [word];
  const names = [...own, ...always, ...tagged].filter(() => random.u32() % 5 === 0);
  for (const name of names) {
    // Two conditions on one tag, or on a register and its halves, would merge.
    if (name.startsWith('dl_vlan') && names.includes('vlan_tci')) continue;
    const field = requireField(name);
    const byte = (): number => random.u32() & 0xff;
    const mask = new Uint8Array(field.bytes).fill(0xff);
    if (field.maskable && random.u32() % 2 === 0) {
      // Prefixes as often as any mask.
      const bits = 1 + (random.u32() % (field.bits - 1 || 1));
      for (let i = 0; i < field.bytes; i++) mask[i] = random.u32() % 2 === 0 ? byte() : bits > 8 * i ? 0xff : 0;
      // The stock parser takes a mask that starts with a decimal digit for a prefix length.
      if (field.format === 'ipv6') mask[0] = 0xff;
    }
    const value = new Uint8Array(field.bytes).map((_, i) => byte() & (mask[i] ?? 0));
    if (name === 'in_port') value.set([0, byte() % 100]);
    if (!valueIsValid(field, value)) continue;
    const one = new Match();
    setMatchField(one, field, value, mask);
    const got = getMatchField(one, field);
    if (got.mask.every((b) => b === 0)) continue;
    if (name === 'dl_vlan') parts.push(`dl_vlan=${((value[0] ?? 0) << 8) | (value[1] ?? 0)}`);
    else if (name === 'dl_vlan_pcp') parts.push(`dl_vlan_pcp=${value[0] ?? 0}`);
    else parts.push(`${name}=${formatFieldText(field, got.value, got.mask)}`);
  }
  return parts.join(',');
}

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
    const flows = Array.from({ length: 500 }, () => randomFlow(random));
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
