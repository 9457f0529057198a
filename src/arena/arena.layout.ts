import type { LayoutSpec } from '../util/layout.ts';

/**
 * The root of the arena, at ARENA_ROOT, and the blocks of its threads.
 *
 * Memory map: [0, 64 KiB) unused (0 is the null address), the root, THREAD_MAX thread blocks, the
 * page descriptors, then the heap: 64 KiB pages up to the end of memory.
 */
const arenaRootLayout = {
  name: 'arena-root',
  size: 4096,
  source: 'megaflow',
  fields: {
    magic: { at: 0, type: 'u32', doc: 'ARENA_MAGIC once initialised.' },
    layoutHash: { at: 4, type: 'u32', doc: 'LAYOUT_HASH of the code that made it.' },
    sizeBytes: { at: 8, type: 'u32', doc: 'Bytes of the memory (0 = 4 GiB).' },
    shared: { at: 12, type: 'u32', doc: '1 when the memory is shared: threads may wait.' },
    timeStopped: { at: 16, type: 'u32', doc: '1 after time/stop: clocks read virtualMs.' },
    virtualMs: { at: 24, type: 'f64', doc: 'Virtual nowMs while timeStopped.' },
    tablesVersion: {
      at: 32,
      type: 'u64',
      doc: 'Version of all OpenFlow tables; +1 for each published change.',
    },
    configGeneration: { at: 40, type: 'u32', doc: 'Generation of the configuration snapshot.' },
    configPtr: { at: 44, type: 'ptr', doc: 'Snapshot bytes (UTF-8 JSON).' },
    configLength: { at: 48, type: 'u32', doc: 'Bytes of the snapshot.' },
    revalSeq: { at: 52, type: 'u32', doc: 'Grows when megaflows must be revalidated.' },
    dumpSeq: { at: 56, type: 'u32', doc: 'Grows when a revalidation round has ended.' },
    epoch: { at: 64, type: 'u64', doc: 'Global epoch, from 1 (epoch.ts).' },
    threadCount: { at: 72, type: 'u32', doc: 'Thread blocks ever used: no block above is in use.' },
    threadLock: { at: 76, type: 'u32', doc: 'Guards the states of thread blocks.' },
    orphans: {
      at: 80,
      type: 'u32',
      doc: 'Threads that ended with blocks in limbo; main takes these over when quiescent.',
    },
    pageLock: { at: 128, type: 'u32', doc: 'Guards the page heap.' },
    pageTable: { at: 132, type: 'ptr', doc: 'First page descriptor.' },
    pageFirst: { at: 136, type: 'u32', doc: 'First page of the heap.' },
    pageEnd: { at: 140, type: 'u32', doc: 'One past the last page.' },
    pagesUsed: { at: 144, type: 'u32', doc: 'Pages handed out.' },
    pagesPeak: { at: 148, type: 'u32', doc: 'Most pages ever handed out.' },
    badFrees: { at: 152, type: 'u32', doc: 'Calls of free() with an address that is no live block.' },
    failedAllocs: { at: 156, type: 'u32', doc: 'Calls of alloc() that returned 0.' },
    pagesFresh: {
      at: 124,
      type: 'u32',
      doc: 'First page that was never handed out: from here on memory is zero.',
    },
    wallOffsetMs: { at: 160, type: 'f64', doc: 'Time of day minus nowMs when time was stopped.' },
    udpif: { at: 168, type: 'ptr', doc: 'State shared by handlers and revalidators (ofproto/upcall).' },
    vlanLimit: {
      at: 172,
      type: 'u32',
      doc: 'VLAN tags that extraction takes off (other_config:vlan-limit): 0 or 1 = one, more = two.',
    },
    user: { at: 192, type: 'bytes', length: 64, doc: 'Roots of other layers, by agreement.' },
    pageBins: {
      at: 256,
      type: 'bytes',
      length: 256,
      doc: 'u32[64]: first free run by length in pages; last: all longer.',
    },
    classes: { at: 512, type: 'bytes', length: 1280, doc: 'size-class[40].' },
    hashConstants: {
      at: 2048,
      type: 'bytes',
      length: 2048,
      doc: 'u64[256]: random odd multipliers of the multilinear hash.',
    },
  },
} as const satisfies LayoutSpec;

/** One size class of the allocator; its slabs are single pages. */
const sizeClassLayout = {
  name: 'size-class',
  size: 32,
  source: 'megaflow',
  fields: {
    lock: { at: 0, type: 'u32', doc: 'Guards the slabs of this class.' },
    stride: { at: 4, type: 'u32', doc: 'Bytes from block to block, header included.' },
    partial: { at: 8, type: 'u32', doc: 'First page with a free block, 0 = none.' },
    slabs: { at: 12, type: 'u32', doc: 'Pages of this class.' },
    cacheMax: { at: 16, type: 'u32', doc: 'Most free blocks in a thread cache.' },
    perSlab: { at: 20, type: 'u32', doc: 'Blocks of a page.' },
  },
} as const satisfies LayoutSpec;

/** What the allocator knows of a 64 KiB page. */
const pageDescLayout = {
  name: 'page-desc',
  size: 32,
  source: 'megaflow',
  fields: {
    kind: { at: 0, type: 'u32', doc: 'PAGE_*: 0 no heap, 1 free, 2 slab, 3 big block, 4 inside of a run.' },
    length: { at: 4, type: 'u32', doc: 'Pages of the run (first and last page of a free run).' },
    sizeClass: { at: 8, type: 'u32', doc: 'Size class of a slab.' },
    freeHead: { at: 12, type: 'ptr', doc: 'First free block of a slab.' },
    freeCount: { at: 16, type: 'u32', doc: 'Free blocks of a slab, uncarved ones included.' },
    prev: { at: 20, type: 'u32', doc: 'Previous page in the list.' },
    next: { at: 24, type: 'u32', doc: 'Next page in the list, 0 = end.' },
    carved: {
      at: 28,
      type: 'u32',
      doc: 'Blocks of a slab that were ever handed out; of a big block, its first page that is known to be zero.',
    },
  },
} as const satisfies LayoutSpec;

/** Before each block. */
const blockHeaderLayout = {
  name: 'block-header',
  size: 16,
  source: 'megaflow',
  fields: {
    tag: { at: 0, type: 'u32', doc: 'BLOCK_MAGIC | state << 8 | size class (63 = big).' },
    generation: { at: 4, type: 'u32', doc: 'Grows when the block is freed.' },
    next: { at: 8, type: 'ptr', doc: 'Next block in a free list or in the limbo list.' },
    stamp: {
      at: 12,
      type: 'u32',
      doc: 'Low half of the epoch of deferFree; bytes of a big block while live.',
    },
  },
} as const satisfies LayoutSpec;

/** One thread; written by that thread except where told. */
const threadBlockLayout = {
  name: 'thread-block',
  size: 4096,
  source: 'megaflow',
  fields: {
    state: { at: 0, type: 'u32', doc: 'THREAD_*: 0 free, 1 live, 2 dead (its blocks not yet taken over).' },
    index: { at: 4, type: 'u32', doc: 'Index of the block; 0 = main.' },
    kind: { at: 8, type: 'u32', doc: "What it does: owner's choice." },
    generation: { at: 12, type: 'u32', doc: 'Grows when the block is taken by another thread.' },
    name: { at: 16, type: 'bytes', length: 32, doc: 'UTF-8 name, zero-padded.' },
    limboHead: { at: 48, type: 'ptr', doc: 'Oldest block waiting for quiescence.' },
    limboTail: { at: 52, type: 'ptr', doc: 'Newest block waiting.' },
    limboCount: { at: 56, type: 'u32', doc: 'Blocks waiting.' },
    heldCount: { at: 60, type: 'u32', doc: 'Locks held.' },
    epoch: { at: 64, type: 'u64', doc: 'Epoch of the last quiescent point, 0 = offline.' },
    stop: { at: 72, type: 'u32', doc: 'Main asks the thread to end (set by main).' },
    stopped: { at: 76, type: 'u32', doc: 'The thread has ended its steps.' },
    steps: { at: 80, type: 'u32', doc: 'Grows with each step: the supervisor sees that it lives.' },
    held: { at: 128, type: 'bytes', length: 64, doc: 'u32[16]: addresses of the locks held.' },
    caches: {
      at: 256,
      type: 'bytes',
      length: 320,
      doc: '{ptr head, u32 count}[40]: free blocks by size class.',
    },
    inUse: {
      at: 576,
      type: 'bytes',
      length: 160,
      doc: 'u32[40]: blocks allocated minus freed here, by size class (wraps).',
    },
    trieContexts: {
      at: 768,
      type: 'bytes',
      length: 96,
      doc: '{u32 done, u32 maskBits, u32 plens[4]} of 32 bytes each: scratch of a lookup.',
    },
    stageEnds: { at: 864, type: 'bytes', length: 16, doc: 'u32[4]: scratch of matchBuild.' },
    scratch: { at: 880, type: 'bytes', length: 80, doc: "Scratch of the classifier's writer side." },
    counters: { at: 1024, type: 'bytes', length: 3072, doc: 'u64[384]: named counters; survive the thread.' },
  },
} as const satisfies LayoutSpec;

export const ARENA_ROOT = 65536;
export const ARENA_MAGIC = 0x6d65_6761;
export const THREAD_BLOCKS = ARENA_ROOT + 4096;
export const arenaLayouts: readonly LayoutSpec[] = [
  arenaRootLayout,
  sizeClassLayout,
  pageDescLayout,
  blockHeaderLayout,
  threadBlockLayout,
];
