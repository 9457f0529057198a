import { ArenaRoot } from './generated/arena-root';
import { Key } from './generated/key';
import { Packet } from './generated/packet';
import { extractIcmpv6, extractOther, skipIpv6Extensions } from './extract-slow';

/**
 * Packet bytes -> flow key, as OVS's miniflow_extract does it.
 *
 * A header that is too short or lies about its length ends extraction: what was read before stays in
 * the key, what would follow is zero. The offsets l25, l3 and l4 of the descriptor say how far it came;
 * actions trust them and nothing else.
 *
 * Block 0 is written whole, each time. Blocks 1 to 3 are zeroed and written only when the packet needs
 * them, and are then set in the returned bitmap; the caller sees to it that all other blocks are zero.
 */

// Ethertypes as they lie in memory; 0x05ff stands for 802.2 without one.
// @ts-ignore: decorator
@inline const DL_TYPE_NONE: u32 = 0xff05;
// @ts-ignore: decorator
@inline const TYPE_IPV4: u32 = 0x0008;
// @ts-ignore: decorator
@inline const TYPE_IPV6: u32 = 0xdd86;
// @ts-ignore: decorator
@inline const FRAG_ANY: u32 = 1;
// @ts-ignore: decorator
@inline const FRAG_LATER: u32 = 2;
// @ts-ignore: decorator
@inline const ROOT: usize = 65536;

// @ts-ignore: decorator
@inline
export function be16(p: usize): u32 {
  return <u32>bswap<u16>(load<u16>(p));
}

// @ts-ignore: decorator
@inline
export function putBe16(p: usize, value: u32): void {
  store<u16>(p, bswap<u16>(<u16>value));
}

// @ts-ignore: decorator
@inline
export function be32(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}

/** Byte-swaps each of four words. */
// @ts-ignore: decorator
@inline
function swapWords(words: v128): v128 {
  return i8x16.shuffle(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

// @ts-ignore: decorator
@inline
export function zeroBlock(p: usize): void {
  v128.store(p, i64x2.splat(0));
  v128.store(p, i64x2.splat(0), 16);
  v128.store(p, i64x2.splat(0), 32);
  v128.store(p, i64x2.splat(0), 48);
}

/** Tags that extraction takes off: other_config:vlan-limit, OVS's default is 1. */
function vlanLimit(): u32 {
  const limit = load<u32>(ROOT, ArenaRoot.vlanLimit);
  return limit == 0 ? 1 : min<u32>(limit, 2);
}

/** Extraction into a key of any content: all 768 bytes are written. */
export function extract(packet: usize, key: usize): u32 {
  memory.fill(key, 0, Key.SIZE);
  return extractKey(packet, key);
}

/** Extracts u32[n] packets into n keys one after another, each with blocks from 1 on zero; for measuring. */
export function extractMany(batch: usize, n: u32, keys: usize): u32 {
  let all: u32 = 0;
  for (let i: usize = 0; i < <usize>n; i++) all |= extractKey(load<u32>(batch + (i << 2)), keys + i * Key.SIZE);
  return all;
}

/** Extraction into a key whose blocks from 1 on are zero. Returns the bitmap of present blocks. */
// @ts-ignore: decorator
@inline
export function extractKey(packet: usize, key: usize): u32 {
  const frame: usize = load<u32>(packet, Packet.data);
  let end: usize = frame + load<u32>(packet, Packet.length);
  let present: u32 = 1;
  // recircId and inPort; then packetType to pktMark: four words, to network order.
  v128.store(key, swapWords(v128.load64_zero(packet, Packet.recircId)), Key.recircId);
  v128.store(key, swapWords(v128.load(packet, Packet.packetType)), Key.packetType);
  // l3, l4 and l25: none; l2Pad: 0.
  store<u64>(packet, 0x0000_ffff_ffff_ffff, Packet.l3);
  store<u16>(packet, 0, Packet.tcpFlags);
  // From the end of dlSrc to tpDst; overwritten below as far as the packet goes.
  v128.store(key, i64x2.splat(0), 16);
  v128.store(key, i64x2.splat(0), 32);
  if (end - frame < 14) return present;
  store<u64>(key, load<u64>(frame), Key.dlDst);
  store<u32>(key, load<u32>(frame, 8), Key.dlSrc + 2);

  let at: usize = frame + 14;
  // The Ethertype as in memory; what is not plain IP takes the longer way.
  let raw = <u32>load<u16>(frame, 12);
  if (raw != TYPE_IPV4 && raw != TYPE_IPV6) {
    at = skipTags(frame, end, key);
    raw = <u32>load<u16>(at - 2);
    if (bswap<u16>(<u16>raw) < 0x600) {
      // 802.2: SNAP with the Ethernet organisation code carries an Ethertype.
      const isSnap = end - at >= 8 && load<u32>(at) == 0x0003aaaa && load<u16>(at, 4) == 0;
      if (isSnap) at += 8;
      raw = isSnap ? <u32>load<u16>(at - 2) : DL_TYPE_NONE;
      if (bswap<u16>(<u16>raw) < 0x600) raw = DL_TYPE_NONE;
    }
  }
  store<u16>(key, <u16>raw, Key.dlType);

  let proto: u32;
  let frag: u32 = 0;
  if (raw == TYPE_IPV4) {
    store<u16>(packet, <u16>(at - frame), Packet.l3);
    const size = <u32>(end - at);
    if (size < 20) return present;
    const headerLength = <u32>(load<u8>(at) & 15) << 2;
    const total = be16(at + 2);
    const padding = size - total;
    // A total length above the size makes padding wrap around.
    if (headerLength < 20 || headerLength > total || padding > 0xffff) return present;
    store<u16>(packet, <u16>padding, Packet.l2Pad);
    end = at + total;
    store<u64>(key, load<u64>(at, 12), Key.nwSrc);
    const ttlProto = <u32>load<u16>(at, 8);
    proto = ttlProto >>> 8;
    // Fragment: MF or an offset, bytes 6 and 7.
    const fragment = <u32>load<u16>(at, 6);
    if (fragment & 0xff3f) frag = fragment & 0xff1f ? FRAG_ANY | FRAG_LATER : FRAG_ANY;
    store<u32>(key, proto | (<u32>load<u8>(at, 1) << 8) | ((ttlProto & 0xff) << 16) | (frag << 24), Key.nwProto);
    at += headerLength;
  } else if (raw == TYPE_IPV6) {
    store<u16>(packet, <u16>(at - frame), Packet.l3);
    const size = <u32>(end - at);
    if (size < 40) return present;
    const payload = be16(at + 4);
    if (payload + 40 > size || size - payload - 40 > 0xffff) return present;
    store<u16>(packet, <u16>(size - payload - 40), Packet.l2Pad);
    end = at + 40 + payload;
    present |= 2;
    zeroBlock(key + 64);
    v128.store(key, v128.load(at, 8), Key.ipv6Src);
    v128.store(key, v128.load(at, 24), Key.ipv6Dst);
    const flow = be32(at);
    proto = load<u8>(at, 6);
    const ttl = <u32>load<u8>(at, 7);
    at += 40;
    if (isIpv6Extension(proto)) {
      // (position << 16) | fragment bits << 8 | protocol, or 0: cut off.
      const found = skipIpv6Extensions(at, end, proto);
      if (found == 0) return present;
      at += <usize>(found >>> 16);
      proto = found & 0xff;
      frag = (found >>> 8) & 0x7f;
    }
    store<u32>(key, bswap<u32>(flow & 0xfffff), Key.ipv6Label);
    store<u32>(key, proto | (((flow >>> 20) & 0xff) << 8) | (ttl << 16) | (frag << 24), Key.nwProto);
  } else {
    return extractOther(packet, key, frame, at, end, raw);
  }

  store<u16>(packet, <u16>(at - frame), Packet.l4);
  if (frag & FRAG_LATER) return present;
  const size = <u32>(end - at);
  if (proto == 6) {
    if (size < 20) return present;
    const headerLength = (<u32>load<u8>(at, 12) >> 4) << 2;
    if (headerLength < 20 || size < headerLength) return present;
    store<u32>(key, load<u32>(at), Key.tpSrc);
    const flags = load<u16>(at, 12) & 0xff0f;
    store<u16>(key, flags, Key.tcpFlags);
    store<u16>(packet, bswap<u16>(flags), Packet.tcpFlags);
  } else if (proto == 17) {
    if (size >= 8) store<u32>(key, load<u32>(at), Key.tpSrc);
  } else if (proto == 132) {
    if (size >= 12) store<u32>(key, load<u32>(at), Key.tpSrc);
  } else if (proto == 1) {
    if (size >= 8) storeIcmp(key, at);
  } else if (proto == 2) {
    if (size >= 8) {
      storeIcmp(key, at);
      zeroBlock(key + 128);
      store<u32>(key, load<u32>(at, 4), Key.igmpGroupIp4);
      present |= 4;
    }
  } else if (proto == 58) {
    if (size >= 8) present |= extractIcmpv6(at, end, key, packet, present);
  }
  return present;
}

/** Takes VLAN tags off into the key; returns the end of the Ethertype after them. */
function skipTags(frame: usize, end: usize, key: usize): usize {
  const limit = vlanLimit();
  let at: usize = frame + 12;
  let slot = key + Key.vlanTpid0;
  let type = <u32>load<u16>(at);
  for (let tags: u32 = 0; tags < limit && (type == 0x0081 || type == 0xa888) && end - at >= 6; tags++) {
    store<u16>(slot, <u16>type);
    // CFI (0x1000) says that there is a tag; it is bit 4 of the first byte.
    store<u16>(slot, load<u16>(at, 2) | 0x10, 2);
    slot += 4;
    at += 4;
    type = <u32>load<u16>(at);
  }
  return at + 2;
}

// @ts-ignore: decorator
@inline
function isIpv6Extension(proto: u32): bool {
  return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60;
}

/** ICMP type and code stand in the low bytes of the port slots. */
// @ts-ignore: decorator
@inline
export function storeIcmp(key: usize, at: usize): void {
  store<u32>(key, (<u32>load<u8>(at) << 8) | (<u32>load<u8>(at, 1) << 24), Key.tpSrc);
}
