import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { DpclsPort } from './generated/dpcls-port';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { Subtable } from './generated/subtable';
import { HASH_CONSTANTS, nhFold, nhSum } from './hash';

/**
 * The datapath classifier: for each pmd and input port a list of subtables, one a mask, each a hash
 * table of masked keys. Megaflows do not overlap, so the first hit is the answer.
 *
 * The pmd's thread reads without a lock while others insert and delete under pmd.lock. What a reader
 * walks is never changed in place: lists and tables are replaced whole, a slot is one 64-bit word
 * (megaflow << 32 | hash), a removed one becomes a tombstone. Ranking reorders the list in place, by
 * the reading thread itself.
 */
// @ts-ignore: decorator
@inline const TOMBSTONE: u64 = 1;
// @ts-ignore: decorator
@inline const TABLE_HEADER: usize = 16;
// @ts-ignore: decorator
@inline const FIRST_SLOTS: u32 = 16;
// @ts-ignore: decorator
@inline const PORT_MASK: u32 = 1023;

export function dpclsPortFind(pmd: usize, port: u32): usize {
  let at: usize = load<u32>(<usize>load<u32>(pmd, Pmd.ports) + (<usize>(port & PORT_MASK) << 2));
  while (at != 0 && load<u32>(at, DpclsPort.port) != port) at = load<u32>(at, DpclsPort.next);
  return at;
}

/** Under pmd.lock. 0 when memory is used up. */
export function dpclsPortGet(pmd: usize, port: u32): usize {
  const found = dpclsPortFind(pmd, port);
  if (found != 0) return found;
  const record = alloc(<u32>DpclsPort.SIZE);
  const list = alloc(16);
  if (record == 0 || list == 0) {
    free(record);
    free(list);
    return 0;
  }
  const head = <usize>load<u32>(pmd, Pmd.ports) + (<usize>(port & PORT_MASK) << 2);
  store<u32>(record, port, DpclsPort.port);
  store<u32>(record, <u32>list, DpclsPort.list);
  store<u32>(record, load<u32>(head), DpclsPort.next);
  atomic.store<u32>(head, <u32>record);
  return record;
}

/** Hash of a key under a subtable's mask. */
// @ts-ignore: decorator
@inline
export function subtableHash(subtable: usize, key: usize): u32 {
  let sum = maskedSum(key, subtable + Subtable.SIZE, HASH_CONSTANTS);
  if (load<u32>(subtable, Subtable.blocks) > 1) sum = i64x2.add(sum, restSum(subtable, key));
  return nhFold(sum);
}

// @ts-ignore: decorator
@inline
function maskedSum(key: usize, mask: usize, constants: usize): v128 {
  return nhSum(
    v128.and(v128.load(key), v128.load(mask)),
    v128.and(v128.load(key, 16), v128.load(mask, 16)),
    v128.and(v128.load(key, 32), v128.load(mask, 32)),
    v128.and(v128.load(key, 48), v128.load(mask, 48)),
    constants,
  );
}

function restSum(subtable: usize, key: usize): v128 {
  let sum = i64x2.splat(0);
  let mask = subtable + Subtable.SIZE;
  let rest = load<u32>(subtable, Subtable.present) & ~1;
  while (rest != 0) {
    mask += 64;
    const at = <usize>ctz(rest) << 6;
    sum = i64x2.add(sum, maskedSum(key + at, mask, HASH_CONSTANTS + at));
    rest &= rest - 1;
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function maskedDiffer(key: usize, mask: usize, stored: usize): bool {
  const a = v128.xor(v128.and(v128.load(key), v128.load(mask)), v128.load(stored));
  const b = v128.xor(v128.and(v128.load(key, 16), v128.load(mask, 16)), v128.load(stored, 16));
  const c = v128.xor(v128.and(v128.load(key, 32), v128.load(mask, 32)), v128.load(stored, 32));
  const d = v128.xor(v128.and(v128.load(key, 48), v128.load(mask, 48)), v128.load(stored, 48));
  return v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)));
}

/** Whether a key under the subtable's mask is the megaflow's. Block 0 is always in a mask (in_port). */
// @ts-ignore: decorator
@inline
function megaflowMatches(subtable: usize, mf: usize, key: usize): bool {
  if (maskedDiffer(key, subtable + Subtable.SIZE, mf + Megaflow.SIZE)) return false;
  return load<u32>(subtable, Subtable.blocks) == 1 || restMatches(subtable, mf, key);
}

function restMatches(subtable: usize, mf: usize, key: usize): bool {
  let mask = subtable + Subtable.SIZE;
  let stored = mf + Megaflow.SIZE;
  let rest = load<u32>(subtable, Subtable.present) & ~1;
  while (rest != 0) {
    mask += 64;
    stored += 64;
    if (maskedDiffer(key + (<usize>ctz(rest) << 6), mask, stored)) return false;
    rest &= rest - 1;
  }
  return true;
}

/** The megaflow of one subtable for a key whose masked hash is known. */
// @ts-ignore: decorator
@inline
export function subtableFind(subtable: usize, key: usize, hash: u32): usize {
  const table: usize = load<u32>(subtable, Subtable.table);
  const mask = load<u32>(table);
  let slot = hash & mask;
  let entry = load<u64>(table + (<usize>slot << 3), TABLE_HEADER);
  while (entry != 0) {
    if (<u32>entry == hash) {
      const mf = <usize>(entry >>> 32);
      if (mf != 0 && megaflowMatches(subtable, mf, key)) return mf;
    }
    slot = (slot + 1) & mask;
    entry = load<u64>(table + (<usize>slot << 3), TABLE_HEADER);
  }
  return 0;
}

/** What does not match at the entry its hash leads to: the rest of the probe sequence. */
function probeOn(subtable: usize, table: usize, entry: u64, hash: u32, key: usize): usize {
  const mask = load<u32>(table);
  let slot = hash & mask;
  while (entry != 0) {
    if (<u32>entry == hash) {
      const mf = <usize>(entry >>> 32);
      if (mf != 0 && megaflowMatches(subtable, mf, key)) return mf;
    }
    slot = (slot + 1) & mask;
    entry = load<u64>(table + (<usize>slot << 3), TABLE_HEADER);
  }
  return 0;
}

/**
 * Finds the megaflows of n <= 32 keys of one input port. `pending` (see pmd.pending) has keys and
 * packets; each packet that hits gets its megaflow. Counts hits and, in pmd.subtableLookups, subtables seen.
 *
 * Subtable by subtable over all keys that are left, first all hashes and entries, then all comparisons: so the
 * waits for memory overlap.
 */
export function dpclsLookup(pmd: usize, port: usize, pending: usize, n: u32): void {
  const list: usize = load<u32>(port, DpclsPort.list);
  const subtables = load<u32>(list);
  let seen: u32 = 0;
  for (let i: u32 = 0; i < subtables && n > 0; i++) {
    const subtable: usize = load<u32>(list + (<usize>i << 2), 4);
    const table: usize = load<u32>(subtable, Subtable.table);
    const mask = load<u32>(table);
    const isWide = load<u32>(subtable, Subtable.blocks) > 1;
    const ma = v128.load(subtable, Subtable.SIZE);
    const mb = v128.load(subtable, Subtable.SIZE + 16);
    const mc = v128.load(subtable, Subtable.SIZE + 32);
    const md = v128.load(subtable, Subtable.SIZE + 48);
    for (let k: usize = 0; k < <usize>n; k++) {
      const key: usize = load<u32>(pending + (k << 2));
      let sum = nhSum(
        v128.and(v128.load(key), ma),
        v128.and(v128.load(key, 16), mb),
        v128.and(v128.load(key, 32), mc),
        v128.and(v128.load(key, 48), md),
        HASH_CONSTANTS,
      );
      if (isWide) sum = i64x2.add(sum, restSum(subtable, key));
      const hash = nhFold(sum);
      const entry = load<u64>(table + (<usize>(hash & mask) << 3), TABLE_HEADER);
      store<u64>(pending + (k << 3), entry, 256);
      store<u32>(pending + (k << 2), hash, 512);
    }
    let left: u32 = 0;
    for (let k: usize = 0; k < <usize>n; k++) {
      const key: usize = load<u32>(pending + (k << 2));
      const packet = load<u32>(pending + (k << 2), 128);
      const hash = load<u32>(pending + (k << 2), 512);
      const entry = load<u64>(pending + (k << 3), 256);
      let mf: usize = 0;
      if (entry != 0) {
        mf = <usize>(entry >>> 32);
        if (<u32>entry != hash || mf == 0 || !megaflowMatches(subtable, mf, key)) {
          mf = probeOn(subtable, table, entry, hash, key);
        }
      }
      if (mf != 0) {
        store<u32>(packet, <u32>mf, Packet.megaflow);
        continue;
      }
      store<u32>(pending + (<usize>left << 2), <u32>key);
      store<u32>(pending + (<usize>left << 2), packet, 128);
      left++;
    }
    store<u32>(subtable, load<u32>(subtable, Subtable.hits) + n - left, Subtable.hits);
    seen += (n - left) * (i + 1);
    n = left;
  }
  store<f64>(pmd, load<f64>(pmd, Pmd.subtableLookups) + <f64>seen, Pmd.subtableLookups);
}

/** Sorts the subtables of each port by hits, then halves the hits. The pmd's thread, under pmd.lock. */
export function dpclsRank(pmd: usize): void {
  const heads: usize = load<u32>(pmd, Pmd.ports);
  for (let i: usize = 0; i <= <usize>PORT_MASK; i++) {
    let port: usize = load<u32>(heads + (i << 2));
    for (; port != 0; port = load<u32>(port, DpclsPort.next)) rankList(load<u32>(port, DpclsPort.list));
  }
}

function rankList(list: usize): void {
  const end = list + 4 + (<usize>load<u32>(list) << 2);
  for (let at = list + 8; at < end; at += 4) {
    const subtable: usize = load<u32>(at);
    const hits = load<u32>(subtable, Subtable.hits);
    let to = at;
    while (to > list + 4 && load<u32>(<usize>load<u32>(to - 4), Subtable.hits) < hits) {
      store<u32>(to, load<u32>(to - 4));
      to -= 4;
    }
    store<u32>(to, <u32>subtable);
  }
  for (let at = list + 4; at < end; at += 4) {
    const subtable: usize = load<u32>(at);
    store<u32>(subtable, load<u32>(subtable, Subtable.hits) >>> 1, Subtable.hits);
  }
}

function maskDiffers(subtable: usize, mask: usize): bool {
  let stored = subtable + Subtable.SIZE;
  let rest = load<u32>(subtable, Subtable.present);
  while (rest != 0) {
    if (memory.compare(stored, mask + (<usize>ctz(rest) << 6), 64) != 0) return true;
    stored += 64;
    rest &= rest - 1;
  }
  return false;
}

/** The subtable of a port with exactly this mask. Under pmd.lock. */
export function subtableOf(port: usize, mask: usize, present: u32, maskHash: u32): usize {
  const list: usize = load<u32>(port, DpclsPort.list);
  const count = load<u32>(list);
  for (let i: u32 = 0; i < count; i++) {
    const subtable: usize = load<u32>(list + (<usize>i << 2), 4);
    if (
      load<u32>(subtable, Subtable.maskHash) == maskHash &&
      load<u32>(subtable, Subtable.present) == present &&
      !maskDiffers(subtable, mask)
    ) {
      return subtable;
    }
  }
  return 0;
}

function tableNew(slots: u32): usize {
  const table = alloc(<u32>TABLE_HEADER + (slots << 3));
  if (table != 0) store<u32>(table, slots - 1);
  return table;
}

/** Makes an empty subtable and adds it to the port's list. Under pmd.lock; 0 when memory is used up. */
export function subtableCreate(pmd: usize, port: usize, mask: usize, present: u32, maskHash: u32): usize {
  let words: u32 = 0;
  for (let at: usize = 0; at < 768; at += 4) if (load<u32>(mask + at) != 0) words++;
  const blocks = <u32>popcnt(present);
  const wordsAt = Subtable.SIZE + (<usize>blocks << 6);
  const subtable = alloc(<u32>wordsAt + (words << 4));
  const table = tableNew(FIRST_SLOTS);
  const old: usize = load<u32>(port, DpclsPort.list);
  const count = load<u32>(old);
  const list = alloc(8 + (count << 2));
  if (subtable == 0 || table == 0 || list == 0) {
    free(subtable);
    free(table);
    free(list);
    return 0;
  }
  store<u32>(subtable, <u32>table, Subtable.table);
  store<u32>(subtable, present, Subtable.present);
  store<u32>(subtable, words, Subtable.words);
  store<u32>(subtable, <u32>(subtable + wordsAt), Subtable.wordList);
  store<u32>(subtable, blocks, Subtable.blocks);
  store<u32>(subtable, <u32>port, Subtable.port);
  store<u32>(subtable, maskHash, Subtable.maskHash);
  let to = subtable + Subtable.SIZE;
  let rest = present;
  for (let i: usize = 0; rest != 0; i++) {
    const block = <usize>ctz(rest);
    store<u8>(subtable + Subtable.blockAt + i, <u8>block);
    memory.copy(to, mask + (block << 6), 64);
    to += 64;
    rest &= rest - 1;
  }
  for (let at: usize = 0; at < 768; at += 4) {
    const word = load<u32>(mask + at);
    if (word == 0) continue;
    store<u32>(to, <u32>at);
    store<u32>(to, word, 4);
    store<u64>(to, load<u64>(HASH_CONSTANTS + (at << 1)), 8);
    to += 16;
  }
  memory.copy(list + 4, old + 4, <usize>count << 2);
  store<u32>(list + (<usize>count << 2), <u32>subtable, 4);
  store<u32>(list, count + 1);
  atomic.store<u32>(port + DpclsPort.list, <u32>list);
  deferFree(old);
  store<u32>(pmd, load<u32>(pmd, Pmd.subtableCount) + 1, Pmd.subtableCount);
  return subtable;
}

/** Takes an empty subtable out of its port's list. Under pmd.lock. */
function subtableRemove(pmd: usize, subtable: usize): void {
  const port: usize = load<u32>(subtable, Subtable.port);
  const old: usize = load<u32>(port, DpclsPort.list);
  const count = load<u32>(old);
  const list = alloc(4 + (count << 2));
  // Without memory it stays, empty: harmless.
  if (list == 0) return;
  let to = list + 4;
  for (let i: u32 = 0; i < count; i++) {
    const other = load<u32>(old + (<usize>i << 2), 4);
    if (<usize>other == subtable) continue;
    store<u32>(to, other);
    to += 4;
  }
  store<u32>(list, count - 1);
  atomic.store<u32>(port + DpclsPort.list, <u32>list);
  deferFree(old);
  deferFree(load<u32>(subtable, Subtable.table));
  deferFree(subtable);
  store<u32>(pmd, load<u32>(pmd, Pmd.subtableCount) - 1, Pmd.subtableCount);
}

function tablePut(table: usize, entry: u64): void {
  const mask = load<u32>(table);
  let slot = <u32>entry & mask;
  while (load<u64>(table + (<usize>slot << 3), TABLE_HEADER) != 0) slot = (slot + 1) & mask;
  atomic.store<u64>(table + (<usize>slot << 3) + TABLE_HEADER, entry);
}

/** Adds a complete megaflow. Under pmd.lock; false when memory is used up. */
export function subtableInsert(subtable: usize, mf: usize, hash: u32): bool {
  let table: usize = load<u32>(subtable, Subtable.table);
  const count = load<u32>(subtable, Subtable.count);
  const used = load<u32>(table, 4);
  if ((used + 1) * 5 > (load<u32>(table) + 1) << 1) {
    // At most a fifth full after it, tombstones left behind: the first slot nearly always decides.
    let slots: u32 = FIRST_SLOTS;
    while (slots < (count + 1) * 5) slots <<= 1;
    const bigger = tableNew(slots);
    if (bigger == 0) return false;
    const end = table + TABLE_HEADER + ((<usize>load<u32>(table) + 1) << 3);
    for (let at = table + TABLE_HEADER; at < end; at += 8) {
      const entry = load<u64>(at);
      if (entry > 0xffffffff) tablePut(bigger, entry);
    }
    store<u32>(bigger, count, 4);
    atomic.store<u32>(subtable + Subtable.table, <u32>bigger);
    deferFree(table);
    table = bigger;
  }
  tablePut(table, (<u64>mf << 32) | <u64>hash);
  store<u32>(table, load<u32>(table, 4) + 1, 4);
  store<u32>(subtable, count + 1, Subtable.count);
  return true;
}

/** Takes a megaflow out, and its subtable with the last one. Under pmd.lock. */
export function subtableDelete(pmd: usize, subtable: usize, mf: usize, hash: u32): void {
  const table: usize = load<u32>(subtable, Subtable.table);
  const mask = load<u32>(table);
  const want = (<u64>mf << 32) | <u64>hash;
  let slot = hash & mask;
  for (;;) {
    const at = table + (<usize>slot << 3) + TABLE_HEADER;
    const entry = load<u64>(at);
    if (entry == 0) return;
    if (entry == want) {
      atomic.store<u64>(at, TOMBSTONE);
      break;
    }
    slot = (slot + 1) & mask;
  }
  const count = load<u32>(subtable, Subtable.count) - 1;
  store<u32>(subtable, count, Subtable.count);
  if (count == 0) subtableRemove(pmd, subtable);
}
