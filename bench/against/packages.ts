import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findTool } from '../../tests/support/tools.ts';

/** What the comparison needs, by a file that shows that it is there. */
const packages: readonly (readonly [file: string, name: string])[] = [
  ['/usr/sbin/ovs-vswitchd', 'openvswitch-switch'],
  ['/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk', 'openvswitch-switch-dpdk'],
  ['/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_null.so.23', 'librte-net-null23'],
  ['/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_pcap.so.23', 'librte-net-pcap23'],
  ['/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_mempool_ring.so.23', 'librte-mempool-ring23'],
];

const tools: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  ethtool: 'ethtool',
  taskset: 'util-linux',
};

/** Installs what is missing of Open vSwitch 3.1 with DPDK. Ends the process if that is impossible. */
export function ensureDebianPackages(): void {
  const missing = [
    ...packages.filter(([file]) => !existsSync(file)).map(([, name]) => name),
    ...Object.entries(tools).flatMap(([tool, name]) => (findTool(tool) === null ? [name] : [])),
  ];
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    console.error('bench: --against ovs must run as root on Debian (namespaces, huge pages, apt-get)');
    process.exit(1);
  }
  if (missing.length === 0) return;
  console.error(`installing ${missing.join(', ')} ...`);
  // RUNLEVEL keeps the packages' own services from starting.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args: readonly string[]): number | null =>
    spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] }).status;
  apt(['update', '-qq']);
  if (apt(['install', '-y', '-qq', '--no-install-recommends', ...missing]) === 0) return;
  console.error('bench: these packages could not be installed');
  process.exit(1);
}
