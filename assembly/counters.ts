/** Adds `n` (a whole number) to the 64-bit counter at `addr` (8-aligned), from any thread. */
export function counterAdd(addr: usize, n: f64): void {
  atomic.add<u64>(addr, <u64>n);
}
