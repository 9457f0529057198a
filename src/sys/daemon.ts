import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../util/clock.ts';
import { OvsError } from '../util/errors.ts';
import { setVlogLevel, vlog } from '../util/log.ts';
import type { VlogModule } from '../util/log.ts';
import { becomeUser, lookUpUser, takeOverCapabilities } from './become-user.ts';
import type { NewUser } from './become-user.ts';
import { absFileName, ensureOvsDirs, keepOvsDirs, ovsLogdir, ovsRundir } from './dirs.ts';
import { installExitHooks, runExitHooks } from './exit-hooks.ts';
import { getopt } from './getopt.ts';
import type { OptionSpec, ParsedOption } from './getopt.ts';
import { isIgnoredAtStart } from './ignored-signals.ts';
import { libc } from './libc.ts';
import { makePidfile } from './pidfile.ts';
import {
  initVlog,
  vlogAdoptLogFile,
  vlogChangeOwner,
  vlogRenewLogFile,
  vlogSetLogFile,
  vlogSetProcessName,
  vlogSetSyslogMethod,
  vlogSetSyslogTarget,
  vlogSetVerbosity,
} from './vlog-sink.ts';

/**
 * Running in the background, as OVS's daemons do.
 *
 * Node cannot fork, so a process becomes a daemon by starting itself again in a session of its own,
 * told its role by an environment variable: `launcher` (what the user started; exits once the
 * daemon reported ready over a pipe), `monitor` (with --monitor; starts the daemon again after a
 * crash) and `daemon`. Until it is ready the daemon keeps the user's standard error, so that start-up
 * errors are seen; then its standard descriptors become /dev/null.
 *
 *     const { daemon, options, rest } = parseDaemonOptions('ovs-vswitchd', process.argv.slice(2), specs);
 *     await daemonizeStart(daemon);        // returns in the daemon only; makes the pid file
 *     ... open databases, listen ...
 *     daemonizeComplete(daemon);
 */
export interface DaemonOptions {
  readonly program: string;
  readonly detach: boolean;
  readonly monitor: boolean;
  readonly chdir: boolean;
  /** Absolute path, null without --pidfile. */
  readonly pidfile: string | null;
  readonly overwritePidfile: boolean;
  /** Null = stay who we are. */
  readonly user: NewUser | null;
  readonly logFile: { readonly path: string | null } | null;
}

const log = vlog('daemon_unix');
const roleVariable = 'MEGAFLOW_DAEMON_ROLE';
const readyFd = 3;
/** `again`: a daemon that the monitor started after a crash. */
type Role = 'launcher' | 'monitor' | 'daemon' | 'again';
let $role: Role = 'launcher';
let $mustReport = false;
/** Relative paths on the command line are meant from here, also after a restart. */
const $startDirectory = process.cwd();

const daemonSpecs: readonly OptionSpec[] = [
  { name: 'detach' },
  { name: 'monitor' },
  { name: 'no-chdir' },
  { name: 'pidfile', arg: 'optional' },
  { name: 'overwrite-pidfile' },
  { name: 'user', arg: 'required' },
  { name: 'no-self-confinement' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'log-file', arg: 'optional' },
  { name: 'syslog-target', arg: 'required' },
  { name: 'syslog-method', arg: 'required' },
];

/**
 * Takes the daemon and logging options out of a command line; logging is set up at once.
 *
 * @param specs The program's own options, returned in `options` in the order given.
 * @throws UsageError (print it as "PROG: message", exit 1)
 */
export function parseDaemonOptions(
  program: string,
  argv: readonly string[],
  specs: readonly OptionSpec[] = [],
): { daemon: DaemonOptions; options: ParsedOption[]; rest: string[] } {
  initVlog(program);
  const parsed = getopt(argv, [...daemonSpecs, ...specs]);
  const given = new Map<string, string | null>();
  const options: ParsedOption[] = [];
  for (const option of parsed.options) {
    if (!daemonSpecs.some((s) => s.name === option.name)) options.push(option);
    else given.set(option.name, option.value);
  }
  $role = (process.env[roleVariable] as Role | undefined) ?? 'launcher';
  $mustReport = $role !== 'launcher';
  ensureOvsDirs();
  const isParent =
    ($role === 'launcher' && (given.has('detach') || given.has('monitor'))) || $role === 'monitor';
  for (const { name, value } of parsed.options) {
    if (name === 'verbose') vlogSetVerbosity(value);
    else if (name === 'syslog-method') vlogSetSyslogMethod(value ?? '');
    else if (name === 'syslog-target') vlogSetSyslogTarget(value ?? '');
    else if (name === 'log-file' && $role === 'again') vlogAdoptLogFile(value);
    // The launcher and the monitor of a daemon leave the log file to it.
    else if (name === 'log-file' && !isParent && vlogSetLogFile(value) !== null) process.exit(1);
  }
  const pidfileOption = given.get('pidfile');
  const pidfile =
    pidfileOption === undefined ? null : absFileName(ovsRundir(), pidfileOption ?? `${program}.pid`);
  const user = given.get('user') ?? null;
  const daemon: DaemonOptions = {
    program,
    detach: given.has('detach'),
    monitor: given.has('monitor'),
    chdir: !given.has('no-chdir'),
    pidfile,
    overwritePidfile: given.has('overwrite-pidfile'),
    user: user === null ? null : lookUpUser(user, pidfile),
    logFile: given.has('log-file') ? { path: given.get('log-file') ?? null } : null,
  };
  return { daemon, options, rest: parsed.rest };
}

/**
 * Becomes the daemon: in the launcher and the monitor this never resolves.
 *
 * Changes the user and makes the pid file. Ends the process with OVS's message when it cannot.
 *
 * @param accessDatapath Another user keeps what it takes to work with network devices.
 */
export async function daemonizeStart(options: DaemonOptions, accessDatapath = false): Promise<void> {
  Reflect.deleteProperty(process.env, roleVariable);
  if ($role === 'launcher' && options.detach) return await launch(options);
  if ($role === 'monitor' || ($role === 'launcher' && options.monitor))
    return await monitor(options, accessDatapath);
  installExitHooks();
  try {
    if (options.user !== null && options.monitor) takeOverCapabilities(accessDatapath);
    else switchUser(options, accessDatapath);
    if ($role === 'again') vlogSetProcessName(options.program);
    if (options.pidfile !== null) makePidfile(options.pidfile, options.overwritePidfile);
  } catch (error) {
    if (error instanceof OvsError) ovsFatal(options.program, error.message, log);
    throw error;
  }
  if (options.monitor) {
    process.on('uncaughtException', (error) => {
      log.emer(`uncaught exception: ${error.stack ?? error.message}`);
      runExitHooks();
      process.abort();
    });
  }
}

/** Becomes the user that the options name, if they name one. */
function switchUser({ user, pidfile, monitor }: DaemonOptions, accessDatapath: boolean): void {
  if (user === null) return;
  vlogChangeOwner(user.uid, user.gid);
  keepOvsDirs();
  becomeUser(user, { accessDatapath, handsOn: monitor }, pidfile);
}

/**
 * Tells the launcher that the daemon is ready, and lets go of the terminal and the directory.
 *
 * @param kept Standard descriptors to keep as they are.
 */
export function daemonizeComplete(options: DaemonOptions, kept: readonly number[] = []): void {
  if ($mustReport) {
    $mustReport = false;
    writeSync(readyFd, Uint8Array.of(0));
    closeSync(readyFd);
  }
  if (!options.detach) return;
  setVlogLevel(null, 'console', 'off');
  releaseTerminal(kept);
  if (options.chdir) process.chdir('/');
}

/**
 * Prints "PROG: message" and exits with status 1.
 *
 * @param module Where to log it too, at EMER.
 */
export function ovsFatal(program: string, message: string, module: VlogModule | null = null): never {
  if (module !== null) {
    const { console: before } = module.levels;
    module.levels.console = 'off';
    module.emer(message);
    module.levels.console = before;
  }
  writeSync(2, `${program}: ${message}\n`);
  runExitHooks();
  process.exit(1);
}

function releaseTerminal(kept: readonly number[]): void {
  const fd = openSync('/dev/null', 'r+');
  for (const std of [0, 1, 2]) if (!kept.includes(std)) libc.dup2(fd, std);
  closeSync(fd);
}

/** Starts this program again in another role and says when it reported, and how it ended. */
function startAgain(
  role: Role,
  detached: boolean,
): { pid: number; ready: Promise<boolean>; ended: Promise<string | number> } {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached,
    cwd: $startDirectory,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, [roleVariable]: role },
  });
  const pipe = child.stdio[readyFd];
  const ready = new Promise<boolean>((settle) => {
    pipe?.once('data', () => settle(true));
    pipe?.once('close', () => settle(false));
    pipe?.once('error', () => settle(false));
  });
  const ended = new Promise<string | number>((settle) => {
    child.once('exit', (code, signal) => settle(signal ?? code ?? 1));
    child.once('error', () => settle(1));
  });
  return { pid: child.pid ?? 0, ready, ended };
}

async function launch(options: DaemonOptions): Promise<never> {
  const child = startAgain(options.monitor ? 'monitor' : 'daemon', true);
  if (await child.ready) process.exit(0);
  const end = await child.ended;
  if (typeof end === 'number') process.exit(end);
  ovsFatal(options.program, `fork child died before signaling startup (${statusText(end)})`, log);
}

/** How a process ended, in OVS's words: "exit status 1", "killed (Segmentation fault)". */
function statusText(end: string | number): string {
  if (typeof end === 'number') return `exit status ${end}`;
  const number = constants.signals[end as NodeJS.Signals];
  return `killed (${libc.strsignal(number)})`;
}

/** Signals that mean a crash: OVS starts the daemon again after these. */
const crashSignals = new Set([
  ...['SIGABRT', 'SIGALRM', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGPIPE', 'SIGSEGV', 'SIGXCPU', 'SIGXFSZ'],
]);
const restartPauseMs = 10_000;

async function monitor(options: DaemonOptions, accessDatapath: boolean): Promise<never> {
  const clock = new SystemClock();
  let crashes = 0;
  let lastStartMs = -Infinity;
  let state = 'healthy';
  vlogSetProcessName('monitor');
  if (options.logFile !== null) vlogAdoptLogFile(options.logFile.path);
  try {
    switchUser(options, accessDatapath);
  } catch (error) {
    if (error instanceof OvsError) ovsFatal(options.program, error.message, log);
    throw error;
  }
  const forwarded = (['SIGTERM', 'SIGINT', 'SIGHUP'] as const).filter((name) => !isIgnoredAtStart(name));
  for (;;) {
    const nowMs = clock.nowMs();
    if (nowMs < lastStartMs + restartPauseMs) {
      await new Promise((wake) => setTimeout(wake, lastStartMs + restartPauseMs - nowMs));
    }
    lastStartMs = clock.nowMs();
    const child = startAgain(crashes === 0 ? 'daemon' : 'again', false);
    process.title = `${options.program}: monitoring pid ${child.pid} (${state})`;
    const forward = (signal: NodeJS.Signals): void => {
      process.kill(child.pid, signal);
    };
    for (const name of forwarded) process.on(name, forward);
    const isReady = await child.ready;
    if (isReady) daemonizeComplete(options);
    const end = await child.ended;
    for (const name of forwarded) process.off(name, forward);
    // What it could not do at its start it has told itself.
    if (!isReady && typeof end === 'number') process.exit(end);
    vlogRenewLogFile();
    const status = statusText(end);
    if (!isReady || typeof end === 'number' || !crashSignals.has(end)) {
      log.info(`pid ${child.pid} died, ${status}, exiting`);
      process.exit(typeof end === 'number' ? end : 1);
    }
    crashes++;
    state = `${crashes} crashes: pid ${child.pid} died, ${status}`;
    log.err(`${state}, restarting`);
  }
}

/** The "Daemon options" part of a --help text. */
export function daemonUsage(program: string): string {
  return (
    '\nDaemon options:\n' +
    '  --detach                run in background as daemon\n' +
    '  --monitor               creates a process to monitor this daemon\n' +
    '  --user=username[:group] changes the effective daemon user:group\n' +
    "  --no-chdir              do not chdir to '/'\n" +
    `  --pidfile[=FILE]        create pidfile (default: ${join(ovsRundir(), `${program}.pid`)})\n` +
    '  --overwrite-pidfile     with --pidfile, start even if already running\n'
  );
}

/** The "Logging options" part of a --help text. */
export function vlogUsage(program: string): string {
  return (
    '\nLogging options:\n' +
    '  -vSPEC, --verbose=SPEC   set logging levels\n' +
    '  -v, --verbose            set maximum verbosity level\n' +
    '  --log-file[=FILE]        enable logging to specified FILE\n' +
    `                           (default: ${join(ovsLogdir(), `${program}.log`)})\n` +
    '  --syslog-method=(libc|unix:file|udp:ip:port)\n' +
    '                           specify how to send messages to syslog daemon\n' +
    '  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP\n'
  );
}
