/** `COLUMN[:KEY][OPERATOR VALUE]`, the argument form of set, find, get and others. */
import type { Atom, SymbolTable } from '../../ovsdb/data/atom.ts';
import { checkedAtomFromText, readToken } from '../../ovsdb/data/text.ts';
import type { ColumnType } from '../../ovsdb/data/type.ts';
import type { ColumnSchema, TableSchema } from '../../ovsdb/schema.ts';
import { UsageError } from '../../util/errors.ts';
import { findColumn } from './names.ts';

export interface ColumnKeyValue {
  readonly column: ColumnSchema;
  readonly key: string | null;
  readonly operator: string | null;
  readonly value: string | null;
}

/** The column whose name a word begins with, and where the name ends. @param isRead Whether `_uuid` will do. */
export function leadingColumn(
  table: TableSchema,
  text: string,
  isRead: boolean,
): { readonly column: ColumnSchema; readonly end: number } {
  const { token, end } = readToken(text, 0);
  if (token === '') throw new UsageError(`${text}: missing column name`);
  return { column: findColumn(table, token, isRead), end };
}

/** @param operators Those allowed; what follows the column without being one is returned as operator if none are. */
export function parseColumnKeyValue(
  table: TableSchema,
  text: string,
  operators: readonly string[],
): ColumnKeyValue {
  // Without operators the column is only to be read.
  const { column, end } = leadingColumn(table, text, operators.length === 0);
  let at = end;
  let key: string | null = null;
  if (text.charAt(at) === ':') {
    const read = readToken(text, at + 1);
    key = read.token;
    at = read.end;
  }
  const rest = text.slice(at);
  if (rest === '' && operators.length === 0) return { column, key, operator: null, value: null };
  if (operators.length === 0) return { column, key, operator: rest, value: null };
  const operator = [...operators].sort((a, b) => b.length - a.length).find((o) => rest.startsWith(o));
  if (operator === undefined || rest === operator)
    throw new UsageError(`${text}: argument does not end in ${orList(operators)} followed by a value.`);
  return { column, key, operator, value: rest.slice(operator.length) };
}

/** `"a"`, `"a" or "b"`, `"a", "b", or "c"`. */
function orList(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`);
  const last = quoted.pop() ?? '';
  if (quoted.length === 0) return last;
  return `${quoted.join(', ')}${quoted.length > 1 ? ',' : ''} or ${last}`;
}

/** The key part as an atom of the column's key type. */
export function parseKeyText(type: ColumnType, text: string, symbols: SymbolTable): Atom {
  return checkedAtomFromText(type.key, text, symbols);
}
