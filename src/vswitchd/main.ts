import { join } from 'node:path';
import { netdevEnvironment } from '../netdev/environment.ts';
import { applyTlsOption, streamUsage, tlsSpecs } from '../stream/tls-options.ts';
import {
  daemonUsage,
  daemonizeComplete,
  daemonizeStart,
  ovsFatal,
  parseDaemonOptions,
  vlogUsage,
} from '../sys/daemon.ts';
import { ovsRundir } from '../sys/dirs.ts';
import { errorText } from '../sys/errno.ts';
import { lockMemory } from '../sys/memory.ts';
import { UsageError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import { Daemon } from './daemon.ts';
import { OvsdbStore } from './config/ovsdb-store.ts';
import { OVS_VERSION, versionText } from '../util/version.ts';
import { parseDummyMode, type DummyMode } from './dummy-mode.ts';

const log = vlog('vswitchd');
const program = 'ovs-vswitchd';

function usage(): string {
  return (
    `${program}: Open vSwitch daemon\n` +
    `usage: ${program} [OPTIONS] [DATABASE]\n` +
    `where DATABASE is a socket on which ovsdb-server is listening\n` +
    `      (default: "unix:${ovsRundir()}/db.sock").\n` +
    streamUsage('DATABASE', { active: true, bootstrap: true }) +
    daemonUsage(program) +
    vlogUsage(program) +
    '\nOther options:\n' +
    '  --unixctl=SOCKET          override default control socket name\n' +
    '  --mlockall                lock all memory into RAM as it is used\n' +
    '  --enable-dummy[=override|system]  allow dummy ports and datapaths, for testing\n' +
    '  --disable-system          do not use the kernel datapath\n' +
    '  --arena-mb=MB             shared memory of all threads (default 2048)\n' +
    '  -h, --help                display this help message\n' +
    '  -V, --version             display version information\n'
  );
}

/** The ovs-vswitchd program. Resolves when the daemon has been asked to exit. */
export async function main(argv: readonly string[]): Promise<number> {
  let unixctl: string | null = null;
  let dummy: DummyMode = 'off';
  let arenaMb = 2048;
  let systemEnabled = true;
  let dummyNuma: string | null = null;
  let wantsMemoryLock = false;
  let parsed: ReturnType<typeof parseDaemonOptions>;
  try {
    parsed = parseDaemonOptions(program, argv, [
      { name: 'unixctl', arg: 'required' },
      { name: 'mlockall' },
      { name: 'enable-dummy', arg: 'optional' },
      { name: 'disable-system' },
      { name: 'disable-system-route' },
      { name: 'dummy-numa', arg: 'required' },
      { name: 'arena-mb', arg: 'required' },
      { name: 'help', short: 'h' },
      { name: 'version', short: 'V' },
      ...tlsSpecs,
    ]);
    for (const { name, value } of parsed.options) {
      if (name === 'unixctl') unixctl = value;
      else if (name === 'enable-dummy') dummy = parseDummyMode(value);
      else if (name === 'mlockall') wantsMemoryLock = true;
      else if (name === 'disable-system') systemEnabled = false;
      else if (name === 'dummy-numa') dummyNuma = value;
      else if (name === 'arena-mb') arenaMb = Number(value);
      else if (name === 'help') {
        process.stdout.write(usage());
        return 0;
      } else if (name === 'version') {
        process.stdout.write(`${versionText(program)}\n`);
        return 0;
      } else applyTlsOption({ name, value });
    }
    if (parsed.rest.length > 1) {
      throw new UsageError('at most one non-option argument accepted; use --help for usage');
    }
    if (!Number.isInteger(arenaMb) || arenaMb < 64 || arenaMb > 4096) {
      throw new UsageError(`--arena-mb takes 64 to 4096, not ${arenaMb}`);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return 1;
  }

  await daemonizeStart(parsed.daemon, true);
  const rundir = ovsRundir();
  const remote = parsed.rest[0] ?? `unix:${join(rundir, 'db.sock')}`;
  let daemon: Daemon;
  try {
    daemon = await Daemon.start({
      program,
      rundir,
      dummy,
      systemEnabled,
      dummyNuma,
      arenaMb,
      unixctlPath: unixctl,
      openStore: (wake) => OvsdbStore.connect(remote, wake),
      seed: null,
    });
  } catch (error) {
    ovsFatal(program, error instanceof Error ? error.message : String(error));
  }
  if (wantsMemoryLock) {
    try {
      lockMemory(netdevEnvironment().core.memory);
    } catch (error) {
      log.err(`mlockall failed: ${errorText(error)}`);
    }
  }
  // The parent of --detach returns once a configuration was applied.
  await daemon.ready();
  daemonizeComplete(parsed.daemon);
  vlog('bridge').info(`${program} (Open vSwitch) ${OVS_VERSION}`);
  await daemon.exited;
  return 0;
}
