import { unlinkSync } from 'node:fs';
import { vlog } from '../util/log.ts';
import { isIgnoredAtStart } from './ignored-signals.ts';

/**
 * What must go when this process ends, whether by `exit`, by its own end or by a signal: pid files and
 * sockets. Main thread only.
 */
const log = vlog('fatal_signal');
const $files = new Set<string>();
let $installed = false;
let $done = false;

const alarm = ['SIGALRM', 14, 'Alarm clock'] as const;
const signals = [
  ['SIGTERM', 15, 'Terminated'],
  ['SIGINT', 2, 'Interrupt'],
  ['SIGHUP', 1, 'Hangup'],
  alarm,
] as const;

/** Removes the files, once; further calls do nothing. */
export function runExitHooks(): void {
  if ($done) return;
  $done = true;
  for (const path of $files) removeQuietly(path);
}

/**
 * Handles the fatal signals (TERM, INT, HUP, ALRM): log, removal, then death by that signal. One that was ignored
 * when the process started stays so.
 */
export function installExitHooks(): void {
  if ($installed) return;
  $installed = true;
  process.on('exit', runExitHooks);
  for (const signal of signals) if (!isIgnoredAtStart(signal[0])) process.on(signal[0], () => dieBy(signal));
}

/** Ends the process by SIGALRM, ignored or not, if it still runs after that time (`--timeout`). */
export function endAfter(seconds: number): void {
  installExitHooks();
  setTimeout(() => dieBy(alarm), seconds * 1000).unref();
}

function dieBy([name, number, text]: (typeof signals)[number]): void {
  log.warn(`terminating with signal ${number} (${text})`);
  runExitHooks();
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

/** The file goes when the process does. */
export function unlinkAtExit(path: string): void {
  installExitHooks();
  $files.add(path);
}

/** Removes the file now and forgets it. */
export function unlinkNow(path: string): void {
  $files.delete(path);
  removeQuietly(path);
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Already gone, or not ours to remove: nothing to be done at exit.
  }
}
