/**
 * Byte streams over unix, TCP and TLS sockets, active and passive.
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
import { vlog } from '../util/log.ts';
import { connectWithDscp, setListenerDscp } from './dscp.ts';
import { strerror } from './errno.ts';
import { SocketStream, toSystemError } from './socket-stream.ts';
import { formatHostPort } from './target.ts';
import type { StreamTarget } from './target.ts';
import { createTlsServer, openTls, peerNameOf } from './tls-stream.ts';

const log = vlog('stream_unix');
const socketLog = vlog('socket_util');
const fatalLog = vlog('fatal_signal');

export interface StreamHandlers {
  /** The bytes belong to the receiver. */
  onData(bytes: Uint8Array): void;
  /** `error` is null after an orderly end (by the peer, or by `close`). */
  onClose(error: SystemError | null): void;
  /**
   * The kernel has taken what was sent, but for 16 KB at most, and it had been more than these 16 KB; also if it took them at
   * once. Not from within `send`.
   */
  onDrain?(): void;
}

export interface ByteStream {
  /** `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`, or `unix#N` for an accepted unix client. */
  readonly name: string;
  /** The common name in the certificate of a TLS peer that was verified, else null. */
  readonly peerId: string | null;
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
    target.kind === 'unix'
      ? `unix:${target.path}`
      : `${target.kind}:${formatHostPort(target.host, target.port)}`;
  const marked =
    target.kind === 'unix' || target.dscp === undefined
      ? undefined
      : await connectWithDscp(target.host, target.port, target.dscp).catch((error: unknown) => {
          throw toSystemError(error, name);
        });
  return await new Promise<ByteStream>((resolve, reject) => {
    let settle = (): void => undefined;
    const watch = (socket: Socket, done: () => void): void => {
      const onAbort = (): void => {
        socket.destroy(new SystemError('ETIMEDOUT', 110, 'connect', `${name}: Connection timed out`));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      settle = () => {
        signal?.removeEventListener('abort', onAbort);
        socket.removeAllListeners('error');
        done();
      };
      socket.once('error', (error) => {
        settle();
        socket.on('error', () => undefined);
        reject(toSystemError(error, name));
      });
      if (signal?.aborted === true) onAbort();
    };
    const use = (socket: Socket, peerId: string | null): void => {
      settle();
      socket.pause();
      resolve(new SocketStream(name, socket, peerId));
    };
    const watchPlain = (socket: Socket, done: () => void): void => {
      watch(socket, done);
      socket.once('connect', () => use(socket, null));
    };
    const fail = (error: unknown): void => reject(toSystemError(error, name));
    try {
      if (target.kind === 'unix') {
        withShortPath(target.path, (path, done) => watchPlain(createConnection({ path }), done));
      } else if (target.kind === 'tcp') {
        watchPlain(marked ?? createConnection({ host: target.host, port: target.port }), () => undefined);
      } else {
        const socket = openTls(target, name, marked, (secure) =>
          use(secure, target.tls.verifies ? peerNameOf(secure) : null),
        );
        watch(socket, () => undefined);
      }
    } catch (error) {
      fail(error);
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
  if (target.kind === 'unix') {
    const server = createServer({ pauseOnConnect: true }, (socket) =>
      onStream(new SocketStream(`unix#${$unixCount++}`, socket, null)),
    );
    return await listenUnix(server, target.path);
  }
  const { kind, port, host } = target;
  const nameOf = ({ remoteAddress, remotePort }: Socket): string =>
    `${kind}:${formatHostPort((remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''), remotePort ?? 0)}`;
  const server =
    kind === 'tcp'
      ? createServer({ pauseOnConnect: true, noDelay: true }, (socket) =>
          onStream(new SocketStream(nameOf(socket), socket, null)),
        )
      : createTlsServer(target.tls, (socket) =>
          onStream(new SocketStream(nameOf(socket), socket, target.tls.verifies ? peerNameOf(socket) : null)),
        );
  const scheme = kind === 'tcp' ? 'ptcp' : 'pssl';
  await listenOn(server, `${scheme}:${port}`, (done) => {
    server.listen({ port, host: host === '' ? '0.0.0.0' : host }, done);
  }).catch((error: unknown) => {
    const { code } = toSystemError(error, scheme);
    socketLog.err(`${port}${host === '' ? '' : `:${host}`}: bind: ${strerror(code)}`);
    throw error;
  });
  if (target.dscp !== undefined) setListenerDscp(server, host, target.dscp);
  const address = server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : 0;
  const name = host === '' ? `${scheme}:${boundPort}` : `${scheme}:${boundPort}:${host}`;
  return { name, boundPort, close: () => closeServer(server) };
}

/**
 * Listens for one client only.
 *
 * @param onListening Called when a client may come.
 * @throws SystemError (as rejection) with the errno of bind(2) or listen(2).
 */
export async function acceptStream(target: StreamTarget, onListening: () => void): Promise<ByteStream> {
  return await new Promise<ByteStream>((resolve, reject) => {
    let taken: ByteStream | undefined;
    const listening = listenStream(target, (stream) => {
      if (taken !== undefined) {
        stream.destroy();
        return;
      }
      taken = stream;
      void listening.then((listener) => listener.close());
      resolve(stream);
    });
    listening.then(onListening, reject);
  });
}

async function listenUnix(server: Server, path: string): Promise<StreamListener> {
  removeStaleSocket(path);
  let release = (): void => undefined;
  const listening = listenOn(server, `punix:${path}`, (done) => {
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
  await listening.catch((error: unknown) => {
    throw bindFailed(path, toSystemError(error, `punix:${path}`));
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

function bindFailed(path: string, error: SystemError): SystemError {
  // libuv says EACCES where there is no such directory.
  const isNowhere = statSync(dirname(path), { throwIfNoEntry: false }) === undefined;
  const reason = isNowhere
    ? new SystemError('ENOENT', 2, 'bind', `punix:${path}: ${strerror('ENOENT')}`)
    : error;
  if (isNowhere) fatalLog.warn(`could not unlink "${path}" (${strerror('ENOENT')})`);
  log.err(`${path}: binding failed: ${strerror(reason.code)}`);
  return reason;
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
