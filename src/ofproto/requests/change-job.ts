import { BugError } from '../../util/errors.ts';
import type { RequestOutcome, RequestJob } from '../connection/request-job.ts';
import type { SwitchState } from '../switch-state.ts';
import type { Steps, TableChange } from '../table-change.ts';

/** A request that changes the tables: done at once if it is short, else in slices behind the gate. */
class ChangeJob implements RequestJob {
  readonly #sw: SwitchState;
  readonly #steps: (change: TableChange) => Steps;
  #isStarted = false;
  #isDone = false;
  #error: Error | null = null;

  constructor(sw: SwitchState, steps: (change: TableChange) => Steps) {
    this.#sw = sw;
    this.#steps = steps;
  }

  step(): boolean {
    const { gate } = this.#sw.flowTables;
    if (!this.#isStarted) {
      this.#isStarted = true;
      gate.start(this.#run());
    } else if (!this.#isDone) gate.step();
    // Whoever finishes the change for us has no use for our error.
    if (this.#isDone && this.#error !== null) throw this.#error;
    return this.#isDone;
  }

  /** What a controller asked for whole is done whole. */
  abandon(): void {
    if (!this.#isDone) this.#sw.flowTables.gate.finish();
  }

  *#run(): Steps {
    const { flowTables, flowModHost } = this.#sw;
    const change = flowTables.begin();
    let isApplied = false;
    try {
      yield* this.#steps(change);
      isApplied = true;
      flowTables.commit(change, flowModHost);
      yield* flowTables.tell(change, flowModHost);
    } catch (e) {
      const error = isApplied ? e : flowTables.abort(change, e);
      this.#error = error instanceof Error ? error : new BugError(String(error));
    } finally {
      this.#isDone = true;
    }
  }
}

/**
 * Runs `steps` as one change of the tables.
 *
 * @throws OfpError of the first slice; a later one comes out of the job.
 */
export function runChange(sw: SwitchState, steps: (change: TableChange) => Steps): RequestOutcome {
  const job = new ChangeJob(sw, steps);
  return job.step() ? 'done' : job;
}
