import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { Cls } from './generated/cls';
import { ClsSubtable } from './generated/cls-subtable';
import { ClsTries } from './generated/cls-tries';
import { ClsVector } from './generated/cls-vector';
import { Key } from './generated/key';
import { Rule } from './generated/rule';
import { ThreadBlock } from './generated/thread-block';
import { HASH_CONSTANTS } from './hash';
import { matchBuild, ruleMasks, ruleMaskWord, ruleOffsets } from './rule-match';
import { slotTableDrop, slotTableFree, slotTableNew } from './slot-table';
import { me } from './thread';
import { trieClear } from './trie';

/**
 * Subtables (the rules that share one mask) and their order. All here is the writer's, under the
 * classifier's lock; readers see the vector and what hangs off it.
 *
 * The vector keeps OVS's order also among equal priorities, since it decides which masks a lookup
 * meets: appended, on removal the last takes the hole, then sorted stably by falling priority; removals
 * that come together are sorted once.
 */
// @ts-ignore: decorator
@inline export const ENTRY: usize = 16;

/** Entry `i` of a vector: {ptr subtable, i32 priority, u32 maskHash, u32 0}. */
// @ts-ignore: decorator
@inline
export function vectorEntry(vector: usize, i: u32): usize {
  return vector + ClsVector.SIZE + <usize>i * ENTRY;
}

export function vectorNew(count: u32): usize {
  const vector = alloc(<u32>ClsVector.SIZE + count * <u32>ENTRY);
  if (vector != 0) store<u32>(vector, count, ClsVector.count);
  return vector;
}

function vectorIndex(vector: usize, subtable: usize): u32 {
  let i: u32 = 0;
  while (load<u32>(vectorEntry(vector, i)) != <u32>subtable) i++;
  return i;
}

/** Stable insertion sort by falling priority. */
function vectorSort(vector: usize): void {
  const n = load<u32>(vector, ClsVector.count);
  for (let i: u32 = 1; i < n; i++) {
    const entry = vectorEntry(vector, i);
    const lo = load<u64>(entry);
    const hi = load<u64>(entry, 8);
    const priority = load<i32>(entry, 4);
    let j = i;
    while (j > 0 && load<i32>(vectorEntry(vector, j - 1), 4) < priority) {
      memory.copy(vectorEntry(vector, j), vectorEntry(vector, j - 1), ENTRY);
      j--;
    }
    if (j == i) continue;
    store<u64>(vectorEntry(vector, j), lo);
    store<u64>(vectorEntry(vector, j), hi, 8);
  }
}

function vectorPublish(cls: usize, vector: usize): void {
  vectorSort(vector);
  const old = <usize>load<u32>(cls, Cls.vector);
  atomic.store<u32>(cls + Cls.vector, <u32>vector);
  deferFree(old);
}

/** Adds a subtable; `vector` is a new one of the right size (vectorNew). */
export function vectorAdd(cls: usize, vector: usize, subtable: usize): void {
  const old = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(old, ClsVector.count);
  memory.copy(vectorEntry(vector, 0), vectorEntry(old, 0), <usize>n * ENTRY);
  const entry = vectorEntry(vector, n);
  store<u32>(entry, <u32>subtable);
  store<i32>(entry, load<i32>(subtable, ClsSubtable.maxPriority), 4);
  store<u32>(entry, load<u32>(subtable, ClsSubtable.maskHash), 8);
  vectorPublish(cls, vector);
}

/** The vector that collects removals until `vectorFlush`; 0 when the arena is full. */
function pendingVector(cls: usize): usize {
  let vector = <usize>load<u32>(cls, Cls.pending);
  if (vector != 0) return vector;
  const old = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(old, ClsVector.count);
  vector = vectorNew(n);
  if (vector == 0) return 0;
  memory.copy(vectorEntry(vector, 0), vectorEntry(old, 0), <usize>n * ENTRY);
  store<u32>(cls, <u32>vector, Cls.pending);
  return vector;
}

/** Takes an empty subtable out with the next flush. When the arena is full it stays, empty. */
export function vectorRemove(cls: usize, subtable: usize): void {
  const vector = pendingVector(cls);
  if (vector == 0) return;
  const last = load<u32>(vector, ClsVector.count) - 1;
  const index = vectorIndex(vector, subtable);
  if (index != last) memory.copy(vectorEntry(vector, index), vectorEntry(vector, last), ENTRY);
  store<u32>(vector, last, ClsVector.count);
  store<u32>(subtable, load<u32>(cls, Cls.deadSubtables), ClsSubtable.nextDead);
  store<u32>(cls, <u32>subtable, Cls.deadSubtables);
}

/** Lowers the subtable's highest priority with the next flush. When the arena is full the bound stays too high. */
export function vectorLower(cls: usize, subtable: usize, priority: i32): void {
  const vector = pendingVector(cls);
  if (vector == 0) return;
  store<i32>(vectorEntry(vector, vectorIndex(vector, subtable)), priority, 4);
  store<i32>(subtable, priority, ClsSubtable.maxPriority);
}

/** Publishes what vectorRemove and vectorLower did; before anything else that reads or changes the order. */
export function vectorFlush(cls: usize): void {
  const vector = <usize>load<u32>(cls, Cls.pending);
  if (vector == 0) return;
  store<u32>(cls, 0, Cls.pending);
  vectorPublish(cls, vector);
  let dead = <usize>load<u32>(cls, Cls.deadSubtables);
  store<u32>(cls, 0, Cls.deadSubtables);
  while (dead != 0) {
    const next = <usize>load<u32>(dead, ClsSubtable.nextDead);
    subtableDestroy(dead);
    dead = next;
  }
}

/** Gives a subtable a higher highest priority. False, with nothing changed, when the arena is full. */
export function vectorRaise(cls: usize, subtable: usize, priority: i32): bool {
  const old = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(old, ClsVector.count);
  const index = vectorIndex(old, subtable);
  if (
    (index == 0 || load<i32>(vectorEntry(old, index - 1), 4) >= priority) &&
    (index == n - 1 || load<i32>(vectorEntry(old, index + 1), 4) <= priority)
  ) {
    atomic.store<i32>(vectorEntry(old, index) + 4, priority);
  } else {
    const vector = vectorNew(n);
    if (vector == 0) return false;
    memory.copy(vectorEntry(vector, 0), vectorEntry(old, 0), <usize>n * ENTRY);
    store<i32>(vectorEntry(vector, index), priority, 4);
    vectorPublish(cls, vector);
  }
  store<i32>(subtable, priority, ClsSubtable.maxPriority);
  return true;
}

/** Hash of the mask of a rule. */
export function ruleMaskHash(rule: usize): u32 {
  const n = <usize>load<u8>(rule, Rule.words);
  let sum: u64 = <u64>n;
  for (let i: usize = 0; i < n; i++) {
    const at = <usize>load<u16>(ruleOffsets(rule) + (i << 1));
    sum += <u64>load<u32>(ruleMasks(rule) + (i << 2)) * load<u64>(HASH_CONSTANTS + (at << 1));
  }
  return <u32>(sum >> 32);
}

/** Word `i` of the subtable's mask: {u32 byte offset, u32 mask}. */
// @ts-ignore: decorator
@inline
export function subtableWord(subtable: usize, i: usize): usize {
  return subtable + ClsSubtable.SIZE + (i << 3);
}

function hasMaskOf(subtable: usize, rule: usize): bool {
  const n = load<u32>(subtable, ClsSubtable.words);
  if (n != <u32>load<u8>(rule, Rule.words)) return false;
  for (let i: usize = 0; i < <usize>n; i++) {
    const word = subtableWord(subtable, i);
    if (load<u32>(word) != <u32>load<u16>(ruleOffsets(rule) + (i << 1))) return false;
    if (load<u32>(word, 4) != load<u32>(ruleMasks(rule) + (i << 2))) return false;
  }
  return true;
}

/** The subtable with the mask of `rule`, 0 when there is none. */
export function subtableFind(cls: usize, rule: usize, maskHash: u32): usize {
  const vector = <usize>load<u32>(cls, Cls.vector);
  const n = load<u32>(vector, ClsVector.count);
  for (let i: u32 = 0; i < n; i++) {
    const entry = vectorEntry(vector, i);
    if (load<u32>(entry, 8) != maskHash) continue;
    const subtable = <usize>load<u32>(entry);
    if (hasMaskOf(subtable, rule)) return subtable;
  }
  return 0;
}

/** A subtable with the mask of `rule` and no rules, not yet in the vector; 0 when the arena is full. */
export function subtableCreate(cls: usize, rule: usize, maskHash: u32): usize {
  const words = <u32>load<u8>(rule, Rule.words);
  const subtable = alloc(<u32>ClsSubtable.SIZE + words * 8);
  if (subtable == 0) return 0;
  store<u32>(subtable, <u32>cls, ClsSubtable.classifier);
  store<u32>(subtable, words, ClsSubtable.words);
  store<u32>(subtable, maskHash, ClsSubtable.maskHash);
  for (let i: usize = 0; i < <usize>words; i++) {
    store<u32>(subtableWord(subtable, i), <u32>load<u16>(ruleOffsets(rule) + (i << 1)));
    store<u32>(subtableWord(subtable, i), load<u32>(ruleMasks(rule) + (i << 2)), 4);
  }
  setStages(subtable);
  const ports = ruleMaskWord(rule, <u32>Key.tpSrc);
  store<u32>(subtable, ports, ClsSubtable.portsMask);
  store<u32>(subtable, ports == 0 ? 0 : 32 - ctz<u32>(bswap<u32>(ports)), ClsSubtable.portsPlen);
  setTriePlens(cls, subtable, rule);
  if (!createTables(subtable)) {
    subtableDrop(subtable);
    return 0;
  }
  return subtable;
}

function createTables(subtable: usize): bool {
  const rules = slotTableNew();
  if (rules == 0) return false;
  store<u32>(subtable, <u32>rules, ClsSubtable.rules);
  const n = load<u32>(subtable, ClsSubtable.indexCount);
  for (let i: u32 = 0; i < n; i++) {
    const index = slotTableNew();
    if (index == 0) return false;
    store<u32>(indexAddr(subtable, i), <u32>index);
  }
  return true;
}

/** Where the index of a stage is pointed to. */
// @ts-ignore: decorator
@inline
export function indexAddr(subtable: usize, i: u32): usize {
  return subtable + ClsSubtable.index0 + (<usize>i << 2);
}

/** Words up to the end of non-empty stage `i`. */
// @ts-ignore: decorator
@inline
export function stageEnd(subtable: usize, i: u32): u32 {
  return load<u32>(subtable + ClsSubtable.end0 + (<usize>i << 2));
}

/**
 * Which stage (of four: metadata, L2, L3, L4) a word of the mask is in. The words of dlType and of
 * nwTtl belong to one stage with their first half, to the next with the other.
 */
function stageOf(at: u32, mask: u32): u32 {
  if (at < <u32>Key.dlDst) return 0;
  if (at < <u32>Key.dlType) return 1;
  if (at < <u32>Key.nwTtl) return mask & 0xffff ? 1 : 2;
  if (at < <u32>Key.vlanTpid0) return mask & 0xffff ? 2 : 3;
  if (at < <u32>Key.nwSrc) return 1;
  if (at < <u32>Key.tpSrc) return 2;
  if (at < <u32>Key.packetType) return 3;
  if (at < <u32>Key.ipv6Src) return 0;
  if (at < <u32>Key.ndTarget) return 2;
  if (at < <u32>Key.ctState) return 3;
  if (at < <u32>Key.ctNwSrc) return 0;
  if (at < <u32>Key.ctTpSrc) return 2;
  if (at < <u32>Key.mplsLse0) return 3;
  if (at < <u32>Key.igmpGroupIp4) return 1;
  if (at < <u32>Key.ctIpv6Src) return 3;
  if (at < <u32>Key.nshFlags) return 2;
  return at < <u32>Key.tunDst ? 3 : 0;
}

/** Finds the stages that the mask has; each but the last present one, and L4 always, gets an index before it. */
function setStages(subtable: usize): void {
  const words = load<u32>(subtable, ClsSubtable.words);
  let count: u32 = 0;
  let i: u32 = 0;
  for (let stage: u32 = 0; stage < 3; stage++) {
    const from = i;
    while (i < words) {
      const word = subtableWord(subtable, <usize>i);
      if (stageOf(load<u32>(word), load<u32>(word, 4)) != stage) break;
      i++;
    }
    if (i == from) continue;
    store<u32>(subtable + ClsSubtable.end0 + (<usize>count << 2), i);
    count++;
  }
  // Without L4 words the last stage found is the final one: its index would repeat the rules.
  if (count > 0 && i == words) count--;
  store<u32>(subtable + ClsSubtable.end0 + (<usize>count << 2), words);
  store<u32>(subtable, count, ClsSubtable.indexCount);
}

/** Length of the prefix that the mask of a rule is on a field, 0 when it is no prefix. */
export function rulePrefixLength(rule: usize, at: u32, bits: u32): u32 {
  let length: u32 = 0;
  let isEnded = false;
  for (let word: u32 = 0; word < bits; word += 32) {
    const mask = bswap<u32>(ruleMaskWord(rule, at + (word >> 3)));
    if (isEnded) {
      if (mask != 0) return 0;
      continue;
    }
    if ((~mask & (~mask + 1)) != 0) return 0;
    length += popcnt<u32>(mask);
    isEnded = mask != 0xffff_ffff;
  }
  return length;
}

/** Notes which tries concern the subtable, for the present trie generation. */
export function setTriePlens(cls: usize, subtable: usize, rule: usize): void {
  const tries = <usize>load<u32>(cls, Cls.tries);
  const n = load<u32>(tries, ClsTries.count);
  let plens: u32 = load<u32>(tries, ClsTries.generation) << 24;
  let stages: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const trie = trieAddr(tries, i);
    const at = load<u32>(trie, 4);
    plens |= rulePrefixLength(rule, at, load<u32>(trie, 8)) << (i << 3);
    stages |= stageIndexOf(subtable, at) << (i << 3);
  }
  store<u32>(subtable, stages, ClsSubtable.trieStages);
  atomic.store<u32>(subtable + ClsSubtable.triePlens, plens);
}

/** Trie `i`: {ptr root, u32 at, u32 bits, u32 dlType}. */
// @ts-ignore: decorator
@inline
export function trieAddr(tries: usize, i: u32): usize {
  return tries + ClsTries.SIZE + (<usize>i << 4);
}

/** Index of the subtable's stage with the first word of the field at `at`. */
function stageIndexOf(subtable: usize, at: u32): u32 {
  const words = load<u32>(subtable, ClsSubtable.words);
  for (let i: u32 = 0; i < words; i++) {
    if (load<u32>(subtableWord(subtable, <usize>i)) != at) continue;
    let stage: u32 = 0;
    while (stageEnd(subtable, stage) <= i) stage++;
    return stage;
  }
  return 255;
}

/** Frees a subtable that readers may hold. */
export function subtableDestroy(subtable: usize): void {
  for (let i: u32 = 0; i < load<u32>(subtable, ClsSubtable.indexCount); i++) {
    slotTableFree(<usize>load<u32>(indexAddr(subtable, i)));
  }
  slotTableFree(<usize>load<u32>(subtable, ClsSubtable.rules));
  trieClear(subtable + ClsSubtable.portsTrie);
  deferFree(subtable);
}

/** Frees a subtable that was never published. */
export function subtableDrop(subtable: usize): void {
  for (let i: u32 = 0; i < load<u32>(subtable, ClsSubtable.indexCount); i++) {
    slotTableDrop(<usize>load<u32>(indexAddr(subtable, i)));
  }
  slotTableDrop(<usize>load<u32>(subtable, ClsSubtable.rules));
  free(subtable);
}
