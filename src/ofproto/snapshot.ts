import type { Core } from '../arena/core.ts';
import { ARENA_ROOT } from '../arena/arena.layout.ts';
import { ArenaRootLayout } from '../arena/generated/arena-root.ts';
import { ArenaFullError } from '../util/errors.ts';

/**
 * The configuration snapshot: what translators need to know of bridges and ports.
 *
 * What: a JSON document that main writes into the arena whenever a bridge, port or VLAN setting
 * changed. Rules, MAC entries and counters are not in it: it holds their arena addresses.
 * Why: worker threads share no objects. Configuration changes rarely, so each thread decodes the
 * document when `configGeneration` moved and works on objects of its own (`CompiledSnapshot`).
 * Threads: `publishSnapshot` on main only; `SnapshotReader` one per thread. The old document is
 * freed after quiescence (design.md §3.3), so a reader decodes within one step.
 */
export interface Snapshot {
  readonly bridges: readonly SnapshotBridge[];
}

export type VlanMode = 'access' | 'trunk' | 'native-tagged' | 'native-untagged' | 'dot1q-tunnel';

/** OFPTC_* miss handling of a table: `default` = controller for OpenFlow 1.0-1.2, drop for 1.3+. */
export type TableMiss = 'default' | 'continue' | 'controller' | 'drop';

export interface SnapshotBridge {
  readonly name: string;
  /** Unique for the life of the daemon, > 0; side-effect lists and events name bridges by it. */
  readonly id: number;
  /** 'netdev', 'system', 'dummy'. */
  readonly datapathType: string;
  /** Arena address of u32[256]: the classifier of each table, 0 = empty table (`Ofproto.tablesPtr`). */
  readonly tablesPtr: number;
  /** Tables whose miss handling is not 'default', by table id. */
  readonly tableMiss: Readonly<Record<string, TableMiss>>;
  /** Whether a controller connection wants packet-ins for 'default' misses (connmgr_wants_packet_in_on_miss). */
  readonly wantsPacketInOnMiss: boolean;
  /** Arena address of 255 x { u64 matched, u64 missed }, 0 = not counted. */
  readonly tableCounters: number;
  /** Arena address of the MAC table. */
  readonly macTable: number;
  /** other_config:forward-bpdu. */
  readonly forwardBpdu: boolean;
  /** OFPC_FRAG_*: 'normal' (default), 'drop', 'nx-match'. */
  readonly fragHandling: 'normal' | 'drop' | 'nx-match';
  readonly failMode: 'standalone' | 'secure';
  /** Address of the bridge's hidden rules whose statistics count misses (arena rules), 0 = none. */
  readonly missRule: number;
  readonly noPacketInRule: number;
  readonly dropFragsRule: number;
  readonly ports: readonly SnapshotPort[];
  /** VLAN bundles (OVS's ofbundle: what the database calls Port). Ports of no bundle have -1. */
  readonly bundles: readonly SnapshotBundle[];
}

export interface SnapshotPort {
  readonly name: string;
  readonly ofp: number;
  /** Datapath port, -1 for patch ports. */
  readonly odp: number;
  /** OFPUTIL_PC_* bits (OpenFlow 1.0's OFPPC_*): see `portConfig`. */
  readonly config: number;
  /** Whether the port may be used for output (link up, LACP..., OVS's may_enable). */
  readonly mayEnable: boolean;
  /** aa:bb:cc:dd:ee:ff */
  readonly mac: string;
  /** Index into `bundles`, -1 = none (NORMAL ignores the port). */
  readonly bundle: number;
  /** The far end of a patch port. */
  readonly peer?: { readonly bridge: string; readonly ofp: number };
  /** Arena address of { u64 rxPackets, rxBytes, txPackets, txBytes } of a patch port, 0 = not counted. */
  readonly counters: number;
  readonly isTunnel?: boolean;
}

/** OFPUTIL_PC_*: bits of `SnapshotPort.config`. */
export const portConfig = {
  PORT_DOWN: 1 << 0,
  NO_STP: 1 << 1,
  NO_RECV: 1 << 2,
  NO_RECV_STP: 1 << 3,
  NO_FLOOD: 1 << 4,
  NO_FWD: 1 << 5,
  NO_PACKET_IN: 1 << 6,
} as const;

export interface SnapshotBundle {
  readonly name: string;
  readonly vlanMode: VlanMode;
  /** Access or native VLAN, -1 = none (a trunk). */
  readonly vlan: number;
  /** VLANs carried, undefined = all. */
  readonly trunks?: readonly number[];
  /** dot1q-tunnel: customer VLANs allowed, undefined = all. */
  readonly cvlans?: readonly number[];
  /** dot1q-tunnel: TPID of the tag pushed, 0x88a8 by default. */
  readonly qinqEthtype?: number;
  /** other_config:priority-tags. */
  readonly priorityTags: 'no' | 'always' | 'if-nonzero';
  readonly protected: boolean;
  /** False for a bundle that only mirrors go to. */
  readonly floodable: boolean;
}

/** Writes a snapshot into the arena and bumps the generation. Main thread only. @throws ArenaFullError */
export function publishSnapshot(core: Core, snapshot: Snapshot): void {
  const bytes = new TextEncoder().encode(JSON.stringify(snapshot));
  const at = core.x.alloc(bytes.length + 4) >>> 0;
  if (at === 0) throw new ArenaFullError(bytes.length + 4);
  core.dv.setUint32(at, bytes.length, true);
  core.u8.set(bytes, at + 4);
  const ptrIndex = (ARENA_ROOT + ArenaRootLayout.configPtr) >>> 2;
  const old = Atomics.exchange(core.u32, ptrIndex, at) >>> 0;
  Atomics.store(core.u32, (ARENA_ROOT + ArenaRootLayout.configLength) >>> 2, bytes.length);
  Atomics.add(core.u32, (ARENA_ROOT + ArenaRootLayout.configGeneration) >>> 2, 1);
  if (old !== 0) core.x.deferFree(old);
}

/** A port as a translator sees it; objects are shared within one thread's snapshot. */
export class XPort {
  readonly bridge: XBridge;
  readonly name: string;
  readonly ofp: number;
  readonly odp: number;
  readonly config: number;
  readonly mayEnable: boolean;
  readonly mac: Uint8Array;
  readonly counters: number;
  readonly isTunnel: boolean;
  bundle: XBundle | null = null;
  peer: XPort | null = null;
  /** A patch port, also when its peer is missing. */
  readonly isPatch: boolean;
  constructor(bridge: XBridge, p: SnapshotPort) {
    this.bridge = bridge;
    this.name = p.name;
    this.ofp = p.ofp >>> 0;
    this.odp = p.odp;
    this.config = p.config;
    this.mayEnable = p.mayEnable;
    this.mac = Uint8Array.from(p.mac.split(':'), (s) => parseInt(s, 16));
    this.counters = p.counters;
    this.isTunnel = p.isTunnel ?? false;
    this.isPatch = p.odp === -1 || p.peer !== undefined;
  }
}

function vlanBitmap(vlans: readonly number[] | undefined): Uint8Array | null {
  if (vlans === undefined) return null;
  const bitmap = new Uint8Array(4096);
  for (const vid of vlans) bitmap[vid & 4095] = 1;
  return bitmap;
}

export class XBundle {
  readonly bridge: XBridge | null;
  readonly name: string;
  readonly vlanMode: VlanMode;
  readonly vlan: number;
  /** 1 per VLAN, null = all. */
  readonly trunks: Uint8Array | null;
  readonly cvlans: Uint8Array | null;
  readonly qinqEthtype: number;
  readonly priorityTags: 'no' | 'always' | 'if-nonzero';
  readonly protected: boolean;
  /** Whether NORMAL floods to it: not when a port of it says NO_FLOOD. */
  floodable: boolean;
  readonly ports: XPort[] = [];
  constructor(bridge: XBridge | null, b: SnapshotBundle) {
    this.bridge = bridge;
    this.name = b.name;
    this.vlanMode = b.vlanMode;
    this.vlan = b.vlan;
    this.priorityTags = b.priorityTags;
    this.protected = b.protected;
    this.floodable = b.floodable;
    this.trunks = vlanBitmap(b.trunks);
    if (b.vlanMode === 'native-tagged' || b.vlanMode === 'native-untagged') {
      // A native port always carries its own VLAN, and never packets of none.
      this.trunks ??= new Uint8Array(4096).fill(1);
      this.trunks[b.vlan] = 1;
      this.trunks[0] = 0;
    }
    this.cvlans = vlanBitmap(b.cvlans);
    this.qinqEthtype = b.qinqEthtype ?? 0x88a8;
  }
}

export class XBridge {
  readonly config: SnapshotBridge;
  readonly name: string;
  readonly id: number;
  readonly tablesPtr: number;
  readonly ports: readonly XPort[];
  readonly bundles: readonly XBundle[];
  readonly #byOfp = new Map<number, XPort>();
  constructor(config: SnapshotBridge) {
    this.config = config;
    this.name = config.name;
    this.id = config.id;
    this.tablesPtr = config.tablesPtr;
    this.bundles = config.bundles.map((b) => new XBundle(this, b));
    this.ports = config.ports.map((p) => {
      const port = new XPort(this, p);
      const bundle = this.bundles[p.bundle];
      if (bundle !== undefined) {
        port.bundle = bundle;
        bundle.ports.push(port);
        if ((port.config & portConfig.NO_FLOOD) !== 0) bundle.floodable = false;
      }
      this.#byOfp.set(port.ofp, port);
      return port;
    });
  }
  port(ofp: number): XPort | undefined {
    return this.#byOfp.get(ofp);
  }
}

/** A snapshot with its references resolved, owned by one thread. */
export class CompiledSnapshot {
  readonly generation: number;
  readonly bridges: readonly XBridge[];
  readonly #byName = new Map<string, XBridge>();
  readonly #byId = new Map<number, XBridge>();
  readonly #byOdp = new Map<number, XPort>();
  constructor(snapshot: Snapshot, generation = 0) {
    this.generation = generation;
    this.bridges = snapshot.bridges.map((b) => new XBridge(b));
    for (const b of this.bridges) {
      this.#byName.set(b.name, b);
      this.#byId.set(b.id, b);
      for (const p of b.ports) if (p.odp >= 0) this.#byOdp.set(p.odp, p);
    }
    snapshot.bridges.forEach((sb, i) => {
      sb.ports.forEach((sp, j) => {
        const port = this.bridges[i]?.ports[j];
        if (port !== undefined && sp.peer !== undefined) {
          port.peer = this.#byName.get(sp.peer.bridge)?.port(sp.peer.ofp) ?? null;
        }
      });
    });
  }
  bridge(name: string): XBridge | undefined {
    return this.#byName.get(name);
  }
  bridgeById(id: number): XBridge | undefined {
    return this.#byId.get(id);
  }
  /** The port that a datapath port number stands for. */
  odpPort(odp: number): XPort | undefined {
    return this.#byOdp.get(odp);
  }
}

/** Decodes the published snapshot again whenever its generation moved. One per thread. */
export class SnapshotReader {
  readonly #core: Core;
  #current = new CompiledSnapshot({ bridges: [] }, 0);
  constructor(core: Core) {
    this.#core = core;
  }
  /** The current snapshot. Call at the top of a step, while online. */
  get(): CompiledSnapshot {
    const core = this.#core;
    const index = (ARENA_ROOT + ArenaRootLayout.configGeneration) >>> 2;
    for (;;) {
      const generation = Atomics.load(core.u32, index);
      if (generation === this.#current.generation) return this.#current;
      const at = Atomics.load(core.u32, (ARENA_ROOT + ArenaRootLayout.configPtr) >>> 2);
      const length = core.dv.getUint32(at, true);
      const text = new TextDecoder().decode(core.u8.slice(at + 4, at + 4 + length));
      if (Atomics.load(core.u32, index) !== generation) continue;
      this.#current = new CompiledSnapshot(JSON.parse(text) as Snapshot, generation);
    }
  }
}
