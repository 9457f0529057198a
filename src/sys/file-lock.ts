import { errno, libc } from './libc.ts';
import { systemError } from './errno.ts';

const F_GETLK = 5;
const F_SETLK = 6;
const F_WRLCK = 1;
const F_UNLCK = 2;
const EACCES = 13;
const EAGAIN = 11;

/**
 * POSIX record locks, which the stock tools look at (pid files, `.conf.db.~lock~`).
 *
 * Trap: the lock goes when the process closes *any* descriptor of the file, so a locked file must
 * never be opened a second time by its owner.
 *
 * struct flock: s16 type | s16 whence | pad | s64 start | s64 length | s32 pid.
 */
function flock(type: number): DataView {
  const view = new DataView(new ArrayBuffer(32));
  view.setInt16(0, type, true);
  return view;
}

/**
 * Locks the whole file for this process without waiting.
 *
 * @returns 0 when locked, else the pid of the holder (-1 when it vanished meanwhile).
 * @throws SystemError for anything but a held lock.
 */
export function tryLockFile(fd: number): number {
  if (libc.fcntl(fd, F_SETLK, flock(F_WRLCK)) === 0) return 0;
  const error = errno();
  if (error !== EACCES && error !== EAGAIN) throw systemError(error, 'fcntl', 'failed to lock');
  return lockHolder(fd) || -1;
}

/** Pid of another process that holds a lock on the file, 0 when none does. */
export function lockHolder(fd: number): number {
  const lock = flock(F_WRLCK);
  if (libc.fcntl(fd, F_GETLK, lock) < 0) return 0;
  return lock.getInt16(0, true) === F_UNLCK ? 0 : lock.getInt32(24, true);
}
