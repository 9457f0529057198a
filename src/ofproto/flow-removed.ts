import type { FlowRemoved, FlowRemovedReason } from '../openflow/messages.ts';
import type { RuleView } from './rule-view.ts';
import { elapsedMs } from './rule-view.ts';

/** The flow_removed message of a rule with its statistics so far. */
export function flowRemovedMessage(
  rules: RuleView,
  rule: number,
  reason: FlowRemovedReason,
  nowMs: number,
): FlowRemoved {
  return {
    type: 'flow_removed',
    match: rules.match(rule),
    cookie: rules.cookie(rule),
    priority: rules.priority(rule),
    reason,
    tableId: rules.tableId(rule),
    durationMs: elapsedMs(rules.createdMs(rule), nowMs),
    idleTimeoutSec: rules.idleTimeoutSec(rule),
    hardTimeoutSec: rules.hardTimeoutSec(rule),
    packetCount: rules.packets(rule),
    byteCount: rules.bytes(rule),
  };
}
