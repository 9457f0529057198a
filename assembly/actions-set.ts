import { Key } from './generated/key';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { count, writable } from './burst';
import { checksumApply, checksumApplyPartial, crc32cChange, delta16, delta32 } from './checksum';
import { setArp, setIcmp, setNd, setNdExtensions } from './actions-set-rare';

/**
 * set and set_masked of header fields (OVS_KEY_ATTR_*): value and mask are given in the shapes of
 * linux/openvswitch.h; set without a mask is a mask of ones. Checksums follow by the difference.
 *
 * Which headers a packet has is asked of its key and offsets: extraction has checked that they are whole.
 */
// @ts-ignore: decorator
@inline const NONE: u32 = 0xffff;
// @ts-ignore: decorator
@inline const ETHERNET: u32 = 4;
// @ts-ignore: decorator
@inline const IPV4: u32 = 7;
// @ts-ignore: decorator
@inline const IPV6: u32 = 8;
// @ts-ignore: decorator
@inline const TCP: u32 = 9;
// @ts-ignore: decorator
@inline const UDP: u32 = 10;
// @ts-ignore: decorator
@inline const SCTP: u32 = 17;
// Key.dlType as in memory.
// @ts-ignore: decorator
@inline const TYPE_IPV4: u32 = 0x0008;
// @ts-ignore: decorator
@inline const TYPE_IPV6: u32 = 0xdd86;
// @ts-ignore: decorator
@inline const FRAG_LATER: u32 = 2;

// @ts-ignore: decorator
@inline
export function masked(old: u32, value: u32, mask: u32): u32 {
  return (old & ~mask) | (value & mask);
}

/** Address of the L4 header if it has at least `size` bytes and is of this protocol, else 0. */
export function l4Header(packet: usize, proto: u32, size: u32): usize {
  const key: usize = load<u32>(packet, Packet.key);
  const l4 = <u32>load<u16>(packet, Packet.l4);
  if (l4 == NONE || <u32>load<u8>(key, Key.nwProto) != proto || load<u8>(key, Key.nwFrag) & FRAG_LATER) return 0;
  if (l4 + size + <u32>load<u16>(packet, Packet.l2Pad) > load<u32>(packet, Packet.length)) return 0;
  return <usize>load<u32>(packet) + <usize>l4;
}

/** Whether the checksum of the L4 header is still to be finished by the output. */
export function isPartial(packet: usize): bool {
  return (load<u8>(packet, Packet.flags) & 1) != 0 && load<u16>(packet, Packet.csumStart) == load<u16>(packet, Packet.l4);
}

/** Applies a change of bytes that an L4 checksum at `field` covers; `isPseudo`: of the pseudo header. */
export function l4Change(packet: usize, field: usize, delta: u32, isUdp: bool, isPseudo: bool): void {
  if (isPartial(packet)) {
    if (isPseudo) checksumApplyPartial(field, delta);
    return;
  }
  // UDP: 0 means that there is no checksum.
  if (isUdp && load<u16>(field) == 0) return;
  checksumApply(field, delta);
  if (isUdp && load<u16>(field) == 0) store<u16>(field, 0xffff);
}

/** A change of an IP address seen by the L4 checksum. */
function pseudoChange(packet: usize, proto: u32, delta: u32, isIpv6: bool): void {
  if (proto == 6) {
    const at = l4Header(packet, 6, 20);
    if (at != 0) l4Change(packet, at + 16, delta, false, true);
  } else if (proto == 17) {
    const at = l4Header(packet, 17, 8);
    if (at != 0) l4Change(packet, at + 6, delta, true, true);
  } else if (proto == 58 && isIpv6) {
    const at = l4Header(packet, 58, 8);
    if (at != 0) l4Change(packet, at + 2, delta, false, true);
  }
}

/** Sets one key attribute at [nest, nest + size). Returns the packet to go on with, 0 if dropped. */
export function setField(pmd: usize, packet: usize, nest: usize, size: u32, hasMask: bool): usize {
  const length: u32 = size < 4 ? 0 : <u32>load<u16>(nest);
  if (length < 4 || length > size) return refuse(pmd);
  const type = <u32>load<u16>(nest, 2);
  const value = nest + 4;
  const bytes = hasMask ? (length - 4) >>> 1 : length - 4;
  // 0: no mask, all bits.
  const mask: usize = hasMask ? value + <usize>bytes : 0;

  // Metadata: the descriptor only.
  if (bytes == 4 && (type == 2 || type == 15 || type == 19)) {
    const field = type == 2 ? Packet.skbPriority : type == 15 ? Packet.pktMark : Packet.dpHash;
    const now = masked(load<u32>(packet + field), load<u32>(value), maskWord(mask, 0));
    store<u32>(packet + field, now);
    return packet;
  }
  packet = writable(pmd, packet);
  if (packet == 0) return 0;
  let done = false;
  if (type == ETHERNET && bytes == 12) done = setEthernet(packet, value, mask);
  else if (type == IPV4 && bytes == 12) done = setIpv4(packet, value, mask);
  else if (type == IPV6 && bytes == 40) done = setIpv6(packet, value, mask);
  else if (type == TCP && bytes == 4) done = setPorts(packet, 6, value, mask);
  else if (type == UDP && bytes == 4) done = setPorts(packet, 17, value, mask);
  else if (type == SCTP && bytes == 4) done = setPorts(packet, 132, value, mask);
  else if (type == 11 && bytes == 2) done = setIcmp(packet, 1, value, mask);
  else if (type == 12 && bytes == 2) done = setIcmp(packet, 58, value, mask);
  else if (type == 13 && bytes >= 22) done = setArp(packet, value, mask);
  else if (type == 14 && bytes == 28) done = setNd(packet, value, mask);
  else if (type == 21 && bytes >= 4) done = setMpls(packet, value, mask);
  else if (type == 30 && bytes >= 5) done = setNdExtensions(packet, value, mask);
  return done ? packet : refuse(pmd);
}

function refuse(pmd: usize): usize {
  count(pmd, Pmd.dropInvalidAction);
  return 0;
}

// @ts-ignore: decorator
@inline
export function maskWord(mask: usize, at: usize): u32 {
  return mask == 0 ? 0xffff_ffff : load<u32>(mask + at);
}

// @ts-ignore: decorator
@inline
export function maskByte(mask: usize, at: usize): u32 {
  return mask == 0 ? 0xff : <u32>load<u8>(mask + at);
}

/** Key: source, destination; header: destination, source. */
function setEthernet(packet: usize, value: usize, mask: usize): bool {
  const data: usize = load<u32>(packet);
  if (load<u32>(packet, Packet.length) < 14) return false;
  for (let i: usize = 0; i < 6; i++) {
    store<u8>(data + i, <u8>masked(load<u8>(data + i), load<u8>(value + i, 6), maskByte(mask, i + 6)));
    store<u8>(data + i, <u8>masked(load<u8>(data + i, 6), load<u8>(value + i), maskByte(mask, i)), 6);
  }
  return true;
}

function l3Header(packet: usize, type: u32): usize {
  const key: usize = load<u32>(packet, Packet.key);
  // l4 is set only after a whole IP header.
  if (<u32>load<u16>(key, Key.dlType) != type || <u32>load<u16>(packet, Packet.l4) == NONE) return 0;
  return <usize>load<u32>(packet) + <usize>load<u16>(packet, Packet.l3);
}

/** Key: source, destination, protocol, TOS, TTL, fragment; protocol and fragment cannot be set. */
function setIpv4(packet: usize, value: usize, mask: usize): bool {
  const ip = l3Header(packet, TYPE_IPV4);
  if (ip == 0) return false;
  let change: u32 = 0;
  let pseudo: u32 = 0;
  for (let i: usize = 0; i < 8; i += 4) {
    const old = load<u32>(ip + i, 12);
    const now = masked(old, load<u32>(value + i), maskWord(mask, i));
    if (old == now) continue;
    store<u32>(ip + i, now, 12);
    pseudo += delta32(old, now);
  }
  change = pseudo;
  const tos = <u32>load<u8>(ip, 1);
  const newTos = masked(tos, load<u8>(value, 9), maskByte(mask, 9));
  if (tos != newTos) {
    store<u8>(ip, <u8>newTos, 1);
    // The second byte of its word.
    change += delta16(tos << 8, newTos << 8);
  }
  const ttl = <u32>load<u8>(ip, 8);
  const newTtl = masked(ttl, load<u8>(value, 10), maskByte(mask, 10));
  if (ttl != newTtl) {
    store<u8>(ip, <u8>newTtl, 8);
    change += delta16(ttl, newTtl);
  }
  if (change != 0) checksumApply(ip + 10, change);
  if (pseudo != 0) pseudoChange(packet, <u32>load<u8>(ip, 9), pseudo, false);
  return true;
}

/** Whether an IPv6 header is followed by a routing header with hops left: then its destination is not summed. */
function hasRouting(ip: usize, end: usize): bool {
  let next = <u32>load<u8>(ip, 6);
  let at = ip + 40;
  while (end > at && end - at >= 8) {
    if (next == 43) {
      if (load<u8>(at, 3) > 0) return true;
    } else if (next != 0 && next != 60) {
      return false;
    }
    next = <u32>load<u8>(at);
    at += (<usize>load<u8>(at, 1) + 1) << 3;
  }
  return false;
}

/** Key: source, destination, label, protocol, traffic class, hop limit, fragment. */
function setIpv6(packet: usize, value: usize, mask: usize): bool {
  const ip = l3Header(packet, TYPE_IPV6);
  if (ip == 0) return false;
  const l4 = <usize>load<u32>(packet) + <usize>load<u16>(packet, Packet.l4);
  const skipsDestination = hasRouting(ip, l4);
  let pseudo: u32 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    const old = load<u32>(ip + i, 8);
    const now = masked(old, load<u32>(value + i), maskWord(mask, i));
    if (old == now) continue;
    store<u32>(ip + i, now, 8);
    if (i < 16 || !skipsDestination) pseudo += delta32(old, now);
  }
  if (pseudo != 0) pseudoChange(packet, <u32>load<u8>(<usize>load<u32>(packet, Packet.key), Key.nwProto), pseudo, true);
  const first = bswap<u32>(load<u32>(ip));
  const labelMask = bswap<u32>(maskWord(mask, 32)) & 0xfffff;
  const classMask = maskByte(mask, 37) << 20;
  let word = masked(first, bswap<u32>(load<u32>(value, 32)), labelMask);
  word = masked(word, <u32>load<u8>(value, 37) << 20, classMask);
  store<u32>(ip, bswap<u32>(word));
  store<u8>(ip, <u8>masked(load<u8>(ip, 7), load<u8>(value, 38), maskByte(mask, 38)), 7);
  return true;
}

function setPorts(packet: usize, proto: u32, value: usize, mask: usize): bool {
  const at = l4Header(packet, proto, proto == 6 ? 20 : proto == 17 ? 8 : 12);
  if (at == 0) return false;
  const old = load<u32>(at);
  const now = masked(old, load<u32>(value), maskWord(mask, 0));
  if (old == now) return true;
  store<u32>(at, now);
  if (proto == 6) {
    l4Change(packet, at + 16, delta32(old, now), false, false);
  } else if (proto == 17) {
    l4Change(packet, at + 6, delta32(old, now), true, false);
  } else if (!isPartial(packet)) {
    const end = load<u32>(packet, Packet.length) - <u32>load<u16>(packet, Packet.l2Pad);
    const length = end - <u32>load<u16>(packet, Packet.l4);
    store<u32>(at, load<u32>(at, 8) ^ crc32cChange(old ^ now, length), 8);
  }
  return true;
}

function setMpls(packet: usize, value: usize, mask: usize): bool {
  const l25 = <u32>load<u16>(packet, Packet.l25);
  if (l25 == NONE || l25 + 4 > load<u32>(packet, Packet.length)) return false;
  const at = <usize>load<u32>(packet) + <usize>l25;
  store<u32>(at, masked(load<u32>(at), load<u32>(value), maskWord(mask, 0)));
  return true;
}
