import { allocOrThrow } from '../arena/core.ts';
import { IFF_LOOPBACK, IFF_LOWER_UP, IFF_UP, changeLink, getLink } from '../netlink/rtnetlink.ts';
import type { Link, LinkStatistics } from '../netlink/rtnetlink.ts';
import { driverInfo, linkSettings } from '../sys/ethtool.ts';
import { systemError } from '../sys/errno.ts';
import { netdevEnvironment } from './environment.ts';
import { PortStateLayout } from './generated/port-state.ts';
import { runLinkEvents, watchLink } from './kernel-link.ts';
import type { Netdev, PortAttachment } from './provider.ts';

const ENODEV = 19;

/** Main's side of a device of the kernel: what system ports and taps have in common. */
export abstract class KernelNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly ifindex: number;
  /** Arena address of port-state. */
  protected readonly state: number;
  #link: Link;
  #present = true;
  #changeSeq = 1;
  #carrierResets = 0;
  readonly #unwatch: () => void;

  protected constructor(name: string, type: string, link: Link) {
    this.name = name;
    this.type = type;
    this.ifindex = link.ifindex;
    this.#link = link;
    this.state = allocOrThrow(netdevEnvironment().core, PortStateLayout.size);
    this.#publishMtu();
    this.#unwatch = watchLink({ ifindex: link.ifindex, onLink: (changed) => this.#onLink(changed) });
  }

  #onLink(link: Link | null): void {
    if (link === null || link.name !== this.name) {
      this.#present = false;
      this.#changeSeq++;
      return;
    }
    const before = this.#link;
    this.#link = link;
    if ((before.flags ^ link.flags) & IFF_LOWER_UP) this.#carrierResets++;
    const isSame =
      before.flags === link.flags && before.mtu === link.mtu && before.mac.every((b, i) => b === link.mac[i]);
    if (isSame) return;
    this.#publishMtu();
    this.#changeSeq++;
  }
  #publishMtu(): void {
    netdevEnvironment().core.dv.setUint32(this.state + PortStateLayout.mtu, this.#link.mtu, true);
  }
  /** Applies a change and takes its event, so that the getters show it at once. */
  protected change(change: Parameters<typeof changeLink>[1]): void {
    changeLink(this.ifindex, change);
    runLinkEvents();
  }

  protected get isLoopback(): boolean {
    return (this.#link.flags & IFF_LOOPBACK) !== 0;
  }
  get mac(): Uint8Array {
    return this.#link.mac.length === 6 ? this.#link.mac : new Uint8Array(6);
  }
  setMac(mac: Uint8Array): void {
    this.change({ mac });
  }
  get mtu(): number {
    return this.#link.mtu;
  }
  setMtu(mtu: number): void {
    this.change({ mtu });
  }
  get adminUp(): boolean {
    return (this.#link.flags & IFF_UP) !== 0;
  }
  setAdminUp(up: boolean): void {
    this.change({ up });
  }
  get carrier(): boolean {
    return (this.#link.flags & IFF_LOWER_UP) !== 0;
  }
  get carrierResets(): number {
    return this.#carrierResets;
  }
  get linkSpeed(): number {
    return (linkSettings(this.name)?.speedMbps ?? 0) * 1e6;
  }
  get fullDuplex(): boolean {
    return linkSettings(this.name)?.fullDuplex ?? true;
  }
  status(): Record<string, string> {
    const info = driverInfo(this.name);
    if (info === null) return {};
    return { driver_name: info.driver, driver_version: info.version, firmware_version: info.firmware };
  }
  get changeSeq(): number {
    return this.#changeSeq;
  }
  get present(): boolean {
    return this.#present;
  }
  run(_nowMs: number): number {
    return 0;
  }
  setOptions(_options: ReadonlyMap<string, string>): void {
    // Devices of the kernel have none.
  }
  statistics(): Record<string, number> {
    const stats = this.#present ? getLink(this.ifindex)?.statistics : null;
    if (stats === null || stats === undefined) return {};
    const { dv } = netdevEnvironment().core;
    const own = (field: number): number => dv.getUint32(this.state + field, true);
    return this.describe(stats, own(PortStateLayout.txDropped), own(PortStateLayout.txErrors));
  }
  /** @param dropped Frames that we could not hand over. */
  protected abstract describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number>;
  abstract attach(odpPort: number): PortAttachment;
  close(): void {
    this.#unwatch();
    netdevEnvironment().core.x.free(this.state);
  }
}

/** The link of that name. @throws SystemError "could not open network device X (No such device)" */
export function requireLink(name: string): Link {
  const link = getLink(name, false);
  if (link === null) throw systemError(ENODEV, 'open', `could not open network device ${name}`);
  return link;
}

/** The same for a device that carries Ethernet frames. @throws SystemError, the same for one that does not */
export function requireEthernet(name: string): Link {
  const link = requireLink(name);
  if (link.isEthernet || link.mac.length === 6) return link;
  throw systemError(ENODEV, 'open', `could not open network device ${name}`);
}
