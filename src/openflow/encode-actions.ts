/**
 * Actions and instructions to bytes, for every version.
 *
 * A version that lacks an action gets what OVS sends instead: `mod_dl_src` is a set_field in 1.2+,
 * `set_field` is a standard action or a load in 1.0, `goto_table` is a resubmit in 1.0...
 */
import { requireField } from '../flow/fields.ts';
import type { Field } from '../flow/fields.ts';
import { putAction } from './action-header.ts';
import {
  CT_COMMIT,
  CT_FORCE,
  CT_RECIRC_NONE,
  MAX_LEN_ALL,
  bundleAlgorithms,
  hashFields,
  multipathAlgorithms,
  sampleDirections,
} from './action-numbers.ts';
import type {
  Action,
  CtAction,
  EncapAction,
  SampleAction,
  SetFieldAction,
  SetL4PortAction,
} from './actions.ts';
import { isInstruction } from './actions.ts';
import type { RawActionName } from './actions.table.ts';
import { bigintToBytes, bytesToBigint, loadSegments } from './bits.ts';
import type { ByteWriter } from './byte-io.ts';
import { putController, putLearn, putNat } from './encode-long-actions.ts';
import { encodeOfsNbits, hasShortHeader, putFieldEntry, putFieldHeader, shortHeader } from './nxm.ts';

const OFP12 = 3;
const OFP15 = 6;
const ETH_TYPE_VLAN = 0x8100;
const VLAN_CFI = 0x1000;

const u16Port = (port: number): number => port & 0xffff;

/** OFPAT_SET_FIELD of a whole field. */
function putSetField(w: ByteWriter, version: number, name: string, value: bigint): void {
  const field = requireField(name);
  const raw: RawActionName = version >= OFP15 ? 'OFPAT15_SET_FIELD' : 'OFPAT12_SET_FIELD';
  putAction(w, version, raw, () => {
    putFieldEntry(w, field, version, bigintToBytes(value, field.bytes), null);
  });
}

function putRegLoad(
  w: ByteWriter,
  version: number,
  field: Field,
  ofs: number,
  nBits: number,
  value: bigint,
): void {
  putAction(w, version, 'NXAST_REG_LOAD', () => {
    w.u16(encodeOfsNbits({ field, ofs, nBits }));
    w.u32(shortHeader(field)).u64(value);
  });
}

function putSetFieldAsLoads(w: ByteWriter, version: number, a: SetFieldAction): void {
  const isLong = a.raw === 'load2' || !hasShortHeader(a.field) || a.field.name.startsWith('tun_metadata');
  if (isLong) {
    putAction(w, version, 'NXAST_REG_LOAD2', () => {
      putFieldEntry(w, a.field, 0, a.value, a.mask);
    });
    return;
  }
  for (const s of loadSegments(a.value, a.mask, a.field.bits)) {
    putRegLoad(w, version, a.field, s.ofs, s.nBits, s.value);
  }
}

function putVlanTci(w: ByteWriter, version: number, tci: number): void {
  const vid = tci & 0xfff;
  const pcp = tci >>> 13;
  if (version === 1) {
    if ((tci & VLAN_CFI) !== 0) {
      putAction(w, version, 'OFPAT10_SET_VLAN_VID', vid);
      putAction(w, version, 'OFPAT10_SET_VLAN_PCP', pcp);
    } else putAction(w, version, 'OFPAT10_STRIP_VLAN');
  } else if ((tci & VLAN_CFI) !== 0) {
    putAction(w, version, 'OFPAT11_PUSH_VLAN', ETH_TYPE_VLAN);
    putAction(w, version, 'OFPAT11_SET_VLAN_VID', vid);
    putAction(w, version, 'OFPAT11_SET_VLAN_PCP', pcp);
  } else putAction(w, version, 'OFPAT11_POP_VLAN');
}

/** `set_field` in 1.0 and 1.1, which have standard actions for some fields. */
function putSetFieldLegacy(w: ByteWriter, version: number, a: SetFieldAction): void {
  const value = bytesToBigint(a.value);
  const isOf10 = version === 1;
  switch (a.field.name) {
    case 'vlan_tci':
      putVlanTci(w, version, Number(value));
      return;
    case 'vlan_vid':
      putAction(w, version, isOf10 ? 'OFPAT10_SET_VLAN_VID' : 'OFPAT11_SET_VLAN_VID', value & 0xfffn);
      return;
    case 'vlan_pcp':
      putAction(w, version, isOf10 ? 'OFPAT10_SET_VLAN_PCP' : 'OFPAT11_SET_VLAN_PCP', value);
      return;
    case 'eth_src':
    case 'eth_dst':
      putMac(w, version, a.field.name === 'eth_src' ? 'OFPAT_SET_DL_SRC' : 'OFPAT_SET_DL_DST', a.value);
      return;
    case 'ip_src':
      putAction(w, version, 'OFPAT_SET_NW_SRC', value);
      return;
    case 'ip_dst':
      putAction(w, version, 'OFPAT_SET_NW_DST', value);
      return;
    case 'nw_tos':
      putAction(w, version, 'OFPAT_SET_NW_TOS', value);
      return;
    case 'ip_dscp':
      putAction(w, version, 'OFPAT_SET_NW_TOS', value << 2n);
      return;
    case 'nw_ecn':
      putEcn(w, version, Number(value));
      return;
    case 'tcp_src':
    case 'udp_src':
      putAction(w, version, 'OFPAT_SET_TP_SRC', value);
      return;
    case 'tcp_dst':
    case 'udp_dst':
      putAction(w, version, 'OFPAT_SET_TP_DST', value);
      return;
    default:
      putSetFieldAsLoads(w, version, a);
  }
}

function putSetFieldAction(w: ByteWriter, version: number, a: SetFieldAction): void {
  const put = (raw: RawActionName): void => {
    putAction(w, version, raw, () => {
      putFieldEntry(w, a.field, version, a.value, a.mask);
    });
  };
  if (version >= OFP15) put('OFPAT15_SET_FIELD');
  else if (a.raw !== 'set_field') putSetFieldAsLoads(w, version, a);
  else if (version < OFP12) putSetFieldLegacy(w, version, a);
  else if (a.mask.every((b) => b === 0xff)) put('OFPAT12_SET_FIELD');
  else putSetFieldAsLoads(w, version, a);
}

function putMac(w: ByteWriter, version: number, raw: RawActionName, mac: Uint8Array): void {
  putAction(w, version, raw, () => w.bytes(mac).zeros(6));
}

function putEcn(w: ByteWriter, version: number, ecn: number): void {
  if (version === 1) putRegLoad(w, version, requireField('nw_ecn'), 0, 2, BigInt(ecn));
  else if (version === 2) putAction(w, version, 'OFPAT11_SET_NW_ECN', ecn);
  else putSetField(w, version, 'nw_ecn', BigInt(ecn));
}

const l4Names: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

function putL4Port(w: ByteWriter, version: number, a: SetL4PortAction): void {
  const proto = l4Names[a.flowIpProto];
  const isSrc = a.kind === 'set_l4_src_port';
  if (version >= OFP12 && proto !== undefined) {
    putSetField(w, version, `${proto}_${isSrc ? 'src' : 'dst'}`, BigInt(a.port));
  } else {
    putAction(w, version, isSrc ? 'OFPAT_SET_TP_SRC' : 'OFPAT_SET_TP_DST', a.port);
  }
}

function putSample(w: ByteWriter, version: number, a: SampleAction): void {
  const common = (): void => {
    w.u16(a.probability).u32(a.collectorSetId).u32(a.obsDomainId).u32(a.obsPointId);
  };
  const isThree = a.raw === 'sample3' || a.direction !== 'default';
  const isTwo = a.raw === 'sample2' || u16Port(a.samplingPort) !== 0xffff;
  if (!isThree && !isTwo) {
    putAction(w, version, 'NXAST_SAMPLE', common);
    return;
  }
  putAction(w, version, isThree ? 'NXAST_SAMPLE3' : 'NXAST_SAMPLE2', () => {
    common();
    w.u16(u16Port(a.samplingPort)).u8(sampleDirections.indexOf(a.direction)).zeros(5);
  });
}

function putCt(w: ByteWriter, version: number, a: CtAction): void {
  putAction(w, version, 'NXAST_CT', () => {
    w.u16((a.commit ? CT_COMMIT : 0) | (a.force ? CT_FORCE : 0));
    if (a.zoneSrc) w.u32(shortHeader(a.zoneSrc.field)).u16(encodeOfsNbits(a.zoneSrc));
    else w.u32(0).u16(a.zoneImm);
    w.u8(a.recircTable ?? CT_RECIRC_NONE)
      .zeros(3)
      .u16(a.alg);
    encodeActions(w, a.actions, version);
  });
}

function putEncap(w: ByteWriter, version: number, a: EncapAction): void {
  putAction(w, version, 'NXAST_ENCAP', () => {
    w.u16(a.hdrSize).u32(a.packetType);
    for (const p of a.props) {
      const start = w.length;
      w.u16(p.class)
        .u8(p.type)
        .u8(4 + p.data.length)
        .bytes(p.data)
        .padTo(8, start);
    }
  });
}

function pushVlanIfNeeded(
  w: ByteWriter,
  version: number,
  a: { readonly pushVlanIfNeeded: boolean; readonly flowHasVlan: boolean },
): void {
  if (version > 1 && a.pushVlanIfNeeded && !a.flowHasVlan) {
    putAction(w, version, 'OFPAT11_PUSH_VLAN', ETH_TYPE_VLAN);
  }
}

/** Writes one action, or one instruction for an action that is one, as `version` has it. */
function encodeAction(w: ByteWriter, a: Action, version: number): void {
  const simple = (raw: RawActionName, arg: number | bigint = 0): void => {
    putAction(w, version, raw, arg);
  };
  switch (a.kind) {
    case 'output':
      if (version === 1) putAction(w, version, 'OFPAT10_OUTPUT', () => w.u16(u16Port(a.port)).u16(a.maxLen));
      else putAction(w, version, 'OFPAT11_OUTPUT', () => w.u32(a.port).u16(a.maxLen).zeros(6));
      return;
    case 'controller':
      putController(w, version, a);
      return;
    case 'enqueue':
      if (version === 1) {
        putAction(w, version, 'OFPAT10_ENQUEUE', () => w.u16(u16Port(a.port)).zeros(6).u32(a.queue));
        return;
      }
      simple('OFPAT_SET_QUEUE', a.queue);
      putAction(w, version, 'OFPAT11_OUTPUT', () => w.u32(a.port).u16(MAX_LEN_ALL).zeros(6));
      simple('NXAST_POP_QUEUE');
      return;
    case 'output_reg':
      if (hasShortHeader(a.src.field)) {
        putAction(w, version, 'NXAST_OUTPUT_REG', () =>
          w.u16(encodeOfsNbits(a.src)).u32(shortHeader(a.src.field)).u16(a.maxLen).zeros(6),
        );
      } else {
        putAction(w, version, 'NXAST_OUTPUT_REG2', () => {
          w.u16(encodeOfsNbits(a.src)).u16(a.maxLen);
          putFieldHeader(w, a.src.field, 0);
        });
      }
      return;
    case 'output_trunc':
      putAction(w, version, 'NXAST_OUTPUT_TRUNC', () => w.u16(u16Port(a.port)).u32(a.maxLen));
      return;
    case 'group':
      simple('OFPAT_GROUP', a.groupId);
      return;
    case 'bundle':
      putAction(w, version, a.dst ? 'NXAST_BUNDLE_LOAD' : 'NXAST_BUNDLE', () => {
        w.u16(bundleAlgorithms.indexOf(a.algorithm)).u16(hashFields.indexOf(a.fields)).u16(a.basis);
        w.u32(shortHeader(requireField('in_port'))).u16(a.slaves.length);
        w.u16(a.dst ? encodeOfsNbits(a.dst) : 0)
          .u32(a.dst ? shortHeader(a.dst.field) : 0)
          .zeros(4);
        for (const slave of a.slaves) w.u16(u16Port(slave));
      });
      return;
    case 'set_field':
      putSetFieldAction(w, version, a);
      return;
    case 'set_vlan_vid':
      pushVlanIfNeeded(w, version, a);
      if (version === 1) simple('OFPAT10_SET_VLAN_VID', a.vid);
      else if (version === 2) simple('OFPAT11_SET_VLAN_VID', a.vid);
      else putSetField(w, version, 'vlan_vid', BigInt(a.vid | VLAN_CFI));
      return;
    case 'set_vlan_pcp':
      pushVlanIfNeeded(w, version, a);
      if (version === 1) simple('OFPAT10_SET_VLAN_PCP', a.pcp);
      else if (version === 2) simple('OFPAT11_SET_VLAN_PCP', a.pcp);
      else putSetField(w, version, 'vlan_pcp', BigInt(a.pcp));
      return;
    case 'strip_vlan':
      simple(version === 1 ? 'OFPAT10_STRIP_VLAN' : 'OFPAT11_POP_VLAN');
      return;
    case 'push_vlan':
      // 1.0 pushes as a side effect of the set_vlan_* that follows.
      if (version > 1) simple('OFPAT11_PUSH_VLAN', a.ethertype);
      return;
    case 'set_eth_src':
    case 'set_eth_dst': {
      const isSrc = a.kind === 'set_eth_src';
      if (version < OFP12) putMac(w, version, isSrc ? 'OFPAT_SET_DL_SRC' : 'OFPAT_SET_DL_DST', a.mac);
      else putSetField(w, version, isSrc ? 'eth_src' : 'eth_dst', bytesToBigint(a.mac));
      return;
    }
    case 'set_ipv4_src':
    case 'set_ipv4_dst': {
      const isSrc = a.kind === 'set_ipv4_src';
      if (version < OFP12) simple(isSrc ? 'OFPAT_SET_NW_SRC' : 'OFPAT_SET_NW_DST', a.ipv4);
      else putSetField(w, version, isSrc ? 'ip_src' : 'ip_dst', BigInt(a.ipv4));
      return;
    }
    case 'set_ip_dscp':
      if (version < OFP12) simple('OFPAT_SET_NW_TOS', a.dscp);
      else putSetField(w, version, 'ip_dscp', BigInt(a.dscp >> 2));
      return;
    case 'set_ip_ecn':
      putEcn(w, version, a.ecn);
      return;
    case 'set_ip_ttl':
      if (version === 1) putRegLoad(w, version, requireField('nw_ttl'), 0, 8, BigInt(a.ttl));
      else simple('OFPAT11_SET_NW_TTL', a.ttl);
      return;
    case 'set_l4_src_port':
    case 'set_l4_dst_port':
      putL4Port(w, version, a);
      return;
    case 'reg_move': {
      const isCopy = version >= OFP15;
      putAction(w, version, isCopy ? 'OFPAT15_COPY_FIELD' : 'NXAST_REG_MOVE', () => {
        w.u16(a.dst.nBits).u16(a.src.ofs).u16(a.dst.ofs);
        if (isCopy) w.zeros(2);
        putFieldHeader(w, a.src.field, isCopy ? version : 0);
        putFieldHeader(w, a.dst.field, isCopy ? version : 0);
      });
      return;
    }
    case 'stack_push':
    case 'stack_pop':
      putAction(w, version, a.kind === 'stack_push' ? 'NXAST_STACK_PUSH' : 'NXAST_STACK_POP', () => {
        w.u16(a.subfield.ofs);
        putFieldHeader(w, a.subfield.field, 0);
        w.u16(a.subfield.nBits);
      });
      return;
    case 'dec_ttl':
      if (a.raw === 'dec_ttl_cnt_ids' || a.controllerIds.length !== 1 || a.controllerIds[0] !== 0) {
        putAction(w, version, 'NXAST_DEC_TTL_CNT_IDS', () => {
          w.u16(a.controllerIds.length).zeros(4);
          for (const id of a.controllerIds) w.u16(id);
        });
      } else simple('OFPAT_DEC_NW_TTL');
      return;
    case 'set_mpls_label':
      if (version < OFP12) simple('OFPAT_SET_MPLS_LABEL', a.label);
      else putSetField(w, version, 'mpls_label', BigInt(a.label));
      return;
    case 'set_mpls_tc':
      if (version < OFP12) simple('OFPAT_SET_MPLS_TC', a.tc);
      else putSetField(w, version, 'mpls_tc', BigInt(a.tc));
      return;
    case 'set_mpls_ttl':
      simple('OFPAT_SET_MPLS_TTL', a.ttl);
      return;
    case 'dec_mpls_ttl':
      simple('OFPAT_DEC_MPLS_TTL');
      return;
    case 'push_mpls':
      simple('OFPAT_PUSH_MPLS', a.ethertype);
      return;
    case 'pop_mpls':
      simple('OFPAT_POP_MPLS', a.ethertype);
      return;
    case 'dec_nsh_ttl':
      simple('NXAST_DEC_NSH_TTL');
      return;
    case 'set_tunnel':
      if (version >= OFP12) putSetField(w, version, 'tun_id', a.tunId);
      else simple(a.is64 || a.tunId > 0xffffffffn ? 'NXAST_SET_TUNNEL64' : 'NXAST_SET_TUNNEL', a.tunId);
      return;
    case 'set_queue':
      simple('OFPAT_SET_QUEUE', a.queueId);
      return;
    case 'pop_queue':
      simple('NXAST_POP_QUEUE');
      return;
    case 'fin_timeout':
      putAction(w, version, 'NXAST_FIN_TIMEOUT', () => w.u16(a.idleTimeoutSec).u16(a.hardTimeoutSec));
      return;
    case 'resubmit':
      if (a.tableId === 0xff && a.raw === 'resubmit') {
        simple('NXAST_RESUBMIT', u16Port(a.inPort));
        return;
      }
      putAction(w, version, a.withCtOrig ? 'NXAST_RESUBMIT_TABLE_CT' : 'NXAST_RESUBMIT_TABLE', () =>
        w.u16(u16Port(a.inPort)).u8(a.tableId).zeros(3),
      );
      return;
    case 'learn':
      putLearn(w, version, a);
      return;
    case 'conjunction':
      putAction(w, version, 'NXAST_CONJUNCTION', () => w.u8(a.clause).u8(a.nClauses).u32(a.id));
      return;
    case 'multipath':
      putAction(w, version, 'NXAST_MULTIPATH', () => {
        w.u16(hashFields.indexOf(a.fields)).u16(a.basis).u16(0);
        w.u16(multipathAlgorithms.indexOf(a.algorithm)).u16(a.maxLink).u32(a.arg).u16(0);
        w.u16(encodeOfsNbits(a.dst)).u32(shortHeader(a.dst.field));
      });
      return;
    case 'note':
      putAction(w, version, 'NXAST_NOTE', () => w.bytes(a.data));
      return;
    case 'exit':
      simple('NXAST_EXIT');
      return;
    case 'sample':
      putSample(w, version, a);
      return;
    case 'ct':
      putCt(w, version, a);
      return;
    case 'ct_clear':
      simple('NXAST_CT_CLEAR');
      return;
    case 'nat':
      putNat(w, version, a);
      return;
    case 'clone':
      putAction(w, version, 'NXAST_CLONE', () => {
        w.zeros(6);
        encodeActions(w, a.actions, version);
      });
      return;
    case 'check_pkt_larger':
      putAction(w, version, 'NXAST_CHECK_PKT_LARGER', () => {
        w.u16(a.pktLen).u16(a.dst.ofs);
        putFieldHeader(w, a.dst.field, 0);
      });
      return;
    case 'encap':
      putEncap(w, version, a);
      return;
    case 'decap':
      putAction(w, version, 'NXAST_DECAP', () => w.zeros(2).u32(a.newPacketType));
      return;
    case 'delete_field':
      putAction(w, version, 'NXAST_DELETE_FIELD', () => {
        putFieldHeader(w, a.field, 0);
      });
      return;
    case 'debug_recirc':
      simple('NXAST_DEBUG_RECIRC');
      return;
    case 'debug_slow':
      simple('NXAST_DEBUG_SLOW');
      return;
    case 'meter':
      if (version >= OFP15) simple('OFPAT15_METER', a.meterId);
      else if (version >= 4) w.u16(6).u16(8).u32(a.meterId);
      return;
    case 'clear_actions':
      if (version > 1) w.u16(5).u16(8).zeros(4);
      return;
    case 'write_actions':
      if (version > 1) putActionInstruction(w, 3, a.actions, version);
      return;
    case 'write_metadata':
      if (version === 1) {
        putAction(w, version, 'NXAST_WRITE_METADATA', () => w.zeros(6).u64(a.metadata).u64(a.mask));
      } else w.u16(2).u16(24).zeros(4).u64(a.metadata).u64(a.mask);
      return;
    case 'goto_table':
      if (version === 1) {
        putAction(w, version, 'NXAST_RESUBMIT_TABLE', () => w.u16(0xfff8).u8(a.tableId).zeros(3));
      } else w.u16(1).u16(8).u8(a.tableId).zeros(3);
      return;
    case 'unroll_xlate':
      return;
  }
}

/** An instruction that holds actions; nothing at all when there are none. */
function putActionInstruction(
  w: ByteWriter,
  type: number,
  actions: readonly Action[],
  version: number,
): void {
  const start = w.length;
  w.u16(type).u16(0).zeros(4);
  encodeActions(w, actions, version);
  if (w.length === start + 8) w.length = start;
  else w.setU16(start + 2, w.length - start);
}

/** Writes a plain list of actions. */
export function encodeActions(w: ByteWriter, actions: readonly Action[], version: number): void {
  for (const a of actions) encodeAction(w, a, version);
}

/** Writes instructions (1.1+), or the list of actions that 1.0 has in their place. */
export function encodeInstructions(w: ByteWriter, actions: readonly Action[], version: number): void {
  if (version === 1) {
    encodeActions(w, actions, version);
    return;
  }
  const isApplied = (a: Action): boolean =>
    !isInstruction(a.kind) || (a.kind === 'meter' && version >= OFP15);
  let at = 0;
  while (at < actions.length) {
    let end = at;
    while (end < actions.length && isApplied(actions[end] as Action)) end++;
    if (end > at) {
      putActionInstruction(w, 4, actions.slice(at, end), version);
      at = end;
    } else {
      encodeAction(w, actions[at] as Action, version);
      at++;
    }
  }
}
