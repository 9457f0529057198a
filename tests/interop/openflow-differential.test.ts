import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/**
 * The same OpenFlow requests to the stock switch and to ours: by the stock ovs-ofctl, whose text and
 * exit codes must be equal, and byte by byte, with replies equal but for what differs by nature.
 */
const skip = missing({ tools: ['ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });

const frame = '505400000007505400000005080045000014';
const commands: readonly (readonly string[])[] = [
  'del-flows br0',
  'add-flow br0 priority=5,actions=drop',
  'add-flow br0 table=254,actions=drop',
  'add-flow br0 table=253,cookie=0x5,idle_timeout=60,hard_timeout=90,actions=drop',
  '-O OpenFlow13 add-flow br0 table=255,actions=drop',
  '-O OpenFlow13 del-flows br0 table=254',
  '-O OpenFlow13 add-flow br0 actions=group:5',
  'add-flow br0 actions=group:5',
  '-O OpenFlow13 add-flow br0 actions=meter:5,output:1',
  '-O OpenFlow13 add-flow br0 actions=goto_table:0',
  '-O OpenFlow13 add-flow br0 actions=goto_table:5',
  '-O OpenFlow13 add-flow br0 table=9,tcp,actions=push_vlan:0x8100,set_field:5->vlan_vid,write_actions(output:2),goto_table:253',
  'add-flow br0 actions=resubmit(,254)',
  'add-flow br0 actions=1234,local,in_port,all,flood,normal,controller',
  'add-flow br0 check_overlap,ip,priority=5,actions=1',
  '-O OpenFlow13 add-flow br0 check_overlap,tcp,priority=32768,actions=1',
  'dump-flows br0',
  '-O OpenFlow13 dump-flows br0',
  '-O OpenFlow12 dump-flows br0',
  '-O OpenFlow14 dump-flows br0',
  'dump-flows br0 out_port=1',
  'dump-flows br0 table=0',
  'dump-flows br0 table=254',
  'dump-aggregate br0',
  '-O OpenFlow13 dump-aggregate br0 table=9',
  '--strict mod-flows br0 tcp,actions=3',
  '--strict mod-flows br0 priority=5,actions=3',
  'mod-flows br0 ip,actions=dec_ttl,2',
  'dump-flows br0',
  '--strict del-flows br0 priority=5',
  'del-flows br0 out_port=2',
  'dump-flows br0',
  'add-flow br0 cookie=0x1234,in_port=1,actions=2',
  'add-flow br0 cookie=0x1235,in_port=2,actions=2',
  'mod-flows br0 cookie=0x1234/-1,actions=3',
  'mod-flows br0 cookie=0x99/-1,actions=3',
  'mod-flows br0 cookie=0x77,in_port=2,actions=4',
  'dump-flows br0 cookie=0x1234/0xffff',
  'del-flows br0 cookie=0x1234/-1',
  'dump-flows br0',
  '-O OpenFlow13 mod-flows br0 cookie=0x5,udp,actions=3',
  '-O OpenFlow13 add-flow br0 no_packet_counts,no_byte_counts,reset_counts,icmp,actions=LOCAL',
  '-O OpenFlow13 dump-flows br0',
  '-O OpenFlow13 del-flows br0',
  '-O OpenFlow14 add-flow br0 importance=5,in_port=2,actions=2',
  '-O OpenFlow14 dump-flows br0',
  'dump-tables br0',
  '-O OpenFlow13 dump-tables br0',
  'show br0',
  '-O OpenFlow12 show br0',
  '-O OpenFlow13 show br0',
  'dump-ports-desc br0',
  '-O OpenFlow13 dump-ports-desc br0 2',
  'dump-ports br0',
  'dump-ports br0 1',
  'dump-ports br0 LOCAL',
  'dump-desc br0',
  'queue-stats br0 1 5',
  'queue-stats br0 99',
  '-O OpenFlow13 dump-groups br0',
  '-O OpenFlow13 dump-group-stats br0',
  '-O OpenFlow13 dump-meters br0',
  '-O OpenFlow13 meter-stats br0',
  '-O OpenFlow13 dump-meter br0 meter=5',
  'get-frags br0',
  'set-frags br0 drop',
  'get-frags br0',
  'set-frags br0 nx-match',
  'get-frags br0',
  'set-frags br0 normal',
  'probe br0',
  'mod-port br0 1 no-flood',
  'mod-port br0 p1 down',
  '-O OpenFlow13 show br0',
  'mod-port br0 p1 up',
  'mod-port br0 1 flood',
  'mod-port br0 1 no-packet-in',
  'show br0',
  'mod-port br0 1 packet-in',
  'mod-port br0 77 up',
  '-O OpenFlow12 mod-table br0 3 drop',
  '-O OpenFlow12 mod-table br0 3 controller',
  `packet-out br0 in_port=77,packet=${frame},actions=drop`,
  `packet-out br0 in_port=controller,packet=${frame},actions=group:1`,
  `-O OpenFlow13 packet-out br0 in_port=controller,packet=${frame},actions=group:1`,
].map((line) => line.split(' '));

/** What differs by nature: ages, transaction ids, addresses, the order of flows and where replies are split. */
function normalise(text: string): string[] {
  return text
    .replace(/duration=[0-9.]+s/g, 'duration=Xs')
    .replace(/(idle|hard)_age=\d+, /g, '')
    .replace(/xid=0x[0-9a-f]+/g, 'xid=X')
    .replace(/addr:[0-9a-f:]+/g, 'addr:M')
    .replace(/dpid:[0-9a-f]+/g, 'dpid:D')
    .replace(/^\S+Z\|\d+\|/gm, '')
    .split('\n')
    .filter((line) => !line.includes('flags=[more]'))
    .sort();
}

const wildMatch = `003820ff${'00'.repeat(36)}`;
interface FlowMod10 {
  readonly command: string;
  readonly buffer?: string;
  readonly flags?: string;
  readonly actions?: string;
}
const flowMod10 = (m: FlowMod10): string =>
  `010e000000000010${wildMatch}${'00'.repeat(8)}${m.command}000000008000${m.buffer ?? 'ffffffff'}ffff${m.flags ?? '0000'}${m.actions ?? ''}`;
interface FlowMod13 {
  readonly command: string;
  readonly table?: string;
  readonly flags?: string;
  readonly buffer?: string;
  readonly match?: string;
  readonly instructions?: string;
}
const flowMod13 = (m: FlowMod13): string =>
  `040e000000000011${'00'.repeat(16)}${m.table ?? '00'}${m.command}000000008000${m.buffer ?? 'ffffffff'}ffffffffffffffff${m.flags ?? '0000'}0000${m.match ?? '0001000400000000'}${m.instructions ?? ''}`;

/** Requests as hexadecimal digits; the length field is filled in. */
const raw10: readonly string[] = [
  '0102000000000002 616263',
  '0101000000000004 00010002 aabb',
  '0100000000000005',
  '0103000000000006',
  '0177000000000007',
  '0112000000000008',
  '0106000000000009',
  '0108000000000011',
  '0110000000000012 00990000',
  '0110000000000013 0001',
  flowMod10({ command: '0000' }),
  flowMod10({ command: '0005' }),
  flowMod10({ command: '0000', buffer: '00000005' }),
  flowMod10({ command: '0003', buffer: '00000005' }),
  flowMod10({ command: '0000', flags: '0004' }),
  flowMod10({ command: '0000', flags: '0010' }),
  flowMod10({ command: '0000', actions: '0000000800010000' }),
  flowMod10({ command: '0000', actions: '0000000800000000' }),
  flowMod10({ command: '0000', actions: '00000008ff000000' }),
  flowMod10({ command: '0000', actions: '00000007' }),
  flowMod10({ command: '0000', actions: '0000000000000000' }),
  flowMod10({ command: '0000', actions: '0063000800000000' }),
  flowMod10({ command: '0000', actions: 'ffff000800001234' }),
  flowMod10({ command: '0000', actions: 'ffff0010000023207fff000000000000' }),
  flowMod10({ command: '0103' }),
  `010f000000000009 0001 aa55aa550099 ${'00'.repeat(16)}`,
  `010f000000000009 0063 aa55aa550001 ${'00'.repeat(16)}`,
  '010d000000000009 00000007 0001 0000',
  '010d000000000009 ffffffff 0001 0008 0000000800020000',
  `010d000000000009 ffffffff fff8 0000 ${'00'.repeat(14)}`,
  `010d000000000009 ffffffff ff10 0000 ${'00'.repeat(14)}`,
  `010d000000000009 ffffffff 0001 00ff ${'00'.repeat(14)}`,
  '0110000000000012 0004 0000 0063000000000000',
  '0110000000000012 ffff 0000 00001234 00000000',
  '0110000000000012 ffff 0000 00002320 000000ff 00000000',
  '0104000000000013 00002320 0000000a 00000009',
  '0104000000000014 00002320 00000010 00000009',
  '0104000000000014 00002320 000000ee',
  '0104000000000014 00000000 00000001',
  '0104000000000014 00002320',
  '0114000000000014 0001',
  '0109000000000014 0000 0080',
  '010a000000000001 00000000',
  '0104000000000001',
  '01040009000000010a',
];
const raw13: readonly string[] = [
  '0401000000000004 00010002 aabb',
  '0414000000000005',
  '0412000000000006 0099 0000 00000000',
  '0412000000000007 0000 0001 00000000',
  flowMod13({ command: '00' }),
  flowMod13({ command: '00', table: 'ff' }),
  flowMod13({ command: '01', table: 'ff' }),
  flowMod13({ command: '03', table: 'ff' }),
  flowMod13({ command: '05' }),
  flowMod13({ command: '00', flags: '0020' }),
  flowMod13({ command: '00', buffer: '00000007' }),
  flowMod13({ command: '00', match: '0001000c800000040000000100000000' }),
  flowMod13({ command: '00', match: '0001000b80000a030000000000000000' }),
  flowMod13({ command: '00', match: '0001000a80000a020800000000000000' }),
  flowMod13({ command: '00', match: '0001000c800018040a00000100000000' }),
  flowMod13({ command: '00', match: '0001000980001e010600000000000000' }),
  flowMod13({ command: '00', match: '000100108000fe040a00000100000000' }),
  flowMod13({ command: '00', instructions: '0001000801000000' }),
  flowMod13({ command: '00', instructions: '00010008ff000000' }),
  flowMod13({ command: '00', instructions: '0001000800000000' }),
  flowMod13({ command: '00', instructions: '0009000800000000' }),
  flowMod13({ command: '00', instructions: '00040010000000000000000400000000' }),
  flowMod13({ command: '00', instructions: '000400180000000000000010000000020000000000000000' }),
  flowMod13({ command: '00', instructions: '0004001800000000' + '00000010fffffffd0080000000000000' }),
  flowMod13({ command: '00', instructions: '0006000800000001' }),
  flowMod13({ command: '00', instructions: '0001000801000000'.repeat(2) }),
  flowMod13({ command: '00', table: 'fe' }),
  flowMod13({ command: '03', table: 'fe' }),
  '0418000000000020 00000009 00000000 0000000000000005',
  '041a000000000001',
  '041c000000000001 00000001',
  '040d000000000002 ffffffff 00000001 0008 000000000000 0000000800020000',
  '040d000000000002 ffffffff fffffff0 0000 000000000000',
  '0412000000000001 0007 0000 00000000',
  '0412000000000001 0006 0000 00000000 00000000 00000000',
  '0412000000000001 0009 0000 00000000 00000001 00000000',
  '0412000000000001 000a 0000 00000000 ffffffff 00000000',
  '0412000000000001 0005 0000 00000000 00000001 00000009',
  '0411000000000001 00 000000 00000000',
  '0411000000000001 ff 000000 00000003',
  '0411000000000001 fe 000000 00000003',
  '0416000000000001 00000001',
  '0420000000000001',
  '0400000000000001',
  '0404000000000001 00001234 00000000',
  '0408000000000001',
];

/** Sends one request on a connection of its own, then a barrier; returns what came before the barrier's reply. */
function ask(s: SwitchUnderTest, version: number, request: string): Promise<string[]> {
  const bytes = Buffer.from(request.replaceAll(' ', ''), 'hex');
  if (bytes.readUInt16BE(2) === 0) bytes.writeUInt16BE(bytes.length, 2);
  const hello = Buffer.from([version, 0, 0, 8, 0, 0, 0, 1]);
  const barrier = Buffer.from([version, version === 1 ? 18 : 20, 0, 8, 0xba, 0xba, 0xba, 0xba]);
  return new Promise((resolve, reject) => {
    const socket = connect(join(s.rundir, 'br0.mgmt'));
    const got: string[] = [];
    let held = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => {
      resolve(got);
    });
    socket.on('data', (data) => {
      held = Buffer.concat([held, data]);
      while (held.length >= 8 && held.length >= held.readUInt16BE(2)) {
        const message = held.subarray(0, held.readUInt16BE(2));
        held = held.subarray(message.length);
        if (message.readUInt32BE(4) === 0xbabababa && message[1] === (barrier[1] ?? 0) + 1) {
          socket.destroy();
          return;
        }
        if (message[1] !== 0) got.push(message.toString('hex'));
      }
    });
    socket.write(Buffer.concat([hello, bytes, barrier]));
  });
}

/** A running `ovs-ofctl monitor`. */
class Monitor {
  readonly #switch: SwitchUnderTest;
  readonly #child: ChildProcess;
  readonly #control: string;
  #text = '';

  constructor(s: SwitchUnderTest, args: readonly string[]) {
    this.#switch = s;
    this.#control = join(s.rundir, 'monitor.ctl');
    this.#child = spawn('ovs-ofctl', [...args, `--unixctl=${this.#control}`], {
      env: s.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => (this.#text += bytes.toString()));
  }
  /** Whether everything that the switch sent before now has been printed. */
  isCurrent(): boolean {
    return this.#switch.stock('ovs-appctl', '-t', this.#control, 'ofctl/barrier').status === 0;
  }
  /** What it printed, without the barriers of `isCurrent`. */
  get text(): string {
    return this.#text.replace(/^OFPT_BARRIER_REPLY.*\n/gm, '');
  }
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#switch.stock('ovs-appctl', '-t', this.#control, 'exit');
    await ended;
  }
}

describe.skipIf(skip !== null)('OpenFlow as the stock switch speaks it', () => {
  const switches: SwitchUnderTest[] = [];

  beforeAll(async () => {
    for (const kind of ['stock', 'ours'] as const) {
      const s = await SwitchUnderTest.start(kind, ['--enable-dummy']);
      switches.push(s);
      s.stockOk(
        'ovs-vsctl',
        'add-br',
        'br0',
        '--',
        'set',
        'bridge',
        'br0',
        'datapath_type=dummy',
        'fail_mode=secure',
      );
      for (const n of [1, 2]) {
        s.stockOk(
          'ovs-vsctl',
          'add-port',
          'br0',
          `p${n}`,
          '--',
          'set',
          'interface',
          `p${n}`,
          'type=dummy',
          `ofport_request=${n}`,
        );
      }
    }
  });
  afterAll(async () => {
    for (const s of switches) await s.stop();
  });

  it('answers ovs-ofctl with the same text and exit codes', () => {
    for (const args of commands) {
      const [stock, ours] = switches.map((s) => {
        const { status, stdout, stderr } = s.stock('ovs-ofctl', ...args);
        return { status, lines: normalise(stdout + stderr) };
      });
      expect(ours, `ovs-ofctl ${args.join(' ')}`).toEqual(stock);
    }
  });

  it('answers raw requests, right and wrong ones, with the same bytes', async () => {
    for (const [version, requests] of [
      [1, raw10],
      [4, raw13],
    ] as const) {
      for (const request of requests) {
        const [stock, ours] = await Promise.all(switches.map((s) => ask(s, version, request)));
        expect(ours, request).toEqual(stock);
      }
    }
  });

  it('takes ten thousand flows from a file and gives all of them back', () => {
    const texts = switches.map((s) => {
      const file = join(s.rundir, 'flows');
      const flows: string[] = [];
      for (let i = 0; i < 10_000; i++) {
        flows.push(
          `table=${i % 5},cookie=${i},priority=${i % 100},tcp,nw_dst=10.${i >> 8}.${i & 255}.0/24,tp_dst=${i},actions=mod_nw_tos:8,output:${(i % 2) + 1}`,
        );
      }
      writeFileSync(file, flows.join('\n'));
      s.stockOk('ovs-ofctl', 'del-flows', 'br0');
      s.stockOk('ovs-ofctl', 'add-flows', 'br0', file);
      const all = normalise(s.stockOk('ovs-ofctl', '-O', 'OpenFlow13', 'dump-flows', 'br0'));
      s.stockOk('ovs-ofctl', 'del-flows', 'br0', 'table=3');
      s.stockOk('ovs-ofctl', 'mod-flows', 'br0', 'table=1,tcp,nw_dst=10.1.0.0/16,actions=drop');
      const rest = normalise(s.stockOk('ovs-ofctl', 'dump-flows', 'br0'));
      s.stockOk('ovs-ofctl', 'del-flows', 'br0');
      return { all, rest };
    });
    expect(texts[1]?.all.length).toBeGreaterThan(10_000);
    expect(texts[1]).toEqual(texts[0]);
  });

  it('tells of packets, ports and flows in every form that ovs-ofctl asks for', async () => {
    const p =
      'eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=10)';
    for (const s of switches) s.stockOk('ovs-appctl', 'time/stop');
    for (const form of [
      'OpenFlow10 openflow10',
      'OpenFlow10 nxt_packet_in',
      'OpenFlow10 nxt_packet_in2',
      'OpenFlow13 standard',
      'OpenFlow13 nxt_packet_in2',
    ]) {
      const [version = '', format = ''] = form.split(' ');
      const seen: string[][] = [];
      for (const s of switches) {
        const ofctl = (...args: string[]): string => s.stockOk('ovs-ofctl', ...args);
        const appctl = (...args: string[]): string => s.stockOk('ovs-appctl', ...args);
        const monitor = new Monitor(s, ['-O', version, '-P', format, 'monitor', 'br0', '65534']);
        await waitFor(() => monitor.isCurrent(), 'the monitor is connected');
        ofctl(
          'add-flow',
          'br0',
          'in_port=1,cookie=8,actions=load:5->NXM_NX_REG1[],set_field:9->metadata,controller(max_len=40,reason=no_match),resubmit(,3)',
        );
        ofctl(
          'add-flow',
          'br0',
          'table=3,cookie=9,actions=mod_vlan_vid:5,controller(reason=invalid_ttl),dec_ttl,controller',
        );
        appctl('revalidator/wait');
        appctl('netdev-dummy/receive', 'p1', `in_port(1),${p}`);
        ofctl('packet-out', 'br0', `in_port=1,packet=${frame},actions=controller`);
        ofctl('add-flow', 'br0', 'table=9,send_flow_rem,cookie=6,udp,actions=drop');
        ofctl('del-flows', 'br0', 'table=9');
        ofctl('mod-port', 'br0', 'p1', 'down');
        ofctl('mod-port', 'br0', 'p1', 'up');
        await waitFor(
          () => monitor.isCurrent() && monitor.text.split('PORT_STATUS').length > 4,
          'the port is up again',
        );
        await monitor.stop();
        ofctl('del-flows', 'br0');
        appctl('revalidator/wait');
        const lines = monitor.text
          .replace(/duration[0-9.]+s/g, 'durationX')
          .replace(/addr:[0-9a-f:]+/g, 'addr:M')
          .split('\n');
        // The stock switch sends FLOW_REMOVED from another thread, when that comes to it.
        const removed = lines.filter((l) => l.includes('FLOW_REMOVED'));
        seen.push([...lines.filter((l) => !l.includes('FLOW_REMOVED')), ...removed]);
      }
      expect(seen[1], form).toEqual(seen[0]);
      expect(seen[1]?.join('\n')).toMatch(/PACKET_IN.*\n(.*\n)*.*PORT_STATUS.*\n(.*\n)*.*FLOW_REMOVED/);
    }
  });
});
