/**
 * Headers of actions: finds the raw action at the front of bytes, and writes headers.
 *
 *     standard       | type 16 | len 16 | argument, padded to 8 bytes
 *     experimenter   | 0xffff  | len 16 | vendor 32 | subtype 16 | argument from byte 10 on
 */
import { OfpError } from '../util/errors.ts';
import type { ByteReader, ByteWriter } from './byte-io.ts';
import { NX_VENDOR_ID, ONF_VENDOR_ID, parseVersions } from './errors.ts';
import { rawActions } from './actions.table.ts';
import type { ActionShape, RawActionName } from './actions.table.ts';

const OFPAT_VENDOR = 0xffff;
const EXTENSION_HEADER_SIZE = 10;

interface RawAction {
  readonly name: RawActionName;
  readonly vendor: number;
  readonly type: number;
  readonly minLength: number;
  readonly isVariable: boolean;
  /** Bytes of the argument and where it stands, 0 for none or a struct. */
  readonly argBytes: number;
  readonly argAt: number;
}

const argSizes: Readonly<Record<string, number>> = { void: 0, u8: 1, u16: 2, u32: 4, u64: 8 };
const byWire = new Map<string, RawAction>();
const byName = new Map<string, RawAction>();

function makeRaw(
  name: RawActionName,
  vendor: number,
  type: number,
  shape: ActionShape,
  isVariable: boolean,
): RawAction {
  const headerSize = vendor === 0 ? 4 : EXTENSION_HEADER_SIZE;
  if (typeof shape === 'number') {
    return { name, vendor, type, minLength: shape, isVariable, argBytes: 0, argAt: headerSize };
  }
  const argBytes = argSizes[shape] ?? 0;
  const argAt = argBytes === 0 ? headerSize : Math.ceil(headerSize / argBytes) * argBytes;
  return {
    name,
    vendor,
    type,
    minLength: Math.ceil((argAt + argBytes) / 8) * 8,
    isVariable,
    argBytes,
    argAt,
  };
}

for (const [name, where, shape, variable] of rawActions as readonly (readonly [
  RawActionName,
  string,
  ActionShape,
  string?,
])[]) {
  for (const place of where.split(', ')) {
    const m = /^(OF|NX|ONF)([\d.+-]+)\((\d+)\)$/.exec(place);
    if (!m) throw new RangeError(`actions.table.ts: ${place}`);
    const vendor = m[1] === 'NX' ? NX_VENDOR_ID : m[1] === 'ONF' ? ONF_VENDOR_ID : 0;
    const raw = makeRaw(name, vendor, Number(m[3]), shape, variable !== undefined);
    const [from, to] = parseVersions(m[2] ?? '');
    for (let version = from; version <= to; version++) {
      byWire.set(`${version}/${vendor}/${raw.type}`, raw);
      byName.set(`${version}/${name}`, raw);
    }
    // Extensions are sent in every version; an older switch refuses those it does not have.
    if (vendor === NX_VENDOR_ID) {
      for (let version = 1; version <= 6; version++) {
        if (!byName.has(`${version}/${name}`)) byName.set(`${version}/${name}`, raw);
      }
    }
  }
}

export interface PulledAction {
  readonly name: RawActionName;
  /** The argument of an action with one, else 0. */
  readonly arg: bigint;
  /** What follows the header (4 or 10 bytes in), up to the end of the action. */
  readonly body: ByteReader;
}

/**
 * Takes one action off the front of `r`.
 *
 * @throws OfpError OFPBAC_BAD_LEN, OFPBAC_BAD_TYPE, OFPBAC_BAD_VENDOR, OFPBAC_BAD_VENDOR_TYPE
 */
export function pullAction(r: ByteReader, version: number): PulledAction {
  if (r.left < 8) throw new OfpError('OFPBAC_BAD_LEN');
  const type = r.peekU16();
  const length = r.peekU16(2);
  let vendor = 0;
  let number = type;
  if (type === OFPAT_VENDOR) {
    vendor = r.peekU32(4);
    if (vendor !== NX_VENDOR_ID && vendor !== ONF_VENDOR_ID) throw new OfpError('OFPBAC_BAD_VENDOR');
    if (r.left < 10) throw new OfpError('OFPBAC_BAD_LEN');
    number = r.peekU16(8);
  }
  const raw = byWire.get(`${version}/${vendor}/${number}`);
  if (!raw) throw new OfpError(vendor === 0 ? 'OFPBAC_BAD_TYPE' : 'OFPBAC_BAD_VENDOR_TYPE');
  const isBadLength = raw.isVariable ? length < raw.minLength : length !== raw.minLength;
  if (isBadLength || length % 8 !== 0 || length > r.left) throw new OfpError('OFPBAC_BAD_LEN');
  const body = r.sub(length, 'OFPBAC_BAD_LEN');
  let arg = 0n;
  body.skip(raw.argAt);
  for (let i = 0; i < raw.argBytes; i++) arg = (arg << 8n) | BigInt(body.u8());
  return { name: raw.name, arg, body };
}

/**
 * Writes one action: header, then what `body` writes (or the argument), then zeros to a multiple of 8 and
 * to its least length.
 */
export function putAction(
  w: ByteWriter,
  version: number,
  name: RawActionName,
  body: bigint | number | (() => void) = 0,
): void {
  const raw = byName.get(`${version}/${name}`);
  if (!raw) throw new RangeError(`no ${name} in version ${version}`);
  const start = w.length;
  if (raw.vendor === 0) w.u16(raw.type).u16(0);
  else w.u16(OFPAT_VENDOR).u16(0).u32(raw.vendor).u16(raw.type);
  if (typeof body === 'function') {
    body();
  } else {
    w.zeros(raw.argAt - (w.length - start));
    let value = BigInt(body);
    if (raw.argBytes === 8) w.u64(value);
    else {
      value = BigInt.asUintN(raw.argBytes * 8, value);
      if (raw.argBytes === 4) w.u32(Number(value));
      else if (raw.argBytes === 2) w.u16(Number(value));
      else if (raw.argBytes === 1) w.u8(Number(value));
    }
  }
  if (w.length - start < raw.minLength) w.zeros(raw.minLength - (w.length - start));
  w.padTo(8, start);
  w.setU16(start + 2, w.length - start);
}
