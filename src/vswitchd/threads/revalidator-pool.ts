import { availableParallelism } from 'node:os';
import type { Udpif } from '../../ofproto/upcall/udpif.ts';
import { vlog } from '../../util/log.ts';
import type { ThreadManager, WorkerThread } from './thread-manager.ts';

const log = vlog('ofproto_dpif_upcall');

/** `WorkerInit.settings` of a revalidator thread. */
export interface RevalidatorSettings {
  readonly udpif: number;
  readonly index: number;
}

/**
 * OVS's rule for thread counts: what is configured; else revalidators are what handlers leave of the
 * cores, or a quarter of the cores plus one, and handlers are the rest.
 */
export function threadCounts(
  cores: number,
  handlers: number,
  revalidators: number,
): { handlers: number; revalidators: number } {
  const n = Math.max(cores, 2);
  const r =
    revalidators > 0 ? revalidators : handlers > 0 ? Math.max(n - handlers, 1) : Math.floor(n / 4) + 1;
  const h = handlers > 0 ? handlers : Math.max(n - r, 1);
  return { handlers: h, revalidators: r };
}

/**
 * The revalidator and handler threads. Counts take effect at once: the old generation leaves its
 * round, the new one starts; PMDs go on meanwhile, so that no packet is lost. Handlers serve kernel
 * datapaths and sleep until there is one.
 *
 * Threads: main only.
 */
export class RevalidatorPool {
  readonly #threads: ThreadManager;
  readonly #udpif: Udpif;
  #handlers: WorkerThread[] = [];
  #revalidators: WorkerThread[] = [];
  #wanted = { handlers: 0, revalidators: 0 };
  #isStarted = false;
  #isClosing = false;
  #change: Promise<void> = Promise.resolve();

  constructor(threads: ThreadManager, udpif: Udpif) {
    this.#threads = threads;
    this.#udpif = udpif;
  }

  get counts(): { handlers: number; revalidators: number } {
    return { handlers: this.#handlers.length, revalidators: this.#revalidators.length };
  }

  /** Numbers in the names of the revalidator threads, leader first. */
  get revalidatorIds(): number[] {
    return this.#revalidators.map((t) => Number(t.name.replace(/\D+/, '')));
  }

  /** 0 = OVS's default for this machine. */
  configure(handlers: number, revalidators: number): void {
    this.#wanted = threadCounts(availableParallelism(), handlers, revalidators);
    if (this.#isStarted) this.#apply();
  }

  /** Threads run from the first bridge on. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#apply();
  }

  /** Resolves when a change of counts has taken effect. */
  settled(): Promise<void> {
    return this.#change;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#change;
    await this.#stopAll();
  }

  #apply(): void {
    this.#change = this.#change.then(() => this.#restart());
  }

  async #restart(): Promise<void> {
    const { handlers, revalidators } = this.#wanted;
    const isCurrent = handlers === this.#handlers.length && revalidators === this.#revalidators.length;
    if (isCurrent || this.#isClosing) return;
    await this.#stopAll();
    log.info(`Starting ${handlers + revalidators} threads`);
    log.info(`Overriding n-handler-threads to ${handlers}, setting n-revalidator-threads to ${revalidators}`);
    this.#handlers = Array.from({ length: handlers }, (_, index) => this.#startHandler(index));
    this.#startRevalidators();
  }

  #startHandler(index: number): WorkerThread {
    const name = `handler${this.#threads.nextId()}`;
    return this.#threads.start('handler', name, { index }, (dead) => {
      this.#handlers = this.#handlers.map((t) => (t === dead ? this.#startHandler(index) : t));
    });
  }

  /** A dead revalidator may have left a barrier half full: the whole generation is replaced. */
  #startRevalidators(): void {
    const { revalidators } = this.#wanted;
    this.#udpif.setThreads(revalidators);
    this.#revalidators = Array.from({ length: revalidators }, (_, index) => {
      const settings: RevalidatorSettings = { udpif: this.#udpif.address, index };
      const name = `revalidator${this.#threads.nextId()}`;
      return this.#threads.start('revalidator', name, settings, (dead) => {
        this.#change = this.#change.then(async () => {
          const rest = this.#revalidators.filter((t) => t !== dead);
          this.#revalidators = [];
          this.#udpif.setThreads(0);
          await Promise.all(rest.map((t) => t.stop()));
          if (!this.#isClosing) this.#startRevalidators();
        });
      });
    });
  }

  async #stopAll(): Promise<void> {
    const all = [...this.#handlers, ...this.#revalidators];
    this.#handlers = [];
    this.#revalidators = [];
    this.#udpif.setThreads(0);
    await Promise.all(all.map((t) => t.stop()));
  }
}
