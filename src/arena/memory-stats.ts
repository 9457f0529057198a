import { ARENA_ROOT, THREAD_BLOCKS } from './arena.layout.ts';
import type { Core } from './core.ts';
import {
  arenaRootBadFrees,
  arenaRootFailedAllocs,
  ArenaRootLayout,
  arenaRootPageEnd,
  arenaRootPageFirst,
  arenaRootPagesPeak,
  arenaRootPagesUsed,
  arenaRootThreadCount,
} from './generated/arena-root.ts';
import { SizeClassLayout, sizeClassSlabs, sizeClassStride } from './generated/size-class.ts';
import { ThreadBlockLayout, threadBlockLimboCount } from './generated/thread-block.ts';

const PAGE_BYTES = 65536;
const CLASS_COUNT = 39;
const CLASS_BIG = 39;

interface SizeClassStats {
  /** Bytes of a block with its header. */
  readonly strideBytes: number;
  readonly blocksInUse: number;
  /** Pages of this class. */
  readonly pages: number;
}

/** What `memory/show` tells of the arena. Counts of other threads may be a moment old. */
export interface MemoryStats {
  readonly totalBytes: number;
  /** In pages handed out: what is not left for others. */
  readonly usedBytes: number;
  readonly peakBytes: number;
  /** In live blocks; the rest of `usedBytes` is free within pages. */
  readonly blockBytes: number;
  readonly blocksInUse: number;
  readonly bigBlocks: number;
  /** Blocks waiting for quiescence. */
  readonly limboBlocks: number;
  readonly badFrees: number;
  readonly failedAllocs: number;
  readonly classes: readonly SizeClassStats[];
}

/** Blocks of all threads that wait for quiescence. */
export function limboBlocks(core: Core): number {
  const threads = arenaRootThreadCount(core.dv, ARENA_ROOT);
  let blocks = 0;
  for (let t = 0; t < threads; t++)
    blocks += threadBlockLimboCount(core.dv, THREAD_BLOCKS + t * ThreadBlockLayout.size);
  return blocks;
}

export function memoryStats(core: Core): MemoryStats {
  const { dv } = core;
  const threads = arenaRootThreadCount(dv, ARENA_ROOT);
  const inUse = new Array<number>(CLASS_COUNT + 1).fill(0);
  for (let t = 0; t < threads; t++) {
    const block = THREAD_BLOCKS + t * ThreadBlockLayout.size;
    // A thread's count may be negative: it freed what others allocated.
    for (let c = 0; c <= CLASS_COUNT; c++)
      inUse[c] = (inUse[c] ?? 0) + dv.getInt32(block + ThreadBlockLayout.inUse + c * 4, true);
  }
  const classes: SizeClassStats[] = [];
  let slabPages = 0;
  let blockBytes = 0;
  let blocksInUse = 0;
  for (let c = 0; c < CLASS_COUNT; c++) {
    const at = ARENA_ROOT + ArenaRootLayout.classes + c * SizeClassLayout.size;
    const blocks = inUse[c] ?? 0;
    const strideBytes = sizeClassStride(dv, at);
    const pages = sizeClassSlabs(dv, at);
    classes.push({ strideBytes, blocksInUse: blocks, pages });
    slabPages += pages;
    blocksInUse += blocks;
    blockBytes += blocks * strideBytes;
  }
  const bigBlocks = inUse[CLASS_BIG] ?? 0;
  const usedPages = arenaRootPagesUsed(dv, ARENA_ROOT);
  return {
    totalBytes: (arenaRootPageEnd(dv, ARENA_ROOT) - arenaRootPageFirst(dv, ARENA_ROOT)) * PAGE_BYTES,
    usedBytes: usedPages * PAGE_BYTES,
    peakBytes: arenaRootPagesPeak(dv, ARENA_ROOT) * PAGE_BYTES,
    blockBytes: blockBytes + (usedPages - slabPages) * PAGE_BYTES,
    blocksInUse: blocksInUse + bigBlocks,
    bigBlocks,
    limboBlocks: limboBlocks(core),
    badFrees: arenaRootBadFrees(dv, ARENA_ROOT),
    failedAllocs: arenaRootFailedAllocs(dv, ARENA_ROOT),
    classes,
  };
}
