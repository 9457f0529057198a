import { alignedAlloc, alignedFree } from './aligned';
import { BATCH_SIZE } from './batch';
import { KEY_SIZE, KEY_SLOTS, LIST_CAPACITY } from './burst';
import { directoryFree, directoryInit } from './directory';
import { dpclsRank } from './dpcls';
import { PENDING_BYTES } from './dpcls-lookup';
import { EMC_ENTRIES, emcFlush, emcSweep } from './emc';
import { DpclsPort } from './generated/dpcls-port';
import { Pmd } from './generated/pmd';
import { PmdUpcall } from './generated/pmd-upcall';
import { HASH_CONSTANTS } from './hash';
import { lock, unlock } from './lock';
import { megaflowFlush } from './megaflow';
import { alloc, free } from './memory';
import { txFree } from './transmit';

/** A pmd's life and settings; what it does with packets is in pass.ts. */
// @ts-ignore: decorator
@inline const BURST: u32 = 32;
// @ts-ignore: decorator
@inline const CLONE_BYTES: u32 = 4 << 20;

// @ts-ignore: decorator
@inline
function give(pmd: usize, field: usize, size: u32): bool {
  const block = alignedAlloc(size);
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
  alignedFree(load<u32>(pmd, Pmd.ports));
  alignedFree(load<u32>(pmd, Pmd.emc));
  alignedFree(load<u32>(pmd, Pmd.emcKeys));
  alignedFree(load<u32>(pmd, Pmd.emcRests));
  alignedFree(load<u32>(pmd, Pmd.misses));
  alignedFree(load<u32>(pmd, Pmd.upcalls));
  alignedFree(load<u32>(pmd, Pmd.recircs));
  alignedFree(load<u32>(pmd, Pmd.rxBatch));
  alignedFree(load<u32>(pmd, Pmd.keys));
  alignedFree(load<u32>(pmd, Pmd.keyStale));
  alignedFree(load<u32>(pmd, Pmd.batches));
  alignedFree(load<u32>(pmd, Pmd.clones));
  alignedFree(load<u32>(pmd, Pmd.pending));
  alignedFree(load<u32>(pmd, Pmd.maskScratch));
  alignedFree(load<u32>(pmd, Pmd.smc));
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

/** Lets go of all dead megaflows that the EMC holds: for a pmd that gets no packets, whose bursts sweep it else. */
export function pmdSweep(pmd: usize): void {
  emcSweep(pmd, EMC_ENTRIES);
}

/** Waits for the writer lock and ranks the subtables now; for tests and benchmarks. */
export function pmdRank(pmd: usize): void {
  lock(pmd + Pmd.lock);
  dpclsRank(pmd);
  unlock(pmd + Pmd.lock);
}
