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

const ownCounters: CoverageSource = () =>
  Promise.resolve(new Map([...counters()].map(([name, c]) => [name, c.total])));

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
  commands.registerCommand('vlog/set', '{spec | PATTERN:destination:pattern}', 0, Infinity, (args) => {
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
  commands.registerCommand('vlog/enable-rate-limit', '[module]...', 0, Infinity, (args) =>
    fail(vlogSetRateLimits(args, true)),
  );
  commands.registerCommand('vlog/disable-rate-limit', '[module]...', 0, Infinity, (args) =>
    fail(vlogSetRateLimits(args, false)),
  );
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

  const history = new CoverageHistory(coverage);
  commands.registerCommand('coverage/show', '', 0, 0, async () => history.show(await coverage()));
  commands.registerCommand('coverage/read-counter', 'COUNTER', 1, 1, async ([name = '']) => {
    const total = (await coverage()).get(name);
    if (total === undefined) throw new OvsError('EINVAL', `No such counter`);
    return `${total}\n`;
  });
}

/** Samples of all totals, 5 s apart, an hour of them. */
const sampleEveryMs = 5000;
const samplesMax = 720;

/** The averages of coverage/show, from samples that a timer takes. */
class CoverageHistory {
  readonly #samples: ReadonlyMap<string, number>[] = [];

  constructor(source: CoverageSource) {
    setInterval(() => {
      source().then(
        (totals) => {
          this.#samples.push(totals);
          if (this.#samples.length > samplesMax + 1) this.#samples.shift();
        },
        () => undefined,
      );
    }, sampleEveryMs).unref();
  }

  /** Events a second over the last `count` samples; time before the start counts as idle, as in OVS. */
  #rate(name: string, count: number): number {
    const last = this.#samples.length - 1;
    const at = (i: number): number => (i < 0 ? 0 : (this.#samples[i]?.get(name) ?? 0));
    // A worker that died takes its counts along.
    return (Math.max(0, at(last) - at(last - count)) * 1000) / (count * sampleEveryMs);
  }

  show(totals: ReadonlyMap<string, number>): string {
    let lines = '';
    let unhit = 0;
    let hash = 0;
    for (const name of [...totals.keys()].sort()) {
      const total = totals.get(name) ?? 0;
      if (total === 0) {
        unhit++;
        continue;
      }
      for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
      const sec = this.#rate(name, 1).toFixed(1).padStart(5);
      const minute = this.#rate(name, 12).toFixed(3).padStart(9);
      const hour = this.#rate(name, samplesMax).toFixed(4).padStart(13);
      lines += `${name.padEnd(24)} ${sec}/sec ${minute}/sec ${hour}/sec   total: ${total}\n`;
    }
    const digest = hash.toString(16).padStart(8, '0');
    return `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${digest}:\n${lines}${unhit} events never hit\n`;
  }
}
