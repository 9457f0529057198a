import type { HashFields, PacketInReason } from '../openflow/actions.ts';
import { fields, type Field, type Subfield } from '../flow/fields.ts';
import { BugError } from '../util/errors.ts';

/** Words in and out, and the numbers of what is a name in abstract actions (ofpact-words.ts). */
const fieldNumbers = new Map<Field, number>(fields.map((f, i) => [f, i]));

/** Number of a field in subfield words. */
export function fieldNumber(field: Field): number {
  const n = fieldNumbers.get(field);
  if (n === undefined) throw new BugError(`field ${field.name} is not in the registry`);
  return n;
}

export function fieldByNumber(n: number): Field {
  const f = fields[n];
  if (f === undefined) throw new BugError(`no field ${n}`);
  return f;
}

export class WordWriter {
  #words = new Uint32Array(64);
  #n = 0;
  get length(): number {
    return this.#n;
  }
  u32(value: number): void {
    if (this.#n === this.#words.length) {
      const more = new Uint32Array(this.#n * 2);
      more.set(this.#words);
      this.#words = more;
    }
    this.#words[this.#n++] = value;
  }
  u64(value: bigint): void {
    this.u32(Number((value >> 32n) & 0xffffffffn));
    this.u32(Number(value & 0xffffffffn));
  }
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    for (let i = 0; i < value.length; i += 4) {
      this.u32(
        (value[i] ?? 0) |
          ((value[i + 1] ?? 0) << 8) |
          ((value[i + 2] ?? 0) << 16) |
          ((value[i + 3] ?? 0) << 24),
      );
    }
  }
  subfield(s: Subfield): void {
    this.u32(fieldNumber(s.field));
    this.u32(s.ofs | (s.nBits << 16));
  }
  optionalSubfield(s: Subfield | undefined): void {
    if (s === undefined) {
      this.u32(noField);
      this.u32(0);
    } else this.subfield(s);
  }
  patch(at: number, value: number): void {
    this.#words[at] = value;
  }
  take(): Uint32Array {
    return this.#words.slice(0, this.#n);
  }
}

const noField = 0xffffffff;

export class WordReader {
  readonly #words: Uint32Array;
  #at: number;
  readonly #end: number;
  constructor(words: Uint32Array, at: number, end: number) {
    this.#words = words;
    this.#at = at;
    this.#end = end;
  }
  u32(): number {
    if (this.#at >= this.#end) throw new BugError('ofpact words: an action is too short');
    return this.#words[this.#at++] ?? 0;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  bytes(): Uint8Array {
    const length = this.u32();
    const value = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.u32();
      for (let j = 0; j < 4 && i + j < length; j++) value[i + j] = word >>> (8 * j);
    }
    return value;
  }
  subfield(): Subfield {
    const field = fieldByNumber(this.u32());
    const w = this.u32();
    return { field, ofs: w & 0xffff, nBits: w >>> 16 };
  }
  optionalSubfield(): Subfield | undefined {
    const n = this.u32();
    const w = this.u32();
    return n === noField ? undefined : { field: fieldByNumber(n), ofs: w & 0xffff, nBits: w >>> 16 };
  }
  /** A nested list, read by `decode(words, from, to)`. */
  nested<T>(decode: (words: Uint32Array, from: number, to: number) => T): T {
    const length = this.u32();
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw new BugError('ofpact words: a nested list is too long');
    return decode(this.#words, from, this.#at);
  }
}

const enumeration = <T extends string>(...names: readonly T[]) => ({
  number: (name: T): number => names.indexOf(name),
  name: (n: number): T => {
    const name = names[n];
    if (name === undefined) throw new BugError(`ofpact words: bad enumeration value ${n}`);
    return name;
  },
});

/** Reasons in words, also in the userspace cookie: OFPR_* numbers of OVS. */
export const reasonNumbers = {
  no_match: 0,
  action: 1,
  invalid_ttl: 2,
  action_set: 3,
  group: 4,
  packet_out: 5,
  explicit_miss: 6,
  implicit_miss: 7,
} as const satisfies Record<PacketInReason, number>;
export const reasons = enumeration<PacketInReason>(
  'no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out', 'explicit_miss', 'implicit_miss',
); // prettier-ignore

export const hashFields = enumeration<HashFields>(
  'eth_src', 'symmetric_l4', 'symmetric_l3l4', 'symmetric_l3l4+udp', 'nw_src', 'nw_dst', 'symmetric_l3',
); // prettier-ignore
export const bundleAlgorithms = enumeration('active_backup', 'hrw');
export const multipathAlgorithms = enumeration('modulo_n', 'hash_threshold', 'hrw', 'iter_hash');
export const setFieldRaws = enumeration('set_field', 'load', 'load2');
export const stripVlanRaws = enumeration('strip_vlan', 'pop_vlan');
export const decTtlRaws = enumeration('dec_ttl', 'dec_ttl_cnt_ids');
export const resubmitRaws = enumeration('resubmit', 'resubmit_table', 'resubmit_table_ct');
export const sampleRaws = enumeration('sample', 'sample2', 'sample3');
export const directions = enumeration('default', 'ingress', 'egress');
export const learnDstTypes = enumeration('match', 'load', 'output');
export const natDirections = enumeration('none', 'src', 'dst');
export const natPortModes = enumeration('none', 'hash', 'random');
