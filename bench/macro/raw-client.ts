import koffi from 'koffi';
import { check } from '../../src/sys/errno.ts';
import { libc } from '../../src/sys/libc.ts';

const lib = koffi.load('libc.so.6');
const connect = lib.func('int connect(int, void *, uint32_t)') as (
  fd: number,
  address: Uint8Array,
  length: number,
) => number;

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const success = Buffer.from('"error":null');
const failure = Buffer.from('"error":"');

/**
 * A JSON-RPC client for measuring servers: it blocks in send and recv and never parses a reply, so that
 * the server is the bottleneck. Replies are counted by their `"error":null`; an operation that failed
 * shows as `"error":"` and throws. Database contents must not have these texts.
 */
export class RawClient {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(1 << 20);
  /** Bytes at the start of `#buffer` that may be the first part of a marker. */
  #kept = 0;

  /** @param path A listening unix socket. */
  constructor(path: string) {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2);
    this.#fd = check(libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0), 'socket');
    check(connect(this.#fd, address, 3 + Buffer.byteLength(path)), 'connect', path);
  }

  send(bytes: Buffer): void {
    for (let done = 0; done < bytes.length;) {
      const rest = bytes.subarray(done);
      done += check(libc.sendto(this.#fd, rest, rest.length, MSG_NOSIGNAL, null, 0), 'sendto');
    }
  }

  /** Blocks until something comes. @returns Whole replies among it. */
  receive(): number {
    const buffer = this.#buffer;
    const n = this.#receive(buffer.subarray(this.#kept));
    const text = buffer.subarray(0, this.#kept + n);
    if (text.includes(failure)) throw new Error(text.toString());
    let count = 0;
    let from = 0;
    for (let at = text.indexOf(success); at >= 0; at = text.indexOf(success, from)) {
      count++;
      from = at + success.length;
    }
    this.#kept = Math.min(text.length - from, success.length - 1);
    text.copyWithin(0, text.length - this.#kept);
    return count;
  }

  /** Sends one request and gives its reply's bytes as text; for preparing, where replies are short. */
  call(request: string): string {
    this.send(Buffer.from(request));
    let text = '';
    while (!text.includes('"error":')) {
      text += this.#buffer.toString('utf8', 0, this.#receive(this.#buffer));
    }
    return text;
  }

  #receive(into: Buffer): number {
    const n = check(libc.recv(this.#fd, into, into.length, 0), 'recv');
    if (n === 0) throw new Error('connection closed');
    return n;
  }

  close(): void {
    libc.close(this.#fd);
  }
}
