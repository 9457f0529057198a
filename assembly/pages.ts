import { ArenaRoot } from './generated/arena-root';
import { PageDesc } from './generated/page-desc';
import { lock, unlock } from './lock';
import { ARENA_ROOT } from './thread';

/**
 * The page heap: runs of 64 KiB pages, best fit over free lists by length, neighbours coalesced at
 * once. Pages are numbers (address >>> 16), so that the end of a 4 GiB arena has one.
 */
// @ts-ignore: decorator
@inline export const PAGE_SHIFT: usize = 16;
// @ts-ignore: decorator
@inline export const PAGE_FREE: u32 = 1;
// @ts-ignore: decorator
@inline export const PAGE_SLAB: u32 = 2;
// @ts-ignore: decorator
@inline export const PAGE_BIG: u32 = 3;
// @ts-ignore: decorator
@inline export const PAGE_INSIDE: u32 = 4;
// @ts-ignore: decorator
@inline const BIN_LAST: u32 = 63;

// @ts-ignore: decorator
@inline
export function pageDesc(page: u32): usize {
  return <usize>load<u32>(ARENA_ROOT, ArenaRoot.pageTable) + <usize>page * PageDesc.SIZE;
}

// @ts-ignore: decorator
@inline
export function pageAddr(page: u32): usize {
  return <usize>page << PAGE_SHIFT;
}

// @ts-ignore: decorator
@inline
function binAddr(length: u32): usize {
  return ARENA_ROOT + ArenaRoot.pageBins + (<usize>min<u32>(length, BIN_LAST) << 2);
}

/** Lays out the page table after `at` and makes all the rest one free run; main, once. */
export function pagesInit(at: usize, pageEnd: u32): void {
  store<u32>(ARENA_ROOT, <u32>at, ArenaRoot.pageTable);
  const first = <u32>((at + <usize>pageEnd * PageDesc.SIZE + 65535) >> PAGE_SHIFT);
  store<u32>(ARENA_ROOT, first, ArenaRoot.pageFirst);
  store<u32>(ARENA_ROOT, pageEnd, ArenaRoot.pageEnd);
  store<u32>(ARENA_ROOT, first, ArenaRoot.pagesFresh);
  runPush(first, pageEnd - first);
}

function runPush(page: u32, length: u32): void {
  const desc = pageDesc(page);
  const last = pageDesc(page + length - 1);
  store<u32>(last, PAGE_FREE, PageDesc.kind);
  store<u32>(last, length, PageDesc.length);
  store<u32>(desc, PAGE_FREE, PageDesc.kind);
  store<u32>(desc, length, PageDesc.length);
  const bin = binAddr(length);
  const next = load<u32>(bin);
  store<u32>(desc, 0, PageDesc.prev);
  store<u32>(desc, next, PageDesc.next);
  if (next != 0) store<u32>(pageDesc(next), page, PageDesc.prev);
  store<u32>(bin, page);
}

function runRemove(page: u32): void {
  const desc = pageDesc(page);
  const prev = load<u32>(desc, PageDesc.prev);
  const next = load<u32>(desc, PageDesc.next);
  if (prev == 0) store<u32>(binAddr(load<u32>(desc, PageDesc.length)), next);
  else store<u32>(pageDesc(prev), next, PageDesc.next);
  if (next != 0) store<u32>(pageDesc(next), prev, PageDesc.prev);
  store<u32>(desc, PAGE_INSIDE, PageDesc.kind);
  store<u32>(pageDesc(page + load<u32>(desc, PageDesc.length) - 1), PAGE_INSIDE, PageDesc.kind);
}

/** The smallest free run of at least `length` pages, 0 when there is none. */
function runFind(length: u32): u32 {
  for (let bin = min<u32>(length, BIN_LAST); bin < BIN_LAST; bin++) {
    const page = load<u32>(binAddr(bin));
    if (page != 0) return page;
  }
  let best: u32 = 0;
  let bestLength: u32 = 0xffff_ffff;
  for (let page = load<u32>(binAddr(BIN_LAST)); page != 0; page = load<u32>(pageDesc(page), PageDesc.next)) {
    const n = load<u32>(pageDesc(page), PageDesc.length);
    if (n >= length && n < bestLength) {
      best = page;
      bestLength = n;
    }
  }
  return best;
}

/**
 * A run of `length` pages for `kind`, 0 when there is none (counted). Its contents are unknown up to
 * the page in `carved`, zero from there on.
 */
export function pagesAlloc(length: u32, kind: u32): u32 {
  lock(ARENA_ROOT + ArenaRoot.pageLock);
  const page = runFind(length);
  if (page == 0) {
    unlock(ARENA_ROOT + ArenaRoot.pageLock);
    atomic.add<u32>(ARENA_ROOT + ArenaRoot.failedAllocs, 1);
    return 0;
  }
  runRemove(page);
  const desc = pageDesc(page);
  const have = load<u32>(desc, PageDesc.length);
  if (have > length) runPush(page + length, have - length);
  store<u32>(desc, kind, PageDesc.kind);
  store<u32>(desc, length, PageDesc.length);
  if (length > 1) store<u32>(pageDesc(page + length - 1), PAGE_INSIDE, PageDesc.kind);
  const fresh = load<u32>(ARENA_ROOT, ArenaRoot.pagesFresh);
  store<u32>(desc, max<u32>(page, min<u32>(fresh, page + length)), PageDesc.carved);
  if (page + length > fresh) store<u32>(ARENA_ROOT, page + length, ArenaRoot.pagesFresh);
  const used = load<u32>(ARENA_ROOT, ArenaRoot.pagesUsed) + length;
  store<u32>(ARENA_ROOT, used, ArenaRoot.pagesUsed);
  if (used > load<u32>(ARENA_ROOT, ArenaRoot.pagesPeak)) store<u32>(ARENA_ROOT, used, ArenaRoot.pagesPeak);
  unlock(ARENA_ROOT + ArenaRoot.pageLock);
  return page;
}

/** Gives back the run that starts at `page`. */
export function pagesFree(page: u32): void {
  lock(ARENA_ROOT + ArenaRoot.pageLock);
  let start = page;
  let length = load<u32>(pageDesc(page), PageDesc.length);
  store<u32>(ARENA_ROOT, load<u32>(ARENA_ROOT, ArenaRoot.pagesUsed) - length, ArenaRoot.pagesUsed);
  const after = page + length;
  if (after < load<u32>(ARENA_ROOT, ArenaRoot.pageEnd) && load<u32>(pageDesc(after), PageDesc.kind) == PAGE_FREE) {
    runRemove(after);
    length += load<u32>(pageDesc(after), PageDesc.length);
  }
  const before = page - 1;
  if (before >= load<u32>(ARENA_ROOT, ArenaRoot.pageFirst) && load<u32>(pageDesc(before), PageDesc.kind) == PAGE_FREE) {
    start = page - load<u32>(pageDesc(before), PageDesc.length);
    runRemove(start);
    length += load<u32>(pageDesc(start), PageDesc.length);
  }
  store<u32>(pageDesc(page), PAGE_INSIDE, PageDesc.kind);
  runPush(start, length);
  unlock(ARENA_ROOT + ArenaRoot.pageLock);
}
