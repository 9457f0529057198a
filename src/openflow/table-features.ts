/**
 * Codec of table features (1.3+): what each table can match, set and do.
 *
 * Every table of Open vSwitch can do the same, so the properties are made from the registries of
 * fields, actions and instructions of the version.
 */
import { fieldHeader, fields } from '../flow/fields.ts';
import type { Field } from '../flow/fields.ts';
import { OfpError } from '../util/errors.ts';
import { ByteWriter } from './byte-io.ts';
import type { ByteReader } from './byte-io.ts';
import { pullProperty } from './decode-long-actions.ts';
import type { TableFeatureDetails, TableFeatures } from './messages.ts';
import { pullHeader, putFieldHeader } from './nxm.ts';

/** OFPTFPT13_*. */
const Prop = {
  INSTRUCTIONS: 0,
  NEXT_TABLES: 2,
  WRITE_ACTIONS: 4,
  APPLY_ACTIONS: 6,
  MATCH: 8,
  WILDCARDS: 10,
  WRITE_SETFIELD: 12,
  APPLY_SETFIELD: 14,
} as const;

function putProp(w: ByteWriter, type: number, body: () => void): void {
  const start = w.length;
  w.u16(type).u16(0);
  body();
  w.setU16(start + 2, w.length - start);
  w.padTo(8, start);
}

const standardActions = [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];

/** Fields of a version; packet_type is told of in versions that lack it, too. */
function oxmFields(version: number): Field[] {
  return inOrder.filter((f) => {
    const header = fieldHeader(f, version);
    return header !== undefined && (header.since <= version || f.name === 'packet_type');
  });
}

/** All fields, in OVS's order. */
const inOrder = ((): readonly Field[] => {
  const moved = new Map([
    ['tun_erspan_ver', 'tun_erspan_idx'],
    ['nsh_ttl', 'nsh_c4'],
  ]);
  const rest = fields.filter((f) => !moved.has(f.name));
  for (const f of fields) {
    const before = moved.get(f.name);
    if (before !== undefined) rest.splice(rest.findIndex((g) => g.name === before) + 1, 0, f);
  }
  return rest;
})();

/** One entry of a table_features reply. */
export function tableFeaturesEntry(t: TableFeatures, version: number): Uint8Array {
  const w = new ByteWriter();
  w.u16(0).u8(t.tableId).zeros(5).text(t.name, 32).u64(t.metadataMatch).u64(t.metadataWrite);
  w.u32(0).u32(t.maxEntries);
  const all = oxmFields(version);
  const settable = all.filter((f) => f.writable);
  const instructions = version >= 6 ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 6];
  const isLast = t.nextTables.length === 0;
  // Once for flows and once, one type higher, for the table-miss flow.
  for (const miss of [0, 1]) {
    putProp(w, Prop.INSTRUCTIONS + miss, () => {
      for (const type of instructions) if (type !== 1 || !isLast) w.u16(type).u16(4);
    });
    putProp(w, Prop.NEXT_TABLES + miss, () => {
      for (const table of t.nextTables) w.u8(table);
    });
    for (const type of [Prop.WRITE_ACTIONS, Prop.APPLY_ACTIONS]) {
      putProp(w, type + miss, () => {
        for (const action of standardActions) w.u16(action).u16(4);
      });
      putProp(w, type + Prop.WRITE_SETFIELD - Prop.WRITE_ACTIONS + miss, () => {
        for (const f of settable) putFieldHeader(w, f, version);
      });
    }
  }
  putProp(w, Prop.MATCH, () => {
    for (const f of all) putFieldHeader(w, f, version, f.bytes, f.maskable);
  });
  putProp(w, Prop.WILDCARDS, () => {
    for (const f of all) putFieldHeader(w, f, version);
  });
  w.setU16(0, w.length);
  return w.finish();
}

export function pullTableFeatures(r: ByteReader): TableFeatures {
  const length = r.peekU16();
  if (length < 64 || length > r.left) throw new OfpError('OFPBPC_BAD_LEN');
  const e = r.sub(length);
  e.skip(2);
  const tableId = e.u8();
  e.skip(5);
  const name = e.text(32);
  const metadataMatch = e.u64();
  const metadataWrite = e.u64();
  e.skip(4);
  const maxEntries = e.u32();
  const pair = <T>(): [T[], T[]] => [[], []];
  const numbers = {
    [Prop.INSTRUCTIONS]: pair<number>(),
    [Prop.WRITE_ACTIONS]: pair<number>(),
    [Prop.APPLY_ACTIONS]: pair<number>(),
  };
  const setFields = { [Prop.WRITE_SETFIELD]: pair<string>(), [Prop.APPLY_SETFIELD]: pair<string>() };
  const nextTables = pair<number>();
  const masked = new Map<string, boolean>();
  const wildcards = new Set<string>();
  while (e.left > 0) {
    const { type, body } = pullProperty(e);
    const miss = (type & 1) as 0 | 1;
    const kind = type - miss;
    if (kind === Prop.NEXT_TABLES) nextTables[miss].push(...body.rest());
    else if (kind === Prop.INSTRUCTIONS || kind === Prop.WRITE_ACTIONS || kind === Prop.APPLY_ACTIONS) {
      numbers[kind][miss].push(...pullIds(body));
    } else if (kind === Prop.WRITE_SETFIELD || kind === Prop.APPLY_SETFIELD) {
      setFields[kind][miss].push(...pullFields(body).keys());
    } else if (kind === Prop.MATCH)
      for (const [field, hasMask] of pullFields(body)) masked.set(field, hasMask);
    else if (kind === Prop.WILDCARDS) for (const field of pullFields(body).keys()) wildcards.add(field);
  }
  const known = inOrder.map((f) => f.name).filter((f) => masked.has(f));
  const details: TableFeatureDetails = {
    instructions: numbers[Prop.INSTRUCTIONS],
    nextTables,
    writeActions: numbers[Prop.WRITE_ACTIONS],
    applyActions: numbers[Prop.APPLY_ACTIONS],
    writeSetFields: setFields[Prop.WRITE_SETFIELD],
    applySetFields: setFields[Prop.APPLY_SETFIELD],
    maskable: known.filter((f) => masked.get(f)),
    exactOrWildcard: known.filter((f) => !masked.get(f) && wildcards.has(f)),
    exactOnly: known.filter((f) => !masked.get(f) && !wildcards.has(f)),
  };
  return { tableId, name, metadataMatch, metadataWrite, maxEntries, nextTables: nextTables[0], details };
}

/** Types of instructions or actions, each with a length. */
function pullIds(r: ByteReader): number[] {
  const ids: number[] = [];
  while (r.left >= 4) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4 || length - 4 > r.left) throw new OfpError('OFPTFFC_BAD_LEN');
    r.skip(length - 4);
    ids.push(type);
  }
  return ids;
}

/** Names of known fields, and whether their headers have the mask bit. */
function pullFields(r: ByteReader): Map<string, boolean> {
  const found = new Map<string, boolean>();
  while (r.left > 0) {
    const { field, hasMask } = pullHeader(r);
    if (field) found.set(field.name, hasMask);
  }
  return found;
}
