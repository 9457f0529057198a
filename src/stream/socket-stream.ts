/** A `ByteStream` over a socket of Node, plain or TLS. */
import type { Socket } from 'node:net';
import { SystemError } from '../util/errors.ts';
import type { ByteStream, StreamHandlers } from './byte-stream.ts';
import { errnoOf, strerror } from './errno.ts';
import { formatHostPort } from './target.ts';

/** A backlog from which on `onDrain` tells of its end. */
const drainBytes = 16 * 1024;
/** How long what was sent before `close` may wait for the peer. */
const lingerMs = 2000;

export class SocketStream implements ByteStream {
  readonly name: string;
  readonly peerId: string | null;
  readonly #socket: Socket;
  #error: SystemError | null = null;
  #isStarted = false;
  #onDrain: () => void = () => undefined;
  /** After each write to a backlog, or of one at once; whether Node emits `drain` depends on its version and on the kernel. */
  readonly #onWritten = (): void => {
    if (this.#socket.writableLength <= drainBytes) this.#onDrain();
  };

  constructor(name: string, socket: Socket, peerId: string | null) {
    this.name = name;
    this.peerId = peerId;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error ??= toSystemError(error, name);
    });
  }
  get localAddress(): string {
    const { localAddress, localPort } = this.#socket;
    return localAddress === undefined ? '' : formatHostPort(localAddress, localPort ?? 0);
  }
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }
  start(handlers: StreamHandlers): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    const socket = this.#socket;
    let isClosed = false;
    const onClose = (): void => {
      if (isClosed) return;
      isClosed = true;
      handlers.onClose(this.#error);
    };
    socket.on('close', onClose);
    this.#onDrain = () => {
      if (!isClosed) handlers.onDrain?.();
    };
    socket.on('data', (bytes: Buffer) => {
      if (!isClosed) handlers.onData(bytes);
    });
    if (socket.closed) queueMicrotask(onClose);
    else socket.resume();
  }
  send(bytes: Uint8Array | string): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (socket.writableLength + bytes.length > drainBytes) socket.write(bytes, this.#onWritten);
    else socket.write(bytes);
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    if (this.#isStarted) this.#socket.resume();
  }
  close(): void {
    // A peer that takes nothing more does not keep the socket.
    this.#socket.setTimeout(lingerMs, () => this.#socket.destroy());
    this.#socket.destroySoon();
  }
  destroy(): void {
    this.#socket.destroy();
  }
}

/** The errno of an error of a socket; what TLS dislikes is EPROTO. */
export function toSystemError(error: unknown, name: string): SystemError {
  if (error instanceof SystemError) return error;
  const { code, errno, syscall } = errnoOf(error);
  if (errno === 0 && /^(ERR_)?(SSL|TLS|OSSL)/.test(code))
    return new SystemError('EPROTO', 71, 'ssl', `${name}: ${strerror('EPROTO')}`);
  return new SystemError(code, errno, syscall, `${name}: ${strerror(code)}`);
}
