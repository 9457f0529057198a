import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  bundleControl,
  ControlClient,
  cpuSec,
  deleteAll,
  flowMods,
  flowStatsRequest,
  residentKb,
  withEchoes,
} from './control-client.ts';
import type { ControlMeasurement, ControlTarget } from './control-client.ts';

/**
 * Rules by the hundred thousand and by the million: how fast they come and go, what they cost in memory, and
 * how long an echo waits meanwhile.
 *
 * `npx tsx bench/macro/control-flows.ts [--small | --large] RUNDIR [RUNDIR...]` measures running switches in turn, each with an
 * empty bridge br0 in fail mode secure.
 */
const smallCount = 100_000;
const largeCount = 1_000_000;

/** Runs the stock ovs-ofctl; resolves with the seconds it took. */
async function ofctlSec(target: ControlTarget, args: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = spawn('ovs-ofctl', args, {
    env: { ...process.env, OVS_RUNDIR: target.rundir },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const status = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (status !== 0) throw new Error(`ovs-ofctl ${args.join(' ')}: exit ${status}`);
  return (performance.now() - started) / 1000;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

const bundled = (mods: Buffer): Buffer =>
  Buffer.concat([bundleControl(0), mods, bundleControl(2), bundleControl(4)]);

/** The rows about 100,000 rules. */
async function measureSmall(target: ControlTarget): Promise<ControlMeasurement[]> {
  const out: ControlMeasurement[] = [];
  const bridge = target.bridge ?? 'br0';
  const file = join(target.rundir, 'control-flows.txt');
  const lines = Array.from(
    { length: smallCount },
    (_, i) =>
      `priority=100,ip,nw_dst=10.${i >> 16}.${(i >> 8) & 255}.${i & 255},actions=output:${(i % 2) + 1}`,
  );
  writeFileSync(file, lines.join('\n'));
  const rate = (sec: number): number => smallCount / sec / 1000;
  const client = await ControlClient.open(target);
  const add = (name: string, value: number, unit = 'k/s'): void => {
    out.push({ case: name, unit, value });
  };
  add(
    'add-flows with the stock ovs-ofctl, 100,000',
    rate(await ofctlSec(target, ['add-flows', bridge, file])),
  );
  add('dump-flows with the stock ovs-ofctl, 100,000', await ofctlSec(target, ['dump-flows', bridge]), 's');
  await client.barrier(deleteAll());
  const bundle = ['-O', 'OpenFlow14', '--bundle', 'add-flows', bridge, file];
  add('add-flows as one bundle, 100,000', rate(await ofctlSec(target, bundle)));
  await client.barrier(deleteAll());
  const mods = flowMods(smallCount, false);
  const withCpu = async (what: string, run: () => Promise<unknown>): Promise<number> => {
    const before = cpuSec(target);
    const sec = await timed(run);
    add(`CPU time of the switch a flow, ${what}`, ((cpuSec(target) - before) / smallCount) * 1e6, 'us');
    return sec;
  };
  const sec = await withCpu('added', () => client.barrier(mods));
  add('add-flows, the client does not wait, 100,000', rate(sec));
  await withCpu('dumped', () => client.barrier(flowStatsRequest()));
  await client.barrier(deleteAll());
  const inBundle = bundled(flowMods(smallCount, true));
  const bundleSec = await withCpu('added by a bundle', () => client.barrier(inBundle));
  add('bundle, the client does not wait, 100,000', rate(bundleSec));
  await client.barrier(deleteAll());
  client.close();
  return out;
}

/** The rows about 1,000,000 rules, with the echo's longest wait in each step. */
async function measureLarge(target: ControlTarget): Promise<ControlMeasurement[]> {
  const out: ControlMeasurement[] = [];
  const client = await ControlClient.open(target);
  const mods = flowMods(largeCount, false);
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    const { result: sec, longestMs } = await withEchoes(target, () => timed(run));
    out.push({ case: `${name}, 1,000,000`, unit: 's', value: sec });
    out.push({ case: `longest echo during ${name}, 1,000,000`, unit: 'ms', value: longestMs });
  };
  const before = residentKb(target);
  await step('add', () => client.barrier(mods));
  out.push({
    case: 'memory an OpenFlow rule',
    unit: 'KB',
    value: (residentKb(target) - before) / largeCount,
  });
  await step('dump', () => client.barrier(flowStatsRequest()));
  await step('delete', () => client.barrier(deleteAll()));
  const inBundle = bundled(flowMods(largeCount, true));
  await step('bundle', () => client.barrier(inBundle));
  await step('delete after a bundle', () => client.barrier(deleteAll()));
  client.close();
  return out;
}

/** All rows; the bridge's rules are deleted. */
export async function measure(target: ControlTarget): Promise<ControlMeasurement[]> {
  return [...(await measureSmall(target)), ...(await measureLarge(target))];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const run = process.argv.includes('--small')
    ? measureSmall
    : process.argv.includes('--large')
      ? measureLarge
      : measure;
  for (const rundir of process.argv.slice(2).filter((a) => !a.startsWith('-'))) {
    for (const m of await run({ rundir }))
      console.log(`${rundir}\t${m.case}\t${m.value.toFixed(3)} ${m.unit}`);
  }
}
