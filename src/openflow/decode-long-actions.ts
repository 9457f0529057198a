/** Decoders of the actions with lists inside: controller, learn, nat, encap. */
import type { Subfield } from '../flow/fields.ts';
import { OfpError } from '../util/errors.ts';
import {
  Controller2Prop,
  LEARN_DST_LOAD,
  LEARN_DST_MASK,
  LEARN_DST_OUTPUT,
  LEARN_N_BITS_MASK,
  LEARN_SRC_IMMEDIATE,
  LearnFlag,
  MAX_LEN_ALL,
  NatFlag,
  NatRange,
  packetInReasons,
} from './action-numbers.ts';
import type {
  Action,
  ControllerAction,
  EncapProperty,
  LearnSpec,
  LearnSpecSource,
  PacketInReason,
} from './actions.ts';
import type { ByteReader } from './byte-io.ts';
import { pullFieldHeader, pullShortHeader } from './nxm.ts';

const bad = (code: string): never => {
  throw new OfpError(code);
};

function reasonOf(number: number): PacketInReason {
  return packetInReasons[number] ?? bad('NXBRC_BAD_REASON');
}

export function decodeController(r: ByteReader): ControllerAction {
  const maxLen = r.u16();
  const controllerId = r.u16();
  const reason = reasonOf(r.u8());
  return {
    kind: 'controller',
    maxLen,
    controllerId,
    reason,
    pause: false,
    userdata: new Uint8Array(0),
    meterId: 0,
  };
}

/** One property of type 16, length 16, padded to 8 bytes. @throws OfpError OFPBPC_BAD_LEN */
export function pullProperty(r: ByteReader): { readonly type: number; readonly body: ByteReader } {
  if (r.left < 4) bad('OFPBPC_BAD_LEN');
  const type = r.peekU16();
  const length = r.peekU16(2);
  const padded = Math.ceil(length / 8) * 8;
  if (length < 4 || padded > r.left) bad('OFPBPC_BAD_LEN');
  const body = r.sub(length, 'OFPBPC_BAD_LEN');
  r.skip(padded - length);
  body.skip(4);
  return { type, body };
}

function exact<T>(body: ByteReader, size: number, read: () => T): T {
  if (body.left !== size) bad('OFPBPC_BAD_LEN');
  return read();
}

export function decodeController2(r: ByteReader): ControllerAction {
  if (!r.allZeros(6)) bad('NXBRC_MUST_BE_ZERO');
  let maxLen = MAX_LEN_ALL;
  let controllerId = 0;
  let reason: PacketInReason = 'action';
  let userdata = new Uint8Array(0);
  let pause = false;
  let meterId = 0;
  while (r.left > 0) {
    const { type, body } = pullProperty(r);
    if (type === Controller2Prop.MAX_LEN) maxLen = body.u16();
    else if (type === Controller2Prop.CONTROLLER_ID) controllerId = body.u16();
    else if (type === Controller2Prop.REASON) reason = reasonOf(body.u8());
    else if (type === Controller2Prop.USERDATA) userdata = new Uint8Array(body.rest());
    else if (type === Controller2Prop.PAUSE) pause = true;
    else if (type === Controller2Prop.METER_ID) meterId = exact(body, 4, () => body.u32());
    else bad('OFPBPC_BAD_TYPE');
  }
  return { kind: 'controller', maxLen, controllerId, reason, pause, userdata, meterId };
}

function pullSpecField(r: ByteReader, nBits: number): Subfield {
  const field = pullShortHeader(r);
  return { field, ofs: r.u16(), nBits };
}

function decodeSpec(r: ByteReader, header: number): LearnSpec {
  const nBits = header & LEARN_N_BITS_MASK;
  const isImmediate = (header & LEARN_SRC_IMMEDIATE) !== 0;
  const dst = header & LEARN_DST_MASK;
  if (dst === LEARN_DST_MASK || (dst === LEARN_DST_OUTPUT && isImmediate)) bad('OFPBAC_BAD_ARGUMENT');
  const immediateSize = 2 * Math.ceil(nBits / 16);
  const needs = (isImmediate ? immediateSize : 6) + (dst === LEARN_DST_OUTPUT ? 0 : 6);
  if (r.left < needs) bad('OFPBAC_BAD_LEN');
  let source: LearnSpecSource;
  if (isImmediate) {
    const bytes = r.bytes(immediateSize);
    source = { type: 'immediate', value: bytes.slice(bytes.length - Math.ceil(nBits / 8)) };
  } else source = { type: 'field', src: pullSpecField(r, nBits) };
  if (dst === LEARN_DST_OUTPUT) return { dstType: 'output', nBits, source };
  return { dstType: dst === LEARN_DST_LOAD ? 'load' : 'match', nBits, source, dst: pullSpecField(r, nBits) };
}

export function decodeLearn(r: ByteReader, isLong: boolean): Action {
  const idleTimeoutSec = r.u16();
  const hardTimeoutSec = r.u16();
  const priority = r.u16();
  const cookie = r.u64();
  const flags = r.u16();
  const tableId = r.u8();
  if (r.u8() !== 0 || tableId === 0xff) bad('OFPBAC_BAD_ARGUMENT');
  const finIdleTimeoutSec = r.u16();
  const finHardTimeoutSec = r.u16();
  const allowed = LearnFlag.SEND_FLOW_REM | LearnFlag.DELETE_LEARNED | (isLong ? LearnFlag.WRITE_RESULT : 0);
  if ((flags & ~allowed) !== 0) bad('OFPBAC_BAD_ARGUMENT');
  let limit = 0;
  let resultDst: Subfield | undefined;
  if (isLong) {
    limit = r.u32();
    const ofs = r.u16();
    if (r.u16() !== 0) bad('NXBAC_MUST_BE_ZERO');
    if ((flags & LearnFlag.WRITE_RESULT) !== 0) {
      resultDst = { field: pullFieldHeader(r), ofs, nBits: 1 };
      if (!resultDst.field.writable) bad('OFPBAC_BAD_SET_ARGUMENT');
    } else if (ofs !== 0) bad('OFPBAC_BAD_ARGUMENT');
  }
  const specs: LearnSpec[] = [];
  while (r.left >= 2) {
    const header = r.u16();
    if (header === 0) break;
    specs.push(decodeSpec(r, header));
  }
  if (!r.allZeros(r.left)) bad('OFPBAC_BAD_ARGUMENT');
  return {
    kind: 'learn',
    idleTimeoutSec,
    hardTimeoutSec,
    priority,
    cookie,
    sendFlowRem: (flags & LearnFlag.SEND_FLOW_REM) !== 0,
    deleteLearned: (flags & LearnFlag.DELETE_LEARNED) !== 0,
    tableId,
    finIdleTimeoutSec,
    finHardTimeoutSec,
    limit,
    ...(resultDst && { resultDst }),
    specs,
  };
}

const isAllZero = (b: Uint8Array): boolean => b.every((x) => x === 0);

function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) return d < 0;
  }
  return false;
}

export function decodeNat(r: ByteReader): Action {
  r.skip(2);
  const flags = r.u16();
  const present = r.u16();
  const has = (bit: number): boolean => (present & bit) !== 0;
  const isSrc = (flags & NatFlag.SRC) !== 0;
  const isDst = (flags & NatFlag.DST) !== 0;
  const isHash = (flags & NatFlag.HASH) !== 0;
  const isRandom = (flags & NatFlag.RANDOM) !== 0;
  if ((flags & ~31) !== 0 || (isSrc && isDst) || (isHash && isRandom)) bad('OFPBAC_BAD_ARGUMENT');
  const take = (size: number): Uint8Array => (r.left < size ? bad('OFPBAC_BAD_ARGUMENT') : r.bytes(size));
  let addrMin: Uint8Array | undefined;
  let addrMax: Uint8Array | undefined;
  const isV4 = has(NatRange.IPV4_MIN);
  const isV6 = has(NatRange.IPV6_MIN);
  if (isV4 && (isV6 || has(NatRange.IPV6_MAX))) bad('OFPBAC_BAD_ARGUMENT');
  if ((has(NatRange.IPV4_MAX) && !isV4) || (has(NatRange.IPV6_MAX) && !isV6)) bad('OFPBAC_BAD_ARGUMENT');
  if (isV4 || isV6) {
    const size = isV4 ? 4 : 16;
    addrMin = take(size);
    if (isAllZero(addrMin)) bad('OFPBAC_BAD_ARGUMENT');
    if (has(isV4 ? NatRange.IPV4_MAX : NatRange.IPV6_MAX)) {
      addrMax = take(size);
      if (isLess(addrMax, addrMin)) bad('OFPBAC_BAD_ARGUMENT');
    }
  }
  let protoMin: number | undefined;
  let protoMax: number | undefined;
  if (has(NatRange.PROTO_MIN)) {
    if (!addrMin || r.left < 2) bad('OFPBAC_BAD_ARGUMENT');
    protoMin = r.u16();
    if (protoMin === 0) bad('OFPBAC_BAD_ARGUMENT');
    if (has(NatRange.PROTO_MAX)) {
      if (r.left < 2) bad('OFPBAC_BAD_ARGUMENT');
      protoMax = r.u16();
      if (protoMax < protoMin) bad('OFPBAC_BAD_ARGUMENT');
    }
  } else if (has(NatRange.PROTO_MAX)) bad('OFPBAC_BAD_ARGUMENT');
  return {
    kind: 'nat',
    direction: isSrc ? 'src' : isDst ? 'dst' : null,
    persistent: (flags & NatFlag.PERSISTENT) !== 0,
    portMode: isHash ? 'hash' : isRandom ? 'random' : null,
    ...(addrMin && { addrMin }),
    ...(addrMax && { addrMax }),
    ...(protoMin !== undefined && { protoMin }),
    ...(protoMax !== undefined && { protoMax }),
  };
}

const PT_ETH = 0;
const PT_NSH = 0x1894f;

export function decodeEncap(r: ByteReader): Action {
  const hdrSize = r.u16();
  const packetType = r.u32();
  if (packetType !== PT_ETH && packetType !== PT_NSH) {
    bad('NXBAC_BAD_HEADER_TYPE');
  }
  const props: EncapProperty[] = [];
  while (r.left > 0) {
    if (r.left < 4) bad('OFPBAC_BAD_LEN');
    const propClass = r.u16();
    const type = r.u8();
    const length = r.u8();
    const padded = Math.ceil(length / 8) * 8 - 4;
    if (length < 4 || padded > r.left) bad('OFPBAC_BAD_LEN');
    const data = r.bytes(length - 4);
    r.skip(padded - (length - 4));
    props.push({ class: propClass, type, data });
  }
  return { kind: 'encap', packetType, hdrSize, props };
}
