import { hashOfpPort, hmapOrder } from '../util/hmap-order.ts';
import type { OfpPort } from '../util/brand.ts';
import { UsageError } from '../util/errors.ts';
import type { PhyPort } from '../openflow/messages.ts';
import { PortConfig, PortState } from '../openflow/messages.ts';
import { OFPP_LOCAL, OFPP_MAX } from '../openflow/ports.ts';
import type { OfPortDescription } from './ofproto-types.ts';

/**
 * The OpenFlow ports of a bridge: numbers, configuration and state.
 *
 * Numbers: a requested number is given when it is free. Otherwise the next one after the last that
 * was given, below 32768, skipping those in use and those freed within the last hour, so that flows
 * written for a port that is gone do not apply to a new one; if none is left, the one freed longest ago.
 */
export class PortTable {
  readonly #localName: string;
  readonly #ports = new Map<number, OfPort>();
  readonly #byName = new Map<string, OfPort>();
  /** When each number was freed. */
  readonly #freedMs = new Map<number, number>();
  #lastGiven = 0;

  constructor(localName: string) {
    this.#localName = localName;
  }

  get size(): number {
    return this.#ports.size;
  }
  get(ofport: number): OfPort | undefined {
    return this.#ports.get(ofport);
  }
  byName(name: string): OfPort | undefined {
    return this.#byName.get(name);
  }
  /** All ports by rising number. */
  all(): OfPort[] {
    return [...this.#ports.values()].sort((a, b) => a.ofport - b.ofport);
  }

  /** In the order of OVS's table, which statistics come in. */
  inTableOrder(): OfPort[] {
    return hmapOrder([...this.#ports.values()], (p) => hashOfpPort(p.ofport));
  }

  /** @throws UsageError when every number is taken. */
  add(description: OfPortDescription, requested: number | undefined, nowMs: number): OfPort {
    const ofport = description.name === this.#localName ? OFPP_LOCAL : this.#allocate(requested, nowMs);
    const port = new OfPort(ofport, description, nowMs);
    this.#ports.set(ofport, port);
    this.#byName.set(description.name, port);
    return port;
  }

  delete(ofport: number, nowMs: number): OfPort | undefined {
    const port = this.#ports.get(ofport);
    if (port === undefined) return undefined;
    this.#ports.delete(ofport);
    this.#byName.delete(port.name);
    if (ofport !== OFPP_LOCAL) this.#freedMs.set(ofport, nowMs);
    return port;
  }

  #allocate(requested: number | undefined, nowMs: number): OfpPort {
    const port =
      requested !== undefined && requested >= 1 && requested < OFPP_MAX && !this.#ports.has(requested)
        ? requested
        : this.#next(nowMs);
    this.#freedMs.delete(port);
    return port as OfpPort;
  }

  #next(nowMs: number): number {
    const end = 32768;
    let oldest = 0;
    let oldestMs = Infinity;
    for (let tried = 1; tried < end; tried++) {
      this.#lastGiven = this.#lastGiven + 1 >= end ? 1 : this.#lastGiven + 1;
      if (this.#ports.has(this.#lastGiven)) continue;
      const freedMs = this.#freedMs.get(this.#lastGiven);
      if (freedMs === undefined || freedMs < nowMs - 60 * 60 * 1000) return this.#lastGiven;
      if (freedMs < oldestMs) {
        oldestMs = freedMs;
        oldest = this.#lastGiven;
      }
    }
    if (oldest === 0) throw new UsageError('no OpenFlow port number is free');
    return oldest;
  }
}

export class OfPort {
  readonly ofport: OfpPort;
  readonly createdMs: number;
  #description: OfPortDescription;
  /** PortConfig bits. */
  config: number;
  /** PortState bits. */
  state: number;

  constructor(ofport: OfpPort, description: OfPortDescription, nowMs: number) {
    this.ofport = ofport;
    this.createdMs = nowMs;
    this.#description = description;
    this.config = 0;
    this.state = 0;
    this.describe(description);
  }

  get name(): string {
    return this.#description.name;
  }
  get mac(): Uint8Array {
    return this.#description.mac;
  }

  /** Takes over what the device says. @returns whether a controller can see a difference. */
  describe(description: OfPortDescription): boolean {
    const before = this.phyPort();
    this.#description = description;
    this.config = description.adminUp
      ? this.config & ~PortConfig.PORT_DOWN
      : this.config | PortConfig.PORT_DOWN;
    this.state = description.carrier ? this.state & ~PortState.LINK_DOWN : this.state | PortState.LINK_DOWN;
    this.refreshLive();
    return !samePhyPort(before, this.phyPort());
  }

  /** LIVE says that packets may go out: neither switched off nor without link. */
  refreshLive(): void {
    const isLive = (this.config & PortConfig.PORT_DOWN) === 0 && (this.state & PortState.LINK_DOWN) === 0;
    this.state = isLive ? this.state | PortState.LIVE : this.state & ~PortState.LIVE;
  }

  phyPort(): PhyPort {
    const d = this.#description;
    return {
      port: this.ofport,
      hwAddr: d.mac,
      name: d.name,
      config: this.config,
      state: this.state,
      curr: d.current ?? 0,
      advertised: d.advertised ?? 0,
      supported: d.supported ?? 0,
      peer: d.peer ?? 0,
      currSpeedKbps: d.currSpeedKbps ?? 0,
      maxSpeedKbps: d.maxSpeedKbps ?? 0,
    };
  }
}

function samePhyPort(a: PhyPort, b: PhyPort): boolean {
  return (
    a.name === b.name &&
    a.config === b.config &&
    a.state === b.state &&
    a.curr === b.curr &&
    a.advertised === b.advertised &&
    a.supported === b.supported &&
    a.peer === b.peer &&
    a.currSpeedKbps === b.currSpeedKbps &&
    a.maxSpeedKbps === b.maxSpeedKbps &&
    a.hwAddr.length === b.hwAddr.length &&
    a.hwAddr.every((byte, i) => byte === b.hwAddr[i])
  );
}
