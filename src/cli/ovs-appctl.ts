/** ovs-appctl: sends a command to a running daemon and prints its answer (ovs-appctl(8)). */
import { UnixctlClient, controlSocketPath, formatJson, formatJsonPretty } from '../stream/index.ts';
import type { Json } from '../stream/index.ts';
import { ovsRundir } from '../sys/dirs.ts';
import { endAfter } from '../sys/exit-hooks.ts';
import { getopt } from '../sys/getopt.ts';
import type { OptionSpec } from '../sys/getopt.ts';
import { applyVlogOption } from '../sys/vlog-options.ts';
import { initVlog, vlogSet } from '../sys/vlog-sink.ts';
import { OvsError } from '../util/errors.ts';
import { terminal } from './output.ts';
import { optionList } from './option-list.ts';
import { versionText } from '../util/version.ts';

const program = 'ovs-appctl';

const specs: readonly OptionSpec[] = [
  { name: 'target', short: 't', arg: 'required' },
  { name: 'execute', short: 'e' },
  { name: 'help', short: 'h' },
  { name: 'option', short: 'o' },
  { name: 'version', short: 'V' },
  { name: 'timeout', short: 'T', arg: 'required' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'log-file', arg: 'optional' },
  { name: 'syslog-method', arg: 'required' },
  { name: 'syslog-target', arg: 'required' },
  { name: 'format', short: 'f', arg: 'required' },
  { name: 'pretty' },
];

const help = `${program}, for querying and controlling Open vSwitch daemon
usage: ${program} [TARGET] COMMAND [ARG...]
Targets:
  -t, --target=TARGET  pidfile or socket to contact
Common commands:
  list-commands      List commands supported by the target
  version            Print version of the target
  vlog/list          List current logging levels
  vlog/list-pattern  List logging patterns for each destination.
  vlog/set [SPEC]
      Set log levels as detailed in SPEC, which may include:
      A valid module name (all modules, by default)
      'syslog', 'console', 'file' (all destinations, by default))
      'off', 'emer', 'err', 'warn', 'info', or 'dbg' ('dbg', bydefault)
  vlog/reopen        Make the program reopen its log file
Other options:
  --timeout=SECS     wait at most SECS seconds for a response
  -f, --format=FMT   Output format. One of: 'json', or 'text'
                     ('text', by default)
  --pretty           Used with JSON format to produce pretty-printed output
  -h, --help         Print this helpful information
  -V, --version      Display ovs-appctl version information
`;

interface Settings {
  target: string;
  isJson: boolean;
  isPretty: boolean;
  readonly words: readonly string[];
}

export async function main(argv: readonly string[]): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  try {
    const settings = parse(argv);
    return settings === null ? 0 : await ask(settings);
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    terminal.err(`${program}: ${error.message}\n`);
    return 1;
  }
}

/** @returns null if only information was asked for, which has been printed. */
function parse(argv: readonly string[]): Settings | null {
  const { options, rest } = getopt(argv, specs, false);
  const settings: Settings = { target: 'ovs-vswitchd', isJson: false, isPretty: false, words: rest };
  for (const option of options) {
    if (applyVlogOption(option)) continue;
    const { name, value } = option;
    if (name === 'target') settings.target = value ?? '';
    else if (name === 'format') {
      if (value !== 'json' && value !== 'text')
        throw new OvsError('EINVAL', `value "${value ?? ''}" on -f or --format is invalid`);
      settings.isJson = value === 'json';
    } else if (name === 'pretty') settings.isPretty = true;
    else if (name === 'timeout') startTimeout(value ?? '');
    else if (name === 'help') return print(help);
    else if (name === 'version') return print(`${versionText(program)}\n`);
    else if (name === 'option') return print(optionList(specs));
  }
  if (rest.length === 0)
    throw new OvsError('EINVAL', 'at least one non-option argument is required (use --help for help)');
  return settings;
}

function print(text: string): null {
  terminal.out(text);
  return null;
}

function startTimeout(text: string): void {
  if (!/^[1-9]\d*$/.test(text)) throw new OvsError('EINVAL', `value ${text} on -T or --timeout is invalid`);
  endAfter(Number(text));
}

async function ask(settings: Settings): Promise<number> {
  const path = controlSocketPath(settings.target, ovsRundir());
  const client = await UnixctlClient.connect(path);
  const [command = '', ...args] = settings.words;
  try {
    if (settings.isJson) await client.call('set-options', ['--format', 'json']);
    const { isError, result } = await client.call(command, args);
    if (!isError) {
      terminal.out(show(result, settings));
      return 0;
    }
    terminal.err(
      `${typeof result === 'string' ? result : formatJson(result)}${program}: ${settings.target}: server returned an error\n`,
    );
    return 2;
  } finally {
    client.close();
  }
}

function show(result: Json, settings: Settings): string {
  if (!settings.isJson) return typeof result === 'string' ? result : `${formatJson(result)}\n`;
  return `${settings.isPretty ? formatJsonPretty(result) : formatJson(result, true)}\n`;
}
