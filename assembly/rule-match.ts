import { Key } from './generated/key';
import { Rule } from './generated/rule';
import { ThreadBlock } from './generated/thread-block';
import { HASH_CONSTANTS } from './hash';
import { me } from './thread';

/**
 * A match in short form: the words of the mask that are not zero, in the order of OVS's classifier
 * stages (metadata, L2, L3, L4; `keyStages` of key.layout.ts), within a stage by place. The words
 * with dlType and nwProto, and with nwTtl and tcpFlags, belong to two stages: they may appear twice,
 * with a part of the mask each.
 */
// @ts-ignore: decorator
@inline
export function ruleValues(rule: usize): usize {
  return rule + Rule.SIZE;
}
// @ts-ignore: decorator
@inline
export function ruleMasks(rule: usize): usize {
  return rule + Rule.SIZE + (<usize>load<u8>(rule, Rule.words) << 2);
}
// @ts-ignore: decorator
@inline
export function ruleOffsets(rule: usize): usize {
  return rule + Rule.SIZE + (<usize>load<u8>(rule, Rule.words) << 3);
}

/**
 * Appends the words of [from, to) to the match at `out` of `total` words (0 = only count). `part` picks
 * the bits of each word. Returns the number of words so far.
 */
function appendRange(from: usize, to: usize, part: u32, flow: usize, mask: usize, out: usize, total: u32, n: u32): u32 {
  for (let at = from; at < to; at += 4) {
    const bits = load<u32>(mask + at) & part;
    if (bits == 0) continue;
    if (out != 0) {
      store<u32>(out + (<usize>n << 2), load<u32>(flow + at) & bits);
      store<u32>(out + (<usize>(total + n) << 2), bits);
      store<u16>(out + (<usize>total << 3) + (<usize>n << 1), <u16>at);
    }
    n++;
  }
  return n;
}

/** Counts (out = 0) or writes the match of flow and mask; leaves the words up to each stage's end in me.stageEnds. */
export function matchBuild(flow: usize, mask: usize, out: usize, total: u32): u32 {
  const all: u32 = 0xffff_ffff;
  const ends = me + ThreadBlock.stageEnds;
  let n = appendRange(Key.recircId, Key.dlDst, all, flow, mask, out, total, 0);
  n = appendRange(Key.packetType, Key.ipv6Src, all, flow, mask, out, total, n);
  n = appendRange(Key.ctState, Key.ctNwSrc, all, flow, mask, out, total, n);
  n = appendRange(Key.tunDst, Key.SIZE, all, flow, mask, out, total, n);
  store<u32>(ends, n);
  n = appendRange(Key.dlDst, Key.dlType, all, flow, mask, out, total, n);
  n = appendRange(Key.dlType, Key.nwTtl, 0x0000_ffff, flow, mask, out, total, n);
  n = appendRange(Key.vlanTpid0, Key.nwSrc, all, flow, mask, out, total, n);
  n = appendRange(Key.mplsLse0, Key.igmpGroupIp4, all, flow, mask, out, total, n);
  store<u32>(ends, n, 4);
  n = appendRange(Key.dlType, Key.nwTtl, 0xffff_0000, flow, mask, out, total, n);
  n = appendRange(Key.nwTtl, Key.vlanTpid0, 0x0000_ffff, flow, mask, out, total, n);
  n = appendRange(Key.nwSrc, Key.tpSrc, all, flow, mask, out, total, n);
  n = appendRange(Key.ipv6Src, Key.ndTarget, all, flow, mask, out, total, n);
  n = appendRange(Key.ctNwSrc, Key.ctTpSrc, all, flow, mask, out, total, n);
  n = appendRange(Key.ctIpv6Src, Key.nshFlags, all, flow, mask, out, total, n);
  store<u32>(ends, n, 8);
  n = appendRange(Key.nwTtl, Key.vlanTpid0, 0xffff_0000, flow, mask, out, total, n);
  n = appendRange(Key.tpSrc, Key.packetType, all, flow, mask, out, total, n);
  n = appendRange(Key.ndTarget, Key.ctState, all, flow, mask, out, total, n);
  n = appendRange(Key.ctTpSrc, Key.mplsLse0, all, flow, mask, out, total, n);
  n = appendRange(Key.igmpGroupIp4, Key.ctIpv6Src, all, flow, mask, out, total, n);
  n = appendRange(Key.nshFlags, Key.tunDst, all, flow, mask, out, total, n);
  store<u32>(ends, n, 12);
  return n;
}

/** Bits of the key that the rule's mask has at `at` (4-aligned). */
export function ruleMaskWord(rule: usize, at: u32): u32 {
  const n = <usize>load<u8>(rule, Rule.words);
  let bits: u32 = 0;
  for (let i: usize = 0; i < n; i++) {
    if (<u32>load<u16>(ruleOffsets(rule) + (i << 1)) == at) bits |= load<u32>(ruleMasks(rule) + (i << 2));
  }
  return bits;
}

/** Value of the key word at `at`, masked. */
export function ruleValueWord(rule: usize, at: u32): u32 {
  const n = <usize>load<u8>(rule, Rule.words);
  let bits: u32 = 0;
  for (let i: usize = 0; i < n; i++) {
    if (<u32>load<u16>(ruleOffsets(rule) + (i << 1)) == at) bits |= load<u32>(ruleValues(rule) + (i << 2));
  }
  return bits;
}

/** Adds the rule's words [from, to) to a multilinear hash. */
export function ruleHashRange(rule: usize, from: u32, to: u32, sum: u64): u64 {
  const values = ruleValues(rule);
  const offsets = ruleOffsets(rule);
  for (let i = <usize>from; i < <usize>to; i++) {
    const at = <usize>load<u16>(offsets + (i << 1));
    sum += <u64>load<u32>(values + (i << 2)) * load<u64>(HASH_CONSTANTS + (at << 1));
  }
  return sum;
}

/** The rule's match as a full key and mask (both are overwritten). */
export function ruleExpand(rule: usize, flowOut: usize, maskOut: usize): void {
  memory.fill(flowOut, 0, Key.SIZE);
  memory.fill(maskOut, 0, Key.SIZE);
  const n = <usize>load<u8>(rule, Rule.words);
  for (let i: usize = 0; i < n; i++) {
    const at = <usize>load<u16>(ruleOffsets(rule) + (i << 1));
    store<u32>(flowOut + at, load<u32>(flowOut + at) | load<u32>(ruleValues(rule) + (i << 2)));
    store<u32>(maskOut + at, load<u32>(maskOut + at) | load<u32>(ruleMasks(rule) + (i << 2)));
  }
}

/** Number of bits of a full mask; see ruleMatchesLoose. */
export function maskBits(mask: usize): u32 {
  let bits: u64 = 0;
  for (let at: usize = 0; at < Key.SIZE; at += 8) bits += popcnt<u64>(load<u64>(mask + at));
  return <u32>bits;
}

/**
 * Non-strict selection: the rule matches on all bits of `mask` (of `bits` bits, by `maskBits`), with
 * the values of `flow` there.
 */
export function ruleMatchesLooseBits(rule: usize, flow: usize, mask: usize, bits: u32): bool {
  const n = <usize>load<u8>(rule, Rule.words);
  const values = ruleValues(rule);
  const masks = ruleMasks(rule);
  const offsets = ruleOffsets(rule);
  let seen: u32 = 0;
  for (let i: usize = 0; i < n; i++) {
    const at = <usize>load<u16>(offsets + (i << 1));
    const common = load<u32>(mask + at) & load<u32>(masks + (i << 2));
    if ((load<u32>(values + (i << 2)) ^ load<u32>(flow + at)) & common) return false;
    seen += popcnt<u32>(common);
  }
  return seen == bits;
}

export function ruleMatchesLoose(rule: usize, flow: usize, mask: usize): bool {
  return ruleMatchesLooseBits(rule, flow, mask, maskBits(mask));
}

/** Whether some packet could match both the rule and flow/mask. */
export function ruleOverlapsMatch(rule: usize, flow: usize, mask: usize): bool {
  const n = <usize>load<u8>(rule, Rule.words);
  for (let i: usize = 0; i < n; i++) {
    const at = <usize>load<u16>(ruleOffsets(rule) + (i << 1));
    const common = load<u32>(mask + at) & load<u32>(ruleMasks(rule) + (i << 2));
    if ((load<u32>(ruleValues(rule) + (i << 2)) ^ load<u32>(flow + at)) & common) return false;
  }
  return true;
}

/** Zeroes a key or mask: a tenth of the cost of TypedArray.fill on shared memory. */
export function keyClear(key: usize): void {
  memory.fill(key, 0, Key.SIZE);
}

/** Copies a key or mask within the arena. */
export function keyCopy(to: usize, from: usize): void {
  memory.copy(to, from, Key.SIZE);
}
