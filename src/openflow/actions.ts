/**
 * Actions in abstract form, one type for all OpenFlow versions (OVS's "ofpacts").
 *
 * What: a discriminated union over `kind`, whose names are OVS's. A list of actions is `Action[]`;
 * dropping is the empty list. Instructions of OpenFlow 1.1+ are actions too (`meter`,
 * `clear_actions`, `write_actions`, `write_metadata`, `goto_table`), in the order in which
 * the specification executes them; apply_actions is the plain list.
 *
 * Values: port numbers are in 32-bit form. Field values and masks are big-endian bytes, as
 * long as the field (`field.bytes`), right-aligned where the field has fewer bits.
 * `raw` tells two encodings of one meaning apart where OVS prints them differently.
 */
import type { Field, Subfield } from '../flow/fields.ts';
import type { OfpPort } from '../util/brand.ts';

/** Why a packet goes to the controller; numbers of OFPR_* (OpenFlow 1.4+ for those above 2). */
export type PacketInReason =
  | 'no_match'
  | 'action'
  | 'invalid_ttl'
  | 'action_set'
  | 'group'
  | 'packet_out'
  | 'explicit_miss'
  | 'implicit_miss';

export interface OutputAction {
  readonly kind: 'output';
  readonly port: OfpPort;
  /** Bytes to send, for OFPP_CONTROLLER only. */
  readonly maxLen: number;
}

export interface ControllerAction {
  readonly kind: 'controller';
  readonly maxLen: number;
  readonly reason: PacketInReason;
  readonly controllerId: number;
  /** Continuation: the packet's translation goes on when the controller says so. */
  readonly pause: boolean;
  readonly userdata: Uint8Array;
  /** Meter of this packet-in, 0 for none of its own. */
  readonly meterId: number;
}

export interface EnqueueAction {
  readonly kind: 'enqueue';
  readonly port: OfpPort;
  readonly queue: number;
}

export interface OutputRegAction {
  readonly kind: 'output_reg';
  readonly src: Subfield;
  readonly maxLen: number;
}

export interface OutputTruncAction {
  readonly kind: 'output_trunc';
  readonly port: OfpPort;
  readonly maxLen: number;
}

export interface GroupAction {
  readonly kind: 'group';
  readonly groupId: number;
}

export type HashFields =
  'eth_src' | 'symmetric_l4' | 'symmetric_l3l4' | 'symmetric_l3l4+udp' | 'nw_src' | 'nw_dst' | 'symmetric_l3';

export interface BundleAction {
  readonly kind: 'bundle';
  readonly fields: HashFields;
  readonly basis: number;
  readonly algorithm: 'active_backup' | 'hrw';
  readonly slaves: readonly OfpPort[];
  /** bundle_load: where the chosen port number goes; absent for bundle, which outputs. */
  readonly dst?: Subfield;
}

export interface SetFieldAction {
  readonly kind: 'set_field';
  readonly field: Field;
  /** `field.bytes` long, zero outside the mask. */
  readonly value: Uint8Array;
  /** Same length; all 0xff for a set of the whole field (a `load` has ones only where it writes). */
  readonly mask: Uint8Array;
  /** `load` prints and encodes as NXAST_REG_LOAD, `load2` encodes as NXAST_REG_LOAD2. */
  readonly raw: 'set_field' | 'load' | 'load2';
}

export interface RegMoveAction {
  readonly kind: 'reg_move';
  readonly src: Subfield;
  readonly dst: Subfield;
}

export interface StackAction {
  readonly kind: 'stack_push' | 'stack_pop';
  readonly subfield: Subfield;
}

export interface StripVlanAction {
  readonly kind: 'strip_vlan';
  /** `pop_vlan` of OpenFlow 1.1+ (same meaning; affects printing only). */
  readonly raw: 'strip_vlan' | 'pop_vlan';
}

export interface PushVlanAction {
  readonly kind: 'push_vlan';
  readonly ethertype: number;
}

export interface SetVlanVidAction {
  readonly kind: 'set_vlan_vid';
  readonly vid: number;
  /** OpenFlow 1.0 pushes a tag when there is none. */
  readonly pushVlanIfNeeded: boolean;
  /** Set by the consistency check: the flow is known to have a tag. */
  readonly flowHasVlan: boolean;
}

export interface SetVlanPcpAction {
  readonly kind: 'set_vlan_pcp';
  readonly pcp: number;
  readonly pushVlanIfNeeded: boolean;
  readonly flowHasVlan: boolean;
}

export interface SetEthAction {
  readonly kind: 'set_eth_src' | 'set_eth_dst';
  readonly mac: Uint8Array;
}

export interface SetIpv4Action {
  readonly kind: 'set_ipv4_src' | 'set_ipv4_dst';
  readonly ipv4: number;
}

export interface SetIpDscpAction {
  readonly kind: 'set_ip_dscp';
  /** The whole TOS byte with zero ECN, e.g. 0xfc. */
  readonly dscp: number;
}

export interface SetIpEcnAction {
  readonly kind: 'set_ip_ecn';
  readonly ecn: number;
}

export interface SetIpTtlAction {
  readonly kind: 'set_ip_ttl';
  readonly ttl: number;
}

export interface SetL4PortAction {
  readonly kind: 'set_l4_src_port' | 'set_l4_dst_port';
  readonly port: number;
  /** IP protocol of the flow, filled in by the consistency check; 0 before. */
  readonly flowIpProto: number;
}

export interface DecTtlAction {
  readonly kind: 'dec_ttl';
  /** Controllers that get the packet when its TTL expires; [0] for plain dec_ttl. */
  readonly controllerIds: readonly number[];
  readonly raw: 'dec_ttl' | 'dec_ttl_cnt_ids';
}

export interface SetMplsLabelAction {
  readonly kind: 'set_mpls_label';
  readonly label: number;
}
export interface SetMplsTcAction {
  readonly kind: 'set_mpls_tc';
  readonly tc: number;
}
export interface SetMplsTtlAction {
  readonly kind: 'set_mpls_ttl';
  readonly ttl: number;
}
export interface PushMplsAction {
  readonly kind: 'push_mpls';
  readonly ethertype: number;
}
export interface PopMplsAction {
  readonly kind: 'pop_mpls';
  readonly ethertype: number;
}

export interface SetTunnelAction {
  readonly kind: 'set_tunnel';
  readonly tunId: bigint;
  /** Encodes as NXAST_SET_TUNNEL64. */
  readonly is64: boolean;
}

export interface SetQueueAction {
  readonly kind: 'set_queue';
  readonly queueId: number;
}

export interface FinTimeoutAction {
  readonly kind: 'fin_timeout';
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
}

export interface ResubmitAction {
  readonly kind: 'resubmit';
  /** OFPP_IN_PORT keeps the packet's own. */
  readonly inPort: OfpPort;
  /** 0xff: the current table. */
  readonly tableId: number;
  /** `resubmit(port,table,ct)`: look up with the connection's original tuple. */
  readonly withCtOrig: boolean;
  /** Which NXAST it came as; `resubmit:PORT` prints differently. */
  readonly raw: 'resubmit' | 'resubmit_table' | 'resubmit_table_ct';
}

export type LearnSpecSource =
  | { readonly type: 'field'; readonly src: Subfield }
  /** Big-endian, ceil(nBits / 8) bytes, right-aligned. */
  | { readonly type: 'immediate'; readonly value: Uint8Array };

export type LearnSpec =
  | {
      readonly dstType: 'match';
      readonly nBits: number;
      readonly source: LearnSpecSource;
      readonly dst: Subfield;
    }
  | {
      readonly dstType: 'load';
      readonly nBits: number;
      readonly source: LearnSpecSource;
      readonly dst: Subfield;
    }
  | { readonly dstType: 'output'; readonly nBits: number; readonly source: LearnSpecSource };

export interface LearnAction {
  readonly kind: 'learn';
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly sendFlowRem: boolean;
  readonly deleteLearned: boolean;
  readonly tableId: number;
  readonly finIdleTimeoutSec: number;
  readonly finHardTimeoutSec: number;
  /** Flows this action may create, 0 = no limit. */
  readonly limit: number;
  /** Where to store 1 when the learned flow exists or was added, 0 over the limit. */
  readonly resultDst?: Subfield;
  readonly specs: readonly LearnSpec[];
}

export interface ConjunctionAction {
  readonly kind: 'conjunction';
  readonly id: number;
  /** From 0. */
  readonly clause: number;
  readonly nClauses: number;
}

export interface MultipathAction {
  readonly kind: 'multipath';
  readonly fields: HashFields;
  readonly basis: number;
  readonly algorithm: 'modulo_n' | 'hash_threshold' | 'hrw' | 'iter_hash';
  /** Number of links minus 1. */
  readonly maxLink: number;
  readonly arg: number;
  readonly dst: Subfield;
}

export interface NoteAction {
  readonly kind: 'note';
  readonly data: Uint8Array;
}

export interface SampleAction {
  readonly kind: 'sample';
  readonly probability: number;
  readonly collectorSetId: number;
  readonly obsDomainId: number;
  readonly obsPointId: number;
  readonly samplingPort: OfpPort;
  readonly direction: 'default' | 'ingress' | 'egress';
  readonly raw: 'sample' | 'sample2' | 'sample3';
}

/** Address and port range of a NAT; absent bounds are not restricted. */
export interface NatAction {
  readonly kind: 'nat';
  readonly direction: 'src' | 'dst' | null;
  readonly persistent: boolean;
  readonly portMode: 'hash' | 'random' | null;
  /** 4 or 16 bytes each. */
  readonly addrMin?: Uint8Array;
  readonly addrMax?: Uint8Array;
  readonly protoMin?: number;
  readonly protoMax?: number;
}

export interface CtAction {
  readonly kind: 'ct';
  readonly commit: boolean;
  readonly force: boolean;
  /** Zone from a field, or the constant. */
  readonly zoneSrc?: Subfield;
  readonly zoneImm: number;
  /** Table to recirculate to, or null. */
  readonly recircTable: number | null;
  /** 21 for FTP, 69 for TFTP, 0 for none. */
  readonly alg: number;
  /** nat and set_field/reg_move to ct_mark and ct_label. */
  readonly actions: readonly Action[];
}

export interface CloneAction {
  readonly kind: 'clone';
  readonly actions: readonly Action[];
}

export interface CheckPktLargerAction {
  readonly kind: 'check_pkt_larger';
  readonly pktLen: number;
  /** One bit. */
  readonly dst: Subfield;
}

export interface EncapProperty {
  readonly class: number;
  readonly type: number;
  readonly data: Uint8Array;
}

export interface EncapAction {
  readonly kind: 'encap';
  readonly packetType: number;
  readonly hdrSize: number;
  readonly props: readonly EncapProperty[];
}

export interface DecapAction {
  readonly kind: 'decap';
  /** Packet type of the result; 0xfffe (1, 0xfffe) leaves it to the header. */
  readonly newPacketType: number;
}

export interface DeleteFieldAction {
  readonly kind: 'delete_field';
  readonly field: Field;
}

export interface MeterAction {
  readonly kind: 'meter';
  readonly meterId: number;
}

export interface WriteActionsAction {
  readonly kind: 'write_actions';
  readonly actions: readonly Action[];
}

export interface WriteMetadataAction {
  readonly kind: 'write_metadata';
  readonly metadata: bigint;
  readonly mask: bigint;
}

export interface GotoTableAction {
  readonly kind: 'goto_table';
  readonly tableId: number;
}

/** Made by the switch itself in continuations; never decoded from a flow_mod. */
export interface UnrollXlateAction {
  readonly kind: 'unroll_xlate';
  readonly ruleTableId: number;
  readonly ruleCookie: bigint;
}

/** Actions without arguments. */
export interface PlainAction {
  readonly kind:
    | 'dec_mpls_ttl'
    | 'dec_nsh_ttl'
    | 'pop_queue'
    | 'exit'
    | 'ct_clear'
    | 'clear_actions'
    | 'debug_recirc'
    | 'debug_slow';
}

export type Action =
  | OutputAction
  | ControllerAction
  | EnqueueAction
  | OutputRegAction
  | OutputTruncAction
  | GroupAction
  | BundleAction
  | SetFieldAction
  | RegMoveAction
  | StackAction
  | StripVlanAction
  | PushVlanAction
  | SetVlanVidAction
  | SetVlanPcpAction
  | SetEthAction
  | SetIpv4Action
  | SetIpDscpAction
  | SetIpEcnAction
  | SetIpTtlAction
  | SetL4PortAction
  | DecTtlAction
  | SetMplsLabelAction
  | SetMplsTcAction
  | SetMplsTtlAction
  | PushMplsAction
  | PopMplsAction
  | SetTunnelAction
  | SetQueueAction
  | FinTimeoutAction
  | ResubmitAction
  | LearnAction
  | ConjunctionAction
  | MultipathAction
  | NoteAction
  | SampleAction
  | NatAction
  | CtAction
  | CloneAction
  | CheckPktLargerAction
  | EncapAction
  | DecapAction
  | DeleteFieldAction
  | MeterAction
  | WriteActionsAction
  | WriteMetadataAction
  | GotoTableAction
  | UnrollXlateAction
  | PlainAction;

export type ActionKind = Action['kind'];

/** Whether `kind` is an instruction of OpenFlow 1.1+ (other than apply_actions). */
export function isInstruction(kind: ActionKind): boolean {
  return (
    kind === 'meter' ||
    kind === 'clear_actions' ||
    kind === 'write_actions' ||
    kind === 'write_metadata' ||
    kind === 'goto_table'
  );
}
