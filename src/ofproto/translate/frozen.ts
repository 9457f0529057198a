import { allocOrThrow, type Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import type { XlateContext } from './context.ts';

/**
 * Frozen states: what a packet must remember while it is in the datapath's hands (OVS's recirculation
 * contexts), found by a 32-bit id that datapath actions carry.
 *
 * What: an arena table with buckets by id and by content; equal states share an id, so that re-translating a
 * flow gives the same actions. Entries count references: one for each megaflow that has the id in
 * its actions, one while a translation's result is in use. An entry whose last reference goes away is
 * freed after quiescence.
 * Threads: any, under the table's lock, held for a few steps.
 *
 * Table: u32 lock, nextId, count, -; u32 byId[BUCKETS]; u32 byHash[BUCKETS].
 * Entry: u32 nextById, nextByHash, id, hash, refs, length, 2 x unused; then the state's bytes.
 * State: u32 bridge id, table id, userdata bytes, 0; the key from `tunDst` on (tunnel, registers,
 * metadata); u32 in_port; userdata.
 */
const BUCKETS = 1024;
const TABLE_BYTES = 16 + 8 * BUCKETS;
const ENTRY = 32;
const STATE_KEY = 16;
const META_BYTES = KEY_SIZE - K.tunDst;
const STATE_FIXED = STATE_KEY + META_BYTES + 4;
const rootSlot = (ARENA_ROOT + ArenaRootLayout.user) >>> 2;

function table(core: Core): number {
  const at = Atomics.load(core.u32, rootSlot);
  if (at !== 0) return at;
  const made = allocOrThrow(core, TABLE_BYTES);
  core.u32[(made + 4) >>> 2] = 1;
  const other = Atomics.compareExchange(core.u32, rootSlot, 0, made);
  if (other === 0) return made;
  core.x.free(made);
  return other;
}

let $scratch = new Uint8Array(2048);

/** The id under which the packet's state of `ctx` is kept; referenced by the context. 0 = none left. */
export function allocateFrozen(ctx: XlateContext, userdata: Uint8Array | null): number {
  const length = STATE_FIXED + (userdata?.length ?? 0);
  if ($scratch.length < length) $scratch = new Uint8Array(length);
  const state = $scratch;
  const dv = new DataView(state.buffer);
  dv.setUint32(0, ctx.bridge.id, true);
  dv.setUint32(4, ctx.tableId, true);
  dv.setUint32(8, userdata?.length ?? 0, true);
  dv.setUint32(12, 0, true);
  state.set(ctx.u8.subarray(ctx.flow + K.tunDst, ctx.flow + KEY_SIZE), STATE_KEY);
  dv.setUint32(STATE_KEY + META_BYTES, ctx.inPort, true);
  if (userdata !== null) state.set(userdata, STATE_FIXED);
  const id = internState(ctx.core, state, length);
  if (id !== 0) ctx.recircs.push(id);
  return id;
}

function internState(core: Core, state: Uint8Array, length: number): number {
  const { u8, u32, x } = core;
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (state[i] ?? 0), 0x01000193);
  hash >>>= 0;
  const t = table(core);
  const hashBucket = (t + 16 + 4 * BUCKETS + 4 * (hash % BUCKETS)) >>> 2;
  x.lock(t);
  try {
    for (let e = u32[hashBucket] ?? 0; e !== 0; e = u32[(e + 4) >>> 2] ?? 0) {
      if (u32[(e + 12) >>> 2] !== hash || u32[(e + 20) >>> 2] !== length) continue;
      let i = 0;
      while (i < length && u8[e + ENTRY + i] === state[i]) i++;
      if (i < length) continue;
      const refs = (e + 16) >>> 2;
      u32[refs] = (u32[refs] ?? 0) + 1;
      return u32[(e + 8) >>> 2] ?? 0;
    }
    const e = x.alloc(ENTRY + length) >>> 0;
    if (e === 0) return 0;
    let id = u32[(t + 4) >>> 2] ?? 1;
    while (id === 0 || findEntry(core, t, id) !== 0) id = (id + 1) >>> 0;
    u32[(t + 4) >>> 2] = (id + 1) >>> 0;
    const idBucket = (t + 16 + 4 * (id % BUCKETS)) >>> 2;
    u32[e >>> 2] = u32[idBucket] ?? 0;
    u32[(e + 4) >>> 2] = u32[hashBucket] ?? 0;
    u32[(e + 8) >>> 2] = id;
    u32[(e + 12) >>> 2] = hash;
    u32[(e + 16) >>> 2] = 1;
    u32[(e + 20) >>> 2] = length;
    u8.set(state.subarray(0, length), e + ENTRY);
    u32[idBucket] = e;
    u32[hashBucket] = e;
    u32[(t + 8) >>> 2] = (u32[(t + 8) >>> 2] ?? 0) + 1;
    return id;
  } finally {
    x.unlock(t);
  }
}

function findEntry(core: Core, t: number, id: number): number {
  let e = core.u32[(t + 16 + 4 * (id % BUCKETS)) >>> 2] ?? 0;
  while (e !== 0 && core.u32[(e + 8) >>> 2] !== id) e = core.u32[e >>> 2] ?? 0;
  return e;
}

/** One reference more. The caller holds one already. */
export function refFrozen(core: Core, id: number): void {
  const t = table(core);
  core.x.lock(t);
  const e = findEntry(core, t, id);
  if (e !== 0) core.u32[(e + 16) >>> 2] = (core.u32[(e + 16) >>> 2] ?? 0) + 1;
  core.x.unlock(t);
}

/** Gives a reference back; the last one ends the id. */
export function unrefFrozen(core: Core, id: number): void {
  const { u32, x } = core;
  const t = table(core);
  x.lock(t);
  const e = findEntry(core, t, id);
  let dead = 0;
  if (e !== 0) {
    const refs = (u32[(e + 16) >>> 2] ?? 0) - 1;
    u32[(e + 16) >>> 2] = refs;
    if (refs === 0) {
      unlink(core, (t + 16 + 4 * (id % BUCKETS)) >>> 2, e, 0);
      unlink(core, (t + 16 + 4 * BUCKETS + 4 * ((u32[(e + 12) >>> 2] ?? 0) % BUCKETS)) >>> 2, e, 4);
      u32[(t + 8) >>> 2] = (u32[(t + 8) >>> 2] ?? 0) - 1;
      dead = e;
    }
  }
  x.unlock(t);
  if (dead !== 0) x.deferFree(dead);
}

function unlink(core: Core, bucket: number, entry: number, next: number): void {
  const { u32 } = core;
  let at = bucket;
  while ((u32[at] ?? 0) !== entry) {
    if ((u32[at] ?? 0) === 0) return;
    at = ((u32[at] ?? 0) + next) >>> 2;
  }
  u32[at] = u32[(entry + next) >>> 2] ?? 0;
}

/** What a frozen state holds; copied out. */
export interface FrozenState {
  readonly bridgeId: number;
  readonly tableId: number;
  readonly inPort: number;
  /** The key from `tunDst` to its end. */
  readonly pipeline: Uint8Array;
  readonly userdata: Uint8Array;
}

/** Finds the state of an id; undefined when it has ended. */
export function findFrozen(core: Core, id: number): FrozenState | undefined {
  const t = table(core);
  core.x.lock(t);
  try {
    const e = findEntry(core, t, id);
    if (e === 0) return undefined;
    const at = e + ENTRY;
    const userdata = at + STATE_FIXED;
    return {
      bridgeId: core.dv.getUint32(at, true),
      tableId: core.dv.getUint32(at + 4, true),
      inPort: core.dv.getUint32(at + STATE_KEY + META_BYTES, true),
      pipeline: core.u8.slice(at + STATE_KEY, at + STATE_KEY + META_BYTES),
      userdata: core.u8.slice(userdata, userdata + core.dv.getUint32(at + 8, true)),
    };
  } finally {
    core.x.unlock(t);
  }
}

/** Ids in use, for memory/show. */
export function frozenCount(core: Core): number {
  return core.u32[(table(core) + 8) >>> 2] ?? 0;
}
