/** ovsdb-tool: creates, inspects and changes database files that no server has open (ovsdb-tool(1)). */
import { getopt } from '../sys/getopt.ts';
import type { OptionSpec, ParsedOption } from '../sys/getopt.ts';
import { applyVlogOption } from '../sys/vlog-options.ts';
import { initVlog, vlogSet } from '../sys/vlog-sink.ts';
import { isUuid } from '../ovsdb/data/atom.ts';
import { OvsdbError } from '../ovsdb/errors.ts';
import { OvsError, UsageError } from '../util/errors.ts';
import { versionText } from '../util/version.ts';
import { clusterCommands } from './ovsdb-tool/cluster-commands.ts';
import type { Command, ToolSettings } from './ovsdb-tool/command.ts';
import { fileCommands } from './ovsdb-tool/file-commands.ts';
import { optionList } from './option-list.ts';
import { terminal } from './output.ts';
import type { Output } from './output.ts';

const program = 'ovsdb-tool';

const specs: readonly OptionSpec[] = [
  { name: 'more', short: 'm' },
  { name: 'rbac-role', arg: 'required' },
  { name: 'cid', arg: 'required' },
  { name: 'election-timer', arg: 'required' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'help', short: 'h' },
  { name: 'option', short: 'o' },
  { name: 'version', short: 'V' },
];

const commands: Readonly<Record<string, Command>> = { ...fileCommands, ...clusterCommands };

export async function main(argv: readonly string[], output: Output = terminal): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  try {
    const { options, rest } = getopt(argv, specs);
    const settings = await applyOptions(options, output);
    if (settings === null) return 0;
    const [name, ...args] = rest;
    if (name === undefined) throw new UsageError('missing command name; use --help for help');
    if (name === 'help') return await printHelp(output);
    if (name === 'list-commands') {
      output.out((await import('./ovsdb-tool/help.ts')).commandList);
      return 0;
    }
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new UsageError(`unknown command '${name}'; use --help for help`);
    if (args.length < command.minArgs)
      throw new UsageError(`'${name}' command requires at least ${command.minArgs} arguments`);
    if (args.length > command.maxArgs)
      throw new UsageError(`'${name}' command takes at most ${command.maxArgs} arguments`);
    const outcome = await command.run(args, { ...settings, name });
    output.out(typeof outcome === 'string' ? outcome : outcome.text);
    if (typeof outcome === 'string') return 0;
    if (outcome.error !== undefined) output.err(outcome.error);
    return outcome.status;
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    output.err(`${program}: ${error.message}\n`);
    return 1;
  }
}

/** @returns null if an option asked for information only, which has been printed. */
async function applyOptions(
  options: readonly ParsedOption[],
  output: Output,
): Promise<Omit<ToolSettings, 'name'> | null> {
  let verbosity = 0;
  let rbacRole: string | null = null;
  for (const option of options) {
    if (applyVlogOption(option)) continue;
    const { name, value } = option;
    switch (name) {
      case 'more':
        verbosity++;
        break;
      case 'rbac-role':
        rbacRole = value;
        break;
      case 'cid':
        if (!isUuid(value ?? '')) throw new UsageError(`${value ?? ''}: not a valid UUID`);
        break;
      case 'election-timer':
        if (!/^\d+$/.test(value ?? '') || Number(value) < 100 || Number(value) > 600_000)
          throw new OvsdbError('ovsdb error', 'election timer must be between 100 and 600000, in msec.');
        break;
      case 'version':
        output.out(`${versionText(program)}\n`);
        return null;
      case 'option':
        output.out(optionList(specs));
        return null;
      case 'help':
        await printHelp(output);
        return null;
      default:
    }
  }
  return { verbosity, rbacRole };
}

async function printHelp(output: Output): Promise<number> {
  const { usage } = await import('./ovsdb-tool/help.ts');
  output.out(usage(program));
  return 0;
}
