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
import { UsageError } from '../util/errors.ts';
import type { OptionSpec } from '../sys/getopt.ts';

export type TableFormat = 'table' | 'list' | 'html' | 'csv' | 'json';
export type CellFormat = 'string' | 'bare' | 'json';

export type Cell = string | { readonly type: ColumnType; readonly datum: Datum };

export interface TextTable {
  readonly caption?: string;
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
          throw new UsageError(`unknown output format "${value ?? ''}"`);
        }
        this.format = value;
        return true;
      case 'data':
        if (value !== 'string' && value !== 'bare' && value !== 'json') {
          throw new UsageError(`unknown data format "${value ?? ''}"`);
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
    if (typeof cell === 'string') return this.cells === 'json' ? JSON.stringify(cell) : cell;
    if (this.cells === 'json') return formatJson(datumToJson(cell.type, cell.datum, atomToJson));
    return this.cells === 'bare'
      ? formatDatumBare(cell.type, cell.datum)
      : formatDatum(cell.type, cell.datum);
  }

  /** The text of one table; tables after the first are set apart by an empty line. */
  print(table: TextTable): string {
    const gap = this.#printed++ > 0 && this.format !== 'json' ? '\n' : '';
    switch (this.format) {
      case 'json':
        return this.#json(table);
      case 'list':
        return this.#list(table, gap);
      case 'csv':
        return this.#csv(table, gap);
      case 'html':
        return this.#html(table);
      case 'table':
        return this.#table(table, gap);
    }
  }

  #table(table: TextTable, gap: string): string {
    const rows = table.rows.map((row) => row.map((cell) => this.#cell(cell)));
    const widths = table.headings.map((heading, x) => {
      const width = Math.max(
        this.hasHeadings ? heading.length : 0,
        ...rows.map((row) => row[x]?.length ?? 0),
      );
      return this.maxColumnWidth > 0 ? Math.min(width, this.maxColumnWidth) : width;
    });
    const line = (cells: readonly string[]): string => {
      const padded = cells.map((cell, x) =>
        x === cells.length - 1 ? cell.slice(0, widths[x]) : cell.slice(0, widths[x]).padEnd(widths[x] ?? 0),
      );
      return `${padded.join(' ')}\n`;
    };
    let out = gap;
    if (table.caption !== undefined) out += `${table.caption}\n`;
    if (this.hasHeadings) {
      out += line(table.headings);
      out += `${widths.map((width) => '-'.repeat(width)).join(' ')}\n`;
    }
    return out + rows.map(line).join('');
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
    if (table.caption !== undefined) out += `  <caption>${escape(table.caption)}</caption>\n`;
    if (this.hasHeadings) {
      out += `  <tr>\n${table.headings.map((h) => `    <th>${escape(h)}</th>\n`).join('')}  </tr>\n`;
    }
    for (const row of table.rows) {
      out += `  <tr>\n${row.map((cell) => `    <td>${escape(this.#cell(cell))}</td>\n`).join('')}  </tr>\n`;
    }
    return `${out}</table>\n`;
  }

  #json(table: TextTable): string {
    const json: Json = {
      ...(table.caption === undefined ? {} : { caption: table.caption }),
      data: table.rows.map((row) =>
        row.map((cell) => (typeof cell === 'string' ? cell : datumToJson(cell.type, cell.datum))),
      ),
      headings: table.headings,
    };
    return `${this.isPretty ? formatJsonPretty(json) : formatJson(json, true)}\n`;
  }
}

export const tableOptions: readonly OptionSpec[] = [
  { name: 'format', short: 'f', arg: 'required' },
  { name: 'data', short: 'd', arg: 'required' },
  { name: 'no-headings' },
  { name: 'pretty' },
  { name: 'bare' },
  { name: 'max-column-width', arg: 'required' },
];
