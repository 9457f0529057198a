import { ArenaClock } from '../arena/clock.ts';
import { createArena } from '../arena/core.ts';
import { setNetdevEnvironment } from '../netdev/environment.ts';
import { UnixctlCommands, UnixctlServer } from '../stream/unixctl.ts';
import { loadCoreModule } from '../sys/core-module.ts';
import { absFileName } from '../sys/dirs.ts';
import { unlinkAtExit } from '../sys/exit-hooks.ts';
import { setThreadName } from '../sys/threads.ts';
import { initVlog } from '../sys/vlog-sink.ts';
import { vlog } from '../util/log.ts';
import { SeededRandom, SystemRandom } from '../util/random.ts';
import { registerCommands } from './commands/register.ts';
import type { ConfigStore } from './config/store.ts';
import type { DummyMode } from './dummy-mode.ts';
import { SocketConnections } from './openflow-connections.ts';
import { Switchd } from './switchd.ts';
import { parseDummyNuma, readCpuTopology } from '../sys/numa.ts';
import { versionText } from '../util/version.ts';

const log = vlog('vswitchd');

export interface StartOptions {
  readonly program: string;
  readonly rundir: string;
  readonly dummy: DummyMode;
  /** False after --disable-system. */
  readonly systemEnabled: boolean;
  /** MiB of shared memory. */
  readonly arenaMb: number;
  /** Control socket; null = PROGRAM.PID.ctl in the run directory. */
  readonly unixctlPath: string | null;
  /** --dummy-numa: nodes of cores that need not exist; null = those of this machine. */
  readonly dummyNuma: string | null;
  readonly openStore: (wake: () => void) => ConfigStore;
  /** Fixed for repeatable runs, null = random. */
  readonly seed: number | null;
}

/**
 * The process around a Switchd: arena, clock, main loop, control socket.
 *
 * The main loop is an event loop: `wake` schedules one `run` for the next turn, a timer covers the
 * time in between, so an idle daemon wakes ten times a second at most.
 */
export class Daemon {
  readonly switchd: Switchd;
  readonly clock: ArenaClock;
  readonly commands: UnixctlCommands;
  readonly exited: Promise<void>;
  readonly #unixctl: UnixctlServer;
  #isScheduled = false;
  #timer: NodeJS.Timeout | null = null;
  #isEnded = false;
  #resolveExited: () => void = () => undefined;

  static async start(options: StartOptions): Promise<Daemon> {
    const commands = new UnixctlCommands(versionText(options.program));
    const unixctl = new UnixctlServer(commands);
    const path = options.unixctlPath ?? `${options.program}.${process.pid}.ctl`;
    if (path !== 'none') {
      await unixctl.listen(absFileName(options.rundir, path));
      unlinkAtExit(absFileName(options.rundir, path));
    }
    const daemon = new Daemon(options, commands, unixctl);
    daemon.wake();
    return daemon;
  }

  private constructor(options: StartOptions, commands: UnixctlCommands, unixctl: UnixctlServer) {
    const random = options.seed === null ? new SystemRandom() : new SeededRandom(options.seed);
    const core = createArena({
      module: loadCoreModule(),
      sizeMb: options.arenaMb,
      shared: true,
      seed: random.u32() + (random.u32() & 0x1fffff) * 2 ** 32,
      threadName: options.program,
    });
    core.x.threadOnline();
    setThreadName(options.program);
    this.clock = new ArenaClock(core);
    initVlog(options.program, this.clock);
    setNetdevEnvironment({
      core,
      clock: this.clock,
      dummy: options.dummy === 'off' ? null : options.dummy,
      systemEnabled: options.systemEnabled,
      wakeMain: () => this.wake(),
    });
    this.exited = new Promise((resolve) => (this.#resolveExited = resolve));
    const store = options.openStore(() => this.wake());
    this.switchd = new Switchd({
      core,
      clock: this.clock,
      random,
      store,
      connections: new SocketConnections(options.rundir),
      rundir: options.rundir,
      topology: options.dummyNuma === null ? readCpuTopology() : parseDummyNuma(options.dummyNuma),
      dummyOverride: options.dummy === 'override',
      dummyEnabled: options.dummy !== 'off',
      wake: () => this.wake(),
    });
    this.commands = commands;
    registerCommands(this.commands, this, options.dummy !== 'off');
    this.#unixctl = unixctl;
  }

  /** Runs the switch in the next turn of the event loop. */
  wake(): void {
    if (this.#isScheduled || this.#isEnded) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  /** Resolves once the first configuration is applied, however long the database cannot be reached. */
  async ready(): Promise<void> {
    while (!this.switchd.isConfigured && !this.#isEnded) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Ends the switch in order: devices, threads, sockets. */
  async exit(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.switchd.close();
    // The reply to `exit` is still to be sent when its handler has returned.
    setImmediate(() => {
      void this.#unixctl
        .drain()
        .then(() => this.#unixctl.close())
        .then(() => this.#resolveExited());
    });
  }

  #turn(): void {
    this.#isScheduled = false;
    if (this.#isEnded) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    let worked = 0;
    try {
      worked = this.switchd.run();
    } catch (error) {
      log.err(`main loop: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    if (worked > 0) this.wake();
    else {
      const waitMs = Math.max(1, this.switchd.wakeAtMs - this.clock.nowMs());
      this.#timer = setTimeout(() => this.wake(), waitMs);
    }
  }
}
