/**
 * The replacement of a log, written beside it while the log stays in use (online compaction).
 *
 * Life cycle: `writeSnapshot` writes what the database held when it was called, in slices between which
 * the server runs; records that the log gets meanwhile are kept (`follow`) and written behind it. Once it
 * has all of them it is `isCurrent`: from then on each record goes to both files, and a commit is durable
 * when it is so in both, until the replacement is on the disk and takes the log's place.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, write } from 'node:fs';
import type { Clock } from '../../util/clock.ts';
import { SystemClock } from '../../util/clock.ts';
import { recordHeader, writeAllSync } from './log-record.ts';

/** Longest turn of making text, so that clients do not notice. */
const sliceMs = 4;
/** Text that is made into bytes at once: some half a millisecond's. */
const chunkChars = 64 * 1024;
/** What is left to catch up with in one turn. */
const smallBytes = 256 * 1024;

/** Lets whatever waits run. */
async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

export class LogRewrite {
  readonly path: string;
  readonly fd: number;
  sizeBytes = 0;
  recordCount = 0;
  isCurrent = false;
  #isAbandoned = false;
  readonly #clock: Clock;
  #missed: Uint8Array[] = [];

  /** Creates the file. @throws the error of open(2) */
  constructor(path: string, clock: Clock = new SystemClock()) {
    this.path = path;
    this.#clock = clock;
    this.fd = openSync(path, 'wx+', 0o640);
  }

  /** The log does without it: the writer stops at its next turn. */
  abandon(): void {
    this.#isAbandoned = true;
  }
  wasAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** A record that the log got. @throws the error of write(2) if it is current */
  follow(bytes: Uint8Array): void {
    if (!this.isCurrent) {
      this.#missed.push(bytes);
      return;
    }
    writeAllSync(this.fd, bytes, this.sizeBytes);
    this.#wrote(bytes);
  }

  #wrote(bytes: Uint8Array): void {
    this.sizeBytes += bytes.length;
    this.recordCount++;
  }

  /**
   * Writes `schema`, one record whose text comes in pieces, and what the log got meanwhile. The pieces have to be of the
   * moment of the call, whenever they are asked for.
   */
  async writeSnapshot(schema: Uint8Array, pieces: Iterable<string>): Promise<void> {
    const body = await this.#encode(pieces);
    if (this.wasAbandoned()) return;
    await this.#write(schema);
    await this.#write(body.header);
    this.recordCount++;
    for (const chunk of body.chunks) await this.#write(chunk);
    this.recordCount++;
    while (this.#missedBytes() > smallBytes) {
      const missed = this.#missed;
      this.#missed = [];
      await this.#write(Buffer.concat(missed));
      this.recordCount += missed.length;
    }
    if (this.wasAbandoned()) return;
    this.isCurrent = true;
    for (const bytes of this.#missed) this.follow(bytes);
    this.#missed = [];
  }

  #missedBytes(): number {
    return this.#missed.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** The record as bytes; its header has length and hash of what follows, so all of it is made first. */
  async #encode(pieces: Iterable<string>): Promise<{ header: Uint8Array; chunks: Uint8Array[] }> {
    const hash = createHash('sha1');
    const chunks: Uint8Array[] = [];
    let length = 0;
    const add = (text: string): void => {
      const chunk = Buffer.from(text, 'utf8');
      hash.update(chunk);
      chunks.push(chunk);
      length += chunk.length;
    };
    let turnEndsMs = this.#clock.nowMs() + sliceMs;
    let text = '';
    for (const piece of pieces) {
      text += piece;
      if (text.length < chunkChars) continue;
      add(text);
      text = '';
      if (this.#clock.nowMs() < turnEndsMs) continue;
      await nextTurn();
      if (this.wasAbandoned()) break;
      turnEndsMs = this.#clock.nowMs() + sliceMs;
    }
    add(text);
    return { header: recordHeader(length, hash.digest('hex')), chunks };
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length && !this.wasAbandoned();) {
      done += await new Promise<number>((resolve, reject) => {
        write(this.fd, bytes, done, bytes.length - done, this.sizeBytes + done, (error, n) =>
          error === null ? resolve(n) : reject(error),
        );
      });
    }
    this.sizeBytes += bytes.length;
  }

  close(): void {
    closeSync(this.fd);
  }
}
