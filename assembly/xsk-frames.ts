import { ThreadBlock } from './generated/thread-block';
import { Umem } from './generated/umem';
import { Xsk } from './generated/xsk';
import { XskCache } from './generated/xsk-cache';
import { lock, unlock } from './lock';
import { alloc, free } from './memory';
import { THREAD_LIVE, me, myIndex, threadBlock } from './thread';

/**
 * Frames of AF_XDP ports: a pool for all threads, a cache for each, and a word a frame that says who has
 * it (src/netdev/xsk.layout.ts). A frame goes from pool to cache to a fill ring, comes back in a burst,
 * may be put on a transmit ring as it is, and returns to a cache once neither the kernel nor the burst has it.
 */
// @ts-ignore: decorator
@inline export const NO_FRAME: u32 = 0xffff_ffff;
// @ts-ignore: decorator
@inline const CACHE_MAX: u32 = 256;
/** Frames that move between pool and cache at once. */
// @ts-ignore: decorator
@inline const CACHE_STEP: u32 = 128;
// @ts-ignore: decorator
@inline const OWNER: u32 = 0xffff;
// @ts-ignore: decorator
@inline const HELD: u32 = 0x1_0000;
// @ts-ignore: decorator
@inline const THREAD_SHIFT: u32 = 17;
// @ts-ignore: decorator
@inline const GENERATION_SHIFT: u32 = 23;

// @ts-ignore: decorator
@inline
function frameWord(umem: usize, frame: u32): usize {
  return <usize>load<u32>(umem, Umem.words) + (<usize>frame << 2);
}

/** The word of a frame that the calling thread holds and no socket has. */
// @ts-ignore: decorator
@inline
export function heldWord(): u32 {
  return HELD | (myIndex << THREAD_SHIFT) | (load<u32>(me, ThreadBlock.generation) << GENERATION_SHIFT);
}

/**
 * A UMEM of `frames` frames of `1 << shift` bytes in `block`, whose first page boundary is `base`; all are
 * free. 0 = arena full. The block goes with the UMEM.
 */
export function umemCreate(block: usize, base: usize, frames: u32, shift: u32): usize {
  const umem = alloc(<u32>Umem.SIZE);
  const words = alloc(frames << 2);
  const stack = alloc(frames << 2);
  if (umem == 0 || words == 0 || stack == 0) {
    free(umem);
    free(words);
    free(stack);
    return 0;
  }
  store<u32>(umem, <u32>base, Umem.base);
  store<u32>(umem, <u32>base + (frames << shift), Umem.end);
  store<u32>(umem, shift, Umem.shift);
  store<u32>(umem, frames, Umem.frames);
  store<u32>(umem, <u32>words, Umem.words);
  store<u32>(umem, <u32>stack, Umem.stack);
  store<u32>(umem, <u32>block, Umem.block);
  store<u32>(umem, frames, Umem.free);
  for (let i: u32 = 0; i < frames; i++) store<u32>(stack + (<usize>i << 2), frames - 1 - i);
  return umem;
}

/** Frees a UMEM that no socket and no thread uses any more. */
export function umemDestroy(umem: usize): void {
  for (let cache = <usize>load<u32>(umem, Umem.caches); cache != 0;) {
    const next = <usize>load<u32>(cache, XskCache.next);
    free(cache);
    cache = next;
  }
  free(<usize>load<u32>(umem, Umem.words));
  free(<usize>load<u32>(umem, Umem.stack));
  free(<usize>load<u32>(umem, Umem.block));
  free(umem);
}

/** The calling thread's cache, made at its first port. 0 = arena full. Each call needs an umemCacheRelease. */
export function umemCacheAcquire(umem: usize): usize {
  umemReclaim(umem);
  lock(umem + Umem.lock);
  let cache = <usize>load<u32>(umem, Umem.caches);
  while (cache != 0 && load<u32>(cache, XskCache.thread) != myIndex) cache = <usize>load<u32>(cache, XskCache.next);
  if (cache == 0) {
    cache = alloc(<u32>XskCache.SIZE + (CACHE_MAX << 2));
    if (cache != 0) {
      store<u32>(cache, <u32>umem, XskCache.umem);
      store<u32>(cache, myIndex, XskCache.thread);
      store<u32>(cache, load<u32>(me, ThreadBlock.generation), XskCache.generation);
      store<u32>(cache, load<u32>(umem, Umem.caches), XskCache.next);
      store<u32>(umem, <u32>cache, Umem.caches);
    }
  }
  if (cache != 0) store<u32>(cache, load<u32>(cache, XskCache.users) + 1, XskCache.users);
  unlock(umem + Umem.lock);
  return cache;
}

/** Its thread has one port less; with the last the frames go back to the pool. */
export function umemCacheRelease(cache: usize): void {
  const umem = <usize>load<u32>(cache, XskCache.umem);
  lock(umem + Umem.lock);
  const users = load<u32>(cache, XskCache.users) - 1;
  store<u32>(cache, users, XskCache.users);
  if (users == 0) dropCache(umem, cache);
  unlock(umem + Umem.lock);
}

/** Under the lock: frames to the pool, cache out of the list and freed. */
function dropCache(umem: usize, cache: usize): void {
  spill(umem, cache, load<u32>(cache, XskCache.count));
  let at = umem + Umem.caches;
  while (<usize>load<u32>(at) != cache) at = <usize>load<u32>(at) + XskCache.next;
  store<u32>(at, load<u32>(cache, XskCache.next));
  free(cache);
}

function spill(umem: usize, cache: usize, n: u32): void {
  const count = load<u32>(cache, XskCache.count) - n;
  const at = load<u32>(umem, Umem.free);
  const stack = <usize>load<u32>(umem, Umem.stack);
  memory.copy(stack + (<usize>at << 2), cache + XskCache.SIZE + (<usize>count << 2), n << 2);
  store<u32>(umem, at + n, Umem.free);
  store<u32>(cache, count, XskCache.count);
}

/** A free frame, or NO_FRAME. */
// @ts-ignore: decorator
@inline
export function frameGet(cache: usize): u32 {
  let count = load<u32>(cache, XskCache.count);
  if (count == 0) {
    count = cacheFill(cache);
    if (count == 0) return NO_FRAME;
  }
  store<u32>(cache, --count, XskCache.count);
  return load<u32>(cache + XskCache.SIZE + (<usize>count << 2));
}

function cacheFill(cache: usize): u32 {
  const umem = <usize>load<u32>(cache, XskCache.umem);
  lock(umem + Umem.lock);
  const pool = load<u32>(umem, Umem.free);
  const n = min<u32>(pool, CACHE_STEP);
  const stack = <usize>load<u32>(umem, Umem.stack);
  memory.copy(cache + XskCache.SIZE, stack + (<usize>(pool - n) << 2), n << 2);
  store<u32>(umem, pool - n, Umem.free);
  if (n == 0) store<u32>(umem, load<u32>(umem, Umem.starved) + 1, Umem.starved);
  unlock(umem + Umem.lock);
  store<u32>(cache, n, XskCache.count);
  return n;
}

/** Gives a frame back whose word is 0. */
// @ts-ignore: decorator
@inline
function framePut(cache: usize, frame: u32): void {
  let count = load<u32>(cache, XskCache.count);
  if (count == CACHE_MAX) {
    const umem = <usize>load<u32>(cache, XskCache.umem);
    lock(umem + Umem.lock);
    spill(umem, cache, CACHE_STEP);
    unlock(umem + Umem.lock);
    count -= CACHE_STEP;
  }
  store<u32>(cache + XskCache.SIZE + (<usize>count << 2), frame);
  store<u32>(cache, count + 1, XskCache.count);
}

/** A socket takes a frame that nobody else has. */
// @ts-ignore: decorator
@inline
export function frameOwn(umem: usize, frame: u32, word: u32): void {
  store<u32>(frameWord(umem, frame), word);
}

/** The burst of the calling thread is done with the frame: it is free unless a socket sends it. */
// @ts-ignore: decorator
@inline
export function frameRelease(umem: usize, cache: usize, frame: u32): void {
  const at = frameWord(umem, frame);
  if ((load<u32>(at) & OWNER) != 0) {
    if ((atomic.and<u32>(at, OWNER) & OWNER) != 0) return;
  } else {
    store<u32>(at, 0);
  }
  framePut(cache, frame);
}

/** The kernel has sent the frame: it is free unless the burst that it came with still holds it. */
// @ts-ignore: decorator
@inline
export function frameCompleted(umem: usize, cache: usize, frame: u32): void {
  const at = frameWord(umem, frame);
  if ((load<u32>(at) & HELD) != 0) {
    if ((atomic.and<u32>(at, ~OWNER) & HELD) != 0) return;
  } else {
    store<u32>(at, 0);
  }
  framePut(cache, frame);
}

/** Whether the caller holds the frame and no socket has it, so that it may be sent as it is. */
// @ts-ignore: decorator
@inline
export function frameIsMine(umem: usize, frame: u32, held: u32): bool {
  return load<u32>(frameWord(umem, frame)) == held;
}

/** Main, after a socket was closed: frees the frames that it or the kernel had. Returns how many. */
export function umemSweep(umem: usize, id: u32): u32 {
  let swept: u32 = 0;
  lock(umem + Umem.lock);
  for (let frame: u32 = 0; frame < load<u32>(umem, Umem.frames); frame++) {
    const at = frameWord(umem, frame);
    if ((load<u32>(at) & OWNER) != id) continue;
    swept++;
    if ((atomic.and<u32>(at, ~OWNER) & HELD) == 0) poolPut(umem, frame);
  }
  unlock(umem + Umem.lock);
  return swept;
}

/** Under the lock. */
function poolPut(umem: usize, frame: u32): void {
  const at = load<u32>(umem, Umem.free);
  store<u32>(<usize>load<u32>(umem, Umem.stack) + (<usize>at << 2), frame);
  store<u32>(umem, at + 1, Umem.free);
}

// @ts-ignore: decorator
@inline
function isGone(thread: u32, generation: u32, mask: u32): bool {
  const block = threadBlock(thread);
  if (atomic.load<u32>(block + ThreadBlock.state) != THREAD_LIVE) return true;
  return ((load<u32>(block, ThreadBlock.generation) ^ generation) & mask) != 0;
}

/** Takes over the frames of threads that died: their caches and what they held. Returns how many. */
export function umemReclaim(umem: usize): u32 {
  let found: u32 = 0;
  lock(umem + Umem.lock);
  let cache = <usize>load<u32>(umem, Umem.caches);
  let hasDead = false;
  while (cache != 0) {
    const next = <usize>load<u32>(cache, XskCache.next);
    if (isGone(load<u32>(cache, XskCache.thread), load<u32>(cache, XskCache.generation), 0xffff_ffff)) {
      found += load<u32>(cache, XskCache.count);
      dropCache(umem, cache);
      hasDead = true;
    }
    cache = next;
  }
  for (let frame: u32 = 0; hasDead && frame < load<u32>(umem, Umem.frames); frame++) {
    const at = frameWord(umem, frame);
    const word = load<u32>(at);
    if ((word & HELD) == 0 || !isGone((word >> THREAD_SHIFT) & 63, word >> GENERATION_SHIFT, 511)) continue;
    found++;
    if ((atomic.and<u32>(at, OWNER) & OWNER) == 0) poolPut(umem, frame);
  }
  unlock(umem + Umem.lock);
  return found;
}

/**
 * Frames that are nowhere: free by their word, but in no pool and no cache. 0 while no thread moves frames;
 * a moment's reading while some do.
 */
export function umemLost(umem: usize): i32 {
  lock(umem + Umem.lock);
  const frames = load<u32>(umem, Umem.frames);
  let known = load<u32>(umem, Umem.free);
  for (let cache = <usize>load<u32>(umem, Umem.caches); cache != 0; cache = <usize>load<u32>(cache, XskCache.next)) {
    known += load<u32>(cache, XskCache.count);
  }
  for (let frame: u32 = 0; frame < frames; frame++) {
    if (atomic.load<u32>(frameWord(umem, frame)) != 0) known++;
  }
  unlock(umem + Umem.lock);
  return <i32>frames - <i32>known;
}

/** Frames whose word names the socket: in its rings or with the kernel. */
export function umemOwned(umem: usize, id: u32): u32 {
  let n: u32 = 0;
  for (let frame: u32 = 0; frame < load<u32>(umem, Umem.frames); frame++) {
    if ((atomic.load<u32>(frameWord(umem, frame)) & OWNER) == id) n++;
  }
  return n;
}

/** Takes what the kernel has sent off the completion ring. The caller has the socket's txLock. */
export function xskReap(xsk: usize, cache: usize): u32 {
  const at = <usize>load<u32>(xsk, Xsk.compConsumer);
  const consumer = load<u32>(at);
  const n = atomic.load<u32>(<usize>load<u32>(xsk, Xsk.compProducer)) - consumer;
  if (n == 0) return 0;
  const umem = <usize>load<u32>(xsk, Xsk.umem);
  const shift = load<u32>(umem, Umem.shift);
  const mask = load<u32>(xsk, Xsk.compMask);
  const descs = <usize>load<u32>(xsk, Xsk.compDescs);
  for (let i: u32 = 0; i < n; i++) {
    const address = load<u32>(descs + (<usize>((consumer + i) & mask) << 3));
    frameCompleted(umem, cache, address >> shift);
  }
  atomic.store<u32>(at, consumer + n);
  return n;
}
