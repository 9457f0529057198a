import { VirtualHost } from './virtual-host.ts';

/** The switch's side of a lab port: frames in both directions. */
export interface LabPort {
  readonly name: string;
  /** A frame from the host to the switch; copied. */
  inject(frame: Uint8Array): void;
  /** Set by the lab: a frame from the switch; borrowed for the call. */
  onFrame: (frame: Uint8Array) => void;
}

/** Addresses of the lab: h1 is 10.0.0.1, 02:00:00:00:00:01, and so on. */
export function labAddress(index: number): { mac: Uint8Array; ip: Uint8Array } {
  return { mac: Uint8Array.of(2, 0, 0, 0, 0, index), ip: Uint8Array.of(10, 0, 0, index) };
}

/**
 * Virtual hosts on a switch that talk to each other: each tick every host pings its neighbour and
 * sends a few UDP echoes from changing ports, so that flows come, live and expire.
 */
export class LabNetwork {
  readonly hosts: readonly VirtualHost[];
  #tick = 0;

  constructor(ports: readonly LabPort[]) {
    this.hosts = ports.map((port, i) => {
      const host = new VirtualHost({
        name: port.name,
        ...labAddress(i + 1),
        send: (frame) => port.inject(frame),
      });
      port.onFrame = (frame) => host.receive(frame);
      return host;
    });
  }

  tick(): void {
    this.#tick++;
    this.hosts.forEach((host, i) => {
      const peer = this.hosts[(i + 1) % this.hosts.length];
      if (peer === undefined || peer === host) return;
      host.ping(peer.ip);
      for (let n = 0; n < 4; n++) host.sendUdpEcho(peer.ip, 1024 + ((this.#tick >> 4) % 8) * 4 + n);
    });
  }
}
