import { ArenaRoot } from './generated/arena-root';
import { Key } from './generated/key';

/**
 * Multilinear hashes: each word times a random constant of its place, summed in 64 bits. No step waits
 * for the one before, unlike a murmur chain. The constants are random per start (`hashConstants` of
 * the arena root): nobody outside can choose packets that collide.
 */

// @ts-ignore: decorator
@inline export const HASH_CONSTANTS: usize = 65536 + ArenaRoot.hashConstants;

// @ts-ignore: decorator
@inline
function mulWord(word: u32, index: usize): u64 {
  return <u64>word * load<u64>(HASH_CONSTANTS + (index << 3));
}

/** NH: sums of products of pairs of words; 64 bytes in four vectors. */
// @ts-ignore: decorator
@inline
function nhBlock(p: usize, constants: usize): v128 {
  return nhSum(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), constants);
}

/** Hash of a whole key, for the EMC. */
// @ts-ignore: decorator
@inline
export function hashKey(key: usize, present: u32): u32 {
  let sum = nhBlock(key, HASH_CONSTANTS);
  let rest = present & ~1;
  while (rest != 0) {
    const block = <usize>ctz(rest);
    rest &= rest - 1;
    sum = i64x2.add(sum, nhBlock(key + (block << 6), HASH_CONSTANTS + (block << 6)));
  }
  return nhFold(sum);
}

/** 32 bits of an NH sum, by multiply-shift: the constant is odd. */
// @ts-ignore: decorator
@inline
export function nhFold(sum: v128): u32 {
  const h = i64x2.extract_lane(sum, 0) + i64x2.extract_lane(sum, 1);
  return <u32>((h * load<u64>(HASH_CONSTANTS + 8 * 200)) >>> 32);
}

/** NH of 16 words: products of words 0-3 with 4-7 and 8-11 with 12-15. */
// @ts-ignore: decorator
@inline
function nhSum(a: v128, b: v128, c: v128, d: v128, constants: usize): v128 {
  a = i32x4.add(a, v128.load(constants));
  b = i32x4.add(b, v128.load(constants, 16));
  c = i32x4.add(c, v128.load(constants, 32));
  d = i32x4.add(d, v128.load(constants, 48));
  return i64x2.add(
    i64x2.add(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b)),
    i64x2.add(i64x2.extmul_low_i32x4_u(c, d), i64x2.extmul_high_i32x4_u(c, d)),
  );
}

/**
 * NH of one quarter of a block (16 bytes): words 0 and 1 with 2 and 3. Sums of these over the quarters that a
 * mask has are the hashes of masked keys: a quarter that two masks share is summed alike.
 */
// @ts-ignore: decorator
@inline
export function nhQuarter(words: v128, constants: v128): v128 {
  const sum = i32x4.add(words, constants);
  return i64x2.extmul_low_i32x4_u(sum, i8x16.shuffle(sum, sum, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
}

/** Bitmap of the blocks of a key or mask that are not zero. */
export function keyPresent(key: usize): u32 {
  let present: u32 = 0;
  for (let block: usize = 0; block < 12; block++) {
    const p = key + (block << 6);
    const any = v128.or(
      v128.or(v128.load(p), v128.load(p, 16)),
      v128.or(v128.load(p, 32), v128.load(p, 48)),
    );
    if (v128.any_true(any)) present |= 1 << <u32>block;
  }
  return present;
}

/** Hash of all words of a 768-byte mask or key, seeded with a row of constants (0 to 3). */
export function hashWhole(key: usize, row: u32): u32 {
  let h: u64 = load<u64>(HASH_CONSTANTS + 8 * (220 + row));
  for (let word: usize = 0; word < 192; word++) {
    const value = load<u32>(key + (word << 2));
    if (value != 0) h += mulWord(value, (word + <usize>row * 64) & 255);
  }
  return <u32>(h >>> 32);
}

/** OVS_HASH_ALG_L4: addresses, protocol and ports. */
export function hash5tuple(key: usize, basis: u32): u32 {
  let h: u64 = mulWord(basis, 202);
  h += mulWord(load<u32>(key, Key.nwSrc), 203) + mulWord(load<u32>(key, Key.nwDst), 204);
  h += mulWord(load<u32>(key, Key.tpSrc), 205) + mulWord(<u32>load<u8>(key, Key.nwProto), 206);
  if (load<u16>(key, Key.dlType) == 0xdd86) {
    for (let word: usize = 0; word < 8; word++) {
      h += mulWord(load<u32>(key + 64 + (word << 2)), 207 + word);
    }
  }
  return <u32>(h >>> 32);
}

/** OVS_HASH_ALG_SYM_L4: the same in both directions; 0 for what is not IP. Ports count for TCP and SCTP. */
export function hashSymmetricL3L4(key: usize, basis: u32): u32 {
  const type = load<u16>(key, Key.dlType);
  let h: u64 = mulWord(basis, 202);
  if (type == 0x0008) {
    h += mulWord(load<u32>(key, Key.nwSrc) ^ load<u32>(key, Key.nwDst), 206);
  } else if (type == 0xdd86) {
    for (let word: usize = 0; word < 4; word++) {
      const at = key + (word << 2);
      h += mulWord(load<u32>(at, Key.ipv6Src) ^ load<u32>(at, Key.ipv6Dst), 207 + word);
    }
  } else {
    return 0;
  }
  const proto = <u32>load<u8>(key, Key.nwProto);
  h += mulWord(proto, 211);
  if (proto == 6 || proto == 132) {
    h += mulWord(<u32>(load<u16>(key, Key.tpSrc) ^ load<u16>(key, Key.tpDst)), 212);
  }
  return <u32>(h >>> 32);
}
