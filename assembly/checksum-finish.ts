import { foldSum, sumBytes } from './gso';

/**
 * Unfinished L4 checksums that nobody told us of: AF_XDP hands frames over without the metadata that say
 * "the checksum field holds the sum of the pseudo header only" (CHECKSUM_PARTIAL), as veth and tap devices do.
 *
 * The field then equals that sum, and completing it is right. A complete checksum that happens to equal
 * it completes to itself. Only a damaged packet (one in 65,536 of them) could be made to look whole.
 */
// @ts-ignore: decorator
@inline const TCP: u32 = 6;
// @ts-ignore: decorator
@inline const UDP: u32 = 17;

/** Completes the checksum of a TCP or UDP frame if it is unfinished; true = it was. Fragments are left alone. */
// @ts-ignore: decorator
@inline
export function finishPseudoChecksum(data: usize, length: u32): bool {
  const type = load<u16>(data, 12);
  if (type == 0x0008) return finishIpv4(data, 14, length);
  return finishOther(data, length, type);
}

function finishOther(data: usize, length: u32, outer: u16): bool {
  let type = outer;
  let at: u32 = 14;
  while ((type == 0x0081 || type == 0xa888) && at + 4 <= length && at < 22) {
    type = load<u16>(data + <usize>at, 2);
    at += 4;
  }
  if (type == 0x0008) return finishIpv4(data, at, length);
  return type == 0xdd86 ? finishIpv6(data, at, length) : false;
}

function finishIpv4(data: usize, at: u32, length: u32): bool {
  if (at + 28 > length) return false;
  const ip = data + <usize>at;
  const headerBytes = (<u32>load<u8>(ip) & 15) << 2;
  const total = <u32>bswap<u16>(load<u16>(ip, 2));
  // Neither more fragments nor an offset.
  if ((<u32>load<u8>(ip) >> 4) != 4 || headerBytes < 20 || (load<u16>(ip, 6) & 0xff3f) != 0) return false;
  if (total < headerBytes + 8 || at + total > length) return false;
  const addresses = load<u64>(ip, 12);
  const sum = (addresses & 0xffff_ffff) + (addresses >> 32);
  return finish(ip + <usize>headerBytes, total - headerBytes, load<u8>(ip, 9), sum);
}

function finishIpv6(data: usize, at: u32, length: u32): bool {
  if (at + 48 > length) return false;
  const ip = data + <usize>at;
  const payload = <u32>bswap<u16>(load<u16>(ip, 4));
  if (payload < 8 || at + 40 + payload > length) return false;
  // Extension headers are rare enough to be left to the sender.
  return finish(ip + 40, payload, load<u8>(ip, 6), sumBytes(ip + 8, 32));
}

/** @param sum Of the addresses, not folded. */
// @ts-ignore: decorator
@inline
function finish(l4: usize, l4Length: u32, protocol: u32, sum: u64): bool {
  let field = l4;
  if (protocol == TCP) {
    if (l4Length < 20) return false;
    field += 16;
  } else if (protocol == UDP) {
    field += 6;
  } else {
    return false;
  }
  const pseudo = foldSum(sum + <u64>(protocol << 8) + <u64>bswap<u16>(<u16>l4Length));
  if (<u32>load<u16>(field) != pseudo) return false;
  const checksum = ~foldSum(sumBytes(l4, l4Length)) & 0xffff;
  store<u16>(field, <u16>(checksum == 0 ? 0xffff : checksum));
  return true;
}
