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
const maxQueues = 1024;
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
  readonly #polledByMain: boolean;
  #ring: RingPort;
  #counted = emptyCounts();
  #rxQueues = 1;
  #numaId = 0;
  #wanted = { rxQueues: 1, numaId: 0 };
  #ifindex = 0;
  #stream: FrameStream | null = null;
  #streamKey = '';
  #rxPcap: PcapWriter | null = null;
  #txPcap: PcapWriter | null = null;
  #pcapKey = '';
  #ip4: Uint8Array | null = null;

  constructor(name: string, type: string, polledByMain: boolean) {
    super(name, type, nextMac());
    this.#polledByMain = polledByMain;
    this.#ring = this.#openRing();
    $devices.set(name, this);
  }
  #openRing(): RingPort {
    const ring = new RingPort(netdevEnvironment().core, {
      polledByMain: this.#polledByMain,
      rxLimit: queueMax,
      rxQueues: this.#rxQueues,
      numaId: this.#numaId,
    });
    ring.setMtu(this.mtu);
    return ring;
  }
  get needsReconfigure(): boolean {
    return this.#wanted.rxQueues !== this.#rxQueues || this.#wanted.numaId !== this.#numaId;
  }
  /** Frames that wait in the queues are lost, as in OVS. */
  reconfigure(): void {
    this.#rxQueues = this.#wanted.rxQueues;
    this.#numaId = this.#wanted.numaId;
    this.#counted = addCounts(this.#counted, this.#ring.counters);
    this.#ring.destroy();
    this.#ring = this.#openRing();
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
    if (!this.#polledByMain) this.#setQueues(options);
    this.#setStream(options.get('stream') ?? null, options.get('pstream') ?? null);
    this.#setPcap(
      options.get('pcap') ?? null,
      options.get('rxq_pcap') ?? null,
      options.get('tx_pcap') ?? null,
    );
  }

  #setQueues(options: ReadonlyMap<string, string>): void {
    const number = (key: string, fallback: number): number => {
      const text = options.get(key) ?? '';
      return /^-?\d+$/.test(text) ? Number(text) : fallback;
    };
    const rxQueues = Math.max(1, number('n_rxq', 1));
    if (rxQueues > maxQueues && Math.min(rxQueues, maxQueues) !== this.#wanted.rxQueues) {
      log.warn(
        `The one or both of interface ${this.name} queues(rxq: ${rxQueues}, txq: 1) exceed ${maxQueues}. ` +
          `Sets it ${maxQueues}.`,
      );
    }
    this.#wanted = { rxQueues: Math.min(rxQueues, maxQueues), numaId: Math.max(0, number('numa_id', 0)) };
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
   * @param queueId Receive queue, below `rxQueues`.
   * @returns False when the queue was full.
   */
  receive(frame: Uint8Array, queueId = 0): boolean {
    if (frame.length < frameMinBytes) return false;
    this.#rxPcap?.write(frame, netdevEnvironment().clock.wallMs());
    return this.#ring.send(frame, queueId);
  }
  /** Receive queues in force. */
  get rxQueues(): number {
    return this.#rxQueues;
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
    const c = addCounts(this.#counted, this.#ring.counters);
    const queues = c.rxQueues
      .slice(0, this.#rxQueues)
      .flatMap((q, i) => [[`rx_q${i}_bytes`, q.bytes] as const, [`rx_q${i}_packets`, q.packets] as const]);
    return {
      rx_bytes: c.rxBytes,
      rx_custom_packets_1: c.rxPackets,
      rx_custom_packets_2: c.rxPackets,
      rx_packets: c.rxPackets,
      ...Object.fromEntries(queues),
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

type Counts = Pick<RingPort['counters'], 'rxPackets' | 'rxBytes' | 'rxQueues' | 'txPackets' | 'txBytes'>;

const emptyCounts = (): Counts => ({ rxPackets: 0, rxBytes: 0, rxQueues: [], txPackets: 0, txBytes: 0 });

/** Counters go on when the queues are made anew. */
function addCounts(a: Counts, b: Counts): Counts {
  const queues = Math.max(a.rxQueues.length, b.rxQueues.length);
  return {
    rxPackets: a.rxPackets + b.rxPackets,
    rxBytes: a.rxBytes + b.rxBytes,
    rxQueues: Array.from({ length: queues }, (_, i) => ({
      packets: (a.rxQueues[i]?.packets ?? 0) + (b.rxQueues[i]?.packets ?? 0),
      bytes: (a.rxQueues[i]?.bytes ?? 0) + (b.rxQueues[i]?.bytes ?? 0),
    })),
    txPackets: a.txPackets + b.txPackets,
    txBytes: a.txBytes + b.txBytes,
  };
}

/** A provider of dummies under a type's name; `dummy-pmd` ones are polled by PMD threads. */
export function dummyProvider(type: string): NetdevProvider {
  return {
    type,
    open(name, options): Netdev {
      const device = new DummyNetdev(name, type, type !== 'dummy-pmd');
      device.setOptions(options);
      if (device.needsReconfigure) device.reconfigure();
      return device;
    },
  };
}
