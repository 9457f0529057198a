/**
 * ovs-dpctl: administers datapaths (ovs-dpctl(8)).
 *
 * The stock program opens kernel datapaths by itself. Userspace datapaths live in ovs-vswitchd, which
 * has the same commands under dpctl/: they are sent there.
 */
import { UnixctlClient, controlSocketPath } from '../stream/index.ts';
import { ovsRundir } from '../sys/dirs.ts';
import { getopt } from '../sys/getopt.ts';
import { applyVlogOption } from '../sys/vlog-options.ts';
import { initVlog, vlogSet } from '../sys/vlog-sink.ts';
import { OvsError, UsageError } from '../util/errors.ts';
import { terminal } from './output.ts';
import { versionText } from '../util/version.ts';

const program = 'ovs-dpctl';

const help = `${program}: Open vSwitch datapath management utility
usage: ${program} [OPTIONS] COMMAND [ARG...]
  dump-dps                    display names of all datapaths
  show                        show basic info on all datapaths
  show DP...                  show basic info on each DP
  dump-flows [DP]             display flows in DP
  del-flows [DP]              delete all flows from DP

Options:
  -s, --statistics            print statistics for port or flow
  -m, --more                  increase verbosity of output
  --names, --no-names         show port names or numbers
  -vSPEC, --verbose=SPEC, --log-file[=FILE], --syslog-method=METHOD, --syslog-target=HOST:PORT
                              as for the daemons
  -h, --help                  display this help message
  -V, --version               display version information

The commands are carried out by ovs-vswitchd, which must be running.
`;

const commands: readonly string[] = ['dump-dps', 'show', 'dump-flows', 'del-flows'];

export async function main(argv: readonly string[]): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  try {
    return await run(argv);
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    terminal.err(`${program}: ${error.message}\n`);
    return 1;
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { options, rest } = getopt(argv, [
    { name: 'statistics', short: 's' },
    { name: 'more', short: 'm' },
    { name: 'names' },
    { name: 'no-names' },
    { name: 'verbose', short: 'v', arg: 'optional' },
    { name: 'log-file', arg: 'optional' },
    { name: 'syslog-target', arg: 'required' },
    { name: 'syslog-method', arg: 'required' },
    { name: 'help', short: 'h' },
    { name: 'version', short: 'V' },
  ]);
  const flags: string[] = [];
  for (const option of options) {
    if (applyVlogOption(option)) continue;
    const { name } = option;
    if (name === 'help' || name === 'version') {
      terminal.out(name === 'help' ? help : `${versionText(program)}\n`);
      return 0;
    }
    if (name === 'statistics') flags.push('-s');
    else if (name === 'more') flags.push('-m');
    else flags.push(`--${name}`);
  }
  const [command, ...args] = rest;
  if (command === undefined) throw new UsageError('missing command name; use --help for help');
  if (!commands.includes(command)) throw new UsageError(`unknown command '${command}'; use --help for help`);
  const client = await UnixctlClient.connect(controlSocketPath('ovs-vswitchd', ovsRundir()));
  try {
    const { isError, result } = await client.call(`dpctl/${command}`, [...flags, ...args]);
    const text = typeof result === 'string' ? result : '';
    if (isError) {
      terminal.err(`${program}: ${text}`);
      return 1;
    }
    terminal.out(text);
    return 0;
  } finally {
    client.close();
  }
}
