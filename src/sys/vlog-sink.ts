import { closeSync, fchownSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SystemClock } from '../util/clock.ts';
import type { Clock } from '../util/clock.ts';
import { OptionError } from '../util/errors.ts';
import { setVlogLevel, setVlogSink, vlog, vlogFacilities, vlogLevels, vlogModules } from '../util/log.ts';
import type { VlogFacility, VlogLevel, VlogRecord } from '../util/log.ts';
import { ovsLogdir } from './dirs.ts';
import { errorText } from './errno.ts';
import { SyslogSocket } from './syslog.ts';
import { formatVlog } from './vlog-format.ts';

/**
 * Where log records go in a daemon or a tool: console (standard error), file, syslog, in OVS's
 * patterns, and the `-v` grammar and `vlog/*` commands over them.
 *
 * One per process, on main; workers send their records through their event rings to `vlogWrite`.
 * Messages are numbered per thread, as OVS does.
 */
const log = vlog('vlog');
const patterns: Record<VlogFacility, string> = {
  syslog: 'ovs|%05N|%c%T|%p|%m',
  console: '%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m',
  file: '%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m',
};
/** What syslog(3) puts before a message; other methods send the priority alone. */
const libcHeader = '<%B>%D{%h %e %T} %A: ';
const plainHeader = '<%B>';
/** What --syslog-target gets (RFC 5424); the text is marked as UTF-8. */
const targetPattern = '<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \ufeff%m';
const LOG_DAEMON = 3;
const LOG_LOCAL0 = 16;
const syslogFacilities = [
  ...['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'clock', 'ftp', 'ntp'],
  ...[
    'audit',
    'alert',
    'clock2',
    'local0',
    'local1',
    'local2',
    'local3',
    'local4',
    'local5',
    'local6',
    'local7',
  ],
];

let $program = 'ovs';
let $clock: Clock = new SystemClock();
let $startMs = $clock.nowMs();
/** As FACILITY set it; until then LOG_DAEMON for the syslog method, LOG_LOCAL0 for all else. */
let $facility: number | null = null;
let $syslogHeader = libcHeader;
let $syslog = new SyslogSocket('libc');
let $syslogTarget: SyslogSocket | null = null;
let $processName = '';
let $filePath: string | null = null;
/** The path as the user gave it. */
let $fileShown = '';
let $fileFd = -1;
let $consoleOpen = true;
const $sequences = new Map<string, number>();

/**
 * Installs the sinks for this process. Call first in main.
 *
 * @param program Name in syslog and of the default log file, e.g. `ovs-vswitchd`.
 */
export function initVlog(program: string, clock: Clock = new SystemClock()): void {
  $program = program;
  $clock = clock;
  $startMs = clock.nowMs();
  setVlogSink(vlogWrite, $processName, () => $clock.nowMs());
}

/** Writes one record to each facility whose level admits it. Main thread. */
export function vlogWrite(record: VlogRecord): void {
  const module = vlog(record.module);
  const rank = vlogLevels.indexOf(record.level);
  const admits = (facility: VlogFacility): boolean => rank <= vlogLevels.indexOf(module.levels[facility]);
  const sequence = ($sequences.get(record.thread) ?? 0) + 1;
  $sequences.set(record.thread, sequence);
  const nowMs = $clock.nowMs();
  const context = {
    program: $program,
    wallMs: $clock.wallMs(),
    uptimeMs: nowMs - $startMs,
    sequence,
    facility: ($facility ?? LOG_LOCAL0) << 3,
  };
  for (const line of record.message.split('\n')) {
    const one = line === record.message ? record : { ...record, message: line };
    if ($consoleOpen && admits('console')) writeQuietly(2, `${formatVlog(patterns.console, one, context)}\n`);
    if ($fileFd >= 0 && admits('file')) writeQuietly($fileFd, `${formatVlog(patterns.file, one, context)}\n`);
    if (admits('syslog')) {
      const local = { ...context, facility: ($facility ?? LOG_DAEMON) << 3 };
      $syslog.send(formatVlog($syslogHeader, one, local) + formatVlog(patterns.syslog, one, context));
      $syslogTarget?.send(formatVlog(targetPattern, one, context));
    }
  }
}

/** A full disk or a closed terminal must not stop the switch. */
function writeQuietly(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    if (fd === 2) $consoleOpen = false;
  }
}

const asFacility = (word: string): VlogFacility | undefined =>
  vlogFacilities.find((f) => f === word.toLowerCase());
const asLevel = (word: string): VlogLevel | undefined => vlogLevels.find((l) => l === word.toLowerCase());

/** The first word of a specification, and all after the separator that ends it. */
function firstWord(text: string): [word: string, rest: string] {
  const found = /^[ ,:\t]*([^ ,:\t]*)(?:[ ,:\t]([^]*))?$/.exec(text);
  return [found?.[1] ?? '', found?.[2] ?? ''];
}

/**
 * Applies one specification of `-v` or `vlog/set`.
 *
 * @returns null, or OVS's error text.
 */
export function vlogSet(spec: string): string | null {
  const [first, rest] = firstWord(spec);
  if (first.toUpperCase() === 'PATTERN') {
    const [where, pattern] = firstWord(rest);
    if (where === '') return 'missing destination';
    const one = asFacility(where);
    if (one === undefined && where.toLowerCase() !== 'any') return `unknown destination "${where}"`;
    for (const facility of one === undefined ? vlogFacilities : [one]) patterns[facility] = pattern;
    return null;
  }
  if (first.toUpperCase() === 'FACILITY') {
    const number = syslogFacilities.indexOf(firstWord(rest)[0]);
    if (number < 0) return 'invalid facility';
    $facility = number;
    return null;
  }
  let facility: VlogFacility | null = null;
  let level: VlogLevel | null = null;
  let moduleName: string | null = null;
  for (const word of spec.split(/[ ,:]+/).filter((w) => w !== '')) {
    const asF = asFacility(word);
    const asL = asLevel(word);
    const name = word.replaceAll('-', '_');
    if (word.toLowerCase() === 'any') continue;
    if (asF !== undefined) {
      if (facility !== null) return 'cannot specify multiple destinations';
      facility = asF;
    } else if (asL !== undefined) {
      if (level !== null) return 'cannot specify multiple levels';
      level = asL;
    } else if (vlogModules().has(name)) {
      if (moduleName !== null) return 'cannot specify multiple modules';
      moduleName = name;
    } else {
      return `no destination, level, or module "${word}"`;
    }
  }
  setVlogLevel(moduleName === null ? null : vlog(moduleName), facility, level ?? 'dbg');
  return null;
}

/** The `-v[SPEC]` option. @throws OptionError */
export function vlogSetVerbosity(spec: string | null): void {
  if (spec === null) {
    setVlogLevel(null, null, 'dbg');
    return;
  }
  const error = vlogSet(spec);
  if (error !== null) throw new OptionError(`processing "${spec}": ${error}`);
}

/**
 * The `--log-file[=PATH]` option. A relative path stays good after the process has changed its directory.
 *
 * @returns null, or why the file cannot be opened, which is logged.
 */
export function vlogSetLogFile(path: string | null): string | null {
  const shown = path ?? join(ovsLogdir(), `${$program}.log`);
  return openFile(resolve(shown), shown);
}

function openFile(path: string, shown: string): string | null {
  if ($fileFd >= 0) {
    log.info('closing log file');
    closeSync($fileFd);
    $fileFd = -1;
  }
  try {
    $fileFd = openSync(path, 'a', 0o660);
  } catch (error) {
    log.warn(`failed to open ${shown} for logging: ${errorText(error)}`);
    return errorText(error);
  }
  $filePath = path;
  $fileShown = shown;
  log.info(`opened log file ${shown}`);
  return null;
}

/** As `vlogSetLogFile` without a word: for a process that goes on with another's log file. */
export function vlogAdoptLogFile(path: string | null): void {
  $fileShown = path ?? join(ovsLogdir(), `${$program}.log`);
  $filePath = resolve($fileShown);
  try {
    $fileFd = openSync($filePath, 'a', 0o660);
  } catch {
    // Then its messages go elsewhere.
  }
}

/** Opens the log file anew, whether or not it is still the same. */
export function vlogRenewLogFile(): void {
  if ($filePath !== null) openFile($filePath, $fileShown);
}

/** Gives the log file to the user that the daemon becomes. */
export function vlogChangeOwner(uid: number, gid: number): void {
  if ($fileFd >= 0) fchownSync($fileFd, uid, gid);
}

/** Names this process in its messages where it is not the main one: `monitor`. */
export function vlogSetProcessName(name: string): void {
  $processName = name;
  setVlogSink(vlogWrite, name, () => $clock.nowMs());
}

/** `vlog/reopen`. @returns null or the error text. */
export function vlogReopen(): string | null {
  if ($filePath === null) return 'Logging to file not configured';
  if ($fileFd >= 0) {
    const now = statSync($filePath, { throwIfNoEntry: false });
    const open = fstatSync($fileFd);
    if (now !== undefined && now.ino === open.ino && now.dev === open.dev) return null;
  }
  return openFile($filePath, $fileShown);
}

/** `vlog/close`. */
export function vlogClose(): void {
  if ($fileFd < 0) return;
  closeSync($fileFd);
  $fileFd = -1;
}

/** `--syslog-method`. @throws OptionError */
export function vlogSetSyslogMethod(method: string): void {
  if (!/^(?:null|libc|unix:.*|udp:.*)$/.test(method))
    throw new OptionError(`unsupported syslog method '${method}'`);
  $syslog = new SyslogSocket(method);
  $syslogHeader = method === 'libc' ? libcHeader : plainHeader;
}

/** `--syslog-target=IP:PORT`. */
export function vlogSetSyslogTarget(target: string): void {
  $syslogTarget = new SyslogSocket(`udp:${target}`);
  log.warn('--syslog-target flag is deprecated, use --syslog-method instead');
}

/** What `vlog/list` prints. */
export function vlogListText(): string {
  let out = '                 console    syslog    file\n                 -------    ------    ------\n';
  const column = (level: VlogLevel): string => level.toUpperCase().padStart(4);
  for (const name of [...vlogModules().keys()].sort()) {
    const { levels, honorRateLimits } = vlog(name);
    out += `${name.padEnd(16)}  ${column(levels.console)}       ${column(levels.syslog)}       ${column(levels.file)}`;
    out += honorRateLimits ? '\n' : '    (rate limiting disabled)\n';
  }
  return out;
}

/** What `vlog/list-pattern` prints. */
export function vlogListPatternText(): string {
  let out =
    '         prefix                            format\n         ------                            ------\n';
  for (const facility of vlogFacilities) {
    const prefix = facility === 'syslog' ? '<%B> %D{%h %e %T} %E %A:' : 'none';
    out += `${facility.toUpperCase().padEnd(7)}  ${prefix.padEnd(32)}  ${patterns[facility]}\n`;
  }
  return out;
}

/** `vlog/{enable,disable}-rate-limit [MODULE...]`. @returns null or the error text. */
export function vlogSetRateLimits(moduleNames: readonly string[], honor: boolean): string | null {
  if (moduleNames.length === 0 || moduleNames.includes('any')) {
    for (const module of vlogModules().values()) module.honorRateLimits = honor;
    return null;
  }
  for (const name of moduleNames) {
    const module = vlogModules().get(name.replaceAll('-', '_'));
    if (module === undefined) return 'unknown module';
    module.honorRateLimits = honor;
  }
  return null;
}
