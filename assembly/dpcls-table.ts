import { alloc, allocDirty } from './memory';
import { deferFree } from './epoch';
import { Megaflow } from './generated/megaflow';
import { Subtable } from './generated/subtable';

/**
 * The hash table of a subtable, with its filter. Linear probing, at most two fifths full; a removed slot becomes
 * a tombstone. Readers take no lock: a slot is one 64-bit word.
 *
 * The filter at its end (a blocked Bloom filter of two bits a megaflow, out of 20 to 40) lets a lookup in many
 * subtables touch the slots of few. Its hash is multilinear over 64-bit words, much cheaper than that of the
 * table; a filter may lag behind its table by the insertion under way, never more.
 *
 * A table that is full is replaced by a bigger one, a piece with each insertion, so that nobody waits long for
 * pmd.lock: first memory is cleared, then slots are copied, at last readers get the new one. Until then
 * `Subtable.nextTable` has what was inserted or deleted in slots already copied, too.
 */
// @ts-ignore: decorator
@inline const TOMBSTONE: u64 = 1;
// @ts-ignore: decorator
@inline export const TABLE_HEADER: usize = 16;
// @ts-ignore: decorator
@inline const FIRST_SLOTS: u32 = 16;
/** What one insertion clears (bytes) and copies (slots) of a table in the making. */
// @ts-ignore: decorator
@inline const CLEAR_STEP: u32 = 65536;
// @ts-ignore: decorator
@inline const COPY_STEP: u32 = 256;
/** Bytes of an entry of a subtable's word list. */
// @ts-ignore: decorator
@inline export const WORD: usize = 24;

/** Eight bits a slot, at least 512: a power of two. */
// @ts-ignore: decorator
@inline
function filterBytes(slots: u32): u32 {
  return max<u32>(slots, 64);
}

// @ts-ignore: decorator
@inline
function tableBytes(slots: u32): u32 {
  return <u32>TABLE_HEADER + (slots << 3) + filterBytes(slots);
}

/** The first table of a subtable; 0 when memory is used up. */
export function tableCreate(): usize {
  const table = alloc(tableBytes(FIRST_SLOTS));
  if (table != 0) store<u32>(table, FIRST_SLOTS - 1);
  return table;
}

/** The word of Subtable.filter for a table. */
export function filterOf(table: usize): u64 {
  const slots = load<u32>(table) + 1;
  const shift = 61 - ctz(filterBytes(slots));
  return <u64>(table + TABLE_HEADER + (<usize>slots << 3)) | (<u64>shift << 32);
}

/** Address of the filter's word for a filter hash: its upper bits name the word, the next twice six two bits of it. */
// @ts-ignore: decorator
@inline
function filterWord(filter: u64, hash: u64): usize {
  return <usize>(filter & 0xffff_ffff) + ((<usize>(hash >>> (filter >>> 32)) >>> 6) << 3);
}

/** 1 if the subtable may have a megaflow with this filter hash, 0 if not. */
// @ts-ignore: decorator
@inline
export function filterPasses(filter: u64, hash: u64): u32 {
  const shift = filter >>> 32;
  const word = load<u64>(filterWord(filter, hash));
  return <u32>(word >>> (hash >>> shift)) & <u32>(word >>> (hash >>> (shift - 6))) & 1;
}

function filterAdd(filter: u64, hash: u64): void {
  const shift = filter >>> 32;
  const at = filterWord(filter, hash);
  atomic.store<u64>(at, load<u64>(at) | (<u64>1 << (hash >>> shift)) | (<u64>1 << (hash >>> (shift - 6))));
}

/** Filter hash of a megaflow: of its masked key, without recirc_id and in_port. */
function filterHash(subtable: usize, mf: usize): u64 {
  let word: usize = load<u32>(subtable, Subtable.wordList);
  let hash: u64 = 0;
  for (let left = load<u32>(subtable, Subtable.words); left > 0; left--, word += WORD) {
    hash += load<u64>(mf + Megaflow.SIZE + <usize>load<u32>(word, 4)) * load<u64>(word, 16);
  }
  return hash;
}

/** The entry that a masked hash leads to first. */
// @ts-ignore: decorator
@inline
export function subtableEntry(table: usize, hash: u32): u64 {
  return load<u64>(table + (<usize>(hash & load<u32>(table)) << 3), TABLE_HEADER);
}

/** Puts an entry into the first empty slot of its probe sequence; returns the slot. */
function tablePut(subtable: usize, table: usize, entry: u64): u32 {
  const mask = load<u32>(table);
  let slot = <u32>entry & mask;
  while (load<u64>(table + (<usize>slot << 3), TABLE_HEADER) != 0) slot = (slot + 1) & mask;
  filterAdd(filterOf(table), filterHash(subtable, <usize>(entry >>> 32)));
  atomic.store<u64>(table + (<usize>slot << 3) + TABLE_HEADER, entry);
  store<u32>(table, load<u32>(table, 4) + 1, 4);
  return slot;
}

/** Makes a tombstone of an entry; returns its slot, -1 if it is not there. */
function tableTake(table: usize, entry: u64): i32 {
  const mask = load<u32>(table);
  let slot = <u32>entry & mask;
  let found = subtableEntry(table, slot);
  while (found != entry) {
    if (found == 0) return -1;
    slot = (slot + 1) & mask;
    found = subtableEntry(table, slot);
  }
  atomic.store<u64>(table + (<usize>slot << 3) + TABLE_HEADER, TOMBSTONE);
  return <i32>slot;
}

/** Under pmd.lock; false when memory is used up. */
export function tableInsert(subtable: usize, entry: u64): bool {
  const table: usize = load<u32>(subtable, Subtable.table);
  const isFull = (load<u32>(table, 4) + 1) * 5 > (load<u32>(table) + 1) << 1;
  if (isFull && !tableGrow(subtable, table)) return false;
  const slot = tablePut(subtable, load<u32>(subtable, Subtable.table), entry);
  if (slot < load<u32>(subtable, Subtable.copied)) tablePut(subtable, load<u32>(subtable, Subtable.nextTable), entry);
  return true;
}

/** Under pmd.lock; false if the entry is not there. */
export function tableDelete(subtable: usize, entry: u64): bool {
  const slot = tableTake(load<u32>(subtable, Subtable.table), entry);
  if (slot < 0) return false;
  if (<u32>slot < load<u32>(subtable, Subtable.copied)) tableTake(load<u32>(subtable, Subtable.nextTable), entry);
  return true;
}

/** One step towards a bigger table, begun if there is none in the making. */
function tableGrow(subtable: usize, table: usize): bool {
  let next: usize = load<u32>(subtable, Subtable.nextTable);
  if (next == 0) {
    const oldSlots = load<u32>(table) + 1;
    // At most a fifth full after it, tombstones left behind: the first slot nearly always decides. Insertions
    // until it is ready count, too.
    const steps = oldSlots / COPY_STEP + oldSlots / 1024 + 1;
    let slots: u32 = FIRST_SLOTS;
    while (slots < (load<u32>(subtable, Subtable.count) + steps) * 5) slots <<= 1;
    next = allocDirty(tableBytes(slots));
    if (next == 0) return false;
    store<u32>(next, slots - 1);
    store<u32>(next, 0, 4);
    store<u32>(subtable, <u32>next, Subtable.nextTable);
    store<u32>(subtable, <u32>TABLE_HEADER, Subtable.cleared);
  }
  if (tableClear(subtable, next) && tableCopy(subtable, table, next)) {
    store<u32>(subtable, 0, Subtable.nextTable);
    store<u32>(subtable, 0, Subtable.copied);
    atomic.store<u32>(subtable + Subtable.table, <u32>next);
    atomic.store<u64>(subtable + Subtable.filter, filterOf(next));
    deferFree(table);
  }
  return true;
}

/** True when the whole table is clear. */
function tableClear(subtable: usize, next: usize): bool {
  const bytes = tableBytes(load<u32>(next) + 1);
  const cleared = load<u32>(subtable, Subtable.cleared);
  const step = min<u32>(CLEAR_STEP, bytes - cleared);
  memory.fill(next + <usize>cleared, 0, step);
  store<u32>(subtable, cleared + step, Subtable.cleared);
  return cleared + step == bytes;
}

/** True when every slot is copied. */
function tableCopy(subtable: usize, table: usize, next: usize): bool {
  const slots = load<u32>(table) + 1;
  const from = load<u32>(subtable, Subtable.copied);
  const to = min<u32>(slots, from + COPY_STEP);
  for (let slot = from; slot < to; slot++) {
    const entry = load<u64>(table + (<usize>slot << 3), TABLE_HEADER);
    if (entry > 0xffffffff) tablePut(subtable, next, entry);
  }
  store<u32>(subtable, to, Subtable.copied);
  return to == slots;
}
