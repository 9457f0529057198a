import type { Core } from '../arena/core.ts';
import { counter } from '../util/counters.ts';
import { ArenaFullError, BugError } from '../util/errors.ts';
import { kickXdp, wakeXdpReceive } from '../sys/xdp.ts';
import { xskFd, xskUmem } from './generated/xsk.ts';
import type { PortAttachment, PortIo } from './provider.ts';

/**
 * A thread's side of an AF_XDP port. A burst each way is one call of core.wasm; the kick, one system call
 * a burst, is what sending costs. Frames are valid until the next `receive` of this PortIo.
 */
const EAGAIN = 11;
const EBUSY = 16;
const ENOBUFS = 105;
/** Kicks for one list while the kernel makes progress only in parts. */
const kickAttempts = 16;
const kicks = counter('netdev_afxdp_kick');

/**
 * Has the kernel send what a thread put on a transmit ring.
 *
 * @returns Whether frames stayed on the ring, so that another kick is due later.
 */
export function kickXsk(core: Core, io: number, fd: number): boolean {
  let error = 0;
  for (let attempt = 0; attempt < kickAttempts; attempt++) {
    kicks.add();
    error = kickXdp(fd);
    if (error !== EAGAIN && error !== EBUSY && error !== ENOBUFS) break;
    if (core.x.xskUnsent(io) === 0) break;
  }
  return error !== 0 && core.x.xskUnsent(io) !== 0;
}

class XskPortIo implements PortIo {
  readonly odpPort: number;
  readonly pollFds: readonly number[];
  readonly source: number;
  readonly sink: number;
  readonly #core: Core;
  readonly #io: number;
  readonly #fd: number;
  readonly #isZeroCopy: boolean;
  /** Frames stayed on the transmit ring: kick again even though nothing new is sent. */
  #isUnsent = false;

  /** @throws ArenaFullError */
  constructor(core: Core, attachment: PortAttachment, rxQueue: number | null) {
    const sockets = attachment['sockets'] as readonly number[];
    // Threads that only send spread over the queues; those of one flow stay with one thread, so in order.
    const xsk = sockets[rxQueue ?? core.threadIndex % sockets.length];
    if (xsk === undefined) throw new BugError(`${attachment.name} has no queue ${rxQueue}`);
    this.#core = core;
    this.odpPort = attachment.odpPort;
    this.#fd = xskFd(core.dv, xsk);
    this.#isZeroCopy = attachment['zeroCopy'] === true;
    this.pollFds = rxQueue === null ? [] : [this.#fd];
    this.#io = core.x.xskIoCreate(xsk, this.odpPort, rxQueue !== null) >>> 0;
    if (this.#io === 0) throw new ArenaFullError(xskUmem(core.dv, xsk));
    this.source = rxQueue === null ? 0 : this.#io;
    this.sink = this.#io;
  }
  receive(batch: number): number {
    const n = this.#core.x.xskReceive(this.#io, batch);
    if (n === 0) this.idle();
    return n;
  }
  idle(): void {
    if (this.#isUnsent) this.kick();
    if (this.#isZeroCopy && this.#core.x.xskReceiveStalled(this.#io) !== 0) wakeXdpReceive(this.#fd);
  }
  transmit(list: number, count: number): void {
    if (this.#core.x.xskTransmit(this.#io, list, count) !== 0) this.kick();
  }
  kick(): void {
    this.#isUnsent = kickXsk(this.#core, this.#io, this.#fd);
  }
  /** Frames that a congested device has not taken are tried again at each poll, so do not block for long. */
  pending(): boolean {
    if (this.#isUnsent) this.kick();
    return false;
  }
  /** The socket is main's. */
  close(): void {
    this.#core.x.xskIoDestroy(this.#io);
  }
}

/** Opens a thread's side of an AF_XDP port. */
export function openXskPortIo(attachment: PortAttachment, core: Core, rxQueue: number | null): PortIo {
  return new XskPortIo(core, attachment, rxQueue);
}
