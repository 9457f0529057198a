import { alloc, free } from './memory';
import { blockState, BLOCK_LIVE } from './memory';
import { deferFree, deferRule } from './epoch';
import { Cls } from './generated/cls';
import { ClsSubtable } from './generated/cls-subtable';
import { ClsTries } from './generated/cls-tries';
import { ClsVector } from './generated/cls-vector';
import { Key } from './generated/key';
import { Rule } from './generated/rule';
import { SlotTable } from './generated/slot-table';
import { ThreadBlock } from './generated/thread-block';
import {
  indexAddr,
  ruleMaskHash,
  setTriePlens,
  stageEnd,
  subtableCreate,
  subtableDestroy,
  subtableDrop,
  subtableFind,
  trieAddr,
  vectorAdd,
  vectorEntry,
  vectorFlush,
  vectorLower,
  vectorNew,
  vectorRaise,
  vectorRemove,
} from './classifier-subtable';
import { lock, unlock } from './lock';
import { RULE_INSERTED, RULE_LOOSE, RULE_REMOVED, RULE_UNLINKED, ruleCreate, ruleDestroy, ruleVisibleAt } from './rule';
import { ruleHashRange, ruleOverlapsMatch, ruleValues, ruleValueWord } from './rule-match';
import { countAdd, countSub, SLOT_DELETED, SLOTS, slotTableAt, slotTableDelete, slotTablePut, slotTableReserve, slotTableShrink } from './slot-table';
import { me } from './thread';
import { trieClear, trieInsert, trieRemove } from './trie';

/**
 * The writer's side of the OpenFlow classifier: one lock for each classifier, any thread may write.
 *
 * Rules with one mask form a subtable; there a slot by hash holds the head of the chain of rules with
 * one match, by falling priority (an invisible one of equal priority stays before its successor).
 * Insertion reserves all memory first, so that it happens whole or not at all.
 */

/** Up to this size a subtable's highest priority is found at once. */
// @ts-ignore: decorator
@inline const SETTLE_NOW_SLOTS: u32 = 1024;

/** Where this thread has work left for the end of its reclaim (clsSettle). */
let dirtyClassifier: usize = 0;
/** A large subtable of it whose highest priority must still be found, 0 = none. */
let dirtySubtable: usize = 0;

/** An empty classifier with the default prefix fields, nw_dst and nw_src; 0 when the arena is full. */
export function clsCreate(): usize {
  const cls = alloc(<u32>Cls.SIZE);
  const vector = vectorNew(0);
  if (cls == 0 || vector == 0) {
    free(cls);
    free(vector);
    return 0;
  }
  store<u32>(cls, <u32>vector, Cls.vector);
  if (!clsSetPrefixes(cls, <u32>Key.nwDst | (32 << 16), <u32>Key.nwSrc | (32 << 16), 0)) {
    free(vector);
    free(cls);
    return 0;
  }
  return cls;
}

export function clsRuleCount(cls: usize): u32 {
  return load<u32>(cls, Cls.ruleCount);
}

/** Number of distinct masks. */
export function clsSubtableCount(cls: usize): u32 {
  return load<u32>(load<u32>(cls, Cls.vector), ClsVector.count);
}

/** Hash of the rule's first `words` words. */
function ruleHash(rule: usize, words: u32): u32 {
  return <u32>(ruleHashRange(rule, 0, words, 0) >> 32);
}

/** The head of the chain with the match of `rule`, 0 when there is none. */
function findHead(subtable: usize, rule: usize, hash: u32): usize {
  const table = <usize>load<u32>(subtable, ClsSubtable.rules);
  const mask = load<u32>(table, SlotTable.mask);
  const bytes = <usize>load<u8>(rule, Rule.words) << 2;
  let i = hash & mask;
  while (true) {
    const slot = load<u64>(table + SLOTS + (<usize>i << 3));
    if (slot == 0) return 0;
    const head = <usize>(slot >> 32);
    if (<u32>slot == hash && head > <usize>SLOT_DELETED) {
      if (memory.compare(ruleValues(head), ruleValues(rule), bytes) == 0) return head;
    }
    i = (i + 1) & mask;
  }
}

// @ts-ignore: decorator
@inline
function slotOf(rule: usize): u64 {
  return (<u64>rule << 32) | <u64>load<u32>(rule, Rule.hash);
}

/** Whether a remove version is set: it will be invisible, or is already. */
// @ts-ignore: decorator
@inline
function isEnding(rule: usize): bool {
  return load<u64>(rule, Rule.removeVersion) != u64.MAX_VALUE;
}

/**
 * Inserts a rule (made by ruleCreate) that becomes visible with `version`; the classifier takes over
 * the maker's reference. A rule with the same match and priority must have been removed before (with
 * the same version, to replace it). False, with nothing changed, when the arena is full.
 */
export function clsInsert(cls: usize, rule: usize, version: f64): bool {
  lock(cls + Cls.lock);
  const done = insertLocked(cls, rule, <u64>version);
  unlock(cls + Cls.lock);
  return done;
}

function insertLocked(cls: usize, rule: usize, version: u64): bool {
  vectorFlush(cls);
  const maskHash = ruleMaskHash(rule);
  const priority = load<i32>(rule, Rule.priority);
  let subtable = subtableFind(cls, rule, maskHash);
  let vector: usize = 0;
  const isNew = subtable == 0;
  if (isNew) {
    subtable = subtableCreate(cls, rule, maskHash);
    if (subtable == 0) return false;
    store<i32>(subtable, priority, ClsSubtable.maxPriority);
    vector = vectorNew(load<u32>(load<u32>(cls, Cls.vector), ClsVector.count) + 1);
    if (vector == 0) {
      subtableDrop(subtable);
      return false;
    }
  }
  const hash = ruleHash(rule, load<u32>(subtable, ClsSubtable.words));
  store<u32>(rule, hash, Rule.hash);
  const head: usize = isNew ? 0 : findHead(subtable, rule, hash);
  if (head == 0 && !addHeadNeeds(cls, subtable, rule)) {
    if (isNew) {
      free(vector);
      subtableDrop(subtable);
    }
    return false;
  }
  if (!isNew && !raisePriority(cls, subtable, priority)) {
    if (head == 0) removeFromTries(cls, subtable, rule);
    return false;
  }
  store<u32>(rule, <u32>cls, Rule.classifier);
  store<u32>(rule, <u32>subtable, Rule.subtable);
  store<u32>(rule, RULE_INSERTED, Rule.state);
  store<u64>(rule, version, Rule.addVersion);
  store<u64>(rule, u64.MAX_VALUE, Rule.removeVersion);
  if (head == 0) addHead(subtable, rule);
  else addToChain(subtable, head, rule);
  store<u32>(subtable, load<u32>(subtable, ClsSubtable.ruleCount) + 1, ClsSubtable.ruleCount);
  if (isNew) {
    store<u32>(subtable, 1, ClsSubtable.maxCount);
    vectorAdd(cls, vector, subtable);
  }
  linkAll(cls, rule);
  return true;
}

/** Counts a rule of `priority` in the subtable's highest priority. */
function raisePriority(cls: usize, subtable: usize, priority: i32): bool {
  const highest = load<i32>(subtable, ClsSubtable.maxPriority);
  if (load<u32>(subtable, ClsSubtable.ruleCount) == 0 || priority > highest) {
    if (!vectorRaise(cls, subtable, priority)) return false;
    store<u32>(subtable, 1, ClsSubtable.maxCount);
  } else if (priority == highest) {
    store<u32>(subtable, load<u32>(subtable, ClsSubtable.maxCount) + 1, ClsSubtable.maxCount);
  }
  return true;
}

/** Memory for a new match, and its prefixes in the tries (which readers may see at once). */
function addHeadNeeds(cls: usize, subtable: usize, rule: usize): bool {
  if (!slotTableReserve(subtable + ClsSubtable.rules)) return false;
  const n = load<u32>(subtable, ClsSubtable.indexCount);
  for (let i: u32 = 0; i < n; i++) {
    if (!slotTableReserve(indexAddr(subtable, i))) return false;
  }
  return addToTries(cls, subtable, rule);
}

/** Writes the field value of a rule where the tries read it; returns that address. */
function fieldValue(rule: usize, at: u32, bits: u32): usize {
  const scratch = me + ThreadBlock.scratch;
  for (let i: u32 = 0; i < bits; i += 32) {
    store<u32>(scratch + <usize>(i >> 3), ruleValueWord(rule, at + (i >> 3)));
  }
  return scratch;
}

function addToTries(cls: usize, subtable: usize, rule: usize): bool {
  const tries = <usize>load<u32>(cls, Cls.tries);
  const n = load<u32>(tries, ClsTries.count);
  const plens = load<u32>(subtable, ClsSubtable.triePlens);
  for (let i: u32 = 0; i < n; i++) {
    const plen = (plens >> (i << 3)) & 0xff;
    if (plen == 0) continue;
    const trie = trieAddr(tries, i);
    if (trieInsert(trie, fieldValue(rule, load<u32>(trie, 4), load<u32>(trie, 8)), plen)) continue;
    removeFromSome(tries, i, plens, rule);
    return false;
  }
  const portsPlen = load<u32>(subtable, ClsSubtable.portsPlen);
  if (portsPlen == 0) return true;
  if (trieInsert(subtable + ClsSubtable.portsTrie, fieldValue(rule, <u32>Key.tpSrc, 32), portsPlen)) return true;
  removeFromSome(tries, n, plens, rule);
  return false;
}

function removeFromSome(tries: usize, n: u32, plens: u32, rule: usize): void {
  for (let i: u32 = 0; i < n; i++) {
    const plen = (plens >> (i << 3)) & 0xff;
    const trie = trieAddr(tries, i);
    if (plen != 0) trieRemove(trie, fieldValue(rule, load<u32>(trie, 4), load<u32>(trie, 8)), plen);
  }
}

function removeFromTries(cls: usize, subtable: usize, rule: usize): void {
  const tries = <usize>load<u32>(cls, Cls.tries);
  removeFromSome(tries, load<u32>(tries, ClsTries.count), load<u32>(subtable, ClsSubtable.triePlens), rule);
  const portsPlen = load<u32>(subtable, ClsSubtable.portsPlen);
  if (portsPlen != 0) trieRemove(subtable + ClsSubtable.portsTrie, fieldValue(rule, <u32>Key.tpSrc, 32), portsPlen);
}

/** Publishes the first rule with its match: stage indexes first, as lookups ask them first. */
function addHead(subtable: usize, rule: usize): void {
  const n = load<u32>(subtable, ClsSubtable.indexCount);
  for (let i: u32 = 0; i < n; i++) {
    countAdd(<usize>load<u32>(indexAddr(subtable, i)), ruleHash(rule, stageEnd(subtable, i)));
  }
  slotTablePut(<usize>load<u32>(subtable, ClsSubtable.rules), slotOf(rule));
}

/** Publishes a rule whose match another one has: by falling priority, after ending ones of its own. */
function addToChain(subtable: usize, head: usize, rule: usize): void {
  const priority = load<i32>(rule, Rule.priority);
  let prev: usize = 0;
  let next = head;
  while (next != 0) {
    const p = load<i32>(next, Rule.priority);
    if (priority > p || (priority == p && !isEnding(next))) break;
    prev = next;
    next = <usize>load<u32>(next, Rule.nextSame);
  }
  store<u32>(rule, <u32>next, Rule.nextSame);
  if (prev != 0) {
    atomic.store<u32>(prev + Rule.nextSame, <u32>rule);
    return;
  }
  const at = slotTableAt(<usize>load<u32>(subtable, ClsSubtable.rules), slotOf(head));
  atomic.store<u64>(at, slotOf(rule));
}

function linkAll(cls: usize, rule: usize): void {
  const last = <usize>load<u32>(cls, Cls.lastAll);
  store<u32>(rule, <u32>last, Rule.prevAll);
  store<u32>(rule, 0, Rule.nextAll);
  if (last != 0) store<u32>(last, <u32>rule, Rule.nextAll);
  else store<u32>(cls, <u32>rule, Cls.firstAll);
  store<u32>(cls, <u32>rule, Cls.lastAll);
  store<u32>(cls, load<u32>(cls, Cls.ruleCount) + 1, Cls.ruleCount);
}

/** The removed rule keeps its own links, so that an iteration standing on it goes on. */
function unlinkAll(cls: usize, rule: usize): void {
  const prev = <usize>load<u32>(rule, Rule.prevAll);
  const next = <usize>load<u32>(rule, Rule.nextAll);
  if (prev != 0) store<u32>(prev, <u32>next, Rule.nextAll);
  else store<u32>(cls, <u32>next, Cls.firstAll);
  if (next != 0) store<u32>(next, <u32>prev, Rule.prevAll);
  else store<u32>(cls, <u32>prev, Cls.lastAll);
  store<u32>(cls, load<u32>(cls, Cls.ruleCount) - 1, Cls.ruleCount);
}

/**
 * Ends the rule's visibility with `version`. It leaves the iteration at once, the subtable after
 * quiescence and once `version` is published (root.tablesVersion); then the classifier's reference is
 * dropped.
 */
export function clsRemove(cls: usize, rule: usize, version: f64): void {
  lock(cls + Cls.lock);
  if (load<u32>(rule, Rule.state) == RULE_INSERTED) {
    atomic.store<u64>(rule + Rule.removeVersion, <u64>version);
    store<u32>(rule, RULE_REMOVED, Rule.state);
    unlinkAll(cls, rule);
    // A removal that was taken back may still wait in limbo, which then finds the new state.
    if (blockState(rule) == BLOCK_LIVE) deferRule(rule);
  }
  unlock(cls + Cls.lock);
}

/** Takes back a removal whose version was not published: the rule stays (a bundle that fails). */
export function clsRestore(cls: usize, rule: usize): void {
  lock(cls + Cls.lock);
  if (load<u32>(rule, Rule.state) == RULE_REMOVED) {
    atomic.store<u64>(rule + Rule.removeVersion, u64.MAX_VALUE);
    store<u32>(rule, RULE_INSERTED, Rule.state);
    linkAll(cls, rule);
  }
  unlock(cls + Cls.lock);
}

/** Takes a removed rule out of its subtable; called after quiescence (ruleReclaim). */
export function clsUnlink(rule: usize): void {
  const cls = <usize>load<u32>(rule, Rule.classifier);
  if (dirtyClassifier != cls) clsSettle();
  dirtyClassifier = cls;
  lock(cls + Cls.lock);
  if (load<u32>(cls, Cls.dead) == 0) unlinkLocked(cls, <usize>load<u32>(rule, Rule.subtable), rule);
  store<u32>(rule, RULE_UNLINKED, Rule.state);
  unlock(cls + Cls.lock);
}

function unlinkLocked(cls: usize, subtable: usize, rule: usize): void {
  const table = <usize>load<u32>(subtable, ClsSubtable.rules);
  const next = <usize>load<u32>(rule, Rule.nextSame);
  const at = slotTableAt(table, slotOf(rule));
  if (at == 0) {
    let prev = findHead(subtable, rule, load<u32>(rule, Rule.hash));
    while (<usize>load<u32>(prev, Rule.nextSame) != rule) prev = <usize>load<u32>(prev, Rule.nextSame);
    atomic.store<u32>(prev + Rule.nextSame, <u32>next);
  } else if (next != 0) {
    atomic.store<u64>(at, slotOf(next));
  } else {
    slotTableDelete(table, at);
    const n = load<u32>(subtable, ClsSubtable.indexCount);
    for (let i: u32 = 0; i < n; i++) {
      countSub(<usize>load<u32>(indexAddr(subtable, i)), ruleHash(rule, stageEnd(subtable, i)));
      slotTableShrink(indexAddr(subtable, i));
    }
    removeFromTries(cls, subtable, rule);
    slotTableShrink(subtable + ClsSubtable.rules);
  }
  const left = load<u32>(subtable, ClsSubtable.ruleCount) - 1;
  store<u32>(subtable, left, ClsSubtable.ruleCount);
  if (left == 0) {
    if (dirtySubtable == subtable) dirtySubtable = 0;
    vectorRemove(cls, subtable);
  } else if (load<i32>(rule, Rule.priority) == load<i32>(subtable, ClsSubtable.maxPriority)) {
    const count = load<u32>(subtable, ClsSubtable.maxCount) - 1;
    store<u32>(subtable, count, ClsSubtable.maxCount);
    if (count == 0) lowerPriority(cls, subtable);
  }
}

/**
 * Finding the next highest priority walks all rules of the subtable. In a large one it is done once for
 * all rules that go together, at the end of the reclaim; until then the old value is a bound that is
 * too high.
 */
function lowerPriority(cls: usize, subtable: usize): void {
  if (load<u32>(load<u32>(subtable, ClsSubtable.rules), SlotTable.mask) < SETTLE_NOW_SLOTS) {
    settle(cls, subtable);
    return;
  }
  if (dirtySubtable != 0 && dirtySubtable != subtable) settle(cls, dirtySubtable);
  dirtySubtable = subtable;
}

/** End of a reclaim, or of its part in one classifier: publishes the new order of subtables. */
export function clsSettle(): void {
  const cls = dirtyClassifier;
  if (cls == 0) return;
  lock(cls + Cls.lock);
  if (load<u32>(cls, Cls.dead) == 0) {
    if (dirtySubtable != 0) settle(cls, dirtySubtable);
    vectorFlush(cls);
  }
  unlock(cls + Cls.lock);
  dirtySubtable = 0;
  dirtyClassifier = 0;
}

function settle(cls: usize, subtable: usize): void {
  if (load<u32>(subtable, ClsSubtable.ruleCount) == 0 || load<u32>(subtable, ClsSubtable.maxCount) != 0) return;
  const table = <usize>load<u32>(subtable, ClsSubtable.rules);
  const slots = <usize>load<u32>(table, SlotTable.mask) + 1;
  let highest = i32.MIN_VALUE;
  let count: u32 = 0;
  for (let i: usize = 0; i < slots; i++) {
    const head = <usize>(load<u64>(table + SLOTS + (i << 3)) >> 32);
    if (head <= <usize>SLOT_DELETED) continue;
    const priority = load<i32>(head, Rule.priority);
    if (priority > highest) {
      highest = priority;
      count = 1;
    } else if (priority == highest) count++;
  }
  store<u32>(subtable, count, ClsSubtable.maxCount);
  vectorLower(cls, subtable, highest);
}

/** The rule with the match and priority of `pattern` (a rule, inserted or not) that is visible in `version`, else 0. */
export function clsFindSame(cls: usize, pattern: usize, version: f64): usize {
  const priority = load<i32>(pattern, Rule.priority);
  lock(cls + Cls.lock);
  const subtable = subtableFind(cls, pattern, ruleMaskHash(pattern));
  let rule: usize = 0;
  if (subtable != 0) {
    rule = findHead(subtable, pattern, ruleHash(pattern, load<u32>(subtable, ClsSubtable.words)));
    while (rule != 0 && (load<i32>(rule, Rule.priority) != priority || !ruleVisibleAt(rule, <u64>version))) {
      rule = <usize>load<u32>(rule, Rule.nextSame);
    }
  }
  unlock(cls + Cls.lock);
  return rule;
}

/** As `clsFindSame`, for a match that is no rule yet. */
export function clsFindExact(cls: usize, flow: usize, mask: usize, priority: i32, version: f64): usize {
  const pattern = ruleCreate(flow, mask, priority);
  if (pattern == 0) return 0;
  const rule = clsFindSame(cls, pattern, version);
  ruleDestroy(pattern);
  return rule;
}

/** The oldest rule, 0 when there is none. Rules come in order of insertion, removed ones not at all. */
export function clsFirst(cls: usize): usize {
  return <usize>load<u32>(cls, Cls.firstAll);
}

/** The rule after `rule`, which may have been removed in this step. */
export function clsNext(cls: usize, rule: usize): usize {
  let next = <usize>load<u32>(rule, Rule.nextAll);
  while (next != 0 && load<u32>(next, Rule.state) != RULE_INSERTED) next = <usize>load<u32>(next, Rule.nextAll);
  return next;
}

/** Whether some visible rule of this priority could match a packet that flow/mask matches too. */
export function ruleOverlaps(cls: usize, flow: usize, mask: usize, priority: i32, version: f64): bool {
  for (let rule = clsFirst(cls); rule != 0; rule = clsNext(cls, rule)) {
    if (load<i32>(rule, Rule.priority) != priority || !ruleVisibleAt(rule, <u64>version)) continue;
    if (ruleOverlapsMatch(rule, flow, mask)) return true;
  }
  return false;
}

/** Frees the classifier after quiescence; its rules are dropped (those that others hold live on). */
export function clsDestroy(cls: usize): void {
  lock(cls + Cls.lock);
  vectorFlush(cls);
  store<u32>(cls, 1, Cls.dead);
  const vector = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(vector, ClsVector.count);
  for (let i: u32 = 0; i < n; i++) {
    const subtable = <usize>load<u32>(vectorEntry(vector, i));
    subtableDestroy(subtable);
  }
  let rule = <usize>load<u32>(cls, Cls.firstAll);
  while (rule != 0) {
    const next = <usize>load<u32>(rule, Rule.nextAll);
    store<u32>(rule, RULE_UNLINKED, Rule.state);
    store<u64>(rule, 0, Rule.removeVersion);
    if (blockState(rule) == BLOCK_LIVE) deferRule(rule);
    rule = next;
  }
  const tries = <usize>load<u32>(cls, Cls.tries);
  for (let i: u32 = 0; i < load<u32>(tries, ClsTries.count); i++) trieClear(trieAddr(tries, i));
  deferFree(tries);
  deferFree(vector);
  unlock(cls + Cls.lock);
  deferFree(cls);
}

/**
 * Sets up to three prefix fields, each `byte offset in the key | bits << 16` or 0, and builds their
 * tries. Readers go without tries meanwhile. False, with nothing changed, when the arena is full.
 */
export function clsSetPrefixes(cls: usize, field0: u32, field1: u32, field2: u32): bool {
  const count: u32 = field0 == 0 ? 0 : field1 == 0 ? 1 : field2 == 0 ? 2 : 3;
  const tries = alloc(<u32>ClsTries.SIZE + 48);
  if (tries == 0) return false;
  lock(cls + Cls.lock);
  vectorFlush(cls);
  const generation = (load<u32>(cls, Cls.trieGeneration) % 255) + 1;
  store<u32>(tries, count, ClsTries.count);
  store<u32>(tries, generation, ClsTries.generation);
  setTrie(trieAddr(tries, 0), field0);
  setTrie(trieAddr(tries, 1), field1);
  setTrie(trieAddr(tries, 2), field2);
  const old = <usize>load<u32>(cls, Cls.tries);
  store<u32>(cls, <u32>tries, Cls.tries);
  store<u32>(cls, generation, Cls.trieGeneration);
  const isDone = fillTries(cls, tries);
  if (!isDone) {
    // The old tries stay; their lengths are noted again under a generation of their own.
    store<u32>(cls, <u32>old, Cls.tries);
    store<u32>(old, generation, ClsTries.generation);
    noteTriePlens(cls);
  }
  unlock(cls + Cls.lock);
  const unused = isDone ? old : tries;
  if (unused != 0) {
    for (let i: u32 = 0; i < 3; i++) trieClear(trieAddr(unused, i));
    deferFree(unused);
  }
  return isDone;
}

function setTrie(trie: usize, field: u32): void {
  const at = field & 0xffff;
  store<u32>(trie, at, 4);
  store<u32>(trie, field >> 16, 8);
  const isIpv4 = at == <u32>Key.nwSrc || at == <u32>Key.nwDst;
  const isIpv6 = at == <u32>Key.ipv6Src || at == <u32>Key.ipv6Dst;
  store<u32>(trie, isIpv4 ? 0x0008 : isIpv6 ? 0xdd86 : 0, 12);
}

/** Notes the prefix lengths in all subtables, as of the present tries. */
function noteTriePlens(cls: usize): void {
  const vector = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(vector, ClsVector.count);
  for (let i: u32 = 0; i < n; i++) {
    const subtable = <usize>load<u32>(vectorEntry(vector, i));
    const any = anyHead(<usize>load<u32>(subtable, ClsSubtable.rules));
    if (any != 0) setTriePlens(cls, subtable, any);
  }
}

function anyHead(table: usize): usize {
  const slots = <usize>load<u32>(table, SlotTable.mask) + 1;
  for (let i: usize = 0; i < slots; i++) {
    const head = <usize>(load<u64>(table + SLOTS + (i << 3)) >> 32);
    if (head > <usize>SLOT_DELETED) return head;
  }
  return 0;
}

/** Adds the prefixes of all matches to fresh tries. */
function fillTries(cls: usize, tries: usize): bool {
  noteTriePlens(cls);
  const vector = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(vector, ClsVector.count);
  for (let s: u32 = 0; s < n; s++) {
    const subtable = <usize>load<u32>(vectorEntry(vector, s));
    const plens = load<u32>(subtable, ClsSubtable.triePlens);
    const table = <usize>load<u32>(subtable, ClsSubtable.rules);
    const slots = <usize>load<u32>(table, SlotTable.mask) + 1;
    for (let i: usize = 0; i < slots; i++) {
      const head = <usize>(load<u64>(table + SLOTS + (i << 3)) >> 32);
      if (head <= <usize>SLOT_DELETED) continue;
      for (let t: u32 = 0; t < load<u32>(tries, ClsTries.count); t++) {
        const plen = (plens >> (t << 3)) & 0xff;
        const trie = trieAddr(tries, t);
        if (plen != 0 && !trieInsert(trie, fieldValue(head, load<u32>(trie, 4), load<u32>(trie, 8)), plen)) return false;
      }
    }
  }
  return true;
}
