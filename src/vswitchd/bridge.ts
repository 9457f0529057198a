import type { Core } from '../arena/core.ts';
import {
  ageMacTable,
  configureMacTable,
  createMacTable,
  destroyMacTable,
  flushMacPort,
} from '../classifier/mac-table.ts';
import type { Datapath, DatapathPort } from '../datapath/provider.ts';
import type { Netdev } from '../netdev/provider.ts';
import { PatchNetdev } from '../netdev/providers/patch.ts';
import { closeNetdevs, openNetdev } from '../netdev/registry.ts';
import { Ofproto } from '../ofproto/ofproto.ts';
import type { ControllerConfig, OfPortDescription, OfprotoDependencies } from '../ofproto/ofproto-types.ts';
import type { SnapshotBridge, SnapshotBundle, SnapshotPort, VlanMode } from '../ofproto/snapshot.ts';
import { dscpOf } from '../stream/dscp.ts';
import { formatMac, parseMac } from '../wire/address.ts';
import type { DatapathId, OfpPort } from '../util/brand.ts';
import { vlog } from '../util/log.ts';
import type { BridgeConfig, InterfaceConfig, PortConfig } from './config/model.ts';
import { shownPort } from './port-text.ts';
import { hashString, hmapOrder } from '../util/hmap-order.ts';

const log = vlog('bridge');
const dpifLog = vlog('dpif');
const ofprotoLog = vlog('ofproto');

/** An interface of the configuration and what became of it. */
export interface BridgeInterface {
  config: InterfaceConfig;
  port: PortConfig;
  netdev: Netdev | null;
  dpPort: DatapathPort | null;
  ofport: OfpPort | null;
  /** Interface.error; null = fine. */
  error: string | null;
  /** `netdev.changeSeq` when it was last described to ofproto. */
  describedSeq: number;
}

const defaultMacAgingSec = 300;
const defaultMacEntries = 8192;
/** Devices opened at a stretch before the event loop gets its turn. */
const openAtOnce = 32;

/**
 * One bridge: its OpenFlow switch, its ports and their devices (OVS's bridge.c half of a bridge).
 *
 * `reconcile` makes what runs equal to a configuration and is repeated whenever either moved, so a
 * device that was missing is picked up when it appears. Main thread only.
 */
export class Bridge {
  readonly name: string;
  readonly ofproto: Ofproto;
  readonly datapath: Datapath;
  readonly macTable: number;
  readonly bridgeId: number;
  readonly #core: Core;
  readonly #rundir: string;
  #config: BridgeConfig;
  #ageAtMs = 0;
  readonly #interfaces = new Map<string, BridgeInterface>();

  constructor(
    config: BridgeConfig,
    bridgeId: number,
    core: Core,
    datapath: Datapath,
    deps: OfprotoDependencies,
    rundir: string,
  ) {
    this.name = config.name;
    this.bridgeId = bridgeId;
    this.datapath = datapath;
    this.#core = core;
    this.#rundir = rundir;
    this.#config = config;
    this.macTable = createMacTable(core, defaultMacEntries, defaultMacAgingSec);
    this.ofproto = new Ofproto(config.name, bridgeId, 0n as DatapathId, deps);
  }

  get config(): BridgeConfig {
    return this.#config;
  }

  get interfaces(): ReadonlyMap<string, BridgeInterface> {
    return this.#interfaces;
  }

  interfaceByOfport(ofport: OfpPort): BridgeInterface | undefined {
    for (const i of this.#interfaces.values()) if (i.ofport === ofport) return i;
    return undefined;
  }

  /** First half: removes what the configuration no longer has, so that names and numbers are free. */
  async removeStale(config: BridgeConfig): Promise<void> {
    this.#config = config;
    const wanted = desiredInterfaces(config);
    const closing: [BridgeInterface, string | null][] = [];
    for (const [name, iface] of this.#interfaces) {
      const want = wanted.get(name);
      const isGone =
        want === undefined ||
        deviceType(want.iface, this.name, this.datapath.type) !==
          deviceType(iface.config, this.name, this.datapath.type);
      const isLost = iface.netdev !== null && !iface.netdev.present;
      if (isGone || isLost)
        closing.push([
          iface,
          isLost && !isGone ? `could not open network device ${name} (No such device)` : null,
        ]);
      if (isGone) this.#interfaces.delete(name);
    }
    await this.#closeInterfaces(closing);
  }

  /** Second half: opens what is missing and applies every setting. */
  async applyConfig(): Promise<void> {
    const config = this.#config;
    const desired = hmapOrder([...desiredInterfaces(config).values()], (d) => hashString(d.iface.name));
    // In OVS's order, so that numbers are OVS's; who asks for one gets it before others are given any.
    const asks = (d: (typeof desired)[number]): number => (d.iface.ofportRequest === undefined ? 1 : 0);
    const opening: BridgeInterface[] = [];
    for (const { port, iface } of desired.sort((a, b) => asks(a) - asks(b))) {
      let known = this.#interfaces.get(iface.name);
      if (known === undefined) {
        known = {
          config: iface,
          port,
          netdev: null,
          dpPort: null,
          ofport: null,
          error: null,
          describedSeq: -1,
        };
        this.#interfaces.set(iface.name, known);
      } else {
        known.config = iface;
        known.port = port;
      }
      if (known.netdev === null) opening.push(known);
      else await this.#applyOptions(known);
    }
    await this.#openInterfaces(opening);
    this.#applyPortConfig();
    this.#applyLocalMac();
    this.#applyDevices();
    this.#applyOpenFlow();
  }

  /** Devices whose link, MAC or MTU moved are described anew. @returns whether any was. */
  runDevices(nowMs: number): boolean {
    let changed = false;
    for (const iface of this.#interfaces.values()) {
      if (iface.netdev === null) continue;
      iface.netdev.run(nowMs);
      if (iface.ofport !== null && iface.netdev.changeSeq !== iface.describedSeq) {
        iface.describedSeq = iface.netdev.changeSeq;
        this.ofproto.updatePort(iface.ofport, describe(iface.netdev));
        changed = true;
      }
    }
    if (changed) this.#applyInternalMtu();
    return changed;
  }

  /** Forgets MAC addresses that were not seen for long, once a second. @returns whether any went. */
  ageMacs(nowMs: number): boolean {
    if (nowMs < this.#ageAtMs) return false;
    this.#ageAtMs = nowMs + 1000;
    return ageMacTable(this.#core, this.macTable, nowMs) > 0;
  }

  /** Whether a device went away or one that could not be opened may be tried again. */
  needsReconcile(): boolean {
    for (const i of this.#interfaces.values()) {
      // A patch port fails by its options alone: only a change of the configuration mends it.
      if (i.netdev === null ? i.config.type !== 'patch' : !i.netdev.present) return true;
    }
    return false;
  }

  async destroy(): Promise<void> {
    await this.#closeInterfaces([...this.#interfaces.values()].map((iface) => [iface, null]));
    this.#interfaces.clear();
    this.ofproto.destroy();
    destroyMacTable(this.#core, this.macTable);
  }

  /** Six bytes: MAC of the LOCAL device. */
  get localMac(): Uint8Array {
    return this.#interfaces.get(this.name)?.netdev?.mac ?? new Uint8Array(6);
  }

  /** What translators need of this bridge. Patch ports find their peers among `bridges`. */
  snapshot(bridges: ReadonlyMap<string, Bridge>): SnapshotBridge {
    const config = this.#config;
    const tableMiss: Record<string, 'default' | 'continue' | 'controller' | 'drop'> = {};
    for (const t of this.ofproto.tables()) {
      if (t.miss !== 'default') tableMiss[t.tableId] = t.miss;
    }
    const bundles: SnapshotBundle[] = [];
    const bundleOf = new Map<string, number>();
    const ports: SnapshotPort[] = [];
    for (const iface of this.#interfaces.values()) {
      if (iface.ofport === null || iface.netdev === null) continue;
      let bundle = bundleOf.get(iface.port.name);
      if (bundle === undefined) {
        bundle = bundles.push(bundleFor(iface.port)) - 1;
        bundleOf.set(iface.port.name, bundle);
      }
      const view = this.ofproto.port(iface.ofport);
      const peer = this.#patchPeer(iface, bridges);
      if (iface.config.type === 'patch') {
        const wanted = iface.config.options.get('peer') ?? '';
        iface.error =
          peer === null ? `No usable peer '${wanted}' exists in '${this.datapath.type}' datapath.` : null;
      }
      ports.push({
        name: iface.config.name,
        ofp: iface.ofport,
        odp: iface.dpPort?.odpPort ?? -1,
        config: view?.config ?? 0,
        mayEnable: iface.netdev.adminUp && iface.netdev.carrier,
        mac: formatMac(iface.netdev.mac),
        bundle,
        counters: iface.netdev instanceof PatchNetdev ? iface.netdev.counters : 0,
        ...(peer === null ? {} : { peer }),
      });
    }
    const hidden = this.ofproto.hiddenRules();
    return {
      name: this.name,
      id: this.bridgeId,
      datapathType: this.datapath.type,
      tablesPtr: this.ofproto.tablesPtr,
      tableMiss,
      wantsPacketInOnMiss: this.ofproto.wantsPacketInOnMiss(),
      tableCounters: this.ofproto.tableCountersPtr,
      macTable: this.macTable,
      forwardBpdu: config.otherConfig.get('forward-bpdu') === 'true',
      fragHandling: this.ofproto.fragHandling,
      failMode: config.failMode === 'secure' ? 'secure' : 'standalone',
      missRule: hidden.miss,
      noPacketInRule: hidden.noPacketIn,
      dropFragsRule: hidden.dropFrags,
      ports,
      bundles,
    };
  }

  #patchPeer(
    iface: BridgeInterface,
    bridges: ReadonlyMap<string, Bridge>,
  ): { bridge: string; ofp: number } | null {
    if (iface.config.type !== 'patch') return null;
    const peerName = iface.config.options.get('peer');
    if (peerName === undefined) return null;
    for (const bridge of bridges.values()) {
      const peer = bridge.interfaces.get(peerName);
      if (peer?.ofport == null || peer.config.type !== 'patch') continue;
      if (peer.config.options.get('peer') === iface.config.name)
        return { bridge: bridge.name, ofp: peer.ofport };
    }
    return null;
  }

  /**
   * Opens devices in the order given and gives them to the threads all together, since each thread answers
   * once it had its turn; then OpenFlow ports are made in the same order.
   */
  async #openInterfaces(ifaces: readonly BridgeInterface[]): Promise<void> {
    const attaching: Promise<string | null>[] = [];
    for (const iface of ifaces) {
      attaching.push(this.#openDevice(iface));
      if (attaching.length % openAtOnce === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const errors = await Promise.all(attaching);
    for (const [i, iface] of ifaces.entries()) {
      if (iface.netdev === null) continue;
      const error = errors[i] ?? this.#addOpenFlowPort(iface, iface.netdev);
      if (error === null) continue;
      const text = `could not add network device ${iface.config.name} to ofproto (${error})`;
      await this.#closeInterfaces([[iface, text]]);
      log.warn(text);
    }
  }

  /** @returns why the datapath did not take the device, if it could be opened at all. */
  async #openDevice(iface: BridgeInterface): Promise<string | null> {
    const { config } = iface;
    const previousError = iface.error;
    try {
      const type = deviceType(config, this.name, this.datapath.type);
      iface.netdev = openNetdev(type, config.name, config.options);
    } catch (error) {
      iface.error = messageOf(error);
      if (iface.error !== previousError) log.warn(iface.error);
      return null;
    }
    try {
      if (config.type !== 'patch') iface.dpPort = await this.datapath.addPort(iface.netdev);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  #addOpenFlowPort(iface: BridgeInterface, netdev: Netdev): string | null {
    const { name, ofport, ofportRequest } = iface.config;
    try {
      const requested = ofportRequest ?? (ofport !== undefined && ofport > 0 ? ofport : undefined);
      iface.ofport = this.ofproto.addPort(describe(netdev), requested);
      iface.describedSeq = netdev.changeSeq;
      iface.error = netdev.problem ?? null;
      log.info(`bridge ${this.name}: added interface ${name} on port ${shownPort(iface.ofport)}`);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** @param closing Interfaces and what their error is then. */
  async #closeInterfaces(closing: readonly (readonly [BridgeInterface, string | null])[]): Promise<void> {
    for (const [{ ofport, config }] of closing) {
      if (ofport === null) continue;
      log.info(`bridge ${this.name}: deleted interface ${config.name} on port ${shownPort(ofport)}`);
      flushMacPort(this.#core, this.macTable, ofport);
      this.ofproto.delPort(ofport);
    }
    await Promise.all(
      closing.map(async ([{ dpPort }]) => {
        if (dpPort !== null) await this.datapath.delPort(dpPort.odpPort);
      }),
    );
    closeNetdevs(closing.flatMap(([{ netdev }]) => netdev ?? []));
    for (const [iface, error] of closing) {
      iface.netdev = null;
      iface.dpPort = null;
      iface.ofport = null;
      iface.error = error;
    }
  }

  async #applyOptions(iface: BridgeInterface): Promise<void> {
    const { netdev, dpPort } = iface;
    try {
      netdev?.setOptions(iface.config.options);
      iface.error = netdev?.problem ?? null;
    } catch (error) {
      iface.error = messageOf(error);
      log.warn(`${iface.config.name}: could not set configuration (${iface.error})`);
    }
    if (dpPort === null || netdev?.needsReconfigure !== true) return;
    try {
      iface.dpPort = await this.datapath.reconfigurePort(dpPort.odpPort);
      iface.error = netdev.problem ?? null;
    } catch (error) {
      iface.dpPort = null;
      await this.#closeInterfaces([[iface, messageOf(error)]]);
      log.warn(`${iface.config.name}: could not reconfigure (${messageOf(error)})`);
    }
  }

  /**
   * The LOCAL device takes other_config:hwaddr, else the lowest globally administered MAC of the other
   * ports, else one derived from the bridge's UUID, which stays the same over restarts. As in OVS.
   */
  #applyLocalMac(): void {
    const local = this.#interfaces.get(this.name)?.netdev;
    if (local == null) return;
    let best = parseMac(this.#config.otherConfig.get('hwaddr') ?? '') ?? null;
    if (best === null) {
      for (const iface of this.#interfaces.values()) {
        if (iface.netdev === null || iface.netdev === local || iface.config.type === 'patch') continue;
        const mac = iface.netdev.mac;
        const isUsable = ((mac[0] ?? 3) & 3) === 0 && mac.some((b) => b !== 0);
        if (isUsable && (best === null || compareBytes(mac, best) < 0)) best = mac;
      }
    }
    best ??= macOfUuid(this.#config.uuid);
    if (compareBytes(best, local.mac) === 0) return;
    try {
      local.setMac(best);
    } catch (error) {
      log.warn(`bridge ${this.name}: failed to set MAC address of local port (${messageOf(error)})`);
    }
  }

  #applyPortConfig(): void {
    for (const { config, dpPort, ofport } of this.#interfaces.values()) {
      if (dpPort === null || ofport === null) continue;
      try {
        this.datapath.setPortConfig(dpPort.odpPort, config.otherConfig);
      } catch (error) {
        const why = messageOf(error);
        dpifLog.warn(`${this.datapath.type}@${this.datapath.name}: port_set_config failed (${why})`);
        const port = `${shownPort(ofport)} (${config.name})`;
        ofprotoLog.warn(`${this.name}: datapath configuration on port ${port} failed (${why})`);
      }
    }
  }

  #applyDevices(): void {
    for (const { config, netdev } of this.#interfaces.values()) {
      if (netdev === null) continue;
      try {
        if (config.mtuRequest !== undefined && netdev.mtu !== config.mtuRequest)
          netdev.setMtu(config.mtuRequest);
        // As in OVS, Interface.mac is for internal ports only.
        const mac =
          config.type === 'internal' && config.name !== this.name ? parseMac(config.mac) : undefined;
        if (mac !== undefined && compareBytes(mac, netdev.mac) !== 0) netdev.setMac(mac);
      } catch (error) {
        log.warn(`interface ${config.name}: ${messageOf(error)}`);
      }
    }
    this.#applyInternalMtu();
  }

  /** Internal ports without mtu_request take the smallest MTU of the others, as in OVS. */
  #applyInternalMtu(): void {
    let smallest: number | null = null;
    const internal: Netdev[] = [];
    for (const { config, netdev } of this.#interfaces.values()) {
      if (netdev === null || !netdev.present || config.type === 'patch') continue;
      if (config.name !== this.name && config.type !== 'internal')
        smallest = Math.min(smallest ?? Infinity, netdev.mtu);
      else if (config.mtuRequest === undefined) internal.push(netdev);
    }
    if (smallest === null) return;
    for (const netdev of internal) {
      if (netdev.mtu === smallest) continue;
      try {
        netdev.setMtu(smallest);
      } catch (error) {
        log.warn(`bridge ${this.name}: failed to set MTU of ${netdev.name} (${messageOf(error)})`);
      }
    }
  }

  #applyOpenFlow(): void {
    const { otherConfig, controllers, flowTables } = this.#config;
    const datapathId = this.#datapathId();
    if (datapathId !== this.ofproto.datapathId) {
      log.info(`bridge ${this.name}: using datapath ID ${datapathId.toString(16).padStart(16, '0')}`);
      this.ofproto.setDatapathId(datapathId);
    }
    this.ofproto.setProtocols(this.#config.protocols);
    this.ofproto.setFailMode(this.#config.failMode === 'secure' ? 'secure' : 'standalone');
    const description: Record<string, string> = {};
    const dpDesc = otherConfig.get('dp-desc');
    if (dpDesc !== undefined) description['datapath'] = dpDesc;
    const serial = otherConfig.get('dp-sn');
    if (serial !== undefined) description['serial'] = serial;
    this.ofproto.setDescription(description);
    this.ofproto.setControllers([
      { target: `punix:${this.#rundir}/${this.name}.mgmt`, type: 'service', inactivityProbeSec: 0 },
      ...controllers.map((c): ControllerConfig => {
        const isPassive = c.target.startsWith('p');
        return {
          target: c.target,
          type: isPassive ? 'service' : 'primary',
          enableAsyncMessages: c.enableAsyncMessages,
          dscp: dscpOf(c.otherConfig.get('dscp')),
          ...(c.maxBackoffMs === undefined ? {} : { maxBackoffSec: Math.max(1, c.maxBackoffMs / 1000) }),
          ...(c.inactivityProbeMs === undefined ? {} : { inactivityProbeSec: c.inactivityProbeMs / 1000 }),
          ...(c.rateLimit === undefined ? {} : { rateLimit: c.rateLimit }),
          ...(c.burstLimit === undefined ? {} : { burstLimit: c.burstLimit }),
        };
      }),
    ]);
    this.ofproto.setSnoops([`punix:${this.#rundir}/${this.name}.snoop`]);
    for (const [tableId, t] of flowTables) {
      this.ofproto.setTableConfig(tableId, {
        name: t.name,
        prefixes: t.prefixes,
        ...(t.flowLimit === undefined ? {} : { flowLimit: t.flowLimit }),
      });
    }
    configureMacTable(
      this.#core,
      this.macTable,
      Number(otherConfig.get('mac-table-size') ?? defaultMacEntries),
      Number(otherConfig.get('mac-aging-time') ?? defaultMacAgingSec),
    );
  }

  #datapathId(): DatapathId {
    const configured = /^(0x)?([0-9a-f]{1,16})$/i.exec(
      this.#config.otherConfig.get('datapath-id') ?? '',
    )?.[2];
    if (configured !== undefined && BigInt(`0x${configured}`) !== 0n)
      return BigInt(`0x${configured}`) as DatapathId;
    return this.localMac.reduce((id, byte) => (id << 8n) | BigInt(byte), 0n) as DatapathId;
  }
}

/** Interfaces by name; the LOCAL one is always among them, as in OVS. */
function desiredInterfaces(config: BridgeConfig): Map<string, { port: PortConfig; iface: InterfaceConfig }> {
  const wanted = new Map<string, { port: PortConfig; iface: InterfaceConfig }>();
  for (const port of config.ports)
    for (const iface of port.interfaces) wanted.set(iface.name, { port, iface });
  if (!wanted.has(config.name)) {
    const iface: InterfaceConfig = {
      uuid: '',
      name: config.name,
      type: 'internal',
      options: new Map(),
      ofportRequest: undefined,
      ofport: undefined,
      mac: '',
      mtuRequest: undefined,
      otherConfig: new Map(),
    };
    const port: PortConfig = {
      uuid: '',
      name: config.name,
      tag: undefined,
      trunks: [],
      vlanMode: '',
      otherConfig: new Map(),
      interfaces: [iface],
    };
    wanted.set(config.name, { port, iface });
  }
  return wanted;
}

/** A private unicast address from the first six bytes of a UUID, taken as OVS holds it in memory. */
function macOfUuid(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '');
  const mac = Uint8Array.from([6, 4, 2, 0, 14, 12], (at) => parseInt(hex.slice(at, at + 2), 16) || 0);
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 2;
  return mac;
}

/** As OVS: whatever the row says, the bridge's own port is internal. */
function deviceType(iface: InterfaceConfig, bridgeName: string, datapathType: string): string {
  const isInternal = iface.name === bridgeName || iface.type === 'internal';
  if (isInternal) return datapathType === 'dummy' ? 'dummy-internal' : 'internal';
  return iface.type === '' ? 'system' : iface.type;
}

function describe(netdev: Netdev): OfPortDescription {
  return {
    name: netdev.name,
    mac: netdev.mac,
    mtu: netdev.mtu,
    adminUp: netdev.adminUp,
    carrier: netdev.carrier,
    currSpeedKbps: Math.floor(netdev.linkSpeed / 1000),
  };
}

function bundleFor(port: PortConfig): SnapshotBundle {
  const hasTag = port.tag !== undefined && port.tag >= 0 && port.tag < 4096;
  const modes: Record<string, VlanMode> = {
    access: 'access',
    trunk: 'trunk',
    'native-tagged': 'native-tagged',
    'native-untagged': 'native-untagged',
    'dot1q-tunnel': 'dot1q-tunnel',
  };
  const vlanMode = modes[port.vlanMode] ?? (hasTag && port.trunks.length === 0 ? 'access' : 'trunk');
  const tags = port.otherConfig.get('priority-tags');
  const carriesTrunks = vlanMode !== 'access' && port.trunks.length > 0;
  const trunks =
    carriesTrunks && hasTag && vlanMode.startsWith('native') ? [...port.trunks, port.tag] : port.trunks;
  return {
    name: port.name,
    vlanMode,
    vlan: vlanMode === 'trunk' ? -1 : (port.tag ?? 0),
    ...(carriesTrunks ? { trunks } : {}),
    priorityTags:
      tags === 'always' || tags === 'true' ? 'always' : tags === 'if-nonzero' ? 'if-nonzero' : 'no',
    protected: port.otherConfig.get('protected') === 'true',
    floodable: true,
  };
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) return d;
  }
  return 0;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
