import type { Clock } from '../util/clock.ts';
import { SystemClock } from '../util/clock.ts';
import { ARENA_ROOT } from './arena.layout.ts';
import type { Core } from './core.ts';
import {
  arenaRootVirtualMs,
  arenaRootWallOffsetMs,
  ArenaRootLayout,
  setArenaRootVirtualMs,
  setArenaRootWallOffsetMs,
} from './generated/arena-root.ts';

/**
 * The time of all threads: real, until main stops it (`time/stop`); then it moves only by
 * `time/warp`. The state is in the arena's root, so that all threads agree.
 */
export class ArenaClock implements Clock {
  readonly #core: Core;
  readonly #real: Clock;
  constructor(core: Core, real: Clock = new SystemClock()) {
    this.#core = core;
    this.#real = real;
  }
  get isStopped(): boolean {
    return Atomics.load(this.#core.u32, (ARENA_ROOT + ArenaRootLayout.timeStopped) >>> 2) !== 0;
  }
  nowMs(): number {
    return this.isStopped ? arenaRootVirtualMs(this.#core.dv, ARENA_ROOT) : this.#real.nowMs();
  }
  wallMs(): number {
    return this.isStopped
      ? arenaRootVirtualMs(this.#core.dv, ARENA_ROOT) + arenaRootWallOffsetMs(this.#core.dv, ARENA_ROOT)
      : this.#real.wallMs();
  }
  /** Main only: time stands still from now on. There is no way back, as in OVS. */
  stop(): void {
    if (this.isStopped) return;
    const nowMs = this.#real.nowMs();
    setArenaRootVirtualMs(this.#core.dv, ARENA_ROOT, nowMs);
    setArenaRootWallOffsetMs(this.#core.dv, ARENA_ROOT, this.#real.wallMs() - nowMs);
    Atomics.store(this.#core.u32, (ARENA_ROOT + ArenaRootLayout.timeStopped) >>> 2, 1);
  }
  /** Main only, after `stop`: moves time by `ms`. */
  warp(ms: number): void {
    setArenaRootVirtualMs(this.#core.dv, ARENA_ROOT, arenaRootVirtualMs(this.#core.dv, ARENA_ROOT) + ms);
  }
}
