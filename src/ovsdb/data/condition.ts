/**
 * Conditions (RFC 7047 §5.1 <condition>, with OVS's booleans).
 */
import { isJsonArray } from '../../stream/json.ts';
import type { Json } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import { compareAtoms } from './atom.ts';
import type { SymbolTable } from './atom.ts';
import { datumEquals, datumFromJson, findKey } from './datum.ts';
import type { Datum } from './datum.ts';
import { isOptional, isScalar, typeToEnglish } from './type.ts';

const conditionFunctions = ['==', '!=', '<', '<=', '>', '>=', 'includes', 'excludes'] as const;
type ConditionFunction = (typeof conditionFunctions)[number];

export type Clause =
  boolean | { readonly column: ColumnSchema; readonly function: ConditionFunction; readonly arg: Datum };

/** All clauses must hold in a `where`; any of them in a monitor's `where`. */
export type Condition = readonly Clause[];

/** Gives the datum of a column of the row at hand. */
export type ColumnReader = (column: string) => Datum;

/** @throws OvsdbError */
export function conditionFromJson(table: TableSchema, json: Json, symbols?: SymbolTable): Condition {
  if (!isJsonArray(json)) throw syntaxError(json, 'array expected');
  return json.map((item) => clauseFromJson(table, item, symbols));
}

function clauseFromJson(table: TableSchema, json: Json, symbols?: SymbolTable): Clause {
  if (typeof json === 'boolean') return json;
  if (!isJsonArray(json) || json.length !== 3) throw syntaxError(json, 'Parse error in condition.');
  const [columnName, functionName, arg = null] = json;
  if (typeof columnName !== 'string' || typeof functionName !== 'string') {
    throw syntaxError(json, 'Parse error in condition.');
  }
  const column = table.columns.get(columnName);
  if (column === undefined) {
    throw new OvsdbError('unknown column', `No column ${columnName} in table ${table.name}.`, json);
  }
  const fn = conditionFunctions.find((f) => f === functionName);
  if (fn === undefined) throw new OvsdbError('unknown function', `No function named ${functionName}.`);
  const { type } = column;
  const isScalarLike = isScalar(type) || isOptional(type);
  switch (fn) {
    case '<':
    case '<=':
    case '>':
    case '>=': {
      if (!isScalarLike || (type.key.type !== 'integer' && type.key.type !== 'real')) {
        throw syntaxError(
          json,
          `Type mismatch: "${fn}" operator may not be applied to column ${column.name} of type ${typeToEnglish(type)}.`,
        );
      }
      return { column, function: fn, arg: datumFromJson({ ...type, min: 1 }, arg, { symbols }) };
    }
    case '==':
    case '!=':
      return { column, function: fn, arg: datumFromJson(type, arg, { symbols }) };
    case 'includes':
      return {
        column,
        function: fn,
        arg: datumFromJson(isScalar(type) ? type : { ...type, min: 0 }, arg, { symbols }),
      };
    case 'excludes':
      return {
        column,
        function: fn,
        arg: datumFromJson(isScalar(type) ? type : { ...type, min: 0, max: Infinity }, arg, { symbols }),
      };
  }
}

export function clauseHolds(clause: Clause, read: ColumnReader): boolean {
  if (typeof clause === 'boolean') return clause;
  const { arg } = clause;
  const field = read(clause.column.name);
  switch (clause.function) {
    case '==':
      return datumEquals(field, arg);
    case '!=':
      return !datumEquals(field, arg);
    case 'includes':
      return includesAll(field, arg);
    case 'excludes':
      return excludesAll(field, arg);
    default: {
      const [left] = field.keys;
      const [right] = arg.keys;
      if (left === undefined || right === undefined) return false;
      const order = compareAtoms(left, right);
      if (clause.function === '<') return order < 0;
      if (clause.function === '<=') return order <= 0;
      return clause.function === '>' ? order > 0 : order >= 0;
    }
  }
}

function hasEntry(datum: Datum, of: Datum, i: number): boolean {
  const at = findKey(datum, of.keys[i] ?? '');
  return at >= 0 && (datum.values === null || of.values === null || datum.values[at] === of.values[i]);
}

function includesAll(field: Datum, arg: Datum): boolean {
  return arg.keys.every((_, i) => hasEntry(field, arg, i));
}

function excludesAll(field: Datum, arg: Datum): boolean {
  return arg.keys.every((_, i) => !hasEntry(field, arg, i));
}

export function conditionHolds(condition: Condition, read: ColumnReader): boolean {
  return condition.every((clause) => clauseHolds(clause, read));
}

/** The uuid that the condition pins down, so that a lookup replaces a scan. */
export function conditionUuid(condition: Condition): string | undefined {
  for (const clause of condition) {
    if (typeof clause === 'boolean' || clause.column.name !== '_uuid') continue;
    if (clause.function === '==' || clause.function === 'includes') return String(clause.arg.keys[0]);
  }
  return undefined;
}
