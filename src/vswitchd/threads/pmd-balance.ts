import type { AssignPmd, Assignment } from './rxq-assign.ts';

/** A PMD with what it did in the last minute, in cycles. */
export interface BalancePmd extends AssignPmd {
  /** All cycles of the time looked at. */
  readonly totalCycles: number;
  readonly isolated: boolean;
}

export interface BalanceQueue {
  readonly cycles: number;
}

/** Result for one NUMA node: variances of the PMDs' loads in percent, and by how much of it would go away. */
export interface BalanceEstimate {
  readonly numaId: number;
  readonly current: number;
  readonly estimated: number;
  readonly improvement: number;
}

/** Whether another assignment could help: two PMDs that may be given queues, one of which has two. */
export function canBalance(
  queuesOfPmds: readonly { readonly isolated: boolean; readonly queues: number }[],
): boolean {
  const open = queuesOfPmds.filter((p) => !p.isolated);
  return open.length > 1 && open.some((p) => p.queues > 1);
}

/** What pmd-auto-lb compares with its threshold: the variance of loads as it is, and as `planned`. */
export function estimateBalance<Q extends BalanceQueue>(
  pmds: readonly BalancePmd[],
  current: ReadonlyMap<Q, number>,
  planned: Assignment<Q>,
): BalanceEstimate[] {
  const nodes = [...new Set(pmds.map((p) => p.numaId))].sort((a, b) => a - b);
  return nodes.map((numaId) => {
    const open = pmds.filter((p) => p.numaId === numaId && !p.isolated);
    const before = variance(open.map((p) => load(p, current)));
    const after = variance(open.map((p) => load(p, planned.coreOf)));
    const improvement = after < before ? Math.floor(((before - after) * 100) / before) : 0;
    return { numaId, current: before, estimated: after, improvement };
  });
}

/** Percent of a PMD's cycles that its queues would take. */
function load<Q extends BalanceQueue>(pmd: BalancePmd, coreOf: ReadonlyMap<Q, number>): number {
  let cycles = 0;
  for (const [queue, coreId] of coreOf) if (coreId === pmd.coreId) cycles += queue.cycles;
  return pmd.totalCycles > 0 ? Math.floor((cycles * 100) / pmd.totalCycles) : 0;
}

/** Rounded down, as OVS computes it. */
export function variance(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const mean = Math.floor(values.reduce((a, b) => a + b, 0) / values.length);
  return Math.floor(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
}
