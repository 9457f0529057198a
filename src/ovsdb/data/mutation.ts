/**
 * Mutations (RFC 7047 §5.1 <mutation>).
 */
import { isJsonArray, normalInteger } from '../../stream/json.ts';
import type { Json } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import { compareAtoms } from './atom.ts';
import type { Atom, SymbolTable } from './atom.ts';
import { datumFromJson, datumSubtract, datumUnion } from './datum.ts';
import type { Datum } from './datum.ts';
import { checkAtom, isScalar, plainBase, typeToEnglish } from './type.ts';
import type { ColumnType } from './type.ts';

const INT64_MIN = -(2n ** 63n);
const mutators = ['+=', '-=', '*=', '/=', '%=', 'insert', 'delete'] as const;
type MutatorName = (typeof mutators)[number];

export interface Mutation {
  readonly column: ColumnSchema;
  readonly mutator: MutatorName;
  readonly arg: Datum;
}

/** @throws OvsdbError */
export function mutationsFromJson(table: TableSchema, json: Json, symbols?: SymbolTable): Mutation[] {
  if (!isJsonArray(json)) throw syntaxError(json, 'array expected');
  return json.map((item) => mutationFromJson(table, item, symbols));
}

function mutationFromJson(table: TableSchema, json: Json, symbols: SymbolTable | undefined): Mutation {
  if (!isJsonArray(json) || json.length !== 3) throw syntaxError(json, 'Parse error in mutation.');
  const [columnName, mutatorName, arg = null] = json;
  if (typeof columnName !== 'string' || typeof mutatorName !== 'string') {
    throw syntaxError(json, 'Parse error in mutation.');
  }
  const column = table.columns.get(columnName);
  if (column === undefined) {
    throw new OvsdbError('unknown column', `No column ${columnName} in table ${table.name}.`, json);
  }
  if (!column.isMutable) {
    throw new OvsdbError(
      'constraint violation',
      `Cannot mutate immutable column ${column.name} in table ${table.name}.`,
      json,
    );
  }
  const mutator = mutators.find((m) => m === mutatorName);
  if (mutator === undefined) throw new OvsdbError('unknown mutator', `No mutator named ${mutatorName}.`);
  const { type } = column;
  const mismatch = (): OvsdbError =>
    syntaxError(
      json,
      `Type mismatch: "${mutator}" operator may not be applied to column ${column.name} of type ${typeToEnglish(type)}.`,
    );
  if (mutator !== 'insert' && mutator !== 'delete') {
    const isNumber = type.key.type === 'integer' || (type.key.type === 'real' && mutator !== '%=');
    if (type.value !== null || !isNumber) throw mismatch();
    const argType: ColumnType = { key: plainBase(type.key.type), value: null, min: 1, max: 1 };
    return { column, mutator, arg: datumFromJson(argType, arg, { symbols }) };
  }
  if (isScalar(type)) throw mismatch();
  const relaxed: ColumnType = { ...type, min: 0, max: mutator === 'delete' ? Infinity : type.max };
  if (mutator === 'insert' || type.value === null) {
    return { column, mutator, arg: datumFromJson(relaxed, arg, { symbols }) };
  }
  // Pairs or keys alone: what is neither is wrong as the latter.
  try {
    return { column, mutator, arg: datumFromJson(relaxed, arg, { symbols }) };
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    return { column, mutator, arg: datumFromJson({ ...relaxed, value: null }, arg, { symbols }) };
  }
}

/** @throws OvsdbError `domain error`, `range error`, `constraint violation` */
export function mutate(datum: Datum, mutation: Mutation): Datum {
  const { column, mutator, arg } = mutation;
  const { type } = column;
  if (mutator === 'insert') return checkCount(type, datumUnion(datum, arg));
  if (mutator === 'delete') return checkCount(type, datumSubtract(datum, arg));
  const operand = arg.keys[0] ?? 0;
  const keys = datum.keys.map((key) => {
    const result =
      type.key.type === 'real'
        ? realResult(mutator, Number(key), Number(operand))
        : integerResult(mutator, key, operand);
    // A message names the -0 that was computed; what is kept is 0.
    checkAtom(type.key, result);
    return result === 0 ? 0 : result;
  });
  keys.sort(compareAtoms);
  if (keys.some((k, i) => i > 0 && k === keys[i - 1])) {
    throw new OvsdbError('constraint violation', `Result of "${mutator}" operation contains duplicates.`);
  }
  return { keys, values: null };
}

function checkCount(type: ColumnType, datum: Datum): Datum {
  const count = datum.keys.length;
  if (count < type.min || count > type.max) {
    throw new OvsdbError(
      'constraint violation',
      `Attempted to store ${count} elements in ${typeToEnglish(type)}.`,
    );
  }
  return datum;
}

type Arithmetic = '+=' | '-=' | '*=' | '/=' | '%=';

function realResult(mutator: Arithmetic, a: number, b: number): number {
  let result = a;
  if (mutator === '+=') result = a + b;
  else if (mutator === '-=') result = a - b;
  else if (mutator === '*=') result = a * b;
  else {
    if (b === 0) throw new OvsdbError('domain error', 'Division by zero.');
    result = a / b;
  }
  if (!Number.isFinite(result)) throw outOfRange(mutator);
  return result;
}

function outOfRange(mutator: Arithmetic): OvsdbError {
  return new OvsdbError('range error', `Result of "${mutator}" operation is out of range.`);
}

function integerResult(mutator: Arithmetic, key: Atom, operand: Atom): Atom {
  const a = BigInt(key);
  const b = BigInt(operand);
  let result: bigint;
  if (mutator === '+=') result = a + b;
  else if (mutator === '-=') result = a - b;
  else if (mutator === '*=') result = a * b;
  else {
    if (b === 0n) throw new OvsdbError('domain error', 'Division by zero.');
    result = mutator === '/=' ? a / b : a % b;
    // The remainder is 0, but the quotient is none of 64 bits.
    if (a === INT64_MIN && b === -1n) throw outOfRange(mutator);
  }
  if (BigInt.asIntN(64, result) !== result) throw outOfRange(mutator);
  return normalInteger(result);
}
