import { allocOrThrow, type Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { MegaflowLayout } from '../../datapath/generated/megaflow.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { UdpifLayout as U } from '../generated/udpif.ts';
import { requestRevalidation, wakeRevalidators } from '../translate/revalidation.ts';
import { BugError } from '../../util/errors.ts';

/** Settings of revalidation, all from Open_vSwitch.other_config. */
export interface UdpifConfig {
  readonly maxIdleMs: number;
  readonly maxRevalidatorMs: number;
  readonly minRevalidatePps: number;
  readonly flowLimit: number;
}

export const udpifDefaults: UdpifConfig = {
  maxIdleMs: 10_000,
  maxRevalidatorMs: 500,
  minRevalidatePps: 5,
  flowLimit: 200_000,
};

/** The limit that a fresh daemon starts with; the leader raises it as it sees how long rounds take. */
const INITIAL_FLOW_LIMIT = 10_000;
const MEGAFLOWS_ENABLED = 1;
const UFID_ENABLED = 2;
const MAX_PMDS = 128;

/**
 * What upcalls and revalidators of all threads share (OVS's `struct udpif`): settings, the flow limit,
 * the list of PMDs, and the words by which rounds are paced.
 *
 * Threads: main makes it and changes settings; other threads attach by address and read. The block lives
 * as long as the process.
 */
export class Udpif {
  readonly address: number;
  readonly #core: Core;

  constructor(core: Core, address: number) {
    this.#core = core;
    this.address = address;
  }

  /** Makes the block and publishes it in the arena's root. Main, once. */
  static create(core: Core, config: UdpifConfig): Udpif {
    const udpif = new Udpif(core, allocOrThrow(core, U.size));
    udpif.set(U.flags, MEGAFLOWS_ENABLED | UFID_ENABLED);
    udpif.set(U.flowLimit, Math.min(INITIAL_FLOW_LIMIT, config.flowLimit));
    udpif.set(U.dumpDurationMs, 1);
    udpif.configure(config);
    Atomics.store(core.u32, (ARENA_ROOT + ArenaRootLayout.udpif) >>> 2, udpif.address);
    return udpif;
  }

  get(field: number): number {
    return Atomics.load(this.#core.u32, (this.address + field) >>> 2);
  }

  set(field: number, value: number): void {
    Atomics.store(this.#core.u32, (this.address + field) >>> 2, value);
  }

  /** @returns The old value. */
  add(field: number, n: number): number {
    return Atomics.add(this.#core.u32, (this.address + field) >>> 2, n);
  }

  configure(config: UdpifConfig): void {
    this.set(U.maxIdleMs, config.maxIdleMs);
    this.set(U.maxRevalidatorMs, config.maxRevalidatorMs);
    this.set(U.minRevalidatePps, config.minRevalidatePps);
    this.set(U.flowLimitMax, config.flowLimit);
    if (this.get(U.flowLimit) > config.flowLimit) this.set(U.flowLimit, Math.max(config.flowLimit, 1));
    this.wake();
  }

  /** Has the flows of a PMD revalidated from now on. */
  addPmd(pmd: number): void {
    for (let i = 0; i < MAX_PMDS; i++) {
      if (this.get(U.pmds + 4 * i) !== 0) continue;
      this.set(U.pmds + 4 * i, pmd);
      if (i >= this.get(U.nPmds)) this.set(U.nPmds, i + 1);
      return;
    }
    throw new BugError('too many PMDs');
  }

  /** A PMD whose thread has ended: the next round credits and deletes its flows, then frees it. */
  retirePmd(pmd: number): void {
    for (let i = 0; i < this.get(U.nPmds); i++) {
      if (this.get(U.pmds + 4 * i) === pmd) this.set(U.pmds + 4 * i, pmd | 1);
    }
    requestRevalidation(this.#core);
  }

  /** PMD in slot `i` with bit 0 set when retired, 0 = none. */
  pmdSlot(i: number): number {
    return this.get(U.pmds + 4 * i);
  }

  get nPmds(): number {
    return this.get(U.nPmds);
  }

  /** A new generation of `n` threads; threads of older ones leave at their next step. @returns The generation. */
  setThreads(n: number): number {
    const generation = (this.get(U.generation) + 1) & 0xffff;
    this.set(U.nRevalidators, n);
    this.set(U.phase, 0);
    this.set(U.inRound, 0);
    this.set(U.paused, 0);
    for (let i = 0; i < 64; i++) this.set(U.ukeys + 4 * i, 0);
    this.set(U.arrived, generation << 16);
    this.set(U.generation, generation);
    this.wake();
    return generation;
  }

  /** Rules, ports or configuration changed: every megaflow is looked at again, soon. */
  revalidate(): void {
    requestRevalidation(this.#core);
  }

  /** Ends the sleep of idle revalidators, so that they look at the time and the words again. */
  wake(): void {
    wakeRevalidators(this.#core);
  }

  pause(): void {
    this.set(U.pause, 1);
    // Without threads nobody would answer, and nothing runs.
    if (this.get(U.nRevalidators) === 0) this.set(U.paused, 1);
    this.wake();
  }

  resume(): void {
    this.set(U.pause, 0);
    this.set(U.paused, 0);
    this.wake();
  }

  get paused(): boolean {
    return this.get(U.paused) !== 0;
  }

  /** Asks for a round at once. @returns The `roundSeq` with which a whole round from now on is over. */
  waitTarget(): number {
    const target = this.get(U.roundSeq) + 1 + this.get(U.inRound);
    this.add(U.waitSeq, 1);
    this.wake();
    return target >>> 0;
  }

  get roundSeq(): number {
    return this.get(U.roundSeq);
  }

  /** Asks for a round that deletes every flow. */
  purge(): void {
    this.add(U.purgeSeq, 1);
    this.wake();
  }

  get purged(): boolean {
    return this.get(U.purgeSeq) === this.get(U.purgedSeq);
  }

  get flowLimit(): number {
    return this.get(U.flowLimit);
  }

  setFlowLimit(limit: number): void {
    this.set(U.flowLimit, Math.max(limit, 0));
  }

  get megaflowsEnabled(): boolean {
    return (this.get(U.flags) & MEGAFLOWS_ENABLED) !== 0;
  }
  set megaflowsEnabled(on: boolean) {
    this.#setFlag(MEGAFLOWS_ENABLED, on);
  }

  get ufidEnabled(): boolean {
    return (this.get(U.flags) & UFID_ENABLED) !== 0;
  }
  set ufidEnabled(on: boolean) {
    this.#setFlag(UFID_ENABLED, on);
  }

  #setFlag(flag: number, on: boolean): void {
    const index = (this.address + U.flags) >>> 2;
    if (on) Atomics.or(this.#core.u32, index, flag);
    else Atomics.and(this.#core.u32, index, ~flag);
  }

  /** Megaflows of all PMDs. */
  get flowCount(): number {
    const { u32 } = this.#core;
    let n = 0;
    for (let i = 0; i < this.nPmds; i++) {
      const pmd = this.pmdSlot(i) & ~1;
      if (pmd !== 0) n += Atomics.load(u32, ((pmd >>> 0) + PmdLayout.flowCount) >>> 2);
    }
    return n;
  }

  /** Flows by the thread that OVS would have sweep them: 512 maps by hash, dealt out in turn. */
  #keysPerThread(n: number): number[] {
    const { dv } = this.#core;
    const keys = new Array<number>(n).fill(0);
    if (n === 0) return keys;
    for (let i = 0; i < this.nPmds; i++) {
      const pmd = (this.pmdSlot(i) & ~1) >>> 0;
      if (pmd === 0) continue;
      const capacity = dv.getUint32(pmd + PmdLayout.slotsUsed, true);
      for (let slot = 0; slot < capacity; slot++) {
        const mf = dv.getUint32(dv.getUint32(pmd + PmdLayout.flowSlots, true) + 4 * slot, true);
        if (mf === 0) continue;
        const thread = (dv.getUint32(mf + MegaflowLayout.ufid0, true) % 512) % n;
        keys[thread] = (keys[thread] ?? 0) + 1;
      }
    }
    return keys;
  }

  /**
   * Text of `upcall/show` for one datapath.
   *
   * @param name e.g. `netdev@ovs-netdev`.
   * @param firstThreadId OVS's id of the first revalidator thread, for the `(keys N)` lines.
   */
  show(name: string, threadIds?: readonly number[]): string {
    const n = this.get(U.nRevalidators);
    const lines = [
      `${name}:`,
      `  flows         : (current ${this.flowCount}) (avg ${this.get(U.avgFlows)}) (max ${this.get(U.maxFlows)}) (limit ${this.flowLimit})`,
      `  dump duration : ${this.get(U.dumpDurationMs)}ms`,
      `  ufid enabled : ${this.ufidEnabled ? 'true' : 'false'}`,
      '',
    ];
    const keys = this.#keysPerThread(n);
    keys.forEach((count, i) => lines.push(`  ${threadIds?.[i] ?? i}: (keys ${count})`));
    return `${lines.join('\n')}\n`;
  }
}
