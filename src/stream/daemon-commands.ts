import {
  vlogClose,
  vlogListPatternText,
  vlogListText,
  vlogReopen,
  vlogSet,
  vlogSetRateLimits,
} from '../sys/vlog-sink.ts';
import { counters } from '../util/counters.ts';
import { OvsError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import type { UnixctlCommands } from './unixctl.ts';

/** Where coverage totals come from: this thread's counters, plus those of workers in daemons that have some. */
export type CoverageSource = () => Promise<ReadonlyMap<string, number>>;

const ownCounters: CoverageSource = () => Promise.resolve(new Map([...counters()].map(([name, c]) => [name, c.total])));

/**
 * The control commands that every daemon has: vlog/*, coverage/*, memory/show (ovs-appctl(8)).
 *
 * @param memoryUsage Numbers for memory/show, printed as `name:count` in the order given.
 * @param onLevels Called after levels changed, so that worker threads take them over.
 */
export function registerDaemonCommands(
  commands: UnixctlCommands,
  memoryUsage: () => Readonly<Record<string, number>>,
  coverage: CoverageSource = ownCounters,
  onLevels: () => void = () => undefined,
): void {
  const fail = (error: string | null): string => {
    if (error !== null) throw new OvsError('EINVAL', error);
    return '';
  };
  commands.registerCommand('vlog/set', '{spec | PATTERN:destination:pattern}', 1, Infinity, (args) => {
    for (const spec of args) fail(vlogSet(spec));
    onLevels();
    return '';
  });
  commands.registerCommand('vlog/list', '', 0, 0, () => vlogListText());
  commands.registerCommand('vlog/list-pattern', '', 0, 0, () => vlogListPatternText());
  commands.registerCommand('vlog/reopen', '', 0, 0, () => fail(vlogReopen()));
  commands.registerCommand('vlog/close', '', 0, 0, () => {
    vlogClose();
    return '';
  });
  commands.registerCommand('vlog/enable-rate-limit', '[module]...', 0, Infinity, (args) => fail(vlogSetRateLimits(args, true)));
  commands.registerCommand('vlog/disable-rate-limit', '[module]...', 0, Infinity, (args) => fail(vlogSetRateLimits(args, false)));
  commands.registerCommand('vlog/message', '{level} {message}', 2, 2, ([level = '', message = '']) => {
    const known = ['emer', 'err', 'warn', 'info', 'dbg'] as const;
    const found = known.find((l) => l === level.toLowerCase());
    if (found === undefined) throw new OvsError('EINVAL', `unknown level "${level}"`);
    vlog('unixctl').log(found, message);
    return '';
  });
  commands.registerCommand('memory/show', '', 0, 0, () => {
    const words = Object.entries(memoryUsage()).map(([name, count]) => `${name}:${count}`);
    return `${words.join(' ')}\n`;
  });

  const history = new CoverageHistory();
  commands.registerCommand('coverage/show', '', 0, 0, async () => history.show(await coverage()));
  commands.registerCommand('coverage/read-counter', '{counter}', 1, 1, async ([name = '']) => {
    const total = (await coverage()).get(name);
    if (total === undefined) throw new OvsError('EINVAL', `No such counter`);
    return `${total}\n`;
  });
}

/**
 * Rates of coverage/show. OVS samples each counter every 5 s; here rates are taken over the time
 * since the command was last given, which needs no timer and says the same under steady load.
 */
class CoverageHistory {
  #last = new Map<string, number>();
  #lastMs = performance.now();

  show(totals: ReadonlyMap<string, number>): string {
    const nowMs = performance.now();
    const sec = Math.max(1e-3, (nowMs - this.#lastMs) / 1000);
    const lines: string[] = [];
    let unhit = 0;
    for (const name of [...totals.keys()].sort()) {
      const total = totals.get(name) ?? 0;
      if (total === 0) {
        unhit++;
        continue;
      }
      const rate = (total - (this.#last.get(name) ?? 0)) / sec;
      const text = [rate, rate, rate].map((r, i) => `${r.toFixed(i === 0 ? 1 : 3).padStart(i === 0 ? 6 : 8)}/sec`);
      lines.push(`${name.padEnd(24)} ${text[0] ?? ''}  ${text[1] ?? ''}  ${text[2] ?? ''}   total: ${total}`);
    }
    this.#last = new Map(totals);
    this.#lastMs = nowMs;
    lines.push(`${unhit} events never hit`);
    return `Event coverage, avg rate over last: ${sec.toFixed(0)} seconds:\n${lines.join('\n')}\n`;
  }
}
