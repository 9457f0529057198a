import { spawnSync } from 'node:child_process';
import { UsageError } from '../util/errors.ts';
import { libc } from './libc.ts';

/**
 * `--user=USER[:GROUP]`: the daemon becomes another user but keeps the few capabilities it works with,
 * also if that user is root (ovs-vswitchd(8)).
 *
 * Capabilities belong to threads: what is set here holds for the main thread and for all that it
 * starts afterwards, so this comes before any worker.
 */
export interface NewUser {
  readonly uid: number;
  readonly gid: number;
}

const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const CAP_LAST = 40;
const CAP_NET_BIND_SERVICE = 10;
const CAP_NET_BROADCAST = 11;
const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const CAP_IPC_LOCK = 14;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** Fields of an entry of a name service, which may be other than files; null if there is none. */
function entry(database: 'passwd' | 'group', name: string): string[] | null {
  const { status, stdout } = spawnSync('getent', [database, name], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(':') : null;
}

/**
 * Looks up the user and group of a `--user` option.
 *
 * @param pidfile Begins the error texts, as in OVS.
 * @throws UsageError in OVS's words.
 */
export function lookUpUser(spec: string, pidfile: string | null): NewUser {
  const shown = pidfile ?? '(null)';
  const [user = '', group = ''] = spec.split(':');
  let uid = process.getuid?.() ?? 0;
  let gid = process.getgid?.() ?? 0;
  if (user !== '') {
    const found = entry('passwd', user);
    if (found === null) throw new UsageError(`${shown}: user ${user} not found, aborting.`);
    uid = Number(found[2]);
    gid = Number(found[3]);
  }
  if (group !== '') {
    const found = entry('group', group);
    if (found === null) throw new UsageError(`${shown}: group ${group} not found, aborting.`);
    const newGid = Number(found[2]);
    const isMember = newGid === gid || (found[3] ?? '').split(',').includes(user);
    if (user !== '' && !isMember)
      throw new UsageError(
        `${shown}: Invalid --user option ${spec} (user ${user} is not in group ${group}), aborting.`,
      );
    gid = newGid;
  }
  return { uid, gid };
}

/**
 * Becomes that user.
 *
 * @param accessDatapath Whether the daemon opens network devices and netlink sockets.
 * @throws UsageError if this process may not.
 */
export function becomeUser(user: NewUser, accessDatapath: boolean, pidfile: string | null): void {
  const capabilities = [CAP_IPC_LOCK, CAP_NET_BIND_SERVICE];
  if (accessDatapath) capabilities.push(CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_NET_RAW);
  const kept = capabilities.reduce((bits, capability) => bits | (1 << capability), 0);
  try {
    for (let capability = 0; capability <= CAP_LAST; capability++)
      libc.prctl(PR_CAPBSET_DROP, BigInt(capability), 0, 0, 0);
    libc.prctl(PR_SET_KEEPCAPS, 1n, 0, 0, 0);
    process.setgroups?.([]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
    // struct { u32 version; int pid } and twice { u32 effective, permitted, inheritable }: low and high words.
    const header = Uint32Array.of(LINUX_CAPABILITY_VERSION_3, 0);
    if (libc.capset(header, Uint32Array.of(kept, kept, 0, 0, 0, 0)) !== 0) throw new Error('capset');
  } catch {
    throw new UsageError(
      `${pidfile ?? '(null)'}: libcap-ng fail to switch to user and group ${user.uid}:${user.gid}, aborting`,
    );
  }
}
