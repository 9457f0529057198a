import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeOne } from '../../src/openflow/codec.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { formatMessage } from '../../src/openflow/print-message.ts';
import { formatProtocols, P_ANY } from '../../src/openflow/protocols.ts';
import { sampleFlows } from '../../src/openflow/testing/flows.ts';
import { UsageError } from '../../src/util/errors.ts';
import { CaptureSwitch } from '../support/capture-switch.ts';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/** Our ovs-ofctl against the stock one: bytes sent, texts printed, what a stock switch is told. */
const hasStock = missing({ tools: ['ovs-ofctl', 'ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl'] }) === null;
const allVersions = 'OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15';

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

async function stock(args: readonly string[]): Promise<Ran> {
  return await new Promise((resolve) => {
    const p = spawn('ovs-ofctl', args);
    let out = '';
    let err = '';
    p.stdout.on('data', (d: Buffer) => (out += d.toString()));
    p.stderr.on('data', (d: Buffer) => (err += d.toString()));
    p.on('close', (status) => {
      resolve({ status, out, err });
    });
  });
}

/** Log lines have times in them. */
const withoutLog = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !/^\d{4}-\d\d-\d\dT/.test(line))
    .join('\n');

const badFlows = [
  'foo=1 actions=drop', 'actions=foo', 'actions=output:foo', 'in_port=foo actions=drop', 'actions=drop,output:1',
  'ip,nw_src=1.2.3.4/33 actions=drop', 'dl_src=11:22 actions=drop', 'table=256 actions=drop',
  'priority=65536 actions=drop', 'cookie=1/1 actions=drop', 'priority actions=drop', 'priority=5',
  'actions=set_field:1', 'actions=set_field:1->foo', 'actions=set_field:1->dp_hash',
  'actions=load:5->NXM_NX_REG0[0]', 'actions=load:1->NXM_NX_REG0[40]', 'actions=mod_vlan_vid:4096',
  'actions=mod_nw_tos:3', 'actions=push_vlan:0x1234', 'actions=enqueue:1', 'actions=resubmit()',
  'actions=controller(foo=1)', 'actions=conjunction(1,3/2)', 'actions=conjunction(1,1/2),output:1',
  'actions=goto_table:5,output:1', 'actions=clear_actions,meter:1', 'actions=write_actions(goto_table:1)',
  'actions=ct(force)', 'ip actions=ct(exec(output:1))', 'actions=ct(commit)', 'ip actions=nat',
  'ip actions=ct(nat(src=1.1.1.5-1.1.1.1))', 'actions=learn(table=255)', 'actions=learn(foo=1)',
  'actions=multipath(foo,1,hrw,1,0,NXM_NX_REG0[])', 'actions=bundle(eth_src,0,hrw,ofport)',
  'actions=sample(probability=0)', 'actions=set_mpls_label:0x100000', 'actions=apply_actions(output:1)',
  'tcp,tcp_flags=+foo actions=drop', 'ip,ip_frag=foo actions=drop', 'reg0=0x100000000 actions=drop',
  'dl_vlan=4096 actions=drop', 'actions=dec_ttl(x)', 'actions=check_pkt_larger(1500)->reg0',
  'actions=group:', 'actions=set_vlan_vid:5',
]; // prettier-ignore

describe.skipIf(!hasStock)('flow texts', () => {
  test.each([...sampleFlows, ...badFlows])('%s', async (text) => {
    const theirs = await stock(['-O', allVersions, 'parse-flow', text]);
    let ours: string;
    try {
      ours = `usable protocols: ${formatProtocols(parseFlow(text, 'add').usable)}`;
    } catch (e) {
      if (!(e instanceof UsageError)) throw e;
      ours = `ovs-ofctl: ${e.message}`;
    }
    const expected = theirs.status === 0 ? (theirs.out.split('\n')[0] ?? '') : withoutLog(theirs.err).trim();
    expect(ours).toBe(expected);
  });
});

describe.skipIf(!hasStock)('bytes and what they print', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mf-'));
  const capture = new CaptureSwitch(join(dir, 'switch.sock'));
  beforeAll(() => capture.listen());
  afterAll(async () => {
    await capture.close();
    rmSync(dir, { recursive: true });
  });

  const forms = [
    ['OpenFlow10', ['-O', 'OpenFlow10', '-F', 'OpenFlow10'], 1, 'openflow10', 3],
    ['NXM', ['-O', 'OpenFlow10', '-F', 'NXM'], 1, 'nxm', 12],
    ['OpenFlow13', ['-O', 'OpenFlow13'], 4, 'openflow10', 1 << 6],
  ] as const;
  for (const [form, options, version, flowFormat, protocols] of forms) {
    const flows = sampleFlows.filter((f) => (parseFlow(f, 'add').usable & protocols & P_ANY) !== 0);
    test.each(flows)(`${form}: %s`, async (text) => {
      capture.version = version;
      capture.captured = [];
      await stock([...options, 'add-flow', `unix:${capture.path}`, text]);
      const theirs = capture.captured.at(-1);
      if (!theirs) throw new Error('the stock ovs-ofctl sent no flow_mod');
      const { flow } = parseFlow(text, 'add');
      const xid = new DataView(theirs.buffer).getUint32(4);
      const ours = encodeOne(flow, xid, { version, flowFormat, tableIdExtension: flow.tableId !== 255 });
      expect(Buffer.from(ours).toString('hex')).toBe(Buffer.from(theirs).toString('hex'));
      const printed = await stock(['ofp-print', Buffer.from(ours).toString('hex'), '1']);
      expect(formatMessage(ours, { verbosity: 1 })).toBe(printed.out);
    });
  }
});

describe.skipIf(!hasStock)('commands on a stock switch', () => {
  let s: SwitchUnderTest;
  beforeAll(async () => {
    s = await SwitchUnderTest.start('stock', ['--enable-dummy', '--disable-system']);
    s.expect(
      s.stock('ovs-vsctl', 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath-type=dummy', 'fail-mode=secure',
        `protocols=${allVersions}`, '--', 'add-port', 'br0', 'p1', '--', 'set', 'interface', 'p1', 'type=dummy',
        'ofport_request=1', '--', 'add-port', 'br0', 'p2', '--', 'set', 'interface', 'p2', 'type=dummy', 'ofport_request=2'),
    ); // prettier-ignore
    // pause and write_metadata with goto_table cannot be dumped by the stock tool itself.
    const flows = sampleFlows.filter((f) => !/pause|write_metadata|meter|actions=fin|^cookie/.test(f));
    for (const [i, f] of flows.entries())
      s.stock('ovs-ofctl', '-O', 'OpenFlow13', 'add-flow', 'br0', `priority=${i + 10},${f}`);
  });
  afterAll(async () => {
    await s.stop();
  });

  /** Time passes and transaction ids differ with the number of questions asked. */
  const normal = (text: string): string =>
    withoutLog(text)
      .replace(/duration=[0-9.]+s/g, 'duration=D')
      .replace(/(idle|hard)_age=\d+/g, '$1_age=A')
      .replace(/xid=0x[0-9a-f]+/g, 'xid=X')
      .replace(/^0000.*$/gm, '');

  test.each(
    [
      'show br0', '-O OpenFlow13 show br0', 'dump-flows br0', '-O OpenFlow13 dump-flows br0',
      '-O OpenFlow13 --no-stats dump-flows br0', '-O OpenFlow13 --names dump-flows br0', '-O OpenFlow13 --sort dump-flows br0',
      'dump-flows br0 in_port=p1', '-O OpenFlow13 dump-flows br0 table=3', 'dump-aggregate br0', 'dump-tables br0',
      '-O OpenFlow13 dump-tables br0', 'dump-ports br0', '-O OpenFlow13 dump-ports br0 p1', 'dump-ports-desc br0',
      'dump-desc br0', 'queue-stats br0', 'get-frags br0', 'probe br0', 'dump-flows nobridge', 'show br0 br1', 'show',
      'nonsense', 'dump-flows br0 priority=5', '-F Foo dump-flows br0', '-O Foo show br0', 'mod-port br0 p9 up',
      'mod-port br0 p1 xx', 'del-flows br0 actions=drop', '--strict del-flows br0 cookie=5', 'add-flows br0 /nonexistent',
      'dump-ports br0 p9', '-F OpenFlow10 dump-flows br0 reg0=5', 'show unix:/nonexistent',
      '-O OpenFlow13 add-flow br0 actions=goto_table:0', '-O OpenFlow13 add-flow br0 actions=group:5',
      '-O OpenFlow13 dump-table-features br0', '-O OpenFlow14 dump-table-features br0', 'dump-table-features br0',
      '-O OpenFlow13 dump-group-features br0', 'meter-features br0', '-O OpenFlow13 meter-features br0',
      'queue-get-config br0', '-O OpenFlow13 queue-get-config br0', 'ofp-parse /nonexistent',
      'add-flow br0 actions=strip_vlan,group:5', 'packet-out br0 1 2 00', 'set-frags br0 foo',
    ].map((line) => [line]),
  )('%s', (line) => {
    const args = line.split(' ');
    const ours = s.ours('ovs-ofctl', ...args);
    const theirs = s.stock('ovs-ofctl', ...args);
    expect(normal(ours.stdout)).toBe(normal(theirs.stdout));
    expect(normal(ours.stderr)).toBe(normal(theirs.stderr));
    expect(ours.status).toBe(theirs.status);
  }); // prettier-ignore

  test('flows added, changed and deleted by ours are as if by theirs', () => {
    const steps: readonly (readonly string[])[] = [
      ['-O', 'OpenFlow13', 'del-flows', 'br0'],
      ['add-flow', 'br0', 'table=1,cookie=0x5,priority=7,ip,nw_dst=10.0.0.1 actions=output:1'],
      ['add-flow', 'br0', 'in_port=p2 actions=p1'],
      ['mod-flows', 'br0', 'cookie=0x5/-1 actions=output:2'],
      ['--strict', 'mod-flows', 'br0', 'table=1,priority=7,ip,nw_dst=10.0.0.1 actions=drop'],
      ['del-flows', 'br0', 'table=1'],
    ];
    const dumps = (tool: 'ours' | 'stock'): string[] =>
      steps.map((step) => {
        s.expect(s[tool]('ovs-ofctl', ...step));
        return normal(s.stock('ovs-ofctl', '-O', 'OpenFlow13', '--sort', 'dump-flows', 'br0').stdout);
      });
    expect(dumps('ours')).toEqual(dumps('stock'));
  });

  test('monitor in the background, steered by ovs-appctl', () => {
    const seen = [join(import.meta.dirname, '../../bin/ovs-ofctl'), 'ovs-ofctl'].map((tool) => {
      const files = ['first', 'second'].map((name) => join(s.rundir, `monitor.${name}`));
      const [first = '', second = ''] = files;
      const line = `${tool} monitor br0 65534 --detach --no-chdir --pidfile 2>${first}`;
      expect(spawnSync('sh', ['-c', line], { env: s.env, encoding: 'utf8' }).status).toBe(0);
      const asked = [
        'ofctl/send 0102000812345678', 'ofctl/barrier', 'ofctl/send 0102000812345678 0114', 'ofctl/send xx', 'ofctl/barrier',
        `ofctl/set-output-file ${second}`, 'ofctl/packet-out in_port=1', 'ofctl/block', 'ofctl/block',
        'ofctl/packet-out in_port=1,packet=ffffffffffff0200000000011234,actions=controller', 'ofctl/unblock',
        'ofctl/unblock', 'ofctl/barrier', 'exit',
      ].map((words) => {
        const { status, stdout, stderr } = s.stock('ovs-appctl', '-t', 'ovs-ofctl', ...words.split(' '));
        return [words, status, stdout, stderr];
      }); // prettier-ignore
      const texts = files.map((file) => normal(readFileSync(file, 'utf8')));
      for (const file of files) rmSync(file);
      return { asked, texts };
    });
    expect(seen[0]?.texts[1]).toMatch(/PACKET_IN/);
    expect(seen[0]).toEqual(seen[1]);
  });
});

test.skipIf(missing({ tools: ['tshark'] }) !== null)(
  'tshark finds nothing malformed in what is sent in 1.3',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'mf-'));
    const context = { version: 4 };
    const messages = sampleFlows
      .filter((f) => (parseFlow(f, 'add').usable & (1 << 6)) !== 0)
      .map((f) => encodeOne(parseFlow(f, 'add').flow, 1, context));
    writeFileSync(join(dir, 'of.pcap'), pcapOf(messages));
    const args = [
      '-r',
      join(dir, 'of.pcap'),
      '-d',
      'tcp.port==6653,openflow',
      '-Y',
      '_ws.malformed',
      '-T',
      'fields',
      '-e',
      'frame.number',
    ];
    const { status, stdout } = spawnSync('tshark', args, { encoding: 'utf8' });
    rmSync(dir, { recursive: true });
    expect(status).toBe(0);
    const malformed = stdout
      .split('\n')
      .filter((x) => x !== '')
      .map((x) => sampleFlows[Number(x) - 1]);
    expect(malformed).toEqual([]);
  },
);

/** A capture with one TCP segment for each message. */
function pcapOf(messages: readonly Uint8Array[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex')];
  let seq = 1;
  for (const m of messages) {
    const frame = Buffer.alloc(54 + m.length);
    frame.write('0000000000020000000000010800', 'hex');
    frame.write('4500', 14, 'hex');
    frame.writeUInt16BE(40 + m.length, 16);
    frame.write('40000000400600007f0000017f000001', 20, 'hex');
    frame.set([0x40, 0, 64, 6, 0, 0], 20);
    frame.set([127, 0, 0, 1, 127, 0, 0, 1], 26);
    frame.writeUInt16BE(40000, 34);
    frame.writeUInt16BE(6653, 36);
    frame.writeUInt32BE(seq, 38);
    frame.writeUInt32BE(1, 42);
    frame.set([0x50, 0x18, 0xff, 0xff], 46);
    frame.set(m, 54);
    seq += m.length;
    const head = Buffer.alloc(16);
    head.writeUInt32LE(frame.length, 8);
    head.writeUInt32LE(frame.length, 12);
    parts.push(head, frame);
  }
  return Buffer.concat(parts);
}
