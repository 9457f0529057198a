import { alignedAlloc } from './aligned';
import { deferFree } from './epoch';
import { megaflowMatches } from './dpcls';
import { pmdRandom } from './emc';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';

/**
 * The signature match cache (other_config:smc-enable): from the hash of a packet's key to the megaflow it last
 * met. 262,144 buckets of four: u32[4] hashes, then u32[4] places in the pmd's flow directory + 1.
 *
 * An entry holds nothing: the directory says which megaflow stands at the place now, and the packet is
 * compared with it under its mask, so that a stale entry is a miss at worst. It costs 8 bytes a flow instead of
 * the EMC's 80, and one comparison instead of a search through the subtables.
 */
// @ts-ignore: decorator
@inline const BUCKETS: u32 = 262144;
// @ts-ignore: decorator
@inline const BUCKET: usize = 32;
// Scratch in pmd.pending, used before dpcls-lookup.ts uses it.
// @ts-ignore: decorator
@inline const PLACES: usize = 0;

/** Gives the pmd an empty cache, or takes it away. False when memory is used up. Any online thread but one at a time. */
export function pmdSetSmc(pmd: usize, enable: bool): bool {
  const old: usize = load<u32>(pmd, Pmd.smc);
  if (enable == (old != 0)) return true;
  const cache: usize = enable ? alignedAlloc(BUCKETS * <u32>BUCKET) : 0;
  if (enable && cache == 0) return false;
  atomic.store<u32>(pmd + Pmd.smc, <u32>cache);
  if (old != 0) deferFree(load<u32>(old - 4));
  return true;
}

// @ts-ignore: decorator
@inline
function bucketOf(cache: usize, hash: u32): usize {
  return cache + (<usize>(hash & (BUCKETS - 1)) << 5);
}

/** Bitmap of the four entries whose hash is this one. */
// @ts-ignore: decorator
@inline
function sameHash(bucket: usize, hash: u32): u32 {
  return <u32>i32x4.bitmask(i32x4.eq(v128.load(bucket), i32x4.splat(hash)));
}

/**
 * Looks up the packets of [list, end) that have no megaflow; returns how many found one. Three loops, so that the
 * waits for buckets, directory and megaflows overlap.
 */
export function smcLookup(pmd: usize, cache: usize, list: usize, end: usize): u32 {
  const scratch = <usize>load<u32>(pmd, Pmd.pending) + PLACES;
  // Read in this order: a bigger directory holds all places of a smaller one.
  const capacity = atomic.load<u32>(pmd + Pmd.flowCapacity);
  const slots: usize = atomic.load<u32>(pmd + Pmd.flowSlots);
  let to = scratch;
  for (let at = list; at < end; at += 4, to += 4) {
    const packet: usize = load<u32>(at);
    const hash = load<u32>(packet, Packet.hash);
    const bucket = bucketOf(cache, hash);
    const same = sameHash(bucket, hash);
    let place: u32 = 0;
    if (same != 0) place = load<u32>(bucket + (<usize>ctz(same) << 2), 16);
    store<u32>(to, load<u32>(packet, Packet.megaflow) != 0 || place > capacity ? 0 : place);
  }
  for (let at = scratch; at < to; at += 4) {
    const place = load<u32>(at);
    if (place != 0) store<u32>(at, load<u32>(slots + (<usize>place << 2) - 4));
  }
  let hits: u32 = 0;
  to = scratch;
  for (let at = list; at < end; at += 4, to += 4) {
    const mf: usize = load<u32>(to);
    if (mf == 0) continue;
    const packet: usize = load<u32>(at);
    if (!megaflowMatches(load<u32>(mf, Megaflow.subtable), mf, load<u32>(packet, Packet.key))) continue;
    store<u32>(packet, <u32>mf, Packet.megaflow);
    hits++;
  }
  return hits;
}

/** Remembers a packet's megaflow. The pmd's thread. */
export function smcInsert(pmd: usize, cache: usize, hash: u32, mf: usize): void {
  const bucket = bucketOf(cache, hash);
  let index: u32;
  const same = sameHash(bucket, hash);
  if (same != 0) index = ctz(same);
  else {
    const empty = <u32>i32x4.bitmask(i32x4.eq(v128.load(bucket, 16), i64x2.splat(0)));
    index = empty != 0 ? ctz(empty) : pmdRandom(pmd) & 3;
  }
  const at = bucket + (<usize>index << 2);
  store<u32>(at, hash);
  store<u32>(at, load<u32>(mf, Megaflow.slot) + 1, 16);
}
