/**
 * The only sources of time. Everything that waits or stamps takes a `Clock`, so that simulation,
 * `time/stop` and `time/warp` govern all of it.
 *
 * `nowMs` is monotonic (OVS's time_msec), `wallMs` is the time of day (time_wall_msec). Both may be
 * fractional. In the daemon every thread uses an `ArenaClock` (src/arena/clock.ts), which reads the
 * stop flag and the virtual time from the arena, so that all threads agree.
 */
export interface Clock {
  nowMs(): number;
  wallMs(): number;
  /** True while time moves only by order (time/stop): whoever spaces work out in time must not wait then. */
  readonly isStopped?: boolean;
}

/** Real time. `performance.now()` differs per thread, hence the offset to the process clock. */
export class SystemClock implements Clock {
  readonly #offsetMs: number;
  constructor() {
    const [sec, nsec] = process.hrtime();
    this.#offsetMs = sec * 1000 + nsec / 1e6 - performance.now();
  }
  nowMs(): number {
    return this.#offsetMs + performance.now();
  }
  wallMs(): number {
    return Date.now();
  }
}

/** A clock that only moves when told. */
export class ManualClock implements Clock {
  readonly isStopped = true;
  #nowMs: number;
  readonly #wallOffsetMs: number;
  constructor(startMs = 0, wallStartMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
    this.#wallOffsetMs = wallStartMs - startMs;
  }
  nowMs(): number {
    return this.#nowMs;
  }
  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }
  advance(ms: number): void {
    this.#nowMs += ms;
  }
}
