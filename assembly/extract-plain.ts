import { Packet } from './generated/packet';

/**
 * The short way of extraction, for what most packets are: untagged TCP or UDP in IPv4 without options,
 * not a fragment, with honest lengths. Block 0 of the key is three shuffles of the frame:
 *
 *   key   0..7   recirc_id 0, in_port        8..15  frame 0..7
 *        16..31  frame 8..13, 23, 15, 22, 0, TCP flags, no tags
 *        32..47  0, frame 26..37             48..63 0 (metadata of a new packet)
 *
 * Whatever is left of the packet's shape goes to extractKey, which gives the same key for these.
 */
// @ts-ignore: decorator
@inline const OFFSETS: u64 = 14 | (34 << 16) | (0xffff << 32);

/** False if the packet has another shape: then nothing was written. For packets that were not recirculated. */
// @ts-ignore: decorator
@inline
export function extractPlain(packet: usize, key: usize, frame: usize, length: u32): bool {
  // Ethertype, then version and header length.
  if (length < 42 || (load<u32>(frame, 12) & 0x00ff_ffff) != 0x0045_0008) return false;
  const total = <u32>bswap<u16>(load<u16>(frame, 16));
  // A total length above the frame's makes padding wrap around.
  const padding = length - 14 - total;
  if (total < 28 || padding > 0xffff || (load<u16>(frame, 20) & 0xff3f) != 0) return false;
  const proto = <u32>load<u8>(frame, 23);
  let flags: u32 = 0;
  if (proto == 6) {
    const headerLength = (<u32>load<u8>(frame, 46) >> 4) << 2;
    if (headerLength < 20 || headerLength + 20 > total) return false;
    flags = <u32>load<u16>(frame, 46) & 0xff0f;
  } else if (proto != 17) {
    return false;
  }
  const head = v128.load(frame);
  const rest = v128.load(frame, 16);
  v128.store(
    key,
    i8x16.shuffle(
      i64x2.splat(<u64>bswap<u32>(load<u32>(packet, Packet.inPort)) << 32), head,
      0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23,
    ),
  );
  v128.store(
    key,
    i16x8.replace_lane(
      v128.and(
        i8x16.shuffle(head, rest, 8, 9, 10, 11, 12, 13, 23, 15, 22, 0, 0, 0, 0, 0, 0, 0),
        i64x2(-1, 0xff),
      ),
      5,
      <u16>flags,
    ),
    16,
  );
  v128.store(
    key,
    i8x16.shuffle(i64x2.splat(0), v128.load(frame, 26), 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27),
    32,
  );
  v128.store(key, i64x2.splat(0), 48);
  store<u64>(packet, OFFSETS | (<u64>padding << 48), Packet.l3);
  store<u16>(packet, bswap<u16>(<u16>flags), Packet.tcpFlags);
  return true;
}
