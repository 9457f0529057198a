import { readdirSync, readFileSync } from 'node:fs';
import { allowedCores } from './threads.ts';

/** Cores that PMD threads may be given, and the NUMA node of each. */
export interface CpuTopology {
  /** Node of each core, by core, ascending. */
  readonly nodeOf: ReadonlyMap<number, number>;
  /** From `--dummy-numa`: the cores need not exist, so threads are not bound to them. */
  readonly isDummy: boolean;
}

/**
 * The machine's cores and their nodes as sysfs tells; where it does not, those of this process, on node 0.
 * As in OVS a switch that was started on one core (taskset) may have PMD threads on others.
 */
export function readCpuTopology(): CpuTopology {
  const found = [...nodeCores()].map(([node, core]): [number, number] => [core, node]);
  const cores = found.length > 0 ? found : allowedCores().map((core): [number, number] => [core, 0]);
  return { nodeOf: new Map(cores.sort(([a], [b]) => a - b)), isDummy: false };
}

function* nodeCores(): Generator<readonly [node: number, core: number]> {
  const root = '/sys/devices/system/node';
  const numbered = (dir: string, prefix: string): number[] => {
    try {
      return readdirSync(dir)
        .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
        .map((name) => Number(name.slice(prefix.length)));
    } catch {
      return [];
    }
  };
  for (const node of numbered(root, 'node')) {
    for (const core of numbered(`${root}/node${node}`, 'cpu')) yield [node, core];
  }
}

/** `--dummy-numa=0,0,1,1`: the node of core 0, of core 1 and so on. Words that are no number are passed over. */
export function parseDummyNuma(text: string): CpuTopology {
  const nodeOf = new Map<number, number>();
  for (const word of text.split(/[,\s]+/)) {
    if (/^\d+$/.test(word)) nodeOf.set(nodeOf.size, Number(word));
  }
  return { nodeOf, isDummy: true };
}

/** NUMA node of a network device, 0 where it has none. */
export function deviceNode(name: string): number {
  try {
    const node = Number(readFileSync(`/sys/class/net/${name}/device/numa_node`, 'utf8'));
    return Number.isInteger(node) && node >= 0 ? node : 0;
  } catch {
    return 0;
  }
}

let $tscHz: number | null = null;

/**
 * Ticks of the time-stamp counter in a second, in which OVS tells time: what JavaScript measures in
 * nanoseconds is converted with it. From the processor's name ("... @ 2.60GHz"), else from the kernel's
 * "cpu MHz"; 1 GHz where there is neither, so that a cycle is a nanosecond.
 */
export function tscHz(): number {
  if ($tscHz !== null) return $tscHz;
  let text = '';
  try {
    text = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    // No /proc: nanoseconds.
  }
  const nominal = /^model name.*@ *([\d.]+) *GHz/m.exec(text)?.[1];
  const current = /^cpu MHz\s*: *([\d.]+)/m.exec(text)?.[1];
  $tscHz =
    nominal !== undefined ? Number(nominal) * 1e9 : current !== undefined ? Number(current) * 1e6 : 1e9;
  return $tscHz;
}
