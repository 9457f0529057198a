/** ovsdb-client: talks to a database server (ovsdb-client(1)). */
import {
  JsonRpcConnection,
  OVSDB_PORT,
  connectStream,
  formatJson,
  formatJsonPretty,
  isJsonArray,
  isJsonObject,
  parseJson,
  parseTarget,
  strerror,
} from '../stream/index.ts';
import type { Json, JsonRpcMessage } from '../stream/index.ts';
import { vlogUsage } from '../sys/daemon.ts';
import { ovsRundir } from '../sys/dirs.ts';
import { installExitHooks } from '../sys/exit-hooks.ts';
import { getopt } from '../sys/getopt.ts';
import type { OptionSpec } from '../sys/getopt.ts';
import { initVlog, vlogSet, vlogSetVerbosity } from '../sys/vlog-sink.ts';
import { columnTypeToJson } from '../ovsdb/data/type.ts';
import { compareDatums, datumFromJson } from '../ovsdb/data/datum.ts';
import { schemaFromJson, schemaToJson } from '../ovsdb/schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../ovsdb/schema.ts';
import { OvsError, SystemError, UsageError } from '../util/errors.ts';
import { versionText } from '../util/version.ts';
import { TableStyle, tableOptions } from './table.ts';
import type { Cell } from './table.ts';

const program = 'ovsdb-client';

const specs: readonly OptionSpec[] = [
  { name: 'timeout', short: 't', arg: 'required' },
  { name: 'timestamp' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'help', short: 'h' },
  { name: 'version', short: 'V' },
  ...tableOptions,
];

function usage(): string {
  return `${program}: Open vSwitch database JSON-RPC client
usage: ${program} [OPTIONS] COMMAND [ARG...]

Valid commands are:

  list-dbs [SERVER]
    list databases available on SERVER
  get-schema [SERVER] [DATABASE]
    retrieve schema for DATABASE from SERVER
  get-schema-version [SERVER] [DATABASE]
  get-schema-cksum [SERVER] [DATABASE]
  list-tables [SERVER] [DATABASE]
  list-columns [SERVER] [DATABASE] [TABLE]
  transact [SERVER] TRANSACTION
    run TRANSACTION (params for "transact" request) on SERVER
  query [SERVER] TRANSACTION
    run TRANSACTION on SERVER without committing changes
  monitor [SERVER] [DATABASE] TABLE [COLUMN,...]...
    monitor contents of COLUMNs in TABLE in DATABASE on SERVER
  monitor [SERVER] [DATABASE] ALL
    monitor all tables in DATABASE on SERVER
  dump [SERVER] [DATABASE] [TABLE [COLUMN]...]
    dump contents of COLUMNs (or all columns) of TABLE (or all tables)

The default SERVER is unix:${ovsRundir()}/db.sock.
The default DATABASE is Open_vSwitch.
${vlogUsage(program)}
Other options:
  -t, --timeout=SECS          wait at most SECS seconds for a reply
  -h, --help                  display this help message
  -V, --version               display version information
`;
}

/** One connection that answers requests in turn and hands over notifications. */
class Client {
  readonly #connection: JsonRpcConnection;
  readonly #server: string;
  readonly #replies = new Map<number, { resolve: (json: Json) => void; reject: (error: OvsError) => void }>();
  onNotification: (method: string, params: readonly Json[]) => void = () => undefined;
  onLost: (error: OvsError) => void = () => undefined;

  constructor(connection: JsonRpcConnection, server: string) {
    this.#connection = connection;
    this.#server = server;
    connection.start({
      onMessage: (message) => this.#onMessage(message),
      onClose: (error) => {
        const lost = new OvsError(
          'EIO',
          `${server}: receive failed (${error === null ? 'End of file' : strerror(error.code)})`,
        );
        for (const { reject } of this.#replies.values()) reject(lost);
        this.onLost(lost);
      },
    });
  }

  #onMessage(message: JsonRpcMessage): void {
    if (message.kind === 'request') {
      if (message.method === 'echo') this.#connection.reply(message.id, message.params);
    } else if (message.kind === 'notification') this.onNotification(message.method, message.params);
    else {
      const id = typeof message.id === 'number' ? message.id : -1;
      const waiting = this.#replies.get(id);
      this.#replies.delete(id);
      if (message.kind === 'reply') waiting?.resolve(message.result);
      else waiting?.reject(new OvsError('EPROTO', formatJson(message.error, true)));
    }
  }

  async call(method: string, params: readonly Json[], what = method): Promise<Json> {
    return await new Promise<Json>((resolve, reject) => {
      const id = this.#connection.request(method, params);
      this.#replies.set(id, {
        resolve,
        reject: (error) =>
          reject(
            error.code === 'EPROTO'
              ? new OvsError('EPROTO', `${what} returned error: ${error.message}`)
              : error,
          ),
      });
    });
  }

  get server(): string {
    return this.#server;
  }
  close(): void {
    this.#connection.close();
  }
}

interface Run {
  readonly client: Client;
  readonly args: readonly string[];
  readonly style: TableStyle;
}

type Command = (run: Run) => Promise<string | undefined>;

async function schemaOf(client: Client, database: string): Promise<DatabaseSchema> {
  return schemaFromJson(await client.call('get_schema', [database], 'get-schema'));
}

/** Takes a database name off the arguments if the server has one of that name. */
async function takeDatabase({ client, args }: Run): Promise<{ database: string; rest: readonly string[] }> {
  const known = await client.call('list_dbs', [], 'list-dbs');
  const [first] = args;
  if (first !== undefined && isJsonArray(known) && known.includes(first))
    return { database: first, rest: args.slice(1) };
  return { database: 'Open_vSwitch', rest: args };
}

function json(value: Json, style: TableStyle): string {
  return `${style.isPretty ? formatJsonPretty(value) : formatJson(value, true)}\n`;
}

async function databaseOnly(run: Run, command: string): Promise<string> {
  const { database, rest } = await takeDatabase(run);
  if (rest.length > 0) throw new UsageError(`invalid syntax for '${command}' (use --help for help)`);
  return database;
}

function tableNamed(schema: DatabaseSchema, name: string): TableSchema {
  const table = schema.tables.get(name);
  if (table === undefined) throw new UsageError(`No table "${name}" found.`);
  return table;
}

function ownColumns(table: TableSchema, isUuidShown: boolean): ColumnSchema[] {
  const columns = [...table.columns.values()].filter(
    (c) => c.name !== '_version' && (isUuidShown || c.name !== '_uuid'),
  );
  return columns.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const commands: Readonly<Record<string, Command>> = {
  'list-dbs': async ({ client }) => {
    const names = await client.call('list_dbs', [], 'list-dbs');
    return isJsonArray(names)
      ? names
          .map(String)
          .sort()
          .map((name) => `${name}\n`)
          .join('')
      : '';
  },
  'get-schema': async (run) => {
    const schema = await schemaOf(run.client, await databaseOnly(run, 'get-schema'));
    return json(schemaToJson(schema), run.style);
  },
  'get-schema-version': async (run) =>
    `${(await schemaOf(run.client, await databaseOnly(run, 'get-schema-version'))).version}\n`,
  'get-schema-cksum': async (run) =>
    `${(await schemaOf(run.client, await databaseOnly(run, 'get-schema-cksum'))).cksum}\n`,
  'list-tables': async (run) => {
    const schema = await schemaOf(run.client, await databaseOnly(run, 'list-tables'));
    return run.style.print({ headings: ['Table'], rows: [...schema.tables.keys()].map((name) => [name]) });
  },
  'list-columns': async (run) => {
    const { database, rest } = await takeDatabase(run);
    const schema = await schemaOf(run.client, database);
    const [name] = rest;
    const tables = name === undefined ? [...schema.tables.values()] : [tableNamed(schema, name)];
    const rows = tables.flatMap((table) =>
      [...table.columns.values()].map((c) => [
        ...(name === undefined ? [table.name] : []),
        c.name,
        formatJson(columnTypeToJson(c.type), true),
      ]),
    );
    return run.style.print({ headings: [...(name === undefined ? ['Table'] : []), 'Column', 'Type'], rows });
  },
  transact: async (run) => await transact(run, false),
  query: async (run) => await transact(run, true),
  dump,
  monitor,
};

async function transact({ client, args, style }: Run, isQuery: boolean): Promise<string> {
  const request = parseJson(args.at(-1) ?? '');
  if (!isJsonArray(request) || typeof request[0] !== 'string')
    throw new UsageError('not a valid OVSDB query');
  if (!isQuery) return json(await client.call('transact', request, 'transaction'), style);
  // An abort at the end keeps the results of what came before and changes nothing.
  const results = await client.call('transact', [...request, { op: 'abort' }], 'transaction');
  if (!isJsonArray(results)) return json(results, style);
  const last = results.at(-1);
  const isAborted = isJsonObject(last) && last['error'] === 'aborted' && results.length === request.length;
  return json(isAborted ? results.slice(0, -1) : results, style);
}

async function dump(run: Run): Promise<string> {
  const { client, style } = run;
  const { database, rest } = await takeDatabase(run);
  const schema = await schemaOf(client, database);
  const [tableName, ...columnNames] = rest;
  const tables =
    tableName === undefined
      ? [...schema.tables.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      : [tableNamed(schema, tableName)];
  const columnsOf = (table: TableSchema): ColumnSchema[] => {
    if (columnNames.length === 0) return ownColumns(table, true);
    const wanted = columnNames.map((name) => {
      const column = table.columns.get(name);
      if (column === undefined) throw new UsageError(`Table "${table.name}" has no column ${name}.`);
      return column;
    });
    return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
  };
  const operations = tables.map((table) => ({
    op: 'select',
    table: table.name,
    where: [],
    columns: columnsOf(table).map((c) => c.name),
  }));
  const results = await client.call('transact', [database, ...operations], 'transaction');
  let out = '';
  tables.forEach((table, i) => {
    const result = isJsonArray(results) ? results[i] : undefined;
    const rowsJson = isJsonObject(result) ? result['rows'] : undefined;
    const columns = columnsOf(table);
    const rows = (isJsonArray(rowsJson) ? rowsJson : []).map((row) =>
      columns.map((c) => ({
        type: c.type,
        datum: datumFromJson(c.type, isJsonObject(row) ? (row[c.name] ?? null) : null, { isUnchecked: true }),
      })),
    );
    rows.sort((a, b) => {
      for (let x = 0; x < columns.length; x++) {
        const [left, right] = [a[x], b[x]];
        const order = left === undefined || right === undefined ? 0 : compareDatums(left.datum, right.datum);
        if (order !== 0) return order;
      }
      return 0;
    });
    out += style.print({ caption: `${table.name} table`, headings: columns.map((c) => c.name), rows });
  });
  return out;
}

async function monitor(run: Run): Promise<undefined> {
  const { client, style } = run;
  const { database, rest } = await takeDatabase(run);
  const schema = await schemaOf(client, database);
  const [tableName = 'ALL', ...groups] = rest;
  const isAll = tableName === 'ALL' && !schema.tables.has('ALL');
  const tables = isAll ? [...schema.tables.values()] : [tableNamed(schema, tableName)];
  const wanted = new Map<string, ColumnSchema[]>();
  const requests: Record<string, Json> = {};
  for (const table of tables) {
    const selected = monitorRequests(table, groups);
    wanted.set(table.name, selected.columns);
    requests[table.name] = selected.requests;
  }
  const show = (updates: Json | undefined, isInitial: boolean): void => {
    if (!isJsonObject(updates)) return;
    for (const table of tables) {
      const rows = updates[table.name];
      if (!isJsonObject(rows)) continue;
      const columns = wanted.get(table.name) ?? [];
      const text = style.print({
        ...(isAll ? { caption: table.name } : {}),
        headings: ['row', 'action', ...columns.map((c) => c.name)],
        rows: Object.entries(rows).flatMap(([uuid, update]) => updateRows(uuid, update, columns, isInitial)),
      });
      process.stdout.write(text);
    }
  };
  client.onNotification = (method, params) => {
    if (method === 'update') show(params[1], false);
  };
  const lost = new Promise<never>((_, reject) => {
    client.onLost = reject;
  });
  show(await client.call('monitor', [database, null, requests]), true);
  return await lost;
}

/** `COLUMN,...` with `!initial`, `!insert`, `!delete`, `!modify` among them. */
function monitorRequests(
  table: TableSchema,
  groups: readonly string[],
): { columns: ColumnSchema[]; requests: Json } {
  if (groups.length === 0) {
    const columns = [
      ...ownColumns(table, false),
      ...[...table.columns.values()].filter((c) => c.name === '_version'),
    ];
    return { columns, requests: [{ columns: columns.map((c) => c.name) }] };
  }
  const columns: ColumnSchema[] = [];
  const requests = groups.map((group) => {
    const words = group.split(',').filter((word) => word !== '');
    const select: Record<string, Json> = {};
    const names: string[] = [];
    for (const word of words) {
      if (word.startsWith('!')) select[word.slice(1)] = false;
      else {
        const column = table.columns.get(word);
        if (column === undefined)
          throw new UsageError(
            `table "${table.name}" in Open_vSwitch does not have a column named "${word}"`,
          );
        columns.push(column);
        names.push(word);
      }
    }
    return { columns: names, ...(Object.keys(select).length === 0 ? {} : { select }) };
  });
  return { columns, requests };
}

function updateRows(
  uuid: string,
  update: Json,
  columns: readonly ColumnSchema[],
  isInitial: boolean,
): Cell[][] {
  if (!isJsonObject(update)) return [];
  const { old, new: fresh } = update;
  const cells = (action: string, id: string, row: Json | undefined): Cell[] => [
    id,
    action,
    ...columns.map((c): Cell => {
      const value = isJsonObject(row) ? row[c.name] : undefined;
      return value === undefined
        ? ''
        : { type: c.type, datum: datumFromJson(c.type, value, { isUnchecked: true }) };
    }),
  ];
  if (old === undefined) return [cells(isInitial ? 'initial' : 'insert', uuid, fresh)];
  if (fresh === undefined) return [cells('delete', uuid, old)];
  return [cells('old', uuid, old), cells('new', '', fresh)];
}

export async function main(argv: readonly string[]): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  let client: Client | undefined;
  try {
    const { options, rest } = getopt(argv, specs, false);
    const style = new TableStyle('table');
    for (const { name, value } of options) {
      if (style.takeOption(name, value)) continue;
      if (name === 'verbose') vlogSetVerbosity(value);
      else if (name === 'timeout') startTimeout(value ?? '');
      else if (name === 'help' || name === 'version') {
        process.stdout.write(name === 'help' ? usage() : `${versionText(program)}\n`);
        return 0;
      }
    }
    const [name, ...args] = rest;
    if (name === undefined) throw new UsageError('missing command name; use --help for help');
    const command = commands[name];
    if (command === undefined) throw new UsageError(`unknown command '${name}'; use --help for help`);
    const hasServer = /^(unix|tcp|ssl|punix|ptcp|pssl):/.test(args[0] ?? '');
    const server = hasServer ? (args[0] ?? '') : `unix:${ovsRundir()}/db.sock`;
    client = await connect(server);
    process.stdout.write((await command({ client, args: hasServer ? args.slice(1) : args, style })) ?? '');
    return 0;
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return 1;
  } finally {
    client?.close();
  }
}

async function connect(server: string): Promise<Client> {
  try {
    const stream = await connectStream(parseTarget(server, OVSDB_PORT, ovsRundir()));
    return new Client(new JsonRpcConnection(stream), server);
  } catch (error) {
    const reason = error instanceof SystemError ? strerror(error.code) : String(error);
    throw new OvsError('EIO', `failed to connect to "${server}" (${reason})`);
  }
}

function startTimeout(text: string): void {
  installExitHooks();
  setTimeout(() => process.kill(process.pid, 'SIGALRM'), Number(text) * 1000).unref();
}
