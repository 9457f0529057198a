import { formatFieldText } from '../../src/flow/field-text.ts';
import type { Field } from '../../src/flow/fields.ts';
import { requireField } from '../../src/flow/fields.ts';
import { getMatchField, setMatchField, valueIsValid } from '../../src/flow/match-set.ts';
import { Match } from '../../src/flow/match.ts';
import type { Random } from '../../src/util/random.ts';

/** Random matches and flows as text of ovs-ofctl; repeatable by seed. */
const always = [
  'in_port',
  'dl_src',
  'dl_dst',
  'reg0',
  'reg7',
  'xreg2',
  'xxreg3',
  'tun_id',
  'ct_mark',
  'ct_label',
  'pkt_mark',
  'metadata',
  'ct_zone',
  'tun_src',
  'tun_dst',
  'tun_gbp_id',
];
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
  [
    'dl_type=0x894f,nsh_mdtype=1',
    ['nsh_flags', 'nsh_ttl', 'nsh_np', 'nsh_spi', 'nsh_si', 'nsh_c1', 'nsh_c4'],
  ],
];

/** A match of random conditions whose prerequisites hold. */
export function randomMatchText(random: Random): string {
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
      for (let i = 0; i < field.bytes; i++)
        mask[i] = random.u32() % 2 === 0 ? byte() : bits > 8 * i ? 0xff : 0;
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

const metadata = [
  ...always.filter((name) => name !== 'in_port'), 'tun_ipv6_dst', 'tun_gbp_flags', 'tun_tos', 'tun_ttl', 'tun_flags',
  'tun_erspan_ver', 'tun_erspan_idx', 'tun_gtpu_flags', 'ct_state', 'skb_priority', 'conj_id',
]; // prettier-ignore

/** A random value with only bits that the field has. */
function randomValue(random: Random, field: Field): Uint8Array {
  const value = new Uint8Array(field.bytes).map(() => random.u32() & 0xff);
  const top = field.bytes - Math.ceil(field.bits / 8);
  value.fill(0, 0, top);
  if (field.bits % 8 !== 0) value[top] = (value[top] ?? 0) & ((1 << (field.bits % 8)) - 1);
  if (field.name === 'ct_state') value.fill(0, 0, 3);
  return value;
}

/** A flow with exact values, as ofproto/trace takes it. */
export function randomFlowText(random: Random): string {
  const [word, own] = groups[random.u32() % groups.length] ?? ['', []];
  const parts = [`in_port=${1 + (random.u32() % 2)}`];
  if (word !== '') parts.push(word);
  for (const name of [...own, ...metadata, ...tagged].filter(() => random.u32() % 6 === 0)) {
    // Two conditions on one tag are refused.
    if (tagged.includes(name) && parts.some((part) => part.includes('vlan'))) continue;
    const field = requireField(name);
    const value = randomValue(random, field);
    if (valueIsValid(field, value)) parts.push(`${name}=${formatFieldText(field, value)}`);
  }
  return parts.join(',');
}
