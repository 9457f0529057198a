import type { Action, LearnSpec, NatAction } from '../openflow/actions.ts';
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
  fieldNumber,
  WordWriter,
} from './ofpact-io.ts';
import { ofpactKinds } from './ofpact-kinds.ts';

/** Writes a list of actions as ofpact words (see ofpact-words.ts). */
export function encodeOfpacts(actions: readonly Action[]): Uint32Array {
  const w = new WordWriter();
  for (const action of actions) encodeAction(w, action);
  return w.take();
}

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
