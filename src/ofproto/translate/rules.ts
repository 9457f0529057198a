import type { Core } from '../../arena/core.ts';
import { Match } from '../../flow/match.ts';
import { allocKey, readKey } from '../../arena/keys.ts';
import { RuleLayout } from '../../classifier/generated/rule.ts';

/** Reads of an arena rule that translation needs, by address. */
export function ruleActions(core: Core, rule: number): number {
  return core.dv.getUint32(rule + RuleLayout.actions, true);
}

export function ruleActionWords(core: Core, rule: number): number {
  return core.dv.getUint32(rule + RuleLayout.actionsLength, true) >>> 2;
}

export function ruleCookieLo(core: Core, rule: number): number {
  return core.dv.getUint32(rule + RuleLayout.cookie, true);
}

export function ruleCookieHi(core: Core, rule: number): number {
  return core.dv.getUint32(rule + RuleLayout.cookie + 4, true);
}

export function rulePriority(core: Core, rule: number): number {
  return core.dv.getInt32(rule + RuleLayout.priority, true);
}

/** Whether a rule is a table-miss flow entry: priority 0 and matching everything. */
export function ruleIsTableMiss(core: Core, rule: number): boolean {
  return rulePriority(core, rule) === 0 && ruleMatchesAll(core, rule);
}

function ruleMatchesAll(core: Core, rule: number): boolean {
  return core.dv.getUint8(rule + RuleLayout.words) === 0;
}

/**
 * fin_timeout: shortens a rule's time-outs to at most these seconds (0 = leave). Any thread: each is one
 * aligned store, and a smaller value that loses a race is lost to one as small.
 */
export function reduceTimeouts(core: Core, rule: number, idleSec: number, hardSec: number): void {
  reduce(core, rule + RuleLayout.idleTimeoutSec, idleSec);
  reduce(core, rule + RuleLayout.hardTimeoutSec, hardSec);
}

function reduce(core: Core, at: number, sec: number): void {
  if (sec === 0) return;
  const old = core.dv.getUint16(at, true);
  if (old === 0 || old > sec) core.dv.setUint16(at, sec, true);
}

/** A rule's match, for traces. */
export function ruleMatch(core: Core, rule: number): Match {
  const flow = allocKey(core);
  const mask = allocKey(core);
  core.x.ruleExpand(rule, flow, mask);
  const match = new Match(readKey(core, flow), readKey(core, mask));
  core.x.free(flow);
  core.x.free(mask);
  return match;
}
