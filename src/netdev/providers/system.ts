import type { LinkStatistics } from '../../netlink/rtnetlink.ts';
import { systemError } from '../../sys/errno.ts';
import { vlog } from '../../util/log.ts';
import { deviceNode } from '../../sys/numa.ts';
import { KernelNetdev, requireEthernet, requireLink } from '../kernel-netdev.ts';
import { PacketSockets } from '../packet-socket.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const log = vlog('dpif_netdev');
const linuxLog = vlog('netdev_linux');
const EINVAL = 22;

/** Interface.statistics of a device that packet sockets serve. */
export function packetStatistics(
  stats: LinkStatistics,
  sockets: PacketSockets | null,
  dropped: number,
  errors: number,
): Record<string, number> {
  const ours = sockets?.txCounts ?? { dropped: 0, errors: 0 };
  return {
    collisions: stats.collisions,
    rx_bytes: stats.rxBytes,
    rx_crc_err: stats.rxCrcErrors,
    rx_dropped: stats.rxDropped + (sockets?.countDrops() ?? 0),
    rx_errors: stats.rxErrors,
    rx_frame_err: stats.rxFrameErrors,
    rx_missed_errors: stats.rxMissedErrors,
    rx_multicast_packets: stats.multicast,
    rx_over_err: stats.rxOverErrors,
    rx_packets: stats.rxPackets,
    tx_bytes: stats.txBytes,
    tx_dropped: stats.txDropped + dropped + ours.dropped,
    tx_errors: stats.txErrors + errors + ours.errors,
    tx_packets: stats.txPackets,
  };
}

/** @throws SystemError EINVAL for a loopback device: its frames would come back for ever. */
export function refuseLoopback(name: string, isLoopback: boolean): void {
  if (!isLoopback) return;
  log.err(`${name}: cannot add a loopback device`);
  throw systemError(EINVAL, 'port_add');
}

/** More than cores that could poll them; each costs 2 MiB. */
const maxRxQueues = 64;

/** options:n_rxq, at least 1. */
function wantedRxQueues(name: string, options: ReadonlyMap<string, string>): number {
  const text = options.get('n_rxq') ?? '';
  const wanted = Math.max(1, /^-?\d+$/.test(text) ? Number(text) : 1);
  if (wanted > maxRxQueues) linuxLog.warn(`${name}: Too big 'n_rxq' (${wanted} > ${maxRxQueues}).`);
  return Math.min(wanted, maxRxQueues);
}

/** What Interface.error says. */
function openError(name: string, error: unknown): unknown {
  if (!(error instanceof Error && 'errno' in error)) return error;
  return systemError(Number(error.errno), 'open', `could not open network device ${name}`);
}

/** An existing device of the kernel, moved by packet sockets; options:n_rxq receive, the kernel chooses by flow. */
class SystemNetdev extends KernelNetdev {
  #sockets: PacketSockets;
  readonly #numaId: number;
  #rxQueues: number;
  /** Reconfiguring failed: nothing is open. */
  #isClosed = false;
  /** Of sockets that were closed. */
  #past = { ringDrops: 0, dropped: 0, errors: 0 };

  constructor(name: string, options: ReadonlyMap<string, string>) {
    const link = requireEthernet(name);
    super(name, 'system', link);
    this.#numaId = deviceNode(name);
    this.#rxQueues = wantedRxQueues(name, options);
    try {
      this.#sockets = new PacketSockets(link, this.#rxQueues, this.state);
    } catch (error) {
      super.close();
      throw openError(name, error);
    }
  }
  override setOptions(options: ReadonlyMap<string, string>): void {
    this.#rxQueues = wantedRxQueues(this.name, options);
  }
  get needsReconfigure(): boolean {
    return this.#rxQueues !== this.#sockets.queues;
  }
  /** Frames that wait in the sockets are lost, as in OVS when it reconfigures a device. */
  reconfigure(): void {
    const link = requireLink(this.name);
    const { dropped, errors } = this.#sockets.txCounts;
    const past = this.#past;
    this.#past = {
      ringDrops: past.ringDrops + this.#sockets.countDrops(),
      dropped: past.dropped + dropped,
      errors: past.errors + errors,
    };
    this.#sockets.close();
    try {
      this.#sockets = new PacketSockets(link, this.#rxQueues, this.state);
    } catch (error) {
      this.#isClosed = true;
      throw openError(this.name, error);
    }
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    const past = this.#past;
    const all = packetStatistics(stats, this.#sockets, dropped + past.dropped, errors + past.errors);
    return { ...all, rx_dropped: (all['rx_dropped'] ?? 0) + past.ringDrops };
  }
  attach(odpPort: number): PortAttachment {
    refuseLoopback(this.name, this.isLoopback);
    const { name } = this;
    return { ...this.#sockets.attachment, name, odpPort, polledByMain: false, numaId: this.#numaId };
  }
  override close(): void {
    if (!this.#isClosed) this.#sockets.close();
    super.close();
  }
}

export const systemProvider: NetdevProvider = {
  type: 'system',
  open: (name, options) => new SystemNetdev(name, options),
};
