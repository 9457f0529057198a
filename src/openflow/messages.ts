/**
 * Messages in abstract form, one type for all OpenFlow versions.
 *
 * What: a discriminated union over `type`. Codecs (`decode.ts`, `encode.ts`) turn bytes of any supported
 * version into these and back; nothing else knows how a version lays a message out.
 *
 * Numbers that a version lacks are absent or neutral (`OFPG_ANY`, `OFP_NO_BUFFER`, `OFPTT_ALL`).
 * Statistics that are unknown are the all-ones bigint (`UNKNOWN_COUNT`), as on the wire.
 * Durations are split in seconds and nanoseconds only on the wire: here `durationMs`.
 */
import type { Match } from '../flow/match.ts';
import type { OfpPort } from '../util/brand.ts';
import type { Action, PacketInReason } from './actions.ts';
import type { BundleAddMessage, BundleControl } from './bundle-types.ts';

export { BundleControlType, BundleFlag, type BundleAddMessage, type BundleControl } from './bundle-types.ts';

export const UNKNOWN_COUNT = 0xffffffffffffffffn;

/** OpenFlow wire versions. */
export type OfpVersion = 1 | 2 | 3 | 4 | 5 | 6;

export interface HelloMessage {
  readonly type: 'hello';
  /** Bit n: version n is supported. */
  readonly versionBitmap: number;
  /** It held something that is not understood. */
  readonly hasUnknown?: boolean;
}

export interface ErrorMessage {
  readonly type: 'error';
  /** OFPxxx name, or `type/code` numbers when unknown. */
  readonly error: string;
  /** The start of the message that caused it, or the text of a hello failure. */
  readonly data: Uint8Array;
}

export interface EchoMessage {
  readonly type: 'echo_request' | 'echo_reply';
  readonly data: Uint8Array;
}

/** Requests without a body. */
export interface PlainRequest {
  readonly type:
    | 'features_request'
    | 'get_config_request'
    | 'barrier_request'
    | 'barrier_reply'
    | 'desc_request'
    | 'table_stats_request'
    | 'table_features_request'
    | 'group_desc_request'
    | 'group_features_request'
    | 'meter_features_request'
    | 'get_async_request';
}

export type Capability =
  | 'FLOW_STATS'
  | 'TABLE_STATS'
  | 'PORT_STATS'
  | 'GROUP_STATS'
  | 'IP_REASM'
  | 'QUEUE_STATS'
  | 'ARP_MATCH_IP'
  | 'STP'
  | 'PORT_BLOCKED'
  | 'BUNDLES'
  | 'FLOW_MONITORING';

export interface FeaturesReply {
  readonly type: 'features_reply';
  readonly datapathId: bigint;
  readonly nBuffers: number;
  readonly nTables: number;
  readonly auxiliaryId: number;
  readonly capabilities: ReadonlySet<Capability>;
  /** OpenFlow 1.0 only: kinds of actions by their OFPAT10_* bit. */
  readonly actions: number;
  /** OpenFlow 1.0-1.2; later versions have `port_desc_reply`. */
  readonly ports: readonly PhyPort[];
}

export interface SwitchConfig {
  readonly type: 'set_config' | 'get_config_reply';
  readonly frag: 'normal' | 'drop' | 'reassemble' | 'nx-match';
  /** OFPC_INVALID_TTL_TO_CONTROLLER; null where the version has no such bit. */
  readonly invalidTtlToController: boolean | null;
  readonly missSendLen: number;
}

/** Configuration of a port; OFPPC_* bits of all versions. */
export const PortConfig = {
  PORT_DOWN: 1 << 0,
  NO_STP: 1 << 1,
  NO_RECV: 1 << 2,
  NO_RECV_STP: 1 << 3,
  NO_FLOOD: 1 << 4,
  NO_FWD: 1 << 5,
  NO_PACKET_IN: 1 << 6,
} as const;

/** State of a port: OFPPS_* bits of 1.1+, and the STP state of 1.0 in its place (bits 8-9). */
export const PortState = {
  LINK_DOWN: 1 << 0,
  BLOCKED: 1 << 1,
  LIVE: 1 << 2,
  STP_MASK: 3 << 8,
  STP_LISTEN: 0 << 8,
  STP_LEARN: 1 << 8,
  STP_FORWARD: 2 << 8,
  STP_BLOCK: 3 << 8,
} as const;

/** OFPPF_* features of a port, in OpenFlow 1.1+ bits. */
export const PortFeature = {
  '10MB_HD': 1 << 0,
  '10MB_FD': 1 << 1,
  '100MB_HD': 1 << 2,
  '100MB_FD': 1 << 3,
  '1GB_HD': 1 << 4,
  '1GB_FD': 1 << 5,
  '10GB_FD': 1 << 6,
  '40GB_FD': 1 << 7,
  '100GB_FD': 1 << 8,
  '1TB_FD': 1 << 9,
  OTHER: 1 << 10,
  COPPER: 1 << 11,
  FIBER: 1 << 12,
  AUTO_NEG: 1 << 13,
  AUTO_PAUSE: 1 << 14,
  AUTO_PAUSE_ASYM: 1 << 15,
} as const;

export interface PhyPort {
  readonly port: OfpPort;
  /** 6 bytes. */
  readonly hwAddr: Uint8Array;
  readonly name: string;
  /** `PortConfig` bits. */
  readonly config: number;
  /** `PortState` bits. */
  readonly state: number;
  /** `PortFeature` bits. */
  readonly curr: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  readonly currSpeedKbps: number;
  readonly maxSpeedKbps: number;
}

export interface PortStatusMessage {
  readonly type: 'port_status';
  readonly reason: 'add' | 'delete' | 'modify';
  readonly desc: PhyPort;
}

export interface PortModMessage {
  readonly type: 'port_mod';
  readonly port: OfpPort;
  readonly hwAddr: Uint8Array;
  /** `PortConfig` bits. */
  readonly config: number;
  readonly mask: number;
  /** 0: leave. */
  readonly advertise: number;
}

export type FlowModCommand = 'add' | 'modify' | 'modify_strict' | 'delete' | 'delete_strict';

export interface FlowModFlags {
  readonly sendFlowRem: boolean;
  readonly checkOverlap: boolean;
  readonly resetCounts: boolean;
  readonly noPacketCounts: boolean;
  readonly noByteCounts: boolean;
  readonly emergency: boolean;
}

export interface FlowMod {
  readonly type: 'flow_mod';
  readonly command: FlowModCommand;
  readonly match: Match;
  readonly priority: number;
  /** Which flows to change: (flow cookie & mask) == cookie. */
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  /** Cookie of a flow that is added or changed; all ones = leave as it is (modify). */
  readonly newCookie: bigint;
  readonly modifyCookie: boolean;
  readonly tableId: number;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly bufferId: number;
  readonly outPort: OfpPort;
  readonly outGroup: number;
  readonly flags: FlowModFlags;
  readonly importance: number;
  readonly actions: readonly Action[];
}

export type FlowRemovedReason = 'idle' | 'hard' | 'delete' | 'group_delete' | 'meter_delete' | 'eviction';

export interface FlowRemoved {
  readonly type: 'flow_removed';
  readonly match: Match;
  readonly cookie: bigint;
  readonly priority: number;
  readonly reason: FlowRemovedReason;
  /** 255: unknown (OpenFlow 1.0). */
  readonly tableId: number;
  readonly durationMs: number;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
}

/** Wire forms of a packet-in; `standard` is the version's own. */
export type PacketInFormat = 'nxt_packet_in' | 'nxt_packet_in2' | 'standard';

export interface PacketIn {
  readonly type: 'packet_in';
  readonly packet: Uint8Array;
  /** Length of the packet before it was cut to maxLen. */
  readonly totalLen: number;
  readonly bufferId: number;
  readonly reason: PacketInReason;
  /** 0 and all-ones cookie where no rule is known. */
  readonly tableId: number;
  readonly cookie: bigint;
  /** in_port and other pipeline metadata. */
  readonly metadata: Match;
  readonly userdata: Uint8Array;
  readonly continuation: Uint8Array | null;
}

export interface PacketOut {
  readonly type: 'packet_out';
  readonly bufferId: number;
  readonly packet: Uint8Array;
  /** in_port and (1.5) other metadata. */
  readonly metadata: Match;
  readonly actions: readonly Action[];
}

export interface FlowStatsRequest {
  readonly type: 'flow_stats_request' | 'aggregate_stats_request';
  readonly match: Match;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: OfpPort;
  readonly outGroup: number;
  readonly tableId: number;
}

export interface FlowStats {
  readonly match: Match;
  readonly priority: number;
  readonly cookie: bigint;
  readonly tableId: number;
  readonly durationMs: number;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  /** Milliseconds since last used / created, or -1 when not told (flow_age is not asked for). */
  readonly idleAgeSec: number;
  readonly hardAgeSec: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flags: FlowModFlags;
  readonly importance: number;
  readonly actions: readonly Action[];
}

export interface FlowStatsReply {
  readonly type: 'flow_stats_reply';
  readonly flows: readonly FlowStats[];
  readonly more?: boolean;
}

export interface AggregateStatsReply {
  readonly type: 'aggregate_stats_reply';
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flowCount: number;
}

export interface TableStats {
  readonly tableId: number;
  /** Since 1.3 on the wire only in table features. */
  readonly name: string;
  readonly maxEntries: number;
  readonly activeCount: number;
  readonly lookupCount: bigint;
  readonly matchedCount: bigint;
  /** 1.0: OFPFW10_* wildcards supported; others ignore it. */
  readonly wildcards?: number;
}

export interface TableStatsReply {
  readonly type: 'table_stats_reply';
  readonly tables: readonly TableStats[];
  readonly more?: boolean;
}

export interface PortStatsRequest {
  readonly type: 'port_stats_request' | 'port_desc_request';
  /** OFPP_NONE: all. */
  readonly port: OfpPort;
}

export interface PortStats {
  readonly port: OfpPort;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxFrameErr: bigint;
  readonly rxOverErr: bigint;
  readonly rxCrcErr: bigint;
  readonly collisions: bigint;
  /** null: unknown (1.0). */
  readonly durationMs: number | null;
}

export interface PortStatsReply {
  readonly type: 'port_stats_reply';
  readonly ports: readonly PortStats[];
  readonly more?: boolean;
}

export interface PortDescReply {
  readonly type: 'port_desc_reply';
  readonly ports: readonly PhyPort[];
  readonly more?: boolean;
}

export interface DescReply {
  readonly type: 'desc_reply';
  readonly mfrDesc: string;
  readonly hwDesc: string;
  readonly swDesc: string;
  readonly serialNum: string;
  readonly dpDesc: string;
}

export interface QueueStatsRequest {
  readonly type: 'queue_stats_request';
  readonly port: OfpPort;
  readonly queueId: number;
}

export interface QueueStats {
  readonly port: OfpPort;
  readonly queueId: number;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly durationMs: number | null;
}

export interface QueueStatsReply {
  readonly type: 'queue_stats_reply';
  readonly queues: readonly QueueStats[];
  readonly more?: boolean;
}

export interface QueueGetConfigRequest {
  readonly type: 'queue_get_config_request';
  readonly port: OfpPort;
  readonly queueId: number;
}

export interface QueueConfig {
  readonly port: OfpPort;
  readonly queueId: number;
  /** Tenths of a percent, 0xffff = unknown. */
  readonly minRate: number;
  readonly maxRate: number;
}

export interface QueueGetConfigReply {
  readonly type: 'queue_get_config_reply';
  readonly port: OfpPort;
  readonly queues: readonly QueueConfig[];
}

export type ControllerRole = 'nochange' | 'equal' | 'master' | 'slave';

export interface RoleMessage {
  readonly type: 'role_request' | 'role_reply';
  readonly role: ControllerRole;
  /** null: not given (NXT). */
  readonly generationId: bigint | null;
}

/** Which asynchronous messages a controller gets, bit n = reason n, [slave, master or equal]. */
export interface AsyncConfig {
  readonly type: 'set_async_config' | 'get_async_reply';
  readonly packetIn: readonly [slave: number, master: number];
  readonly portStatus: readonly [slave: number, master: number];
  readonly flowRemoved: readonly [slave: number, master: number];
  /** Since 1.4; off when absent. */
  readonly roleStatus?: readonly [slave: number, master: number];
  readonly tableStatus?: readonly [slave: number, master: number];
  readonly requestForward?: readonly [slave: number, master: number];
}

export interface NxSetFlowFormat {
  readonly type: 'nx_set_flow_format';
  readonly format: 'openflow10' | 'nxm';
}
export interface NxFlowModTableId {
  readonly type: 'nx_flow_mod_table_id';
  readonly enable: boolean;
}
export interface NxSetPacketInFormat {
  readonly type: 'nx_set_packet_in_format';
  readonly format: PacketInFormat;
}
export interface NxFlowAge {
  readonly type: 'nx_flow_age';
}
export interface NxSetControllerId {
  readonly type: 'nx_set_controller_id';
  readonly controllerId: number;
}
export interface NxResume {
  readonly type: 'nx_resume';
  readonly packetIn: PacketIn;
}

export interface TableMod {
  readonly type: 'table_mod';
  readonly tableId: number;
  /** OFPTC11_* bits. */
  readonly config: number;
}

/** Groups and meters are known enough to be answered; their bodies stay bytes. */
export interface GroupStatsRequest {
  readonly type: 'group_stats_request';
  readonly groupId: number;
}
export interface MeterStatsRequest {
  readonly type: 'meter_stats_request' | 'meter_config_request';
  readonly meterId: number;
}
export interface GroupMod {
  readonly type: 'group_mod';
  readonly command: number;
  readonly groupId: number;
  readonly body: Uint8Array;
}
export interface MeterMod {
  readonly type: 'meter_mod';
  readonly command: number;
  readonly meterId: number;
  readonly body: Uint8Array;
}

/** A multipart reply with no entries. */
export interface EmptyReply {
  readonly type: 'group_stats_reply' | 'group_desc_reply' | 'meter_stats_reply' | 'meter_config_reply';
}

export interface GroupFeaturesReply {
  readonly type: 'group_features_reply';
  readonly types: number;
  readonly capabilities: number;
  readonly maxGroups: readonly [number, number, number, number];
  readonly actions: readonly [number, number, number, number];
}

export interface MeterFeaturesReply {
  readonly type: 'meter_features_reply';
  readonly maxMeters: number;
  readonly bandTypes: number;
  readonly capabilities: number;
  readonly maxBands: number;
  readonly maxColor: number;
}

export interface TableFeatures {
  readonly tableId: number;
  readonly name: string;
  readonly metadataMatch: bigint;
  readonly metadataWrite: bigint;
  readonly maxEntries: number;
  /** Tables that goto_table may name. */
  readonly nextTables: readonly number[];
  /** What a reply said of the table, as it was read. */
  readonly details?: TableFeatureDetails;
}

/** Properties of table features: for flows [0] and for the table-miss flow [1]. */
export interface TableFeatureDetails {
  readonly instructions: readonly (readonly number[])[];
  readonly nextTables: readonly (readonly number[])[];
  readonly writeActions: readonly (readonly number[])[];
  readonly applyActions: readonly (readonly number[])[];
  /** Names of fields. */
  readonly writeSetFields: readonly (readonly string[])[];
  readonly applySetFields: readonly (readonly string[])[];
  readonly maskable: readonly string[];
  readonly exactOrWildcard: readonly string[];
  readonly exactOnly: readonly string[];
}

export interface TableFeaturesReply {
  readonly type: 'table_features_reply';
  readonly tables: readonly TableFeatures[];
  readonly more?: boolean;
}

export type OfpMessage =
  | HelloMessage
  | ErrorMessage
  | EchoMessage
  | PlainRequest
  | FeaturesReply
  | SwitchConfig
  | PortStatusMessage
  | PortModMessage
  | FlowMod
  | FlowRemoved
  | PacketIn
  | PacketOut
  | FlowStatsRequest
  | FlowStatsReply
  | AggregateStatsReply
  | TableStatsReply
  | PortStatsRequest
  | PortStatsReply
  | PortDescReply
  | DescReply
  | QueueStatsRequest
  | QueueStatsReply
  | QueueGetConfigRequest
  | QueueGetConfigReply
  | RoleMessage
  | AsyncConfig
  | NxSetFlowFormat
  | NxFlowModTableId
  | NxSetPacketInFormat
  | NxFlowAge
  | NxSetControllerId
  | NxResume
  | TableMod
  | GroupStatsRequest
  | MeterStatsRequest
  | GroupMod
  | MeterMod
  | BundleControl
  | BundleAddMessage
  | EmptyReply
  | GroupFeaturesReply
  | MeterFeaturesReply
  | TableFeaturesReply;

export type OfpMessageType = OfpMessage['type'];

export const noFlowModFlags: FlowModFlags = {
  sendFlowRem: false,
  checkOverlap: false,
  resetCounts: false,
  noPacketCounts: false,
  noByteCounts: false,
  emergency: false,
};
