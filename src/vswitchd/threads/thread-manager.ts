import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { Core } from '../../arena/core.ts';
import { ThreadBlockLayout } from '../../arena/generated/thread-block.ts';
import { EventRing } from '../../arena/ring.ts';
import { closeFd, createEventFd, signalEventFd } from '../../sys/eventfd.ts';
import { BugError, OvsError } from '../../util/errors.ts';
import { vlog, vlogModules } from '../../util/log.ts';
import {
  CONTROL_WORDS,
  DOORBELL,
  MAIL,
  SLEEPING,
  STOP,
  THREAD_INDEX,
  type WorkerInit,
  type WorkerReply,
} from './control.ts';
import { decodeLogRecord, eventKinds } from './events.ts';
import { workerFile } from './worker-file.ts';
import { vlogWrite } from '../../sys/vlog-sink.ts';

const log = vlog('ovs_thread');
/** ThreadBlock.state of a thread that ended with blocks in limbo. */
const threadDead = 2;
const eventRingBytes = 256 * 1024;

export type WorkerKind = 'pmd' | 'revalidator' | 'handler';

/** Main's handle of a worker: requests, wake-up and end. */
export class WorkerThread {
  readonly name: string;
  readonly kind: WorkerKind;
  readonly ring: EventRing;
  readonly #control: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #port: MessagePort;
  readonly #worker: Worker;
  readonly #eventFd: number;
  readonly #pending = new Map<number, { resolve: (v: unknown) => void; reject: (e: Error) => void }>();
  #nextId = 1;
  #stopping = false;
  #alive = true;
  readonly exited: Promise<void>;

  constructor(
    core: Core,
    kind: WorkerKind,
    name: string,
    settings: unknown,
    module: WebAssembly.Module,
    hooks: WorkerHooks,
  ) {
    this.kind = kind;
    this.name = name;
    this.#control = new SharedArrayBuffer(4 * CONTROL_WORDS);
    this.#words = new Int32Array(this.#control);
    this.#eventFd = kind === 'pmd' ? createEventFd() : -1;
    this.ring = EventRing.create(core, eventRingBytes);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const init: WorkerInit = {
      threadName: name,
      module,
      memory: core.memory,
      control: this.#control,
      port: port2,
      eventFd: this.#eventFd,
      eventRing: this.ring.address,
      logLevels: [...vlogModules().values()].map((m) => [m.name, { ...m.levels }] as const),
      settings,
    };
    this.#worker = new Worker(workerFile(), {
      argv: [`${kind}.worker`],
      workerData: init,
      transferList: [port2],
      name,
    });
    port1.on('message', (message: WorkerReply | null) => {
      if (message === null) hooks.onEvents(this);
      else this.#reply(message);
    });
    port1.unref();
    let cause: Error | null = null;
    this.#worker.on(
      'error',
      (error: unknown) => (cause = error instanceof Error ? error : new Error(String(error))),
    );
    this.exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#alive = false;
        const why = new OvsError('ESRCH', `thread ${this.name} ended`);
        for (const p of this.#pending.values()) p.reject(why);
        this.#pending.clear();
        hooks.onEvents(this);
        this.#port.close();
        if (this.#eventFd >= 0) closeFd(this.#eventFd);
        resolve();
        if (!this.#stopping) hooks.onDeath(this, cause);
      });
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Index of its thread block in the arena, -1 before it attached. */
  get threadIndex(): number {
    return Atomics.load(this.#words, THREAD_INDEX) - 1;
  }

  /** To be called before the ring is drained: later events ring again. */
  clearDoorbell(): void {
    Atomics.store(this.#words, DOORBELL, 0);
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Calls `method` in the worker between two of its steps. */
  request(method: string, args: unknown): Promise<unknown> {
    if (!this.#alive) return Promise.reject(new OvsError('ESRCH', `thread ${this.name} has ended`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#port.postMessage({ id, method, args });
      this.wake();
    });
  }

  /** Makes the worker look at its mail and step, also when it blocks. */
  wake(): void {
    Atomics.add(this.#words, MAIL, 1);
    Atomics.notify(this.#words, MAIL);
    if (Atomics.load(this.#words, SLEEPING) === 1) signalEventFd(this.#eventFd);
  }

  /** Asks the worker to leave its loop; resolves once it has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    Atomics.store(this.#words, STOP, 1);
    this.wake();
    await this.exited;
  }

  /** Ends the thread wherever it stands, as a fault would: for tests of the supervisor. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  #reply(message: WorkerReply): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) throw new BugError(`thread ${this.name} answered request ${message.id} twice`);
    this.#pending.delete(message.id);
    if (message.error === undefined) pending.resolve(message.value);
    else pending.reject(new OvsError('EREMOTE', message.error));
  }
}

export interface WorkerHooks {
  onEvents(thread: WorkerThread): void;
  /** The thread ended without having been asked to. */
  onDeath(thread: WorkerThread, cause: Error | null): void;
}

/**
 * The worker threads of the daemon, and their supervisor.
 *
 * What: starts, names and stops workers; drains their event rings (log lines are printed, all else
 * goes to `onEvent`). A worker that ends unasked is a fault: its locks are broken, it is taken
 * offline in the arena so that nothing waits for its epoch, and `onDeath` lets the owner of its kind
 * start a fresh one with the same ports.
 *
 * Threads: main only.
 */
export class ThreadManager {
  readonly #core: Core;
  readonly #module: WebAssembly.Module;
  readonly #threads = new Set<WorkerThread>();
  readonly #onEvent: (thread: WorkerThread, kind: number, bytes: Uint8Array) => void;
  #nextId = 1;

  constructor(
    core: Core,
    module: WebAssembly.Module,
    onEvent: (thread: WorkerThread, kind: number, bytes: Uint8Array) => void,
  ) {
    this.#core = core;
    this.#module = module;
    this.#onEvent = onEvent;
  }

  /** A number for a thread's name, as OVS numbers its threads in the order of their start. */
  nextId(): number {
    return this.#nextId++;
  }

  get threads(): ReadonlySet<WorkerThread> {
    return this.#threads;
  }

  start(
    kind: WorkerKind,
    name: string,
    settings: unknown,
    onDeath: (thread: WorkerThread) => void,
  ): WorkerThread {
    const thread = new WorkerThread(this.#core, kind, name, settings, this.#module, {
      onEvents: (t) => this.#drain(t),
      onDeath: (t, cause) => {
        const broken = this.#bury(t.threadIndex);
        log.emer(
          `thread ${t.name} died (${cause?.message ?? 'no cause given'}): ${broken} locks broken, starting a new one`,
        );
        onDeath(t);
      },
    });
    this.#threads.add(thread);
    void thread.exited.then(() => {
      this.#threads.delete(thread);
      thread.ring.destroy();
      if (thread.stopping) this.#adoptLimbo(thread.threadIndex);
    });
    return thread;
  }

  wakeAll(): void {
    for (const t of this.#threads) t.wake();
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#threads].map((t) => t.stop()));
  }

  #drain(thread: WorkerThread): void {
    thread.clearDoorbell();
    thread.ring.drain((kind, bytes) => {
      if (kind === eventKinds.log) vlogWrite(decodeLogRecord(bytes));
      else this.#onEvent(thread, kind, bytes);
    });
  }

  /** A thread that ended in order may leave blocks that readers still hold: they become main's to free. */
  #adoptLimbo(threadIndex: number): void {
    const { u32, x } = this.#core;
    if (threadIndex < 0) return;
    const { thread, threadIndex: mine } = this.#core;
    const block = thread + (threadIndex - mine) * ThreadBlockLayout.size;
    if (Atomics.load(u32, (block + ThreadBlockLayout.state) >>> 2) === threadDead) x.threadReap(threadIndex);
  }

  /** Takes a dead thread's arena block offline and breaks its locks. */
  #bury(threadIndex: number): number {
    if (threadIndex < 0) return 0;
    return this.#core.x.threadReap(threadIndex) >>> 0;
  }
}
