import type { Core } from '../../arena/core.ts';
import type { CompiledChain } from '../../datapath/chain/chain.ts';
import type { ChainTarget } from '../../datapath/chain/chain-keeper.ts';
import { createPerf } from '../../datapath/providers/userspace/pmd-perf.ts';
import { pmdBusyNs, pmdPerf, setPmdPerf } from '../../datapath/generated/pmd.ts';
import { OvsError } from '../../util/errors.ts';
import { LoadHistory } from './load-history.ts';
import type { PerfLog } from './perf-log.ts';
import type { PmdMeter } from './pmd-meter.ts';
import type { RxPort } from './rx-port.ts';
import type { WorkerThread } from './thread-manager.ts';
import type { PortAttachment } from '../../netdev/provider.ts';

/** `WorkerInit.settings` of a PMD thread. */
export interface PmdSettings {
  readonly pmd: number;
  readonly udpif: number;
  readonly coreId: number;
  readonly pin: boolean;
}

/** Arguments of a PMD's request `port-add`: the port is opened, or its list of polled queues changed. */
export interface PortAddArgs {
  readonly attachment: PortAttachment;
  readonly rxQueues: readonly number[];
  /** Arena addresses of their `rxq` records. */
  readonly rxqs: readonly number[];
}

/**
 * Main's side of a PMD thread: its record, its worker, and what the worker has been told of ports.
 *
 * The record and the worker change when the worker died (pmd-pool.ts); the core stays.
 */
export class PmdThread implements ChainTarget {
  readonly coreId: number;
  readonly numaId: number;
  /** Arena address of its record. */
  pmd = 0;
  /** Set right after it is made. */
  thread!: WorkerThread;
  meter!: PmdMeter;
  isolated = false;
  /** Nanoseconds with packets, and milliseconds of all time. */
  readonly busy = new LoadHistory();
  readonly total: LoadHistory;
  /** Intervals in a row with more load than pmd-auto-lb allows. */
  overloaded = 0;
  readonly #core: Core;
  readonly #told = new Map<RxPort, readonly number[]>();
  #perf = 0;

  constructor(core: Core, coreId: number, numaId: number, nowMs: number) {
    this.#core = core;
    this.total = new LoadHistory(nowMs);
    this.coreId = coreId;
    this.numaId = numaId;
  }

  /** A fresh record and worker take over: nothing has been told them yet. */
  renew(pmd: number, thread: WorkerThread, meter: PmdMeter): void {
    this.pmd = pmd;
    this.thread = thread;
    this.meter = meter;
    this.#told.clear();
    this.busy.restart();
  }

  /** Queues of the port that the worker polls, or will when it has read its mail; undefined = not open. */
  told(port: RxPort): readonly number[] | undefined {
    return this.#told.get(port);
  }

  /**
   * Has the worker poll exactly these queues of the port, and send on it.
   *
   * @returns What went wrong, null if nothing, or if the worker has died: its successor is told all.
   */
  async tell(port: RxPort, rxQueues: readonly number[]): Promise<Error | null> {
    const before = this.#told.get(port);
    if (before?.length === rxQueues.length && before.every((q, i) => q === rxQueues[i])) return null;
    this.#told.set(port, rxQueues);
    const args: PortAddArgs = {
      attachment: port.attachment,
      rxQueues,
      rxqs: rxQueues.map((q) => port.queues[q]?.record ?? 0),
    };
    return await this.#request('port-add', args);
  }

  async forget(port: RxPort): Promise<void> {
    if (this.#told.delete(port)) await this.#request('port-del', port.odpPort);
  }

  /** Posts a compiled chain. @returns Whether the thread put it in force. */
  async install(chain: CompiledChain): Promise<boolean> {
    const { thread } = this;
    return (await thread.request('chain', chain).catch(() => false)) === true;
  }

  async #request(method: string, args: unknown): Promise<Error | null> {
    const { thread } = this;
    try {
      await thread.request(method, args);
      return null;
    } catch (error) {
      if (error instanceof OvsError && error.code === 'ESRCH') return null;
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** other_config:pmd-perf-metrics. @throws ArenaFullError */
  collectPerf(isOn: boolean, perfLog: PerfLog): void {
    if (isOn && this.#perf === 0) this.#perf = createPerf(this.#core);
    if (this.#perf !== 0) perfLog.applyTo(this.#core, this.#perf);
    setPmdPerf(this.#core.dv, this.pmd, isOn ? this.#perf : 0);
  }

  /** Arena address of the metrics, 0 = never collected. */
  get perf(): number {
    return this.#perf;
  }

  get collectsPerf(): boolean {
    return pmdPerf(this.#core.dv, this.pmd) !== 0;
  }

  /** Ends an interval of load. */
  fold(nowMs: number): void {
    this.busy.fold(pmdBusyNs(this.#core.dv, this.pmd));
    this.total.fold(nowMs);
  }

  /** Busy part of the last intervals of load, 0 to 1. */
  load(intervals: number): number {
    const ms = this.total.sum(intervals);
    return ms > 0 ? this.busy.sum(intervals) / (1e6 * ms) : 0;
  }

  /** Once its worker has ended for good. */
  free(): void {
    if (this.#perf !== 0) this.#core.x.free(this.#perf);
  }
}
