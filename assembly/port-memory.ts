import { alignedAlloc, alignedFree } from './aligned';
import { MemorySink } from './generated/memory-sink';
import { MemorySource } from './generated/memory-source';
import { Packet } from './generated/packet';
import { alloc, free } from './memory';
import { myIndex } from './thread';

/**
 * Ports without a device (types null and pcap): an rx queue replays frames from memory, what is sent
 * is counted and forgotten. They show what the switch alone can do.
 */
// @ts-ignore: decorator
@inline const KIND_MEMORY: u32 = 1;
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const DESCRIPTOR: u32 = 128;
// @ts-ignore: decorator
@inline const HEADROOM: u32 = 128;
/** Sets of counters in a sink, 64 bytes apart. */
// @ts-ignore: decorator
@inline const SHARDS: u32 = 16;
// @ts-ignore: decorator
@inline const CELL_HEADER: usize = 16;

/**
 * One rx queue over `cells` (owned by the caller, as is `sink`), for frames of at most `longest` bytes.
 * 0 when memory is used up.
 */
export function memorySourceCreate(sink: usize, inPort: u32, cells: usize, bytes: u32, longest: u32, endless: bool): usize {
  const source = alloc(<u32>MemorySource.SIZE);
  // An odd number of cache lines, so that the buffers of a burst lie in different sets.
  const size = (((HEADROOM + longest + 63) & ~63) + 64) | 64;
  const descriptors = alignedAlloc(BURST * DESCRIPTOR);
  const buffers = alignedAlloc(BURST * size);
  if (source == 0 || descriptors == 0 || buffers == 0) {
    free(source);
    alignedFree(descriptors);
    alignedFree(buffers);
    return 0;
  }
  store<u32>(source, KIND_MEMORY, MemorySource.kind);
  store<u32>(source, inPort, MemorySource.inPort);
  store<u32>(source, <u32>cells, MemorySource.first);
  store<u32>(source, <u32>cells + bytes, MemorySource.end);
  store<u32>(source, <u32>cells, MemorySource.next);
  store<u32>(source, endless ? 1 : 0, MemorySource.endless);
  store<u32>(source, <u32>descriptors, MemorySource.descriptors);
  store<u32>(source, <u32>buffers, MemorySource.buffers);
  store<u32>(source, size, MemorySource.bufferSize);
  store<u32>(source, <u32>sink, MemorySource.state);
  return source;
}

export function memorySourceDestroy(source: usize): void {
  alignedFree(load<u32>(source, MemorySource.descriptors));
  alignedFree(load<u32>(source, MemorySource.buffers));
  free(source);
}

/** Copies the next frames, at most 32, into packet buffers and lists their descriptors in `batch`. */
export function memoryReceive(source: usize, batch: usize): u32 {
  if (load<u32>(<usize>load<u32>(source, MemorySource.state), MemorySink.up) == 0) return 0;
  const end = <usize>load<u32>(source, MemorySource.end);
  let cell = <usize>load<u32>(source, MemorySource.next);
  let packet = <usize>load<u32>(source, MemorySource.descriptors);
  let buffer = <usize>load<u32>(source, MemorySource.buffers);
  const size = <usize>load<u32>(source, MemorySource.bufferSize);
  const inPort = load<u32>(source, MemorySource.inPort);
  let bytes: u32 = 0;
  let n: u32 = 0;
  for (; n < BURST; n++) {
    if (cell == end) {
      if (load<u32>(source, MemorySource.endless) == 0) break;
      cell = <usize>load<u32>(source, MemorySource.first);
      if (cell == end) break;
    }
    const length = load<u32>(cell);
    const data = buffer + <usize>HEADROOM;
    let from = cell + CELL_HEADER;
    let to = data;
    cell += <usize>load<u32>(cell, 4);
    do {
      v128.store(to, v128.load(from));
      from += 16;
      to += 16;
    } while (from < cell);
    store<u32>(packet, <u32>data, Packet.data);
    store<u32>(packet, length, Packet.length);
    store<u32>(packet, <u32>buffer, Packet.bufferStart);
    store<u32>(packet, <u32>(buffer + size), Packet.bufferEnd);
    store<u32>(packet, inPort, Packet.inPort);
    // csumStart to flags: nothing unfinished.
    store<u64>(packet, 0, Packet.csumStart);
    store<u16>(packet, 0, Packet.hdrLen);
    store<u32>(batch + (<usize>n << 2), <u32>packet);
    bytes += length;
    packet += <usize>DESCRIPTOR;
    buffer += size;
  }
  store<u32>(source, <u32>cell, MemorySource.next);
  store<f64>(source, load<f64>(source, MemorySource.rxPackets) + <f64>n, MemorySource.rxPackets);
  store<f64>(source, load<f64>(source, MemorySource.rxBytes) + <f64>bytes, MemorySource.rxBytes);
  return n;
}

/** Swallows u32[count] packets. Any thread. */
export function memoryTransmit(sink: usize, list: usize, count: u32): void {
  if (load<u32>(sink, MemorySink.up) == 0) return;
  let bytes: u32 = 0;
  for (const end = list + (<usize>count << 2); list < end; list += 4) bytes += load<u32>(<usize>load<u32>(list), Packet.length);
  const shard = sink + (<usize>(myIndex & (SHARDS - 1)) << 6);
  atomic.add<u64>(shard + MemorySink.txPackets, <u64>count);
  atomic.add<u64>(shard + MemorySink.txBytes, <u64>bytes);
}
