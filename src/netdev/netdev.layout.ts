import type { LayoutSpec } from '../util/layout.ts';
import { memoryPortLayouts } from './memory-port.layout.ts';
import { portLayouts } from './port.layout.ts';
import { xskLayouts } from './xsk.layout.ts';

/**
 * A packet in flight: where its bytes are and what the port said of it.
 *
 * Metadata stand in the order of the key's, so that extraction swaps their bytes four words at a time.
 */
export const packetLayout = {
  name: 'packet',
  size: 96,
  source: 'megaflow; virtio_net_hdr of linux/virtio_net.h',
  fields: {
    data: { at: 0, type: 'ptr', doc: 'First byte of the Ethernet header.' },
    length: { at: 4, type: 'u32', doc: 'Bytes from data.' },
    bufferStart: { at: 8, type: 'ptr', doc: 'First byte that may be used as headroom.' },
    bufferEnd: { at: 12, type: 'ptr', doc: 'One past the last byte that may be used.' },
    recircId: { at: 16, type: 'u32', doc: 'Metadata for the next pass.' },
    inPort: { at: 20, type: 'u32', doc: 'Datapath port it came from.' },
    csumStart: { at: 24, type: 'u16', doc: 'From data to where the checksum starts (FLAG_NEEDS_CSUM).' },
    csumOffset: { at: 26, type: 'u16', doc: 'From csumStart to the checksum field.' },
    gsoSize: { at: 28, type: 'u16', doc: 'L4 payload bytes of each segment, 0 = not GSO.' },
    gsoType: {
      at: 30,
      type: 'u8',
      doc: 'VIRTIO_NET_HDR_GSO_* (1 TCPv4, 3 UDP, 4 TCPv6, 5 UDP_L4, 0x80 ECN).',
    },
    flags: { at: 31, type: 'u8', doc: '1 NEEDS_CSUM (checksum unfinished), 2 CSUM_VALID.' },
    l3: { at: 32, type: 'u16', doc: 'From data to the network header, 0xffff = none. Set by extraction.' },
    l4: { at: 34, type: 'u16', doc: 'From data to the transport header, 0xffff = none. Set by extraction.' },
    l25: { at: 36, type: 'u16', doc: 'From data to the MPLS stack, 0xffff = none. Set by extraction.' },
    l2Pad: { at: 38, type: 'u16', doc: 'Bytes after the end of the IP packet. Set by extraction.' },
    tcpFlags: { at: 40, type: 'u16', doc: 'TCP flags for statistics.' },
    hdrLen: { at: 42, type: 'u16', doc: 'virtio hdr_len as received.' },
    depth: { at: 44, type: 'u8', doc: 'Recirculations so far.' },
    refs: {
      at: 45,
      type: 'u8',
      doc: '1: a transmit or upcall list holds it, so it is copied before a change.',
    },
    packetType: {
      at: 48,
      type: 'u32',
      doc: 'Always 0: Ethernet. With the three words after it, as in a key.',
    },
    dpHash: { at: 52, type: 'u32', doc: 'Metadata for the next pass.' },
    skbPriority: { at: 56, type: 'u32', doc: 'Metadata: QoS priority.' },
    pktMark: { at: 60, type: 'u32', doc: 'Metadata: packet mark.' },
    key: { at: 64, type: 'ptr', doc: 'Its extracted key (768 bytes), valid until pmdReset.' },
    present: { at: 68, type: 'u32', doc: 'Bitmap of blocks present in its key.' },
    megaflow: { at: 72, type: 'ptr', doc: 'The megaflow it hit, 0 = miss.' },
    hash: { at: 76, type: 'u32', doc: 'Hash of the key.' },
    cutLength: { at: 80, type: 'u32', doc: 'Bytes that the next output cuts off the end (trunc), 0 = none.' },
  },
} as const satisfies LayoutSpec;

export const PACKET_FLAG_NEEDS_CSUM = 1;
export const PACKET_FLAG_CSUM_VALID = 2;

export const netdevLayouts: readonly LayoutSpec[] = [
  packetLayout,
  ...portLayouts,
  ...memoryPortLayouts,
  ...xskLayouts,
];
