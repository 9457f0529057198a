import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { lock, unlock } from './lock';
import { directoryAdd, directoryFindUfid, directoryRemove } from './directory';
import {
  dpclsPortFind,
  dpclsPortGet,
  subtableCreate,
  subtableDelete,
  subtableFind,
  subtableHash,
  subtableInsert,
  subtableOf,
  subtableRemoveEmpty,
} from './dpcls';
import { WORD } from './dpcls-table';
import { DpclsPort } from './generated/dpcls-port';
import { Key } from './generated/key';
import { Megaflow } from './generated/megaflow';
import { Pmd } from './generated/pmd';
import { Subtable } from './generated/subtable';
import { be32 } from './extract';
import { HASH_CONSTANTS, hashWhole, keyPresent } from './hash';

/**
 * Megaflows: made, changed and deleted by any online thread under the pmd's writer lock.
 *
 * A record is complete before a slot of its subtable names it. It is held by its subtable and by each
 * EMC entry (`refs`); who lets go last frees it through epochs.
 */
// @ts-ignore: decorator
@inline export const ACTIONS_HEADER: usize = 16;
// @ts-ignore: decorator
@inline const OP_OUTPUT: u32 = 1;
// @ts-ignore: decorator
@inline const UKEY_VISIBLE: u32 = 1;

/** One more holder, unless it is already being freed. */
export function megaflowTryRef(mf: usize): bool {
  if (atomic.add<u32>(mf + Megaflow.refs, 1) != 0) return true;
  atomic.sub<u32>(mf + Megaflow.refs, 1);
  return false;
}

export function megaflowUnref(mf: usize): void {
  if (atomic.sub<u32>(mf + Megaflow.refs, 1) != 1) return;
  deferFree(load<u32>(mf, Megaflow.actions));
  deferFree(mf);
}

function actionsNew(actions: usize, length: u32): usize {
  const block = alloc(<u32>ACTIONS_HEADER + length);
  if (block == 0) return 0;
  store<u32>(block, length);
  memory.copy(block + ACTIONS_HEADER, actions, length);
  return block;
}

/** The word of a megaflow that has its actions: the block, and in the upper half `quick`. */
function actionsWord(block: usize): u64 {
  const first = block + ACTIONS_HEADER;
  const isOutput = load<u32>(block) == 8 && load<u32>(first) == (8 | (OP_OUTPUT << 16));
  const quick: u32 = isOutput ? load<u32>(first, 4) + 1 : 0;
  return <u64>block | (<u64>quick << 32);
}

/** Unique id: four sums over masked key and mask, with constants of other places. */
function setUfid(mf: usize, subtable: usize, key: usize): void {
  let a = load<u32>(key, Key.recircId) * constant(61) + load<u32>(key, Key.inPort) * constant(62);
  let b = load<u32>(key, Key.recircId) * constant(101) + load<u32>(key, Key.inPort) * constant(102);
  let c = load<u32>(key, Key.recircId) * constant(139) + load<u32>(key, Key.inPort) * constant(140);
  let d = load<u32>(key, Key.recircId) * constant(181) + load<u32>(key, Key.inPort) * constant(182);
  let word: usize = load<u32>(subtable, Subtable.wordList);
  for (let left = load<u32>(subtable, Subtable.words); left > 0; left--, word += WORD) {
    // Halves: the sums tell keys apart only by the upper bits of products of 32-bit words.
    for (let half: usize = 0; half < 8; half += 4) {
      const mask = load<u32>(word + half, 8);
      const at = <usize>load<u32>(word) + half;
      const value = <u64>(load<u32>(key + at) & mask);
      const index = at >> 2;
      a += value * constant(index + 61) + <u64>mask * constant(index + 157);
      b += value * constant(index + 101) + <u64>mask * constant(index + 197);
      c += value * constant(index + 139) + <u64>mask * constant(index + 233);
      d += value * constant(index + 181) + <u64>mask * constant(index + 19);
    }
  }
  store<u32>(mf, <u32>(a >>> 32), Megaflow.ufid0);
  store<u32>(mf, <u32>(b >>> 32), Megaflow.ufid1);
  store<u32>(mf, <u32>(c >>> 32), Megaflow.ufid2);
  store<u32>(mf, <u32>(d >>> 32), Megaflow.ufid3);
}

// @ts-ignore: decorator
@inline
function constant(index: usize): u64 {
  return load<u64>(HASH_CONSTANTS + ((index & 255) << 3));
}

/** The mask as installed, in the pmd's scratch: in_port and recirc_id exact. Under pmd.lock. */
function ownMask(pmd: usize, mask: usize): usize {
  const scratch: usize = load<u32>(pmd, Pmd.maskScratch);
  memory.copy(scratch, mask, Key.SIZE);
  store<u64>(scratch, 0xffff_ffff_ffff_ffff);
  return scratch;
}

/**
 * Makes the megaflow of a key under a mask (768 bytes each), or returns the one that is already there.
 * 0 when memory is used up.
 */
export function megaflowInstall(
  pmd: usize,
  key: usize,
  mask: usize,
  actions: usize,
  length: u32,
  nowMs: f64,
): usize {
  lock(pmd + Pmd.lock);
  const mf = install(pmd, key, ownMask(pmd, mask), actions, length, nowMs);
  unlock(pmd + Pmd.lock);
  return mf;
}

function install(pmd: usize, key: usize, mask: usize, actions: usize, length: u32, nowMs: f64): usize {
  const present = keyPresent(mask);
  const maskHash = hashWhole(mask, 0);
  const inPort = be32(key + Key.inPort);
  const port = dpclsPortGet(pmd, inPort);
  if (port == 0) return 0;
  let subtable = subtableOf(port, mask, present, maskHash);
  if (subtable == 0) subtable = subtableCreate(pmd, port, mask, present, maskHash);
  if (subtable == 0) return 0;
  const hash = subtableHash(subtable, key);
  const found = subtableFind(subtable, key, hash);
  if (found != 0) return found;
  const mf = make(pmd, subtable, hash, key, actions, length, nowMs);
  // A mask that came for nothing would stay in every lookup's way.
  if (mf == 0) subtableRemoveEmpty(pmd, subtable);
  return mf;
}

function make(pmd: usize, subtable: usize, hash: u32, key: usize, actions: usize, length: u32, nowMs: f64): usize {
  const blocks = load<u32>(subtable, Subtable.blocks);
  const keyBlocks = keyPresent(key);
  const mf = alloc(<u32>Megaflow.SIZE + ((blocks + <u32>popcnt(keyBlocks)) << 6));
  const block = actionsNew(actions, length);
  if (mf == 0 || block == 0) {
    free(mf);
    free(block);
    return 0;
  }
  store<u64>(mf, actionsWord(block), Megaflow.actions);
  store<u32>(mf, hash, Megaflow.hash);
  store<u32>(mf, <u32>subtable, Megaflow.subtable);
  store<u32>(mf, <u32>pmd, Megaflow.pmd);
  store<u32>(mf, be32(key + Key.inPort), Megaflow.inPort);
  store<u32>(mf, 1, Megaflow.refs);
  store<u32>(mf, UKEY_VISIBLE, Megaflow.state);
  store<f64>(mf, nowMs, Megaflow.createdMs);
  let to = mf + Megaflow.SIZE;
  let maskAt = subtable + Subtable.SIZE;
  for (let i: usize = 0; i < <usize>blocks; i++) {
    const from = key + (<usize>load<u8>(subtable + Subtable.blockAt + i) << 6);
    for (let at: usize = 0; at < 64; at += 16) {
      v128.store(to + at, v128.and(v128.load(from + at), v128.load(maskAt + at)));
    }
    to += 64;
    maskAt += 64;
  }
  store<u32>(mf, keyBlocks, Megaflow.keyBlocks);
  for (let left = keyBlocks; left != 0; left &= left - 1) {
    memory.copy(to, key + (<usize>ctz(left) << 6), 64);
    to += 64;
  }
  setUfid(mf, subtable, key);
  const generation = load<u32>(pmd, Pmd.generation) + 1;
  store<u32>(pmd, generation, Pmd.generation);
  store<u32>(mf, generation, Megaflow.generation);
  if (!directoryAdd(pmd, mf)) {
    free(block);
    free(mf);
    return 0;
  }
  if (!subtableInsert(subtable, mf, hash)) {
    store<u32>(mf, 1, Megaflow.dead);
    directoryRemove(pmd, mf);
    megaflowUnref(mf);
    return 0;
  }
  return mf;
}

/** Deletes a megaflow whose address is good (same step). False if it was dead. */
export function megaflowDelete(mf: usize): bool {
  const pmd: usize = load<u32>(mf, Megaflow.pmd);
  lock(pmd + Pmd.lock);
  const alive = load<u32>(mf, Megaflow.dead) == 0;
  if (alive) remove(pmd, mf);
  unlock(pmd + Pmd.lock);
  return alive;
}

function remove(pmd: usize, mf: usize): void {
  atomic.store<u32>(mf + Megaflow.dead, 1);
  subtableDelete(pmd, load<u32>(mf, Megaflow.subtable), mf, load<u32>(mf, Megaflow.hash));
  directoryRemove(pmd, mf);
  megaflowUnref(mf);
}

/** Deletes all megaflows of a pmd; returns how many. */
export function megaflowFlush(pmd: usize): u32 {
  lock(pmd + Pmd.lock);
  const slots: usize = load<u32>(pmd, Pmd.flowSlots);
  const end = slots + (<usize>load<u32>(pmd, Pmd.flowCapacity) << 2);
  let count: u32 = 0;
  for (let at = slots; at < end; at += 4) {
    const mf: usize = load<u32>(at);
    if (mf == 0) continue;
    remove(pmd, mf);
    count++;
  }
  unlock(pmd + Pmd.lock);
  return count;
}

/** Gives a megaflow other actions (copied). False if it is dead or memory is used up. */
export function megaflowSetActions(mf: usize, actions: usize, length: u32): bool {
  const block = actionsNew(actions, length);
  if (block == 0) return false;
  const pmd: usize = load<u32>(mf, Megaflow.pmd);
  lock(pmd + Pmd.lock);
  const alive = load<u32>(mf, Megaflow.dead) == 0;
  if (alive) deferFree(<usize>(atomic.xchg<u64>(mf + Megaflow.actions, actionsWord(block)) & 0xffff_ffff));
  unlock(pmd + Pmd.lock);
  if (!alive) free(block);
  return alive;
}

/** The megaflow with exactly this mask and masked key, or 0. */
export function megaflowFind(pmd: usize, key: usize, mask: usize): usize {
  lock(pmd + Pmd.lock);
  const own = ownMask(pmd, mask);
  const port = dpclsPortFind(pmd, be32(key + Key.inPort));
  let mf: usize = 0;
  if (port != 0) {
    const subtable = subtableOf(port, own, keyPresent(own), hashWhole(own, 0));
    if (subtable != 0) mf = subtableFind(subtable, key, subtableHash(subtable, key));
  }
  unlock(pmd + Pmd.lock);
  return mf;
}

export function megaflowFindUfid(pmd: usize, u0: u32, u1: u32, u2: u32, u3: u32): usize {
  lock(pmd + Pmd.lock);
  const mf = directoryFindUfid(pmd, u0, u1, u2, u3);
  unlock(pmd + Pmd.lock);
  return mf;
}

/** The megaflow that a packet with this key would hit, or 0; counts nothing. */
export function megaflowLookup(pmd: usize, key: usize): usize {
  lock(pmd + Pmd.lock);
  const port = dpclsPortFind(pmd, be32(key + Key.inPort));
  let mf: usize = 0;
  if (port != 0) {
    const list: usize = load<u32>(port, DpclsPort.list);
    const count = load<u32>(list);
    for (let i: u32 = 0; i < count && mf == 0; i++) {
      const subtable: usize = load<u32>(list + (<usize>i << 2), 4);
      mf = subtableFind(subtable, key, subtableHash(subtable, key));
    }
  }
  unlock(pmd + Pmd.lock);
  return mf;
}

/** Writes the key that a megaflow was made for and its mask, 768 bytes each. */
export function megaflowExpand(mf: usize, keyOut: usize, maskOut: usize): void {
  megaflowKey(mf, keyOut);
  const subtable: usize = load<u32>(mf, Megaflow.subtable);
  memory.fill(maskOut, 0, Key.SIZE);
  const blocks = <usize>load<u32>(subtable, Subtable.blocks);
  for (let i: usize = 0; i < blocks; i++) {
    const block = <usize>load<u8>(subtable + Subtable.blockAt + i) << 6;
    memory.copy(maskOut + block, subtable + Subtable.SIZE + (i << 6), 64);
  }
}

/** Writes the key that a megaflow was made for, 768 bytes. */
export function megaflowKey(mf: usize, keyOut: usize): void {
  memory.fill(keyOut, 0, Key.SIZE);
  const blocks = <usize>load<u32>(<usize>load<u32>(mf, Megaflow.subtable), Subtable.blocks);
  let from = mf + Megaflow.SIZE + (blocks << 6);
  for (let left = load<u32>(mf, Megaflow.keyBlocks); left != 0; left &= left - 1) {
    memory.copy(keyOut + (<usize>ctz(left) << 6), from, 64);
    from += 64;
  }
}

// @ts-ignore: decorator
@inline const UKEY_OPERATIONAL: u32 = 2;

/**
 * Goes over flow slots [from, to) of a pmd, at most 255 of them, as far as there is nothing to do: the flow is alive and
 * translated for `revalSeq`, saw a packet after `oldestMs`, and none since its statistics were pushed. Such flows are
 * marked as seen in round `dumpSeq`. Returns how many slots it went over, and from bit 8 on how many flows.
 *
 * Without the flows' locks: of what is read here only the state changes at the hand of others, and then whoever changed it
 * has the flow. `dumpSeq` is written by the one thread that has the slot in this round.
 */
export function megaflowSkipIdle(pmd: usize, from: u32, to: u32, dumpSeq: u32, revalSeq: u32, oldestMs: f64): u32 {
  const slots: usize = load<u32>(pmd, Pmd.flowSlots);
  let count: u32 = 0;
  let i = from;
  for (; i < to; i++) {
    const mf: usize = load<u32>(slots + (<usize>i << 2));
    if (mf == 0) continue;
    if (load<u32>(mf, Megaflow.state) != UKEY_OPERATIONAL || load<u32>(mf, Megaflow.revalSeq) != revalSeq) break;
    if (load<f64>(mf, Megaflow.packets) != load<f64>(mf, Megaflow.pushedPackets)) break;
    const usedMs = load<f64>(mf, Megaflow.usedMs);
    if ((usedMs != 0 ? usedMs : load<f64>(mf, Megaflow.createdMs)) < oldestMs || load<u32>(mf, Megaflow.dead) != 0) break;
    store<u32>(mf, dumpSeq, Megaflow.dumpSeq);
    count++;
  }
  return (count << 8) | (i - from);
}

/** Whether a 768-byte mask has a bit that the megaflow's mask has not. */
function isWider(mf: usize, wc: usize): bool {
  const subtable: usize = load<u32>(mf, Megaflow.subtable);
  const present = load<u32>(subtable, Subtable.present);
  let mask = subtable + Subtable.SIZE;
  for (let block: u32 = 0; block < 12; block++) {
    const at = wc + (<usize>block << 6);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    if ((present >> block) & 1) {
      const ab = v128.or(v128.andnot(a, v128.load(mask)), v128.andnot(b, v128.load(mask, 16)));
      const cd = v128.or(v128.andnot(c, v128.load(mask, 32)), v128.andnot(d, v128.load(mask, 48)));
      if (v128.any_true(v128.or(ab, cd))) return true;
      mask += 64;
    } else if (v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) return true;
  }
  return false;
}

/**
 * What a new translation means for a megaflow whose address is good: 0 = it stays as it is, 1 = it has other
 * actions, 2 = it must go, since the translation looked at bits that its mask has not.
 */
export function megaflowReview(mf: usize, wc: usize, actions: usize, length: u32): u32 {
  if (isWider(mf, wc)) return 2;
  const block: usize = load<u32>(mf, Megaflow.actions);
  if (load<u32>(block) != length) return 1;
  return memory.compare(block + ACTIONS_HEADER, actions, length) == 0 ? 0 : 1;
}

export function megaflowActions(mf: usize): usize {
  return <usize>load<u32>(mf, Megaflow.actions) + ACTIONS_HEADER;
}

export function megaflowActionsLength(mf: usize): u32 {
  return load<u32>(<usize>load<u32>(mf, Megaflow.actions));
}
