import { DeviceRig } from '../device/rig.ts';
import { goals, tables } from '../frame/goals.table.ts';
import type { BenchContext } from './pair.ts';
import type { TargetKind } from './target.ts';

/** Names of network namespaces and devices begin with it. */
const prefix = 'mfbd';
const subnet = 63;

async function measureRig(
  context: BenchContext,
  table: string,
  type: 'system' | 'afxdp',
  kind: TargetKind,
): Promise<void> {
  const add = (name: string, unit: string, value: number): void => {
    context.add(table, name, unit, kind, value);
    context.progress(`${table}: ${name}: ${kind} ${value.toFixed(2)} ${unit}`);
  };
  const wants = (name: string): boolean => context.wants(table, name);
  const start = (isTuned: boolean): Promise<DeviceRig> =>
    DeviceRig.start({ kind: kind === 'ours' ? 'ours' : 'stock', type }, prefix, subnet, isTuned);
  const rig = await start(false);
  try {
    for (const flows of [1, 10_000]) {
      const name = `64-byte UDP, ${flows === 1 ? '1 flow' : '10,000 flows'}`;
      if (!wants(name)) continue;
      const throughput = await rig.forward(flows, 60, Math.max(2, context.seconds));
      add(name, 'kpps', throughput.kppsPerCore);
      add(`${name}, wall time`, 'kpps', throughput.kpps);
    }
    if (wants('ping -f, average round trip')) add('ping -f, average round trip', 'us', rig.floodPing());
    if (wants('TCP, one stream, untuned')) add('TCP, one stream, untuned', 'Gb/s', (await rig.tcp()).gbps);
    if (wants('CPU with no traffic'))
      add('CPU with no traffic', '% of a core', (await rig.idleCores()) * 100);
  } finally {
    await rig.stop();
  }
  const tunedName = 'TCP, one stream, offloads of the hosts off';
  if (!wants(tunedName)) return;
  const tuned = await start(true);
  try {
    add(tunedName, 'Gb/s', (await tuned.tcp()).gbps);
  } finally {
    await tuned.stop();
  }
}

/**
 * performance goals §2: two hosts in namespaces, the switch between them. Rates are per second of CPU time of
 * the thread that forwards (of a spinning OVS PMD: of its busy part); those by wall time stand beside.
 */
export async function devices(context: BenchContext): Promise<void> {
  if (process.getuid?.() !== 0) {
    context.note('sections of real devices need root');
    return;
  }
  for (const type of ['system', 'afxdp'] as const) {
    const table = tables[type];
    if (!goals.some((g) => g.table === table && context.wants(table, g.case))) continue;
    for (let run = 0; run < context.runs; run++) {
      for (const kind of context.kinds) {
        try {
          await measureRig(context, table, type, kind);
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          context.progress(`! ${kind}, ${table}: ${text}`);
          context.note(`${table}: ${kind === 'ours' ? 'megaflow' : 'OVS'}: ${text.split('\n')[0] ?? ''}`);
        }
      }
    }
  }
}
