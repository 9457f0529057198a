import { netdevEnvironment } from '../environment.ts';
import type { Link, LinkStatistics } from '../../netlink/rtnetlink.ts';
import {
  XDP_FLAGS_DRV_MODE,
  XDP_FLAGS_SKB_MODE,
  attachXdp,
  createXskMap,
  loadXskProgram,
  loadXskVlanProgram,
  setXskMap,
} from '../../sys/bpf.ts';
import { systemError } from '../../sys/errno.ts';
import { deviceNode } from '../../sys/numa.ts';
import { libc } from '../../sys/libc.ts';
import { xdpStatistics } from '../../sys/xdp.ts';
import type { XdpStatistics } from '../../sys/xdp.ts';
import { OvsError, SystemError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { XskLayout } from '../generated/xsk.ts';
import { KernelNetdev, requireEthernet } from '../kernel-netdev.ts';
import { PacketSockets } from '../packet-socket.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';
import { XskSocket, xskFrameBytes } from '../xsk-socket.ts';
import { packetStatistics, refuseLoopback } from './system.ts';

const log = vlog('netdev_afxdp');
const EINVAL = 22;
const maxQueues = 16;

/** What `options:xdp-mode` may ask for, best first. */
const modes = ['native-with-zerocopy', 'native', 'generic'] as const;
type XdpMode = (typeof modes)[number];

interface AfxdpConfig {
  readonly mode: XdpMode | 'best-effort';
  readonly needWakeup: boolean;
  readonly queues: number;
}

/** @throws SystemError with OVS's text; the reason is in the log. */
function parseOptions(name: string, options: ReadonlyMap<string, string>): AfxdpConfig {
  const refuse = (reason: string): never => {
    log.err(`${name}: ${reason}`);
    throw systemError(EINVAL, 'set_config', `${name}: could not set configuration`);
  };
  const asked = options.get('n_rxq') ?? '1';
  const queues = /^\d+$/.test(asked) ? Number(asked) : 1;
  if (queues > maxQueues) refuse(`Too large 'n_rxq' (${queues} > ${maxQueues}).`);
  const mode = options.get('xdp-mode') ?? 'best-effort';
  const known = [...modes, 'best-effort' as const].find((m) => m === mode);
  const needWakeup = options.get('use-need-wakeup') !== 'false';
  return { mode: known ?? refuse(`Incorrect xdp-mode (${mode}).`), needWakeup, queues: Math.max(queues, 1) };
}

/** The program that keeps VLAN tags where the device can tell of them, else the plain one. */
function loadProgram(mapFd: number, mode: XdpMode, link: Link): number {
  if (mode !== 'generic') {
    try {
      return loadXskVlanProgram(mapFd, link.ifindex);
    } catch (error) {
      log.dbg(
        `${link.name}: ${error instanceof Error ? error.message : String(error)}: VLAN tags only in the frame`,
      );
    }
  }
  return loadXskProgram(mapFd);
}

/** A device's sockets, one a queue, and the program that feeds them. */
class XdpSet {
  readonly mode: XdpMode;
  readonly sockets: readonly XskSocket[];
  readonly #linkFd: number;

  /** @throws SystemError @throws ArenaFullError; nothing stays open then. */
  constructor(mode: XdpMode, config: AfxdpConfig, link: Link, state: number) {
    this.mode = mode;
    const frameBytes = xskFrameBytes(link.mtu);
    if (frameBytes === null) {
      throw new SystemError('EINVAL', EINVAL, 'xsk', `MTU ${link.mtu} is larger than a frame`);
    }
    const sockets: XskSocket[] = [];
    let [mapFd, programFd, linkFd] = [-1, -1, -1];
    try {
      mapFd = createXskMap(config.queues);
      programFd = loadProgram(mapFd, mode, link);
      linkFd = attachXdp(
        programFd,
        link.ifindex,
        mode === 'generic' ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
      );
      for (let queue = 0; queue < config.queues; queue++) {
        const socket = new XskSocket(netdevEnvironment().core, {
          ifindex: link.ifindex,
          queue,
          receives: true,
          zeroCopy: mode === 'native-with-zerocopy',
          needWakeup: config.needWakeup,
          frameBytes,
          state,
        });
        sockets.push(socket);
        setXskMap(mapFd, queue, socket.fd);
      }
      this.sockets = sockets;
      this.#linkFd = linkFd;
    } catch (error) {
      if (linkFd >= 0) libc.close(linkFd);
      for (const socket of sockets) socket.close();
      throw error;
    } finally {
      // The link holds the program, and that the map.
      if (mapFd >= 0) libc.close(mapFd);
      if (programFd >= 0) libc.close(programFd);
    }
  }
  /** The program goes first, so that no frame comes to a socket that closes. */
  close(): void {
    libc.close(this.#linkFd);
    for (const socket of this.sockets) socket.close();
  }
}

type Count = 'rxPackets' | 'rxBytes' | 'rxErrors' | 'txPackets' | 'txBytes' | 'txDropped' | 'txErrors';
const counts: readonly Count[] = [
  'rxPackets',
  'rxBytes',
  'rxErrors',
  'txPackets',
  'txBytes',
  'txDropped',
  'txErrors',
];

/**
 * A device of the kernel, moved by AF_XDP sockets (one a receive queue).
 *
 * `best-effort` takes the best mode that the device has, and packet sockets, as a system port, where it has
 * none: Interface.error and the log say why. A mode that was asked for by name is an error where it cannot be had.
 */
class AfxdpNetdev extends KernelNetdev {
  readonly #link: Link;
  readonly #numaId: number;
  #wanted: AfxdpConfig;
  /** What is open now; null before the first attach. */
  #current: AfxdpConfig | null = null;
  #xdp: XdpSet | null = null;
  #packet: PacketSockets | null = null;
  #problem: string | null = null;
  /** Of sockets that were closed. */
  readonly #past = new Map<string, number>();

  constructor(name: string, options: ReadonlyMap<string, string>) {
    const link = requireEthernet(name);
    const config = parseOptions(name, options);
    super(name, 'afxdp', link);
    this.#link = link;
    this.#numaId = deviceNode(name);
    this.#wanted = config;
  }
  override setOptions(options: ReadonlyMap<string, string>): void {
    this.#wanted = parseOptions(this.name, options);
  }
  get needsReconfigure(): boolean {
    const [now, next] = [this.#current, this.#wanted];
    return (
      now !== null &&
      (now.mode !== next.mode || now.needWakeup !== next.needWakeup || now.queues !== next.queues)
    );
  }
  reconfigure(): void {
    this.#closeSockets();
    this.#open();
  }
  attach(odpPort: number): PortAttachment {
    refuseLoopback(this.name, this.isLoopback);
    if (this.#current === null) this.#open();
    const common = { name: this.name, odpPort, polledByMain: false, numaId: this.#numaId };
    if (this.#packet !== null) return { ...this.#packet.attachment, ...common };
    const sockets = this.#xdp?.sockets ?? [];
    return {
      kind: 'xsk',
      ...common,
      rxQueues: sockets.length,
      sockets: sockets.map((s) => s.address),
      zeroCopy: this.#xdp?.mode === 'native-with-zerocopy',
    };
  }

  /** @throws SystemError EINVAL as OVS; the log says why. */
  #open(): void {
    const config = this.#wanted;
    log.info(`${this.name}: Setting XDP mode to ${config.mode}.`);
    const reasons: string[] = [];
    for (const mode of config.mode === 'best-effort' ? modes : [config.mode]) {
      try {
        // The MTU as it is now, not as it was when the device was opened.
        this.#xdp = new XdpSet(mode, config, { ...this.#link, mtu: this.mtu }, this.state);
        this.#current = config;
        if (config.mode === 'best-effort') log.info(`${this.name}: ${mode} XDP mode will be in use.`);
        return;
      } catch (error) {
        if (!(error instanceof OvsError)) throw error;
        reasons.push(`${mode}: ${error.message}`);
      }
    }
    const reason = reasons.join('; ');
    if (config.mode !== 'best-effort' || config.queues > 1) {
      log.err(`${this.name}: AF_XDP device reconfiguration failed (${reason}).`);
      throw systemError(EINVAL, 'reconfigure');
    }
    this.#problem = `AF_XDP cannot be used (${reason}), packet sockets are used instead`;
    log.warn(`${this.name}: ${this.#problem}.`);
    this.#packet = new PacketSockets({ ...this.#link, mtu: this.mtu }, 1, this.state);
    this.#current = config;
  }
  #closeSockets(): void {
    for (const count of counts) this.#past.set(count, this.#total(count));
    const stats = this.#kernelStatistics();
    this.#past.set('rxMissed', (this.#past.get('rxMissed') ?? 0) + missed(stats));
    this.#xdp?.close();
    this.#packet?.close();
    this.#xdp = null;
    this.#packet = null;
    this.#current = null;
    this.#problem = null;
  }
  #total(count: Count): number {
    const { dv } = netdevEnvironment().core;
    const open = (this.#xdp?.sockets ?? []).map((s) => dv.getFloat64(s.address + XskLayout[count], true));
    return open.reduce((sum, n) => sum + n, this.#past.get(count) ?? 0);
  }
  #kernelStatistics(): XdpStatistics[] {
    return (this.#xdp?.sockets ?? []).map((s) => xdpStatistics(s.fd));
  }

  override statistics(): Record<string, number> {
    // Frames never pass the kernel's own counters of every driver: ours are exact.
    if (this.#packet !== null) return super.statistics();
    const kernel = this.#kernelStatistics();
    const result: Record<string, number> = {
      rx_bytes: this.#total('rxBytes'),
      rx_dropped: (this.#past.get('rxMissed') ?? 0) + missed(kernel),
      rx_errors: this.#total('rxErrors'),
      rx_packets: this.#total('rxPackets'),
      tx_bytes: this.#total('txBytes'),
      tx_dropped: this.#total('txDropped'),
      tx_errors: this.#total('txErrors'),
      tx_packets: this.#total('txPackets'),
    };
    for (const [queue, stats] of kernel.entries()) {
      result[`xsk_queue_${queue}_rx_dropped`] = stats.rxDropped;
      result[`xsk_queue_${queue}_rx_invalid_descs`] = stats.rxInvalidDescs;
      result[`xsk_queue_${queue}_tx_invalid_descs`] = stats.txInvalidDescs;
    }
    return result;
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    return packetStatistics(stats, this.#packet, dropped, errors);
  }
  override status(): Record<string, string> {
    const status = super.status();
    status['xdp_mode'] = this.#xdp?.mode ?? 'none';
    return status;
  }
  get problem(): string | null {
    return this.#problem;
  }
  config(): ReadonlyMap<string, string> {
    return new Map([
      ['n_rxq', String(this.#wanted.queues)],
      ['use-need-wakeup', String(this.#wanted.needWakeup)],
      ['xdp-mode', this.#wanted.mode],
      ['xdp-mode-in-use', this.#xdp?.mode ?? 'none'],
    ]);
  }
  override close(): void {
    this.#closeSockets();
    super.close();
  }
}

/** Frames that found no free frame or the receive ring full. */
function missed(stats: readonly XdpStatistics[]): number {
  return stats.reduce((sum, s) => sum + s.rxDropped + s.rxRingFull, 0);
}

export const afxdpProvider: NetdevProvider = {
  type: 'afxdp',
  open: (name, options) => new AfxdpNetdev(name, options),
};
