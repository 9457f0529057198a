import { addressOf, libc } from './libc.ts';
import { check } from './errno.ts';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
export const MAP_POPULATE = 0x8000;
const MLOCK_ONFAULT = 1;
const SYS_mlock2 = process.arch === 'arm64' ? 284 : 325;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;

/** Address of byte 0 of a WebAssembly memory; the same in every thread, for it never grows. */
export function memoryAddress(memory: { readonly buffer: ArrayBufferLike }): number {
  return addressOf(new Uint8Array(memory.buffer));
}

/** @throws SystemError */
export function mmap(
  address: number,
  size: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  return check(libc.mmap(address, size, prot, flags, fd, offset), 'mmap');
}

/**
 * Keeps the pages of a memory from being swapped out once they are touched, for `--mlockall`. Only
 * the arena: V8 gives pages of its heap back in a way that fails on locked ones, and dies. @throws SystemError
 */
export function lockMemory(memory: { readonly buffer: ArrayBufferLike }): void {
  check(libc.syscall(SYS_mlock2, memoryAddress(memory), memory.buffer.byteLength, MLOCK_ONFAULT), 'mlock2');
}

/** Gives the pages of a range inside a memory back and leaves zeroes: never a hole. @throws SystemError */
export function mapAnonymousOver(address: number, size: number): void {
  mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/** Advice is only that: returns whether the kernel took it. */
export function madvise(address: number, size: number, advice: number): boolean {
  return libc.madvise(address, size, advice) === 0;
}
