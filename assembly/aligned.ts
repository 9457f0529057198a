import { alloc, free } from './memory';

/**
 * Blocks that begin with a cache line, for arrays whose records are as long as a line or several: blocks of
 * `alloc` begin 16 bytes behind one, so that each record would touch a line more.
 *
 * The word in front of the block says where the allocator's block begins.
 */
// @ts-ignore: decorator
@inline const LINE: usize = 64;

/** A zeroed block of `size` bytes; 0 when memory is used up. */
export function alignedAlloc(size: u32): usize {
  const block = alloc(size + <u32>LINE + 4);
  if (block == 0) return 0;
  const aligned = (block + 4 + LINE - 1) & ~(LINE - 1);
  store<u32>(aligned - 4, <u32>block);
  return aligned;
}

export function alignedFree(aligned: usize): void {
  if (aligned != 0) free(load<u32>(aligned - 4));
}
