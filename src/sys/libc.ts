import { createRequire } from 'node:module';

type Koffi = (typeof import('koffi'))['default'];

/**
 * The C library over FFI: every call that this project makes is declared here and nowhere else.
 *
 * Two kinds of pointer arguments: `void *` takes a typed array, a bigint address or null (cold
 * calls); `uintptr_t` takes a number and costs least (packet path, arena addresses). Results are the
 * raw C results, -1 on error; `errno()` must be read before anything else is called. `check` turns
 * -1 into a SystemError. All of it may be called from any thread.
 *
 * koffi is loaded, and a function bound, when first used: most runs of the tools call none.
 */
let $koffi: Koffi | undefined;
let $library: ReturnType<Koffi['load']> | undefined;

function koffi(): Koffi {
  $koffi ??= createRequire(import.meta.url)('koffi') as Koffi;
  return $koffi;
}

export type Pointer = NodeJS.ArrayBufferView | bigint | null;

const $definitions = new Map<unknown, string>();

/** A place to be taken by the function; the C declaration says what `F` must say. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- a cast with the type in front reads best here
function fn<F extends (...args: never[]) => unknown>(definition: string): F {
  const place = (() => undefined) as unknown as F;
  $definitions.set(place, definition);
  return place;
}

export const libc = {
  socket: fn<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)'),
  bind: fn<(fd: number, address: Pointer, length: number) => number>('int bind(int, void *, uint32_t)'),
  setsockopt: fn<(fd: number, level: number, name: number, value: Pointer, length: number) => number>(
    'int setsockopt(int, int, int, void *, uint32_t)',
  ),
  getsockopt: fn<(fd: number, level: number, name: number, value: Pointer, length: Pointer) => number>(
    'int getsockopt(int, int, int, void *, void *)',
  ),
  sendto: fn<
    (fd: number, data: Pointer, size: number, flags: number, address: Pointer, length: number) => number
  >('long sendto(int, void *, size_t, int, void *, uint32_t)'),
  recv: fn<(fd: number, data: Pointer, size: number, flags: number) => number>(
    'long recv(int, void *, size_t, int)',
  ),
  recvmmsg: fn<(fd: number, vector: number, count: number, flags: number, timeout: number) => number>(
    'int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)',
  ),
  sendmmsg: fn<(fd: number, vector: number, count: number, flags: number) => number>(
    'int sendmmsg(int, uintptr_t, uint32_t, int)',
  ),
  readv: fn<(fd: number, iov: number, count: number) => number>('long readv(int, uintptr_t, int)'),
  writev: fn<(fd: number, iov: number, count: number) => number>('long writev(int, uintptr_t, int)'),
  read: fn<(fd: number, data: Pointer, size: number) => number>('long read(int, void *, size_t)'),
  write: fn<(fd: number, data: Pointer, size: number) => number>('long write(int, void *, size_t)'),
  close: fn<(fd: number) => number>('int close(int)'),
  dup2: fn<(from: number, to: number) => number>('int dup2(int, int)'),
  open: fn<(path: string, flags: number, mode: number) => number>('int open(const char *, int, uint32_t)'),
  fcntl: fn<(fd: number, command: number, argument: Pointer) => number>('int fcntl(int, int, void *)'),
  ioctl: fn<(fd: number, request: number, argument: Pointer) => number>(
    'int ioctl(int, unsigned long, void *)',
  ),
  poll: fn<(fds: Pointer, count: number, timeoutMs: number) => number>(
    'int poll(void *, unsigned long, int)',
  ),
  eventfd: fn<(initial: number, flags: number) => number>('int eventfd(uint32_t, int)'),
  prctl: fn<(option: number, argument: Pointer, c: number, d: number, e: number) => number>(
    'int prctl(int, void *, unsigned long, unsigned long, unsigned long)',
  ),
  schedSetaffinity: fn<(tid: number, size: number, mask: Pointer) => number>(
    'int sched_setaffinity(int, size_t, void *)',
  ),
  schedGetaffinity: fn<(tid: number, size: number, mask: Pointer) => number>(
    'int sched_getaffinity(int, size_t, void *)',
  ),
  /** gettid(2) and mlock2(2) by number: not every C library has them. */
  syscall: fn<(number: number, a: number, b: number, c: number) => number>(
    'long syscall(long, long, long, long)',
  ),
  mmap: fn<
    (address: number, size: number, prot: number, flags: number, fd: number, offset: number) => number
  >('intptr_t mmap(uintptr_t, size_t, int, int, int, intptr_t)'),
  madvise: fn<(address: number, size: number, advice: number) => number>(
    'int madvise(uintptr_t, size_t, int)',
  ),
  capget: fn<(header: Pointer, data: Pointer) => number>('int capget(void *, void *)'),
  capset: fn<(header: Pointer, data: Pointer) => number>('int capset(void *, void *)'),
  strerror: fn<(errno: number) => string>('const char *strerror(int)'),
  strsignal: fn<(signal: number) => string>('const char *strsignal(int)'),
};

for (const [name, place] of Object.entries(libc)) {
  const bind = (): unknown => {
    $library ??= koffi().load('libc.so.6');
    const value: unknown = $library.func($definitions.get(place) ?? '');
    Object.defineProperty(libc, name, { value, enumerable: true });
    return value;
  };
  Object.defineProperty(libc, name, { get: bind, enumerable: true, configurable: true });
}

/** The calling thread's errno, as the last failed call left it. */
export function errno(): number {
  return koffi().errno();
}

/** Address of a typed array's first byte. The array must stay referenced while C holds it. */
export function addressOf(view: NodeJS.ArrayBufferView): number {
  return Number(koffi().address(view));
}

/** Watches under way: koffi ends one whose handle is garbage. */
const $watches = new Set<unknown>();

/** Watches a descriptor from the event loop; `stop` must be called before the descriptor is closed. */
export function watchReadable(fd: number, onReadable: () => void): { stop(): void; unref(): void } {
  const handle = koffi().node.poll(fd, { readable: true }, onReadable);
  $watches.add(handle);
  return {
    stop: () => {
      if (!$watches.delete(handle)) return;
      handle.stop();
    },
    unref: () => {
      handle.unref();
    },
  };
}
