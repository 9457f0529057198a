import { ArenaRoot } from './generated/arena-root';
import { BlockHeader } from './generated/block-header';
import { SizeClass } from './generated/size-class';
import { ThreadBlock } from './generated/thread-block';
import { PageDesc } from './generated/page-desc';
import { lock, unlock } from './lock';
import { PAGE_BIG, PAGE_SHIFT, PAGE_SLAB, pageAddr, pageDesc, pagesAlloc, pagesFree } from './pages';
import { ARENA_ROOT, me } from './thread';

/**
 * Blocks: 16-byte aligned and zeroed, each after a 16-byte header with its size class, state and
 * generation. Up to 32 KiB they come from slabs (a 64 KiB page of equal blocks; four classes to the
 * doubling), above that from runs of pages.
 *
 * Each thread keeps a short list of free blocks by class, so that most calls take no lock; the rest
 * goes under the lock of the class. An empty slab goes back to the page heap. A bad or double free
 * is counted (root.badFrees) and ignored.
 */
// @ts-ignore: decorator
@inline const HEADER: usize = BlockHeader.SIZE;
// @ts-ignore: decorator
@inline const BLOCK_MAGIC: u32 = 0xa110_0000;
// @ts-ignore: decorator
@inline export const BLOCK_FREE: u32 = 0;
// @ts-ignore: decorator
@inline export const BLOCK_LIVE: u32 = 1;
// @ts-ignore: decorator
@inline export const BLOCK_DEFERRED: u32 = 2;
// @ts-ignore: decorator
@inline export const BLOCK_DEFERRED_RULE: u32 = 3;
// @ts-ignore: decorator
@inline const CLASS_COUNT: u32 = 39;
// @ts-ignore: decorator
@inline const CLASS_BIG: u32 = 39;
// @ts-ignore: decorator
@inline const SMALL_MAX: u32 = 32768;
/** Where a big block starts in its first page; its header is right before. */
// @ts-ignore: decorator
@inline const BIG_OFFSET: usize = 64;

// @ts-ignore: decorator
@inline
function classOf(need: u32): u32 {
  if (need <= 128) return need <= 32 ? 0 : ((need + 15) >> 4) - 2;
  const last = need - 1;
  const log = 31 - clz<u32>(last);
  return 7 + (log - 7) * 4 + ((last >> (log - 2)) & 3);
}

function strideOf(cls: u32): u32 {
  if (cls < 7) return (cls + 2) << 4;
  const log = 7 + ((cls - 7) >> 2);
  return (1 << log) + ((((cls - 7) & 3) + 1) << (log - 2));
}

// @ts-ignore: decorator
@inline
function classAddr(cls: u32): usize {
  return ARENA_ROOT + ArenaRoot.classes + <usize>cls * SizeClass.SIZE;
}

/** Fills in the table of size classes; main, once. */
export function classesInit(): void {
  for (let c: u32 = 0; c < CLASS_COUNT; c++) {
    const at = classAddr(c);
    const stride = strideOf(c);
    store<u32>(at, stride, SizeClass.stride);
    store<u32>(at, 65536 / stride, SizeClass.perSlab);
    store<u32>(at, stride >= 8192 ? 0 : min<u32>(64, 16384 / stride), SizeClass.cacheMax);
  }
}

// @ts-ignore: decorator
@inline
export function blockState(block: usize): u32 {
  const tag = load<u32>(block - HEADER);
  return (tag & 0xffff_0000) == BLOCK_MAGIC ? (tag >> 8) & 0xff : BLOCK_FREE;
}

// @ts-ignore: decorator
@inline
export function setBlockState(block: usize, state: u32): void {
  const tag = load<u32>(block - HEADER);
  store<u32>(block - HEADER, (tag & 0xffff_00ff) | (state << 8));
}

/** Grows each time the block at this address is freed: handle + generation tells a stale handle. */
export function blockGeneration(block: usize): u32 {
  return load<u32>(block - HEADER, BlockHeader.generation);
}

export function countBadFree(): void {
  atomic.add<u32>(ARENA_ROOT + ArenaRoot.badFrees, 1);
}

/** A zeroed block of at least `size` bytes, aligned to 16 (above 32 KiB to 64); 0 when the arena is full. */
export function alloc(size: u32): usize {
  if (size > SMALL_MAX - <u32>HEADER) return allocBig(size);
  const cls = classOf(size + <u32>HEADER);
  const cache = me + ThreadBlock.caches + (<usize>cls << 3);
  let block = <usize>load<u32>(cache);
  if (block == 0) {
    block = refill(cls, cache);
    if (block == 0) {
      // Blocks in the other caches may be all that keeps a page from being free.
      cachesFlushOf(me);
      block = refill(cls, cache);
      if (block == 0) return 0;
    }
  } else {
    store<u32>(cache, load<u32>(block - HEADER, BlockHeader.next));
    store<u32>(cache, load<u32>(cache, 4) - 1, 4);
  }
  store<u32>(block - HEADER, BLOCK_MAGIC | (BLOCK_LIVE << 8) | cls);
  countInUse(cls, 1);
  memory.fill(block, 0, (size + 15) & ~15);
  return block;
}

// @ts-ignore: decorator
@inline
function countInUse(cls: u32, delta: i32): void {
  const at = me + ThreadBlock.inUse + (<usize>cls << 2);
  store<u32>(at, load<u32>(at) + <u32>delta);
}

/** Takes a block from the slabs of the class, and some more for the cache. */
function refill(cls: u32, cache: usize): usize {
  const at = classAddr(cls);
  lock(at + SizeClass.lock);
  const block = slabTake(cls, at);
  let extra = block == 0 ? 0 : load<u32>(at, SizeClass.cacheMax) >> 1;
  let head: usize = 0;
  let count: u32 = 0;
  // Extras come from slabs that exist: an extra must not cost a page.
  while (extra-- > 0 && load<u32>(at, SizeClass.partial) != 0) {
    const more = slabTake(cls, at);
    store<u32>(more - HEADER, <u32>head, BlockHeader.next);
    head = more;
    count++;
  }
  unlock(at + SizeClass.lock);
  store<u32>(cache, <u32>head);
  store<u32>(cache, count, 4);
  return block;
}

/** One free block of the class (lock held), 0 when there is no page left. */
function slabTake(cls: u32, at: usize): usize {
  let page = load<u32>(at, SizeClass.partial);
  if (page == 0) {
    page = pagesAlloc(1, PAGE_SLAB);
    if (page == 0) return 0;
    const fresh = pageDesc(page);
    store<u32>(fresh, cls, PageDesc.sizeClass);
    store<u32>(fresh, 0, PageDesc.freeHead);
    store<u32>(fresh, load<u32>(at, SizeClass.perSlab), PageDesc.freeCount);
    store<u32>(fresh, 0, PageDesc.carved);
    store<u32>(at, load<u32>(at, SizeClass.slabs) + 1, SizeClass.slabs);
    partialPush(at, page);
  }
  const desc = pageDesc(page);
  let block = <usize>load<u32>(desc, PageDesc.freeHead);
  if (block != 0) {
    store<u32>(desc, load<u32>(block - HEADER, BlockHeader.next), PageDesc.freeHead);
  } else {
    const n = load<u32>(desc, PageDesc.carved);
    store<u32>(desc, n + 1, PageDesc.carved);
    block = pageAddr(page) + <usize>(n * load<u32>(at, SizeClass.stride)) + HEADER;
    store<u32>(block - HEADER, BLOCK_MAGIC | cls);
    store<u32>(block - HEADER, 0, BlockHeader.generation);
  }
  const left = load<u32>(desc, PageDesc.freeCount) - 1;
  store<u32>(desc, left, PageDesc.freeCount);
  if (left == 0) partialRemove(at, page);
  return block;
}

/** Gives a block back to its slab (lock held). */
function slabGive(at: usize, block: usize): void {
  const page = <u32>(block >> PAGE_SHIFT);
  const desc = pageDesc(page);
  store<u32>(block - HEADER, load<u32>(desc, PageDesc.freeHead), BlockHeader.next);
  store<u32>(desc, <u32>block, PageDesc.freeHead);
  const count = load<u32>(desc, PageDesc.freeCount) + 1;
  store<u32>(desc, count, PageDesc.freeCount);
  if (count == 1) partialPush(at, page);
  if (count == load<u32>(at, SizeClass.perSlab)) {
    partialRemove(at, page);
    store<u32>(at, load<u32>(at, SizeClass.slabs) - 1, SizeClass.slabs);
    pagesFree(page);
  }
}

function partialPush(at: usize, page: u32): void {
  const first = load<u32>(at, SizeClass.partial);
  store<u32>(pageDesc(page), 0, PageDesc.prev);
  store<u32>(pageDesc(page), first, PageDesc.next);
  if (first != 0) store<u32>(pageDesc(first), page, PageDesc.prev);
  store<u32>(at, page, SizeClass.partial);
}

function partialRemove(at: usize, page: u32): void {
  const prev = load<u32>(pageDesc(page), PageDesc.prev);
  const next = load<u32>(pageDesc(page), PageDesc.next);
  if (prev == 0) store<u32>(at, next, SizeClass.partial);
  else store<u32>(pageDesc(prev), next, PageDesc.next);
  if (next != 0) store<u32>(pageDesc(next), prev, PageDesc.prev);
}

/** Frees a block that nobody else can hold; see `deferFree` for what readers may hold. 0 is ignored. */
export function free(block: usize): void {
  if (block == 0) return;
  const page = <u32>(block >> PAGE_SHIFT);
  if (page < load<u32>(ARENA_ROOT, ArenaRoot.pageFirst) || page >= load<u32>(ARENA_ROOT, ArenaRoot.pageEnd) || block & 15) {
    countBadFree();
    return;
  }
  const desc = pageDesc(page);
  const tag = load<u32>(block - HEADER);
  const cls = tag & 0xff;
  const kind = load<u32>(desc, PageDesc.kind);
  const isOurs = kind == PAGE_SLAB ? cls == load<u32>(desc, PageDesc.sizeClass) : kind == PAGE_BIG && cls == CLASS_BIG;
  if (!isOurs || (tag & 0xffff_ff00) != (BLOCK_MAGIC | (BLOCK_LIVE << 8))) {
    countBadFree();
    return;
  }
  store<u32>(block - HEADER, BLOCK_MAGIC | cls);
  store<u32>(block - HEADER, load<u32>(block - HEADER, BlockHeader.generation) + 1, BlockHeader.generation);
  countInUse(cls, -1);
  if (kind == PAGE_BIG) {
    pagesFree(page);
    return;
  }
  const at = classAddr(cls);
  const cacheMax = load<u32>(at, SizeClass.cacheMax);
  if (cacheMax == 0) {
    lock(at + SizeClass.lock);
    slabGive(at, block);
    unlock(at + SizeClass.lock);
    return;
  }
  const cache = me + ThreadBlock.caches + (<usize>cls << 3);
  const count = load<u32>(cache, 4) + 1;
  store<u32>(block - HEADER, load<u32>(cache), BlockHeader.next);
  store<u32>(cache, <u32>block);
  store<u32>(cache, count, 4);
  if (count > cacheMax) cacheFlush(cls, cache, count >> 1);
}

/** Gives blocks of one cache back to the slabs until `keep` are left. */
function cacheFlush(cls: u32, cache: usize, keep: u32): void {
  const at = classAddr(cls);
  lock(at + SizeClass.lock);
  let block = <usize>load<u32>(cache);
  let count = load<u32>(cache, 4);
  while (count > keep && block != 0) {
    const next = <usize>load<u32>(block - HEADER, BlockHeader.next);
    slabGive(at, block);
    block = next;
    count--;
  }
  store<u32>(cache, <u32>block);
  store<u32>(cache, count, 4);
  unlock(at + SizeClass.lock);
}

/** Empties the caches of a thread block: of a thread that ends, or before giving up on memory. */
export function cachesFlushOf(thread: usize): void {
  for (let c: u32 = 0; c < CLASS_COUNT; c++) {
    const cache = thread + ThreadBlock.caches + (<usize>c << 3);
    if (load<u32>(cache) != 0) cacheFlush(c, cache, 0);
  }
}

/** As alloc, but what a block of more than 32 KiB holds is not cleared: for what is cleared piece by piece. */
export function allocDirty(size: u32): usize {
  return size > SMALL_MAX - <u32>HEADER ? allocPages(size) : alloc(size);
}

function allocBig(size: u32): usize {
  const block = allocPages(size);
  if (block == 0) return 0;
  const page = <u32>(block >> PAGE_SHIFT);
  const dirtyPages = load<u32>(pageDesc(page), PageDesc.carved) - page;
  if (dirtyPages != 0) memory.fill(block, 0, min<u32>(size, (dirtyPages << <u32>PAGE_SHIFT) - <u32>BIG_OFFSET));
  return block;
}

function allocPages(size: u32): usize {
  const pages = <u32>((<u64>size + BIG_OFFSET + 65535) >> PAGE_SHIFT);
  const page = pagesAlloc(pages, PAGE_BIG);
  if (page == 0) return 0;
  const block = pageAddr(page) + BIG_OFFSET;
  const header = block - HEADER;
  store<u32>(header, BLOCK_MAGIC | (BLOCK_LIVE << 8) | CLASS_BIG);
  store<u32>(header, size, BlockHeader.stamp);
  countInUse(CLASS_BIG, 1);
  return block;
}
