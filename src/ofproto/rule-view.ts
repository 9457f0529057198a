import type { Core } from '../arena/core.ts';
import { readKey } from '../arena/keys.ts';
import { RuleLayout } from '../classifier/generated/rule.ts';
import { Match } from '../flow/match.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowModFlags, FlowRemovedReason } from '../openflow/messages.ts';
import { decodeOfpacts } from './ofpact-words.ts';

/**
 * Reading and writing one rule of the arena by its address.
 *
 * There is no object per rule: callers hold a u32 address for the length of one call, and nothing here
 * is kept. Fields that several threads write (statistics) are only read.
 */
export const ruleFlags = {
  SEND_FLOW_REM: 1 << 0,
  CHECK_OVERLAP: 1 << 1,
  RESET_COUNTS: 1 << 2,
  NO_PKT_COUNTS: 1 << 3,
  NO_BYT_COUNTS: 1 << 4,
  EMERG: 1 << 5,
} as const;

/** Numbers of reasons in the rule's slot are one more than the index. */
const removedReasons: readonly FlowRemovedReason[] = [
  'idle',
  'hard',
  'delete',
  'group_delete',
  'meter_delete',
  'eviction',
];

/** Rules above this are the switch's own and hidden from controllers. */
export const maxVisiblePriority = 0xffff;

export function flagsToBits(flags: FlowModFlags): number {
  return (
    (flags.sendFlowRem ? ruleFlags.SEND_FLOW_REM : 0) |
    (flags.checkOverlap ? ruleFlags.CHECK_OVERLAP : 0) |
    (flags.resetCounts ? ruleFlags.RESET_COUNTS : 0) |
    (flags.noPacketCounts ? ruleFlags.NO_PKT_COUNTS : 0) |
    (flags.noByteCounts ? ruleFlags.NO_BYT_COUNTS : 0) |
    (flags.emergency ? ruleFlags.EMERG : 0)
  );
}

export function flagsFromBits(bits: number): FlowModFlags {
  return {
    sendFlowRem: (bits & ruleFlags.SEND_FLOW_REM) !== 0,
    checkOverlap: (bits & ruleFlags.CHECK_OVERLAP) !== 0,
    resetCounts: (bits & ruleFlags.RESET_COUNTS) !== 0,
    noPacketCounts: (bits & ruleFlags.NO_PKT_COUNTS) !== 0,
    noByteCounts: (bits & ruleFlags.NO_BYT_COUNTS) !== 0,
    emergency: (bits & ruleFlags.EMERG) !== 0,
  };
}

/** Whole milliseconds from one stamp to another, as OVS counts them. */
export function elapsedMs(fromMs: number, toMs: number): number {
  return Math.max(0, Math.floor(toMs) - Math.floor(fromMs));
}

export class RuleView {
  readonly #core: Core;
  readonly #flowKey: number;
  readonly #maskKey: number;

  /** Borrows two scratch keys of the arena. */
  constructor(core: Core, flowKey: number, maskKey: number) {
    this.#core = core;
    this.#flowKey = flowKey;
    this.#maskKey = maskKey;
  }

  priority(rule: number): number {
    return this.#core.dv.getInt32(rule + RuleLayout.priority, true);
  }
  isHidden(rule: number): boolean {
    return this.priority(rule) > maxVisiblePriority;
  }
  tableId(rule: number): number {
    return this.#core.dv.getUint8(rule + RuleLayout.tableId);
  }
  cookie(rule: number): bigint {
    return this.#core.dv.getBigUint64(rule + RuleLayout.cookie, true);
  }
  flags(rule: number): number {
    return this.#core.dv.getUint16(rule + RuleLayout.flags, true);
  }
  idleTimeoutSec(rule: number): number {
    return this.#core.dv.getUint16(rule + RuleLayout.idleTimeoutSec, true);
  }
  hardTimeoutSec(rule: number): number {
    return this.#core.dv.getUint16(rule + RuleLayout.hardTimeoutSec, true);
  }
  importance(rule: number): number {
    return this.#core.dv.getUint16(rule + RuleLayout.importance, true);
  }
  usedMs(rule: number): number {
    return this.#core.dv.getFloat64(rule + RuleLayout.usedMs, true);
  }
  createdMs(rule: number): number {
    return this.#core.dv.getFloat64(rule + RuleLayout.createdMs, true);
  }
  setCreatedMs(rule: number, ms: number): void {
    this.#core.dv.setFloat64(rule + RuleLayout.createdMs, ms, true);
  }
  modifiedMs(rule: number): number {
    return this.#core.dv.getFloat64(rule + RuleLayout.modifiedMs, true);
  }
  packets(rule: number): bigint {
    return this.#core.dv.getBigUint64(rule + RuleLayout.packets, true);
  }
  bytes(rule: number): bigint {
    return this.#core.dv.getBigUint64(rule + RuleLayout.bytes, true);
  }
  /** Why the rule is being removed; null when it is not, or is replaced. */
  removedReason(rule: number): FlowRemovedReason | null {
    return removedReasons[this.#core.dv.getUint8(rule + RuleLayout.removedReason) - 1] ?? null;
  }
  setRemovedReason(rule: number, reason: FlowRemovedReason | null): void {
    const number = reason === null ? 0 : removedReasons.indexOf(reason) + 1;
    this.#core.dv.setUint8(rule + RuleLayout.removedReason, number);
  }
  /** Not yet taken out of its table. */
  isInserted(rule: number): boolean {
    return this.#core.dv.getUint32(rule + RuleLayout.state, true) === 1;
  }

  match(rule: number): Match {
    this.#core.x.ruleExpand(rule, this.#flowKey, this.#maskKey);
    return new Match(readKey(this.#core, this.#flowKey), readKey(this.#core, this.#maskKey));
  }

  /** A view of the rule's action words; valid while the rule is. */
  actionWords(rule: number): Uint32Array {
    const at = this.#core.dv.getUint32(rule + RuleLayout.actions, true);
    if (at === 0) return new Uint32Array(0);
    const length = this.#core.dv.getUint32(rule + RuleLayout.actionsLength, true);
    return this.#core.u32.subarray(at >>> 2, (at + length) >>> 2);
  }
  actions(rule: number): Action[] {
    return decodeOfpacts(this.actionWords(rule));
  }
}
