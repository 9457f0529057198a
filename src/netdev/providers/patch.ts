import { allocOrThrow } from '../../arena/core.ts';
import { UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { NetdevBase } from '../base.ts';
import { netdevEnvironment } from '../environment.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const log = vlog('netdev_vport');

const counterBytes = 32;

/**
 * One end of a patch cable between two bridges. It moves no packets: translation goes on at the
 * peer, and any thread credits the traffic to `counters`.
 */
export class PatchNetdev extends NetdevBase {
  #peer = '';
  /** Arena address of { u64 rxPackets, rxBytes, txPackets, txBytes }. */
  readonly counters: number;
  /** @throws UsageError for wrong options */
  constructor(name: string, mac: Uint8Array, options: ReadonlyMap<string, string>) {
    super(name, 'patch', mac);
    this.setOptions(options);
    this.counters = allocOrThrow(netdevEnvironment().core, counterBytes);
  }
  /** Name of the port at the other end. */
  get peer(): string {
    return this.#peer;
  }
  /** 0: it carries whatever its bridges do. */
  override get mtu(): number {
    return 0;
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
  override statistics(): Record<string, number> {
    const { dv } = netdevEnvironment().core;
    const count = (at: number): number => Number(dv.getBigUint64(this.counters + at, true));
    return { rx_bytes: count(8), rx_packets: count(0), tx_bytes: count(24), tx_packets: count(16) };
  }
  /** A patch port is never part of a datapath. */
  attach(_odpPort: number): PortAttachment {
    throw new UsageError(`${this.name}: patch ports have no datapath port`);
  }
  close(): void {
    // A translation under way may still credit it.
    netdevEnvironment().core.x.deferFree(this.counters);
  }
}

/** @param randomMac Six random bytes of a local unicast address. */
export function patchProvider(randomMac: () => Uint8Array): NetdevProvider {
  return { type: 'patch', open: (name, options) => new PatchNetdev(name, randomMac(), options) };
}
