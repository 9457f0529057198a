/**
 * The shared words through which main steers a worker that never reaches its event loop.
 *
 * A worker steps in a synchronous loop, so that timers and messages would wait for ever. Main posts
 * a message on the worker's port, then bumps MAIL; the worker drains the port when MAIL moved. A
 * worker about to block sets SLEEPING, re-checks, then blocks on MAIL (or in poll(2) on its
 * eventfd); main bumps MAIL first and reads SLEEPING after, so that no wake-up is lost.
 */
export const CONTROL_WORDS = 8;
/** Bumped by main for each message or wake-up. */
export const MAIL = 0;
/** 1: the worker blocks or is about to. Written by the worker. */
export const SLEEPING = 1;
/** 1: leave the loop at the next step. Written by main. */
export const STOP = 2;
/** Steps done, modulo 2^32: the supervisor sees a thread that hangs. Written by the worker. */
export const STEPS = 3;
/** Index of the worker's thread block + 1, 0 before it attached: what main needs to bury it. */
export const THREAD_INDEX = 4;
/** 1: events wait for main and it has been told. Set by the worker, cleared by main before it drains. */
export const DOORBELL = 5;

/** What a worker gets when it starts (structured clone). */
export interface WorkerInit {
  readonly threadName: string;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly port: import('node:worker_threads').MessagePort;
  /** Written by main to end a poll(2); -1 for threads that block on MAIL. */
  readonly eventFd: number;
  /** EventRing from this thread to main. */
  readonly eventRing: number;
  /** Module levels of vlog at start. */
  readonly logLevels: readonly (readonly [module: string, levels: Record<string, string>])[];
  /** Settings of the kind of thread. */
  readonly settings: unknown;
}

/** A request from main: the worker answers each with `{ id, value }` or `{ id, error }`. */
export interface WorkerRequest {
  readonly id: number;
  readonly method: string;
  readonly args: unknown;
}

export interface WorkerReply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}
