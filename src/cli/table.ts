/**
 * Tables as the OVS tools print them: `-f table|list|html|csv|json`, `-d string|bare|json`,
 * `--no-headings`, `--max-column-width` (lib/table of OVS).
 */
import { atomToJson } from '../ovsdb/data/atom.ts';
import { datumToJson } from '../ovsdb/data/datum.ts';
import type { Datum } from '../ovsdb/data/datum.ts';
import { formatDatum, formatDatumBare } from '../ovsdb/data/text.ts';
import type { ColumnType } from '../ovsdb/data/type.ts';
import { formatJson, formatJsonPretty } from '../stream/json.ts';
import type { Json } from '../stream/json.ts';
import { OptionError } from '../util/errors.ts';
import type { OptionSpec } from '../sys/getopt.ts';

export type TableFormat = 'table' | 'list' | 'html' | 'csv' | 'json';
export type CellFormat = 'string' | 'bare' | 'json';

export type Cell = string | { readonly type: ColumnType; readonly datum: Datum } | { readonly json: Json };

export interface TextTable {
  readonly caption?: string;
  /** Printed above the table, or as a member of the JSON object. */
  readonly timestampMs?: number;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export class TableStyle {
  format: TableFormat;
  cells: CellFormat = 'string';
  hasHeadings = true;
  isPretty = false;
  maxColumnWidth = 0;
  #printed = 0;

  constructor(format: TableFormat) {
    this.format = format;
  }

  /** Takes one of `tableOptions`. @returns false if it is another option. */
  takeOption(name: string, value: string | null): boolean {
    switch (name) {
      case 'format':
        if (
          value !== 'table' &&
          value !== 'list' &&
          value !== 'html' &&
          value !== 'csv' &&
          value !== 'json'
        ) {
          throw new OptionError(`unknown output format "${value ?? ''}"`);
        }
        this.format = value;
        return true;
      case 'data':
        if (value !== 'string' && value !== 'bare' && value !== 'json') {
          throw new OptionError(`unknown data format "${value ?? ''}"`);
        }
        this.cells = value;
        return true;
      case 'no-headings':
        this.hasHeadings = false;
        return true;
      case 'pretty':
        this.isPretty = true;
        return true;
      case 'bare':
        this.format = 'list';
        this.cells = 'bare';
        this.hasHeadings = false;
        return true;
      case 'max-column-width':
        this.maxColumnWidth = Number(value ?? '0');
        return true;
      default:
        return false;
    }
  }

  #cell(cell: Cell): string {
    if (typeof cell === 'string') return cell;
    if ('json' in cell) return formatJson(cell.json, true);
    if (this.cells === 'json') return formatJson(datumToJson(cell.type, cell.datum, atomToJson));
    return this.cells === 'bare'
      ? formatDatumBare(cell.type, cell.datum)
      : formatDatum(cell.type, cell.datum);
  }

  /** The text of one table; tables after the first are set apart by an empty line. */
  print(table: TextTable): string {
    const time =
      table.timestampMs === undefined || this.format === 'json' ? '' : `${timeText(table.timestampMs)}\n`;
    const gap = (this.#printed++ > 0 && this.format !== 'json' ? '\n' : '') + time;
    switch (this.format) {
      case 'json':
        return this.#json(table);
      case 'list':
        return this.#list(table, gap);
      case 'csv':
        return this.#csv(table, gap);
      case 'html':
        return time + this.#html(table);
      case 'table':
        return this.#table(table, gap);
    }
  }

  #table(table: TextTable, gap: string): string {
    const rows = table.rows.map((row) => row.map((cell) => this.#cell(cell)));
    const widths = table.headings.map((heading, x) => {
      const width = Math.max(...rows.map((row) => columnsOf(row[x] ?? '')), 0);
      const cut = this.maxColumnWidth > 0 ? Math.min(width, this.maxColumnWidth) : width;
      return this.hasHeadings ? Math.max(cut, columnsOf(heading)) : cut;
    });
    let out = gap;
    if (table.caption !== undefined) out += `${table.caption}\n`;
    if (this.hasHeadings) {
      out += alignedLine(table.headings, widths);
      out += `${widths.map((width) => '-'.repeat(width)).join(' ')}\n`;
    }
    return out + rows.map((row) => alignedLine(row, widths)).join('');
  }

  #list(table: TextTable, gap: string): string {
    let out = gap;
    if (table.caption !== undefined) out += `${table.caption}\n`;
    return (
      out +
      table.rows
        .map((row) =>
          row
            .map(
              (cell, x) =>
                `${this.hasHeadings ? `${(table.headings[x] ?? '').padEnd(20)}: ` : ''}${this.#cell(cell)}\n`,
            )
            .join(''),
        )
        .join('\n')
    );
  }

  #csv(table: TextTable, gap: string): string {
    const quote = (text: string): string => (/[\n",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    let out = gap;
    if (table.caption !== undefined) out += `${table.caption}\n`;
    if (this.hasHeadings) out += `${table.headings.map(quote).join(',')}\n`;
    return (
      out + table.rows.map((row) => `${row.map((cell) => quote(this.#cell(cell))).join(',')}\n`).join('')
    );
  }

  #html(table: TextTable): string {
    const escape = (text: string): string =>
      text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
    let out = '<table border=1>\n';
    if (table.caption !== undefined) out += `    <caption>${escape(table.caption)}</caption>\n`;
    if (this.hasHeadings) {
      out += `  <tr>\n${table.headings.map((h) => `    <th>${escape(h)}</th>\n`).join('')}  </tr>\n`;
    }
    for (const row of table.rows) {
      const texts = row.map((cell, x) => linkUuids(escape(this.#cell(cell)), table.headings[x] === '_uuid'));
      out += `  <tr>\n${texts.map((text) => `    <td>${text}</td>\n`).join('')}  </tr>\n`;
    }
    return `${out}</table>\n`;
  }

  #json(table: TextTable): string {
    const json: Json = {
      ...(table.caption === undefined ? {} : { caption: table.caption }),
      data: table.rows.map((row) => row.map(cellToJson)),
      headings: table.headings,
      ...(table.timestampMs === undefined ? {} : { time: timeText(table.timestampMs) }),
    };
    return `${this.isPretty ? formatJsonPretty(json) : formatJson(json, true)}\n`;
  }
}

/** UTC, e.g. `2026-11-28 22:07:21.569`. */
function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '');
}

/** Places that a text takes: OVS counts bytes. */
function columnsOf(text: string): number {
  return Buffer.byteLength(text);
}

/** The whole characters that have room in `width` places. */
function cutTo(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  let cut = '';
  let places = 0;
  for (const character of text) {
    places += columnsOf(character);
    if (places > width) break;
    cut += character;
  }
  return cut;
}

/** Cells cut to their widths; the spaces before a cell are written only if it is not empty. */
function alignedLine(cells: readonly string[], widths: readonly number[]): string {
  let line = '';
  let start = 0;
  cells.forEach((cell, x) => {
    const width = widths[x] ?? 0;
    const text = cutTo(cell, width);
    if (text !== '') line += ' '.repeat(start - columnsOf(line)) + text;
    start += width + 1;
  });
  return `${line}\n`;
}

/** Uuids cut short: in the column `_uuid` an anchor, elsewhere a link to one. */
function linkUuids(html: string, isAnchor: boolean): string {
  return html.replaceAll(
    /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    (uuid) => `<a ${isAnchor ? 'name="' : 'href="#'}${uuid}">${uuid.slice(0, 8)}</a>`,
  );
}

function cellToJson(cell: Cell): Json {
  if (typeof cell === 'string') return cell;
  return 'json' in cell ? cell.json : datumToJson(cell.type, cell.datum);
}

export const tableOptions: readonly OptionSpec[] = [
  { name: 'format', short: 'f', arg: 'required' },
  { name: 'data', short: 'd', arg: 'required' },
  { name: 'no-headings' },
  { name: 'pretty' },
  { name: 'bare' },
  { name: 'max-column-width', arg: 'required' },
];
