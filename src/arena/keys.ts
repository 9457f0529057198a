import type { Core } from './core.ts';
import { allocOrThrow } from './core.ts';

/** Bytes of a flow key or mask (src/flow/key.layout.ts). */
const KEY_BYTES = 768;

/** A zeroed scratch key (or mask) in the arena; the caller frees it with `core.x.free`. */
export function allocKey(core: Core): number {
  return allocOrThrow(core, KEY_BYTES);
}

/** Copies a key into the arena. */
export function writeKey(core: Core, at: number, key: Uint8Array): void {
  core.u8.set(key, at);
}

/** Copies a key out of the arena, into `out` when given. */
export function readKey(core: Core, at: number, out: Uint8Array = new Uint8Array(KEY_BYTES)): Uint8Array {
  out.set(core.u8.subarray(at, at + KEY_BYTES));
  return out;
}
