import { expect, test } from 'vitest';
import { FlowModReport } from './flow-mod-report.ts';

test('counts by kind and says when', () => {
  const report = new FlowModReport();
  expect(report.take(0)).toBeNull();
  for (let i = 0; i < 3; i++) report.count('add', 1000);
  report.count('delete_strict', 1000);
  expect(report.dueMs).toBe(11_000);
  expect(report.take(1500)).toBe('4 flow_mods in the last 0 s (3 adds, 1 deletes)');
  report.count('modify', 20_000);
  expect(report.dueMs).toBe(71_000);
  report.count('modify', 25_000);
  expect(report.take(71_000)).toBe('2 flow_mods in the 5 s starting 51 s ago (2 modifications)');
  report.count('add', 200_000);
  expect(report.take(210_000)).toBe('1 flow_mods 10 s ago (1 adds)');
});
