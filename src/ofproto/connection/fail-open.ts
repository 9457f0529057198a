import { vlog } from '../../util/log.ts';

/**
 * Fail-open: a bridge in standalone mode that has lost its controllers for three probe intervals
 * forwards by itself, through a hidden rule above all others, until a controller admits it again.
 */
export interface FailOpenHost {
  /** Seconds since any primary controller had admitted us, 0 while one does. */
  failureDurationSec(nowMs: number): number;
  maxProbeIntervalSec(): number;
  anyControllerAdmitted(): boolean;
  anyControllerConnected(): boolean;
  flushFlows(): void;
  removeFailOpenRule(): void;
  /** Lets a controller that only looks at packet-ins notice us: a packet-in with an empty broadcast. */
  sendBogusPacketIn(): void;
}

/** Above every priority that a controller can use. */
export const FAIL_OPEN_PRIORITY = 0xf0f0f0;
const log = vlog('fail_open');

export class FailOpen {
  readonly #host: FailOpenHost;
  #lastDisconnectedSec = 0;
  #nextBogusMs = Infinity;

  constructor(host: FailOpenHost) {
    this.#host = host;
  }

  get isActive(): boolean {
    return this.#lastDisconnectedSec !== 0;
  }
  get wakeAtMs(): number {
    return this.#nextBogusMs;
  }

  /** Whether the rule belongs into freshly flushed tables. */
  shouldOpen(nowMs: number): boolean {
    const seconds = this.#host.failureDurationSec(nowMs);
    return seconds > 0 && seconds >= this.#triggerSec();
  }

  run(nowMs: number): void {
    const seconds = this.#host.failureDurationSec(nowMs);
    if (seconds > 0 && seconds >= this.#triggerSec()) {
      if (!this.isActive) {
        log.warn(
          `Could not connect to controller (or switch failed controller's post-connection admission control policy) for ${seconds} seconds, failing open`,
        );
        this.#lastDisconnectedSec = seconds;
        this.#host.flushFlows();
      } else if (seconds > this.#lastDisconnectedSec + 60) {
        log.info(`Still in fail-open mode after ${seconds} seconds disconnected from controller`);
        this.#lastDisconnectedSec = seconds;
      }
    }
    if (!this.isActive) return;
    if (!this.#host.anyControllerConnected()) {
      this.#nextBogusMs = Infinity;
    } else {
      const expired = nowMs >= this.#nextBogusMs;
      if (expired) this.#host.sendBogusPacketIn();
      if (expired || this.#nextBogusMs === Infinity) this.#nextBogusMs = nowMs + 2000;
    }
  }

  maybeRecover(): void {
    if (this.isActive && this.#host.anyControllerAdmitted()) this.recover();
  }

  recover(): void {
    if (!this.isActive) return;
    log.warn('No longer in fail-open mode');
    this.#lastDisconnectedSec = 0;
    this.#nextBogusMs = Infinity;
    this.#host.removeFailOpenRule();
  }

  #triggerSec(): number {
    return this.#host.maxProbeIntervalSec() * 3;
  }
}
