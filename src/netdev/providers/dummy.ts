import { OvsError, SystemError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { NetdevBase } from '../base.ts';
import { netdevEnvironment } from '../environment.ts';
import { PcapWriter } from '../pcap.ts';
import type { Netdev, NetdevProvider, PortAttachment } from '../provider.ts';
import { RingPort } from '../ring-port.ts';
import { openFrameStream } from './dummy-stream.ts';
import type { FrameStream } from './dummy-stream.ts';

const log = vlog('netdev_dummy');
/** Frames that wait for the switch before more are dropped, as in OVS. */
const queueMax = 100;
const frameMinBytes = 14;

/** Where OVS's numbering is when the first port comes: its datapath and its probes took the ones before. */
const firstMac = { plain: 0xaa55_0001, system: 0xaa55_0001, override: 0xaa55_000e };
let $nextMac: number | null = null;
const $devices = new Map<string, DummyNetdev>();

function nextMac(): Uint8Array {
  $nextMac ??= firstMac[netdevEnvironment().dummy ?? 'plain'];
  const n = $nextMac++;
  return Uint8Array.of(0xaa, 0x55, n >>> 24, n >>> 16, n >>> 8, n);
}

/** All open dummies by name, for the `netdev-dummy/*` commands. */
export function dummyNetdevs(): ReadonlyMap<string, DummyNetdev> {
  return $devices;
}

/**
 * OVS's dummy device: frames come from `netdev-dummy/receive` or a byte stream and go to that stream
 * and to pcap files. It stands for hardware in tests, and for devices that an ordinary user may not
 * make (see internal.ts).
 */
export class DummyNetdev extends NetdevBase {
  readonly #ring: RingPort;
  #ifindex = 0;
  #stream: FrameStream | null = null;
  #streamKey = '';
  #rxPcap: PcapWriter | null = null;
  #txPcap: PcapWriter | null = null;
  #pcapKey = '';
  #ip4: Uint8Array | null = null;

  constructor(name: string, type: string, polledByMain: boolean) {
    super(name, type, nextMac());
    this.#ring = new RingPort(netdevEnvironment().core, { polledByMain, rxLimit: queueMax });
    this.#ring.setMtu(this.mtu);
    $devices.set(name, this);
  }
  override get ifindex(): number {
    return this.#ifindex;
  }
  override setMtu(mtu: number): void {
    super.setMtu(mtu);
    this.#ring.setMtu(mtu);
  }
  override setOptions(options: ReadonlyMap<string, string>): void {
    const ifindex = Number(options.get('ifindex') ?? '0');
    this.#ifindex = Number.isInteger(ifindex) ? ifindex : 0;
    this.#setStream(options.get('stream') ?? null, options.get('pstream') ?? null);
    this.#setPcap(
      options.get('pcap') ?? null,
      options.get('rxq_pcap') ?? null,
      options.get('tx_pcap') ?? null,
    );
  }

  #setStream(active: string | null, passive: string | null): void {
    const key = JSON.stringify([active, passive]);
    if (key === this.#streamKey) return;
    this.#streamKey = key;
    this.#stream?.close();
    this.#stream = null;
    if (active !== null && passive !== null) {
      log.warn('Open active and passive connections at the same time is not supported');
      return;
    }
    const target = active ?? passive;
    if (target === null) return;
    try {
      this.#stream = openFrameStream(active === null ? 'pstream' : 'stream', target, (frame) => {
        this.receive(frame);
      });
      this.#stream.run(netdevEnvironment().clock.nowMs());
    } catch (error) {
      if (!(error instanceof OvsError)) throw error;
      log.err(`open "${target}" failed: ${error.message}`);
    }
  }

  #setPcap(both: string | null, rx: string | null, tx: string | null): void {
    const key = JSON.stringify([both, rx, tx]);
    if (key === this.#pcapKey) return;
    this.#pcapKey = key;
    this.#closePcap();
    const open = (path: string | null): PcapWriter | null => {
      if (path === null) return null;
      try {
        return new PcapWriter(path);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        log.warn(error.message);
        return null;
      }
    };
    if (both !== null) {
      this.#rxPcap = open(both);
      this.#txPcap = this.#rxPcap;
      return;
    }
    this.#rxPcap = open(rx);
    this.#txPcap = open(tx);
  }

  #closePcap(): void {
    this.#rxPcap?.close();
    if (this.#txPcap !== this.#rxPcap) this.#txPcap?.close();
    this.#rxPcap = null;
    this.#txPcap = null;
  }

  /**
   * Lets the device receive a frame (copied). Frames shorter than an Ethernet header are ignored.
   *
   * @param queueId Receive queue; there is only queue 0.
   * @returns False when the queue was full.
   */
  receive(frame: Uint8Array, queueId = 0): boolean {
    if (queueId !== 0 || frame.length < frameMinBytes) return false;
    this.#rxPcap?.write(frame, netdevEnvironment().clock.wallMs());
    return this.#ring.send(frame);
  }

  /** The address that the device answers ARP requests for (`netdev-dummy/ip4addr`). */
  setIp4(address: Uint8Array): void {
    this.#ip4 = address.slice(0, 4);
    this.changed();
  }
  get ip4(): Uint8Array | null {
    return this.#ip4;
  }

  /** 'connected', 'disconnected' or 'unknown'. */
  get connectionState(): string {
    return this.#stream?.state ?? 'unknown';
  }

  override statistics(): Record<string, number> {
    const c = this.#ring.counters;
    return {
      rx_bytes: c.rxBytes,
      rx_custom_packets_1: c.rxPackets,
      rx_custom_packets_2: c.rxPackets,
      rx_packets: c.rxPackets,
      rx_q0_bytes: c.rxBytes,
      rx_q0_packets: c.rxPackets,
      tx_bytes: c.txBytes,
      tx_packets: c.txPackets,
      tx_q0_bytes: c.txBytes,
      tx_q0_packets: c.txPackets,
    };
  }

  override run(nowMs: number): number {
    this.#stream?.run(nowMs);
    return this.#ring.drain((frame) => {
      this.#answerArp(frame);
      this.#txPcap?.write(frame, netdevEnvironment().clock.wallMs());
      this.#stream?.send(frame);
    });
  }

  #answerArp(frame: Uint8Array): void {
    const ip = this.#ip4;
    if (ip === null || frame.length < 42) return;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const isRequest =
      view.getUint16(12) === 0x0806 && view.getUint16(16) === 0x0800 && view.getUint16(20) === 1;
    if (!isRequest || ip.some((byte, i) => frame[38 + i] !== byte)) return;
    const reply = frame.slice(0, 42);
    const sender = frame.subarray(22, 32);
    reply.set(sender.subarray(0, 6), 0);
    reply.set(this.mac, 6);
    reply[21] = 2;
    reply.set(this.mac, 22);
    reply.set(ip, 28);
    reply.set(sender, 32);
    this.receive(reply);
  }

  attach(odpPort: number): PortAttachment {
    return this.#ring.attachment(this.name, odpPort);
  }
  close(): void {
    if ($devices.get(this.name) === this) $devices.delete(this.name);
    this.#stream?.close();
    this.#closePcap();
    this.#ring.destroy();
  }
}

/** A provider of dummies under a type's name; `dummy-pmd` ones are polled by PMD threads. */
export function dummyProvider(type: string): NetdevProvider {
  return {
    type,
    open(name, options): Netdev {
      const device = new DummyNetdev(name, type, type !== 'dummy-pmd');
      device.setOptions(options);
      return device;
    },
  };
}
