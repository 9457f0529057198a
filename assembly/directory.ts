import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { Megaflow } from './generated/megaflow';
import { Pmd } from './generated/pmd';

/**
 * The directory of a pmd's megaflows: an array of addresses that dumps walk without a lock, and
 * buckets by unique id. Written under pmd.lock.
 *
 * Both grow without a pause for the packets behind the lock: the array doubles by a copy of its
 * words alone, the buckets one by one (linear hashing): a new megaflow adds one bucket and splits the one that its entries
 * come from. Buckets are in segments that never move.
 */
// @ts-ignore: decorator
@inline const FIRST_CAPACITY: u32 = 1024;
/** Buckets of a segment, and segments at most: chains grow longer past a million megaflows. */
// @ts-ignore: decorator
@inline const SEGMENT: u32 = 1024;
// @ts-ignore: decorator
@inline const SEGMENTS: u32 = 1024;

/** Makes an empty directory; false when memory is used up. */
export function directoryInit(pmd: usize): bool {
  const segments = alloc(SEGMENTS << 2);
  const first = alloc(SEGMENT << 2);
  store<u32>(pmd, <u32>segments, Pmd.buckets);
  if (segments == 0 || first == 0) {
    free(first);
    return false;
  }
  store<u32>(segments, <u32>first);
  store<u32>(pmd, SEGMENT, Pmd.bucketCount);
  return grow(pmd, FIRST_CAPACITY);
}

function grow(pmd: usize, capacity: u32): bool {
  const slots = alloc(capacity << 2);
  const stack = alloc(capacity << 2);
  if (slots == 0 || stack == 0) {
    free(slots);
    free(stack);
    return false;
  }
  // Every slot has been used, and none is free: the old stack is empty.
  const oldSlots: usize = load<u32>(pmd, Pmd.flowSlots);
  memory.copy(slots, oldSlots, <usize>load<u32>(pmd, Pmd.slotsUsed) << 2);
  free(load<u32>(pmd, Pmd.freeSlots));
  store<u32>(pmd, <u32>stack, Pmd.freeSlots);
  // Who reads the capacity or slotsUsed first never runs over the end.
  atomic.store<u32>(pmd + Pmd.flowSlots, <u32>slots);
  atomic.store<u32>(pmd + Pmd.flowCapacity, capacity);
  if (oldSlots != 0) deferFree(oldSlots);
  return true;
}

/** The head of bucket `index`. */
// @ts-ignore: decorator
@inline
function bucket(pmd: usize, index: u32): usize {
  const segment: usize = load<u32>(<usize>load<u32>(pmd, Pmd.buckets) + (<usize>(index / SEGMENT) << 2));
  return segment + (<usize>(index % SEGMENT) << 2);
}

/** The head of the bucket of an id. Buckets from `level` on were split off those below. */
function headOf(pmd: usize, ufid0: u32): usize {
  const count = load<u32>(pmd, Pmd.bucketCount);
  const level: u32 = 1 << (31 - clz<u32>(count));
  const index = ufid0 & ((level << 1) - 1);
  return bucket(pmd, index < count ? index : index & (level - 1));
}

/** One bucket more: what belongs to it leaves the bucket it was in. Without memory chains grow longer. */
function split(pmd: usize): void {
  const count = load<u32>(pmd, Pmd.bucketCount);
  if (count >= SEGMENT * SEGMENTS) return;
  if (count % SEGMENT == 0) {
    const segment = alloc(SEGMENT << 2);
    if (segment == 0) return;
    store<u32>(<usize>load<u32>(pmd, Pmd.buckets) + (<usize>(count / SEGMENT) << 2), <u32>segment);
  }
  const level: u32 = 1 << (31 - clz<u32>(count));
  const to = bucket(pmd, count);
  let link = bucket(pmd, count - level);
  let mf: usize = load<u32>(link);
  while (mf != 0) {
    const next = load<u32>(mf, Megaflow.nextUfid);
    if ((load<u32>(mf, Megaflow.ufid0) & ((level << 1) - 1)) == count) {
      store<u32>(link, next);
      store<u32>(mf, load<u32>(to), Megaflow.nextUfid);
      store<u32>(to, <u32>mf);
    } else link = mf + Megaflow.nextUfid;
    mf = next;
  }
  store<u32>(pmd, count + 1, Pmd.bucketCount);
}

export function directoryAdd(pmd: usize, mf: usize): bool {
  let freeCount = load<u32>(pmd, Pmd.freeCount);
  let used = load<u32>(pmd, Pmd.slotsUsed);
  if (freeCount == 0 && used == load<u32>(pmd, Pmd.flowCapacity) && !grow(pmd, used << 1)) return false;
  let slot = used;
  if (freeCount != 0) {
    freeCount--;
    slot = load<u32>(<usize>load<u32>(pmd, Pmd.freeSlots) + (<usize>freeCount << 2));
    store<u32>(pmd, freeCount, Pmd.freeCount);
  } else used++;
  store<u32>(mf, slot, Megaflow.slot);
  const count = load<u32>(pmd, Pmd.flowCount) + 1;
  if (count > load<u32>(pmd, Pmd.bucketCount)) split(pmd);
  const head = headOf(pmd, load<u32>(mf, Megaflow.ufid0));
  store<u32>(mf, load<u32>(head), Megaflow.nextUfid);
  store<u32>(head, <u32>mf);
  atomic.store<u32>(<usize>load<u32>(pmd, Pmd.flowSlots) + (<usize>slot << 2), <u32>mf);
  atomic.store<u32>(pmd + Pmd.slotsUsed, used);
  store<u32>(pmd, count, Pmd.flowCount);
  return true;
}

export function directoryRemove(pmd: usize, mf: usize): void {
  const slot = load<u32>(mf, Megaflow.slot);
  atomic.store<u32>(<usize>load<u32>(pmd, Pmd.flowSlots) + (<usize>slot << 2), 0);
  const freeCount = load<u32>(pmd, Pmd.freeCount);
  store<u32>(<usize>load<u32>(pmd, Pmd.freeSlots) + (<usize>freeCount << 2), slot);
  store<u32>(pmd, freeCount + 1, Pmd.freeCount);
  let link = headOf(pmd, load<u32>(mf, Megaflow.ufid0));
  let at: usize = load<u32>(link);
  while (at != 0 && at != mf) {
    link = at + Megaflow.nextUfid;
    at = load<u32>(link);
  }
  if (at != 0) store<u32>(link, load<u32>(mf, Megaflow.nextUfid));
  store<u32>(pmd, load<u32>(pmd, Pmd.flowCount) - 1, Pmd.flowCount);
}

export function directoryFindUfid(pmd: usize, u0: u32, u1: u32, u2: u32, u3: u32): usize {
  let mf: usize = load<u32>(headOf(pmd, u0));
  while (mf != 0) {
    if (
      load<u32>(mf, Megaflow.ufid0) == u0 &&
      load<u32>(mf, Megaflow.ufid1) == u1 &&
      load<u32>(mf, Megaflow.ufid2) == u2 &&
      load<u32>(mf, Megaflow.ufid3) == u3
    ) {
      return mf;
    }
    mf = load<u32>(mf, Megaflow.nextUfid);
  }
  return 0;
}

export function directoryFree(pmd: usize): void {
  free(load<u32>(pmd, Pmd.flowSlots));
  free(load<u32>(pmd, Pmd.freeSlots));
  const segments: usize = load<u32>(pmd, Pmd.buckets);
  if (segments == 0) return;
  for (let i: usize = 0; i < <usize>SEGMENTS; i++) free(load<u32>(segments + (i << 2)));
  free(segments);
}
