import { formatMatch } from '../flow/match-format.ts';
import { formatActions } from '../openflow/format-actions.ts';
import type { RuleView } from './rule-view.ts';

const defaultPriority = 32768;

/** One line of `bridge/dump-flows`. */
export function dumpRule(rules: RuleView, rule: number, nowMs: number): string {
  const tableId = rules.tableId(rule);
  const priority = rules.priority(rule);
  const match = formatMatch(rules.match(rule));
  const parts = [
    ...(tableId === 0 ? [] : [`table_id=${tableId}`]),
    `duration=${Math.floor((nowMs - rules.createdMs(rule)) / 1000)}s`,
    `n_packets=${rules.packets(rule)}`,
    `n_bytes=${rules.bytes(rule)}`,
  ];
  const rulePart = [
    ...(priority === defaultPriority ? [] : [`priority=${priority}`]),
    ...(match === '' ? [] : [match]),
  ];
  return `${parts.join(', ')}, ${rulePart.join(',')},actions=${formatActions(rules.actions(rule))}`;
}
