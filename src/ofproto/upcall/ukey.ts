import type { Core } from '../../arena/core.ts';
import { MegaflowLayout as M } from '../../datapath/generated/megaflow.ts';
import type { CompiledSnapshot } from '../snapshot.ts';
import { BugError } from '../../util/errors.ts';
import { refFrozen, unrefFrozen } from '../translate/frozen.ts';
import { replayXcache, type FlowStatsDelta } from '../translate/xcache-replay.ts';

/**
 * The ukey side of a megaflow: OVS keeps a `udpif_key` beside each datapath flow; here both are one record.
 *
 * States, and who moves a flow on:
 *
 *   CREATED -> VISIBLE      megaflowInstall, once it is in the classifier
 *   VISIBLE -> OPERATIONAL  the upcall, once list and references are in place
 *   OPERATIONAL -> EVICTING whoever deletes it; under the flow's lock, so that one thread does
 *   EVICTING -> EVICTED     the same thread, once packets cannot find it any more
 *   EVICTED -> DELETED      the same, when its last packets are credited
 *
 * A state never goes back. VISIBLE may go to EVICTING too (a purge right after the installation).
 * Threads: fields are read and written under `lock`, but for statistics, which the PMD writes.
 */
export const ukeyStates = {
  CREATED: 0,
  VISIBLE: 1,
  OPERATIONAL: 2,
  EVICTING: 3,
  EVICTED: 4,
  DELETED: 5,
} as const;
type UkeyState = (typeof ukeyStates)[keyof typeof ukeyStates];

const stateNames = ['CREATED', 'VISIBLE', 'OPERATIONAL', 'EVICTING', 'EVICTED', 'DELETED'] as const;

/** Whether OVS allows a ukey to go from one state to another. */
export function isLegalTransition(from: number, to: number): boolean {
  if (to === from + 1) return true;
  return from === ukeyStates.VISIBLE && to === ukeyStates.EVICTING;
}

/** @throws BugError for a transition that must not be. */
export function ukeyTransition(core: Core, mf: number, to: UkeyState): void {
  const from = core.u32[(mf + M.state) >>> 2] ?? 0;
  if (!isLegalTransition(from, to)) {
    throw new BugError(`ukey state transition ${stateNames[from] ?? from} -> ${stateNames[to]}`);
  }
  core.u32[(mf + M.state) >>> 2] = to;
  core.u32[(mf + M.thread) >>> 2] = core.threadIndex;
}

export function ukeyState(core: Core, mf: number): number {
  return core.u32[(mf + M.state) >>> 2] ?? 0;
}

/**
 * Gives a flow the side effects and frozen states of its translation; what it had is given up. Mostly a new
 * translation has the same ones, and then nothing changes hands.
 *
 * @returns False when memory is used up: the flow is as it was.
 */
export function ukeySetXcache(
  core: Core,
  mf: number,
  list: number,
  words: number,
  recircs: readonly number[],
): boolean {
  const { u32, x } = core;
  const old = u32[(mf + M.xcache) >>> 2] ?? 0;
  const oldWords = (u32[(mf + M.xcacheLength) >>> 2] ?? 0) >>> 2;
  const isListNew = words !== oldWords || x.bytesEqual(old, list, words * 4) === 0;
  const kept = isListNew && words > 0 ? x.xcacheKeep(list, words) >>> 0 : 0;
  if (isListNew && words > 0 && kept === 0) return false;
  if (!holdsRecircs(core, mf, recircs) && !setRecircs(core, mf, recircs)) {
    x.xcacheDrop(kept, words);
    return false;
  }
  if (isListNew) {
    x.xcacheDrop(old, oldWords);
    u32[(mf + M.xcache) >>> 2] = kept;
    u32[(mf + M.xcacheLength) >>> 2] = words * 4;
  }
  return true;
}

/** Whether a flow refers to exactly these frozen states. */
function holdsRecircs(core: Core, mf: number, recircs: readonly number[]): boolean {
  const { u32 } = core;
  const refs = (u32[(mf + M.recircRefs) >>> 2] ?? 0) >>> 2;
  if (refs === 0) return recircs.length === 0;
  if (u32[refs] !== recircs.length) return false;
  for (let i = 0; i < recircs.length; i++) if (u32[refs + 1 + i] !== recircs[i]) return false;
  return true;
}

function setRecircs(core: Core, mf: number, recircs: readonly number[]): boolean {
  const { u32, x } = core;
  let refs = 0;
  if (recircs.length > 0) {
    refs = x.alloc(4 + 4 * recircs.length) >>> 0;
    if (refs === 0) return false;
    u32[refs >>> 2] = recircs.length;
    recircs.forEach((id, i) => {
      refFrozen(core, id);
      u32[(refs >>> 2) + 1 + i] = id;
    });
  }
  dropRecircs(core, mf);
  u32[(mf + M.recircRefs) >>> 2] = refs;
  return true;
}

function dropRecircs(core: Core, mf: number): void {
  const { u32, x } = core;
  const refs = u32[(mf + M.recircRefs) >>> 2] ?? 0;
  if (refs === 0) return;
  const n = u32[refs >>> 2] ?? 0;
  for (let i = 1; i <= n; i++) unrefFrozen(core, u32[(refs >>> 2) + i] ?? 0);
  x.free(refs);
  u32[(mf + M.recircRefs) >>> 2] = 0;
}

function ukeyDropXcache(core: Core, mf: number): void {
  const { u32, x } = core;
  x.xcacheDrop(u32[(mf + M.xcache) >>> 2] ?? 0, (u32[(mf + M.xcacheLength) >>> 2] ?? 0) >>> 2);
  u32[(mf + M.xcache) >>> 2] = 0;
  u32[(mf + M.xcacheLength) >>> 2] = 0;
  dropRecircs(core, mf);
}

/**
 * Credits what a flow did since the last time to rules, ports and MAC tables. Takes no lock: the caller has it.
 *
 * @param delta Filled with what was credited.
 */
export function ukeyPushStats(
  core: Core,
  snapshot: CompiledSnapshot,
  mf: number,
  delta: FlowStatsDelta,
): void {
  const { dv } = core;
  const packets = dv.getFloat64(mf + M.packets, true);
  const bytes = dv.getFloat64(mf + M.bytes, true);
  delta.packets = Math.max(0, packets - dv.getFloat64(mf + M.pushedPackets, true));
  delta.bytes = Math.max(0, bytes - dv.getFloat64(mf + M.pushedBytes, true));
  delta.usedMs = dv.getFloat64(mf + M.usedMs, true);
  delta.tcpFlags = dv.getUint32(mf + M.tcpFlags, true);
  if (delta.packets === 0) return;
  const list = dv.getUint32(mf + M.xcache, true);
  if (list !== 0) replayXcache(core, snapshot, list, dv.getUint32(mf + M.xcacheLength, true), delta);
  dv.setFloat64(mf + M.pushedPackets, packets, true);
  dv.setFloat64(mf + M.pushedBytes, bytes, true);
  dv.setFloat64(mf + M.pushedUsedMs, delta.usedMs, true);
  dv.setUint32(mf + M.pushedTcpFlags, delta.tcpFlags, true);
}

/**
 * Takes a flow out of the datapath (OPERATIONAL -> EVICTED). Its memory stays until `ukeyFinish`, since its
 * PMD may still be crediting packets to it.
 *
 * @returns False when another thread had begun to delete it.
 */
export function ukeyEvict(core: Core, mf: number): boolean {
  const { x } = core;
  if (!x.megaflowTryRef(mf)) return false;
  x.lock(mf + M.lock);
  const state = ukeyState(core, mf);
  const mine = state === ukeyStates.OPERATIONAL || state === ukeyStates.VISIBLE;
  if (mine) {
    ukeyTransition(core, mf, ukeyStates.EVICTING);
    x.megaflowDelete(mf);
    ukeyTransition(core, mf, ukeyStates.EVICTED);
  }
  x.unlock(mf + M.lock);
  if (!mine) x.megaflowUnref(mf);
  return mine;
}

/** Ends an eviction that a dead thread began; its reference is the caller's now. */
export function ukeyFinishEviction(core: Core, mf: number): void {
  core.x.lock(mf + M.lock);
  core.x.megaflowDelete(mf);
  ukeyTransition(core, mf, ukeyStates.EVICTED);
  core.x.unlock(mf + M.lock);
}

/** Credits the last packets of an evicted flow and lets it go (EVICTED -> DELETED). */
export function ukeyFinish(core: Core, snapshot: CompiledSnapshot, mf: number, delta: FlowStatsDelta): void {
  ukeyPushStats(core, snapshot, mf, delta);
  ukeyDropXcache(core, mf);
  ukeyTransition(core, mf, ukeyStates.DELETED);
  core.x.megaflowUnref(mf);
}

/**
 * Deletes a flow at once, on whose behalf ever (`dpctl/del-flow`): the packets that its PMD has in hand at
 * this moment may go uncredited.
 */
export function deleteMegaflow(core: Core, snapshot: CompiledSnapshot, mf: number): boolean {
  if (!ukeyEvict(core, mf)) return false;
  ukeyFinish(core, snapshot, mf, { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 });
  return true;
}
