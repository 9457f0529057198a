import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { sh, TwoHosts } from '../support/netns.ts';
import { missing } from '../support/tools.ts';

/**
 * AF_XDP ports between two hosts whose offloads are as the kernel sets them: ping, TCP, VLANs, ports that
 * come and go under traffic; then every frame must be somewhere. And what is said where AF_XDP cannot be had.
 */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-appctl', 'ip', 'ping', 'iperf3', 'ethtool'], root: true });

describe.skipIf(skip !== null)('afxdp ports', () => {
  let s: SwitchUnderTest | undefined;
  let hosts: TwoHosts | undefined;
  const devices: string[] = [];

  afterEach(async () => {
    await s?.stop();
    hosts?.remove();
    for (const name of devices.splice(0)) sh(`ip link del ${name} 2>/dev/null || true`);
    s = undefined;
    hosts = undefined;
  });

  const vsctl = (...args: string[]): string => (s as SwitchUnderTest).stockOk('ovs-vsctl', ...args);
  const appctl = (...args: string[]): string => (s as SwitchUnderTest).stockOk('ovs-appctl', ...args);
  const inHost = (index: number, command: string): string =>
    sh(`ip netns exec ${(hosts as TwoHosts).names[index] ?? ''} ${command}`);
  const startSwitch = async (): Promise<void> => {
    s = await SwitchUnderTest.start('ours', []);
    vsctl('add-br', 'afxibr', '--', 'set', 'bridge', 'afxibr', 'datapath_type=netdev');
  };
  const addPort = (name: string, type: string, ...settings: string[]): void => {
    vsctl('add-port', 'afxibr', name, '--', 'set', 'interface', name, `type=${type}`, ...settings);
  };
  const twoHosts = async (types: readonly [string, string], ...settings: string[]): Promise<void> => {
    hosts = new TwoHosts('afxi', 77);
    await startSwitch();
    for (const [i, name] of hosts.names.entries()) {
      addPort(name, types[i] ?? '', ...(types[i] === 'afxdp' ? settings : []));
    }
    await waitFor(() => hosts?.pingLoss(1) === 0, 'the hosts see each other');
  };
  const column = (name: string, what: string): string => vsctl('get', 'interface', name, what).trim();
  /** Gb/s that arrived. */
  const transfer = async (options = ''): Promise<number> => {
    inHost(1, 'iperf3 -s -1 -D');
    await waitFor(() => inHost(1, 'ss -ltn').includes(':5201'), 'iperf3 listens');
    const report = JSON.parse(
      inHost(0, `iperf3 -J -t 1 -c ${(hosts as TwoHosts).addresses[1]} ${options}`),
    ) as { end: { sum_received: { bits_per_second: number } } };
    return report.end.sum_received.bits_per_second / 1e9;
  };
  const memory = (key: string): number =>
    Number(new RegExp(`(?:^| )${key}:(\\d+)`).exec(appctl('memory/show'))?.[1] ?? NaN);
  const expectNoFrameLost = async (): Promise<void> => {
    await waitFor(() => memory('xsk frames lost') === 0, 'every frame is somewhere');
    expect(memory('xsk frames')).toBeGreaterThan(0);
  };

  it.each([
    ['native', ['afxdp', 'afxdp']],
    ['best-effort', ['afxdp', 'system']],
  ] as const)('carry ping and TCP with offloads on, %s, %j', async (mode, types) => {
    await twoHosts(types, `options:xdp-mode=${mode}`);
    expect(hosts?.pingLoss(50)).toBe(0);
    for (const options of ['', '-R']) {
      const gbps = await transfer(options);
      console.warn(`TCP over ${types.join(' and ')} ${options}: ${gbps.toFixed(2)} Gb/s`);
      // An unfinished checksum lets nothing through at all.
      expect(gbps).toBeGreaterThan(0.05);
    }
    expect(hosts?.pingLoss(50)).toBe(0);
    await expectNoFrameLost();
  });

  it('carry TCP in generic mode once the host segments by itself', async () => {
    await twoHosts(['afxdp', 'afxdp'], 'options:xdp-mode=generic');
    for (const i of [0, 1]) inHost(i, 'ethtool -K eth0 tso off gso off');
    expect(await transfer()).toBeGreaterThan(0.05);
    await expectNoFrameLost();
  });

  it('show their settings as the stock switch does', async () => {
    await twoHosts(['afxdp', 'afxdp']);
    const settings = 'afxdp: n_rxq=1, use-need-wakeup=true, xdp-mode=best-effort, xdp-mode-in-use=native';
    expect(appctl('dpif/show')).toContain(`    afxi1 1/2: (${settings})\n`);
    expect(appctl('dpctl/show')).toContain(`afxi1 (${settings})\n`);
    expect(sh('ip link show afxi1')).toContain('xdp');
  });

  it('keep VLAN tags that the kernel has beside the frame, and push and pop their own', async () => {
    await twoHosts(['afxdp', 'afxdp']);
    const push = spawn(
      'ip',
      [
        'netns',
        'exec',
        'afxi1',
        process.execPath,
        '--import',
        'tsx',
        'tests/support/push-vlan.ts',
        'eth0',
        '5',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      await once(push.stdout, 'data');
      // Tagged one way, untagged the other: only a switch that sees the tag and takes it off lets a ping through.
      vsctl('set', 'port', 'afxi1', 'tag=5', 'vlan_mode=native-tagged');
      vsctl('set', 'port', 'afxi2', 'tag=5');
      s?.stockOk('ovs-ofctl', 'add-flow', 'afxibr', 'in_port=afxi2,actions=output:afxi1');
      await waitFor(() => hosts?.pingLoss(5) === 0, 'the tag is seen and popped');
      s?.stockOk('ovs-ofctl', 'add-flow', 'afxibr', 'in_port=afxi1,dl_vlan=5,actions=output:afxi2');
      s?.stockOk('ovs-ofctl', 'add-flow', 'afxibr', 'priority=0,actions=drop');
      const counted = (): string | undefined =>
        s?.stockOk('ovs-ofctl', 'dump-flows', 'afxibr', 'in_port=afxi1,dl_vlan=5');
      hosts?.pingLoss(3);
      await waitFor(() => /n_packets=[1-9]/.test(counted() ?? ''), 'frames match by their tag');
    } finally {
      const ended = once(push, 'exit');
      push.kill();
      await ended;
    }
    await expectNoFrameLost();
  });

  it('survive changed modes, removal and return under traffic, and lose no frame', async () => {
    await twoHosts(['afxdp', 'afxdp']);
    const flood = spawn('ip', ['netns', 'exec', 'afxi1', 'ping', '-f', '-q', '10.77.77.2'], {
      stdio: 'ignore',
    });
    try {
      for (const mode of ['generic', 'native', 'best-effort']) {
        vsctl('set', 'interface', 'afxi2', `options:xdp-mode=${mode}`);
        await waitFor(() => hosts?.pingLoss(5) === 0, `traffic passes in ${mode}`);
        await waitFor(
          () => column('afxi2', 'status:xdp_mode').includes(mode === 'generic' ? mode : 'native'),
          mode,
        );
      }
      for (let i = 0; i < 3; i++) {
        vsctl('del-port', 'afxi2');
        expect(sh('ip link show afxi2')).not.toContain('xdp');
        addPort('afxi2', 'afxdp');
        await waitFor(() => hosts?.pingLoss(5) === 0, 'traffic passes again');
      }
    } finally {
      const ended = once(flood, 'exit');
      flood.kill('SIGINT');
      await ended;
    }
    await expectNoFrameLost();
    vsctl('del-port', 'afxi1', '--', 'del-port', 'afxi2');
    // With the last port the frames go.
    expect(appctl('memory/show')).not.toContain('xsk frames');
  });

  it('keep frames accounted for when a PMD thread dies', async () => {
    await twoHosts(['afxdp', 'afxdp']);
    const name = /pmd-c\d+\/id:\d+/.exec(appctl('supervisor/show'))?.[0] ?? '';
    appctl('supervisor/kill', name);
    await waitFor(() => hosts?.pingLoss(5) === 0, 'traffic passes again');
    await expectNoFrameLost();
  });

  it('fall back to packet sockets and say why', async () => {
    hosts = new TwoHosts('afxi', 77);
    await startSwitch();
    // The far end of a device with XDP may not have a larger MTU, nor a frame more than 4 KiB.
    for (const name of hosts.names) sh(`ip link set ${name} mtu 9000; ip -n ${name} link set eth0 mtu 9000`);
    for (const name of hosts.names) addPort(name, 'afxdp');
    await waitFor(() => hosts?.pingLoss(1) === 0, 'the hosts see each other');
    expect(Number(column('afxi1', 'ofport'))).toBe(1);
    expect(column('afxi1', 'error')).toContain('MTU 9000 is larger than a frame');
    expect(column('afxi1', 'error')).toContain('packet sockets are used instead');
    expect(column('afxi1', 'status:xdp_mode')).toBe('none');
    expect(await transfer()).toBeGreaterThan(0.05);
  });

  it('refuse what was asked for by name and cannot be had, in the words of the stock switch', async () => {
    sh('ip link add afxix type veth peer name afxiy; ip link set afxix up; ip link set afxiy up');
    devices.push('afxix');
    await startSwitch();
    const refused = (...settings: string[]): string => {
      const args = ['add-port', 'afxibr', 'afxix', '--', 'set', 'interface', 'afxix', 'type=afxdp'];
      (s as SwitchUnderTest).stock('ovs-vsctl', ...args, ...settings);
      const error = column('afxix', 'error');
      expect(column('afxix', 'ofport')).toBe('-1');
      vsctl('del-port', 'afxix');
      return error;
    };
    expect(refused('options:xdp-mode=foo')).toBe('"afxix: could not set configuration (Invalid argument)"');
    const notAdded = '"could not add network device afxix to ofproto (Invalid argument)"';
    expect(refused('options:xdp-mode=native-with-zerocopy')).toBe(notAdded);
    expect(refused('options:n_rxq=2')).toBe(notAdded);
    expect(sh('ip link show afxix')).not.toContain('xdp');
  });
});
