import { Key } from './generated/key';

/**
 * The bulk work of a translation (src/ofproto/translate) over whole keys. All addresses are of 768-byte
 * keys that the calling thread owns.
 */

/** Begins a translation: `flow` and `base` are the input, `base` without its tunnel; `wc` is empty. */
export function xlateStart(input: usize, flow: usize, base: usize, wc: usize): void {
  memory.copy(flow, input, Key.SIZE);
  memory.copy(base, input, Key.SIZE);
  memory.fill(base + Key.tunDst, 0, Key.regs - Key.tunDst);
  memory.fill(wc, 0, Key.SIZE);
}

/** Zeroes `n` bytes. */
export function zeroBytes(at: usize, n: u32): void {
  memory.fill(at, 0, n);
}

/** Whether mask `wc` has a bit that `mask` has not. */
export function maskHasExtra(wc: usize, mask: usize): bool {
  for (let i: usize = 0; i < Key.SIZE; i += 16) {
    if (v128.any_true(v128.andnot(v128.load(wc + i), v128.load(mask + i)))) return true;
  }
  return false;
}

/** Whether `n` bytes at two addresses are equal. */
export function bytesEqual(a: usize, b: usize, n: u32): bool {
  return memory.compare(a, b, n) == 0;
}
