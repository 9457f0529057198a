import { KeyLayout as K } from '../../flow/generated/key.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import { commitOdpActions } from '../../odp/commit.ts';
import { encodeUserCookie } from '../../odp/user-cookie.ts';
import {
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_IN_PORT,
  OFPP_LOCAL,
  OFPP_NONE,
  OFPP_NORMAL,
  OFPP_TABLE,
  reservedPortName,
} from '../../openflow/ports.ts';
import { portConfig, type XPort } from '../snapshot.ts';
import type { XlateContext } from './context.ts';
import { reasonNumbers } from '../ofpact-words.ts';
import { floodOrder } from './flood-order.ts';
import { xlateNormal } from './normal.ts';
import { allocateFrozen } from './frozen.ts';
import { addPatchCounters } from './counters.ts';
import { xcacheKinds } from './xcache.ts';
import { xlateErrors } from './types.ts';
import { ruleIsTableMiss } from './rules.ts';

/** OFPUTIL_PC_NO_RECV or NO_RECV_STP: whether the port lets this packet in. */
export function mayReceive(ctx: XlateContext, port: XPort): boolean {
  return (port.config & (isStp(ctx, ctx.flow) ? portConfig.NO_RECV_STP : portConfig.NO_RECV)) === 0;
}

/** A spanning tree BPDU: 802.2 frame to 01:80:c2:00:00:00. */
function isStp(ctx: XlateContext, key: number): boolean {
  return (
    ctx.dv.getUint16(key + K.dlType) === 0x05ff &&
    ctx.dv.getUint32(key + K.dlDst) === 0x0180c200 &&
    ctx.dv.getUint16(key + K.dlDst + 4) === 0
  );
}

/** Writes the datapath actions that bring the datapath's packet to what `flow` is. */
export function commitActions(ctx: XlateContext): void {
  if (ctx.x.headersEqual(ctx.flow, ctx.base) !== 0) return;
  ctx.slow |= commitOdpActions(ctx.u8, ctx.flow, ctx.base, ctx.wc, ctx.odp);
}

/** `output` to a port of any kind; `truncate` after an output_trunc. */
export function outputAction(
  ctx: XlateContext,
  port: number,
  maxLen: number,
  mayPacketIn: boolean,
  isLast: boolean,
  truncate: boolean,
): void {
  switch (port) {
    case OFPP_IN_PORT:
      outputToPort(ctx, ctx.inPort, isLast, truncate);
      return;
    case OFPP_TABLE:
      ctx.pipeline.tableAction(ctx, ctx.inPort, 0, mayPacketIn, true, false, false);
      return;
    case OFPP_NORMAL:
      xlateNormal(ctx);
      return;
    case OFPP_FLOOD:
      flood(ctx, false, isLast);
      return;
    case OFPP_ALL:
      flood(ctx, true, isLast);
      return;
    case OFPP_CONTROLLER:
      controllerAction(
        ctx,
        maxLen,
        ctx.inPacketOut ? OFPR_PACKET_OUT : ctx.inActionSet ? OFPR_ACTION_SET : OFPR_ACTION,
        0,
        null,
      );
      return;
    case OFPP_NONE:
      return;
    default:
      if (port !== ctx.inPort) outputToPort(ctx, port, isLast, truncate);
      else ctx.report('warn', 'skipping output to input port');
  }
}

function flood(ctx: XlateContext, all: boolean, isLast: boolean): void {
  const inPort = ctx.inPort;
  let last = -1;
  for (const port of floodOrder(ctx.bridge)) {
    if (port.ofp === inPort) continue;
    if (!all && (port.config & portConfig.NO_FLOOD) !== 0) continue;
    if (last >= 0) outputToPort(ctx, last, false, false);
    last = port.ofp;
  }
  if (last >= 0) outputToPort(ctx, last, isLast, false);
}

/** Sends the packet as it is now to one port of the current bridge. */
export function outputToPort(ctx: XlateContext, ofp: number, isLast: boolean, truncate: boolean): void {
  const port = ctx.bridge.port(ofp);
  if (port === undefined) {
    ctx.report('warn', 'Nonexistent output port');
    return;
  }
  if ((port.config & portConfig.NO_FWD) !== 0) {
    ctx.report('detail', 'OFPPC_NO_FWD set, skipping output');
    return;
  }
  if (port.bundle?.protected === true && ctx.bridge.port(ctx.inPort)?.bundle?.protected === true) {
    ctx.report('warn', 'Flow is between protected ports, skipping output.');
    return;
  }
  if (port.isPatch) {
    if (port.peer === null) return;
    if (truncate) ctx.reportError('Cannot truncate output to patch port');
    patchOutput(ctx, port, port.peer, isLast);
    return;
  }
  if (ctx.dv.getUint32(ctx.flow + K.packetType) !== 0) {
    ctx.report('warn', 'Trying to send non-Ethernet packet through legacy L2 port. Dropping packet.');
    return;
  }
  commitActions(ctx);
  ctx.odp.output(port.odp);
}

/** Goes on in the bridge at the other end of a patch port; what happens there stays there. */
function patchOutput(ctx: XlateContext, from: XPort, to: XPort, isLast: boolean): void {
  const { u8, dv, flow, wc } = ctx;
  const oldFlow = ctx.saveKey(flow);
  const oldWc = ctx.saveKey(wc);
  const oldBridge = ctx.bridge;
  const oldVersion = ctx.version;
  const oldStackBytes = ctx.stackBytes;
  const oldHasGroup = ctx.actionSetHasGroup;
  const stackMark = ctx.stack.open(false);
  const setMark = ctx.actionSet.open(false);
  ctx.stackBytes = 0;
  dv.setUint32(flow + K.inPort, to.ofp);
  ctx.x.zeroBytes(flow + K.tunDst, KEY_SIZE - K.tunDst);
  ctx.x.zeroBytes(wc + K.tunDst, K.regs - K.tunDst);
  dv.setUint32(flow + K.actsetOutput, OFPP_UNSET);
  clearConntrack(ctx);
  ctx.bridge = to.bridge;
  ctx.trace?.enter('bridge', `bridge("${to.bridge.name}")`);
  if (mayReceive(ctx, to)) {
    ctx.pipeline.tableAction(ctx, to.ofp, 0, true, true, isLast, true);
    if (ctx.error === xlateErrors.OK || !ctx.exit) ctx.pipeline.executeActionSet(ctx);
  }
  ctx.trace?.leave();
  // Registers, metadata and tunnel of the mask are the outer bridge's again; headers keep what was seen.
  u8.copyWithin(wc + K.tunDst, oldWc + K.tunDst, oldWc + K.regs);
  ctx.restoreKey(flow, oldFlow);
  ctx.bridge = oldBridge;
  ctx.version = oldVersion;
  ctx.stack.close(stackMark);
  ctx.stackBytes = oldStackBytes;
  ctx.actionSet.close(setMark);
  ctx.actionSetHasGroup = oldHasGroup;
  ctx.exit = false;
  ctx.error = xlateErrors.OK;
  if (ctx.input.packets > 0)
    addPatchCounters(ctx.core, from.counters, to.counters, ctx.input.packets, ctx.input.bytes);
  const at = ctx.xcacheEntry(xcacheKinds.patch, 4);
  if (at >= 0) {
    ctx.u32[at] = from.bridge.id;
    ctx.u32[at + 1] = from.ofp;
    ctx.u32[at + 2] = to.bridge.id;
    ctx.u32[at + 3] = to.ofp;
  }
}

const OFPP_UNSET = 0xfffffff7;

/** A packet that changes bridges is untracked again. */
function clearConntrack(ctx: XlateContext): void {
  const { x, flow } = ctx;
  x.zeroBytes(flow + K.ctState, K.mplsLse0 - K.ctState);
  x.zeroBytes(flow + K.ctIpv6Src, K.nshFlags - K.ctIpv6Src);
}

// -- controller -------------------------------------------------------------------------------

const OFPR_ACTION = reasonNumbers.action;
const OFPR_ACTION_SET = reasonNumbers.action_set;
const OFPR_PACKET_OUT = reasonNumbers.packet_out;
const OFPR_EXPLICIT_MISS = reasonNumbers.explicit_miss;
export const OFPR_IMPLICIT_MISS = reasonNumbers.implicit_miss;

/** Writes a userspace action that sends the packet, as it is now, to the controllers. */
export function controllerAction(
  ctx: XlateContext,
  maxLen: number,
  givenReason: number,
  controllerId: number,
  userdata: Uint8Array | null,
): void {
  commitActions(ctx);
  const isMissFlow = givenReason === OFPR_ACTION && ctx.rule !== 0 && ruleIsTableMiss(ctx.core, ctx.rule);
  const reason = isMissFlow ? OFPR_EXPLICIT_MISS : givenReason;
  const recircId = allocateFrozen(ctx, userdata);
  if (recircId === 0) {
    ctx.reportError('Failed to allocate recirculation id');
    ctx.error = xlateErrors.NO_RECIRCULATION_CONTEXT;
    return;
  }
  const cookie = encodeUserCookie({
    type: 'controller',
    ofpInPort: OFPP_NONE,
    dontSend: !ctx.input.allowSideEffects && !ctx.input.wantXcache,
    continuation: false,
    reason,
    recircId,
    ruleCookie: (BigInt(ctx.ruleCookieHi) << 32n) | BigInt(ctx.ruleCookieLo),
    controllerId,
    maxLen,
  });
  ctx.odp.userspace(0, cookie);
}

/** output(port=,max_len=): truncates the next output. */
export function outputTrunc(ctx: XlateContext, port: number, maxLen: number, isLast: boolean): void {
  switch (port) {
    case OFPP_TABLE:
    case OFPP_NORMAL:
    case OFPP_FLOOD:
    case OFPP_ALL:
    case OFPP_CONTROLLER:
    case OFPP_NONE:
      ctx.report('warn', `output_trunc does not support port: ${reservedPortName(port) ?? String(port)}`);
      return;
    default: {
      if (port === ctx.inPort) {
        ctx.report('warn', 'skipping output to input port');
        return;
      }
      const xport = ctx.bridge.port(port);
      if (xport === undefined || xport.isPatch) {
        const name =
          port === OFPP_LOCAL || port === OFPP_IN_PORT ? (reservedPortName(port) ?? '') : String(port);
        ctx.reportError(`output_trunc does not support patch port ${name}`);
        return;
      }
      ctx.odp.trunc(maxLen);
      outputAction(ctx, port, 0, false, isLast, true);
    }
  }
}
