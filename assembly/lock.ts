import { ArenaRoot } from './generated/arena-root';
import { ThreadBlock } from './generated/thread-block';
import { ARENA_ROOT, THREAD_BLOCKS, me, myIndex } from './thread';

/**
 * Spin locks in the arena: one u32, 0 = free, else the owner's thread index + 1, with bit 31 set
 * while somebody sleeps on it. For the few instructions of a writer; readers never lock.
 *
 * Why the owner is in the word and in the owner's list of held locks: a worker may die anywhere, and
 * main then frees what it held (`breakLocks`). A thread may hold HELD_MAX locks, nested.
 */
// @ts-ignore: decorator
@inline const WAITERS: u32 = 0x8000_0000;
// @ts-ignore: decorator
@inline const SPINS: i32 = 400;
// @ts-ignore: decorator
@inline const HELD_MAX: u32 = 16;

/** Takes the lock at `addr` (4-aligned); waits while another thread has it. Not recursive. */
export function lock(addr: usize): void {
  const mine = myIndex + 1;
  if (atomic.cmpxchg<u32>(addr, 0, mine) != 0) lockSlow(addr, mine);
  hold(addr);
}

/** Takes the lock if it is free. */
export function tryLock(addr: usize): bool {
  if (atomic.cmpxchg<u32>(addr, 0, myIndex + 1) != 0) return false;
  hold(addr);
  return true;
}

export function unlock(addr: usize): void {
  release(addr);
  if (atomic.xchg<u32>(addr, 0) & WAITERS) atomic.notify(addr, 1);
}

function lockSlow(addr: usize, mine: u32): void {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<u32>(addr) == 0 && atomic.cmpxchg<u32>(addr, 0, mine) == 0) return;
  }
  const mayWait = load<u32>(ARENA_ROOT, ArenaRoot.shared) != 0;
  while (true) {
    const seen = atomic.load<u32>(addr);
    if (seen == 0) {
      if (atomic.cmpxchg<u32>(addr, 0, mine | WAITERS) == 0) return;
    } else if (seen & WAITERS || atomic.cmpxchg<u32>(addr, seen, seen | WAITERS) == seen) {
      if (mayWait) atomic.wait<u32>(addr, seen | WAITERS, 10_000_000);
    }
  }
}

// @ts-ignore: decorator
@inline
function hold(addr: usize): void {
  const n = load<u32>(me, ThreadBlock.heldCount);
  if (n < HELD_MAX) store<u32>(me + (<usize>n << 2), <u32>addr, ThreadBlock.held);
  store<u32>(me, n + 1, ThreadBlock.heldCount);
}

// @ts-ignore: decorator
@inline
function release(addr: usize): void {
  const n = load<u32>(me, ThreadBlock.heldCount) - 1;
  store<u32>(me, n, ThreadBlock.heldCount);
  if (n < HELD_MAX && load<u32>(me + (<usize>n << 2), ThreadBlock.held) != <u32>addr) releaseInner(addr, n);
}

/** Unlocked out of order: moves the last entry into the hole. */
function releaseInner(addr: usize, last: u32): void {
  for (let i: u32 = 0; i < last; i++) {
    if (load<u32>(me + (<usize>i << 2), ThreadBlock.held) == <u32>addr) {
      store<u32>(me + (<usize>i << 2), load<u32>(me + (<usize>last << 2), ThreadBlock.held), ThreadBlock.held);
      return;
    }
  }
}

/** Frees every lock that a dead thread (by index) holds; returns how many. Called by main. */
export function breakLocks(thread: u32): u32 {
  const block = THREAD_BLOCKS + <usize>thread * ThreadBlock.SIZE;
  const n = min<u32>(load<u32>(block, ThreadBlock.heldCount), HELD_MAX);
  let broken: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const addr = <usize>load<u32>(block + (<usize>i << 2), ThreadBlock.held);
    if ((atomic.load<u32>(addr) & ~WAITERS) != thread + 1) continue;
    atomic.store<u32>(addr, 0);
    atomic.notify(addr, 64);
    broken++;
  }
  store<u32>(block, 0, ThreadBlock.heldCount);
  return broken;
}
