import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Where OVS keeps its files, each overridden by its environment variable.
 *
 * An ordinary user who sets nothing gets everything under one folder of the user's own state
 * directory, because the standard ones cannot be written; `dirsNote()` says so.
 */
export interface OvsDirs {
  /** Pid files and sockets. */
  readonly rundir: string;
  readonly logdir: string;
  /** Holds conf.db. */
  readonly dbdir: string;
  readonly sysconfdir: string;
  /** Holds vswitch.ovsschema. */
  readonly pkgdatadir: string;
  /** True when the user's state directory stands in for the standard ones. */
  readonly isPrivate: boolean;
}

/** Computes the directories from an environment and a user id. */
export function ovsDirs(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? 0): OvsDirs {
  const home = env['XDG_STATE_HOME'] ?? join(env['HOME'] ?? homedir(), '.local', 'state');
  const own = join(home, 'megaflow');
  const isPrivate = uid !== 0 && env['OVS_RUNDIR'] === undefined;
  const elsewhere = uid === 0 ? undefined : (env['OVS_RUNDIR'] ?? own);
  const sysconfdir = env['OVS_SYSCONFDIR'] ?? (uid === 0 ? '/etc' : (elsewhere ?? '/etc'));
  return {
    rundir: env['OVS_RUNDIR'] ?? (uid === 0 ? '/var/run/openvswitch' : own),
    logdir: env['OVS_LOGDIR'] ?? elsewhere ?? '/var/log/openvswitch',
    dbdir:
      env['OVS_DBDIR'] ??
      (env['OVS_SYSCONFDIR'] !== undefined
        ? join(sysconfdir, 'openvswitch')
        : (elsewhere ?? '/etc/openvswitch')),
    sysconfdir,
    pkgdatadir: env['OVS_PKGDATADIR'] ?? '/usr/share/openvswitch',
    isPrivate,
  };
}

/** One line for the user when files are not where OVS usually has them, else null. */
export function dirsNote(dirs: OvsDirs = ovsDirs()): string | null {
  if (!dirs.isPrivate) return null;
  return `not root: sockets, database and logs are in ${dirs.rundir} (set OVS_RUNDIR=${dirs.rundir} for other tools)`;
}

/** Makes the directories that nobody named; a failure shows when they are used. */
export function ensureOvsDirs(env: NodeJS.ProcessEnv = process.env): void {
  const dirs = ovsDirs(env);
  const wanted = [
    [env['OVS_RUNDIR'], dirs.rundir],
    [env['OVS_LOGDIR'], dirs.logdir],
    [env['OVS_DBDIR'], dirs.dbdir],
  ] as const;
  for (const [named, dir] of wanted) {
    if (named !== undefined) continue;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o755 });
    } catch {
      // Reported with the path by whoever opens a file there.
    }
  }
}

/** Lets them be the same when this process, and what it starts, is another user. */
export function keepOvsDirs(): void {
  const { rundir, logdir, dbdir, sysconfdir } = ovsDirs();
  const names = { OVS_RUNDIR: rundir, OVS_LOGDIR: logdir, OVS_DBDIR: dbdir, OVS_SYSCONFDIR: sysconfdir };
  Object.assign(process.env, names);
}

export const ovsRundir = (): string => ovsDirs().rundir;
export const ovsLogdir = (): string => ovsDirs().logdir;
export const ovsDbdir = (): string => ovsDirs().dbdir;
export const ovsPkgdatadir = (): string => ovsDirs().pkgdatadir;

/** `name` itself when absolute, else inside `dir`. */
export function absFileName(dir: string, name: string): string {
  return isAbsolute(name) ? name : join(dir, name);
}
