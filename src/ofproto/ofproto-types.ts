import type { Core } from '../arena/core.ts';
import type { Clock } from '../util/clock.ts';
import type { Random } from '../util/random.ts';
import type { OfpPort } from '../util/brand.ts';

/**
 * What a bridge's OpenFlow switch needs from outside, and what it is configured with.
 *
 * Why here: `Ofproto` is portable, so sockets, devices and the datapath come in as the interfaces
 * of this file. The daemon (src/vswitchd) and the lab implement them; tests use in-memory pairs.
 *
 * Threads: everything in this file is used on the main thread only.
 */

/** A byte stream to one OpenFlow peer. Message framing is done above it. */
export interface OfConnTransport {
  /** Printable peer name, as in OVS: `tcp:10.0.0.1:6653`, `unix#3`. */
  readonly name: string;
  /** False while an active connection is still being made. */
  readonly connected: boolean;
  /** Bytes accepted by `send` and not yet taken by the peer's side; bounds the queues above. */
  readonly queuedBytes: number;
  /** Queues bytes; never blocks, never throws. The array belongs to the transport afterwards. */
  send(bytes: Uint8Array): void;
  /** Receives any piece of the stream; the array is only valid during the call. */
  onData: (bytes: Uint8Array) => void;
  onConnect: () => void;
  /** To be called when `queuedBytes` has fallen. */
  onDrain: () => void;
  /** Called once, also when connecting failed. `error` as strerror text, undefined for a plain EOF. */
  onClose: (error: string | undefined) => void;
  /** Stops or continues reading, so that a peer cannot fill our memory. */
  setReading?(on: boolean): void;
  /** Closes from our side after what was sent is out; no `onClose` follows. */
  close(): void;
}

export interface OfListener {
  close(): void;
}

/** Makes connections for controllers, service listeners and snoopers. */
export interface OfConnFactory {
  /**
   * Starts connecting to `tcp:`, `ssl:` or `unix:`.
   *
   * @param dscp Of the packets, 0-63.
   * @throws SystemError | UsageError for a bad target
   */
  connect(target: string, dscp: number): OfConnTransport;
  /** Listens on `ptcp:`, `pssl:` or `punix:`. @throws SystemError | UsageError */
  listen(target: string, dscp: number, onAccept: (transport: OfConnTransport) => void): OfListener;
}

/** OVS's `struct ofproto_controller`. */
export interface ControllerConfig {
  readonly target: string;
  /** `primary` takes part in fail-mode and may be a master; `service` (mgmt, ptcp:) may not. */
  readonly type?: 'primary' | 'service';
  /** Seconds; default 8. */
  readonly maxBackoffSec?: number;
  /** Seconds; 0 disables; default 5. */
  readonly inactivityProbeSec?: number;
  readonly band?: 'in-band' | 'out-of-band';
  /** Default true. */
  readonly enableAsyncMessages?: boolean;
  /** Packet-ins a second, 0 = unlimited. */
  readonly rateLimit?: number;
  readonly burstLimit?: number;
  /** Of the packets, 0-63; default 0. */
  readonly dscp?: number;
}

/** One row of Controller status columns. */
export interface ControllerStatus {
  readonly target: string;
  readonly isConnected: boolean;
  /** null before the first connection. */
  readonly role: 'other' | 'master' | 'slave' | null;
  /** Keys of Controller.status: last_error, state, sec_since_connect, sec_since_disconnect. */
  readonly status: Record<string, string>;
}

export type FailMode = 'standalone' | 'secure';

/** A port as the device side describes it. Bitmaps are OVS's OFPUTIL_PC_*, OFPUTIL_PS_*, OFPUTIL_NF_*. */
export interface OfPortDescription {
  readonly name: string;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly adminUp: boolean;
  readonly carrier: boolean;
  /** OFPPF_* bitmaps; 0 when unknown. */
  readonly current?: number;
  readonly advertised?: number;
  readonly supported?: number;
  readonly peer?: number;
  readonly currSpeedKbps?: number;
  readonly maxSpeedKbps?: number;
}

/** Port counters; undefined = not supported (all ones on the wire, `?` in text). */
export interface OfPortStats {
  readonly rxPackets?: bigint | undefined;
  readonly txPackets?: bigint | undefined;
  readonly rxBytes?: bigint | undefined;
  readonly txBytes?: bigint | undefined;
  readonly rxDropped?: bigint | undefined;
  readonly txDropped?: bigint | undefined;
  readonly rxErrors?: bigint | undefined;
  readonly txErrors?: bigint | undefined;
  readonly rxFrameErr?: bigint | undefined;
  readonly rxOverErr?: bigint | undefined;
  readonly rxCrcErr?: bigint | undefined;
  readonly collisions?: bigint | undefined;
}

/** Why a packet goes to the controllers. */
export type PacketInReason = 'no_match' | 'action' | 'invalid_ttl' | 'action_set' | 'group' | 'packet_out';

/** A packet for the controllers, as the upcall side hands it over. */
export interface PacketInEvent {
  /** The whole frame. */
  readonly packet: Uint8Array;
  /** 768-byte flow with its metadata (ofp in_port, registers, tunnel ...). */
  readonly flow: Uint8Array;
  readonly reason: PacketInReason;
  readonly tableId: number;
  /** Cookie of the rule, all ones when there is none. */
  readonly cookie: bigint;
  /** Which controllers: id of the `controller` action, 0 by default. */
  readonly controllerId: number;
  /** max_len of the action; 0xffff = whole packet. Misses use each connection's miss_send_len. */
  readonly maxLen: number;
  readonly userdata?: Uint8Array;
  /** `implicit`: missed with no table-miss flow; `explicit`: by a table-miss flow (priority 0, no match). */
  readonly miss: 'none' | 'implicit' | 'explicit';
}

/** A packet_out (or similar) for the datapath side to translate and execute. */
export interface PacketOutRequest {
  readonly packet: Uint8Array;
  /** 768-byte key carrying the pipeline metadata (ofp in_port, registers, metadata, tunnel). */
  readonly flow: Uint8Array;
  /** Arena address and bytes of the actions as ofpact words; borrowed for the call. */
  readonly actions: number;
  readonly actionsLength: number;
  /** Version of the tables that the packet must see. */
  readonly version: number;
}

/** How the switch reaches threads, devices and sockets. */
export interface OfprotoDependencies {
  readonly core: Core;
  readonly clock: Clock;
  readonly random: Random;
  readonly connections: OfConnFactory;
  /** other_config:bundle-idle-timeout; default 10 s. */
  readonly bundleIdleTimeoutMs?: number;
  /** Something waits for `run`: call it soon. */
  wake(): void;
  /** Rules changed and a new version of the tables is published: have megaflows revalidated. */
  tablesChanged(): void;
  /** Something of the translation snapshot changed (ports, miss handling, frag mode): publish a new one. */
  configChanged(): void;
  /** Translates and executes at once, in this thread. @throws OfpError when refused. */
  executePacketOut(ofproto: OfprotoHandle, request: PacketOutRequest): void;
  portStats(port: OfpPort): OfPortStats;
  /** OFPPC_PORT_DOWN by port_mod. */
  setPortAdminUp(port: OfpPort, up: boolean): void;
}

/** What a dependency sees of the switch that calls it. */
export interface OfprotoHandle {
  readonly name: string;
  /** Small number, unique in the process; rules carry it in their `bridge` slot. */
  readonly bridgeId: number;
}

/** How a table treats packets that match nothing. */
export type TableMiss = 'default' | 'controller' | 'continue' | 'drop';

/** Snapshot view of a table for translators. */
export interface TableView {
  readonly tableId: number;
  /** Arena address of the classifier. */
  readonly cls: number;
  readonly miss: TableMiss;
}

/** Snapshot view of a port. */
export interface OfPortView {
  readonly ofport: OfpPort;
  readonly name: string;
  /** OFPPC_* bits (OpenFlow 1.0 numbering). */
  readonly config: number;
  /** OFPPS_* bits. */
  readonly state: number;
  readonly mac: Uint8Array;
}
