import { SystemError } from '../util/errors.ts';
import {
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NetlinkWriter,
  netlinkAttributes,
  readString,
  readU32,
} from './message.ts';
import { NetlinkListener, NetlinkSocket } from './socket.ts';

/** Links (network devices) of the kernel over rtnetlink(7). Main thread. */
const NETLINK_ROUTE = 0;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const RTMGRP_LINK = 1;
const ifinfomsgBytes = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_GROUP = 27;
const IFLA_EXT_MASK = 29;
const IFLA_CARRIER_CHANGES = 35;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INFO_KIND = 1;
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_LOWER_UP = 0x1_0000;
const ARPHRD_ETHER = 1;

/** struct rtnl_link_stats64, in its order. */
const statsNames = [
  ...['rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxErrors', 'txErrors', 'rxDropped', 'txDropped'],
  ...['multicast', 'collisions', 'rxLengthErrors', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors'],
  ...['rxFifoErrors', 'rxMissedErrors'],
] as const;
export type LinkStatistics = Readonly<Record<(typeof statsNames)[number], number>>;

export interface Link {
  readonly ifindex: number;
  readonly name: string;
  /** IFF_*. */
  readonly flags: number;
  readonly isEthernet: boolean;
  readonly mtu: number;
  /** Six bytes; empty for devices without an address. */
  readonly mac: Uint8Array;
  /** `veth`, `tun`, `dummy`, ...; '' for hardware. */
  readonly kind: string;
  /** IF_OPER_*: 6 = up. */
  readonly operState: number;
  /** ifindex of the bridge or bond that owns it, 0 = none. */
  readonly master: number;
  readonly carrierChanges: number;
  /** null in events, which do not always carry them, and where they were not asked for. */
  readonly statistics: LinkStatistics | null;
}

/** Decodes the payload of RTM_NEWLINK and RTM_DELLINK; null when it is too short. @throws WireError */
export function decodeLink(payload: Uint8Array): Link | null {
  if (payload.length < ifinfomsgBytes) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const attributes = netlinkAttributes(payload.subarray(ifinfomsgBytes));
  const info = attributes.get(IFLA_LINKINFO);
  const stats = attributes.get(IFLA_STATS64);
  const operState = attributes.get(IFLA_OPERSTATE);
  return {
    ifindex: view.getInt32(4, true),
    name: readString(attributes.get(IFLA_IFNAME)),
    flags: view.getUint32(8, true),
    isEthernet: view.getUint16(2, true) === ARPHRD_ETHER,
    mtu: readU32(attributes.get(IFLA_MTU), 0),
    mac: attributes.get(IFLA_ADDRESS)?.slice(0, 6) ?? new Uint8Array(0),
    kind: info === undefined ? '' : readString(netlinkAttributes(info).get(IFLA_INFO_KIND)),
    operState: operState?.[0] ?? 0,
    master: readU32(attributes.get(IFLA_MASTER), 0),
    carrierChanges: readU32(attributes.get(IFLA_CARRIER_CHANGES), 0),
    statistics: stats === undefined ? null : decodeStatistics(stats),
  };
}

function decodeStatistics(payload: Uint8Array): LinkStatistics {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const statistics = {} as Record<keyof LinkStatistics, number>;
  for (let i = 0, at = 0; i < statsNames.length; i++, at += 8) {
    const isThere = at + 8 <= payload.length;
    const name = statsNames[i] as keyof LinkStatistics;
    statistics[name] = isThere ? view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true) : 0;
  }
  return statistics;
}

let $socket: NetlinkSocket | null = null;
const $writer = new NetlinkWriter();

function socket(): NetlinkSocket {
  $socket ??= new NetlinkSocket(NETLINK_ROUTE);
  return $socket;
}

function ifinfomsg(ifindex: number, flags = 0, change = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(ifinfomsgBytes));
  view.setInt32(4, ifindex, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return new Uint8Array(view.buffer);
}

/**
 * Asks for one link by name or number.
 *
 * @param hasStatistics False: not asked for, which is cheaper.
 * @returns null when there is none.
 * @throws SystemError for anything but ENODEV
 */
export function getLink(which: string | number, hasStatistics = true): Link | null {
  const s = socket();
  // Without NLM_F_ACK: the answer, or the error, is one message.
  const writer = $writer.begin(RTM_GETLINK, NLM_F_REQUEST, s.nextSequence());
  writer.fixed(ifinfomsg(typeof which === 'number' ? which : 0));
  if (typeof which === 'string') writer.string(IFLA_IFNAME, which);
  if (!hasStatistics) writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  try {
    for (const message of s.request(writer.finish())) {
      if (message.type === RTM_NEWLINK) return decodeLink(message.payload);
    }
    return null;
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENODEV') return null;
    throw error;
  }
}

/** All links of this network namespace. @throws SystemError */
export function dumpLinks(): Link[] {
  const s = socket();
  const writer = $writer.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, s.nextSequence());
  const answers = s.request(writer.fixed(ifinfomsg(0)).finish());
  return answers
    .filter((m) => m.type === RTM_NEWLINK)
    .map((m) => decodeLink(m.payload))
    .filter((link) => link !== null);
}

export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: Uint8Array;
}

/** Changes a link. @throws SystemError */
export function changeLink(ifindex: number, change: LinkChange): void {
  const s = socket();
  const writer = $writer.begin(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, s.nextSequence());
  writer.fixed(ifinfomsg(ifindex, change.up === true ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP));
  if (change.mtu !== undefined) writer.u32(IFLA_MTU, change.mtu);
  if (change.mac !== undefined) writer.attribute(IFLA_ADDRESS, change.mac.slice(0, 6));
  s.request(writer.finish());
}

/** Removes a link. @throws SystemError */
export function deleteLink(ifindex: number): void {
  const s = socket();
  const writer = $writer.begin(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, s.nextSequence());
  s.request(writer.fixed(ifinfomsg(ifindex)).finish());
}

/**
 * Removes many links at once. One by one the kernel waits for all its readers after each, some 17 ms; a
 * group of links goes with one wait. Links that are gone already are no error.
 *
 * @param group A number that no other link has as its group; not 0.
 * @throws SystemError; links that are left must then be removed one by one
 */
export function deleteLinks(ifindexes: readonly number[], group: number): void {
  const s = socket();
  for (const ifindex of ifindexes) {
    const writer = $writer.begin(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, s.nextSequence());
    writer.fixed(ifinfomsg(ifindex)).u32(IFLA_GROUP, group);
    try {
      s.request(writer.finish());
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'ENODEV') throw error;
    }
  }
  const writer = $writer.begin(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, s.nextSequence());
  s.request(writer.fixed(ifinfomsg(0)).u32(IFLA_GROUP, group).finish());
}

/**
 * Tells of links that appear, change or go. `seq` grows with each event; after an overflow every
 * subscriber must look again, so the callback comes with null.
 */
export class LinkMonitor {
  readonly #listener: NetlinkListener;
  readonly #onChange: (link: Link | null, isGone: boolean) => void;

  /** @throws SystemError */
  constructor(onChange: (link: Link | null, isGone: boolean) => void) {
    this.#onChange = onChange;
    this.#listener = new NetlinkListener(NETLINK_ROUTE, RTMGRP_LINK);
  }
  /** Has the event loop say when events wait; `run` then takes them. */
  watch(onReadable: () => void): void {
    this.#listener.watch(onReadable);
  }
  /** Takes waiting events without blocking. @returns Events taken. */
  run(): number {
    return this.#listener.run(
      (message) => {
        if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return;
        const link = decodeLink(message.payload);
        if (link !== null) this.#onChange(link, message.type === RTM_DELLINK);
      },
      () => {
        this.#onChange(null, false);
      },
    );
  }
  close(): void {
    this.#listener.close();
  }
}
