import type { Core } from '../arena/core.ts';
import { BugError } from '../util/errors.ts';

/**
 * A network device, seen from main (`Netdev`) and from the thread that moves its packets (`PortIo`).
 *
 * Life cycle:
 *
 *   | step      | thread | call                         | may fail                                   |
 *   |-----------|--------|------------------------------|--------------------------------------------|
 *   | open      | main   | provider.open(name, options) | yes: the message becomes Interface.error   |
 *   | attach    | main   | netdev.attach(odpPort)       | yes                                        |
 *   | move      | PMD    | openPortIo(.., rx queue)     | yes: logged, the port is retried           |
 *   | packets   | PMD    | io.receive / io.transmit     | no: errors are counted                     |
 *   | transmit  | others | io.transmit (own PortIo)     | no                                         |
 *   | detach    | PMD    | io.close()                   | no                                         |
 *   | close     | main   | netdev.close()               | no; only after every thread detached       |
 *
 * An attachment is plain data (structured-clone safe): file descriptors and arena addresses.
 * A thread builds a PortIo for each (port, receive queue) that it polls, and sends through the first of
 * them; one that polls none of the port's queues builds one with `rxQueue` null, to send. A queue is polled
 * by one thread at a time.
 */
export interface NetdevProvider {
  /** Interface.type in the database; '' and 'system' are both the system provider. */
  readonly type: string;
  /** @throws SystemError | UsageError when the device cannot be opened or an option is wrong. */
  open(name: string, options: ReadonlyMap<string, string>): Netdev;
}

export interface Netdev {
  readonly name: string;
  readonly type: string;
  /** Six bytes. */
  readonly mac: Uint8Array;
  setMac(mac: Uint8Array): void;
  readonly mtu: number;
  setMtu(mtu: number): void;
  /** 0 when the device has none. */
  readonly ifindex: number;
  readonly adminUp: boolean;
  setAdminUp(up: boolean): void;
  readonly carrier: boolean;
  readonly carrierResets: number;
  /** Bits per second, 0 when unknown; false = half duplex. */
  readonly linkSpeed: number;
  readonly fullDuplex: boolean;
  /** Interface.statistics: keys of vswitchd.conf.db(5) (rx_packets, tx_bytes, ...). */
  statistics(): Record<string, number>;
  /** Interface.status (driver_name, ...). */
  status(): Record<string, string>;
  /** Settings in force, as dpif/show tells them. Absent: none. */
  config?(): ReadonlyMap<string, string>;
  /** What keeps the port from working as it was asked to; it works nevertheless. Shown as Interface.error. */
  readonly problem?: string | null;
  /** Applies changed Interface.options. @throws UsageError */
  setOptions(options: ReadonlyMap<string, string>): void;
  /** Grows whenever anything above changed. */
  readonly changeSeq: number;
  /** Whether the device still exists: false means Interface.error and ofport -1 until reopened. */
  readonly present: boolean;
  /** Called from main's loop: reads link events, moves dummy traffic. Returns work done. */
  run(nowMs: number): number;
  attach(odpPort: number): PortAttachment;
  /**
   * True when an option moved that can take effect only while no thread has the device (n_rxq, ...): the
   * datapath then detaches the port, calls `reconfigure` and attaches it anew. Absent: there is no such option.
   */
  readonly needsReconfigure?: boolean;
  /** @throws SystemError: the message becomes Interface.error, and the port is removed */
  reconfigure?(): void;
  /** Whether `close` removes the kernel's device `ifindex`, so that `closeNetdevs` may remove many at once. */
  readonly ownsLink?: boolean;
  close(): void;
}

/** Plain data from which a thread builds its side of a port. */
export interface PortAttachment {
  readonly kind: string;
  readonly name: string;
  readonly odpPort: number;
  /** True for ports that main's own loop receives from (dummies), not a PMD thread. */
  readonly polledByMain: boolean;
  /** Receive queues, at least 1: 0..rxQueues - 1 may be opened. */
  readonly rxQueues: number;
  /** NUMA node of the device, 0 when absent. */
  readonly numaId?: number;
  readonly [extra: string]: string | number | boolean | readonly number[] | undefined;
}

/** Entry of a list in an attachment, one for each receive queue. @throws BugError if there is none */
export function listed(attachment: PortAttachment, key: string, rxQueue: number): number {
  const list = attachment[key];
  const value = Array.isArray(list) ? (list as readonly number[])[rxQueue] : undefined;
  if (value === undefined) throw new BugError(`${attachment.name}: no ${key} of receive queue ${rxQueue}`);
  return value;
}

/** A thread's side of a port. Every method is called by the thread that made it. */
export interface PortIo {
  readonly odpPort: number;
  /** File descriptors that become readable when packets wait; empty for ports fed by rings. */
  readonly pollFds: readonly number[];
  /**
   * Receives up to 32 packets without blocking.
   *
   * Writes addresses of packet descriptors (netdev.layout.ts `packet`) to `batch`. Descriptors and
   * frames belong to the port and are valid until the thread's next `receive` from any port (kernel
   * ports of a thread share descriptors and buffers). Each frame has headroom for tags before it.
   *
   * @param batch Arena address of u32[32].
   * @returns Packets received, 0 if none wait.
   */
  receive(batch: number): number;
  /**
   * Sends packets; done with descriptors and frames when it returns (copied, sent or dropped and
   * counted). Completes checksums and segments GSO packets that the device cannot take.
   *
   * @param list Arena address of u32[count], addresses of packet descriptors.
   */
  transmit(list: number, count: number): void;
  /**
   * Arena address of a record from which core.wasm receives by itself (`pmdPoll`; memory-port.layout.ts), 0 or
   * absent: `receive` is called.
   */
  readonly source?: number;
  /** Likewise the record on which core.wasm sends (`pmdSetSink`), 0 or absent: `transmit` is called. */
  readonly sink?: number;
  /** With a `source`: called when a poll found nothing. */
  idle?(): void;
  /** With a `sink`: makes the system call that core.wasm asks for after it has queued a burst. */
  kick?(): void;
  /** Whether packets wait (for ports without pollFds), so that a thread about to block does not. */
  pending(): boolean;
  close(): void;
}

/** @param rxQueue Receive queue to poll; null = the thread only sends. */
export type OpenPortIo = (attachment: PortAttachment, core: Core, rxQueue: number | null) => PortIo;
