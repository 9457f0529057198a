import type {
  AggregateStatsReply,
  FlowStats,
  FlowStatsReply,
  FlowStatsRequest,
} from '../../openflow/messages.ts';
import { checkTableId, looseRules } from '../flow-mod.ts';
import { elapsedMs, flagsFromBits } from '../rule-view.ts';
import type { SwitchState } from '../switch-state.ts';

/** Flows turned into objects at a time, so that a million rules do not become a million objects at once. */
const chunk = 500;

/** Flow and aggregate statistics: hidden rules are left out. The parts make up one reply. */
export function* replyFlowStats(sw: SwitchState, request: FlowStatsRequest): Generator<FlowStatsReply> {
  checkTableId(request.tableId);
  const nowMs = sw.deps.clock.nowMs();
  sw.life.settle(nowMs);
  const rules = looseRules(sw.flowTables, request);
  for (let from = 0; ; from += chunk) {
    const flows = rules.slice(from, from + chunk).map((rule) => flowStats(sw, rule, nowMs));
    const more = from + chunk < rules.length;
    yield { type: 'flow_stats_reply', flows, more };
    if (!more) return;
  }
}

function flowStats(sw: SwitchState, rule: number, nowMs: number): FlowStats {
  const { rules } = sw.flowTables;
  return {
    match: rules.match(rule),
    priority: rules.priority(rule),
    cookie: rules.cookie(rule),
    tableId: rules.tableId(rule),
    durationMs: elapsedMs(rules.createdMs(rule), nowMs),
    idleTimeoutSec: rules.idleTimeoutSec(rule),
    hardTimeoutSec: rules.hardTimeoutSec(rule),
    idleAgeSec: ageSec(rules.usedMs(rule), nowMs),
    hardAgeSec: ageSec(rules.modifiedMs(rule), nowMs),
    packetCount: rules.packets(rule),
    byteCount: rules.bytes(rule),
    flags: flagsFromBits(rules.flags(rule)),
    importance: rules.importance(rule),
    actions: rules.actions(rule),
  };
}

function ageSec(sinceMs: number, nowMs: number): number {
  return Math.floor(elapsedMs(sinceMs, nowMs) / 1000);
}

export function replyAggregate(sw: SwitchState, request: FlowStatsRequest): AggregateStatsReply {
  checkTableId(request.tableId);
  sw.life.settle(sw.deps.clock.nowMs());
  const { rules } = sw.flowTables;
  let packetCount = 0n;
  let byteCount = 0n;
  let flowCount = 0;
  for (const rule of looseRules(sw.flowTables, request)) {
    packetCount += rules.packets(rule);
    byteCount += rules.bytes(rule);
    flowCount++;
  }
  return { type: 'aggregate_stats_reply', packetCount, byteCount, flowCount };
}
