/**
 * How long one ovs-vsctl takes that adds many internal ports to a bridge, and one that removes them;
 * both wait until the switch has done it. Alone: `npx tsx bench/macro/ports.ts [--runs N] [--size PORTS]
 * [--only ours|stock]`, as root, with the stock ovs-vsctl for both switches.
 */
import { spawnSync } from 'node:child_process';
import { SwitchUnderTest } from '../../tests/support/daemons.ts';
import { comparePairs } from './measured.ts';
import type { Measured, Side } from './measured.ts';

export interface PortsTarget {
  /** Environment by which the stock ovs-vsctl finds the database (OVS_RUNDIR). */
  readonly env: NodeJS.ProcessEnv;
  /** Default 200. */
  readonly ports?: number;
}

function vsctl(env: NodeJS.ProcessEnv, args: readonly string[]): number {
  const startMs = performance.now();
  const { status, stderr } = spawnSync('ovs-vsctl', args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`ovs-vsctl: ${stderr}`);
  return performance.now() - startMs;
}

/** The switch must have no bridge `bench-br`; afterwards it has none either. */
export function measure(target: PortsTarget): Promise<Measured[]> {
  const { env, ports = 200 } = target;
  const names = Array.from({ length: ports }, (_, i) => `bench-i${i}`);
  vsctl(env, ['add-br', 'bench-br', '--', 'set', 'bridge', 'bench-br', 'datapath_type=netdev']);
  const add = names.flatMap((name) => [
    ...['--', 'add-port', 'bench-br', name],
    ...['--', 'set', 'interface', name, 'type=internal'],
  ]);
  const addMs = vsctl(env, add.slice(1));
  const removeMs = vsctl(env, names.flatMap((name) => ['--', 'del-port', 'bench-br', name]).slice(1));
  vsctl(env, ['del-br', 'bench-br']);
  return Promise.resolve([
    { case: `${ports} internal ports added by one ovs-vsctl`, unit: 'ms', value: addMs },
    { case: `${ports} internal ports removed by one ovs-vsctl`, unit: 'ms', value: removeMs },
  ]);
}

async function runOnce(side: Side, ports: number | undefined): Promise<Measured[]> {
  const s = await SwitchUnderTest.start(side);
  try {
    return await measure({ env: s.env, ...(ports === undefined ? {} : { ports }) });
  } finally {
    await s.stop();
  }
}

if (import.meta.filename === process.argv[1]) await comparePairs(runOnce);
