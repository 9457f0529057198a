import { ArenaRoot } from './generated/arena-root';
import { BlockHeader } from './generated/block-header';
import { ThreadBlock } from './generated/thread-block';
import { BLOCK_DEFERRED, BLOCK_DEFERRED_RULE, BLOCK_LIVE, blockState, cachesFlushOf, countBadFree, free, setBlockState } from './memory';
import { ARENA_ROOT, me, myIndex, THREAD_DEAD, threadBlock, threadMarkDead, threadRelease } from './thread';
import { breakLocks } from './lock';
import { clsSettle } from './classifier';
import { ruleReclaim } from './rule';

/**
 * Free after quiescence. A reader may hold addresses from the moment it is online until its next
 * `quiesce()` or `threadOffline()`. Memory unlinked by a writer is stamped with the global epoch and
 * freed when each online thread has passed a quiescent point in a later epoch.
 *
 * The global epoch moves when a thread that has memory in limbo is quiescent. Each thread keeps its
 * own limbo list, linked through the block headers, so deferring needs no memory and no lock.
 */
// @ts-ignore: decorator
@inline const RECLAIM_MAX: u32 = 4096;

/** From here on this thread may hold arena addresses. */
export function threadOnline(): void {
  atomic.store<u64>(me + ThreadBlock.epoch, atomic.load<u64>(ARENA_ROOT + ArenaRoot.epoch));
}

/** This thread holds no arena addresses (before it blocks). Reclaims. */
export function threadOffline(): void {
  // Still online: unlinking rules reads what others may free.
  if (load<u32>(me, ThreadBlock.limboHead) != 0) quiesce();
  atomic.store<u64>(me + ThreadBlock.epoch, 0);
}

/** Top of a step: no address from before is used after. Returns blocks still in limbo. */
export function quiesce(): u32 {
  if (myIndex == 0 && load<u32>(ARENA_ROOT, ArenaRoot.orphans) != 0) reapOrphans();
  if (load<u32>(me, ThreadBlock.limboHead) == 0) {
    const now = atomic.load<u64>(ARENA_ROOT + ArenaRoot.epoch);
    if (load<u64>(me, ThreadBlock.epoch) != now) atomic.store<u64>(me + ThreadBlock.epoch, now);
    return 0;
  }
  const isOffline = load<u64>(me, ThreadBlock.epoch) == 0;
  atomic.store<u64>(me + ThreadBlock.epoch, advance());
  reclaim();
  clsSettle();
  if (isOffline) atomic.store<u64>(me + ThreadBlock.epoch, 0);
  return load<u32>(me, ThreadBlock.limboCount);
}

/** Moves the global epoch when the youngest block in limbo has its stamp; returns the epoch. */
function advance(): u64 {
  const tail = <usize>load<u32>(me, ThreadBlock.limboTail);
  const now = atomic.load<u64>(ARENA_ROOT + ArenaRoot.epoch);
  if (tail == 0 || load<u32>(tail - BlockHeader.SIZE, BlockHeader.stamp) != <u32>now) return now;
  const was = atomic.cmpxchg<u64>(ARENA_ROOT + ArenaRoot.epoch, now, now + 1);
  return was == now ? now + 1 : was;
}

/** Oldest epoch that an online thread may still be in. */
function oldestEpoch(): u64 {
  const n = atomic.load<u32>(ARENA_ROOT + ArenaRoot.threadCount);
  let oldest = atomic.load<u64>(ARENA_ROOT + ArenaRoot.epoch);
  for (let i: u32 = 0; i < n; i++) {
    const epoch = atomic.load<u64>(threadBlock(i) + ThreadBlock.epoch);
    if (epoch != 0 && epoch < oldest) oldest = epoch;
  }
  return oldest;
}

function reclaim(): void {
  const oldest = <u32>oldestEpoch();
  for (let n: u32 = 0; n < RECLAIM_MAX; n++) {
    const block = <usize>load<u32>(me, ThreadBlock.limboHead);
    if (block == 0) return;
    const header = block - BlockHeader.SIZE;
    if (<i32>(load<u32>(header, BlockHeader.stamp) - oldest) >= 0) return;
    const next = load<u32>(header, BlockHeader.next);
    store<u32>(me, next, ThreadBlock.limboHead);
    if (next == 0) store<u32>(me, 0, ThreadBlock.limboTail);
    store<u32>(me, load<u32>(me, ThreadBlock.limboCount) - 1, ThreadBlock.limboCount);
    const isRule = blockState(block) == BLOCK_DEFERRED_RULE;
    setBlockState(block, BLOCK_LIVE);
    if (isRule) ruleReclaim(block);
    else free(block);
  }
}

/** Frees an unlinked block once no thread can hold its address any more. */
export function deferFree(block: usize): void {
  defer(block, BLOCK_DEFERRED);
}

/** After quiescence `ruleReclaim(block)` is called instead of `free`. */
export function deferRule(block: usize): void {
  defer(block, BLOCK_DEFERRED_RULE);
}

function defer(block: usize, state: u32): void {
  if (block == 0) return;
  if (blockState(block) != BLOCK_LIVE) {
    countBadFree();
    return;
  }
  setBlockState(block, state);
  const header = block - BlockHeader.SIZE;
  store<u32>(header, 0, BlockHeader.next);
  // A read-modify-write, not a load: the unlinking stores must not be seen after it.
  store<u32>(header, <u32>atomic.add<u64>(ARENA_ROOT + ArenaRoot.epoch, 0), BlockHeader.stamp);
  const tail = <usize>load<u32>(me, ThreadBlock.limboTail);
  if (tail == 0) store<u32>(me, <u32>block, ThreadBlock.limboHead);
  else store<u32>(tail - BlockHeader.SIZE, <u32>block, BlockHeader.next);
  store<u32>(me, <u32>block, ThreadBlock.limboTail);
  store<u32>(me, load<u32>(me, ThreadBlock.limboCount) + 1, ThreadBlock.limboCount);
}

/** The calling thread ends in order; blocks that it has in limbo are left to main. */
export function threadDetach(): void {
  threadOffline();
  cachesFlushOf(me);
  atomic.store<u32>(me + ThreadBlock.stopped, 1);
  if (load<u32>(me, ThreadBlock.limboHead) == 0) {
    threadRelease(myIndex);
    return;
  }
  threadMarkDead(myIndex);
  atomic.add<u32>(ARENA_ROOT + ArenaRoot.orphans, 1);
}

/** Main takes over threads that ended in order with blocks in limbo. */
function reapOrphans(): void {
  const n = atomic.load<u32>(ARENA_ROOT + ArenaRoot.threadCount);
  for (let i: u32 = 1; i < n; i++) {
    const block = threadBlock(i);
    if (atomic.load<u32>(block + ThreadBlock.state) != THREAD_DEAD || atomic.load<u32>(block + ThreadBlock.stopped) == 0) continue;
    atomic.sub<u32>(ARENA_ROOT + ArenaRoot.orphans, 1);
    threadReap(i);
  }
}

/**
 * Main takes over a thread that died or ended with blocks in limbo: takes it offline, breaks its
 * locks, adopts its limbo list and caches, frees its block. Returns the number of broken locks.
 */
export function threadReap(index: u32): u32 {
  threadMarkDead(index);
  const block = threadBlock(index);
  const broken = breakLocks(index);
  atomic.store<u64>(block + ThreadBlock.epoch, 0);
  const head = <usize>load<u32>(block, ThreadBlock.limboHead);
  if (head != 0) {
    // Adopted blocks get this epoch's stamp: stamps must not fall along a limbo list.
    const stamp = <u32>atomic.load<u64>(ARENA_ROOT + ArenaRoot.epoch);
    for (let b = head; b != 0; b = <usize>load<u32>(b - BlockHeader.SIZE, BlockHeader.next)) {
      store<u32>(b - BlockHeader.SIZE, stamp, BlockHeader.stamp);
    }
    const tail = <usize>load<u32>(me, ThreadBlock.limboTail);
    if (tail == 0) store<u32>(me, <u32>head, ThreadBlock.limboHead);
    else store<u32>(tail - BlockHeader.SIZE, <u32>head, BlockHeader.next);
    store<u32>(me, load<u32>(block, ThreadBlock.limboTail), ThreadBlock.limboTail);
    store<u32>(me, load<u32>(me, ThreadBlock.limboCount) + load<u32>(block, ThreadBlock.limboCount), ThreadBlock.limboCount);
    store<u32>(block, 0, ThreadBlock.limboHead);
    store<u32>(block, 0, ThreadBlock.limboTail);
    store<u32>(block, 0, ThreadBlock.limboCount);
  }
  cachesFlushOf(block);
  threadRelease(index);
  return broken;
}
