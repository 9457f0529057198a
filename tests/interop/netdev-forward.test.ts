import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { getuid } from 'node:process';
import { afterEach, describe, expect, it } from 'vitest';

/**
 * Two network namespaces joined by nothing but our ports: pings and TCP must pass with the hosts'
 * offloads on and nothing tuned, over veth pairs and over taps.
 */
const root = fileURLToPath(new URL('../../', import.meta.url));
const [nsA, nsB] = ['nd1', 'nd2'];
const sh = (command: string): string => execFileSync('sh', ['-ec', command], { stdio: 'pipe' }).toString();

function reason(): string | null {
  if (getuid?.() !== 0) return 'needs root';
  try {
    sh('command -v ip iperf3 ping; ip netns list');
    return null;
  } catch {
    return 'needs ip, ping and iperf3';
  }
}
const unavailable = reason();
const suite = unavailable === null ? describe : describe.skip;

suite(`forwarding between devices${unavailable === null ? '' : ` (${unavailable})`}`, () => {
  const children: ChildProcess[] = [];
  const cleanUp = async (): Promise<void> => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, 'exit');
    }
    sh(
      `for n in ${nsA} ${nsB}; do ip netns del $n 2>/dev/null || true; done; ip link del ndp1 2>/dev/null || true; ip link del ndp2 2>/dev/null || true`,
    );
  };
  afterEach(cleanUp);

  const start = async (command: string, args: string[], ready: string): Promise<void> => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    let seen = '';
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      seen += chunk.toString();
      if (seen.includes(ready)) return;
    }
    throw new Error(`${command} ended: ${seen}`);
  };
  const forward = (ports: string[]): Promise<void> => {
    return start(process.execPath, ['--import', 'tsx', 'bench/netdev-forward.ts', ...ports], 'ready');
  };
  const address = (ns: string, device: string, ip: string): void => {
    sh(
      `ip -n ${ns} addr add ${ip}/24 dev ${device}; ip -n ${ns} link set lo up; ip -n ${ns} link set ${device} up`,
    );
  };
  const gigabits = async (...options: string[]): Promise<number> => {
    await start('ip', ['netns', 'exec', nsB, 'iperf3', '-s', '-1', '--forceflush'], 'Server listening');
    const args = ['netns', 'exec', nsA, 'iperf3', '-J', '-t', '1', '-c', '10.77.0.2', ...options];
    const report = JSON.parse(execFileSync('ip', args).toString()) as {
      end: { sum_received: { bits_per_second: number } };
    };
    return report.end.sum_received.bits_per_second / 1e9;
  };
  const expectTraffic = async (): Promise<void> => {
    // Links come up one after the other: what counts is that nothing is lost from then on.
    sh(`until ip netns exec ${nsA} ping -c 1 -W 1 -q 10.77.0.2; do :; done`);
    expect(sh(`ip netns exec ${nsA} ping -c 20 -i 0.01 -q 10.77.0.2`)).toContain(' 0% packet loss');
    const there = await gigabits();
    const back = await gigabits('-R');
    console.log(`TCP ${there.toFixed(1)} and ${back.toFixed(1)} Gb/s`);
    // Without checksum offload handled, TCP does not connect at all; without GSO it stays far below.
    expect(Math.min(there, back)).toBeGreaterThan(0.05);
  };

  it('passes ping and TCP between veth devices', async () => {
    await cleanUp();
    sh(`ip netns add ${nsA}; ip netns add ${nsB}
      ip link add ndp1 type veth peer name eth0 netns ${nsA}
      ip link add ndp2 type veth peer name eth0 netns ${nsB}`);
    address(nsA, 'eth0', '10.77.0.1');
    address(nsB, 'eth0', '10.77.0.2');
    await forward(['system:ndp1', 'system:ndp2']);
    await expectTraffic();
  });

  it('passes ping and TCP to a device that cannot segment', async () => {
    await cleanUp();
    sh(`ip netns add ${nsA}; ip netns add ${nsB}
      ip link add ndp1 type veth peer name eth0 netns ${nsA}
      ip link add ndp2 type veth peer name eth0 netns ${nsB}
      ethtool -K ndp2 tso off gso off >/dev/null`);
    address(nsA, 'eth0', '10.77.0.1');
    address(nsB, 'eth0', '10.77.0.2');
    await forward(['system:ndp1', 'system:ndp2']);
    await expectTraffic();
  });

  it('passes ping and TCP between a tap and a veth device', async () => {
    await cleanUp();
    sh(`ip netns add ${nsA}; ip netns add ${nsB}
      ip link add ndp2 type veth peer name eth0 netns ${nsB}`);
    address(nsB, 'eth0', '10.77.0.2');
    await forward(['tap:ndp1', 'system:ndp2']);
    // A tap keeps working for its owner when its device moves to another namespace.
    sh(`ip link set ndp1 netns ${nsA}`);
    address(nsA, 'ndp1', '10.77.0.1');
    await expectTraffic();
  });
});
