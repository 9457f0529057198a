import { Key } from './generated/key';
import { Packet } from './generated/packet';
import { be16, storeIcmp, zeroBlock } from './extract';

/**
 * The rarer headers: IPv6 extension headers, neighbour discovery, MPLS, ARP, NSH.
 */

/**
 * Walks the extension headers at `at`, which starts with one of type `proto`.
 * Returns bytes skipped << 16 | 0x8000 | fragment bits << 8 | protocol, or 0 if they are cut off.
 */
export function skipIpv6Extensions(start: usize, end: usize, proto: u32): u32 {
  let at = start;
  let frag: u32 = 0;
  while (proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60) {
    if (end - at < 8) return 0;
    const next = <u32>load<u8>(at);
    let length: usize = 8;
    if (proto == 44) {
      const offset = load<u16>(at, 2);
      if (offset != 0) frag = 1;
      // A later fragment: nothing after this header can be read; byte-swapped mask 0xfff8.
      if (offset & 0xf8ff) return (<u32>(at + 8 - start) << 16) | 0x8000 | (3 << 8) | 44;
    } else if (proto == 51) {
      length = (<usize>load<u8>(at, 1) + 2) << 2;
    } else {
      length = (<usize>load<u8>(at, 1) + 1) << 3;
    }
    if (end - at < length) return 0;
    at += length;
    proto = next;
  }
  return (<u32>(at - start) << 16) | 0x8000 | (frag << 8) | proto;
}

/** ICMPv6 of at least 8 bytes; returns blocks to add to `present`. */
export function extractIcmpv6(start: usize, end: usize, key: usize, packet: usize, present: u32): u32 {
  storeIcmp(key, start);
  const type = load<u8>(start);
  if (load<u8>(start, 1) != 0 || (type != 135 && type != 136)) return 0;

  // ICMPv6 inside of IPv4 is odd, but OVS reads it too: then block 1 is not there yet.
  if (!(present & 2)) zeroBlock(key + 64);
  zeroBlock(key + 128);
  store<u32>(key, load<u32>(start, 4), Key.igmpGroupIp4);
  let at = start + 8;
  if (end - at < 16) return 6;
  v128.store(key, v128.load(at), Key.ndTarget);
  at += 16;

  let option: u32 = 0;
  while (end - at >= 8) {
    const kind = <u32>load<u8>(at);
    const length = <usize>load<u8>(at, 1) << 3;
    if (length == 0 || length > end - at) break;
    if (length == 8 && (kind == 1 || kind == 2)) {
      const slot = key + (kind == 1 ? Key.arpSha : Key.arpTha);
      if (load<u32>(slot) != 0 || load<u16>(slot, 4) != 0) {
        // The same option twice is an error: no target, no addresses.
        v128.store(key, i64x2.splat(0), Key.ndTarget);
        store<u64>(key, 0, Key.arpSha);
        store<u32>(key, 0, Key.arpSha + 8);
        break;
      }
      store<u32>(slot, load<u32>(at, 2));
      store<u16>(slot, load<u16>(at, 6), 4);
      if (option == 0) option = kind;
    }
    at += length;
  }
  store<u16>(key, <u16>(option << 8), Key.tcpFlags);
  store<u16>(packet, <u16>option, Packet.tcpFlags);
  return 6;
}

/** What is neither IPv4 nor IPv6: MPLS, ARP, NSH. `type` as in memory. Returns the present blocks. */
export function extractOther(packet: usize, key: usize, frame: usize, at: usize, end: usize, type: u32): u32 {
  let present: u32 = 1;
  if (type == 0x4788 || type == 0x4888) {
    store<u16>(packet, <u16>(at - frame), Packet.l25);
    zeroBlock(key + 128);
    for (let count: usize = 0; end - at >= 4; count++) {
      const lse = load<u32>(at);
      at += 4;
      if (count < 3) {
        store<u32>(key + (count << 2), lse, Key.mplsLse0);
        present = 5;
      }
      // Bottom of stack: bit 0 of the third byte.
      if (lse & 0x10000) break;
    }
  }
  store<u16>(packet, <u16>(at - frame), Packet.l3);
  if (type == 0x0608 || type == 0x3580) {
    if (extractArp(at, end, key)) present = 3;
  } else if (type == 0x4f89) {
    if (extractNsh(at, end, key)) present = 9;
  }
  return present;
}

/** ARP and RARP for Ethernet and IPv4: hardware 1, protocol 0x0800, lengths 6 and 4. */
function extractArp(at: usize, end: usize, key: usize): bool {
  if (end - at < 28 || load<u32>(at) != 0x00080100 || load<u16>(at, 4) != 0x0406) return false;
  store<u32>(key, load<u32>(at, 14), Key.nwSrc);
  store<u32>(key, load<u32>(at, 24), Key.nwDst);
  if (load<u8>(at, 6) == 0) store<u8>(key, load<u8>(at, 7), Key.nwProto);
  zeroBlock(key + 64);
  store<u32>(key, load<u32>(at, 8), Key.arpSha);
  store<u16>(key, load<u16>(at, 12), Key.arpSha + 4);
  store<u32>(key, load<u32>(at, 18), Key.arpTha);
  store<u16>(key, load<u16>(at, 22), Key.arpTha + 4);
  return true;
}

/** NSH; contexts of metadata type 1 only, as in OVS. False if it is cut off or of another version. */
function extractNsh(at: usize, end: usize, key: usize): bool {
  if (end - at < 8) return false;
  const head = be16(at);
  const length = <usize>(head & 0x3f) << 2;
  if (end - at < length || head >>> 14 != 0) return false;
  const kind = load<u8>(at, 2);
  if (kind == 1 ? length != 24 : kind == 2 && length < 8) return false;
  zeroBlock(key + 192);
  store<u8>(key, <u8>((head >>> 12) & 3), Key.nshFlags);
  store<u8>(key, <u8>((head >>> 6) & 0x3f), Key.nshTtl);
  store<u8>(key, kind, Key.nshMdtype);
  store<u8>(key, load<u8>(at, 3), Key.nshNp);
  store<u32>(key, load<u32>(at, 4), Key.nshPathHdr);
  if (kind == 1) v128.store(key, v128.load(at, 8), Key.nshC1);
  return true;
}
