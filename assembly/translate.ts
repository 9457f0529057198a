import { alloc, free } from './memory';
import { Key } from './generated/key';
import { ruleCredit, ruleRef, ruleUnref } from './rule';

/**
 * The bulk work of a translation (src/ofproto/translate) over whole keys. All addresses are of 768-byte
 * keys that the calling thread owns. Values in keys are in network order, so that constants here are
 * swapped.
 */
// @ts-ignore: decorator
@inline const ONES: u64 = 0xffff_ffff_ffff_ffff;
// @ts-ignore: decorator
@inline const ETH_IP: u32 = 0x0008;
// @ts-ignore: decorator
@inline const ETH_IPV6: u32 = 0xdd86;
/** OFPP_UNSET. */
// @ts-ignore: decorator
@inline const PORT_UNSET: u32 = 0xf7ff_ffff;
/** CFI of a TCI: the tag is there. */
// @ts-ignore: decorator
@inline const CFI: u16 = 0x0010;

/**
 * Begins a translation: `flow` and `base` are the input, `base` without its tunnel; `wc` has the fields that
 * every translation depends on.
 */
export function xlateStart(input: usize, flow: usize, base: usize, wc: usize): void {
  memory.copy(flow, input, Key.SIZE);
  memory.copy(base, input, Key.SIZE);
  memory.fill(base + Key.tunDst, 0, Key.regs - Key.tunDst);
  memory.fill(wc, 0, Key.SIZE);
  store<u32>(flow, PORT_UNSET, Key.actsetOutput);
  store<u32>(base, PORT_UNSET, Key.actsetOutput);
  // recirc_id and in_port.
  store<u64>(wc, ONES);
  store<u32>(wc, <u32>ONES, Key.packetType);
  store<u16>(wc, <u16>ONES, Key.dlType);
  const dlType = <u32>load<u16>(flow, Key.dlType);
  if (dlType == ETH_IP || dlType == ETH_IPV6) store<u8>(wc, 3, Key.nwFrag);
}

/** Takes out of a translation's mask what a datapath flow cannot have, or need not (OVS's xlate_wc_finish). */
export function xlateFinish(input: usize, flow: usize, wc: usize): void {
  if (load<u32>(input, Key.packetType) != 0) memory.fill(wc + Key.dlDst, 0, Key.dlType - Key.dlDst);
  const dlType = <u32>load<u16>(flow, Key.dlType);
  const proto = load<u8>(flow, Key.nwProto);
  if ((dlType == ETH_IP && proto == 1) || (dlType == ETH_IPV6 && proto == 58)) {
    // Types and codes are 8 bits.
    store<u8>(wc, 0, Key.tpSrc);
    store<u8>(wc, 0, Key.tpDst);
  }
  if (load<u16>(wc, Key.vlanTci0) != 0) store<u16>(wc, load<u16>(wc, Key.vlanTci0) | CFI, Key.vlanTci0);
  if (load<u16>(wc, Key.vlanTci1) != 0) store<u16>(wc, load<u16>(wc, Key.vlanTci1) | CFI, Key.vlanTci1);
  if (load<u8>(flow, Key.nwFrag) & 2) store<u32>(wc, 0, Key.tpSrc);
  // Registers and metadata are no packet fields; a packet of no tunnel has no tunnel fields to match.
  const hasTunnel =
    load<u32>(input, Key.tunDst) != 0 || load<u64>(input, Key.tunIpv6Dst) != 0 || load<u64>(input, Key.tunIpv6Dst + 8) != 0;
  const from = hasTunnel ? Key.regs : Key.tunDst;
  memory.fill(wc + from, 0, Key.SIZE - from);
  const inputType = <u32>load<u16>(input, Key.dlType);
  if (inputType != 0x4788 && inputType != 0x4888) memory.fill(wc + Key.mplsLse0, 0, Key.igmpGroupIp4 - Key.mplsLse0);
  if (!isVlan(load<u16>(input, Key.vlanTpid0))) store<u32>(wc, 0, Key.vlanTpid0);
  if (!isVlan(load<u16>(input, Key.vlanTpid1))) store<u32>(wc, 0, Key.vlanTpid1);
}

// @ts-ignore: decorator
@inline
function isVlan(tpid: u16): bool {
  return tpid == 0x0081 || tpid == 0xa888;
}

/** Whether two keys are equal in all that datapath actions can change. */
export function headersEqual(flow: usize, base: usize): bool {
  // Block 0 but for recirc_id, in_port and dp_hash.
  const first = v128.and(v128.xor(v128.load(flow), v128.load(base)), i32x4(0, 0, -1, -1));
  const last = v128.and(v128.xor(v128.load(flow, 48), v128.load(base, 48)), i32x4(-1, 0, -1, -1));
  let differ = v128.or(
    v128.or(first, last),
    v128.or(v128.xor(v128.load(flow, 16), v128.load(base, 16)), v128.xor(v128.load(flow, 32), v128.load(base, 32))),
  );
  for (let at: usize = 64; at < 128; at += 16) {
    differ = v128.or(differ, v128.xor(v128.load(flow + at), v128.load(base + at)));
  }
  // The MPLS stack and the word behind it: 20 bytes.
  differ = v128.or(differ, v128.xor(v128.load(flow, Key.mplsLse0), v128.load(base, Key.mplsLse0)));
  return !v128.any_true(differ) && load<u32>(flow, Key.igmpGroupIp4) == load<u32>(base, Key.igmpGroupIp4);
}

/** Zeroes `n` bytes. */
export function zeroBytes(at: usize, n: u32): void {
  memory.fill(at, 0, n);
}

/** Whether `n` bytes at two addresses are equal. */
export function bytesEqual(a: usize, b: usize, n: u32): bool {
  return memory.compare(a, b, n) == 0;
}

/** Kind of the records of a side-effect list that hold a rule (src/ofproto/translate/xcache.ts). */
// @ts-ignore: decorator
@inline const XCACHE_RULE: u32 = 1;

/**
 * Copies a side-effect list (words: kind | length << 16, arguments) into a block of its own, with a reference on each of
 * its rules; 0 when memory is used up. The thread is online and the list of this step.
 */
export function xcacheKeep(list: usize, words: u32): usize {
  const block = alloc(words << 2);
  if (block == 0) return 0;
  memory.copy(block, list, words << 2);
  for (let at = block, end = block + (<usize>words << 2); at < end; at += next(at)) {
    if ((load<u32>(at) & 0xffff) == XCACHE_RULE) ruleRef(load<u32>(at, 4));
  }
  return block;
}

/** Credits traffic to the rules of a side-effect list. */
export function xcacheCredit(list: usize, words: u32, packets: f64, bytes: f64, usedMs: f64): void {
  for (let at = list, end = list + (<usize>words << 2); at < end; at += next(at)) {
    if ((load<u32>(at) & 0xffff) == XCACHE_RULE) ruleCredit(load<u32>(at, 4), packets, bytes, usedMs);
  }
}

/** Gives up a kept list: its rules' references, then the block. */
export function xcacheDrop(list: usize, words: u32): void {
  if (list == 0) return;
  for (let at = list, end = list + (<usize>words << 2); at < end; at += next(at)) {
    if ((load<u32>(at) & 0xffff) == XCACHE_RULE) ruleUnref(load<u32>(at, 4));
  }
  free(list);
}

// @ts-ignore: decorator
@inline
function next(at: usize): usize {
  return <usize>max<u32>(load<u32>(at) >>> 16, 1) << 2;
}
