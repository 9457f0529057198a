import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOvsdbServer } from '../../src/ovsdb/server/embed.ts';
import type { RunningOvsdbServer } from '../../src/ovsdb/server/embed.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { createDatabase } from '../../src/ovsdb/server/storage.ts';
import { TlsIdentity, applyTlsOption } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import type { Ran } from './daemons.ts';
import { TestClient, whenListening } from './ovsdb.ts';

export type Kind = 'ours' | 'stock';
export const kinds: readonly Kind[] = ['ours', 'stock'];

/** Runs a program without blocking this process, which may be the one that it talks to. */
export async function run(tool: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return await new Promise<Ran>((resolve) => {
    execFile(tool, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      resolve({ status: typeof code === 'number' ? code : 1, stdout, stderr });
    });
  });
}

export interface ServerSetup {
  /** Databases, created in `dir` as `NAME.db`. */
  readonly schemas?: readonly Json[];
  /** Further databases as the command line names them, e.g. `relay:...`. */
  readonly databases?: readonly string[];
  /** Options: `--remote=...` beside the unix socket, `--sync-from=...`, keys. */
  readonly options?: readonly string[];
}

/** A database server, ours (in this process) or the stock one, in a directory of its own. */
export class DbServer {
  readonly kind: Kind;
  readonly dir: string;
  readonly socket: string;
  readonly #ctl: string;
  #child: ChildProcess | null = null;
  #running: RunningOvsdbServer | null = null;

  private constructor(kind: Kind) {
    this.kind = kind;
    this.dir = mkdtempSync(join(tmpdir(), 'ovsdb-services-'));
    this.socket = join(this.dir, 'db.sock');
    this.#ctl = join(this.dir, 'ctl');
  }

  static async start(kind: Kind, setup: ServerSetup = {}): Promise<DbServer> {
    const server = new DbServer(kind);
    const files: string[] = [];
    for (const json of setup.schemas ?? []) {
      const schema = schemaFromJson(json);
      const file = server.fileOf(schema.name);
      createDatabase(file, schema);
      files.push(file);
    }
    await server.#start([...files, ...(setup.databases ?? [])], setup.options ?? []);
    return server;
  }

  fileOf(database: string): string {
    return join(this.dir, `${database}.db`);
  }
  /** As other servers and clients connect to it. */
  get remote(): string {
    return `unix:${this.socket}`;
  }

  async #start(databases: readonly string[], options: readonly string[]): Promise<void> {
    const remotes = [`--remote=punix:${this.socket}`, ...options.filter((o) => o.startsWith('--remote='))];
    const others = options.filter((o) => !o.startsWith('--remote='));
    if (this.kind === 'stock') {
      const quiet = ['-vconsole:off', '-vsyslog:off', '-vfile:info', `--log-file=${join(this.dir, 'log')}`];
      const dbs = databases.length === 0 ? ['--no-dbs'] : databases;
      this.#child = spawn(
        'ovsdb-server',
        [...remotes, `--unixctl=${this.#ctl}`, ...quiet, ...others, ...dbs],
        {
          stdio: 'ignore',
          env: { ...process.env, OVS_RUNDIR: this.dir, OVS_DBDIR: this.dir },
        },
      );
      await whenListening(this.socket, this.#child);
      return;
    }
    const tls = new TlsIdentity();
    const value = (name: string): string | null =>
      others.find((o) => o.startsWith(`--${name}=`))?.slice(name.length + 3) ?? null;
    for (const option of others) {
      const equals = option.indexOf('=');
      if (equals > 0) applyTlsOption({ name: option.slice(2, equals), value: option.slice(equals + 1) }, tls);
    }
    const from = value('sync-from');
    this.#running = await runOvsdbServer({
      files: databases,
      remotes: remotes.map((o) => o.slice('--remote='.length)),
      unixctlPath: this.#ctl,
      tls,
      sync: {
        from,
        excludeTables: value('sync-exclude-tables') ?? '',
        isBackup: from !== null && !others.includes('--active'),
      },
    });
  }

  /** Our server itself. */
  get running(): RunningOvsdbServer {
    if (this.#running === null) throw new Error('not our server');
    return this.#running;
  }

  async connect(): Promise<TestClient> {
    return await TestClient.connect(this.socket);
  }

  async appctl(...args: string[]): Promise<Ran> {
    return await run('ovs-appctl', ['-t', this.#ctl, ...args]);
  }

  /** Of a reply that must not be an error. */
  async ask(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.appctl(...args);
    if (status !== 0) throw new Error(`${this.kind} ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    const child = this.#child;
    if (child !== null && child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
    }
    rmSync(this.dir, { recursive: true });
  }
}
