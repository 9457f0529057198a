import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BundleBytes, bundleCases } from '../support/bundle-cases.ts';
import { SwitchUnderTest } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/** Bundles on the stock switch and on ours: the same replies byte for byte, the same flows afterwards. */
const skip = missing({ tools: ['ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl'] });

/** Sends messages and a barrier on a connection of their own; returns what came before the barrier's reply. */
function converse(s: SwitchUnderTest, version: number, messages: readonly Buffer[]): Promise<string[]> {
  const hello = Buffer.from([version, 0, 0, 8, 0, 0, 0, 1]);
  const barrier = Buffer.from([version, 20, 0, 8, 0xba, 0xba, 0xba, 0xba]);
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
        if (message.readUInt32BE(4) === 0xbabababa && message[1] === 21) {
          socket.destroy();
          return;
        }
        if (message[1] !== 0) got.push(message.toString('hex'));
      }
    });
    socket.write(Buffer.concat([hello, ...messages, barrier]));
  });
}

describe.skipIf(skip !== null)('bundles as the stock switch has them', () => {
  const switches: SwitchUnderTest[] = [];
  const flows = (s: SwitchUnderTest): string[] =>
    s
      .stockOk('ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', 'br0')
      .replace(/duration=[0-9.]+s/g, 'duration=Xs')
      .split('\n')
      .filter((line) => line.includes('actions='))
      .sort();

  beforeAll(async () => {
    for (const kind of ['stock', 'ours'] as const) {
      const s = await SwitchUnderTest.start(kind, ['--enable-dummy']);
      switches.push(s);
      const bridge = ['set', 'bridge', 'br0', 'datapath_type=dummy', 'fail_mode=secure'];
      s.stockOk('ovs-vsctl', 'add-br', 'br0', '--', ...bridge);
      const port = ['set', 'interface', 'p1', 'type=dummy', 'ofport_request=1'];
      s.stockOk('ovs-vsctl', 'add-port', 'br0', 'p1', '--', ...port);
    }
  });
  afterAll(async () => {
    for (const s of switches) await s.stop();
  });

  for (const version of [5, 4] as const) {
    it(`answers each case with the same bytes and leaves the same flows, OpenFlow 1.${version - 1}`, async () => {
      const bytes = new BundleBytes(version);
      for (const { name, messages } of bundleCases) {
        for (const s of switches) {
          s.stockOk('ovs-ofctl', 'del-flows', 'br0');
          s.stockOk('ovs-ofctl', 'add-flow', 'br0', 'in_port=7,cookie=0x700,actions=output:1');
        }
        const [stock, ours] = await Promise.all(switches.map((s) => converse(s, version, messages(bytes))));
        expect(ours, name).toEqual(stock);
        const [stockFlows, ourFlows] = switches.map(flows);
        expect(ourFlows, name).toEqual(stockFlows);
      }
    });
  }

  const tools = ['stock', 'ours'] as const;
  for (const version of [['-O', 'OpenFlow13'], ['-O', 'OpenFlow14'], []]) {
    it(`takes and makes bundles as ovs-ofctl does, ${version[1] ?? 'version left open'}`, () => {
      const [, ours] = switches;
      const commands: readonly (readonly string[])[] = [
        ['del-flows', 'br0'],
        ['add-flow', 'br0', 'tcp,tp_dst=80,actions=output:1'],
        ['mod-flows', 'br0', 'ip,actions=output:2'],
        ['add-flow', 'br0', 'check_overlap,ip,actions=drop'],
        ['--strict', 'del-flows', 'br0', 'tcp,tp_dst=80'],
        ['add-flow', 'br0', 'table=254,actions=drop'],
        ['replace-flows', 'br0', '/dev/null'],
      ];
      const same = (ran: { status: number | null; stdout: string; stderr: string }, s: SwitchUnderTest) => ({
        status: ran.status,
        // Ours does not ask for the names of tables first, so it counts differently.
        text: (ran.stdout + ran.stderr)
          .replace(/^\S+Z\|\d+\|/gm, '')
          .replace(/xid=0x[0-9a-f]+/g, 'xid=X')
          .replaceAll(s.rundir, 'R'),
      });
      for (const args of commands) {
        const options = [...version, '--bundle', ...args];
        const [stockRan, oursRan] = switches.map((s) => same(s.stock('ovs-ofctl', ...options), s));
        expect(oursRan, args.join(' ')).toEqual(stockRan);
        const [stockFlows, ourFlows] = switches.map(flows);
        expect(ourFlows, args.join(' ')).toEqual(stockFlows);
      }
      if (ours === undefined) throw new Error('no switch');
      for (const args of commands) {
        const options = [...version, '--bundle', ...args];
        const texts = tools.map((tool) => {
          ours.stockOk('ovs-ofctl', 'del-flows', 'br0');
          ours.stockOk('ovs-ofctl', 'add-flow', 'br0', 'tcp,tp_dst=80,actions=output:9');
          return { ...same(ours[tool]('ovs-ofctl', ...options), ours), flows: flows(ours) };
        });
        expect(texts[1], args.join(' ')).toEqual(texts[0]);
      }
    });
  }

  it('ends a bundle that stands idle, with an error about what opened it', async () => {
    const bytes = new BundleBytes(5);
    const answers = await Promise.all(
      switches.map(async (s) => {
        s.stockOk('ovs-vsctl', 'set', 'Open_vSwitch', '.', 'other_config:bundle-idle-timeout=1');
        return await untilError(s, 5, [bytes.control(0, { flags: 1, xid: 0x1234 })]);
      }),
    );
    expect(answers[1]).toBe(answers[0]);
  });
});

/** The first error message that comes after these messages. */
function untilError(s: SwitchUnderTest, version: number, messages: readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(s.rundir, 'br0.mgmt'));
    let held = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('data', (data) => {
      held = Buffer.concat([held, data]);
      while (held.length >= 8 && held.length >= held.readUInt16BE(2)) {
        const message = held.subarray(0, held.readUInt16BE(2));
        held = held.subarray(message.length);
        if (message[1] !== 1) continue;
        socket.destroy();
        resolve(message.toString('hex'));
      }
    });
    socket.write(Buffer.concat([Buffer.from([version, 0, 0, 8, 0, 0, 0, 1]), ...messages]));
  });
}
