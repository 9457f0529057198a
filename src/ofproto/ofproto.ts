import type { DatapathId, OfpPort } from '../util/brand.ts';
import { BugError } from '../util/errors.ts';
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

/**
 * One bridge's OpenFlow switch: tables, ports, connections.
 *
 * Life cycle: construct -> configure (set...) and addPort in any order, any number of times ->
 * run() from main's loop -> destroy(). Main thread only.
 */
export class Ofproto {
  readonly name: string;
  readonly bridgeId: number;
  readonly deps: OfprotoDependencies;
  /** Arena address of u32[256]: the classifier of each table, 0 = empty table. */
  readonly tablesPtr: number = 0;

  constructor(name: string, bridgeId: number, datapathId: DatapathId, deps: OfprotoDependencies) {
    this.name = name;
    this.bridgeId = bridgeId;
    this.deps = deps;
    void datapathId;
  }

  // -- configuration ------------------------------------------------------------------------
  setDatapathId(_datapathId: DatapathId): void { throw new BugError('unwritten'); }
  get datapathId(): DatapathId { throw new BugError('unwritten'); }
  setFailMode(_mode: FailMode): void { throw new BugError('unwritten'); }
  /** Primary controllers, service listeners and `punix:.../BR.mgmt`; replaces the whole set. */
  setControllers(_controllers: readonly ControllerConfig[]): void { throw new BugError('unwritten'); }
  /** Allowed protocols, Bridge.protocols ('OpenFlow10', 'OpenFlow13', ...); empty = OVS's default. */
  setProtocols(_names: readonly string[]): void { throw new BugError('unwritten'); }
  /** `punix:.../BR.snoop` targets. */
  setSnoops(_targets: readonly string[]): void { throw new BugError('unwritten'); }
  /** Description strings; undefined = OVS's default. */
  setDescription(_d: { manufacturer?: string; hardware?: string; software?: string; serial?: string; datapath?: string }): void { throw new BugError('unwritten'); }
  /** Maximum rules of a table, undefined = unlimited (Flow_Table.flow_limit), and its name. */
  setTableConfig(_tableId: number, _c: { name?: string; flowLimit?: number; prefixes?: readonly string[] }): void { throw new BugError('unwritten'); }

  // -- ports --------------------------------------------------------------------------------
  /**
   * Adds a port, or describes anew one that exists under this name.
   *
   * @param requested ofport_request (or the number the database remembers), undefined = any.
   * @returns Its number; OFPP_LOCAL when the name is the bridge's.
   * @throws UsageError when no number is free.
   */
  addPort(_port: OfPortDescription, _requested?: number): OfpPort { throw new BugError('unwritten'); }
  delPort(_ofport: OfpPort): void { throw new BugError('unwritten'); }
  /** Device changed (link, MAC, MTU): sends port_status when something visible did. */
  updatePort(_ofport: OfpPort, _port: OfPortDescription): void { throw new BugError('unwritten'); }
  ports(): readonly OfPortView[] { throw new BugError('unwritten'); }
  portByName(_name: string): OfPortView | undefined { throw new BugError('unwritten'); }
  port(_ofport: OfpPort): OfPortView | undefined { throw new BugError('unwritten'); }

  // -- running ------------------------------------------------------------------------------
  /** When `run` wants to be called again though nothing happened (clock ms). */
  get wakeAtMs(): number { return Infinity; }
  run(_nowMs: number): number { throw new BugError('unwritten'); }
  /** Serves a connection accepted elsewhere (`service`: ptcp:/mgmt; `snoop`: a snooper). */
  acceptConnection(_transport: OfConnTransport, _kind: 'service' | 'snoop'): void { throw new BugError('unwritten'); }
  /** A packet for the controllers, from the event rings. */
  packetIn(_event: PacketInEvent): void { throw new BugError('unwritten'); }
  /** Whether a miss without table-miss flow interests any connection (OVS's wants_packet_in_on_miss). */
  wantsPacketInOnMiss(): boolean { throw new BugError('unwritten'); }
  /** Deletes every flow, reinstalls the hidden ones. */
  flushFlows(): void { throw new BugError('unwritten'); }
  destroy(): void { throw new BugError('unwritten'); }

  // -- looking in ---------------------------------------------------------------------------
  controllerStatus(): readonly ControllerStatus[] { throw new BugError('unwritten'); }
  tables(): readonly TableView[] { throw new BugError('unwritten'); }
  /** Lines of `bridge/dump-flows`, hidden rules included. */
  dumpFlows(): string[] { throw new BugError('unwritten'); }
  /** Key/value numbers for memory/show. */
  memoryUsage(): Record<string, number> { throw new BugError('unwritten'); }
}
