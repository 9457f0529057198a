import type { Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { PmdLayout as P } from '../../datapath/generated/pmd.ts';
import type { Clock } from '../../util/clock.ts';
import { vlog } from '../../util/log.ts';
import type { Stepper } from '../../util/step.ts';
import { UdpifLayout as U } from '../generated/udpif.ts';
import { SnapshotReader } from '../snapshot.ts';
import { revalidationSeq } from '../translate/revalidation.ts';
import type { Translator } from '../translate/translator.ts';
import { FlowReview } from './flow-review.ts';
import type { BridgePacketIn } from './packet-in-event.ts';
import { Udpif } from './udpif.ts';

const log = vlog('ofproto_dpif_upcall');

/** Flow slots that a thread takes at a time, and looks at in one step. */
const CHUNK = 64;
/** A round starts at the earliest so long after the last start. */
const MIN_INTERVAL_MS = 5;
/** How often a thread that waits for others looks again, should it miss their notification. */
const BARRIER_POLL_MS = 10;

export interface RevalidatorOptions {
  readonly core: Core;
  readonly clock: Clock;
  /** Address of the shared block. */
  readonly udpif: number;
  /** 0 is the leader. */
  readonly index: number;
  readonly events: { packetIn(event: BridgePacketIn): void };
  readonly snapshots?: SnapshotReader;
  readonly translator?: Translator;
}

/**
 * One revalidator thread (OVS's udpif_revalidator).
 *
 * A round, for all threads of a generation in step:
 *
 *   leader: wait until it is time -> begin | all: barrier, dump their part, barrier, sweep, barrier |
 *   leader: end the round: duration, flow limit
 *
 * Barriers are words in the shared block: `arrived` counts under the generation's number, and the last to
 * arrive opens the next phase. So nothing here blocks; a host with nothing to do waits with
 * `Atomics.wait(core.i32, waitAddress >>> 2, waitValue, wakeAtMs - now)`.
 * When main starts another generation, threads of the old one return from their next step with `exited`.
 */
export class Revalidator implements Stepper {
  readonly index: number;
  readonly waitAddress: number;
  waitValue = 0;
  wakeAtMs = 0;
  exited = false;
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #udpif: Udpif;
  readonly #generation: number;
  readonly #snapshots: SnapshotReader;
  readonly #review: FlowReview;
  #stage: 'begin' | 'start barrier' | 'dump' | 'dump barrier' | 'sweep barrier' = 'begin';
  /** Phase that this thread waits to see opened. */
  #awaitedPhase = 0;
  /** Leader: what the last round served. */
  #doneRevalSeq = -1;
  #doneWaitSeq = 0;
  #startMs = -Infinity;
  #flowsAtStart = 0;
  #purgeSeq = 0;

  constructor(options: RevalidatorOptions) {
    const { core } = options;
    this.#core = core;
    this.#clock = options.clock;
    this.#udpif = new Udpif(core, options.udpif);
    this.#snapshots = options.snapshots ?? new SnapshotReader(core);
    this.index = options.index;
    this.#generation = this.#udpif.get(U.generation);
    this.waitAddress = options.udpif + U.wakeSeq;
    this.#doneWaitSeq = this.#udpif.get(U.waitSeq);
    this.#review = new FlowReview({
      core,
      udpif: this.#udpif,
      ...(options.translator === undefined ? {} : { translator: options.translator }),
    });
  }

  step(nowMs: number): number {
    this.waitValue = Atomics.load(this.#core.i32, this.waitAddress >>> 2);
    if (this.exited) return 0;
    if (this.#udpif.get(U.generation) !== this.#generation) {
      this.close();
      return 0;
    }
    switch (this.#stage) {
      case 'begin':
        return this.#begin(nowMs);
      case 'start barrier':
        if (!this.#isOpen(nowMs)) return 0;
        this.#review.startRound(this.#snapshots.get());
        this.#stage = 'dump';
        return 1;
      case 'dump':
        return this.#dump(nowMs);
      case 'dump barrier':
        if (!this.#isOpen(nowMs)) return 0;
        this.#review.sweep(this.#snapshots.get());
        this.#udpif.set(U.ukeys + 4 * Math.min(this.index, 63), this.#review.kept);
        this.#arrive('sweep barrier');
        return 1;
      case 'sweep barrier':
        if (!this.#isOpen(nowMs)) return 0;
        if (this.index === 0) this.#finishRound(nowMs);
        this.#stage = 'begin';
        return 1;
    }
  }

  /** Ends the thread's part: finishes the flows it has in hand. The host calls it when it stops; again does nothing. */
  close(): void {
    if (this.exited) return;
    this.exited = true;
    this.wakeAtMs = Infinity;
    this.#review.destroy(this.#snapshots.get());
  }

  /** Leader: begins a round if it is time. Others go to the first barrier. */
  #begin(nowMs: number): number {
    if (this.index !== 0) {
      this.#arrive('start barrier');
      return 1;
    }
    const udpif = this.#udpif;
    // A purge is a direct order and does not wait for the end of a pause.
    if (udpif.get(U.pause) !== 0 && udpif.purged) {
      udpif.set(U.paused, 1);
      this.wakeAtMs = Infinity;
      return 0;
    }
    if (!this.#isAsked() && nowMs < this.#dueMs(false)) {
      // Asked before they could see that the leader sleeps?
      udpif.set(U.idle, 1);
      if (!this.#isAsked()) {
        this.wakeAtMs = this.#dueMs(false);
        return 0;
      }
    }
    udpif.set(U.idle, 0);
    const dueMs = this.#dueMs(this.#isAsked());
    // Spacing rounds out protects the processor; under stopped time it would only hang who waits.
    if (nowMs < dueMs && this.#clock.isStopped !== true) {
      this.wakeAtMs = dueMs;
      return 0;
    }
    this.#startRound(nowMs);
    this.#arrive('start barrier');
    return 1;
  }

  #isAsked(): boolean {
    const udpif = this.#udpif;
    return (
      revalidationSeq(this.#core) !== this.#doneRevalSeq ||
      udpif.get(U.waitSeq) !== this.#doneWaitSeq ||
      !udpif.purged
    );
  }

  /** When the next round begins. */
  #dueMs(isAsked: boolean): number {
    const udpif = this.#udpif;
    const interval = Math.min(udpif.get(U.maxIdleMs), udpif.get(U.maxRevalidatorMs));
    return this.#startMs + (isAsked ? MIN_INTERVAL_MS : interval);
  }

  #startRound(nowMs: number): void {
    const udpif = this.#udpif;
    const core = this.#core;
    udpif.set(U.inRound, 1);
    this.#doneRevalSeq = revalidationSeq(core);
    this.#doneWaitSeq = udpif.get(U.waitSeq);
    this.#startMs = nowMs;
    const flows = udpif.flowCount;
    this.#flowsAtStart = flows;
    udpif.set(U.maxFlows, Math.max(flows, udpif.get(U.maxFlows)));
    udpif.set(U.avgFlows, (udpif.get(U.avgFlows) + flows) >>> 1);
    udpif.set(U.roundRevalSeq, this.#doneRevalSeq);
    udpif.set(U.purging, udpif.purged ? 0 : 1);
    this.#purgeSeq = udpif.get(U.purgeSeq);
    for (let i = 0; i < udpif.nPmds; i++) {
      const pmd = (udpif.pmdSlot(i) & ~1) >>> 0;
      udpif.set(U.capacities + 4 * i, pmd === 0 ? 0 : Atomics.load(core.u32, (pmd + P.slotsUsed) >>> 2));
    }
    udpif.set(U.dumpOffset, 0);
    Atomics.add(core.u32, (ARENA_ROOT + ArenaRootLayout.dumpSeq) >>> 2, 1);
  }

  /** Looks at the next chunk of flow slots. */
  #dump(nowMs: number): number {
    let at = this.#udpif.add(U.dumpOffset, CHUNK);
    // Chunks do not cross from one PMD's slots into the next's: each has whole chunks.
    for (let i = 0; i < this.#udpif.nPmds; i++) {
      const capacity = this.#udpif.get(U.capacities + 4 * i);
      const whole = Math.ceil(capacity / CHUNK) * CHUNK;
      if (at < whole) {
        const slot = this.#udpif.pmdSlot(i);
        const pmd = (slot & ~1) >>> 0;
        if (pmd !== 0) this.#review.slots(pmd, at, Math.min(at + CHUNK, capacity), (slot & 1) !== 0, nowMs);
        return 1;
      }
      at -= whole;
    }
    this.#arrive('dump barrier');
    return 1;
  }

  /** Joins a barrier; the last of the generation opens it. */
  #arrive(stage: 'start barrier' | 'dump barrier' | 'sweep barrier'): void {
    const { u32 } = this.#core;
    const index = (this.#udpif.address + U.arrived) >>> 2;
    this.#stage = stage;
    this.#awaitedPhase = (this.#udpif.get(U.phase) + 1) >>> 0;
    for (;;) {
      const was = Atomics.load(u32, index);
      if (was >>> 16 !== this.#generation) return; // Another generation has begun: the next step leaves.
      const count = (was & 0xffff) + 1;
      const isLast = count >= this.#udpif.get(U.nRevalidators);
      const next = ((this.#generation << 16) | (isLast ? 0 : count)) >>> 0;
      if (Atomics.compareExchange(u32, index, was, next) !== was) continue;
      if (isLast) {
        this.#udpif.add(U.phase, 1);
        this.#udpif.wake();
      }
      return;
    }
  }

  #isOpen(nowMs: number): boolean {
    if (this.#udpif.get(U.phase) === this.#awaitedPhase) return true;
    // Between rounds followers may wait long; within one only for what others have in hand.
    this.wakeAtMs = this.#stage === 'start barrier' ? Infinity : nowMs + BARRIER_POLL_MS;
    return false;
  }

  /** Leader: how long the round took decides how many flows there may be. */
  #finishRound(nowMs: number): void {
    const udpif = this.#udpif;
    this.#freeRetired();
    Atomics.add(this.#core.u32, (ARENA_ROOT + ArenaRootLayout.dumpSeq) >>> 2, 1);
    const durationMs = Math.max(Math.floor(this.#clock.nowMs() - this.#startMs), 1);
    udpif.set(U.dumpDurationMs, durationMs);
    udpif.set(
      U.flowLimit,
      adaptFlowLimit(udpif.flowLimit, durationMs, this.#flowsAtStart, udpif.get(U.flowLimitMax)),
    );
    if (durationMs > 2000) log.warn(`Spent an unreasonably long ${durationMs}ms dumping flows`);
    if (udpif.get(U.purging) !== 0) udpif.set(U.purgedSeq, this.#purgeSeq);
    udpif.set(U.purging, 0);
    udpif.set(U.inRound, 0);
    udpif.add(U.roundSeq, 1);
    this.wakeAtMs = nowMs;
  }

  /** Frees PMDs whose threads have ended and whose flows are gone. */
  #freeRetired(): void {
    const udpif = this.#udpif;
    for (let i = 0; i < udpif.nPmds; i++) {
      const slot = udpif.pmdSlot(i);
      const pmd = (slot & ~1) >>> 0;
      if ((slot & 1) === 0 || Atomics.load(this.#core.u32, (pmd + P.flowCount) >>> 2) !== 0) continue;
      udpif.set(U.pmds + 4 * i, 0);
      this.#core.x.pmdDestroy(pmd);
    }
  }
}

/** The limit after a round that took `durationMs` over `flows` flows (design.md §4). */
export function adaptFlowLimit(limit: number, durationMs: number, flows: number, ceiling: number): number {
  let next = limit;
  if (durationMs > 2000) next = Math.floor(next / Math.floor(durationMs / 1000));
  else if (durationMs > 1300) next = Math.floor((next * 3) / 4);
  else if (durationMs < 1000 && flows > 2000 && next < Math.floor((flows * 1000) / durationMs)) next += 1000;
  return Math.min(ceiling, Math.max(next, 1000));
}
