/**
 * An active connection that is made again when it is lost: `Reconnect` joined to real streams.
 *
 * The owner gets each fresh stream by `onConnect`, tells of life by `activity`, sends a probe of its
 * protocol in `onProbe`, and hears `onDisconnect` once per stream. OpenFlow controllers, OVSDB clients
 * and managers all use this.
 */
import { SystemError } from '../util/errors.ts';
import { connectStream } from './byte-stream.ts';
import type { ByteStream, StreamHandlers } from './byte-stream.ts';
import { strerror } from './errno.ts';
import { Reconnect } from './reconnect.ts';
import type { ReconnectOptions } from './reconnect.ts';
import type { StreamTarget } from './target.ts';
import type { Timers } from './timers.ts';

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
  #cancelTimer: () => void = () => undefined;
  #lastError = '';
  readonly #remotes: readonly SessionRemote[];
  #current: SessionRemote;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#remotes = [options, ...(options.others ?? [])];
    this.#current = options;
    this.reconnect = new Reconnect(options.name, options);
  }

  get isConnected(): boolean {
    return this.#stream !== undefined;
  }
  /** strerror text of the last failure, empty if none. */
  get lastError(): string {
    return this.#lastError;
  }

  #nextRemote(): void {
    const at = this.#remotes.indexOf(this.#current) + 1;
    this.#current = this.#remotes[at % this.#remotes.length] ?? this.#current;
    this.reconnect.name = this.#current.name;
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
      const code = error instanceof SystemError ? error.code : 'EIO';
      this.#lastError = strerror(code);
      this.reconnect.connectFailed(this.#nowMs(), this.#lastError);
      this.#nextRemote();
      this.#options.onConnectFailed?.(code);
      this.#run();
      return;
    }
    this.#attempt = undefined;
    if (attempt.signal.aborted || this.reconnect.state !== 'connecting') {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    this.reconnect.connected(this.#nowMs());
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
