/**
 * A database file: its lock, its log, and the way between log records and rows.
 *
 * A transaction record maps table -> uuid -> columns, null for a deleted row, with `_date`, `_comment`
 * and `_is_diff`: if that is true, changed columns of rows that existed before stand as differences
 * (`datumDiff`), as stock servers since 2.16 write them; both forms are read.
 */
import { closeSync, openSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { tryLockFile } from '../../sys/file-lock.ts';
import { errorText } from '../../sys/errno.ts';
import { vlog } from '../../util/log.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import { isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { isUuid } from '../data/atom.ts';
import { applyDiff, datumDiff, datumEquals, datumFromJson, datumToJson } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';
import { Database } from './database.ts';
import type { Changes, Row, RowChange, Table } from './database.ts';
import { Transaction } from './transaction.ts';
import { LogFile } from './log-file.ts';

const lockLog = vlog('lockfile');
const $random = new SystemRandom();

/** Holds `.NAME.~lock~` beside a database file, the lock of every OVSDB program. */
class DatabaseLock {
  readonly #fd: number;
  /** @throws OvsdbError if another process holds it */
  constructor(path: string) {
    let real = path;
    try {
      real = realpathSync(path);
    } catch {
      // The database is about to be created.
    }
    const name = join(dirname(real), `.${basename(real)}.~lock~`);
    try {
      this.#fd = openSync(name, 'a+', 0o600);
    } catch (error) {
      lockLog.warn(`${name}: failed to open lock file: ${errorText(error)}`);
      throw new OvsdbError(`I/O error: ${path}: failed to lock lockfile (${errorText(error)})`);
    }
    const holder = tryLockFile(this.#fd);
    if (holder !== 0) {
      closeSync(this.#fd);
      lockLog.warn(`${name}: cannot lock file because it is already locked by pid ${holder}`);
      throw new OvsdbError(`I/O error: ${path}: failed to lock lockfile (Resource temporarily unavailable)`);
    }
  }
  release(): void {
    closeSync(this.#fd);
  }
}

/**
 * Reads a database file into memory.
 *
 * @param isReadOnly Does not lock the file nor repair it.
 * @throws OvsdbError
 */
export function openDatabase(path: string, isReadOnly = false): OpenDatabase {
  return new OpenDatabase(path, isReadOnly);
}

/** Reads only the schema of a database file. @throws OvsdbError */
export function readSchema(path: string): DatabaseSchema {
  const log = new LogFile(path, 'read');
  try {
    const json = log.read();
    if (json === undefined) throw new OvsdbError(`${path}: database file contains no schema`);
    return schemaFromJson(json);
  } finally {
    log.close();
  }
}

/** Creates a database file. @throws OvsdbError if it exists */
export function createDatabase(path: string, schema: DatabaseSchema): void {
  const lock = new DatabaseLock(path);
  try {
    const log = new LogFile(path, 'create');
    log.append(schemaToJson(schema));
    log.syncNow();
    log.close();
  } finally {
    lock.release();
  }
}

/** An open database file. */
export class OpenDatabase {
  readonly path: string;
  readonly log: LogFile;
  #database: Database;
  readonly #lock: DatabaseLock | undefined;
  #compactedBytes: number;

  constructor(path: string, isReadOnly: boolean) {
    this.path = path;
    this.#lock = isReadOnly ? undefined : new DatabaseLock(path);
    this.log = new LogFile(path, isReadOnly ? 'read' : 'write');
    const schemaJson = this.log.read();
    if (schemaJson === undefined) throw new OvsdbError(`${path}: database file contains no schema`);
    this.#database = new Database(schemaFromJson(schemaJson));
    for (let record = this.log.read(); record !== undefined; record = this.log.read()) {
      this.#database.apply(changesFromRecord(this.#database, record));
    }
    if (!isReadOnly) this.log.truncateRest();
    this.#compactedBytes = this.log.sizeBytes;
  }

  get database(): Database {
    return this.#database;
  }

  /** Writes a commit to the log. @returns false if there is nothing to write. @throws OvsdbError */
  append(changes: Changes, comment: string, wallMs: number): boolean {
    const record = recordFromChanges(changes, comment, wallMs);
    if (record === null) return false;
    this.log.append(record);
    return true;
  }

  async sync(): Promise<void> {
    await this.log.sync();
  }

  /** Whether the log is so much longer than the data that it should be compacted. */
  get shouldCompact(): boolean {
    const { sizeBytes, recordCount } = this.log;
    return recordCount >= 100 && sizeBytes >= 10 * 1024 * 1024 && sizeBytes >= 4 * this.#compactedBytes;
  }

  compact(comment: string, wallMs: number): void {
    this.log.replace(snapshotRecords(this.database, comment, wallMs));
    this.#compactedBytes = this.log.sizeBytes;
  }

  /** Writes the compacted contents to a new file at `path`. @throws OvsdbError if it exists */
  writeCompacted(path: string, comment: string, wallMs: number): void {
    writeNewFile(path, snapshotRecords(this.database, comment, wallMs));
  }

  /**
   * Writes the contents under another schema, in place or to a new file at `path`. Tables and columns that it
   * lacks are dropped, new columns get their defaults. The database in memory stays as it is: close it afterwards.
   *
   * @throws OvsdbError if the contents violate the new schema
   */
  convert(schema: DatabaseSchema, path: string | undefined, comment: string, wallMs: number): void {
    const records = snapshotRecords(convertedDatabase(this.database, schema), comment, wallMs);
    if (path === undefined) this.log.replace(records);
    else writeNewFile(path, records);
  }

  /**
   * Gives the contents another schema, in the file and in memory.
   *
   * @returns the database that takes the place of `database`
   * @throws OvsdbError and then nothing has changed
   */
  convertOnline(schema: DatabaseSchema, comment: string, wallMs: number): Database {
    const converted = convertedDatabase(this.#database, schema);
    this.log.replace(snapshotRecords(converted, comment, wallMs));
    this.#compactedBytes = this.log.sizeBytes;
    this.#database = converted;
    return converted;
  }

  close(): void {
    this.log.close();
    this.#lock?.release();
  }
}

function writeNewFile(path: string, records: readonly Json[]): void {
  const file = new LogFile(path, 'create');
  try {
    for (const record of records) file.append(record);
    file.syncNow();
  } finally {
    file.close();
  }
}

function convertedDatabase(database: Database, schema: DatabaseSchema): Database {
  const converted = new Database(schema);
  const transaction = new Transaction(converted, $random);
  for (const [name, old] of database.tables) {
    const table = converted.tables.get(name);
    if (table === undefined) continue;
    for (const row of old.rows.values()) {
      const columns = new Map<string, Datum>();
      for (const [columnName, datum] of row.columns) {
        const [from, to] = [old.schema.columns.get(columnName), table.schema.columns.get(columnName)];
        if (from === undefined || to === undefined) continue;
        columns.set(columnName, datumFromJson(to.type, datumToJson(from.type, datum)));
      }
      transaction.insert(table, row.uuid, columns);
    }
  }
  transaction.check();
  converted.apply(transaction.changes());
  return converted;
}

/** The least log that holds what `database` holds: its schema and one transaction. */
function snapshotRecords(database: Database, comment: string, wallMs: number): Json[] {
  const changes: RowChange[] = [];
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) changes.push({ table, uuid: row.uuid, old: undefined, new: row });
  }
  const record = recordFromChanges(changes, comment, wallMs) ?? {
    _comment: comment,
    _date: Math.trunc(wallMs),
    _is_diff: true,
  };
  return [schemaToJson(database.schema), record];
}

function recordFromChanges(changes: Changes, comment: string, wallMs: number): Json | null {
  const tables: Record<string, Record<string, Json>> = {};
  for (const change of changes) {
    const json = change.new === undefined ? null : columnsToJson(change.table, change.old, change.new);
    if (json !== null && change.old !== undefined && Object.keys(json).length === 0) continue;
    (tables[change.table.schema.name] ??= {})[change.uuid] = json;
  }
  if (Object.keys(tables).length === 0) return null;
  const record: Record<string, Json> = tables;
  if (comment !== '') record['_comment'] = comment;
  record['_date'] = Math.trunc(wallMs);
  record['_is_diff'] = true;
  return record;
}

function columnsToJson(table: Table, old: Row | undefined, row: Row): JsonObject {
  const json: Record<string, Json> = {};
  for (const column of table.persistentColumns) {
    const after = row.columns.get(column.name);
    const before = old === undefined ? table.defaults.get(column.name) : old.columns.get(column.name);
    if (after === undefined || before === undefined || datumEquals(before, after)) continue;
    json[column.name] = datumToJson(
      column.type,
      old === undefined ? after : datumDiff(column.type, before, after),
    );
  }
  return json;
}

/** What a log record changes. @throws OvsdbError */
function changesFromRecord(database: Database, record: Json): RowChange[] {
  if (!isJsonObject(record)) throw new OvsdbError('syntax error', 'object expected', record);
  const isDiff = record['_is_diff'] === true;
  const changes: RowChange[] = [];
  for (const [tableName, rows] of Object.entries(record)) {
    if (tableName.startsWith('_')) continue;
    const table = database.tables.get(tableName);
    if (table === undefined) throw new OvsdbError('unknown table', `No table named ${tableName}.`);
    if (!isJsonObject(rows)) throw new OvsdbError('syntax error', 'object expected', rows);
    for (const [uuid, json] of Object.entries(rows)) {
      if (!isUuid(uuid)) throw new OvsdbError('syntax error', `"${uuid}" is not a valid UUID`);
      const old = table.rows.get(uuid);
      if (json === null) {
        if (old === undefined)
          throw new OvsdbError('syntax error', `record deletes row ${uuid} that does not exist`);
        changes.push({ table, uuid, old, new: undefined });
      } else changes.push({ table, uuid, old, new: rowFromRecord(table, uuid, old, json, isDiff) });
    }
  }
  return changes;
}

function rowFromRecord(table: Table, uuid: string, old: Row | undefined, json: Json, isDiff: boolean): Row {
  if (!isJsonObject(json)) throw new OvsdbError('syntax error', 'object expected', json);
  const columns = new Map<string, Datum>(old?.columns ?? table.defaults);
  for (const [name, value] of Object.entries(json)) {
    const column = table.schema.columns.get(name);
    if (column === undefined)
      throw new OvsdbError('unknown column', `No column ${name} in table ${table.schema.name}.`);
    const isChange = isDiff && old !== undefined;
    const datum = datumFromJson(column.type, value, { isUnbounded: isChange, isUnchecked: isChange });
    const before = columns.get(name);
    columns.set(name, isChange && before !== undefined ? applyDiff(column.type, before, datum) : datum);
  }
  return { uuid, version: randomUuid($random), columns };
}
