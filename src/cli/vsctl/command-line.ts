/** The command line of ovs-vsctl: global options, then commands set apart by `--`, each with its own options. */
import { tlsSpecs } from '../../stream/tls-options.ts';
import { getopt } from '../../sys/getopt.ts';
import type { OptionSpec, ParsedOption } from '../../sys/getopt.ts';
import { UsageError } from '../../util/errors.ts';
import { tableOptions } from '../table.ts';
import { bridgeCommands } from './bridge-commands.ts';
import type { Command, Invocation } from './context.ts';
import { databaseCommands } from './database-commands.ts';
import { detailCommands } from './detail-commands.ts';
import { switchCommands } from './switch-commands.ts';

export const commands: Readonly<Record<string, Command>> = {
  ...switchCommands,
  ...bridgeCommands,
  ...detailCommands,
  ...databaseCommands,
};

/** In the order in which they are listed. */
export const globalOptions: readonly OptionSpec[] = [
  { name: 'db', arg: 'required' },
  { name: 'no-syslog' },
  { name: 'no-wait' },
  { name: 'dry-run' },
  { name: 'oneline' },
  { name: 'timeout', short: 't', arg: 'required' },
  { name: 'retry' },
  { name: 'help', short: 'h' },
  { name: 'commands' },
  { name: 'options' },
  { name: 'leader-only' },
  { name: 'no-leader-only' },
  { name: 'shuffle-remotes' },
  { name: 'no-shuffle-remotes' },
  { name: 'version', short: 'V' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'log-file', arg: 'optional' },
  { name: 'syslog-method', arg: 'required' },
  { name: 'syslog-target', arg: 'required' },
  ...tableOptions,
  ...orderedTlsSpecs(['private-key', 'certificate', 'ca-cert', 'ssl-protocols', 'ssl-ciphers']),
];

/** Those named first, the rest behind them. */
function orderedTlsSpecs(first: readonly string[]): OptionSpec[] {
  const isFirst = ({ name }: OptionSpec): boolean => first.includes(name);
  return [...tlsSpecs.filter(isFirst), ...tlsSpecs.filter((spec) => !isFirst(spec))];
}

/** Options of commands may stand among the global ones, before the first command. */
const commandOptions: readonly OptionSpec[] = [
  ...new Map(
    Object.values(commands)
      .flatMap((command) => command.options)
      .map((name) => name.replace(/=$/, ''))
      .filter((name) => !globalOptions.some((o) => o.name === name))
      .map((name): [string, OptionSpec] => {
        const takesValue = Object.values(commands).some((c) => c.options.includes(`${name}=`));
        return [name, takesValue ? { name, arg: 'required' } : { name }];
      }),
  ).values(),
];

export interface CommandLine {
  readonly options: readonly ParsedOption[];
  /** Options of the first command that stand before it, and the words from it on. */
  readonly local: ReadonlyMap<string, string | null>;
  readonly words: readonly string[];
}

/** Splits global options from commands. @throws OptionError */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const start = endOfOptions(argv);
  const parsed = getopt(argv.slice(0, start), [...globalOptions, ...commandOptions]);
  const local = new Map<string, string | null>();
  const options: ParsedOption[] = [];
  for (const option of parsed.options) {
    if (globalOptions.some((o) => o.name === option.name)) options.push(option);
    else local.set(option.name, option.value);
  }
  return { options, local, words: argv.slice(start) };
}

/** The commands of a command line. @throws UsageError */
export function parseInvocations({ local, words }: CommandLine): readonly Invocation[] {
  const invocations: Invocation[] = [];
  let from = 0;
  for (let at = 0; at <= words.length; at++) {
    if (at < words.length && words[at] !== '--') continue;
    if (at > from)
      invocations.push(parseInvocation(words.slice(from, at), invocations.length === 0 ? local : new Map()));
    from = at + 1;
  }
  if (invocations.length === 0) throw new UsageError('missing command name (use --help for help)');
  return invocations;
}

/** Index of the first word that is neither an option nor the value of one; a `--` before commands is dropped. */
function endOfOptions(argv: readonly string[]): number {
  const specs = [...globalOptions, ...commandOptions];
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (word === '--' || word === '-' || !word.startsWith('-')) break;
    const takesNext = word.startsWith('--')
      ? !word.includes('=') && specs.some((s) => s.arg === 'required' && s.name === word.slice(2))
      : specs.some((s) => s.arg === 'required' && s.short === word.at(-1)) && word.length === 2;
    if (takesNext) at++;
  }
  return at;
}

function parseInvocation(words: readonly string[], before: ReadonlyMap<string, string | null>): Invocation {
  const options = new Map(before);
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-')) break;
    const equals = word.indexOf('=');
    const [typed = ''] = word.split('=', 1);
    // A word with one dash is nobody's option, and is told with its dash.
    const name = typed.startsWith('--') ? typed.slice(2) : typed;
    if (options.has(name)) throw new UsageError(`'${word}' option specified multiple times`);
    options.set(name, equals < 0 ? null : word.slice(equals + 1));
  }
  const name = words[at];
  if (name === undefined) throw new UsageError('missing command name (use --help for help)');
  const command = commands[name];
  if (command === undefined) throw new UsageError(`unknown command '${name}'; use --help for help`);
  for (const [option, value] of options) {
    const spec = command.options.find((o) => o.replace(/=$/, '') === option);
    if (spec === undefined)
      throw new UsageError(
        `'${name}' command has no '${option.startsWith('-') ? '' : '--'}${option}' option`,
      );
    if (spec.endsWith('=') && value === null)
      throw new UsageError(`missing argument to '--${option}' option on '${name}' command`);
    if (!spec.endsWith('=') && value !== null) {
      throw new UsageError(`'--${option}' option on '${name}' does not accept an argument`);
    }
  }
  const args = words.slice(at + 1);
  if (args.length < command.minArgs)
    throw new UsageError(`'${name}' command requires at least ${command.minArgs} arguments`);
  if (args.length > command.maxArgs) {
    const hasOption = args.some((arg) => arg.startsWith('-'));
    const note = hasOption
      ? ' (note that options must precede command names and follow a "--" argument)'
      : '';
    throw new UsageError(`'${name}' command takes at most ${command.maxArgs} arguments${note}`);
  }
  return { name, args, options };
}
