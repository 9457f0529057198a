/** Numbers of the enumerations inside actions. */
import type { BundleAction, HashFields, MultipathAction, PacketInReason, SampleAction } from './actions.ts';

/** OFPR_*; the last two never reach the wire as such. */
export const packetInReasons = [
  'no_match',
  'action',
  'invalid_ttl',
  'action_set',
  'group',
  'packet_out',
  'explicit_miss',
  'implicit_miss',
] as const satisfies readonly PacketInReason[];

/** NX_HASH_FIELDS_*. */
export const hashFields = [
  'eth_src',
  'symmetric_l4',
  'symmetric_l3l4',
  'symmetric_l3l4+udp',
  'nw_src',
  'nw_dst',
  'symmetric_l3',
] as const satisfies readonly HashFields[];

/** NX_MP_ALG_*. */
export const multipathAlgorithms = [
  'modulo_n',
  'hash_threshold',
  'hrw',
  'iter_hash',
] as const satisfies readonly MultipathAction['algorithm'][];

/** NX_BD_ALG_*. */
export const bundleAlgorithms = [
  'active_backup',
  'hrw',
] as const satisfies readonly BundleAction['algorithm'][];

/** NX_ACTION_SAMPLE_*. */
export const sampleDirections = [
  'default',
  'ingress',
  'egress',
] as const satisfies readonly SampleAction['direction'][];

export const CT_COMMIT = 1;
export const CT_FORCE = 2;
export const CT_RECIRC_NONE = 0xff;

export const NatFlag = { SRC: 1, DST: 2, PERSISTENT: 4, HASH: 8, RANDOM: 16 } as const;
export const NatRange = {
  IPV4_MIN: 1,
  IPV4_MAX: 2,
  IPV6_MIN: 4,
  IPV6_MAX: 8,
  PROTO_MIN: 16,
  PROTO_MAX: 32,
} as const;

export const LearnFlag = { SEND_FLOW_REM: 1, DELETE_LEARNED: 2, WRITE_RESULT: 4 } as const;
export const LEARN_SRC_IMMEDIATE = 1 << 13;
export const LEARN_DST_LOAD = 1 << 11;
export const LEARN_DST_OUTPUT = 2 << 11;
export const LEARN_DST_MASK = 3 << 11;
export const LEARN_N_BITS_MASK = 0x3ff;

export const Controller2Prop = {
  MAX_LEN: 0,
  CONTROLLER_ID: 1,
  REASON: 2,
  USERDATA: 3,
  PAUSE: 4,
  METER_ID: 5,
} as const;

/** `output:CONTROLLER` and `controller()` without max_len send the whole packet. */
export const MAX_LEN_ALL = 0xffff;
