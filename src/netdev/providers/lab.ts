import { NetdevBase } from '../base.ts';
import { netdevEnvironment } from '../environment.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';
import { RingPort } from '../ring-port.ts';

const queueMax = 1024;
const $ports = new Map<string, LabNetdev>();

/**
 * A port whose other end is code on main: the cable of a virtual host (src/lab).
 *
 * The lab opens nothing: the switch makes the port when the database names it (type "lab"), and the
 * lab finds it by `labPort(name)` and sets `onFrame`.
 */
export class LabNetdev extends NetdevBase {
  readonly #ring: RingPort;
  /** Takes each frame that the switch sends; the view is valid during the call only. */
  onFrame: (frame: Uint8Array) => void = () => undefined;

  constructor(name: string, mac: Uint8Array) {
    super(name, 'lab', mac);
    this.#ring = new RingPort(netdevEnvironment().core, { polledByMain: false, rxLimit: queueMax });
    this.#ring.setMtu(this.mtu);
    $ports.set(name, this);
  }
  override setMtu(mtu: number): void {
    super.setMtu(mtu);
    this.#ring.setMtu(mtu);
  }
  /** Gives a frame to the switch (copied). @returns False when the queue was full. */
  send(frame: Uint8Array): boolean {
    return this.#ring.send(frame);
  }
  override statistics(): Record<string, number> {
    const c = this.#ring.counters;
    return {
      rx_bytes: c.rxBytes,
      rx_dropped: c.rxDropped,
      rx_packets: c.rxPackets,
      tx_bytes: c.txBytes,
      tx_dropped: c.txDropped,
      tx_packets: c.txPackets,
    };
  }
  override run(_nowMs: number): number {
    return this.#ring.drain((frame) => {
      this.onFrame(frame);
    });
  }
  attach(odpPort: number): PortAttachment {
    return this.#ring.attachment(this.name, odpPort);
  }
  close(): void {
    if ($ports.get(this.name) === this) $ports.delete(this.name);
    this.#ring.destroy();
  }
}

/** The open lab port of that name, or undefined. */
export function labPort(name: string): LabNetdev | undefined {
  return $ports.get(name);
}

export function labProvider(randomMac: () => Uint8Array): NetdevProvider {
  return { type: 'lab', open: (name) => new LabNetdev(name, randomMac()) };
}
