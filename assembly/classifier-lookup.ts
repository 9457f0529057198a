import { Cls } from './generated/cls';
import { ClsSubtable } from './generated/cls-subtable';
import { ClsTries } from './generated/cls-tries';
import { ClsVector } from './generated/cls-vector';
import { Key } from './generated/key';
import { Rule } from './generated/rule';
import { SlotTable } from './generated/slot-table';
import { ThreadBlock } from './generated/thread-block';
import { indexAddr, stageEnd, subtableWord, trieAddr, vectorEntry } from './classifier-subtable';
import { HASH_CONSTANTS } from './hash';
import { ruleVisibleAt } from './rule';
import { ruleValues } from './rule-match';
import { countHas, SLOT_DELETED, SLOTS } from './slot-table';
import { me } from './thread';
import { trieLookup } from './trie';

/**
 * The reader's side: no lock; the caller is online. With a mask to gather (`wc`) the outcome of each
 * subtable adds only the bits that decided it, by OVS's rules: stages that already fail spare the
 * later ones, the prefix tries spare address bits, the ports trie spares port bits.
 */

/** Hash of the masked flow over words [from, to) of the subtable, added to `sum`. */
// @ts-ignore: decorator
@inline
function hashRange(subtable: usize, flow: usize, from: u32, to: u32, sum: u64): u64 {
  let word = subtableWord(subtable, <usize>from);
  const end = subtableWord(subtable, <usize>to);
  for (; word < end; word += 8) {
    const at = <usize>load<u32>(word);
    sum += <u64>(load<u32>(flow + at) & load<u32>(word, 4)) * load<u64>(HASH_CONSTANTS + (at << 1));
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function isMatch(subtable: usize, rule: usize, flow: usize): bool {
  let word = subtableWord(subtable, 0);
  const end = subtableWord(subtable, <usize>load<u32>(subtable, ClsSubtable.words));
  for (let value = ruleValues(rule); word < end; word += 8, value += 4) {
    if ((load<u32>(flow + <usize>load<u32>(word)) & load<u32>(word, 4)) != load<u32>(value)) return false;
  }
  return true;
}

/** The visible rule of highest priority in the subtable that matches, 0 when there is none. */
function findMatch(subtable: usize, version: u64, flow: usize, hash: u32): usize {
  const table = <usize>load<u32>(subtable, ClsSubtable.rules);
  const mask = load<u32>(table, SlotTable.mask);
  let i = hash & mask;
  while (true) {
    const slot = load<u64>(table + SLOTS + (<usize>i << 3));
    if (slot == 0) return 0;
    let rule = <usize>(slot >> 32);
    if (<u32>slot == hash && rule > <usize>SLOT_DELETED && isMatch(subtable, rule, flow)) {
      while (rule != 0 && !ruleVisibleAt(rule, version)) rule = <usize>load<u32>(rule, Rule.nextSame);
      return rule;
    }
    i = (i + 1) & mask;
  }
}

/** ORs words [0, to) of the subtable's mask into `wc`. */
function foldMask(subtable: usize, to: u32, wc: usize): void {
  const end = subtableWord(subtable, <usize>to);
  for (let word = subtableWord(subtable, 0); word < end; word += 8) {
    const at = wc + <usize>load<u32>(word);
    store<u32>(at, load<u32>(at) | load<u32>(word, 4));
  }
}

// @ts-ignore: decorator
@inline
function trieContext(i: u32): usize {
  return me + ThreadBlock.trieContexts + (<usize>i << 5);
}

/** Asks trie `i` about the flow, once a lookup: {u32 done, u32 maskBits, u32 plens[4]}. */
function askTrie(trie: usize, context: usize, flow: usize): void {
  store<u32>(context, 1);
  const dlType = load<u32>(trie, 12);
  if (dlType != 0 && <u32>load<u16>(flow, Key.dlType) != dlType) {
    // The field means something else in this packet: nothing may be skipped.
    store<u32>(context, 0, 4);
    store<u64>(context, u64.MAX_VALUE, 8);
    store<u64>(context, u64.MAX_VALUE, 16);
    return;
  }
  store<u64>(context, 0, 8);
  store<u64>(context, 0, 16);
  store<u32>(context, trieLookup(trie, flow + <usize>load<u32>(trie, 4), load<u32>(trie, 8), context + 8), 4);
}

/** Sets the first `bits` bits of the field in `wc`. */
function setPrefixBits(wc: usize, at: usize, bits: u32): void {
  let word = wc + at;
  for (; bits >= 32; bits -= 32, word += 4) store<u32>(word, 0xffff_ffff);
  if (bits != 0) store<u32>(word, load<u32>(word) | bswap<u32>(~(0xffff_ffff >> bits)));
}

function hasPrefixBits(wc: usize, at: usize, bits: u32): bool {
  let word = wc + at;
  for (; bits >= 32; bits -= 32, word += 4) {
    if (load<u32>(word) != 0xffff_ffff) return false;
  }
  if (bits == 0) return true;
  const need = bswap<u32>(~(0xffff_ffff >> bits));
  return (load<u32>(word) & need) == need;
}

/**
 * Whether a trie tells that no rule of the subtable matches; then the bits that told so are in `wc`.
 * A trie speaks when its field's stage is reached, and only if that costs no more bits than the
 * subtable's own mask, or costs none.
 */
function triesExclude(tries: usize, plens: u32, stages: u32, stage: u32, flow: usize, wc: usize): bool {
  const n = load<u32>(tries, ClsTries.count);
  for (let i: u32 = 0; i < n; i++) {
    const plen = (plens >> (i << 3)) & 0xff;
    if (plen == 0 || ((stages >> (i << 3)) & 0xff) != stage) continue;
    const trie = trieAddr(tries, i);
    const context = trieContext(i);
    if (load<u32>(context) == 0) askTrie(trie, context, flow);
    const word = load<u32>(context + 8 + (<usize>((plen - 1) >> 5) << 2));
    if ((word >> ((plen - 1) & 31)) & 1) continue;
    const bits = load<u32>(context, 4);
    const at = <usize>load<u32>(trie, 4);
    if (bits <= plen) {
      setPrefixBits(wc, at, bits);
      return true;
    }
    if (hasPrefixBits(wc, at, bits)) return true;
  }
  return false;
}

/**
 * Adds to `wc` the bits that tell that no rule of the subtable matches, when stage `failed` is the
 * first that has no such values: a trie that excludes the flow in a stage up to it spares that stage,
 * else all stages up to it were looked at. Only ports of a failed last stage may be spared in part.
 */
function foldMiss(subtable: usize, failed: u32, flow: usize, tries: usize, wc: usize): void {
  const plens = load<u32>(subtable, ClsSubtable.triePlens);
  if ((plens & 0xff_ffff) != 0 && plens >> 24 == load<u32>(tries, ClsTries.generation)) {
    const stages = load<u32>(subtable, ClsSubtable.trieStages);
    for (let i: u32 = 0; i <= failed; i++) {
      if (!triesExclude(tries, plens, stages, i, flow, wc)) continue;
      if (i != 0) foldMask(subtable, stageEnd(subtable, i - 1), wc);
      return;
    }
  }
  const portsPlen = load<u32>(subtable, ClsSubtable.portsPlen);
  if (portsPlen == 0 || failed != load<u32>(subtable, ClsSubtable.indexCount)) {
    foldMask(subtable, stageEnd(subtable, failed), wc);
    return;
  }
  const mask = load<u32>(subtable, ClsSubtable.portsMask);
  const value = me + ThreadBlock.scratch;
  store<u32>(value, load<u32>(flow, Key.tpSrc) & mask);
  const bits = trieLookup(subtable + ClsSubtable.portsTrie, value, 32, 0);
  const prefix = bits >= 32 ? 0xffff_ffff : bswap<u32>(~(0xffff_ffff >> bits));
  const ports = load<u32>(wc, Key.tpSrc) | (mask & prefix);
  foldMask(subtable, stageEnd(subtable, failed), wc);
  store<u32>(wc, ports, Key.tpSrc);
}

/**
 * Like findMatch, gathering the bits that decided in `wc`. A rule that matches passes all tries by
 * construction (they have its prefix), so they are asked for a miss only.
 */
function findMatchWc(subtable: usize, version: u64, flow: usize, tries: usize, wc: usize): usize {
  const n = load<u32>(subtable, ClsSubtable.indexCount);
  let from: u32 = 0;
  let sum: u64 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const to = stageEnd(subtable, i);
    sum = hashRange(subtable, flow, from, to, sum);
    from = to;
    if (!countHas(<usize>load<u32>(indexAddr(subtable, i)), <u32>(sum >> 32))) {
      foldMiss(subtable, i, flow, tries, wc);
      return 0;
    }
  }
  const words = load<u32>(subtable, ClsSubtable.words);
  const rule = findMatch(subtable, version, flow, <u32>(hashRange(subtable, flow, from, words, sum) >> 32));
  if (rule != 0) foldMask(subtable, words, wc);
  else foldMiss(subtable, n, flow, tries, wc);
  return rule;
}

/**
 * The visible rule of highest priority that matches `flow` in `version`, 0 when there is none. `wc`:
 * mask to which the bits that decided are added, 0 = not wanted.
 */
export function clsLookup(cls: usize, version: f64, flow: usize, wc: usize): usize {
  const at = <u64>version;
  const vector = <usize>atomic.load<u32>(cls + Cls.vector);
  const tries = <usize>load<u32>(cls, Cls.tries);
  const n = load<u32>(vector, ClsVector.count);
  store<u32>(trieContext(0), 0);
  store<u32>(trieContext(1), 0);
  store<u32>(trieContext(2), 0);
  let best: usize = 0;
  let bestPriority = i32.MIN_VALUE;
  for (let i: u32 = 0; i < n; i++) {
    const entry = vectorEntry(vector, i);
    if (best != 0 && load<i32>(entry, 4) <= bestPriority) break;
    const subtable = <usize>load<u32>(entry);
    let rule: usize;
    if (wc != 0) {
      rule = findMatchWc(subtable, at, flow, tries, wc);
    } else {
      const sum = hashRange(subtable, flow, 0, load<u32>(subtable, ClsSubtable.words), 0);
      rule = findMatch(subtable, at, flow, <u32>(sum >> 32));
    }
    if (rule == 0) continue;
    const priority = load<i32>(rule, Rule.priority);
    if (best != 0 && priority <= bestPriority) continue;
    best = rule;
    bestPriority = priority;
  }
  return best;
}
