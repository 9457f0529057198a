import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { sh, TwoHosts } from '../support/netns.ts';
import { missing } from '../support/tools.ts';

/**
 * Unfinished checksums and GSO frames on their way through two bridges: tags pushed, carried over a
 * trunk and popped, addresses and ports rewritten, copies finished in software for a port that takes
 * no offloads. The hosts' kernels say whether every checksum was right.
 */
const skip = missing({
  tools: ['ovs-vsctl', 'ovs-ofctl', 'ip', 'ping', 'iperf3', 'nstat', 'tcpdump'],
  root: true,
});

describe.skipIf(skip !== null)('offloads through two bridges', () => {
  let s: SwitchUnderTest;
  let hosts: TwoHosts;
  const [near, far] = ['ndo1', 'ndo2'];
  const inHost = (name: string, command: string): string => sh(`ip netns exec ${name} ${command}`);

  beforeAll(async () => {
    hosts = new TwoHosts('ndo', 31);
    sh('ip link add ndot0 type veth peer name ndot1; ip link set ndot0 up; ip link set ndot1 up');
    for (const [i, name] of hosts.names.entries())
      sh(`ip -n ${name} addr add fd31::${i + 1}/64 dev eth0 nodad`);
    s = await SwitchUnderTest.start('ours', ['--enable-dummy']);
    for (const [bridge, host, trunk] of [
      ['ndobr0', near, 'ndot0'],
      ['ndobr1', far, 'ndot1'],
    ] as const) {
      s.stockOk('ovs-vsctl', 'add-br', bridge, '--', 'set', 'bridge', bridge, 'datapath_type=netdev');
      s.stockOk('ovs-vsctl', 'add-port', bridge, host, 'tag=5', '--', 'add-port', bridge, trunk);
    }
  });
  afterAll(async () => {
    await s.stop();
    hosts.remove();
    spawnSync('ip', ['link', 'del', 'ndot0']);
  });

  /** Gb/s that arrived. */
  const transfer = async (target: string, options: string): Promise<number> => {
    inHost(far, 'iperf3 -s -1 -D');
    await waitFor(() => inHost(far, 'ss -ltn').includes(':5201'), 'iperf3 listens');
    const report = JSON.parse(inHost(near, `iperf3 -J -C cubic -t 1 -c ${target} ${options}`)) as {
      end: { sum_received: { bits_per_second: number } };
    };
    return report.end.sum_received.bits_per_second / 1e9;
  };
  const checksumErrors = (name: string): number => {
    const lines = inHost(name, 'nstat -az')
      .split('\n')
      .filter((l) => /CsumError|TcpInErrs/.test(l));
    return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[1]), 0);
  };

  it('pushes, carries and pops a VLAN tag', async () => {
    await waitFor(() => hosts.pingLoss(1) === 0, 'links are up');
    expect(hosts.pingLoss(10)).toBe(0);
    for (const target of ['10.77.31.2', 'fd31::2']) {
      for (const direction of ['', '-R']) {
        const gbps = await transfer(target, direction);
        console.warn(`TCP to ${target} ${direction}: ${gbps.toFixed(1)} Gb/s`);
        expect(gbps).toBeGreaterThan(0.05);
      }
    }
    expect([near, far].map(checksumErrors)).toEqual([0, 0]);
  });

  it('rewrites addresses and ports of unfinished frames', async () => {
    const flow = (text: string): string => s.stockOk('ovs-ofctl', 'add-flow', 'ndobr0', text);
    flow(
      'priority=9,in_port=ndo1,tcp,nw_dst=10.77.31.77,actions=mod_nw_dst:10.77.31.2,mod_tp_dst:5201,NORMAL',
    );
    flow(
      'priority=9,in_port=ndot0,dl_vlan=5,tcp,nw_src=10.77.31.2,tcp_src=5201,actions=mod_nw_src:10.77.31.77,mod_tp_src:7777,NORMAL',
    );
    const mac = inHost(far, 'cat /sys/class/net/eth0/address').trim();
    sh(`ip -n ${near} neigh replace 10.77.31.77 lladdr ${mac} dev eth0`);
    for (const direction of ['', '-R']) {
      const gbps = await transfer('10.77.31.77', `-p 7777 ${direction}`);
      console.warn(`TCP rewritten ${direction}: ${gbps.toFixed(1)} Gb/s`);
      expect(gbps).toBeGreaterThan(0.05);
    }
    expect([near, far].map(checksumErrors)).toEqual([0, 0]);
    s.stockOk('ovs-ofctl', 'del-flows', 'ndobr0', 'tcp');
  });

  it('finishes copies in software for a port without offloads', async () => {
    const pcap = join(s.rundir, 'copy.pcap');
    s.stockOk(
      'ovs-vsctl',
      'add-port',
      'ndobr0',
      'ndocopy',
      '--',
      'set',
      'interface',
      'ndocopy',
      'type=dummy',
      `options:tx_pcap=${pcap}`,
    );
    s.stockOk('ovs-ofctl', 'add-flow', 'ndobr0', 'priority=9,in_port=ndo1,tcp,actions=output:ndocopy,NORMAL');
    inHost(far, 'iperf3 -s -1 -D');
    await waitFor(() => inHost(far, 'ss -ltn').includes(':5201'), 'iperf3 listens');
    inHost(near, 'iperf3 -C cubic -t 1 -b 20M -c 10.77.31.2');
    await waitFor(() => readFileSync(pcap).length > 200_000, 'the copies are written');
    const text = sh(`tcpdump -r ${pcap} -nn -vv tcp 2>/dev/null`);
    const lengths = [...text.matchAll(/, length (\d+)\)/g)].map((m) => Number(m[1]));
    expect(Math.max(...lengths)).toBe(1500);
    expect(text.match(/cksum 0x[0-9a-f]+ \(correct\)/g)?.length).toBe(lengths.length);
    expect(text).not.toMatch(/\(incorrect|bad cksum/);
  });
});
