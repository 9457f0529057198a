import type { Action, HashFields, LearnSpec, LearnSpecSource, NatAction, PacketInReason } from '../openflow/actions.ts';
import { fields, type Field, type Subfield } from '../flow/fields.ts';
import type { OfpPort } from '../util/brand.ts';
import { BugError } from '../util/errors.ts';
import { ofpactKindName, ofpactKinds } from './ofpact-kinds.ts';

/**
 * Ofpact words: a list of actions as u32 words in the arena.
 *
 * What: each action is a header `kind | lengthWords << 16` (length with header), then its arguments. Byte
 * strings are a length in bytes and the bytes, padded; 64-bit numbers are high and low word; a subfield is
 * the field's number in the registry and `ofs | nBits << 16`; nested lists are a length in words and the list.
 * Why: rules are shared by threads, so their actions cannot be objects; the translator walks the words
 * without making any (translate/actions.ts). An action longer than 65,535 words cannot occur: OpenFlow's
 * messages end at 64 KiB.
 */
export function encodeOfpacts(actions: readonly Action[]): Uint32Array {
  const w = new WordWriter();
  for (const action of actions) encodeAction(w, action);
  return w.take();
}

/** @param words The list; `from`/`to` bound it in words. @throws BugError for words that encodeOfpacts cannot have made. */
export function decodeOfpacts(words: Uint32Array, from = 0, to = words.length): Action[] {
  const list: Action[] = [];
  let at = from;
  while (at < to) {
    const header = words[at] ?? 0;
    const length = header >>> 16;
    if (length === 0 || at + length > to) throw new BugError(`ofpact words: bad length ${length} at ${at}`);
    list.push(decodeAction(new WordReader(words, at + 1, at + length), header & 0xffff));
    at += length;
  }
  return list;
}

const fieldNumbers = new Map<Field, number>(fields.map((f, i) => [f, i]));

/** Number of a field in subfield words. */
export function fieldNumber(field: Field): number {
  const n = fieldNumbers.get(field);
  if (n === undefined) throw new BugError(`field ${field.name} is not in the registry`);
  return n;
}

function fieldByNumber(n: number): Field {
  const f = fields[n];
  if (f === undefined) throw new BugError(`no field ${n}`);
  return f;
}

class WordWriter {
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
        (value[i] ?? 0) | ((value[i + 1] ?? 0) << 8) | ((value[i + 2] ?? 0) << 16) | ((value[i + 3] ?? 0) << 24),
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

class WordReader {
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
  actions(): Action[] {
    const length = this.u32();
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw new BugError('ofpact words: a nested list is too long');
    return decodeOfpacts(this.#words, from, this.#at);
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
const reasons = enumeration<PacketInReason>(
  'no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out', 'explicit_miss', 'implicit_miss',
); // prettier-ignore
export const reasonName = reasons.name;

const hashFields = enumeration<HashFields>(
  'eth_src', 'symmetric_l4', 'symmetric_l3l4', 'symmetric_l3l4+udp', 'nw_src', 'nw_dst', 'symmetric_l3',
); // prettier-ignore
const bundleAlgorithms = enumeration('active_backup', 'hrw');
const multipathAlgorithms = enumeration('modulo_n', 'hash_threshold', 'hrw', 'iter_hash');
const setFieldRaws = enumeration('set_field', 'load', 'load2');
const stripVlanRaws = enumeration('strip_vlan', 'pop_vlan');
const decTtlRaws = enumeration('dec_ttl', 'dec_ttl_cnt_ids');
const resubmitRaws = enumeration('resubmit', 'resubmit_table', 'resubmit_table_ct');
const sampleRaws = enumeration('sample', 'sample2', 'sample3');
const directions = enumeration('default', 'ingress', 'egress');
const learnDstTypes = enumeration('match', 'load', 'output');
const natDirections = enumeration('none', 'src', 'dst');
const natPortModes = enumeration('none', 'hash', 'random');

function encodeList(w: WordWriter, actions: readonly Action[]): void {
  const at = w.length;
  w.u32(0);
  for (const a of actions) encodeAction(w, a);
  w.patch(at, w.length - at - 1);
}

function encodeAction(w: WordWriter, a: Action): void {
  const at = w.length;
  w.u32(0);
  encodeBody(w, a);
  const length = w.length - at;
  if (length > 0xffff) throw new BugError(`action ${a.kind} is too long: ${length} words`);
  w.patch(at, ofpactKinds[a.kind] | (length << 16));
}

function encodeBody(w: WordWriter, a: Action): void {
  switch (a.kind) {
    case 'output':
    case 'output_trunc':
      w.u32(a.port);
      w.u32(a.maxLen);
      return;
    case 'controller':
      w.u32(a.maxLen);
      w.u32(reasons.number(a.reason));
      w.u32(a.controllerId);
      w.u32(Number(a.pause));
      w.u32(a.meterId);
      w.bytes(a.userdata);
      return;
    case 'enqueue':
      w.u32(a.port);
      w.u32(a.queue);
      return;
    case 'output_reg':
      w.subfield(a.src);
      w.u32(a.maxLen);
      return;
    case 'group':
      w.u32(a.groupId);
      return;
    case 'bundle':
      w.u32(hashFields.number(a.fields));
      w.u32(a.basis);
      w.u32(bundleAlgorithms.number(a.algorithm));
      w.optionalSubfield(a.dst);
      w.u32(a.slaves.length);
      for (const p of a.slaves) w.u32(p);
      return;
    case 'set_field':
      w.u32(fieldNumber(a.field));
      w.u32(setFieldRaws.number(a.raw));
      w.bytes(a.value);
      w.bytes(a.mask);
      return;
    case 'reg_move':
      w.subfield(a.src);
      w.subfield(a.dst);
      return;
    case 'stack_push':
    case 'stack_pop':
      w.subfield(a.subfield);
      return;
    case 'strip_vlan':
      w.u32(stripVlanRaws.number(a.raw));
      return;
    case 'push_vlan':
    case 'push_mpls':
    case 'pop_mpls':
      w.u32(a.ethertype);
      return;
    case 'set_vlan_vid':
      w.u32(a.vid);
      w.u32(Number(a.pushVlanIfNeeded) | (Number(a.flowHasVlan) << 1));
      return;
    case 'set_vlan_pcp':
      w.u32(a.pcp);
      w.u32(Number(a.pushVlanIfNeeded) | (Number(a.flowHasVlan) << 1));
      return;
    case 'set_eth_src':
    case 'set_eth_dst':
      w.bytes(a.mac);
      return;
    case 'set_ipv4_src':
    case 'set_ipv4_dst':
      w.u32(a.ipv4);
      return;
    case 'set_ip_dscp':
      w.u32(a.dscp);
      return;
    case 'set_ip_ecn':
      w.u32(a.ecn);
      return;
    case 'set_ip_ttl':
    case 'set_mpls_ttl':
      w.u32(a.ttl);
      return;
    case 'set_l4_src_port':
    case 'set_l4_dst_port':
      w.u32(a.port);
      w.u32(a.flowIpProto);
      return;
    case 'dec_ttl':
      w.u32(decTtlRaws.number(a.raw));
      w.u32(a.controllerIds.length);
      for (const id of a.controllerIds) w.u32(id);
      return;
    case 'set_mpls_label':
      w.u32(a.label);
      return;
    case 'set_mpls_tc':
      w.u32(a.tc);
      return;
    case 'set_tunnel':
      w.u64(a.tunId);
      w.u32(Number(a.is64));
      return;
    case 'set_queue':
      w.u32(a.queueId);
      return;
    case 'fin_timeout':
      w.u32(a.idleTimeoutSec);
      w.u32(a.hardTimeoutSec);
      return;
    case 'resubmit':
      w.u32(a.inPort);
      w.u32(a.tableId);
      w.u32(Number(a.withCtOrig));
      w.u32(resubmitRaws.number(a.raw));
      return;
    case 'learn':
      w.u32(a.idleTimeoutSec);
      w.u32(a.hardTimeoutSec);
      w.u32(a.priority);
      w.u64(a.cookie);
      w.u32(Number(a.sendFlowRem) | (Number(a.deleteLearned) << 1));
      w.u32(a.tableId);
      w.u32(a.finIdleTimeoutSec);
      w.u32(a.finHardTimeoutSec);
      w.u32(a.limit);
      w.optionalSubfield(a.resultDst);
      w.u32(a.specs.length);
      for (const s of a.specs) encodeLearnSpec(w, s);
      return;
    case 'conjunction':
      w.u32(a.id);
      w.u32(a.clause);
      w.u32(a.nClauses);
      return;
    case 'multipath':
      w.u32(hashFields.number(a.fields));
      w.u32(a.basis);
      w.u32(multipathAlgorithms.number(a.algorithm));
      w.u32(a.maxLink);
      w.u32(a.arg);
      w.subfield(a.dst);
      return;
    case 'note':
      w.bytes(a.data);
      return;
    case 'sample':
      w.u32(a.probability);
      w.u32(a.collectorSetId);
      w.u32(a.obsDomainId);
      w.u32(a.obsPointId);
      w.u32(a.samplingPort);
      w.u32(directions.number(a.direction));
      w.u32(sampleRaws.number(a.raw));
      return;
    case 'nat':
      encodeNat(w, a);
      return;
    case 'ct':
      w.u32(Number(a.commit) | (Number(a.force) << 1) | (Number(a.recircTable !== null) << 2));
      w.optionalSubfield(a.zoneSrc);
      w.u32(a.zoneImm);
      w.u32(a.recircTable ?? 0);
      w.u32(a.alg);
      encodeList(w, a.actions);
      return;
    case 'clone':
    case 'write_actions':
      encodeList(w, a.actions);
      return;
    case 'check_pkt_larger':
      w.u32(a.pktLen);
      w.subfield(a.dst);
      return;
    case 'encap':
      w.u32(a.packetType);
      w.u32(a.hdrSize);
      w.u32(a.props.length);
      for (const p of a.props) {
        w.u32(p.class);
        w.u32(p.type);
        w.bytes(p.data);
      }
      return;
    case 'decap':
      w.u32(a.newPacketType);
      return;
    case 'delete_field':
      w.u32(fieldNumber(a.field));
      return;
    case 'meter':
      w.u32(a.meterId);
      return;
    case 'write_metadata':
      w.u64(a.metadata);
      w.u64(a.mask);
      return;
    case 'goto_table':
      w.u32(a.tableId);
      return;
    case 'unroll_xlate':
      w.u32(a.ruleTableId);
      w.u64(a.ruleCookie);
      return;
    case 'dec_mpls_ttl':
    case 'dec_nsh_ttl':
    case 'pop_queue':
    case 'exit':
    case 'ct_clear':
    case 'clear_actions':
    case 'debug_recirc':
    case 'debug_slow':
      return;
  }
}

function encodeLearnSpec(w: WordWriter, s: LearnSpec): void {
  w.u32(learnDstTypes.number(s.dstType));
  w.u32(s.nBits);
  if (s.source.type === 'field') {
    w.u32(0);
    w.subfield(s.source.src);
  } else {
    w.u32(1);
    w.bytes(s.source.value);
  }
  w.optionalSubfield(s.dstType === 'output' ? undefined : s.dst);
}

function decodeLearnSpec(r: WordReader): LearnSpec {
  const dstType = learnDstTypes.name(r.u32());
  const nBits = r.u32();
  const source: LearnSpecSource =
    r.u32() === 0 ? { type: 'field', src: r.subfield() } : { type: 'immediate', value: r.bytes() };
  const dst = r.optionalSubfield();
  if (dstType === 'output') return { dstType, nBits, source };
  if (dst === undefined) throw new BugError('ofpact words: a learn spec lacks its destination');
  return { dstType, nBits, source, dst };
}

function encodeNat(w: WordWriter, a: NatAction): void {
  w.u32(natDirections.number(a.direction ?? 'none'));
  w.u32(natPortModes.number(a.portMode ?? 'none'));
  w.u32(
    Number(a.persistent) |
      (Number(a.addrMin !== undefined) << 1) |
      (Number(a.addrMax !== undefined) << 2) |
      (Number(a.protoMin !== undefined) << 3) |
      (Number(a.protoMax !== undefined) << 4),
  );
  w.bytes(a.addrMin ?? new Uint8Array(0));
  w.bytes(a.addrMax ?? new Uint8Array(0));
  w.u32(a.protoMin ?? 0);
  w.u32(a.protoMax ?? 0);
}

function decodeNat(r: WordReader): NatAction {
  const direction = natDirections.name(r.u32());
  const portMode = natPortModes.name(r.u32());
  const flags = r.u32();
  const addrMin = r.bytes();
  const addrMax = r.bytes();
  const protoMin = r.u32();
  const protoMax = r.u32();
  return {
    kind: 'nat',
    direction: direction === 'none' ? null : direction,
    portMode: portMode === 'none' ? null : portMode,
    persistent: (flags & 1) !== 0,
    ...(flags & 2 ? { addrMin } : {}),
    ...(flags & 4 ? { addrMax } : {}),
    ...(flags & 8 ? { protoMin } : {}),
    ...(flags & 16 ? { protoMax } : {}),
  };
}

/** Reads `n` items in order. */
function times<T>(n: number, read: () => T): T[] {
  const list: T[] = [];
  for (let i = 0; i < n; i++) list.push(read());
  return list;
}

function decodeAction(r: WordReader, number: number): Action {
  const kind = ofpactKindName(number);
  switch (kind) {
    case undefined:
      throw new BugError(`ofpact words: unknown kind ${number}`);
    case 'output':
    case 'output_trunc':
      return { kind, port: r.u32() as OfpPort, maxLen: r.u32() };
    case 'controller': {
      const maxLen = r.u32();
      const reason = reasons.name(r.u32());
      const controllerId = r.u32();
      const pause = r.u32() !== 0;
      const meterId = r.u32();
      return { kind, maxLen, reason, controllerId, pause, meterId, userdata: r.bytes() };
    }
    case 'enqueue':
      return { kind, port: r.u32() as OfpPort, queue: r.u32() };
    case 'output_reg':
      return { kind, src: r.subfield(), maxLen: r.u32() };
    case 'group':
      return { kind, groupId: r.u32() };
    case 'bundle': {
      const hash = hashFields.name(r.u32());
      const basis = r.u32();
      const algorithm = bundleAlgorithms.name(r.u32());
      const dst = r.optionalSubfield();
      const slaves = times(r.u32(), () => r.u32() as OfpPort);
      return { kind, fields: hash, basis, algorithm, slaves, ...(dst === undefined ? {} : { dst }) };
    }
    case 'set_field':
      return {
        kind,
        field: fieldByNumber(r.u32()),
        raw: setFieldRaws.name(r.u32()),
        value: r.bytes(),
        mask: r.bytes(),
      };
    case 'reg_move':
      return { kind, src: r.subfield(), dst: r.subfield() };
    case 'stack_push':
    case 'stack_pop':
      return { kind, subfield: r.subfield() };
    case 'strip_vlan':
      return { kind, raw: stripVlanRaws.name(r.u32()) };
    case 'push_vlan':
    case 'push_mpls':
    case 'pop_mpls':
      return { kind, ethertype: r.u32() };
    case 'set_vlan_vid': {
      const vid = r.u32();
      const flags = r.u32();
      return { kind, vid, pushVlanIfNeeded: (flags & 1) !== 0, flowHasVlan: (flags & 2) !== 0 };
    }
    case 'set_vlan_pcp': {
      const pcp = r.u32();
      const flags = r.u32();
      return { kind, pcp, pushVlanIfNeeded: (flags & 1) !== 0, flowHasVlan: (flags & 2) !== 0 };
    }
    case 'set_eth_src':
    case 'set_eth_dst':
      return { kind, mac: r.bytes() };
    case 'set_ipv4_src':
    case 'set_ipv4_dst':
      return { kind, ipv4: r.u32() };
    case 'set_ip_dscp':
      return { kind, dscp: r.u32() };
    case 'set_ip_ecn':
      return { kind, ecn: r.u32() };
    case 'set_ip_ttl':
    case 'set_mpls_ttl':
      return { kind, ttl: r.u32() };
    case 'set_l4_src_port':
    case 'set_l4_dst_port':
      return { kind, port: r.u32(), flowIpProto: r.u32() };
    case 'dec_ttl': {
      const raw = decTtlRaws.name(r.u32());
      return { kind, raw, controllerIds: times(r.u32(), () => r.u32()) };
    }
    case 'set_mpls_label':
      return { kind, label: r.u32() };
    case 'set_mpls_tc':
      return { kind, tc: r.u32() };
    case 'set_tunnel':
      return { kind, tunId: r.u64(), is64: r.u32() !== 0 };
    case 'set_queue':
      return { kind, queueId: r.u32() };
    case 'fin_timeout':
      return { kind, idleTimeoutSec: r.u32(), hardTimeoutSec: r.u32() };
    case 'resubmit':
      return {
        kind,
        inPort: r.u32() as OfpPort,
        tableId: r.u32(),
        withCtOrig: r.u32() !== 0,
        raw: resubmitRaws.name(r.u32()),
      };
    case 'learn': {
      const idleTimeoutSec = r.u32();
      const hardTimeoutSec = r.u32();
      const priority = r.u32();
      const cookie = r.u64();
      const flags = r.u32();
      const tableId = r.u32();
      const finIdleTimeoutSec = r.u32();
      const finHardTimeoutSec = r.u32();
      const limit = r.u32();
      const resultDst = r.optionalSubfield();
      const specs = times(r.u32(), () => decodeLearnSpec(r));
      return {
        kind,
        idleTimeoutSec,
        hardTimeoutSec,
        priority,
        cookie,
        sendFlowRem: (flags & 1) !== 0,
        deleteLearned: (flags & 2) !== 0,
        tableId,
        finIdleTimeoutSec,
        finHardTimeoutSec,
        limit,
        ...(resultDst === undefined ? {} : { resultDst }),
        specs,
      };
    }
    case 'conjunction':
      return { kind, id: r.u32(), clause: r.u32(), nClauses: r.u32() };
    case 'multipath':
      return {
        kind,
        fields: hashFields.name(r.u32()),
        basis: r.u32(),
        algorithm: multipathAlgorithms.name(r.u32()),
        maxLink: r.u32(),
        arg: r.u32(),
        dst: r.subfield(),
      };
    case 'note':
      return { kind, data: r.bytes() };
    case 'sample':
      return {
        kind,
        probability: r.u32(),
        collectorSetId: r.u32(),
        obsDomainId: r.u32(),
        obsPointId: r.u32(),
        samplingPort: r.u32() as OfpPort,
        direction: directions.name(r.u32()),
        raw: sampleRaws.name(r.u32()),
      };
    case 'nat':
      return decodeNat(r);
    case 'ct': {
      const flags = r.u32();
      const zoneSrc = r.optionalSubfield();
      const zoneImm = r.u32();
      const recircTable = r.u32();
      const alg = r.u32();
      return {
        kind,
        commit: (flags & 1) !== 0,
        force: (flags & 2) !== 0,
        ...(zoneSrc === undefined ? {} : { zoneSrc }),
        zoneImm,
        recircTable: flags & 4 ? recircTable : null,
        alg,
        actions: r.actions(),
      };
    }
    case 'clone':
    case 'write_actions':
      return { kind, actions: r.actions() };
    case 'check_pkt_larger':
      return { kind, pktLen: r.u32(), dst: r.subfield() };
    case 'encap': {
      const packetType = r.u32();
      const hdrSize = r.u32();
      const props = times(r.u32(), () => ({ class: r.u32(), type: r.u32(), data: r.bytes() }));
      return { kind, packetType, hdrSize, props };
    }
    case 'decap':
      return { kind, newPacketType: r.u32() };
    case 'delete_field':
      return { kind, field: fieldByNumber(r.u32()) };
    case 'meter':
      return { kind, meterId: r.u32() };
    case 'write_metadata':
      return { kind, metadata: r.u64(), mask: r.u64() };
    case 'goto_table':
      return { kind, tableId: r.u32() };
    case 'unroll_xlate':
      return { kind, ruleTableId: r.u32(), ruleCookie: r.u64() };
    case 'dec_mpls_ttl':
    case 'dec_nsh_ttl':
    case 'pop_queue':
    case 'exit':
    case 'ct_clear':
    case 'clear_actions':
    case 'debug_recirc':
    case 'debug_slow':
      return { kind };
  }
}
