import { Packet } from './generated/packet';
import { PortRing } from './generated/port-ring';
import { gsoSegment, gsoSegmentCount, packetFinishChecksum, packetWireLength } from './gso';
import { lock, unlock } from './lock';
import { alloc, free } from './memory';

/**
 * Queues of frames between threads: the two directions of dummy and lab ports (port.layout.ts).
 *
 * A frame is one arena block: packet descriptor, headroom, bytes. The producer allocates it, the
 * consumer frees it after its next receive. Frames in a queue are always finished: no unfinished
 * checksum, no GSO.
 */
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const DESCRIPTOR: usize = 128;
// @ts-ignore: decorator
@inline const HEADROOM: usize = 128;
// @ts-ignore: decorator
@inline const FRAME_MAX: u32 = 0x1_0400;
/** What portRingPush returns. */
// @ts-ignore: decorator
@inline const DROPPED: u32 = 0;
// @ts-ignore: decorator
@inline const QUEUED: u32 = 1;
// @ts-ignore: decorator
@inline const QUEUED_WAKE: u32 = 2;

/** A new queue of at most `limit` frames, or 0 when the arena is full. `capacity` is a power of two. */
export function portRingCreate(capacity: u32, limit: u32, eventFd: i32): usize {
  const ring = alloc(<u32>PortRing.SIZE + (capacity << 2));
  if (ring == 0) return 0;
  store<u32>(ring, capacity, PortRing.capacity);
  store<u32>(ring, min<u32>(limit, capacity), PortRing.limit);
  store<u32>(ring, <u32>eventFd, PortRing.eventFd);
  store<u32>(ring, 1, PortRing.enabled);
  return ring;
}

/** Frees the queue and the frames in it; no thread may use it any more. */
export function portRingDestroy(ring: usize): void {
  portRingClear(ring);
  free(ring);
}

/** Consumer: drops what is queued; returns how many frames. */
export function portRingClear(ring: usize): u32 {
  const mask = load<u32>(ring, PortRing.capacity) - 1;
  const head = atomic.load<u32>(ring + PortRing.head);
  let tail = atomic.load<u32>(ring + PortRing.tail);
  const n = head - tail;
  while (tail != head) {
    free(<usize>load<u32>(ring + PortRing.SIZE + (<usize>(tail & mask) << 2)));
    tail++;
  }
  atomic.store<u32>(ring + PortRing.tail, tail);
  return n;
}

/**
 * A frame block of `length` bytes for the caller to fill, owned by the caller until it is pushed.
 * Returns its packet descriptor, 0 when it is too long or the arena is full.
 */
export function portFrameAlloc(length: u32): usize {
  if (length > FRAME_MAX) return 0;
  const frame = alloc(<u32>(DESCRIPTOR + HEADROOM) + length);
  if (frame == 0) return 0;
  const data = frame + DESCRIPTOR + HEADROOM;
  store<u32>(frame, <u32>data, Packet.data);
  store<u32>(frame, length, Packet.length);
  store<u32>(frame, <u32>(frame + DESCRIPTOR), Packet.bufferStart);
  store<u32>(frame, <u32>(data + length), Packet.bufferEnd);
  return frame;
}

/** Queues a frame of `portFrameAlloc`, or drops, frees and counts it. Any thread. */
export function portRingPush(ring: usize, frame: usize): u32 {
  const length = load<u32>(frame, Packet.length);
  lock(ring + PortRing.lock);
  const head = load<u32>(ring, PortRing.head);
  const queued = head - atomic.load<u32>(ring + PortRing.tail);
  if (queued >= load<u32>(ring, PortRing.limit)) {
    store<f64>(ring, load<f64>(ring, PortRing.dropped) + 1, PortRing.dropped);
    unlock(ring + PortRing.lock);
    free(frame);
    return DROPPED;
  }
  const mask = load<u32>(ring, PortRing.capacity) - 1;
  store<u32>(ring + PortRing.SIZE + (<usize>(head & mask) << 2), <u32>frame);
  store<f64>(ring, load<f64>(ring, PortRing.pushed) + 1, PortRing.pushed);
  store<f64>(ring, load<f64>(ring, PortRing.pushedBytes) + <f64>length, PortRing.pushedBytes);
  atomic.store<u32>(ring + PortRing.head, head + 1);
  unlock(ring + PortRing.lock);
  return atomic.load<u32>(ring + PortRing.sleeping) != 0 ? QUEUED_WAKE : QUEUED;
}

/** Copies packets to the queue, finished and segmented; true = the consumer sleeps, signal it. Any thread. */
export function portRingTransmit(ring: usize, list: usize, count: u32): bool {
  let wake: u32 = 0;
  if (atomic.load<u32>(ring + PortRing.enabled) == 0) return false;
  for (let i: u32 = 0; i < count; i++) {
    const packet = <usize>load<u32>(list + (<usize>i << 2));
    const segments = gsoSegmentCount(packet);
    const wireLength = packetWireLength(packet);
    if (segments == 0 || !fits(ring, packet, wireLength)) {
      countError(ring);
      continue;
    }
    for (let s: u32 = 0; s < segments; s++) {
      const frame = portFrameAlloc(wireLength);
      if (frame == 0) {
        countDrop(ring);
        continue;
      }
      const data = <usize>load<u32>(frame, Packet.data);
      if (load<u8>(packet, Packet.gsoType) != 0) {
        store<u32>(frame, gsoSegment(packet, s, data), Packet.length);
      } else {
        memory.copy(data, <usize>load<u32>(packet, Packet.data), wireLength);
        store<u8>(frame, load<u8>(packet, Packet.flags), Packet.flags);
        store<u16>(frame, load<u16>(packet, Packet.csumStart), Packet.csumStart);
        store<u16>(frame, load<u16>(packet, Packet.csumOffset), Packet.csumOffset);
        packetFinishChecksum(frame);
      }
      store<u8>(frame, 0, Packet.flags);
      wake |= portRingPush(ring, frame);
    }
  }
  return (wake & QUEUED_WAKE) != 0;
}

/** Whether the MTU admits the frame; a VLAN tag does not count. */
function fits(ring: usize, packet: usize, wireLength: u32): bool {
  const mtu = load<u32>(ring, PortRing.mtu);
  if (wireLength < 14) return false;
  if (mtu == 0 || wireLength <= mtu + 14) return true;
  const type = load<u16>(<usize>load<u32>(packet, Packet.data), 12);
  return (type == 0x0081 || type == 0xa888) && wireLength <= mtu + 18;
}

function countDrop(ring: usize): void {
  lock(ring + PortRing.lock);
  store<f64>(ring, load<f64>(ring, PortRing.dropped) + 1, PortRing.dropped);
  unlock(ring + PortRing.lock);
}

function countError(ring: usize): void {
  lock(ring + PortRing.lock);
  store<f64>(ring, load<f64>(ring, PortRing.errors) + 1, PortRing.errors);
  unlock(ring + PortRing.lock);
}

/**
 * Consumer: takes up to 32 frames into `batch` (u32[32]) as packets from `inPort`, and frees those
 * of its previous call. `held` is u32[33] of the consumer: count, then frames.
 */
export function portRingReceive(ring: usize, held: usize, batch: usize, inPort: u32): u32 {
  portHeldFree(held);
  const tail = load<u32>(ring, PortRing.tail);
  const n = min<u32>(atomic.load<u32>(ring + PortRing.head) - tail, BURST);
  if (n == 0) return 0;
  const mask = load<u32>(ring, PortRing.capacity) - 1;
  let bytes: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const frame = load<u32>(ring + PortRing.SIZE + (<usize>((tail + i) & mask) << 2));
    store<u32>(held + 4 + (<usize>i << 2), frame);
    store<u32>(batch + (<usize>i << 2), frame);
    store<u32>(<usize>frame, inPort, Packet.inPort);
    bytes += load<u32>(<usize>frame, Packet.length);
  }
  store<u32>(held, n);
  store<f64>(ring, load<f64>(ring, PortRing.popped) + <f64>n, PortRing.popped);
  store<f64>(ring, load<f64>(ring, PortRing.poppedBytes) + <f64>bytes, PortRing.poppedBytes);
  atomic.store<u32>(ring + PortRing.sleeping, 0);
  atomic.store<u32>(ring + PortRing.tail, tail + n);
  return n;
}

/** Consumer: frees the frames of its last portRingReceive. */
export function portHeldFree(held: usize): void {
  const n = load<u32>(held);
  for (let i: u32 = 0; i < n; i++) free(<usize>load<u32>(held + 4 + (<usize>i << 2)));
  store<u32>(held, 0);
}

/** Consumer, about to block: says so to the producers; false = it may, and will be signalled. */
export function portRingPending(ring: usize): bool {
  atomic.store<u32>(ring + PortRing.sleeping, 1);
  if (atomic.load<u32>(ring + PortRing.head) == load<u32>(ring, PortRing.tail)) return false;
  atomic.store<u32>(ring + PortRing.sleeping, 0);
  return true;
}
