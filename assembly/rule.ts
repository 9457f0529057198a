import { alloc, free } from './memory';
import { deferFree, deferRule } from './epoch';
import { ArenaRoot } from './generated/arena-root';
import { Rule } from './generated/rule';
import { clsUnlink } from './classifier';
import { matchBuild } from './rule-match';
import { ARENA_ROOT } from './thread';

// @ts-ignore: decorator
@inline export const RULE_LOOSE: u32 = 0;
// @ts-ignore: decorator
@inline export const RULE_INSERTED: u32 = 1;
// @ts-ignore: decorator
@inline export const RULE_REMOVED: u32 = 2;
// @ts-ignore: decorator
@inline export const RULE_UNLINKED: u32 = 3;

/**
 * The life of a rule: made by `ruleCreate` with one reference; `clsInsert` passes that reference to the
 * classifier; `clsRemove` ends its visibility; after quiescence it is unlinked from the subtable,
 * after another one the classifier's reference is dropped; with the last reference it is freed.
 */
export function ruleCreate(flow: usize, mask: usize, priority: i32): usize {
  const words = matchBuild(flow, mask, 0, 0);
  const rule = alloc(<u32>Rule.SIZE + words * 10);
  if (rule == 0) return 0;
  store<u8>(rule, <u8>words, Rule.words);
  matchBuild(flow, mask, rule + Rule.SIZE, words);
  store<i32>(rule, priority, Rule.priority);
  store<u64>(rule, u64.MAX_VALUE, Rule.addVersion);
  store<u64>(rule, u64.MAX_VALUE, Rule.removeVersion);
  store<u32>(rule, 1, Rule.refs);
  return rule;
}

// @ts-ignore: decorator
@inline
export function ruleVisibleAt(rule: usize, version: u64): bool {
  return load<u64>(rule, Rule.addVersion) <= version && version < load<u64>(rule, Rule.removeVersion);
}

export function ruleVisible(rule: usize, version: f64): bool {
  return ruleVisibleAt(rule, <u64>version);
}

export function ruleRef(rule: usize): void {
  atomic.add<u32>(rule + Rule.refs, 1);
}

/** Takes a reference unless the last one is gone (the rule is about to be freed). */
export function ruleTryRef(rule: usize): bool {
  let refs = atomic.load<u32>(rule + Rule.refs);
  while (refs != 0) {
    const was = atomic.cmpxchg<u32>(rule + Rule.refs, refs, refs + 1);
    if (was == refs) return true;
    refs = was;
  }
  return false;
}

/** Drops a reference; with the last one rule and actions are freed after quiescence. */
export function ruleUnref(rule: usize): void {
  if (atomic.sub<u32>(rule + Rule.refs, 1) != 1) return;
  const actions = <usize>load<u32>(rule, Rule.actions);
  if (actions != 0) deferFree(actions);
  deferFree(rule);
}

/** Credits traffic; any thread. `usedMs` moves forward only. */
export function ruleCredit(rule: usize, packets: f64, bytes: f64, usedMs: f64): void {
  if (packets > 0) atomic.add<u64>(rule + Rule.packets, <u64>packets);
  if (bytes > 0) atomic.add<u64>(rule + Rule.bytes, <u64>bytes);
  const at = rule + Rule.usedMs;
  let seen = atomic.load<u64>(at);
  while (reinterpret<f64>(seen) < usedMs) {
    const was = atomic.cmpxchg<u64>(at, seen, reinterpret<u64>(usedMs));
    if (was == seen) return;
    seen = was;
  }
}

export function rulePackets(rule: usize): f64 {
  return <f64>atomic.load<u64>(rule + Rule.packets);
}

export function ruleBytes(rule: usize): f64 {
  return <f64>atomic.load<u64>(rule + Rule.bytes);
}

export function ruleResetCounts(rule: usize): void {
  atomic.store<u64>(rule + Rule.packets, 0);
  atomic.store<u64>(rule + Rule.bytes, 0);
}

/**
 * Replaces the actions by `actions` (an arena block that the rule then owns). Address and length change
 * in one store: a reader that finds the same address before and after reading the length has a pair.
 */
export function ruleSetActions(rule: usize, actions: usize, length: u32): void {
  const old = atomic.xchg<u64>(rule + Rule.actions, (<u64>length << 32) | <u64>actions);
  atomic.add<u32>(rule + Rule.generation, 1);
  if (<u32>old != 0 && <u32>old != <u32>actions) deferFree(<usize><u32>old);
}

/** Next steps of a removed rule, called by epoch.ts when no reader can hold what it had before. */
export function ruleReclaim(rule: usize): void {
  const state = load<u32>(rule, Rule.state);
  if (state == RULE_REMOVED) {
    // A version in which the rule is visible may still be the current one: a change of many rules.
    if (load<u64>(rule, Rule.removeVersion) > atomic.load<u64>(ARENA_ROOT + ArenaRoot.tablesVersion)) {
      deferRule(rule);
      return;
    }
    clsUnlink(rule);
    deferRule(rule);
  } else if (state == RULE_UNLINKED) {
    ruleUnref(rule);
  }
  // Inserted: clsRestore took the removal back.
}

/** Frees a rule that was never inserted. */
export function ruleDestroy(rule: usize): void {
  free(<usize>load<u32>(rule, Rule.actions));
  free(rule);
}
