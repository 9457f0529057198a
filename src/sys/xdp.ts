import { check } from './errno.ts';
import { errno, libc } from './libc.ts';
import { MAP_FIXED, MAP_POPULATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap } from './memory.ts';

/** AF_XDP sockets (linux/if_xdp.h): the calls, without policy. @throws SystemError, all of them */
const AF_XDP = 44;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SOL_XDP = 283;
const XDP_MMAP_OFFSETS = 1;
const XDP_UMEM_REG = 4;
const XDP_STATISTICS = 7;
const XDP_MAX_TX_SKB_BUDGET = 9;
const MSG_DONTWAIT = 0x40;

export const XDP_SHARED_UMEM = 1;
export const XDP_COPY = 2;
export const XDP_ZEROCOPY = 4;
export const XDP_USE_NEED_WAKEUP = 8;

/** Frames that one sendto may send; the kernel's own default is 32. */
const txBudget = 128;
const sendBufferBytes = 16 << 20;

/** The four rings of a socket: option that sets the size, offset to map, bytes of a descriptor. */
export const xdpRings = {
  rx: { option: 2, pageOffset: 0, descBytes: 16 },
  tx: { option: 3, pageOffset: 0x8000_0000, descBytes: 16 },
  fill: { option: 5, pageOffset: 0x1_0000_0000, descBytes: 8 },
  completion: { option: 6, pageOffset: 0x1_8000_0000, descBytes: 8 },
} as const;
export type XdpRing = keyof typeof xdpRings;

/** Byte offsets inside of a mapped ring. */
export interface XdpRingOffsets {
  readonly producer: number;
  readonly consumer: number;
  readonly desc: number;
  readonly flags: number;
}

export function openXdpSocket(): number {
  const fd = check(libc.socket(AF_XDP, SOCK_RAW_CLOEXEC, 0), 'socket');
  // Both only make full queues rarer: older kernels and fewer privileges do without.
  libc.setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, new Int32Array([txBudget]), 4);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, new Int32Array([sendBufferBytes]), 4);
  return fd;
}

/** Makes memory the socket's UMEM: `address` on a page boundary, frames of `frameBytes`. */
export function registerUmem(fd: number, address: number, sizeBytes: number, frameBytes: number): void {
  // The oldest of the struct's three sizes: all kernels take it.
  const reg = new DataView(new ArrayBuffer(24));
  reg.setBigUint64(0, BigInt(address), true);
  reg.setBigUint64(8, BigInt(sizeBytes), true);
  reg.setUint32(16, frameBytes, true);
  check(libc.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, reg, 24), 'setsockopt');
}

export function setXdpRingSize(fd: number, ring: XdpRing, slots: number): void {
  check(libc.setsockopt(fd, SOL_XDP, xdpRings[ring].option, new Int32Array([slots]), 4), 'setsockopt');
}

export function xdpRingOffsets(fd: number): Readonly<Record<XdpRing, XdpRingOffsets>> {
  const words = new BigUint64Array(16);
  check(libc.getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, words, new Uint32Array([128])), 'getsockopt');
  const at = (first: number): XdpRingOffsets => ({
    producer: Number(words[first]),
    consumer: Number(words[first + 1]),
    desc: Number(words[first + 2]),
    flags: Number(words[first + 3]),
  });
  return { rx: at(0), tx: at(4), fill: at(8), completion: at(12) };
}

/** Maps a ring over `address`. */
export function mapXdpRing(fd: number, ring: XdpRing, address: number, sizeBytes: number): void {
  const flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
  mmap(address, sizeBytes, PROT_READ | PROT_WRITE, flags, fd, xdpRings[ring].pageOffset);
}

/** @param umemFd With XDP_SHARED_UMEM: a bound socket with that UMEM, else 0. */
export function bindXdp(fd: number, ifindex: number, queue: number, flags: number, umemFd: number): void {
  const address = new DataView(new ArrayBuffer(16));
  address.setUint16(0, AF_XDP, true);
  address.setUint16(2, flags, true);
  address.setUint32(4, ifindex, true);
  address.setUint32(8, queue, true);
  address.setUint32(12, umemFd, true);
  check(libc.bind(fd, address, 16), 'bind');
}

/** Has the kernel send what is on the transmit ring. @returns 0, or the errno. */
export function kickXdp(fd: number): number {
  return libc.sendto(fd, null, 0, MSG_DONTWAIT, null, 0) < 0 ? errno() : 0;
}

/** Has the kernel look at the fill ring again (zero copy, XDP_RING_NEED_WAKEUP). */
export function wakeXdpReceive(fd: number): void {
  libc.recv(fd, null, 0, MSG_DONTWAIT);
}

export interface XdpStatistics {
  readonly rxDropped: number;
  readonly rxInvalidDescs: number;
  readonly txInvalidDescs: number;
  readonly rxRingFull: number;
  readonly rxFillRingEmpty: number;
}

/** struct xdp_statistics; older kernels know the first three. */
export function xdpStatistics(fd: number): XdpStatistics {
  const words = new BigUint64Array(6);
  libc.getsockopt(fd, SOL_XDP, XDP_STATISTICS, words, new Uint32Array([48]));
  const [rxDropped, rxInvalidDescs, txInvalidDescs, rxRingFull, rxFillRingEmpty] = [...words].map(Number);
  return {
    rxDropped: rxDropped ?? 0,
    rxInvalidDescs: rxInvalidDescs ?? 0,
    txInvalidDescs: txInvalidDescs ?? 0,
    rxRingFull: rxRingFull ?? 0,
    rxFillRingEmpty: rxFillRingEmpty ?? 0,
  };
}
