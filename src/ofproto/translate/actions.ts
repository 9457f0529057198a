import { KeyLayout as K } from '../../flow/generated/key.ts';
import { maskSubfield, readSubfield, readSubfield32, readSubfieldPart } from '../../flow/subfield.ts';
import { OFPP_IN_PORT, OFPP_UNSET, ofp10ToOfp11Port } from '../../openflow/ports.ts';
import type { Action } from '../../openflow/actions.ts';
import type { TraceSink } from './types.ts';
import { SlowPath } from '../../odp/attrs.ts';
import { BugError } from '../../util/errors.ts';
import { ofpactKindName, ofpactKinds as k } from '../ofpact-kinds.ts';
import { decodeOfpacts, reasonNumbers } from '../ofpact-words.ts';
import { actionSetOrder, writeActions } from './action-set.ts';
import type { XlateContext } from './context.ts';
import { fieldOf, moveField, reportSubfield, setField, subfieldOf, writeField } from './fields.ts';
import { Layers } from './layers.ts';
import { commitActions, controllerAction, outputAction, outputTrunc } from './output.ts';
import { xcacheKinds } from './xcache.ts';
import { xlateErrors } from './types.ts';
import { reduceTimeouts } from './rules.ts';

const CFI = 0x1000;
const VID = 0x0fff;
const PCP = 0xe000;

function actionText(ctx: XlateContext, trace: TraceSink, at: number): string {
  const length = (ctx.u32[at] ?? 0) >>> 16;
  return trace.formatActions(decodeOfpacts(ctx.u32, at, at + length), trace.ports(ctx.bridge));
}

/**
 * Executes a list of ofpact words on the context's flow.
 *
 * @param at Word index of the list in the arena.
 * @param isLast Nothing follows that needs the packet as it was.
 * @returns Whether the whole list was gone through.
 */
export function doActions(ctx: XlateContext, at: number, words: number, isLast: boolean): boolean {
  if (words === 0) {
    ctx.report('action', 'drop');
    return true;
  }
  const { u32 } = ctx;
  const end = at + words;
  for (let p = at; p < end;) {
    const header = u32[p] ?? 0;
    const length = header >>> 16;
    if (length === 0 || p + length > end) throw new BugError(`ofpact words: bad length ${length}`);
    if (ctx.error !== xlateErrors.OK || ctx.exit) return false;
    const last = isLast && p + length === end && ctx.actionSet.length === 0;
    if (ctx.trace !== null) ctx.trace.report('action', actionText(ctx, ctx.trace, p));
    if (!doAction(ctx, p, header & 0xffff, last)) return false;
    p += length;
  }
  return true;
}

/** Executes the action at word `p`. @returns false when the rest of its list is skipped. */
function doAction(ctx: XlateContext, p: number, kind: number, last: boolean): boolean {
  const { u8, u32, dv, flow, wc } = ctx;
  switch (kind) {
    case k.output:
      outputAction(ctx, u32[p + 1] ?? 0, u32[p + 2] ?? 0, true, last, false);
      return true;
    case k.resubmit: {
      // OFPP_IN_PORT as an argument of a call would be a heap number.
      const inPort = u32[p + 1] === OFPP_IN_PORT ? ctx.inPort : (u32[p + 1] ?? 0);
      const table = u32[p + 2] ?? 0;
      ctx.pipeline.tableAction(ctx, inPort, table === 255 ? ctx.tableId : table, false, false, last, false);
      return true;
    }
    case k.set_field: {
      const field = fieldOf(u32[p + 1] ?? 0);
      const size = u32[p + 3] ?? 0;
      const value = (p + 4) * 4;
      const mask = value + ((size + 3) & ~3) + 4;
      setField(ctx, field, value, mask, size);
      return true;
    }
    case k.reg_move: {
      const dst = subfieldOf(u32[p + 3] ?? 0, u32[p + 4] ?? 0);
      moveField(ctx, subfieldOf(u32[p + 1] ?? 0, u32[p + 2] ?? 0), dst);
      reportSubfield(ctx, dst);
      return true;
    }
    case k.set_vlan_vid:
    case k.set_vlan_pcp: {
      const bits = kind === k.set_vlan_vid ? VID : PCP;
      const value = kind === k.set_vlan_vid ? (u32[p + 1] ?? 0) : (u32[p + 1] ?? 0) << 13;
      ctx.mask16(K.vlanTci0, bits | CFI);
      const tci = dv.getUint16(flow + K.vlanTci0);
      if ((tci & CFI) !== 0 || ((u32[p + 2] ?? 0) & 1) !== 0) {
        if (dv.getUint16(flow + K.vlanTpid0) === 0) dv.setUint16(flow + K.vlanTpid0, 0x8100);
        dv.setUint16(flow + K.vlanTci0, (tci & ~bits) | value | CFI);
      }
      return true;
    }
    case k.strip_vlan:
      popVlan(ctx);
      return true;
    case k.push_vlan: {
      const n = vlanCount(ctx);
      if (n > 0) ctx.maskBytes(K.vlanTpid0, 4 * n);
      dv.setUint32(flow + K.vlanTpid1, dv.getUint32(flow + K.vlanTpid0));
      dv.setUint16(flow + K.vlanTpid0, u32[p + 1] ?? 0);
      dv.setUint16(flow + K.vlanTci0, CFI);
      return true;
    }
    case k.set_eth_src:
    case k.set_eth_dst: {
      const at = kind === k.set_eth_src ? K.dlSrc : K.dlDst;
      ctx.maskBytes(at, 6);
      u8.copyWithin(flow + at, (p + 2) * 4, (p + 2) * 4 + 6);
      return true;
    }
    case k.set_ipv4_src:
    case k.set_ipv4_dst:
      if (ctx.dlType === 0x0800) {
        const at = kind === k.set_ipv4_src ? K.nwSrc : K.nwDst;
        ctx.maskBytes(at, 4);
        u8[wc + K.nwProto] = 0xff;
        dv.setUint32(flow + at, u32[p + 1] ?? 0);
      }
      return true;
    case k.set_ip_dscp:
      if (ctx.isIpAny) setTos(ctx, 0xfc, u32[p + 1] ?? 0);
      return true;
    case k.set_ip_ecn:
      if (ctx.isIpAny) setTos(ctx, 0x03, u32[p + 1] ?? 0);
      return true;
    case k.set_ip_ttl:
      if (ctx.isIpAny) {
        u8[wc + K.nwTtl] = 0xff;
        u8[wc + K.nwProto] = 0xff;
        u8[flow + K.nwTtl] = u32[p + 1] ?? 0;
      }
      return true;
    case k.set_l4_src_port:
    case k.set_l4_dst_port:
      if (ctx.isIpAny && ((u8[flow + K.nwFrag] ?? 0) & 2) === 0) {
        const at = kind === k.set_l4_src_port ? K.tpSrc : K.tpDst;
        u8[wc + K.nwProto] = 0xff;
        ctx.maskBytes(at, 2);
        dv.setUint16(flow + at, u32[p + 1] ?? 0);
      }
      return true;
    case k.dec_ttl:
      return !decTtl(ctx, p);
    case k.goto_table:
      ctx.pipeline.tableAction(ctx, ctx.inPort, u32[p + 1] ?? 0, true, true, last, false);
      return true;
    case k.write_metadata: {
      const hi = u32[p + 3] ?? 0;
      const lo = u32[p + 4] ?? 0;
      const at = flow + K.metadata;
      dv.setUint32(at, (dv.getUint32(at) & ~hi) | ((u32[p + 1] ?? 0) & hi));
      dv.setUint32(at + 4, (dv.getUint32(at + 4) & ~lo) | ((u32[p + 2] ?? 0) & lo));
      return true;
    }
    case k.write_actions:
      writeActions(ctx, p + 2, u32[p + 1] ?? 0);
      reportActionSet(ctx, 'is');
      return true;
    case k.clear_actions:
      reportActionSet(ctx, 'was');
      ctx.actionSet.clear();
      dv.setUint32(flow + K.actsetOutput, OFPP_UNSET);
      ctx.actionSetHasGroup = false;
      return true;
    case k.controller:
      if ((u32[p + 4] ?? 0) !== 0) unsupported(ctx, 'controller(pause)');
      else {
        const size = u32[p + 6] ?? 0;
        const userdata = size > 0 ? u8.slice((p + 7) * 4, (p + 7) * 4 + size) : null;
        controllerAction(ctx, u32[p + 1] ?? 0, u32[p + 2] ?? 0, u32[p + 3] ?? 0, userdata);
      }
      return true;
    case k.output_reg:
      outputReg(ctx, p, last);
      return true;
    case k.output_trunc:
      outputTrunc(ctx, u32[p + 1] ?? 0, u32[p + 2] ?? 0, last);
      return true;
    case k.stack_push:
      stackPush(ctx, p);
      return true;
    case k.stack_pop:
      stackPop(ctx, p);
      return true;
    case k.set_tunnel:
      dv.setUint32(flow + K.tunId, u32[p + 1] ?? 0);
      dv.setUint32(flow + K.tunId + 4, u32[p + 2] ?? 0);
      return true;
    case k.note:
      return true;
    case k.exit:
      ctx.exit = true;
      return true;
    case k.conjunction:
      ctx.reportError('executing no-op conjunction action');
      return true;
    case k.fin_timeout:
      finTimeout(ctx, u32[p + 1] ?? 0, u32[p + 2] ?? 0);
      return true;
    case k.clone:
      cloneActions(ctx, p + 2, u32[p + 1] ?? 0, last);
      return true;
    case k.set_queue:
      // The userspace datapath takes the queue's number for its priority.
      ctx.maskBytes(K.skbPriority, 4);
      dv.setUint32(flow + K.skbPriority, u32[p + 1] ?? 0);
      return true;
    case k.enqueue:
      enqueue(ctx, u32[p + 1] ?? 0, u32[p + 2] ?? 0, last);
      return true;
    case k.pop_queue:
      ctx.maskBytes(K.skbPriority, 4);
      if (dv.getUint32(flow + K.skbPriority) !== ctx.origSkbPriority) {
        dv.setUint32(flow + K.skbPriority, ctx.origSkbPriority);
        ctx.report('detail', `queue = 0x${ctx.origSkbPriority.toString(16)}`);
      }
      return true;
    case k.debug_slow:
      ctx.slow |= SlowPath.action;
      return true;
    case k.ct_clear:
      // Nothing is tracked before connection tracking exists.
      return true;
    default:
      unsupported(ctx, ofpactKindName(kind) ?? `kind ${kind}`);
      return true;
  }
}

/** An action that this switch does not know yet: the packet is dropped, and the log says why. */
function unsupported(ctx: XlateContext, what: string): void {
  ctx.reportError(`unsupported action ${what}, dropping packet`);
  ctx.error = xlateErrors.UNSUPPORTED_ACTION;
}

function setTos(ctx: XlateContext, bits: number, value: number): void {
  const { u8, flow, wc } = ctx;
  u8[wc + K.nwProto] = 0xff;
  u8[wc + K.nwTos] = (u8[wc + K.nwTos] ?? 0) | bits;
  u8[flow + K.nwTos] = ((u8[flow + K.nwTos] ?? 0) & ~bits) | (value & bits);
}

/** Tags of the flow: those whose presence bit is set, from the outermost. */
function vlanCount(ctx: XlateContext): number {
  const { dv, flow } = ctx;
  if ((dv.getUint16(flow + K.vlanTci0) & CFI) === 0) return 0;
  return (dv.getUint16(flow + K.vlanTci1) & CFI) === 0 ? 1 : 2;
}

function popVlan(ctx: XlateContext): void {
  const { dv, flow } = ctx;
  const n = vlanCount(ctx);
  if (n > 1) {
    ctx.maskBytes(K.vlanTpid1, 4);
    dv.setUint32(flow + K.vlanTpid0, dv.getUint32(flow + K.vlanTpid1));
  }
  if (n > 0) dv.setUint32(flow + (n === 2 ? K.vlanTpid1 : K.vlanTpid0), 0);
}

function enqueue(ctx: XlateContext, port: number, queue: number, last: boolean): void {
  const { dv, flow } = ctx;
  ctx.maskBytes(K.skbPriority, 4);
  if (port === ctx.inPort) return;
  const old = dv.getUint32(flow + K.skbPriority);
  dv.setUint32(flow + K.skbPriority, queue);
  ctx.pipeline.outputToPort(ctx, port === OFPP_IN_PORT ? ctx.inPort : port, last, false);
  dv.setUint32(flow + K.skbPriority, old);
}

/** @returns Whether the TTL expired: the rest of the list is skipped. */
function decTtl(ctx: XlateContext, p: number): boolean {
  const { u8, u32, flow, wc } = ctx;
  u8[wc + K.nwTtl] = 0xff;
  u8[wc + K.nwProto] = 0xff;
  if (!ctx.isIpAny) return false;
  const ttl = u8[flow + K.nwTtl] ?? 0;
  if (ttl > 1) {
    u8[flow + K.nwTtl] = ttl - 1;
    return false;
  }
  const n = u32[p + 2] ?? 0;
  for (let i = 0; i < n; i++)
    controllerAction(ctx, 0xffff, reasonNumbers.invalid_ttl, u32[p + 3 + i] ?? 0, null);
  ctx.report('warn', `IPv${ctx.dlType === 0x0800 ? 4 : 6} decrement TTL exception`);
  return true;
}

function outputReg(ctx: XlateContext, p: number, last: boolean): void {
  const { u8, u32, flow, wc } = ctx;
  const src = subfieldOf(u32[p + 1] ?? 0, u32[p + 2] ?? 0);
  const low = readSubfield32(u8, flow, src);
  const high = src.nBits > 32 ? readSubfieldPart(u8, flow, src, 32) : 0;
  if (high !== 0 || low > 0xffff) {
    ctx.report('warn', `output port ${(BigInt(high) << 32n) | BigInt(low)} is out of range`);
    return;
  }
  ctx.report('detail', `output port is ${low}`);
  maskSubfield(u8, wc, src);
  outputAction(ctx, ofp10ToOfp11Port(low), u32[p + 3] ?? 0, false, last, false);
}

const stackLimit = 65536;

function stackPush(ctx: XlateContext, p: number): void {
  const sf = subfieldOf(ctx.u32[p + 1] ?? 0, ctx.u32[p + 2] ?? 0);
  const value = ctx.values.take((sf.nBits + 7) >>> 3);
  maskSubfield(ctx.u8, ctx.wc, sf);
  readSubfield(ctx.u8, ctx.flow, sf, value);
  ctx.stack.push(value);
  ctx.stackBytes += value.length + 1;
}

function stackPop(ctx: XlateContext, p: number): void {
  const value = ctx.stack.pop();
  if (value === undefined) {
    ctx.reportError('stack underflow');
    return;
  }
  ctx.stackBytes -= value.length + 1;
  const sf = subfieldOf(ctx.u32[p + 1] ?? 0, ctx.u32[p + 2] ?? 0);
  writeField(ctx, sf, value);
  reportSubfield(ctx, sf);
}

/** Whether the stack is as large as OVS allows. */
export function stackIsFull(ctx: XlateContext): boolean {
  return ctx.stackBytes >= stackLimit;
}

function finTimeout(ctx: XlateContext, idleSec: number, hardSec: number): void {
  ctx.u8[ctx.wc + K.nwProto] = 0xff;
  if (ctx.rule === 0) return;
  if (ctx.input.packets > 0 && (ctx.input.tcpFlags & 5) !== 0)
    reduceTimeouts(ctx.core, ctx.rule, idleSec, hardSec);
  const at = ctx.xcacheEntry(xcacheKinds.finTimeout, 2);
  if (at >= 0) {
    ctx.u32[at] = ctx.rule;
    ctx.u32[at + 1] = idleSec | (hardSec << 16);
  }
}

/** Kinds whose effect on the packet cannot be undone by setting fields back. */
function isIrreversible(kind: number): boolean {
  switch (kind) {
    case k.ct:
    case k.meter:
    case k.nat:
    case k.encap:
    case k.decap:
    case k.dec_nsh_ttl:
      return true;
    default:
      return false;
  }
}

/** Executes a list on a copy of the packet: the flow, stack and action set are as before afterwards. */
export function cloneActions(ctx: XlateContext, at: number, words: number, last: boolean): void {
  const { u32, flow, base } = ctx;
  const oldStackBytes = ctx.stackBytes;
  const stackMark = ctx.stack.open(true);
  const setMark = ctx.actionSet.open(true);
  let reversible = true;
  for (let p = at; p < at + words; p += (u32[p] ?? 0x10000) >>> 16) {
    if (isIrreversible((u32[p] ?? 0) & 0xffff)) reversible = false;
  }
  if (reversible || last) {
    const oldFlow = ctx.saveKey(flow);
    doActions(ctx, at, words, last);
    executeActionSet(ctx);
    ctx.restoreKey(flow, oldFlow);
  } else {
    const oldFlow = ctx.saveKey(flow);
    commitActions(ctx);
    const oldBase = ctx.saveKey(base);
    const start = ctx.odp.length;
    const nest = ctx.odp.beginClone();
    const inner = ctx.odp.length;
    doActions(ctx, at, words, true);
    executeActionSet(ctx);
    if (ctx.odp.length === inner) ctx.odp.truncate(start);
    else ctx.odp.endNested(nest);
    ctx.restoreKey(base, oldBase);
    ctx.restoreKey(flow, oldFlow);
  }
  ctx.stack.close(stackMark);
  ctx.stackBytes = oldStackBytes;
  ctx.actionSet.close(setMark);
}

/** Executes the action set, if there is something in it that goes somewhere. */
export function executeActionSet(ctx: XlateContext): void {
  if (ctx.actionSet.length === 0) return;
  const mark = $order.open(false);
  actionSetOrder(ctx, $order);
  ctx.actionSet.clear();
  if ($order.length > 0) runActionSet(ctx, $order);
  $order.close(mark);
}

/** Scratch of executeActionSet; sets within sets have layers of their own. */
const $order = new Layers<number>();

function runActionSet(ctx: XlateContext, order: Layers<number>): void {
  ctx.inActionSet = true;
  ctx.trace?.enter('table', '--. Executing action set:');
  for (let i = 0; i < order.length; i++) {
    const p = order.at(i);
    if (!doActions(ctx, p, (ctx.u32[p] ?? 0) >>> 16, i === order.length - 1)) break;
  }
  ctx.trace?.leave();
  ctx.inActionSet = false;
}

function reportActionSet(ctx: XlateContext, verb: string): void {
  if (ctx.trace === null) return;
  const order = new Layers<number>();
  actionSetOrder(ctx, order);
  const list: Action[] = [];
  for (let i = 0; i < order.length; i++) {
    const p = order.at(i);
    list.push(...decodeOfpacts(ctx.u32, p, p + ((ctx.u32[p] ?? 0) >>> 16)));
  }
  const text = ctx.trace.formatActions(list, ctx.trace.ports(ctx.bridge));
  ctx.trace.report('detail', list.length > 0 ? `action set ${verb}: ${text}` : `action set ${verb} empty`);
}
