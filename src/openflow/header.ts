/**
 * OpenFlow headers: the 8 bytes of every message, multipart and experimenter headers, and which
 * raw message they announce.
 *
 *     0        8       16               32
 *     +--------+--------+----------------+
 *     | version|  type  |     length     |
 *     +--------+--------+----------------+
 *     |               xid                |
 *     +----------------------------------+
 *
 * A stream of bytes is cut into messages by `length`; see `messageLength`.
 */
import { OfpError } from '../util/errors.ts';
import { ByteReader, ByteWriter } from './byte-io.ts';
import { NX_VENDOR_ID, ONF_VENDOR_ID, parseVersions } from './errors.ts';
import { rawMessages } from './messages.table.ts';
import type { RawKind, RawName } from './messages.table.ts';

export const OFP_HEADER_SIZE = 8;
const OFPT_VENDOR = 4;
const OFPST_VENDOR = 0xffff;
/** OFPSF_REPLY_MORE. */
const MULTIPART_MORE = 1;

export interface RawMessage {
  readonly name: RawName;
  readonly kind: RawKind;
  readonly number: number;
  readonly from: number;
  readonly to: number;
  readonly size: number;
  readonly unit: number;
  readonly isReply: boolean;
}

const raws = new Map<string, RawMessage>();
const rawByKey = new Map<string, RawMessage>();
for (const [name, kind, versions, number, size, unit] of rawMessages) {
  const [from, to] = parseVersions(versions);
  const isReply = kind.endsWith('ST') && name.endsWith('_REPLY');
  const raw: RawMessage = { name, kind, number, from, to, size, unit, isReply };
  raws.set(name, raw);
  for (let v = from; v <= to; v++) rawByKey.set(`${v}/${kind}/${number}/${isReply}`, raw);
}

/** The row of a raw message by name. */
function rawMessage(name: RawName): RawMessage {
  const raw = raws.get(name);
  if (!raw) throw new RangeError(name);
  return raw;
}

/** Message types of multipart requests and replies. */
function multipartTypes(version: number): readonly [request: number, reply: number] {
  return version === 1 ? [16, 17] : [18, 19];
}

export interface DecodedHeader {
  readonly raw: RawMessage;
  readonly version: number;
  readonly xid: number;
  /** Multipart flags, 0 for others. */
  readonly flags: number;
  /** The body after all headers. */
  readonly body: ByteReader;
}

/**
 * Length that the header at the front of `bytes` gives, or 0 while fewer than 8 bytes are there.
 * A length below 8 is broken framing: the connection cannot go on.
 */
export function messageLength(bytes: Uint8Array, at = 0): number {
  if (bytes.length - at < OFP_HEADER_SIZE) return 0;
  return ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

/**
 * Reads all headers of one message.
 *
 * @throws OfpError OFPBRC_BAD_LEN, OFPBRC_BAD_TYPE, OFPBRC_BAD_STAT, OFPBRC_BAD_VENDOR, OFPBRC_BAD_SUBTYPE
 */
export function decodeHeader(bytes: Uint8Array): DecodedHeader {
  const length = messageLength(bytes);
  if (length < OFP_HEADER_SIZE || length > bytes.length) throw new OfpError('OFPBRC_BAD_LEN');
  const r = new ByteReader(bytes, 'OFPBRC_BAD_LEN', 0, length);
  const version = r.u8();
  const type = r.u8();
  r.skip(2);
  const xid = r.u32();
  let kind: RawKind = 'OFPT';
  let number = type;
  let flags = 0;
  let isReply = false;
  const [request, reply] = multipartTypes(version);
  if (type === OFPT_VENDOR) {
    const vendor = r.u32();
    kind = experimenterKind(vendor);
    number = r.u32();
  } else if (type === request || type === reply) {
    isReply = type === reply;
    kind = 'OFPST';
    number = r.u16();
    flags = r.u16();
    if (version > 1) r.skip(4);
    if (number === OFPST_VENDOR) {
      const vendor = r.u32();
      if (experimenterKind(vendor) !== 'NXT') throw new OfpError('OFPBRC_BAD_VENDOR');
      kind = 'NXST';
      number = r.u32();
      if (version === 1) r.skip(4);
    }
  }
  // Hello and its like stand in all versions, also in those still to come.
  const known = version === 0 || version > 6 ? (number <= 3 && kind === 'OFPT' ? 1 : version) : version;
  const raw = rawByKey.get(`${known}/${kind}/${number}/${isReply}`);
  if (!raw) {
    if (kind === 'NXT' || kind === 'ONFT' || kind === 'NXST') throw new OfpError('OFPBRC_BAD_SUBTYPE');
    throw new OfpError(kind === 'OFPST' ? 'OFPBRC_BAD_STAT' : 'OFPBRC_BAD_TYPE');
  }
  const extra = r.left - raw.size;
  const isBadLength = extra < 0 || (raw.unit === 0 ? extra > 0 : extra % raw.unit !== 0);
  if (isBadLength) throw new OfpError('OFPBRC_BAD_LEN');
  return { raw, version, xid, flags, body: r };
}

function experimenterKind(vendor: number): 'NXT' | 'ONFT' {
  if (vendor === NX_VENDOR_ID) return 'NXT';
  if (vendor === ONF_VENDOR_ID) return 'ONFT';
  throw new OfpError('OFPBRC_BAD_VENDOR');
}

/** Writes all headers of a raw message; `finishMessage` fills in the length. */
export function putHeader(w: ByteWriter, raw: RawName, version: number, xid: number): void {
  const { kind, number, isReply } = rawMessage(raw);
  const [request, reply] = multipartTypes(version);
  const type =
    kind === 'OFPT' ? number : kind === 'OFPST' || kind === 'NXST' ? (isReply ? reply : request) : 4;
  w.u8(version).u8(type).u16(0).u32(xid);
  if (kind === 'OFPST' || kind === 'NXST') {
    w.u16(kind === 'OFPST' ? number : OFPST_VENDOR).u16(0);
    if (version > 1) w.zeros(4);
    if (kind === 'NXST') {
      w.u32(NX_VENDOR_ID).u32(number);
      if (version === 1) w.zeros(4);
    }
  } else if (kind !== 'OFPT') {
    w.u32(kind === 'NXT' ? NX_VENDOR_ID : ONF_VENDOR_ID).u32(number);
  }
}

/** Fills in the length of a message that starts at 0 of `w`. */
export function finishMessage(w: ByteWriter): Uint8Array {
  w.setU16(2, w.length);
  return w.finish();
}

/**
 * Puts entries into as many multipart messages as their length asks for.
 *
 * @param entries Each at most 65,535 bytes less the headers.
 */
export function encodeMultipart(
  raw: RawName,
  version: number,
  xid: number,
  entries: Iterable<Uint8Array>,
  more = false,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let w = new ByteWriter();
  putHeader(w, raw, version, xid);
  const headerLength = w.length;
  for (const entry of entries) {
    if (w.length + entry.length > 0xffff && w.length > headerLength) {
      w.setU16(10, MULTIPART_MORE);
      parts.push(finishMessage(w));
      w = new ByteWriter();
      putHeader(w, raw, version, xid);
    }
    w.bytes(entry);
  }
  if (more) w.setU16(10, MULTIPART_MORE);
  parts.push(finishMessage(w));
  return parts;
}
