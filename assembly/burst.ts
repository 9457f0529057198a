import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { PmdUpcall } from './generated/pmd-upcall';
import { extractKey, zeroBlock } from './extract';
import { txClear, txPort, txReserve } from './transmit';

/**
 * What a burst leaves behind until pmdReset: transmit lists, misses, upcalls, packets to recirculate,
 * and the scratch memory for copies.
 *
 * A packet that a list holds has refs = 1. Who wants to change it takes a copy first, so output before
 * a change costs nothing when no change follows.
 */
// @ts-ignore: decorator
@inline export const LIST_CAPACITY: u32 = 1024;
// @ts-ignore: decorator
@inline export const KEY_SLOTS: u32 = 320;
// @ts-ignore: decorator
@inline export const KEY_SIZE: usize = 768;
// @ts-ignore: decorator
@inline const HEADROOM: usize = 64;

/** Adds one to a counter of the pmd (offset of a f64). */
// @ts-ignore: decorator
@inline
export function count(pmd: usize, counter: usize): void {
  store<f64>(pmd + counter, load<f64>(pmd + counter) + 1);
}

/** Scratch memory until pmdReset, 16-aligned; 0 when used up. */
function scratch(pmd: usize, size: usize): usize {
  const used = <usize>load<u32>(pmd, Pmd.clonesUsed);
  const end = used + ((size + 15) & ~15);
  if (end > <usize>load<u32>(pmd, Pmd.clonesSize)) return 0;
  store<u32>(pmd, <u32>end, Pmd.clonesUsed);
  return <usize>load<u32>(pmd, Pmd.clones) + used;
}

/** A second descriptor of the same frame: both are then copied before a change. 0 when memory is used up. */
export function shareDescriptor(pmd: usize, packet: usize): usize {
  const copy = scratch(pmd, Packet.SIZE);
  if (copy == 0) {
    count(pmd, Pmd.dropNoBuffer);
    return 0;
  }
  memory.copy(copy, packet, Packet.SIZE);
  store<u8>(packet, 1, Packet.refs);
  store<u8>(copy, 1, Packet.refs);
  return copy;
}

/** A copy of descriptor and frame, with headroom, held by no list. 0 when memory is used up. */
export function copyPacket(pmd: usize, packet: usize): usize {
  const length: usize = load<u32>(packet, Packet.length);
  const start = scratch(pmd, Packet.SIZE + HEADROOM + length);
  if (start == 0) {
    count(pmd, Pmd.dropNoBuffer);
    return 0;
  }
  memory.copy(start, packet, Packet.SIZE);
  const buffer = start + Packet.SIZE;
  memory.copy(buffer + HEADROOM, load<u32>(packet), length);
  store<u32>(start, <u32>(buffer + HEADROOM), Packet.data);
  store<u32>(start, <u32>buffer, Packet.bufferStart);
  store<u32>(start, <u32>(buffer + HEADROOM + length), Packet.bufferEnd);
  store<u8>(start, 0, Packet.refs);
  return start;
}

/** The packet, or a copy of it if a list holds it. 0 when memory is used up. */
// @ts-ignore: decorator
@inline
export function writable(pmd: usize, packet: usize): usize {
  return load<u8>(packet, Packet.refs) == 0 ? packet : copyPacket(pmd, packet);
}

/** Extracts into a fresh scratch key: sets key and present. False when no key is left. */
// @ts-ignore: decorator
@inline
export function extractFresh(pmd: usize, packet: usize): bool {
  const slot = load<u32>(pmd, Pmd.keysUsed);
  if (slot >= KEY_SLOTS) return false;
  store<u32>(pmd, slot + 1, Pmd.keysUsed);
  extractInto(pmd, packet, slot);
  return true;
}

/** Extracts into a scratch key that is the caller's: sets key and present. */
// @ts-ignore: decorator
@inline
export function extractInto(pmd: usize, packet: usize, slot: u32): void {
  const key = <usize>load<u32>(pmd, Pmd.keys) + <usize>slot * KEY_SIZE;
  const staleAt = <usize>load<u32>(pmd, Pmd.keyStale) + (<usize>slot << 2);
  let stale = load<u32>(staleAt) & ~1;
  while (stale != 0) {
    zeroBlock(key + (<usize>ctz(stale) << 6));
    stale &= stale - 1;
  }
  const present = extractKey(packet, key);
  store<u32>(staleAt, present);
  store<u32>(packet, <u32>key, Packet.key);
  store<u32>(packet, present, Packet.present);
}

/** Queues a packet to a port, cut if trunc said so. */
export function txAdd(pmd: usize, packet: usize, port: u32): void {
  const cut = load<u32>(packet, Packet.cutLength);
  if (cut != 0) {
    store<u32>(packet, 0, Packet.cutLength);
    packet = shareDescriptor(pmd, packet);
    if (packet == 0) return;
    cutDescriptor(packet, cut);
  }
  const record = txPort(pmd, port);
  if (record == 0) {
    count(pmd, port < 0x10000 ? Pmd.dropNoBuffer : Pmd.dropInvalidPort);
    return;
  }
  const at = txReserve(pmd, record, 1);
  if (at == 0) {
    count(pmd, Pmd.dropNoBuffer);
    return;
  }
  store<u32>(at, <u32>packet);
  store<u8>(packet, 1, Packet.refs);
  count(pmd, Pmd.txPackets);
}

/** Queues a whole batch to a port. */
// @ts-ignore: decorator
@inline
export function txAddMany(pmd: usize, packets: usize, n: u32, port: u32): void {
  let cuts: u32 = 0;
  for (let i: usize = 0; i < <usize>n; i++) cuts |= load<u32>(<usize>load<u32>(packets + (i << 2)), Packet.cutLength);
  const record = txPort(pmd, port);
  // A cut may be left from before a recirculation.
  const to: usize = cuts != 0 || record == 0 ? 0 : txReserve(pmd, record, n);
  if (to == 0) {
    for (let i: usize = 0; i < <usize>n; i++) txAdd(pmd, load<u32>(packets + (i << 2)), port);
    return;
  }
  for (let i: usize = 0; i < <usize>n; i++) {
    const packet: usize = load<u32>(packets + (i << 2));
    store<u32>(to + (i << 2), <u32>packet);
    store<u8>(packet, 1, Packet.refs);
  }
  store<f64>(pmd, load<f64>(pmd, Pmd.txPackets) + <f64>n, Pmd.txPackets);
}

/** Leaves the front of the frame. Unfinished checksums and GSO end with it. */
function cutDescriptor(packet: usize, cut: u32): void {
  store<u32>(packet, load<u32>(packet, Packet.length) - cut, Packet.length);
  store<u32>(packet, 0, Packet.cutLength);
  store<u16>(packet, 0, Packet.gsoSize);
  store<u8>(packet, 0, Packet.gsoType);
  store<u8>(packet, 0, Packet.flags);
}

/** Lists a packet that met a userspace action, with the key it has now; the packet goes on unchanged. */
export function upcallAdd(pmd: usize, packet: usize, attribute: usize, mf: usize): void {
  const used = load<u32>(pmd, Pmd.upcallCount);
  const held: usize = used >= LIST_CAPACITY ? 0 : shareDescriptor(pmd, packet);
  if (held == 0 || !extractFresh(pmd, held)) {
    count(pmd, Pmd.dropUserspaceActionError);
    return;
  }
  const cut = load<u32>(packet, Packet.cutLength);
  if (cut != 0) {
    store<u32>(packet, 0, Packet.cutLength);
    cutDescriptor(held, cut);
  }
  const entry = <usize>load<u32>(pmd, Pmd.upcalls) + <usize>used * PmdUpcall.SIZE;
  store<u32>(entry, <u32>held, PmdUpcall.packet);
  store<u32>(entry, load<u32>(held, Packet.key), PmdUpcall.key);
  store<u32>(entry, <u32>attribute, PmdUpcall.attribute);
  store<u32>(entry, <u32>mf, PmdUpcall.megaflow);
  store<u32>(entry, load<u32>(held, Packet.present), PmdUpcall.present);
  store<u32>(pmd, used + 1, Pmd.upcallCount);
}

export function missAdd(pmd: usize, packet: usize): void {
  const used = load<u32>(pmd, Pmd.missCount);
  if (used >= LIST_CAPACITY) {
    count(pmd, Pmd.dropUpcallError);
    return;
  }
  store<u32>(<usize>load<u32>(pmd, Pmd.misses) + (<usize>used << 2), <u32>packet);
  store<u32>(pmd, used + 1, Pmd.missCount);
}

/** Queues a packet for another pass; its metadata say which. */
export function recircAdd(pmd: usize, packet: usize): void {
  const used = load<u32>(pmd, Pmd.recircCount);
  if (used >= LIST_CAPACITY) {
    count(pmd, Pmd.dropRecircError);
    return;
  }
  store<u32>(<usize>load<u32>(pmd, Pmd.recircs) + (<usize>used << 2), <u32>packet);
  store<u32>(pmd, used + 1, Pmd.recircCount);
}

/** Empties all lists and scratch memory: after the transmit lists were sent. */
export function pmdReset(pmd: usize): void {
  txClear(pmd);
  store<u32>(pmd, 0, Pmd.missCount);
  store<u32>(pmd, 0, Pmd.upcallCount);
  store<u32>(pmd, 0, Pmd.recircCount);
  store<u32>(pmd, 0, Pmd.keysUsed);
  store<u32>(pmd, 0, Pmd.clonesUsed);
}
