import type { Netdev, PortAttachment } from './provider.ts';

/** What most providers answer alike: a device without a kernel side, always there, in software only. */
export abstract class NetdevBase implements Netdev {
  readonly name: string;
  readonly type: string;
  #changeSeq = 1;
  #adminUp = true;
  #mtu = 1500;
  readonly #mac: Uint8Array;

  protected constructor(name: string, type: string, mac: Uint8Array) {
    this.name = name;
    this.type = type;
    this.#mac = mac.slice(0, 6);
  }
  get mac(): Uint8Array {
    return this.#mac;
  }
  setMac(mac: Uint8Array): void {
    this.#mac.set(mac.subarray(0, 6));
    this.changed();
  }
  get mtu(): number {
    return this.#mtu;
  }
  setMtu(mtu: number): void {
    this.#mtu = mtu;
    this.changed();
  }
  get ifindex(): number {
    return 0;
  }
  get adminUp(): boolean {
    return this.#adminUp;
  }
  setAdminUp(up: boolean): void {
    if (up === this.#adminUp) return;
    this.#adminUp = up;
    this.changed();
  }
  get carrier(): boolean {
    return this.#adminUp;
  }
  get carrierResets(): number {
    return 0;
  }
  get linkSpeed(): number {
    return 0;
  }
  get fullDuplex(): boolean {
    return true;
  }
  statistics(): Record<string, number> {
    return {};
  }
  status(): Record<string, string> {
    return {};
  }
  setOptions(_options: ReadonlyMap<string, string>): void {
    // No options unless a provider says so.
  }
  get changeSeq(): number {
    return this.#changeSeq;
  }
  protected changed(): void {
    this.#changeSeq++;
  }
  get present(): boolean {
    return true;
  }
  run(_nowMs: number): number {
    return 0;
  }
  abstract attach(odpPort: number): PortAttachment;
  abstract close(): void;
}
