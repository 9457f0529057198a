import type { Core } from '../../arena/core.ts';
import { NON_PMD_CORE_ID } from '../../datapath/datapath.layout.ts';
import type { PortThreads } from '../../datapath/provider.ts';
import { PmdLoop } from '../../datapath/providers/userspace/pmd-loop.ts';
import type { OpenPortIo, PortAttachment } from '../../netdev/provider.ts';
import type { Udpif } from '../../ofproto/upcall/udpif.ts';
import { allowedCores } from '../../sys/threads.ts';
import { SystemError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import type { ThreadManager, WorkerThread } from './thread-manager.ts';

const log = vlog('dpif_netdev');

/** `WorkerInit.settings` of a PMD thread. */
export interface PmdSettings {
  readonly pmd: number;
  readonly udpif: number;
  readonly coreId: number;
  readonly pin: boolean;
}

/** Arguments of a PMD's request `port-add`. */
export interface PortAddArgs {
  readonly attachment: PortAttachment;
  readonly rxQueues: readonly number[];
}

/** A PMD as the commands see it. */
export interface PmdView {
  /** Arena address. */
  readonly pmd: number;
  /** Core, or null for main. */
  readonly coreId: number | null;
  readonly rxPorts: readonly string[];
}

interface PmdWorker {
  readonly coreId: number;
  pmd: number;
  thread: WorkerThread;
}

interface Attached {
  readonly attachment: PortAttachment;
  /** The worker that receives from it; null: main does. */
  owner: PmdWorker | null;
}

/**
 * Which thread moves which port's packets.
 *
 * Devices are given to PMD workers, round robin; workers are started with the first such port and
 * stopped with the last, so that a switch of dummy ports alone stays single-threaded and its tests
 * deterministic. Ring-fed dummy ports are polled by main's own loop, as OVS's main thread polls
 * devices that are not for PMDs. Every loop can send on every port.
 *
 * A worker that died is replaced by one with fresh caches (a PMD record may have been torn in the
 * middle of a burst); its megaflows are swept by the revalidators, and its ports go to the new one.
 *
 * Threads: main only.
 */
export class PmdPool implements PortThreads {
  readonly main: PmdLoop;
  readonly #core: Core;
  readonly #threads: ThreadManager;
  readonly #udpif: Udpif;
  readonly #attached = new Map<number, Attached>();
  #workers: PmdWorker[] = [];
  #wantedCores: readonly number[] = [];
  #pin = false;
  #next = 0;
  #emcInsertInvProb = 100;

  constructor(core: Core, threads: ThreadManager, udpif: Udpif, openPortIo: OpenPortIo) {
    this.#core = core;
    this.#threads = threads;
    this.#udpif = udpif;
    this.main = new PmdLoop(core, this.#createPmd(NON_PMD_CORE_ID), openPortIo);
    this.setCpuMask('');
  }

  /** other_config:pmd-cpu-mask, hexadecimal; '' = one PMD on the last core this process may use. */
  setCpuMask(mask: string): void {
    const allowed = allowedCores();
    const bits = mask === '' ? 0n : BigInt(`0x${mask.replace(/^0x/i, '')}`);
    const cores = allowed.filter((c) => (bits >> BigInt(c)) & 1n);
    this.#pin = cores.length > 0;
    this.#wantedCores = cores.length > 0 ? cores : allowed.slice(-1);
  }

  setEmcInsertInvProb(prob: number): void {
    this.#emcInsertInvProb = prob;
    for (const view of this.views()) this.#core.x.pmdSetEmcInsertInvProb(view.pmd, prob);
  }

  /** Main's loop first, then the workers by core. */
  views(): PmdView[] {
    const names = (owner: PmdWorker | null): string[] =>
      [...this.#attached.values()].filter((a) => a.owner === owner).map((a) => a.attachment.name);
    return [
      { pmd: this.main.pmd, coreId: null, rxPorts: names(null) },
      ...this.#workers.map((w) => ({ pmd: w.pmd, coreId: w.coreId, rxPorts: names(w) })),
    ];
  }

  async attach(attachment: PortAttachment): Promise<void> {
    const entry: Attached = { attachment, owner: null };
    if (!attachment.polledByMain) entry.owner = await this.#pickWorker();
    this.#attached.set(attachment.odpPort, entry);
    try {
      this.main.addPort(attachment, entry.owner === null ? allQueues(attachment) : []);
      await Promise.all(this.#workers.map((w) => addTo(w, entry)));
    } catch (error) {
      await this.detach(attachment.odpPort);
      throw error;
    }
  }

  async detach(odpPort: number): Promise<void> {
    if (!this.#attached.delete(odpPort)) return;
    this.main.delPort(odpPort);
    await Promise.all(this.#workers.map((w) => w.thread.request('port-del', odpPort).catch(() => undefined)));
    if (![...this.#attached.values()].some((a) => a.owner !== null)) await this.#stopWorkers();
  }

  /** Applies a changed core mask: stops all workers and starts the wanted ones with all ports. */
  async restart(): Promise<void> {
    const same =
      this.#workers.length === this.#wantedCores.length &&
      this.#workers.every((w, i) => w.coreId === this.#wantedCores[i]);
    if (same || this.#workers.length === 0) return;
    await this.#stopWorkers();
    for (const entry of this.#attached.values()) {
      if (entry.attachment.polledByMain) continue;
      entry.owner = await this.#pickWorker();
    }
    await Promise.all(this.#workers.flatMap((w) => [...this.#attached.values()].map((e) => addTo(w, e))));
  }

  async close(): Promise<void> {
    await this.#stopWorkers();
    this.main.close();
  }

  async #pickWorker(): Promise<PmdWorker> {
    if (this.#workers.length === 0) await this.#startWorkers();
    const worker = this.#workers[this.#next++ % this.#workers.length];
    if (worker === undefined) throw new SystemError('EAGAIN', 11, 'pmd', 'no core for a PMD thread');
    return worker;
  }

  async #startWorkers(): Promise<void> {
    this.#workers = this.#wantedCores.map((coreId) => {
      const worker = { coreId, pmd: this.#createPmd(coreId) } as PmdWorker;
      worker.thread = this.#startThread(worker);
      return worker;
    });
    await Promise.all(this.#workers.flatMap((w) => [...this.#attached.values()].map((e) => addTo(w, e))));
  }

  async #stopWorkers(): Promise<void> {
    const workers = this.#workers;
    this.#workers = [];
    await Promise.all(workers.map((w) => w.thread.stop()));
    for (const w of workers) this.#retirePmd(w.pmd);
  }

  #createPmd(id: number): number {
    const pmd = this.#core.x.pmdCreate(id) >>> 0;
    if (pmd === 0) throw new SystemError('ENOMEM', 12, 'pmd_create', 'arena is full: no room for a PMD');
    this.#core.x.pmdSetEmcInsertInvProb(pmd, this.#emcInsertInvProb);
    this.#udpif.addPmd(pmd);
    return pmd;
  }

  /** Its megaflows' last statistics are credited before the record goes. */
  #retirePmd(pmd: number): void {
    this.#udpif.retirePmd(pmd);
  }

  #startThread(worker: PmdWorker): WorkerThread {
    const name = `pmd-c${String(worker.coreId).padStart(2, '0')}/id:${this.#threads.nextId()}`;
    const settings: PmdSettings = {
      pmd: worker.pmd,
      udpif: this.#udpif.address,
      coreId: worker.coreId,
      pin: this.#pin,
    };
    log.info(`PMD thread on numa_id: 0, core id: ${String(worker.coreId).padStart(2)} created.`);
    return this.#threads.start('pmd', name, settings, () => this.#revive(worker));
  }

  #revive(worker: PmdWorker): void {
    if (!this.#workers.includes(worker)) return;
    const dead = worker.pmd;
    worker.pmd = this.#createPmd(worker.coreId);
    worker.thread = this.#startThread(worker);
    this.#retirePmd(dead);
    for (const entry of this.#attached.values()) {
      addTo(worker, entry).catch((error: unknown) =>
        log.err(
          `${entry.attachment.name}: not taken over: ${error instanceof Error ? error.message : String(error)}`,
        ),
      );
    }
  }
}

async function addTo(worker: PmdWorker, entry: Attached): Promise<void> {
  const args: PortAddArgs = {
    attachment: entry.attachment,
    rxQueues: entry.owner === worker ? allQueues(entry.attachment) : [],
  };
  await worker.thread.request('port-add', args);
}

function allQueues(attachment: PortAttachment): number[] {
  return Array.from({ length: attachment.rxQueues }, (_, queue) => queue);
}
