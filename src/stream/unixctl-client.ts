/**
 * The client side of unixctl: finds a daemon's control socket and asks it.
 */
import { readFileSync } from 'node:fs';
import { OvsError, SystemError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import { readPidfile } from '../sys/pidfile.ts';
import { connectStream } from './byte-stream.ts';
import { strerror } from './errno.ts';
import { JsonRpcConnection } from './jsonrpc.ts';
import type { Json } from './json.ts';

const log = vlog('unixctl');
const pidLog = vlog('daemon_unix');

/**
 * The control socket of `target`: a path if it begins with `/`, else that of the daemon whose pid file
 * is `runDir/TARGET.pid`.
 *
 * @throws OvsError `cannot read pidfile "..." (...)`
 */
export function controlSocketPath(target: string, runDir: string): string {
  if (target.startsWith('/')) return target;
  const pidfile = `${runDir}/${target}.pid`;
  const pid = readPidfile(pidfile);
  if (pid > 0) return `${runDir}/${target}.${pid}.ctl`;
  let reason = strerror('ESRCH');
  try {
    readFileSync(pidfile);
  } catch (error) {
    reason = strerror((error as NodeJS.ErrnoException).code ?? 'EIO');
    pidLog.warn(`${pidfile}: open: ${reason}`);
  }
  throw new OvsError('ESRCH', `cannot read pidfile "${pidfile}" (${reason})`);
}

export interface UnixctlAnswer {
  readonly isError: boolean;
  /** Text, or JSON if asked for with `format: 'json'`. */
  readonly result: Json;
}

export class UnixctlClient {
  readonly #connection: JsonRpcConnection;
  readonly #path: string;
  #resolve: ((answer: UnixctlAnswer) => void) | undefined;
  #reject: ((error: OvsError) => void) | undefined;

  private constructor(connection: JsonRpcConnection, path: string) {
    this.#connection = connection;
    this.#path = path;
    connection.start({
      onMessage: (message) => {
        if (message.kind === 'reply') this.#resolve?.({ isError: false, result: message.result });
        else if (message.kind === 'error') this.#resolve?.({ isError: true, result: message.error });
      },
      onClose: (error) => {
        const reason = error === null ? 'End of file' : strerror(error.code);
        this.#reject?.(new OvsError('EIO', `${this.#path}: transaction error (${reason})`));
      },
    });
  }

  /** @throws OvsError `cannot connect to "..." (...)` */
  static async connect(path: string): Promise<UnixctlClient> {
    try {
      const stream = await connectStream({ kind: 'unix', path, isPassive: false });
      return new UnixctlClient(new JsonRpcConnection(stream), path);
    } catch (error) {
      const reason = error instanceof SystemError ? strerror(error.code) : String(error);
      log.warn(`failed to connect to ${path}`);
      throw new OvsError('EIO', `cannot connect to "${path}" (${reason})`);
    }
  }

  /** One request at a time. @throws OvsError if the daemon goes away before it answers */
  async call(command: string, args: readonly string[]): Promise<UnixctlAnswer> {
    return await new Promise<UnixctlAnswer>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#connection.request(command, args);
    });
  }

  close(): void {
    this.#connection.close();
  }
}
