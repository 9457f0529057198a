import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { sh, TwoHosts } from '../support/netns.ts';
import { missing } from '../support/tools.ts';

/** A veth device with two receive queues, polled by two PMD threads: traffic, changes under traffic, a death. */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-appctl', 'ip', 'ping', 'iperf3'], root: true });

describe.skipIf(skip !== null)('two receive queues of a veth device', () => {
  let s: SwitchUnderTest;
  let hosts: TwoHosts;
  const appctl = (...words: string[]): string => s.stockOk('ovs-appctl', ...words);
  const received = (core: number): number =>
    Number(
      /packets received: (\d+)/.exec(appctl('dpif-netdev/pmd-stats-show', '-pmd', String(core)))?.[1] ?? NaN,
    );
  /** UDP flows of many ports from the first host to the second, and back. */
  const manyFlows = (flows: number): void => {
    const [from, to] = hosts.names;
    const script =
      'import socket,sys\n' +
      `s=[socket.socket(socket.AF_INET,socket.SOCK_DGRAM) for _ in range(${flows})]\n` +
      `[x.sendto(b"x"*40,("${hosts.addresses[1]}",9)) for x in s for _ in range(4)]\n`;
    const ran = spawnSync('ip', ['netns', 'exec', from, 'python3', '-c', script], { encoding: 'utf8' });
    expect(`${to}: ${ran.stderr}`).toBe(`${to}: `);
  };

  beforeAll(async () => {
    hosts = new TwoHosts('wpmdq', 9);
    s = await SwitchUnderTest.start('ours');
    const settings = ['pmd-cpu-mask=3', 'pmd-rxq-assign=group', 'pmd-rxq-isolate=false'];
    s.stockOk('ovs-vsctl', 'set', 'open', '.', ...settings.map((x) => `other_config:${x}`));
    s.stockOk('ovs-vsctl', 'add-br', 'wpmdbr', '--', 'set', 'bridge', 'wpmdbr', 'datapath_type=netdev');
    for (const name of hosts.names) {
      s.stockOk('ovs-vsctl', 'add-port', 'wpmdbr', name, '--', 'set', 'int', name, 'options:n_rxq=2');
    }
    await waitFor(() => hosts.pingLoss(1) === 0, 'links are up');
  });

  afterAll(async () => {
    await s.stop();
    hosts.remove();
  });

  it('are polled by both PMD threads, and packets come once', async () => {
    s.stockOk('ovs-vsctl', 'set', 'int', hosts.names[0], 'other_config:pmd-rxq-affinity="0:0,1:1"');
    const shown = appctl('dpif-netdev/pmd-rxq-show');
    for (const name of hosts.names) {
      for (const queue of [0, 1]) expect(shown).toMatch(new RegExp(`port: ${name} +queue-id: +${queue} `));
    }
    const before = [0, 1].map(received);
    manyFlows(64);
    await waitFor(
      () => [0, 1].map(received).reduce((n, r, i) => n + r - (before[i] ?? 0), 0) >= 256,
      'all packets came',
    );
    const grown = [0, 1].map((core, i) => received(core) - (before[i] ?? 0));
    expect(Math.min(...grown)).toBeGreaterThan(40);
    const port = s.stockOk('ovs-ofctl', 'dump-ports', 'wpmdbr', hosts.names[0]);
    const rx = Number(/rx pkts=(\d+)/.exec(port)?.[1]);
    const total = [0, 1].map(received).reduce((a, b) => a + b);
    const out = s.stockOk('ovs-ofctl', 'dump-ports', 'wpmdbr', hosts.names[1]);
    const back = Number(/rx pkts=(\d+)/.exec(out)?.[1]);
    // Had sockets seen packets before they joined their group, it were up to twice as many.
    expect(total).toBeLessThanOrEqual(rx + back + 20);
  });

  it('carry TCP with several streams and every offload on', async () => {
    const [from, to] = hosts.names;
    sh(`ip netns exec ${to} iperf3 -s -D --pidfile /tmp/wpmdq-iperf.pid`);
    try {
      await waitFor(
        () => spawnSync('sh', ['-c', `ip netns exec ${to} ss -ltn | grep -q :5201`]).status === 0,
        'iperf3 listens',
      );
      const report = JSON.parse(
        sh(`ip netns exec ${from} iperf3 -J -C cubic -t 2 -P 4 -c ${hosts.addresses[1]}`),
      ) as { end: { sum_received: { bits_per_second: number } } };
      const gbps = report.end.sum_received.bits_per_second / 1e9;
      console.warn(`TCP, 4 streams, 2 queues: ${gbps.toFixed(1)} Gb/s`);
      expect(gbps).toBeGreaterThan(0.05);
    } finally {
      sh('kill $(cat /tmp/wpmdq-iperf.pid | tr -d "\\0")');
    }
  });

  it('move between threads without losing a packet', () => {
    const [name] = hosts.names;
    for (const affinity of ['0:0,1:0', '0:1,1:1', '', '0:0,1:1']) {
      const ping = `ip netns exec ${name} ping -c 40 -i 0.01 -W 2 ${hosts.addresses[1]}`;
      const bin = `ovs-vsctl set int ${name} 'other_config:pmd-rxq-affinity="${affinity}"'`;
      const text = spawnSync('sh', ['-c', `${ping} & sleep 0.1; ${bin}; wait`], {
        env: s.env,
        encoding: 'utf8',
      }).stdout;
      expect(text).toContain(' 0% packet loss');
    }
    const created = s.log().match(/PMD thread on numa_id: \d+, core id: +\d+ created/g) ?? [];
    expect(created).toHaveLength(2);
    expect(s.log()).not.toContain('destroyed');
  });

  it('change in number, and threads with the mask', async () => {
    const [name] = hosts.names;
    s.stockOk('ovs-vsctl', 'set', 'int', name, 'options:n_rxq=3');
    expect(appctl('dpif-netdev/pmd-rxq-show')).toMatch(new RegExp(`port: ${name} +queue-id: +2 `));
    expect(hosts.pingLoss(5)).toBe(0);
    s.stockOk('ovs-vsctl', 'set', 'open', '.', 'other_config:pmd-cpu-mask=1');
    expect(appctl('dpif-netdev/pmd-rxq-show')).not.toContain('core_id 1');
    expect(hosts.pingLoss(5)).toBe(0);
    s.stockOk('ovs-vsctl', 'set', 'open', '.', 'other_config:pmd-cpu-mask=3');
    await waitFor(() => hosts.pingLoss(1) === 0, 'traffic goes on');
    s.stockOk('ovs-vsctl', 'set', 'int', name, 'options:n_rxq=2');
  });

  it('go on when their thread dies', async () => {
    const threads = appctl('supervisor/show').match(/pmd-\S+/g) ?? [];
    expect(threads).toHaveLength(2);
    for (const thread of threads) {
      appctl('supervisor/kill', thread);
      await waitFor(() => hosts.pingLoss(1) === 0, 'traffic goes on');
      expect(s.log()).toContain(`thread ${thread} died`);
    }
    manyFlows(64);
    await waitFor(() => Math.min(received(0), received(1)) > 40, 'both poll again');
  });
});
