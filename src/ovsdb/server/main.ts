/** The ovsdb-server program (ovsdb-server(1)). */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import {
  daemonUsage,
  daemonizeComplete,
  daemonizeStart,
  ovsFatal,
  parseDaemonOptions,
  vlogUsage,
} from '../../sys/daemon.ts';
import { absFileName, ovsDbdir, ovsRundir } from '../../sys/dirs.ts';
import { applyTlsOption, streamUsage, tlsSpecs } from '../../stream/index.ts';
import type { OptionSpec } from '../../sys/getopt.ts';
import { UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { OVS_VERSION, versionText } from '../../util/version.ts';
import { runOvsdbServer } from './embed.ts';
import type { RunningOvsdbServer } from './embed.ts';
import { savedConfigPath } from './saved-config.ts';

const program = 'ovsdb-server';
const log = vlog('ovsdb_server');

const specs: readonly OptionSpec[] = [
  { name: 'remote', arg: 'required' },
  { name: 'unixctl', arg: 'required' },
  { name: 'run', arg: 'required' },
  { name: 'sync-from', arg: 'required' },
  { name: 'sync-exclude-tables', arg: 'required' },
  { name: 'active' },
  { name: 'no-dbs' },
  { name: 'disable-file-column-diff' },
  { name: 'disable-file-no-data-conversion' },
  { name: 'config-file', arg: 'required' },
  { name: 'record', arg: 'optional' },
  { name: 'replay', arg: 'optional' },
  { name: 'help', short: 'h' },
  { name: 'version', short: 'V' },
  ...tlsSpecs,
];

function usage(): string {
  return (
    `${program}: Open vSwitch database server\n` +
    `usage: ${program} [OPTIONS] [DATABASE...]\n` +
    `where each DATABASE is a database file in ovsdb format.\n` +
    `The default DATABASE, if none is given, is\n${ovsDbdir()}/conf.db.\n` +
    '\nJSON-RPC options (may be specified any number of times):\n' +
    '  --remote=REMOTE         connect or listen to REMOTE\n' +
    streamUsage('JSON-RPC', { active: true, passive: true, bootstrap: true }) +
    '\nConfiguration file:\n' +
    '  --config-file=FILE      take databases and remotes from FILE, instead of\n' +
    '                          from DATABASE, --remote and syncing options\n' +
    daemonUsage(program) +
    vlogUsage(program) +
    '\nSyncing options:\n' +
    '  --sync-from=SERVER      sync DATABASE from active SERVER and start in\n' +
    '                          backup mode (except with --active)\n' +
    '  --sync-exclude-tables=DB:TABLE,...\n' +
    '                          exclude the TABLE in DB from syncing\n' +
    '  --active                with --sync-from, start in active mode\n' +
    '\nOther options:\n' +
    '  --run COMMAND           run COMMAND as subprocess then exit\n' +
    '  --unixctl=SOCKET        override default control socket name\n' +
    '  --disable-file-column-diff\n' +
    "                          don't use column diff in database file\n" +
    '  -h, --help              display this help message\n' +
    '  -V, --version           display version information\n'
  );
}

/** Resolves with the exit status when the server has been asked to exit. */
export async function main(argv: readonly string[]): Promise<number> {
  const remotes: string[] = [];
  let unixctl: string | null = null;
  let command: string | null = null;
  let syncFrom: string | null = null;
  let excludeTables = '';
  let isActive = false;
  let hasDatabases = true;
  let hasColumnDiff = true;
  let configFile: string | null = null;
  let parsed: ReturnType<typeof parseDaemonOptions>;
  try {
    parsed = parseDaemonOptions(program, argv, specs);
    for (const { name, value } of parsed.options) {
      if (name === 'remote') remotes.push(value ?? '');
      else if (name === 'unixctl') unixctl = value;
      else if (name === 'run') command = value;
      else if (name === 'sync-from') syncFrom = value;
      else if (name === 'sync-exclude-tables') excludeTables = value ?? '';
      else if (name === 'active') isActive = true;
      else if (name === 'no-dbs') hasDatabases = false;
      else if (name === 'disable-file-column-diff') hasColumnDiff = false;
      else if (name === 'config-file') configFile = absFileName(ovsDbdir(), value ?? '');
      else if (name === 'record' || name === 'replay')
        throw new UsageError(`--${name} is not supported: this server records and replays nothing`);
      else if (name === 'help') {
        process.stdout.write(usage());
        return 0;
      } else if (name === 'version') {
        process.stdout.write(`${versionText(program)}\n`);
        return 0;
      } else applyTlsOption({ name, value });
    }
    if (configFile !== null) {
      if (syncFrom !== null || excludeTables !== '' || isActive)
        throw new UsageError(
          '--config-file is mutually exclusive with --sync-from, --sync-exclude and --active',
        );
      if (remotes.length > 0) throw new UsageError('--config-file is mutually exclusive with --remote');
      if (parsed.rest.length > 0) throw new UsageError('Databases should be specified in a config file');
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return 1;
  }
  const isDefault = parsed.rest.length === 0 && hasDatabases && configFile === null;
  const files = isDefault ? [join(ovsDbdir(), 'conf.db')] : parsed.rest;

  await daemonizeStart(parsed.daemon);
  let running: RunningOvsdbServer;
  try {
    running = await runOvsdbServer({
      files,
      remotes,
      unixctlPath: unixctlPath(unixctl),
      hasColumnDiff,
      ...(configFile === null ? {} : { configFile }),
      ...(parsed.daemon.monitor && configFile === null
        ? { savedConfigPath: savedConfigPath(ovsRundir()) }
        : {}),
      sync: { from: syncFrom, excludeTables, isBackup: syncFrom !== null && !isActive },
    });
  } catch (error) {
    ovsFatal(program, error instanceof Error ? error.message : String(error));
  }
  daemonizeComplete(parsed.daemon);
  if (command === null) log.info(`${program} (Open vSwitch) ${OVS_VERSION}`);
  const ended = command === null ? running.exitRequested.then(() => 0) : runCommand(command);
  const status = await ended;
  await running.close();
  return status;
}

function unixctlPath(option: string | null): string | null {
  if (option === 'none') return null;
  return absFileName(ovsRundir(), option ?? `${program}.${process.pid}.ctl`);
}

async function runCommand(command: string): Promise<number> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: 'inherit' });
  return await new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code === 0 ? 0 : 1));
    child.once('error', () => resolve(1));
  });
}
