/** ovsdb-client: talks to a database server (ovsdb-client(1)). */
import { applyTlsOption, tlsSpecs } from '../stream/tls-options.ts';
import { daemonizeStart, parseDaemonOptions } from '../sys/daemon.ts';
import { endAfter, installExitHooks } from '../sys/exit-hooks.ts';
import type { OptionSpec, ParsedOption } from '../sys/getopt.ts';
import { OvsError, UsageError } from '../util/errors.ts';
import { versionText } from '../util/version.ts';
import type { ClientSettings, Command, LoneCommand } from './ovsdb-client/command.ts';
import { openTarget } from './ovsdb-client/target.ts';
import type { Target } from './ovsdb-client/target.ts';
import { terminal } from './output.ts';
import type { Output } from './output.ts';
import { TableStyle, tableOptions } from './table.ts';

const program = 'ovsdb-client';

const specs: readonly OptionSpec[] = [
  { name: 'timeout', short: 't', arg: 'required' },
  { name: 'timestamp' },
  { name: 'force' },
  { name: 'leader-only' },
  { name: 'no-leader-only' },
  { name: 'db-change-aware' },
  { name: 'no-db-change-aware' },
  { name: 'record', arg: 'optional' },
  { name: 'replay', arg: 'optional' },
  { name: 'help', short: 'h' },
  { name: 'version', short: 'V' },
  ...tlsSpecs,
  ...tableOptions,
];

/** Where each command is: a run loads only the file of its own. */
const families: Readonly<Record<string, () => Promise<Readonly<Record<string, Command | LoneCommand>>>>> = {
  schema: async () => (await import('./ovsdb-client/schema-commands.ts')).schemaCommands,
  data: async () => (await import('./ovsdb-client/data-commands.ts')).dataCommands,
  backup: async () => (await import('./ovsdb-client/backup.ts')).backupCommands,
  monitor: async () => (await import('./ovsdb-client/monitor.ts')).monitorCommands,
  wait: async () => (await import('./ovsdb-client/wait-commands.ts')).waitCommands,
};
const familyOf: Readonly<Record<string, string>> = {
  'list-dbs': 'schema',
  'get-schema': 'schema',
  'get-schema-version': 'schema',
  'get-schema-cksum': 'schema',
  'list-tables': 'schema',
  'list-columns': 'schema',
  'needs-conversion': 'schema',
  convert: 'schema',
  transact: 'data',
  query: 'data',
  dump: 'data',
  backup: 'backup',
  restore: 'backup',
  monitor: 'monitor',
  'monitor-cond': 'monitor',
  'monitor-cond-since': 'monitor',
  wait: 'wait',
  lock: 'wait',
  steal: 'wait',
  unlock: 'wait',
};

export async function main(argv: readonly string[], output: Output = terminal): Promise<number> {
  let target: Target | undefined;
  try {
    const { daemon, options, rest } = parseDaemonOptions(program, argv, specs);
    const style = new TableStyle('table');
    const settings = await applyOptions(options, style, output);
    if (settings === null) return 0;
    const [name, ...args] = rest;
    if (name === undefined) throw new UsageError('missing command name; use --help for help');
    if (name === 'help') return await printHelp(output);
    installExitHooks();
    const command = await findCommand(name);
    if (args.length < command.minArgs) throw invalidSyntax(name);
    if (command.needs === 'nothing') {
      if (args.length > command.maxArgs) throw invalidSyntax(name);
      await command.run(args);
      return 0;
    }
    await daemonizeStart(daemon);
    target = await openTarget(
      args,
      command.minArgs,
      command.needs === 'database',
      settings.isLeaderOnly,
      command.databaseIn,
    );
    const { connection, database, rest: own } = target;
    if (own.length < command.minArgs || own.length > command.maxArgs) throw invalidSyntax(name);
    await command.run({ connection, database, args: own, style, output, settings, daemon });
    return 0;
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    output.err(`${program}: ${error.message}\n`);
    return 1;
  } finally {
    target?.connection.close();
  }
}

function invalidSyntax(name: string): UsageError {
  return new UsageError(`invalid syntax for '${name}' (use --help for help)`);
}

async function findCommand(name: string): Promise<Command | LoneCommand> {
  const family = Object.hasOwn(familyOf, name) ? familyOf[name] : undefined;
  const command = family === undefined ? undefined : (await families[family]?.())?.[name];
  if (command === undefined) throw new UsageError(`unknown command '${name}'; use --help for help`);
  return command;
}

/** @returns null if an option asked for information only, which has been printed. */
async function applyOptions(
  options: readonly ParsedOption[],
  style: TableStyle,
  output: Output,
): Promise<ClientSettings | null> {
  const settings = { isForced: false, hasTimestamps: false, isLeaderOnly: true, isDbChangeAware: false };
  for (const option of options) {
    const { name, value } = option;
    if (style.takeOption(name, value) || applyTlsOption(option)) continue;
    switch (name) {
      case 'timeout':
        startTimeout(value ?? '');
        break;
      case 'timestamp':
        settings.hasTimestamps = true;
        break;
      case 'force':
        settings.isForced = true;
        break;
      case 'leader-only':
      case 'no-leader-only':
        settings.isLeaderOnly = name === 'leader-only';
        break;
      case 'db-change-aware':
      case 'no-db-change-aware':
        settings.isDbChangeAware = name === 'db-change-aware';
        break;
      case 'record':
      case 'replay':
        throw new UsageError(`--${name} is not supported: this client records and replays nothing`);
      case 'version':
        output.out(`${versionText(program)}\n`);
        return null;
      default:
        await printHelp(output);
        return null;
    }
  }
  return settings;
}

async function printHelp(output: Output): Promise<number> {
  const { usage } = await import('./ovsdb-client/help.ts');
  output.out(usage(program));
  return 0;
}

function startTimeout(text: string): void {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`value ${text} on -t or --timeout is invalid`);
  endAfter(Number(text));
}
