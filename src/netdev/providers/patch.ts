import { UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { NetdevBase } from '../base.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const log = vlog('netdev_vport');

/**
 * One end of a patch cable between two bridges. It moves no packets: translation goes on at the
 * peer, and the traffic is credited here (`addTraffic`).
 */
export class PatchNetdev extends NetdevBase {
  #peer = '';
  #rxPackets = 0;
  #rxBytes = 0;
  #txPackets = 0;
  #txBytes = 0;
  constructor(name: string, mac: Uint8Array, options: ReadonlyMap<string, string>) {
    super(name, 'patch', mac);
    this.setOptions(options);
  }
  /** Name of the port at the other end. */
  get peer(): string {
    return this.#peer;
  }
  /** vports are always up. */
  override get carrier(): boolean {
    return true;
  }
  override setOptions(options: ReadonlyMap<string, string>): void {
    const fail = (message: string): never => {
      log.err(`${this.name}: ${message}`);
      throw new UsageError(`${this.name}: ${message}`);
    };
    const peer = options.get('peer');
    if (peer === undefined || peer === '') return fail("patch type requires valid 'peer' argument");
    if (options.size > 1) return fail("patch type takes only a 'peer' argument");
    if (peer === this.name) return fail('patch peer must not be self');
    if (peer !== this.#peer) {
      this.#peer = peer;
      this.changed();
    }
  }
  /** Credits packets that translation sent through the cable. */
  addTraffic(direction: 'rx' | 'tx', packets: number, bytes: number): void {
    if (direction === 'rx') {
      this.#rxPackets += packets;
      this.#rxBytes += bytes;
    } else {
      this.#txPackets += packets;
      this.#txBytes += bytes;
    }
  }
  override statistics(): Record<string, number> {
    return {
      rx_bytes: this.#rxBytes,
      rx_packets: this.#rxPackets,
      tx_bytes: this.#txBytes,
      tx_packets: this.#txPackets,
    };
  }
  /** A patch port is never part of a datapath. */
  attach(_odpPort: number): PortAttachment {
    throw new UsageError(`${this.name}: patch ports have no datapath port`);
  }
  close(): void {
    // Holds nothing.
  }
}

/** @param randomMac Six random bytes of a local unicast address. */
export function patchProvider(randomMac: () => Uint8Array): NetdevProvider {
  return { type: 'patch', open: (name, options) => new PatchNetdev(name, randomMac(), options) };
}
