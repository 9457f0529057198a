/**
 * NXM and OXM: headers and entries (header, value, mask) of fields.
 *
 *     | class 16 | field 7 | hasmask 1 | length 8 |  [experimenter 32, when class is 0xffff]
 *
 * `length` counts value and mask, and the experimenter id with class 0xffff. Version 0 in this file stands
 * for "NXM wherever there is one", as Nicira extensions use it in all OpenFlow versions.
 */
import { fieldByHeader, fieldHeader } from '../flow/fields.ts';
import type { Field, Subfield } from '../flow/fields.ts';
import { OfpError } from '../util/errors.ts';
import type { ByteReader, ByteWriter } from './byte-io.ts';

const EXPERIMENTER_CLASS = 0xffff;
const COOKIE_CLASS = 1;
const COOKIE_FIELD = 30;

interface HeaderNumbers {
  readonly class: number;
  readonly vendor: number;
  readonly field: number;
}

function putNumbers(w: ByteWriter, h: HeaderNumbers, length: number, hasMask: boolean): void {
  const isExperimenter = h.class === EXPERIMENTER_CLASS;
  const total = length * (hasMask ? 2 : 1) + (isExperimenter ? 4 : 0);
  w.u16(h.class)
    .u8((h.field << 1) | (hasMask ? 1 : 0))
    .u8(total);
  if (isExperimenter) w.u32(h.vendor);
}

function headerOf(field: Field, version: number): HeaderNumbers {
  const header = fieldHeader(field, version === 0 ? 1 : version);
  if (!header) throw new OfpError('OFPBMC_BAD_FIELD', `${field.name} has no NXM or OXM form`);
  return header;
}

/** Whether the field has a header of 32 bits (`NXAST_REG_LOAD` and others hold no longer one). */
export function hasShortHeader(field: Field): boolean {
  const header = fieldHeader(field, 1);
  return header !== undefined && header.class !== EXPERIMENTER_CLASS;
}

/** Writes a header without value: `length` is the field's. */
export function putFieldHeader(
  w: ByteWriter,
  field: Field,
  version: number,
  length = field.bytes,
  hasMask = false,
): void {
  putNumbers(w, headerOf(field, version), length, hasMask);
}

/** The 32-bit header, 0 for a field that needs a longer one. */
export function shortHeader(field: Field): number {
  const h = fieldHeader(field, 1);
  if (!h || h.class === EXPERIMENTER_CLASS) return 0;
  return ((h.class << 16) | (h.field << 9) | field.bytes) >>> 0;
}

function isVariable(field: Field): boolean {
  return field.name.startsWith('tun_metadata');
}

/** Writes a header, a value and, unless it is null or all ones, a mask. */
export function putFieldEntry(
  w: ByteWriter,
  field: Field,
  version: number,
  value: Uint8Array,
  mask: Uint8Array | null,
): void {
  const isExact = mask === null || mask.every((b) => b === 0xff);
  let from = 0;
  if (isVariable(field)) {
    const significant = isExact ? value : mask;
    while (from < value.length - 1 && significant[from] === 0) from++;
  }
  putNumbers(w, headerOf(field, version), value.length - from, !isExact);
  w.bytes(value.subarray(from));
  if (!isExact) w.bytes(mask.subarray(from));
}

/** Writes NXM_NX_COOKIE, which stands among the fields of a match but is none. */
export function putCookieEntry(w: ByteWriter, cookie: bigint, mask: bigint): void {
  const isExact = mask === 0xffffffffffffffffn;
  putNumbers(w, { class: COOKIE_CLASS, vendor: 0, field: COOKIE_FIELD }, 8, !isExact);
  w.u64(cookie & mask);
  if (!isExact) w.u64(mask);
}

export interface PulledHeader {
  /** Absent for a header that names no known field. */
  readonly field: Field | undefined;
  /** The field exists, but its length is another. */
  readonly isWrongLength: boolean;
  readonly isCookie: boolean;
  readonly hasMask: boolean;
  /** Bytes of the value. */
  readonly width: number;
  /** Bytes of value and mask. */
  readonly payload: number;
}

/** @throws OfpError OFPBMC_BAD_LEN */
export function pullHeader(r: ByteReader): PulledHeader {
  if (r.left < 4) throw new OfpError('OFPBMC_BAD_LEN');
  const oxmClass = r.peekU16();
  const isExperimenter = oxmClass === EXPERIMENTER_CLASS;
  if (isExperimenter && r.left < 8) throw new OfpError('OFPBMC_BAD_LEN');
  const low = r.peekU16(2);
  const length = (low & 0xff) - (isExperimenter ? 4 : 0);
  if (length < 0) throw new OfpError('OFPBMC_BAD_LEN');
  r.skip(4);
  const vendor = isExperimenter ? r.u32() : 0;
  const number = low >>> 9;
  const hasMask = (low & 0x100) !== 0;
  const width = hasMask ? length >>> 1 : length;
  const known = fieldByHeader(vendor, oxmClass, number);
  const isRightLength =
    known !== undefined &&
    (isVariable(known.field) ? width <= known.field.bytes : length === known.field.bytes * (hasMask ? 2 : 1));
  const isCookie = oxmClass === COOKIE_CLASS && number === COOKIE_FIELD && length === (hasMask ? 16 : 8);
  return {
    field: isRightLength ? known.field : undefined,
    isWrongLength: known !== undefined && !isRightLength && width > 0,
    isCookie,
    hasMask,
    width,
    payload: length,
  };
}

export interface PulledEntry {
  readonly field: Field | undefined;
  readonly isCookie: boolean;
  /** As long as the field (an unknown field's as it came). */
  readonly value: Uint8Array;
  /** All ones when there was none. */
  readonly mask: Uint8Array;
  readonly hasMask: boolean;
}

/**
 * Takes header, value and mask.
 *
 * @throws OfpError OFPBMC_BAD_LEN, OFPBMC_BAD_WILDCARDS (ones in the value outside the mask)
 */
export function pullEntry(r: ByteReader): PulledEntry {
  return pullPayload(r, pullHeader(r));
}

/**
 * As `pullEntry`, for an action that sets a known field.
 *
 * @throws OfpError also OFPBAC_BAD_SET_TYPE, OFPBAC_BAD_SET_LEN
 */
export function pullActionEntry(r: ByteReader): PulledEntry & { readonly field: Field } {
  const header = pullHeader(r);
  const { field } = header;
  if (!field) throw new OfpError(header.isWrongLength ? 'OFPBAC_BAD_SET_LEN' : 'OFPBAC_BAD_SET_TYPE');
  return { ...pullPayload(r, header), field };
}

function pullPayload(r: ByteReader, header: PulledHeader): PulledEntry {
  const { field, isCookie, hasMask, width, payload } = header;
  if (r.left < payload) throw new OfpError('OFPBMC_BAD_LEN');
  const bytes = r.bytes(payload);
  let value = bytes.subarray(0, width);
  let mask = hasMask ? bytes.subarray(width, 2 * width) : new Uint8Array(width).fill(0xff);
  if (hasMask) {
    for (let i = 0; i < width; i++) {
      if (((value[i] ?? 0) & ~(mask[i] ?? 0)) !== 0) throw new OfpError('OFPBMC_BAD_WILDCARDS');
    }
  }
  if (field && width < field.bytes) {
    value = widen(value, field.bytes, 0);
    mask = widen(mask, field.bytes, hasMask ? 0 : 0xff);
  }
  return { field, isCookie, value, mask, hasMask };
}

function widen(bytes: Uint8Array, size: number, fill: number): Uint8Array {
  const out = new Uint8Array(size).fill(fill);
  out.set(bytes, size - bytes.length);
  return out;
}

/** Takes a header that must name a known field without a mask. */
export function pullFieldHeader(r: ByteReader): Field {
  const { field, hasMask } = pullHeader(r);
  if (!field) throw new OfpError('OFPBMC_BAD_FIELD');
  if (hasMask) throw new OfpError('OFPBMC_BAD_MASK');
  return field;
}

/** Takes a 32-bit header as Nicira actions hold it. */
export function pullShortHeader(r: ByteReader): Field {
  const word = r.u32();
  const oxmClass = word >>> 16;
  const hasMask = (word & 0x100) !== 0;
  const known = oxmClass === EXPERIMENTER_CLASS ? undefined : fieldByHeader(0, oxmClass, (word >>> 9) & 0x7f);
  const length = word & 0xff;
  if (!known || (!isVariable(known.field) && length !== known.field.bytes * (hasMask ? 2 : 1))) {
    throw new OfpError('OFPBAC_BAD_SET_TYPE');
  }
  return known.field;
}

/** (ofs << 6) | (n_bits - 1) of Nicira actions. */
export function encodeOfsNbits(sf: Subfield): number {
  return ((sf.ofs << 6) | (sf.nBits - 1)) & 0xffff;
}

/** A 16-bit ofs_nbits and the field as a subfield. */
export function decodeOfsNbits(field: Field, ofsNbits: number): Subfield {
  return { field, ofs: ofsNbits >>> 6, nBits: (ofsNbits & 0x3f) + 1 };
}

/** Checks that the bits exist. @throws OfpError OFPBAC_BAD_SET_LEN */
export function checkSource(sf: Subfield): Subfield {
  if (sf.nBits === 0 || sf.ofs + sf.nBits > sf.field.bits) throw new OfpError('OFPBAC_BAD_SET_LEN');
  return sf;
}

/** As `checkSource`, and the field can be written. @throws OfpError OFPBAC_BAD_SET_ARGUMENT */
export function checkDestination(sf: Subfield): Subfield {
  checkSource(sf);
  if (!sf.field.writable) throw new OfpError('OFPBAC_BAD_SET_ARGUMENT');
  return sf;
}
