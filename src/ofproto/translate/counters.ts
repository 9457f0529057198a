import type { Core } from '../../arena/core.ts';

/** Credits a patch port pair: what one end sent the other received. Addresses may be 0. */
export function addPatchCounters(core: Core, tx: number, rx: number, packets: number, bytes: number): void {
  if (tx !== 0) {
    core.x.counterAdd(tx + 16, packets);
    core.x.counterAdd(tx + 24, bytes);
  }
  if (rx !== 0) {
    core.x.counterAdd(rx, packets);
    core.x.counterAdd(rx + 8, bytes);
  }
}

/** Credits a table lookup to { u64 matched, u64 missed }. */
export function addTableCounter(core: Core, counters: number, isMatch: boolean, packets: number): void {
  core.x.counterAdd(counters + (isMatch ? 0 : 8), packets);
}
