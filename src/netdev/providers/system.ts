import type { LinkStatistics } from '../../netlink/rtnetlink.ts';
import { systemError } from '../../sys/errno.ts';
import { vlog } from '../../util/log.ts';
import { KernelNetdev, requireEthernet } from '../kernel-netdev.ts';
import { PacketSockets } from '../packet-socket.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const log = vlog('dpif_netdev');
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

/**
 * An existing device of the kernel.
 *
 * Frames come and go through packet sockets with a virtio header, so that unfinished checksums and
 * GSO frames pass as they are.
 */
class SystemNetdev extends KernelNetdev {
  readonly #sockets: PacketSockets;

  constructor(name: string) {
    const link = requireEthernet(name);
    super(name, 'system', link);
    try {
      this.#sockets = new PacketSockets(link.ifindex, link.mtu, this.state);
    } catch (error) {
      super.close();
      if (error instanceof Error && 'errno' in error) {
        throw systemError(Number(error.errno), 'open', `could not open network device ${name}`);
      }
      throw error;
    }
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    return packetStatistics(stats, this.#sockets, dropped, errors);
  }
  attach(odpPort: number): PortAttachment {
    refuseLoopback(this.name, this.isLoopback);
    return { ...this.#sockets.attachment, name: this.name, odpPort, polledByMain: false, rxQueues: 1 };
  }
  override close(): void {
    this.#sockets.close();
    super.close();
  }
}

export const systemProvider: NetdevProvider = {
  type: 'system',
  open: (name) => new SystemNetdev(name),
};
