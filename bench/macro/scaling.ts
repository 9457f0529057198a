import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tables } from '../frame/goals.table.ts';
import { ceilingOf } from './ceiling.ts';
import { nwDstText, writePcap } from './frames.ts';
import { Pair } from './pair.ts';
import type { BenchContext } from './pair.ts';
import { addBridgeWithSink, addReplay, pmdPackets, replayPort, sinkPort } from './replay.ts';
import { pmdCore } from './target.ts';
import type { Target } from './target.ts';

const table = tables.scaling;
const byCpu = '2 PMDs on 2 rx queues : 1 PMD';
const byWall = '2 PMDs on 2 rx queues : 1 PMD, wall time';
const byProcess = '2 processes of one PMD : 1, nothing shared';

interface Rates {
  /** Sum over PMDs of packets a second of the PMD's CPU time: what they do when each has its core for itself. */
  readonly cpu: number;
  /** Packets a second of wall time. */
  readonly wall: number;
}

async function measure(target: Target, cores: readonly number[], seconds: number): Promise<Rates> {
  const threadName = (core: number): string => `pmd-c${String(core).padStart(2, '0')}`;
  const used = cores.map((core) => target.cpuNs(threadName(core)));
  const before = await pmdPackets(target);
  const startMs = performance.now();
  await delay(seconds * 1000);
  const wallMs = performance.now() - startMs;
  const after = await pmdPackets(target);
  let cpu = 0;
  let wall = 0;
  cores.forEach((core, i) => {
    const packets = (after.get(core) ?? 0) - (before.get(core) ?? 0);
    if (packets <= 0) throw new Error(`the PMD on core ${core} received nothing`);
    cpu += (packets / (target.cpuNs(threadName(core)) - (used[i] ?? 0))) * 1e9;
    wall += (packets / wallMs) * 1e3;
  });
  return { cpu, wall };
}

/** Moves the two rx queues to these cores and waits until all of them work. */
async function usePmds(target: Target, cores: readonly number[]): Promise<void> {
  const mask = cores.reduce((bits, core) => bits + 2 ** core, 0);
  // The sink has an rx queue as well: left to themselves, both of the replay may share a PMD.
  const affinity = [0, 1].map((queue) => `${queue}:${cores[queue % cores.length] ?? 0}`).join(',');
  target.vsctl('set', 'interface', 'rx0', `other_config:pmd-rxq-affinity="${affinity}"`);
  target.setConfig({ 'pmd-cpu-mask': mask.toString(16) });
  // Counters of a thread that was made anew begin from zero.
  let before = await pmdPackets(target);
  for (let tries = 0; tries < 100; tries++) {
    await delay(50);
    const now = await pmdPackets(target);
    const last = before;
    if (now.size === cores.length && cores.every((c) => (now.get(c) ?? 0) > (last.get(c) ?? Infinity)))
      return;
    before = now;
  }
  throw new Error(`no packets on all of cores ${cores.join(', ')}`);
}

/**
 * Two PMDs with an rx queue each against one with both. The replay is the generator and costs no core of
 * its own; the threads of a second PMD share core 0 with everything else, which is why CPU time counts. What two
 * processes reach that share nothing tells what the cores allow.
 */
export async function scaling(context: BenchContext): Promise<void> {
  if (!context.wants(table, byCpu)) return;
  if (cpus().length < 2) {
    context.note(`${byCpu}: not measured, this machine has one core`);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'mfb-pcap-'));
  const file = join(folder, 'flows.pcap');
  writePcap(file, 1024, (i) => ({ nwSrc: 0x0a00_0000 + i, tpSrc: 1024 + i }));
  const pair = await Pair.start(context, { dpdkGiB: 2 }, async (target) => {
    await addBridgeWithSink(target);
    target.addFlows(target.bridge, [
      `in_port=${replayPort(0)},udp,nw_dst=${nwDstText},actions=output:${sinkPort}`,
    ]);
    addReplay(target, 0, file, 2);
    await usePmds(target, [pmdCore]);
  });
  await pair.rounds(context, byCpu, async (target) => {
    await usePmds(target, [pmdCore]);
    const one = await measure(target, [pmdCore], context.seconds);
    await usePmds(target, [0, pmdCore]);
    const two = await measure(target, [0, pmdCore], context.seconds);
    context.add(table, byCpu, 'x', target.kind, two.cpu / one.cpu);
    context.add(table, byWall, 'x', target.kind, two.wall / one.wall);
    context.progress(
      `${table}: ${target.kind}: one PMD ${(one.cpu / 1e6).toFixed(2)} Mpps of CPU time, two ${(two.cpu / 1e6).toFixed(2)}; ` +
        `wall ${(one.wall / 1e6).toFixed(2)}, ${(two.wall / 1e6).toFixed(2)}`,
    );
  });
  await pair.stop();
  for (let round = 0; round < context.runs; round++) {
    const ceiling = await ceilingOf([0, pmdCore], context.seconds);
    context.add(table, byProcess, 'x', 'ours', ceiling);
    context.progress(`${table}: two processes of one PMD: ${ceiling.toFixed(2)} times one`);
  }
  rmSync(folder, { recursive: true, force: true });
}
