/**
 * The log of a standalone database (ovsdb(5)): records of a header line `OVSDB JSON <length> <sha1>`,
 * that many bytes of JSON, newline included. The first record is the schema, each other a
 * transaction.
 *
 * A record that is cut short or damaged ends the log: what follows the last good record is dropped
 * with a warning before the next write. `append` hands a record to the kernel, `sync` makes all
 * appended ones durable; calls of `sync` at the same time share one fdatasync.
 */
import { hash } from 'node:crypto';
import {
  closeSync,
  fdatasync,
  fsyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { vlog } from '../../util/log.ts';
import { errorText } from '../../sys/errno.ts';
import { formatJson, parseJson } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';

const log = vlog('ovsdb_log');
const headerPattern = /^OVSDB (JSON|CLUSTER) (\d{1,16}) ([0-9a-f]{40})$/;
/** Longest record accepted: a JavaScript string holds no more. */
const maxRecordBytes = 0x1fffffe8;

export type LogMode = 'read' | 'write' | 'create';

function ioError(path: string, what: string, error: unknown): OvsdbError {
  return new OvsdbError(`I/O error: ${path}: ${what} (${errorText(error)})`);
}

/** A record as it stands in the file. */
function encodeRecord(json: Json): Uint8Array {
  const body = `${formatJson(json)}\n`;
  return Buffer.from(`OVSDB JSON ${Buffer.byteLength(body)} ${hash('sha1', body)}\n${body}`, 'utf8');
}

export class LogFile {
  readonly path: string;
  /** Where the file really is, also after a change of directory: `replace` must not replace a link to it. */
  readonly #realPath: string;
  #fd: number;
  /** Where the next record is read, and after reading to the end, written. */
  #offset = 0;
  #size: number;
  #isBroken = false;
  #pendingSync: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  #records = 0;

  /** @throws OvsdbError `I/O error: ...` */
  constructor(path: string, mode: LogMode) {
    this.path = path;
    try {
      this.#fd = openSync(path, mode === 'read' ? 'r' : mode === 'write' ? 'r+' : 'wx+', 0o640);
      this.#size = fstatSync(this.#fd).size;
      this.#realPath = realpathSync(path);
    } catch (error) {
      throw ioError(path, mode === 'create' ? 'create failed' : 'open failed', error);
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
   * @returns undefined at the end of the good part; a damaged rest is reported once to the log.
   */
  read(): Json | undefined {
    if (this.#isBroken || this.#offset >= this.#size) return undefined;
    try {
      return this.#readRecord();
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#isBroken = true;
      log.warn(error.message);
      return undefined;
    }
  }

  #bytes(offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const n = readSync(this.#fd, buffer, done, length - done, offset + done);
      if (n === 0) break;
      done += n;
    }
    return buffer.subarray(0, done);
  }

  #readRecord(): Json {
    const fail = (what: string): OvsdbError => new OvsdbError('syntax error', `${this.path}: ${what}`);
    const head = this.#bytes(this.#offset, Math.min(128, this.#size - this.#offset));
    const newline = head.indexOf(0x0a);
    const match = newline < 0 ? null : headerPattern.exec(head.toString('latin1', 0, newline));
    if (match === null)
      throw fail(
        `parse error at offset ${this.#offset} in header line "${head.toString('latin1', 0, newline < 0 ? head.length : newline)}"`,
      );
    const length = Number(match[2]);
    const start = this.#offset + newline + 1;
    if (match[1] === 'CLUSTER') throw new OvsdbError(`${this.path}: clustered databases are not supported`);
    if (length > maxRecordBytes || start + length > this.#size) {
      throw fail(`error reading ${length} bytes starting at offset ${start} (unexpected end of file)`);
    }
    const body = this.#bytes(start, length);
    const digest = hash('sha1', body);
    if (digest !== match[3]) {
      throw fail(
        `${length} bytes starting at offset ${start} have SHA-1 hash ${digest} but should have hash ${match[3] ?? ''}`,
      );
    }
    let json: Json;
    try {
      json = parseJson(body.toString('utf8'));
    } catch (error) {
      throw fail(
        `${length} bytes starting at offset ${start} are not valid JSON (${error instanceof Error ? error.message : ''})`,
      );
    }
    this.#offset = start + length;
    this.#records++;
    return json;
  }

  /** Cuts off what lies behind the last good record. Call once after reading everything. */
  truncateRest(): void {
    if (this.#offset >= this.#size) return;
    log.warn(`${this.path}: truncating ${this.#size - this.#offset} bytes after the last good record`);
    try {
      ftruncateSync(this.#fd, this.#offset);
      this.#size = this.#offset;
    } catch (error) {
      throw ioError(this.path, 'cannot truncate', error);
    }
  }

  /** Writes a record behind the last one. On error the file is as before. @throws OvsdbError */
  append(json: Json): void {
    const bytes = encodeRecord(json);
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#offset + done);
      }
    } catch (error) {
      try {
        ftruncateSync(this.#fd, this.#offset);
      } catch {
        // The next open drops the torn record.
      }
      throw ioError(this.path, 'write failed', error);
    }
    this.#offset += bytes.length;
    this.#size = this.#offset;
    this.#records++;
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
    try {
      await new Promise<void>((resolve, reject) => {
        fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
      });
    } catch (error) {
      throw ioError(this.path, 'fsync failed', error);
    } finally {
      if (this.#nextSync === undefined) this.#pendingSync = undefined;
    }
  }

  /**
   * Replaces the whole contents by `records`: a new file is written, synced and renamed over.
   *
   * @throws OvsdbError; the old file then stays in use.
   */
  replace(records: readonly Json[]): void {
    const temporary = `${this.#realPath}.tmp`;
    removeQuietly(temporary);
    const next = new LogFile(temporary, 'create');
    try {
      for (const record of records) next.append(record);
      fsyncSync(next.#fd);
      renameSync(temporary, this.#realPath);
    } catch (error) {
      next.close();
      removeQuietly(temporary);
      throw error instanceof OvsdbError ? error : ioError(this.path, 'replace failed', error);
    }
    syncDirectory(dirname(this.#realPath));
    const old = this.#fd;
    this.#fd = next.#fd;
    this.#offset = next.#offset;
    this.#size = next.#size;
    this.#records = next.#records;
    const pending = this.#nextSync ?? this.#pendingSync;
    if (pending === undefined) closeSync(old);
    else void pending.catch(() => undefined).then(() => closeSync(old));
  }

  syncNow(): void {
    fsyncSync(this.#fd);
    syncDirectory(dirname(this.#realPath));
  }

  close(): void {
    closeSync(this.#fd);
  }
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
