import type { Link, LinkStatistics } from '../../netlink/rtnetlink.ts';
import { check, systemError } from '../../sys/errno.ts';
import { libc } from '../../sys/libc.ts';
import { KernelNetdev, requireLink } from '../kernel-netdev.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3 | 0o4000 | 0o2000000;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const sockaddrBytes = 20;
/** Some hundred GSO frames. */
const socketBufferBytes = 16 << 20;
const ENODEV = 19;

function setOption(fd: number, level: number, option: number, ...words: number[]): void {
  check(libc.setsockopt(fd, level, option, new Int32Array(words), 4 * words.length), 'setsockopt');
}

/** Needs CAP_NET_ADMIN, and only makes bursts less lossy: a refusal is no error. */
function growBuffer(fd: number, option: number): void {
  libc.setsockopt(fd, SOL_SOCKET, option, new Int32Array([socketBufferBytes]), 4);
}

function bindTo(fd: number, ifindex: number, protocol: number): void {
  const address = new DataView(new ArrayBuffer(sockaddrBytes));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol);
  address.setInt32(4, ifindex, true);
  check(libc.bind(fd, address, sockaddrBytes), 'bind');
}

/** A packet socket on one device; protocol 0 receives nothing. */
function openPacketSocket(ifindex: number, protocol: number): number {
  const fd = check(libc.socket(AF_PACKET, SOCK_RAW, 0), 'socket');
  try {
    setOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    growBuffer(fd, SO_SNDBUFFORCE);
    if (protocol === 0) {
      setOption(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    } else {
      setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
      setOption(fd, SOL_PACKET, PACKET_AUXDATA, 1);
      growBuffer(fd, SO_RCVBUFFORCE);
      setOption(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, ifindex, PACKET_MR_PROMISC, 0, 0);
    }
    bindTo(fd, ifindex, protocol);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** A plain packet socket on a device, without virtio headers: a far end for tests. @throws SystemError */
export function openRawSocket(ifindex: number): number {
  const fd = check(libc.socket(AF_PACKET, SOCK_RAW, 0), 'socket');
  setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  bindTo(fd, ifindex, ETH_P_ALL);
  return fd;
}

/**
 * An existing device of the kernel.
 *
 * Frames come and go through packet sockets with a virtio header, so that unfinished checksums and
 * GSO frames pass as they are. Two sockets: one receives, one sends past the queueing layer (faster);
 * the first also sends where the device needs that layer to segment (packet-io.ts).
 */
class SystemNetdev extends KernelNetdev {
  readonly #fd: number;
  readonly #txFd: number;

  constructor(name: string, link: Link, fd: number, txFd: number) {
    super(name, 'system', link);
    this.#fd = fd;
    this.#txFd = txFd;
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    return {
      collisions: stats.collisions,
      rx_bytes: stats.rxBytes,
      rx_crc_err: stats.rxCrcErrors,
      rx_dropped: stats.rxDropped,
      rx_errors: stats.rxErrors,
      rx_frame_err: stats.rxFrameErrors,
      rx_missed_errors: stats.rxMissedErrors,
      rx_over_err: stats.rxOverErrors,
      rx_packets: stats.rxPackets,
      tx_bytes: stats.txBytes,
      tx_dropped: stats.txDropped + dropped,
      tx_errors: stats.txErrors + errors,
      tx_packets: stats.txPackets,
    };
  }
  attach(odpPort: number): PortAttachment {
    return { kind: 'packet', name: this.name, odpPort, polledByMain: false, fd: this.#fd, txFd: this.#txFd, state: this.state };
  }
  override close(): void {
    super.close();
    libc.close(this.#fd);
    libc.close(this.#txFd);
  }
}

export const systemProvider: NetdevProvider = {
  type: 'system',
  open(name) {
    const link = requireLink(name);
    if (!link.isEthernet && link.mac.length !== 6) {
      throw systemError(ENODEV, 'open', `could not open network device ${name}`);
    }
    let fd = -1;
    try {
      fd = openPacketSocket(link.ifindex, ETH_P_ALL);
      return new SystemNetdev(name, link, fd, openPacketSocket(link.ifindex, 0));
    } catch (error) {
      if (fd >= 0) libc.close(fd);
      if (error instanceof Error && 'errno' in error) {
        throw systemError(Number(error.errno), 'open', `could not open network device ${name}`);
      }
      throw error;
    }
  },
};
