/** Which raw message each abstract one becomes in a version, and its body. */
import { putBundleAddMessage, putBundleControl } from './bundle-messages.ts';
import { ByteWriter } from './byte-io.ts';
import type { CodecContext } from './codec.ts';
import {
  flowStatsEntry,
  putAggregateReply,
  putFlowMod,
  putFlowRemoved,
  putFlowStatsRequest,
} from './flow-messages.ts';
import { encodeMultipart, finishMessage, putHeader } from './header.ts';
import type { RawName } from './messages.table.ts';
import type { ErrorMessage, OfpMessage, PacketInFormat } from './messages.ts';
import { putNxPacketIn, putPacketIn, putPacketIn2, putPacketOut } from './packet-messages.ts';
import { portEntry, portStatsEntry, putPortMod, putPortStatus } from './port-messages.ts';
import { OFPP_NONE } from './ports.ts';
import {
  putAsync,
  putAsyncProperties,
  putDesc,
  putFeatures,
  putHello,
  putQueueConfig,
  putRole,
  putSwitchConfig,
  queueStatsEntry,
  tableStatsEntry,
} from './switch-messages.ts';
import { tableFeaturesEntry } from './table-features.ts';
import { OfpError } from '../util/errors.ts';

type Put = (w: ByteWriter) => void;

const packetInFormats: readonly PacketInFormat[] = ['standard', 'nxt_packet_in', 'nxt_packet_in2'];

/** The first of [version, name] pairs, given oldest first, whose version is not newer. */
function pick(version: number, ...names: readonly (readonly [from: number, name: RawName])[]): RawName {
  const found = names.findLast(([from]) => from <= version);
  if (!found) throw new OfpError('OFPBRC_BAD_TYPE', 'message is not available in this OpenFlow version');
  return found[1];
}

const nothing: Put = () => undefined;

/** Encodes all but errors. @throws OfpError for a message that the version does not have. */
export function encodeBody(m: Exclude<OfpMessage, ErrorMessage>, xid: number, c: CodecContext): Uint8Array[] {
  const v = c.version;
  const one = (raw: RawName, put: Put = nothing): Uint8Array[] => {
    const w = new ByteWriter();
    putHeader(w, raw, v, xid);
    put(w);
    return [finishMessage(w)];
  };
  const many = (raw: RawName, entries: Iterable<Uint8Array>, more: boolean | undefined): Uint8Array[] =>
    encodeMultipart(raw, v, xid, entries, more);
  const isNxm = v === 1 && c.flowFormat === 'nxm';
  switch (m.type) {
    case 'hello':
      return one('OFPT_HELLO', (w) => {
        putHello(w, m);
      });
    case 'echo_request':
      return one('OFPT_ECHO_REQUEST', (w) => w.bytes(m.data));
    case 'echo_reply':
      return one('OFPT_ECHO_REPLY', (w) => w.bytes(m.data));
    case 'features_request':
      return one('OFPT_FEATURES_REQUEST');
    case 'get_config_request':
      return one('OFPT_GET_CONFIG_REQUEST');
    case 'barrier_request':
      return one(v === 1 ? 'OFPT10_BARRIER_REQUEST' : 'OFPT11_BARRIER_REQUEST');
    case 'barrier_reply':
      return one(v === 1 ? 'OFPT10_BARRIER_REPLY' : 'OFPT11_BARRIER_REPLY');
    case 'desc_request':
      return one('OFPST_DESC_REQUEST');
    case 'table_stats_request':
      return one('OFPST_TABLE_REQUEST');
    case 'table_features_request':
      return one(pick(v, [4, 'OFPST13_TABLE_FEATURES_REQUEST']));
    case 'group_desc_request':
      if (v >= 6) return one('OFPST15_GROUP_DESC_REQUEST', (w) => w.u32(0xfffffffc).zeros(4));
      return one(pick(v, [2, 'OFPST11_GROUP_DESC_REQUEST']));
    case 'group_features_request':
      return one(pick(v, [3, 'OFPST12_GROUP_FEATURES_REQUEST']));
    case 'meter_features_request':
      return one(pick(v, [4, 'OFPST13_METER_FEATURES_REQUEST']));
    case 'get_async_request':
      return one(pick(v, [4, 'OFPT13_GET_ASYNC_REQUEST'], [5, 'OFPT14_GET_ASYNC_REQUEST']));
    case 'features_reply':
      return one(
        pick(v, [1, 'OFPT10_FEATURES_REPLY'], [2, 'OFPT11_FEATURES_REPLY'], [4, 'OFPT13_FEATURES_REPLY']),
        (w) => {
          putFeatures(w, m, v);
        },
      );
    case 'set_config':
    case 'get_config_reply':
      return one(m.type === 'set_config' ? 'OFPT_SET_CONFIG' : 'OFPT_GET_CONFIG_REPLY', (w) => {
        putSwitchConfig(w, m, v);
      });
    case 'port_status':
      return one(
        pick(v, [1, 'OFPT10_PORT_STATUS'], [2, 'OFPT11_PORT_STATUS'], [5, 'OFPT14_PORT_STATUS']),
        (w) => {
          putPortStatus(w, m, v);
        },
      );
    case 'port_mod':
      return one(pick(v, [1, 'OFPT10_PORT_MOD'], [2, 'OFPT11_PORT_MOD'], [5, 'OFPT14_PORT_MOD']), (w) => {
        putPortMod(w, m, v);
      });
    case 'flow_mod':
      return one(isNxm ? 'NXT_FLOW_MOD' : v === 1 ? 'OFPT10_FLOW_MOD' : 'OFPT11_FLOW_MOD', (w) => {
        putFlowMod(w, m, c);
      });
    case 'flow_removed':
      return one(
        isNxm ? 'NXT_FLOW_REMOVED' : v === 1 ? 'OFPT10_FLOW_REMOVED' : 'OFPT11_FLOW_REMOVED',
        (w) => {
          putFlowRemoved(w, m, c);
        },
      );
    case 'packet_in':
      if (c.packetInFormat === 'nxt_packet_in2') {
        return one('NXT_PACKET_IN2', (w) => {
          putPacketIn2(w, m, v);
        });
      }
      if (c.packetInFormat === 'nxt_packet_in') {
        return one('NXT_PACKET_IN', (w) => {
          putNxPacketIn(w, m, v);
        });
      }
      return one(
        pick(
          v,
          [1, 'OFPT10_PACKET_IN'],
          [2, 'OFPT11_PACKET_IN'],
          [3, 'OFPT12_PACKET_IN'],
          [4, 'OFPT13_PACKET_IN'],
        ),
        (w) => {
          putPacketIn(w, m, v);
        },
      );
    case 'nx_resume':
      return one('NXT_RESUME', (w) => {
        putPacketIn2(w, m.packetIn, v);
      });
    case 'packet_out':
      return one(
        pick(v, [1, 'OFPT10_PACKET_OUT'], [2, 'OFPT11_PACKET_OUT'], [6, 'OFPT15_PACKET_OUT']),
        (w) => {
          putPacketOut(w, m, v);
        },
      );
    case 'flow_stats_request':
      return one(
        isNxm ? 'NXST_FLOW_REQUEST' : v === 1 ? 'OFPST10_FLOW_REQUEST' : 'OFPST11_FLOW_REQUEST',
        (w) => {
          putFlowStatsRequest(w, m, c);
        },
      );
    case 'aggregate_stats_request':
      return one(
        isNxm
          ? 'NXST_AGGREGATE_REQUEST'
          : v === 1
            ? 'OFPST10_AGGREGATE_REQUEST'
            : 'OFPST11_AGGREGATE_REQUEST',
        (w) => {
          putFlowStatsRequest(w, m, c);
        },
      );
    case 'flow_stats_reply':
      return many(
        isNxm
          ? 'NXST_FLOW_REPLY'
          : pick(
              v,
              [1, 'OFPST10_FLOW_REPLY'],
              [2, 'OFPST11_FLOW_REPLY'],
              [4, 'OFPST13_FLOW_REPLY'],
              [6, 'OFPST15_FLOW_REPLY'],
            ),
        mapped(m.flows, (f) => flowStatsEntry(f, c)),
        m.more,
      );
    case 'aggregate_stats_reply':
      return one(isNxm ? 'NXST_AGGREGATE_REPLY' : 'OFPST_AGGREGATE_REPLY', (w) => {
        putAggregateReply(w, m);
      });
    case 'table_stats_reply':
      return many(
        pick(
          v,
          [1, 'OFPST10_TABLE_REPLY'],
          [2, 'OFPST11_TABLE_REPLY'],
          [3, 'OFPST12_TABLE_REPLY'],
          [4, 'OFPST13_TABLE_REPLY'],
        ),
        mapped(m.tables, (t) => tableStatsEntry(t, v)),
        m.more,
      );
    case 'port_stats_request':
      return one(v === 1 ? 'OFPST10_PORT_REQUEST' : 'OFPST11_PORT_REQUEST', (w) =>
        v === 1 ? w.u16(m.port & 0xffff).zeros(6) : w.u32(m.port).zeros(4),
      );
    case 'port_desc_request':
      if (v < 6) return one('OFPST10_PORT_DESC_REQUEST');
      return one('OFPST15_PORT_DESC_REQUEST', (w) => w.u32(m.port).zeros(4));
    case 'port_stats_reply':
      return many(
        pick(
          v,
          [1, 'OFPST10_PORT_REPLY'],
          [2, 'OFPST11_PORT_REPLY'],
          [4, 'OFPST13_PORT_REPLY'],
          [5, 'OFPST14_PORT_REPLY'],
        ),
        mapped(m.ports, (p) => portStatsEntry(p, v)),
        m.more,
      );
    case 'port_desc_reply':
      return many(
        pick(
          v,
          [1, 'OFPST10_PORT_DESC_REPLY'],
          [2, 'OFPST11_PORT_DESC_REPLY'],
          [5, 'OFPST14_PORT_DESC_REPLY'],
        ),
        mapped(m.ports, (p) => portEntry(p, v)),
        m.more,
      );
    case 'desc_reply':
      return one('OFPST_DESC_REPLY', (w) => {
        putDesc(w, m);
      });
    case 'queue_stats_request':
      return one(v === 1 ? 'OFPST10_QUEUE_REQUEST' : 'OFPST11_QUEUE_REQUEST', (w) => {
        // 1.0 says "all ports" with OFPP_ALL.
        if (v === 1) w.u16(m.port === OFPP_NONE ? 0xfffc : m.port & 0xffff).zeros(2);
        else w.u32(m.port);
        w.u32(m.queueId);
      });
    case 'queue_stats_reply':
      return many(
        pick(
          v,
          [1, 'OFPST10_QUEUE_REPLY'],
          [2, 'OFPST11_QUEUE_REPLY'],
          [4, 'OFPST13_QUEUE_REPLY'],
          [5, 'OFPST14_QUEUE_REPLY'],
        ),
        mapped(m.queues, (q) => queueStatsEntry(q, v)),
        m.more,
      );
    case 'queue_get_config_request':
      if (v === 1) return one('OFPT10_QUEUE_GET_CONFIG_REQUEST', (w) => w.u16(m.port & 0xffff).zeros(2));
      return one('OFPT11_QUEUE_GET_CONFIG_REQUEST', (w) => w.u32(m.port).zeros(4));
    case 'queue_get_config_reply':
      return one(v === 1 ? 'OFPT10_QUEUE_GET_CONFIG_REPLY' : 'OFPT11_QUEUE_GET_CONFIG_REPLY', (w) => {
        putQueueConfig(w, m, v);
      });
    case 'role_request':
    case 'role_reply': {
      const isNx = v < 3;
      const request: RawName = isNx ? 'NXT_ROLE_REQUEST' : 'OFPT12_ROLE_REQUEST';
      const reply: RawName = isNx ? 'NXT_ROLE_REPLY' : 'OFPT12_ROLE_REPLY';
      return one(m.type === 'role_request' ? request : reply, (w) => {
        putRole(w, m, isNx);
      });
    }
    case 'set_async_config':
      return one(
        pick(v, [1, 'NXT_SET_ASYNC_CONFIG'], [4, 'OFPT13_SET_ASYNC'], [5, 'OFPT14_SET_ASYNC']),
        (w) => {
          (v >= 5 ? putAsyncProperties : putAsync)(w, m);
        },
      );
    case 'get_async_reply':
      return one(pick(v, [4, 'OFPT13_GET_ASYNC_REPLY'], [5, 'OFPT14_GET_ASYNC_REPLY']), (w) => {
        (v >= 5 ? putAsyncProperties : putAsync)(w, m);
      });
    case 'nx_set_flow_format':
      return one('NXT_SET_FLOW_FORMAT', (w) => w.u32(m.format === 'nxm' ? 2 : 0));
    case 'nx_flow_mod_table_id':
      return one('NXT_FLOW_MOD_TABLE_ID', (w) => w.u8(m.enable ? 1 : 0).zeros(7));
    case 'nx_set_packet_in_format':
      return one('NXT_SET_PACKET_IN_FORMAT', (w) => w.u32(packetInFormats.indexOf(m.format)));
    case 'nx_flow_age':
      return one('NXT_FLOW_AGE');
    case 'nx_set_controller_id':
      return one('NXT_SET_CONTROLLER_ID', (w) => w.zeros(6).u16(m.controllerId));
    case 'table_mod':
      return one(pick(v, [2, 'OFPT11_TABLE_MOD'], [5, 'OFPT14_TABLE_MOD']), (w) =>
        w.u8(m.tableId).zeros(3).u32(m.config),
      );
    case 'group_stats_request':
      return one(pick(v, [2, 'OFPST11_GROUP_REQUEST']), (w) => w.u32(m.groupId).zeros(4));
    case 'meter_stats_request':
      return one(pick(v, [4, 'OFPST13_METER_REQUEST']), (w) => w.u32(m.meterId).zeros(4));
    case 'meter_config_request':
      return one(pick(v, [4, 'OFPST13_METER_CONFIG_REQUEST']), (w) => w.u32(m.meterId).zeros(4));
    case 'group_mod':
      return one(pick(v, [2, 'OFPT11_GROUP_MOD'], [6, 'OFPT15_GROUP_MOD']), (w) =>
        w.u16(m.command).zeros(2).u32(m.groupId).bytes(m.body),
      );
    case 'meter_mod':
      return one(pick(v, [4, 'OFPT13_METER_MOD']), (w) =>
        w.u16(m.command).u16(0).u32(m.meterId).bytes(m.body),
      );
    case 'bundle_control':
      return one(pick(v, [4, 'ONFT13_BUNDLE_CONTROL'], [5, 'OFPT14_BUNDLE_CONTROL']), (w) => {
        putBundleControl(w, m);
      });
    case 'bundle_add_message':
      return one(pick(v, [4, 'ONFT13_BUNDLE_ADD_MESSAGE'], [5, 'OFPT14_BUNDLE_ADD_MESSAGE']), (w) => {
        putBundleAddMessage(w, m);
      });
    case 'group_stats_reply':
      return one(pick(v, [2, 'OFPST11_GROUP_REPLY'], [4, 'OFPST13_GROUP_REPLY']));
    case 'group_desc_reply':
      return one(pick(v, [2, 'OFPST11_GROUP_DESC_REPLY']));
    case 'meter_stats_reply':
      return one(pick(v, [4, 'OFPST13_METER_REPLY']));
    case 'meter_config_reply':
      return one(pick(v, [4, 'OFPST13_METER_CONFIG_REPLY']));
    case 'group_features_reply':
      return one(pick(v, [3, 'OFPST12_GROUP_FEATURES_REPLY']), (w) => {
        w.u32(m.types).u32(m.capabilities);
        for (const n of [...m.maxGroups, ...m.actions]) w.u32(n);
      });
    case 'meter_features_reply':
      return one(pick(v, [4, 'OFPST13_METER_FEATURES_REPLY']), (w) =>
        w.u32(m.maxMeters).u32(m.bandTypes).u32(m.capabilities).u8(m.maxBands).u8(m.maxColor).zeros(2),
      );
    case 'table_features_reply':
      return many(
        pick(v, [4, 'OFPST13_TABLE_FEATURES_REPLY']),
        mapped(m.tables, (t) => tableFeaturesEntry(t, v)),
        m.more,
      );
  }
}

function* mapped<T>(list: readonly T[], make: (item: T) => Uint8Array): Generator<Uint8Array> {
  for (const item of list) yield make(item);
}
