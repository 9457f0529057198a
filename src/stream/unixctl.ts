/**
 * unixctl: the control socket of a daemon, spoken to by ovs-appctl.
 *
 * What: a table of named commands. Life cycle: modules call `registerCommand` at any time; the
 * daemon opens one `UnixctlServer` over the table. A handler gets its arguments and returns the
 * text of the reply, at once or as a promise; what it throws becomes an error reply with that
 * message. A handler that has a JSON form returns `{ text, json }`; `ovs-appctl --format json` of
 * newer OVS asks for it by `set-options` first, and wraps mere text as OVS does.
 *
 * Threads: main only. Requests of one connection are answered in order.
 */
import { OvsError, SystemError } from '../util/errors.ts';
import { rateLimit, vlog } from '../util/log.ts';
import { listenStream } from './byte-stream.ts';
import { strerror } from './errno.ts';
import type { ByteStream, StreamListener } from './byte-stream.ts';
import type { Json } from './json.ts';
import { JsonRpcConnection } from './jsonrpc.ts';

const log = vlog('unixctl');
const connectErrors = rateLimit(5, 5);

export interface UnixctlReply {
  readonly text: string;
  readonly json: Json;
}

export type UnixctlHandler = (
  args: readonly string[],
) => string | UnixctlReply | Promise<string | UnixctlReply>;

interface Command {
  readonly name: string;
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  readonly handler: UnixctlHandler;
}

export class UnixctlCommands {
  readonly #commands = new Map<string, Command>();

  /** @param version The line that `version` answers, e.g. `ovs-vswitchd (Open vSwitch) 3.1.0`. */
  constructor(version: string) {
    this.registerCommand('list-commands', '', 0, 0, () => this.#list());
    this.registerCommand('version', '', 0, 0, () => version);
  }

  /**
   * Adds a command; the first registration of a name wins, as in OVS.
   *
   * @param usage Arguments as shown by list-commands, e.g. `[module]...`.
   * @param maxArgs `Infinity` for any number.
   */
  registerCommand(
    name: string,
    usage: string,
    minArgs: number,
    maxArgs: number,
    handler: UnixctlHandler,
  ): void {
    if (this.#commands.has(name)) return;
    this.#commands.set(name, { name, usage, minArgs, maxArgs, handler });
  }

  /** Runs a command in process. @throws what the client would see as error text. */
  async run(name: string, args: readonly string[]): Promise<string | UnixctlReply> {
    const command = this.#commands.get(name);
    if (command === undefined) {
      throw new OvsError(
        'EINVAL',
        `"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`,
      );
    }
    if (args.length < command.minArgs) {
      throw new OvsError('EINVAL', `"${name}" command requires at least ${command.minArgs} arguments`);
    }
    if (args.length > command.maxArgs) {
      throw new OvsError('EINVAL', `"${name}" command takes at most ${command.maxArgs} arguments`);
    }
    return await command.handler(args);
  }

  #list(): UnixctlReply {
    const sorted = [...this.#commands.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const lines = sorted.map((c) => `  ${c.name.padEnd(23)} ${c.usage}\n`);
    return {
      text: `The available commands are:\n${lines.join('')}`,
      json: Object.fromEntries(sorted.map((c) => [c.name, c.usage])),
    };
  }
}

export class UnixctlServer {
  readonly #commands: UnixctlCommands;
  readonly #connections = new Set<JsonRpcConnection>();
  readonly #pending = new Set<Promise<void>>();
  #listener: StreamListener | undefined;

  constructor(commands: UnixctlCommands) {
    this.#commands = commands;
  }

  /** Opens the socket at `path`. @throws OvsError `PATH: could not initialize control socket (...)` */
  async listen(path: string): Promise<void> {
    try {
      this.#listener = await listenStream({ kind: 'unix', path, isPassive: true }, (stream) =>
        this.accept(stream),
      );
    } catch (error) {
      const reason = error instanceof SystemError ? strerror(error.code) : String(error);
      throw new OvsError('EIO', `${path}: could not initialize control socket (${reason})`);
    }
  }

  /** Serves a connection that someone else accepted. */
  accept(stream: ByteStream): void {
    const connection = new JsonRpcConnection(stream, { maxMessageBytes: 16 * 1024 * 1024, holdsBack: true });
    this.#connections.add(connection);
    let isJsonFormat = false;
    let tail = Promise.resolve();
    connection.start({
      onClose: (error) => {
        this.#connections.delete(connection);
        if (error !== null) log.warn(error.message, connectErrors);
      },
      onMessage: (message) => {
        if (message.kind !== 'request') {
          log.warn('received unexpected message', connectErrors);
          connection.abort(null);
          return;
        }
        tail = tail.then(async () => {
          if (message.method === 'set-options') {
            const format = parseFormatOption(message.params);
            if (format === undefined)
              connection.replyError(message.id, 'option format requires an argument: text or json\n');
            else {
              isJsonFormat = format === 'json';
              connection.reply(message.id, '');
            }
            return;
          }
          await this.#answer(connection, message.id, message.method, message.params, isJsonFormat);
        });
        this.#pending.add(tail);
        const current = tail;
        void current.finally(() => this.#pending.delete(current));
      },
    });
  }

  async #answer(
    connection: JsonRpcConnection,
    id: Json,
    method: string,
    params: readonly Json[],
    isJsonFormat: boolean,
  ): Promise<void> {
    log.dbg(`received request ${method}, id=${JSON.stringify(id)}`);
    try {
      const bad = params.findIndex((p) => typeof p !== 'string');
      if (bad >= 0) throw new OvsError('EINVAL', `"${method}" command has non-string argument`);
      const reply = await this.#commands.run(method, params as readonly string[]);
      if (isJsonFormat) {
        connection.reply(id, typeof reply === 'string' ? { 'reply-format': 'plain', reply } : reply.json);
      } else {
        connection.reply(id, withNewline(typeof reply === 'string' ? reply : reply.text));
      }
    } catch (error) {
      connection.replyError(id, withNewline(error instanceof Error ? error.message : String(error)));
    }
  }

  /** Waits until every request received so far is answered (for `exit`). */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  /** Closes the socket; replies already made still go out. */
  async close(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
    for (const connection of this.#connections) connection.close();
  }
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function parseFormatOption(params: readonly Json[]): 'text' | 'json' | undefined {
  if (params.length !== 2 || params[0] !== '--format') return undefined;
  return params[1] === 'text' || params[1] === 'json' ? params[1] : undefined;
}
