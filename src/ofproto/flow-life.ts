import type { Core } from '../arena/core.ts';
import { ARENA_ROOT } from '../arena/arena.layout.ts';
import { ArenaRootLayout } from '../arena/generated/arena-root.ts';
import { RuleLayout } from '../classifier/generated/rule.ts';
import type { FlowRemovedReason } from '../openflow/messages.ts';
import { ExpiryWheel } from './expiry-wheel.ts';
import type { RuleView } from './rule-view.ts';

/**
 * What happens to rules over time: time-outs, and statistics of rules that were replaced.
 *
 * Time-outs: looked at once a second; a rule expires when its time is over for more than its time-out.
 * `usedMs` is credited by revalidators, so a rule that seems idle is a suspect first and goes only
 * after a whole round has shown no packet (OVS expires once a dump has ended, for the same reason).
 *
 * Replaced rules: a megaflow made before the change credits the old rule until a revalidator has
 * translated it again. Those late packets are carried to the successor until three dump rounds have
 * ended, after which no side-effect list can hold the old rule.
 */
interface Retired {
  readonly rule: number;
  readonly successor: number;
  packets: bigint;
  bytes: bigint;
  readonly dumpSeq: number;
  readonly sinceMs: number;
}

const retiredRounds = 3;
const retiredMaxMs = 60_000;

export class FlowLife {
  readonly #core: Core;
  readonly #rules: RuleView;
  readonly #wheel: ExpiryWheel;
  readonly #u64: BigUint64Array;
  /** Rules found idle, with the dumpSeq at which a round that began later has ended. */
  readonly #suspects = new Map<number, number>();
  #retired: Retired[] = [];
  #nextTickMs: number;

  constructor(core: Core, rules: RuleView, nowMs: number) {
    this.#core = core;
    this.#rules = rules;
    this.#wheel = new ExpiryWheel(nowMs);
    this.#u64 = new BigUint64Array(core.memory.buffer);
    this.#nextTickMs = nowMs + 1000;
  }

  get wakeAtMs(): number {
    return this.#wheel.size > 0 || this.#retired.length > 0 ? this.#nextTickMs : Infinity;
  }

  /** A rule was inserted: watches its time-outs, if it has any. */
  watch(rule: number): void {
    const deadlineMs = this.#deadlineMs(rule);
    if (deadlineMs === Infinity) return;
    this.#core.x.ruleRef(rule);
    this.#wheel.add(rule, deadlineMs);
  }

  #deadlineMs(rule: number): number {
    const rules = this.#rules;
    const idleMs = rules.idleTimeoutSec(rule) * 1000;
    const hardMs = rules.hardTimeoutSec(rule) * 1000;
    return Math.min(
      idleMs === 0 ? Infinity : rules.usedMs(rule) + idleMs,
      hardMs === 0 ? Infinity : rules.modifiedMs(rule) + hardMs,
    );
  }

  /**
   * Once a second: hands out rules whose time is over.
   *
   * @param expire Removes the rule from its table.
   */
  run(nowMs: number, expire: (rule: number, reason: FlowRemovedReason) => void): void {
    if (nowMs < this.#nextTickMs) return;
    this.#nextTickMs = nowMs + 1000;
    this.settle(nowMs);
    this.#wheel.due(nowMs, (rule) => {
      if (this.#rules.isInserted(rule)) {
        const reason = this.#expired(rule, nowMs);
        if (reason === null) this.#suspects.delete(rule);
        if (reason === null || (reason === 'idle' && !this.#isShownIdle(rule))) {
          this.#wheel.add(rule, Math.max(this.#deadlineMs(rule), nowMs));
          return;
        }
        expire(rule, reason);
      }
      this.#suspects.delete(rule);
      this.#core.x.ruleUnref(rule);
    });
  }

  /** dumpSeq is odd during a round and 0 where there are no revalidators. */
  #isShownIdle(rule: number): boolean {
    const dumpSeq = this.#dumpSeq();
    if (dumpSeq === 0) return true;
    const due = this.#suspects.get(rule);
    if (due !== undefined) return ((dumpSeq - due) | 0) >= 0;
    this.#suspects.set(rule, dumpSeq + 2 + (dumpSeq & 1));
    return false;
  }

  #expired(rule: number, nowMs: number): FlowRemovedReason | null {
    const rules = this.#rules;
    const hardMs = rules.hardTimeoutSec(rule) * 1000;
    if (hardMs !== 0 && nowMs > rules.modifiedMs(rule) + hardMs) return 'hard';
    const idleMs = rules.idleTimeoutSec(rule) * 1000;
    if (idleMs !== 0 && nowMs > rules.usedMs(rule) + idleMs) return 'idle';
    return null;
  }

  /** `rule` was replaced: its last use, and with `keepCounts` its statistics, go on in `successor`. */
  replaced(rule: number, successor: number, keepCounts: boolean, nowMs: number): void {
    const { dv, x } = this.#core;
    dv.setFloat64(successor + RuleLayout.usedMs, this.#rules.usedMs(rule), true);
    if (!keepCounts) return;
    const packets = this.#rules.packets(rule);
    const bytes = this.#rules.bytes(rule);
    this.#credit(successor, packets, bytes);
    x.ruleRef(rule);
    x.ruleRef(successor);
    this.#retired.push({ rule, successor, packets, bytes, dumpSeq: this.#dumpSeq(), sinceMs: nowMs });
  }

  #credit(rule: number, packets: bigint, bytes: bigint): void {
    Atomics.add(this.#u64, (rule + RuleLayout.packets) / 8, packets);
    Atomics.add(this.#u64, (rule + RuleLayout.bytes) / 8, bytes);
  }

  #dumpSeq(): number {
    return Atomics.load(this.#core.u32, (ARENA_ROOT + ArenaRootLayout.dumpSeq) >>> 2);
  }

  /** Carries late statistics of replaced rules to their successors; call before reading statistics. */
  settle(nowMs: number): void {
    if (this.#retired.length === 0) return;
    const { dv, x } = this.#core;
    const dumpSeq = this.#dumpSeq();
    const kept: Retired[] = [];
    for (const entry of this.#retired) {
      const packets = this.#rules.packets(entry.rule);
      if (packets !== entry.packets) {
        const bytes = this.#rules.bytes(entry.rule);
        this.#credit(entry.successor, packets - entry.packets, bytes - entry.bytes);
        entry.packets = packets;
        entry.bytes = bytes;
        const usedMs = this.#rules.usedMs(entry.rule);
        if (usedMs > this.#rules.usedMs(entry.successor)) {
          dv.setFloat64(entry.successor + RuleLayout.usedMs, usedMs, true);
        }
      }
      if (((dumpSeq - entry.dumpSeq) | 0) < retiredRounds && nowMs - entry.sinceMs < retiredMaxMs) {
        kept.push(entry);
      } else {
        x.ruleUnref(entry.rule);
        x.ruleUnref(entry.successor);
      }
    }
    this.#retired = kept;
  }

  destroy(): void {
    const { x } = this.#core;
    this.#wheel.drain((rule) => {
      x.ruleUnref(rule);
    });
    this.#suspects.clear();
    for (const entry of this.#retired) {
      x.ruleUnref(entry.rule);
      x.ruleUnref(entry.successor);
    }
    this.#retired = [];
  }
}
