/**
 * Two hosts in network namespaces with a switch between them, for benchmarks of real devices: what each case
 * costs the switch's PMD thread. CPU time of that thread is what counts: on a shared machine the wall
 * time says more about the neighbours.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SwitchUnderTest, waitFor } from '../../tests/support/daemons.ts';
import { TwoHosts, sh } from '../../tests/support/netns.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const generator = 'bench/device/generate.ts';

export interface DeviceCase {
  readonly kind: 'ours' | 'stock';
  /** Interface.type of both ports: 'system', 'afxdp'. */
  readonly type: string;
}

export interface Throughput {
  /** Frames that reached the sink, by wall time. */
  readonly kpps: number;
  /** CPU time of the PMD thread a frame; of a stock switch without its idle polls, as it says itself. */
  readonly nsPerPacket: number;
  /** What the PMD thread would reach with a core of its own: 1e6 / nsPerPacket. */
  readonly kppsPerCore: number;
}

/** Gives a process's session the most of a shared machine: `nice` acts only inside of one. */
function prefer(pid: number): void {
  writeFileSync(`/proc/${pid}/autogroup`, '-20');
}

/** ns of CPU time that threads of a process with such a name have used. */
function threadCpuNs(pid: number, name: RegExp): number {
  let total = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const dir = `/proc/${pid}/task/${tid}`;
    if (!name.test(readFileSync(`${dir}/comm`, 'utf8').trim())) continue;
    total += Number(readFileSync(`${dir}/schedstat`, 'utf8').split(' ')[0]);
  }
  return total;
}

export class DeviceRig {
  readonly #hosts: TwoHosts;
  readonly #switch: SwitchUnderTest;
  readonly #children: ChildProcess[] = [];
  readonly #case: DeviceCase;
  readonly #bridge: string;

  private constructor(c: DeviceCase, hosts: TwoHosts, s: SwitchUnderTest, bridge: string) {
    this.#bridge = bridge;
    this.#case = c;
    this.#hosts = hosts;
    this.#switch = s;
  }

  /**
   * @param prefix Of namespaces, devices and the bridge; at most eight letters.
   * @param tuned With the hosts' transmit offloads off, which the stock switch needs for TCP.
   */
  static async start(c: DeviceCase, prefix: string, subnet: number, tuned = false): Promise<DeviceRig> {
    const hosts = new TwoHosts(prefix, subnet);
    for (const name of hosts.names) {
      sh(
        `ip link set ${name} addrgenmode none; ip netns exec ${name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1`,
      );
      // NAPI for the live frames of the generator, whatever the switch makes of the device.
      if (c.type !== 'afxdp') sh(`ethtool -K ${name} gro on`);
      if (tuned) sh(`ip netns exec ${name} ethtool -K eth0 tx off tso off gso off >/dev/null`);
    }
    prefer(process.pid);
    const s = await SwitchUnderTest.start(c.kind, []);
    // The stock switch polls system ports in its main thread.
    if (c.kind === 'stock' && c.type === 'system') sh(`taskset -pc 1 ${s.pid('ovs-vswitchd')}`);
    const bridge = `${prefix}br`;
    const vsctl = (...args: string[]): string => s.stockOk('ovs-vsctl', ...args);
    vsctl('set', 'Open_vSwitch', '.', 'other_config:pmd-cpu-mask=2');
    vsctl('add-br', bridge, '--', 'set', 'bridge', bridge, 'datapath_type=netdev');
    for (const name of hosts.names) {
      vsctl(
        'add-port',
        bridge,
        name,
        '--',
        'set',
        'interface',
        name,
        `type=${c.type === 'system' ? '""' : c.type}`,
      );
    }
    s.stockOk('ovs-ofctl', 'del-flows', bridge);
    const [a, b] = hosts.names;
    s.stockOk('ovs-ofctl', 'add-flow', bridge, `in_port=${a},actions=output:${b}`);
    s.stockOk('ovs-ofctl', 'add-flow', bridge, `in_port=${b},actions=output:${a}`);
    const rig = new DeviceRig(c, hosts, s, bridge);
    await waitFor(() => hosts.pingLoss(1) === 0, 'the hosts see each other');
    return rig;
  }

  get switch(): SwitchUnderTest {
    return this.#switch;
  }
  get #pid(): number {
    return this.#switch.pid('ovs-vswitchd');
  }
  #in(host: number, command: string): string {
    return sh(`ip netns exec ${this.#hosts.names[host]} ${command}`);
  }
  #counter(host: number, name: string): number {
    return Number(this.#in(host, `cat /sys/class/net/eth0/statistics/${name}`));
  }
  /** CPU time of the threads that forward. */
  cpuNs(): number {
    const isMain = this.#case.kind === 'stock' && this.#case.type === 'system';
    return threadCpuNs(this.#pid, isMain ? /^ovs-vswitchd/ : /^pmd-c/);
  }
  async #spawn(args: string[]): Promise<ChildProcess> {
    const child = spawn('ip', ['netns', 'exec', ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    if (child.pid !== undefined) prefer(child.pid);
    this.#children.push(child);
    return await Promise.resolve(child);
  }

  /** UDP frames of `length` bytes in `flows` flows from the first host to the second, for some seconds. */
  async forward(flows: number, length = 60, seconds = 3): Promise<Throughput> {
    const [a, b] = this.#hosts.names;
    const node = [process.execPath, '--import', 'tsx', generator];
    const sink = await this.#spawn([b, ...node, '--drop', 'eth0']);
    await new Promise<void>((resolve) => sink.stdout?.once('data', () => resolve()));
    const mac = this.#in(1, 'cat /sys/class/net/eth0/address').trim();
    const idle = this.#counter(1, 'rx_packets');
    const source = await this.#spawn([
      a,
      ...node,
      'eth0',
      String(seconds + 2),
      String(length),
      String(flows),
      mac,
    ]);
    await waitFor(() => this.#counter(1, 'rx_packets') > idle + 10_000, 'frames arrive');
    const read = (): [number, number, number] => [
      this.#counter(1, 'rx_packets'),
      this.cpuNs(),
      performance.now(),
    ];
    this.#switch.stockOk('ovs-appctl', 'dpif-netdev/pmd-stats-clear');
    const before = read();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const after = read();
    const busy = this.#busyShare();
    const ended = new Promise((resolve) => source.once('exit', resolve));
    await ended;
    sink.kill();
    const [packets, cpuNs, ms] = [after[0] - before[0], (after[1] - before[1]) * busy, after[2] - before[2]];
    return { kpps: packets / ms, nsPerPacket: cpuNs / packets, kppsPerCore: (1e6 * packets) / cpuNs };
  }

  /** Part of its time in which a stock PMD thread had packets: it spins where ours sleeps. */
  #busyShare(): number {
    if (this.#case.kind === 'ours' || this.#case.type === 'system') return 1;
    const text = this.#switch.stockOk('ovs-appctl', 'dpif-netdev/pmd-stats-show');
    return Number(/processing cycles: \d+ \(([\d.]+)%\)/.exec(text)?.[1] ?? 100) / 100;
  }

  /** Average round trip of a flood ping in microseconds. */
  floodPing(count = 20_000): number {
    const text = this.#in(0, `ping -f -q -c ${count} ${this.#hosts.addresses[1]}`);
    return 1000 * Number(/= [\d.]+\/([\d.]+)\//.exec(text)?.[1]);
  }

  /** One TCP stream: Gb/s that arrived, and CPU time of the PMD thread a gigabyte. */
  async tcp(seconds = 3): Promise<{ gbps: number; cpuSecondsPerGb: number }> {
    this.#in(1, 'iperf3 -s -1 -D');
    await waitFor(() => this.#in(1, 'ss -ltn').includes(':5201'), 'iperf3 listens');
    const cpu = this.cpuNs();
    const args = ['netns', 'exec', this.#hosts.names[0], 'timeout', String(seconds + 5), 'iperf3', '-J'];
    try {
      const text = execFileSync('ip', [
        ...args,
        '-t',
        String(seconds),
        '-c',
        this.#hosts.addresses[1],
      ]).toString();
      const end = (JSON.parse(text) as { end: { sum_received: { bits_per_second: number; bytes: number } } })
        .end;
      const cpuSeconds = (this.cpuNs() - cpu) / 1e9;
      return {
        gbps: end.sum_received.bits_per_second / 1e9,
        cpuSecondsPerGb: cpuSeconds / (end.sum_received.bytes / 1e9),
      };
    } catch {
      sh(`ip netns pids ${this.#hosts.names[1]} | xargs -r kill`);
      return { gbps: 0, cpuSecondsPerGb: Infinity };
    }
  }

  /** CPU use of the whole switch without traffic, in cores, after what the traffic left to do (expiry, compilers). */
  async idleCores(seconds = 4): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const before = threadCpuNs(this.#pid, /./);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return (threadCpuNs(this.#pid, /./) - before) / (seconds * 1e9);
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill();
    await this.#switch.stop();
    // The stock switch leaves its bridge's tap behind when it is terminated.
    sh(`ip link del ${this.#bridge} 2>/dev/null || true`);
    this.#hosts.remove();
  }
}
