import { execute } from './actions';
import { Megaflow } from './generated/megaflow';
import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { ACTIONS_HEADER } from './megaflow';
import { txAddMany } from './burst';

/**
 * Packets of a pass grouped by megaflow: its statistics are written once, and its actions start once.
 *
 *   batch  +0 megaflow  +4 packets held  +8 bytes  +12 TCP flags  +16 packet[32]
 *
 * Whoever adds packets keeps the running batch in locals as long as the megaflow stays the same: one
 * flow fills a burst as often as not.
 */
// @ts-ignore: decorator
@inline export const BATCH_SIZE: usize = 160;
// @ts-ignore: decorator
@inline const BATCH_PACKETS: usize = 16;

/** The batch of a megaflow in this pass, begun if need be. */
// @ts-ignore: decorator
@inline
function batchOf(pmd: usize, mf: usize): usize {
  const batches: usize = load<u32>(pmd, Pmd.batches);
  const used = load<u32>(pmd, Pmd.batchCount);
  const index = load<u32>(mf, Megaflow.batch);
  const batch = batches + <usize>index * BATCH_SIZE;
  if (index < used && <usize>load<u32>(batch) == mf) return batch;
  const fresh = batches + <usize>used * BATCH_SIZE;
  store<u32>(pmd, used + 1, Pmd.batchCount);
  store<u32>(mf, used, Megaflow.batch);
  store<u32>(fresh, <u32>mf);
  store<u32>(fresh, 0, 4);
  store<u64>(fresh, 0, 8);
  return fresh;
}

/**
 * Adds the packets of [list, end) that have a megaflow to the batches of the pass; the others are left alone.
 * Returns how many have one.
 */
export function batchAll(pmd: usize, list: usize, end: usize): u32 {
  let last: usize = 0;
  let batch: usize = 0;
  let held: u32 = 0;
  let bytes: u32 = 0;
  let flags: u32 = 0;
  let hits: u32 = 0;
  for (; list < end; list += 4) {
    const packet: usize = load<u32>(list);
    const mf: usize = load<u32>(packet, Packet.megaflow);
    if (mf == 0) continue;
    hits++;
    if (mf != last) {
      if (last != 0) put(batch, held, bytes, flags);
      batch = batchOf(pmd, mf);
      held = load<u32>(batch, 4);
      bytes = load<u32>(batch, 8);
      flags = load<u32>(batch, 12);
      last = mf;
    }
    store<u32>(batch + (<usize>held << 2), <u32>packet, BATCH_PACKETS);
    held++;
    bytes += load<u32>(packet, Packet.length);
    flags |= <u32>load<u16>(packet, Packet.tcpFlags);
  }
  if (last != 0) put(batch, held, bytes, flags);
  return hits;
}

// @ts-ignore: decorator
@inline
function put(batch: usize, held: u32, bytes: u32, flags: u32): void {
  store<u32>(batch, held, 4);
  store<u32>(batch, bytes, 8);
  store<u32>(batch, flags, 12);
}

/** Credits a megaflow; the pmd's thread is the only writer. */
// @ts-ignore: decorator
@inline
export function credit(pmd: usize, mf: usize, packets: u32, bytes: u32, tcpFlags: u32): void {
  store<f64>(mf, load<f64>(mf, Megaflow.packets) + <f64>packets, Megaflow.packets);
  store<f64>(mf, load<f64>(mf, Megaflow.bytes) + <f64>bytes, Megaflow.bytes);
  store<f64>(mf, load<f64>(pmd, Pmd.nowMs), Megaflow.usedMs);
  store<u32>(mf, load<u32>(mf, Megaflow.tcpFlags) | tcpFlags, Megaflow.tcpFlags);
}

/** Credits all batches of the pass and runs their actions. */
export function batchesRun(pmd: usize): void {
  const count = load<u32>(pmd, Pmd.batchCount);
  let batch: usize = load<u32>(pmd, Pmd.batches);
  for (let i: u32 = 0; i < count; i++, batch += BATCH_SIZE) batchRun(pmd, batch);
}

function batchRun(pmd: usize, batch: usize): void {
  const mf: usize = load<u32>(batch);
  const packets = load<u32>(batch, 4);
  credit(pmd, mf, packets, load<u32>(batch, 8), load<u32>(batch, 12));
  const word = load<u64>(mf, Megaflow.actions);
  const quick = <u32>(word >>> 32);
  if (quick != 0) {
    txAddMany(pmd, batch + BATCH_PACKETS, packets, quick - 1);
    return;
  }
  const block = <usize>(word & 0xffff_ffff);
  const actions = block + ACTIONS_HEADER;
  const length = load<u32>(block);
  if (length == 0) {
    store<f64>(pmd, load<f64>(pmd, Pmd.dropAction) + <f64>packets, Pmd.dropAction);
    return;
  }
  for (let i: u32 = 0; i < packets; i++) {
    const packet: usize = load<u32>(batch + BATCH_PACKETS + (<usize>i << 2));
    execute(pmd, packet, actions, actions + <usize>length, mf, 0);
  }
}
