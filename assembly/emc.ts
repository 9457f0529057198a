import { Megaflow } from './generated/megaflow';
import { Pmd } from './generated/pmd';
import { megaflowTryRef, megaflowUnref } from './megaflow';

/**
 * The exact match cache of a pmd: 8,192 entries, two places for each key (as in OVS), found by two
 * halves of the key's hash. An entry is a header {megaflow, -, present, hash} and the first four present
 * blocks of the key; keys with more are not cached. Block 0 lies apart from the others, since most keys have no
 * more: so the cache fills all sets of the processor's caches.
 *
 * An entry holds a reference to its megaflow, so that a deleted one stays readable until the entry is
 * used again or swept: a hit on a dead megaflow is a miss.
 */
// @ts-ignore: decorator
@inline export const EMC_ENTRIES: u32 = 8192;
// @ts-ignore: decorator
@inline const MASK: u32 = EMC_ENTRIES - 1;
// @ts-ignore: decorator
@inline const REST_BYTES: usize = 192;

// @ts-ignore: decorator
@inline
function differ(a: usize, b: usize): bool {
  const d = v128.or(
    v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16))),
    v128.or(v128.xor(v128.load(a, 32), v128.load(b, 32)), v128.xor(v128.load(a, 48), v128.load(b, 48))),
  );
  return v128.any_true(d);
}

function sameRest(pmd: usize, index: usize, key: usize, present: u32): bool {
  let stored = <usize>load<u32>(pmd, Pmd.emcRests) + index * REST_BYTES;
  let rest = present & (present - 1);
  while (rest != 0) {
    if (differ(stored, key + (<usize>ctz(rest) << 6))) return false;
    stored += 64;
    rest &= rest - 1;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function entryMatches(pmd: usize, headers: usize, keys: usize, index: usize, key: usize, present: u32, hash: u32): bool {
  return (
    load<u64>(headers + (index << 4), 8) == ((<u64>hash << 32) | <u64>present) &&
    !differ(keys + (index << 6), key) &&
    ((present & (present - 1)) == 0 || sameRest(pmd, index, key, present))
  );
}

/** The live megaflow cached for a key, or 0. */
// @ts-ignore: decorator
@inline
export function emcLookup(pmd: usize, headers: usize, keys: usize, key: usize, present: u32, hash: u32): usize {
  let index = <usize>(hash & MASK);
  if (!entryMatches(pmd, headers, keys, index, key, present, hash)) {
    index = <usize>((hash >>> 13) & MASK);
    if (!entryMatches(pmd, headers, keys, index, key, present, hash)) return 0;
  }
  const mf: usize = load<u32>(headers + (index << 4));
  return mf != 0 && load<u32>(mf, Megaflow.dead) == 0 ? mf : 0;
}

function isFree(header: usize): bool {
  const mf: usize = load<u32>(header);
  return mf == 0 || load<u32>(mf, Megaflow.dead) != 0;
}

/** Next number of the pmd's generator (xorshift). */
export function pmdRandom(pmd: usize): u32 {
  let x = load<u32>(pmd, Pmd.random);
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  store<u32>(pmd, x, Pmd.random);
  return x;
}

/** Caches a key with the configured probability. */
// @ts-ignore: decorator
@inline
export function emcMaybeInsert(pmd: usize, key: usize, present: u32, hash: u32, mf: usize): void {
  const most = load<u32>(pmd, Pmd.emcInsertMin);
  if (most != 0 && pmdRandom(pmd) <= most) emcInsert(pmd, key, present, hash, mf);
}

export function emcInsert(pmd: usize, key: usize, present: u32, hash: u32, mf: usize): void {
  if (popcnt(present) > 4) return;
  const headers: usize = load<u32>(pmd, Pmd.emc);
  const keys: usize = load<u32>(pmd, Pmd.emcKeys);
  const one = <usize>(hash & MASK);
  const two = <usize>((hash >>> 13) & MASK);
  const headerOne = headers + (one << 4);
  const headerTwo = headers + (two << 4);
  let index: usize;
  // The same key (with a megaflow that died or was replaced), a free place, or either at random.
  if (entryMatches(pmd, headers, keys, one, key, present, hash)) index = one;
  else if (entryMatches(pmd, headers, keys, two, key, present, hash)) index = two;
  else if (isFree(headerOne)) index = one;
  else if (isFree(headerTwo)) index = two;
  else index = pmdRandom(pmd) & 1 ? one : two;

  const header = headers + (index << 4);
  const old: usize = load<u32>(header);
  if (old == mf) return;
  if (!megaflowTryRef(mf)) return;
  store<u32>(header, <u32>mf);
  store<u64>(header, (<u64>hash << 32) | <u64>present, 8);
  memory.copy(keys + (index << 6), key, 64);
  let stored = <usize>load<u32>(pmd, Pmd.emcRests) + index * REST_BYTES;
  for (let rest = present & (present - 1); rest != 0; rest &= rest - 1) {
    memory.copy(stored, key + (<usize>ctz(rest) << 6), 64);
    stored += 64;
  }
  if (old != 0) megaflowUnref(old);
}

/** Looks at some entries and lets go of dead megaflows. */
export function emcSweep(pmd: usize, count: u32): void {
  let at = load<u32>(pmd, Pmd.sweep);
  const headers: usize = load<u32>(pmd, Pmd.emc);
  for (; count > 0; count--) {
    const header = headers + (<usize>at << 4);
    const mf: usize = load<u32>(header);
    if (mf != 0 && load<u32>(mf, Megaflow.dead) != 0) emcDrop(header, mf);
    at = (at + 1) & MASK;
  }
  store<u32>(pmd, at, Pmd.sweep);
}

function emcDrop(header: usize, mf: usize): void {
  store<u32>(header, 0);
  store<u64>(header, 0, 8);
  megaflowUnref(mf);
}

/** Empties the cache. */
export function emcFlush(pmd: usize): void {
  const headers: usize = load<u32>(pmd, Pmd.emc);
  for (let at: usize = 0; at < <usize>EMC_ENTRIES; at++) {
    const mf: usize = load<u32>(headers + (at << 4));
    if (mf != 0) emcDrop(headers + (at << 4), mf);
  }
}
