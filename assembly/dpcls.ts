import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { DpclsPort } from './generated/dpcls-port';
import { Key } from './generated/key';
import { Megaflow } from './generated/megaflow';
import { Pmd } from './generated/pmd';
import { Subtable } from './generated/subtable';
import { HASH_CONSTANTS, nhFold, nhQuarter } from './hash';
import { filterOf, subtableEntry, TABLE_HEADER, tableCreate, tableDelete, tableInsert, WORD } from './dpcls-table';

/**
 * The datapath classifier: for each pmd and input port a list of subtables, one a mask, each a hash
 * table of masked keys. Megaflows do not overlap, so the first hit is the answer.
 *
 * The pmd's thread reads without a lock while others insert and delete under pmd.lock. What a reader
 * walks is never changed in place: lists and tables are replaced whole, a slot is one 64-bit word
 * (megaflow << 32 | hash), see dpcls-table.ts. Ranking reorders the list in place, by the reading thread itself.
 */
/** Bytes of an entry of a subtable's quarter list. */
// @ts-ignore: decorator
@inline const QUARTER: usize = 48;
// @ts-ignore: decorator
@inline const KEY_BYTES: usize = 768;
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

/** Hash of a key under a subtable's mask: NH over the quarters that the mask has. */
export function subtableHash(subtable: usize, key: usize): u32 {
  let sum = nhQuarter(v128.and(v128.load(key), v128.load(subtable, Subtable.SIZE)), v128.load(HASH_CONSTANTS));
  let quarter: usize = load<u32>(subtable, Subtable.quarterList);
  for (let left = load<u32>(subtable, Subtable.quarters); left > 0; left--, quarter += QUARTER) {
    const words = v128.and(v128.load(key + <usize>load<u32>(quarter)), v128.load(quarter, 16));
    sum = i64x2.add(sum, nhQuarter(words, v128.load(quarter, 32)));
  }
  return nhFold(sum);
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
export function megaflowMatches(subtable: usize, mf: usize, key: usize): bool {
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

/** Follows a probe sequence from its first entry on: the megaflow that a key matches, or 0. */
export function subtableProbe(subtable: usize, table: usize, entry: u64, hash: u32, key: usize): usize {
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

/** The megaflow of one subtable for a key whose masked hash is known. */
export function subtableFind(subtable: usize, key: usize, hash: u32): usize {
  const table: usize = load<u32>(subtable, Subtable.table);
  return subtableProbe(subtable, table, subtableEntry(table, hash), hash, key);
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

/** 1 if a mask has more than simple match looks at (see DpclsPort.complexMasks). */
function isComplex(mask: usize): u32 {
  // Of key bytes 16 to 31: dl_type (20, 21), nw_frag (25), the outer tag (28 to 31).
  const simple = i8x16(0, 0, 0, 0, -1, -1, 0, 0, 0, -1, 0, 0, -1, -1, -1, -1);
  let any = v128.andnot(v128.load(mask, 16), simple);
  any = v128.or(any, v128.load64_zero(mask, 8));
  for (let at: usize = 32; at < KEY_BYTES; at += 16) {
    any = v128.or(any, at == Key.packetType ? v128.and(v128.load(mask + at), i32x4(0, -1, -1, -1)) : v128.load(mask + at));
  }
  return <u32>v128.any_true(any);
}

/** Who reads `changes` first and then the list never takes an old list for the new one. */
function publishList(port: usize, list: usize): void {
  atomic.store<u32>(port + DpclsPort.list, <u32>list);
  atomic.store<u32>(port + DpclsPort.changes, load<u32>(port, DpclsPort.changes) + 1);
}

/** Makes an empty subtable and adds it to the port's list. Under pmd.lock; 0 when memory is used up. */
export function subtableCreate(pmd: usize, port: usize, mask: usize, present: u32, maskHash: u32): usize {
  let words: u32 = 0;
  let quarters: u32 = 0;
  for (let at: usize = 8; at < KEY_BYTES; at += 8) words += <u32>(load<u64>(mask + at) != 0);
  for (let at: usize = 16; at < KEY_BYTES; at += 16) quarters += <u32>v128.any_true(v128.load(mask + at));
  const blocks = <u32>popcnt(present);
  const quartersAt = Subtable.SIZE + (<usize>blocks << 6);
  const wordsAt = quartersAt + <usize>quarters * QUARTER;
  const subtable = alloc(<u32>wordsAt + words * <u32>WORD);
  const table = tableCreate();
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
  store<u64>(subtable, filterOf(table), Subtable.filter);
  store<u32>(subtable, present, Subtable.present);
  store<u32>(subtable, quarters, Subtable.quarters);
  store<u32>(subtable, <u32>(subtable + quartersAt), Subtable.quarterList);
  const complex = isComplex(mask);
  store<u32>(subtable, complex, Subtable.complex);
  store<u32>(port, load<u32>(port, DpclsPort.complexMasks) + complex, DpclsPort.complexMasks);
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
  for (let at: usize = 16; at < KEY_BYTES; at += 16) {
    if (!v128.any_true(v128.load(mask + at))) continue;
    store<u32>(to, <u32>at);
    v128.store(to, v128.load(mask + at), 16);
    v128.store(to, v128.load(HASH_CONSTANTS + at), 32);
    to += QUARTER;
  }
  for (let at: usize = 8; at < KEY_BYTES; at += 8) {
    const word = load<u64>(mask + at);
    if (word == 0) continue;
    const blocksBefore = <usize>popcnt(present & ((1 << <u32>(at >>> 6)) - 1));
    store<u32>(to, <u32>at);
    store<u32>(to, <u32>((blocksBefore << 6) + (at & 63)), 4);
    store<u64>(to, word, 8);
    store<u64>(to, load<u64>(HASH_CONSTANTS + at) | 1, 16);
    to += WORD;
  }
  memory.copy(list + 4, old + 4, <usize>count << 2);
  store<u32>(list + (<usize>count << 2), <u32>subtable, 4);
  store<u32>(list, count + 1);
  publishList(port, list);
  deferFree(old);
  store<u32>(pmd, load<u32>(pmd, Pmd.subtableCount) + 1, Pmd.subtableCount);
  return subtable;
}

/** Takes a subtable out of its port's list if it has no megaflow. Under pmd.lock. */
export function subtableRemoveEmpty(pmd: usize, subtable: usize): void {
  if (load<u32>(subtable, Subtable.count) == 0) subtableRemove(pmd, subtable);
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
  store<u32>(port, load<u32>(port, DpclsPort.complexMasks) - load<u32>(subtable, Subtable.complex), DpclsPort.complexMasks);
  publishList(port, list);
  deferFree(old);
  deferFree(load<u32>(subtable, Subtable.table));
  free(load<u32>(subtable, Subtable.nextTable));
  deferFree(subtable);
  store<u32>(pmd, load<u32>(pmd, Pmd.subtableCount) - 1, Pmd.subtableCount);
}

/** Adds a complete megaflow. Under pmd.lock; false when memory is used up. */
export function subtableInsert(subtable: usize, mf: usize, hash: u32): bool {
  if (!tableInsert(subtable, (<u64>mf << 32) | <u64>hash)) return false;
  const count = load<u32>(subtable, Subtable.count);
  store<u32>(subtable, count + 1, Subtable.count);
  atomic.store<u32>(subtable + Subtable.sole, count == 0 ? <u32>mf : 0);
  return true;
}

/** Takes a megaflow out, and its subtable with the last one. Under pmd.lock. */
export function subtableDelete(pmd: usize, subtable: usize, mf: usize, hash: u32): void {
  atomic.store<u32>(subtable + Subtable.sole, 0);
  if (!tableDelete(subtable, (<u64>mf << 32) | <u64>hash)) return;
  store<u32>(subtable, load<u32>(subtable, Subtable.count) - 1, Subtable.count);
  subtableRemoveEmpty(pmd, subtable);
}
