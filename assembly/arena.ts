import { ArenaRoot } from './generated/arena-root';
import { LAYOUT_HASH } from './generated/layout-hash';
import { ThreadBlock } from './generated/thread-block';
import { classesInit } from './memory';
import { pagesInit } from './pages';
import { ARENA_ROOT, THREAD_BLOCKS, THREAD_MAX } from './thread';

// @ts-ignore: decorator
@inline const ARENA_MAGIC: u32 = 0x6d65_6761;

/**
 * Makes the arena in a memory of `pages` 64 KiB pages (fresh, zero). Once, by main, before any other
 * call. `seedLo`, `seedHi` make the hash constants: random per start, fixed in simulation.
 */
export function arenaInit(pages: u32, shared: bool, seedLo: u32, seedHi: u32): void {
  store<u32>(ARENA_ROOT, LAYOUT_HASH, ArenaRoot.layoutHash);
  store<u32>(ARENA_ROOT, pages << 16, ArenaRoot.sizeBytes);
  store<u32>(ARENA_ROOT, <u32>shared, ArenaRoot.shared);
  store<u64>(ARENA_ROOT, 1, ArenaRoot.epoch);
  let state = ((<u64>seedHi << 32) | <u64>seedLo) + 0x9e37_79b9_7f4a_7c15;
  for (let i: usize = 0; i < 256; i++) {
    // splitmix64
    state += 0x9e37_79b9_7f4a_7c15;
    let z = state;
    z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
    z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
    store<u64>(ARENA_ROOT + (i << 3), (z ^ (z >> 31)) | 1, ArenaRoot.hashConstants);
  }
  classesInit();
  pagesInit(THREAD_BLOCKS + <usize>THREAD_MAX * ThreadBlock.SIZE, pages);
  atomic.store<u32>(ARENA_ROOT + ArenaRoot.magic, ARENA_MAGIC);
}
