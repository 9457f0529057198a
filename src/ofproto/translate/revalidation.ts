import type { Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { UdpifLayout } from '../generated/udpif.ts';

const revalSeqIndex = (ARENA_ROOT + ArenaRootLayout.revalSeq) >>> 2;
const udpifIndex = (ARENA_ROOT + ArenaRootLayout.udpif) >>> 2;

/**
 * Something that megaflows depend on has changed: they are translated again, soon. Any thread.
 *
 * Costs: a system call only when the leader does not know yet that it is asked, so that learning addresses by the
 * hundred thousand wakes nobody for each.
 */
export function requestRevalidation(core: Core): void {
  Atomics.add(core.u32, revalSeqIndex, 1);
  const udpif = Atomics.load(core.u32, udpifIndex);
  if (udpif === 0) return;
  const idle = (udpif + UdpifLayout.idle) >>> 2;
  if (Atomics.load(core.u32, idle) !== 0 && Atomics.exchange(core.u32, idle, 0) !== 0) wakeRevalidators(core);
}

/** Ends the sleep of every revalidator. Any thread. */
export function wakeRevalidators(core: Core): void {
  const udpif = Atomics.load(core.u32, udpifIndex);
  if (udpif === 0) return;
  const index = (udpif + UdpifLayout.wakeSeq) >>> 2;
  Atomics.add(core.i32, index, 1);
  Atomics.notify(core.i32, index);
}

export function revalidationSeq(core: Core): number {
  return Atomics.load(core.u32, revalSeqIndex);
}
