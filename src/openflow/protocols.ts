/**
 * Protocols: an OpenFlow version with the form that flows take in it.
 *
 * OpenFlow 1.0 has four: ofp_match or NXM, each with or without a table id in flow_mods. A flow's text
 * tells which can carry it ("usable protocols"); ovs-ofctl picks one of those that the switch speaks.
 */
import type { Field, FieldReach } from '../flow/fields.ts';

export const Protocol = {
  OF10_STD: 1 << 0,
  OF10_STD_TID: 1 << 1,
  OF10_NXM: 1 << 2,
  OF10_NXM_TID: 1 << 3,
  OF11_STD: 1 << 4,
  OF12_OXM: 1 << 5,
  OF13_OXM: 1 << 6,
  OF14_OXM: 1 << 7,
  OF15_OXM: 1 << 8,
} as const;

const P_OF10_STD_ANY = Protocol.OF10_STD | Protocol.OF10_STD_TID;
export const P_OF10_NXM_ANY = Protocol.OF10_NXM | Protocol.OF10_NXM_TID;
export const P_OF10_ANY = P_OF10_STD_ANY | P_OF10_NXM_ANY;
export const P_OF15_UP = Protocol.OF15_OXM;
const P_OF14_UP = Protocol.OF14_OXM | P_OF15_UP;
export const P_OF13_UP = Protocol.OF13_OXM | P_OF14_UP;
export const P_OF12_UP = Protocol.OF12_OXM | P_OF13_UP;
export const P_OF11_UP = Protocol.OF11_STD | P_OF12_UP;
export const P_NXM_OXM_ANY = P_OF10_NXM_ANY | P_OF12_UP;
export const P_NXM_OF11_UP = P_OF10_NXM_ANY | P_OF11_UP;
/** Protocols with a table id in flow_mods. */
export const P_TID = Protocol.OF10_STD_TID | Protocol.OF10_NXM_TID | P_OF11_UP;
export const P_ANY = P_OF10_ANY | P_OF11_UP;

/** Groups first: each name stands for all of its bits. */
const textNames: readonly (readonly [bits: number, name: string])[] = [
  [P_ANY, 'any'],
  [P_OF10_STD_ANY, 'OpenFlow10'],
  [P_OF10_NXM_ANY, 'NXM'],
  [P_OF12_UP, 'OXM'],
  [Protocol.OF10_STD, 'OpenFlow10-table_id'],
  [Protocol.OF10_STD_TID, 'OpenFlow10+table_id'],
  [Protocol.OF10_NXM, 'NXM-table_id'],
  [Protocol.OF10_NXM_TID, 'NXM+table_id'],
  [Protocol.OF11_STD, 'OpenFlow11'],
  [Protocol.OF12_OXM, 'OXM-OpenFlow12'],
  [Protocol.OF13_OXM, 'OXM-OpenFlow13'],
  [Protocol.OF14_OXM, 'OXM-OpenFlow14'],
  [Protocol.OF15_OXM, 'OXM-OpenFlow15'],
];

/** A set of protocols as ovs-ofctl lists it: `OpenFlow10,NXM`. */
export function formatProtocols(bits: number): string {
  if ((bits & P_ANY) === 0) return 'none';
  const parts: string[] = [];
  let left = bits & P_ANY;
  for (const [group, name] of textNames) {
    if ((left & group) !== group) continue;
    parts.push(name);
    left &= ~group;
    if (left === 0) break;
  }
  return parts.join(',');
}

/** Protocols of a name for -F; undefined when there is none. */
export function parseProtocol(name: string): number | undefined {
  const lower = name.toLowerCase();
  return textNames.find(([, n]) => n.toLowerCase() === lower)?.[0];
}

/** Wire version of one protocol. */
export function protocolVersion(protocol: number): number {
  if ((protocol & P_OF10_ANY) !== 0) return 1;
  return (
    [Protocol.OF11_STD, Protocol.OF12_OXM, Protocol.OF13_OXM, Protocol.OF14_OXM, Protocol.OF15_OXM].findIndex(
      (p) => p === protocol,
    ) + 2
  );
}

/** All protocols of a wire version. */
export function protocolsOfVersion(version: number): number {
  if (version === 1) return P_OF10_ANY;
  return 1 << (version + 2);
}

/** All protocols of a set of wire versions (bit n = version n). */
export function protocolsOfVersions(versions: number): number {
  let bits = 0;
  for (let v = 1; v <= 6; v++) if ((versions & (1 << v)) !== 0) bits |= protocolsOfVersion(v);
  return bits;
}

function isPrefix(mask: Uint8Array): boolean {
  let isOpen = true;
  for (const b of mask) {
    if (!isOpen && b !== 0) return false;
    if (b !== 0xff) {
      if ((~b & 0xff & ((~b & 0xff) + 1)) !== 0) return false;
      isOpen = false;
    }
  }
  return true;
}

const reaches = (reach: FieldReach, need: FieldReach): boolean => {
  const order: readonly FieldReach[] = ['none', 'exact', 'cidr', 'bitwise'];
  return order.indexOf(reach) >= order.indexOf(need);
};

/** Protocols that can match a field under this mask. */
export function usableForMatch(field: Field, mask: Uint8Array): number {
  if (mask.every((b) => b === 0)) return P_ANY;
  const need: FieldReach = mask.every((b) => b === 0xff) ? 'exact' : isPrefix(mask) ? 'cidr' : 'bitwise';
  let bits = P_NXM_OXM_ANY;
  if (reaches(field.of10, need)) bits |= P_OF10_STD_ANY;
  if (reaches(field.of11, need)) bits |= Protocol.OF11_STD;
  return bits;
}

/** Protocols in which an action may set the whole of a field. */
export function usableForSet(field: Field): number {
  return usableForMatch(field, new Uint8Array(field.bytes).fill(0xff));
}
