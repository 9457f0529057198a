/**
 * OpenFlow errors on the wire: names to numbers of each version and back, and the error messages.
 */
import { ofpErrors } from './errors.table.ts';
import type { OfpErrorName } from './errors.table.ts';
import { ByteReader, ByteWriter } from './byte-io.ts';
import type { OfpVersion } from './messages.ts';
export type { OfpErrorName } from './errors.table.ts';

export const NX_VENDOR_ID = 0x00002320;
export const ONF_VENDOR_ID = 0x4f4e4600;
const NXET_VENDOR = 0xb0c2;
const OFPET12_EXPERIMENTER = 0xffff;
/** Bytes of the request that an error carries: all of it, as far as the longest message reaches. */
const ERROR_DATA_MAX = 0xffff - 24;

interface ErrorNumbers {
  readonly vendor: number;
  readonly type: number;
  readonly code: number;
}

const versions: readonly OfpVersion[] = [1, 2, 3, 4, 5, 6];
const numbersByName = new Map<string, ErrorNumbers>();
const nameByNumbers = new Map<string, OfpErrorName>();

/** `1.0`, `1.0-1.2` or `1.2+` as a range of wire versions. */
export function parseVersions(text: string): readonly [from: number, to: number] {
  const m = /^1\.(\d)(?:(\+)|-1\.(\d))?$/.exec(text);
  if (!m) throw new RangeError(`bad version range ${text}`);
  const from = Number(m[1]) + 1;
  return [from, m[2] ? 6 : m[3] ? Number(m[3]) + 1 : from];
}

for (const [name, wire] of ofpErrors) {
  for (const place of wire.split(', ')) {
    const m = /^(OF|NX|ONF)([\d.+-]+)\((\d+)(?:,(\d+))?\)$/.exec(place);
    if (!m) throw new RangeError(`errors.table.ts: ${place}`);
    const vendor = m[1] === 'NX' ? NX_VENDOR_ID : m[1] === 'ONF' ? ONF_VENDOR_ID : 0;
    const [from, to] = parseVersions(m[2] ?? '');
    const type = Number(m[3]);
    const code = Number(m[4] ?? 0);
    for (const version of versions) {
      if (version < from || version > to) continue;
      numbersByName.set(`${version}/${name}`, { vendor, type, code });
      const key = `${version}/${vendor}/${type}/${code}`;
      if (!nameByNumbers.has(key)) nameByNumbers.set(key, name);
    }
  }
}

function knownVersion(version: number): OfpVersion {
  return versions.find((v) => v === version) ?? 1;
}

function encodeError(name: string, version: number, xid: number, data: Uint8Array): Uint8Array {
  const v = knownVersion(version);
  const numbers = numbersByName.get(`${v}/${name}`) ??
    numbersByName.get(`${v}/NXBRC_UNENCODABLE_ERROR`) ?? { vendor: 0, type: 1, code: 1 };
  const w = new ByteWriter();
  w.u8(v).u8(1).u16(0).u32(xid);
  if (numbers.vendor === 0) w.u16(numbers.type).u16(numbers.code);
  else if (v <= 2) w.u16(NXET_VENDOR).u16(0).u32(numbers.vendor).u16(numbers.type).u16(numbers.code);
  else w.u16(OFPET12_EXPERIMENTER).u16(numbers.type).u32(numbers.vendor);
  w.bytes(data);
  w.setU16(2, w.length);
  return w.finish();
}

/**
 * The error message that answers `request` (a whole message with its header).
 *
 * @param name OFPxxx name. One that the request's version cannot say becomes NXBRC_UNENCODABLE_ERROR.
 */
export function encodeErrorReply(name: string, request: Uint8Array): Uint8Array {
  const r = new DataView(request.buffer, request.byteOffset, request.byteLength);
  const length = Math.min(r.getUint16(2), request.length, ERROR_DATA_MAX);
  return encodeError(name, r.getUint8(0), r.getUint32(4), request.subarray(0, length));
}

/** The error that ends a failed hello; `text` explains it to people. */
export function encodeHelloFailure(name: OfpErrorName, version: number, text: string): Uint8Array {
  return encodeError(name, version, 0, new TextEncoder().encode(text));
}

/** An error message with given payload, as a message of its own. */
export function encodeErrorMessage(name: string, version: number, xid: number, data: Uint8Array): Uint8Array {
  return encodeError(name, version, xid, data);
}

/** Reads the body of an error message. Unknown numbers stay numbers: `***type/code***`. */
export function decodeErrorBody(
  version: number,
  body: Uint8Array,
): { readonly error: string; readonly known: boolean; readonly data: Uint8Array } {
  const r = new ByteReader(body);
  let type = r.u16();
  let code = r.u16();
  const outer = { type, code };
  let vendor = 0;
  if (type === NXET_VENDOR && code === 0) {
    if (r.left < 8) return { error: `${type}/${code}`, known: false, data: r.rest() };
    vendor = r.u32();
    type = r.u16();
    code = r.u16();
  } else if (type === OFPET12_EXPERIMENTER) {
    if (r.left < 4) return { error: `${type}/${code}`, known: false, data: r.rest() };
    vendor = r.u32();
    type = code;
    code = 0;
  }
  const name = nameByNumbers.get(`${version}/${vendor}/${type}/${code}`);
  const data = r.rest();
  if (name === undefined) return { error: `${outer.type}/${outer.code}`, known: false, data };
  return { error: name, known: true, data };
}

/** Vendor, type and code of a name in a version, absent where it has none (for tests and docs). */
export function errorNumbers(name: string, version: number): ErrorNumbers | undefined {
  return numbersByName.get(`${version}/${name}`);
}
