/**
 * One record of a log (ovsdb(5)): a line `OVSDB JSON <length> <sha1>`, then that many bytes of JSON,
 * newline included.
 */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../stream/index.ts';
import { jsonErrorText } from '../../stream/json-error.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { errorText } from '../../sys/errno.ts';
import { OvsdbError } from '../errors.ts';

/** The length as strtoull(3) reads it. */
const headerPattern = /^OVSDB ([^ ]+) \s*\+?0*(\d+) ([0-9a-fA-F]{40})$/;
const maxLength = 2n ** 64n - 1n;
/** Longest record accepted: a JavaScript string holds no more. */
const maxRecordBytes = 0x1fffffe8;
const searchBytes = 1 << 20;
const magic = Buffer.from('OVSDB ');

export function recordHeader(length: number, sha1: string): Uint8Array {
  return Buffer.from(`OVSDB JSON ${length} ${sha1}\n`, 'latin1');
}

/** A record as it stands in the file. */
export function encodeRecord(json: Json): Uint8Array {
  const body = `${formatJson(json)}\n`;
  return Buffer.from(`OVSDB JSON ${Buffer.byteLength(body)} ${hash('sha1', body)}\n${body}`, 'utf8');
}

/** A record whose JSON text comes in pieces, the newline at its end included. */
export function encodePieces(pieces: Iterable<string>): Uint8Array {
  const body = Buffer.concat(Array.from(pieces, (piece) => Buffer.from(piece, 'utf8')));
  return Buffer.concat([recordHeader(body.length, hash('sha1', body)), body]);
}

/** @throws the error of write(2), with any part written */
export function writeAllSync(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

function readBytes(fd: number, offset: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const n = readSync(fd, buffer, done, length - done, offset + done);
    if (n === 0) break;
    done += n;
  }
  return buffer.subarray(0, done);
}

/** Why a record cannot be read. */
export interface Damage {
  /** Present if its header can. */
  readonly magic?: string;
  readonly why: string;
  /** What the system says, or would have said. */
  readonly ioError?: string;
}

export function damageError(path: string, { why, ioError }: Damage): OvsdbError {
  const code = ioError === undefined ? 'syntax error' : 'I/O error';
  return new OvsdbError(code, `${path}: ${why}`, undefined, ioError);
}

export interface ReadRecord {
  readonly magic: 'JSON' | 'CLUSTER';
  readonly json: JsonObject;
  readonly endOffset: number;
}

/** Reads the record at `offset` of a file of `size` bytes. */
export function readRecord(fd: number, offset: number, size: number): ReadRecord | Damage {
  try {
    return readRecordAt(fd, offset, size);
  } catch (error) {
    return { why: 'read error', ioError: errorText(error) };
  }
}

/** @throws the error of read(2) */
function readRecordAt(fd: number, offset: number, size: number): ReadRecord | Damage {
  const head = readBytes(fd, offset, Math.min(128, size - offset));
  const newline = head.indexOf(0x0a);
  const line = head.toString('latin1', 0, newline < 0 ? head.length : newline);
  const match = newline < 0 ? null : headerPattern.exec(line);
  const [, magic = '', digits = '', wanted = ''] = match ?? [];
  const isHeader = match !== null && digits !== '0' && BigInt(digits) <= maxLength;
  if (!isHeader || !isMagic(magic) || (magic !== 'JSON' && offset > 0)) {
    // The stock programs cut the line behind the word before they read on.
    const shown = /^OVSDB [^ ]+(?= )/.exec(line)?.[0] ?? line;
    const why = `parse error at offset ${offset} in header line "${shown}"`;
    return isHeader ? { magic, why } : { why };
  }
  const length = Number(digits);
  const start = offset + newline + 1;
  if (length > maxRecordBytes || start + length > size) {
    return {
      magic,
      why: `error reading ${digits} bytes starting at offset ${start}`,
      ioError: 'End of file',
    };
  }
  const body = readBytes(fd, start, length);
  const where = `${length} bytes starting at offset ${start}`;
  const digest = hash('sha1', body);
  if (digest !== wanted.toLowerCase())
    return { magic, why: `${where} have SHA-1 hash ${digest} but should have hash ${wanted.toLowerCase()}` };
  if (!isUtf8(body)) return { magic, why: `${where} are not valid JSON (not a valid UTF-8 string)` };
  const text = body.toString('utf8');
  try {
    const json = parseJson(text);
    if (isJsonObject(json)) return { magic, json, endOffset: start + length };
    if (isJsonArray(json)) return { magic, why: `${where} are not a JSON object` };
  } catch {
    // Told by jsonErrorText.
  }
  return { magic, why: `${where} are not valid JSON (${jsonErrorText(text) ?? ''})` };
}

function isMagic(word: string): word is ReadRecord['magic'] {
  return word === 'JSON' || word === 'CLUSTER';
}

/** Where the next whole record behind `offset` begins, or -1: a damaged record is then not the last one. */
export function findRecordBehind(fd: number, offset: number, size: number): number {
  for (let at = offset + 1; at < size; at += searchBytes) {
    // Overlap, so that no header is split.
    const bytes = readBytes(fd, at, Math.min(searchBytes + magic.length - 1, size - at));
    for (let found = bytes.indexOf(magic); found >= 0; found = bytes.indexOf(magic, found + 1)) {
      if ('json' in readRecord(fd, at + found, size)) return at + found;
    }
  }
  return -1;
}
