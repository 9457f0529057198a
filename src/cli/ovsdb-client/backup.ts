/** backup and restore: a database as a standalone database file on standard output and input. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isJsonArray, isJsonObject, jsonEquals } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { atomToJson } from '../../ovsdb/data/atom.ts';
import { datumToJson, isDefaultDatum } from '../../ovsdb/data/datum.ts';
import { isBuiltinColumn, schemaToJson } from '../../ovsdb/schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../../ovsdb/schema.ts';
import { errorFromJson, isErrorResult } from '../../ovsdb/client/error-reply.ts';
import { rowDatum } from '../../ovsdb/server/database.ts';
import { encodeRecord } from '../../ovsdb/server/log-record.ts';
import { openDatabase } from '../../ovsdb/server/storage.ts';
import type { OpenDatabase } from '../../ovsdb/server/storage.ts';
import { SystemClock } from '../../util/clock.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { requireStandalone } from '../ovsdb-tool/cluster-commands.ts';
import { fetchSchema } from './command.ts';
import type { Command } from './command.ts';

const log = vlog('ovsdb_client');

function persistentColumns(table: TableSchema): ColumnSchema[] {
  return [...table.columns.values()].filter((c) => c.isPersistent && !isBuiltinColumn(c.name));
}

const backup: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: 0,
  run: async (run) => {
    if (process.stdout.isTTY)
      throw new UsageError('not writing backup to a terminal; please redirect stdout to a file');
    const schema = await fetchSchema(run);
    const tables = [...schema.tables.values()];
    const operations = tables.map((table) => ({
      op: 'select',
      table: table.name,
      where: [],
      columns: ['_uuid', ...persistentColumns(table).map((c) => c.name)],
    }));
    const results = await run.connection.call('transact', [run.database, ...operations]);
    const record: Record<string, Json> = {};
    tables.forEach((table, i) => {
      const result = isJsonArray(results) ? results[i] : undefined;
      const rows = isJsonObject(result) ? result['rows'] : undefined;
      if (!isJsonArray(rows) || rows.length === 0) return;
      record[table.name] = Object.fromEntries(rows.map((row) => backedUpRow(table, row)));
    });
    record['_is_diff'] = true;
    record['_comment'] = 'produced by "ovsdb-client backup"';
    record['_date'] = Math.trunc(new SystemClock().wallMs());
    run.output.out(new TextDecoder().decode(encodeRecord(schemaToJson(schema))));
    run.output.out(new TextDecoder().decode(encodeRecord(record)));
  },
};

/** A row of a reply as the log has it: uuid and columns. */
function backedUpRow(table: TableSchema, row: Json): [string, Json] {
  const id = isJsonObject(row) ? row['_uuid'] : undefined;
  const uuid = isJsonArray(id) ? id[1] : undefined;
  if (!isJsonObject(row) || typeof uuid !== 'string') throw new OvsError('EPROTO', 'bad reply to select');
  const columns = persistentColumns(table).map((column) => [column.name, row[column.name] ?? null] as const);
  return [uuid, Object.fromEntries(columns)];
}

const restore: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: 0,
  run: async (run) => {
    if (process.stdin.isTTY)
      throw new UsageError('not reading backup from a terminal; please redirect stdin from a file');
    const snapshot = await readSnapshot();
    const schema = await fetchSchema(run);
    const { name } = snapshot.database;
    const what = difference(snapshot.database.schema, schema);
    if (what !== null && !run.settings.isForced) {
      const hint = 'use --force to override differences, or "ovsdb-client convert" to change the schema';
      throw new UsageError(`${what} (${hint})`);
    }
    if (what !== null) log.info(what);
    const results = await run.connection.call('transact', [name, ...replacement(snapshot)]);
    for (const result of isJsonArray(results) ? results : []) {
      if (isErrorResult(result))
        throw new OvsError('EPROTO', `restore failed: ${errorFromJson(result).message}`);
    }
  },
};

/** The database file on standard input, which may be a pipe. @throws OvsError */
async function readSnapshot(): Promise<OpenDatabase> {
  const dir = mkdtempSync(join(tmpdir(), 'ovsdb-client-'));
  const path = join(dir, 'snapshot');
  try {
    const parts: Uint8Array[] = [];
    for await (const part of process.stdin) parts.push(part as Uint8Array);
    writeFileSync(path, Buffer.concat(parts));
    requireStandalone(path);
    return openDatabase(path, { isReadOnly: true, isStrict: true });
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    throw new OvsError(error.code, error.message.replaceAll(path, '/dev/stdin'));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What two schemas differ in, or null. */
function difference(own: DatabaseSchema, schema: DatabaseSchema): string | null {
  if (own.version !== schema.version)
    return `backup schema has version "${own.version}" but database schema has version "${schema.version}"`;
  if (jsonEquals(schemaToJson(own), schemaToJson(schema))) return null;
  return `backup schema and database schema are both version ${own.version} but still differ`;
}

/** Operations that put the snapshot's rows, under new uuids, in the place of all rows. */
function replacement(snapshot: OpenDatabase): Json[] {
  const operations: Json[] = [...snapshot.database.tables.keys()].map((table) => ({
    op: 'delete',
    table,
    where: [],
  }));
  const isInSnapshot = (uuid: string): boolean =>
    [...snapshot.database.tables.values()].some((table) => table.rows.has(uuid));
  const toJson: typeof atomToJson = (type, atom) =>
    type === 'uuid' && isInSnapshot(String(atom))
      ? ['named-uuid', rowName(String(atom))]
      : atomToJson(type, atom);
  for (const table of snapshot.database.tables.values()) {
    for (const row of table.rows.values()) {
      const columns: Record<string, Json> = {};
      for (const column of persistentColumns(table.schema)) {
        const datum = rowDatum(row, column.name);
        if (isDefaultDatum(column.type, datum)) continue;
        columns[column.name] = datumToJson(column.type, datum, toJson);
      }
      operations.push({
        op: 'insert',
        table: table.schema.name,
        'uuid-name': rowName(row.uuid),
        row: columns,
      });
    }
  }
  operations.push({ op: 'comment', comment: 'ovsdb-client restore' });
  return operations;
}

function rowName(uuid: string): string {
  return `row${uuid.replaceAll('-', '_')}`;
}

export const backupCommands: Readonly<Record<string, Command>> = { backup, restore };
