/**
 * A long activity (PMD, handler, revalidator, main loop, database server), run by a host.
 *
 * What: `step` does a bounded slice of work and returns how much it did. A host calls it again at
 * once while it returns more than 0, else not before `wakeAtMs` or until what it waits for happens.
 *
 * Why: the same object runs in a worker thread under real time, or inline under a virtual clock,
 * which gives deterministic simulation, `time/warp` and tests without sleeps.
 */
export interface Stepper {
  /** When to step again though nothing happened, in `Clock.nowMs` terms; Infinity = never. */
  wakeAtMs: number;
  step(nowMs: number): number;
}
