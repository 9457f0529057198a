import type { Action, LearnSpec, LearnSpecSource, NatAction } from '../openflow/actions.ts';
import type { OfpPort } from '../util/brand.ts';
import { BugError } from '../util/errors.ts';
import {
  bundleAlgorithms,
  decTtlRaws,
  directions,
  hashFields,
  learnDstTypes,
  multipathAlgorithms,
  natDirections,
  natPortModes,
  reasons,
  resubmitRaws,
  sampleRaws,
  setFieldRaws,
  stripVlanRaws,
  fieldByNumber,
  WordReader,
} from './ofpact-io.ts';
import { ofpactKindName } from './ofpact-kinds.ts';

/**
 * Reads ofpact words (see ofpact-words.ts).
 *
 * @param words The list; `from` and `to` bound it, in words.
 * @throws BugError for words that encodeOfpacts cannot have made.
 */
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
        actions: r.nested(decodeOfpacts),
      };
    }
    case 'clone':
    case 'write_actions':
      return { kind, actions: r.nested(decodeOfpacts) };
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
