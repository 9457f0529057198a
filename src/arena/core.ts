import '../util/webassembly.ts';
import { ArenaFullError, BugError, OvsError } from '../util/errors.ts';
import { ARENA_MAGIC, ARENA_ROOT } from './arena.layout.ts';
import { ArenaRootLayout } from './generated/arena-root.ts';
import { LAYOUT_HASH } from './generated/layout-hash.ts';
import { ThreadBlockLayout } from './generated/thread-block.ts';
import type { CoreExports } from './generated/core-exports.ts';

/**
 * A thread's way into the arena: one instance of core.wasm over the shared memory, and views of it.
 *
 * Who makes it: main calls `createArena` once; every other thread gets the `WebAssembly.Module` and
 * the memory and calls `attachArena` at its start, `detachArena` at its end. The instance's globals
 * are the thread's own, so a Core must not be used from two threads; it cannot be posted either.
 *
 * A thread starts offline: call `x.threadOnline()` before reading what others may free, `x.quiesce()`
 * at the top of each step, `x.threadOffline()` before blocking.
 *
 * Addresses from exports are signed in JavaScript: `>>> 0` each. The views cover the whole memory and
 * stay valid, since it never grows.
 */
export interface Core {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly x: CoreExports;
  /** Functions that core.wasm calls by number: compiled chains (src/datapath/chain). The thread's own. */
  readonly table: WebAssembly.Table;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly dv: DataView;
  /** Address of this thread's ThreadBlock. */
  readonly thread: number;
  /** Index of this thread, 0 = main. */
  readonly threadIndex: number;
}

export interface CreateArenaOptions {
  /** core.wasm, built for shared or for unshared memory according to `shared`. */
  readonly module: WebAssembly.Module;
  /** MiB, 16 to 4096. */
  readonly sizeMb: number;
  readonly shared: boolean;
  /** Seeds the hash constants: random, or fixed in simulation. Up to 53 bits. */
  readonly seed: number;
  readonly threadName: string;
}

export interface AttachArenaOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly threadName: string;
  /** Free for the owner's use, shown by the supervisor. */
  readonly kind?: number;
}

/** Makes the arena; the caller is its main thread. The memory never grows. */
export function createArena(options: CreateArenaOptions): Core {
  const { sizeMb, shared, seed } = options;
  if (!Number.isInteger(sizeMb) || sizeMb < 16 || sizeMb > 4096) {
    throw new OvsError('EINVAL', `arena size must be 16 to 4096 MiB, not ${sizeMb}`);
  }
  const pages = sizeMb * 16;
  const memory = shared
    ? new WebAssembly.Memory({ initial: pages, maximum: pages, shared })
    : new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { x, table } = instantiate(options.module, memory);
  x.arenaInit(pages, shared, seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0);
  return attachInstance(options.module, memory, x, table, options.threadName, 0);
}

/** Enters an arena that main made. Throws when the code differs from main's or all thread blocks are taken. */
export function attachArena(options: AttachArenaOptions): Core {
  const { module, memory, threadName } = options;
  const { x, table } = instantiate(module, memory);
  return attachInstance(module, memory, x, table, threadName, options.kind ?? 0);
}

function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): { x: CoreExports; table: WebAssembly.Table } {
  // Place 0 stays empty: calling it traps.
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const instance = new WebAssembly.Instance(module, { env: { memory, table } });
  return { x: instance.exports as unknown as CoreExports, table };
}

function attachInstance(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  x: CoreExports,
  table: WebAssembly.Table,
  threadName: string,
  kind: number,
): Core {
  const dv = new DataView(memory.buffer);
  const magic = dv.getUint32(ARENA_ROOT + ArenaRootLayout.magic, true);
  const madeBy = dv.getUint32(ARENA_ROOT + ArenaRootLayout.layoutHash, true);
  if (magic !== ARENA_MAGIC) throw new BugError('not an arena');
  if (madeBy !== LAYOUT_HASH || x.layoutHash() >>> 0 !== LAYOUT_HASH) {
    throw new BugError('core.wasm and TypeScript were generated from different layouts: run npm run build');
  }
  const thread = x.threadAttach(kind) >>> 0;
  if (thread === 0) throw new OvsError('EAGAIN', 'arena: all thread blocks are taken');
  const u8 = new Uint8Array(memory.buffer);
  const name = u8.subarray(thread + ThreadBlockLayout.name, thread + ThreadBlockLayout.name + 32);
  name.fill(0);
  name.set(new TextEncoder().encode(threadName).subarray(0, 31));
  return {
    module,
    memory,
    x,
    table,
    u8,
    u32: new Uint32Array(memory.buffer),
    i32: new Int32Array(memory.buffer),
    dv,
    thread,
    threadIndex: dv.getUint32(thread + ThreadBlockLayout.index, true),
  };
}

/** The calling thread ends; its Core must not be used any more. Not for main. */
export function detachArena(core: Core): void {
  core.x.threadDetach();
}

/** `alloc` for control code: throws ArenaFullError instead of returning 0. */
export function allocOrThrow(core: Core, sizeBytes: number): number {
  const at = core.x.alloc(sizeBytes) >>> 0;
  if (at === 0) throw new ArenaFullError(sizeBytes);
  return at;
}

/** A copy of `bytes` in a new block. Throws ArenaFullError. */
export function storeBytes(core: Core, bytes: Uint8Array): number {
  const at = allocOrThrow(core, bytes.length);
  core.u8.set(bytes, at);
  return at;
}
