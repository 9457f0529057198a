import { Packet } from './generated/packet';
import { PortIo } from './generated/port-io';
import { PortState } from './generated/port-state';
import { gsoHeaderLength } from './gso';
import { alloc, free } from './memory';

/**
 * The bytes around recvmmsg(2), sendmmsg(2), readv(2) and writev(2) on packet sockets and taps:
 * message vectors, virtio headers, control messages. The calls themselves are TypeScript's.
 *
 *   mmsghdr  +0 name  +8 namelen  +16 iov  +24 iovlen  +32 control  +40 controllen  +48 flags  +56 length
 *   iovec    +0 base  +8 length
 *   virtio   +0 flags +1 gso_type +2 hdr_len +4 gso_size +6 csum_start +8 csum_offset
 *   buffer   128 bytes of headroom, then the frame
 *   tpacket2 +0 status  +4 len  +8 snaplen  +12 mac  +24 vlan_tci  +26 vlan_tpid; virtio header at mac - 10
 */
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const MESSAGE: u32 = 64;
// @ts-ignore: decorator
@inline const VIRTIO: u32 = 10;
// @ts-ignore: decorator
@inline const HEADROOM: u32 = 128;
// @ts-ignore: decorator
@inline const BUFFER: u32 = 69632;
// @ts-ignore: decorator
@inline const CONTROL: u32 = 64;
// @ts-ignore: decorator
@inline const DESCRIPTOR: u32 = 128;
// @ts-ignore: decorator
@inline const MSG_TRUNC: u32 = 0x20;
// @ts-ignore: decorator
@inline const SOL_PACKET: u32 = 263;
// @ts-ignore: decorator
@inline const PACKET_AUXDATA: u32 = 8;
// @ts-ignore: decorator
@inline const TP_STATUS_USER: u32 = 1;
// @ts-ignore: decorator
@inline const TP_STATUS_COPY: u32 = 2;
/** What tpacket2_hdr and sockaddr_ll take at the start of a ring frame. */
// @ts-ignore: decorator
@inline const FRAME_HEADER: u32 = 64;
// @ts-ignore: decorator
@inline const TP_STATUS_VLAN_VALID: u32 = 0x10;
// @ts-ignore: decorator
@inline const TP_STATUS_VLAN_TPID_VALID: u32 = 0x40;
// @ts-ignore: decorator
@inline const NEEDS_CSUM: u32 = 1;

// @ts-ignore: decorator
@inline
function setPointer(p: usize, io: usize, address: usize): void {
  store<u64>(p, load<u64>(io, PortIo.base) + <u64>address);
}

/** The calling thread's scratch for transmitting; `base` is the host address of arena address 0. 0 = arena full. */
export function portIoCreate(base: f64): usize {
  const io = alloc(<u32>PortIo.SIZE);
  const messages = alloc(BURST * MESSAGE);
  const iovecs = alloc(BURST * 32);
  const headers = alloc(BURST * 16);
  if (io == 0 || messages == 0 || iovecs == 0 || headers == 0) {
    free(io);
    free(messages);
    free(iovecs);
    free(headers);
    return 0;
  }
  store<u64>(io, <u64>base, PortIo.base);
  store<u32>(io, <u32>messages, PortIo.txMessages);
  store<u32>(io, <u32>iovecs, PortIo.txIovecs);
  store<u32>(io, <u32>headers, PortIo.txHeaders);
  linkMessages(io, messages, iovecs, headers);
  return io;
}

/** Adds what receiving needs, once; false = arena full. */
export function portIoEnableReceive(io: usize): bool {
  if (load<u32>(io, PortIo.buffers) != 0) return true;
  const messages = alloc(BURST * MESSAGE);
  const iovecs = alloc(BURST * 32);
  const headers = alloc(BURST * 16);
  const controls = alloc(BURST * CONTROL);
  const descriptors = alloc(BURST * DESCRIPTOR);
  const buffers = alloc(BURST * BUFFER);
  if (messages == 0 || iovecs == 0 || headers == 0 || controls == 0 || descriptors == 0 || buffers == 0) {
    free(messages);
    free(iovecs);
    free(headers);
    free(controls);
    free(descriptors);
    free(buffers);
    return false;
  }
  store<u32>(io, <u32>messages, PortIo.rxMessages);
  store<u32>(io, <u32>iovecs, PortIo.rxIovecs);
  store<u32>(io, <u32>headers, PortIo.rxHeaders);
  store<u32>(io, <u32>controls, PortIo.rxControls);
  store<u32>(io, <u32>descriptors, PortIo.descriptors);
  store<u32>(io, <u32>buffers, PortIo.buffers);
  linkMessages(io, messages, iovecs, headers);
  for (let i: u32 = 0; i < BURST; i++) {
    const iovec = iovecs + <usize>(i << 5) + 16;
    setPointer(iovec, io, buffers + <usize>(i * BUFFER + HEADROOM));
    store<u64>(iovec, BUFFER - HEADROOM, 8);
    setPointer(messages + <usize>(i * MESSAGE) + 32, io, controls + <usize>(i * CONTROL));
    store<u64>(messages + <usize>(i * MESSAGE), CONTROL, 40);
  }
  return true;
}

/** Points each message at its two iovecs, and the first of them at its virtio header. */
function linkMessages(io: usize, messages: usize, iovecs: usize, headers: usize): void {
  for (let i: u32 = 0; i < BURST; i++) {
    const iovec = iovecs + <usize>(i << 5);
    setPointer(messages + <usize>(i * MESSAGE) + 16, io, iovec);
    store<u64>(messages + <usize>(i * MESSAGE), 2, 24);
    setPointer(iovec, io, headers + <usize>(i << 4));
    store<u64>(iovec, VIRTIO, 8);
  }
}

export function portIoDestroy(io: usize): void {
  free(<usize>load<u32>(io, PortIo.rxMessages));
  free(<usize>load<u32>(io, PortIo.rxIovecs));
  free(<usize>load<u32>(io, PortIo.rxHeaders));
  free(<usize>load<u32>(io, PortIo.rxControls));
  free(<usize>load<u32>(io, PortIo.descriptors));
  free(<usize>load<u32>(io, PortIo.buffers));
  free(<usize>load<u32>(io, PortIo.txMessages));
  free(<usize>load<u32>(io, PortIo.txIovecs));
  free(<usize>load<u32>(io, PortIo.txHeaders));
  free(io);
}

/** Turns the `n` messages that recvmmsg filled into packets in `batch`; returns how many are good. */
export function portPacketReceived(io: usize, n: u32, batch: usize, inPort: u32): u32 {
  let good: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const message = <usize>load<u32>(io, PortIo.rxMessages) + <usize>(i * MESSAGE);
    const length = load<u32>(message, 56);
    const isCut = (load<u32>(message, 48) & MSG_TRUNC) != 0;
    const control = <usize>load<u32>(io, PortIo.rxControls) + <usize>(i * CONTROL);
    const controlLength = load<u32>(message, 40);
    store<u64>(message, CONTROL, 40);
    store<u32>(message, 0, 48);
    if (isCut) {
      store<u32>(io, load<u32>(io, PortIo.rxErrors) + 1, PortIo.rxErrors);
      continue;
    }
    const packet = portReceivedOne(io, i, length, inPort);
    if (packet == 0) continue;
    restoreVlan(packet, control, controlLength);
    store<u32>(batch + <usize>(good << 2), <u32>packet);
    good++;
  }
  return good;
}

/** Fills in the descriptor of buffer `i`, into which `length` bytes came, virtio header included. 0 = bad. */
export function portReceivedOne(io: usize, i: u32, length: u32, inPort: u32): usize {
  if (length < VIRTIO + 14 || length > VIRTIO + BUFFER - HEADROOM) {
    store<u32>(io, load<u32>(io, PortIo.rxErrors) + 1, PortIo.rxErrors);
    return 0;
  }
  const buffer = <usize>load<u32>(io, PortIo.buffers) + <usize>(i * BUFFER);
  const header = <usize>load<u32>(io, PortIo.rxHeaders) + <usize>(i << 4);
  const packet = <usize>load<u32>(io, PortIo.descriptors) + <usize>(i * DESCRIPTOR);
  describe(packet, header, buffer + HEADROOM, length - VIRTIO, inPort);
  store<u32>(packet, <u32>buffer, Packet.bufferStart);
  store<u32>(packet, <u32>buffer + BUFFER, Packet.bufferEnd);
  return packet;
}

/** Fills in a descriptor from a virtio header. */
function describe(packet: usize, header: usize, data: usize, length: u32, inPort: u32): void {
  memory.fill(packet, 0, Packet.SIZE);
  store<u32>(packet, <u32>data, Packet.data);
  store<u32>(packet, length, Packet.length);
  store<u32>(packet, inPort, Packet.inPort);
  store<u8>(packet, load<u8>(header), Packet.flags);
  store<u8>(packet, load<u8>(header, 1), Packet.gsoType);
  store<u16>(packet, load<u16>(header, 2), Packet.hdrLen);
  store<u16>(packet, load<u16>(header, 4), Packet.gsoSize);
  store<u16>(packet, load<u16>(header, 6), Packet.csumStart);
  store<u16>(packet, load<u16>(header, 8), Packet.csumOffset);
}

/**
 * Takes up to 32 frames from the receive ring of a packet socket, in place, and gives those of the
 * previous call back to the kernel. Frames too long for the ring wait in the socket's queue instead:
 * when the next ones are such, the result is minus their number, and the caller must receive exactly
 * as many by recvmmsg.
 */
export function portRingMapReceive(io: usize, state: usize, batch: usize, inPort: u32): i32 {
  const ring = <usize>load<u32>(state, PortState.rxRing);
  const size = load<u32>(state, PortState.rxFrameSize);
  const count = load<u32>(state, PortState.rxFrames);
  let cursor = load<u32>(state, PortState.rxCursor);
  for (let held = load<u32>(state, PortState.rxHeld); held > 0; held--) {
    const index = cursor >= held ? cursor - held : cursor + count - held;
    atomic.store<u32>(ring + <usize>(index * size), 0);
  }
  let good: u32 = 0;
  let seen: u32 = 0;
  let copies: u32 = 0;
  while (seen < BURST) {
    const frame = ring + <usize>(cursor * size);
    const status = atomic.load<u32>(frame);
    if (!(status & TP_STATUS_USER)) break;
    const isCopy = (status & TP_STATUS_COPY) != 0;
    if (isCopy ? seen != copies : copies != 0) break;
    seen++;
    cursor = cursor + 1 == count ? 0 : cursor + 1;
    if (isCopy) {
      copies++;
      continue;
    }
    const length = load<u32>(frame, 8);
    const mac = <u32>load<u16>(frame, 12);
    if (length < 14 || length != load<u32>(frame, 4) || mac < FRAME_HEADER + VIRTIO || mac + length > size) {
      store<u32>(io, load<u32>(io, PortIo.rxErrors) + 1, PortIo.rxErrors);
      continue;
    }
    const packet = <usize>load<u32>(io, PortIo.descriptors) + <usize>(good * DESCRIPTOR);
    const data = frame + <usize>mac;
    describe(packet, data - VIRTIO, data, length, inPort);
    store<u32>(packet, <u32>frame + FRAME_HEADER, Packet.bufferStart);
    store<u32>(packet, <u32>frame + size, Packet.bufferEnd);
    insertVlan(packet, status, load<u16>(frame, 24), load<u16>(frame, 26));
    store<u32>(batch + <usize>(good << 2), <u32>packet);
    good++;
  }
  store<u32>(state, cursor, PortState.rxCursor);
  store<u32>(state, seen, PortState.rxHeld);
  return copies != 0 ? -<i32>copies : <i32>good;
}

/** Looks for a VLAN tag in the control message (struct tpacket_auxdata). */
function restoreVlan(packet: usize, control: usize, controlLength: u32): void {
  if (controlLength < 36 || load<u32>(control, 8) != SOL_PACKET || load<u32>(control, 12) != PACKET_AUXDATA) return;
  insertVlan(packet, load<u32>(control, 16), load<u16>(control, 32), load<u16>(control, 34));
}

/** Puts a VLAN tag that the kernel took off back into the frame, if `status` says that there was one. */
function insertVlan(packet: usize, status: u32, tci: u16, givenTpid: u16): void {
  if (!(status & TP_STATUS_VLAN_VALID)) return;
  const tpid: u16 = status & TP_STATUS_VLAN_TPID_VALID ? givenTpid : 0x8100;
  const data = <usize>load<u32>(packet, Packet.data);
  memory.copy(data - 4, data, 12);
  store<u16>(data + 8, bswap<u16>(tpid));
  store<u16>(data + 10, bswap<u16>(tci));
  store<u32>(packet, <u32>data - 4, Packet.data);
  store<u32>(packet, load<u32>(packet, Packet.length) + 4, Packet.length);
  if (load<u8>(packet, Packet.flags) & NEEDS_CSUM) {
    store<u16>(packet, load<u16>(packet, Packet.csumStart) + 4, Packet.csumStart);
  }
  if (load<u8>(packet, Packet.gsoType) != 0) store<u16>(packet, load<u16>(packet, Packet.hdrLen) + 4, Packet.hdrLen);
}

/**
 * Fills messages for packets `from`.. of a list, at most 32; returns how many messages. Sets txNext
 * (packets taken), txErrors (of these, dropped: longer than the MTU, or not to be sent) and txGso.
 */
export function portPacketPrepare(io: usize, list: usize, from: u32, count: u32, mtu: u32): u32 {
  let n: u32 = 0;
  let errors: u32 = 0;
  let gso: u32 = 0;
  let at = from;
  while (at < count && n < BURST) {
    const packet = <usize>load<u32>(list + <usize>(at << 2));
    at++;
    const data = <usize>load<u32>(packet, Packet.data);
    const length = load<u32>(packet, Packet.length);
    const kind = <u32>load<u8>(packet, Packet.gsoType);
    const headers = kind != 0 ? gsoHeaderLength(packet) : 0;
    const wireLength = kind != 0 && headers != 0 ? min<u32>(length, headers + <u32>load<u16>(packet, Packet.gsoSize)) : length;
    if (length < 14 || (kind != 0 && headers == 0) || (mtu != 0 && wireLength > mtu + 14 + tagBytes(data))) {
      errors++;
      continue;
    }
    const header = <usize>load<u32>(io, PortIo.txHeaders) + <usize>(n << 4);
    const needsChecksum = (load<u8>(packet, Packet.flags) & NEEDS_CSUM) != 0;
    store<u8>(header, needsChecksum ? 1 : 0);
    store<u8>(header, <u8>kind, 1);
    store<u16>(header, <u16>headers, 2);
    store<u16>(header, kind != 0 ? load<u16>(packet, Packet.gsoSize) : 0, 4);
    store<u16>(header, needsChecksum ? load<u16>(packet, Packet.csumStart) : 0, 6);
    store<u16>(header, needsChecksum ? load<u16>(packet, Packet.csumOffset) : 0, 8);
    const iovec = <usize>load<u32>(io, PortIo.txIovecs) + <usize>(n << 5) + 16;
    setPointer(iovec, io, data);
    store<u64>(iovec, length, 8);
    if (kind != 0) gso |= 1 << n;
    n++;
  }
  store<u32>(io, at - from, PortIo.txNext);
  store<u32>(io, errors, PortIo.txErrors);
  store<u32>(io, gso, PortIo.txGso);
  return n;
}

/** Bytes that the MTU does not count: VLAN tags. */
function tagBytes(data: usize): u32 {
  let bytes: u32 = 0;
  let type = load<u16>(data, 12);
  while ((type == 0x0081 || type == 0xa888) && bytes < 8) {
    bytes += 4;
    type = load<u16>(data + <usize>bytes, 12);
  }
  return bytes;
}
