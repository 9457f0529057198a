import { SeededRandom } from '../../src/util/random.ts';

/** Random rules and packets, as text of ovs-ofctl, for comparing translations. Repeatable by seed. */
export class TraceCases {
  readonly #random: SeededRandom;
  /** The rule at hand is for OpenFlow 1.0, where other actions have the same meaning. */
  #isOf10 = false;
  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(n: number): number {
    return this.#random.u32() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  mac(): string {
    return this.pick([
      '50:54:00:00:00:01', '50:54:00:00:00:02', '50:54:00:00:00:03', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01',
      '01:80:c2:00:00:00', '01:80:c2:00:00:0e',
    ]); // prettier-ignore
  }
  ip(): string {
    return `10.0.${this.below(2)}.${1 + this.below(3)}`;
  }
  port(): number {
    return 1 + this.below(6);
  }

  /** Protocol words, then fields that they allow. `exact` for a packet. */
  #headers(exact: boolean): string[] {
    const word = this.pick(['', 'ip', 'tcp', 'udp', 'icmp', 'arp', 'ipv6', 'tcp6', 'icmp6', 'sctp']);
    const parts: string[] = [];
    const some = (percent: number, make: () => string): void => {
      if (exact ? this.chance(85) : this.chance(percent)) parts.push(make());
    };
    if (word !== '') parts.push(word);
    some(25, () => `dl_src=${this.mac()}`);
    some(25, () => `dl_dst=${this.mac()}`);
    const prefix = (): string =>
      exact || this.chance(50) ? '' : this.pick(['/24', '/16', '/31', '/255.0.0.255']);
    if (/^(ip|tcp|udp|icmp|sctp)$/.test(word)) {
      some(30, () => `nw_src=${this.ip()}${prefix()}`);
      some(30, () => `nw_dst=${this.ip()}${prefix()}`);
      some(10, () => `nw_ttl=${this.pick([1, 2, 64])}`);
      some(10, () => `nw_tos=${this.pick([0, 4, 0x20])}`);
      if (this.chance(10))
        parts.push(
          `nw_frag=${this.pick(exact ? ['first', 'later'] : ['yes', 'no', 'first', 'later', 'not_later'])}`,
        );
    }
    if (word === 'arp') {
      some(30, () => `arp_op=${this.pick([1, 2])}`);
      some(30, () => `arp_spa=${this.ip()}`);
      some(30, () => `arp_tpa=${this.ip()}`);
    }
    if (/6$/.test(word)) {
      some(30, () => `ipv6_src=2001:db8::${this.below(3)}${exact ? '' : this.pick(['', '/64'])}`);
      some(20, () => `ipv6_dst=2001:db8::${this.below(3)}`);
      some(10, () => `nw_ttl=${this.pick([1, 64])}`);
    }
    if (/^(tcp|udp|sctp|tcp6)$/.test(word)) {
      const name = word.replace('6', '');
      some(30, () => `${name}_src=${this.pick([80, 443, 1024])}`);
      some(30, () => `${name}_dst=${this.pick([80, 443, 1024])}${exact || this.chance(70) ? '' : '/0xfff0'}`);
    }
    if (word === 'icmp') some(30, () => `icmp_type=${this.pick([0, 8])}`);
    if (word === 'icmp6') some(30, () => `icmp_type=${this.pick([128, 135, 136])},icmp_code=0`);
    return parts;
  }

  flow(): string {
    const parts = [`in_port=${this.chance(90) ? this.port() : 'LOCAL'}`, ...this.#headers(true)];
    if (this.chance(40))
      parts.push(`dl_vlan=${this.pick([0, 10, 20, 30])}`, `dl_vlan_pcp=${this.pick([0, 3])}`);
    if (this.chance(15)) parts.push(`reg${this.below(3)}=${this.below(4)}`);
    if (this.chance(10)) parts.push(`metadata=${this.below(4)}`);
    return parts.join(',');
  }

  match(): string {
    const parts = this.#headers(false);
    if (this.chance(40)) parts.push(`in_port=${this.port()}`);
    if (this.chance(15))
      parts.push(
        this.pick([
          'dl_vlan=10',
          'dl_vlan=20',
          'vlan_tci=0/0x1fff',
          'vlan_tci=0x1000/0x1000',
          'dl_vlan=10,dl_vlan_pcp=3',
        ]),
      );
    if (this.chance(15)) parts.push(`reg${this.below(3)}=${this.below(4)}${this.pick(['', '/0x3', '/0x1'])}`);
    if (this.chance(10)) parts.push(`metadata=${this.below(4)}`);
    return parts.join(',');
  }

  /** One action; `table` bounds goto_table. */
  action(table: number, depth = 0): string {
    const n = this.below(100);
    if (this.#isOf10 && ((n >= 52 && n < 60) || n >= 68)) {
      return this.pick([
        `mod_nw_dst:${this.ip()}`, `mod_nw_src:${this.ip()}`, `mod_dl_src:${this.mac()}`, `mod_dl_dst:${this.mac()}`, 'mod_tp_dst:8080',
        'mod_tp_src:8080', 'mod_nw_tos:8', 'mod_vlan_vid:20', 'mod_vlan_pcp:3', 'strip_vlan', 'load:10->NXM_OF_VLAN_TCI[0..11]',
        `load:${this.below(8)}->NXM_NX_REG0[]`, 'load:0->NXM_OF_IN_PORT[]', 'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]',
        'load:0x1005->NXM_OF_VLAN_TCI[]', 'load:0->NXM_OF_VLAN_TCI[]', 'load:0xa->NXM_OF_IP_SRC[24..31]',
      ]); // prettier-ignore
    }
    if (n < 30) return this.pick(['1', '2', '3', '4', '5', '6', 'LOCAL', 'IN_PORT', 'output:7', 'output:9']);
    if (n < 38) return 'NORMAL';
    if (n < 42) return this.pick(['FLOOD', 'ALL']);
    if (n < 52)
      return this.pick([
        `resubmit(,${this.below(6)})`,
        `resubmit(${this.port()},${this.below(6)})`,
        `resubmit:${this.port()}`,
      ]);
    if (n < 56) return this.pick(['push_vlan:0x8100', 'push_vlan:0x88a8']);
    if (n < 60) return 'pop_vlan';
    if (n < 63) return 'dec_ttl';
    if (n < 66)
      return this.pick([
        'controller',
        'controller(max_len=128)',
        'controller(reason=no_match)',
        'controller(userdata=01.02.03,id=7)',
      ]);
    if (n < 68) return 'exit';
    if (n < 70)
      return this.pick(['note:00.01.02.03.04.05', 'ct_clear', 'pop_queue', 'set_queue:3', 'enqueue:2:7']);
    if (n < 72)
      return this.pick([
        'output(port=2,max_len=100)',
        'output(port=7,max_len=100)',
        'output:NXM_NX_REG0[]',
        'output:NXM_NX_REG1[0..15]',
      ]);
    if (n < 76 && depth === 0) return `clone(${this.actions(table, 1)})`;
    if (n < 79) {
      return this.pick([
        'push:NXM_NX_REG0[]',
        'pop:NXM_NX_REG1[]',
        'push:NXM_OF_ETH_SRC[]',
        'pop:NXM_OF_ETH_DST[]',
        'push:NXM_NX_REG0[0..7]',
        'pop:NXM_NX_REG2[3..10]',
      ]);
    }
    if (n < 85) {
      return this.pick([
        'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]', 'move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]',
        'move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG2[0..11]', 'move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]',
        'move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]', 'move:NXM_OF_TCP_SRC[]->NXM_OF_TCP_DST[]',
        'move:NXM_OF_ETH_SRC[16..47]->NXM_NX_REG0[]',
      ]); // prettier-ignore
    }
    return this.pick([
      `load:${this.below(8)}->NXM_NX_REG0[]`, `load:${this.below(4)}->NXM_NX_REG1[0..1]`, 'load:0->NXM_OF_IN_PORT[]',
      `set_field:${this.mac()}->eth_dst`, `set_field:${this.mac()}->eth_src`, `set_field:${this.ip()}->ip_dst`,
      `set_field:${this.ip()}->ip_src`, 'set_field:81->tcp_dst',
      'set_field:81->udp_src', 'set_field:9->nw_ttl', 'set_field:3->ip_dscp', 'set_field:1->nw_ecn', 'set_field:4106->vlan_vid',
      'set_field:3->vlan_pcp', 'load:10->NXM_OF_VLAN_TCI[0..11]', 'set_field:2001:db8::9->ipv6_src', 'set_field:0x11->metadata',
      'set_field:2->arp_op', `set_field:${this.ip()}->arp_spa`, 'set_field:0x5->pkt_mark', 'set_field:0->icmp_type', 'set_field:5->tun_id',
      'load:1->NXM_NX_ARP_SHA[]', 'set_field:0x7->ipv6_label',
    ]); // prettier-ignore
  }

  actions(table: number, depth = 0): string {
    if (depth === 0 && this.chance(5)) return 'drop';
    const list: string[] = [];
    for (let i = 1 + this.below(4); i > 0; i--) list.push(this.action(table, depth));
    if (depth > 0 || this.#isOf10) return list.join(',');
    if (this.chance(10)) list.push('clear_actions');
    if (this.chance(20)) {
      const set = Array.from({ length: 1 + this.below(3) }, () =>
        this.pick([
          'output:3',
          'output:4',
          'pop_vlan',
          'push_vlan:0x8100',
          'dec_ttl',
          `set_field:${this.mac()}->eth_dst`,
          'set_field:81->tcp_dst',
          'NORMAL',
          'controller',
          'set_field:7->reg1',
        ]),
      );
      list.push(`write_actions(${set.join(',')})`);
    }
    if (this.chance(10)) list.push(`write_metadata:${this.below(4)}/0x3`);
    if (table < 5 && this.chance(25)) list.push(`goto_table:${table + 1 + this.below(5 - table)}`);
    return list.join(',');
  }

  /** A rule, and the protocol with which ovs-ofctl is to send it. */
  rule(): { text: string; protocol: string } {
    this.#isOf10 = this.chance(30);
    const protocol = this.#isOf10 ? 'OpenFlow10' : 'OpenFlow13';
    const table = this.pick([0, 0, 0, 1, 2, 3, 4, 5]);
    const match = this.match();
    const cookie = this.chance(20) ? `cookie=0x${(1 + this.below(255)).toString(16)},` : '';
    const priority = this.pick([1, 10, 10, 100, 32768, 0]);
    const actions = this.actions(table);
    this.#isOf10 = false;
    return {
      text: `table=${table},${cookie}priority=${priority}${match === '' ? '' : `,${match}`} actions=${actions}`,
      protocol,
    };
  }

  /** A packet from `port`, as netdev-dummy/receive takes it; each port has a source address of its own. */
  packet(port: number): string {
    const dst = this.pick([
      '50:54:00:00:00:01',
      '50:54:00:00:00:02',
      'ff:ff:ff:ff:ff:ff',
      '01:80:c2:00:00:0e',
    ]);
    const eth = `in_port(${port}),eth(src=50:54:00:00:00:0${port},dst=${dst})`;
    const l3 = this.pick([() => this.#ipv4(), () => this.#ipv4(), () => this.#arp(), () => this.#icmp6()])();
    if (!this.chance(35)) return `${eth},${l3}`;
    return `${eth},eth_type(0x8100),vlan(vid=${this.pick([10, 20, 30])},pcp=${this.pick([0, 3])}),encap(${l3})`;
  }

  #ipv4(): string {
    const [name, proto] = this.pick([
      ['tcp', 6],
      ['udp', 17],
      ['icmp', 1],
      ['sctp', 132],
    ] as const);
    const ip = `src=${this.ip()},dst=${this.ip()},proto=${proto},tos=${this.pick([0, 4, 0x20])},ttl=${this.pick([1, 2, 64])},frag=no`;
    const ports = `${name}(src=${this.pick([80, 443, 1024])},dst=${this.pick([80, 443, 1024])})`;
    const l4 = name === 'icmp' ? `icmp(type=${this.pick([0, 8])},code=0)` : ports;
    return `eth_type(0x0800),ipv4(${ip}),${l4}${name === 'tcp' ? `,tcp_flags(${this.pick(['syn', 'ack', 'fin|ack'])})` : ''}`;
  }

  #arp(): string {
    return `eth_type(0x0806),arp(sip=${this.ip()},tip=${this.ip()},op=${this.pick([1, 2])},sha=50:54:00:00:00:01,tha=00:00:00:00:00:00)`;
  }

  #icmp6(): string {
    const address = (): string => `2001:db8::${this.below(3)}`;
    const ip = `src=${address()},dst=${address()},label=0,proto=58,tclass=0,hlimit=${this.pick([1, 64])},frag=no`;
    return `eth_type(0x86dd),ipv6(${ip}),icmpv6(type=128,code=0)`;
  }
}
