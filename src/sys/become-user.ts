import { spawnSync } from 'node:child_process';
import { UsageError } from '../util/errors.ts';
import { libc } from './libc.ts';

/**
 * `--user=USER[:GROUP]`: the daemon becomes another user but keeps the few capabilities it works with,
 * also if that user is root (ovs-vswitchd(8)).
 *
 * Capabilities belong to threads: what is set here holds for the main thread and for all that it
 * starts afterwards, so this comes before any worker. A monitor, which starts its daemon as a program of its own,
 * hands them on as ambient ones; the daemon takes them over and hands nothing on.
 */
export interface NewUser {
  readonly uid: number;
  readonly gid: number;
}

const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2n;
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

export interface BecomeOptions {
  /** Whether the daemon opens network devices and netlink sockets. */
  readonly accessDatapath: boolean;
  /** Whether programs that this process starts get the capabilities, too. */
  readonly handsOn: boolean;
}

/**
 * Becomes that user.
 *
 * @throws UsageError if this process may not.
 */
export function becomeUser(user: NewUser, options: BecomeOptions, pidfile: string | null): void {
  const capabilities = keptCapabilities(options.accessDatapath);
  const kept = maskOf(capabilities);
  try {
    // Only what is still in the bounding set can be made inheritable.
    if (options.handsOn) makeInheritable(kept);
    for (let capability = 0; capability <= CAP_LAST; capability++)
      libc.prctl(PR_CAPBSET_DROP, BigInt(capability), 0, 0, 0);
    libc.prctl(PR_SET_KEEPCAPS, 1n, 0, 0, 0);
    process.setgroups?.([]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
    setCapabilities(kept, options.handsOn ? kept : 0);
    if (!options.handsOn) return;
    for (const capability of capabilities) libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  } catch {
    throw new UsageError(
      `${pidfile ?? '(null)'}: libcap-ng fail to switch to user and group ${user.uid}:${user.gid}, aborting`,
    );
  }
}

/** Keeps what a monitor that became the user has handed on, and hands nothing on itself. */
export function takeOverCapabilities(accessDatapath: boolean): void {
  setCapabilities(maskOf(keptCapabilities(accessDatapath)), 0);
}

function keptCapabilities(accessDatapath: boolean): number[] {
  const always = [CAP_IPC_LOCK, CAP_NET_BIND_SERVICE];
  return accessDatapath ? [...always, CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_NET_RAW] : always;
}

const maskOf = (capabilities: readonly number[]): number =>
  capabilities.reduce((bits, capability) => bits | (1 << capability), 0);

/** The low word has all that is kept. @throws UsageError */
function setCapabilities(kept: number, inheritable: number): void {
  capabilitySets(libc.capset, Uint32Array.of(kept, kept, inheritable, 0, 0, 0));
}

function makeInheritable(kept: number): void {
  const sets = new Uint32Array(6);
  capabilitySets(libc.capget, sets);
  sets[2] = kept;
  capabilitySets(libc.capset, sets);
}

/**
 * @param sets Twice { u32 effective, permitted, inheritable }: low and high words.
 * @throws UsageError
 */
function capabilitySets(call: typeof libc.capset, sets: Uint32Array): void {
  // struct { u32 version; int pid }
  if (call(Uint32Array.of(LINUX_CAPABILITY_VERSION_3, 0), sets) !== 0)
    throw new UsageError('capabilities cannot be changed');
}
