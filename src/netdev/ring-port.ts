import type { Core } from '../arena/core.ts';
import { allocOrThrow } from '../arena/core.ts';
import { ArenaFullError } from '../util/errors.ts';
import { closeFd, createEventFd, drainEventFd, signalEventFd } from '../sys/eventfd.ts';
import { watchReadable } from '../sys/libc.ts';
import { netdevEnvironment } from './environment.ts';
import { packetData, packetLength } from './generated/packet.ts';
import { PortRingLayout } from './generated/port-ring.ts';
import { listed, type PortAttachment, type PortIo } from './provider.ts';

/**
 * A port whose frames travel through the arena: main at one end, any thread of the datapath at the
 * other.
 *
 *     main: send(bytes)  ->  toSwitch    ->  RingPortIo.receive    (the thread that polls the port)
 *     main: drain(fn)    <-  fromSwitch  <-  RingPortIo.transmit   (any thread)
 *
 * A consumer that is about to block says so in its ring; only then is it signalled by an eventfd.
 * Main has one eventfd for all its rings.
 */
const heldBytes = 4 * 33;
const fromSwitchSlots = 2048;
const txBatch = 32;

let $mainEventFd = -1;

/** Descriptor that wakes main; watched from the first use on, without keeping the process alive. */
function mainEventFd(): number {
  if ($mainEventFd < 0) {
    const fd = createEventFd();
    $mainEventFd = fd;
    watchReadable(fd, () => {
      drainEventFd(fd);
      netdevEnvironment().wakeMain();
    }).unref();
  }
  return $mainEventFd;
}

export interface RingPortOptions {
  readonly polledByMain: boolean;
  /** Frames that may wait for the switch, in each receive queue. */
  readonly rxLimit: number;
  /** Receive queues, 1 when absent. */
  readonly rxQueues?: number;
  /** NUMA node of the device, 0 when absent. */
  readonly numaId?: number;
}

/** A queue to the switch, and the descriptor that wakes its consumer. */
interface ToSwitch {
  readonly ring: number;
  readonly eventFd: number;
}

/** Main's end. */
export class RingPort {
  readonly #core: Core;
  readonly #toSwitch: readonly ToSwitch[];
  readonly #fromSwitch: number;
  readonly #held: number;
  readonly #batch: number;
  readonly #polledByMain: boolean;
  readonly #numaId: number;

  /** @throws ArenaFullError */
  constructor(core: Core, options: RingPortOptions) {
    this.#core = core;
    this.#polledByMain = options.polledByMain;
    this.#numaId = options.numaId ?? 0;
    const slots = 2 ** Math.ceil(Math.log2(options.rxLimit));
    this.#toSwitch = Array.from({ length: options.rxQueues ?? 1 }, () => {
      const eventFd = options.polledByMain ? mainEventFd() : createEventFd();
      return { ring: core.x.portRingCreate(slots, options.rxLimit, eventFd) >>> 0, eventFd };
    });
    this.#fromSwitch = core.x.portRingCreate(fromSwitchSlots, fromSwitchSlots, mainEventFd()) >>> 0;
    if (this.#fromSwitch === 0 || this.#toSwitch.some((q) => q.ring === 0)) {
      throw new ArenaFullError(4 * fromSwitchSlots);
    }
    this.#held = allocOrThrow(core, heldBytes);
    this.#batch = allocOrThrow(core, 4 * txBatch);
    core.x.portRingPending(this.#fromSwitch);
  }

  attachment(name: string, odpPort: number): PortAttachment {
    return {
      kind: 'ring',
      name,
      odpPort,
      polledByMain: this.#polledByMain,
      rxQueues: this.#toSwitch.length,
      numaId: this.#numaId,
      toSwitch: this.#toSwitch.map((q) => q.ring),
      fromSwitch: this.#fromSwitch,
      rxEventFds: this.#toSwitch.map((q) => (this.#polledByMain ? -1 : q.eventFd)),
    };
  }

  /** Gives a frame to the switch. @returns False when the queue or the arena was full (counted). */
  send(bytes: Uint8Array, rxQueue = 0): boolean {
    const { x, u8, dv } = this.#core;
    const queue = this.#toSwitch[rxQueue];
    if (queue === undefined) return false;
    const frame = x.portFrameAlloc(bytes.length) >>> 0;
    if (frame === 0) return false;
    u8.set(bytes, packetData(dv, frame));
    const result = x.portRingPush(queue.ring, frame);
    if (result === 2) signalEventFd(queue.eventFd);
    return result !== 0;
  }

  /**
   * Takes the frames that the switch sent, at most `max`.
   *
   * @param take Gets a view that is valid during the call only.
   * @returns Frames taken.
   */
  drain(take: (bytes: Uint8Array) => void, max = fromSwitchSlots): number {
    const { x, u8, u32, dv } = this.#core;
    let taken = 0;
    while (taken < max) {
      const n = x.portRingReceive(this.#fromSwitch, this.#held, this.#batch, 0);
      if (n === 0) break;
      for (let i = 0; i < n; i++) {
        const frame = u32[(this.#batch >>> 2) + i] ?? 0;
        const data = packetData(dv, frame);
        take(u8.subarray(data, data + packetLength(dv, frame)));
      }
      taken += n;
    }
    x.portHeldFree(this.#held);
    // Told to wait for a signal, or there is more: then signal ourselves.
    if (x.portRingPending(this.#fromSwitch) !== 0) signalEventFd(mainEventFd());
    return taken;
  }

  setMtu(mtu: number): void {
    this.#core.dv.setUint32(this.#fromSwitch + PortRingLayout.mtu, mtu, true);
  }

  /** Receive counters are sums of `rxQueues`. */
  get counters(): {
    rxPackets: number;
    rxBytes: number;
    rxDropped: number;
    rxQueues: readonly { readonly packets: number; readonly bytes: number }[];
    txPackets: number;
    txBytes: number;
    txDropped: number;
    txErrors: number;
  } {
    const f64 = (ring: number, at: number): number => this.#core.dv.getFloat64(ring + at, true);
    const sum = (at: number): number => this.#toSwitch.reduce((n, q) => n + f64(q.ring, at), 0);
    return {
      rxPackets: sum(PortRingLayout.popped),
      rxBytes: sum(PortRingLayout.poppedBytes),
      rxDropped: sum(PortRingLayout.dropped),
      rxQueues: this.#toSwitch.map(({ ring }) => ({
        packets: f64(ring, PortRingLayout.popped),
        bytes: f64(ring, PortRingLayout.poppedBytes),
      })),
      txPackets: f64(this.#fromSwitch, PortRingLayout.pushed),
      txBytes: f64(this.#fromSwitch, PortRingLayout.pushedBytes),
      txDropped: f64(this.#fromSwitch, PortRingLayout.dropped),
      txErrors: f64(this.#fromSwitch, PortRingLayout.errors),
    };
  }

  /** Frees the rings: only after every thread has closed its side. */
  destroy(): void {
    const { x } = this.#core;
    x.portHeldFree(this.#held);
    for (const { ring, eventFd } of this.#toSwitch) {
      x.portRingDestroy(ring);
      if (!this.#polledByMain) closeFd(eventFd);
    }
    x.portRingDestroy(this.#fromSwitch);
    x.free(this.#held);
    x.free(this.#batch);
  }
}

/** A datapath thread's end. */
class RingPortIo implements PortIo {
  readonly odpPort: number;
  readonly pollFds: readonly number[];
  readonly #core: Core;
  readonly #toSwitch: number;
  readonly #fromSwitch: number;
  readonly #held: number;
  readonly #rxEventFd: number;
  #mayBeSignalled = false;

  constructor(core: Core, attachment: PortAttachment, rxQueue: number | null) {
    this.#core = core;
    this.odpPort = attachment.odpPort;
    this.#toSwitch = rxQueue === null ? 0 : listed(attachment, 'toSwitch', rxQueue);
    this.#fromSwitch = Number(attachment['fromSwitch']);
    this.#rxEventFd = rxQueue === null ? -1 : listed(attachment, 'rxEventFds', rxQueue);
    this.pollFds = this.#rxEventFd >= 0 ? [this.#rxEventFd] : [];
    this.#held = allocOrThrow(core, heldBytes);
  }
  receive(batch: number): number {
    if (this.#mayBeSignalled) {
      drainEventFd(this.#rxEventFd);
      this.#mayBeSignalled = false;
    }
    return this.#core.x.portRingReceive(this.#toSwitch, this.#held, batch, this.odpPort);
  }
  transmit(list: number, count: number): void {
    if (this.#core.x.portRingTransmit(this.#fromSwitch, list, count) === 0) return;
    signalEventFd(this.#core.dv.getInt32(this.#fromSwitch + PortRingLayout.eventFd, true));
  }
  pending(): boolean {
    this.#mayBeSignalled = true;
    return this.#core.x.portRingPending(this.#toSwitch) !== 0;
  }
  close(): void {
    this.#core.x.portHeldFree(this.#held);
    this.#core.x.free(this.#held);
  }
}

/** Opens a thread's end of a ring-fed port. */
export function openRingPortIo(attachment: PortAttachment, core: Core, rxQueue: number | null): PortIo {
  return new RingPortIo(core, attachment, rxQueue);
}
