import type { Core } from '../arena/core.ts';
import { BugError } from '../util/errors.ts';
import type { Clock } from '../util/clock.ts';

/**
 * What the providers of a process need from their host. Main thread only; other threads get all
 * they need in attachments.
 */
export interface NetdevEnvironment {
  /** Main's own. */
  readonly core: Core;
  readonly clock: Clock;
  /**
   * `--enable-dummy`: null = no dummies; 'plain' adds the types dummy and dummy-internal; 'system' and
   * 'override' also put dummies in place of system devices, and of system, tap and the rest.
   */
  readonly dummy: 'plain' | 'system' | 'override' | null;
  /** False after `--disable-system`: that turns the kernel's datapath off, not its devices (as in OVS). */
  readonly systemEnabled: boolean;
  /**
   * Called when a port that main consumes (stream or lab side of a ring) has frames while main
   * slept: the host should call `run` of its netdevs soon.
   */
  readonly wakeMain: () => void;
}

let $environment: NetdevEnvironment | null = null;

export function setNetdevEnvironment(environment: NetdevEnvironment): void {
  $environment = environment;
}

export function netdevEnvironment(): NetdevEnvironment {
  if ($environment === null) throw new BugError('netdev layer is not initialised');
  return $environment;
}
