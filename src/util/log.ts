/**
 * vlog: logging with OVS's modules, levels, facilities and rate limits.
 *
 * What: each file that logs declares a module, `const log = vlog('bridge')`, named as in OVS. A
 * message goes to every facility (syslog, console, file) whose level for that module admits it.
 * This file is the portable front: it decides and formats nothing but passes records to the sink
 * that the program installed (daemons: src/stream/ or src/vswitchd/; workers: a ring to main).
 *
 * Threads: levels are per thread; main sends changes to workers.
 */
export const vlogLevels = ['off', 'emer', 'err', 'warn', 'info', 'dbg'] as const;
export type VlogLevel = (typeof vlogLevels)[number];
export const vlogFacilities = ['syslog', 'console', 'file'] as const;
export type VlogFacility = (typeof vlogFacilities)[number];

export interface VlogRecord {
  readonly module: string;
  readonly level: Exclude<VlogLevel, 'off'>;
  readonly message: string;
  /** Name of the thread that logged, empty for main. */
  readonly thread: string;
}

export type VlogSink = (record: VlogRecord) => void;

const rank: Record<VlogLevel, number> = { off: 0, emer: 1, err: 2, warn: 3, info: 4, dbg: 5 };

/** A token bucket in OVS's terms: at most `perMinute` messages a minute. */
export interface RateLimit {
  readonly perMinute: number;
  readonly burst: number;
  tokens: number;
  lastMs: number;
  dropped: number;
  firstDroppedMs: number;
  lastDroppedMs: number;
}

/** VLOG_RATE_LIMIT_INIT(rate, burst). */
export function rateLimit(perMinute: number, burst: number): RateLimit {
  return { perMinute, burst, tokens: burst, lastMs: 0, dropped: 0, firstDroppedMs: 0, lastDroppedMs: 0 };
}

export class VlogModule {
  readonly name: string;
  readonly levels: Record<VlogFacility, VlogLevel> = { syslog: 'info', console: 'info', file: 'info' };
  honorRateLimits = true;
  constructor(name: string) {
    this.name = name;
  }
  /** Whether any facility would take a message of `level`: guard costly formatting with it. */
  enabled(level: Exclude<VlogLevel, 'off'>): boolean {
    const r = rank[level];
    return r <= rank[this.levels.console] || r <= rank[this.levels.file] || r <= rank[this.levels.syslog];
  }
  log(level: Exclude<VlogLevel, 'off'>, message: string, limit?: RateLimit): void {
    if (!this.enabled(level)) return;
    if (limit !== undefined && this.honorRateLimits) {
      const nowMs = $nowMs();
      limit.tokens = Math.min(
        limit.burst,
        limit.tokens + ((nowMs - limit.lastMs) * limit.perMinute) / 60_000,
      );
      limit.lastMs = nowMs;
      if (limit.tokens < 1) {
        if (limit.dropped++ === 0) limit.firstDroppedMs = nowMs;
        limit.lastDroppedMs = nowMs;
        return;
      }
      limit.tokens -= 1;
      if (limit.dropped > 0) {
        const first = Math.floor((nowMs - limit.firstDroppedMs) / 1000);
        const last = Math.floor((nowMs - limit.lastDroppedMs) / 1000);
        $sink({
          module: this.name,
          level,
          thread: $thread,
          message: `Dropped ${limit.dropped} log messages in last ${first} seconds (most recently, ${last} seconds ago) due to excessive rate`,
        });
        limit.dropped = 0;
      }
    }
    $sink({ module: this.name, level, message, thread: $thread });
  }
  emer(message: string, limit?: RateLimit): void {
    this.log('emer', message, limit);
  }
  err(message: string, limit?: RateLimit): void {
    this.log('err', message, limit);
  }
  warn(message: string, limit?: RateLimit): void {
    this.log('warn', message, limit);
  }
  info(message: string, limit?: RateLimit): void {
    this.log('info', message, limit);
  }
  dbg(message: string, limit?: RateLimit): void {
    this.log('dbg', message, limit);
  }
}

const $modules = new Map<string, VlogModule>();
/** Levels of modules declared from now on. */
const $defaultLevels: Record<VlogFacility, VlogLevel> = { syslog: 'info', console: 'info', file: 'info' };
let $sink: VlogSink = () => undefined;
let $thread = '';
let $nowMs: () => number = () => 0;

/** Declares a log module, or returns the one already declared under this name. */
export function vlog(name: string): VlogModule {
  let m = $modules.get(name);
  if (m === undefined) {
    m = new VlogModule(name);
    Object.assign(m.levels, $defaultLevels);
    $modules.set(name, m);
  }
  return m;
}

export function vlogModules(): ReadonlyMap<string, VlogModule> {
  return $modules;
}

/** Sets a level; null means every module (also those declared later), every facility. */
export function setVlogLevel(
  module: VlogModule | null,
  facility: VlogFacility | null,
  level: VlogLevel,
): void {
  const targets = module === null ? [...$modules.values()].map((m) => m.levels) : [module.levels];
  if (module === null) targets.push($defaultLevels);
  for (const levels of targets) {
    for (const f of vlogFacilities) if (facility === null || f === facility) levels[f] = level;
  }
}

/** Installs where records go. `nowMs` feeds the rate limits. */
export function setVlogSink(sink: VlogSink, thread: string, nowMs: () => number): void {
  $sink = sink;
  $thread = thread;
  $nowMs = nowMs;
}
