import { tscHz } from '../../sys/numa.ts';
import { vlog } from '../../util/log.ts';
import { loadIntervals } from './load-history.ts';
import { canBalance, estimateBalance, type BalanceQueue } from './pmd-balance.ts';
import type { PmdConfig } from './pmd-config.ts';
import type { PmdThread } from './pmd-thread.ts';
import type { Assignment } from './rxq-assign.ts';

const log = vlog('dpif_netdev');

/** What balancing looks at. */
export interface BalanceState<Q extends BalanceQueue> {
  readonly config: PmdConfig;
  readonly threads: readonly PmdThread[];
  /** Core that polls each queue now. */
  readonly current: ReadonlyMap<Q, number>;
  /** The assignment that a rebalancing would make. */
  readonly plan: () => Assignment<Q>;
}

/**
 * other_config:pmd-auto-lb: once in an interval, if a PMD was overloaded for a minute, compares the
 * assignment in force with the one that today's loads would give, and asks for it when it is better enough.
 */
export class AutoBalance {
  #lookedAtMs = 0;
  /** Assignment that a look found not worth changing: it is not looked at again. */
  #rejected = '';

  /** @returns Whether the queues should be handed out anew. */
  isDue<Q extends BalanceQueue>(nowMs: number, state: BalanceState<Q>): boolean {
    const { config, threads } = state;
    if (!config.autoBalance) {
      this.#lookedAtMs = 0;
      this.#rejected = '';
      return false;
    }
    if (this.#lookedAtMs === 0) this.#lookedAtMs = nowMs;
    if (nowMs < this.#lookedAtMs + config.rebalanceMinutes * 60_000) return false;
    this.#lookedAtMs = nowMs;
    if (!threads.some((t) => !t.isolated && t.overloaded >= loadIntervals)) return false;
    return this.#isWorthIt(state);
  }

  #isWorthIt<Q extends BalanceQueue>({ config, threads, current, plan }: BalanceState<Q>): boolean {
    const key = JSON.stringify([config.mode, [...current.values()], threads.map((t) => t.coreId)]);
    if (key === this.#rejected) {
      log.dbg('PMD auto load balance nothing to do, no configuration changes since last check.');
      return false;
    }
    this.#rejected = key;
    if (config.mode === 'roundrobin') {
      log.dbg('PMD auto load balance nothing to do, pmd-rxq-assign=roundrobin assignment type configured.');
      return false;
    }
    const cores = [...current.values()];
    const counts = threads.map((t) => ({
      isolated: t.isolated,
      queues: cores.filter((core) => core === t.coreId).length,
    }));
    if (!canBalance(counts)) {
      log.dbg('PMD auto load balance nothing to do, not enough non-isolated PMDs or RxQs.');
      return false;
    }
    log.dbg('PMD auto load balance performing dry run.');
    const planned = plan();
    if (planned.crossesNuma && new Set(threads.map((t) => t.numaId)).size > 1) {
      log.dbg(
        'PMD auto load balance detected cross-numa polling with multiple numa nodes. Unable to accurately estimate.',
      );
      return false;
    }
    const pmds = threads.map((t) => ({
      coreId: t.coreId,
      numaId: t.numaId,
      isolated: t.isolated,
      totalCycles: (t.total.sum() * tscHz()) / 1000,
    }));
    let isMet = false;
    for (const e of estimateBalance(pmds, current, planned)) {
      log.dbg(
        `Numa node ${e.numaId}. Current variance ${e.current} Estimated variance ${e.estimated}. ` +
          `Variance improvement ${e.improvement}%.`,
      );
      isMet ||= e.improvement >= config.improvementThreshold;
    }
    log.dbg(
      `PMD load variance improvement threshold ${config.improvementThreshold}% is ${isMet ? 'met' : 'not met'}.`,
    );
    if (isMet) log.info('PMD auto load balance dry run. Requesting datapath reconfigure.');
    return isMet;
  }
}
