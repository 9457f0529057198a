import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../util/clock.ts';
import type { Clock } from '../util/clock.ts';
import { UsageError } from '../util/errors.ts';
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
const syslogHeader = '<%B>%D{%h %e %T} %A: ';
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
let $facility = 3;
let $syslog = new SyslogSocket('libc');
let $syslogTarget: SyslogSocket | null = null;
let $filePath: string | null = null;
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
  setVlogSink(vlogWrite, '', () => $clock.nowMs());
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
    facility: $facility << 3,
  };
  for (const line of record.message.split('\n')) {
    const one = line === record.message ? record : { ...record, message: line };
    if ($consoleOpen && admits('console')) writeQuietly(2, `${formatVlog(patterns.console, one, context)}\n`);
    if ($fileFd >= 0 && admits('file')) writeQuietly($fileFd, `${formatVlog(patterns.file, one, context)}\n`);
    if (admits('syslog')) {
      const text = formatVlog(syslogHeader, one, context) + formatVlog(patterns.syslog, one, context);
      $syslog.send(text);
      $syslogTarget?.send(text);
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

/**
 * Applies one specification of `-v` or `vlog/set`.
 *
 * @returns null, or OVS's error text.
 */
export function vlogSet(spec: string): string | null {
  const special = /^(PATTERN|FACILITY)(?::([^:]*)(?::([\s\S]*))?)?$/.exec(spec);
  if (special?.[1] === 'PATTERN') {
    const [, , where, pattern] = special;
    if (where === undefined || where === '') return 'missing destination';
    const facility = asFacility(where);
    if (facility === undefined) return `unknown destination "${where}"`;
    if (pattern === undefined || pattern === '') return 'missing pattern';
    patterns[facility] = pattern;
    return null;
  }
  if (special?.[1] === 'FACILITY') {
    if (special[2] === undefined) return 'missing facility';
    const number = syslogFacilities.indexOf(special[2]);
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

/** The `-v[SPEC]` option. @throws UsageError */
export function vlogSetVerbosity(spec: string | null): void {
  if (spec === null) {
    setVlogLevel(null, null, 'dbg');
    return;
  }
  const error = vlogSet(spec);
  if (error !== null) throw new UsageError(`processing "${spec}": ${error}`);
}

/** The `--log-file[=PATH]` option; a failure is logged, as in OVS, and the program goes on. */
export function vlogSetLogFile(path: string | null): void {
  const wanted = path ?? join(ovsLogdir(), `${$program}.log`);
  openFile(wanted.startsWith('/') ? wanted : join(process.cwd(), wanted));
}

function openFile(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, 'a', 0o660);
  } catch (error) {
    log.warn(`failed to open ${path} for logging: ${errorText(error)}`);
    return errorText(error);
  }
  if ($fileFd >= 0) {
    log.info('closing log file');
    closeSync($fileFd);
  }
  $fileFd = fd;
  $filePath = path;
  log.info(`opened log file ${path}`);
  return null;
}

/** `vlog/reopen`. @returns null or the error text. */
export function vlogReopen(): string | null {
  if ($filePath === null) return 'Logging to file not configured';
  if ($fileFd >= 0) {
    const now = statSync($filePath, { throwIfNoEntry: false });
    const open = fstatSync($fileFd);
    if (now !== undefined && now.ino === open.ino && now.dev === open.dev) return null;
  }
  return openFile($filePath);
}

/** `vlog/close`. */
export function vlogClose(): void {
  if ($fileFd < 0) return;
  closeSync($fileFd);
  $fileFd = -1;
}

/** `--syslog-method`. */
export function vlogSetSyslogMethod(method: string): void {
  $syslog = new SyslogSocket(method);
}

/** `--syslog-target=IP:PORT`. */
export function vlogSetSyslogTarget(target: string): void {
  $syslogTarget = new SyslogSocket(`udp:${target}`);
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
    if (module === undefined) return `unknown module "${name}"`;
    module.honorRateLimits = honor;
  }
  return null;
}
