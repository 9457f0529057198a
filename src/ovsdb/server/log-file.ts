/**
 * The log of a standalone database: records (`log-record.ts`), the first of which is the schema, each
 * other one a transaction.
 *
 * A record that is cut short or damaged ends the log if nothing good follows: it was being written when
 * the machine stopped, and is dropped with a warning before the next write. If good records follow, the
 * file was damaged otherwise: it is not opened for writing, since that would drop them. `append` hands a
 * record to the kernel, `sync` makes all appended ones durable; calls of `sync` at the same time share one
 * fdatasync. The log can be replaced while it is in use (`LogRewrite`).
 */
import {
  closeSync,
  fdatasync,
  fsyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  realpathSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { rateLimit, vlog } from '../../util/log.ts';
import { errorText } from '../../sys/errno.ts';
import type { Json } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';
import { damageError, encodeRecord, findRecordBehind, readRecord, writeAllSync } from './log-record.ts';
import { ioError } from './io-error.ts';
import { LogRewrite } from './log-rewrite.ts';

const log = vlog('ovsdb_log');
const warnings = rateLimit(5, 20);

export type LogMode = 'read' | 'write' | 'create';

/** Where the stock server logs damage. */
const serverLog = vlog('ovsdb_server');

export class LogFile {
  readonly path: string;
  /** Where the file really is, also after a change of directory: `replace` must not replace a link to it. */
  readonly #realPath: string;
  readonly #isReadOnly: boolean;
  #fd: number;
  /** Where the next record is read, and after reading to the end, written. */
  #offset = 0;
  #size: number;
  #isBroken = false;
  /** What a failed write left behind `#offset` is still there. */
  #isTorn = false;
  #pendingSync: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  /** Until it resolves the directory may still name a file that was replaced. */
  #directorySync: Promise<void> | undefined;
  #rewrite: LogRewrite | undefined;
  #records = 0;

  /** @throws OvsdbError `I/O error: ...` */
  constructor(path: string, mode: LogMode) {
    this.path = path;
    this.#isReadOnly = mode === 'read';
    try {
      this.#fd = openSync(path, mode === 'read' ? 'r' : mode === 'write' ? 'r+' : 'wx+', 0o640);
      this.#size = fstatSync(this.#fd).size;
      this.#realPath = realpathSync(path);
    } catch (error) {
      throw ioError(`${path}: ${mode === 'create' ? 'create failed' : 'open failed'}`, error);
    }
  }

  get sizeBytes(): number {
    return this.#offset;
  }
  get recordCount(): number {
    return this.#records;
  }

  /**
   * Reads the next record.
   *
   * @param isStrict Throws if there is damage.
   * @returns undefined at the end of the good part; a damaged rest is reported once to the log.
   * @throws OvsdbError if the log is open for writing and good records follow a damaged one
   */
  read(isStrict = false): Json | undefined {
    if (this.#isBroken || this.#offset >= this.#size) return undefined;
    const record = readRecord(this.#fd, this.#offset, this.#size);
    if ('json' in record && record.magic === 'JSON') {
      this.#offset = record.endOffset;
      this.#records++;
      return record.json;
    }
    if ('json' in record) throw new OvsdbError(`${this.path}: clustered databases are not supported`);
    this.#isBroken = true;
    const error = damageError(this.path, record);
    if (isStrict) throw error;
    if (!this.#isReadOnly) this.#refuseDamagedMiddle(error.message);
    serverLog.err(error.message);
    return undefined;
  }

  #refuseDamagedMiddle(message: string): void {
    const next = findRecordBehind(this.#fd, this.#offset, this.#size);
    if (next < 0) return;
    throw new OvsdbError(
      `${message}; the record at offset ${this.#offset} is damaged, but good ones follow from offset ${next}. ` +
        `Restore the file from a backup, or give up what follows the damage with "truncate -s ${this.#offset} ${this.path}" on a copy`,
    );
  }

  /** Cuts off what lies behind the last good record. Call once after reading everything. */
  truncateRest(): void {
    if (this.#offset >= this.#size) return;
    log.warn(`${this.path}: truncating ${this.#size - this.#offset} bytes after the last good record`);
    try {
      ftruncateSync(this.#fd, this.#offset);
      this.#size = this.#offset;
    } catch (error) {
      throw ioError(`${this.path}: cannot truncate`, error);
    }
  }

  /** Writes a record behind the last one. On error the file is as before. @throws OvsdbError */
  append(json: Json): void {
    this.appendBytes(encodeRecord(json));
  }

  /** As `append` for an encoded record. @throws OvsdbError */
  appendBytes(bytes: Uint8Array): void {
    try {
      if (this.#isTorn) this.#cutTorn();
      this.#isTorn = true;
      writeAllSync(this.#fd, bytes, this.#offset);
      this.#isTorn = false;
    } catch (error) {
      try {
        this.#cutTorn();
      } catch {
        // Before the next record, or by whoever opens the file next.
      }
      log.warn(`${this.#realPath}: write failed (${errorText(error)})`, warnings);
      throw ioError(`${this.path}: write failed`, error);
    }
    this.#offset += bytes.length;
    this.#size = this.#offset;
    this.#records++;
    try {
      this.#rewrite?.follow(bytes);
    } catch (error) {
      this.#abandonRewrite(error);
    }
  }

  #cutTorn(): void {
    ftruncateSync(this.#fd, this.#offset);
    this.#isTorn = false;
  }

  /** Resolves when everything appended so far is on the disk. @throws OvsdbError */
  async sync(): Promise<void> {
    if (this.#pendingSync === undefined) {
      this.#pendingSync = this.#fdatasync();
      await this.#pendingSync;
      return;
    }
    // The running sync may have begun before our record: wait for the one after it.
    this.#nextSync ??= this.#pendingSync.then(
      async () => await this.#startNext(),
      async () => await this.#startNext(),
    );
    await this.#nextSync;
  }

  async #startNext(): Promise<void> {
    this.#nextSync = undefined;
    this.#pendingSync = this.#fdatasync();
    await this.#pendingSync;
  }

  async #fdatasync(): Promise<void> {
    const rewrite = this.#rewrite?.isCurrent === true ? this.#rewrite : undefined;
    try {
      await syncData(this.#fd);
      if (this.#directorySync !== undefined) await this.#directorySync;
      if (rewrite !== undefined) await this.#syncRewrite(rewrite);
    } catch (error) {
      throw ioError(`${this.path}: fsync failed`, error);
    } finally {
      if (this.#nextSync === undefined) this.#pendingSync = undefined;
    }
  }

  async #syncRewrite(rewrite: LogRewrite): Promise<void> {
    try {
      await syncData(rewrite.fd);
    } catch (error) {
      if (rewrite === this.#rewrite) this.#abandonRewrite(error);
    }
  }

  /**
   * Replaces the whole contents by encoded records: a new file is written, synced and renamed over.
   *
   * @throws OvsdbError; the old file then stays in use.
   */
  replace(records: Iterable<Uint8Array>): void {
    if (this.#rewrite !== undefined) this.#abandonRewrite(null);
    const temporary = `${this.#realPath}.tmp`;
    removeQuietly(temporary);
    const next = new LogFile(temporary, 'create');
    try {
      for (const record of records) next.appendBytes(record);
      fsyncSync(next.#fd);
      renameSync(temporary, this.#realPath);
    } catch (error) {
      next.close();
      removeQuietly(temporary);
      throw error instanceof OvsdbError ? error : ioError(`${this.path}: replace failed`, error);
    }
    syncDirectory(dirname(this.#realPath));
    this.#use(next.#fd, next.#offset, next.#records);
  }

  /**
   * As `replace`, while the log stays in use: records appended meanwhile are in the new file, too.
   *
   * @param pieces Text of the one record behind the schema, of the moment of the call.
   * @returns false if something else replaced the log first.
   * @throws OvsdbError; the old file then stays in use.
   */
  async replaceOnline(schema: Json, pieces: Iterable<string>): Promise<boolean> {
    if (this.#rewrite !== undefined) this.#abandonRewrite(null);
    const temporary = `${this.#realPath}.tmp`;
    removeQuietly(temporary);
    let rewrite: LogRewrite;
    try {
      this.#rewrite = rewrite = new LogRewrite(temporary);
    } catch (error) {
      throw ioError(`${this.path}: replace failed`, error);
    }
    try {
      await rewrite.writeSnapshot(encodeRecord(schema), pieces).catch((error: unknown) => {
        log.warn(`${temporary}: write failed (${errorText(error)})`, warnings);
        throw ioError(`${temporary}: write failed`, error);
      });
      if (!rewrite.wasAbandoned()) await syncData(rewrite.fd);
      if (rewrite.wasAbandoned()) return false;
      renameSync(temporary, this.#realPath);
    } catch (error) {
      if (!rewrite.wasAbandoned()) this.#abandonRewrite(null);
      throw error instanceof OvsdbError ? error : ioError(`${this.path}: replace failed`, error);
    } finally {
      if (rewrite.wasAbandoned()) this.#closeLater(rewrite.fd);
    }
    this.#rewrite = undefined;
    this.#directorySync = syncDirectoryLater(dirname(this.#realPath)).finally(() => {
      this.#directorySync = undefined;
    });
    this.#use(rewrite.fd, rewrite.sizeBytes, rewrite.recordCount);
    return true;
  }

  /** Goes on without the replacement; its writer closes the file. */
  #abandonRewrite(error: unknown): void {
    const rewrite = this.#rewrite;
    if (rewrite === undefined) return;
    this.#rewrite = undefined;
    rewrite.abandon();
    removeQuietly(rewrite.path);
    if (error !== null) log.warn(`${this.path}: not replaced: ${errorText(error)}`);
  }

  #use(fd: number, offset: number, records: number): void {
    this.#closeLater(this.#fd);
    this.#fd = fd;
    this.#offset = offset;
    this.#size = offset;
    this.#records = records;
    this.#isTorn = false;
  }

  /** Closes a file that a running sync may still use. */
  #closeLater(fd: number): void {
    const pending = this.#nextSync ?? this.#pendingSync;
    if (pending === undefined) closeSync(fd);
    else void pending.catch(() => undefined).then(() => closeSync(fd));
  }

  syncNow(): void {
    fsyncSync(this.#fd);
    syncDirectory(dirname(this.#realPath));
  }

  close(): void {
    this.#abandonRewrite(null);
    closeSync(this.#fd);
  }
}

async function syncData(fd: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was not there.
  }
}

function syncDirectory(path: string): void {
  try {
    const fd = openSync(path === '' ? '.' : path, 'r');
    fsyncSync(fd);
    closeSync(fd);
  } catch {
    // Some file systems cannot sync a directory; the rename is then as durable as they make it.
  }
}

async function syncDirectoryLater(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    await directory.sync().finally(async () => await directory.close());
  } catch {
    // As in syncDirectory.
  }
}
