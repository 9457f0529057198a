import { DpclsPort } from './generated/dpcls-port';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Subtable } from './generated/subtable';
import { chainLookup, chainOf } from './dpcls-chain';
import { megaflowMatches, subtableHash, subtableProbe } from './dpcls';
import { filterPasses, subtableEntry, WORD } from './dpcls-table';

/**
 * Lookup of a burst in the subtables of one input port, subtable by subtable over all packets that are
 * left, so that a mask stays in registers and the waits for memory overlap. For each: the filter parts
 * candidates from the others without a branch; then the candidates' hashes and table slots; then the
 * comparisons.
 *
 * pmd.pending: u32[32] each of keys and packets left, then of candidates the keys, packets and hashes,
 * u64[32] of their entries, u32[32] of all packets asked for, and 256 bytes of dpcls-chain.ts.
 */
// @ts-ignore: decorator
@inline export const PENDING_BYTES: u32 = 1280;
// @ts-ignore: decorator
@inline export const PENDING_PACKETS: usize = 128;
// @ts-ignore: decorator
@inline const CANDIDATE_KEYS: usize = 256;
// @ts-ignore: decorator
@inline const CANDIDATE_PACKETS: usize = 384;
// @ts-ignore: decorator
@inline const CANDIDATE_HASHES: usize = 512;
// @ts-ignore: decorator
@inline const CANDIDATE_ENTRIES: usize = 640;
// @ts-ignore: decorator
@inline export const PENDING_ALL: usize = 896;

/**
 * Finds the megaflows of n <= 32 keys of one input port; `pending` has keys and packets. Each packet that hits
 * gets its megaflow. Counts hits; returns how many subtables those that hit have seen.
 */
export function dpclsLookup(port: usize, pending: usize, n: u32): u32 {
  const list: usize = load<u32>(port, DpclsPort.list);
  const subtables = load<u32>(list);
  if (n == 0) return 0;
  let seen: u32 = 0;
  if (subtables == 1) {
    const subtable: usize = load<u32>(list, 4);
    const sole: usize = load<u32>(subtable, Subtable.sole);
    const left = sole != 0 && load<u32>(subtable, Subtable.blocks) == 1
      ? matchSole(subtable, sole, pending, n)
      : matchCandidates(subtable, pending, takeAll(pending, n), 0);
    store<u32>(subtable, load<u32>(subtable, Subtable.hits) + n - left, Subtable.hits);
    seen = n - left;
  } else if (chainOf(port) != 0) {
    seen = chainLookup(chainOf(port), pending, n);
  } else {
    for (let i: u32 = 0; i < subtables && n > 0; i++) {
      const subtable: usize = load<u32>(list + (<usize>i << 2), 4);
      const candidates = filterAll(subtable, pending, n);
      if (candidates == 0) continue;
      const left = matchCandidates(subtable, pending, candidates, n - candidates);
      store<u32>(subtable, load<u32>(subtable, Subtable.hits) + n - left, Subtable.hits);
      seen += (n - left) * (i + 1);
      n = left;
    }
  }
  return seen;
}

/** The only megaflow of the only subtable, of a mask of one block: nothing to hash. Returns packets left. */
function matchSole(subtable: usize, mf: usize, pending: usize, n: u32): u32 {
  const ma = v128.load(subtable, Subtable.SIZE);
  const mb = v128.load(subtable, Subtable.SIZE + 16);
  const mc = v128.load(subtable, Subtable.SIZE + 32);
  const md = v128.load(subtable, Subtable.SIZE + 48);
  const a = v128.load(mf, Megaflow.SIZE);
  const b = v128.load(mf, Megaflow.SIZE + 16);
  const c = v128.load(mf, Megaflow.SIZE + 32);
  const d = v128.load(mf, Megaflow.SIZE + 48);
  let left: u32 = 0;
  for (const end = pending + (<usize>n << 2); pending < end; pending += 4) {
    const key: usize = load<u32>(pending);
    const packet: usize = load<u32>(pending, PENDING_PACKETS);
    const differ = v128.any_true(
      v128.or(
        v128.or(
          v128.xor(v128.and(v128.load(key), ma), a),
          v128.xor(v128.and(v128.load(key, 16), mb), b),
        ),
        v128.or(
          v128.xor(v128.and(v128.load(key, 32), mc), c),
          v128.xor(v128.and(v128.load(key, 48), md), d),
        ),
      ),
    );
    if (differ) left++;
    else store<u32>(packet, <u32>mf, Packet.megaflow);
  }
  return left;
}

/** Makes candidates of all packets: for a lookup in one subtable, where a filter saves nothing. */
function takeAll(pending: usize, n: u32): u32 {
  memory.copy(pending + CANDIDATE_KEYS, pending, 256);
  return n;
}

/** Parts the packets that pass the filter from those left; returns the candidates. */
function filterAll(subtable: usize, pending: usize, n: u32): u32 {
  const filter = load<u64>(subtable, Subtable.filter);
  const words = load<u32>(subtable, Subtable.words);
  const list: usize = load<u32>(subtable, Subtable.wordList);
  // Four words in registers; what is read beyond the list is not used.
  const at1: usize = load<u32>(list);
  const m1 = load<u64>(list, 8);
  const a1 = load<u64>(list, 16);
  const at2: usize = load<u32>(list, WORD);
  const m2 = load<u64>(list, WORD + 8);
  const a2 = load<u64>(list, WORD + 16);
  const at3: usize = load<u32>(list, 2 * WORD);
  const m3 = load<u64>(list, 2 * WORD + 8);
  const a3 = load<u64>(list, 2 * WORD + 16);
  const at4: usize = load<u32>(list, 3 * WORD);
  const m4 = load<u64>(list, 3 * WORD + 8);
  const a4 = load<u64>(list, 3 * WORD + 16);
  let left = pending;
  let candidate = pending;
  for (let at = pending, end = pending + (<usize>n << 2); at < end; at += 4) {
    const key: usize = load<u32>(at);
    const packet = load<u32>(at, PENDING_PACKETS);
    let hash: u64 = 0;
    if (words > 0) hash += (load<u64>(key + at1) & m1) * a1;
    if (words > 1) hash += (load<u64>(key + at2) & m2) * a2;
    if (words > 2) hash += (load<u64>(key + at3) & m3) * a3;
    if (words > 3) hash += (load<u64>(key + at4) & m4) * a4;
    if (words > 4) hash += moreWords(list, words, key);
    const passes = <usize>filterPasses(filter, hash) << 2;
    store<u32>(left, <u32>key);
    store<u32>(left, packet, PENDING_PACKETS);
    left += 4 - passes;
    store<u32>(candidate, <u32>key, CANDIDATE_KEYS);
    store<u32>(candidate, packet, CANDIDATE_PACKETS);
    candidate += passes;
  }
  return <u32>(candidate - pending) >>> 2;
}

/** What the words after the fourth add to a filter hash. */
function moreWords(list: usize, words: u32, key: usize): u64 {
  let hash: u64 = 0;
  for (let word = list + 4 * WORD, end = list + <usize>words * WORD; word < end; word += WORD) {
    hash += (load<u64>(key + <usize>load<u32>(word)) & load<u64>(word, 8)) * load<u64>(word, 16);
  }
  return hash;
}

/** Gives candidates their megaflows; those that have none join the `left` others. Returns packets left. */
function matchCandidates(subtable: usize, pending: usize, candidates: u32, left: u32): u32 {
  const table: usize = load<u32>(subtable, Subtable.table);
  for (let i: usize = 0; i < <usize>candidates; i++) {
    const hash = subtableHash(subtable, load<u32>(pending + (i << 2), CANDIDATE_KEYS));
    store<u32>(pending + (i << 2), hash, CANDIDATE_HASHES);
    store<u64>(pending + (i << 3), subtableEntry(table, hash), CANDIDATE_ENTRIES);
  }
  for (let i: usize = 0; i < <usize>candidates; i++) {
    const key: usize = load<u32>(pending + (i << 2), CANDIDATE_KEYS);
    const packet = load<u32>(pending + (i << 2), CANDIDATE_PACKETS);
    const hash = load<u32>(pending + (i << 2), CANDIDATE_HASHES);
    const entry = load<u64>(pending + (i << 3), CANDIDATE_ENTRIES);
    let mf = <usize>(entry >>> 32);
    if (<u32>entry != hash || mf == 0 || !megaflowMatches(subtable, mf, key)) {
      mf = subtableProbe(subtable, table, entry, hash, key);
    }
    if (mf != 0) {
      store<u32>(<usize>packet, <u32>mf, Packet.megaflow);
      continue;
    }
    store<u32>(pending + (<usize>left << 2), <u32>key);
    store<u32>(pending + (<usize>left << 2), packet, PENDING_PACKETS);
    left++;
  }
  return left;
}
