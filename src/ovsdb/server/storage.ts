/**
 * A database file: its lock, its log, and the database in memory that the log makes.
 */
import { closeSync, openSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { tryLockFile } from '../../sys/file-lock.ts';
import { errorText } from '../../sys/errno.ts';
import type { Json } from '../../stream/index.ts';
import { vlog } from '../../util/log.ts';
import { OvsdbError } from '../errors.ts';
import { schemaFromJson, schemaToJson } from '../schema.ts';
import type { DatabaseSchema } from '../schema.ts';
import { convertedDatabase } from './convert.ts';
import { Database } from './database.ts';
import type { Changes } from './database.ts';
import { ioError } from './io-error.ts';
import { LogFile } from './log-file.ts';
import { encodePieces, encodeRecord } from './log-record.ts';
import { recordFromChanges, replayRecord, snapshotPieces } from './record.ts';
import { Transaction } from './transaction.ts';

const lockLog = vlog('lockfile');
const storageLog = vlog('ovsdb_file');
const dayMs = 24 * 60 * 60_000;

/** What a name stands for: links lead on, directories keep the names given. */
function followLinks(path: string): string {
  let name = path;
  for (let count = 0; count < 10; count++) {
    try {
      const target = readlinkSync(name);
      name = isAbsolute(target) ? target : join(dirname(name), target);
    } catch {
      // No link, or the database is about to be created.
      break;
    }
  }
  return name;
}

/** Holds `.NAME.~lock~` beside a database file, the lock of every OVSDB program. */
class DatabaseLock {
  readonly #fd: number;
  /** @throws OvsdbError if another process holds it */
  constructor(path: string) {
    const real = followLinks(path);
    const name = join(dirname(real), `.${basename(real)}.~lock~`);
    try {
      this.#fd = openSync(name, 'a+', 0o600);
    } catch (error) {
      lockLog.warn(`${name}: failed to open lock file: ${errorText(error)}`);
      lockLog.warn(`${name}: failed to lock file: ${errorText(error)}`);
      throw ioError(`${path}: failed to lock lockfile`, error);
    }
    const holder = tryLockFile(this.#fd);
    if (holder !== 0) {
      closeSync(this.#fd);
      lockLog.warn(`${name}: cannot lock file because it is already locked by pid ${holder}`);
      throw new OvsdbError(
        'I/O error',
        `${path}: failed to lock lockfile`,
        undefined,
        'Resource temporarily unavailable',
      );
    }
  }
  release(): void {
    closeSync(this.#fd);
  }
}

export interface OpenOptions {
  /** Does not lock the file nor repair it. */
  readonly isReadOnly?: boolean;
  /** Refuses a file with any damage, as tools do. */
  readonly isStrict?: boolean;
}

/** Reads a database file into memory. @throws OvsdbError */
export function openDatabase(path: string, options: OpenOptions = {}): OpenDatabase {
  return new OpenDatabase(path, options);
}

/** Reads only the schema of a database file. @throws OvsdbError */
export function readSchema(path: string): DatabaseSchema {
  const log = new LogFile(path, 'read');
  try {
    const json = log.read(true);
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
  /** Whether changed columns may stand as differences in the log (`--disable-file-column-diff`). */
  hasColumnDiff = true;
  #database: Database;
  readonly #lock: DatabaseLock | undefined;
  #compactedBytes: number;
  #compactedRecords: number;
  #compactedMs: number | undefined;

  constructor(path: string, options: OpenOptions) {
    this.path = path;
    const { isReadOnly = false } = options;
    this.#lock = isReadOnly ? undefined : new DatabaseLock(path);
    try {
      this.log = new LogFile(path, isReadOnly ? 'read' : 'write');
    } catch (error) {
      this.#lock?.release();
      throw error;
    }
    try {
      this.#database = this.#read(options);
      if (!isReadOnly) this.log.truncateRest();
    } catch (error) {
      this.close();
      throw error;
    }
    this.#compactedBytes = this.log.sizeBytes;
    this.#compactedRecords = this.log.recordCount;
  }

  #read({ isStrict = false }: OpenOptions): Database {
    const schemaJson = this.log.read(isStrict);
    if (schemaJson === undefined) throw new OvsdbError(`${this.path}: database file contains no schema`);
    const database = new Database(schemaFromJson(schemaJson));
    for (;;) {
      const { sizeBytes: offset } = this.log;
      const record = this.log.read(isStrict);
      if (record === undefined) return database;
      try {
        this.#replay(database, record, offset);
      } catch (error) {
        if (isStrict || !(error instanceof OvsdbError)) throw error;
        throw refusal(error, this.path, offset);
      }
    }
  }

  /** @throws OvsdbError if the record makes no sense */
  #replay(database: Database, record: Json, offset: number): void {
    const transaction = new Transaction(database);
    replayRecord(transaction, record);
    try {
      transaction.check();
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      // The stock server passes over it and says nothing; what follows builds on that.
      const what = `${this.path}: the transaction at offset ${offset} is left out`;
      storageLog.warn(`${what}: ${error.message}`);
      return;
    }
    database.load(transaction.changes());
  }

  /** Another one after `convertRunning`. */
  get database(): Database {
    return this.#database;
  }

  /** Writes a commit to the log. @returns false if there is nothing to write. @throws OvsdbError */
  append(changes: Changes, comment: string, wallMs: number): boolean {
    const record = recordFromChanges(changes, comment, wallMs, this.hasColumnDiff);
    if (record === null) return false;
    this.log.append(record);
    return true;
  }

  async sync(): Promise<void> {
    await this.log.sync();
  }

  /**
   * Whether the log should be compacted (ovsdb-server(1)): it has grown to twice of what it was when it was compacted, or a
   * day has gone by. Not before 100 commits, and the caller sees to the ten minutes in between.
   */
  shouldCompact(nowMs: number): boolean {
    this.#compactedMs ??= nowMs;
    const { sizeBytes, recordCount } = this.log;
    if (recordCount - this.#compactedRecords < 100) return false;
    return (
      (sizeBytes >= 10 * 1024 * 1024 && sizeBytes >= 2 * this.#compactedBytes) ||
      nowMs - this.#compactedMs >= dayMs
    );
  }

  #wasCompacted(nowMs?: number): void {
    this.#compactedBytes = this.log.sizeBytes;
    this.#compactedRecords = this.log.recordCount;
    this.#compactedMs = nowMs;
  }

  /** Rewrites the log at once. @throws OvsdbError */
  compact(comment: string, wallMs: number): void {
    this.log.replace(snapshotRecords(this.#database, comment, wallMs));
    this.#wasCompacted();
  }

  /**
   * Rewrites the log in slices while the database is in use.
   *
   * @returns false if a conversion or another compaction came in between.
   * @throws OvsdbError; the log then goes on as it was.
   */
  async compactOnline(comment: string, wallMs: number): Promise<boolean> {
    const database = this.#database;
    const isDone = await this.log.replaceOnline(
      schemaToJson(database.schema),
      snapshotPieces(database, comment, wallMs),
    );
    if (isDone) this.#wasCompacted();
    return isDone;
  }

  /** Writes the compacted contents to `path`, in the place of what is there. @throws OvsdbError */
  writeCompacted(path: string, comment: string, wallMs: number): void {
    writeFile(path, snapshotRecords(this.#database, comment, wallMs));
  }

  /**
   * Writes the contents under another schema, in place or to `path`. Tables and columns that it
   * lacks are dropped, columns with defaults get those of the new one. The database in memory stays as it is: close it afterwards.
   *
   * @throws OvsdbError if the contents violate the new schema
   */
  convert(schema: DatabaseSchema, path: string | undefined, comment: string, wallMs: number): void {
    const records = snapshotRecords(convertedDatabase(this.#database, schema, true), comment, wallMs);
    if (path === undefined) this.log.replace(records);
    else writeFile(path, records);
  }

  /**
   * Converts a database that is in use: the log is replaced, and `database` is another one from then on. Who
   * follows the old one has to be told by the caller.
   *
   * @throws OvsdbError if the contents violate the new schema, or the log cannot be written; nothing has changed then
   */
  convertRunning(schema: DatabaseSchema, comment: string, wallMs: number): Database {
    const converted = convertedDatabase(this.#database, schema);
    this.log.replace(snapshotRecords(converted, comment, wallMs));
    this.#wasCompacted();
    this.#database = converted;
    return converted;
  }

  close(): void {
    this.log.close();
    this.#lock?.release();
  }
}

/** Why a server does not begin with a file that holds a whole transaction that it cannot make: to go on would drop it. */
function refusal(error: OvsdbError, path: string, offset: number): OvsdbError {
  return new OvsdbError(
    `${error.message}; this is the transaction at offset ${offset}, which is undamaged. Restore the file from a backup, ` +
      `or give up this transaction and those behind it with "truncate -s ${offset} ${path}" on a copy`,
  );
}

function writeFile(path: string, records: readonly Uint8Array[]): void {
  const lock = new DatabaseLock(path);
  try {
    rmSync(`${path}.tmp`, { force: true });
    const file = new LogFile(`${path}.tmp`, 'create');
    try {
      for (const record of records) file.appendBytes(record);
      file.syncNow();
      renameSync(`${path}.tmp`, path);
    } catch (error) {
      throw error instanceof OvsdbError
        ? error
        : ioError(`failed to rename "${path}.tmp" to "${path}"`, error);
    } finally {
      file.close();
    }
  } finally {
    lock.release();
  }
}

/** The least log that holds what `database` holds: its schema and one transaction. */
function snapshotRecords(database: Database, comment: string, wallMs: number): Uint8Array[] {
  return [
    encodeRecord(schemaToJson(database.schema)),
    encodePieces(snapshotPieces(database, comment, wallMs)),
  ];
}
