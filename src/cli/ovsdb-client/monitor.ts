/**
 * monitor, monitor-cond and monitor-cond-since: prints the contents of tables, then each change.
 *
 * The three differ in the request they send and in the form of what comes back: `update` has whole rows,
 * old and new; `update2` and `update3` say insert, delete or modify, with differences.
 */
import { isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json, UnixctlCommands } from '../../stream/index.ts';
import { isUuid } from '../../ovsdb/data/atom.ts';
import { conditionFromJson } from '../../ovsdb/data/condition.ts';
import { datumFromJson } from '../../ovsdb/data/datum.ts';
import { isBuiltinColumn } from '../../ovsdb/schema.ts';
import type { ColumnSchema, TableSchema } from '../../ovsdb/schema.ts';
import { SystemClock } from '../../util/clock.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import type { Cell } from '../table.ts';
import { parseJsonArgument } from '../json-argument.ts';
import { fetchSchema } from './command.ts';
import type { Command, Run } from './command.ts';
import { inBackground } from './background.ts';

type Version = 1 | 2 | 3;
const methods: Readonly<Record<Version, string>> = {
  1: 'monitor',
  2: 'monitor_cond',
  3: 'monitor_cond_since',
};
const zeroId = '00000000-0000-0000-0000-000000000000';

interface MonitoredTable {
  readonly table: TableSchema;
  readonly columns: readonly ColumnSchema[];
  readonly requests: Json;
}

function monitor(version: Version): Command {
  return {
    needs: 'database',
    minArgs: version === 1 ? 1 : 2,
    maxArgs: Infinity,
    run: async (run) => await new Monitor(run, version).run(),
  };
}

class Monitor {
  readonly #run: Run;
  readonly #version: Version;
  #tables: readonly MonitoredTable[] = [];
  #hasCaptions = false;
  #blocked: (() => void)[] | undefined;

  constructor(run: Run, version: Version) {
    this.#run = run;
    this.#version = version;
  }

  async run(): Promise<void> {
    const { connection, database, settings } = this.#run;
    const args = [...this.#run.args];
    const first = args[0] ?? '';
    const lastId = this.#version === 3 && isUuid(first) && args.length > 2 ? args.shift() : undefined;
    const conditionText = this.#version === 1 ? undefined : (args.shift() ?? '');
    const [tableName = '', ...groups] = args;
    const schema = await fetchSchema(this.#run);
    this.#hasCaptions = tableName === 'ALL';
    const wanted = this.#hasCaptions
      ? [...schema.tables.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      : [schema.tables.get(tableName)].filter((table) => table !== undefined);
    const where = `${connection.remote}: `;
    if (wanted.length === 0)
      throw new UsageError(
        `${this.#version === 1 ? where : ''}${database} does not have a table named "${tableName}"`,
      );
    const condition = conditionText === undefined ? undefined : parseConditions(conditionText);
    if (condition !== undefined) for (const table of wanted) conditionFromJson(table, condition);
    this.#tables = wanted.map((table) => monitoredTable(table, groups, condition, database, where));
    if (settings.isDbChangeAware) await connection.call('set_db_change_aware', [true]);
    connection.onNotification = (method, params) => this.#later(() => this.#notified(method, params));
    const requests = Object.fromEntries(this.#tables.map(({ table, requests }) => [table.name, requests]));
    const since = this.#version === 3 ? [lastId ?? zeroId] : [];
    const reply = await connection.call(methods[this.#version], [database, null, requests, ...since]);
    this.#printReply(reply);
    await inBackground(this.#run, (commands) => this.#register(commands));
  }

  #printReply(reply: Json): void {
    if (this.#version !== 3) {
      this.#print(reply, true);
      return;
    }
    const [isFound, id, updates] = isJsonArray(reply) ? reply : [];
    if (typeof isFound !== 'boolean' || typeof id !== 'string') throw new OvsError('EPROTO', 'bad reply');
    this.#print(updates, false, `found: ${isFound ? 'true' : 'false'}, last_id: ${id}\n`);
  }

  #notified(method: string, params: readonly Json[]): void {
    if (method === 'update' && this.#version === 1) this.#print(params[1], false);
    else if (method === 'update2' && this.#version === 2) this.#print(params[1], false);
    else if (method === 'update3' && this.#version === 3) {
      this.#print(params[2], false, `last_id: ${typeof params[1] === 'string' ? params[1] : ''}\n`);
    }
  }

  /** Runs at once, or when `ovsdb-client/unblock` is asked for. */
  #later(action: () => void): void {
    if (this.#blocked === undefined) action();
    else this.#blocked.push(action);
  }

  /** @param idLine Stands above the first table, below the empty line that sets it apart. */
  #print(updates: Json | undefined, isInitial: boolean, idLine = ''): void {
    let before = idLine;
    for (const text of this.#texts(updates, isInitial)) {
      this.#run.output.out(text.startsWith('\n') ? `\n${before}${text.slice(1)}` : before + text);
      before = '';
    }
    if (before !== '') this.#run.output.out(before);
  }

  /** The tables that an update touches. */
  *#texts(updates: Json | undefined, isInitial: boolean): Generator<string> {
    if (!isJsonObject(updates)) return;
    const { style, settings } = this.#run;
    for (const { table, columns } of this.#tables) {
      const rows = updates[table.name];
      if (!isJsonObject(rows)) continue;
      const cells = hmapOrder(Object.keys(rows), hashString).flatMap((uuid) =>
        this.#version === 1
          ? rowsOfUpdate(uuid, rows[uuid], columns, isInitial)
          : rowsOfUpdate2(uuid, rows[uuid], columns),
      );
      yield style.print({
        ...(this.#hasCaptions ? { caption: table.name } : {}),
        ...(settings.hasTimestamps ? { timestampMs: new SystemClock().wallMs() } : {}),
        headings: ['row', 'action', ...columns.map((c) => c.name)],
        rows: cells,
      });
    }
  }

  #register(commands: UnixctlCommands): void {
    commands.registerCommand('ovsdb-client/block', '', 0, 0, () => {
      if (this.#blocked !== undefined) return 'already blocking';
      this.#blocked = [];
      return '';
    });
    commands.registerCommand('ovsdb-client/unblock', '', 0, 0, () => {
      if (this.#blocked === undefined) return 'already unblocked';
      const waiting = this.#blocked;
      this.#blocked = undefined;
      for (const action of waiting) action();
      return '';
    });
    commands.registerCommand('ovsdb-client/cond_change', 'TABLE COND', 2, 2, ([name = '', text = '']) => {
      const change = { [name]: [{ where: parseConditions(text) }] };
      void this.#run.connection.call('monitor_cond_change', [null, null, change]).catch(() => undefined);
      return '';
    });
  }
}

function parseConditions(text: string): Json {
  const json = parseJsonArgument(text);
  if (!isJsonArray(json)) throw new UsageError('condition is not an array');
  return json;
}

/** Groups are `COLUMN,...` with `!initial`, `!insert`, `!delete`, `!modify` among them. */
function monitoredTable(
  table: TableSchema,
  groups: readonly string[],
  condition: Json | undefined,
  database: string,
  where: string,
): MonitoredTable {
  const columns: ColumnSchema[] = [];
  const requests = (groups.length === 0 ? [''] : groups).map((group) => {
    const select: Record<string, Json> = {};
    let own: ColumnSchema[] = [];
    for (const word of group.split(',').filter((w) => w !== '')) {
      if (/^!(initial|insert|delete|modify)$/.test(word)) {
        select[word.slice(1)] = false;
        continue;
      }
      const column = table.columns.get(word);
      if (column === undefined)
        throw new UsageError(
          `${where}table "${table.name}" in ${database} does not have a column named "${word}"`,
        );
      if (own.includes(column)) throw new UsageError(`${where}column "${word}" mentioned multiple times`);
      own.push(column);
    }
    if (own.length === 0) own = allColumns(table);
    const [twice] = own.filter((column) => columns.includes(column));
    if (twice !== undefined) throw new UsageError(`${where}column "${twice.name}" mentioned multiple times`);
    columns.push(...own);
    return {
      columns: own.map((c) => c.name),
      ...(condition === undefined ? {} : { where: condition }),
      ...(Object.keys(select).length === 0 ? {} : { select }),
    };
  });
  return { table, columns, requests };
}

/** In the order of their names, but `_version` last. */
function allColumns(table: TableSchema): ColumnSchema[] {
  const own = [...table.columns.values()].filter((c) => !isBuiltinColumn(c.name));
  own.sort((a, b) => (a.name < b.name ? -1 : 1));
  const version = table.columns.get('_version');
  return version === undefined ? own : [...own, version];
}

function cells(
  uuid: string,
  action: string,
  columns: readonly ColumnSchema[],
  row: Json | undefined,
): Cell[] {
  const values = columns.map((column): Cell => {
    const value = isJsonObject(row) ? row[column.name] : undefined;
    if (value === undefined) return '';
    return {
      type: column.type,
      datum: datumFromJson(column.type, value, { isUnchecked: true, isUnbounded: true }),
    };
  });
  return [uuid, action, ...values];
}

function rowsOfUpdate(
  uuid: string,
  update: Json | undefined,
  columns: readonly ColumnSchema[],
  isInitial: boolean,
): Cell[][] {
  if (!isJsonObject(update)) return [];
  const { old, new: fresh } = update;
  if (old === undefined) return [cells(uuid, isInitial ? 'initial' : 'insert', columns, fresh)];
  if (fresh === undefined) return [cells(uuid, 'delete', columns, old)];
  return [cells(uuid, 'old', columns, old), cells('', 'new', columns, fresh)];
}

function rowsOfUpdate2(uuid: string, update: Json | undefined, columns: readonly ColumnSchema[]): Cell[][] {
  if (!isJsonObject(update)) return [];
  const entries = Object.entries(update);
  return entries.map(([action, row]) => cells(uuid, action, columns, row));
}

export const monitorCommands: Readonly<Record<string, Command>> = {
  monitor: monitor(1),
  'monitor-cond': monitor(2),
  'monitor-cond-since': monitor(3),
};
