/**
 * A request that takes more than one turn of the main loop: a dump of many flows, a change of many rules.
 * The connection takes no further request meanwhile, so answers stay in order; others go on.
 */
export interface RequestJob {
  /** Does a slice of a few milliseconds at most. @returns True when nothing is left. @throws OfpError to answer with. */
  step(): boolean;
  /** The connection is gone: ends the job, in whatever way leaves the switch whole. */
  abandon(): void;
}

/** What came of a request: all of it, a job for what is left, or nothing yet since it has to wait. */
export type RequestOutcome = RequestJob | 'done' | 'later';
