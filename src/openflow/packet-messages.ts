/** Codecs of packet_in in all its forms, packet_out and NXT_RESUME. */
import { Match } from '../flow/match.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { be32, putBe32 } from '../flow/numbers-text.ts';
import { OfpError } from '../util/errors.ts';
import { packetInReasons } from './action-numbers.ts';
import type { PacketInReason } from './actions.ts';
import type { ByteReader, ByteWriter } from './byte-io.ts';
import type { CodecContext } from './codec.ts';
import { decodeActions } from './decode-actions.ts';
import { refuseTunnelOptions } from './tunnel-options.ts';
import { pullProperty } from './decode-long-actions.ts';
import { encodeActions } from './encode-actions.ts';
import {
  pullMatchFields,
  pullNxMatch,
  pullOxmMatch,
  putMatchFields,
  putNxMatch,
  putOxmMatch,
} from './match-nxm.ts';
import type { PacketIn, PacketOut } from './messages.ts';
import { portFromOfp11 } from './port-messages.ts';
import {
  OFPP_CONTROLLER,
  OFPP_LOCAL,
  OFPP_MAX,
  OFPP_NONE,
  OFP_NO_BUFFER,
  ofp10ToOfp11Port,
} from './ports.ts';
import type { OfpPort } from '../util/brand.ts';

const ALL_ONES = 0xffffffffffffffffn;

/** NXPINT_*. */
const Prop = {
  PACKET: 0,
  FULL_LEN: 1,
  BUFFER_ID: 2,
  TABLE_ID: 3,
  COOKIE: 4,
  REASON: 5,
  METADATA: 6,
  USERDATA: 7,
  CONTINUATION: 8,
} as const;

/** A match on the input port alone: the least metadata there is. */
export function inPortMetadata(port: number): Match {
  const match = new Match();
  putBe32(match.flow, K.inPort, port);
  putBe32(match.mask, K.inPort, 0xffffffff);
  return match;
}

/** Input port of a packet's metadata; OFPP_NONE when there is none. */
export function metadataInPort(metadata: Match): OfpPort {
  return be32(metadata.mask, K.inPort) === 0 ? OFPP_NONE : (be32(metadata.flow, K.inPort) as OfpPort);
}

/** What an older version says instead of a reason it does not have. */
function reasonNumber(reason: PacketInReason, version: number): number {
  if (reason === 'implicit_miss') return 0;
  if (reason === 'explicit_miss') return version < 4 ? 1 : 0;
  const isNew = reason === 'action_set' || reason === 'group' || reason === 'packet_out';
  return isNew && version < 5 ? 1 : packetInReasons.indexOf(reason);
}

function reasonOf(number: number): PacketInReason {
  return packetInReasons[number] ?? 'action';
}

function putProp(w: ByteWriter, type: number, body: () => void): void {
  const start = w.length;
  w.u16(type).u16(0);
  body();
  w.setU16(start + 2, w.length - start);
  w.padTo(8, start);
}

/** Properties of NXT_PACKET_IN2, also those of NXT_RESUME. */
export function putPacketIn2(w: ByteWriter, m: PacketIn, version: number): void {
  if (m.packet.length > 0) putProp(w, Prop.PACKET, () => w.bytes(m.packet));
  if (m.packet.length !== m.totalLen) putProp(w, Prop.FULL_LEN, () => w.u32(m.totalLen));
  if (m.bufferId !== OFP_NO_BUFFER) putProp(w, Prop.BUFFER_ID, () => w.u32(m.bufferId));
  putProp(w, Prop.TABLE_ID, () => w.u8(m.tableId).zeros(3));
  if (m.cookie !== ALL_ONES) putProp(w, Prop.COOKIE, () => w.zeros(4).u64(m.cookie));
  putProp(w, Prop.REASON, () => w.u8(reasonNumber(m.reason, version)).zeros(3));
  putProp(w, Prop.METADATA, () => {
    putMatchFields(w, m.metadata, version);
  });
  if (m.userdata.length > 0) putProp(w, Prop.USERDATA, () => w.bytes(m.userdata));
  const { continuation } = m;
  if (continuation) putProp(w, Prop.CONTINUATION, () => w.zeros(4).bytes(continuation));
}

/** @param isLoose What is not known is left out, as whoever gets packets wants it. */
export function pullPacketIn2(r: ByteReader, isLoose = true): PacketIn {
  let packet = new Uint8Array(0);
  let totalLen = 0;
  let bufferId = OFP_NO_BUFFER;
  let tableId = 0;
  let cookie = ALL_ONES;
  let reason: PacketInReason = 'action';
  let metadata = new Match();
  let userdata = new Uint8Array(0);
  let continuation: Uint8Array | null = null;
  while (r.left > 0) {
    const { type, body } = pullProperty(r);
    switch (type) {
      case Prop.PACKET:
        packet = new Uint8Array(body.rest());
        break;
      case Prop.FULL_LEN:
        totalLen = body.u32();
        break;
      case Prop.BUFFER_ID:
        bufferId = body.u32();
        break;
      case Prop.TABLE_ID:
        tableId = body.u8();
        break;
      case Prop.COOKIE:
        body.skip(4);
        cookie = body.u64();
        break;
      case Prop.REASON:
        reason = reasonOf(body.u8());
        break;
      case Prop.METADATA:
        metadata = pullMatchFields(body, { loose: isLoose }).match;
        break;
      case Prop.USERDATA:
        userdata = new Uint8Array(body.rest());
        break;
      case Prop.CONTINUATION:
        body.skip(4);
        continuation = body.rest();
        break;
      default:
        if (!isLoose) throw new OfpError('OFPBPC_BAD_TYPE');
    }
  }
  if (packet.length === 0 && totalLen === 0) throw new OfpError('OFPBPC_BAD_LEN');
  if (totalLen === 0) totalLen = packet.length;
  else if (totalLen < packet.length) throw new OfpError('OFPBPC_BAD_LEN');
  return {
    type: 'packet_in',
    packet,
    totalLen,
    bufferId,
    reason,
    tableId,
    cookie,
    metadata,
    userdata,
    continuation,
  };
}

export function putNxPacketIn(w: ByteWriter, m: PacketIn, version: number): void {
  w.u32(m.bufferId).u16(m.totalLen).u8(reasonNumber(m.reason, version)).u8(m.tableId).u64(m.cookie);
  const at = w.length;
  w.u16(0).zeros(6);
  w.setU16(at, putNxMatch(w, m.metadata));
  w.zeros(2).bytes(m.packet);
}

export function putPacketIn(w: ByteWriter, m: PacketIn, version: number): void {
  const reason = reasonNumber(m.reason, version);
  if (version === 1) {
    w.u32(m.bufferId)
      .u16(m.totalLen)
      .u16(metadataInPort(m.metadata) & 0xffff)
      .u8(reason)
      .u8(0);
    w.bytes(m.packet);
    return;
  }
  if (version === 2) {
    const inPort = metadataInPort(m.metadata);
    w.u32(m.bufferId).u32(inPort).u32(inPort).u16(m.totalLen).u8(reason).u8(m.tableId).bytes(m.packet);
    return;
  }
  w.u32(m.bufferId).u16(m.totalLen).u8(reason).u8(m.tableId);
  if (version >= 4) w.u64(m.cookie);
  putOxmMatch(w, m.metadata, version);
  w.zeros(2).bytes(m.packet);
}

const base = { userdata: new Uint8Array(0), continuation: null } as const;

export function pullPacketIn(r: ByteReader, version: number): PacketIn {
  const bufferId = r.u32();
  if (version === 1) {
    const totalLen = r.u16();
    const metadata = inPortMetadata(ofp10ToOfp11Port(r.u16()));
    const reason = reasonOf(r.u8());
    r.skip(1);
    const packet = r.rest();
    return {
      type: 'packet_in',
      ...base,
      bufferId,
      totalLen,
      reason,
      metadata,
      packet,
      tableId: 0,
      cookie: ALL_ONES,
    };
  }
  if (version === 2) {
    const metadata = inPortMetadata(portFromOfp11(r.u32()));
    r.skip(4);
    const totalLen = r.u16();
    const reason = reasonOf(r.u8());
    const tableId = r.u8();
    return {
      type: 'packet_in',
      ...base,
      bufferId,
      totalLen,
      reason,
      metadata,
      tableId,
      cookie: ALL_ONES,
      packet: r.rest(),
    };
  }
  const totalLen = r.u16();
  const reason = reasonOf(r.u8());
  const tableId = r.u8();
  const cookie = version >= 4 ? r.u64() : ALL_ONES;
  const metadata = pullOxmMatch(r, { loose: true });
  r.skip(2);
  return {
    type: 'packet_in',
    ...base,
    bufferId,
    totalLen,
    reason,
    tableId,
    cookie,
    metadata,
    packet: r.rest(),
  };
}

export function pullNxPacketIn(r: ByteReader): PacketIn {
  const bufferId = r.u32();
  const totalLen = r.u16();
  const reason = reasonOf(r.u8());
  const tableId = r.u8();
  const cookie = r.u64();
  const matchLength = r.u16();
  r.skip(6);
  const { match: metadata } = pullNxMatch(r, matchLength, { loose: true });
  r.skip(2);
  return {
    type: 'packet_in',
    ...base,
    bufferId,
    totalLen,
    reason,
    tableId,
    cookie,
    metadata,
    packet: r.rest(),
  };
}

export function putPacketOut(w: ByteWriter, m: PacketOut, version: number): void {
  w.u32(m.bufferId);
  const inPort = metadataInPort(m.metadata);
  if (version === 1) w.u16(inPort & 0xffff);
  else if (version < 6) w.u32(inPort);
  const at = w.length;
  w.u16(0);
  if (version >= 6) {
    w.zeros(2);
    putOxmMatch(w, m.metadata, version);
  } else if (version > 1) w.zeros(6);
  const from = w.length;
  encodeActions(w, m.actions, version);
  w.setU16(at, w.length - from);
  if (m.bufferId === OFP_NO_BUFFER) w.bytes(m.packet);
}

export function pullPacketOut(r: ByteReader, c: CodecContext): PacketOut {
  const { version } = c;
  const bufferId = r.u32();
  let metadata = new Match();
  let length: number;
  if (version === 1) {
    metadata = inPortMetadata(ofp10ToOfp11Port(r.u16()));
    length = r.u16();
  } else if (version < 6) {
    metadata = inPortMetadata(portFromOfp11(r.u32()));
    length = r.u16();
    r.skip(6);
  } else {
    length = r.u16();
    r.skip(2);
    metadata = pullOxmMatch(r, { pipelineOnly: true });
  }
  const port = metadataInPort(metadata);
  const isSpecial = port === OFPP_LOCAL || port === OFPP_NONE || port === OFPP_CONTROLLER;
  if (port >= OFPP_MAX && !isSpecial) throw new OfpError('OFPBRC_BAD_PORT');
  const actions = decodeActions(r, length, version, c);
  if (c.hasTunnelOptions === false) refuseTunnelOptions(metadata, actions);
  const packet = bufferId === OFP_NO_BUFFER ? r.rest() : new Uint8Array(0);
  return { type: 'packet_out', bufferId, metadata, actions, packet };
}
