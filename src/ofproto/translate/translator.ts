import type { Core } from '../../arena/core.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { formatMatch } from '../../flow/match-format.ts';
import { SlowPath } from '../../odp/attrs.ts';
import { counter } from '../../util/counters.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { portConfig, type TableMiss, type XBridge } from '../snapshot.ts';
import { cloneActions, doActions, executeActionSet, stackIsFull } from './actions.ts';
import { MAX_DEPTH, MAX_RESUBMITS, XlateContext, type Pipeline } from './context.ts';
import { addTableCounter } from './counters.ts';
import { controllerAction, mayReceive, OFPR_IMPLICIT_MISS, outputToPort } from './output.ts';
import {
  ruleActions,
  ruleActionWords,
  ruleCookieHi,
  ruleCookieLo,
  ruleMatch,
  rulePriority,
} from './rules.ts';
import { xlateErrors, type XlateInput, type XlateResult } from './types.ts';
import { xcacheKinds } from './xcache.ts';

const log = vlog('ofproto_dpif');
const translations = counter('xlate_actions');
const oversize = counter('xlate_actions_oversize');
const unknownPortLimit = rateLimit(5, 5);

const FRAG_ANY = 1;
/** Tables a packet can be looked up in; 254 is the switch's own. */
const TABLES = 254;

/** What a lookup ends with when no rule matches. */
const MISS = 1;
const NO_PACKET_IN = 2;
const DROP_FRAGS = 3;

/**
 * Flow translation: walks the OpenFlow tables for one flow, and yields datapath actions, the mask of
 * every bit that decided something, and the list of side effects (OVS's ofproto-dpif-xlate).
 *
 * Life: one per thread; `translate` is not reentrant and its result is borrowed until the next call.
 * The thread must be online, since rules and configuration are read from the arena.
 * Costs: simple rules make no garbage; NORMAL, traces, action sets and packet-ins make some.
 */
export class Translator {
  readonly #ctx: XlateContext;
  readonly #result: XlateResult;

  constructor(core: Core) {
    const pipeline: Pipeline = { tableAction, executeActionSet, outputToPort };
    this.#ctx = new XlateContext(core, pipeline);
    this.#result = {
      error: xlateErrors.OK,
      wc: this.#ctx.wc,
      actions: this.#ctx.actionsAt,
      actionsLength: 0,
      slow: 0,
      xcache: this.#ctx.xcacheAt,
      xcacheWords: 0,
      finalFlow: this.#ctx.flow,
      version: 0,
      avoidCaching: false,
      recircs: [],
    };
  }

  /** Gives back the scratch memory, and the references of the last result. */
  destroy(): void {
    this.#ctx.destroy();
  }

  translate(input: XlateInput): XlateResult {
    const ctx = this.#ctx;
    ctx.start(input);
    ctx.trace?.enter('bridge', `bridge("${input.bridge.name}")`);
    translatePacket(ctx);
    ctx.trace?.leave();
    if (input.packets > 0 && ctx.xcacheWords > 0) {
      ctx.x.xcacheCredit(ctx.xcacheAt, ctx.xcacheWords, input.packets, input.bytes, input.usedMs);
    }
    translations.add();
    if (ctx.odp.overflowed || ctx.odp.length > MAX_ACTIONS) {
      oversize.add();
      ctx.slow |= SlowPath.action;
    }
    // OVS's trace shows the raw mask of a failed translation.
    if (ctx.error === xlateErrors.OK || ctx.trace === null) {
      ctx.x.xlateFinish(input.flow, ctx.flow, ctx.wc);
    }
    return this.#finish(ctx);
  }

  /**
   * Hands the references on frozen states of the last result to the caller, who gives them back with
   * `unrefFrozen` when its megaflow ends.
   */
  takeRecircs(): number[] {
    const ids = this.#ctx.recircs;
    this.#ctx.recircs = [];
    return ids;
  }

  #finish(ctx: XlateContext): XlateResult {
    const r = this.#result;
    r.error = ctx.error;
    r.actionsLength = ctx.error === xlateErrors.OK && !ctx.odp.overflowed ? ctx.odp.length : 0;
    r.slow = ctx.error === xlateErrors.OK ? ctx.slow : 0;
    r.xcacheWords = ctx.xcacheWords;
    r.version = ctx.version;
    r.avoidCaching = ctx.xcacheOverflow;
    r.recircs = ctx.recircs;
    return r;
  }
}

/** A netlink attribute cannot be longer. */
const MAX_ACTIONS = 65535 - 4;

function translatePacket(ctx: XlateContext): void {
  const { dv, flow, input, bridge } = ctx;
  const recircId = dv.getUint32(flow + K.recircId);
  if (recircId !== 0) {
    ctx.reportError(`Recirculation context not found for ID ${recircId.toString(16)}`);
    ctx.error = xlateErrors.NO_RECIRCULATION_CONTEXT;
    return;
  }
  const inPort = bridge.port(ctx.inPort);
  if (input.ofpacts !== 0) {
    if (inPort === undefined || mayReceive(ctx, inPort)) {
      doActions(ctx, input.ofpacts >>> 2, input.ofpactsWords, true);
      if (ctx.error === xlateErrors.OK) executeActionSet(ctx);
    }
    return;
  }
  const found = lookup(ctx, ctx.inPort, 0, true, true);
  enterTable(ctx, found, ctx.tableId);
  if (inPort === undefined || mayReceive(ctx, inPort)) {
    execute(ctx, found, true, true);
    if (ctx.error === xlateErrors.OK) executeActionSet(ctx);
  }
  ctx.trace?.leave();
}

/**
 * Looks the flow up in `tableId` and, as miss handling says, the tables after it. `ctx.tableId` is the one
 * that decided.
 *
 * @returns A rule's address, or MISS, NO_PACKET_IN, DROP_FRAGS.
 */
function lookup(
  ctx: XlateContext,
  inPort: number,
  tableId: number,
  mayPacketIn: boolean,
  honorMiss: boolean,
): number {
  const { dv, u8, u32, flow, wc, bridge } = ctx;
  // Signed: V8 puts larger numbers on the heap.
  const oldPorts = dv.getInt32(flow + K.tpSrc);
  const oldInPort = dv.getUint32(flow + K.inPort);
  const isFragment = ((u8[flow + K.nwFrag] ?? 0) & FRAG_ANY) !== 0;
  if (isFragment && bridge.config.fragHandling !== 'nx-match') {
    if (bridge.config.fragHandling === 'drop') {
      countTable(ctx, tableId, true);
      ctx.tableId = tableId;
      return DROP_FRAGS;
    }
    dv.setUint32(flow + K.tpSrc, 0);
  }
  dv.setUint32(flow + K.inPort, inPort);
  let found = 0;
  let miss: TableMiss = 'continue';
  for (let id = tableId; id < TABLES || id === tableId; id++) {
    ctx.tableId = id;
    const cls = u32[(bridge.tablesPtr >>> 2) + id] ?? 0;
    found = cls === 0 ? 0 : ctx.x.clsLookup(cls, ctx.version, flow, wc) >>> 0;
    countTable(ctx, id, found !== 0);
    if (found !== 0) break;
    if (honorMiss) {
      miss = bridge.config.tableMiss[String(id)] ?? 'default';
      if (miss === 'continue') continue;
    }
    break;
  }
  dv.setUint32(flow + K.inPort, oldInPort);
  dv.setInt32(flow + K.tpSrc, oldPorts);
  if (found !== 0) return found;
  return mayPacketIn ? missOf(bridge, miss, oldInPort) : NO_PACKET_IN;
}

/** Whether a miss is for the controllers. */
function missOf(bridge: XBridge, miss: TableMiss, inPort: number): number {
  if (miss === 'continue' || miss === 'controller') {
    const port = bridge.port(inPort);
    if (port === undefined) log.warn(`packet-in on unknown OpenFlow port ${inPort}`, unknownPortLimit);
    else if ((port.config & portConfig.NO_PACKET_IN) === 0) return MISS;
  } else if (miss === 'default' && bridge.config.wantsPacketInOnMiss) return MISS;
  return NO_PACKET_IN;
}

/** Counts a table lookup now, for later packets, or both. */
function countTable(ctx: XlateContext, tableId: number, isMatch: boolean): void {
  const counters = ctx.bridge.config.tableCounters;
  if (counters === 0) return;
  const at = counters + 16 * tableId;
  if (ctx.input.packets > 0) addTableCounter(ctx.core, at, isMatch, ctx.input.packets);
  const entry = ctx.xcacheEntry(xcacheKinds.table, 2);
  if (entry >= 0) {
    ctx.u32[entry] = ctx.bridge.id;
    ctx.u32[entry + 1] = tableId | (isMatch ? 0x100 : 0);
  }
}

/** The arena rule that stands for what a lookup found; misses have hidden rules, if any. */
function ruleOf(ctx: XlateContext, found: number): number {
  switch (found) {
    case MISS:
      return ctx.bridge.config.missRule;
    case NO_PACKET_IN:
      return ctx.bridge.config.noPacketInRule;
    case DROP_FRAGS:
      return ctx.bridge.config.dropFragsRule;
    default:
      return found;
  }
}

/** Opens the trace node of a lookup's result; the caller closes it. */
function enterTable(ctx: XlateContext, found: number, tableId: number): void {
  if (ctx.trace === null) return;
  const number = `${String(tableId).padStart(2)}. `;
  let text: string;
  if (found <= DROP_FRAGS && ctx.bridge !== ctx.input.bridge) {
    // Behind a patch port OVS shows the hidden rule itself.
    text = `reg0=0x${found}, priority 0`;
  } else if (found === MISS) text = 'No match, and a "packet-in" is called for.';
  else if (found === NO_PACKET_IN) text = 'No match.';
  else if (found === DROP_FRAGS) text = 'Packets are IP fragments and the fragment handling mode is "drop".';
  else {
    const priority = rulePriority(ctx.core, found);
    text = formatMatch(ruleMatch(ctx.core, found), ctx.trace.ports(ctx.bridge));
    if (text !== '') text += ', ';
    text += `priority ${priority}`;
    const cookie = (BigInt(ruleCookieHi(ctx.core, found)) << 32n) | BigInt(ruleCookieLo(ctx.core, found));
    if (cookie !== 0n) text += `, cookie 0x${cookie.toString(16)}`;
  }
  ctx.trace.enter('table', number + text);
}

/** Credits a rule and executes its actions. The first rule stays the context's for the action set. */
function execute(ctx: XlateContext, found: number, isLast: boolean, isFirst: boolean): void {
  const oldRule = ctx.rule;
  const oldHi = ctx.ruleCookieHi;
  const oldLo = ctx.ruleCookieLo;
  const rule = ruleOf(ctx, found);
  credit(ctx, rule);
  if (found > DROP_FRAGS) {
    ctx.rule = found;
    ctx.ruleCookieHi = ruleCookieHi(ctx.core, found);
    ctx.ruleCookieLo = ruleCookieLo(ctx.core, found);
    runRule(ctx, found, isLast);
  } else {
    // Hidden rules: a miss goes to the controllers, the others drop.
    ctx.rule = 0;
    ctx.ruleCookieHi = 0;
    ctx.ruleCookieLo = 0;
    if (found === MISS) {
      // OVS has no name for this reason and prints none.
      ctx.report('action', 'controller(reason=)');
      controllerAction(ctx, 0xffff, OFPR_IMPLICIT_MISS, 0, null);
    } else ctx.report('action', 'drop');
  }
  if (isFirst) return;
  ctx.rule = oldRule;
  ctx.ruleCookieHi = oldHi;
  ctx.ruleCookieLo = oldLo;
}

function runRule(ctx: XlateContext, rule: number, isLast: boolean): void {
  // Another thread may replace the actions: address and length belong together when the address stood
  // still. The old ones live until this thread is quiescent.
  let at = 0;
  let words = 0;
  do {
    at = ruleActions(ctx.core, rule);
    words = ruleActionWords(ctx.core, rule);
  } while (at !== ruleActions(ctx.core, rule));
  at >>>= 2;
  if (at === 0) words = 0;
  if (ctx.cloneNext) {
    ctx.cloneNext = false;
    cloneActions(ctx, at, words, isLast);
  } else doActions(ctx, at, words, isLast);
}

function credit(ctx: XlateContext, rule: number): void {
  if (rule === 0) return;
  const at = ctx.xcacheEntry(xcacheKinds.rule, 1);
  // Rules of the list are credited together at the end.
  if (at >= 0) ctx.u32[at] = rule;
  else if (ctx.input.packets > 0) creditNow(ctx, rule);
}

function creditNow(ctx: XlateContext, rule: number): void {
  ctx.x.ruleCredit(rule, ctx.input.packets, ctx.input.bytes, ctx.input.usedMs);
}

function tableAction(
  ctx: XlateContext,
  inPort: number,
  tableId: number,
  mayPacketIn: boolean,
  honorMiss: boolean,
  isLast: boolean,
  clone: boolean,
): void {
  if (!mayResubmit(ctx)) return;
  const oldTableId = ctx.tableId;
  const found = lookup(ctx, inPort, tableId, mayPacketIn, honorMiss);
  enterTable(ctx, found, tableId);
  const deepens = tableId <= oldTableId ? 1 : 0;
  ctx.resubmits++;
  ctx.depth += deepens;
  ctx.cloneNext = clone;
  execute(ctx, found, isLast, false);
  ctx.cloneNext = false;
  ctx.depth -= deepens;
  ctx.trace?.leave();
  ctx.tableId = oldTableId;
}

/** OVS's limits: they end loops of resubmits. */
function mayResubmit(ctx: XlateContext): boolean {
  if (ctx.depth >= MAX_DEPTH) {
    ctx.reportError(`over max translation depth ${MAX_DEPTH}`);
    ctx.error = xlateErrors.RECURSION_TOO_DEEP;
  } else if (ctx.resubmits >= MAX_RESUBMITS) {
    ctx.reportError(`over ${MAX_RESUBMITS} resubmit actions`);
    ctx.error = xlateErrors.TOO_MANY_RESUBMITS;
  } else if (ctx.odp.length > 0xffff) {
    ctx.reportError('resubmits yielded over 64 kB of actions');
    ctx.exit = true;
  } else if (stackIsFull(ctx)) {
    ctx.reportError('resubmits yielded over 64 kB of stack');
    ctx.error = xlateErrors.STACK_TOO_DEEP;
  } else return true;
  return false;
}
