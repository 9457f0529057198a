import { check } from './errno.ts';
import { libc } from './libc.ts';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const $one = new BigUint64Array([1n]);
const $sink = new BigUint64Array(1);

/** Makes a non-blocking eventfd; close it with `closeFd`. @throws SystemError */
export function createEventFd(): number {
  return check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd');
}

/** Makes the descriptor readable: wakes whoever polls it. Any thread; -1 is ignored. */
export function signalEventFd(fd: number): void {
  if (fd >= 0) libc.write(fd, $one, 8);
}

/** Takes back earlier signals. */
export function drainEventFd(fd: number): void {
  if (fd >= 0) libc.read(fd, $sink, 8);
}

export function closeFd(fd: number): void {
  if (fd >= 0) libc.close(fd);
}
