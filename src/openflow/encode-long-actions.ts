/** Encoders of the actions with lists inside: controller, learn, nat. */
import { putAction } from './action-header.ts';
import {
  Controller2Prop,
  LEARN_DST_LOAD,
  LEARN_DST_OUTPUT,
  LEARN_SRC_IMMEDIATE,
  LearnFlag,
  MAX_LEN_ALL,
  NatFlag,
  NatRange,
  packetInReasons,
} from './action-numbers.ts';
import type { ControllerAction, LearnAction, NatAction } from './actions.ts';
import type { ByteWriter } from './byte-io.ts';
import { putFieldHeader, shortHeader } from './nxm.ts';

function putProp(w: ByteWriter, type: number, body: () => void): void {
  const start = w.length;
  w.u16(type).u16(0);
  body();
  w.setU16(start + 2, w.length - start);
  w.padTo(8, start);
}

export function putController(w: ByteWriter, version: number, a: ControllerAction): void {
  const reason = packetInReasons.indexOf(a.reason);
  if (a.userdata.length === 0 && !a.pause && a.meterId === 0) {
    putAction(w, version, 'NXAST_CONTROLLER', () => w.u16(a.maxLen).u16(a.controllerId).u8(reason).u8(0));
    return;
  }
  putAction(w, version, 'NXAST_CONTROLLER2', () => {
    w.zeros(6);
    if (a.maxLen !== MAX_LEN_ALL) putProp(w, Controller2Prop.MAX_LEN, () => w.u16(a.maxLen).zeros(2));
    if (a.controllerId !== 0) putProp(w, Controller2Prop.CONTROLLER_ID, () => w.u16(a.controllerId).zeros(2));
    if (a.reason !== 'action') putProp(w, Controller2Prop.REASON, () => w.u8(reason).zeros(3));
    if (a.userdata.length > 0) putProp(w, Controller2Prop.USERDATA, () => w.bytes(a.userdata));
    if (a.pause) putProp(w, Controller2Prop.PAUSE, () => undefined);
    if (a.meterId !== 0) putProp(w, Controller2Prop.METER_ID, () => w.u32(a.meterId));
  });
}

export function putLearn(w: ByteWriter, version: number, a: LearnAction): void {
  const isLong = a.limit !== 0 || a.resultDst !== undefined;
  const flags =
    (a.sendFlowRem ? LearnFlag.SEND_FLOW_REM : 0) |
    (a.deleteLearned ? LearnFlag.DELETE_LEARNED : 0) |
    (a.resultDst ? LearnFlag.WRITE_RESULT : 0);
  putAction(w, version, isLong ? 'NXAST_LEARN2' : 'NXAST_LEARN', () => {
    w.u16(a.idleTimeoutSec).u16(a.hardTimeoutSec).u16(a.priority).u64(a.cookie).u16(flags);
    w.u8(a.tableId).u8(0).u16(a.finIdleTimeoutSec).u16(a.finHardTimeoutSec);
    if (isLong)
      w.u32(a.limit)
        .u16(a.resultDst?.ofs ?? 0)
        .u16(0);
    if (a.resultDst) putFieldHeader(w, a.resultDst.field, 0);
    for (const spec of a.specs) {
      const dst = spec.dstType === 'match' ? 0 : spec.dstType === 'load' ? LEARN_DST_LOAD : LEARN_DST_OUTPUT;
      const src = spec.source.type === 'field' ? 0 : LEARN_SRC_IMMEDIATE;
      w.u16(spec.nBits | dst | src);
      if (spec.source.type === 'field') {
        w.u32(shortHeader(spec.source.src.field)).u16(spec.source.src.ofs);
      } else {
        const size = 2 * Math.ceil(spec.nBits / 16);
        w.zeros(size - spec.source.value.length).bytes(spec.source.value);
      }
      if (spec.dstType !== 'output') w.u32(shortHeader(spec.dst.field)).u16(spec.dst.ofs);
    }
  });
}

export function putNat(w: ByteWriter, version: number, a: NatAction): void {
  const flags =
    (a.direction === 'src' ? NatFlag.SRC : a.direction === 'dst' ? NatFlag.DST : 0) |
    (a.persistent ? NatFlag.PERSISTENT : 0) |
    (a.portMode === 'hash' ? NatFlag.HASH : a.portMode === 'random' ? NatFlag.RANDOM : 0);
  const isIpv6 = a.addrMin?.length === 16;
  putAction(w, version, 'NXAST_NAT', () => {
    w.zeros(2).u16(flags);
    const at = w.length;
    w.u16(0);
    let present = 0;
    if (a.addrMin) {
      w.bytes(a.addrMin);
      present |= isIpv6 ? NatRange.IPV6_MIN : NatRange.IPV4_MIN;
      if (a.addrMax) {
        w.bytes(a.addrMax);
        present |= isIpv6 ? NatRange.IPV6_MAX : NatRange.IPV4_MAX;
      }
      if (a.protoMin) {
        w.u16(a.protoMin);
        present |= NatRange.PROTO_MIN;
      }
      if (a.protoMax) {
        w.u16(a.protoMax);
        present |= NatRange.PROTO_MAX;
      }
    }
    w.setU16(at, present);
  });
}
