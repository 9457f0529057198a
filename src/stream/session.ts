/**
 * A connection that is made again when it is lost: `Reconnect` joined to real streams. With a passive target the peer
 * makes it: one at a time, and a further one takes the place of the first.
 *
 * The owner gets each fresh stream by `onConnect`, tells of life by `activity`, sends a probe of its
 * protocol in `onProbe`, and hears `onDisconnect` once per stream. OpenFlow controllers, OVSDB clients
 * and managers all use this.
 */
import { SystemError } from '../util/errors.ts';
import { unlinkAtExit } from '../sys/exit-hooks.ts';
import { vlog } from '../util/log.ts';
import { connectStream, listenStream } from './byte-stream.ts';
import type { ByteStream, StreamHandlers, StreamListener } from './byte-stream.ts';
import { strerror } from './errno.ts';
import { Reconnect } from './reconnect.ts';
import type { ReconnectOptions } from './reconnect.ts';
import type { StreamTarget } from './target.ts';
import type { Timers } from './timers.ts';

const log = vlog('jsonrpc');

export interface SessionRemote {
  /** As the user wrote it, for logs. */
  readonly name: string;
  readonly target: StreamTarget;
}

export interface SessionOptions extends SessionRemote, ReconnectOptions {
  /** Further peers, tried in turn: each failure and each loss goes on to the next. */
  readonly others?: readonly SessionRemote[];
  readonly timers: Timers;
  /** Starts using a stream: the owner returns the handlers for it. */
  onConnect(stream: ByteStream): StreamHandlers;
  onDisconnect(reason: string): void;
  onProbe(): void;
  /** Not connected after an attempt; `errno` name. */
  onConnectFailed?(code: string): void;
}

export class StreamSession {
  readonly reconnect: Reconnect;
  readonly #options: SessionOptions;
  #stream: ByteStream | undefined;
  #attempt: AbortController | undefined;
  #listener: StreamListener | undefined;
  #isOpening = false;
  #cancelTimer: () => void = () => undefined;
  #lastError = '';
  readonly #remotes: readonly SessionRemote[];
  #current: SessionRemote;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#remotes = [options, ...(options.others ?? [])];
    this.#current = options;
    this.reconnect = new Reconnect(options.name, { ...options, isPassive: options.target.isPassive });
  }

  get isConnected(): boolean {
    return this.#stream !== undefined;
  }
  /** strerror text of the last failure, empty if none. */
  get lastError(): string {
    return this.#lastError;
  }

  #nextRemote(): void {
    if (this.#remotes.length === 1) return;
    this.#closeListener();
    const at = this.#remotes.indexOf(this.#current) + 1;
    this.#current = this.#remotes[at % this.#remotes.length] ?? this.#current;
    this.reconnect.name = this.#current.name;
    this.reconnect.isPassive = this.#current.target.isPassive;
  }
  #closeListener(): void {
    void this.#listener?.close();
    this.#listener = undefined;
  }

  #nowMs(): number {
    return this.#options.timers.clock.nowMs();
  }

  start(): void {
    this.reconnect.enable(this.#nowMs());
    this.#run();
  }

  /** Closes for good. */
  stop(): void {
    this.reconnect.disable(this.#nowMs());
    this.#cancelTimer();
    this.#attempt?.abort();
    this.#closeListener();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close();
  }

  /** Tells that bytes came from the peer: postpones the probe. */
  activity(): void {
    this.reconnect.activity(this.#nowMs());
  }

  /** Drops the connection; it is made again. */
  drop(reason: string): void {
    this.#disconnected(reason);
  }

  setProbeInterval(probeIntervalMs: number): void {
    this.reconnect.probeIntervalMs = probeIntervalMs;
    this.#run();
  }

  #run(): void {
    this.#cancelTimer();
    switch (this.reconnect.run(this.#nowMs())) {
      case 'connect':
        if (this.#current.target.isPassive) {
          void this.#listen();
          return;
        }
        void this.#connect();
        break;
      case 'probe':
        this.#options.onProbe();
        break;
      case 'disconnect':
        // Both lead back here once the stream has gone.
        if (this.#attempt !== undefined) this.#attempt.abort();
        else this.#disconnected(strerror('ETIMEDOUT'));
        return;
      case null:
        break;
    }
    const deadlineMs = this.reconnect.deadlineMs;
    if (deadlineMs < Infinity) {
      this.#cancelTimer = this.#options.timers.after(deadlineMs - this.#nowMs(), () => this.#run());
    }
  }

  async #connect(): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.reconnect.connecting(this.#nowMs());
    let stream: ByteStream;
    try {
      stream = await connectStream(this.#current.target, attempt.signal);
    } catch (error) {
      this.#attempt = undefined;
      if (this.reconnect.state === 'void') return;
      this.#failed(error);
      return;
    }
    this.#attempt = undefined;
    if (attempt.signal.aborted || this.reconnect.state !== 'connecting') {
      stream.destroy();
      return;
    }
    this.reconnect.connected(this.#nowMs());
    this.#use(stream);
  }

  #failed(error: unknown): void {
    const code = error instanceof SystemError ? error.code : 'EIO';
    this.#lastError = strerror(code);
    this.reconnect.connectFailed(this.#nowMs(), this.#lastError);
    this.#nextRemote();
    this.#options.onConnectFailed?.(code);
    this.#run();
  }

  async #listen(): Promise<void> {
    if (this.#listener !== undefined) {
      this.reconnect.listening(this.#nowMs());
      return;
    }
    if (this.#isOpening) return;
    const { target } = this.#current;
    if (target.kind === 'unix') unlinkAtExit(target.path);
    this.#isOpening = true;
    try {
      this.#listener = await listenStream(target, (stream) => this.#accepted(stream));
      this.#isOpening = false;
    } catch (error) {
      this.#isOpening = false;
      if (this.reconnect.state === 'void') return;
      this.reconnect.connecting(this.#nowMs());
      this.#failed(error);
      return;
    }
    if (this.reconnect.state === 'void') this.#closeListener();
    else this.reconnect.listening(this.#nowMs());
  }

  #accepted(stream: ByteStream): void {
    if (this.reconnect.state === 'void') {
      stream.destroy();
      return;
    }
    if (this.#stream !== undefined) {
      log.info(`${this.#current.name}: new connection replacing active connection`);
      this.#stream.destroy();
      this.#stream = undefined;
      this.#options.onDisconnect('');
    } else {
      this.reconnect.connecting(this.#nowMs());
      this.reconnect.connected(this.#nowMs());
    }
    this.#use(stream);
  }

  #use(stream: ByteStream): void {
    this.#stream = stream;
    const handlers = this.#options.onConnect(stream);
    stream.start({
      onData: (bytes) => {
        if (this.#stream !== stream) return;
        this.activity();
        handlers.onData(bytes);
      },
      onClose: (error) => {
        handlers.onClose(error);
        if (this.#stream === stream) this.#disconnected(error === null ? '' : strerror(error.code));
      },
    });
    this.#run();
  }

  #disconnected(reason: string): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    this.#lastError = reason;
    stream.destroy();
    this.reconnect.disconnected(this.#nowMs(), reason);
    this.#nextRemote();
    this.#options.onDisconnect(reason);
    this.#run();
  }
}
