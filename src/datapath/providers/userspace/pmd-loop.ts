import type { Core } from '../../../arena/core.ts';
import type { OpenPortIo, PortAttachment, PortIo } from '../../../netdev/provider.ts';
import { SystemError } from '../../../util/errors.ts';
import { vlog } from '../../../util/log.ts';
import { PMD_BURST } from '../../datapath.layout.ts';
import { PmdLayout } from '../../generated/pmd.ts';
import { TxPortLayout } from '../../generated/tx-port.ts';

const log = vlog('dpif_netdev');

/** Handles what a burst could not: misses and userspace actions (ofproto's Upcaller). */
export interface UpcallRunner {
  /** @returns Upcalls handled. */
  run(nowMs: number): number;
}

/**
 * One forwarding loop: receives from its ports, has each burst processed by core.wasm, lets the
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
  readonly #io = new Map<number, PortIo>();
  #rx: PortIo[] = [];
  #upcalls: UpcallRunner = { run: () => 0 };

  constructor(core: Core, pmd: number, openPortIo: OpenPortIo) {
    this.#core = core;
    this.pmd = pmd;
    this.#openPortIo = openPortIo;
    this.#batch = core.x.alloc(4 * PMD_BURST) >>> 0;
    if (this.#batch === 0) throw new SystemError('ENOMEM', 12, 'alloc', 'arena is full: no room for a PMD');
  }

  setUpcalls(upcalls: UpcallRunner): void {
    this.#upcalls = upcalls;
  }

  /** Opens this thread's side of a port; one that was open under the number is replaced. */
  addPort(attachment: PortAttachment, rx: boolean): void {
    this.delPort(attachment.odpPort);
    const io = this.#openPortIo(attachment, this.#core, rx);
    this.#io.set(io.odpPort, io);
    if (rx) this.#rx.push(io);
  }

  delPort(odpPort: number): void {
    const io = this.#io.get(odpPort);
    if (io === undefined) return;
    this.#io.delete(odpPort);
    this.#rx = this.#rx.filter((p) => p !== io);
    io.close();
  }

  get rxPorts(): readonly PortIo[] {
    return this.#rx;
  }

  /** Polls every port once. @returns Packets received. */
  step(nowMs: number): number {
    const x = this.#core.x;
    let received = 0;
    for (const io of this.#rx) {
      const n = io.receive(this.#batch);
      if (n <= 0) continue;
      received += n;
      x.pmdProcess(this.pmd, this.#batch, n, nowMs);
      this.finishBurst(nowMs);
    }
    return received;
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
        this.#upcalls.run(nowMs);
      } catch (error) {
        // The packets of this burst are lost, not the thread.
        log.err(`upcall failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
    const ports = dv.getUint32(pmd + PmdLayout.txPorts, true);
    const count = dv.getUint32(pmd + PmdLayout.txCount, true);
    for (let i = 0; i < count; i++) {
      const at = ports + i * TxPortLayout.size;
      const n = dv.getUint32(at + TxPortLayout.count, true);
      if (n === 0) continue;
      const io = this.#io.get(dv.getUint32(at + TxPortLayout.port, true));
      if (io === undefined) {
        const drops = pmd + PmdLayout.dropInvalidPort;
        dv.setFloat64(drops, dv.getFloat64(drops, true) + n, true);
      } else io.transmit(dv.getUint32(at + TxPortLayout.list, true), n);
    }
    x.pmdReset(pmd);
  }

  /** Whether a ring-fed port has packets: look before blocking. */
  pending(): boolean {
    for (const io of this.#rx) if (io.pending()) return true;
    return false;
  }

  close(): void {
    for (const odpPort of [...this.#io.keys()]) this.delPort(odpPort);
    this.#core.x.free(this.#batch);
  }
}
