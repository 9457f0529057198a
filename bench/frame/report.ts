import { formatFigure } from './cells.ts';
import type { Cell } from './cells.ts';

export interface ReportHead {
  /** Lines in front of the tables: machine, versions, set-up. */
  readonly lines: readonly string[];
  readonly notes: readonly string[];
}

const percent = (part: number): string => (part === 0 ? '' : ` ±${Math.round(part * 100)}%`);

function rowOf(cell: Cell): string[] {
  return [
    cell.case,
    cell.unit,
    formatFigure(cell.ovs) + percent(cell.ovsSpread),
    formatFigure(cell.ours) + percent(cell.oursSpread),
    cell.ratio === null ? '-' : `${cell.ratio.toFixed(2)}x`,
    cell.goalText === '' ? '' : cell.goalText,
    cell.isReached === null ? '' : cell.isReached ? 'yes' : 'no',
  ];
}

const titles = ['case', 'unit', 'OVS', 'megaflow', 'ratio', 'goal', 'reached'];

/** The tables as Markdown, aligned as prettier does. */
export function formatMarkdown(cells: readonly Cell[], head: ReportHead): string {
  const out = ['# Measured side by side with Open vSwitch', '', ...head.lines];
  for (const table of new Set(cells.map((c) => c.table))) {
    const rows = [titles, ...cells.filter((c) => c.table === table).map(rowOf)];
    const widths = titles.map((_, i) => Math.max(3, ...rows.map((r) => r[i]?.length ?? 0)));
    const line = (r: readonly string[]): string =>
      `| ${r.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
    const [first = [], ...rest] = rows;
    out.push('', `## ${table}`, '', line(first), line(widths.map((w) => '-'.repeat(w))), ...rest.map(line));
  }
  if (head.notes.length > 0) out.push('', '## Notes', '', ...head.notes.map((n) => `- ${n}`));
  return `${out.join('\n')}\n`;
}

/** The same for a terminal. */
export function formatText(cells: readonly Cell[]): string {
  const out: string[] = [];
  for (const table of new Set(cells.map((c) => c.table))) {
    out.push('', table);
    for (const cell of cells.filter((c) => c.table === table)) {
      const [name = '', unit = '', ovs = '', ours = '', ratio = '', goal = '', reached = ''] = rowOf(cell);
      out.push(
        `  ${name.padEnd(58)} ${unit.padEnd(11)} OVS ${ovs.padStart(12)}  ours ${ours.padStart(12)}  ` +
          `${ratio.padStart(8)}  ${goal.padEnd(16)} ${reached === '' ? '' : reached === 'yes' ? 'reached' : 'NOT REACHED'}`,
      );
    }
  }
  return out.join('\n');
}
