import type { LayoutSpec } from '../util/layout.ts';

/**
 * AF_XDP ports: frames and the sockets that share them (assembly/port-xsk.ts, xsk-frames.ts).
 *
 * A UMEM is a run of equal frames inside the arena. Each frame has a word that says who has it:
 *
 *   bits 0-15   id of the socket whose fill or transmit ring (or the kernel behind it) has the frame, 0 = none
 *   bit 16      a thread holds it: it came with that thread's last burst
 *   bits 17-23  index of that thread
 *
 * Word 0 = free: in the pool or in a thread's cache. So frames that are lost can be counted, and those of a
 * closed socket or of a dead thread be found. Both parts may be set: received from one port, sent to another.
 */
export const umemLayout = {
  name: 'umem',
  size: 128,
  source: 'megaflow; linux/if_xdp.h',
  fields: {
    base: { at: 0, type: 'ptr', doc: 'First frame, on a page boundary.' },
    end: { at: 4, type: 'ptr', doc: 'One past the last frame.' },
    shift: { at: 8, type: 'u32', doc: 'Binary logarithm of the bytes of a frame.' },
    frames: { at: 12, type: 'u32', doc: 'Frames.' },
    words: { at: 16, type: 'ptr', doc: 'u32[frames]: who has each frame.' },
    stack: { at: 20, type: 'ptr', doc: 'u32[frames]: numbers of free frames (the pool).' },
    block: { at: 24, type: 'ptr', doc: 'Arena block that holds the frames.' },
    lock: { at: 64, type: 'u32', doc: 'Guards the pool and the list of caches.' },
    free: { at: 68, type: 'u32', doc: 'Frames in the pool.' },
    caches: { at: 72, type: 'ptr', doc: 'First cache (xsk-cache), 0 = none.' },
    starved: { at: 76, type: 'u32', doc: 'Times that a frame was wanted and none was free (wraps).' },
  },
} as const satisfies LayoutSpec;

/** A thread's free frames of a UMEM; u32[256] frame numbers follow. Only its thread touches it. */
export const xskCacheLayout = {
  name: 'xsk-cache',
  size: 64,
  source: 'megaflow',
  fields: {
    umem: { at: 0, type: 'ptr', doc: 'Whose frames.' },
    next: { at: 4, type: 'ptr', doc: 'Next cache of the UMEM.' },
    thread: { at: 8, type: 'u32', doc: 'Index of the thread.' },
    generation: { at: 12, type: 'u32', doc: 'Generation of its thread block: tells a successor apart.' },
    users: { at: 16, type: 'u32', doc: 'Ports of the thread that use it.' },
    count: { at: 20, type: 'u32', doc: 'Frames in it.' },
  },
} as const satisfies LayoutSpec;

/**
 * One AF_XDP socket: a receive queue of a device, and a way to send through it.
 *
 * The rings are the kernel's, mapped over arena memory. Receive and fill ring belong to the thread that
 * polls the queue, transmit and completion ring to whoever has `txLock`.
 */
export const xskLayout = {
  name: 'xsk',
  size: 320,
  source: 'megaflow; linux/if_xdp.h',
  fields: {
    id: { at: 0, type: 'u32', doc: '1..65535, in the words of its frames.' },
    umem: { at: 4, type: 'ptr', doc: 'Where its frames are.' },
    state: { at: 8, type: 'ptr', doc: 'port-state of the device.' },
    fd: { at: 12, type: 'u32', doc: 'The socket.' },
    rxProducer: { at: 16, type: 'ptr', doc: 'Written by the kernel.' },
    rxConsumer: { at: 20, type: 'ptr', doc: 'Written by the receiver.' },
    rxDescs: { at: 24, type: 'ptr', doc: '{u64 address, u32 length, u32 options}[].' },
    rxMask: { at: 28, type: 'u32', doc: 'Slots - 1.' },
    fillProducer: { at: 32, type: 'ptr', doc: 'Written by the receiver.' },
    fillConsumer: { at: 36, type: 'ptr', doc: 'Written by the kernel.' },
    fillDescs: { at: 40, type: 'ptr', doc: 'u64[]: addresses.' },
    fillFlags: { at: 44, type: 'ptr', doc: 'Bit 0: the kernel wants to be woken.' },
    fillMask: { at: 48, type: 'u32', doc: 'Slots - 1.' },
    txProducer: { at: 64, type: 'ptr', doc: 'Written under txLock.' },
    txConsumer: { at: 68, type: 'ptr', doc: 'Written by the kernel.' },
    txDescs: { at: 72, type: 'ptr', doc: '{u64 address, u32 length, u32 options}[].' },
    txFlags: { at: 76, type: 'ptr', doc: 'Bit 0: the kernel wants to be woken.' },
    txMask: { at: 80, type: 'u32', doc: 'Slots - 1.' },
    compProducer: { at: 84, type: 'ptr', doc: 'Written by the kernel.' },
    compConsumer: { at: 88, type: 'ptr', doc: 'Written under txLock.' },
    compDescs: { at: 92, type: 'ptr', doc: 'u64[]: addresses.' },
    compMask: { at: 96, type: 'u32', doc: 'Slots - 1.' },
    rxPackets: { at: 128, type: 'f64', doc: 'Frames received (receiver).' },
    rxBytes: { at: 136, type: 'f64', doc: 'Bytes received (receiver).' },
    rxErrors: { at: 144, type: 'f64', doc: 'Frames shorter than a header (receiver).' },
    rxFinished: { at: 152, type: 'f64', doc: 'Unfinished L4 checksums that were completed (receiver).' },
    txLock: { at: 192, type: 'u32', doc: 'Guards transmit and completion ring.' },
    txPackets: { at: 200, type: 'f64', doc: 'Frames put on the transmit ring (txLock).' },
    txBytes: { at: 208, type: 'f64', doc: 'Their bytes (txLock).' },
    txDropped: { at: 216, type: 'f64', doc: 'Frames dropped: ring full or no free frame (txLock).' },
    txErrors: { at: 224, type: 'f64', doc: 'Frames dropped: longer than the MTU or malformed (txLock).' },
    txInPlace: {
      at: 232,
      type: 'f64',
      doc: 'Of txPackets, those sent from where they were received (txLock).',
    },
  },
} as const satisfies LayoutSpec;

/** Kind of port in its first word, as in memory-port.layout.ts. */
export const FAST_PORT_XSK = 2;

/** A thread's side of an AF_XDP socket. */
export const xskIoLayout = {
  name: 'xsk-io',
  size: 320,
  source: 'megaflow',
  fields: {
    kind: { at: 0, type: 'u32', doc: 'FAST_PORT_XSK.' },
    inPort: { at: 4, type: 'u32', doc: 'Datapath port number of its packets.' },
    xsk: { at: 8, type: 'ptr', doc: 'The socket.' },
    cache: { at: 12, type: 'ptr', doc: "The thread's xsk-cache." },
    descriptors: { at: 16, type: 'ptr', doc: 'packet[32], 128 bytes apart; 0 = the thread only transmits.' },
    touched: { at: 20, type: 'u32', doc: 'What was read to bring headers into the cache: no meaning.' },
    heldCount: { at: 24, type: 'u32', doc: 'Frames of the last burst.' },
    held: { at: 32, type: 'bytes', length: 128, doc: 'u32[32]: their numbers.' },
    scratch: { at: 160, type: 'bytes', length: 96, doc: 'A packet descriptor for finishing copies.' },
  },
} as const satisfies LayoutSpec;

export const xskLayouts: readonly LayoutSpec[] = [umemLayout, xskCacheLayout, xskLayout, xskIoLayout];
