import type { Match } from '../flow/match.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowMod, FlowRemovedReason, FlowStatsRequest } from '../openflow/messages.ts';
import { OFPG_ANY, OFPP_NONE } from '../openflow/ports.ts';
import { OfpError } from '../util/errors.ts';
import type { ChangeListener, FlowTables, RuleSpec } from './flow-tables.ts';
import { allTables, internalTable } from './flow-tables.ts';
import { encodeOfpacts } from './ofpact-words.ts';
import { flagsToBits, ruleFlags } from './rule-view.ts';
import type { RuleList } from './rule-list.ts';
import { outputsToGroup, outputsToPort } from './rule-outputs.ts';
import type { Steps, TableChange } from './table-change.ts';

/**
 * What a flow_mod does to the tables (OpenFlow 1.0 §4.6, 1.3 §6.4), with OVS's reading of the details.
 *
 * A flow_mod is a step of a change, which has one flow_mod or the many of a bundle: rules are found as the
 * steps before left them, replacements are inserted and old rules removed in the change's version. A rule
 * that is changed is replaced by a new one that takes over its statistics, so that readers see either
 * all of the old or all of the new.
 */
export interface FlowModHost extends ChangeListener {
  readonly tables: FlowTables;
  nowMs(): number;
  /** `rule` was replaced by `successor`, its last use goes on there; `keepCounts`: its statistics, also late ones, go on there. */
  replaced(rule: number, successor: number, keepCounts: boolean): void;
  /** A rule was inserted (time-outs are to be watched). */
  added(rule: number): void;
}

/** Rules deleted, or modified, before a long change lets others run. */
const deleteSlice = 4096;
const modifySlice = 512;

const allOnes = 0xffff_ffff_ffff_ffffn;

type Criteria = Pick<
  FlowStatsRequest,
  'tableId' | 'match' | 'cookie' | 'cookieMask' | 'outPort' | 'outGroup'
>;

/**
 * Rules that match loosely, hidden ones left out; free the list.
 *
 * @param hold Rules are kept until the list is freed.
 */
export function looseRules(tables: FlowTables, criteria: Criteria, hold = false): RuleList {
  tables.loadMatch(criteria.match);
  const found = tables.select(criteria, hold);
  if (criteria.outPort === OFPP_NONE && criteria.outGroup === OFPG_ANY) return found;
  return found.filter((rule) => outputsAsAsked(tables, criteria, rule));
}

function strictRules(tables: FlowTables, change: TableChange, mod: FlowMod): number[] {
  const { rules } = tables;
  tables.loadMatch(mod.match);
  const [first, last] = mod.tableId === allTables ? [0, internalTable - 1] : [mod.tableId, mod.tableId];
  const found: number[] = [];
  for (let id = first; id <= last; id++) {
    const rule = tables.findLoaded(id, mod.priority, change.version);
    if (rule === 0 || rules.isHidden(rule) || !outputsAsAsked(tables, mod, rule)) continue;
    if (((rules.cookie(rule) ^ mod.cookie) & mod.cookieMask) === 0n) found.push(rule);
  }
  return found;
}

function outputsAsAsked(tables: FlowTables, criteria: Criteria, rule: number): boolean {
  const { rules } = tables;
  if (criteria.outPort !== OFPP_NONE && !outputsToPort(rules.actions(rule), criteria.outPort)) return false;
  return criteria.outGroup === OFPG_ANY || outputsToGroup(rules.actions(rule), criteria.outGroup);
}

/** Tables that a controller may name: @throws OfpError OFPBRC_BAD_TABLE_ID */
export function checkTableId(tableId: number): void {
  if (tableId !== allTables && tableId > internalTable) throw new OfpError('OFPBRC_BAD_TABLE_ID');
}

/** Runs a decoded flow_mod whose actions were checked, as a change of its own and at once. @throws OfpError */
export function executeFlowMod(host: FlowModHost, mod: FlowMod): void {
  host.tables.change((change) => {
    runSteps(flowModSteps(host, change, mod));
  }, host);
}

/** Does all steps at once. */
function runSteps(steps: Steps): void {
  while (steps.next().done !== true);
}

/** A flow_mod as part of a change; it pauses now and then when it concerns many rules. @throws OfpError */
export function* flowModSteps(host: FlowModHost, change: TableChange, mod: FlowMod): Steps {
  const { tables } = host;
  checkTableId(mod.tableId);
  switch (mod.command) {
    case 'add':
      tables.loadMatch(mod.match);
      addRule(host, change, specOf(mod));
      return;
    case 'modify': {
      const found = looseRules(tables, mod);
      try {
        yield* modifyFlows(host, change, mod, found);
      } finally {
        found.free();
      }
      return;
    }
    case 'modify_strict':
      yield* modifyFlows(host, change, mod, strictRules(tables, change, mod));
      return;
    case 'delete': {
      const found = looseRules(tables, mod);
      try {
        yield* deleteFlows(host, change, found, 'delete');
      } finally {
        found.free();
      }
      return;
    }
    case 'delete_strict':
      yield* deleteFlows(host, change, strictRules(tables, change, mod), 'delete');
      return;
  }
}

/** The rule that a flow_mod would add. */
function specOf(mod: FlowMod): RuleSpec {
  const words = encodeOfpacts(mod.actions);
  return {
    tableId: mod.tableId === allTables ? 0 : mod.tableId,
    priority: mod.priority,
    cookie: mod.newCookie,
    idleTimeoutSec: mod.idleTimeoutSec,
    hardTimeoutSec: mod.hardTimeoutSec,
    importance: mod.importance,
    flags: flagsToBits(mod.flags),
    words,
    nWords: words.length,
  };
}

/** Adds a rule with the loaded match, as a controller asks for it. @throws OfpError */
export function addRule(host: FlowModHost, change: TableChange, spec: RuleSpec): void {
  const { tables } = host;
  const { tableId } = spec;
  if (tableId === internalTable) throw new OfpError('OFPBRC_EPERM');
  const rule = tables.create(spec, host.nowMs());
  const old = tables.findSame(rule, change.version);
  if (old === 0) {
    const refusal = refusalToAdd(tables, change, spec);
    if (refusal !== null) {
      tables.discard(rule);
      throw new OfpError(refusal);
    }
  }
  replaceOrInsert(host, change, old, (spec.flags & ruleFlags.RESET_COUNTS) === 0, rule);
}

function refusalToAdd(tables: FlowTables, change: TableChange, spec: RuleSpec): string | null {
  const { tableId, priority, flags } = spec;
  if ((flags & ruleFlags.CHECK_OVERLAP) !== 0 && tables.overlaps(tableId, priority, change.version)) {
    return 'OFPFMFC_OVERLAP';
  }
  const limit = tables.configOf(tableId)?.flowLimit ?? Infinity;
  return tables.ruleCount(tableId) >= limit ? 'OFPFMFC_TABLE_FULL' : null;
}

/** Inserts a created rule in place of `old` (0 = of none). */
function replaceOrInsert(
  host: FlowModHost,
  change: TableChange,
  old: number,
  keepCounts: boolean,
  rule: number,
): void {
  if (old !== 0) host.tables.remove(change, old);
  host.tables.insert(change, rule);
  if (old !== 0) host.replaced(old, rule, keepCounts);
  host.added(rule);
}

function* modifyFlows(host: FlowModHost, change: TableChange, mod: FlowMod, found: Iterable<number>): Steps {
  const { tables } = host;
  const { rules } = tables;
  const changeCookie = mod.modifyCookie && mod.newCookie !== allOnes;
  const words = encodeOfpacts(mod.actions);
  let n = 0;
  for (const old of found) {
    if (n > 0 && n % modifySlice === 0) yield;
    n++;
    const tableId = rules.tableId(old);
    if (tableId === internalTable) throw new OfpError('OFPBRC_EPERM');
    tables.loadMatchOf(old);
    const rule = tables.create(
      {
        tableId,
        priority: rules.priority(old),
        cookie: changeCookie ? mod.newCookie : rules.cookie(old),
        idleTimeoutSec: rules.idleTimeoutSec(old),
        hardTimeoutSec: rules.hardTimeoutSec(old),
        importance: rules.importance(old),
        flags: rules.flags(old),
        words,
        nWords: words.length,
      },
      host.nowMs(),
    );
    rules.setCreatedMs(rule, rules.createdMs(old));
    replaceOrInsert(host, change, old, !mod.flags.resetCounts, rule);
  }
  // Without a cookie to look for, a modify that finds nothing adds (OpenFlow 1.0, 1.1).
  if (n > 0 || mod.cookieMask !== 0n || mod.newCookie === allOnes) return;
  tables.loadMatch(mod.match);
  addRule(host, change, specOf(mod));
}

/** Removes rules for `reason`, as part of a change; their owners are told when it is published. */
function* deleteFlows(
  host: FlowModHost,
  change: TableChange,
  found: Iterable<number>,
  reason: FlowRemovedReason,
): Steps {
  const { rules } = host.tables;
  let n = 0;
  for (const rule of found) {
    if (n > 0 && n % deleteSlice === 0) yield;
    n++;
    if (rules.tableId(rule) === internalTable) throw new OfpError('OFPBRC_EPERM');
    host.tables.remove(change, rule, reason);
  }
}

/** Adds one of the switch's own rules; controllers' limits do not apply. */
export function addInternalFlow(
  host: FlowModHost,
  tableId: number,
  match: Match,
  priority: number,
  actions: readonly Action[],
): number {
  const { tables } = host;
  return tables.change((change) => {
    const words = encodeOfpacts(actions);
    tables.loadMatch(match);
    const rule = tables.create(
      {
        tableId,
        priority,
        cookie: 0n,
        idleTimeoutSec: 0,
        hardTimeoutSec: 0,
        importance: 0,
        flags: 0,
        words,
        nWords: words.length,
      },
      host.nowMs(),
    );
    replaceOrInsert(host, change, tables.findSame(rule, change.version), true, rule);
    return rule;
  }, host);
}
