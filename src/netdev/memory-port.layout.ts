import type { LayoutSpec } from '../util/layout.ts';

/**
 * Ports that core.wasm moves by itself, without a call back into JavaScript: the first word of their
 * records says which kind they are.
 */
export const FAST_PORT_MEMORY = 1;
export const MEMORY_SINK_SHARDS = 16;
export const MEMORY_SINK_SHARD_BYTES = 64;

/**
 * An endless or finite store of frames that one rx queue replays (types null and pcap): each frame is
 * copied once into a packet buffer, as a device would do by DMA.
 *
 * A stored frame is a cell: u32 length, u32 bytes from this cell to the next, 8 bytes unused, the
 * frame, padded to 16 bytes. Written by main before a thread polls it, then only by that thread.
 */
const memorySourceLayout = {
  name: 'memory-source',
  size: 64,
  source: 'megaflow',
  fields: {
    kind: { at: 0, type: 'u32', doc: 'FAST_PORT_MEMORY.' },
    inPort: { at: 4, type: 'u32', doc: 'Datapath port number of its packets.' },
    first: { at: 8, type: 'ptr', doc: 'First cell.' },
    end: { at: 12, type: 'ptr', doc: 'One past the last cell.' },
    next: { at: 16, type: 'ptr', doc: 'Cell to be received next.' },
    endless: { at: 20, type: 'u32', doc: '1: after the last cell comes the first again.' },
    descriptors: { at: 24, type: 'ptr', doc: 'packet[32], 128 bytes apart.' },
    buffers: { at: 28, type: 'ptr', doc: 'Packet buffers, bufferSize apart.' },
    bufferSize: {
      at: 32,
      type: 'u32',
      doc: 'Headroom, the longest frame, and room to copy 16 bytes at once.',
    },
    state: { at: 36, type: 'ptr', doc: 'memory-sink of the port: whether it is up.' },
    rxPackets: { at: 40, type: 'f64', doc: 'Frames received.' },
    rxBytes: { at: 48, type: 'f64', doc: 'Bytes of them.' },
  },
} as const satisfies LayoutSpec;

/**
 * What such a port swallows: counted, then forgotten. Any thread adds, atomically, to the counters of its own
 * cache line: MEMORY_SINK_SHARDS of them follow each other, by thread index.
 */
const memorySinkLayout = {
  name: 'memory-sink',
  size: 1088,
  source: 'megaflow',
  fields: {
    kind: { at: 0, type: 'u32', doc: 'FAST_PORT_MEMORY.' },
    up: { at: 4, type: 'u32', doc: '0: neither receives nor sends.' },
    txPackets: { at: 64, type: 'u64', doc: 'Packets sent (atomic); of the first shard.' },
    txBytes: { at: 72, type: 'u64', doc: 'Bytes of them (atomic); of the first shard.' },
  },
} as const satisfies LayoutSpec;

export const memoryPortLayouts: readonly LayoutSpec[] = [memorySourceLayout, memorySinkLayout];
