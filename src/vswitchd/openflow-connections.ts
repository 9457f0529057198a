import type { OfConnFactory, OfConnTransport, OfListener } from '../ofproto/ofproto-types.ts';
import { connectStream, listenStream, type ByteStream } from '../stream/byte-stream.ts';
import { OPENFLOW_PORT, parseTarget, withDscp } from '../stream/target.ts';
import { unlinkAtExit } from '../sys/exit-hooks.ts';
import { UsageError } from '../util/errors.ts';
import { rateLimit, vlog } from '../util/log.ts';

const log = vlog('stream');
const listenErrors = rateLimit(5, 5);

/** OpenFlow connections over real sockets: joins src/stream's byte streams to ofproto's transport. */
class SocketTransport implements OfConnTransport {
  readonly name: string;
  onData: (bytes: Uint8Array) => void = () => undefined;
  onConnect: () => void = () => undefined;
  onDrain: () => void = () => undefined;
  onClose: (error: string | undefined) => void = () => undefined;
  #stream: ByteStream | null = null;
  #closed = false;
  readonly #abort = new AbortController();

  constructor(name: string) {
    this.name = name;
  }

  get connected(): boolean {
    return this.#stream !== null && !this.#closed;
  }

  get queuedBytes(): number {
    return this.#stream?.backlogBytes ?? 0;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Delivery starts a turn later, so that an acceptor has set its handlers. */
  use(stream: ByteStream): void {
    if (this.#closed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    queueMicrotask(() =>
      stream.start({
        onData: (bytes) => {
          if (!this.#closed) this.onData(bytes);
        },
        onClose: (error) => this.fail(error === null ? undefined : error.message),
        onDrain: () => {
          if (!this.#closed) this.onDrain();
        },
      }),
    );
  }

  fail(message: string | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClose(message);
  }

  send(bytes: Uint8Array): void {
    this.#stream?.send(bytes);
  }

  setReading(on: boolean): void {
    if (on) this.#stream?.resume();
    else this.#stream?.pause();
  }

  close(): void {
    this.#closed = true;
    this.#abort.abort();
    this.#stream?.close();
  }
}

export class SocketConnections implements OfConnFactory {
  readonly #runDir: string;
  readonly #opening = new Set<Promise<unknown>>();

  /** @param runDir Where relative socket paths are. */
  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  /** Resolves once every listener asked for listens or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#opening);
  }

  connect(target: string, dscp: number): OfConnTransport {
    const parsed = withDscp(parseTarget(target, OPENFLOW_PORT, this.#runDir), dscp);
    if (parsed.isPassive) throw new UsageError(`${target}: not an active connection method`);
    const transport = new SocketTransport(target);
    connectStream(parsed, transport.signal).then(
      (stream) => {
        transport.use(stream);
        if (transport.connected) transport.onConnect();
      },
      (error: unknown) =>
        transport.fail(error instanceof Error ? error.message.replace(`${target}: `, '') : String(error)),
    );
    return transport;
  }

  listen(target: string, dscp: number, onAccept: (transport: OfConnTransport) => void): OfListener {
    const parsed = withDscp(parseTarget(target, OPENFLOW_PORT, this.#runDir), dscp);
    if (!parsed.isPassive) throw new UsageError(`${target}: not a passive connection method`);
    if (parsed.kind === 'unix') unlinkAtExit(parsed.path);
    let isClosed = false;
    const listening = listenStream(parsed, (stream) => {
      const transport = new SocketTransport(stream.name);
      transport.use(stream);
      onAccept(transport);
    });
    // A close before the socket listens must still end it.
    const closed = listening.then(
      (listener) => {
        if (isClosed) void listener.close();
        return listener;
      },
      (error: unknown) => {
        log.warn(
          `${target}: cannot listen: ${error instanceof Error ? error.message : String(error)}`,
          listenErrors,
        );
        return null;
      },
    );
    this.#opening.add(closed);
    void closed.finally(() => this.#opening.delete(closed));
    return {
      close: () => {
        isClosed = true;
        void closed.then((listener) => listener?.close());
      },
    };
  }
}
