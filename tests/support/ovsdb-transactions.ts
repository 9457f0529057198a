import type { Json, JsonObject } from '../../src/stream/index.ts';
import { isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import { atomsOf } from './ovsdb-schemas.ts';
import type { BaseModel, ColumnModel, Dice, SchemaModel, TableModel } from './ovsdb-schemas.ts';

/** Uuids that inserts ask for, the same on both servers; others are known by the label `@NUMBER`. */
const fixedUuids = Array.from(
  { length: 12 },
  (_, i) => `${(0x9e3779b9 * (i + 1)).toString(16).slice(-8)}-0000-4000-8000-0000000000${10 + i}`,
);

const functions = ['==', '!=', '<', '<=', '>', '>=', 'includes', 'excludes'] as const;
const arithmetic = ['+=', '-=', '*=', '/=', '%='] as const;

/**
 * Random operations on a random schema: most are right, since wrong ones end a transaction, and each kind of wrong
 * turns up often enough in some thousands. `rows` learns which rows exist, so that references find them.
 */
export class TransactionGenerator {
  readonly schema: SchemaModel;
  readonly rows = new Map<string, string[]>();
  readonly #dice: Dice;
  /** Names of the transaction being made, by table. */
  #names: { table: string; name: string }[] = [];
  /** Share of values and members that are wrong in the transaction being made, percent. */
  #wrong = 0;

  constructor(dice: Dice, schema: SchemaModel) {
    this.#dice = dice;
    this.schema = schema;
    for (const table of schema.tables) this.rows.set(table.name, []);
  }

  /** Remembers a row; only the latest are worth a reference. */
  learn(table: string, uuid: string): void {
    const known = this.rows.get(table);
    if (known === undefined || known.includes(uuid)) return;
    known.push(uuid);
    if (known.length > 12) known.shift();
  }

  transaction(): Json[] {
    this.#names = [];
    this.#wrong = this.#dice.chance(60) ? 0 : this.#dice.pick([2, 5, 20]);
    const operations = Array.from({ length: 1 + this.#dice.below(5) }, () => this.#operation());
    return operations.map((operation) => {
      if (!this.#dice.chance(this.#wrong)) return operation;
      const once = this.malformed(operation);
      return ending(this.#dice.chance(15) ? this.malformed(once) : once);
    });
  }

  /** Rows to begin with. */
  start(): Json[] {
    this.#names = [];
    this.#wrong = 0;
    return [this.#insert(this.#dice.pick(this.schema.tables))];
  }

  #operation(): Json {
    const dice = this.#dice;
    const table = dice.pick(this.schema.tables);
    const kind = dice.below(100);
    if (kind < 35) return this.#insert(table);
    if (kind < 43) return this.#select(table);
    if (kind < 58)
      return { op: 'update', table: table.name, where: this.where(table), row: this.#row(table, 3) };
    if (kind < 78) return this.#mutate(table);
    if (kind < 85) return { op: 'delete', table: table.name, where: this.where(table) };
    if (kind < 92) return this.wait(table, dice.chance(70) ? 0 : 1 + dice.below(3));
    return dice.pick<() => Json>([
      () => ({ op: 'commit', durable: dice.chance(30) }),
      () => ({ op: 'comment', comment: dice.pick(['x', 'two words', '']) }),
      () => ({ op: 'assert', lock: dice.pick(['l1', 'l2']) }),
      () => (dice.chance(20) ? { op: 'abort' } : { op: 'comment', comment: 'not aborted' }),
    ])();
  }

  #insert(table: TableModel): Json {
    const dice = this.#dice;
    const operation: Record<string, Json> = {
      op: 'insert',
      table: table.name,
      row: this.#row(table, table.columns.length, true),
    };
    if (dice.chance(45)) operation['uuid'] = dice.pick(fixedUuids);
    if (dice.chance(40)) {
      const name = dice.pick(['x', 'y', 'z', '_q']);
      operation['uuid-name'] = name;
      this.#names.push({ table: table.name, name });
    }
    return operation;
  }

  #select(table: TableModel): Json {
    const operation = { op: 'select', table: table.name, where: this.where(table) };
    const sort = this.#dice.chance(10) ? { sort: this.columns(table) } : {};
    return { ...operation, ...sort, ...(this.#dice.chance(50) ? {} : { columns: this.columns(table) }) };
  }

  columns(table: TableModel): Json[] {
    const names = [...table.columns.map((c) => c.name), '_uuid', '_version'];
    const columns: Json[] = this.#dice.shuffled(names).slice(0, this.#dice.below(4));
    if (this.#isWrong()) columns.push(this.#dice.pick<Json>(['nothere', columns[0] ?? 'up', 3]));
    return columns;
  }

  /** A `wait` for the contents of one column. */
  wait(table: TableModel, timeout: number | undefined): Json {
    const dice = this.#dice;
    const columns = dice.shuffled(table.columns).slice(0, 1 + dice.below(2));
    const row = (): Json =>
      Object.fromEntries(columns.filter(() => dice.chance(90)).map((c) => [c.name, this.#datum(c)] as const));
    return {
      op: 'wait',
      table: table.name,
      where: this.where(table),
      ...(dice.chance(90) ? { columns: columns.map((c) => c.name) } : {}),
      until: dice.pick(['==', '!=']),
      rows: dice.list(2, row),
      ...(timeout === undefined ? {} : { timeout }),
    };
  }

  #mutate(table: TableModel): Json {
    const mutations = this.#dice.list(3, () => this.#mutation(table));
    return { op: 'mutate', table: table.name, where: this.where(table), mutations };
  }

  #mutation(table: TableModel): Json {
    const dice = this.#dice;
    const column = this.#changeable(table);
    const isNumber = column.value === null && (column.key.type === 'integer' || column.key.type === 'real');
    if (isNumber && dice.chance(column.max > 1 ? 50 : 95)) {
      const operand = dice.chance(85) ? dice.pick<Json>([0, 1, 1, 2, 3, -1]) : this.#atom(column.key);
      // The stock server fails or dies of some products of integers that fit, e.g. of two negative ones, and lets 0 and -0 into an
      // index, of which its file keeps one.
      const isIndexed = table.indexes.flat().includes(column.name);
      const mutator = dice.pick(
        arithmetic.filter((m) =>
          column.key.type === 'integer' ? m !== '*=' : !isIndexed || (m !== '*=' && m !== '/='),
        ),
      );
      return [column.name, mutator, operand];
    }
    const isInsert = dice.chance(60);
    const set = (base: BaseModel): Json => ['set', this.#atoms(base, dice.below(3))];
    if (column.value !== null && !isInsert && dice.chance(50))
      return [column.name, 'delete', set(column.key)];
    return [column.name, isInsert ? 'insert' : 'delete', this.#datum({ ...column, min: 0 })];
  }

  #changeable(table: TableModel): ColumnModel {
    const mutable = table.columns.filter((c) => c.isMutable);
    return this.#dice.pick(mutable.length === 0 || this.#isWrong() ? table.columns : mutable);
  }

  #row(table: TableModel, max: number, isNew = false): JsonObject {
    const dice = this.#dice;
    const row: Record<string, Json> = {};
    for (const column of dice.shuffled(table.columns).slice(0, isNew ? max : dice.below(max + 1))) {
      if (!isNew && !column.isMutable && !this.#isWrong()) continue;
      // A column whose default is not allowed had better be there.
      if (isNew && dice.chance(needsValue(column) ? 2 : 35)) continue;
      row[column.name] = this.#datum(column);
    }
    if (this.#isWrong()) row[dice.pick(['nothere', '_uuid', '_version'])] = 1;
    return row;
  }

  where(table: TableModel): Json[] {
    const dice = this.#dice;
    if (dice.chance(25)) return [];
    return Array.from({ length: 1 + (dice.chance(25) ? 1 : 0) }, () => this.clause(table));
  }

  /** The ordered ones are wrong for most columns. */
  #anyFunction(): Json {
    return this.#dice.pick(this.#isWrong() ? functions : (['==', '!=', 'includes', 'excludes'] as const));
  }

  clause(table: TableModel): Json {
    const dice = this.#dice;
    if (dice.chance(35))
      return ['_uuid', dice.chance(85) ? '==' : this.#anyFunction(), this.#reference(table.name, false)];
    if (dice.chance(6)) return dice.chance(70);
    if (dice.chance(1)) return ['_version', dice.pick(['!=', '==']), ['uuid', dice.pick(fixedUuids)]];
    const column = dice.pick(table.columns);
    const isOrdered =
      column.value === null &&
      column.max === 1 &&
      (column.key.type === 'integer' || column.key.type === 'real');
    const fn =
      isOrdered || this.#isWrong() ? dice.pick(functions) : dice.pick(['==', '!=', 'includes', 'excludes']);
    const relaxed = fn === 'includes' || fn === 'excludes' ? { ...column, min: 0 as const } : column;
    return [column.name, fn, this.#datum(column.max === 1 && column.min === 1 ? column : relaxed)];
  }

  #isWrong(): boolean {
    return this.#dice.chance(this.#wrong);
  }

  #datum(column: ColumnModel): Json {
    const dice = this.#dice;
    if (this.#isWrong()) {
      return dice.pick<() => Json>([
        () => null,
        () => ['set', []],
        () => ['map', []],
        () => ['set', [this.#atom(column.key), this.#atom(column.key), this.#atom(column.key)]],
        () => ['set', dice.pick<Json>([1, 'x', {}])],
        () => ['map', [[this.#atom(column.key)]]],
        () => ['uuid', 'not-a-uuid'],
        () => ['named-uuid', dice.pick<Json>(['1x', 'ok', 4])],
        () => dice.pick<Json>(atomsOf.real),
        () => dice.pick<Json>(atomsOf.string),
        () => ({ a: 1 }),
        () => ['set', [], 3],
      ])();
    }
    const most = Math.min(column.max === Infinity ? 5 : column.max, 5);
    const count = Math.max(column.min, dice.below(most + 1));
    if (column.value !== null) {
      const { value } = column;
      return ['map', this.#atoms(column.key, count).map((k): Json => [k, this.#atom(value)])];
    }
    const keys = this.#atoms(column.key, count);
    const [only] = keys;
    return keys.length === 1 && only !== undefined && dice.chance(70) ? only : ['set', keys];
  }

  /** Mostly distinct atoms. */
  #atoms(base: BaseModel, count: number): Json[] {
    const atoms = Array.from({ length: count }, () => this.#atom(base));
    if (this.#isWrong()) return atoms;
    const seen = new Map(atoms.map((a) => [typeof a === 'object' ? JSON.stringify(a) : a, a]));
    return [...seen.values()];
  }

  #atom(base: BaseModel): Json {
    const dice = this.#dice;
    const { type } = base;
    if (type === 'uuid') return this.#reference(base.refTable, true);
    if (base.enum !== null && !this.#isWrong()) return dice.pick(base.enum);
    const all: readonly Json[] = this.#isWrong() ? Object.values(atomsOf).flat() : atomsOf[type];
    if (base.min === null && base.max === null) return dice.pick(all);
    const allowed = all.filter((atom) => {
      const size = typeof atom === 'string' ? Array.from(atom).length : Number(atom);
      return (base.min === null || size >= base.min) && (base.max === null || size <= base.max);
    });
    return dice.pick(allowed.length === 0 || this.#isWrong() ? all : allowed);
  }

  #reference(table: string | null, canBeNamed: boolean): Json {
    const dice = this.#dice;
    const names = this.#names.filter((n) => table === null || n.table === table);
    if (canBeNamed && names.length > 0 && dice.chance(60)) return ['named-uuid', dice.pick(names).name];
    if (canBeNamed && dice.chance(this.#wrong > 0 ? 5 : 2))
      return ['named-uuid', dice.pick(['x', 'y', 'later'])];
    const known = table === null ? [...this.rows.values()].flat() : (this.rows.get(table) ?? []);
    return ['uuid', dice.pick(known.length > 0 && dice.chance(90) ? known : fixedUuids)];
  }

  /** `operation` with something wrong in its members. */
  malformed(operation: Json): Json {
    const dice = this.#dice;
    const junk = (): Json =>
      dice.pick<Json>([
        null,
        true,
        0,
        -1,
        1.5,
        '',
        '1x',
        'Root',
        'nothere',
        [],
        {},
        [[]],
        [1, 2, 3],
        ['set', []],
      ]);
    if (!isJsonObject(operation) || Object.keys(operation).length === 0 || dice.chance(4)) return junk();
    const copy: Record<string, Json> = { ...operation };
    const member = dice.pick(Object.keys(copy));
    switch (dice.below(6)) {
      case 0:
        return Object.fromEntries(Object.entries(copy).filter(([name]) => name !== member));
      case 1:
        copy[
          dice.pick([
            'extra',
            'sort',
            'timeout',
            'rows',
            'until',
            'uuid',
            'uuid-name',
            'lock',
            'columns',
            'row',
          ])
        ] = junk();
        return copy;
      case 2:
        copy['op'] = dice.pick<Json>(['insert', 'select', 'update', 'mutate', 'delete', 'wait', 'upsert', 3]);
        return copy;
      case 3:
        copy['table'] = dice.pick<Json>(['nothere', '_x', ...this.schema.tables.map((t) => t.name)]);
        return copy;
      case 4: {
        const value = copy[member];
        if (!isJsonArray(value) || value.length === 0) break;
        const items = [...value];
        const at = dice.below(items.length);
        const item = items[at];
        items[at] = isJsonArray(item) && item.length > 0 && dice.chance(70) ? this.#bent(item, junk) : junk();
        copy[member] = items;
        return copy;
      }
      default:
    }
    copy[member] = junk();
    return copy;
  }

  #bent(items: readonly Json[], junk: () => Json): Json {
    const copy = [...items];
    const at = this.#dice.below(copy.length);
    if (this.#dice.chance(25)) copy.splice(at, 1);
    else if (this.#dice.chance(20)) copy.push(junk());
    else
      copy[at] = this.#dice.chance(40) ? this.#dice.pick<Json>(['==', '<', 'insert', '+=', 'bad']) : junk();
    return copy;
  }

  /** A `<monitor-cond-requests>`; `version` 1 has no conditions. */
  monitorRequests(version: 1 | 2 | 3): JsonObject {
    const dice = this.#dice;
    this.#names = [];
    this.#wrong = dice.chance(85) ? 0 : 15;
    const requests: Record<string, Json> = {};
    for (const table of this.schema.tables.filter(() => dice.chance(70))) {
      const list = dice.chance(70)
        ? dice.list(2, () => this.#monitorRequest(table, version))
        : this.#monitorParts(table, version);
      requests[table.name] = list.length === 1 && dice.chance(50) ? (list[0] ?? {}) : list;
    }
    if (this.#isWrong()) requests['nothere'] = {};
    return requests;
  }

  /** Several requests for a table, each of other columns. */
  #monitorParts(table: TableModel, version: 1 | 2 | 3): Json[] {
    const dice = this.#dice;
    const names = dice.shuffled([...table.columns.map((c) => c.name), '_version']);
    const parts: Json[] = [];
    while (names.length > 0) {
      const request = this.#monitorRequest(table, version);
      const columns = names.splice(0, dice.below(3));
      parts.push(isJsonObject(request) ? { ...request, columns } : request);
    }
    return parts;
  }

  #monitorRequest(table: TableModel, version: 1 | 2 | 3): Json {
    const dice = this.#dice;
    const request: Record<string, Json> = {};
    if (dice.chance(60)) request['columns'] = this.columns(table);
    if (dice.chance(40)) {
      request['select'] = Object.fromEntries(
        ['initial', 'insert', 'delete', 'modify']
          .filter(() => dice.chance(50))
          .map((k) => [k, dice.chance(50)]),
      );
    }
    if ((version > 1 || this.#isWrong()) && dice.chance(50)) request['where'] = this.monitorWhere(table);
    return this.#isWrong() ? this.malformed(request) : request;
  }

  monitorWhere(table: TableModel): Json[] {
    return this.#dice.list(3, () => this.clause(table));
  }

  /**
   * A `<monitor-cond-update-requests>`.
   *
   * @param isMonitored Which tables to name.
   * @param hasUuid Whether a clause may name `_uuid`, which no monitor has among its columns.
   */
  conditionChange(isMonitored: (table: TableModel) => boolean, hasUuid: boolean): JsonObject {
    const dice = this.#dice;
    this.#names = [];
    this.#wrong = dice.chance(85) ? 0 : 15;
    const requests: Record<string, Json> = {};
    // The stock server dies of a request without `where`.
    for (const table of this.schema.tables) {
      if (!isMonitored(table) || !dice.chance(60)) continue;
      const where = this.monitorWhere(table).filter(
        (clause) => hasUuid || !isJsonArray(clause) || clause[0] !== '_uuid',
      );
      const request: JsonObject = { where };
      const wrong = this.malformed({ ...request, columns: [] });
      const isWrong = this.#isWrong() && isJsonObject(wrong) && wrong['where'] !== undefined;
      const list = isWrong ? [wrong] : dice.chance(10) ? [] : [request];
      requests[table.name] = dice.chance(95) ? list : (list[0] ?? 3);
    }
    return requests;
  }
}

/** A `wait` that lost its time-out could wait for ever. */
function ending(operation: Json): Json {
  if (!isJsonObject(operation) || operation['op'] !== 'wait') return operation;
  return { timeout: 0, ...operation };
}

function needsValue(column: ColumnModel): boolean {
  if (column.min === 0) return false;
  return [column.key, column.value].some((base) => {
    if (base === null) return false;
    if (base.enum !== null) return true;
    if (base.refTable !== null) return true;
    return (base.min !== null && base.min > 0) || (base.max !== null && base.max < 0);
  });
}
