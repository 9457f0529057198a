import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { parseExactFlow } from '../flow/match-parse.ts';
import { wildcardsForPacket } from '../flow/flow-wildcards.ts';
import { UsageError, WireError } from '../util/errors.ts';
import { OdpActionWriter } from './action-writer.ts';
import { formatOdpActions } from './actions-format.ts';
import { parseOdpActions } from './actions-parse.ts';
import { formatOdpAttributes } from './key-format.ts';
import { odpKeyFromNetlink, odpKeyToNetlink, odpMaskFromNetlink, odpMaskToNetlink } from './key-netlink.ts';
import { parseOdpAttributes, parseOdpKeyText } from './key-parse.ts';
import { formatOdpKey } from './key-text.ts';
import { decodeUserCookie, encodeUserCookie } from './user-cookie.ts';

/** As the stock `dpctl/dump-flows` prints them. */
const keys = [
  'recirc_id(0),in_port(1),eth(dst=01:02:03:04:05:06),eth_type(0x0800),ipv4(frag=no)',
  'recirc_id(0x5),in_port(1),eth(src=00:00:00:00:00:01/ff:00:00:00:00:ff),eth_type(0x0800),ipv4(src=1.2.3.4/255.255.0.0,frag=first)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,tos=0x10/0xfc,ttl=64,frag=no),udp(src=1,dst=2/0xff)',
  'recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(proto=6,frag=no),tcp_flags(syn|ack)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(dst=80),tcp_flags(+syn-ack)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8,code=0)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::/ffff::,label=0x12345,proto=17,tclass=0x4/0xfc,hlimit=3,frag=no),udp(dst=5)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6(type=135,code=0),nd(target=fe80::1,sll=00:00:00:00:00:01)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.0.0/255.255.0.0,op=1,sha=00:00:00:00:00:01)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x8847),mpls(label=100,tc=3,ttl=64,bos=1)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x8847),mpls(label=100/0xfffff,tc=3/0,ttl=64/0x0,bos=1/1)',
  'recirc_id(0),in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))',
  'recirc_id(0),in_port(1),eth(),eth_type(0x88a8),vlan(vid=5,pcp=0),encap(eth_type(0x8100),vlan(vid=6,pcp=1),encap(eth_type(0x1234)))',
  'recirc_id(0),in_port(1),eth(),eth_type(0/0xffff)',
  'recirc_id(0x1),dp_hash(0x5/0xf),in_port(1),packet_type(ns=0,id=0),eth_type(0x1234)',
  'skb_priority(0x5),skb_mark(0x3/0x7),recirc_id(0),in_port(1),eth(),eth_type(0x1234)',
  'ct_state(-new+est-inv+trk),ct_zone(0x10),ct_mark(0x5/0xff),ct_label(0x123/0xfff),recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
  'ct_state(+est+trk),ct_tuple4(src=1.2.3.4,dst=10.0.0.0/255.0.0.0,proto=6,tp_src=4),recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
  'tunnel(tun_id=0x7f,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|csum|key)),recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
  'tunnel(tun_id=0x7f,ipv6_src=::1,ipv6_dst=fe80::1,ttl=64,tp_src=5,tp_dst=4789,flags(-df+csum+key)),recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
];

describe('datapath key text', () => {
  it.each(keys)('%s', (text) => {
    // eth() and absent attributes stand for wildcards, which the reader takes as such.
    const { flow, mask } = parseOdpKeyText(
      text.replace('eth(),', 'eth(src=00:00:00:00:00:00/00:00:00:00:00:00),'),
    );
    expect(formatOdpKey(flow, mask)).toBe(text);
  });

  it('prints port names, and everything when verbose', () => {
    const { flow, mask } = parseOdpKeyText(
      'recirc_id(0),in_port(1),eth(dst=00:00:00:00:00:00),eth_type(0x1234)',
    );
    const ports = { byName: () => undefined, byNumber: (n: number) => (n === 1 ? 'p1' : undefined) };
    expect(formatOdpKey(flow, mask, { ports, verbose: true })).toBe(
      'skb_priority(0/0),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),recirc_id(0),' +
        'dp_hash(0/0),in_port(p1),packet_type(ns=0/0,id=0/0),' +
        'eth(src=00:00:00:00:00:00/00:00:00:00:00:00,dst=00:00:00:00:00:00),eth_type(0x1234)',
    );
  });

  it.each([
    'in_port(1),bogus(1)',
    'eth(dst=zz)',
    'in_port(zork)',
    'ipv4(tos=0x100)',
    'ipv4(frag=zz)',
    'ipv4(frag=no',
    'encap(eth_type(0x0800)',
    'vlan(vid=5000)',
    'eth_type()',
    'tcp_flags(+zork)',
    'in_port',
  ])('%s is a syntax error', (text) => {
    // prettier-ignore
    expect(() => parseOdpKeyText(text)).toThrow(UsageError);
  });
});

const flows = [
  'in_port=1,tcp,nw_src=1.2.3.4,tp_src=5,tcp_flags=syn,dl_vlan=5',
  'in_port=1,udp6,ipv6_src=fe80::1,udp_dst=7,ipv6_label=0x12345,nw_tos=8',
  'in_port=1,icmp6,icmpv6_type=135,nd_target=fe80::1,nd_sll=00:00:00:00:00:05',
  'in_port=1,arp,arp_spa=1.1.1.1,arp_op=2,arp_tha=00:00:00:00:00:05',
  'in_port=1,mpls,mpls_label=5,mpls_bos=1',
  'in_port=1,sctp,sctp_src=4,ip_frag=first',
  'in_port=1,ip,ip_frag=later,nw_proto=17',
  'in_port=1,dl_type=0x05ff,dl_src=00:00:00:00:00:05',
  'in_port=1,tun_dst=1.2.3.4,tun_src=4.3.2.1,tun_ttl=64,ct_state=est|trk,ct_zone=5,tcp,ct_nw_src=1.2.3.4,ct_nw_proto=6',
  'in_port=1,packet_type=(1,0x800),nw_src=1.2.3.4,pkt_mark=5,skb_priority=3',
];

describe('keys as netlink attributes', () => {
  it.each(flows)('%s', (text) => {
    const flow = parseExactFlow(text);
    flow.fill(0, 716, 720); // actset_output is no datapath field
    // A packet without Ethernet header has its type in both places; text sets only one.
    if (text.includes('packet_type')) flow.set([8, 0], 20);
    const back = odpKeyFromNetlink(odpKeyToNetlink(flow));
    expect(back).toEqual(flow);
    const mask = wildcardsForPacket(flow);
    const maskBack = odpMaskFromNetlink(odpMaskToNetlink(mask, flow), flow);
    expect(formatOdpKey(flow, maskBack, { verbose: true })).toBe(formatOdpKey(flow, mask, { verbose: true }));
  });

  it('throws nothing but WireError for any bytes', () => {
    // Well-formed headers around random payloads get further in than plain noise.
    const attribute = fc
      .tuple(fc.integer({ min: 0, max: 32 }), fc.uint8Array({ maxLength: 48 }))
      .map(([type, payload]) => {
        const w = new OdpActionWriter(new Uint8Array(64));
        w.raw(type, payload);
        return [...w.bytes()];
      });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(attribute, { maxLength: 6 }).map((list) => Uint8Array.from(list.flat())),
    );
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const zero = new Uint8Array(KEY_SIZE);
        for (const run of [
          () => odpKeyFromNetlink(a),
          () => odpMaskFromNetlink(a, zero),
          () => formatOdpAttributes(a, b),
          () => formatOdpAttributes(a, b, { verbose: true }),
          () => formatOdpActions(a),
          () => decodeUserCookie(a),
        ]) {
          try {
            run();
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

/** As the stock `dpctl/dump-flows` prints them. */
const actions = [
  '1', '1,2', 'drop', 'recirc(0x5)', 'hash(l4(0)),recirc(0x1)', 'hash(sym_l4(7)),recirc(0x1)', 'trunc(100),2',
  'push_vlan(vid=5,pcp=3),2', 'push_vlan(tpid=0x88a8,vid=5,pcp=0),2', 'push_vlan(vid=5,pcp=0,cfi=0),2', 'pop_vlan,2',
  'push_mpls(label=100,tc=3,ttl=64,bos=1,eth_type=0x8847),2', 'pop_mpls(eth_type=0x800),2',
  'set(ipv4(src=1.2.3.4,dst=5.6.0.0/255.255.0.0,tos=0x4/0xfc,ttl=3)),2',
  'set(eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)),2', 'set(eth(dst=00:00:00:00:00:02)),2', 'set(tcp(src=1)),2',
  'set(tcp(src=1,dst=2)),2', 'set(udp(src=1/0xff,dst=2)),2', 'set(ipv6(src=::1,label=0x12345,tclass=0x10/0xfc,hlimit=3)),2',
  'set(skb_mark(0x5/0xff)),2', 'set(skb_priority(0x5)),2', 'set(mpls(label=5,tc=1,ttl=3,bos=1)),2',
  'set(arp(sip=1.2.3.4,op=2)),2', 'set(nd(target=::1)),2', 'set(icmp(type=3,code=1)),2',
  'set(tunnel(tun_id=0x7f,src=1.1.1.1,dst=2.2.2.2,tos=0x4,ttl=64,flags(df|key))),2',
  'sample(sample=50.0%,actions(1))', 'sample(sample=12.5%,actions(2,push_vlan(vid=1,pcp=0)))',
  'clone(1,set(ipv4(ttl=3)),2),3', 'check_pkt_len(size=200,gt(4),le(5))', 'check_pkt_len(size=200,gt(drop),le(5,6))',
  'meter(3),2', 'push_eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),2', 'pop_eth,2', 'ct_clear,2', 'ct',
  'ct(commit,zone=5,mark=0x1/0xff,label=0x1234/0xffff,helper=ftp,timeout=tp1)', 'ct(force_commit,zone=7)', 'ct(nat)',
  'ct(commit,nat(src))', 'ct(commit,nat(src=10.0.0.240:32768-65535,random))',
  'ct(commit,nat(dst=10.0.0.128-10.0.0.254,hash))', 'ct(commit,nat(src=fe80::1-fe80::5,random))',
  'ct(commit,nat(src=[fe80::1]-[fe80::5]:255-256))',
  'userspace(pid=42,controller(reason=1,dont_send=0,continuation=0,recirc_id=1,rule_cookie=0x5,controller_id=3,max_len=65535))',
  'userspace(pid=0,slow_path(match))', 'userspace(pid=0,slow_path(0))', 'userspace(pid=0,sFlow(vid=9,pcp=7,output=10),actions)',
  'userspace(pid=0,flow_sample(probability=123,collector_set_id=1234,obs_domain_id=2345,obs_point_id=3456,output_port=5,egress))',
  'userspace(pid=0,ipfix(output_port=7),tunnel_out_port=10)', 'userspace(pid=0,userdata(00112233))', 'tnl_pop(4)',
  'push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x123,si=5,c1=0x1,c2=0x2,c3=0x3,c4=0x4)', 'pop_nsh()',
]; // prettier-ignore

describe('datapath actions text', () => {
  it.each(actions)('%s', (text) => {
    expect(formatOdpActions(parseOdpActions(text))).toBe(text);
  });

  it('throws nothing but UsageError for any text', () => {
    const words = [...actions, ...keys].join(',').match(/\w+|\W/g) ?? [];
    const text = fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 4 })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(text, (parts) => {
        for (const parse of [parseOdpActions, parseOdpKeyText, parseOdpAttributes]) {
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

  it('carries cookies', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.nat(),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        (small, large, cookie) => {
          const value = {
            type: 'controller' as const,
            ofpInPort: large,
            ofprotoUuid: new Uint8Array(16).fill(7),
            dontSend: true,
            continuation: false,
            reason: small,
            recircId: large,
            ruleCookie: cookie,
            controllerId: small,
            maxLen: small,
          };
          expect(decodeUserCookie(encodeUserCookie(value))).toEqual(value);
        },
      ),
    );
  });
});
