import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../tests/support/daemons.ts';
import type { Target } from './target.ts';

/** OpenFlow port numbers of the bench's bridge (`Target.bridge`). */
export const sinkPort = 100;
export const replayPort = (i: number): number => 1 + i;

/**
 * MTUs that give a DPDK port a memory pool of its own each (262,144 buffers, only from 1,500 up): one
 * pool is too small for the frames of more than one large replay.
 */
const poolMtus = [1500, 2500, 3500, 4500];

/** Arguments of ovs-vsctl that add a userspace bridge without rules. */
export function addBridge(target: Target): string[] {
  const settings = ['datapath_type=netdev', 'fail_mode=secure'];
  return ['add-br', target.bridge, '--', 'set', 'bridge', target.bridge, ...settings];
}

/** A userspace bridge without rules and a port that swallows what it is sent. */
export async function addBridgeWithSink(target: Target): Promise<void> {
  const sink = target.isDpdk
    ? ['type=dpdk', 'options:dpdk-devargs="net_null0,size=64,copy=0,no-rx=1"']
    : ['type=null'];
  target.vsctl(
    ...addBridge(target),
    ...['--', 'add-port', target.bridge, 'sink', '--', 'set', 'interface', 'sink', ...sink],
    `ofport_request=${sinkPort}`,
  );
  checkPort(target, 'sink');
  // OVS starts from 10,000 and raises it slowly.
  await target.appctl('upcall/set-flow-limit', '1000000');
}

/**
 * Adds port `i`, which replays a pcap file for ever on each of its rx queues; traffic starts at once.
 *
 * @param waits Until the port is there; else the switch adds it after the return.
 */
export function addReplay(target: Target, i: number, file: string, queues = 1, waits = true): void {
  const name = `rx${i}`;
  const options = target.isDpdk
    ? [
        'type=dpdk',
        `options:dpdk-devargs="net_pcap${i},${`rx_pcap=${file},`.repeat(queues)}infinite_rx=1"`,
        ...(i === 0 ? [] : [`mtu_request=${poolMtus[i] ?? 1500}`]),
      ]
    : ['type=pcap', `options:rx_pcap="${file}"`, 'options:infinite=true'];
  target.vsctl(
    ...(waits ? [] : ['--no-wait', '--']),
    ...['add-port', target.bridge, name, '--', 'set', 'interface', name, ...options],
    ...(queues > 1 ? [`options:n_rxq=${queues}`] : []),
    `ofport_request=${replayPort(i)}`,
  );
  if (waits) checkPort(target, name);
}

export function removeReplay(target: Target, i: number): void {
  target.vsctl('del-port', target.bridge, `rx${i}`);
}

function checkPort(target: Target, name: string): void {
  const error = target.vsctl('get', 'interface', name, 'error').trim();
  if (error !== '[]') throw new Error(`port ${name}: ${error}`);
}

/** Packets that the sink has swallowed. */
export function sinkPackets(target: Target): number {
  return Number(/tx pkts=(\d+)/.exec(target.ofctl('dump-ports', target.bridge, String(sinkPort)))?.[1]);
}

export interface PmdCounters {
  readonly hits: number;
  readonly misses: number;
  /** Average of subtables visited a hit in them, since the counters were cleared. */
  readonly subtableLookups: number;
}

/** Sums over the PMDs of `dpif-netdev/pmd-stats-show`. */
export async function pmdCounters(target: Target): Promise<PmdCounters> {
  const text = await target.appctl('dpif-netdev/pmd-stats-show');
  const sum = (label: string): number =>
    [...text.matchAll(new RegExp(`^\\s*${label}: (\\d+)`, 'gm'))].reduce((a, m) => a + Number(m[1]), 0);
  return {
    hits: sum('megaflow hits'),
    misses: sum('miss with success upcall') + sum('miss with failed upcall'),
    subtableLookups: Number(/avg\. subtable lookups per megaflow hit: ([\d.]+)/.exec(text)?.[1] ?? 0),
  };
}

/** Packets that each PMD has received, by core. */
export async function pmdPackets(target: Target): Promise<Map<number, number>> {
  const text = await target.appctl('dpif-netdev/pmd-stats-show');
  const found = text.matchAll(/core_id (\d+):\s+packets received: (\d+)/g);
  return new Map([...found].map((m) => [Number(m[1]), Number(m[2])]));
}

/** Megaflows standing. */
export async function flowCount(target: Target): Promise<number> {
  return Number(/flows\s*: \(current (\d+)\)/.exec(await target.appctl('upcall/show'))?.[1]);
}

export async function waitForFlows(target: Target, count: number): Promise<void> {
  await waitFor(async () => (await flowCount(target)) >= count, `${target.kind}: ${count} megaflows`, 60_000);
}

/** Packets at the sink for each second of the PMD threads' CPU time, in millions; over a window of wall time. */
export async function measureMpps(target: Target, seconds: number): Promise<number> {
  const { misses } = await pmdCounters(target);
  const packets = sinkPackets(target);
  const cpu = target.cpuNs('pmd-');
  await delay(seconds * 1000);
  const sent = sinkPackets(target) - packets;
  const usedNs = target.cpuNs('pmd-') - cpu;
  if (sent <= 0 || usedNs <= 0) throw new Error(`${sent} packets in ${usedNs} ns of CPU time`);
  const missed = (await pmdCounters(target)).misses - misses;
  if (missed > sent / 1000) throw new Error(`${missed} of ${sent} packets missed`);
  return (sent / usedNs) * 1000;
}
