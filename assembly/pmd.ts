import { alloc, free } from './memory';
import { lock, tryLock, unlock } from './lock';
import { execute, executeDrop } from './actions';
import { count, extractFresh, extractInto, KEY_SIZE, KEY_SLOTS, LIST_CAPACITY, missAdd, pmdReset, txAddMany } from './burst';
import { directoryFree, directoryInit } from './directory';
import { batchAll, batchesRun, BATCH_SIZE, credit } from './batch';
import { dpclsPortFind, dpclsRank } from './dpcls';
import { dpclsLookup, PENDING_ALL, PENDING_BYTES, PENDING_PACKETS } from './dpcls-lookup';
import { EMC_ENTRIES, emcFlush, emcLookup, emcMaybeInsert, emcSweep } from './emc';
import { extractPlain } from './extract-plain';
import { DpclsPort } from './generated/dpcls-port';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { PmdUpcall } from './generated/pmd-upcall';
import { HASH_CONSTANTS, hashKey } from './hash';
import { ACTIONS_HEADER, megaflowFlush } from './megaflow';
import { memoryReceive } from './port-memory';
import { pmdSendSinks, txFree } from './transmit';

/**
 * The way of a burst through a pmd: extract all, look all up (EMC, then dpcls), run actions batch by
 * batch, then the same for packets that recirculated, until none are left. One thread owns a pmd.
 *
 * The steps are loops over the burst, not one loop: stores of extraction have reached the cache when
 * lookup reads them as vectors, and each megaflow's statistics are touched once a burst.
 */
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const CLONE_BYTES: u32 = 4 << 20;
// @ts-ignore: decorator
@inline const MAX_RECIRC_DEPTH: u32 = 6;
// @ts-ignore: decorator
@inline const RANK_EVERY: u32 = 16384;
// @ts-ignore: decorator
@inline const SWEEP_PER_BURST: u32 = 2;
// @ts-ignore: decorator
@inline const POLL_UNFINISHED: u32 = 256;

// @ts-ignore: decorator
@inline
function give(pmd: usize, field: usize, size: u32): bool {
  const block = alloc(size);
  store<u32>(pmd + field, <u32>block);
  return block != 0;
}

/** Makes a pmd; 0 when memory is used up. Any thread; then one thread owns it. */
export function pmdCreate(id: u32): usize {
  const pmd = alloc(<u32>Pmd.SIZE);
  if (pmd == 0) return 0;
  store<u32>(pmd, id, Pmd.id);
  store<u32>(pmd, CLONE_BYTES, Pmd.clonesSize);
  // Any number but 0; differs by start and by pmd.
  store<u32>(pmd, (load<u32>(HASH_CONSTANTS) ^ (id * 0x9e3779b1)) | 1, Pmd.random);
  pmdSetEmcInsertInvProb(pmd, 100);
  const complete =
    give(pmd, Pmd.ports, 4096) &&
    give(pmd, Pmd.emc, EMC_ENTRIES << 4) &&
    give(pmd, Pmd.emcKeys, EMC_ENTRIES << 6) &&
    give(pmd, Pmd.emcRests, EMC_ENTRIES * 192) &&
    give(pmd, Pmd.misses, LIST_CAPACITY << 2) &&
    give(pmd, Pmd.upcalls, LIST_CAPACITY * <u32>PmdUpcall.SIZE) &&
    give(pmd, Pmd.recircs, LIST_CAPACITY << 2) &&
    give(pmd, Pmd.txMap, 1024) &&
    give(pmd, Pmd.rxBatch, BURST << 2) &&
    // One key more than slots: scratch of the hash action.
    give(pmd, Pmd.keys, (KEY_SLOTS + 1) * <u32>KEY_SIZE) &&
    give(pmd, Pmd.keyStale, (KEY_SLOTS + 1) << 2) &&
    give(pmd, Pmd.batches, BURST * <u32>BATCH_SIZE) &&
    give(pmd, Pmd.clones, CLONE_BYTES) &&
    give(pmd, Pmd.pending, PENDING_BYTES) &&
    give(pmd, Pmd.maskScratch, <u32>KEY_SIZE) &&
    directoryInit(pmd);
  if (complete) return pmd;
  pmdFree(pmd);
  return 0;
}

function pmdFree(pmd: usize): void {
  directoryFree(pmd);
  txFree(pmd);
  free(load<u32>(pmd, Pmd.ports));
  free(load<u32>(pmd, Pmd.emc));
  free(load<u32>(pmd, Pmd.emcKeys));
  free(load<u32>(pmd, Pmd.emcRests));
  free(load<u32>(pmd, Pmd.misses));
  free(load<u32>(pmd, Pmd.upcalls));
  free(load<u32>(pmd, Pmd.recircs));
  free(load<u32>(pmd, Pmd.rxBatch));
  free(load<u32>(pmd, Pmd.keys));
  free(load<u32>(pmd, Pmd.keyStale));
  free(load<u32>(pmd, Pmd.batches));
  free(load<u32>(pmd, Pmd.clones));
  free(load<u32>(pmd, Pmd.pending));
  free(load<u32>(pmd, Pmd.maskScratch));
  free(pmd);
}

/** Deletes all megaflows and frees the pmd. No thread may use it any more. */
export function pmdDestroy(pmd: usize): void {
  megaflowFlush(pmd);
  emcFlush(pmd);
  const heads: usize = load<u32>(pmd, Pmd.ports);
  for (let i: usize = 0; i < 1024; i++) {
    let port: usize = load<u32>(heads + (i << 2));
    while (port != 0) {
      const next: usize = load<u32>(port, DpclsPort.next);
      free(load<u32>(port, DpclsPort.list));
      free(load<u32>(port, DpclsPort.chain));
      free(port);
      port = next;
    }
  }
  pmdFree(pmd);
}

/** other_config:emc-insert-inv-prob: one of `inverse` megaflow hits enters the EMC; 0 = none, 1 = each. */
export function pmdSetEmcInsertInvProb(pmd: usize, inverse: u32): void {
  store<u32>(pmd, inverse == 0 ? 0 : 0xffff_ffff / inverse, Pmd.emcInsertMin);
}

/** dpif-netdev/pmd-stats-clear. */
export function pmdStatsClear(pmd: usize): void {
  memory.fill(pmd + Pmd.rxPackets, 0, Pmd.rxBytes + 8 - Pmd.rxPackets);
}

/**
 * Takes a burst of n <= 32 received packets all the way. Returns the number of misses, which are in
 * pmd.misses; also fills upcalls and transmit lists.
 */
export function pmdProcess(pmd: usize, batch: usize, n: u32, nowMs: f64): u32 {
  store<f64>(pmd, nowMs, Pmd.nowMs);
  emcSweep(pmd, SWEEP_PER_BURST);
  const recircs: usize = load<u32>(pmd, Pmd.recircs);
  const firstKey = load<u32>(pmd, Pmd.keysUsed);
  let bytes: u32 = 0;
  let good: u32 = 0;
  let unusual: u32 = 0;
  n = min<u32>(n, BURST);
  for (let i: u32 = 0; i < n; i++) {
    const packet: usize = load<u32>(batch + (<usize>i << 2));
    const length = load<u32>(packet, Packet.length);
    bytes += length;
    // packetType to pktMark; depth and refs; megaflow and hash.
    v128.store(packet, i64x2.splat(0), Packet.packetType);
    store<u32>(packet, 0, Packet.recircId);
    store<u16>(packet, 0, Packet.depth);
    store<u64>(packet, 0, Packet.megaflow);
    store<u32>(packet, 0, Packet.cutLength);
    if (length < 14) {
      count(pmd, Pmd.dropRxInvalidPacket);
      continue;
    }
    const slot = firstKey + good;
    if (slot >= KEY_SLOTS) {
      count(pmd, Pmd.dropNoBuffer);
      continue;
    }
    const key = <usize>load<u32>(pmd, Pmd.keys) + <usize>slot * KEY_SIZE;
    const stale = <usize>load<u32>(pmd, Pmd.keyStale) + (<usize>slot << 2);
    if (load<u32>(stale) == 1 && extractPlain(packet, key, load<u32>(packet, Packet.data), length)) {
      store<u32>(packet, <u32>key, Packet.key);
      store<u32>(packet, 1, Packet.present);
      store<u32>(packet, hashKey(key, 1), Packet.hash);
    } else {
      extractInto(pmd, packet, slot);
      unusual |= 1 << i;
    }
    store<u32>(recircs + (<usize>good << 2), <u32>packet);
    good++;
  }
  // Stores of bytes and words must have reached the cache before they are read as vectors.
  for (; unusual != 0; unusual &= unusual - 1) hashPacket(load<u32>(batch + (<usize>ctz(unusual) << 2)));
  store<u32>(pmd, firstKey + good, Pmd.keysUsed);
  store<f64>(pmd, load<f64>(pmd, Pmd.rxPackets) + <f64>n, Pmd.rxPackets);
  store<f64>(pmd, load<f64>(pmd, Pmd.rxBytes) + <f64>bytes, Pmd.rxBytes);
  store<u32>(pmd, good, Pmd.recircCount);
  lookupAndRun(pmd, 0, good);
  if (load<u32>(pmd, Pmd.recircCount) > good) recirculate(pmd, good);
  store<u32>(pmd, 0, Pmd.recircCount);
  return load<u32>(pmd, Pmd.missCount);
}

/**
 * Receives a burst from an rx queue that core.wasm knows (a record whose first word is its kind), takes
 * it all the way, and sends what goes to ports with a sink. Returns the packets received, plus
 * POLL_UNFINISHED when JavaScript must go on: misses, upcalls, or lists of other ports.
 */
export function pmdPoll(pmd: usize, source: usize, nowMs: f64): u32 {
  const batch = <usize>load<u32>(pmd, Pmd.rxBatch);
  const n = memoryReceive(source, batch);
  if (n == 0) return 0;
  pmdProcess(pmd, batch, n, nowMs);
  if ((load<u32>(pmd, Pmd.missCount) | load<u32>(pmd, Pmd.upcallCount)) != 0 || pmdSendSinks(pmd)) {
    return n | POLL_UNFINISHED;
  }
  pmdReset(pmd);
  return n;
}

/** Looks up packets [from, from + n) of pmd.recircs, extracted and hashed already, and runs their actions. */
function lookupAndRun(pmd: usize, from: u32, n: u32): void {
  const list = <usize>load<u32>(pmd, Pmd.recircs) + (<usize>from << 2);
  const end = list + (<usize>n << 2);
  let left = n;
  if (load<u32>(pmd, Pmd.emcInsertMin) != 0) {
    left = 0;
    const headers: usize = load<u32>(pmd, Pmd.emc);
    const keys: usize = load<u32>(pmd, Pmd.emcKeys);
    for (let at = list; at < end; at += 4) {
      const packet: usize = load<u32>(at);
      const key: usize = load<u32>(packet, Packet.key);
      const mf = emcLookup(pmd, headers, keys, key, load<u32>(packet, Packet.present), load<u32>(packet, Packet.hash));
      store<u32>(packet, <u32>mf, Packet.megaflow);
      left += <u32>(mf == 0);
    }
    store<f64>(pmd, load<f64>(pmd, Pmd.emcHits) + <f64>(n - left), Pmd.emcHits);
  }
  if (left != 0) lookupRest(pmd, list, end, left);

  store<u32>(pmd, 0, Pmd.batchCount);
  if (batchAll(pmd, list, end) != n) {
    for (let at = list; at < end; at += 4) {
      const packet: usize = load<u32>(at);
      if (load<u32>(packet, Packet.megaflow) == 0) missAdd(pmd, packet);
    }
  }
  batchesRun(pmd);
}

/** Takes the packets of a list that have no megaflow yet through the dpcls of their ports. */
function lookupRest(pmd: usize, list: usize, end: usize, count: u32): void {
  const pending: usize = load<u32>(pmd, Pmd.pending);
  const caches = load<u32>(pmd, Pmd.emcInsertMin) != 0;
  let missed: u32 = 0;
  let at = list;
  while (at < end) {
    // A run of packets of one input port: nearly always all.
    const inPort = load<u32>(<usize>load<u32>(at), Packet.inPort);
    let n: u32 = 0;
    for (; at < end; at += 4) {
      const packet: usize = load<u32>(at);
      if (load<u32>(packet, Packet.inPort) != inPort) break;
      if (load<u32>(packet, Packet.megaflow) != 0) continue;
      const to = pending + (<usize>n << 2);
      store<u32>(to, load<u32>(packet, Packet.key));
      store<u32>(to, <u32>packet, PENDING_PACKETS);
      store<u32>(to, <u32>packet, PENDING_ALL);
      n++;
    }
    const port = dpclsPortFind(pmd, inPort);
    if (port != 0) dpclsLookup(pmd, port, pending, n);
    for (let k: usize = 0; k < <usize>n; k++) {
      const packet: usize = load<u32>(pending + (k << 2), PENDING_ALL);
      const mf: usize = load<u32>(packet, Packet.megaflow);
      if (mf == 0) missed++;
      else if (caches) {
        emcMaybeInsert(pmd, load<u32>(packet, Packet.key), load<u32>(packet, Packet.present), load<u32>(packet, Packet.hash), mf);
      }
    }
  }
  store<f64>(pmd, load<f64>(pmd, Pmd.megaflowHits) + <f64>(count - missed), Pmd.megaflowHits);
  rankSometimes(pmd, count);
}

function rankSometimes(pmd: usize, lookups: u32): void {
  const sum = load<u32>(pmd, Pmd.optimizeCount) + lookups;
  store<u32>(pmd, sum, Pmd.optimizeCount);
  if (sum < RANK_EVERY || !tryLock(pmd + Pmd.lock)) return;
  dpclsRank(pmd);
  unlock(pmd + Pmd.lock);
  store<u32>(pmd, 0, Pmd.optimizeCount);
}

// @ts-ignore: decorator
@inline
function hashPacket(packet: usize): void {
  store<u32>(packet, hashKey(load<u32>(packet, Packet.key), load<u32>(packet, Packet.present)), Packet.hash);
}

/** Passes packets from pmd.recircs[from] on through the tables again until none are left. */
function recirculate(pmd: usize, from: u32): void {
  const recircs: usize = load<u32>(pmd, Pmd.recircs);
  while (from < load<u32>(pmd, Pmd.recircCount)) {
    const end = min<u32>(load<u32>(pmd, Pmd.recircCount), from + BURST);
    let good = from;
    for (let i = from; i < end; i++) {
      const packet: usize = load<u32>(recircs + (<usize>i << 2));
      const depth = <u32>load<u8>(packet, Packet.depth);
      if (depth >= MAX_RECIRC_DEPTH || !extractFresh(pmd, packet)) {
        count(pmd, Pmd.dropRecircError);
        continue;
      }
      store<u8>(packet, <u8>(depth + 1), Packet.depth);
      store<u32>(packet, 0, Packet.megaflow);
      count(pmd, Pmd.recirculations);
      store<u32>(recircs + (<usize>good << 2), <u32>packet);
      good++;
    }
    for (let i = from; i < good; i++) hashPacket(load<u32>(recircs + (<usize>i << 2)));
    lookupAndRun(pmd, from, good - from);
    from = end;
  }
}

/** Recirculates what actions outside of pmdProcess queued. */
function drain(pmd: usize): void {
  if (load<u32>(pmd, Pmd.recircCount) == 0) return;
  recirculate(pmd, 0);
  store<u32>(pmd, 0, Pmd.recircCount);
}

/**
 * Looks a missed packet up again. On a hit it is counted as a megaflow hit, its actions run, and the
 * megaflow is returned; otherwise 0 and nothing happened.
 */
export function pmdRetry(pmd: usize, packet: usize): usize {
  const port = dpclsPortFind(pmd, load<u32>(packet, Packet.inPort));
  if (port == 0) return 0;
  const pending: usize = load<u32>(pmd, Pmd.pending);
  const key: usize = load<u32>(packet, Packet.key);
  store<u32>(pending, <u32>key);
  store<u32>(pending, <u32>packet, PENDING_PACKETS);
  store<u32>(packet, 0, Packet.megaflow);
  dpclsLookup(pmd, port, pending, 1);
  const mf: usize = load<u32>(packet, Packet.megaflow);
  if (mf == 0) return 0;
  emcMaybeInsert(pmd, key, load<u32>(packet, Packet.present), load<u32>(packet, Packet.hash), mf);
  count(pmd, Pmd.megaflowHits);
  credit(pmd, mf, 1, load<u32>(packet, Packet.length), <u32>load<u16>(packet, Packet.tcpFlags));
  const block: usize = load<u32>(mf, Megaflow.actions);
  runActions(pmd, packet, block + ACTIONS_HEADER, load<u32>(block), mf);
  drain(pmd);
  return mf;
}

/** Runs actions on a packet that was extracted (offsets are set), and all passes that follow. */
export function pmdExecute(pmd: usize, packet: usize, actions: usize, length: u32): void {
  runActions(pmd, packet, actions, length, 0);
  drain(pmd);
}

function runActions(pmd: usize, packet: usize, actions: usize, length: u32, mf: usize): void {
  if (length == 0) executeDrop(pmd);
  else execute(pmd, packet, actions, actions + <usize>length, mf, 0);
}

/** Waits for the writer lock and ranks the subtables now; for tests and benchmarks. */
export function pmdRank(pmd: usize): void {
  lock(pmd + Pmd.lock);
  dpclsRank(pmd);
  unlock(pmd + Pmd.lock);
}

export { pmdReset };
