import { execute, executeDrop } from './actions';
import { batchAll, batchesRun, credit } from './batch';
import { count, extractFresh, extractInto, KEY_SIZE, KEY_SLOTS, missAdd, pmdReset } from './burst';
import { dpclsPortFind, dpclsRank } from './dpcls';
import { dpclsLookup, PENDING_ALL, PENDING_PACKETS } from './dpcls-lookup';
import { emcLookup, emcMaybeInsert, emcSweep } from './emc';
import { extractPlain } from './extract-plain';
import { DpclsPort } from './generated/dpcls-port';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { hashKey } from './hash';
import { tryLock, unlock } from './lock';
import { ACTIONS_HEADER } from './megaflow';
import { memoryReceive } from './port-memory';
import { FAST_PORT_XSK, xskReceive } from './port-xsk';
import { smcInsert, smcLookup } from './smc';
import { pmdSendSinks } from './transmit';

/**
 * The way of a burst through a pmd: extract all, look all up (EMC, SMC, dpcls), run actions batch by
 * batch, then the same for packets that recirculated, until none are left. One thread owns a pmd.
 *
 * The steps are loops over the burst, not one loop: stores of extraction have reached the cache when
 * lookup reads them as vectors, waits for memory overlap, and each megaflow's statistics are touched once a
 * burst.
 */
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const MAX_RECIRC_DEPTH: u32 = 6;
// @ts-ignore: decorator
@inline const RANK_EVERY: u32 = 16384;
// @ts-ignore: decorator
@inline const SWEEP_PER_BURST: u32 = 2;
// @ts-ignore: decorator
@inline const POLL_UNFINISHED: u32 = 256;

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
  const n = load<u32>(source) == FAST_PORT_XSK ? xskReceive(source, batch) : memoryReceive(source, batch);
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
  if (n == 0) return;
  const list = <usize>load<u32>(pmd, Pmd.recircs) + (<usize>from << 2);
  const end = list + (<usize>n << 2);
  const simple = isSimple(pmd, list, end);
  if (simple || lookupCaches(pmd, list, end, n) != 0) lookupRest(pmd, list, end, simple);

  store<u32>(pmd, 0, Pmd.batchCount);
  if (batchAll(pmd, list, end) != n) {
    for (let at = list; at < end; at += 4) {
      const packet: usize = load<u32>(at);
      if (load<u32>(packet, Packet.megaflow) == 0) missAdd(pmd, packet);
    }
  }
  batchesRun(pmd);
}

/**
 * Whether all packets came from one port whose megaflows look at nothing but its number, Ethertype, VLAN tag and
 * fragment bits: then the caches would only be in the way (OVS calls it simple match).
 */
function isSimple(pmd: usize, list: usize, end: usize): bool {
  const inPort = load<u32>(<usize>load<u32>(list), Packet.inPort);
  const port = dpclsPortFind(pmd, inPort);
  if (port == 0 || load<u32>(port, DpclsPort.complexMasks) != 0 || load<u32>(<usize>load<u32>(port, DpclsPort.list)) == 0) {
    return false;
  }
  for (let at = list + 4; at < end; at += 4) {
    if (load<u32>(<usize>load<u32>(at), Packet.inPort) != inPort) return false;
  }
  return true;
}

/** EMC, then SMC. Returns packets left. */
function lookupCaches(pmd: usize, list: usize, end: usize, n: u32): u32 {
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
  const smc: usize = load<u32>(pmd, Pmd.smc);
  if (smc == 0 || left == 0) return left;
  const hits = smcLookup(pmd, smc, list, end);
  store<f64>(pmd, load<f64>(pmd, Pmd.smcHits) + <f64>hits, Pmd.smcHits);
  return left - hits;
}

/**
 * Takes the packets of a list that have no megaflow yet through the dpcls of their ports, and those that hit into
 * the caches unless `simple`.
 */
function lookupRest(pmd: usize, list: usize, end: usize, simple: bool): void {
  const pending: usize = load<u32>(pmd, Pmd.pending);
  const caches = !simple && (load<u32>(pmd, Pmd.emcInsertMin) | load<u32>(pmd, Pmd.smc)) != 0;
  let hits: u32 = 0;
  let missed: u32 = 0;
  let seen: u32 = 0;
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
    if (port != 0) seen += dpclsLookup(port, pending, n);
    for (let k: usize = 0; k < <usize>n; k++) {
      const packet: usize = load<u32>(pending + (k << 2), PENDING_ALL);
      const mf: usize = load<u32>(packet, Packet.megaflow);
      if (mf == 0) missed++;
      else {
        hits++;
        if (caches) cachePacket(pmd, packet, mf);
      }
    }
  }
  if (simple) {
    store<f64>(pmd, load<f64>(pmd, Pmd.simpleHits) + <f64>hits, Pmd.simpleHits);
  } else {
    store<f64>(pmd, load<f64>(pmd, Pmd.megaflowHits) + <f64>hits, Pmd.megaflowHits);
    store<f64>(pmd, load<f64>(pmd, Pmd.subtableLookups) + <f64>seen, Pmd.subtableLookups);
  }
  rankSometimes(pmd, hits + missed);
}

/** Remembers a packet's megaflow in the caches that are in use. */
// @ts-ignore: decorator
@inline
function cachePacket(pmd: usize, packet: usize, mf: usize): void {
  const hash = load<u32>(packet, Packet.hash);
  emcMaybeInsert(pmd, load<u32>(packet, Packet.key), load<u32>(packet, Packet.present), hash, mf);
  const smc: usize = load<u32>(pmd, Pmd.smc);
  if (smc != 0) smcInsert(pmd, smc, hash, mf);
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
  store<f64>(pmd, load<f64>(pmd, Pmd.subtableLookups) + <f64>dpclsLookup(port, pending, 1), Pmd.subtableLookups);
  const mf: usize = load<u32>(packet, Packet.megaflow);
  if (mf == 0) return 0;
  cachePacket(pmd, packet, mf);
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
