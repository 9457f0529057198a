/**
 * ovs-vsctl: configures ovs-vswitchd through its database (ovs-vsctl(8)).
 *
 * All commands of one invocation run in one transaction on a replica of the database; if the server's
 * contents changed meanwhile, or a wait-until is not satisfied, they run again from the start. Then it
 * waits until ovs-vswitchd has taken the configuration over (cur_cfg), unless --no-wait.
 */
import { readFileSync } from 'node:fs';
import { Idl } from '../ovsdb/client/index.ts';
import { ovsLogdir, ovsRundir } from '../sys/dirs.ts';
import { installExitHooks } from '../sys/exit-hooks.ts';
import {
  initVlog,
  vlogSet,
  vlogSetSyslogMethod,
  vlogSetSyslogTarget,
  vlogSetVerbosity,
} from '../sys/vlog-sink.ts';
import { openLogFile } from './log-file.ts';
import { strerror } from '../stream/errno.ts';
import { formatJson } from '../stream/json.ts';
import { applyTlsOption } from '../stream/tls-options.ts';
import { OvsError, SystemError } from '../util/errors.ts';
import { hashString, hmapOrder } from '../util/hmap-order.ts';
import { vlog } from '../util/log.ts';
import { DB_SCHEMA_VERSION, versionText } from '../util/version.ts';
import { terminal } from './output.ts';
import type { Output } from './output.ts';
import { TableStyle } from './table.ts';
import { ExitStatus } from './vsctl/bridge-commands.ts';
import { commands, parseCommandLine } from './vsctl/command-line.ts';
import type { CommandLine } from './vsctl/command-line.ts';
import { Context, TryAgain } from './vsctl/context.ts';
import type { CommandOutput, Invocation } from './vsctl/context.ts';
import { needsOf } from './vsctl/needs.ts';

const program = 'ovs-vsctl';
const log = vlog('vsctl');

interface Settings {
  readonly db: string;
  readonly isDryRun: boolean;
  readonly isOneline: boolean;
  readonly mustWait: boolean;
  readonly mustRetry: boolean;
  readonly isLeaderOnly: boolean;
  readonly isShuffled: boolean;
  readonly style: TableStyle;
  readonly output: Output;
}

export async function main(argv: readonly string[], output: Output = terminal): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  vlogSet('reconnect:console:off');
  try {
    const line = parseCommandLine(argv);
    const settings = await applyOptions(line, output);
    if (settings === null) return 0;
    return await run(line, settings, argv);
  } catch (error) {
    if (error instanceof ExitStatus) return error.status;
    if (!(error instanceof OvsError)) throw error;
    output.err(`${program}: ${error.message}\n`);
    return 1;
  }
}

/** @returns null if an option asked for information only, which has been printed. */
async function applyOptions(line: CommandLine, output: Output): Promise<Settings | null> {
  const print = (text: string): null => {
    output.out(text);
    return null;
  };
  const given = new Map<string, string | null>();
  const style = new TableStyle('list');
  for (const option of line.options) {
    const { name, value } = option;
    if (style.takeOption(name, value) || applyTlsOption(option)) continue;
    given.set(name, value);
    if (name === 'verbose') vlogSetVerbosity(value);
    else if (name === 'log-file') openLogFile(value);
    else if (name === 'syslog-method') vlogSetSyslogMethod(value ?? '');
    else if (name === 'syslog-target') vlogSetSyslogTarget(value ?? '');
    else if (name === 'no-syslog') vlogSet('vsctl:syslog:warn');
    else if (name === 'help') return print((await import('./vsctl/help.ts')).usage(program));
    else if (name === 'version') return print(`${versionText(program)}\nDB Schema ${DB_SCHEMA_VERSION}\n`);
    else if (name === 'commands') return print((await import('./vsctl/completion.ts')).commandList());
    else if (name === 'options') return print((await import('./vsctl/completion.ts')).optionList());
  }
  if (line.invocations.length === 0)
    throw new OvsError('EINVAL', 'missing command name (use --help for help)');
  const timeout = given.get('timeout');
  const { OVS_CTL_TIMEOUT: fromEnvironment = '' } = process.env;
  if (typeof timeout === 'string') startTimeout(timeout);
  else if (isTimeout(fromEnvironment)) startTimeout(fromEnvironment);
  return {
    db: given.get('db') ?? `unix:${ovsRundir()}/db.sock`,
    isDryRun: given.has('dry-run'),
    isOneline: given.has('oneline'),
    mustWait: !given.has('no-wait'),
    mustRetry: given.has('retry'),
    isLeaderOnly: !given.has('no-leader-only'),
    isShuffled: !given.has('no-shuffle-remotes'),
    style,
    output,
  };
}

const isTimeout = (text: string): boolean => /^[1-9]\d*$/.test(text);

function startTimeout(text: string): void {
  if (!isTimeout(text)) throw new OvsError('EINVAL', `value ${text} on -t or --timeout is invalid`);
  installExitHooks();
  setTimeout(() => process.kill(process.pid, 'SIGALRM'), Number(text) * 1000).unref();
}

async function run(line: CommandLine, settings: Settings, argv: readonly string[]): Promise<number> {
  const isReadOnly = line.invocations.every(({ name }) => commands[name]?.isReadOnly === true);
  log.log(isReadOnly ? 'dbg' : 'info', `Called as ${escapeArguments([program, ...argv])}`);
  const idl = openIdl(settings, line.invocations, settings.mustWait && !isReadOnly);
  try {
    idl.start();
    try {
      await idl.ready();
    } catch (error) {
      const what = idl.lastError === '' && error instanceof Error ? error.message : idl.lastError;
      throw new OvsError(
        'EIO',
        `${settings.db}: database connection failed (${what === '' ? 'End of file' : what})`,
      );
    }
    for (;;) {
      const { seqno } = idl;
      const outcome = await attempt(idl, line, settings, argv);
      if (outcome !== null) return outcome;
      await idl.waitChange(seqno);
    }
  } finally {
    idl.close();
  }
}

/** @throws OvsError if the remote makes no sense */
function openIdl(
  { db, mustRetry, isLeaderOnly, isShuffled }: Settings,
  invocations: readonly Invocation[],
  mustWait: boolean,
): Idl {
  try {
    return new Idl({
      remote: db,
      database: 'Open_vSwitch',
      tables: (schema) => needsOf(schema, invocations, mustWait),
      leaderOnly: isLeaderOnly,
      shuffleRemotes: isShuffled,
      ...(mustRetry ? {} : { maxTries: 1 }),
    });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new OvsError('EIO', `${db}: database connection failed (${strerror(error.code)})`);
  }
}

/** Runs all commands once. @returns the exit status, or null to try again after a change. */
async function attempt(
  idl: Idl,
  line: CommandLine,
  settings: Settings,
  argv: readonly string[],
): Promise<number | null> {
  const context = new Context(idl);
  const { transaction } = context;
  transaction.isDryRun = settings.isDryRun;
  if (settings.mustWait) transaction.increment('Open_vSwitch', context.root, 'next_cfg');
  transaction.comment(`ovs-vsctl (invoked by ${parentName()}): ${escapeArguments([program, ...argv])}`);
  const outputs: CommandOutput[] = [];
  try {
    for (const invocation of line.invocations)
      outputs.push(commands[invocation.name]?.run(context, invocation));
  } catch (error) {
    if (error instanceof TryAgain) return null;
    throw error;
  }
  checkSymbols(context);
  const status = await transaction.commit();
  if (status === 'try again') return idl.isConnected ? null : lostConnection(settings);
  if (status === 'not locked') throw new OvsError('EAGAIN', 'database not locked');
  if (status === 'error') throw new OvsError('EIO', `transaction error: ${transactionError(context)}`);
  for (const warning of context.warnings) log.warn(warning);
  settings.output.out(outputs.map((output) => render(output, context, settings)).join(''));
  if (settings.mustWait && status === 'success' && !settings.isDryRun)
    await waitForSwitch(context, settings.output);
  return 0;
}

function lostConnection(settings: Settings): never {
  throw new OvsError('EIO', `${settings.db}: database connection failed (End of file)`);
}

function transactionError(context: Context): string {
  const { error } = context.transaction;
  return error === undefined ? '' : formatJson(error.toJson(), true);
}

/** @throws OvsError if a name stands for nothing; warnings so far have then been given */
function checkSymbols(context: Context): void {
  for (const [name, symbol] of hmapOrder([...context.symbols], ([key]) => hashString(`@${key}`))) {
    if (!symbol.isCreated) {
      for (const warning of context.warnings) log.warn(warning);
      throw new OvsError(
        'EINVAL',
        `row id "@${name}" is referenced but never created (e.g. with "-- --id=@${name} create ...")`,
      );
    }
    if (!symbol.isStrongRef) {
      context.warn(
        `row id "@${name}" was created but no reference to it was inserted, so it will not actually appear in the database`,
      );
    }
  }
}

function render(output: CommandOutput, context: Context, settings: Settings): string {
  let text = '';
  if (typeof output === 'string') text = output;
  else if (output !== undefined && 'createdUuid' in output) {
    text = `${context.transaction.realUuid(output.createdUuid) ?? output.createdUuid}\n`;
  } else if (output !== undefined) return settings.style.print(output);
  if (!settings.isOneline) return text;
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  return `${body.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`;
}

/** Waits until ovs-vswitchd has applied this configuration, then tells which new interfaces failed. */
async function waitForSwitch(context: Context, output: Output): Promise<void> {
  const { idl, transaction } = context;
  const nextCfg = transaction.incrementResult;
  if (nextCfg === undefined) return;
  for (;;) {
    const { seqno } = idl;
    const [root] = idl.rows('Open_vSwitch');
    if (root !== undefined && root.num('cur_cfg') >= nextCfg) break;
    await idl.waitChange(seqno);
  }
  let hasFailed = false;
  for (const temporary of context.newIfaces) {
    const iface = idl.row('Interface', transaction.realUuid(temporary) ?? '');
    if (iface === undefined || (iface.opt('ofport') !== undefined && iface.num('ofport') !== -1)) continue;
    const error = iface.opt('error');
    output.err(
      `${program}: Error detected while setting up '${iface.str('name')}'${error === undefined ? '' : `: ${String(error)}`}.  See ovs-vswitchd log for details.\n`,
    );
    hasFailed = true;
  }
  if (hasFailed) output.err(`${program}: The default log directory is "${ovsLogdir()}".\n`);
}

function parentName(): string {
  try {
    return readFileSync(`/proc/${process.ppid}/comm`, 'utf8').trim();
  } catch {
    return 'parent process';
  }
}

function escapeArguments(args: readonly string[]): string {
  return args.map((arg) => (/[\s\\'"]/.test(arg) ? `"${arg.replace(/["\\]/g, '\\$&')}"` : arg)).join(' ');
}
