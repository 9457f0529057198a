import { finishPseudoChecksum } from './checksum-finish';
import { Packet } from './generated/packet';
import { PortState } from './generated/port-state';
import { Umem } from './generated/umem';
import { Xsk } from './generated/xsk';
import { XskIo } from './generated/xsk-io';
import { gsoSegment, gsoSegmentCount, packetFinishChecksum, packetWireLength } from './gso';
import { lock, tryLock, unlock } from './lock';
import { alloc, free } from './memory';
import {
  NO_FRAME, frameGet, frameIsMine, frameOwn, frameRelease, heldWord, umemCacheAcquire, umemCacheRelease, xskReap,
} from './xsk-frames';

/**
 * Bursts in and out of AF_XDP sockets. The only system call is the kick, which is the caller's: outside
 * of the lock, once a burst, when xskTransmit says so.
 *
 * A frame that came in by any port of the same UMEM goes out from where it lies; a second output of the
 * same frame, and whatever else is sent, is copied into a free frame first.
 */
/** First word of the record. */
/** First word of an xsk-io, as a port that core.wasm moves. */
// @ts-ignore: decorator
@inline export const FAST_PORT_XSK: u32 = 2;
// @ts-ignore: decorator
@inline const KIND_XSK: u32 = 2;
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const DESCRIPTOR: u32 = 128;
/** Where copies start in their frame. */
// @ts-ignore: decorator
@inline const HEADROOM: u32 = 256;
// @ts-ignore: decorator
@inline const NEEDS_CSUM: u32 = 1;
// @ts-ignore: decorator
@inline const NEED_WAKEUP: u32 = 1;
/** Up to here a frame fits in the smallest kind of UMEM. */
// @ts-ignore: decorator
@inline const RING_LENGTH_MAX: u32 = 1792;
/** Up to here finishing a checksum costs less than what a packet socket costs more. */
// @ts-ignore: decorator
@inline const FINISH_LENGTH_MAX: u32 = 256;

/** The calling thread's side of a socket; `receives` for the one that polls it. 0 = arena full. */
export function xskIoCreate(xsk: usize, inPort: u32, receives: bool): usize {
  const io = alloc(<u32>XskIo.SIZE);
  const descriptors = receives ? alloc(BURST * DESCRIPTOR) : 0;
  const cache = umemCacheAcquire(<usize>load<u32>(xsk, Xsk.umem));
  if (io == 0 || cache == 0 || (receives && descriptors == 0)) {
    if (cache != 0) umemCacheRelease(cache);
    free(io);
    free(descriptors);
    return 0;
  }
  store<u32>(io, KIND_XSK, XskIo.kind);
  store<u32>(io, inPort, XskIo.inPort);
  store<u32>(io, <u32>xsk, XskIo.xsk);
  store<u32>(io, <u32>cache, XskIo.cache);
  store<u32>(io, <u32>descriptors, XskIo.descriptors);
  if (receives) refill(io, xsk);
  return io;
}

export function xskIoDestroy(io: usize): void {
  xskReleaseBurst(io);
  const xsk = <usize>load<u32>(io, XskIo.xsk);
  const cache = <usize>load<u32>(io, XskIo.cache);
  lock(xsk + Xsk.txLock);
  xskReap(xsk, cache);
  unlock(xsk + Xsk.txLock);
  umemCacheRelease(cache);
  free(<usize>load<u32>(io, XskIo.descriptors));
  free(io);
}

/** Ends the last burst: its frames are free but for those that are being sent. */
export function xskReleaseBurst(io: usize): void {
  const n = load<u32>(io, XskIo.heldCount);
  if (n == 0) return;
  const umem = <usize>load<u32>(<usize>load<u32>(io, XskIo.xsk), Xsk.umem);
  const cache = <usize>load<u32>(io, XskIo.cache);
  for (let i: u32 = 0; i < n; i++) frameRelease(umem, cache, load<u32>(io + (<usize>i << 2), XskIo.held));
  store<u32>(io, 0, XskIo.heldCount);
}

/** Gives the kernel frames to receive into, as many as there is room for and frames are free. */
function refill(io: usize, xsk: usize): void {
  const at = <usize>load<u32>(xsk, Xsk.fillProducer);
  const producer = load<u32>(at);
  const mask = load<u32>(xsk, Xsk.fillMask);
  const room = mask + 1 - (producer - atomic.load<u32>(<usize>load<u32>(xsk, Xsk.fillConsumer)));
  if (room == 0) return;
  const umem = <usize>load<u32>(xsk, Xsk.umem);
  const cache = <usize>load<u32>(io, XskIo.cache);
  const shift = load<u32>(umem, Umem.shift);
  const descs = <usize>load<u32>(xsk, Xsk.fillDescs);
  const id = load<u32>(xsk, Xsk.id);
  let n: u32 = 0;
  while (n < room) {
    const frame = frameGet(cache);
    if (frame == NO_FRAME) break;
    frameOwn(umem, frame, id);
    store<u64>(descs + (<usize>((producer + n) & mask) << 3), <u64>frame << shift);
    n++;
  }
  if (n != 0) atomic.store<u32>(at, producer + n);
  // Nothing free: what was sent through this socket may come back (only frames of others would be missed).
  if (n == 0 && tryLock(xsk + Xsk.txLock)) {
    xskReap(xsk, cache);
    unlock(xsk + Xsk.txLock);
  }
}

/** Whether the kernel must be woken to go on receiving (devices with zero copy). */
export function xskReceiveStalled(io: usize): bool {
  const xsk = <usize>load<u32>(io, XskIo.xsk);
  return (atomic.load<u32>(<usize>load<u32>(xsk, Xsk.fillFlags)) & NEED_WAKEUP) != 0;
}

/**
 * Takes up to 32 frames off the receive ring into `batch` (u32[32]) ends the previous
 * burst and gives the kernel fresh frames. The thread that polls the socket; no system call.
 */
export function xskReceive(io: usize, batch: usize): u32 {
  xskReleaseBurst(io);
  const xsk = <usize>load<u32>(io, XskIo.xsk);
  const at = <usize>load<u32>(xsk, Xsk.rxConsumer);
  const consumer = load<u32>(at);
  const n = min<u32>(atomic.load<u32>(<usize>load<u32>(xsk, Xsk.rxProducer)) - consumer, BURST);
  if (n == 0) {
    refill(io, xsk);
    return 0;
  }
  const umem = <usize>load<u32>(xsk, Xsk.umem);
  const base = load<u32>(umem, Umem.base);
  const shift = load<u32>(umem, Umem.shift);
  const frameBytes = <u32>1 << shift;
  const mask = load<u32>(xsk, Xsk.rxMask);
  const descs = <usize>load<u32>(xsk, Xsk.rxDescs);
  const descriptors = <usize>load<u32>(io, XskIo.descriptors);
  const inPort = load<u32>(io, XskIo.inPort);
  let touched: u32 = 0;
  let bytes: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const desc = descs + (<usize>((consumer + i) & mask) << 4);
    const address = load<u32>(desc);
    const length = load<u32>(desc, 8);
    const frame = address >> shift;
    const data = base + address;
    const start = base + (frame << shift);
    const packet = descriptors + <usize>(i * DESCRIPTOR);
    store<u32>(io + (<usize>i << 2), frame, XskIo.held);
    v128.store(packet, i32x4(data, length, start, start + frameBytes));
    v128.store(packet, i32x4(0, inPort, 0, 0), 16);
    v128.store(packet, i32x4.splat(0), 32);
    v128.store(packet, i32x4.splat(0), 48);
    v128.store(packet, i32x4.splat(0), 64);
    v128.store(packet, i32x4.splat(0), 80);
    bytes += length;
    // All headers are fetched at once: one after the other each would cost a cache miss of its own.
    touched += load<u32>(<usize>data, 12);
  }
  atomic.store<u32>(at, consumer + n);
  store<u32>(io, touched, XskIo.touched);
  store<u32>(io, n, XskIo.heldCount);
  const held = heldWord();
  let good: u32 = 0;
  let finished: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    frameOwn(umem, load<u32>(io + (<usize>i << 2), XskIo.held), held);
    const packet = descriptors + <usize>(i * DESCRIPTOR);
    const length = load<u32>(packet, Packet.length);
    if (length < 14) continue;
    finished += <u32>finishPseudoChecksum(<usize>load<u32>(packet, Packet.data), length);
    store<u32>(batch + (<usize>good << 2), <u32>packet);
    good++;
  }
  refill(io, xsk);
  store<f64>(xsk, load<f64>(xsk, Xsk.rxPackets) + <f64>n, Xsk.rxPackets);
  store<f64>(xsk, load<f64>(xsk, Xsk.rxBytes) + <f64>bytes, Xsk.rxBytes);
  if (good != n) store<f64>(xsk, load<f64>(xsk, Xsk.rxErrors) + <f64>(n - good), Xsk.rxErrors);
  if (finished != 0) store<f64>(xsk, load<f64>(xsk, Xsk.rxFinished) + <f64>finished, Xsk.rxFinished);
  return good;
}

/**
 * Puts packets on the transmit ring, those of this UMEM's frames that the thread holds without a copy; GSO
 * packets are cut up. True = the kernel must be kicked (sendto), after this call. Any thread.
 */
export function xskTransmit(io: usize, list: usize, count: u32): bool {
  const xsk = <usize>load<u32>(io, XskIo.xsk);
  const state = <usize>load<u32>(xsk, Xsk.state);
  const umem = <usize>load<u32>(xsk, Xsk.umem);
  const cache = <usize>load<u32>(io, XskIo.cache);
  const base = load<u32>(umem, Umem.base);
  const end = load<u32>(umem, Umem.end);
  const shift = load<u32>(umem, Umem.shift);
  const room = (<u32>1 << shift) - HEADROOM;
  const mtu = load<u32>(state, PortState.mtu);
  const id = load<u32>(xsk, Xsk.id);
  const held = heldWord();
  lock(xsk + Xsk.txLock);
  xskReap(xsk, cache);
  const at = <usize>load<u32>(xsk, Xsk.txProducer);
  const producer = load<u32>(at);
  const mask = load<u32>(xsk, Xsk.txMask);
  const descs = <usize>load<u32>(xsk, Xsk.txDescs);
  const slots = mask + 1 - (producer - atomic.load<u32>(<usize>load<u32>(xsk, Xsk.txConsumer)));
  let n: u32 = 0;
  let bytes: u32 = 0;
  let inPlace: u32 = 0;
  let dropped: u32 = 0;
  let errors: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const packet = <usize>load<u32>(list + (<usize>i << 2));
    const data = load<u32>(packet, Packet.data);
    const length = load<u32>(packet, Packet.length);
    // Neither GSO nor unfinished, and in a frame that is the caller's alone.
    if ((load<u32>(packet, 28) & ((NEEDS_CSUM << 24) | 0xff_0000)) == 0 && data >= base && data < end) {
      const frame = (data - base) >> shift;
      if (frameIsMine(umem, frame, held)) {
        if (!fits(<usize>data, length, mtu)) {
          errors++;
          continue;
        }
        if (n == slots) {
          dropped++;
          continue;
        }
        frameOwn(umem, frame, held | id);
        writeDesc(descs + (<usize>((producer + n) & mask) << 4), data - base, length);
        n++;
        inPlace++;
        bytes += length;
        continue;
      }
    }
    const segments = gsoSegmentCount(packet);
    const wireLength = packetWireLength(packet);
    if (segments == 0 || wireLength > room || !fits(<usize>data, wireLength, mtu)) {
      errors++;
      continue;
    }
    for (let s: u32 = 0; s < segments; s++) {
      const frame = n == slots ? NO_FRAME : frameGet(cache);
      if (frame == NO_FRAME) {
        dropped++;
        continue;
      }
      frameOwn(umem, frame, id);
      const address = (frame << shift) + HEADROOM;
      const written = copyOut(io, packet, s, <usize>(base + address));
      writeDesc(descs + (<usize>((producer + n) & mask) << 4), address, written);
      n++;
      bytes += written;
    }
  }
  if (n != 0) atomic.store<u32>(at, producer + n);
  store<f64>(xsk, load<f64>(xsk, Xsk.txPackets) + <f64>n, Xsk.txPackets);
  store<f64>(xsk, load<f64>(xsk, Xsk.txBytes) + <f64>bytes, Xsk.txBytes);
  store<f64>(xsk, load<f64>(xsk, Xsk.txInPlace) + <f64>inPlace, Xsk.txInPlace);
  if (dropped != 0) store<f64>(xsk, load<f64>(xsk, Xsk.txDropped) + <f64>dropped, Xsk.txDropped);
  if (errors != 0) store<f64>(xsk, load<f64>(xsk, Xsk.txErrors) + <f64>errors, Xsk.txErrors);
  unlock(xsk + Xsk.txLock);
  if (n == 0 && dropped == 0) return false;
  return (atomic.load<u32>(<usize>load<u32>(xsk, Xsk.txFlags)) & NEED_WAKEUP) != 0;
}

/**
 * For a port that also has packet sockets: how many packets of a list, from `from` on, belong on the ring;
 * or minus how many go better by the socket: GSO, and long ones whose checksum the device can finish.
 */
export function xskRun(list: usize, from: u32, count: u32): i32 {
  const isFirst = isForRing(<usize>load<u32>(list + (<usize>from << 2)));
  let at = from + 1;
  while (at < count && isForRing(<usize>load<u32>(list + (<usize>at << 2))) == isFirst) at++;
  return isFirst ? <i32>(at - from) : -<i32>(at - from);
}

// @ts-ignore: decorator
@inline
function isForRing(packet: usize): bool {
  const length = load<u32>(packet, Packet.length);
  if (load<u8>(packet, Packet.gsoType) != 0 || length > RING_LENGTH_MAX) return false;
  return (load<u8>(packet, Packet.flags) & NEEDS_CSUM) == 0 || length <= FINISH_LENGTH_MAX;
}

/** Frames on the transmit ring that the kernel has not taken yet. */
export function xskUnsent(io: usize): u32 {
  const xsk = <usize>load<u32>(io, XskIo.xsk);
  return atomic.load<u32>(<usize>load<u32>(xsk, Xsk.txProducer)) - atomic.load<u32>(<usize>load<u32>(xsk, Xsk.txConsumer));
}

// @ts-ignore: decorator
@inline
function writeDesc(desc: usize, address: u32, length: u32): void {
  store<u64>(desc, address);
  store<u64>(desc, length, 8);
}

/** Whether the MTU admits the frame; VLAN tags do not count. */
// @ts-ignore: decorator
@inline
function fits(data: usize, length: u32, mtu: u32): bool {
  if (length < 14) return false;
  return mtu == 0 || length <= mtu + 14 || fitsTagged(data, length, mtu);
}

function fitsTagged(data: usize, length: u32, mtu: u32): bool {
  let tags: u32 = 0;
  let type = load<u16>(data, 12);
  while ((type == 0x0081 || type == 0xa888) && tags < 8) {
    tags += 4;
    type = load<u16>(data + <usize>tags, 12);
  }
  return length <= mtu + 14 + tags;
}

/** Copies a packet, or one segment of a GSO packet, finished; returns its bytes. */
function copyOut(io: usize, packet: usize, segment: u32, out: usize): u32 {
  if (load<u8>(packet, Packet.gsoType) != 0) return gsoSegment(packet, segment, out);
  const length = load<u32>(packet, Packet.length);
  memory.copy(out, <usize>load<u32>(packet, Packet.data), length);
  if (load<u8>(packet, Packet.flags) & NEEDS_CSUM) {
    const copy = io + XskIo.scratch;
    memory.copy(copy, packet, Packet.SIZE);
    store<u32>(copy, <u32>out, Packet.data);
    packetFinishChecksum(copy);
  }
  return length;
}
