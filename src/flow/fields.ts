import { fieldRows } from './fields.table.ts';
import type { FieldFormat, FieldPrereqs, FieldReach } from './fields.table.ts';
export type { FieldFormat, FieldPrereqs, FieldReach } from './fields.table.ts';

/**
 * The registry of match fields (OVS's "meta-flow").
 *
 * A field value is `bytes` big-endian bytes, right-aligned. The same value stands in a key as a range
 * of bits: its lowest bit is bit `shift` of byte `end - 1`, and higher bits go up from there towards
 * lower addresses, as in any big-endian number.
 */
export interface Field {
  /** Index in `fields`. */
  readonly id: number;
  readonly name: string;
  /** OVS's "extra name", e.g. `dl_src` for `eth_src`. */
  readonly alias: string | undefined;
  /** Bytes of a value. */
  readonly bytes: number;
  /** Low bits of a value that subfields may name. */
  readonly bits: number;
  /** Key offset just past the byte with the value's lowest bit. */
  readonly end: number;
  /** Bit number of the value's lowest bit in byte `end - 1`. */
  readonly shift: number;
  /** Bits that the key stores: `bits`, but 13 for vlan_vid (CFI) and 8 for arp_op. */
  readonly stored: number;
  /** Lowest bit of the value that is this field's: 2 for nw_tos, whose low bits are ECN, else 0. */
  readonly lowest: number;
  readonly maskable: boolean;
  readonly writable: boolean;
  readonly format: FieldFormat;
  readonly prereqs: FieldPrereqs;
  readonly of10: FieldReach;
  readonly of11: FieldReach;
  /** NXM and OXM headers, in OVS's order of definition; empty for text-only fields. */
  readonly headers: readonly FieldHeader[];
}

/** One NXM/OXM number of a field. */
export interface FieldHeader {
  /** e.g. `NXM_OF_ETH_SRC`. */
  readonly name: string;
  /** oxm_class: 0, 1 (NXM), 0x8000, 0x8001 (OXM), 0x1000, 0xffff (experimenter, see vendor). */
  readonly class: number;
  /** Experimenter id of class 0xffff, else 0. */
  readonly vendor: number;
  readonly field: number;
  /** First OpenFlow wire version that uses this header: 1 (1.0) to 6 (1.5). */
  readonly since: number;
  /** Payload bytes without a mask. */
  readonly length: number;
}

/** A range of bits of a field: `ofs` counts from the lowest bit. */
export interface Subfield {
  readonly field: Field;
  readonly ofs: number;
  readonly nBits: number;
}

/** [prefix, vendor, class]; longer prefixes first. */
const classes: readonly (readonly [string, number, number])[] = [
  ['OXM_OF_PKT_REG', 0, 0x8001],
  ['NXM_OF_', 0, 0x0000],
  ['NXM_NX_', 0, 0x0001],
  ['NXOXM_NSH_', 0x005ad650, 0xffff],
  ['NXOXM_ET_', 0x00002320, 0xffff],
  ['ONFOXM_ET_', 0x4f4e4600, 0xffff],
  ['ERICOXM_OF_', 0, 0x1000],
  ['OXM_OF_', 0, 0x8000],
];

function parseHeaders(text: string, length: number): FieldHeader[] {
  if (text === '') return [];
  return text.split(' ').map((part) => {
    const m = /^(\w+)\((\d+)\)(?:@1\.(\d))?$/.exec(part);
    const name = m?.[1] ?? '';
    const c = classes.find(([prefix]) => name.startsWith(prefix));
    if (!m || !c) throw new RangeError(`fields.table.ts: ${part}`);
    return {
      name,
      vendor: c[1],
      class: c[2],
      field: Number(m[2]),
      since: m[3] === undefined ? 1 : Number(m[3]) + 1,
      length,
    };
  });
}

/** All fields, in OVS's order (`Field.id` is the index). */
export const fields: readonly Field[] = fieldRows.map((r, id) => {
  const bits = r.bits ?? r.bytes * 8;
  return {
    id,
    name: r.name,
    alias: r.alias,
    bytes: r.bytes,
    bits,
    end: r.end,
    shift: r.shift ?? 0,
    stored: r.stored ?? bits,
    lowest: r.name === 'nw_tos' ? 2 : 0,
    maskable: r.maskable,
    writable: r.writable,
    format: r.format,
    prereqs: r.prereqs,
    of10: r.of10 ?? 'none',
    of11: r.of11 ?? r.of10 ?? 'none',
    headers: parseHeaders(r.headers, r.bytes),
  };
});

const byName = new Map<string, Field>();
const byHeaderName = new Map<string, { field: Field; header: FieldHeader }>();
const byHeader = new Map<string, { field: Field; header: FieldHeader }>();
for (const field of fields) {
  byName.set(field.name, field);
  if (field.alias !== undefined) byName.set(field.alias, field);
  for (const header of field.headers) {
    byHeaderName.set(header.name, { field, header });
    byHeader.set(`${header.vendor}/${header.class}/${header.field}`, { field, header });
  }
}

/** Finds a field by its name or alias (`eth_src`, `dl_src`), not by NXM name. */
export function fieldByName(name: string): Field | undefined {
  return byName.get(name);
}

/** The field with this name; for names that are constants of our own. */
export function requireField(name: string): Field {
  const field = byName.get(name);
  if (!field) throw new RangeError(`no field ${name}`);
  return field;
}

/** Finds a field by an NXM or OXM name (`NXM_OF_VLAN_TCI`). */
export function fieldByHeaderName(name: string): { field: Field; header: FieldHeader } | undefined {
  return byHeaderName.get(name);
}

/** Finds a field by the numbers of an NXM/OXM header. `vendor` is 0 unless `oxmClass` is 0xffff. */
export function fieldByHeader(
  vendor: number,
  oxmClass: number,
  field: number,
): { field: Field; header: FieldHeader } | undefined {
  return byHeader.get(`${vendor}/${oxmClass}/${field}`);
}

/**
 * The header that a message of this OpenFlow wire version (1 = 1.0 ... 6 = 1.5) carries for a field:
 * as OVS, the last defined one that the version has; absent for fields without a wire form.
 */
export function fieldHeader(field: Field, version: number): FieldHeader | undefined {
  let best: FieldHeader | undefined;
  for (const h of field.headers) {
    if (h.since <= version && (best === undefined || h.since >= best.since)) best = h;
  }
  return best ?? field.headers[0];
}
