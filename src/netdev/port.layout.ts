import type { LayoutSpec } from '../util/layout.ts';

/**
 * A bounded queue of frames between threads, one direction of a ring-fed port (dummy, lab).
 *
 *   +0  lock, limits (producers)   +64 head, counters (producers)   +128 tail, counters (consumer)
 *   +192 ptr[capacity]: frame blocks (packet descriptor, headroom, bytes), owned by the queue
 *
 * Any thread may produce, under the lock; one thread consumes. `sleeping` is the consumer's word that
 * it is about to block: a producer that sees it signals `eventFd`.
 */
export const portRingLayout = {
  name: 'port-ring',
  size: 192,
  source: 'megaflow',
  fields: {
    lock: { at: 0, type: 'u32', doc: "Guards head and the producers' counters." },
    capacity: { at: 4, type: 'u32', doc: 'Slots, a power of two.' },
    limit: { at: 8, type: 'u32', doc: 'Most frames queued, at most capacity.' },
    eventFd: { at: 12, type: 'u32', doc: 'Descriptor that wakes the consumer, 0xffffffff = none.' },
    enabled: { at: 16, type: 'u32', doc: '0: frames are discarded uncounted (port is down).' },
    mtu: { at: 20, type: 'u32', doc: 'Largest L3 size; longer frames are not sent. 0 = any.' },
    head: { at: 64, type: 'u32', doc: 'Frames ever queued, modulo 2^32.' },
    pushed: { at: 72, type: 'f64', doc: 'Frames queued.' },
    pushedBytes: { at: 80, type: 'f64', doc: 'Bytes queued.' },
    dropped: { at: 88, type: 'f64', doc: 'Frames dropped: the queue was full or the arena.' },
    errors: { at: 96, type: 'f64', doc: 'Frames that could not be sent: too long, or not to be segmented.' },
    tail: { at: 128, type: 'u32', doc: 'Frames ever taken, modulo 2^32.' },
    sleeping: { at: 132, type: 'u32', doc: '1: the consumer blocks or is about to.' },
    popped: { at: 136, type: 'f64', doc: 'Frames taken.' },
    poppedBytes: { at: 144, type: 'f64', doc: 'Bytes taken.' },
  },
} as const satisfies LayoutSpec;

/** What main tells the threads of a device, and they count for main. */
export const portStateLayout = {
  name: 'port-state',
  size: 64,
  source: 'megaflow',
  fields: {
    mtu: { at: 0, type: 'u32', doc: 'Largest L3 size of the device.' },
    up: { at: 4, type: 'u32', doc: '0: frames are discarded.' },
    txDropped: { at: 8, type: 'u32', doc: 'Frames that the device did not take (atomic, wraps).' },
    txErrors: { at: 12, type: 'u32', doc: 'Frames longer than the MTU or malformed (atomic, wraps).' },
    rxDropped: { at: 16, type: 'u32', doc: 'Frames cut short by the buffer (atomic, wraps).' },
    rxRing: { at: 20, type: 'ptr', doc: 'Receive ring of a packet socket (TPACKET_V2), 0 = none.' },
    rxFrameSize: { at: 24, type: 'u32', doc: 'Bytes from frame to frame in it.' },
    rxFrames: { at: 28, type: 'u32', doc: 'Frames in it.' },
    rxCursor: { at: 32, type: 'u32', doc: 'Next frame to look at.' },
    rxHeld: { at: 36, type: 'u32', doc: 'Frames before the cursor that the receiver still holds.' },
  },
} as const satisfies LayoutSpec;

/**
 * A thread's scratch for packet sockets and taps (assembly/port-packet.ts): C structures for a burst
 * of 32 each way, and the frame buffers. All such ports of a thread share it, so a frame is valid until
 * the thread's next receive from any of them. Host addresses are 64 bits: `base` + arena address.
 */
export const portIoLayout = {
  name: 'port-io',
  size: 64,
  source: 'megaflow; recvmmsg(2), packet(7), linux/virtio_net.h',
  fields: {
    base: { at: 0, type: 'u64', doc: 'Host address of arena address 0.' },
    rxMessages: { at: 8, type: 'ptr', doc: 'struct mmsghdr[32] of 64 bytes.' },
    rxIovecs: { at: 12, type: 'ptr', doc: 'struct iovec[64]: virtio header, frame.' },
    rxHeaders: { at: 16, type: 'ptr', doc: 'virtio_net_hdr[32], 16 bytes apart.' },
    rxControls: { at: 20, type: 'ptr', doc: 'Control messages, 64 bytes apart.' },
    buffers: { at: 24, type: 'ptr', doc: 'Frame buffers, PORT_BUFFER apart; 0 = the thread only transmits.' },
    descriptors: { at: 28, type: 'ptr', doc: 'packet[32], 128 bytes apart.' },
    txMessages: { at: 32, type: 'ptr', doc: 'struct mmsghdr[32] of 64 bytes.' },
    txIovecs: { at: 36, type: 'ptr', doc: 'struct iovec[64]: virtio header, frame.' },
    txHeaders: { at: 40, type: 'ptr', doc: 'virtio_net_hdr[32], 16 bytes apart.' },
    txGso: { at: 44, type: 'u32', doc: 'Bit i: message i holds a GSO frame.' },
    txNext: { at: 48, type: 'u32', doc: 'Packets of the list that the last prepare took.' },
    txErrors: { at: 52, type: 'u32', doc: 'Of those, dropped: too long or malformed.' },
    rxErrors: { at: 56, type: 'u32', doc: 'Frames dropped on receive: truncated or too short (grows).' },
  },
} as const satisfies LayoutSpec;

export const portLayouts: readonly LayoutSpec[] = [portRingLayout, portStateLayout, portIoLayout];
