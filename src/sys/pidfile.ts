import { closeSync, linkSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { OvsError } from '../util/errors.ts';
import { errorText } from './errno.ts';
import { unlinkAtExit } from './exit-hooks.ts';
import { lockHolder, tryLockFile } from './file-lock.ts';

/**
 * A pid file holds the pid and, for as long as its process lives, a record lock: `ovs-appctl`
 * refuses one that is not locked. The process that made it must never open it again (closing any
 * descriptor of it would drop the lock); `$held` keeps the one descriptor for life.
 */
const $held: number[] = [];

/** Pid of the process that holds the file, 0 when there is none. Never for one's own pid file. */
export function readPidfile(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch {
    return 0;
  }
  try {
    const holder = lockHolder(fd);
    if (holder === 0) return 0;
    const pid = Number.parseInt(readFileSync(fd, 'utf8'), 10);
    return Number.isNaN(pid) ? holder : pid;
  } finally {
    closeSync(fd);
  }
}

/**
 * Creates and locks the pid file; it is removed at exit.
 *
 * @param overwrite Start though another process holds it.
 * @throws OvsError in OVS's words ("PATH: already running as pid N, aborting").
 */
export function makePidfile(path: string, overwrite: boolean): void {
  if (!overwrite) {
    const pid = readPidfile(path);
    if (pid !== 0) throw new OvsError('EEXIST', `${path}: already running as pid ${pid}, aborting`);
    try {
      unlinkSync(path);
    } catch {
      // There was no stale one.
    }
  }
  const tmp = `${path}.tmp`;
  let fd: number;
  try {
    fd = openSync(tmp, 'w', 0o666);
  } catch (error) {
    throw new OvsError('EIO', `${tmp}: create failed (${errorText(error)})`);
  }
  const holder = tryLockFile(fd);
  if (holder !== 0)
    throw new OvsError('EAGAIN', `${tmp}: fcntl(F_SETLK) failed (Resource temporarily unavailable)`);
  writeSync(fd, `${process.pid}\n`);
  try {
    if (overwrite) {
      renameSync(tmp, path);
    } else {
      linkSync(tmp, path);
      unlinkSync(tmp);
    }
  } catch (error) {
    const verb = overwrite ? 'rename' : 'link';
    throw new OvsError('EIO', `failed to ${verb} "${tmp}" to "${path}" (${errorText(error)})`);
  }
  $held.push(fd);
  unlinkAtExit(path);
}
