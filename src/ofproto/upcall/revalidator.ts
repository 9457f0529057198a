import type { Stepper } from '../../util/step.ts';

/**
 * One revalidator thread. Index 0 is the leader. After `exited` the host ends the thread.
 *
 * A host with nothing to do blocks with `Atomics.wait(core.i32, waitAddress >>> 2, waitValue, wakeAtMs - now)`,
 * where both were captured at the top of the last step; `Udpif.revalidate()` and barriers notify.
 */
export interface RevalidatorApi extends Stepper {
  readonly index: number;
  readonly waitAddress: number;
  readonly waitValue: number;
  readonly exited: boolean;
}
