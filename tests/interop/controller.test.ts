import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { TwoHosts } from '../support/netns.ts';
import { missing } from '../support/tools.ts';

/** An os-ken learning switch (examples/learning-switch.py, OpenFlow 1.3) on a bridge in secure mode. */
const port = 20000 + (process.pid % 20000);
const skip =
  missing({ tools: ['ovs-vsctl', 'ip', 'ping', 'osken-manager'], root: true }) ??
  (existsSync('/usr/lib/python3/dist-packages/os_ken') ? null : 'os-ken is not installed');

describe.skipIf(skip !== null)('an os-ken controller', () => {
  let s: SwitchUnderTest;
  let hosts: TwoHosts;
  let controller: ChildProcess | undefined;

  beforeAll(async () => {
    hosts = new TwoHosts('mfc', 2);
    s = await SwitchUnderTest.start('ours');
    s.stockOk(
      'ovs-vsctl',
      'add-br',
      'mfbr1',
      '--',
      'set',
      'bridge',
      'mfbr1',
      'datapath_type=netdev',
      'fail_mode=secure',
    );
    for (const name of hosts.names) s.stockOk('ovs-vsctl', 'add-port', 'mfbr1', name);
    s.stockOk('ovs-vsctl', 'set-controller', 'mfbr1', `tcp:127.0.0.1:${port}`);
  });

  afterAll(async () => {
    controller?.kill('SIGKILL');
    await s.stop();
    hosts.remove();
  });

  it('forwards nothing before it connects, and pings after', async () => {
    expect(hosts.pingLoss(1)).toBe(100);
    controller = spawn(
      'osken-manager',
      [
        '--ofp-listen-host',
        '127.0.0.1',
        '--ofp-tcp-listen-port',
        String(port),
        'examples/learning-switch.py',
      ],
      { stdio: 'ignore' },
    );
    await waitFor(
      () => s.stockOk('ovs-vsctl', 'get', 'controller', 'mfbr1', 'is_connected').trim() === 'true',
      'controller is connected',
    );
    await waitFor(() => hosts.pingLoss(1) === 0, 'the first ping is answered');
    expect(hosts.pingLoss(10)).toBe(0);
    const flows = s.stockOk('ovs-ofctl', '-O', 'OpenFlow13', 'dump-flows', 'mfbr1');
    expect(flows).toMatch(/priority=0 actions=CONTROLLER:65535/);
    expect(flows).toMatch(/priority=1,in_port=.*dl_src=.*actions=output:/);
  });
});
