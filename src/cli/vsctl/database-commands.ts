/** The generic commands: list, find, get, set, add, remove, clear, create, destroy, wait-until, comment. */
import { isUuid } from '../../ovsdb/data/atom.ts';
import type { Atom } from '../../ovsdb/data/atom.ts';
import {
  compareDatums,
  datumEquals,
  datumSubtract,
  datumUnion,
  emptyDatum,
  findKey,
} from '../../ovsdb/data/datum.ts';
import type { Datum } from '../../ovsdb/data/datum.ts';
import { checkedAtomFromText, datumFromText, formatDatum } from '../../ovsdb/data/text.ts';
import type { ColumnType } from '../../ovsdb/data/type.ts';
import { formatAtom } from '../../ovsdb/data/atom.ts';
import type { ColumnSchema, TableSchema } from '../../ovsdb/schema.ts';
import { UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import type { TextTable } from '../table.ts';
import { parseColumnKeyValue, parseKeyText } from './column-key-value.ts';
import { TryAgain } from './context.ts';
import type { Command, Context, Invocation } from './context.ts';
import { findColumn, findRow, findTable, namedColumns } from './names.ts';

const log = vlog('db_ctl_base');

function tableOf(context: Context, invocation: Invocation): TableSchema {
  return findTable(context.idl.schema, invocation.args[0] ?? '');
}

function listColumns(table: TableSchema, option: string | null | undefined): readonly ColumnSchema[] {
  if (typeof option === 'string') return namedColumns(table, option);
  const own = [...table.columns.values()].filter((c) => !c.name.startsWith('_'));
  own.sort((a, b) => (a.name < b.name ? -1 : 1));
  const uuid = table.columns.get('_uuid');
  return uuid === undefined ? own : [uuid, ...own];
}

function tableOfRows(
  context: Context,
  table: TableSchema,
  columns: readonly ColumnSchema[],
  uuids: readonly string[],
): TextTable {
  const rows = uuids.map((uuid) =>
    columns.map((column) => ({
      type: column.type,
      datum: context.transaction.datum(table.name, uuid, column.name),
    })),
  );
  return { headings: columns.map((c) => c.name), rows };
}

const list: Command = {
  minArgs: 1,
  maxArgs: Infinity,
  options: ['if-exists', 'columns='],
  isReadOnly: true,
  run: (context, invocation) => {
    const table = tableOf(context, invocation);
    const columns = listColumns(table, invocation.options.get('columns'));
    const names = invocation.args.slice(1);
    const mustExist = !invocation.options.has('if-exists');
    const uuids =
      names.length === 0
        ? context.uuids(table.name)
        : names.map((name) => findRow(context, table, name, mustExist)).filter((uuid) => uuid !== undefined);
    return tableOfRows(context, table, columns, uuids);
  },
};

const find: Command = {
  minArgs: 1,
  maxArgs: Infinity,
  options: ['columns='],
  isReadOnly: true,
  run: (context, invocation) => {
    const table = tableOf(context, invocation);
    const columns = listColumns(table, invocation.options.get('columns'));
    const uuids = context
      .uuids(table.name)
      .filter((uuid) => invocation.args.slice(1).every((text) => conditionHolds(context, table, uuid, text)));
    return tableOfRows(context, table, columns, uuids);
  },
};

const relations = [
  '=',
  '!=',
  '<',
  '>',
  '<=',
  '>=',
  '{=}',
  '{!=}',
  '{<}',
  '{>}',
  '{<=}',
  '{>=}',
  '{in}',
  '{not-in}',
] as const;

/** A condition of find or wait-until. @throws UsageError */
function conditionHolds(context: Context, table: TableSchema, uuid: string, text: string): boolean {
  const { column, key, operator, value } = parseColumnKeyValue(table, text, relations);
  if (operator === null || value === null) {
    throw new UsageError(`${text}: missing operand`);
  }
  const { type } = column;
  const datum = context.transaction.datum(table.name, uuid, column.name);
  if (key !== null) {
    if (type.value === null)
      throw new UsageError(`cannot specify key to check for non-map column ${column.name}`);
    const wanted = checkedAtomFromText(type.key, key, context.resolve);
    const at = findKey(datum, wanted);
    const valueType: ColumnType = { key: type.value, value: null, min: 0, max: Infinity };
    const right = datumFromText(valueType, value, context.resolve);
    const atom = at < 0 ? undefined : datum.values?.[at];
    const left: Datum = { keys: atom === undefined ? [] : [atom], values: null };
    if (operator.startsWith('{')) return relationHolds(operator, left, right, null);
    return atom !== undefined && relationHolds(operator, left, right, compareDatums(left, right));
  }
  const isSetOperator = operator.startsWith('{');
  const right = datumFromText(type, value, context.resolve);
  return relationHolds(operator, datum, right, isSetOperator ? null : compareDatums(datum, right));
}

function isSubset(a: Datum, b: Datum): boolean {
  return a.keys.every((key, i) => {
    const at = findKey(b, key);
    return at >= 0 && (a.values === null || b.values === null || a.values[i] === b.values[at]);
  });
}

function relationHolds(operator: string, left: Datum, right: Datum, order: number | null): boolean {
  switch (operator) {
    case '=':
      return datumEquals(left, right);
    case '!=':
      return !datumEquals(left, right);
    case '<':
      return (order ?? 0) < 0;
    case '>':
      return (order ?? 0) > 0;
    case '<=':
      return (order ?? 0) <= 0;
    case '>=':
      return (order ?? 0) >= 0;
    case '{=}':
      return isSubset(left, right) && isSubset(right, left);
    case '{!=}':
      return !(isSubset(left, right) && isSubset(right, left));
    case '{<}':
      return isSubset(left, right) && !isSubset(right, left);
    case '{>}':
      return isSubset(right, left) && !isSubset(left, right);
    case '{<=}':
    case '{in}':
      return isSubset(left, right);
    case '{>=}':
      return isSubset(right, left);
    default:
      return left.keys.every((key) => findKey(right, key) < 0);
  }
}

const get: Command = {
  minArgs: 2,
  maxArgs: Infinity,
  options: ['if-exists', 'id='],
  isReadOnly: true,
  run: (context, invocation) => {
    const [, record = '', ...columnTexts] = invocation.args;
    const isOptional = invocation.options.has('if-exists');
    const id = invocation.options.get('id');
    if (isOptional && id !== undefined)
      throw new UsageError('--if-exists and --id may not be specified together');
    const table = tableOf(context, invocation);
    const uuid = findRow(context, table, record, !isOptional);
    if (uuid === undefined) return '';
    if (typeof id === 'string') nameRow(context, id, uuid);
    let out = '';
    for (const text of columnTexts) {
      const { column, key, operator } = parseColumnKeyValue(table, text, []);
      if (operator !== null) throw new UsageError(`${text}: trailing garbage "${operator}" in argument`);
      context.transaction.verify(table.name, uuid, column.name);
      const datum = context.transaction.datum(table.name, uuid, column.name);
      if (key === null) {
        out += `${formatDatum(column.type, datum)}\n`;
        continue;
      }
      if (column.type.value === null)
        throw new UsageError(`cannot specify key to get for non-map column ${column.name}`);
      const at = findKey(datum, parseKeyText(column.type, key, context.resolve));
      if (at < 0) {
        if (!isOptional)
          throw new UsageError(`no key "${key}" in ${table.name} record "${record}" column ${column.name}`);
        out += '\n';
        continue;
      }
      out += `${formatAtom(column.type.value.type, datum.values?.[at] ?? '')}\n`;
    }
    return out;
  },
};

function nameRow(context: Context, id: string, uuid: string): void {
  const name = symbolName(id);
  const old = context.symbols.get(name);
  if (old?.isCreated === true)
    throw new UsageError(`row id "${id}" may only be specified on one --id option`);
  if (old !== undefined)
    throw new UsageError(`row id "${id}" specified on "get" command was used before it was defined`);
  context.symbols.set(name, { uuid, isCreated: true, isStrongRef: true });
}

function symbolName(id: string): string {
  if (!id.startsWith('@')) throw new UsageError(`row id "${id}" does not begin with "@"`);
  return id.slice(1);
}

function requireMutable(table: TableSchema, column: ColumnSchema): void {
  if (!column.isMutable)
    throw new UsageError(`cannot modify read-only column ${column.name} in table ${table.name}`);
}

/** `COLUMN[:KEY]=VALUE` on one row. */
export function setColumn(context: Context, table: TableSchema, uuid: string, text: string): void {
  const { column, key, operator, value } = parseColumnKeyValue(table, text, ['=']);
  if (operator === null || value === null)
    throw new UsageError(`${text}: argument does not end in "=" followed by a value.`);
  if (!context.transaction.isInserted(uuid)) requireMutable(table, column);
  if (key === null) {
    context.transaction.write(
      table.name,
      uuid,
      column.name,
      datumFromText(column.type, value, context.resolve),
    );
    return;
  }
  if (column.type.value === null)
    throw new UsageError(`cannot specify key to set for non-map column ${column.name}`);
  const pair: Datum = {
    keys: [parseKeyText(column.type, key, context.resolve)],
    values: [parseValueText(column.type, value, context)],
  };
  context.transaction.add(table.name, uuid, column.name, pair);
}

function parseValueText(type: ColumnType, text: string, context: Context): Atom {
  return type.value === null ? '' : checkedAtomFromText(type.value, text, context.resolve);
}

const set: Command = {
  minArgs: 3,
  maxArgs: Infinity,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [, record = '', ...texts] = invocation.args;
    const table = tableOf(context, invocation);
    const uuid = findRow(context, table, record, !invocation.options.has('if-exists'));
    if (uuid === undefined) return undefined;
    for (const text of texts) setColumn(context, table, uuid, text);
    return undefined;
  },
};

/** @throws UsageError if too little is left */
function checkRest(table: TableSchema, column: ColumnSchema, datum: Datum): void {
  const { min } = column.type;
  const what = column.type.value === null ? 'values' : 'pairs';
  const count = datum.keys.length;
  if (count < min) {
    throw new UsageError(
      `"remove" operation would put ${count} ${what} in column ${column.name} of table ${table.name} but the minimum number is ${min}`,
    );
  }
}

const add: Command = {
  minArgs: 4,
  maxArgs: Infinity,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [, record = '', columnText = '', ...values] = invocation.args;
    const table = tableOf(context, invocation);
    const column = findColumn(table, columnText);
    const uuid = findRow(context, table, record, !invocation.options.has('if-exists'));
    if (uuid === undefined) return undefined;
    requireMutable(table, column);
    // Of values with the same key the first counts, but any of them replaces what the column has.
    let added = emptyDatum(column.type);
    for (const value of values) {
      added = datumUnion(added, someFromText(column.type, value, context));
    }
    const before = context.transaction.datum(table.name, uuid, column.name);
    const count = datumUnion(before, added).keys.length;
    const { max } = column.type;
    if (count > max) {
      const what = column.type.value === null ? 'values' : 'pairs';
      throw new UsageError(
        `"add" operation would put ${count} ${what} in column ${column.name} of table ${table.name} but the maximum number is ${max}`,
      );
    }
    context.transaction.add(table.name, uuid, column.name, added);
    return undefined;
  },
};

const remove: Command = {
  minArgs: 4,
  maxArgs: Infinity,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [, record = '', columnText = '', ...values] = invocation.args;
    const table = tableOf(context, invocation);
    const column = findColumn(table, columnText);
    const uuid = findRow(context, table, record, !invocation.options.has('if-exists'));
    if (uuid === undefined) return undefined;
    requireMutable(table, column);
    let datum = context.transaction.datum(table.name, uuid, column.name);
    for (const value of values) datum = datumSubtract(datum, removalFromText(column.type, value, context));
    checkRest(table, column, datum);
    context.transaction.verify(table.name, uuid, column.name);
    context.transaction.write(table.name, uuid, column.name, datum);
    return undefined;
  },
};

/** Any number of elements but none. @throws UsageError */
function someFromText(type: ColumnType, text: string, context: Context): Datum {
  if (text === '') {
    const [none, what] = type.value === null ? ['[]', 'set'] : ['{}', 'map'];
    throw new UsageError(`use "${none}" to specify the empty ${what}`);
  }
  return datumFromText({ ...type, min: 1, max: Infinity }, text, context.resolve);
}

/** Pairs, or for a map also mere keys. */
function removalFromText(type: ColumnType, text: string, context: Context): Datum {
  if (type.value === null) return someFromText(type, text, context);
  try {
    return someFromText(type, text, context);
  } catch {
    return someFromText({ ...type, value: null }, text, context);
  }
}

const clear: Command = {
  minArgs: 3,
  maxArgs: Infinity,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [, record = '', ...columnTexts] = invocation.args;
    const table = tableOf(context, invocation);
    const uuid = findRow(context, table, record, !invocation.options.has('if-exists'));
    if (uuid === undefined) return undefined;
    for (const text of columnTexts) {
      const column = findColumn(table, text);
      requireMutable(table, column);
      if (column.type.min > 0) {
        throw new UsageError(
          `"clear" operation cannot be applied to column ${column.name} of table ${table.name}, which is not allowed to be empty`,
        );
      }
      context.transaction.write(table.name, uuid, column.name, emptyDatum(column.type));
    }
    return undefined;
  },
};

/** @param id `@NAME`, or the uuid that the row is to have. @returns the uuid within this run */
function newRow(context: Context, table: TableSchema, id: string | null | undefined): string {
  if (typeof id !== 'string') return context.transaction.insert(table.name);
  if (isUuid(id)) {
    context.transaction.insertAs(table.name, id.toLowerCase(), true);
    return id.toLowerCase();
  }
  const symbol = context.symbol(symbolName(id));
  if (symbol.isCreated) throw new UsageError(`row id "${id}" may only be specified on one --id option`);
  symbol.isCreated = true;
  if (table.isRoot) symbol.isStrongRef = true;
  context.transaction.insertAs(table.name, symbol.uuid);
  return symbol.uuid;
}

const create: Command = {
  minArgs: 2,
  maxArgs: Infinity,
  options: ['id='],
  run: (context, invocation) => {
    const table = tableOf(context, invocation);
    const id = invocation.options.get('id');
    const uuid = newRow(context, table, id);
    for (const text of invocation.args.slice(1)) setColumn(context, table, uuid, text);
    return { createdUuid: uuid };
  },
};

const destroy: Command = {
  minArgs: 1,
  maxArgs: Infinity,
  options: ['if-exists', 'all'],
  run: (context, invocation) => {
    const table = tableOf(context, invocation);
    const names = invocation.args.slice(1);
    const isAll = invocation.options.has('all');
    if (isAll && names.length > 0)
      throw new UsageError('--all and records argument should not be specified together');
    if (isAll && invocation.options.has('if-exists'))
      throw new UsageError('--all and --if-exists should not be specified together');
    if (!isAll && names.length === 0) log.warn('either --all or records argument should be specified');
    const uuids = isAll
      ? context.transaction.uuids(table.name)
      : names.map((name) => findRow(context, table, name, !invocation.options.has('if-exists')));
    for (const uuid of uuids) if (uuid !== undefined) context.transaction.delete(table.name, uuid);
    return undefined;
  },
};

const waitUntil: Command = {
  minArgs: 2,
  maxArgs: Infinity,
  options: [],
  isReadOnly: true,
  run: (context, invocation) => {
    const [, record = '', ...conditions] = invocation.args;
    const table = tableOf(context, invocation);
    const uuid = findRow(context, table, record, false);
    if (uuid === undefined || !conditions.every((text) => conditionHolds(context, table, uuid, text)))
      throw new TryAgain();
    return undefined;
  },
};

const comment: Command = {
  minArgs: 0,
  maxArgs: Infinity,
  options: [],
  isReadOnly: true,
  run: (context, invocation) => {
    context.transaction.comment(invocation.args.join(' '));
    return undefined;
  },
};

export const databaseCommands: Readonly<Record<string, Command>> = {
  comment,
  get,
  list,
  find,
  set,
  add,
  remove,
  clear,
  create,
  destroy,
  'wait-until': waitUntil,
};
