import { Packet } from './generated/packet';

/**
 * Finishing in software what a device left to us: L4 checksums that hold only the sum of the
 * pseudo-header (VIRTIO_NET_HDR_F_NEEDS_CSUM), and frames of up to 64 KiB that the kernel wants to be
 * cut into segments of `gsoSize` payload bytes.
 *
 * Segments are made one at a time and statelessly (`gsoSegment(packet, i, out)`), so that a caller
 * may put them wherever it sends from. The source frame is not changed.
 */
// @ts-ignore: decorator
@inline const GSO_TCPV4: u32 = 1;
// @ts-ignore: decorator
@inline const GSO_TCPV6: u32 = 4;
// @ts-ignore: decorator
@inline const GSO_UDP_L4: u32 = 5;
// @ts-ignore: decorator
@inline const GSO_ECN: u32 = 0x80;
// @ts-ignore: decorator
@inline const NEEDS_CSUM: u32 = 1;

// @ts-ignore: decorator
@inline
function be16(p: usize): u32 {
  return bswap<u16>(load<u16>(p));
}

// @ts-ignore: decorator
@inline
function setBe16(p: usize, value: u32): void {
  store<u16>(p, bswap<u16>(<u16>value));
}

/** Ones' complement sum of bytes as they lie in memory (little-endian words), not folded. */
export function sumBytes(p: usize, n: u32): u64 {
  let sum: u64 = 0;
  const end8 = p + (n & ~7);
  while (p < end8) {
    const w = load<u64>(p);
    sum += (w & 0xffff_ffff) + (w >> 32);
    p += 8;
  }
  if (n & 4) {
    sum += load<u32>(p);
    p += 4;
  }
  if (n & 2) {
    sum += load<u16>(p);
    p += 2;
  }
  if (n & 1) sum += load<u8>(p);
  return sum;
}

/** Folds to 16 bits in memory order: store the result as it is. */
export function foldSum(sum: u64): u32 {
  sum = (sum & 0xffff_ffff) + (sum >> 32);
  sum = (sum & 0xffff_ffff) + (sum >> 32);
  let s = <u32>((sum & 0xffff) + ((sum >> 16) & 0xffff));
  s = (s & 0xffff) + (s >> 16);
  return (s & 0xffff) + (s >> 16);
}

/**
 * Completes an unfinished L4 checksum in place and takes the flag off. A checksum field outside of
 * the frame is left alone: then the flag goes too, for nobody could honour it. Not for GSO frames.
 */
export function packetFinishChecksum(packet: usize): void {
  const flags = <u32>load<u8>(packet, Packet.flags);
  if (!(flags & NEEDS_CSUM)) return;
  store<u8>(packet, <u8>(flags & ~NEEDS_CSUM), Packet.flags);
  const data = <usize>load<u32>(packet, Packet.data);
  const length = load<u32>(packet, Packet.length);
  const start = <u32>load<u16>(packet, Packet.csumStart);
  const field = start + <u32>load<u16>(packet, Packet.csumOffset);
  if (start >= length || field + 2 > length) return;
  const sum = ~foldSum(sumBytes(data + start, length - start)) & 0xffff;
  // A computed zero is sent as ones: in UDP zero means "none"; for TCP both mean the same.
  store<u16>(data + field, <u16>(sum == 0 ? 0xffff : sum));
}

/** Offset of the IP header behind Ethernet, VLAN tags and MPLS labels; 0 when it is not IP. */
function ipOffset(data: usize, length: u32): u32 {
  let at: u32 = 12;
  while (at + 2 <= length) {
    const type = be16(data + at);
    if (type == 0x8100 || type == 0x88a8 || type == 0x9100) {
      at += 4;
    } else if (type == 0x0800 || type == 0x86dd) {
      return at + 2;
    } else if (type == 0x8847 || type == 0x8848) {
      at += 2;
      while (at + 4 <= length) {
        at += 4;
        if (load<u8>(data + at - 2) & 1) return at;
      }
      return 0;
    } else {
      return 0;
    }
  }
  return 0;
}

/** Bytes of all headers of a GSO frame (Ethernet to L4), 0 when it cannot be segmented. */
export function gsoHeaderLength(packet: usize): u32 {
  const kind = <u32>load<u8>(packet, Packet.gsoType) & ~GSO_ECN;
  const data = <usize>load<u32>(packet, Packet.data);
  const length = load<u32>(packet, Packet.length);
  const l4 = <u32>load<u16>(packet, Packet.csumStart);
  const l3 = ipOffset(data, length);
  if (!(load<u8>(packet, Packet.flags) & NEEDS_CSUM) || load<u16>(packet, Packet.gsoSize) == 0) return 0;
  if (l3 == 0 || l4 < l3 + 20 || l4 + 8 > length) return 0;
  const version = <u32>load<u8>(data + l3) >> 4;
  if (version == 6 ? l4 < l3 + 40 : version != 4) return 0;
  let headers: u32 = 0;
  if (kind == GSO_UDP_L4) {
    headers = l4 + 8;
  } else if ((kind == GSO_TCPV4 && version == 4) || (kind == GSO_TCPV6 && version == 6)) {
    if (l4 + 20 > length) return 0;
    const offset = (<u32>load<u8>(data + l4 + 12) >> 4) << 2;
    if (offset < 20) return 0;
    headers = l4 + offset;
  }
  return headers < length ? headers : 0;
}

/** Segments that a GSO frame makes; 1 when it is not GSO, 0 when it cannot be segmented. */
export function gsoSegmentCount(packet: usize): u32 {
  if (load<u8>(packet, Packet.gsoType) == 0) return 1;
  const headers = gsoHeaderLength(packet);
  if (headers == 0) return 0;
  const size = <u32>load<u16>(packet, Packet.gsoSize);
  return (load<u32>(packet, Packet.length) - headers + size - 1) / size;
}

/** Bytes of the largest frame that a segment of the packet makes; its own length when it is not GSO. */
export function packetWireLength(packet: usize): u32 {
  const length = load<u32>(packet, Packet.length);
  if (load<u8>(packet, Packet.gsoType) == 0) return length;
  const headers = gsoHeaderLength(packet);
  return headers == 0 ? length : min<u32>(length, headers + <u32>load<u16>(packet, Packet.gsoSize));
}

/**
 * Writes segment `index` of a GSO frame to `out` with finished lengths, identification, sequence
 * number, flags and checksums; returns its length. Preconditions: `index` < gsoSegmentCount(packet),
 * and `out` has room for packetWireLength(packet).
 */
export function gsoSegment(packet: usize, index: u32, out: usize): u32 {
  const data = <usize>load<u32>(packet, Packet.data);
  const headers = gsoHeaderLength(packet);
  const size = <u32>load<u16>(packet, Packet.gsoSize);
  const payload = load<u32>(packet, Packet.length) - headers;
  const from = index * size;
  const n = min<u32>(size, payload - from);
  const isLast = from + n == payload;
  memory.copy(out, data, headers);
  memory.copy(out + headers, data + headers + from, n);
  const l4 = <u32>load<u16>(packet, Packet.csumStart);
  const l3 = ipOffset(data, headers);
  const l4Length = headers - l4 + n;
  const isTcp = (<u32>load<u8>(packet, Packet.gsoType) & ~GSO_ECN) != GSO_UDP_L4;
  let sum: u64 = 0;
  if (<u32>load<u8>(out + l3) >> 4 == 4) {
    setBe16(out + l3 + 2, l4 - l3 + l4Length);
    setBe16(out + l3 + 4, be16(out + l3 + 4) + index);
    store<u16>(out + l3 + 10, 0);
    store<u16>(out + l3 + 10, <u16>~foldSum(sumBytes(out + l3, (<u32>load<u8>(out + l3) & 15) << 2)));
    sum = sumBytes(out + l3 + 12, 8);
  } else {
    setBe16(out + l3 + 4, l4 - l3 - 40 + l4Length);
    sum = sumBytes(out + l3 + 8, 32);
  }
  sum += <u64>bswap<u16>(<u16>l4Length);
  sum += <u64>(isTcp ? 6 : 17) << 8;
  let field = out + l4 + 6;
  if (isTcp) {
    field = out + l4 + 16;
    store<u32>(out + l4 + 4, bswap<u32>(bswap<u32>(load<u32>(out + l4 + 4)) + from));
    let tcpFlags = <u32>load<u8>(out + l4 + 13);
    if (!isLast) tcpFlags &= ~0x09;
    if (index != 0) tcpFlags &= ~0x80;
    store<u8>(out + l4 + 13, <u8>tcpFlags);
  } else {
    setBe16(out + l4 + 4, l4Length);
  }
  store<u16>(field, 0);
  const checksum = ~foldSum(sum + sumBytes(out + l4, l4Length)) & 0xffff;
  store<u16>(field, <u16>(checksum == 0 ? 0xffff : checksum));
  return headers + n;
}
