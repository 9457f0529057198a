import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/** Dummy and patch devices of ours and of the stock switch: same answers, columns, counters and captures. */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl', 'ovs-vswitchd', 'ovsdb-server'] });

const icmp =
  'in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),' +
  'ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)';
const arp =
  'in_port(1),eth(src=50:54:00:00:00:0a,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),' +
  'arp(sip=10.0.0.5,tip=10.0.0.1,op=1,sha=50:54:00:00:00:0a,tha=00:00:00:00:00:00)';
const commands: readonly (readonly string[])[] = [
  ['receive', 'p1', icmp],
  [
    'receive',
    'p1',
    'ffffffffffff000102030405080045',
    'in_port(1),eth(src=50:54:00:00:00:0b,dst=50:54:00:00:00:0a),eth_type(0x1234)',
    '--len',
    '60',
  ],
  ['receive', 'p1', '--qid', '3', 'ffffffffffff0001020304050800'],
  ['receive', 'p1', 'xx'],
  ['receive', 'zz', 'aa'],
  ['receive', 'p1', 'in_port(1)', '--len', '5'],
  ['conn-state'],
  ['conn-state', 'p3'],
  ['conn-state', 'p4'],
  ['conn-state', 'p1'],
  ['conn-state', 'zz'],
  ['set-admin-state'],
  ['set-admin-state', 'p1'],
  ['set-admin-state', 'p1', 'foo'],
  ['set-admin-state', 'zz', 'up'],
  ['set-admin-state', 'p2', 'down'],
  ['ip4addr', 'p1', '10.0.0.1/24'],
  ['ip4addr', 'p1', 'foo'],
  ['ip4addr', 'zz', '10.0.0.1/24'],
  ['ip6addr', 'p1', 'zz'],
  ['ip6addr', 'p1', '::1/64'],
  ['receive', 'p3', arp],
];
const columns =
  'name,type,error,ofport,mtu,link_state,admin_state,statistics,status,ifindex,link_speed,duplex,link_resets';

async function observe(kind: 'ours' | 'stock'): Promise<string> {
  const s = await SwitchUnderTest.start(kind, ['--enable-dummy', '--disable-system']);
  const seen: string[] = [];
  try {
    const dir = s.rundir;
    const added = s.stock(
      'ovs-vsctl',
      'add-br',
      'br0',
      '--',
      'set',
      'bridge',
      'br0',
      'datapath_type=dummy',
      'fail-mode=secure',
      'other_config:hwaddr=aa:66:aa:66:00:00',
      '--',
      'add-port',
      'br0',
      'p1',
      '--',
      'set',
      'int',
      'p1',
      'type=dummy',
      'ofport_request=1',
      `options:pcap=${dir}/p1.pcap`,
      'options:ifindex=77',
      '--',
      'add-port',
      'br0',
      'p2',
      '--',
      'set',
      'int',
      'p2',
      'type=dummy',
      'ofport_request=2',
      `options:tx_pcap=${dir}/p2.tx`,
      `options:rxq_pcap=${dir}/p2.rx`,
      '--',
      'add-port',
      'br0',
      'p3',
      '--',
      'set',
      'int',
      'p3',
      'type=dummy',
      'ofport_request=3',
      `options:stream=unix:${dir}/nobody`,
      '--',
      'add-port',
      'br0',
      'p4',
      '--',
      'set',
      'int',
      'p4',
      'type=dummy',
      'ofport_request=4',
      `options:pstream=punix:${dir}/p4.sock`,
      'mtu_request=1400',
      '--',
      'add-port',
      'br0',
      'i5',
      '--',
      'set',
      'int',
      'i5',
      'type=internal',
      'ofport_request=5',
      '--',
      'add-port',
      'br0',
      'e1',
      '--',
      'set',
      'int',
      'e1',
      'type=patch',
      '--',
      'add-port',
      'br0',
      'e2',
      '--',
      'set',
      'int',
      'e2',
      'type=patch',
      'options:peer=e2',
      '--',
      'add-port',
      'br0',
      'e3',
      '--',
      'set',
      'int',
      'e3',
      'type=patch',
      'options:peer=x',
      'options:zz=1',
      '--',
      'add-port',
      'br0',
      'e4',
      '--',
      'set',
      'int',
      'e4',
      'type=patch',
      'options:peer=nobody',
      'ofport_request=9',
      '--',
      'add-port',
      'br0',
      'e5',
      '--',
      'set',
      'int',
      'e5',
      'type=foo',
    );
    seen.push(
      added.stderr
        .replace(/.*The default log directory.*\n/, '')
        .split('\n')
        .sort()
        .join('\n'),
    );
    s.stockOk('ovs-ofctl', 'add-flow', 'br0', 'actions=NORMAL');
    for (const words of commands) {
      const [name = '', ...rest] = words;
      const ran = s.stock('ovs-appctl', `netdev-dummy/${name}`, ...rest);
      seen.push(`${words.join(' ')}: ${ran.status}\n${ran.stdout}${ran.stderr}`);
    }
    // The flood, its ARP reply and the counters come on the switch's own time.
    const counted = (port: number, what: string): number =>
      Number(
        new RegExp(`${what} pkts=(\\d+)`).exec(
          s.stockOk('ovs-ofctl', 'dump-ports', 'br0', String(port)),
        )?.[1],
      );
    await waitFor(() => counted(1, 'rx') === 4 && counted(4, 'tx') === 4, 'the packets are counted');
    await waitFor(
      () => s.stockOk('ovs-vsctl', 'get', 'int', 'p1', 'statistics').includes('rx_packets=4'),
      'statistics are in the database',
    );
    for (const name of ['br0', 'p1', 'p2', 'p3', 'p4', 'i5', 'e1', 'e2', 'e3', 'e4', 'e5']) {
      seen.push(s.stockOk('ovs-vsctl', `--columns=${columns}`, 'list', 'int', name));
    }
    seen.push(s.stockOk('ovs-ofctl', 'dump-ports', 'br0'));
    for (const file of ['p1.pcap', 'p2.tx', 'p2.rx']) {
      const bytes = readFileSync(join(dir, file));
      const lines = [bytes.subarray(0, 24).toString('hex')];
      for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) {
        lines.push(bytes.subarray(at + 8, at + 16 + bytes.readUInt32LE(at + 8)).toString('hex'));
      }
      seen.push(`${file}\n${lines.join('\n')}`);
    }
    return seen
      .join('\n')
      .replaceAll(dir, 'DIR')
      .replace(/aa55aa5500[0-9a-f]{2}/g, 'MAC');
  } finally {
    await s.stop();
  }
}

describe.skipIf(skip !== null)('dummy devices', () => {
  it('behave as the stock ones', async () => {
    expect(await observe('ours')).toBe(await observe('stock'));
  });
});
