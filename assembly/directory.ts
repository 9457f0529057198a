import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { Megaflow } from './generated/megaflow';
import { Pmd } from './generated/pmd';

/**
 * The directory of a pmd's megaflows: an array of addresses that dumps walk without a lock, and
 * buckets by unique id. Written under pmd.lock.
 */
// @ts-ignore: decorator
@inline const FIRST_CAPACITY: u32 = 1024;

/** Makes an empty directory; false when memory is used up. */
export function directoryInit(pmd: usize): bool {
  return grow(pmd, FIRST_CAPACITY) && growBuckets(pmd, FIRST_CAPACITY);
}

function grow(pmd: usize, capacity: u32): bool {
  const slots = alloc(capacity << 2);
  const stack = alloc(capacity << 2);
  if (slots == 0 || stack == 0) {
    free(slots);
    free(stack);
    return false;
  }
  const oldCapacity = load<u32>(pmd, Pmd.flowCapacity);
  const oldSlots: usize = load<u32>(pmd, Pmd.flowSlots);
  const oldStack: usize = load<u32>(pmd, Pmd.freeSlots);
  memory.copy(slots, oldSlots, <usize>oldCapacity << 2);
  let freeCount: u32 = 0;
  // Low numbers on top.
  for (let i = capacity; i > oldCapacity; i--) {
    store<u32>(stack + (<usize>freeCount << 2), i - 1);
    freeCount++;
  }
  store<u32>(pmd, <u32>stack, Pmd.freeSlots);
  store<u32>(pmd, freeCount, Pmd.freeCount);
  // Who reads the capacity first never runs over the end.
  atomic.store<u32>(pmd + Pmd.flowSlots, <u32>slots);
  atomic.store<u32>(pmd + Pmd.flowCapacity, capacity);
  free(oldStack);
  if (oldSlots != 0) deferFree(oldSlots);
  return true;
}

function growBuckets(pmd: usize, count: u32): bool {
  const buckets = alloc(count << 2);
  if (buckets == 0) return false;
  const old: usize = load<u32>(pmd, Pmd.buckets);
  const oldCount = load<u32>(pmd, Pmd.bucketCount);
  for (let i: usize = 0; i < <usize>oldCount; i++) {
    let mf: usize = load<u32>(old + (i << 2));
    while (mf != 0) {
      const next: usize = load<u32>(mf, Megaflow.nextUfid);
      const head = buckets + (<usize>(load<u32>(mf, Megaflow.ufid0) & (count - 1)) << 2);
      store<u32>(mf, load<u32>(head), Megaflow.nextUfid);
      store<u32>(head, <u32>mf);
      mf = next;
    }
  }
  store<u32>(pmd, <u32>buckets, Pmd.buckets);
  store<u32>(pmd, count, Pmd.bucketCount);
  free(old);
  return true;
}

// @ts-ignore: decorator
@inline
function headOf(pmd: usize, ufid0: u32): usize {
  return <usize>load<u32>(pmd, Pmd.buckets) + (<usize>(ufid0 & (load<u32>(pmd, Pmd.bucketCount) - 1)) << 2);
}

export function directoryAdd(pmd: usize, mf: usize): bool {
  if (load<u32>(pmd, Pmd.freeCount) == 0) {
    const capacity = load<u32>(pmd, Pmd.flowCapacity) << 1;
    if (!grow(pmd, capacity)) return false;
    // Longer chains if this fails.
    growBuckets(pmd, capacity);
  }
  const freeCount = load<u32>(pmd, Pmd.freeCount) - 1;
  const slot = load<u32>(<usize>load<u32>(pmd, Pmd.freeSlots) + (<usize>freeCount << 2));
  store<u32>(pmd, freeCount, Pmd.freeCount);
  store<u32>(mf, slot, Megaflow.slot);
  const head = headOf(pmd, load<u32>(mf, Megaflow.ufid0));
  store<u32>(mf, load<u32>(head), Megaflow.nextUfid);
  store<u32>(head, <u32>mf);
  atomic.store<u32>(<usize>load<u32>(pmd, Pmd.flowSlots) + (<usize>slot << 2), <u32>mf);
  store<u32>(pmd, load<u32>(pmd, Pmd.flowCount) + 1, Pmd.flowCount);
  return true;
}

export function directoryRemove(pmd: usize, mf: usize): void {
  const slot = load<u32>(mf, Megaflow.slot);
  atomic.store<u32>(<usize>load<u32>(pmd, Pmd.flowSlots) + (<usize>slot << 2), 0);
  const freeCount = load<u32>(pmd, Pmd.freeCount);
  store<u32>(<usize>load<u32>(pmd, Pmd.freeSlots) + (<usize>freeCount << 2), slot);
  store<u32>(pmd, freeCount + 1, Pmd.freeCount);
  const head = headOf(pmd, load<u32>(mf, Megaflow.ufid0));
  const next = load<u32>(mf, Megaflow.nextUfid);
  let at: usize = load<u32>(head);
  if (at == mf) {
    store<u32>(head, next);
  } else {
    while (at != 0 && <usize>load<u32>(at, Megaflow.nextUfid) != mf) at = load<u32>(at, Megaflow.nextUfid);
    if (at != 0) store<u32>(at, next, Megaflow.nextUfid);
  }
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
  free(load<u32>(pmd, Pmd.buckets));
}
