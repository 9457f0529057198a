import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { copyPacket, count, writable } from './burst';

/**
 * Actions that make the frame longer or shorter: VLAN tags and MPLS labels. Headroom in front of the
 * frame is used; Ethernet addresses move, the rest stays where it is, and every offset of the descriptor
 * moves with it. Each returns the packet to go on with, 0 if it was dropped.
 */
// @ts-ignore: decorator
@inline const NONE: u32 = 0xffff;

// @ts-ignore: decorator
@inline
function moveOffset(packet: usize, field: usize, by: i32): void {
  const at = <u32>load<u16>(packet + field);
  if (at != NONE) store<u16>(packet + field, <u16>(at + by));
}

/** Moves the first `front` bytes by `by` bytes: the frame becomes that much longer (or shorter if negative). */
function resize(packet: usize, front: usize, by: i32): void {
  const data: usize = load<u32>(packet);
  const to = data - <usize>by;
  memory.copy(to, data, front);
  store<u32>(packet, <u32>to);
  store<u32>(packet, load<u32>(packet, Packet.length) + by, Packet.length);
  moveOffset(packet, Packet.l25, by);
  moveOffset(packet, Packet.l3, by);
  moveOffset(packet, Packet.l4, by);
  if (load<u8>(packet, Packet.flags) & 1) {
    store<u16>(packet, <u16>(<u32>load<u16>(packet, Packet.csumStart) + by), Packet.csumStart);
  }
  if (load<u16>(packet, Packet.gsoSize) != 0) {
    store<u16>(packet, <u16>(<u32>load<u16>(packet, Packet.hdrLen) + by), Packet.hdrLen);
  }
}

/** A packet that may be written to and has 4 bytes of headroom. */
function withHeadroom(pmd: usize, packet: usize): usize {
  if (load<u8>(packet, Packet.refs) == 0 && load<u32>(packet) - load<u32>(packet, Packet.bufferStart) >= 4) {
    return packet;
  }
  return copyPacket(pmd, packet);
}

/** Pushes a tag; both values as in memory. The CFI bit only says "tag present" and is not sent. */
export function pushVlan(pmd: usize, packet: usize, tpid: u32, tci: u32): usize {
  packet = withHeadroom(pmd, packet);
  if (packet == 0) return 0;
  resize(packet, 12, 4);
  const data: usize = load<u32>(packet);
  store<u16>(data, <u16>tpid, 12);
  store<u16>(data, <u16>(tci & ~0x10), 14);
  return packet;
}

function isVlan(type: u32): bool {
  return type == 0x0081 || type == 0xa888;
}

/** Takes the outer tag off; a packet without a tag goes on as it is. */
export function popVlan(pmd: usize, packet: usize): usize {
  const data: usize = load<u32>(packet);
  if (load<u32>(packet, Packet.length) < 18 || !isVlan(<u32>load<u16>(data, 12))) return packet;
  packet = writable(pmd, packet);
  if (packet != 0) resize(packet, 12, -4);
  return packet;
}

/** Bytes from the frame's start to the network or MPLS header, 0 if there is none. */
function l2Length(packet: usize): u32 {
  const l25 = <u32>load<u16>(packet, Packet.l25);
  const at = l25 != NONE ? l25 : <u32>load<u16>(packet, Packet.l3);
  return at == NONE || at > load<u32>(packet, Packet.length) ? 0 : at;
}

/** Pushes a label stack entry in front of the network header and sets the Ethertype (as in memory). */
export function pushMpls(pmd: usize, packet: usize, lse: u32, type: u32): usize {
  const front = l2Length(packet);
  if (front < 14 || (type != 0x4788 && type != 0x4888)) {
    count(pmd, Pmd.dropInvalidAction);
    return 0;
  }
  packet = withHeadroom(pmd, packet);
  if (packet == 0) return 0;
  resize(packet, <usize>front, 4);
  const data: usize = load<u32>(packet);
  // The label goes between; l25 is where it starts.
  store<u16>(packet, <u16>front, Packet.l25);
  store<u32>(data + <usize>front, lse);
  store<u16>(data + <usize>front - 2, <u16>type);
  return packet;
}

/** Takes the outer label off and sets the Ethertype; a packet without a label goes on as it is. */
export function popMpls(pmd: usize, packet: usize, type: u32): usize {
  const l25 = <u32>load<u16>(packet, Packet.l25);
  if (l25 == NONE || l25 + 4 > load<u32>(packet, Packet.length)) return packet;
  packet = writable(pmd, packet);
  if (packet == 0) return 0;
  resize(packet, <usize>l25, -4);
  store<u16>(<usize>load<u32>(packet) + <usize>l25 - 2, <u16>type);
  // More labels: the stack still starts where it started.
  store<u16>(packet, <u16>(type == 0x4788 || type == 0x4888 ? l25 : NONE), Packet.l25);
  return packet;
}
