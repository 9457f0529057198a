import type { Core } from '../arena/core.ts';
import { allocOrThrow } from '../arena/core.ts';
import { ARENA_ROOT } from '../arena/arena.layout.ts';
import { ArenaRootLayout } from '../arena/generated/arena-root.ts';
import { allocKey, writeKey } from '../arena/keys.ts';
import { RuleLayout } from '../classifier/generated/rule.ts';
import { ClsLayout } from '../classifier/generated/cls.ts';
import { fieldByName } from '../flow/fields.ts';
import type { Match } from '../flow/match.ts';
import type { FlowRemovedReason } from '../openflow/messages.ts';
import { ArenaFullError, BugError, OfpError } from '../util/errors.ts';
import type { TableMiss } from './ofproto-types.ts';
import { RuleList } from './rule-list.ts';
import { RuleView } from './rule-view.ts';
import type { Steps } from './table-change.ts';
import { TableChange, TablesGate } from './table-change.ts';

/**
 * The flow tables of one bridge, as main sees them.
 *
 * What: 255 tables (0-254), each a classifier in the arena, made when its first rule comes. Rules are
 * arena records; here they are u32 addresses. `tablesPtr` is the array of classifier addresses that
 * translators of all threads read.
 *
 * Changes: `begin` opens one with the next version of the tables. What it inserts and removes becomes visible
 * together, when `commit` publishes the version, or is undone by `abort`; `change(fn)` does all three.
 *
 * Scratch: matches go in by way of two keys in the arena, `flowKey` and `maskKey` ("the loaded match"),
 * written by `loadMatch`, `loadMatchOf` or a decoder.
 *
 * Threads: main only; readers follow versions and epochs (design.md §3).
 */
export const tableCount = 255;
/** The switch's own table: misses and internal rules; controllers cannot see or change it. */
export const internalTable = 254;
export const allTables = 0xff;
/** Rules told of before a long change lets others run. */
const tellSlice = 16_384;
/** Prefix fields of a table unless Flow_Table.prefixes says otherwise. */
const defaultPrefixes: readonly string[] = ['nw_dst', 'nw_src'];

/** A rule to be made; its match is the loaded one. */
export interface RuleSpec {
  readonly tableId: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly importance: number;
  /** ruleFlags bits. */
  readonly flags: number;
  /** Ofpact words, of which the first `nWords` count. */
  readonly words: Uint32Array;
  readonly nWords: number;
}

/** Who hears of a change. */
export interface ChangeListener {
  /** The new version is visible: revalidators are to wake. */
  publish(): void;
  /** A rule that was removed for a reason is gone; one that was replaced is not told of. */
  removed(rule: number, reason: FlowRemovedReason): void;
}

/** Which rules a request is about, besides the loaded match. */
export interface RuleQuery {
  /** allTables: all that controllers see. */
  readonly tableId: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
}

export interface TableConfig {
  name: string;
  /** Most rules, Infinity = no limit. */
  flowLimit: number;
  prefixes: readonly string[] | null;
  miss: TableMiss;
}

export class FlowTables {
  readonly #core: Core;
  readonly #bridgeId: number;
  readonly #cls: number[] = new Array<number>(tableCount).fill(0);
  readonly #configs = new Map<number, TableConfig>();
  readonly #query: number;
  readonly gate: TablesGate;
  readonly flowKey: number;
  readonly maskKey: number;
  readonly #version: BigUint64Array;
  readonly rules: RuleView;
  /** u32[256] of classifiers, 0 = no table yet. */
  readonly tablesPtr: number;
  /** { u64 matched, u64 missed } for each table, written by translations. */
  readonly countersPtr: number;

  constructor(core: Core, bridgeId: number) {
    this.#core = core;
    this.#bridgeId = bridgeId;
    this.tablesPtr = allocOrThrow(core, 256 * 4);
    this.countersPtr = allocOrThrow(core, 256 * 16);
    this.#query = allocOrThrow(core, 16);
    this.flowKey = allocKey(core);
    this.maskKey = allocKey(core);
    this.gate = TablesGate.of(core);
    this.rules = new RuleView(core, this.flowKey, this.maskKey);
    this.#version = new BigUint64Array(core.memory.buffer, ARENA_ROOT + ArenaRootLayout.tablesVersion, 1);
  }

  /** The version that readers see. */
  get version(): number {
    return Number(Atomics.load(this.#version, 0));
  }

  config(tableId: number): TableConfig {
    let config = this.#configs.get(tableId);
    if (config === undefined) {
      config = { name: '', flowLimit: Infinity, prefixes: null, miss: 'default' };
      this.#configs.set(tableId, config);
    }
    return config;
  }
  /** Settings of a table that has any. */
  configOf(tableId: number): TableConfig | undefined {
    return this.#configs.get(tableId);
  }

  /** Address of the table's classifier, 0 while it has had no rule. */
  classifier(tableId: number): number {
    return this.#cls[tableId] ?? 0;
  }
  ruleCount(tableId: number): number {
    const cls = this.classifier(tableId);
    return cls === 0 ? 0 : this.#core.dv.getUint32(cls + ClsLayout.ruleCount, true);
  }
  matchedCount(tableId: number): bigint {
    return this.#core.dv.getBigUint64(this.countersPtr + tableId * 16, true);
  }
  missedCount(tableId: number): bigint {
    return this.#core.dv.getBigUint64(this.countersPtr + tableId * 16 + 8, true);
  }

  /**
   * Runs `fn` as one change of the tables. A sliced change that is under way is finished first.
   *
   * A rule that is replaced is removed before its successor is inserted (the classifier's rule).
   *
   * @throws what `fn` throws, after undoing its insertions and removals.
   */
  change<T>(fn: (change: TableChange) => T, listener: ChangeListener): T {
    this.gate.finish();
    const change = this.begin();
    let result: T;
    try {
      result = fn(change);
    } catch (e) {
      throw this.abort(change, e);
    }
    this.commit(change, listener);
    for (const telling = this.tell(change, listener); telling.next().done !== true;);
    return result;
  }

  /** Opens a change; the caller has seen to it that no other is open (gate). */
  begin(): TableChange {
    return new TableChange(this.version + 1);
  }

  /** Publishes the change, if it has any step. */
  commit(change: TableChange, listener: ChangeListener): void {
    if (!change.isEmpty) {
      Atomics.store(this.#version, 0, BigInt(change.version));
      listener.publish();
    }
    change.afterCommit?.();
  }

  /** Tells of each rule that is gone, after `commit`; pauses now and then. */
  *tell(change: TableChange, listener: ChangeListener): Steps {
    let n = 0;
    for (const rule of change.toldRules()) {
      if (n > 0 && n % tellSlice === 0) yield;
      n++;
      const reason = this.rules.removedReason(rule);
      if (reason !== null) listener.removed(rule, reason);
      this.#core.x.ruleUnref(rule);
    }
  }

  /** Undoes the change. @returns What to throw for `cause`. */
  abort(change: TableChange, cause: unknown): unknown {
    const { x } = this.#core;
    change.undo(
      (rule) => {
        x.clsRemove(this.#clsOf(rule), rule, change.version);
      },
      (rule, wasTold) => {
        if (wasTold) {
          this.rules.setRemovedReason(rule, null);
          x.ruleUnref(rule);
        }
        x.clsRestore(this.#clsOf(rule), rule);
      },
    );
    return cause instanceof ArenaFullError ? new OfpError('OFPFMFC_TABLE_FULL') : cause;
  }
  #clsOf(rule: number): number {
    return this.classifier(this.rules.tableId(rule));
  }

  /**
   * Makes a rule with the loaded match, outside of its table. @throws ArenaFullError
   *
   * @returns Its address; `insert` or `discard` it.
   */
  create(spec: RuleSpec, nowMs: number): number {
    const { dv, x } = this.#core;
    const actionsLength = spec.nWords * 4;
    const actions = actionsLength === 0 ? 0 : allocOrThrow(this.#core, actionsLength);
    for (let i = 0, at = actions >>> 2; i < spec.nWords; i++) this.#core.u32[at + i] = spec.words[i] ?? 0;
    const rule = x.ruleCreate(this.flowKey, this.maskKey, spec.priority) >>> 0;
    if (rule === 0) {
      if (actions !== 0) x.free(actions);
      throw new ArenaFullError(RuleLayout.size);
    }
    dv.setUint32(rule + RuleLayout.actions, actions, true);
    dv.setUint32(rule + RuleLayout.actionsLength, actionsLength, true);
    dv.setUint32(rule + RuleLayout.bridgeId, this.#bridgeId, true);
    dv.setBigUint64(rule + RuleLayout.cookie, spec.cookie, true);
    dv.setFloat64(rule + RuleLayout.usedMs, nowMs, true);
    dv.setFloat64(rule + RuleLayout.createdMs, nowMs, true);
    dv.setFloat64(rule + RuleLayout.modifiedMs, nowMs, true);
    dv.setUint16(rule + RuleLayout.flags, spec.flags, true);
    dv.setUint16(rule + RuleLayout.idleTimeoutSec, spec.idleTimeoutSec, true);
    dv.setUint16(rule + RuleLayout.hardTimeoutSec, spec.hardTimeoutSec, true);
    dv.setUint16(rule + RuleLayout.importance, spec.importance, true);
    dv.setUint8(rule + RuleLayout.tableId, spec.tableId);
    return rule;
  }

  /** Frees a rule that was created but not inserted. */
  discard(rule: number): void {
    this.#core.x.ruleDestroy(rule);
  }

  /** Puts a created rule into its table, visible from the change's version on. @throws ArenaFullError (discarded then) */
  insert(change: TableChange, rule: number): void {
    const cls = this.#classifierFor(this.rules.tableId(rule));
    if (cls === 0 || this.#core.x.clsInsert(cls, rule, change.version) === 0) {
      this.discard(rule);
      throw new ArenaFullError(RuleLayout.size);
    }
    change.inserted(rule);
  }

  /**
   * Takes a rule out of its table from the change's version on; its memory lives on for readers.
   *
   * @param reason What its owner is told; null for a rule that is replaced.
   */
  remove(change: TableChange, rule: number, reason: FlowRemovedReason | null = null): void {
    const { x } = this.#core;
    if (reason !== null) {
      this.rules.setRemovedReason(rule, reason);
      x.ruleRef(rule);
    }
    x.clsRemove(this.#clsOf(rule), rule, change.version);
    change.removed(rule, reason !== null);
  }

  /** The rule with the match and priority of a created one that is there in `version`, or 0. */
  findSame(rule: number, version: number): number {
    const cls = this.#clsOf(rule);
    return cls === 0 ? 0 : this.#core.x.clsFindSame(cls, rule, version) >>> 0;
  }

  /** The rule with exactly the loaded match and this priority that is there in `version`, or 0. */
  findLoaded(tableId: number, priority: number, version: number): number {
    const cls = this.classifier(tableId);
    if (cls === 0) return 0;
    return this.#core.x.clsFindExact(cls, this.flowKey, this.maskKey, priority, version) >>> 0;
  }

  /** Whether a rule of the same priority could match a packet that the loaded match matches too. */
  overlaps(tableId: number, priority: number, version: number): boolean {
    const cls = this.classifier(tableId);
    if (cls === 0) return false;
    return this.#core.x.ruleOverlaps(cls, this.flowKey, this.maskKey, priority, version) !== 0;
  }

  /**
   * Rules whose match is the loaded one or more specific, hidden ones left out; free the list.
   *
   * @param hold Rules are kept until the list is freed.
   */
  select(query: RuleQuery, hold: boolean): RuleList {
    const { dv, x } = this.#core;
    const ids = this.#range(query.tableId);
    const most = ids.reduce((n, id) => n + this.ruleCount(id), 0);
    const list = allocOrThrow(this.#core, Math.max(16, 4 * most));
    dv.setBigUint64(this.#query, query.cookie, true);
    dv.setBigUint64(this.#query + 8, query.cookieMask, true);
    let n = 0;
    for (const id of ids) {
      const cls = this.classifier(id);
      if (cls === 0) continue;
      const left = most - n;
      n += x.clsSelect(cls, this.flowKey, this.maskKey, this.#query, list + 4 * n, left, hold);
    }
    return new RuleList(this.#core, list, n, hold);
  }

  /** Every current rule of a table. A rule may be removed while it is visited. */
  *all(tableId: number): Generator<number> {
    const cls = this.classifier(tableId);
    if (cls === 0) return;
    const { x } = this.#core;
    for (let rule = x.clsFirst(cls) >>> 0; rule !== 0;) {
      const next = x.clsNext(cls, rule) >>> 0;
      if (this.rules.isInserted(rule)) yield rule;
      rule = next;
    }
  }

  #range(tableId: number): number[] {
    if (tableId !== allTables) return [tableId];
    const ids: number[] = [];
    for (let id = 0; id < internalTable; id++) if (this.classifier(id) !== 0) ids.push(id);
    return ids;
  }

  /** The classifier of a table, made when there is none; 0 when the arena is full. */
  #classifierFor(tableId: number): number {
    if (tableId >= tableCount) throw new BugError(`table ${tableId}`);
    const existing = this.classifier(tableId);
    if (existing !== 0) return existing;
    const cls = this.#core.x.clsCreate() >>> 0;
    if (cls === 0) return 0;
    this.#cls[tableId] = cls;
    if (this.configOf(tableId)?.prefixes != null) this.#applyPrefixes(tableId);
    Atomics.store(this.#core.u32, (this.tablesPtr >>> 2) + tableId, cls);
    return cls;
  }

  setPrefixes(tableId: number, prefixes: readonly string[] | null): void {
    this.config(tableId).prefixes = prefixes;
    this.#applyPrefixes(tableId);
  }

  #applyPrefixes(tableId: number): void {
    const cls = this.classifier(tableId);
    if (cls === 0) return;
    const names = this.configOf(tableId)?.prefixes ?? defaultPrefixes;
    const words = names.flatMap((name) => {
      const field = fieldByName(name);
      return field === undefined ? [] : [(field.end - field.bytes) | ((field.bytes * 8) << 16)];
    });
    if (this.#core.x.clsSetPrefixes(cls, words[0] ?? 0, words[1] ?? 0, words[2] ?? 0) === 0) {
      throw new ArenaFullError(ClsLayout.size);
    }
  }

  /** Loads a match: what comes next is about it. */
  loadMatch(match: Match): void {
    writeKey(this.#core, this.flowKey, match.flow);
    writeKey(this.#core, this.maskKey, match.mask);
  }
  /** Loads the match of a rule. */
  loadMatchOf(rule: number): void {
    this.#core.x.ruleExpand(rule, this.flowKey, this.maskKey);
  }

  destroy(): void {
    const { x } = this.#core;
    for (let id = 0; id < tableCount; id++) {
      const cls = this.classifier(id);
      if (cls === 0) continue;
      Atomics.store(this.#core.u32, (this.tablesPtr >>> 2) + id, 0);
      x.clsDestroy(cls);
      this.#cls[id] = 0;
    }
    const blocks = [this.tablesPtr, this.countersPtr, this.#query, this.flowKey, this.maskKey];
    for (const block of blocks) x.deferFree(block);
  }
}
