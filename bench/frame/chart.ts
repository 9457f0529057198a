import { formatFigure } from './cells.ts';
import type { Cell } from './cells.ts';

const rowHeight = 20;
const headHeight = 34;
const labelWidth = 400;
const plotWidth = 420;
const figureWidth = 270;
const width = labelWidth + plotWidth + figureWidth;
const ticks = [0.25, 0.5, 1, 2, 4, 8, 16, 32];
const [low, high] = [0.2, 40];

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Place of a ratio on the logarithmic axis; what lies outside is drawn at the edge. */
function x(ratio: number): number {
  const clipped = Math.min(Math.max(ratio, low), high);
  return labelWidth + (Math.log(clipped / low) / Math.log(high / low)) * plotWidth;
}

function bar(cell: Cell, y: number): string {
  const figures = `${formatFigure(cell.ours)} : ${formatFigure(cell.ovs)} ${cell.unit}`;
  const label = `<text x="${labelWidth - 10}" y="${y + 14}" text-anchor="end">${escape(cell.case)}</text>`;
  const goal =
    cell.goal === null
      ? ''
      : `<path class="goal" d="M${x(cell.goal).toFixed(1)} ${y + 1}v${rowHeight - 2}"/>`;
  if (cell.ratio === null) {
    const word = cell.ours === null ? 'OVS only' : 'ours only';
    return `${label}${goal}<text class="figure" x="${width - 10}" y="${y + 14}" text-anchor="end">${escape(`${word}: ${figures}`)}</text>`;
  }
  const from = Math.min(x(1), x(cell.ratio));
  const length = Math.max(1, Math.abs(x(cell.ratio) - x(1)));
  const tone = cell.isReached === null ? 'none' : cell.isReached ? 'yes' : 'no';
  return (
    label +
    `<rect class="${tone}" x="${from.toFixed(1)}" y="${y + 4}" width="${length.toFixed(1)}" height="${rowHeight - 8}"/>${goal}` +
    `<text class="figure" x="${width - 10}" y="${y + 14}" text-anchor="end">${escape(`${cell.ratio.toFixed(2)}x   (${figures})`)}</text>`
  );
}

/** A chart of all ratios, one bar a cell on a logarithmic axis, with a mark at each goal. */
export function drawChart(cells: readonly Cell[], subtitle: string): string {
  const body: string[] = [];
  let y = 78;
  for (const table of new Set(cells.map((c) => c.table))) {
    body.push(`<text class="table" x="12" y="${y + 22}">${escape(table)}</text>`);
    y += headHeight;
    for (const cell of cells.filter((c) => c.table === table)) {
      body.push(bar(cell, y));
      y += rowHeight;
    }
  }
  const grid = ticks
    .map(
      (t) =>
        `<path class="${t === 1 ? 'one' : 'tick'}" d="M${x(t).toFixed(1)} 78V${y + 4}"/>` +
        `<text class="axis" x="${x(t).toFixed(1)}" y="72" text-anchor="middle">${t}x</text>`,
    )
    .join('\n');
  const key = [
    ['yes', 'goal reached'],
    ['no', 'goal not reached'],
    ['none', 'no goal set'],
  ]
    .map(
      ([tone = '', text = ''], i) =>
        `<rect class="${tone}" x="${labelWidth + i * 130}" y="38" width="12" height="12"/>` +
        `<text class="axis" x="${labelWidth + i * 130 + 17}" y="48">${text}</text>`,
    )
    .join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 16}" viewBox="0 0 ${width} ${y + 16}" font-family="sans-serif" font-size="12">
<style>
.yes{fill:#2a7f5f}.no{fill:#c8553d}.none{fill:#8793a5}
.tick{stroke:#dfe3e8;fill:none}.one{stroke:#333;fill:none}.goal{stroke:#111;stroke-width:2.5;fill:none}
.table{font-weight:bold;font-size:13px}.axis{fill:#555;font-size:11px}.figure{fill:#333;font-size:11px}
</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="24" font-size="17" font-weight="bold">megaflow : Open vSwitch, in one run</text>
<text class="axis" x="12" y="48">${escape(subtitle)}</text>
${key}<path class="goal" d="M${labelWidth + 400} 37v14"/><text class="axis" x="${labelWidth + 408}" y="48">goal    right of 1x: ours is better    (ours : OVS)</text>
${grid}
${body.join('\n')}
</svg>
`;
}
