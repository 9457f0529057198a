import { addressOf, libc } from './libc.ts';
import { check } from './errno.ts';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
export const MAP_POPULATE = 0x8000;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;
export const MADV_DONTFORK = 10;

/** Address of byte 0 of a WebAssembly memory; the same in every thread, for it never grows. */
export function memoryAddress(memory: { readonly buffer: ArrayBufferLike }): number {
  return addressOf(new Uint8Array(memory.buffer));
}

/** @throws SystemError */
export function mmap(address: number, size: number, prot: number, flags: number, fd: number, offset: number): number {
  return check(libc.mmap(address, size, prot, flags, fd, offset), 'mmap');
}

/**
 * `--mlockall`: pages stay in memory once they are touched, now and later. Without "on fault" all of the
 * address space that V8 reserves would become resident. @throws SystemError
 */
export function lockAllMemory(): void {
  check(libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT), 'mlockall');
}

/** Gives the pages of a range inside a memory back and leaves zeroes: never a hole. @throws SystemError */
export function mapAnonymousOver(address: number, size: number): void {
  mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/** Advice is only that: returns whether the kernel took it. */
export function madvise(address: number, size: number, advice: number): boolean {
  return libc.madvise(address, size, advice) === 0;
}
