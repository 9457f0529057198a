import type { Core } from '../arena/core.ts';
import { ArenaFullError } from '../util/errors.ts';
import { counter } from '../util/counters.ts';
import { errno, libc } from '../sys/libc.ts';
import { memoryAddress } from '../sys/memory.ts';
import { PortIoLayout } from './generated/port-io.ts';
import { PortStateLayout } from './generated/port-state.ts';
import { xskFd } from './generated/xsk.ts';
import { listed, type PortAttachment, type PortIo } from './provider.ts';
import { kickXsk } from './xsk-io.ts';

/**
 * Threads' sides of ports of the kernel: packet sockets ("packet") and taps ("tap").
 *
 * All of a thread share one scratch block (port.layout.ts `port-io`): a frame is valid until the
 * thread receives again from any such port. Nothing here allocates while packets flow.
 */
const burst = 32;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;
/** Attempts while the device's queue is full, before a frame is dropped. */
const sendAttempts = 8;
/** Of these, before a GSO frame is tried through the queueing layer. */
const directAttempts = 3;
/** Calls of receive that an idle tap passes over at most. */
const idleSkipMax = 7;
/** GSO bursts after which a device that refused GSO without queueing is tried again. */
const plainBursts = 1024;

const $error = new Int32Array(1);
const $errorLength = new Uint32Array([4]);
const sockErrors = counter('netdev_sent_error');

/** A thread's scratch block, and how many ports use it. */
interface Scratch {
  readonly io: number;
  users: number;
}
const $scratch = new WeakMap<Core, Scratch>();

/** Takes the thread's scratch block, made for the first port. @throws ArenaFullError */
function acquireScratch(core: Core, rx: boolean): number {
  let scratch = $scratch.get(core);
  if (scratch === undefined) {
    const io = core.x.portIoCreate(memoryAddress(core.memory)) >>> 0;
    if (io === 0) throw new ArenaFullError(8192);
    scratch = { io, users: 0 };
    $scratch.set(core, scratch);
  }
  scratch.users++;
  if (rx && core.x.portIoEnableReceive(scratch.io) === 0) {
    releaseScratch(core);
    throw new ArenaFullError(burst * 69632);
  }
  return scratch.io;
}

function releaseScratch(core: Core): void {
  const scratch = $scratch.get(core);
  if (scratch === undefined || --scratch.users > 0) return;
  core.x.portIoDestroy(scratch.io);
  $scratch.delete(core);
}

abstract class KernelPortIo implements PortIo {
  readonly odpPort: number;
  readonly pollFds: readonly number[];
  protected readonly core: Core;
  protected readonly io: number;
  /** Host address of arena address 0. */
  protected readonly base: number;
  protected readonly state: number;

  protected constructor(core: Core, attachment: PortAttachment, rx: boolean, pollFd: number) {
    this.core = core;
    this.odpPort = attachment.odpPort;
    this.pollFds = rx ? [pollFd] : [];
    this.io = acquireScratch(core, rx);
    this.base = memoryAddress(core.memory);
    this.state = Number(attachment['state']);
  }
  abstract receive(batch: number): number;
  transmit(list: number, count: number): void {
    this.sendMessages(list, 0, count);
  }
  protected sendMessages(list: number, first: number, count: number): void {
    const { x, dv } = this.core;
    const mtu = dv.getUint32(this.state + PortStateLayout.mtu, true);
    for (let from = first; from < count;) {
      const n = x.portPacketPrepare(this.io, list, from, count, mtu);
      from += dv.getUint32(this.io + PortIoLayout.txNext, true);
      const errors = dv.getUint32(this.io + PortIoLayout.txErrors, true);
      if (errors !== 0) this.count(PortStateLayout.txErrors, errors);
      if (n > 0) this.sendPrepared(n);
    }
  }
  protected abstract sendPrepared(n: number): void;
  protected count(field: number, n: number): void {
    Atomics.add(this.core.u32, (this.state + field) >>> 2, n);
  }
  protected word(field: number): number {
    return this.core.dv.getUint32(this.io + field, true);
  }
  /** Blocking is safe at any time: the descriptor is readable while packets wait. */
  pending(): boolean {
    return false;
  }
  /** File descriptors are main's. */
  close(): void {
    releaseScratch(this.core);
  }
}

/**
 * A packet socket: ordinary frames come through a ring that the kernel shares with us, longer ones
 * (GSO) by recvmmsg. They go by sendmmsg, in bursts of 32; those without offloads, and short ones, by the
 * transmit ring of an AF_XDP socket, which costs the kernel less. Both send before they return, so order is kept.
 */
class PacketPortIo extends KernelPortIo {
  readonly #rxFd: number;
  /** The port-state with the ring of this queue. */
  readonly #rxState: number;
  /** Sends through the queueing layer. */
  readonly #queueingFd: number;
  readonly #txFd: number;
  readonly #rxMessages: number;
  readonly #txMessages: number;
  readonly #hasRing: boolean;
  /** The thread's side of the AF_XDP socket, 0 = none. */
  readonly #xskIo: number;
  readonly #xskFd: number;
  /** GSO bursts yet to go through the queueing socket, after the direct one refused one. */
  #plainLeft = 0;

  constructor(core: Core, attachment: PortAttachment, rxQueue: number | null) {
    const rx = rxQueue !== null;
    const rxFd = rx ? listed(attachment, 'rxFds', rxQueue) : -1;
    super(core, attachment, rx, rxFd);
    this.#rxFd = rxFd;
    this.#rxState = rx ? listed(attachment, 'rxStates', rxQueue) : 0;
    this.#queueingFd = listed(attachment, 'rxFds', 0);
    this.#txFd = Number(attachment['txFd']);
    this.#rxMessages = rx ? this.base + this.word(PortIoLayout.rxMessages) : 0;
    this.#txMessages = this.base + this.word(PortIoLayout.txMessages);
    this.#hasRing = rx && core.dv.getUint32(this.#rxState + PortStateLayout.rxRing, true) !== 0;
    const xsk = Number(attachment['xsk']);
    this.#xskIo = xsk === 0 ? 0 : core.x.xskIoCreate(xsk, this.odpPort, false) >>> 0;
    this.#xskFd = xsk === 0 ? -1 : xskFd(core.dv, xsk);
  }
  override transmit(list: number, count: number): void {
    const { x } = this.core;
    if (this.#xskIo === 0) {
      this.sendMessages(list, 0, count);
      return;
    }
    for (let from = 0; from < count;) {
      const run = x.xskRun(list, from, count);
      if (run < 0) this.sendMessages(list, from, from - run);
      else if (x.xskTransmit(this.#xskIo, list + 4 * from, run) !== 0) {
        kickXsk(this.core, this.#xskIo, this.#xskFd);
      }
      from += Math.abs(run);
    }
  }
  receive(batch: number): number {
    let want = burst;
    if (this.#hasRing) {
      const taken = this.core.x.portRingMapReceive(this.io, this.#rxState, batch, this.odpPort);
      if (taken >= 0) return taken;
      want = -taken;
    }
    const n = libc.recvmmsg(this.#rxFd, this.#rxMessages, want, MSG_DONTWAIT, 0);
    // Errors are EAGAIN, or ENETDOWN once when the device goes down: main sees that by netlink.
    if (n <= 0) return 0;
    return this.core.x.portPacketReceived(this.io, n, batch, this.odpPort);
  }
  /**
   * Takes a pending error off the socket (the device went down), which would end every poll at once:
   * nobody else does where frames come through the ring.
   */
  override pending(): boolean {
    libc.getsockopt(this.#rxFd, SOL_SOCKET, SO_ERROR, $error, $errorLength);
    return false;
  }
  override close(): void {
    if (this.#xskIo !== 0) this.core.x.xskIoDestroy(this.#xskIo);
    super.close();
  }
  protected sendPrepared(n: number): void {
    const gso = this.word(PortIoLayout.txGso);
    let fd = this.#txFd;
    if (gso !== 0 && this.#plainLeft > 0) {
      this.#plainLeft--;
      fd = this.#queueingFd;
    }
    let attempts = 0;
    for (let at = 0; at < n;) {
      const sent = libc.sendmmsg(fd, this.#txMessages + 64 * at, n - at, MSG_DONTWAIT);
      if (sent > 0) {
        at += sent;
        attempts = 0;
        continue;
      }
      const error = errno();
      if (error === EINTR) continue;
      const isGso = ((gso >>> at) & 1) !== 0;
      if (error === ENOBUFS && fd === this.#txFd && isGso && attempts >= directAttempts) {
        // Past the queueing layer nobody segments for a device without TSO: it refuses for ever.
        const viaQueue = libc.sendmmsg(this.#queueingFd, this.#txMessages + 64 * at, 1, MSG_DONTWAIT);
        if (viaQueue > 0) {
          at++;
          this.#plainLeft = plainBursts;
          continue;
        }
      }
      if ((error === EAGAIN || error === ENOBUFS) && ++attempts < sendAttempts) continue;
      attempts = 0;
      at++;
      sockErrors.add();
      this.count(
        error === EAGAIN || error === ENOBUFS ? PortStateLayout.txDropped : PortStateLayout.txErrors,
        1,
      );
    }
  }
}

/**
 * A tap: one readv or writev a frame. An idle one is not asked at every call but ever more rarely, since
 * each question is a system call and a switch may have many internal ports.
 */
class TapPortIo extends KernelPortIo {
  readonly #fd: number;
  readonly #rxIovecs: number;
  readonly #txIovecs: number;
  /** Calls of receive to pass over, now and after the next empty read. */
  #skip = 0;
  #idle = 0;

  constructor(core: Core, attachment: PortAttachment, rx: boolean) {
    super(core, attachment, rx, Number(attachment['fd']));
    this.#fd = Number(attachment['fd']);
    this.#rxIovecs = rx ? this.base + this.word(PortIoLayout.rxIovecs) : 0;
    this.#txIovecs = this.base + this.word(PortIoLayout.txIovecs);
  }
  receive(batch: number): number {
    if (this.#skip > 0) {
      this.#skip--;
      return 0;
    }
    const { x, u32 } = this.core;
    let good = 0;
    for (let i = 0; i < burst; i++) {
      const length = libc.readv(this.#fd, this.#rxIovecs + 32 * i, 2);
      if (length < 0) break;
      const packet = x.portReceivedOne(this.io, i, length, this.odpPort) >>> 0;
      if (packet !== 0) u32[(batch >>> 2) + good++] = packet;
    }
    this.#idle = good > 0 ? 0 : Math.min(idleSkipMax, 2 * this.#idle + 1);
    this.#skip = this.#idle;
    return good;
  }
  /** The thread blocks: what wakes it may be this tap. */
  override pending(): boolean {
    this.#skip = 0;
    this.#idle = 0;
    return false;
  }
  protected sendPrepared(n: number): void {
    for (let i = 0; i < n; i++) {
      if (libc.writev(this.#fd, this.#txIovecs + 32 * i, 2) >= 0) continue;
      const error = errno();
      sockErrors.add();
      this.count(
        error === EAGAIN || error === ENOBUFS ? PortStateLayout.txDropped : PortStateLayout.txErrors,
        1,
      );
    }
  }
}

/** Opens a thread's side of a system device. */
export function openPacketPortIo(attachment: PortAttachment, core: Core, rxQueue: number | null): PortIo {
  return new PacketPortIo(core, attachment, rxQueue);
}

/** Opens a thread's side of a tap. */
export function openTapPortIo(attachment: PortAttachment, core: Core, rxQueue: number | null): PortIo {
  return new TapPortIo(core, attachment, rxQueue !== null);
}
