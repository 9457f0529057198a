import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let $collect: (() => void) | undefined;

/**
 * Gives memory that nobody uses back to the system now, as malloc_trim(3) does: a full collection of V8's heap, which
 * else waits for the next allocation. Takes a second or so per GB of live objects, on the calling thread.
 */
export function trimMemory(): void {
  if ($collect === undefined) {
    setFlagsFromString('--expose-gc');
    $collect = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  setFlagsFromString('--compact-on-every-full-gc');
  $collect();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
