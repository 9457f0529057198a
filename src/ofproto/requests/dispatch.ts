import { OfpError } from '../../util/errors.ts';
import type { OfpMessage } from '../../openflow/messages.ts';
import type { DecodedMessage } from '../codec.ts';
import { decodeRequest, encodeReply } from '../codec.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { SwitchState } from '../switch-state.ts';
import { handleGetAsync, handleRole, handleSetAsync, handleSetConfig } from './controller-state.ts';
import type { RequestOutcome } from '../connection/request-job.ts';
import { handleBundleAdd, handleBundleControl, handlePlainBundleAdd } from './bundle.ts';
import { handleFlowMod, handlePlainFlowMod } from './flow-mod.ts';
import { DumpJob, replyAggregate } from './flow-stats.ts';
import { handlePacketOut } from './packet-out.ts';
import { handlePortMod } from './port-mod.ts';
import {
  replyDesc,
  replyFeatures,
  replyGetConfig,
  replyGroupFeatures,
  replyMeterFeatures,
  replyPortDesc,
  replyPortStats,
  replyQueueConfig,
  replyQueueStats,
  replyTableFeatures,
  replyTableStats,
} from './switch-info.ts';
import { handleTableMod } from './table-mod.ts';

/**
 * Answers one OpenFlow request, at once or by a job that goes on over several turns.
 *
 * While a long change of the tables is under way only echoes are answered: all else might look at them.
 *
 * @throws OfpError with the code of the error message to send. Silence is right only where OpenFlow says
 *   so: flow_mod and the like, and replies to our own probes.
 */
export function handleRequest(sw: SwitchState, conn: OfConn, bytes: Uint8Array): RequestOutcome {
  if (sw.flowTables.gate.isBusy && bytes[1] !== typeEchoRequest && bytes[1] !== typeEchoReply) return 'later';
  if (isUnfinished(bytes)) return 'done';
  if (handlePlainFlowMod(sw, conn, bytes) || handlePlainBundleAdd(sw, conn, bytes)) return 'done';
  const request = decodeRequest(conn, bytes);
  const { message } = request;
  switch (message.type) {
    case 'flow_mod':
      refuseSlave(conn);
      return handleFlowMod(sw, conn, message, request.version);
    case 'bundle_control':
      refuseSlave(conn);
      return handleBundleControl(sw, conn, request, message, bytes);
    case 'flow_stats_request':
      return new DumpJob(sw, conn, request, message);
    default:
      handleShort(sw, conn, request, bytes);
      return 'done';
  }
}

function handleShort(sw: SwitchState, conn: OfConn, request: DecodedMessage, bytes: Uint8Array): void {
  const { message } = request;
  const reply = (answer: OfpMessage): void => {
    for (const part of encodeReply(conn, request, answer)) conn.sendReply(part);
  };
  switch (message.type) {
    case 'echo_request':
      reply({ type: 'echo_reply', data: message.data });
      return;
    case 'echo_reply':
      return;
    case 'barrier_request':
      reply({ type: 'barrier_reply' });
      return;
    case 'features_request':
      reply(replyFeatures(sw, request.version));
      return;
    case 'get_config_request':
      reply(replyGetConfig(sw, conn));
      return;
    case 'set_config':
      handleSetConfig(sw, conn, message);
      return;
    case 'bundle_add_message':
      refuseSlave(conn);
      handleBundleAdd(sw, conn, message, request, bytes);
      return;
    case 'packet_out':
      refuseSlave(conn);
      handlePacketOut(sw, message);
      return;
    case 'port_mod':
      refuseSlave(conn);
      handlePortMod(sw, conn, message);
      return;
    case 'table_mod':
      refuseSlave(conn);
      handleTableMod(sw, message, request.version);
      return;
    case 'role_request':
      reply(handleRole(sw, conn, message));
      return;
    case 'set_async_config':
      handleSetAsync(conn, message);
      return;
    case 'get_async_request':
      reply(handleGetAsync(conn));
      return;
    case 'nx_set_flow_format':
      conn.flowFormat = message.format;
      return;
    case 'nx_flow_mod_table_id':
      conn.flowModTableId = message.enable;
      return;
    case 'nx_set_packet_in_format':
      conn.packetInFormat = message.format;
      return;
    case 'nx_set_controller_id':
      conn.controllerId = message.controllerId;
      return;
    case 'nx_flow_age':
      return;
    default:
      answerMultipart(sw, request, reply);
  }
}

function answerMultipart(
  sw: SwitchState,
  request: DecodedMessage,
  reply: (answer: OfpMessage) => void,
): void {
  const { message } = request;
  switch (message.type) {
    case 'desc_request':
      reply(replyDesc(sw));
      return;
    case 'aggregate_stats_request':
      reply(replyAggregate(sw, message));
      return;
    case 'table_stats_request':
      reply(replyTableStats(sw));
      return;
    case 'table_features_request':
      reply(replyTableFeatures(sw));
      return;
    case 'port_stats_request':
      reply(replyPortStats(sw, message.port));
      return;
    case 'port_desc_request':
      reply(replyPortDesc(sw, message.port));
      return;
    case 'queue_stats_request':
      reply(replyQueueStats(sw, message.port, message.queueId));
      return;
    case 'queue_get_config_request':
      reply(replyQueueConfig(sw, message.port, message.queueId));
      return;
    case 'group_stats_request':
      reply({ type: 'group_stats_reply' });
      return;
    case 'group_desc_request':
      reply({ type: 'group_desc_reply' });
      return;
    case 'group_features_request':
      reply(replyGroupFeatures());
      return;
    case 'meter_features_request':
      reply(replyMeterFeatures());
      return;
    case 'meter_stats_request':
      checkMeter(message.meterId);
      reply({ type: 'meter_stats_reply' });
      return;
    case 'meter_config_request':
      checkMeter(message.meterId);
      reply({ type: 'meter_config_reply' });
      return;
    default:
      throw new OfpError(
        request.raw.kind.endsWith('ST') && !request.raw.isReply ? 'OFPBRC_BAD_STAT' : 'OFPBRC_BAD_TYPE',
      );
  }
}

/** A multipart request that says more will follow: only its last part is answered. */
function isUnfinished(bytes: Uint8Array): boolean {
  const isRequest = (bytes[0] ?? 0) > 1 && bytes[1] === 18;
  return isRequest && bytes.length >= 12 && ((bytes[11] ?? 0) & 1) !== 0;
}

const typeEchoRequest = 2;
const typeEchoReply = 3;
const allMeters = 0xffff_ffff;

/** There are no meters: one that is asked for by number is unknown. */
function checkMeter(meterId: number): void {
  if (meterId !== allMeters) throw new OfpError('OFPMMFC_UNKNOWN_METER');
}

function refuseSlave(conn: OfConn): void {
  if (conn.role === 'slave') throw new OfpError('OFPBRC_IS_SECONDARY');
}
