import { ARENA_ROOT } from '../arena/arena.layout.ts';
import type { ArenaClock } from '../arena/clock.ts';
import { setArenaRootVlanLimit } from '../arena/generated/arena-root.ts';
import type { Core } from '../arena/core.ts';
import { limboBlocks } from '../arena/memory-stats.ts';
import { UserspaceDatapath } from '../datapath/providers/userspace/userspace-datapath.ts';
import { openPortIo } from '../netdev/registry.ts';
import type { OfConnFactory, OfprotoDependencies } from '../ofproto/ofproto-types.ts';
import { portStatsFrom } from '../ofproto/port-stats.ts';
import { publishSnapshot, SnapshotReader } from '../ofproto/snapshot.ts';
import { Translator } from '../ofproto/translate/translator.ts';
import { decodePacketIn } from '../ofproto/upcall/packet-in-event.ts';
import { Udpif, udpifDefaults } from '../ofproto/upcall/udpif.ts';
import { Upcaller } from '../ofproto/upcall/upcaller.ts';
import type { CpuTopology } from '../sys/numa.ts';
import { vlog } from '../util/log.ts';
import type { Random } from '../util/random.ts';
import { Bridge } from './bridge.ts';
import type { BridgeConfig, SwitchConfig } from './config/model.ts';
import type { ConfigStore, RowUpdate } from './config/store.ts';
import { PacketOutPath } from './packet-out.ts';
import { statusUpdates } from './status.ts';
import { eventKinds } from './threads/events.ts';
import { PmdPool } from './threads/pmd-pool.ts';
import { RevalidatorPool } from './threads/revalidator-pool.ts';
import { ThreadManager } from './threads/thread-manager.ts';

const log = vlog('bridge');

/** Devices that were missing are looked for this often. */
const retryDevicesMs = 500;
/** How soon `run` is wanted again while something is under way that nobody reports (memory to free, chains, dummies). */
const busyWaitMs = 100;
/** And when there is nothing: MAC ages, loads. */
const idleWaitMs = 1000;

export interface SwitchdOptions {
  readonly core: Core;
  readonly clock: ArenaClock;
  readonly random: Random;
  readonly store: ConfigStore;
  /** `settled`: listeners listen; the configuration counts as applied only then. */
  readonly connections: OfConnFactory & { settled?(): Promise<void> };
  readonly rundir: string;
  readonly topology: CpuTopology;
  /** --enable-dummy=override: bridges of every type use the dummy datapath. */
  readonly dummyOverride: boolean;
  readonly dummyEnabled: boolean;
  /** Calls `run` again soon. */
  readonly wake: () => void;
}

/**
 * The switch: joins the configuration, the bridges, the datapath and the threads (OVS's bridge_run).
 *
 * `run` is called by the main loop whenever something may have happened. Reconfiguration is
 * asynchronous, because threads must take each port change before the next step: one runs at a
 * time, and a configuration that changes meanwhile starts another.
 *
 * Threads: main only.
 */
export class Switchd {
  readonly core: Core;
  readonly clock: ArenaClock;
  readonly threads: ThreadManager;
  readonly udpif: Udpif;
  readonly pmds: PmdPool;
  readonly revalidators: RevalidatorPool;
  readonly translator: Translator;
  readonly snapshots: SnapshotReader;
  readonly bridges = new Map<string, Bridge>();
  readonly datapaths = new Map<string, UserspaceDatapath>();
  readonly #options: SwitchdOptions;
  readonly #packetOut: PacketOutPath;
  #seenSeq = -1;
  #isReconfiguring = false;
  #isSnapshotStale = false;
  #published = '';
  #isStatusStale = false;
  #retryAtMs = 0;
  #statsAtMs = 0;
  #config: SwitchConfig | null = null;
  #nextBridgeId = 1;
  #isClosing = false;
  #lastError: string | null = null;

  constructor(options: SwitchdOptions) {
    this.#options = options;
    const { core, clock } = options;
    this.core = core;
    this.clock = clock;
    this.threads = new ThreadManager(core, core.module, (_thread, kind, bytes) => this.#onEvent(kind, bytes));
    this.udpif = Udpif.create(core, udpifDefaults);
    this.pmds = new PmdPool(
      core,
      this.threads,
      this.udpif,
      openPortIo,
      options.topology,
      clock,
      options.wake,
    );
    this.revalidators = new RevalidatorPool(this.threads, this.udpif);
    this.translator = new Translator(core);
    this.snapshots = new SnapshotReader(core);
    this.pmds.main.setUpcalls(
      new Upcaller({
        core,
        pmd: this.pmds.main.pmd,
        udpif: this.udpif.address,
        clock,
        events: { packetIn: (event) => this.#packetIn(event.bridgeId, event.event) },
      }),
    );
    this.#packetOut = new PacketOutPath(core, clock, this.pmds.main, this.translator, this.snapshots);
  }

  get config(): SwitchConfig | null {
    return this.#config;
  }

  /** Whether a configuration was applied since the start, or there was none to apply. */
  get isConfigured(): boolean {
    return (this.#config !== null || this.#options.store.isEmpty) && !this.#isReconfiguring;
  }

  /** Polls what main polls itself, runs the bridges, starts a reconfiguration when one is due. */
  run(): number {
    const nowMs = this.clock.nowMs();
    let worked = this.pmds.main.step(nowMs);
    this.pmds.run(nowMs);
    let devicesChanged = false;
    for (const bridge of this.bridges.values()) {
      if (bridge.runDevices(nowMs)) devicesChanged = true;
      worked += bridge.ofproto.run(nowMs);
      if (bridge.ageMacs(nowMs)) this.udpif.revalidate();
    }
    if (devicesChanged) {
      this.#isSnapshotStale = true;
      this.#isStatusStale = true;
    }
    if (this.#isSnapshotStale && !this.#isReconfiguring) this.#publish();
    this.core.x.quiesce();
    if (this.#isClosing || this.#isReconfiguring) return worked;
    const { store } = this.#options;
    const isRetryDue = nowMs >= this.#retryAtMs && this.#lacksDevices();
    if (store.changeSeq !== this.#seenSeq || isRetryDue) {
      this.#retryAtMs = nowMs + retryDevicesMs;
      void this.#reconfigure();
    } else if (this.#isStatusStale || nowMs >= this.#statsAtMs) {
      this.#statsAtMs = nowMs + Number(this.#config?.otherConfig.get('stats-update-interval') ?? 5000);
      void this.#writeStatus();
    }
    return worked;
  }

  #lacksDevices(): boolean {
    for (const bridge of this.bridges.values()) if (bridge.needsReconcile()) return true;
    return false;
  }

  /** When `run` wants to be called again though nothing happened. */
  get wakeAtMs(): number {
    const isBusy = this.pmds.needsPolling || limboBlocks(this.core) > 0 || this.#lacksDevices();
    let at = Math.min(this.clock.nowMs() + (isBusy ? busyWaitMs : idleWaitMs), this.#statsAtMs);
    for (const bridge of this.bridges.values()) at = Math.min(at, bridge.ofproto.wakeAtMs);
    return at;
  }

  /** Ends everything; `cleanup` also deletes what outlives the process (none for these datapaths). */
  async close(): Promise<void> {
    this.#isClosing = true;
    while (this.#isReconfiguring) await new Promise((resolve) => setImmediate(resolve));
    for (const bridge of this.bridges.values()) await bridge.destroy();
    this.bridges.clear();
    await this.revalidators.close();
    await this.pmds.close();
    await this.threads.stopAll();
    this.#options.store.close();
  }

  async #reconfigure(): Promise<void> {
    const { store } = this.#options;
    this.#isReconfiguring = true;
    try {
      this.#seenSeq = store.changeSeq;
      const config = store.read();
      if (config === null) return;
      this.#config = config;
      this.#applyGlobals(config);
      await this.#reconcileBridges(config.bridges);
      this.#publish();
      await this.#options.connections.settled?.();
      await this.#writeStatus();
      this.#lastError = null;
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (text !== this.#lastError) log.err(`reconfiguration failed: ${text}`);
      this.#lastError = text;
    } finally {
      this.#isReconfiguring = false;
      this.#options.wake();
    }
  }

  #applyGlobals(config: SwitchConfig): void {
    const number = (key: string, fallback: number, least = 0): number => {
      const value = Number(config.otherConfig.get(key) ?? fallback);
      return Number.isFinite(value) && value >= least ? value : fallback;
    };
    this.udpif.configure({
      maxIdleMs: number('max-idle', udpifDefaults.maxIdleMs),
      maxRevalidatorMs: number('max-revalidator', udpifDefaults.maxRevalidatorMs, 1),
      minRevalidatePps: number('min-revalidate-pps', udpifDefaults.minRevalidatePps),
      flowLimit: number('flow-limit', udpifDefaults.flowLimit),
    });
    this.revalidators.configure(number('n-handler-threads', 0), number('n-revalidator-threads', 0));
    this.pmds.setEmcInsertInvProb(number('emc-insert-inv-prob', 100));
    this.pmds.setSmc(config.otherConfig.get('smc-enable') === 'true');
    // 0 is "no limit": keys have two slots.
    setArenaRootVlanLimit(this.core.dv, ARENA_ROOT, number('vlan-limit', 1) === 1 ? 1 : 2);
    this.pmds.configure(config.otherConfig);
  }

  async #reconcileBridges(wanted: readonly BridgeConfig[]): Promise<void> {
    await this.pmds.settle();
    const byName = new Map(wanted.map((b) => [b.name, b]));
    const ending: Bridge[] = [];
    for (const [name, bridge] of this.bridges) {
      const want = byName.get(name);
      if (want !== undefined && this.#datapathType(want) === bridge.datapath.type) continue;
      this.bridges.delete(name);
      ending.push(bridge);
    }
    if (ending.length > 0) this.#publish();
    for (const bridge of ending) await bridge.destroy();
    for (const bridge of this.bridges.values()) {
      const want = byName.get(bridge.name);
      if (want !== undefined) await bridge.removeStale(want);
    }
    for (const want of wanted) {
      const bridge = this.bridges.get(want.name) ?? this.#createBridge(want);
      await bridge?.applyConfig();
    }
    await this.pmds.settle();
    if (this.bridges.size > 0) this.revalidators.start();
  }

  #createBridge(config: BridgeConfig): Bridge | null {
    const type = this.#datapathType(config);
    if (type !== 'netdev' && type !== 'dummy') {
      log.err(
        type === 'system'
          ? `failed to create bridge ${config.name}: No such file or directory`
          : `failed to create bridge ${config.name}: Address family not supported by protocol`,
      );
      return null;
    }
    let datapath = this.datapaths.get(type);
    if (datapath === undefined) {
      datapath = new UserspaceDatapath(type, this.pmds, [...this.datapaths.values()]);
      this.datapaths.set(type, datapath);
    }
    const bridge = new Bridge(
      config,
      this.#nextBridgeId++,
      this.core,
      datapath,
      this.#ofprotoDependencies(config.name),
      this.#options.rundir,
    );
    this.bridges.set(config.name, bridge);
    return bridge;
  }

  #datapathType(config: BridgeConfig): string {
    const type = config.datapathType === '' ? 'system' : config.datapathType;
    return this.#options.dummyOverride ? 'dummy' : type;
  }

  #ofprotoDependencies(name: string): OfprotoDependencies {
    const { core, clock, random, connections, wake } = this.#options;
    const seconds = (): number => Number(this.#config?.otherConfig.get('bundle-idle-timeout') ?? 10);
    return {
      get bundleIdleTimeoutMs() {
        return seconds() >= 1 ? seconds() * 1000 : 1000;
      },
      core,
      clock,
      random,
      connections,
      wake,
      tablesChanged: () => this.udpif.revalidate(),
      configChanged: () => {
        this.#isSnapshotStale = true;
        wake();
      },
      executePacketOut: (ofproto, request) => this.#packetOut.execute(ofproto, request),
      portStats: (ofport) => {
        const netdev = this.bridges.get(name)?.interfaceByOfport(ofport)?.netdev;
        if (netdev == null) return {};
        return portStatsFrom(netdev.statistics());
      },
      setPortAdminUp: (ofport, up) => {
        this.bridges.get(name)?.interfaceByOfport(ofport)?.netdev?.setAdminUp(up);
      },
    };
  }

  /** Publishes the snapshot if anything in it changed: each publication costs a revalidation. */
  #publish(): void {
    this.#isSnapshotStale = false;
    const snapshot = { bridges: [...this.bridges.values()].map((b) => b.snapshot(this.bridges)) };
    const text = JSON.stringify(snapshot);
    if (text === this.#published) return;
    this.#published = text;
    publishSnapshot(this.core, snapshot);
    this.udpif.revalidate();
  }

  async #writeStatus(): Promise<void> {
    this.#isStatusStale = false;
    const config = this.#config;
    if (config === null) return;
    const updates: RowUpdate[] = statusUpdates(config, this.bridges, this.#options.dummyEnabled);
    if (!(await this.#options.store.write(updates))) this.#isStatusStale = true;
  }

  #onEvent(kind: number, bytes: Uint8Array): void {
    if (kind !== eventKinds.packetIn) return;
    const event = decodePacketIn(bytes);
    this.#packetIn(event.bridgeId, event.event);
  }

  #packetIn(bridgeId: number, event: Parameters<Bridge['ofproto']['packetIn']>[0]): void {
    for (const bridge of this.bridges.values()) {
      if (bridge.bridgeId !== bridgeId) continue;
      bridge.ofproto.packetIn(event);
      this.#options.wake();
      return;
    }
  }

  /** Deletes every megaflow; resolves when they are gone. Their statistics are credited first. */
  async purgeFlows(): Promise<void> {
    this.udpif.purge();
    while (!this.udpif.purged && this.revalidators.counts.revalidators > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
