import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { SlotTable } from './generated/slot-table';

/**
 * Open-addressing tables of u64 slots {hash, value}: low half the hash, high half the value.
 *
 * One writer (under the classifier's lock), readers without a lock: a slot changes in one store, a
 * full table is replaced by a copy and freed after quiescence. A reader of the old copy misses only
 * what is younger than its version. 0 is an empty slot; a slot with a hash and value SLOT_DELETED is
 * deleted but keeps chains of probes whole. `owner` is the address that points to the table.
 */
// @ts-ignore: decorator
@inline export const SLOTS: usize = SlotTable.SIZE;
// @ts-ignore: decorator
@inline export const SLOT_DELETED: u32 = 1;
// @ts-ignore: decorator
@inline const SLOTS_MIN: u32 = 4;

export function slotTableCreate(slots: u32): usize {
  const table = alloc(<u32>SLOTS + slots * 8);
  if (table != 0) store<u32>(table, slots - 1, SlotTable.mask);
  return table;
}

export function slotTableNew(): usize {
  return slotTableCreate(SLOTS_MIN);
}

/** Makes room for one more slot; false when the arena is full. */
export function slotTableReserve(owner: usize): bool {
  const table = <usize>load<u32>(owner);
  const slots = load<u32>(table, SlotTable.mask) + 1;
  if ((load<u32>(table, SlotTable.filled) + 1) * 4 <= slots * 3) return true;
  const live = load<u32>(table, SlotTable.live);
  return slotTableResize(owner, live * 2 >= slots ? slots * 2 : slots);
}

/** Gives memory back when few slots are left. */
export function slotTableShrink(owner: usize): void {
  const table = <usize>load<u32>(owner);
  const slots = load<u32>(table, SlotTable.mask) + 1;
  if (slots > SLOTS_MIN && load<u32>(table, SlotTable.live) * 8 < slots) slotTableResize(owner, slots / 4 < SLOTS_MIN ? SLOTS_MIN : slots / 4);
}

function slotTableResize(owner: usize, slots: u32): bool {
  const old = <usize>load<u32>(owner);
  const table = slotTableCreate(slots);
  if (table == 0) return false;
  const end = old + SLOTS + (<usize>(load<u32>(old, SlotTable.mask) + 1) << 3);
  for (let at = old + SLOTS; at < end; at += 8) {
    const slot = load<u64>(at);
    if (<u32>(slot >> 32) > SLOT_DELETED) slotTablePut(table, slot);
  }
  atomic.store<u32>(owner, <u32>table);
  deferFree(old);
  return true;
}

/** Stores a slot in the first free place; the table has room. */
export function slotTablePut(table: usize, slot: u64): void {
  const mask = load<u32>(table, SlotTable.mask);
  let i = <u32>slot & mask;
  while (true) {
    const at = table + SLOTS + (<usize>i << 3);
    const there = load<u64>(at);
    const value = <u32>(there >> 32);
    if (value <= SLOT_DELETED) {
      if (there == 0) store<u32>(table, load<u32>(table, SlotTable.filled) + 1, SlotTable.filled);
      store<u32>(table, load<u32>(table, SlotTable.live) + 1, SlotTable.live);
      atomic.store<u64>(at, slot);
      return;
    }
    i = (i + 1) & mask;
  }
}

/** Address of the slot that holds exactly `slot`, 0 when there is none. */
export function slotTableAt(table: usize, slot: u64): usize {
  const mask = load<u32>(table, SlotTable.mask);
  let i = <u32>slot & mask;
  while (true) {
    const at = table + SLOTS + (<usize>i << 3);
    const there = load<u64>(at);
    if (there == slot) return at;
    if (there == 0) return 0;
    i = (i + 1) & mask;
  }
}

/** Deletes the slot at an address that slotTableAt returned. */
export function slotTableDelete(table: usize, at: usize): void {
  atomic.store<u64>(at, (<u64>SLOT_DELETED << 32) | <u64>load<u32>(at));
  store<u32>(table, load<u32>(table, SlotTable.live) - 1, SlotTable.live);
}

/** A table of counts by hash: value is count + 1, so that no live count looks deleted. */
function countAt(table: usize, hash: u32): usize {
  const mask = load<u32>(table, SlotTable.mask);
  let i = hash & mask;
  while (true) {
    const at = table + SLOTS + (<usize>i << 3);
    const there = load<u64>(at);
    if (there == 0) return 0;
    if (<u32>there == hash && <u32>(there >> 32) > SLOT_DELETED) return at;
    i = (i + 1) & mask;
  }
}

// @ts-ignore: decorator
@inline
export function countHas(table: usize, hash: u32): bool {
  return countAt(table, hash) != 0;
}

/** One more of this hash; room was reserved. */
export function countAdd(table: usize, hash: u32): void {
  const at = countAt(table, hash);
  if (at == 0) slotTablePut(table, (<u64>2 << 32) | <u64>hash);
  else atomic.store<u64>(at, load<u64>(at) + ((<u64>1) << 32));
}

/** One less of this hash. */
export function countSub(table: usize, hash: u32): void {
  const at = countAt(table, hash);
  if (at == 0) return;
  const slot = load<u64>(at);
  if (<u32>(slot >> 32) == 2) slotTableDelete(table, at);
  else atomic.store<u64>(at, slot - ((<u64>1) << 32));
}

export function slotTableFree(table: usize): void {
  if (table != 0) deferFree(table);
}

export function slotTableDrop(table: usize): void {
  free(table);
}
