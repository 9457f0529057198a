/**
 * The client's connection to a database server, or to one of several that serve the same database.
 *
 * What: it connects to the remotes in turn, in an order of chance unless told otherwise, so that the
 * clients of a cluster spread; matches replies with requests; answers and sends probes. A connection
 * that is lost or that its owner drops is made again with the next remote, the first round without
 * back-off.
 *
 * Threads: the one that made it. Source: RFC 7047 §4, ovsdb(7) "Connection Methods".
 */
import { SystemRandom } from '../../util/random.ts';
import {
  JsonRpcConnection,
  OVSDB_PORT,
  StreamSession,
  SystemTimers,
  parseTarget,
} from '../../stream/index.ts';
import type {
  ByteStream,
  Json,
  JsonRpcMessage,
  StreamHandlers,
  StreamTarget,
  Timers,
} from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { OvsdbError } from '../errors.ts';
import { errorFromJson } from './error-reply.ts';

/** Absent: the default of the connection method. */
export interface LinkTimes {
  /** Inactivity probe; default 5000, none for unix sockets; 0 = never. */
  readonly probeIntervalMs?: number | undefined;
  /** Longest pause between attempts; default 8000. */
  readonly maxBackoffMs?: number | undefined;
}

export interface LinkOptions extends LinkTimes {
  /** Where servers are: `unix:FILE`, `tcp:HOST:PORT`, `ptcp:PORT` for one that connects to us, ...; several as an array or
   * with commas between. */
  readonly remote: string | readonly string[];
  /** Whether several remotes are tried in an order of chance; default true. */
  readonly shuffleRemotes?: boolean;
  readonly timers?: Timers;
  /** Gives up after trying each remote this many times; who listens never does. */
  readonly maxTries?: number;
}

export interface LinkHandlers {
  /** A fresh connection: requests may be sent. */
  onConnect(): void;
  /** Once per connection; replies still due were failed before. */
  onDisconnect(): void;
  onNotification(method: string, params: readonly Json[]): void;
  /** No further attempt will be made. */
  onGaveUp(error: OvsdbError): void;
}

type Reply = (message: JsonRpcMessage | null) => void;

/** Splits `tcp:a:1,ssl:b:2`: a comma begins another remote only before a method's name. */
export function splitRemotes(remote: string | readonly string[]): string[] {
  const list = typeof remote === 'string' ? remote.split(/,\s*(?=p?(?:tcp|ssl|unix):)/) : remote;
  return list.map((one) => one.trim()).filter((one) => one !== '');
}

function shuffled<T>(list: readonly T[]): T[] {
  const random = new SystemRandom();
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.u32() % (i + 1);
    const [a, b] = [out[i], out[j]];
    if (a === undefined || b === undefined) continue;
    out[i] = b;
    out[j] = a;
  }
  return out;
}

function timesOf({ probeIntervalMs, maxBackoffMs }: LinkTimes, kind: StreamTarget['kind']) {
  return {
    probeIntervalMs: probeIntervalMs ?? (kind === 'unix' ? 0 : 5000),
    maxBackoffMs: maxBackoffMs ?? 8000,
  };
}

export class DatabaseLink {
  readonly #session: StreamSession;
  readonly #handlers: LinkHandlers;
  readonly #replies = new Map<number, Reply>();
  readonly #remotes: readonly string[];
  /** Of the first remote. */
  readonly #kind: StreamTarget['kind'];
  #connection: JsonRpcConnection | undefined;

  /** @throws SystemError EAFNOSUPPORT for a remote that is none. */
  constructor(options: LinkOptions, handlers: LinkHandlers) {
    this.#handlers = handlers;
    const remotes = splitRemotes(options.remote);
    this.#remotes = options.shuffleRemotes === false ? remotes : shuffled(remotes);
    const [first = { name: '', target: parseTarget('', OVSDB_PORT, ovsRundir()) }, ...others] =
      this.#remotes.map((name) => ({ name, target: parseTarget(name, OVSDB_PORT, ovsRundir()) }));
    const count = this.#remotes.length;
    this.#kind = first.target.kind;
    this.#session = new StreamSession({
      ...first,
      others,
      timers: options.timers ?? new SystemTimers(),
      ...timesOf(options, first.target.kind),
      ...(count > 1 ? { backoffFreeTries: count } : {}),
      ...(options.maxTries === undefined ? {} : { maxTries: options.maxTries * count }),
      onConnect: (stream) => this.#onConnect(stream),
      onDisconnect: (reason) => this.#onDisconnect(reason),
      onProbe: () => {
        this.call('echo', []).catch(() => undefined);
      },
      onConnectFailed: () => this.#checkGivenUp(this.#session.lastError),
    });
  }

  start(): void {
    this.#session.start();
  }
  /** Closes for good. */
  close(): void {
    this.#session.stop();
    this.#connection?.close();
    this.#connection = undefined;
    this.#failReplies();
  }
  /** Drops the connection; the next remote is tried. */
  drop(reason: string): void {
    this.#session.drop(reason);
  }
  setTimes(times: LinkTimes): void {
    const { probeIntervalMs, maxBackoffMs } = timesOf(times, this.#kind);
    this.#session.reconnect.maxBackoffMs = maxBackoffMs;
    this.#session.setProbeInterval(probeIntervalMs);
  }
  /** Starts the round over: all remotes are tried once without back-off. */
  resetBackoff(): void {
    if (this.#remotes.length > 1) this.#session.reconnect.backoffFreeTries = this.#remotes.length;
  }

  /** The remote in use, or to be tried next, as the user wrote it. */
  get name(): string {
    return this.#session.reconnect.name;
  }
  get remoteCount(): number {
    return this.#remotes.length;
  }
  get isConnected(): boolean {
    return this.#connection !== undefined;
  }
  /** strerror text of the last failure, empty if none. */
  get lastError(): string {
    return this.#session.lastError;
  }

  /**
   * Sends a request.
   *
   * @param take Gets the result before the messages that follow it are delivered, which a promise
   * cannot promise: for replies that updates build upon. What it throws rejects the call.
   * @throws OvsdbError `connection lost` if no reply came, or the error of the reply.
   */
  async call(method: string, params: readonly Json[], take?: (result: Json) => void): Promise<Json> {
    const connection = this.#connection;
    if (connection === undefined) throw new OvsdbError('connection lost');
    return await new Promise<Json>((resolve, reject) => {
      const id = connection.request(method, params);
      this.#replies.set(id, (message) => {
        if (message === null) reject(new OvsdbError('connection lost'));
        else if (message.kind === 'error') reject(errorFromJson(message.error));
        else if (message.kind === 'reply') {
          try {
            take?.(message.result);
            resolve(message.result);
          } catch (error) {
            reject(error instanceof Error ? error : new OvsdbError(String(error)));
          }
        }
      });
    });
  }

  #failReplies(): void {
    const replies = [...this.#replies.values()];
    this.#replies.clear();
    for (const reply of replies) reply(null);
  }

  #checkGivenUp(what: string): void {
    if (this.#session.reconnect.state === 'void') this.#handlers.onGaveUp(new OvsdbError(what));
  }

  #onConnect(stream: ByteStream): StreamHandlers {
    const connection = new JsonRpcConnection(stream);
    this.#connection = connection;
    const handlers = connection.attach({
      onMessage: (message) => this.#onMessage(connection, message),
      onClose: () => undefined,
    });
    this.#handlers.onConnect();
    return handlers;
  }

  #onDisconnect(reason: string): void {
    this.#connection = undefined;
    this.#failReplies();
    this.#handlers.onDisconnect();
    this.#checkGivenUp(reason === '' ? 'connection lost' : reason);
  }

  #onMessage(connection: JsonRpcConnection, message: JsonRpcMessage): void {
    if (this.#connection !== connection) return;
    switch (message.kind) {
      case 'request':
        if (message.method === 'echo') connection.reply(message.id, message.params);
        else connection.replyError(message.id, { error: 'unknown method', details: message.method });
        return;
      case 'notification':
        this.#handlers.onNotification(message.method, message.params);
        return;
      case 'reply':
      case 'error': {
        const id = typeof message.id === 'number' ? message.id : -1;
        const reply = this.#replies.get(id);
        this.#replies.delete(id);
        reply?.(message);
      }
    }
  }
}
