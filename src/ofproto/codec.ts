import type { PacketInReason } from '../openflow/actions.ts';
import type { CodecContext, DecodedMessage } from '../openflow/codec.ts';
import { codecVersions, decodeMessage, encodeMessage, encodeOne } from '../openflow/codec.ts';
import type { FlowRemoved, OfpMessage, PhyPort } from '../openflow/messages.ts';
import { OFPP_MAX, OFP_NO_BUFFER } from '../openflow/ports.ts';
import type { OfConn } from './connection/ofconn.ts';
import type { PacketInEvent } from './ofproto-types.ts';
import { packetInMetadata } from './packet-in-metadata.ts';

/** Bytes to messages and back, in the forms that a connection has agreed on. */
export type { DecodedMessage } from '../openflow/codec.ts';

/** The newest version whose messages are all encoded in their own form. */
const newestVersion = 5;

/** Bit n: version n is spoken here. */
export const supportedVersions = codecVersions
  .filter((version) => version <= newestVersion)
  .reduce((bitmap, version) => bitmap | (1 << version), 0);

/** Tables that actions of a controller may name. */
const nTables = 255;

export function contextOf(conn: OfConn, version: number): CodecContext {
  return {
    version,
    flowFormat: conn.flowFormat,
    tableIdExtension: conn.flowModTableId,
    packetInFormat: conn.packetInFormat,
    maxPorts: OFPP_MAX,
    nTables,
    asyncMasks: conn.asyncMasks,
    // There is no table of tunnel options yet (NXT_TLV_TABLE_MOD).
    hasTunnelOptions: false,
  };
}

/** @throws OfpError with the code to answer with. */
export function decodeRequest(conn: OfConn, bytes: Uint8Array): DecodedMessage {
  return decodeMessage(bytes, contextOf(conn, conn.version));
}

/** An answer goes in the request's version and with its xid. */
export function encodeReply(conn: OfConn, request: DecodedMessage, answer: OfpMessage): Uint8Array[] {
  return encodeMessage(answer, request.xid, contextOf(conn, request.version));
}

export function encodePacketInFor(conn: OfConn, event: PacketInEvent, reason: PacketInReason): Uint8Array {
  return encodeOne(
    {
      type: 'packet_in',
      packet: event.packet,
      totalLen: event.packet.length,
      bufferId: OFP_NO_BUFFER,
      reason,
      tableId: event.tableId,
      cookie: event.cookie,
      metadata: packetInMetadata(event.flow),
      userdata: event.userdata ?? new Uint8Array(0),
      continuation: null,
    },
    0,
    contextOf(conn, conn.version),
  );
}

export function encodePortStatusFor(
  conn: OfConn,
  reason: 'add' | 'delete' | 'modify',
  desc: PhyPort,
): Uint8Array {
  return encodeOne({ type: 'port_status', reason, desc }, 0, contextOf(conn, conn.version));
}

export function encodeFlowRemovedFor(conn: OfConn, message: FlowRemoved): Uint8Array {
  return encodeOne(message, 0, contextOf(conn, conn.version));
}
