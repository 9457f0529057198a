import { allocOrThrow } from '../arena/core.ts';
import type { Link } from '../netlink/rtnetlink.ts';
import { vlog } from '../util/log.ts';
import { bindAsFanout } from './packet-fanout.ts';
import { check } from '../sys/errno.ts';
import { libc } from '../sys/libc.ts';
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
} from '../sys/memory.ts';
import { OvsError } from '../util/errors.ts';
import { netdevEnvironment } from './environment.ts';
import { xskTxDropped, xskTxErrors } from './generated/xsk.ts';
import { XskSocket } from './xsk-socket.ts';
import {
  PortStateLayout,
  setPortStateRxCursor,
  setPortStateRxFrameSize,
  setPortStateRxFrames,
  setPortStateRxHeld,
  setPortStateRxRing,
} from './generated/port-state.ts';

const log = vlog('netdev_linux');
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
 * An AF_XDP socket without a program: it receives nothing, and sends small frames at four fifths of a packet
 * socket's cost.
 *
 * @returns null when the kernel has none, or somebody else has this device's.
 */
function openTransmitXsk(ifindex: number, state: number): XskSocket | null {
  const { core } = netdevEnvironment();
  const settings = {
    ifindex,
    queue: 0,
    receives: false,
    zeroCopy: false,
    needWakeup: true,
    frameBytes: 2048,
  };
  try {
    return new XskSocket(core, { ...settings, state });
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    log.dbg(`no transmit ring: ${error.message}`);
    return null;
  }
}

/**
 * Main's side of a device's packet sockets, with a virtio header, so that unfinished checksums and GSO
 * frames pass as they are. One receives for each queue, through a ring in the arena where there is room; one sends
 * past the queueing layer; the first receiving one also sends where the device needs that layer to segment, and
 * an AF_XDP socket sends small frames (packet-io.ts).
 */
export class PacketSockets {
  readonly #sockets: readonly RxSocket[];
  readonly #txFd: number;
  readonly #state: number;
  /** Sends small frames for less; null where the kernel has no AF_XDP for us. */
  readonly #xsk: XskSocket | null;
  #drops = 0;

  /**
   * @param state Arena address of the device's port-state.
   * @throws SystemError
   */
  constructor(link: Link, queues: number, state: number) {
    this.#state = state;
    this.#txFd = openPacketSocket(link.ifindex, 0);
    try {
      this.#sockets = openRxSockets(link, queues);
    } catch (error) {
      libc.close(this.#txFd);
      throw error;
    }
    this.#publish();
    this.#xsk = openTransmitXsk(link.ifindex, state);
  }
  #publish(): void {
    const { core } = netdevEnvironment();
    this.#sockets.forEach((socket, queue) => {
      socket.state = queue === 0 ? this.#state : allocOrThrow(core, PortStateLayout.size);
      setPortStateRxRing(core.dv, socket.state, socket.ring?.address ?? 0);
      setPortStateRxFrameSize(core.dv, socket.state, socket.ring?.frameSize ?? 0);
      setPortStateRxFrames(core.dv, socket.state, socket.ring?.frames ?? 0);
      setPortStateRxCursor(core.dv, socket.state, 0);
      setPortStateRxHeld(core.dv, socket.state, 0);
    });
  }
  get queues(): number {
    return this.#sockets.length;
  }
  /** What an attachment of kind "packet" holds. */
  get attachment(): {
    kind: 'packet';
    rxQueues: number;
    rxFds: number[];
    rxStates: number[];
    txFd: number;
    state: number;
    xsk: number;
  } {
    return {
      kind: 'packet',
      rxQueues: this.queues,
      rxFds: this.#sockets.map((s) => s.fd),
      rxStates: this.#sockets.map((s) => s.state),
      txFd: this.#txFd,
      state: this.#state,
      xsk: this.#xsk?.address ?? 0,
    };
  }
  /** Frames that the transmit ring did not take, and those that no device could send. */
  get txCounts(): { dropped: number; errors: number } {
    if (this.#xsk === null) return { dropped: 0, errors: 0 };
    const { dv } = netdevEnvironment().core;
    const { address } = this.#xsk;
    return { dropped: xskTxDropped(dv, address), errors: xskTxErrors(dv, address) };
  }
  /** Frames that found a ring or a queue full, since the sockets were opened. */
  countDrops(): number {
    const stats = new Uint32Array(2);
    for (const { fd } of this.#sockets) {
      // The kernel starts over with each reading.
      if (libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, stats, new Uint32Array([8])) === 0) {
        this.#drops += stats[1] ?? 0;
      }
    }
    return this.#drops;
  }
  close(): void {
    this.#xsk?.close();
    for (const { state } of this.#sockets) if (state !== this.#state) netdevEnvironment().core.x.free(state);
    closeRxSockets(this.#sockets);
    libc.close(this.#txFd);
  }
}
