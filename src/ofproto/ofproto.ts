import type { DatapathId, OfpPort } from '../util/brand.ts';
import { BugError } from '../util/errors.ts';
import { Match } from '../flow/match.ts';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { OFPP_NORMAL } from '../openflow/ports.ts';
import { supportedVersions } from './codec.ts';
import type { ConnmgrHost } from './connection/connmgr.ts';
import { Connmgr } from './connection/connmgr.ts';
import { FAIL_OPEN_PRIORITY } from './connection/fail-open.ts';
import { versionsFromNames } from './connection/hello.ts';
import { dumpRule } from './dump-flows.ts';
import { FlowLife } from './flow-life.ts';
import type { FlowModHost } from './flow-mod.ts';
import { addInternalFlow } from './flow-mod.ts';
import { FlowModReader } from './flow-mod-reader.ts';
import { flowRemovedMessage } from './flow-removed.ts';
import { FlowTables, tableCount } from './flow-tables.ts';
import type { HiddenRules } from './hidden-rules.ts';
import { addHiddenRules } from './hidden-rules.ts';
import type {
  ControllerConfig,
  ControllerStatus,
  FailMode,
  OfConnTransport,
  OfPortDescription,
  OfPortView,
  OfprotoDependencies,
  PacketInEvent,
  TableView,
} from './ofproto-types.ts';
import type { OfPort } from './port-table.ts';
import { PortTable } from './port-table.ts';
import { handleRequest } from './requests/dispatch.ts';
import { ruleFlags } from './rule-view.ts';
import type { FragHandling, SwitchDescription, SwitchState } from './switch-state.ts';

/** What desc statistics say unless the database says otherwise. */
const defaultDescription: SwitchDescription = {
  manufacturer: 'Nicira, Inc.',
  hardware: 'Open vSwitch',
  software: '3.1.0',
  serial: 'None',
  datapath: 'None',
};

/**
 * One bridge's OpenFlow switch: tables, ports, connections.
 *
 * What: takes OpenFlow requests from connections, keeps the rules in the arena where every thread's
 * translator reads them, and sends controllers what they asked to hear. How packets are forwarded is
 * not known here.
 *
 * Life cycle: construct -> configure (set...) and addPort in any order, any number of times ->
 * run() from main's loop -> destroy(). It starts in fail mode `secure` with no rules but its own.
 *
 * Threads: main only.
 */
export class Ofproto implements SwitchState {
  readonly name: string;
  readonly bridgeId: number;
  readonly deps: OfprotoDependencies;
  readonly flowTables: FlowTables;
  readonly portTable: PortTable;
  readonly connmgr: Connmgr;
  readonly life: FlowLife;
  readonly flowModHost: FlowModHost;
  readonly flowModReader: FlowModReader;
  description: SwitchDescription = defaultDescription;
  fragHandling: FragHandling = 'normal';
  #datapathId: DatapathId;
  readonly #hidden: HiddenRules;
  #isRunning = false;
  #areTablesChanged = false;

  /** @param bridgeId Unique for the life of the daemon, > 0. @throws ArenaFullError */
  constructor(name: string, bridgeId: number, datapathId: DatapathId, deps: OfprotoDependencies) {
    this.name = name;
    this.bridgeId = bridgeId;
    this.deps = deps;
    this.#datapathId = datapathId;
    this.flowTables = new FlowTables(deps.core, bridgeId);
    this.portTable = new PortTable(name);
    this.life = new FlowLife(deps.core, this.flowTables.rules, deps.clock.nowMs());
    this.flowModHost = this.#makeFlowModHost();
    this.flowModReader = new FlowModReader(deps.core, this.flowTables);
    this.connmgr = new Connmgr(this.#makeConnmgrHost());
    this.connmgr.setAllowedVersions(supportedVersions);
    this.#hidden = addHiddenRules(this.flowModHost);
  }

  #makeFlowModHost(): FlowModHost {
    return {
      tables: this.flowTables,
      nowMs: () => this.deps.clock.nowMs(),
      added: (rule) => {
        this.life.watch(rule);
      },
      replaced: (rule, successor, keepCounts) => {
        this.life.replaced(rule, successor, keepCounts, this.deps.clock.nowMs());
      },
      removed: (rule, reason) => {
        const { rules } = this.flowTables;
        if ((rules.flags(rule) & ruleFlags.SEND_FLOW_REM) === 0 || rules.isHidden(rule)) return;
        if (!this.connmgr.anyWantsFlowRemoved(reason)) return;
        this.life.settle(this.deps.clock.nowMs());
        this.connmgr.sendFlowRemoved(flowRemovedMessage(rules, rule, reason, this.deps.clock.nowMs()));
      },
      publish: () => {
        if (this.#isRunning) this.#areTablesChanged = true;
        else this.deps.tablesChanged();
      },
    };
  }

  #makeConnmgrHost(): ConnmgrHost {
    return {
      name: this.name,
      deps: this.deps,
      handleRequest: (conn, request) => handleRequest(this, conn, request),
      flushFlows: () => {
        this.flushFlows();
      },
      addNormalRule: (priority) => {
        addInternalFlow(this.flowModHost, 0, new Match(), priority, [
          { kind: 'output', port: OFPP_NORMAL, maxLen: 0 },
        ]);
      },
      removeFailOpenRule: () => {
        this.#removeRule(0, FAIL_OPEN_PRIORITY);
      },
      sendBogusPacketIn: () => {
        this.packetIn(bogusPacketIn(this.portTable.byName(this.name)?.mac ?? new Uint8Array(6)));
      },
      configChanged: () => {
        this.deps.configChanged();
      },
    };
  }

  #removeRule(tableId: number, priority: number): void {
    const { flowTables } = this;
    flowTables.change((change) => {
      flowTables.loadMatch(new Match());
      const rule = flowTables.findLoaded(tableId, priority, change.version);
      if (rule !== 0) flowTables.remove(change, rule, 'delete');
    }, this.flowModHost);
  }

  // -- configuration ------------------------------------------------------------------------

  get datapathId(): DatapathId {
    return this.#datapathId;
  }
  /** A new id breaks all connections, since controllers know the switch by it. */
  setDatapathId(datapathId: DatapathId): void {
    if (datapathId === this.#datapathId) return;
    this.#datapathId = datapathId;
    this.connmgr.reconnect();
  }
  setFailMode(mode: FailMode): void {
    this.connmgr.setFailMode(mode);
  }
  get failMode(): FailMode {
    return this.connmgr.failMode;
  }
  /** Primary controllers, service listeners and `punix:.../BR.mgmt`; replaces the whole set. */
  setControllers(controllers: readonly ControllerConfig[]): void {
    this.connmgr.setControllers(controllers);
  }
  /** Allowed protocols, Bridge.protocols ('OpenFlow10', 'OpenFlow13', ...); empty = all we speak. */
  setProtocols(names: readonly string[]): void {
    const wanted = versionsFromNames(names) & supportedVersions;
    this.connmgr.setAllowedVersions(wanted === 0 ? supportedVersions : wanted);
  }
  /** `punix:.../BR.snoop` targets. */
  setSnoops(targets: readonly string[]): void {
    this.connmgr.setSnoops(targets);
  }
  /** Description strings; absent = OVS's default. */
  setDescription(description: Partial<SwitchDescription>): void {
    this.description = { ...defaultDescription, ...description };
  }
  /** Name, most rules (absent = unlimited) and prefix fields of a table (database: Flow_Table). */
  setTableConfig(
    tableId: number,
    config: { name?: string; flowLimit?: number; prefixes?: readonly string[] },
  ): void {
    if (tableId >= tableCount) throw new BugError(`table ${tableId}`);
    const own = this.flowTables.config(tableId);
    own.name = config.name ?? '';
    own.flowLimit = config.flowLimit ?? Infinity;
    this.flowTables.setPrefixes(tableId, config.prefixes ?? null);
  }

  // -- ports --------------------------------------------------------------------------------

  /**
   * Adds a port, or describes anew one that exists under this name.
   *
   * @param requested ofport_request (or the number the database remembers), absent = any.
   * @returns Its number; OFPP_LOCAL when the name is the bridge's.
   * @throws UsageError when no number is free.
   */
  addPort(description: OfPortDescription, requested?: number): OfpPort {
    const existing = this.portTable.byName(description.name);
    if (existing !== undefined) {
      this.updatePort(existing.ofport, description);
      return existing.ofport;
    }
    const port = this.portTable.add(description, requested, this.deps.clock.nowMs());
    this.connmgr.sendPortStatus(null, 'add', port.phyPort());
    this.deps.configChanged();
    return port.ofport;
  }
  delPort(ofport: OfpPort): void {
    const port = this.portTable.delete(ofport, this.deps.clock.nowMs());
    if (port === undefined) return;
    this.connmgr.sendPortStatus(null, 'delete', port.phyPort());
    this.deps.configChanged();
  }
  /** Device changed (link, MAC, MTU): sends port_status when something visible did. */
  updatePort(ofport: OfpPort, description: OfPortDescription): void {
    const port = this.portTable.get(ofport);
    if (port?.describe(description) !== true) return;
    this.connmgr.sendPortStatus(null, 'modify', port.phyPort());
    this.deps.configChanged();
  }
  ports(): readonly OfPortView[] {
    return this.portTable.all().map(view);
  }
  portByName(name: string): OfPortView | undefined {
    const port = this.portTable.byName(name);
    return port && view(port);
  }
  port(ofport: OfpPort): OfPortView | undefined {
    const port = this.portTable.get(ofport);
    return port && view(port);
  }

  // -- running ------------------------------------------------------------------------------

  /** When `run` wants to be called again though nothing happened (clock ms). */
  get wakeAtMs(): number {
    return Math.min(this.connmgr.wakeAtMs, this.life.wakeAtMs);
  }
  /** Serves connections and time-outs. @returns Work done: call again at once while it is not 0. */
  run(nowMs: number): number {
    // Packets see each change at once; megaflows are revalidated once for all requests of this turn.
    this.#isRunning = true;
    let work: number;
    try {
      work = this.connmgr.run(nowMs);
      this.#expire(nowMs);
    } finally {
      this.#isRunning = false;
    }
    if (this.#areTablesChanged) {
      this.#areTablesChanged = false;
      this.deps.tablesChanged();
    }
    return work;
  }
  #expire(nowMs: number): void {
    if (this.flowTables.gate.isBusy) return;
    this.flowTables.change((change) => {
      this.life.run(nowMs, (rule, reason) => {
        this.flowTables.remove(change, rule, reason);
      });
    }, this.flowModHost);
  }
  /** Serves a connection accepted elsewhere (`service`: ptcp:/mgmt; `snoop`: a snooper). */
  acceptConnection(transport: OfConnTransport, kind: 'service' | 'snoop'): void {
    this.connmgr.accept(transport, kind);
  }
  /** A packet for the controllers, from the event rings. */
  packetIn(event: PacketInEvent): void {
    this.connmgr.sendPacketIn(event);
  }
  /** Whether a miss without table-miss flow interests any connection (OVS's wants_packet_in_on_miss). */
  wantsPacketInOnMiss(): boolean {
    return this.connmgr.wantsPacketInOnMiss();
  }
  /** Deletes every flow but the switch's own without telling anyone, then installs what the fail mode asks for. */
  flushFlows(): void {
    const { flowTables } = this;
    flowTables.change((change) => {
      for (let id = 0; id < tableCount - 1; id++) {
        for (const rule of flowTables.all(id)) flowTables.remove(change, rule);
      }
    }, this.flowModHost);
    this.connmgr.flushed();
  }
  destroy(): void {
    this.connmgr.destroy();
    this.life.destroy();
    this.flowTables.destroy();
  }

  // -- looking in ---------------------------------------------------------------------------

  /** Arena address of u32[256]: the classifier of each table, 0 = empty table. */
  get tablesPtr(): number {
    return this.flowTables.tablesPtr;
  }
  /** Arena address of 256 x { u64 matched, u64 missed }, which translators count in. */
  get tableCountersPtr(): number {
    return this.flowTables.countersPtr;
  }
  /** Addresses of the switch's own rules whose statistics count misses. */
  hiddenRules(): HiddenRules {
    return this.#hidden;
  }
  controllerStatus(): readonly ControllerStatus[] {
    return this.connmgr.status();
  }
  /** Tables that have had rules or settings. */
  tables(): readonly TableView[] {
    const views: TableView[] = [];
    for (let tableId = 0; tableId < tableCount; tableId++) {
      const cls = this.flowTables.classifier(tableId);
      const config = this.flowTables.configOf(tableId);
      if (cls !== 0 || config !== undefined) views.push({ tableId, cls, miss: config?.miss ?? 'default' });
    }
    return views;
  }
  /** Lines of `bridge/dump-flows`, hidden rules included. */
  dumpFlows(): string[] {
    const nowMs = this.deps.clock.nowMs();
    this.life.settle(nowMs);
    const lines: string[] = [];
    for (let id = 0; id < tableCount; id++) {
      for (const rule of this.flowTables.all(id)) lines.push(dumpRule(this.flowTables.rules, rule, nowMs));
    }
    return lines;
  }
  /** Numbers for memory/show. */
  memoryUsage(): Record<string, number> {
    let rules = 0;
    for (let id = 0; id < tableCount; id++) rules += this.flowTables.ruleCount(id);
    return { ports: this.portTable.size, rules, ofconns: this.connmgr.conns().length };
  }
}

function view(port: OfPort): OfPortView {
  return { ofport: port.ofport, name: port.name, config: port.config, state: port.state, mac: port.mac };
}

/** An empty Ethernet broadcast: enough for a controller that only watches packet-ins to notice the switch. */
function bogusPacketIn(mac: Uint8Array): PacketInEvent {
  const packet = new Uint8Array(14 + 28);
  packet.fill(0xff, 0, 6);
  packet.set(mac, 6);
  return {
    packet,
    flow: new Uint8Array(KEY_SIZE),
    reason: 'no_match',
    tableId: 0,
    cookie: 0xffff_ffff_ffff_ffffn,
    controllerId: 0,
    maxLen: 0xffff,
    miss: 'implicit',
  };
}
