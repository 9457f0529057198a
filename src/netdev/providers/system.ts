import type { Link, LinkStatistics } from '../../netlink/rtnetlink.ts';
import { vlog } from '../../util/log.ts';
import { netdevEnvironment } from '../environment.ts';
import { allocOrThrow } from '../../arena/core.ts';
import { bindAsFanout } from '../packet-fanout.ts';
import {
  PortStateLayout,
  setPortStateRxCursor,
  setPortStateRxHeld,
  setPortStateRxFrameSize,
  setPortStateRxFrames,
  setPortStateRxRing,
} from '../generated/port-state.ts';
import { check, systemError } from '../../sys/errno.ts';
import { libc } from '../../sys/libc.ts';
import { deviceNode } from '../../sys/numa.ts';
import {
  MADV_DONTFORK,
  MAP_FIXED,
  MAP_POPULATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  madvise,
  mapAnonymousOver,
  memoryAddress,
  mmap,
} from '../../sys/memory.ts';
import { KernelNetdev, requireLink } from '../kernel-netdev.ts';
import type { NetdevProvider, PortAttachment } from '../provider.ts';

const log = vlog('netdev_linux');
const dpifLog = vlog('dpif_netdev');
const AF_PACKET = 17;
const SOCK_RAW = 3 | 0o4000 | 0o2000000;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const sockaddrBytes = 20;
/** Some hundred GSO frames. */
const socketBufferBytes = 16 << 20;
/** More than cores that could poll them; each costs 2 MiB. */
const maxRxQueues = 64;
const ENODEV = 19;
const EINVAL = 22;
const TPACKET_V2 = 1;
/** Bytes of the receive ring, the same for every MTU. */
const ringBytes = 2 << 20;
const blockBytes = 65536;
const pageBytes = 4096;
/** Headroom for tags and tunnels in front of each frame in the ring. */
const headroomBytes = 128;
/** tpacket2_hdr, addresses, virtio header, headroom and alignment at the start of a ring frame. */
const frameOverhead = 256;

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
    // The receiving one is bound when its ring is ready.
    if (protocol === 0) bindTo(fd, ifindex, protocol);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

interface RxRing {
  /** Arena block to free; the ring starts at the next page. */
  readonly block: number;
  readonly address: number;
  readonly frameSize: number;
  readonly frames: number;
}

/**
 * Maps a receive ring over a part of the arena, with frames for the device's MTU. Longer frames (GSO)
 * get a short entry in the ring and wait whole in the socket's queue (TP_STATUS_COPY).
 *
 * @returns null when kernel or arena have no room: then all frames come by recvmmsg.
 */
function mapRxRing(fd: number, mtu: number): RxRing | null {
  const { core } = netdevEnvironment();
  const frameSize = Math.min(blockBytes, 2 ** Math.ceil(Math.log2(Math.max(mtu, 1500) + 18 + frameOverhead)));
  const frames = ringBytes / frameSize;
  const block = core.x.alloc(ringBytes + pageBytes) >>> 0;
  if (block === 0) return null;
  const address = Math.ceil(block / pageBytes) * pageBytes;
  try {
    setOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    setOption(fd, SOL_PACKET, PACKET_RESERVE, headroomBytes);
    setOption(fd, SOL_PACKET, PACKET_COPY_THRESH, 1);
    setOption(fd, SOL_PACKET, PACKET_RX_RING, blockBytes, ringBytes / blockBytes, frameSize, frames);
    const host = memoryAddress(core.memory) + address;
    mmap(host, ringBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    madvise(host, ringBytes, MADV_DONTFORK);
    return { block, address, frameSize, frames };
  } catch (error) {
    log.info(`no receive ring: ${error instanceof Error ? error.message : String(error)}`);
    core.x.free(block);
    return null;
  }
}

/** A plain packet socket on a device, without virtio headers: a far end for tests. @throws SystemError */
export function openRawSocket(ifindex: number): number {
  const fd = check(libc.socket(AF_PACKET, SOCK_RAW, 0), 'socket');
  setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  bindTo(fd, ifindex, ETH_P_ALL);
  return fd;
}

/** One receive queue: a socket of the device, with its ring. */
interface RxSocket {
  readonly fd: number;
  /** Null: all frames come by recvmmsg. */
  readonly ring: RxRing | null;
  /** Arena address of the port-state that has the ring; of queue 0, the device's own. */
  state: number;
}

/** Opens the receiving sockets of a device, bound: packets come from now on. @throws SystemError */
function openRxSockets(link: Link, count: number): RxSocket[] {
  const sockets: RxSocket[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const fd = openPacketSocket(link.ifindex, ETH_P_ALL);
      sockets.push({ fd, ring: null, state: 0 });
      sockets[i] = { fd, ring: mapRxRing(fd, link.mtu), state: 0 };
    }
    bindAsFanout(
      sockets.map((s) => s.fd),
      (fd) => bindTo(fd, link.ifindex, ETH_P_ALL),
    );
    return sockets;
  } catch (error) {
    closeRxSockets(sockets);
    throw error;
  }
}

function closeRxSockets(sockets: readonly RxSocket[]): void {
  const { core } = netdevEnvironment();
  for (const { fd, ring } of sockets) {
    if (ring !== null) {
      mapAnonymousOver(memoryAddress(core.memory) + ring.address, ringBytes);
      core.x.free(ring.block);
    }
    libc.close(fd);
  }
}

/**
 * An existing device of the kernel.
 *
 * Frames come and go through packet sockets with a virtio header, so that unfinished checksums and
 * GSO frames pass as they are. One socket receives for each queue (options:n_rxq; the kernel chooses by flow),
 * one sends past the queueing layer (faster); the first receiving one also sends where the device needs that
 * layer to segment (packet-io.ts).
 */
class SystemNetdev extends KernelNetdev {
  #sockets: RxSocket[] = [];
  readonly #txFd: number;
  readonly #numaId: number;
  #rxQueues = 1;
  #ringDrops = 0;

  /** @param sockets Receiving; owned from now on, as is `txFd`. */
  constructor(name: string, link: Link, sockets: RxSocket[], txFd: number) {
    super(name, 'system', link);
    this.#txFd = txFd;
    this.#numaId = deviceNode(name);
    this.#rxQueues = sockets.length;
    this.#own(sockets);
  }
  #own(sockets: RxSocket[]): void {
    const { core } = netdevEnvironment();
    this.#sockets = sockets;
    sockets.forEach((socket, queue) => {
      socket.state = queue === 0 ? this.state : allocOrThrow(core, PortStateLayout.size);
      setPortStateRxRing(core.dv, socket.state, socket.ring?.address ?? 0);
      setPortStateRxFrameSize(core.dv, socket.state, socket.ring?.frameSize ?? 0);
      setPortStateRxFrames(core.dv, socket.state, socket.ring?.frames ?? 0);
      setPortStateRxCursor(core.dv, socket.state, 0);
      setPortStateRxHeld(core.dv, socket.state, 0);
    });
  }
  #closeSockets(): void {
    this.#countRingDrops();
    for (const { state } of this.#sockets) if (state !== this.state) netdevEnvironment().core.x.free(state);
    closeRxSockets(this.#sockets);
    this.#sockets = [];
  }
  override setOptions(options: ReadonlyMap<string, string>): void {
    this.#rxQueues = wantedRxQueues(this.name, options);
  }
  get needsReconfigure(): boolean {
    return this.#rxQueues !== this.#sockets.length;
  }
  /** Frames that wait in the sockets are lost, as in OVS when it reconfigures a device. */
  reconfigure(): void {
    const link = requireLink(this.name);
    this.#closeSockets();
    try {
      this.#own(openRxSockets(link, this.#rxQueues));
    } catch (error) {
      throw openError(this.name, error);
    }
  }
  /** Frames that found the ring or the queue full, since the device was opened. */
  #countRingDrops(): number {
    const stats = new Uint32Array(2);
    for (const { fd } of this.#sockets) {
      // The kernel starts over with each reading.
      if (libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, stats, new Uint32Array([8])) === 0) {
        this.#ringDrops += stats[1] ?? 0;
      }
    }
    return this.#ringDrops;
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    return {
      collisions: stats.collisions,
      rx_bytes: stats.rxBytes,
      rx_crc_err: stats.rxCrcErrors,
      rx_dropped: stats.rxDropped + this.#countRingDrops(),
      rx_errors: stats.rxErrors,
      rx_frame_err: stats.rxFrameErrors,
      rx_missed_errors: stats.rxMissedErrors,
      rx_multicast_packets: stats.multicast,
      rx_over_err: stats.rxOverErrors,
      rx_packets: stats.rxPackets,
      tx_bytes: stats.txBytes,
      tx_dropped: stats.txDropped + dropped,
      tx_errors: stats.txErrors + errors,
      tx_packets: stats.txPackets,
    };
  }
  /** @throws SystemError EINVAL for a loopback device: its frames would come back for ever. */
  attach(odpPort: number): PortAttachment {
    if (this.isLoopback) {
      dpifLog.err(`${this.name}: cannot add a loopback device`);
      throw systemError(EINVAL, 'port_add');
    }
    return {
      kind: 'packet',
      name: this.name,
      odpPort,
      polledByMain: false,
      rxQueues: this.#sockets.length,
      numaId: this.#numaId,
      rxFds: this.#sockets.map((s) => s.fd),
      rxStates: this.#sockets.map((s) => s.state),
      txFd: this.#txFd,
      state: this.state,
    };
  }
  override close(): void {
    this.#closeSockets();
    super.close();
    libc.close(this.#txFd);
  }
}

/** options:n_rxq, at least 1. */
function wantedRxQueues(name: string, options: ReadonlyMap<string, string>): number {
  const text = options.get('n_rxq') ?? '';
  const wanted = Math.max(1, /^-?\d+$/.test(text) ? Number(text) : 1);
  if (wanted > maxRxQueues) log.warn(`${name}: Too big 'n_rxq' (${wanted} > ${maxRxQueues}).`);
  return Math.min(wanted, maxRxQueues);
}

/** What Interface.error says. */
function openError(name: string, error: unknown): unknown {
  if (!(error instanceof Error && 'errno' in error)) return error;
  return systemError(Number(error.errno), 'open', `could not open network device ${name}`);
}

export const systemProvider: NetdevProvider = {
  type: 'system',
  open(name, options) {
    const link = requireLink(name);
    if (!link.isEthernet && link.mac.length !== 6) {
      throw systemError(ENODEV, 'open', `could not open network device ${name}`);
    }
    let sockets: RxSocket[] = [];
    let txFd = -1;
    try {
      txFd = openPacketSocket(link.ifindex, 0);
      sockets = openRxSockets(link, wantedRxQueues(name, options));
      return new SystemNetdev(name, link, sockets, txFd);
    } catch (error) {
      closeRxSockets(sockets);
      if (txFd >= 0) libc.close(txFd);
      throw openError(name, error);
    }
  },
};
