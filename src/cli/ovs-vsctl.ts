/**
 * ovs-vsctl: configures ovs-vswitchd through its database (ovs-vsctl(8)).
 *
 * All commands of one invocation run in one transaction on a replica of the database; if the server's
 * contents changed meanwhile, or a wait-until is not satisfied, they run again from the start. Then it
 * waits until ovs-vswitchd has taken the configuration over (cur_cfg), unless --no-wait.
 */
import { readFileSync } from 'node:fs';
import { Idl } from '../ovsdb/client/index.ts';
import type { MonitorTables } from '../ovsdb/client/index.ts';
import type { DatabaseSchema } from '../ovsdb/schema.ts';
import { ovsLogdir, ovsRundir } from '../sys/dirs.ts';
import { endAfter, installExitHooks } from '../sys/exit-hooks.ts';
import { applyVlogOption } from '../sys/vlog-options.ts';
import { initVlog, vlogSet } from '../sys/vlog-sink.ts';
import { strerror } from '../stream/errno.ts';
import { formatJson } from '../stream/json.ts';
import { applyTlsOption } from '../stream/tls-options.ts';
import { OptionError, OvsError, SystemError } from '../util/errors.ts';
import { hashString, hmapOrder } from '../util/hmap-order.ts';
import { vlog } from '../util/log.ts';
import { DB_SCHEMA_VERSION, versionText } from '../util/version.ts';
import { terminal } from './output.ts';
import type { Output } from './output.ts';
import { TableStyle } from './table.ts';
import { ExitStatus } from './vsctl/bridge-commands.ts';
import { commands, parseCommandLine, parseInvocations } from './vsctl/command-line.ts';
import type { CommandLine } from './vsctl/command-line.ts';
import { Context, TryAgain } from './vsctl/context.ts';
import type { CommandOutput, Invocation } from './vsctl/context.ts';
import { needsOf } from './vsctl/needs.ts';

const program = 'ovs-vsctl';
const log = vlog('vsctl');
const failureLog = vlog('db_ctl_base');

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
  vlogSet('reconnect:warn');
  try {
    const line = parseCommandLine(argv);
    const settings = await applyOptions(line, output);
    if (settings === null) return 0;
    installExitHooks();
    return await run(parseInvocations(line), settings, argv);
  } catch (error) {
    if (error instanceof ExitStatus) return error.status;
    if (!(error instanceof OvsError)) throw error;
    if (!(error instanceof OptionError)) logFailure(error.message);
    output.err(`${program}: ${error.message}\n`);
    return 1;
  }
}

/** For syslog and the log file: standard error gets it without a log's dress. */
function logFailure(message: string): void {
  vlogSet('db_ctl_base:console:off');
  failureLog.err(message);
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
    if (style.takeOption(name, value) || applyTlsOption(option) || applyVlogOption(option)) continue;
    given.set(name, value);
    if (name === 'no-syslog') vlogSet('vsctl:syslog:warn');
    else if (name === 'help') return print((await import('./vsctl/help.ts')).usage(program));
    else if (name === 'version') return print(`${versionText(program)}\nDB Schema ${DB_SCHEMA_VERSION}\n`);
    else if (name === 'commands') return print((await import('./vsctl/completion.ts')).commandList());
    else if (name === 'options') return print((await import('./vsctl/completion.ts')).optionList());
  }
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
  endAfter(Number(text));
}

async function run(
  invocations: readonly Invocation[],
  settings: Settings,
  argv: readonly string[],
): Promise<number> {
  const isReadOnly = invocations.every(({ name }) => commands[name]?.isReadOnly === true);
  log.log(isReadOnly ? 'dbg' : 'info', `Called as ${escapeArguments([program, ...argv])}`);
  const mustWait = settings.mustWait && !isReadOnly;
  const names: { fault?: OvsError } = {};
  const idl = await openIdl(settings, invocations, (schema) => {
    try {
      return needsOf(schema, invocations, mustWait);
    } catch (error) {
      if (!(error instanceof OvsError)) throw error;
      names.fault = error;
      return { Open_vSwitch: ['cur_cfg'] };
    }
  });
  try {
    idl.start();
    try {
      await idl.ready();
    } catch (error) {
      const what = idl.lastError === '' && error instanceof Error ? error.message : idl.lastError;
      throw await connectionFailure(settings.db, what === '' ? 'End of file' : what, invocations);
    }
    if (names.fault !== undefined) throw names.fault;
    for (;;) {
      const { seqno } = idl;
      const outcome = await attempt(idl, invocations, settings, argv);
      if (outcome !== null) return outcome;
      await idl.waitChange(seqno);
    }
  } finally {
    idl.close();
  }
}

/** @throws OvsError if the remote makes no sense */
async function openIdl(
  { db, mustRetry, isLeaderOnly, isShuffled }: Settings,
  invocations: readonly Invocation[],
  tables: (schema: DatabaseSchema) => MonitorTables,
): Promise<Idl> {
  try {
    return new Idl({
      remote: db,
      database: 'Open_vSwitch',
      tables,
      leaderOnly: isLeaderOnly,
      shuffleRemotes: isShuffled,
      ...(mustRetry ? {} : { maxTries: 1 }),
    });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw await connectionFailure(db, strerror(error.code), invocations);
  }
}

/** What to say without a connection: names of tables and columns that are wrong go before it. */
async function connectionFailure(
  db: string,
  why: string,
  invocations: readonly Invocation[],
): Promise<OvsError> {
  const { defaultSchemaFile, readSchemaFile } = await import('../ovsdb/server/share-dir.ts');
  needsOf(readSchemaFile(defaultSchemaFile()), invocations, false);
  return new OvsError('EIO', `${db}: database connection failed (${why})`);
}

/** Runs all commands once. @returns the exit status, or null to try again after a change. */
async function attempt(
  idl: Idl,
  invocations: readonly Invocation[],
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
    for (const invocation of invocations) outputs.push(commands[invocation.name]?.run(context, invocation));
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
