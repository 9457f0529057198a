import { constants } from 'node:os';

/**
 * Signals that the parent has this process ignore, as nohup(1) does with SIGHUP and a shell with SIGINT in what it
 * runs in the background. OVS leaves them ignored; Node takes all of them back before JavaScript runs, so
 * the launchers in bin/ read the mask from /proc/self/status (SigIgn) and hand it on in the environment. What is
 * started without a launcher ignores nothing.
 */
const variable = 'MEGAFLOW_IGNORED_SIGNALS';
const signals = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGALRM', 'SIGTERM'] as const;

/** Whether the parent has this process ignore the signal. */
export function isIgnoredAtStart(signal: NodeJS.Signals): boolean {
  const mask = process.env[variable] ?? '';
  if (!/^[0-9a-f]{1,16}$/i.test(mask)) return false;
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}

/** Ignores them from now on. Once a process, first of all. */
export function keepIgnored(): void {
  for (const signal of signals) if (isIgnoredAtStart(signal)) process.on(signal, () => undefined);
}
