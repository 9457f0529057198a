/**
 * The operations of a "transact" request (RFC 7047 §5.2), run in order against a `Transaction`.
 */
import { randomUuid } from '../../util/random.ts';
import type { Random } from '../../util/random.ts';
import { isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { isId, isInteger, isUuid } from '../data/atom.ts';
import type { SymbolTable } from '../data/atom.ts';
import { conditionFromJson, conditionHolds, conditionUuid } from '../data/condition.ts';
import type { Condition } from '../data/condition.ts';
import { checkDatum, compareDatums, datumFromJson, datumToJson } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { inHashOrder, rejectOthers } from '../data/members.ts';
import { mutate, mutationsFromJson } from '../data/mutation.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import { columnsInHashOrder, isBuiltinColumn } from '../schema.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import type { Database, Table } from './database.ts';
import type { AccessControl } from './rbac.ts';
import type { Row } from './row.ts';
import type { Transaction } from './transaction.ts';

export interface ExecutionContext {
  readonly database: Database;
  readonly transaction: Transaction;
  readonly random: Random;
  /** Time since the request came; a `wait` gives up after its time-out of it. */
  readonly elapsedMs: number;
  readonly isReadOnly: boolean;
  /** What the client's role allows; null or absent: everything. */
  readonly access?: AccessControl | null;
  hasLock(name: string): boolean;
}

export interface ExecutionState {
  isDurable: boolean;
  readonly comments: string[];
  /** Set when a `wait` is unmet: run everything again on a change, at the latest after this time. */
  retryWithinMs: number | undefined;
}

interface NamedUuid {
  readonly uuid: string;
  readonly isCreated: boolean;
}

const emptyText: Datum = { keys: [''], values: null };

type MemberType = 'object' | 'array' | 'string' | 'id' | 'boolean' | 'integer';

/** Takes the members of an operation and complains as OVS does about wrong, missing and left-over ones. */
class Members {
  readonly json: JsonObject;
  readonly #what: string;
  readonly #used = new Set<string>();

  constructor(json: Json, what: string) {
    this.#what = what;
    // OVS shows no syntax when it cannot name a member.
    if (!isJsonObject(json)) throw new OvsdbError('syntax error', `Parsing ${what} failed: Object expected.`);
    this.json = json;
  }
  error(details: string): OvsdbError {
    return syntaxError(this.json, `Parsing ${this.#what} failed: ${details}`);
  }
  optional(name: string, ...types: readonly MemberType[]): Json | undefined {
    this.#used.add(name);
    const value = this.json[name];
    if (value === undefined) return undefined;
    if (!types.some((type) => isMember(value, type))) throw this.error(`Type mismatch for member '${name}'.`);
    return value;
  }
  required(name: string, ...types: readonly MemberType[]): Json {
    const value = this.optional(name, ...types);
    if (value === undefined) throw this.error(`Required '${name}' member is missing.`);
    return value;
  }
  text(name: string, type: 'string' | 'id'): string {
    const value = this.required(name, type);
    return typeof value === 'string' ? value : '';
  }
  finish(): void {
    rejectOthers(this.json, this.#what, (name) => this.#used.has(name));
  }
}

function isMember(value: Json, type: MemberType): boolean {
  switch (type) {
    case 'object':
      return isJsonObject(value);
    case 'array':
      return isJsonArray(value);
    case 'id':
      return typeof value === 'string' && isId(value);
    case 'integer':
      return isInteger(value);
    default:
      return typeof value === type;
  }
}

/**
 * Runs `operations` and returns their results; the last one is the error of the operation that
 * failed, if one did (`hasFailed`). Nothing is committed here.
 */
export class Execution {
  readonly #context: ExecutionContext;
  readonly #names = new Map<string, NamedUuid>();
  readonly state: ExecutionState = { isDurable: false, comments: [], retryWithinMs: undefined };
  readonly results: Json[] = [];
  hasFailed = false;

  constructor(context: ExecutionContext) {
    this.#context = context;
  }

  readonly #symbols: SymbolTable = (name) => this.#name(name).uuid;

  #name(name: string): NamedUuid {
    let entry = this.#names.get(name);
    if (entry === undefined) {
      entry = { uuid: randomUuid(this.#context.random), isCreated: false };
      this.#names.set(name, entry);
    }
    return entry;
  }

  run(operations: readonly Json[]): void {
    for (const [i, json] of operations.entries()) {
      try {
        this.results.push(this.#one(json, `ovsdb operation ${i + 1} of ${operations.length}`));
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        this.hasFailed = true;
        this.results.push(error.toJson());
        if (this.state.retryWithinMs !== undefined) return;
        for (let rest = i + 1; rest < operations.length; rest++) this.results.push(null);
        return;
      }
    }
  }

  #one(json: Json, what: string): Json {
    const members = new Members(json, what);
    const op = members.text('op', 'id');
    switch (op) {
      case 'insert':
        return this.#writable(op, this.#insert(members));
      case 'select':
        return this.#select(members);
      case 'update':
        return this.#writable(op, this.#update(members));
      case 'mutate':
        return this.#writable(op, this.#mutate(members));
      case 'delete':
        return this.#writable(op, this.#delete(members));
      case 'wait':
        return this.#wait(members);
      case 'commit': {
        const durable = members.required('durable', 'boolean');
        members.finish();
        if (durable === true) this.state.isDurable = true;
        return this.#writable('commit', {});
      }
      case 'abort':
        members.finish();
        throw new OvsdbError('aborted', 'aborted by request');
      case 'comment': {
        const comment = members.text('comment', 'string');
        members.finish();
        this.state.comments.push(comment);
        return {};
      }
      case 'assert': {
        const lock = members.text('lock', 'id');
        members.finish();
        if (!this.#context.hasLock(lock))
          throw new OvsdbError('not owner', `Asserted lock ${lock} not held.`);
        return {};
      }
      default:
        throw members.error(`No operation "${op}"`);
    }
  }

  #table(members: Members): Table {
    const name = members.text('table', 'id');
    const table = this.#context.database.tables.get(name);
    if (table === undefined) throw members.error(`No table named ${name}.`);
    return table;
  }

  /** Whether writing is allowed comes last. */
  #writable(op: string, result: Json): Json {
    if (this.#context.database.name === '_Server' && this.#context.isReadOnly) {
      throw new OvsdbError(
        'not allowed',
        `${op} operation not allowed on table in reserved database _Server`,
      );
    }
    if (this.#context.isReadOnly) {
      throw new OvsdbError(
        'not allowed',
        `${op} operation not allowed when database server is in read only mode`,
      );
    }
    return result;
  }

  #insert(members: Members): Json {
    const table = this.#table(members);
    const uuidJson = members.optional('uuid', 'string');
    const name = members.optional('uuid-name', 'id');
    const rowJson = members.required('row', 'object');
    members.finish();
    const { transaction, random } = this.#context;
    let wanted: string | undefined;
    if (typeof uuidJson === 'string') {
      if (!isUuid(uuidJson)) throw syntaxError(uuidJson, 'bad uuid');
      wanted = uuidJson.toLowerCase();
      if (transaction.isUsed(table, wanted)) {
        throw new OvsdbError(
          'duplicate uuid',
          `This UUID would duplicate a UUID already present within the table or deleted within the same transaction.`,
          uuidJson,
        );
      }
    }
    const uuid = typeof name === 'string' ? this.#declare(name, wanted) : (wanted ?? randomUuid(random));
    const columns = this.#row(table.schema, rowJson);
    checkDefaults(table, columns);
    this.#context.access?.insert(table, columns);
    transaction.insert(table, uuid, columns);
    return { uuid: ['uuid', uuid] };
  }

  /** The row of an insert that has a name. */
  #declare(name: string, wanted: string | undefined): string {
    const entry = this.#name(name);
    if (entry.isCreated) {
      throw new OvsdbError(
        'duplicate uuid-name',
        'This "uuid-name" appeared on an earlier "insert" operation.',
        name,
      );
    }
    const uuid = wanted ?? entry.uuid;
    this.#names.set(name, { uuid, isCreated: true });
    return uuid;
  }

  /** `<row>`: columns that it names, without `_uuid` and `_version`. */
  #row(schema: TableSchema, json: Json): Map<string, Datum> {
    if (!isJsonObject(json)) throw syntaxError(json, 'row must be JSON object');
    try {
      return this.#columns(schema, json, Object.keys(json));
    } catch {
      return this.#columns(schema, json, inHashOrder(Object.keys(json)));
    }
  }

  #columns(schema: TableSchema, json: JsonObject, names: readonly string[]): Map<string, Datum> {
    const columns = new Map<string, Datum>();
    for (const name of names) {
      const value = json[name] ?? null;
      const column = schema.columns.get(name);
      if (column === undefined)
        throw new OvsdbError('unknown column', `No column ${name} in table ${schema.name}.`, json);
      const datum = datumFromJson(column.type, value, {
        symbols: isBuiltinColumn(name) ? undefined : this.#symbols,
      });
      columns.set(name, datum);
    }
    return columns;
  }

  #matching(table: Table, condition: Condition): Row[] {
    const { transaction } = this.#context;
    const uuid = conditionUuid(condition);
    const holds = (row: Row): boolean => conditionHolds(condition, (column) => row.get(column));
    if (uuid !== undefined) {
      const row = transaction.row(table, uuid);
      return row !== undefined && holds(row) ? [row] : [];
    }
    return [...transaction.rows(table)].filter(holds);
  }

  #select(members: Members): Json {
    const table = this.#table(members);
    const whereJson = members.required('where', 'array');
    const columnsJson = members.optional('columns', 'array');
    const sortJson = members.optional('sort', 'array');
    members.finish();
    const condition = conditionFromJson(table.schema, whereJson, this.#symbols);
    const columns = columnsOf(columnsJson, table.schema);
    // Not in RFC 7047: the rows in the order of some columns.
    const sort = sortJson === undefined ? [] : columnSetFromJson(sortJson, table.schema);
    const matching = this.#matching(table, condition);
    if (sort.length > 0) matching.sort((a, b) => compareRows(a, b, sort));
    const seen = new Set<string>();
    const rows: Json[] = [];
    for (const row of matching) {
      const json = rowToJson(row, columns);
      // A projection without _uuid is a set: equal rows count once.
      const key = JSON.stringify(json, (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v));
      if (seen.has(key)) continue;
      seen.add(key);
      rows.push(json);
    }
    return { rows };
  }

  #update(members: Members): Json {
    const table = this.#table(members);
    const whereJson = members.required('where', 'array');
    const rowJson = members.required('row', 'object');
    members.finish();
    const columns = this.#row(table.schema, rowJson);
    const isFixed = (name: string): boolean =>
      table.schema.columns.get(name)?.isMutable !== true || name === '_version';
    if ([...columns.keys()].some(isFixed)) {
      const name = inHashOrder(columns.keys()).find(isFixed) ?? '';
      throw new OvsdbError(
        'constraint violation',
        `Cannot update immutable column ${name} in table ${table.schema.name}.`,
        members.json,
      );
    }
    const condition = conditionFromJson(table.schema, whereJson, this.#symbols);
    const rows = this.#matching(table, condition);
    this.#context.access?.update(table, rows, columns.keys());
    for (const row of rows) this.#context.transaction.update(table, row, columns);
    return { count: rows.length };
  }

  #mutate(members: Members): Json {
    const table = this.#table(members);
    const whereJson = members.required('where', 'array');
    const mutationsJson = members.required('mutations', 'array');
    members.finish();
    const mutations = mutationsFromJson(table.schema, mutationsJson, this.#symbols);
    const condition = conditionFromJson(table.schema, whereJson, this.#symbols);
    const rows = this.#matching(table, condition);
    this.#context.access?.mutate(
      table,
      rows,
      mutations.map((mutation) => mutation.column.name),
    );
    for (const row of rows) {
      const columns = new Map<string, Datum>();
      for (const mutation of mutations) {
        const { name } = mutation.column;
        columns.set(name, mutate(columns.get(name) ?? row.get(name), mutation));
      }
      this.#context.transaction.update(table, row, columns);
    }
    return { count: rows.length };
  }

  #delete(members: Members): Json {
    const whereJson = members.required('where', 'array');
    const table = this.#table(members);
    members.finish();
    const condition = conditionFromJson(table.schema, whereJson, this.#symbols);
    const rows = this.#matching(table, condition);
    this.#context.access?.delete(table, rows);
    for (const row of rows) this.#context.transaction.delete(table, row.uuid);
    return { count: rows.length };
  }

  #wait(members: Members): Json {
    const timeout = members.optional('timeout', 'integer');
    const whereJson = members.required('where', 'array');
    const columnsJson = members.optional('columns', 'array');
    const until = members.required('until', 'string');
    const rowsJson = members.required('rows', 'array');
    const table = this.#table(members);
    members.finish();
    if (timeout !== undefined && Number(timeout) < 0)
      throw syntaxError(timeout, 'timeout must be nonnegative');
    const condition = conditionFromJson(table.schema, whereJson, this.#symbols);
    const columns = columnsOf(columnsJson, table.schema);
    if (until !== '==' && until !== '!=') throw syntaxError(until, '"until" must be "==" or "!="');
    const key = (read: (column: string) => Datum): string =>
      JSON.stringify(
        columns.map((c) => {
          const { keys, values } = read(c.name);
          return [keys.map(String), values?.map(String)];
        }),
      );
    const wanted = new Set(
      (isJsonArray(rowsJson) ? rowsJson : []).map((json) => key(this.#expectedRow(table, json))),
    );
    const present = new Set(this.#matching(table, condition).map((row) => key((column) => row.get(column))));
    const isEqual = wanted.size === present.size && [...wanted].every((k) => present.has(k));
    if (isEqual === (until === '==')) return {};
    const { elapsedMs } = this.#context;
    const timeoutMs = timeout === undefined ? Infinity : Number(timeout);
    if (elapsedMs >= timeoutMs) {
      throw new OvsdbError(
        'timed out',
        elapsedMs > 0 ? `"wait" timed out after ${Math.trunc(elapsedMs)} ms` : '"where" clause test failed',
      );
    }
    this.state.retryWithinMs = timeoutMs - elapsedMs;
    throw new OvsdbError('not supported', 'triggers not supported');
  }

  /** Columns that a row of a `wait` does not name have their defaults; `_uuid` and `_version` are then empty text. */
  #expectedRow(table: Table, json: Json): (column: string) => Datum {
    const given = this.#row(table.schema, json);
    return (column) => given.get(column) ?? table.defaults.get(column) ?? emptyText;
  }
}

/** Defaults have to obey the constraints, too. @param given Columns that have something else. */
function checkDefaults(table: Table, given: ReadonlyMap<string, Datum>): void {
  const check = (name: string): void => {
    const column = table.schema.columns.get(name);
    if (column !== undefined && !isBuiltinColumn(name) && !given.has(name))
      checkDatum(column.type, table.defaults.get(name));
  };
  try {
    for (const name of table.schema.columns.keys()) check(name);
  } catch {
    for (const name of columnsInHashOrder(table.schema)) check(name);
  }
}

/** All columns if there is no list of them. @throws OvsdbError */
function columnsOf(json: Json | undefined, schema: TableSchema): ColumnSchema[] {
  return json === undefined ? [...schema.columns.values()] : columnSetFromJson(json, schema);
}

/** @throws OvsdbError for unknown and repeated names */
function columnSetFromJson(json: Json, schema: TableSchema): ColumnSchema[] {
  if (!isJsonArray(json)) throw syntaxError(json, 'array of distinct column names expected');
  const columns = json.map((name) => {
    if (typeof name !== 'string') throw syntaxError(json, 'array of distinct column names expected');
    const column = schema.columns.get(name);
    if (column === undefined) throw syntaxError(json, `${name} is not a valid column name`);
    return column;
  });
  if (new Set(columns).size !== columns.length)
    throw syntaxError(json, 'array of distinct column names expected');
  return columns;
}

function compareRows(a: Row, b: Row, columns: readonly ColumnSchema[]): number {
  for (const { name } of columns) {
    const order = compareDatums(a.get(name), b.get(name));
    if (order !== 0) return order;
  }
  return 0;
}

function rowToJson(row: Row, columns: readonly ColumnSchema[]): JsonObject {
  const json: Record<string, Json> = {};
  for (const column of columns) json[column.name] = datumToJson(column.type, row.get(column.name));
  return json;
}
