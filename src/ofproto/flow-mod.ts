import type { Match } from '../flow/match.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowMod, FlowRemovedReason } from '../openflow/messages.ts';
import { OFPG_ANY, OFPP_NONE } from '../openflow/ports.ts';
import { OfpError } from '../util/errors.ts';
import type { FlowTables, RuleSpec, TableChange } from './flow-tables.ts';
import { allTables, internalTable } from './flow-tables.ts';
import { flagsToBits } from './rule-view.ts';
import { outputsToGroup, outputsToPort } from './rule-outputs.ts';

/**
 * What a flow_mod does to the tables (OpenFlow 1.0 §4.6, 1.3 §6.4), with OVS's reading of the details.
 *
 * Every command is one change: rules are found in the current version, replacements are inserted and old
 * rules removed in the next. A rule that is changed is replaced by a new one that takes over its
 * statistics, so that readers see either all of the old or all of the new.
 */
export interface FlowModHost {
  readonly tables: FlowTables;
  nowMs(): number;
  /** `rule` was replaced by `successor`, its last use goes on there; `keepCounts`: its statistics, also late ones, go on there. */
  replaced(rule: number, successor: number, keepCounts: boolean): void;
  /** A rule was inserted (time-outs are to be watched). */
  added(rule: number): void;
  /** A rule is gone for `reason`. */
  removed(rule: number, reason: FlowRemovedReason): void;
  /** The change is visible: revalidators are to wake. */
  readonly publish: () => void;
}

/** Which rules a request is about. */
export interface RuleCriteria {
  readonly tableId: number;
  readonly match: Match;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: number;
  readonly outGroup: number;
}

/** Rules that match loosely, hidden ones left out. */
export function looseRules(tables: FlowTables, criteria: RuleCriteria): number[] {
  return tables
    .loose(criteria.tableId, criteria.match)
    .filter((rule) => !tables.rules.isHidden(rule) && selects(tables, criteria, rule));
}

function strictRules(tables: FlowTables, criteria: RuleCriteria, priority: number): number[] {
  const ids: number[] = [];
  if (criteria.tableId === allTables) for (let id = 0; id < internalTable; id++) ids.push(id);
  else ids.push(criteria.tableId);
  const found: number[] = [];
  for (const id of ids) {
    const rule = tables.findExact(id, criteria.match, priority);
    if (rule !== 0 && !tables.rules.isHidden(rule) && selects(tables, criteria, rule)) found.push(rule);
  }
  return found;
}

function selects(tables: FlowTables, criteria: RuleCriteria, rule: number): boolean {
  const { rules } = tables;
  if (((rules.cookie(rule) ^ criteria.cookie) & criteria.cookieMask) !== 0n) return false;
  if (criteria.outPort !== OFPP_NONE && !outputsToPort(rules.actions(rule), criteria.outPort)) return false;
  return criteria.outGroup === OFPG_ANY || outputsToGroup(rules.actions(rule), criteria.outGroup);
}

/** Tables that a controller may name: @throws OfpError OFPBRC_BAD_TABLE_ID */
export function checkTableId(tableId: number): void {
  if (tableId !== allTables && tableId > internalTable) throw new OfpError('OFPBRC_BAD_TABLE_ID');
}

/** Runs a decoded flow_mod whose actions were checked. @throws OfpError */
export function executeFlowMod(host: FlowModHost, mod: FlowMod): void {
  const { tables } = host;
  switch (mod.command) {
    case 'add':
      tables.change((change) => {
        addFlow(host, change, mod);
      }, host.publish);
      break;
    case 'modify':
    case 'modify_strict':
      checkTableId(mod.tableId);
      tables.change((change) => {
        const rules =
          mod.command === 'modify' ? looseRules(tables, mod) : strictRules(tables, mod, mod.priority);
        modifyFlows(host, change, mod, rules);
      }, host.publish);
      break;
    case 'delete':
    case 'delete_strict':
      checkTableId(mod.tableId);
      tables.change((change) => {
        const rules =
          mod.command === 'delete' ? looseRules(tables, mod) : strictRules(tables, mod, mod.priority);
        refuseInternal(tables, rules);
        deleteFlows(host, change, rules, 'delete');
      }, host.publish);
      break;
  }
}

function refuseInternal(tables: FlowTables, rules: readonly number[]): void {
  if (rules.some((rule) => tables.rules.tableId(rule) === internalTable)) throw new OfpError('OFPBRC_EPERM');
}

function addFlow(host: FlowModHost, change: TableChange, mod: FlowMod): void {
  const { tables } = host;
  checkTableId(mod.tableId);
  const tableId = mod.tableId === allTables ? 0 : mod.tableId;
  if (tableId === internalTable) throw new OfpError('OFPBRC_EPERM');
  const old = tables.findExact(tableId, mod.match, mod.priority);
  if (old === 0) {
    if (mod.flags.checkOverlap && tables.overlaps(tableId, mod.match, mod.priority)) {
      throw new OfpError('OFPFMFC_OVERLAP');
    }
    if (tables.ruleCount(tableId) >= (tables.configOf(tableId)?.flowLimit ?? Infinity)) {
      throw new OfpError('OFPFMFC_TABLE_FULL');
    }
  }
  replaceOrInsert(host, change, old, !mod.flags.resetCounts, {
    tableId,
    match: mod.match,
    priority: mod.priority,
    cookie: mod.newCookie,
    idleTimeoutSec: mod.idleTimeoutSec,
    hardTimeoutSec: mod.hardTimeoutSec,
    importance: mod.importance,
    flags: flagsToBits(mod.flags),
    actions: mod.actions,
  });
}

/** Inserts a rule in place of `old` (0 = of none). */
function replaceOrInsert(
  host: FlowModHost,
  change: TableChange,
  old: number,
  keepCounts: boolean,
  spec: RuleSpec,
): number {
  if (old !== 0) host.tables.remove(change, old);
  const rule = host.tables.insert(change, spec, host.nowMs());
  if (old !== 0) host.replaced(old, rule, keepCounts);
  host.added(rule);
  return rule;
}

function modifyFlows(host: FlowModHost, change: TableChange, mod: FlowMod, found: readonly number[]): void {
  const { tables } = host;
  const { rules } = tables;
  refuseInternal(tables, found);
  if (found.length === 0) {
    // Without a cookie to look for, a modify that finds nothing adds (OpenFlow 1.0, 1.1).
    if (mod.cookieMask === 0n && mod.newCookie !== allOnes) addFlow(host, change, mod);
    return;
  }
  const changeCookie = mod.modifyCookie && mod.newCookie !== allOnes;
  for (const old of found) {
    const rule = replaceOrInsert(host, change, old, !mod.flags.resetCounts, {
      tableId: rules.tableId(old),
      match: rules.match(old),
      priority: rules.priority(old),
      cookie: changeCookie ? mod.newCookie : rules.cookie(old),
      idleTimeoutSec: rules.idleTimeoutSec(old),
      hardTimeoutSec: rules.hardTimeoutSec(old),
      importance: rules.importance(old),
      flags: rules.flags(old),
      actions: mod.actions,
    });
    rules.setCreatedMs(rule, rules.createdMs(old));
  }
}

const allOnes = 0xffff_ffff_ffff_ffffn;

/** Removes rules for `reason`, as part of a change. */
export function deleteFlows(
  host: FlowModHost,
  change: TableChange,
  found: readonly number[],
  reason: FlowRemovedReason,
): void {
  for (const rule of found) {
    host.tables.remove(change, rule);
    host.removed(rule, reason);
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
  return host.tables.change((change) => {
    const old = host.tables.findExact(tableId, match, priority);
    return replaceOrInsert(host, change, old, true, {
      tableId,
      match,
      priority,
      cookie: 0n,
      idleTimeoutSec: 0,
      hardTimeoutSec: 0,
      importance: 0,
      flags: 0,
      actions,
    });
  }, host.publish);
}
