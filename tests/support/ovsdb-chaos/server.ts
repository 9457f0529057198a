import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatJson } from '../../../src/stream/index.ts';
import type { Json } from '../../../src/stream/index.ts';
import { TestClient, canonical, whenListening } from '../ovsdb.ts';
import { run } from '../ovsdb-services.ts';
import type { Kind } from '../ovsdb-services.ts';
import { columnsOf, database } from './schema.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Silence after which links of servers are probed. */
const probeMs = 400;

/** All rows, in one order. */
const selectAll: Json[] = Object.entries(columnsOf).map(([table, columns]) => ({
  op: 'select',
  table,
  where: [],
  columns: ['_uuid', ...columns],
}));

/** A stock server ended by itself, which says nothing of ours. */
export class StockCrashed extends Error {}

/** One server as a process of its own, which may be killed, stopped and started again. */
export class ChaosServer {
  readonly name: string;
  readonly kind: Kind;
  readonly dir: string;
  readonly socket: string;
  readonly #ctl: string;
  /** What follows the options on the command line; asked at each start. */
  readonly #databases: () => readonly string[];
  readonly isRelay: boolean;
  #child: ChildProcess | null = null;
  isPaused = false;
  starts = 0;

  constructor(
    parent: string,
    name: string,
    kind: Kind,
    isRelay: boolean,
    databases: () => readonly string[],
  ) {
    this.name = name;
    this.kind = kind;
    this.isRelay = isRelay;
    this.dir = join(parent, name);
    mkdirSync(this.dir);
    this.socket = join(this.dir, 'db.sock');
    this.#ctl = join(this.dir, 'ctl');
    this.#databases = databases;
  }

  async start(): Promise<void> {
    const options = [
      `--remote=punix:${this.socket}`,
      `--unixctl=${this.#ctl}`,
      '-vconsole:off',
      '-vsyslog:off',
      '-vfile:info',
      `--log-file=${join(this.dir, 'log')}`,
      ...this.#databases(),
    ];
    // Left by a server that was killed: nobody answers there.
    rmSync(this.#ctl, { force: true });
    const spawnOptions = {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'] as const,
      env: { ...process.env, OVS_RUNDIR: this.dir, OVS_DBDIR: this.dir },
    };
    const child =
      this.kind === 'stock'
        ? spawn('ovsdb-server', options, { ...spawnOptions, stdio: ['ignore', 'ignore', 'inherit'] })
        : spawn(process.execPath, ['dist/programs/run.cjs', 'ovsdb-server', ...options], {
            ...spawnOptions,
            stdio: ['ignore', 'ignore', 'inherit'],
          });
    this.#child = child;
    this.starts++;
    await whenListening(this.socket, child);
    await whenListening(this.#ctl, child);
    if (this.isRelay && this.kind === 'ours')
      await this.ask('ovsdb-server/set-relay-source-probe-interval', String(probeMs));
    if (!this.isRelay) await this.ask('ovsdb-server/set-active-ovsdb-server-probe-interval', String(probeMs));
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    if (child.exitCode !== null || child.signalCode !== null) throw this.#died(child);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    this.#child = null;
    this.isPaused = false;
  }

  /** @throws Error if it ended without being told to */
  checkAlive(): void {
    const child = this.#child;
    if (child !== null && (child.exitCode !== null || child.signalCode !== null)) throw this.#died(child);
  }
  #died(child: ChildProcess): Error {
    const how = `${this.kind} ${this.name} died: ${child.exitCode ?? child.signalCode ?? ''}\n${this.logTail()}`;
    return this.kind === 'stock' && child.signalCode !== null ? new StockCrashed(how) : new Error(how);
  }
  logTail(lines = 15): string {
    return readFileSync(join(this.dir, 'log'), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-lines)
      .map((line) => line.slice(0, 300))
      .join('\n');
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
    this.isPaused = true;
  }
  resume(): void {
    this.#child?.kill('SIGCONT');
    this.isPaused = false;
  }

  /** Of a command that must not fail. */
  async ask(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await run('ovs-appctl', ['-t', this.#ctl, ...args]);
    this.checkAlive();
    if (status !== 0) throw new Error(`${this.kind} ${this.name} ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Rows of all tables as text, or why there are none. */
  async contents(): Promise<string> {
    this.checkAlive();
    let client: TestClient;
    try {
      client = await TestClient.connect(this.socket);
    } catch (error) {
      return String(error);
    }
    const reply = await client.call('transact', [database, ...selectAll]);
    client.close();
    return formatJson(canonical(reply));
  }

  /** Resident now, of one that runs. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child?.pid ?? 0}/status`, 'utf8');
    return Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }
}
