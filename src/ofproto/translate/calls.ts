import type { Core } from '../../arena/core.ts';

/** The exports of core.wasm that translation needs (contracts.md: OpenFlow classifier, MAC tables). */
export interface XlateCalls {
  clsLookup(cls: number, version: number, flow: number, wc: number): number;
  ruleCredit(rule: number, packets: number, bytes: number, usedMs: number): void;
  ruleRef(rule: number): void;
  ruleUnref(rule: number): void;
  /** @returns The entry's address, 0 = not learned (or aged). */
  macLookup(table: number, vlan: number, mac: number): number;
  macEntryPort(entry: number): number;
  /** @returns Whether something changed that megaflows depend on. */
  macLearn(table: number, vlan: number, mac: number, ofp: number, isGratArp: boolean, nowMs: number): boolean;
}

export function xlateCalls(core: Core): XlateCalls {
  return core.x as unknown as XlateCalls;
}
