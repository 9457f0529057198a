/** The connection of one run of ovsdb-client: requests answered in turn, notifications handed over. */
import {
  JsonRpcConnection,
  OVSDB_PORT,
  acceptStream,
  connectStream,
  formatJson,
  parseTarget,
  strerror,
} from '../../stream/index.ts';
import type { ByteStream, Json, JsonRpcMessage } from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { unlinkAtExit } from '../../sys/exit-hooks.ts';
import { OvsError, SystemError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';

const log = vlog('ovsdb_client');

/** An error reply to a request; `reply` is what the server sent. */
class ErrorReply extends OvsError {
  readonly reply: Json;
  constructor(reply: Json, message = `transaction returned error: ${formatJson(reply, true)}`) {
    super('EPROTO', message);
    this.reply = reply;
  }
}

/** @throws SystemError (as rejection) */
async function openStream(remote: string): Promise<ByteStream> {
  const target = parseTarget(remote, OVSDB_PORT, ovsRundir());
  if (!target.isPassive) return await connectStream(target);
  if (target.kind === 'unix') unlinkAtExit(target.path);
  return await acceptStream(target, () => log.info(`${remote}: waiting for connection...`));
}

type Waiting = (message: JsonRpcMessage | null) => void;

export class Connection {
  /** As the user wrote it. */
  readonly remote: string;
  readonly #rpc: JsonRpcConnection;
  readonly #waiting = new Map<number, Waiting>();
  #closed: string | undefined;
  onNotification: (method: string, params: readonly Json[]) => void = () => undefined;
  /** Resolves with the reason when the server has gone. */
  readonly lost: Promise<string>;

  private constructor(rpc: JsonRpcConnection, remote: string) {
    this.#rpc = rpc;
    this.remote = remote;
    this.lost = new Promise((resolve) => {
      rpc.start({
        onMessage: (message) => this.#onMessage(message),
        onClose: (error) => {
          this.#closed = error === null ? 'End of file' : strerror(error.code);
          const waiting = [...this.#waiting.values()];
          this.#waiting.clear();
          for (const resume of waiting) resume(null);
          resolve(this.#closed);
        },
      });
    });
  }

  /** @returns why it failed, in words, if it did. */
  static async tryOpen(remote: string): Promise<Connection | string> {
    try {
      const stream = await openStream(remote);
      return new Connection(new JsonRpcConnection(stream), remote);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return strerror(error.code);
    }
  }

  /** @throws OvsError `failed to connect to "..." (...)` */
  static async open(remote: string): Promise<Connection> {
    const opened = await Connection.tryOpen(remote);
    if (typeof opened !== 'string') return opened;
    const isActive = /^(unix|tcp|ssl):/.test(remote);
    throw new OvsError('EIO', `failed to connect ${isActive ? '' : 'or listen '}to "${remote}" (${opened})`);
  }

  #onMessage(message: JsonRpcMessage): void {
    switch (message.kind) {
      case 'request':
        if (message.method === 'echo') this.#rpc.reply(message.id, message.params);
        return;
      case 'notification':
        this.onNotification(message.method, message.params);
        return;
      default: {
        const id = typeof message.id === 'number' ? message.id : -1;
        const resume = this.#waiting.get(id);
        this.#waiting.delete(id);
        resume?.(message);
      }
    }
  }

  /** @throws ErrorReply, or OvsError if the connection is lost first */
  async call(method: string, params: readonly Json[]): Promise<Json> {
    const message = await new Promise<JsonRpcMessage | null>((resolve) => {
      if (this.#closed !== undefined) resolve(null);
      else this.#waiting.set(this.#rpc.request(method, params), resolve);
    });
    if (message?.kind === 'reply') return message.result;
    if (message?.kind === 'error') throw new ErrorReply(message.error);
    throw new OvsError('EIO', `transaction failed (${this.#closed ?? ''})`);
  }

  close(): void {
    this.#rpc.close();
  }
}
