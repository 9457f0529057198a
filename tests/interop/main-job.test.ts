import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { sh, TwoHosts } from '../support/netns.ts';
import { missing } from '../support/tools.ts';

/**
 * The main job: the stock tools drive our daemons, packets go between two network namespaces over
 * veth with every offload left on.
 */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl', 'ip', 'ping', 'iperf3'], root: true });

function threadNames(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((t) => {
    try {
      return readFileSync(`/proc/${pid}/task/${t}/comm`, 'utf8').trim();
    } catch {
      // It ended meanwhile.
      return '';
    }
  });
}

describe.skipIf(skip !== null)('two namespaces on a userspace bridge', () => {
  let s: SwitchUnderTest;
  let hosts: TwoHosts;

  beforeAll(async () => {
    hosts = new TwoHosts('mfj', 1);
    s = await SwitchUnderTest.start('ours');
    s.stockOk('ovs-vsctl', 'add-br', 'mfbr0', '--', 'set', 'bridge', 'mfbr0', 'datapath_type=netdev');
    for (const i of [1, 2])
      s.stockOk(
        'ovs-vsctl',
        'add-port',
        'mfbr0',
        `mfj${i}`,
        '--',
        'set',
        'interface',
        `mfj${i}`,
        `ofport_request=${i}`,
      );
  });

  afterAll(async () => {
    await s.stop();
    hosts.remove();
  });

  it('loses no ping under NORMAL', async () => {
    await waitFor(() => hosts.pingLoss(1) === 0, 'links are up');
    expect(hosts.pingLoss(20)).toBe(0);
  });

  it('carries TCP both ways with nothing tuned', async () => {
    sh('ip netns exec mfj2 iperf3 -s -D --pidfile /tmp/mfj-iperf.pid');
    try {
      await waitFor(
        () => spawnSync('sh', ['-c', 'ip netns exec mfj2 ss -ltn | grep -q :5201']).status === 0,
        'iperf3 listens',
      );
      for (const direction of ['', '-R']) {
        const report = JSON.parse(
          sh(`ip netns exec mfj1 iperf3 -J -C cubic -t 2 ${direction} -c 10.77.1.2`),
        ) as {
          end: { sum_received: { bits_per_second: number } };
        };
        const gbps = report.end.sum_received.bits_per_second / 1e9;
        console.warn(`TCP ${direction === '' ? 'forward' : 'reverse'}: ${gbps.toFixed(1)} Gb/s`);
        expect(gbps).toBeGreaterThan(0.05);
      }
    } finally {
      sh('kill $(cat /tmp/mfj-iperf.pid | tr -d "\\0")');
    }
  });

  it('forwards as flows say, counts, and shows the megaflow with its mask', async () => {
    s.stockOk('ovs-ofctl', 'del-flows', 'mfbr0');
    s.stockOk('ovs-ofctl', 'add-flow', 'mfbr0', 'in_port=1,ip,nw_dst=10.77.1.2,actions=output:2');
    s.stockOk('ovs-ofctl', 'add-flow', 'mfbr0', 'in_port=2,ip,nw_dst=10.77.1.1,actions=output:1');
    s.stockOk('ovs-ofctl', 'add-flow', 'mfbr0', 'arp,actions=NORMAL');
    expect(hosts.pingLoss(10)).toBe(0);
    const megaflows = s.stockOk('ovs-appctl', 'dpctl/dump-flows');
    expect(megaflows).toMatch(/eth_type\(0x0800\),ipv4\(dst=10\.77\.1\.2,frag=no\).*actions:\d/);
    await waitFor(
      () =>
        Number(/n_packets=(\d+).*in_port=1/.exec(s.stockOk('ovs-ofctl', 'dump-flows', 'mfbr0'))?.[1] ?? 0) >=
        10,
      'packets are credited to the rule',
    );
  });

  it('changes a megaflow in place after mod-flows and removes it after del-flows', async () => {
    spawnSync('ip', ['netns', 'exec', 'mfj1', 'ping', '-c', '5', '-i', '0.02', '10.77.1.2']);
    const forward = (): string | undefined =>
      s
        .stockOk('ovs-appctl', 'dpctl/dump-flows')
        .split('\n')
        .find((l) => l.includes('dst=10.77.1.2'));
    expect(forward()).toMatch(/actions:\d/);
    s.stockOk('ovs-ofctl', 'mod-flows', 'mfbr0', 'in_port=1,ip,nw_dst=10.77.1.2,actions=drop');
    await waitFor(() => /actions:drop/.test(forward() ?? ''), 'the megaflow drops', 1000);
    s.stockOk('ovs-ofctl', 'del-flows', 'mfbr0', 'in_port=1,ip');
    await waitFor(() => !/actions:\d/.test(forward() ?? ''), 'the megaflow is gone', 1000);
  });

  it('lets idle megaflows vanish after max-idle', async () => {
    s.stockOk('ovs-vsctl', 'set', 'Open_vSwitch', '.', 'other_config:max-idle=500');
    await waitFor(
      () => !s.stockOk('ovs-appctl', 'dpctl/dump-flows').includes('eth_type(0x0800)'),
      'idle megaflows expire',
    );
    s.stockOk('ovs-vsctl', 'remove', 'Open_vSwitch', '.', 'other_config', 'max-idle');
  });

  it('changes its threads at once', async () => {
    s.stockOk(
      'ovs-vsctl',
      'set',
      'Open_vSwitch',
      '.',
      'other_config:n-revalidator-threads=4',
      'other_config:n-handler-threads=4',
    );
    const count = (name: string): number =>
      threadNames(s.pid('ovs-vswitchd')).filter((n) => n.startsWith(name)).length;
    await waitFor(() => count('revalidator') === 4 && count('handler') === 4, 'eight threads');
  });

  it('takes over the ports of a worker that died', async () => {
    s.stockOk('ovs-ofctl', 'del-flows', 'mfbr0');
    s.stockOk('ovs-ofctl', 'add-flow', 'mfbr0', 'actions=NORMAL');
    const pmd = threadNames(s.pid('ovs-vswitchd')).find((n) => n.startsWith('pmd-'));
    s.stockOk('ovs-appctl', 'supervisor/kill', pmd ?? 'none');
    await waitFor(() => hosts.pingLoss(1) === 0, 'ports forward again', 3000);
    expect(s.log()).toMatch(/thread pmd-\S+ died/);
  });

  it('comes back with its configuration after kill -9', async () => {
    process.kill(s.pid('ovs-vswitchd'), 'SIGKILL');
    await s.startSwitch([]);
    await waitFor(() => hosts.pingLoss(2) === 0, 'traffic flows again');
  });

  it('reports a device that disappears and takes it back', async () => {
    s.stockOk('ovs-vsctl', '--no-wait', 'add-port', 'mfbr0', 'mfjx');
    const column = (name: string): string => s.stockOk('ovs-vsctl', 'get', 'interface', 'mfjx', name).trim();
    await waitFor(() => column('ofport') === '-1', 'ofport is -1');
    expect(column('error')).toMatch(/could not open network device mfjx \(No such device\)/);
    sh('ip link add mfjx type veth peer name mfjy && ip link set mfjx up');
    try {
      await waitFor(() => Number(column('ofport')) > 0, 'the port is there');
      expect(hosts.pingLoss(3)).toBe(0);
    } finally {
      sh('ip link del mfjx');
    }
    await waitFor(() => column('ofport') === '-1', 'ofport is -1 again');
  });
});
