import type {
  AggregateStatsReply,
  FlowStats,
  FlowStatsReply,
  FlowStatsRequest,
} from '../../openflow/messages.ts';
import { checkTableId, looseRules } from '../flow-mod.ts';
import { elapsedMs, flagsFromBits } from '../rule-view.ts';
import type { SwitchState } from '../switch-state.ts';

/** Flow and aggregate statistics: hidden rules are left out. */
export function replyFlowStats(sw: SwitchState, request: FlowStatsRequest): FlowStatsReply {
  checkTableId(request.tableId);
  const nowMs = sw.deps.clock.nowMs();
  sw.life.settle(nowMs);
  const flows: FlowStats[] = [];
  for (const rule of looseRules(sw.flowTables, request)) flows.push(flowStats(sw, rule, nowMs));
  return { type: 'flow_stats_reply', flows };
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
