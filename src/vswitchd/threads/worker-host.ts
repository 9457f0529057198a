import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { attachArena, detachArena, type Core } from '../../arena/core.ts';
import { ArenaClock } from '../../arena/clock.ts';
import { EventRing } from '../../arena/ring.ts';
import { setThreadName } from '../../sys/threads.ts';
import type { Clock } from '../../util/clock.ts';
import { counters } from '../../util/counters.ts';
import { setVlogSink, vlog, type VlogFacility, type VlogLevel } from '../../util/log.ts';
import {
  DOORBELL,
  MAIL,
  SLEEPING,
  STEPS,
  STOP,
  THREAD_INDEX,
  type WorkerInit,
  type WorkerReply,
  type WorkerRequest,
} from './control.ts';
import { encodeLogRecord, eventKinds } from './events.ts';

/** What a worker's entry file provides: the activity and its answers to main's requests. */
export interface WorkerActivity {
  /** `Clock.nowMs` of the next step though nothing happens; Infinity = only when woken. */
  readonly wakeAtMs: number;
  step(nowMs: number): number;
  /** Answers a request of main, between two steps. */
  request(method: string, args: unknown): unknown;
  /**
   * Blocks until there may be work, for at most `timeoutMs` (never over 1 s). The thread is offline
   * meanwhile. Absent: the host waits on the MAIL word.
   */
  block?(timeoutMs: number, mailWord: Int32Array, mailSeen: number): void;
  /** Last call of the thread. */
  close(): void;
}

export interface WorkerContext {
  readonly core: Core;
  readonly clock: Clock;
  readonly init: WorkerInit;
  /** Queues an event for main and wakes it; false (and counted) when the ring is full. */
  event(kind: number, bytes: Uint8Array): boolean;
  /** A line for main's log loses nothing but its order; tells main that something waits for it. */
  notifyMain(): void;
}

const idleSpinMs = 0.08;

/** How long a thread may stay blocked: stop flags and dead peers are noticed within it. */
const longestBlockMs = 1000;

/**
 * Runs an activity in this worker until main sets STOP.
 *
 * The loop never returns to the event loop: requests are read with `receiveMessageOnPort` when MAIL
 * moved. One `quiesce` a step lets other threads free what this one can no longer hold.
 */
export function hostWorker(create: (context: WorkerContext) => WorkerActivity): void {
  const init = workerData as WorkerInit;
  setThreadName(init.threadName);
  const core = attachArena({ module: init.module, memory: init.memory, threadName: init.threadName });
  const control = new Int32Array(init.control);
  Atomics.store(control, THREAD_INDEX, core.threadIndex + 1);
  core.x.threadOnline();
  const clock = new ArenaClock(core);
  const ring = new EventRing(core, init.eventRing);
  const port = init.port;

  const notifyMain = (): void => {
    if (Atomics.exchange(control, DOORBELL, 1) === 0) port.postMessage(null);
  };
  const event = (kind: number, bytes: Uint8Array): boolean => {
    const pushed = ring.tryPush(kind, bytes);
    notifyMain();
    return pushed;
  };
  for (const [module, levels] of init.logLevels) setLevels(module, levels);
  setVlogSink(
    (record) => void event(eventKinds.log, encodeLogRecord(record)),
    init.threadName,
    () => clock.nowMs(),
  );

  const activity = create({ core, clock, init, event, notifyMain });

  let mailSeen = 0;
  const readMail = (): void => {
    for (;;) {
      const mail = Atomics.load(control, MAIL);
      if (mail === mailSeen) return;
      mailSeen = mail;
      for (let m = receiveMessageOnPort(port); m !== undefined; m = receiveMessageOnPort(port)) {
        port.postMessage(answer(activity, m.message as WorkerRequest));
      }
    }
  };

  let idleSinceMs = Infinity;
  let steps = 0;
  while (Atomics.load(control, STOP) === 0) {
    readMail();
    const nowMs = clock.nowMs();
    const worked = activity.step(nowMs);
    core.x.quiesce();
    Atomics.store(control, STEPS, ++steps | 0);
    if (worked > 0) {
      idleSinceMs = Infinity;
      continue;
    }
    if (idleSinceMs === Infinity) idleSinceMs = nowMs;
    // Waking up costs more than some 50 us of spinning, and packets come in clusters.
    if (activity.block !== undefined && nowMs - idleSinceMs < idleSpinMs) continue;
    const timeoutMs = Math.min(longestBlockMs, activity.wakeAtMs - nowMs);
    if (timeoutMs <= 0) continue;
    Atomics.store(control, SLEEPING, 1);
    if (Atomics.load(control, MAIL) === mailSeen && Atomics.load(control, STOP) === 0) {
      core.x.threadOffline();
      if (activity.block === undefined) Atomics.wait(control, MAIL, mailSeen, timeoutMs);
      else activity.block(timeoutMs, control, mailSeen);
      core.x.threadOnline();
    }
    Atomics.store(control, SLEEPING, 0);
    idleSinceMs = Infinity;
  }
  readMail();
  activity.close();
  detachArena(core);
  port.close();
}

function answer(activity: WorkerActivity, request: WorkerRequest): WorkerReply {
  try {
    switch (request.method) {
      case 'log-levels': {
        const args = request.args as { module: string; levels: Record<string, string> };
        setLevels(args.module, args.levels);
        return { id: request.id };
      }
      case 'coverage':
        return { id: request.id, value: [...counters()].map(([name, c]) => [name, c.total]) };
      case 'crash':
        throw new CrashRequest();
      default:
        return { id: request.id, value: activity.request(request.method, request.args) };
    }
  } catch (error) {
    if (error instanceof CrashRequest) throw error;
    return { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Asked for by a test or by `supervisor/crash`: ends the thread as a fault of ours would. */
class CrashRequest extends Error {
  constructor() {
    super('crashed on request');
  }
}

function setLevels(module: string, levels: Record<string, string>): void {
  const m = vlog(module);
  for (const [facility, level] of Object.entries(levels))
    m.levels[facility as VlogFacility] = level as VlogLevel;
}
