import { Key } from './generated/key';
import { Packet } from './generated/packet';
import { delta16, delta32 } from './checksum';
import { l4Change, l4Header, maskByte, masked, maskWord } from './actions-set';

/**
 * set of the rarer headers: ARP, ICMP, neighbour discovery.
 */

/** Key: type, code. */
export function setIcmp(packet: usize, proto: u32, value: usize, mask: usize): bool {
  const at = l4Header(packet, proto, 8);
  if (at == 0) return false;
  const old = <u32>load<u16>(at);
  const bits = mask == 0 ? 0xffff : <u32>load<u16>(mask);
  const now = masked(old, load<u16>(value), bits);
  if (old == now) return true;
  store<u16>(at, <u16>now);
  l4Change(packet, at + 2, delta16(old, now), false, false);
  return true;
}

function setBytes(at: usize, value: usize, mask: usize, maskAt: usize, length: usize): void {
  for (let i: usize = 0; i < length; i++) {
    store<u8>(at + i, <u8>masked(load<u8>(at + i), load<u8>(value + i), maskByte(mask, maskAt + i)));
  }
}

/** Key: sender IP, target IP, opcode, sender MAC, target MAC. */
export function setArp(packet: usize, value: usize, mask: usize): bool {
  const key: usize = load<u32>(packet, Packet.key);
  const type = <u32>load<u16>(key, Key.dlType);
  const l3 = <u32>load<u16>(packet, Packet.l3);
  if ((type != 0x0608 && type != 0x3580) || l3 + 28 > load<u32>(packet, Packet.length)) return false;
  const arp = <usize>load<u32>(packet) + <usize>l3;
  setBytes(arp + 14, value, mask, 0, 4);
  setBytes(arp + 24, value + 4, mask, 4, 4);
  setBytes(arp + 6, value + 8, mask, 8, 2);
  setBytes(arp + 8, value + 10, mask, 10, 6);
  setBytes(arp + 18, value + 16, mask, 16, 6);
  return true;
}

/** Sets 16-bit words that the ICMPv6 checksum at `field` covers. */
function setSummed(packet: usize, field: usize, at: usize, value: usize, mask: usize, maskAt: usize, length: usize): void {
  for (let i: usize = 0; i < length; i += 2) {
    const old = <u32>load<u16>(at + i);
    const bits = mask == 0 ? 0xffff : <u32>load<u16>(mask + maskAt + i);
    const now = masked(old, load<u16>(value + i), bits);
    if (old == now) continue;
    store<u16>(at + i, <u16>now);
    l4Change(packet, field, delta16(old, now), false, false);
  }
}

function l4End(packet: usize): usize {
  return (
    <usize>load<u32>(packet) + <usize>load<u32>(packet, Packet.length) - <usize>load<u16>(packet, Packet.l2Pad)
  );
}

/** The neighbour solicitation or advertisement with its target, 0 if the packet is none. */
function ndHeader(packet: usize): usize {
  const at = l4Header(packet, 58, 24);
  if (at == 0) return 0;
  const type = load<u8>(at);
  return type == 135 || type == 136 ? at : 0;
}

/** Key: target, source and target link-layer address; of the options only the first is set, as in OVS. */
export function setNd(packet: usize, value: usize, mask: usize): bool {
  const at = ndHeader(packet);
  if (at == 0) return false;
  setSummed(packet, at + 2, at + 8, value, mask, 0, 16);
  const end = l4End(packet);
  let option = at + 24;
  while (end - option >= 8) {
    const kind = load<u8>(option);
    const length = <usize>load<u8>(option, 1) << 3;
    if (length == 0 || length > end - option) break;
    if (length == 8 && (kind == 1 || kind == 2)) {
      const field: usize = kind == 1 ? 16 : 22;
      setSummed(packet, at + 2, option + 2, value + field, mask, field, 6);
      break;
    }
    option += length;
  }
  return true;
}

/** Key: reserved word, type of the first link-layer address option. */
export function setNdExtensions(packet: usize, value: usize, mask: usize): bool {
  const at = ndHeader(packet);
  if (at == 0) return false;
  const old = load<u32>(at, 4);
  const now = masked(old, load<u32>(value), maskWord(mask, 0));
  if (old != now) {
    store<u32>(at, now, 4);
    l4Change(packet, at + 2, delta32(old, now), false, false);
  }
  const end = l4End(packet);
  let option = at + 24;
  while (end - option >= 8) {
    const kind = <u32>load<u8>(option);
    const length = <usize>load<u8>(option, 1) << 3;
    if (length == 0 || length > end - option) break;
    if (length == 8 && (kind == 1 || kind == 2)) {
      const type = masked(kind, load<u8>(value, 4), maskByte(mask, 4));
      if (type != kind) {
        store<u8>(option, <u8>type);
        l4Change(packet, at + 2, delta16(kind, type), false, false);
      }
      break;
    }
    option += length;
  }
  return true;
}
