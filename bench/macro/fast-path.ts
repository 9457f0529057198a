import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { caches, tables } from '../frame/goals.table.ts';
import type { CacheSetting } from '../frame/goals.table.ts';
import { nwDstText, writePcap } from './frames.ts';
import type { FrameFields } from './frames.ts';
import { Pair } from './pair.ts';
import type { BenchContext } from './pair.ts';
import { addBridgeWithSink, addReplay, measureMpps, replayPort, sinkPort, waitForFlows } from './replay.ts';
import type { Target, TargetKind } from './target.ts';

const settings: Readonly<Record<CacheSetting, Record<string, string>>> = {
  EMC: { 'emc-insert-inv-prob': '100', 'smc-enable': 'false' },
  'EMC off': { 'emc-insert-inv-prob': '0', 'smc-enable': 'false' },
  'SMC only': { 'emc-insert-inv-prob': '0', 'smc-enable': 'true' },
};

/** One bridge, its replayed frames and rules, and the megaflows that these lead to. */
interface Scenario {
  readonly table: string;
  /** First part of a case's name. */
  readonly name: string;
  readonly settings: readonly CacheSetting[];
  /** The setting is no part of the case's name. */
  readonly isUnnamed?: boolean;
  readonly frames: number;
  readonly fields: (i: number) => FrameFields;
  readonly rules: readonly string[];
  readonly megaflows: number;
}

/** Frames of one port at most: DPDK replays from a pool of 262,144 buffers. */
const framesAPort = 250_000;

const flow = (i: number): FrameFields => ({ nwSrc: 0x0a00_0000 + i, tpSrc: 1024 + (i % 60_000) });
const inPort = (i: number): string => `in_port=${replayPort(i)}`;

function oneMegaflow(name: string, flows: number): Scenario {
  const ports = Math.ceil(flows / framesAPort);
  return {
    table: tables.oneMegaflow,
    name,
    settings: caches,
    // At least a few bursts, so that a replay of one frame is not mostly wrapping around.
    frames: Math.max(flows, 1024),
    fields: (i) => flow(i % flows),
    rules: Array.from(
      { length: ports },
      (_, i) => `${inPort(i)},udp,nw_dst=${nwDstText},actions=output:${sinkPort}`,
    ),
    megaflows: ports,
  };
}

/** Bits that tell classes of frames apart: 40 of dl_dst, 40 of dl_src, 20 of nw_src. */
function classBit(k: number): { field: string; value: string; dlDst: number; dlSrc: number; nwSrc: number } {
  const mac = (bit: number): string =>
    (2 ** bit)
      .toString(16)
      .padStart(12, '0')
      .replace(/(..)(?!$)/g, '$1:');
  if (k < 40) return { field: 'dl_dst', value: mac(k), dlDst: 2 ** k, dlSrc: 0, nwSrc: 0 };
  if (k < 80) return { field: 'dl_src', value: mac(k - 40), dlDst: 0, dlSrc: 2 ** (k - 40), nwSrc: 0 };
  const nwSrc = 2 ** (k - 80);
  const text = `0.${(nwSrc >>> 16) & 255}.${(nwSrc >>> 8) & 255}.${nwSrc & 255}`;
  return { field: 'nw_src', value: text, dlDst: 0, dlSrc: 0, nwSrc };
}

/**
 * K rules of falling priority, rule k matching one bit. Packets of class k have this bit alone, so their
 * lookup meets the subtables of rules 1 to k: the megaflow's mask is the union of k bits. K masks.
 */
function subtables(count: number): Scenario {
  return {
    table: tables.subtables,
    name: `${count} subtables`,
    settings: caches,
    frames: 1000,
    fields: (i) => {
      // Steps of 7 spread the classes over the bursts.
      const bit = classBit((i * 7) % count);
      return {
        dlDst: 0x0200_0000_0000 + bit.dlDst,
        dlSrc: 0x0200_0000_0000 + bit.dlSrc,
        nwSrc: 0x0a00_0000 + bit.nwSrc,
        tpSrc: 1024 + i,
      };
    },
    rules: Array.from({ length: count }, (_, k) => {
      const { field, value } = classBit(k);
      return `priority=${1000 - k},${inPort(0)},udp,${field}=${value}/${value},nw_dst=${nwDstText},actions=output:${sinkPort}`;
    }),
    megaflows: count,
  };
}

function perFlow(name: string, flows: number): Scenario {
  return {
    table: tables.perFlow,
    name,
    settings: ['EMC off'],
    isUnnamed: true,
    frames: flows,
    fields: flow,
    rules: [`${inPort(0)},udp,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],output:${sinkPort}`],
    megaflows: flows,
  };
}

const scenarios: readonly Scenario[] = [
  oneMegaflow('1 flow', 1),
  oneMegaflow('1,000 flows', 1000),
  oneMegaflow('10,000 flows', 10_000),
  oneMegaflow('100,000 flows', 100_000),
  oneMegaflow('1,000,000 flows', 1_000_000),
  subtables(10),
  subtables(30),
  subtables(100),
  perFlow('50,000 megaflows', 50_000),
  perFlow('200,000 megaflows', 200_000),
  {
    table: tables.portToPort,
    name: 'simple match',
    settings: ['EMC'],
    isUnnamed: true,
    frames: 1024,
    fields: () => flow(0),
    rules: [`${inPort(0)},actions=output:${sinkPort}`],
    megaflows: 1,
  },
];

const caseName = (s: Scenario, setting: CacheSetting): string =>
  s.isUnnamed === true ? s.name : `${s.name}, ${setting}`;

async function prepare(target: Target, scenario: Scenario, files: readonly string[]): Promise<void> {
  await addBridgeWithSink(target);
  target.addFlows(target.bridge, scenario.rules);
  files.forEach((file, i) => {
    addReplay(target, i, file);
  });
  await waitForFlows(target, scenario.megaflows);
  // A round that a freeze interrupts would look slow, and the flow limit would fall.
  await target.appctl('revalidator/pause');
}

async function measureScenario(context: BenchContext, scenario: Scenario): Promise<void> {
  const wanted = scenario.settings.filter((s) => context.wants(scenario.table, caseName(scenario, s)));
  if (wanted.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'mfb-pcap-'));
  const files: string[] = [];
  for (let first = 0; first < scenario.frames; first += framesAPort) {
    const file = join(folder, `${files.length}.pcap`);
    const count = Math.min(framesAPort, scenario.frames - first);
    writePcap(file, count, (i) => scenario.fields(first + i));
    files.push(file);
  }
  const pair = await Pair.start(context, { dpdkGiB: files.length > 1 ? 5 : 2 }, (t) =>
    prepare(t, scenario, files),
  );
  const found = new Map<string, number[]>();
  for (const setting of wanted) {
    const name = caseName(scenario, setting);
    await pair.each(context, name, async (target) => {
      target.setConfig(settings[setting]);
      await delay(Math.min(3000, 500 + scenario.frames / 200));
    });
    await pair.rounds(context, name, async (target) => {
      await delay(100);
      const mpps = await measureMpps(target, context.seconds);
      context.add(scenario.table, name, 'Mpps', target.kind, mpps);
      const key = `${target.kind} ${setting}`;
      found.set(key, [...(found.get(key) ?? []), mpps]);
      context.progress(`${scenario.table}: ${name}: ${target.kind} ${mpps.toFixed(2)} Mpps`);
    });
  }
  if (scenario.table === tables.oneMegaflow) addBest(context, scenario, found);
  await pair.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** The better of the two caches, run by run. */
function addBest(context: BenchContext, scenario: Scenario, found: ReadonlyMap<string, number[]>): void {
  for (const kind of ['ours', 'ovs'] as const satisfies TargetKind[]) {
    const emc = found.get(`${kind} EMC`) ?? [];
    const smc = found.get(`${kind} SMC only`) ?? [];
    if (emc.length !== smc.length) continue;
    emc.forEach((value, run) => {
      const best = Math.max(value, smc[run] ?? 0);
      context.add(scenario.table, `${scenario.name}, best cache`, 'Mpps', kind, best);
    });
  }
}

/** performance goals §1: one PMD core, from a replayed file to a port that swallows everything. */
export async function fastPath(context: BenchContext): Promise<void> {
  for (const scenario of scenarios) await measureScenario(context, scenario);
}
