import type { Core } from '../arena/core.ts';
import { allocOrThrow, storeBytes } from '../arena/core.ts';
import { ARENA_ROOT } from '../arena/arena.layout.ts';
import { ArenaRootLayout } from '../arena/generated/arena-root.ts';
import { allocKey, writeKey } from '../arena/keys.ts';
import { RuleLayout } from '../classifier/generated/rule.ts';
import { ClsLayout } from '../classifier/generated/cls.ts';
import { fieldByName } from '../flow/fields.ts';
import type { Match } from '../flow/match.ts';
import type { Action } from '../openflow/actions.ts';
import { ArenaFullError, BugError, OfpError } from '../util/errors.ts';
import { encodeOfpacts } from './ofpact-words.ts';
import type { TableMiss } from './ofproto-types.ts';
import { RuleView } from './rule-view.ts';

/**
 * The flow tables of one bridge, as main sees them.
 *
 * What: 255 tables (0-254), each a classifier in the arena, made when its first rule comes. Rules are
 * arena records; here they are u32 addresses. `tablesPtr` is the array of classifier addresses that
 * translators of all threads read.
 *
 * Changes: `change(fn)` runs `fn` with the next version of the tables. What it inserts and removes
 * becomes visible together, when the version is published at its end, or is undone when it throws.
 *
 * Threads: main only; readers follow versions and epochs (design.md §3).
 */
export const tableCount = 255;
/** The switch's own table: misses and internal rules; controllers cannot see or change it. */
export const internalTable = 254;
export const allTables = 0xff;
/** Prefix fields of a table unless Flow_Table.prefixes says otherwise. */
const defaultPrefixes: readonly string[] = ['nw_dst', 'nw_src'];

export interface RuleSpec {
  readonly tableId: number;
  readonly match: Match;
  readonly priority: number;
  readonly cookie: bigint;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly importance: number;
  /** ruleFlags bits. */
  readonly flags: number;
  readonly actions: readonly Action[];
}

export interface TableConfig {
  name: string;
  /** Most rules, Infinity = no limit. */
  flowLimit: number;
  prefixes: readonly string[] | null;
  miss: TableMiss;
}

/** A change under way: everything done by one flow_mod. */
export class TableChange {
  readonly version: number;
  readonly inserted: number[] = [];
  readonly removed: number[] = [];
  constructor(version: number) {
    this.version = version;
  }
}

export class FlowTables {
  readonly #core: Core;
  readonly #bridgeId: number;
  readonly #cls: number[] = new Array<number>(tableCount).fill(0);
  readonly #configs = new Map<number, TableConfig>();
  readonly #flowKey: number;
  readonly #maskKey: number;
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
    this.#flowKey = allocKey(core);
    this.#maskKey = allocKey(core);
    this.rules = new RuleView(core, this.#flowKey, this.#maskKey);
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
   * Runs `fn` as one change of the tables.
   *
   * A rule that is replaced is removed before its successor is inserted (the classifier's rule).
   *
   * @param publish Called once the new version is visible, when anything changed.
   * @throws what `fn` throws, after undoing its insertions and removals.
   */
  change<T>(fn: (change: TableChange) => T, publish: () => void): T {
    const change = new TableChange(this.version + 1);
    let result: T;
    try {
      result = fn(change);
    } catch (e) {
      this.#undo(change);
      if (e instanceof ArenaFullError) throw new OfpError('OFPFMFC_TABLE_FULL');
      throw e;
    }
    if (change.inserted.length > 0 || change.removed.length > 0) {
      Atomics.store(this.#version, 0, BigInt(change.version));
      publish();
    }
    return result;
  }

  #undo(change: TableChange): void {
    const { x } = this.#core;
    for (const rule of change.inserted) x.clsRemove(this.#clsOf(rule), rule, change.version);
    for (const rule of change.removed) x.clsRestore(this.#clsOf(rule), rule);
  }
  #clsOf(rule: number): number {
    return this.classifier(this.rules.tableId(rule));
  }

  /** Makes a rule and puts it into its table; visible from the change's version on. */
  insert(change: TableChange, spec: RuleSpec, nowMs: number): number {
    const cls = this.#classifierFor(spec.tableId);
    const rule = this.#create(spec, nowMs);
    if (this.#core.x.clsInsert(cls, rule, change.version) === 0) {
      this.#core.x.ruleDestroy(rule);
      throw new ArenaFullError(RuleLayout.size);
    }
    change.inserted.push(rule);
    return rule;
  }

  /** Takes a rule out of its table from the change's version on; its memory lives on for readers. */
  remove(change: TableChange, rule: number): void {
    this.#core.x.clsRemove(this.#clsOf(rule), rule, change.version);
    change.removed.push(rule);
  }

  #create(spec: RuleSpec, nowMs: number): number {
    const { dv, x } = this.#core;
    this.#loadKeys(spec.match);
    const words = encodeOfpacts(spec.actions);
    const actions =
      words.length === 0
        ? 0
        : storeBytes(this.#core, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
    const rule = x.ruleCreate(this.#flowKey, this.#maskKey, spec.priority) >>> 0;
    if (rule === 0) {
      if (actions !== 0) x.free(actions);
      throw new ArenaFullError(RuleLayout.size);
    }
    dv.setUint32(rule + RuleLayout.actions, actions, true);
    dv.setUint32(rule + RuleLayout.actionsLength, words.byteLength, true);
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

  /** The rule with exactly this match and priority that the change would see, or 0. */
  findExact(tableId: number, match: Match, priority: number, version = this.version): number {
    const cls = this.classifier(tableId);
    if (cls === 0) return 0;
    this.#loadKeys(match);
    return this.#core.x.clsFindExact(cls, this.#flowKey, this.#maskKey, priority, version) >>> 0;
  }

  /** Whether a rule of the same priority could match a packet that `match` matches too. */
  overlaps(tableId: number, match: Match, priority: number): boolean {
    const cls = this.classifier(tableId);
    if (cls === 0) return false;
    this.#loadKeys(match);
    return this.#core.x.ruleOverlaps(cls, this.#flowKey, this.#maskKey, priority, this.version) !== 0;
  }

  /** Rules of a table (or of all that controllers see) whose match is `match` or more specific. */
  loose(tableId: number, match: Match): number[] {
    const core = this.#core;
    this.#loadKeys(match);
    const bits = core.x.maskBits(this.#maskKey);
    const found: number[] = [];
    for (const id of this.#range(tableId)) {
      for (const rule of this.all(id)) {
        if (bits === 0 || core.x.ruleMatchesLooseBits(rule, this.#flowKey, this.#maskKey, bits) !== 0)
          found.push(rule);
      }
    }
    return found;
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

  #classifierFor(tableId: number): number {
    if (tableId >= tableCount) throw new BugError(`table ${tableId}`);
    const existing = this.classifier(tableId);
    if (existing !== 0) return existing;
    const cls = this.#core.x.clsCreate() >>> 0;
    if (cls === 0) throw new ArenaFullError(ClsLayout.size);
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

  #loadKeys(match: Match): void {
    writeKey(this.#core, this.#flowKey, match.flow);
    writeKey(this.#core, this.#maskKey, match.mask);
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
    for (const block of [this.tablesPtr, this.countersPtr, this.#flowKey, this.#maskKey]) x.deferFree(block);
  }
}
