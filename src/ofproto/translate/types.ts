import type { PortMap } from '../../flow/port-map.ts';
import type { Action } from '../../openflow/actions.ts';
import type { XBridge } from '../snapshot.ts';

/** Why a translation ended early; the words are OVS's xlate_strerror. */
export const xlateErrors = {
  OK: 0,
  BRIDGE_NOT_FOUND: 1,
  RECURSION_TOO_DEEP: 2,
  TOO_MANY_RESUBMITS: 3,
  STACK_TOO_DEEP: 4,
  NO_RECIRCULATION_CONTEXT: 5,
  RECIRCULATION_CONFLICT: 6,
  TOO_MANY_MPLS_LABELS: 7,
  INVALID_TUNNEL_METADATA: 8,
  UNSUPPORTED_PACKET_TYPE: 9,
  CONGESTION_DROP: 10,
  FORWARDING_DISABLED: 11,
  /** Ours: an action that this switch does not know yet. */
  UNSUPPORTED_ACTION: 12,
} as const;
export type XlateError = (typeof xlateErrors)[keyof typeof xlateErrors];

/** OVS's xlate_strerror. */
export const xlateErrorText: Record<XlateError, string> = {
  0: 'OK',
  1: 'Bridge not found',
  2: 'Recursion too deep',
  3: 'Too many resubmits',
  4: 'Stack too deep',
  5: 'No recirculation context',
  6: 'Recirculation conflict',
  7: 'Too many MPLS labels',
  8: 'Invalid tunnel metadata',
  9: 'Unsupported packet type',
  10: 'Congestion Drop',
  11: 'Forwarding is disabled',
  12: 'Unsupported action',
};

/** Kinds of trace nodes (OVS's oftrace_node_type). */
export type TraceKind = 'bridge' | 'table' | 'thaw' | 'action' | 'detail' | 'warn' | 'error' | 'bucket';

/** Receives what `ofproto/trace` prints, as a tree: `enter` opens a node, later nodes are inside it until `leave`. */
export interface TraceSink {
  /** Names for the ports of `bridge`; without names numbers are printed. */
  ports(bridge: XBridge): PortMap;
  formatActions(actions: readonly Action[], ports: PortMap): string;
  report(kind: TraceKind, text: string): void;
  enter(kind: TraceKind, text: string): void;
  leave(): void;
}

/** What to translate. Filled by the caller, read only during the call. */
export interface XlateInput {
  bridge: XBridge;
  /** Arena address of a full key (768 bytes) with inPort = OpenFlow port; not changed. */
  flow: number;
  /** Arena address of a packet descriptor, 0 = none (revalidation, trace without packet). */
  packet: number;
  /** Statistics to credit at once (0 packets = none). */
  packets: number;
  bytes: number;
  usedMs: number;
  tcpFlags: number;
  /** Learn MACs, send side effects (a real packet); false for revalidation's re-translation and plain trace. */
  allowSideEffects: boolean;
  /** Collect the side-effect list (xcache) for later statistics. */
  wantXcache: boolean;
  /** Compute wildcards (false: only actions, e.g. packet-out). */
  wantWc: boolean;
  /** OpenFlow actions to run instead of looking up table 0 (packet-out): ofpact words in the arena. */
  ofpacts: number;
  ofpactsWords: number;
  trace: TraceSink | null;
}

/** What came out; owned by the translator, valid until its next call. */
export interface XlateResult {
  error: XlateError;
  /** Arena address of the 768-byte mask of bits that decided something. */
  wc: number;
  /** Arena address and bytes of datapath actions; length 0 = drop. */
  actions: number;
  actionsLength: number;
  /** SlowPath bits (src/odp/attrs.ts); non-zero = packets of the megaflow need userspace. */
  slow: number;
  /** Arena address and words of the side-effect list (see xcache.ts). */
  xcache: number;
  xcacheWords: number;
  /** Arena address of the flow after all actions. */
  finalFlow: number;
  /** The tables version that was read. */
  version: number;
  /** The side-effect list is not whole: install no megaflow. */
  avoidCaching: boolean;
  /** Frozen states in the actions; referenced until the next call (see Translator.takeRecircs). */
  recircs: readonly number[];
}
