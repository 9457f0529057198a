/**
 * A transaction in the making: writes gather here and are visible through its own reads, then go to the
 * server at once by `commit`.
 *
 * Rows are named by uuid. An inserted row gets a temporary uuid that may be used anywhere in the same
 * transaction; after the commit `realUuid` gives the lasting one. `verify` adds the condition that a
 * column still has the contents that the replica has: if not, the commit answers `try again`.
 */
import { rateLimit, vlog } from '../../util/log.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import { formatJson, isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { atomToJson } from '../data/atom.ts';
import type { Atom } from '../data/atom.ts';
import { datumEquals, datumFromJson, datumToJson, datumUnion, defaultDatum, findKey } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import type { ColumnSchema, TableSchema } from '../schema.ts';
import { errorFromJson, isErrorResult } from './error-reply.ts';
import type { Idl } from './idl.ts';
import type { IdlRow } from './row.ts';
import { datumFromValue } from './value.ts';
import type { InputValue } from './value.ts';

export type CommitStatus = 'success' | 'unchanged' | 'try again' | 'not locked' | 'error';
export type Mutator = '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete';

interface Pending {
  readonly table: TableSchema;
  readonly isInserted: boolean;
  isDeleted: boolean;
  /** The new row is to have just this uuid. */
  isLasting: boolean;
  readonly columns: Map<string, Datum>;
  /** Elements added to columns, of which `columns` has the outcome as seen here. */
  readonly additions: Map<string, Datum>;
  readonly verified: Set<string>;
  readonly mutations: Json[];
}

const log = vlog('ovsdb_idl');
const transactErrors = rateLimit(5, 5);
const $random = new SystemRandom();

export class IdlTransaction {
  readonly #idl: Idl;
  readonly #pending = new Map<string, Pending>();
  readonly #real = new Map<string, string>();
  readonly #comments: string[] = [];
  #increment: { table: string; uuid: string; column: string } | undefined;
  #incrementResult: number | undefined;
  #error: OvsdbError | undefined;
  #isOutdated = false;
  /** Only tells what would happen. */
  isDryRun = false;

  constructor(idl: Idl) {
    this.#idl = idl;
  }

  #table(name: string): TableSchema {
    const table = this.#idl.table(name);
    if (table === undefined) throw new OvsdbError('unknown table', `no table named ${name}`);
    return table;
  }
  #column(table: TableSchema, name: string): ColumnSchema {
    const column = table.columns.get(name);
    if (column === undefined)
      throw new OvsdbError('unknown column', `table ${table.name} has no column ${name}`);
    return column;
  }
  #of(tableName: string, uuid: string): Pending {
    let pending = this.#pending.get(uuid);
    if (pending === undefined) {
      pending = {
        table: this.#table(tableName),
        isInserted: false,
        isDeleted: false,
        isLasting: false,
        columns: new Map(),
        additions: new Map(),
        verified: new Set(),
        mutations: [],
      };
      this.#pending.set(uuid, pending);
    }
    return pending;
  }

  // --- reading through the writes so far ---

  /** Uuids of the table's rows, as this transaction sees them. */
  uuids(table: string): string[] {
    const committed = this.#idl.rows(table).map((row) => row.uuid);
    const inserted = [...this.#pending]
      .filter(([, p]) => p.isInserted && p.table.name === table)
      .map(([uuid]) => uuid);
    return [...committed, ...inserted].filter((uuid) => this.#pending.get(uuid)?.isDeleted !== true);
  }
  exists(table: string, uuid: string): boolean {
    const pending = this.#pending.get(uuid);
    if (pending !== undefined && (pending.isDeleted || pending.isInserted))
      return !pending.isDeleted && pending.table.name === table;
    return this.#idl.row(table, uuid) !== undefined;
  }
  datum(table: string, uuid: string, column: string): Datum {
    if (column === '_uuid') return { keys: [uuid], values: null };
    const pending = this.#pending.get(uuid);
    const written = pending?.columns.get(column);
    if (written !== undefined) return written;
    const row = pending?.isInserted === true ? undefined : this.#idl.row(table, uuid);
    return row?.datum(column) ?? defaultDatum(this.#column(this.#table(table), column).type);
  }
  isInserted(uuid: string): boolean {
    return this.#pending.get(uuid)?.isInserted === true;
  }

  // --- writing ---

  /** @returns The temporary uuid of the new row. */
  insert(tableName: string, columns: Readonly<Record<string, InputValue>> = {}): string {
    const uuid = randomUuid($random);
    this.insertAs(tableName, uuid);
    this.update(tableName, uuid, columns);
    return uuid;
  }
  /** Inserts with a temporary uuid chosen by the caller, or with one that the row will keep. */
  insertAs(tableName: string, uuid: string, isLasting = false): void {
    this.#pending.set(uuid, {
      table: this.#table(tableName),
      isInserted: true,
      isDeleted: false,
      isLasting,
      columns: new Map(),
      additions: new Map(),
      verified: new Set(),
      mutations: [],
    });
  }
  update(table: string, uuid: string, columns: Readonly<Record<string, InputValue>>): void {
    const schema = this.#table(table);
    for (const [name, value] of Object.entries(columns)) {
      this.write(table, uuid, name, datumFromValue(this.#column(schema, name).type, value));
    }
  }
  write(table: string, uuid: string, column: string, datum: Datum): void {
    const pending = this.#of(table, uuid);
    pending.columns.set(column, datum);
    pending.additions.delete(column);
  }
  /**
   * Adds elements to a set or pairs to a map, in the place of pairs with their keys; the rest stays as it is on
   * the server by then. Visible to reads here.
   */
  add(table: string, uuid: string, column: string, datum: Datum): void {
    const pending = this.#of(table, uuid);
    const isPart = !pending.isInserted && (pending.additions.has(column) || !pending.columns.has(column));
    const outcome = datumUnion(datum, this.datum(table, uuid, column));
    const before = pending.additions.get(column);
    this.write(table, uuid, column, outcome);
    if (isPart) pending.additions.set(column, before === undefined ? datum : datumUnion(datum, before));
  }
  /** A row of a table that is no root goes with the last reference to it: none is deleted while it is referred to. */
  delete(table: string, uuid: string): void {
    const pending = this.#of(table, uuid);
    if (pending.isInserted) this.#pending.delete(uuid);
    else pending.isDeleted = true;
  }
  /** A mutation done by the server, on what it has then; not visible to reads here. */
  mutate(table: string, uuid: string, column: string, mutator: Mutator, value: InputValue): void {
    const { type } = this.#column(this.#table(table), column);
    const json =
      mutator === 'delete' && type.value !== null && Array.isArray(value)
        ? datumToJson(
            { ...type, value: null, min: 0, max: Infinity },
            datumFromValue({ ...type, value: null, min: 0, max: Infinity }, value),
            this.#toJson,
          )
        : datumToJson(type, datumFromValue({ ...type, min: 0, max: Infinity }, value), this.#toJson);
    this.#of(table, uuid).mutations.push([column, mutator, json]);
  }
  /** Writes one pair of a map and leaves the others alone, whatever they are on the server by then. */
  setKey(table: string, uuid: string, column: string, key: Atom, value: Atom): void {
    this.mutate(table, uuid, column, 'delete', [key]);
    this.mutate(table, uuid, column, 'insert', new Map([[key, value]]));
  }
  /** Removes one pair of a map, if it is there. */
  deleteKey(table: string, uuid: string, column: string, key: Atom): void {
    this.mutate(table, uuid, column, 'delete', [key]);
  }
  /** Adds elements to a set; those there already stay. */
  insertElements(table: string, uuid: string, column: string, elements: readonly Atom[]): void {
    this.mutate(table, uuid, column, 'insert', elements);
  }
  deleteElements(table: string, uuid: string, column: string, elements: readonly Atom[]): void {
    this.mutate(table, uuid, column, 'delete', elements);
  }

  /** Makes the commit fail with `try again` if the server's contents differ from the replica's. */
  verify(table: string, uuid: string, column: string): void {
    if (this.isInserted(uuid)) return;
    this.#of(table, uuid).verified.add(column);
  }
  /** Adds 1 to an integer column; `incrementResult` has the outcome. */
  increment(table: string, uuid: string, column: string): void {
    this.#increment = { table, uuid, column };
  }
  get incrementResult(): number | undefined {
    return this.#incrementResult;
  }
  comment(text: string): void {
    this.#comments.push(text);
  }

  /** Whether a verified column had changed, so that another try makes sense only after an update. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }
  get error(): OvsdbError | undefined {
    return this.#error;
  }
  realUuid(uuid: string): string | undefined {
    return this.#real.get(uuid) ?? (this.isInserted(uuid) ? undefined : uuid);
  }

  readonly #toJson = (type: Parameters<typeof atomToJson>[0], atom: Atom): Json =>
    type === 'uuid' &&
    typeof atom === 'string' &&
    this.#pending.get(atom)?.isInserted === true &&
    this.#pending.get(atom)?.isLasting === false
      ? ['named-uuid', rowName(atom)]
      : atomToJson(type, atom);

  /** The operations as they would be sent; none if nothing would change. */
  operations(): Json[] {
    const waits: Json[] = [];
    const changes: Json[] = [];
    for (const [uuid, pending] of this.#pending) {
      const where: Json = [['_uuid', '==', ['uuid', uuid]]];
      const table = pending.table.name;
      for (const name of pending.verified) {
        const { type } = this.#column(pending.table, name);
        const row = this.#idl.row(table, uuid);
        const datum = row?.datum(name) ?? defaultDatum(type);
        waits.push({
          op: 'wait',
          table,
          timeout: 0,
          where,
          columns: [name],
          until: '==',
          rows: [{ [name]: datumToJson(type, datum) }],
        });
      }
      if (pending.isDeleted) {
        if (pending.table.isRoot) changes.push({ op: 'delete', table, where });
        continue;
      }
      const row: Record<string, Json> = {};
      const before = pending.isInserted ? undefined : this.#idl.row(table, uuid);
      for (const [name, datum] of pending.columns) {
        if (pending.additions.has(name)) continue;
        const { type } = this.#column(pending.table, name);
        const old = pending.isInserted ? defaultDatum(type) : before?.datum(name);
        if (old !== undefined && datumEquals(old, datum)) continue;
        row[name] = datumToJson(type, datum, this.#toJson);
      }
      if (pending.isInserted) {
        const id = pending.isLasting ? { uuid } : { 'uuid-name': rowName(uuid) };
        changes.push({ op: 'insert', table, row, ...id });
      } else if (Object.keys(row).length > 0) changes.push({ op: 'update', table, where, row });
      const mutations = [...this.#additions(pending, before), ...pending.mutations];
      if (mutations.length > 0) {
        const self: Json = [['_uuid', '==', this.#toJson('uuid', uuid)]];
        changes.push({ op: 'mutate', table, where: self, mutations });
      }
    }
    if (changes.length === 0) return [];
    const operations = [...waits, ...changes];
    if (this.#increment !== undefined) {
      const { table, uuid, column } = this.#increment;
      const where: Json = [['_uuid', '==', this.#toJson('uuid', uuid)]];
      operations.push({ op: 'mutate', table, where, mutations: [[column, '+=', 1]] });
      operations.push({ op: 'select', table, where, columns: [column] });
    }
    return operations;
  }

  /** Mutations for what `add` gathered: a pair takes the place of one with its key. */
  #additions(pending: Pending, before: IdlRow | undefined): Json[] {
    const mutations: Json[] = [];
    for (const [name, added] of pending.additions) {
      const { type } = this.#column(pending.table, name);
      const old = before?.datum(name) ?? defaultDatum(type);
      const isMap = type.value !== null;
      if (isMap && datumEquals(old, datumUnion(added, old))) continue;
      const replaced = isMap ? added.keys.filter((key) => findKey(old, key) >= 0) : [];
      if (replaced.length > 0) {
        const keys = ['set', replaced.map((key) => this.#toJson(type.key.type, key))];
        mutations.push([name, 'delete', keys]);
      }
      mutations.push([name, 'insert', datumToJson({ ...type, min: 0, max: Infinity }, added, this.#toJson)]);
    }
    return mutations;
  }

  /**
   * Sends the transaction and waits for its end.
   *
   * @returns `try again`: a verified column had changed, or the connection was lost or the server cancelled it because its database
   * was converted or removed or the source of a relay was lost (it may or may not have been done); `error`: see `error`.
   */
  async commit(): Promise<CommitStatus> {
    const operations = this.operations();
    if (operations.length === 0) return 'unchanged';
    const { lockName } = this.#idl;
    const params: Json[] = [this.#idl.databaseName];
    if (lockName !== undefined) {
      if (!this.#idl.hasLock) return 'not locked';
      params.push({ op: 'assert', lock: lockName });
    }
    const first = params.length - 1;
    params.push(...operations);
    if (this.#comments.length > 0) params.push({ op: 'comment', comment: this.#comments.join('\n') });
    if (this.isDryRun) params.push({ op: 'abort' });
    let reply: Json;
    try {
      reply = await this.#idl.call('transact', params);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      if (error.code === 'connection lost' || error.code === 'canceled') return 'try again';
      this.#error = error;
      return 'error';
    }
    if (!isJsonArray(reply)) {
      this.#error = new OvsdbError(
        'syntax error',
        `reply to "transact" is not an array: ${formatJson(reply)}`,
      );
      return 'error';
    }
    return this.#finish(operations, reply, first);
  }

  #finish(operations: readonly Json[], reply: readonly Json[], first: number): CommitStatus {
    for (const result of reply) {
      if (!isErrorResult(result)) continue;
      const { error } = result;
      if (error === 'timed out') {
        this.#isOutdated = true;
        return 'try again';
      }
      if (error === 'not owner') return 'not locked';
      if (error === 'aborted') continue;
      this.#error = errorFromJson(result);
      log.warn(`transaction error: ${formatJson(this.#error.toJson(), true)}`, transactErrors);
      return 'error';
    }
    operations.forEach((operation, i) => {
      const result = reply[first + i];
      if (!isJsonObject(operation) || !isJsonObject(result)) return;
      if (operation['op'] === 'insert') this.#learnUuid(operation['uuid-name'], result['uuid']);
      else if (operation['op'] === 'select') this.#learnIncrement(result['rows']);
    });
    return 'success';
  }

  #learnUuid(name: Json | undefined, uuid: Json | undefined): void {
    if (typeof name !== 'string' || !isJsonArray(uuid) || typeof uuid[1] !== 'string') return;
    this.#real.set(name.slice('row'.length).replaceAll('_', '-'), uuid[1]);
  }

  #learnIncrement(rows: Json | undefined): void {
    if (this.#increment === undefined || !isJsonArray(rows)) return;
    const [row] = rows;
    const { table, column } = this.#increment;
    if (!isJsonObject(row)) return;
    const datum = datumFromJson(this.#column(this.#table(table), column).type, row[column] ?? null);
    this.#incrementResult = Number(datum.keys[0] ?? 0);
  }
}

/** Name of an inserted row in the transaction's JSON: an <id> made of its temporary uuid. */
function rowName(uuid: string): string {
  return `row${uuid.replaceAll('-', '_')}`;
}
