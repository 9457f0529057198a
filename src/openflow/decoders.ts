/** Decoder of each raw message. Raw messages that are not here are answered as unknown. */
import { OfpError } from '../util/errors.ts';
import type { ByteReader } from './byte-io.ts';
import type { CodecContext } from './codec.ts';
import { pullBundleAddMessage, pullBundleControl } from './bundle-messages.ts';
import { decodeErrorBody } from './errors.ts';
import {
  pullAggregateReply,
  pullFlowRemoved,
  pullFlowStatsReply,
  pullFlowStatsRequest,
  pullNxFlowMod,
  pullOfp10FlowMod,
  pullOfp10FlowRemoved,
  pullOfp11FlowMod,
} from './flow-messages.ts';
import type { RawName } from './messages.table.ts';
import type { EchoMessage, OfpMessage, PacketInFormat, PlainRequest } from './messages.ts';
import { pullNxPacketIn, pullPacketIn, pullPacketIn2, pullPacketOut } from './packet-messages.ts';
import { pullPort, pullPortMod, pullPortStats, pullPortStatus, portFromOfp11 } from './port-messages.ts';
import { OFPP_MAX, OFPP_NONE, ofp10ToOfp11Port } from './ports.ts';
import {
  pullAsync,
  pullAsyncProperties,
  pullDesc,
  pullFeatures,
  pullHello,
  pullQueueConfig,
  pullQueueStats,
  pullRole,
  pullSwitchConfig,
  pullTableStats,
} from './switch-messages.ts';
import { pullTableFeatures } from './table-features.ts';

type Decoder = (r: ByteReader, c: CodecContext, more: boolean) => OfpMessage;

const plain =
  (type: PlainRequest['type']): Decoder =>
  () => ({ type });

const echo =
  (type: EchoMessage['type']): Decoder =>
  (r) => ({ type, data: r.rest() });

/** Entries up to the end of the body. */
function all<T>(r: ByteReader, pull: () => T): T[] {
  const out: T[] = [];
  while (r.left > 0) out.push(pull());
  return out;
}

const packetInFormats: readonly PacketInFormat[] = ['standard', 'nxt_packet_in', 'nxt_packet_in2'];

const portRequest =
  (type: 'port_stats_request' | 'port_desc_request', form: 'none' | 'of10' | 'of11'): Decoder =>
  (r) => {
    if (form === 'none') return { type, port: OFPP_NONE };
    return { type, port: form === 'of10' ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32()) };
  };

const queueStatsRequest: Decoder = (r, c) => {
  const port = c.version === 1 ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32());
  if (c.version === 1) r.skip(2);
  // OFPP_ALL of 1.0 and OFPP_ANY of later versions both mean any port.
  const isAny = port === 0xfffffffc || port === OFPP_NONE;
  return { type: 'queue_stats_request', port: isAny ? OFPP_NONE : port, queueId: r.u32() };
};

const queueConfigRequest: Decoder = (r, c) => {
  const port = c.version === 1 ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32());
  const isAny = c.version > 1 && port === OFPP_NONE;
  if (port >= OFPP_MAX && !isAny) throw new OfpError('OFPQOFC_BAD_PORT');
  return { type: 'queue_get_config_request', port, queueId: 0xffffffff };
};

const meterRequest =
  (type: 'meter_stats_request' | 'meter_config_request'): Decoder =>
  (r) => ({ type, meterId: r.u32() });

const groupMod: Decoder = (r) => {
  const command = r.u16();
  r.skip(2);
  return { type: 'group_mod', command, groupId: r.u32(), body: r.rest() };
};

const meterMod: Decoder = (r) => {
  const command = r.u16();
  r.skip(2);
  return { type: 'meter_mod', command, meterId: r.u32(), body: r.rest() };
};

const tableMod: Decoder = (r) => {
  const tableId = r.u8();
  r.skip(3);
  return { type: 'table_mod', tableId, config: r.u32() };
};

/** What is not known of groups and meters is kept out of sight: replies are read as empty. */
const emptyReply =
  (type: 'group_stats_reply' | 'group_desc_reply' | 'meter_stats_reply' | 'meter_config_reply'): Decoder =>
  () => ({ type });

const flowRequest =
  (type: 'flow_stats_request' | 'aggregate_stats_request', form: 'of10' | 'nx' | 'of11'): Decoder =>
  (r) =>
    pullFlowStatsRequest(r, type, form);

const flowReply =
  (form: 'of10' | 'nx' | 'of11'): Decoder =>
  (r, c, more) =>
    pullFlowStatsReply(r, form, c, more);

const tableReply: Decoder = (r, c, more) => ({
  type: 'table_stats_reply',
  tables: all(r, () => pullTableStats(r, c.version)),
  more,
});
const portReply: Decoder = (r, c, more) => ({
  type: 'port_stats_reply',
  ports: all(r, () => pullPortStats(r, c.version)),
  more,
});
const portDescReply: Decoder = (r, c, more) => ({
  type: 'port_desc_reply',
  ports: all(r, () => pullPort(r, c.version)),
  more,
});
const queueReply: Decoder = (r, c, more) => ({
  type: 'queue_stats_reply',
  queues: all(r, () => pullQueueStats(r, c.version)),
  more,
});

const setFlowFormat: Decoder = (r) => {
  const format = r.u32();
  if (format !== 0 && format !== 2) throw new OfpError('OFPBRC_EPERM');
  return { type: 'nx_set_flow_format', format: format === 0 ? 'openflow10' : 'nxm' };
};

const setPacketInFormat: Decoder = (r) => {
  const format = packetInFormats[r.u32()];
  if (!format) throw new OfpError('OFPBRC_EPERM');
  return { type: 'nx_set_packet_in_format', format };
};

const flowModTableId: Decoder = (r) => {
  return { type: 'nx_flow_mod_table_id', enable: r.u8() !== 0 };
};

const setControllerId: Decoder = (r) => {
  r.skip(6);
  return { type: 'nx_set_controller_id', controllerId: r.u16() };
};

const features: Decoder = (r, c) => pullFeatures(r, c.version);
const packetIn: Decoder = (r, c) => pullPacketIn(r, c.version);
const portStatus: Decoder = (r, c) => pullPortStatus(r, c.version);
const portMod: Decoder = (r, c) => pullPortMod(r, c.version);
const packetOut: Decoder = (r, c) => pullPacketOut(r, c);
const queueConfig: Decoder = (r, c) => pullQueueConfig(r, c.version);

export const decoders: Partial<Record<RawName, Decoder>> = {
  OFPT_HELLO: (r, c) => pullHello(r, c.version),
  OFPT_ERROR: (r, c) => {
    const { error, data } = decodeErrorBody(c.version, r.rest());
    return { type: 'error', error, data };
  },
  OFPT_ECHO_REQUEST: echo('echo_request'),
  OFPT_ECHO_REPLY: echo('echo_reply'),
  OFPT_FEATURES_REQUEST: plain('features_request'),
  OFPT10_FEATURES_REPLY: features,
  OFPT11_FEATURES_REPLY: features,
  OFPT13_FEATURES_REPLY: features,
  OFPT_GET_CONFIG_REQUEST: plain('get_config_request'),
  OFPT_GET_CONFIG_REPLY: (r, c) => pullSwitchConfig(r, 'get_config_reply', c.version),
  OFPT_SET_CONFIG: (r, c) => pullSwitchConfig(r, 'set_config', c.version),
  OFPT10_PACKET_IN: packetIn,
  OFPT11_PACKET_IN: packetIn,
  OFPT12_PACKET_IN: packetIn,
  OFPT13_PACKET_IN: packetIn,
  NXT_PACKET_IN: (r) => pullNxPacketIn(r),
  NXT_PACKET_IN2: (r) => pullPacketIn2(r),
  NXT_RESUME: (r) => ({ type: 'nx_resume', packetIn: pullPacketIn2(r, false) }),
  OFPT10_FLOW_REMOVED: (r) => pullOfp10FlowRemoved(r),
  OFPT11_FLOW_REMOVED: (r) => pullFlowRemoved(r, false),
  NXT_FLOW_REMOVED: (r) => pullFlowRemoved(r, true),
  OFPT10_PORT_STATUS: portStatus,
  OFPT11_PORT_STATUS: portStatus,
  OFPT14_PORT_STATUS: portStatus,
  OFPT10_PACKET_OUT: packetOut,
  OFPT11_PACKET_OUT: packetOut,
  OFPT15_PACKET_OUT: packetOut,
  OFPT10_FLOW_MOD: (r, c) => pullOfp10FlowMod(r, c),
  OFPT11_FLOW_MOD: (r, c) => pullOfp11FlowMod(r, c),
  NXT_FLOW_MOD: (r, c) => pullNxFlowMod(r, c),
  OFPT11_GROUP_MOD: groupMod,
  OFPT15_GROUP_MOD: groupMod,
  OFPT10_PORT_MOD: portMod,
  OFPT11_PORT_MOD: portMod,
  OFPT14_PORT_MOD: portMod,
  OFPT11_TABLE_MOD: tableMod,
  OFPT14_TABLE_MOD: tableMod,
  OFPT10_BARRIER_REQUEST: plain('barrier_request'),
  OFPT11_BARRIER_REQUEST: plain('barrier_request'),
  OFPT10_BARRIER_REPLY: plain('barrier_reply'),
  OFPT11_BARRIER_REPLY: plain('barrier_reply'),
  OFPT10_QUEUE_GET_CONFIG_REQUEST: queueConfigRequest,
  OFPT11_QUEUE_GET_CONFIG_REQUEST: queueConfigRequest,
  OFPT10_QUEUE_GET_CONFIG_REPLY: queueConfig,
  OFPT11_QUEUE_GET_CONFIG_REPLY: queueConfig,
  OFPT12_ROLE_REQUEST: (r) => pullRole(r, 'role_request', false),
  NXT_ROLE_REQUEST: (r) => pullRole(r, 'role_request', true),
  OFPT12_ROLE_REPLY: (r) => pullRole(r, 'role_reply', false),
  NXT_ROLE_REPLY: (r) => pullRole(r, 'role_reply', true),
  OFPT13_GET_ASYNC_REQUEST: plain('get_async_request'),
  OFPT13_GET_ASYNC_REPLY: (r, c) => pullAsync(r, 'get_async_reply', c.version),
  OFPT13_SET_ASYNC: (r, c) => pullAsync(r, 'set_async_config', c.version),
  OFPT14_GET_ASYNC_REQUEST: plain('get_async_request'),
  OFPT14_GET_ASYNC_REPLY: (r) => pullAsyncProperties(r, 'get_async_reply'),
  OFPT14_SET_ASYNC: (r, c) => pullAsyncProperties(r, 'set_async_config', c.asyncMasks),
  NXT_SET_ASYNC_CONFIG2: (r, c) => pullAsyncProperties(r, 'set_async_config', c.asyncMasks),
  NXT_SET_ASYNC_CONFIG: (r, c) => pullAsync(r, 'set_async_config', c.version),
  OFPT13_METER_MOD: meterMod,
  OFPT14_BUNDLE_CONTROL: pullBundleControl,
  ONFT13_BUNDLE_CONTROL: pullBundleControl,
  OFPT14_BUNDLE_ADD_MESSAGE: pullBundleAddMessage,
  ONFT13_BUNDLE_ADD_MESSAGE: pullBundleAddMessage,

  OFPST_DESC_REQUEST: plain('desc_request'),
  OFPST_DESC_REPLY: (r) => pullDesc(r),
  OFPST10_FLOW_REQUEST: flowRequest('flow_stats_request', 'of10'),
  OFPST11_FLOW_REQUEST: flowRequest('flow_stats_request', 'of11'),
  NXST_FLOW_REQUEST: flowRequest('flow_stats_request', 'nx'),
  OFPST10_FLOW_REPLY: flowReply('of10'),
  OFPST11_FLOW_REPLY: flowReply('of11'),
  OFPST13_FLOW_REPLY: flowReply('of11'),
  NXST_FLOW_REPLY: flowReply('nx'),
  OFPST10_AGGREGATE_REQUEST: flowRequest('aggregate_stats_request', 'of10'),
  OFPST11_AGGREGATE_REQUEST: flowRequest('aggregate_stats_request', 'of11'),
  NXST_AGGREGATE_REQUEST: flowRequest('aggregate_stats_request', 'nx'),
  OFPST_AGGREGATE_REPLY: (r) => pullAggregateReply(r),
  NXST_AGGREGATE_REPLY: (r) => pullAggregateReply(r),
  OFPST_TABLE_REQUEST: plain('table_stats_request'),
  OFPST10_TABLE_REPLY: tableReply,
  OFPST11_TABLE_REPLY: tableReply,
  OFPST12_TABLE_REPLY: tableReply,
  OFPST13_TABLE_REPLY: tableReply,
  OFPST10_PORT_REQUEST: portRequest('port_stats_request', 'of10'),
  OFPST11_PORT_REQUEST: portRequest('port_stats_request', 'of11'),
  OFPST10_PORT_REPLY: portReply,
  OFPST11_PORT_REPLY: portReply,
  OFPST13_PORT_REPLY: portReply,
  OFPST14_PORT_REPLY: portReply,
  OFPST10_QUEUE_REQUEST: queueStatsRequest,
  OFPST11_QUEUE_REQUEST: queueStatsRequest,
  OFPST10_QUEUE_REPLY: queueReply,
  OFPST11_QUEUE_REPLY: queueReply,
  OFPST13_QUEUE_REPLY: queueReply,
  OFPST14_QUEUE_REPLY: queueReply,
  OFPST11_GROUP_REQUEST: (r) => ({ type: 'group_stats_request', groupId: r.u32() }),
  OFPST11_GROUP_REPLY: emptyReply('group_stats_reply'),
  OFPST13_GROUP_REPLY: emptyReply('group_stats_reply'),
  OFPST11_GROUP_DESC_REQUEST: plain('group_desc_request'),
  OFPST15_GROUP_DESC_REQUEST: plain('group_desc_request'),
  OFPST11_GROUP_DESC_REPLY: emptyReply('group_desc_reply'),
  OFPST12_GROUP_FEATURES_REQUEST: plain('group_features_request'),
  OFPST12_GROUP_FEATURES_REPLY: (r) => {
    const four = (): readonly [number, number, number, number] => [r.u32(), r.u32(), r.u32(), r.u32()];
    return {
      type: 'group_features_reply',
      types: r.u32(),
      capabilities: r.u32(),
      maxGroups: four(),
      actions: four(),
    };
  },
  OFPST13_METER_REQUEST: meterRequest('meter_stats_request'),
  OFPST13_METER_REPLY: emptyReply('meter_stats_reply'),
  OFPST13_METER_CONFIG_REQUEST: meterRequest('meter_config_request'),
  OFPST13_METER_CONFIG_REPLY: emptyReply('meter_config_reply'),
  OFPST13_METER_FEATURES_REQUEST: plain('meter_features_request'),
  OFPST13_METER_FEATURES_REPLY: (r) => ({
    type: 'meter_features_reply',
    maxMeters: r.u32(),
    bandTypes: r.u32(),
    capabilities: r.u32(),
    maxBands: r.u8(),
    maxColor: r.u8(),
  }),
  OFPST13_TABLE_FEATURES_REQUEST: (r) => {
    // A request with a body wants to change the tables.
    if (r.left > 0) throw new OfpError('OFPTFFC_EPERM');
    return { type: 'table_features_request' };
  },
  OFPST13_TABLE_FEATURES_REPLY: (r, _c, more) => ({
    type: 'table_features_reply',
    tables: all(r, () => pullTableFeatures(r)),
    more,
  }),
  OFPST10_PORT_DESC_REQUEST: portRequest('port_desc_request', 'none'),
  OFPST15_PORT_DESC_REQUEST: portRequest('port_desc_request', 'of11'),
  OFPST10_PORT_DESC_REPLY: portDescReply,
  OFPST11_PORT_DESC_REPLY: portDescReply,
  OFPST14_PORT_DESC_REPLY: portDescReply,

  NXT_SET_FLOW_FORMAT: setFlowFormat,
  NXT_FLOW_MOD_TABLE_ID: flowModTableId,
  NXT_SET_PACKET_IN_FORMAT: setPacketInFormat,
  NXT_FLOW_AGE: () => ({ type: 'nx_flow_age' }),
  NXT_SET_CONTROLLER_ID: setControllerId,
};
