import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../util/errors.ts';
import { formatFieldText, parseFieldText } from './field-text.ts';
import { fields, requireField } from './fields.ts';
import { formatFlow, formatMatch, formatMegaflowMatch } from './match-format.ts';
import { parseExactFlow, parseMatchText } from './match-parse.ts';
import { getMatchField, maskIsValid, normalizeMatch, setMatchField, valueIsValid } from './match-set.ts';
import { Match } from './match.ts';
import { parseSubfieldText } from './subfield-text.ts';

/** Text in, text as the stock `ovs-ofctl parse-flow` prints it. */
const same = [
  'ip', 'tcp', 'udp', 'sctp', 'icmp', 'ipv6', 'tcp6', 'udp6', 'sctp6', 'icmp6', 'arp', 'rarp', 'mpls', 'mplsm',
  'in_port=1', 'in_port=LOCAL', 'dl_src=00:11:22:33:44:55', 'dl_src=00:11:22:00:00:00/ff:ff:ff:00:00:00',
  'dl_type=0x1234', 'dl_vlan=10', 'dl_vlan=10,dl_vlan_pcp=3', 'dl_vlan_pcp=3', 'vlan_tci=0x1000/0x1000',
  'vlan_tci=0x0000/0x1fff', 'vlan_tci=0x0000', 'ip,nw_src=10.0.0.0/8', 'ip,nw_src=10.0.0.3/255.0.0.255',
  'ip,nw_proto=47', 'ip,nw_tos=32,nw_ecn=1', 'ip,nw_ttl=64', 'ip,nw_frag=no', 'ip,nw_frag=yes', 'ip,nw_frag=first',
  'ip,nw_frag=later', 'ip,nw_frag=not_later', 'tcp,tp_dst=0x50/0xfff0', 'tcp,tcp_flags=+syn-ack',
  'tcp,tcp_flags=syn|ack', 'tcp,tcp_flags=0', 'icmp,icmp_type=8,icmp_code=0',
  'icmp6,icmp_type=136,icmp_code=0,nd_target=fe80::/16,nd_tll=00:11:22:33:44:55',
  'arp,arp_spa=10.0.0.0/24,arp_tpa=1.2.3.4,arp_op=2', 'ipv6,ipv6_src=fe80::/64,ipv6_dst=::1',
  'ipv6,ipv6_dst=::ffff:1.2.3.4', 'ipv6,ipv6_dst=1:0:0:2::3', 'ipv6,ipv6_label=0x12345',
  'mpls,mpls_label=100,mpls_tc=3,mpls_ttl=5,mpls_bos=1', 'ct_state=+trk', 'ct_state=-new+est-rel-inv+trk',
  'ct_state=new|trk', 'ct_zone=5', 'ct_mark=0x5/0xff', 'ct_label=0x123/0xfff', 'reg0=0x1', 'reg3=0x5/0xff',
  'metadata=0x5/0xff', 'tun_id=0x5', 'tun_src=1.2.3.4,tun_dst=10.0.0.0/8', 'tun_flags=+oam', 'tun_gbp_id=5',
  'pkt_mark=0x5/0xf', 'conj_id=7', 'actset_output=3', 'packet_type=(1,0x800)',
  'dl_type=0x894f,nsh_flags=1,nsh_ttl=63,nsh_mdtype=1,nsh_np=3,nsh_spi=0x123,nsh_si=5,nsh_c1=0x1',
]; // prettier-ignore

const different: readonly (readonly [string, string])[] = [
  ['xreg0=0x100000002', 'reg0=0x1,reg1=0x2'],
  ['xxreg0=0x1', 'reg0=0,reg1=0,reg2=0,reg3=0x1'],
  ['tcp,nw_src=1.2.3.4/0', 'tcp'],
  ['eth_type=0x86dd,nw_proto=132,tp_src=5', 'sctp6'],
  ['vlan_vid=4101', 'dl_vlan=5'],
  ['dl_vlan=0xffff', 'vlan_tci=0x0000'],
  ['dl_type=0x0800,nw_proto=17', 'udp'],
  ['ip,ip_dscp=8', 'ip,nw_tos=32'],
  ['vlan_tci=0xf123', 'dl_vlan=291,dl_vlan_pcp=7'],
  ['eth', ''],
  ['', ''],
];

describe('match text', () => {
  it.each(same)('%s', (text) => {
    expect(formatMatch(parseMatchText(text))).toBe(text);
  });

  it.each(different.filter(([text]) => !text.startsWith('eth_type')))('%s -> %s', (text, expected) => {
    expect(formatMatch(parseMatchText(text))).toBe(expected);
  });

  it('drops conditions without their protocol when normalized', () => {
    const match = parseMatchText('nw_src=1.2.3.4,tp_src=5,nw_tos=4,mpls_label=4');
    expect(normalizeMatch(match)).toBe(true);
    expect(formatMatch(match)).toBe('');
    const kept = parseMatchText('tcp,nw_src=1.2.3.4,tp_src=5,nw_tos=4');
    expect(normalizeMatch(kept)).toBe(false);
  });

  it('prints port names and reads them', () => {
    const ports = {
      byName: (name: string) => (name === 'eth0' ? 3 : undefined),
      byNumber: (port: number) => (port === 3 ? 'eth0' : undefined),
    };
    expect(formatMatch(parseMatchText('in_port=eth0', ports), ports)).toBe('in_port=eth0');
    expect(() => parseMatchText('in_port=eth1', ports)).toThrow('eth1: invalid or unknown port for in_port');
  });

  it.each([
    ['reg0=0x100000000', '0x100000000: value too large for 4-byte field reg0'],
    ['reg0=abc', 'abc: bad syntax for reg0 value'],
    ['dl_src=xx', 'xx: invalid Ethernet address'],
    ['ip,nw_src=1.2.3.4/33', '1.2.3.4/33: IPv4 network prefix bits not between 0 and 32, inclusive'],
    ['ip,nw_ttl=3/3', '3/3: invalid mask for field nw_ttl'],
    ['tcp,tcp_flags=+zork', 'zork: unknown TCP flag(s)'],
  ])('%s: %s', (text, error) => {
    expect(() => parseMatchText(text)).toThrow(new UsageError(error));
  });

  it('throws nothing but UsageError for any text', () => {
    const names = fields.map((f) => f.name);
    const piece = fc.oneof(
      fc.constantFrom(...names, 'tcp', 'ip', '=', ',', '/', '(', ')', ':', '+', '-', '0x', '1', '255', '*'),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        for (const parse of [parseMatchText, parseExactFlow, parseSubfieldText]) {
          try {
            parse(parts.join(''));
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** A field with a value and a mask that it takes. */
const fieldValue = fc
  .constantFrom(...fields.filter((f) => !f.name.startsWith('tun_metadata')))
  .chain((field) =>
    fc
      .tuple(
        fc.constant(field),
        fc.uint8Array({ minLength: field.bytes, maxLength: field.bytes }),
        field.maskable
          ? fc.uint8Array({ minLength: field.bytes, maxLength: field.bytes })
          : fc.constant(new Uint8Array(field.bytes).fill(0xff)),
      )
      .filter(([f, v, m]) => valueIsValid(f, v) && maskIsValid(f, m) && m.some((b) => b !== 0)),
  );

describe('fields', () => {
  it('has every field of ovs-fields(7) once', () => {
    expect(fields.length).toBe(new Set(fields.map((f) => f.name)).size);
    for (const name of ['eth_src', 'tun_metadata63', 'reg15', 'xxreg3', 'nd_options_type', 'nsh_c4']) {
      expect(requireField(name).name).toBe(name);
    }
    const headers = fields.flatMap((f) => f.headers.map((h) => `${h.vendor}/${h.class}/${h.field}`));
    expect(new Set(headers).size).toBe(headers.length);
  });

  it('gives back what was set', () => {
    fc.assert(
      fc.property(fieldValue, ([field, value, mask]) => {
        const match = new Match();
        setMatchField(match, field, value, mask);
        expect(match.flow.every((b, i) => (b & ~(match.mask[i] ?? 0)) === 0)).toBe(true);
        const back = getMatchField(match, field);
        if (field.name === 'dl_vlan' && value[0] === 0xff) return;
        // Bits outside the field are dropped from mask and value.
        const again = new Match();
        setMatchField(again, field, back.value, back.mask);
        expect(again.equals(match)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('reads what it prints', () => {
    fc.assert(
      fc.property(fieldValue, ([field, value, mask]) => {
        fc.pre(
          field.format !== 'packet type' && field.format !== 'frag' && !field.format.startsWith('ofp port'),
        );
        fc.pre(!/flags|ct_state/.test(field.name));
        const masked = value.map((b, i) => b & (mask[i] ?? 0));
        const back = parseFieldText(field, formatFieldText(field, masked, mask));
        expect(back.value).toEqual(masked);
        expect(back.mask).toEqual(mask);
      }),
      { numRuns: 3000 },
    );
  });
});

/** Words and conditions that make a flow in which later ones have their prerequisites. */
const headed = fc.constantFrom<readonly (readonly [string, readonly string[]])[]>(
  [['tcp', ['nw_src', 'nw_dst', 'tcp_src', 'tcp_dst', 'tcp_flags', 'nw_ttl', 'nw_tos', 'nw_ecn']]],
  [['udp6', ['ipv6_src', 'ipv6_dst', 'udp_src', 'ipv6_label', 'nw_ttl']]],
  [['arp', ['arp_spa', 'arp_tpa', 'arp_op', 'arp_sha']]],
  [['mpls', ['mpls_label', 'mpls_tc', 'mpls_ttl', 'mpls_bos']]],
  [['icmp', ['icmp_type', 'icmp_code']]],
);

describe('match text round trip', () => {
  it('of random conditions', () => {
    const always = [
      'in_port_oxm',
      'dl_src',
      'dl_dst',
      'metadata',
      'reg0',
      'reg5',
      'tun_id',
      'ct_mark',
      'pkt_mark',
      'ct_state',
    ];
    fc.assert(
      fc.property(
        headed,
        fc.array(
          fc.tuple(
            fc.nat(),
            fc.uint8Array({ minLength: 16, maxLength: 16 }),
            fc.uint8Array({ minLength: 16, maxLength: 16 }),
          ),
          {
            maxLength: 8,
          },
        ),
        ([head], conditions) => {
          const names = [...(head?.[1] ?? []), ...always];
          const match = parseMatchText(head?.[0] ?? '');
          for (const [pick, v, m] of conditions) {
            const field = requireField(names[pick % names.length] ?? 'reg0');
            const value = v.slice(0, field.bytes);
            const mask = field.maskable ? m.slice(0, field.bytes) : new Uint8Array(field.bytes).fill(0xff);
            if (valueIsValid(field, value)) setMatchField(match, field, value, mask);
          }
          const text = formatMatch(match);
          expect(formatMatch(parseMatchText(text))).toBe(text);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('flow text', () => {
  it.each([
    [
      'in_port=1,tcp,nw_src=10.0.0.1,dl_vlan=10,tcp_flags=2,ct_state=trk',
      'ct_state=trk,tcp,in_port=1,dl_vlan=10,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=00:00:00:00:00:00,' +
        'dl_dst=00:00:00:00:00:00,nw_src=10.0.0.1,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,' +
        'tp_src=0,tp_dst=0,tcp_flags=syn',
    ],
    [
      'in_port=1,udp6,ipv6_src=::1',
      'udp6,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,ipv6_src=::1,' +
        'ipv6_dst=::,ipv6_label=0x00000,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=0',
    ],
    [
      'in_port=1,packet_type=(1,0x800),nw_src=1.2.3.4',
      'ct_nw_src=0.0.0.0,ct_nw_dst=0.0.0.0,packet_type=(1,0x800),in_port=1,nw_src=1.2.3.4,nw_dst=0.0.0.0,' +
        'nw_proto=0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no',
    ],
  ])('%s', (text, expected) => {
    expect(formatFlow(parseExactFlow(text))).toBe(expected);
  });

  it.each([
    ['nw_src=1.2.3.4', 'nw_src=1.2.3.4: prerequisites not met for setting nw_src'],
    ['in_port=1,in_port=1', 'in_port=1,in_port=1: field in_port set multiple times'],
    ['tcp,udp', 'tcp,udp: Ethernet type set multiple times'],
    [
      'ip,nw_src=1.0.0.0/8',
      'ip,nw_src=1.0.0.0/8: bad value for nw_src (1.0.0.0/8: wildcards not allowed here)',
    ],
    ['bogus=1', 'bogus=1: unknown field bogus'],
  ])('%s: %s', (text, error) => {
    expect(() => parseExactFlow(text)).toThrow(new UsageError(error));
  });

  it('prints a megaflow with its packet type', () => {
    const match = parseMatchText('in_port=1,ip,nw_frag=no,nw_dst=10.0.0.0/8');
    expect(formatMegaflowMatch(match.flow, match.mask)).toBe(
      'recirc_id=0,eth,ip,in_port=1,nw_dst=10.0.0.0/8,nw_frag=no',
    );
  });
});
