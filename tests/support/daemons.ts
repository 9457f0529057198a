import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findTool } from './tools.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A database server and a switch in a run directory of their own, ours or the stock ones, and the
 * tools of either kind on them.
 */
export class SwitchUnderTest {
  readonly kind: 'ours' | 'stock';
  readonly rundir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #children: ChildProcess[] = [];

  private constructor(kind: 'ours' | 'stock') {
    this.kind = kind;
    this.rundir = mkdtempSync(join(tmpdir(), 'mf-'));
    const dir = this.rundir;
    this.env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
  }

  /** @param options Further arguments of ovs-vswitchd, e.g. `--enable-dummy`. */
  static async start(kind: 'ours' | 'stock', options: readonly string[] = []): Promise<SwitchUnderTest> {
    const s = await SwitchUnderTest.startServerOnly(kind);
    s.expect(s.tool('ovs-vsctl', '--no-wait', 'init'));
    await s.startSwitch(options);
    return s;
  }

  /** Only the database server, with an empty database. */
  static async startServerOnly(kind: 'ours' | 'stock'): Promise<SwitchUnderTest> {
    const s = new SwitchUnderTest(kind);
    const schema =
      kind === 'ours' ? join(root, 'share/vswitch.ovsschema') : '/usr/share/openvswitch/vswitch.ovsschema';
    s.expect(s.tool('ovsdb-tool', 'create', join(s.rundir, 'conf.db'), schema));
    await s.startServer();
    return s;
  }

  /** Nothing yet: for a switch whose database is elsewhere. */
  static empty(kind: 'ours' | 'stock'): SwitchUnderTest {
    return new SwitchUnderTest(kind);
  }

  async startServer(): Promise<ChildProcess> {
    return await this.#daemon('ovsdb-server', [
      `--remote=punix:${this.rundir}/db.sock`,
      join(this.rundir, 'conf.db'),
    ]);
  }

  async startSwitch(
    options: readonly string[],
    remote = `unix:${this.rundir}/db.sock`,
  ): Promise<ChildProcess> {
    return await this.#daemon('ovs-vswitchd', [...options, remote]);
  }

  /** Runs a tool of this switch's kind. */
  tool(name: string, ...args: string[]): Ran {
    return this.kind === 'ours' ? this.ours(name, ...args) : this.stock(name, ...args);
  }

  ours(name: string, ...args: string[]): Ran {
    return this.#run(join(root, 'bin', name), args);
  }

  stock(name: string, ...args: string[]): Ran {
    return this.#run(findTool(name) ?? name, args);
  }

  /** Output of a stock tool that must succeed. */
  stockOk(name: string, ...args: string[]): string {
    return this.expect(this.stock(name, ...args), [name, ...args].join(' '));
  }

  expect(ran: Ran, what = 'command'): string {
    if (ran.status !== 0) {
      throw new Error(
        `${what}: exit ${ran.status}\n${ran.stdout}${ran.stderr}\n--- log:\n${this.log().slice(-3000)}`,
      );
    }
    return ran.stdout;
  }

  log(): string {
    const path = join(this.rundir, 'ovs-vswitchd.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  pid(program: string): number {
    return Number(readFileSync(join(this.rundir, `${program}.pid`), 'utf8'));
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    rmSync(this.rundir, { recursive: true, force: true });
  }

  async #daemon(name: string, args: readonly string[]): Promise<ChildProcess> {
    const path = this.kind === 'ours' ? join(root, 'bin', name) : (findTool(name) ?? name);
    const argv = ['--pidfile', '--log-file', '-vconsole:emer', ...args];
    const child = spawn(path, argv, { env: this.env, stdio: ['ignore', 'ignore', 'pipe'], cwd: this.rundir });
    this.#children.push(child);
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
    await waitFor(() => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${stderr}`);
      return (
        this.#run(findTool('ovs-appctl') ?? join(root, 'bin/ovs-appctl'), ['-t', name, 'version']).status ===
        0
      );
    }, `${name} answers`);
    return child;
  }

  #run(path: string, args: readonly string[]): Ran {
    const { status, stdout, stderr } = spawnSync(path, args, {
      env: this.env,
      encoding: 'utf8',
      cwd: this.rundir,
      timeout: 300_000,
      maxBuffer: 2 ** 30,
    });
    return { status, stdout, stderr };
  }
}

/** Polls until a condition holds. The limit only ends a test that has failed. */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
