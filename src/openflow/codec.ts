/**
 * Messages to bytes and back: the one entrance to the codecs.
 *
 * `decodeMessage` reads any supported version into an `OfpMessage`; `encodeMessage` writes one in the form
 * that the context names, as several multipart messages when it is long. Both are pure: what a
 * connection has agreed on (formats, table ids) is in the context.
 */
import { OfpError } from '../util/errors.ts';
import type { DecodeActionsOptions } from './decode-actions.ts';
import { decoders } from './decoders.ts';
import { encodeErrorMessage } from './errors.ts';
import { decodeHeader } from './header.ts';
import type { RawMessage } from './header.ts';
import { encodeBody } from './encoders.ts';
import type { AsyncConfig, FlowStats, OfpMessage, OfpVersion, PacketInFormat } from './messages.ts';

export interface CodecContext extends DecodeActionsOptions {
  readonly version: number;
  /** 1.0: whether flows go as ofp_match or as NXM. Default openflow10. */
  readonly flowFormat?: 'openflow10' | 'nxm';
  /** 1.0: the upper byte of a flow_mod's command is a table (NXT_FLOW_MOD_TABLE_ID). */
  readonly tableIdExtension?: boolean;
  /** Form of packet_in to write. Default standard. */
  readonly packetInFormat?: PacketInFormat;
  /** Ports of the switch are below this; for checks of actions. */
  readonly maxPorts?: number;
  readonly nTables?: number;
  /** False: tun_metadata fields have no meaning (NXFMFC_INVALID_TLV_FIELD). Default true. */
  readonly hasTunnelOptions?: boolean;
  /** Which asynchronous messages the controller gets now: a request of 1.4 may leave some as they are. */
  readonly asyncMasks?: Partial<AsyncConfig>;
  /** Decoding a flow_stats_reply puts each flow here too: what was read before an error. */
  readonly flowsRead?: FlowStats[];
}

/** Versions that the codecs speak, newest last. */
export const codecVersions: readonly OfpVersion[] = [1, 3, 4, 5, 6];

export interface DecodedMessage {
  readonly version: number;
  readonly xid: number;
  readonly raw: RawMessage;
  readonly message: OfpMessage;
}

/**
 * Decodes one whole message.
 *
 * @param context What the connection agreed on; its version is ignored, the message tells its own.
 * @throws OfpError with the code to answer with.
 */
export function decodeMessage(bytes: Uint8Array, context: Partial<CodecContext> = {}): DecodedMessage {
  const { raw, version, xid, flags, body } = decodeHeader(bytes);
  const decode = decoders[raw.name];
  if (!decode) throw new OfpError(raw.kind.endsWith('ST') ? 'OFPBRC_BAD_STAT' : 'OFPBRC_BAD_TYPE');
  const more = raw.isReply && (flags & 1) !== 0;
  return { version, xid, raw, message: decode(body, { ...context, version }, more) };
}

/** Encodes a message; more than one array only for long multipart replies. */
export function encodeMessage(message: OfpMessage, xid: number, context: CodecContext): Uint8Array[] {
  if (message.type === 'error')
    return [encodeErrorMessage(message.error, context.version, xid, message.data)];
  return encodeBody(message, xid, context);
}

/** `encodeMessage` of a message that is never long. */
export function encodeOne(message: OfpMessage, xid: number, context: CodecContext): Uint8Array {
  const [bytes] = encodeMessage(message, xid, context);
  if (!bytes) throw new RangeError(message.type);
  return bytes;
}
