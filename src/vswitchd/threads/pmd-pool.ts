import type { Core } from '../../arena/core.ts';
import { ChainKeeper } from '../../datapath/chain/chain-keeper.ts';
import { NON_PMD_CORE_ID, PERF_HISTORY } from '../../datapath/datapath.layout.ts';
import type { PortThreads } from '../../datapath/provider.ts';
import { PmdLoop } from '../../datapath/providers/userspace/pmd-loop.ts';
import type { OpenPortIo, PortAttachment } from '../../netdev/provider.ts';
import type { Udpif } from '../../ofproto/upcall/udpif.ts';
import { tscHz, type CpuTopology } from '../../sys/numa.ts';
import { SystemError } from '../../util/errors.ts';
import type { Clock } from '../../util/clock.ts';
import { hashOfpPort, hmapOrder } from '../../util/hmap-order.ts';
import { vlog } from '../../util/log.ts';
import { AutoBalance } from './auto-balance.ts';
import { PerfLog } from './perf-log.ts';
import { PmdMeter } from './pmd-meter.ts';
import { loadIntervalMs } from './load-history.ts';
import { PmdConfigReader, type PmdConfig } from './pmd-config.ts';
import { PmdThread, type PmdSettings } from './pmd-thread.ts';
import { parseRxqAffinity, RxPort, type RxQueue } from './rx-port.ts';
import { assignRxQueues, type AssignQueue, type Assignment } from './rxq-assign.ts';
import type { ThreadManager, WorkerThread } from './thread-manager.ts';

const log = vlog('dpif_netdev');
/** Lines about an assignment that are logged each time. */
const fullLogLines = 64;
/** How often the start of a thread for one that died is tried while it fails. */
const reviveIntervalMs = 1000;

/** A forwarding loop as the commands see it. */
export interface PmdView {
  /** Arena address of its record. */
  readonly pmd: number;
  /** Core, or null for main. */
  readonly coreId: number | null;
  /** Null for main. */
  readonly thread: PmdThread | null;
  readonly meter: PmdMeter;
}

/** A queue as assignRxQueues wants it. */
interface Candidate extends AssignQueue {
  readonly queue: RxQueue;
}

/**
 * Which thread moves which packets: PMD threads on the cores of pmd-cpu-mask, and the receive queues that
 * each polls (rxq-assign.ts).
 *
 * Threads are started with the first port that needs them and stopped with the last, so that a switch of
 * dummy ports alone stays single-threaded and its tests deterministic: main's own loop polls those, as
 * OVS's main thread polls what is not for PMDs. Every loop can send on every port.
 *
 * A change takes effect in two steps, so that a queue never has two pollers: first threads give up what goes
 * elsewhere, then all poll what they shall. What does not change is not touched; packets wait in their queue
 * meanwhile. Changes come one after the other (`#inOrder`).
 *
 * A worker that died is replaced by one with fresh caches (a PMD record may have been torn in the middle of
 * a burst) and with the same queues; the dead record's megaflows are swept by the revalidators.
 *
 * Threads: main only.
 */
export class PmdPool implements PortThreads {
  readonly main: PmdLoop;
  readonly topology: CpuTopology;
  readonly #core: Core;
  readonly #threads: ThreadManager;
  readonly #udpif: Udpif;
  readonly #ports = new Map<number, RxPort>();
  readonly #reader = new PmdConfigReader();
  readonly #balance = new AutoBalance();
  readonly #perfLog = new PerfLog();
  readonly #meter: PmdMeter;
  readonly #chains: ChainKeeper;
  readonly #clock: Clock;
  readonly #wake: () => void;
  #config: PmdConfig;
  #pmds: PmdThread[] = [];
  #emcInsertInvProb = 100;
  #isSmcOn = false;
  #tail: Promise<unknown> = Promise.resolve();
  /** Ports that wait for their turn, and the turn. */
  #attaching: RxPort[] = [];
  #attached: Promise<ReadonlyMap<RxPort, Error>> | null = null;
  #isStale = false;
  #foldAtMs = 0;
  /** PMDs whose threads died and could not be started anew, with the dead thread. */
  readonly #dead = new Map<PmdThread, WorkerThread>();
  #reviveAtMs = 0;
  /** What the log said of queues at the last assignment. */
  #logged: ReadonlySet<string> = new Set();

  /** @param wake Has main call `run` soon. */
  constructor(
    core: Core,
    threads: ThreadManager,
    udpif: Udpif,
    openPortIo: OpenPortIo,
    topology: CpuTopology,
    clock: Clock,
    wake: () => void,
  ) {
    this.#core = core;
    this.#threads = threads;
    this.#udpif = udpif;
    this.topology = topology;
    this.#clock = clock;
    this.#wake = wake;
    this.main = new PmdLoop(core, this.#createRecord(NON_PMD_CORE_ID), openPortIo);
    this.#config = this.#reader.defaults();
    this.#meter = new PmdMeter(core, this.main.pmd, clock);
    this.#chains = new ChainKeeper(core, () => this.#pmds);
  }

  /** Settings of other_config; what they change of threads and queues takes effect with `settle`. */
  configure(otherConfig: ReadonlyMap<string, string>): void {
    const before = this.#config;
    const config = this.#reader.read(otherConfig);
    this.#config = config;
    const moved =
      config.mode !== before.mode ||
      config.isolate !== before.isolate ||
      config.cores?.join() !== before.cores?.join();
    if (moved) this.#isStale = true;
    for (const thread of this.#pmds) thread.collectPerf(config.perfMetrics, this.#perfLog);
  }

  get config(): PmdConfig {
    return this.#config;
  }

  /** dpif-netdev/pmd-perf-log-set. @returns False if a word is wrong. */
  setPerfLog(args: readonly string[]): boolean {
    if (!this.#perfLog.set(args, PERF_HISTORY - 2)) return false;
    for (const { perf } of this.#pmds) if (perf !== 0) this.#perfLog.applyTo(this.#core, perf);
    return true;
  }

  setEmcInsertInvProb(prob: number): void {
    if (prob === this.#emcInsertInvProb) return;
    this.#emcInsertInvProb = prob;
    const chance = prob === 0 ? 'zero' : `1/${prob} (~${(100 / prob).toFixed(2)}%)`;
    log.info(`EMC insertion probability changed to ${chance}`);
    for (const view of this.views()) this.#core.x.pmdSetEmcInsertInvProb(view.pmd, prob);
  }

  /** other_config:smc-enable. */
  setSmc(isOn: boolean): void {
    if (isOn === this.#isSmcOn) return;
    this.#isSmcOn = isOn;
    log.info(`SMC cache is ${isOn ? 'enabled' : 'disabled'}`);
    for (const view of this.views()) this.#applySmc(view.pmd);
  }

  #applySmc(pmd: number): void {
    if (this.#core.x.pmdSetSmc(pmd, this.#isSmcOn) === 0) log.warn('arena is full: no room for an SMC cache');
  }

  /** Main's loop first, then the threads by core. */
  views(): PmdView[] {
    return [
      { pmd: this.main.pmd, coreId: null, thread: null, meter: this.#meter },
      ...this.#pmds.map((thread) => ({
        pmd: thread.pmd,
        coreId: thread.coreId,
        thread,
        meter: thread.meter,
      })),
    ];
  }

  /** Queues that the thread polls, by name of the port and number. */
  queuesOf(thread: PmdThread): RxQueue[] {
    return [...this.#ports.values()]
      .flatMap((port) => port.queues.filter((q) => q.coreId === thread.coreId))
      .sort((a, b) => {
        const [x, y] = [a.port.attachment.name, b.port.attachment.name];
        return x === y ? a.rxQueue - b.rxQueue : x < y ? -1 : 1;
      });
  }

  /** Ports that are attached at once are handed out at once. */
  async attach(attachment: PortAttachment, affinity = ''): Promise<void> {
    const port = new RxPort(this.#core, attachment);
    port.affinity = parseRxqAffinity(affinity);
    const ports = this.#attaching;
    ports.push(port);
    this.#attached ??= this.#inOrder(() => {
      if (this.#attaching === ports) {
        this.#attaching = [];
        this.#attached = null;
      }
      return this.#attachAll(ports);
    });
    const error = (await this.#attached).get(port);
    if (error !== undefined) throw error;
  }

  /** @returns The ports that failed; they are gone again. */
  async #attachAll(ports: readonly RxPort[]): Promise<Map<RxPort, Error>> {
    const failed = new Map<RxPort, Error>();
    const opened: RxPort[] = [];
    for (const port of ports) {
      this.#ports.set(port.odpPort, port);
      try {
        const mine = port.attachment.polledByMain ? port.queues.map((q) => q.rxQueue) : [];
        this.main.addPort(port.attachment, mine);
        opened.push(port);
      } catch (error) {
        failed.set(port, error instanceof Error ? error : new Error(String(error)));
      }
    }
    try {
      for (const [port, error] of await this.#assign(new Set(opened))) failed.set(port, error);
    } catch (error) {
      // No thread could be started: there is nobody to poll any of them.
      for (const port of opened) failed.set(port, error instanceof Error ? error : new Error(String(error)));
    }
    await Promise.all([...failed.keys()].map((port) => this.#remove(port)));
    return failed;
  }

  detach(odpPort: number): Promise<void> {
    // Whoever attaches from now on may mean the same number, and gets a turn of its own.
    this.#attaching = [];
    this.#attached = null;
    return this.#inOrder(async () => {
      const port = this.#ports.get(odpPort);
      if (port !== undefined) await this.#remove(port);
    });
  }

  setAffinity(odpPort: number, text: string): void {
    const affinity = parseRxqAffinity(text);
    const port = this.#ports.get(odpPort);
    if (port === undefined || port.attachment.polledByMain) return;
    if (JSON.stringify([...affinity]) === JSON.stringify([...port.affinity])) return;
    port.affinity = affinity;
    this.#isStale = true;
    this.#wake();
  }

  /** dpif-netdev/pmd-rxq-rebalance: hands the queues out anew by their present load. */
  rebalance(): void {
    this.#isStale = true;
    this.#wake();
  }

  /** Resolves when all that was changed has taken effect. */
  settle(): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#isStale) await this.#assign(noPorts);
    });
  }

  /** From main's loop: ends intervals of load, balances when it is time. */
  run(nowMs: number): void {
    if (this.#isStale) this.settle().catch((error: unknown) => log.err(messageOf(error)));
    this.#chains.run(nowMs);
    if (this.#dead.size > 0 && nowMs >= this.#reviveAtMs) {
      this.#reviveAtMs = nowMs + reviveIntervalMs;
      for (const [pmd, dead] of [...this.#dead]) {
        if (this.#pmds.includes(pmd)) this.#revive(pmd, dead);
        else this.#dead.delete(pmd);
      }
    }
    if (nowMs < this.#foldAtMs) return;
    const isFirst = this.#foldAtMs === 0;
    this.#foldAtMs = nowMs + loadIntervalMs;
    if (isFirst) return;
    for (const port of this.#ports.values()) port.fold();
    for (const thread of this.#pmds) {
      thread.fold(nowMs);
      const isOverloaded = 100 * thread.load(1) >= this.#config.loadThreshold;
      thread.overloaded = isOverloaded ? thread.overloaded + 1 : 0;
    }
    const current = new Map(this.#candidates().map((c) => [c, c.queue.coreId ?? -1]));
    const state = { config: this.#config, threads: this.#pmds, current, plan: () => this.#plan() };
    if (this.#balance.isDue(nowMs, state)) this.rebalance();
  }

  /** Whether `run` is to be called often: chains are being made, or there are ports that main polls. */
  get needsPolling(): boolean {
    return this.#chains.isSettling || this.main.polls;
  }

  async close(): Promise<void> {
    await this.#inOrder(async () => {
      await this.#stopThreads(this.#pmds);
      this.#pmds = [];
    });
    this.main.close();
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(change);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #remove(port: RxPort): Promise<void> {
    this.#ports.delete(port.odpPort);
    this.main.delPort(port.odpPort);
    await Promise.all(this.#pmds.map((thread) => thread.forget(port)));
    port.free();
    if (!this.#needsThreads) await this.#assign(noPorts);
    else {
      // Many ports may go at once: the others are handed out anew when they are gone.
      this.#isStale = true;
      this.#wake();
    }
  }

  get #needsThreads(): boolean {
    return [...this.#ports.values()].some((port) => !port.attachment.polledByMain);
  }

  #wantedCores(): number[] {
    const { nodeOf } = this.topology;
    if (!this.#needsThreads) return [];
    if (this.#config.cores !== null) return this.#config.cores.filter((core) => nodeOf.has(core));
    const first = new Map<number, number>();
    for (const [core, node] of nodeOf) if (!first.has(node)) first.set(node, core);
    return [...first.values()];
  }

  #candidates(): Candidate[] {
    // OVS's own port 0 is in its table too, and decides over the order with the others.
    const walked = hmapOrder([null, ...this.#ports.values()], (port) => hashOfpPort(port?.odpPort ?? 0));
    return walked.flatMap((port) => {
      if (port === null || port.attachment.polledByMain) return [];
      return port.queues.map((queue) => ({
        queue,
        portName: port.attachment.name,
        odpPort: port.odpPort,
        rxQueue: queue.rxQueue,
        numaId: port.attachment.numaId ?? 0,
        cycles: (queue.history.sum() * tscHz()) / 1e9,
        pinnedCore: port.affinity.get(queue.rxQueue) ?? null,
      }));
    });
  }

  #plan(): Assignment<Candidate> {
    return assignRxQueues(this.#pmds, this.#candidates(), this.#config);
  }

  /**
   * Makes threads and queues what they shall be.
   *
   * @param added Ports that must not fail.
   * @returns Those of them that did.
   */
  async #assign(added: ReadonlySet<RxPort>): Promise<Map<RxPort, Error>> {
    this.#isStale = false;
    const gone = this.#createThreads();
    const plan = this.#plan();
    this.#log(plan);
    for (const thread of this.#pmds) thread.isolated = plan.isolated.has(thread.coreId);
    for (const port of this.#ports.values()) for (const queue of port.queues) queue.coreId = null;
    for (const [candidate, coreId] of plan.coreOf) candidate.queue.coreId = coreId;
    const ports = [...this.#ports.values()];
    const wanted = (thread: PmdThread, port: RxPort): number[] =>
      port.queues.filter((q) => q.coreId === thread.coreId).map((q) => q.rxQueue);

    // A new thread must be able to send everywhere before it receives; of a new port nobody polls anything.
    const released = this.#pmds.flatMap((thread) =>
      ports.map((port) => {
        if (added.has(port)) return null;
        const keep = wanted(thread, port);
        return thread.tell(
          port,
          (thread.told(port) ?? []).filter((q) => keep.includes(q)),
        );
      }),
    );
    await Promise.all([this.#stopThreads(gone), ...released]);
    const failed = new Map<RxPort, Error>();
    await Promise.all(
      this.#pmds.flatMap((thread) =>
        ports.map(async (port) => {
          const error = await thread.tell(port, wanted(thread, port));
          if (error === null) return;
          if (added.has(port)) failed.set(port, error);
          else log.err(`${port.attachment.name}: not taken over: ${error.message}`);
        }),
      ),
    );
    return failed;
  }

  /** As OVS, which repeats all at each change; with many queues only what is said anew of one. */
  #log(plan: Assignment<Candidate>): void {
    const isLong = plan.lines.length > fullLogLines;
    const said = new Set<string>();
    for (const { queue, level, text } of plan.lines) {
      said.add(text);
      if (isLong && (queue === null || this.#logged.has(text))) continue;
      if (level === 'warn') log.warn(text);
      else log.info(text);
    }
    this.#logged = said;
  }

  /** Starts threads for cores that have none. @returns Those whose cores are not wanted any more. */
  #createThreads(): PmdThread[] {
    const cores = this.#wantedCores();
    const gone = this.#pmds.filter((thread) => !cores.includes(thread.coreId));
    const missing = cores.filter((core) => !this.#pmds.some((thread) => thread.coreId === core));
    if (gone.length + missing.length === 0) return gone;
    for (const { numaId, coreId } of gone) {
      log.info(`PMD thread on numa_id: ${numaId}, core id: ${coreId.toString().padStart(2)} destroyed.`);
    }
    const made = missing.map((coreId) => {
      const thread = new PmdThread(
        this.#core,
        coreId,
        this.topology.nodeOf.get(coreId) ?? 0,
        this.#clock.nowMs(),
      );
      this.#startThread(thread);
      return thread;
    });
    this.#pmds = [...this.#pmds.filter((thread) => !gone.includes(thread)), ...made];
    this.#pmds.sort((a, b) => a.coreId - b.coreId);
    for (const node of new Set(this.#pmds.map((thread) => thread.numaId))) {
      const count = this.#pmds.filter((thread) => thread.numaId === node).length;
      log.info(`There are ${count} pmd threads on numa node ${node}`);
    }
    return gone;
  }

  async #stopThreads(threads: readonly PmdThread[]): Promise<void> {
    await Promise.all(threads.map((thread) => thread.thread.stop()));
    for (const thread of threads) {
      // Its megaflows' last statistics are credited before the record goes.
      this.#udpif.retirePmd(thread.pmd);
      thread.free();
    }
  }

  #createRecord(id: number): number {
    const pmd = this.#core.x.pmdCreate(id) >>> 0;
    if (pmd === 0) throw new SystemError('ENOMEM', 12, 'pmd_create', 'arena is full: no room for a PMD');
    this.#core.x.pmdSetEmcInsertInvProb(pmd, this.#emcInsertInvProb);
    this.#applySmc(pmd);
    this.#udpif.addPmd(pmd);
    return pmd;
  }

  #startThread(pmd: PmdThread): void {
    const record = this.#createRecord(pmd.coreId);
    try {
      this.#startThreadOn(pmd, record);
    } catch (error) {
      this.#udpif.retirePmd(record);
      throw error;
    }
    pmd.collectPerf(this.#config.perfMetrics, this.#perfLog);
  }

  #startThreadOn(pmd: PmdThread, record: number): void {
    const settings: PmdSettings = {
      pmd: record,
      udpif: this.#udpif.address,
      coreId: pmd.coreId,
      pin: this.#config.cores !== null && !this.topology.isDummy,
    };
    const name = `pmd-c${String(pmd.coreId).padStart(2, '0')}/id:${this.#threads.nextId()}`;
    pmd.renew(
      record,
      this.#threads.start('pmd', name, settings, (dead) => this.#revive(pmd, dead)),
      new PmdMeter(this.#core, record, this.#clock),
    );
    log.info(`PMD thread on numa_id: ${pmd.numaId}, core id: ${pmd.coreId.toString().padStart(2)} created.`);
  }

  /** A PMD thread for one that died; tried again while memory is used up, which the dead one's megaflows free as they expire. */
  #revive(pmd: PmdThread, dead: WorkerThread): void {
    if (!this.#pmds.includes(pmd) || pmd.thread !== dead) return;
    const old = pmd.pmd;
    try {
      this.#startThread(pmd);
    } catch (error) {
      log.err(`core ${pmd.coreId}: no new PMD thread yet: ${messageOf(error)}`);
      this.#dead.set(pmd, dead);
      return;
    }
    this.#dead.delete(pmd);
    this.#udpif.retirePmd(old);
    this.#inOrder(() => this.#assign(noPorts)).catch((error: unknown) => log.err(messageOf(error)));
  }
}

const noPorts: ReadonlySet<RxPort> = new Set();
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
