import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase } from '../../src/ovsdb/server/storage.ts';
import { runOvsdbServer } from '../../src/ovsdb/server/embed.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import {
  JsonRpcConnection,
  connectStream,
  formatJson,
  isJsonArray,
  isJsonObject,
} from '../../src/stream/index.ts';
import type { Json, JsonRpcMessage } from '../../src/stream/index.ts';

/** A database server under test, ours or the stock one, over one schema in a directory of its own. */
export interface ServerUnderTest {
  readonly dir: string;
  readonly file: string;
  readonly socket: string;
  stop(): Promise<void>;
}

function prepare(schema: Json, contents?: string): { dir: string; file: string; socket: string } {
  const dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
  const file = join(dir, 'test.db');
  writeFileSync(join(dir, 'schema'), formatJson(schema));
  if (contents === undefined) createDatabase(file, schemaFromJson(schema));
  else copyFileSync(contents, file);
  return { dir, file, socket: join(dir, 'db.sock') };
}

/** @param contents A database file of this schema to begin with. */
export async function startOurs(schema: Json, contents?: string): Promise<ServerUnderTest> {
  const paths = prepare(schema, contents);
  const running = await runOvsdbServer({
    files: [paths.file],
    remotes: [`punix:${paths.socket}`],
    unixctlPath: null,
  });
  return {
    ...paths,
    stop: async () => {
      await running.close();
      rmSync(paths.dir, { recursive: true });
    },
  };
}

/** Resolves when the child listens: a connection that succeeds says so. */
export async function whenListening(socket: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    if (existsSync(socket)) {
      try {
        const stream = await connectStream({ kind: 'unix', path: socket, isPassive: false });
        stream.destroy();
        return;
      } catch {
        // Bound but not yet listening.
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`the server ended with status ${child.exitCode}`);
}

/** @param contents As for `startOurs`. */
export async function startStock(schema: Json, contents?: string): Promise<ServerUnderTest> {
  const paths = prepare(schema, contents);
  const child = spawn(
    'ovsdb-server',
    [
      `--remote=punix:${paths.socket}`,
      `--unixctl=${join(paths.dir, 'ctl')}`,
      '-vconsole:off',
      '-vsyslog:off',
      paths.file,
    ],
    { stdio: 'ignore', env: { ...process.env, OVS_RUNDIR: paths.dir } },
  );
  await whenListening(paths.socket, child);
  return {
    ...paths,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill();
        await ended;
      }
      rmSync(paths.dir, { recursive: true });
    },
  };
}

/** A client that sends requests in turn and keeps the notifications. */
export class TestClient {
  readonly notifications: { method: string; params: readonly Json[] }[] = [];
  readonly #connection: JsonRpcConnection;
  readonly #replies = new Map<Json, (message: JsonRpcMessage) => void>();
  readonly closed: Promise<void>;
  #isClosed = false;

  private constructor(connection: JsonRpcConnection) {
    this.#connection = connection;
    this.closed = new Promise((resolve) => {
      connection.start({
        onClose: () => {
          this.#isClosed = true;
          for (const [id, reply] of this.#replies) reply({ kind: 'error', id, error: 'connection lost' });
          resolve();
        },
        onMessage: (message) => {
          if (message.kind === 'request') connection.reply(message.id, message.params);
          else if (message.kind === 'notification') this.notifications.push(message);
          else {
            this.#replies.get(message.id)?.(message);
            this.#replies.delete(message.id);
          }
        },
      });
    });
  }

  static over(connection: JsonRpcConnection): TestClient {
    return new TestClient(connection);
  }

  static async connect(socket: string): Promise<TestClient> {
    return new TestClient(
      new JsonRpcConnection(await connectStream({ kind: 'unix', path: socket, isPassive: false })),
    );
  }

  /** @returns `{ result }` or `{ error }`, as on the wire. */
  async call(method: string, params: readonly Json[]): Promise<Json> {
    return await this.begin(method, params).reply;
  }
  /** As `call`, with the id by which the request can be cancelled. */
  begin(method: string, params: readonly Json[]): { readonly id: Json; readonly reply: Promise<Json> } {
    if (this.#isClosed) return { id: null, reply: Promise.resolve({ error: 'connection lost' }) };
    const id = this.#connection.request(method, params);
    const reply = new Promise<JsonRpcMessage>((resolve) => this.#replies.set(id, resolve)).then((message) => {
      if (message.kind === 'reply') return { result: message.result };
      return message.kind === 'error' ? { error: message.error } : null;
    });
    return { id, reply };
  }
  notify(method: string, params: readonly Json[]): void {
    this.#connection.notify(method, params);
  }
  close(): void {
    this.#connection.close();
  }
}

/** Brings what may come in any order into one: rows of results and elements of sets; drops `_version`. */
export function canonical(json: Json): Json {
  if (isJsonArray(json)) {
    const [tag, items] = json;
    if ((tag === 'set' || tag === 'map') && json.length === 2 && isJsonArray(items)) {
      return [tag, items.map(canonical).sort(byText)];
    }
    return json.map(canonical);
  }
  if (!isJsonObject(json)) return json;
  const out: Record<string, Json> = {};
  for (const key of Object.keys(json).sort()) {
    if (key === '_version') continue;
    const value = canonical(json[key] ?? null);
    out[key] = key === 'rows' && isJsonArray(value) ? [...value].sort(byText) : value;
  }
  return out;
}

function byText(a: Json, b: Json): number {
  const [left, right] = [formatJson(a, true), formatJson(b, true)];
  return left < right ? -1 : left > right ? 1 : 0;
}
