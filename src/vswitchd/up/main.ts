import { UsageError } from '../../util/errors.ts';
import { versionText } from '../../util/version.ts';
import { up, type UpOptions } from './up.ts';

const usage = `megaflow: an Open vSwitch in TypeScript
usage: megaflow COMMAND [OPTIONS]

Commands:
  up            start ovsdb-server and ovs-vswitchd in the foreground, with a
                bridge br0 and three virtual hosts that talk to each other

Options of up:
  --for SECONDS stop by itself after SECONDS, with a last summary
  --no-lab      no virtual hosts and no bridge: the bare switch
  -h, --help    display this help message
  -V, --version display version information

The switch uses the standard run directory of Open vSwitch when run by root, else
one in your own state directory; OVS_RUNDIR overrides both. The stock tools
(ovs-vsctl, ovs-ofctl, ovs-appctl) work on it, and so do the ones in bin/.
`;

/** The `megaflow` program. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const [command, ...rest] = argv;
    if (command === undefined || command === '-h' || command === '--help') {
      process.stdout.write(usage);
      return command === undefined ? 1 : 0;
    }
    if (command === '-V' || command === '--version') {
      process.stdout.write(`${versionText('megaflow')}\n`);
      return 0;
    }
    if (command !== 'up') throw new UsageError(`unknown command '${command}'; use --help for help`);
    return await up(parseUp(rest));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`megaflow: ${error.message}\n`);
    return 1;
  }
}

function parseUp(argv: readonly string[]): UpOptions {
  let forSec = Infinity;
  let lab = true;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--no-lab') lab = false;
    else if (word === '--for' || word.startsWith('--for=')) {
      forSec = Number(word === '--for' ? argv[++i] : word.slice('--for='.length));
      if (!(forSec > 0)) throw new UsageError('--for takes a number of seconds greater than 0');
    } else if (word === '-h' || word === '--help') throw new UsageError(`\n${usage}`);
    else throw new UsageError(`unknown option '${word}'; use --help for help`);
  }
  return { forSec, lab };
}
