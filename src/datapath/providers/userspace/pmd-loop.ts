import type { Core } from '../../../arena/core.ts';
import type { OpenPortIo, PortAttachment, PortIo } from '../../../netdev/provider.ts';
import { SystemError } from '../../../util/errors.ts';
import { vlog } from '../../../util/log.ts';
import { PMD_BURST } from '../../datapath.layout.ts';
import { PmdLayout } from '../../generated/pmd.ts';
import type { PmdTimer } from './pmd-timer.ts';
import { TxPortLayout } from '../../generated/tx-port.ts';

const log = vlog('dpif_netdev');
/** Low bits of what pmdPoll returns: packets received. Above: JavaScript must finish the burst. */
const pollCount = 0xff;

/** Handles what a burst could not: misses and userspace actions (ofproto's Upcaller). */
export interface UpcallRunner {
  /** @returns Upcalls handled. */
  run(nowMs: number): number;
}

/**
 * One forwarding loop: receives from its queues, has each burst processed by core.wasm, lets the
 * upcall runner handle misses, transmits.
 *
 * The main thread has one too (OVS's non-PMD thread): it polls the dummy ports and executes
 * packet-outs. Every loop can send on every port, through a PortIo of its own.
 *
 * Threads: all methods belong to the thread that made the loop. Costs: one call into WebAssembly a
 * burst; no allocation while packets hit the caches.
 */
export class PmdLoop {
  readonly pmd: number;
  readonly #core: Core;
  readonly #openPortIo: OpenPortIo;
  readonly #batch: number;
  /** Open sides of each port by receive queue; null = to send only, while none of its queues is polled here. */
  readonly #ports = new Map<number, Map<number | null, PortIo>>();
  readonly #timer: PmdTimer | null;
  /** `rxq` records of polled queues. */
  readonly #rxqs = new WeakMap<PortIo, number>();
  /** The one of each port that sends. */
  readonly #tx = new Map<number, PortIo>();
  #rx: PortIo[] = [];
  #upcalls: UpcallRunner = { run: () => 0 };

  /** @param timer Absent: the loop's time is not measured (main's). */
  constructor(core: Core, pmd: number, openPortIo: OpenPortIo, timer: PmdTimer | null = null) {
    this.#core = core;
    this.#timer = timer;
    this.pmd = pmd;
    this.#openPortIo = openPortIo;
    this.#batch = core.x.alloc(4 * PMD_BURST) >>> 0;
    if (this.#batch === 0) throw new SystemError('ENOMEM', 12, 'alloc', 'arena is full: no room for a PMD');
  }

  /** Whether this loop receives from a port. */
  get polls(): boolean {
    return this.#rx.length > 0;
  }

  setUpcalls(upcalls: UpcallRunner): void {
    this.#upcalls = upcalls;
  }

  /**
   * Opens this thread's side of a port to send on it and to poll the given receive queues, none or more.
   * A port that is open already keeps the queues that stay as they are, and gets or loses the others.
   *
   * @param rxqs Arena addresses of the queues' `rxq` records, for the timer.
   * @throws what the provider says when a queue cannot be opened; the port is closed then.
   */
  addPort(attachment: PortAttachment, rxQueues: readonly number[], rxqs: readonly number[] = []): void {
    const { odpPort } = attachment;
    const wanted: (number | null)[] = rxQueues.length > 0 ? [...rxQueues] : [null];
    const ios = new Map<number | null, PortIo>();
    for (const [queue, io] of this.#ports.get(odpPort) ?? []) {
      if (wanted.includes(queue)) ios.set(queue, io);
      else io.close();
    }
    try {
      for (const queue of wanted) {
        if (!ios.has(queue)) ios.set(queue, this.#openPortIo(attachment, this.#core, queue));
      }
    } catch (error) {
      this.#ports.set(odpPort, ios);
      this.delPort(odpPort);
      throw error;
    }
    const isNew = !this.#ports.has(odpPort);
    this.#ports.set(odpPort, ios);
    rxQueues.forEach((queue, i) => {
      const io = ios.get(queue);
      if (io !== undefined) this.#rxqs.set(io, rxqs[i] ?? 0);
    });
    if (isNew) this.#listPort(odpPort, ios);
    else this.#listQueues();
    this.#timeQueues();
  }

  delPort(odpPort: number): void {
    const ios = this.#ports.get(odpPort);
    if (ios === undefined) return;
    this.#ports.delete(odpPort);
    this.#core.x.pmdSetSink(this.pmd, odpPort, 0);
    for (const io of ios.values()) io.close();
    this.#tx.delete(odpPort);
    const closed = new Set(ios.values());
    this.#rx = this.#rx.filter((io) => !closed.has(io));
    this.#timeQueues();
  }

  #timeQueues(): void {
    this.#timer?.setQueues(this.#rx.map((io) => this.#rxqs.get(io) ?? 0));
  }

  #listQueues(): void {
    this.#rx = [];
    this.#tx.clear();
    for (const [odpPort, ios] of this.#ports) this.#listPort(odpPort, ios);
  }

  #listPort(odpPort: number, ios: ReadonlyMap<number | null, PortIo>): void {
    for (const [queue, io] of ios) {
      if (!this.#tx.has(odpPort)) {
        this.#tx.set(odpPort, io);
        // Without memory for the record JavaScript sends.
        this.#core.x.pmdSetSink(this.pmd, odpPort, io.sink ?? 0);
      }
      if (queue !== null) this.#rx.push(io);
    }
  }

  get rxPorts(): readonly PortIo[] {
    return this.#rx;
  }

  /** Polls every queue once. @returns Packets received. */
  step(nowMs: number): number {
    const timer = this.#timer;
    const rx = this.#rx;
    const isSampled = timer !== null && timer.begin(nowMs);
    let received = 0;
    let batches = 0;
    for (let i = 0; i < rx.length; i++) {
      if (isSampled) timer.mark();
      const n = this.#poll(rx[i] as PortIo, nowMs);
      if (n <= 0) continue;
      received += n;
      batches++;
      if (isSampled) timer.measured(i);
    }
    timer?.end(received, batches);
    return received;
  }

  /** One burst of a queue, all the way. @returns Packets received. */
  #poll(io: PortIo, nowMs: number): number {
    const x = this.#core.x;
    if (io.source) {
      const polled = x.pmdPoll(this.pmd, io.source, nowMs);
      if (polled > pollCount) this.finishBurst(nowMs);
      else if (polled === 0) io.idle?.();
      return polled & pollCount;
    }
    const n = io.receive(this.#batch);
    if (n <= 0) return 0;
    x.pmdProcess(this.pmd, this.#batch, n, nowMs);
    this.finishBurst(nowMs);
    return n;
  }

  /**
   * Handles what `pmdProcess` or `pmdExecute` left: upcalls, then transmit lists. Afterwards the
   * burst's scratch memory is free again.
   */
  finishBurst(nowMs: number): void {
    const { x, dv } = this.#core;
    const pmd = this.pmd;
    if (
      dv.getUint32(pmd + PmdLayout.missCount, true) !== 0 ||
      dv.getUint32(pmd + PmdLayout.upcallCount, true) !== 0
    ) {
      try {
        const beganMs = this.#timer?.upcallsBegin() ?? 0;
        const handled = this.#upcalls.run(nowMs);
        this.#timer?.upcallsDone(beganMs, handled);
      } catch (error) {
        // The packets of this burst are lost, not the thread.
        log.err(`upcall failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
    if (x.pmdSendSinks(pmd) !== 0) this.#transmit();
    x.pmdReset(pmd);
  }

  /** Sends the lists of ports that core.wasm cannot send on. */
  #transmit(): void {
    const { dv } = this.#core;
    for (let at = dv.getUint32(this.pmd + PmdLayout.txFirst, true); at !== 0;) {
      const n = dv.getUint32(at + TxPortLayout.count, true);
      const io = this.#tx.get(dv.getUint32(at + TxPortLayout.port, true));
      if (io === undefined) {
        const drops = this.pmd + PmdLayout.dropInvalidPort;
        dv.setFloat64(drops, dv.getFloat64(drops, true) + n, true);
      } else if (n > 0) io.transmit(dv.getUint32(at + TxPortLayout.list, true), n);
      else io.kick?.();
      at = dv.getUint32(at + TxPortLayout.nextActive, true);
    }
  }

  /** Whether a ring-fed port has packets: look before blocking. */
  pending(): boolean {
    for (const io of this.#rx) if (io.pending()) return true;
    return false;
  }

  close(): void {
    for (const odpPort of [...this.#ports.keys()]) this.delPort(odpPort);
    this.#core.x.free(this.#batch);
  }
}
