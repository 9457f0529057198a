import { vlog } from '../../util/log.ts';
import type { RxqAssignMode } from './rxq-assign.ts';

const log = vlog('dpif_netdev');
const numaLog = vlog('ovs_numa');

/** What other_config of the Open_vSwitch row says of PMD threads, with OVS's defaults. */
export interface PmdConfig {
  /** Cores of pmd-cpu-mask; null = not given: one PMD a NUMA node. */
  readonly cores: readonly number[] | null;
  readonly mode: RxqAssignMode;
  readonly isolate: boolean;
  readonly perfMetrics: boolean;
  readonly autoBalance: boolean;
  /** pmd-auto-lb-rebal-interval, minutes. */
  readonly rebalanceMinutes: number;
  /** Percent. */
  readonly loadThreshold: number;
  readonly improvementThreshold: number;
  /** pmd-sleep-max (or 3.1's pmd-maxsleep), microseconds; and its exceptions by core. */
  readonly maxSleepUs: number;
  readonly maxSleepUsOf: ReadonlyMap<number, number>;
}

const maxSleepLimitUs = 10_000;
const rebalanceLimitMinutes = 20_000;
const modes: readonly string[] = ['cycles', 'roundrobin', 'group'];

/**
 * Reads PMD settings and logs each change as OVS does when it applies them, warnings whenever one of the
 * settings moved. Main thread.
 */
export class PmdConfigReader {
  #last: PmdConfig | null = null;
  #text = '';
  #value: PmdConfig | null = null;

  /** OVS's defaults, which are in force before the first reading. */
  defaults(): PmdConfig {
    return parse(new Map());
  }

  read(otherConfig: ReadonlyMap<string, string>): PmdConfig {
    const text = JSON.stringify([...otherConfig].filter(([key]) => key.startsWith('pmd-')).sort());
    if (this.#value !== null && text === this.#text) return this.#value;
    this.#text = text;
    const config = parse(otherConfig);
    logChanges(config, this.#last, otherConfig);
    this.#last = config;
    this.#value = config;
    return config;
  }
}

function parse(otherConfig: ReadonlyMap<string, string>): PmdConfig {
  const get = (key: string): string => otherConfig.get(key) ?? '';
  const number = (key: string, fallback: number): number => {
    const text = get(key);
    return /^-?\d+$/.test(text) ? Number(text) : fallback;
  };
  const percent = (key: string, fallback: number): number => {
    const value = number(key, fallback);
    return value < 0 || value > 100 ? fallback : value;
  };
  const mask = otherConfig.get('pmd-cpu-mask');
  const mode = otherConfig.get('pmd-rxq-assign') ?? 'cycles';
  const minutes = number('pmd-auto-lb-rebal-interval', 1);
  const sleep = parseSleep(get('pmd-sleep-max'));
  const oldSleep = number('pmd-maxsleep', 0);
  return {
    cores: mask === undefined || mask === '' ? null : parseCpuMask(mask),
    mode: (modes.includes(mode) ? mode : 'cycles') as RxqAssignMode,
    isolate: get('pmd-rxq-isolate') !== 'false' || mode !== 'group',
    perfMetrics: get('pmd-perf-metrics') === 'true',
    autoBalance: get('pmd-auto-lb') === 'true',
    rebalanceMinutes: minutes <= 0 || minutes > rebalanceLimitMinutes ? 1 : minutes,
    loadThreshold: percent('pmd-auto-lb-load-threshold', 95),
    improvementThreshold: percent('pmd-auto-lb-improvement-threshold', 25),
    maxSleepUs: sleep.defaultUs ?? Math.min(Math.max(0, oldSleep), maxSleepLimitUs),
    maxSleepUsOf: sleep.byCore,
  };
}

/** Cores of a hexadecimal mask, ascending; digits that are none count as 0. */
export function parseCpuMask(text: string): number[] {
  const digits = text.replace(/^0x/i, '');
  const cores: number[] = [];
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charAt(digits.length - 1 - i);
    const value = parseInt(digit, 16);
    for (let bit = 0; bit < 4; bit++) if ((value >> bit) & 1) cores.push(4 * i + bit);
  }
  return cores;
}

/** pmd-sleep-max: "50", or "50,8:0,9:100" with exceptions by core. Words that are neither are passed over. */
function parseSleep(text: string): { defaultUs: number | null; byCore: Map<number, number> } {
  let defaultUs: number | null = null;
  const byCore = new Map<number, number>();
  for (const word of text.split(/[,\s]+/)) {
    const match = /^(?:(\d+):)?(\d+)$/.exec(word);
    if (match === null) continue;
    const us = Math.min(Number(match[2]), maxSleepLimitUs);
    if (match[1] === undefined) defaultUs = us;
    else byCore.set(Number(match[1]), us);
  }
  return { defaultUs, byCore };
}

/** In OVS's order and words; the first reading tells what is in force. */
function logChanges(now: PmdConfig, last: PmdConfig | null, text: ReadonlyMap<string, string>): void {
  if (now.cores?.join() !== last?.cores?.join()) {
    for (const digit of text.get('pmd-cpu-mask')?.replace(/^0x|[0-9a-f]/gi, '') ?? '') {
      numaLog.warn(`Invalid cpu mask: ${digit}`);
    }
  }
  if (now.perfMetrics !== (last?.perfMetrics ?? false)) {
    log.info(`PMD performance metrics collection ${now.perfMetrics ? 'enabled' : 'disabled'}`);
  }
  if (!modes.includes(text.get('pmd-rxq-assign') ?? 'cycles')) {
    log.warn("Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to 'cycles'.");
  }
  if (now.mode !== (last?.mode ?? 'cycles')) {
    log.info(`Rxq to PMD assignment mode changed to: '${now.mode}'.`);
  }
  if (text.get('pmd-rxq-isolate') === 'false' && now.mode !== 'group') {
    log.warn('pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group');
  }
  if (now.isolate !== last?.isolate) {
    log.info(`pmd-rxq-affinity ${now.isolate ? 'isolates' : 'does not isolate'} PMD core`);
  }
  const minutes = now.rebalanceMinutes;
  const [load, improvement] = [now.loadThreshold, now.improvementThreshold];
  let balanceMoved = now.autoBalance !== last?.autoBalance;
  if (minutes !== last?.rebalanceMinutes) {
    log.info(`PMD auto load balance interval set to ${minutes} mins`);
    balanceMoved = true;
  }
  if (improvement !== last?.improvementThreshold) {
    log.info(`PMD auto load balance improvement threshold set to ${improvement}%`);
    balanceMoved = true;
  }
  if (load !== last?.loadThreshold) {
    log.info(`PMD auto load balance load threshold set to ${load}%`);
    balanceMoved = true;
  }
  if (balanceMoved && now.autoBalance) {
    log.info(
      `PMD auto load balance is enabled, interval ${minutes} mins, ` +
        `pmd load threshold ${load}%, improvement threshold ${improvement}%.`,
    );
  } else if (balanceMoved) log.info('PMD auto load balance is disabled.');
  if (now.maxSleepUs !== last?.maxSleepUs) {
    log.info(`PMD max sleep request is ${now.maxSleepUs} usecs.`);
    log.info(`PMD load based sleeps are ${now.maxSleepUs > 0 ? 'enabled' : 'disabled'}.`);
  }
}
