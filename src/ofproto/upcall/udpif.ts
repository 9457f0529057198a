import type { Core } from '../../arena/core.ts';

/** Settings of revalidation, all from Open_vSwitch.other_config. */
export interface UdpifConfig {
  readonly maxIdleMs: number;
  readonly maxRevalidatorMs: number;
  readonly minRevalidatePps: number;
  readonly flowLimit: number;
}

export const udpifDefaults: UdpifConfig = { maxIdleMs: 10_000, maxRevalidatorMs: 500, minRevalidatePps: 5, flowLimit: 200_000 };

/**
 * Handle of the arena block that upcalls and revalidators share. Main makes it (`Udpif.create`),
 * other threads attach by address. Every method is for main unless said otherwise.
 */
export interface UdpifApi {
  readonly address: number;
  configure(config: UdpifConfig): void;
  /** PMD blocks whose flows are revalidated. */
  addPmd(pmd: number): void;
  removePmd(pmd: number): void;
  /** New generation of `n` threads; older Revalidators return from their next step with `exited`. */
  setThreads(n: number): number;
  /** revalSeq + 1 and wakes whoever sleeps on wakeSeq: rules, ports or configuration changed. */
  revalidate(): void;
  pause(): void;
  resume(): void;
  readonly paused: boolean;
  /** Returns the roundSeq at which a revalidator/wait issued now is over. */
  waitTarget(): number;
  readonly roundSeq: number;
  purge(): void;
  readonly purged: boolean;
  setFlowLimit(limit: number): void;
  megaflowsEnabled: boolean;
  ufidEnabled: boolean;
  /** Text of `upcall/show`; `name` as 'netdev@ovs-netdev', `offload` false. */
  show(name: string): string;
}

export type CreateUdpif = (core: Core, config: UdpifConfig) => UdpifApi;
