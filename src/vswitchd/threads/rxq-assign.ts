import type { VlogLevel } from '../../util/log.ts';

/** other_config:pmd-rxq-assign. */
export type RxqAssignMode = 'cycles' | 'roundrobin' | 'group';

export interface AssignPmd {
  readonly coreId: number;
  readonly numaId: number;
}

export interface AssignQueue {
  readonly portName: string;
  readonly odpPort: number;
  readonly rxQueue: number;
  /** Node of the device. */
  readonly numaId: number;
  /** Processing cycles in the last minute. */
  readonly cycles: number;
  /** Core of other_config:pmd-rxq-affinity, null = any. */
  readonly pinnedCore: number | null;
}

export interface AssignOptions {
  readonly mode: RxqAssignMode;
  /** other_config:pmd-rxq-isolate: a PMD with a pinned queue gets no others. */
  readonly isolate: boolean;
}

/** A log line about one queue, or about all (`queue` null), in the order in which OVS logs them. */
export interface AssignLine<Q> {
  readonly queue: Q | null;
  readonly level: VlogLevel;
  readonly text: string;
}

export interface Assignment<Q> {
  /** Core that polls each queue; a queue that is missing is polled by none. */
  readonly coreOf: ReadonlyMap<Q, number>;
  /** Cores whose PMD polls pinned queues alone. */
  readonly isolated: ReadonlySet<number>;
  /** Whether a queue went to another node than its device's. */
  readonly crossesNuma: boolean;
  readonly lines: readonly AssignLine<Q>[];
}

/** A PMD while queues are handed out. */
interface Bin {
  readonly coreId: number;
  isolated: boolean;
  cycles: number;
  queues: number;
}

/** The PMDs of a node, and where the walk over them stands. */
class Node {
  readonly numaId: number;
  readonly bins: Bin[] = [];
  #at = 0;
  #step = 1;

  constructor(numaId: number) {
    this.numaId = numaId;
  }

  get isAvailable(): boolean {
    return this.bins.some((bin) => !bin.isolated);
  }

  /** The bin whose turn it is; round and round, or to and fro with the last one twice. */
  next(toAndFro: boolean): Bin | undefined {
    // To and fro meets each bin within two rounds.
    for (let i = 0; i < 2 * this.bins.length; i++) {
      const bin = this.bins[this.#at];
      this.#advance(toAndFro);
      if (bin?.isolated === false) return bin;
    }
    return undefined;
  }

  #advance(toAndFro: boolean): void {
    const to = this.#at + this.#step;
    if (to >= 0 && to < this.bins.length) this.#at = to;
    else if (toAndFro) this.#step = -this.#step;
    else this.#at = 0;
  }

  /** The bin with the least load; for a queue that was never busy, with the fewest queues. */
  lowest(byCycles: boolean): Bin | undefined {
    const loadOf = (bin: Bin): number => (byCycles ? bin.cycles : bin.queues);
    let best: Bin | undefined;
    for (const bin of this.bins) {
      if (!bin.isolated && (best === undefined || loadOf(bin) < loadOf(best))) best = bin;
    }
    return best;
  }
}

/**
 * Which PMD polls which receive queue, by OVS's rules: pinned queues first, which isolate their PMD; the
 * others to PMDs of their device's node. `cycles` hands out queues by falling load to PMDs to and fro,
 * `group` each to the PMD with the least load, `roundrobin` in the given order without looking at loads.
 * Where a node has no PMD to give, nodes take turns.
 *
 * @param pmds In any order.
 * @param queues In the order in which OVS walks its ports: that of log lines of pinned queues and of roundrobin.
 */
export function assignRxQueues<Q extends AssignQueue>(
  pmds: readonly AssignPmd[],
  queues: readonly Q[],
  { mode, isolate }: AssignOptions,
): Assignment<Q> {
  const coreOf = new Map<Q, number>();
  const lines: AssignLine<Q>[] = [];
  const nodes = new Map<number, Node>();
  const bins = new Map<number, Bin & { readonly numaId: number }>();
  for (const { coreId, numaId } of [...pmds].sort((a, b) => a.coreId - b.coreId)) {
    const bin = { coreId, numaId, isolated: false, cycles: 0, queues: 0 };
    let node = nodes.get(numaId);
    if (node === undefined) nodes.set(numaId, (node = new Node(numaId)));
    node.bins.push(bin);
    bins.set(coreId, bin);
  }
  const measured = (q: Q): string =>
    mode === 'roundrobin' ? '' : ` (measured processing cycles ${Math.round(q.cycles)})`;
  const put = (q: Q, bin: Bin): void => {
    coreOf.set(q, bin.coreId);
    bin.cycles += q.cycles;
    bin.queues++;
  };

  const rest: Q[] = [];
  for (const q of queues) {
    const bin = q.pinnedCore === null ? undefined : bins.get(q.pinnedCore);
    if (bin !== undefined) {
      put(q, bin);
      bin.isolated ||= isolate;
      const where = `Core ${core(bin.coreId)} on numa node ${bin.numaId}`;
      const text = `${where} is pinned with port '${q.portName}' rx queue ${q.rxQueue}${measured(q)}`;
      lines.push({ queue: q, level: 'info', text });
      continue;
    }
    rest.push(q);
    if (q.pinnedCore === null) continue;
    lines.push({
      queue: q,
      level: 'warn',
      text:
        `Core ${core(q.pinnedCore)} cannot be pinned with port '${q.portName}' rx queue ${q.rxQueue}. ` +
        `Use pmd-cpu-mask to enable a pmd on core ${q.pinnedCore}. An alternative core will be assigned.`,
    });
  }

  if (rest.length > 0) {
    const text = `Performing pmd to rx queue assignment using ${mode} algorithm.`;
    lines.push({ queue: null, level: 'info', text });
  }
  if (mode !== 'roundrobin') {
    rest.sort((a, b) => b.cycles - a.cycles || a.odpPort - b.odpPort || a.rxQueue - b.rxQueue);
  }
  const turns = [...nodes.values()];
  let turn = 0;
  let crossesNuma = false;
  for (const q of rest) {
    let node = nodes.get(q.numaId);
    if (node?.isAvailable !== true) {
      node = undefined;
      for (let i = 0; i < turns.length && node === undefined; i++) {
        const candidate = turns[turn++ % turns.length];
        if (candidate?.isAvailable === true) node = candidate;
      }
      if (node !== undefined) {
        crossesNuma = true;
        lines.push({
          queue: q,
          level: 'info',
          text:
            `There's no available (non-isolated) pmd thread on numa node ${q.numaId}. ` +
            `Port '${q.portName}' rx queue ${q.rxQueue} will be assigned to a pmd on numa node ${node.numaId}. ` +
            'This may lead to reduced performance.',
        });
      }
    }
    const bin = mode === 'group' ? node?.lowest(q.cycles > 0) : node?.next(mode === 'cycles');
    if (node === undefined || bin === undefined) {
      const what = `port '${q.portName}' rx queue ${q.rxQueue}${measured(q)}`;
      const text = `No non-isolated pmd on any numa available for ${what}. This rx queue will not be polled.`;
      lines.push({ queue: q, level: 'warn', text });
      continue;
    }
    put(q, bin);
    lines.push({
      queue: q,
      level: 'info',
      text:
        `Core ${core(bin.coreId)} on numa node ${node.numaId} assigned ` +
        `port '${q.portName}' rx queue ${q.rxQueue}${measured(q)}.`,
    });
  }
  const isolated = new Set([...bins.values()].filter((b) => b.isolated).map((b) => b.coreId));
  return { coreOf, isolated, crossesNuma, lines };
}

const core = (coreId: number): string => coreId.toString().padStart(2);
