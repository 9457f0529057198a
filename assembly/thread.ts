import { ArenaRoot } from './generated/arena-root';
import { ThreadBlock } from './generated/thread-block';

// @ts-ignore: decorator
@inline export const ARENA_ROOT: usize = 65536;
// @ts-ignore: decorator
@inline export const THREAD_MAX: u32 = 64;
// @ts-ignore: decorator
@inline export const THREAD_BLOCKS: usize = 69632;
// @ts-ignore: decorator
@inline const THREAD_FREE: u32 = 0;
// @ts-ignore: decorator
@inline export const THREAD_LIVE: u32 = 1;
// @ts-ignore: decorator
@inline export const THREAD_DEAD: u32 = 2;

/** This thread's block, and its index (per instance: see globals.md). */
export let me: usize = 0;
export let myIndex: u32 = 0;

// @ts-ignore: decorator
@inline
export function threadBlock(index: u32): usize {
  return THREAD_BLOCKS + <usize>index * ThreadBlock.SIZE;
}

/**
 * Takes a free thread block for the calling thread and starts offline. Returns its address, 0 when
 * all are taken. The first caller becomes main (index 0).
 */
export function threadAttach(kind: u32): usize {
  for (let i: u32 = 0; i < THREAD_MAX; i++) {
    const block = threadBlock(i);
    if (atomic.cmpxchg<u32>(block + ThreadBlock.state, THREAD_FREE, THREAD_LIVE) != THREAD_FREE) continue;
    me = block;
    myIndex = i;
    store<u32>(block, i, ThreadBlock.index);
    store<u32>(block, kind, ThreadBlock.kind);
    store<u32>(block, load<u32>(block, ThreadBlock.generation) + 1, ThreadBlock.generation);
    store<u32>(block, 0, ThreadBlock.stop);
    store<u32>(block, 0, ThreadBlock.stopped);
    store<u32>(block, 0, ThreadBlock.heldCount);
    atomic.store<u64>(block + ThreadBlock.epoch, 0);
    let seen = atomic.load<u32>(ARENA_ROOT + ArenaRoot.threadCount);
    while (seen <= i) {
      const was = atomic.cmpxchg<u32>(ARENA_ROOT + ArenaRoot.threadCount, seen, i + 1);
      if (was == seen) break;
      seen = was;
    }
    return block;
  }
  return 0;
}

/** Marks a thread that died; `threadReap` (epoch.ts) then takes over what it left. */
export function threadMarkDead(index: u32): bool {
  return atomic.cmpxchg<u32>(threadBlock(index) + ThreadBlock.state, THREAD_LIVE, THREAD_DEAD) == THREAD_LIVE;
}

/** The block may be taken by a new thread. */
export function threadRelease(index: u32): void {
  atomic.store<u32>(threadBlock(index) + ThreadBlock.state, THREAD_FREE);
}
