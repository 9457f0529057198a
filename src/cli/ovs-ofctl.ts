/** ovs-ofctl: manages OpenFlow switches from the command line. */
import { writeSync } from 'node:fs';
import { initVlog } from '../sys/vlog-sink.ts';
import { OfpError, UsageError } from '../util/errors.ts';
import * as flow from './ofctl/flow-commands.ts';
import { helpText } from './ofctl/help.ts';
import * as mon from './ofctl/monitor.ts';
import { parseOptions } from './ofctl/options.ts';
import { ExitError, Session } from './ofctl/session.ts';
import * as sw from './ofctl/switch-commands.ts';
import * as test from './ofctl/test-commands.ts';

type Run = (s: Session, args: readonly string[]) => Promise<void>;

/** Name: least and most arguments, and what it does. */
const commands: Readonly<Record<string, readonly [min: number, max: number, run: Run]>> = {
  show: [1, 1, sw.show],
  monitor: [1, 3, mon.monitor],
  snoop: [1, 1, mon.snoop],
  'dump-desc': [1, 1, sw.dumpDesc],
  'dump-tables': [1, 1, sw.dumpTables],
  'dump-table-features': [1, 1, sw.dumpTableFeatures],
  'dump-flows': [1, 2, flow.dumpFlows],
  'dump-aggregate': [1, 2, flow.dumpAggregate],
  'queue-stats': [1, 3, sw.queueStats],
  'queue-get-config': [1, 2, sw.queueGetConfig],
  'add-flow': [2, 2, flow.addFlow],
  'add-flows': [2, 2, flow.addFlows],
  'mod-flows': [2, 2, flow.modFlows],
  'del-flows': [1, 2, flow.delFlows],
  'replace-flows': [2, 2, flow.replaceFlows],
  'diff-flows': [2, 2, flow.diffFlows],
  'dump-ports': [1, 2, sw.dumpPorts],
  'dump-ports-desc': [1, 2, sw.dumpPortsDesc],
  'mod-port': [3, 3, sw.modPort],
  'get-frags': [1, 1, sw.getFrags],
  'set-frags': [2, 2, sw.setFrags],
  'packet-out': [2, Infinity, sw.packetOut],
  'dump-group-features': [1, 1, sw.dumpGroupFeatures],
  'meter-features': [1, 1, sw.meterFeatures],
  probe: [1, 1, sw.probe],
  ping: [1, 2, sw.ping],
  benchmark: [3, 3, sw.benchmark],
  'ofp-print': [1, 2, test.ofpPrint],
  'ofp-parse': [1, 1, test.ofpParse],
  'parse-flow': [1, 1, test.parseFlowCommand],
  'parse-flows': [1, 1, test.parseFlowsCommand],
  'encode-hello': [1, 1, test.encodeHello],
};

/** Writes all of a text to a descriptor, also when that is a pipe that fills up. */
function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (e) {
      const { code } = e as { code?: string };
      if (code === 'EPIPE') throw new ExitError(1);
      if (code !== 'EAGAIN') throw e;
    }
  }
}

async function run(argv: readonly string[]): Promise<void> {
  const { options, args } = parseOptions(argv);
  if (options.special === 'help') {
    writeAll(1, helpText);
    return;
  }
  if (options.special === 'version') {
    writeAll(1, 'ovs-ofctl (Open vSwitch) 3.1.0\nOpenFlow versions 0x1:0x6\n');
    return;
  }
  const [name, ...rest] = args;
  if (name === undefined) throw new UsageError('missing command name; use --help for help');
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    if (name === 'help') {
      writeAll(1, helpText);
      return;
    }
    throw new UsageError(`unknown command '${name}'; use --help for help`);
  }
  const [min, max, start] = command;
  if (rest.length < min) throw new UsageError(`'${name}' command requires at least ${min} arguments`);
  if (rest.length > max) throw new UsageError(`'${name}' command takes at most ${max} arguments`);
  let timer: NodeJS.Timeout | undefined;
  if (options.timeoutSec > 0) {
    timer = setTimeout(() => {
      writeAll(2, 'Alarm clock\n');
      process.exit(142);
    }, options.timeoutSec * 1000);
  }
  const session = new Session(options, {
    out: (text) => {
      writeAll(1, text);
    },
    err: (text) => {
      writeAll(2, text);
    },
  });
  try {
    await start(session, rest);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns The exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  initVlog('ovs-ofctl');
  try {
    await run(argv);
    return 0;
  } catch (e) {
    if (e instanceof ExitError) return e.status;
    if (!(e instanceof UsageError) && !(e instanceof OfpError)) throw e;
    writeAll(2, `ovs-ofctl: ${e.message}\n`);
    return 1;
  }
}
