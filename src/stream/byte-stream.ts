/**
 * Byte streams over unix and TCP sockets, active and passive.
 *
 * What: `connectStream` gives a connected `ByteStream`, `listenStream` a listener that hands out one
 * per client. Life cycle: a stream delivers data to its handlers once they are set (bytes that came
 * before wait in the kernel), then `onClose` exactly once, whoever closed it.
 *
 * Threads: the thread that made it. Costs: writes go to the kernel at once when it takes them;
 * `backlogBytes` says how much it has not taken.
 */
import { closeSync, openSync, unlinkSync, statSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { SystemError } from '../util/errors.ts';
import { errnoOf, strerror } from './errno.ts';
import { formatHostPort } from './target.ts';
import type { StreamTarget } from './target.ts';

export interface StreamHandlers {
  /** The bytes belong to the receiver. */
  onData(bytes: Uint8Array): void;
  /** `error` is null after an orderly end (by the peer, or by `close`). */
  onClose(error: SystemError | null): void;
  /** The kernel has taken all of a backlog that had grown beyond some 16 KB. */
  onDrain?(): void;
}

export interface ByteStream {
  /** `unix:PATH`, `tcp:HOST:PORT`, or `unix#N` for an accepted unix client. */
  readonly name: string;
  /** Local `HOST:PORT` of a TCP stream. */
  readonly localAddress: string;
  /** Bytes written but not yet taken by the kernel. */
  readonly backlogBytes: number;
  /** Starts delivery. Call once. */
  start(handlers: StreamHandlers): void;
  /** Queues bytes; ignored after the end. A string goes out as UTF-8. */
  send(bytes: Uint8Array | string): void;
  /** Stops reading until `resume`, so that the peer feels it. */
  pause(): void;
  resume(): void;
  /** Ends the stream after what is queued has been sent. */
  close(): void;
  /** Ends the stream at once. */
  destroy(): void;
}

export interface StreamListener {
  readonly name: string;
  /** The port that the kernel chose where the method said 0. */
  readonly boundPort: number;
  close(): Promise<void>;
}

let $unixCount = 0;

class SocketStream implements ByteStream {
  readonly name: string;
  readonly #socket: Socket;
  #error: SystemError | null = null;
  #isStarted = false;

  constructor(name: string, socket: Socket) {
    this.name = name;
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
    socket.on('drain', () => {
      if (!isClosed) handlers.onDrain?.();
    });
    socket.on('data', (bytes: Buffer) => {
      if (!isClosed) handlers.onData(bytes);
    });
    if (socket.closed) queueMicrotask(onClose);
    else socket.resume();
  }
  send(bytes: Uint8Array | string): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    if (this.#isStarted) this.#socket.resume();
  }
  close(): void {
    this.#socket.destroySoon();
  }
  destroy(): void {
    this.#socket.destroy();
  }
}

function toSystemError(error: unknown, name: string): SystemError {
  if (error instanceof SystemError) return error;
  const { code, errno, syscall } = errnoOf(error);
  return new SystemError(code, errno, syscall, `${name}: ${strerror(code)}`);
}

/** Longest path that fits struct sockaddr_un with its terminator. */
const UNIX_PATH_MAX = 107;

/** Gives `fn` a path short enough for sockaddr_un: long ones go through /proc/self/fd as in OVS. */
function withShortPath<T>(path: string, fn: (path: string, done: () => void) => T): T {
  if (Buffer.byteLength(path) <= UNIX_PATH_MAX) return fn(path, () => undefined);
  const dir = openSync(dirname(path), 'r');
  const short = `/proc/self/fd/${dir}/${basename(path)}`;
  if (Buffer.byteLength(short) > UNIX_PATH_MAX) {
    closeSync(dir);
    throw new SystemError('ENAMETOOLONG', 36, 'connect', `${path}: File name too long`);
  }
  return fn(short, () => closeSync(dir));
}

/**
 * Connects to an active target.
 *
 * @throws SystemError (as rejection) with the errno of connect(2).
 */
export async function connectStream(target: StreamTarget, signal?: AbortSignal): Promise<ByteStream> {
  const name =
    target.kind === 'unix' ? `unix:${target.path}` : `tcp:${formatHostPort(target.host, target.port)}`;
  return await new Promise<ByteStream>((resolve, reject) => {
    const open = (socket: Socket, done: () => void): void => {
      const onAbort = (): void => {
        socket.destroy(new SystemError('ETIMEDOUT', 110, 'connect', `${name}: Connection timed out`));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const settle = (): void => {
        signal?.removeEventListener('abort', onAbort);
        socket.removeAllListeners();
        done();
      };
      socket.once('connect', () => {
        settle();
        socket.pause();
        resolve(new SocketStream(name, socket));
      });
      socket.once('error', (error) => {
        settle();
        socket.on('error', () => undefined);
        reject(toSystemError(error, name));
      });
      if (signal?.aborted === true) onAbort();
    };
    try {
      if (target.kind === 'unix') {
        withShortPath(target.path, (path, done) => open(createConnection({ path }), done));
      } else {
        open(createConnection({ host: target.host, port: target.port }), () => undefined);
      }
    } catch (error) {
      reject(toSystemError(error, name));
    }
  });
}

/**
 * Listens on a passive target and calls `onStream` for each client. A unix socket left behind by a
 * dead server is replaced; the new one has mode 0750 and is removed by `close`.
 *
 * @throws SystemError (as rejection) with the errno of bind(2) or listen(2).
 */
export async function listenStream(
  target: StreamTarget,
  onStream: (stream: ByteStream) => void,
): Promise<StreamListener> {
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    const { remoteAddress, remotePort } = socket;
    const name =
      target.kind === 'unix'
        ? `unix#${$unixCount++}`
        : `tcp:${formatHostPort((remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''), remotePort ?? 0)}`;
    onStream(new SocketStream(name, socket));
  });
  if (target.kind === 'unix') return await listenUnix(server, target.path);
  await listenOn(server, `ptcp:${target.port}`, (done) => {
    server.listen({ port: target.port, host: target.host === '' ? '0.0.0.0' : target.host }, done);
  });
  const address = server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : 0;
  const name = target.host === '' ? `ptcp:${boundPort}` : `ptcp:${boundPort}:${target.host}`;
  return { name, boundPort, close: () => closeServer(server) };
}

async function listenUnix(server: Server, path: string): Promise<StreamListener> {
  removeStaleSocket(path);
  let release = (): void => undefined;
  await listenOn(server, `punix:${path}`, (done) => {
    // The socket takes its mode from the umask; chmod afterwards would leave a window.
    const oldMask = process.umask(0o027);
    try {
      withShortPath(path, (short, closeDir) => {
        release = closeDir;
        server.listen({ path: short }, done);
      });
    } finally {
      process.umask(oldMask);
    }
  });
  return {
    name: `punix:${path}`,
    boundPort: 0,
    close: async () => {
      await closeServer(server);
      release();
      removeStaleSocket(path);
    },
  };
}

async function listenOn(server: Server, name: string, listen: (done: () => void) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(toSystemError(error, name)));
    try {
      listen(resolve);
    } catch (error) {
      reject(toSystemError(error, name));
    }
  });
  server.removeAllListeners('error');
  // A failed accept (EMFILE) must not end the daemon; the client sees its connection refused.
  server.on('error', () => undefined);
}

function removeStaleSocket(path: string): void {
  try {
    if (statSync(path).isSocket()) unlinkSync(path);
  } catch {
    // Nothing there: fine. Anything else makes bind fail with a better message.
  }
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    if (!server.listening) resolve();
    // Clients stay open by design; only the listening socket goes.
    setImmediate(resolve);
  });
}
