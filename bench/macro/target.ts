import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { UnixctlClient } from '../../src/stream/unixctl-client.ts';
import { waitFor } from '../../tests/support/daemons.ts';
import { findTool } from '../../tests/support/tools.ts';
import { HugePages } from './huge-pages.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const dpdkSwitch = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';

export type TargetKind = 'ours' | 'ovs';

export interface TargetOptions {
  /** OVS with DPDK and as many GiB of huge pages; nothing to ours. */
  readonly dpdkGiB?: number;
  /** Cores of the PMD threads as a mask; the highest core by default. Everything else runs on core 0. */
  readonly pmdCpuMask?: number;
  /** `other_config` of Open_vSwitch from the start. */
  readonly otherConfig?: Readonly<Record<string, string>>;
}

const running = new Set<Target>();
process.on('exit', () => {
  for (const target of running) target.kill();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

/** The highest core of the machine. */
export const pmdCore = Number(
  /(\d+)$/.exec(readFileSync('/sys/devices/system/cpu/online', 'utf8').trim())?.[1] ?? 0,
);

/** Whether OVS-DPDK can be measured here, or why not. */
export function missingDpdk(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  return existsSync(dpdkSwitch) ? null : 'openvswitch-switch-dpdk is not installed';
}

/**
 * A switch under measurement: the database server and the switch of one kind, as processes in a run
 * directory of their own, driven over their sockets by the stock tools (ours where there are none), so
 * that both kinds are treated alike: same pinning, same autogroup weight, same commands.
 * A frozen target (SIGSTOP) takes no CPU time while another is measured.
 */
export class Target {
  readonly kind: TargetKind;
  readonly rundir: string;
  /** Name for its bridge, and so of a tap device of the machine: no other process of a bench has it. */
  readonly bridge: string;
  readonly env: NodeJS.ProcessEnv;
  readonly pmdCpuMask: number;
  readonly isDpdk: boolean;
  readonly #children: ChildProcess[] = [];
  readonly #pages: HugePages | null;
  #control: UnixctlClient | null = null;

  private constructor(kind: TargetKind, options: TargetOptions) {
    this.kind = kind;
    this.bridge = `mfb${kind === 'ours' ? 'm' : 'o'}${process.pid}`;
    this.isDpdk = kind === 'ovs' && options.dpdkGiB !== undefined;
    this.rundir = mkdtempSync(join(tmpdir(), 'mfb-'));
    this.pmdCpuMask = options.pmdCpuMask ?? 1 << pmdCore;
    this.#pages = this.isDpdk ? new HugePages(this.rundir, options.dpdkGiB ?? 0) : null;
    const dir = this.rundir;
    this.env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
  }

  static async start(kind: TargetKind, options: TargetOptions = {}): Promise<Target> {
    const t = new Target(kind, options);
    try {
      await t.#start(options);
      return t;
    } catch (error) {
      t.kill();
      running.delete(t);
      throw error;
    }
  }

  async #start(options: TargetOptions): Promise<void> {
    const isOurs = this.kind === 'ours';
    const schema = isOurs
      ? join(root, 'share/vswitch.ovsschema')
      : '/usr/share/openvswitch/vswitch.ovsschema';
    this.#run(this.#program('ovsdb-tool'), ['create', join(this.rundir, 'conf.db'), schema]);
    await this.#daemon('ovsdb-server', this.#program('ovsdb-server'), [
      `--remote=punix:${this.rundir}/db.sock`,
      join(this.rundir, 'conf.db'),
    ]);
    this.#runTool('ovs-vsctl', ['--no-wait', 'init']);
    const config: Record<string, string> = {
      'pmd-cpu-mask': this.pmdCpuMask.toString(16),
      'max-idle': '3600000',
      'flow-limit': '1000000',
      ...options.otherConfig,
    };
    if (this.#pages !== null) {
      config['dpdk-init'] = 'true';
      config['dpdk-lcore-mask'] = '1';
      config['dpdk-extra'] = `--no-pci ${this.#pages.arguments}`;
    }
    this.#runTool('ovs-vsctl', ['--no-wait', ...setConfig(config)]);
    await this.#daemon('ovs-vswitchd', this.isDpdk ? dpdkSwitch : this.#program('ovs-vswitchd'), [
      ...(isOurs ? ['--arena-mb=4096'] : []),
      `unix:${this.rundir}/db.sock`,
    ]);
    this.#control = await UnixctlClient.connect(this.controlPath('ovs-vswitchd'));
    if (this.isDpdk) {
      await waitFor(
        () => this.#runTool('ovs-vsctl', ['get', 'Open_vSwitch', '.', 'dpdk_initialized']).trim() === 'true',
        'DPDK is initialised',
      );
    }
  }

  /** A database command that waits until the switch has done it. */
  vsctl(...args: string[]): string {
    return this.#runTool('ovs-vsctl', ['-t', '30', ...args]);
  }

  setConfig(config: Readonly<Record<string, string>>): void {
    this.vsctl(...setConfig(config));
  }

  ofctl(...args: string[]): string {
    return this.#runTool('ovs-ofctl', args);
  }

  /** Adds flows from text lines. */
  addFlows(bridge: string, lines: readonly string[]): void {
    const file = join(this.rundir, 'flows.txt');
    writeFileSync(file, `${lines.join('\n')}\n`);
    this.ofctl('-O', 'OpenFlow13', 'add-flows', bridge, file);
  }

  /** A command of the running switch. @throws Error when it answers an error */
  async appctl(command: string, ...args: string[]): Promise<string> {
    if (this.#control === null) throw new Error('not started');
    const silence = new AbortController();
    const limit = delay(60_000, null, { signal: silence.signal, ref: false }).catch(() => null);
    const answer = await Promise.race([this.#control.call(command, args), limit]);
    silence.abort();
    if (answer === null) throw new Error(`${this.kind}: ${command} is not answered`);
    const { isError, result } = answer;
    const text = typeof result === 'string' ? result : JSON.stringify(result);
    if (isError) throw new Error(`${this.kind}: ${command} ${args.join(' ')}: ${text}`);
    return text;
  }

  pid(program: 'ovs-vswitchd' | 'ovsdb-server'): number {
    return Number(readFileSync(join(this.rundir, `${program}.pid`), 'utf8'));
  }

  /** CPU time so far of the switch's threads whose names begin with a prefix, ns. */
  cpuNs(threadPrefix: string): number {
    const tasks = `/proc/${this.pid('ovs-vswitchd')}/task`;
    let sum = 0;
    for (const tid of readdirSync(tasks)) {
      try {
        if (!readFileSync(`${tasks}/${tid}/comm`, 'utf8').startsWith(threadPrefix)) continue;
        sum += Number(readFileSync(`${tasks}/${tid}/schedstat`, 'utf8').split(' ')[0]);
      } catch {
        // The thread has just ended.
      }
    }
    return sum;
  }

  /** Resident memory of the switch, bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid('ovs-vswitchd')}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  /** Memory of the arena in use, bytes; 0 of OVS. */
  async arenaBytes(): Promise<number> {
    return Number(/arena used KB:(\d+)/.exec(await this.appctl('memory/show'))?.[1] ?? 0) * 1024;
  }

  /** Where `ovs-appctl -t PROGRAM` looks. */
  controlPath(program: 'ovs-vswitchd' | 'ovsdb-server'): string {
    return join(this.rundir, `${program}.${this.pid(program)}.ctl`);
  }

  log(): string {
    const path = join(this.rundir, 'ovs-vswitchd.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  freeze(): void {
    for (const child of this.#children) child.kill('SIGSTOP');
  }

  thaw(): void {
    for (const child of this.#children) child.kill('SIGCONT');
  }

  /** At the end of the process only: nothing of a target outlives the bench. */
  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#pages?.release();
    rmSync(this.rundir, { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    this.#control?.close();
    this.thaw();
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(limit);
    }
    running.delete(this);
    this.#pages?.release();
    rmSync(this.rundir, { recursive: true, force: true });
  }

  #program(name: string): string {
    return this.kind === 'ours' ? join(root, 'bin', name) : (findTool(name) ?? name);
  }

  async #daemon(name: 'ovs-vswitchd' | 'ovsdb-server', path: string, args: readonly string[]): Promise<void> {
    const pidfile = join(this.rundir, `${name}.pid`);
    const log = join(this.rundir, `${name}.log`);
    const own = [`--pidfile=${pidfile}`, `--log-file=${log}`, '-vconsole:emer'];
    // That of OVS-DPDK has the name of its program.
    const dpdkControl = join(this.rundir, 'dpdk.ctl');
    if (path === dpdkSwitch) own.push(`--unixctl=${dpdkControl}`);
    // A session of its own, so that it has an autogroup of its own. PMD threads bind themselves.
    const child = spawn('taskset', ['-c', '0', path, ...own, ...args], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.rundir,
      detached: true,
    });
    this.#children.push(child);
    running.add(this);
    if (path === dpdkSwitch) symlinkSync(dpdkControl, join(this.rundir, `${name}.${child.pid ?? 0}.ctl`));
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
    try {
      writeFileSync(`/proc/${child.pid ?? 0}/autogroup`, '-20');
    } catch {
      // Not root, or a kernel without autogroups: the same for both kinds.
    }
    await waitFor(
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(
            `${this.kind}: ${name} ended with ${child.exitCode ?? child.signalCode ?? ''}: ${stderr}`,
          );
        }
        if (!existsSync(pidfile) || !existsSync(this.controlPath(name))) return false;
        const client = await UnixctlClient.connect(this.controlPath(name)).catch(() => null);
        if (client === null) return false;
        const answer = await client.call('version', []).catch(() => null);
        client.close();
        return answer?.isError === false;
      },
      `${this.kind}: ${name} answers`,
      120_000,
    );
  }

  #runTool(name: string, args: readonly string[]): string {
    return this.#run(findTool(name) ?? join(root, 'bin', name), args);
  }

  #run(path: string, args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(path, args, {
      env: this.env,
      encoding: 'utf8',
      cwd: this.rundir,
      timeout: 120_000,
      maxBuffer: 1 << 28,
    });
    if (status !== 0)
      throw new Error(
        `${this.kind}: ${path} ${args.join(' ')}: exit ${status}\n${stdout}${stderr}\n${this.log().slice(-2000)}`,
      );
    return stdout;
  }
}

function setConfig(config: Readonly<Record<string, string>>): string[] {
  // In quotes: a value may hold "=" and ",".
  const words = Object.entries(config).map(([k, v]) => `other_config:${k}="${v}"`);
  return ['set', 'Open_vSwitch', '.', ...words];
}
