import { PERF_HISTORY } from '../../datapath/datapath.layout.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { tscHz } from '../../sys/numa.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import type { Switchd } from '../switchd.ts';
import { loadIntervalMs, loadIntervals } from '../threads/load-history.ts';
import type { PmdNumbers } from '../threads/pmd-meter.ts';
import type { PmdView } from '../threads/pmd-pool.ts';
import type { PmdThread } from '../threads/pmd-thread.ts';
import {
  formatIterationHistory,
  formatMillisecondHistory,
  formatPerfHistograms,
  formatPerfSummary,
} from './pmd-perf-text.ts';

const noDatapath = 'please specify an existing datapath';

/** dpif-netdev/* of PMD threads. Arguments are taken as leniently as OVS takes them. */
export function registerPmdCommands(commands: UnixctlCommands, switchd: Switchd): void {
  const { core, pmds } = switchd;

  /** `[-pmd core] [-secs secs] [dp]`: a name that is none does no harm where there is one datapath. */
  const select = (args: readonly string[]): { views: PmdView[]; secs: number | null } => {
    let views = pmds.views();
    let secs: number | null = null;
    let named: boolean | null = null;
    for (let i = 0; i < args.length; i++) {
      const word = args[i] ?? '';
      const value = args[i + 1];
      if ((word === '-pmd' || word === '-secs') && value !== undefined) {
        i++;
        if (!/^\d+$/.test(value)) continue;
        if (word === '-secs') secs = Number(value);
        else views = views.filter((v) => v.coreId === Number(value));
      } else named = hasDatapath(word);
    }
    if (named !== true && switchd.datapaths.size !== 1) throw new OvsError('ENODEV', noDatapath);
    return { views, secs };
  };
  const hasDatapath = (word: string): boolean =>
    [...switchd.datapaths.values()].some((d) => d.name === word || `${d.type}@${d.name}` === word);
  const threadsOf = (views: readonly PmdView[]): PmdThread[] =>
    views.flatMap((v) => (v.thread === null ? [] : [v.thread]));

  commands.registerCommand('dpif-netdev/pmd-stats-show', '[-pmd core] [dp]', 0, 3, (args) => {
    const views = select(args).views.sort((a, b) => (a.coreId ?? Infinity) - (b.coreId ?? Infinity));
    const numbers = views.map((v) => ({ view: v, n: countIdle(switchd, v) }));
    return {
      text: numbers.map(({ view, n }) => heading(view.thread) + formatStats(n)).join(''),
      json: numbers.map(({ view, n }) => ({ thread: view.coreId, ...n })),
    };
  });
  commands.registerCommand('dpif-netdev/pmd-stats-clear', '[-pmd core] [dp]', 0, 3, (args) => {
    for (const v of select(args).views) v.meter.clear();
    return '';
  });
  commands.registerCommand('dpif-netdev/pmd-rxq-show', '[-pmd core] [-secs secs] [dp]', 0, 5, (args) => {
    const { views, secs } = select(args);
    const wanted = Math.ceil(((secs ?? 0) * 1000) / loadIntervalMs);
    const intervals = wanted === 0 ? loadIntervals : Math.min(wanted, loadIntervals);
    const seconds = (intervals * loadIntervalMs) / 1000;
    const threads = threadsOf(views);
    const rows = threads.map((thread) => usageOf(switchd, thread, intervals));
    const title = views.length === 0 ? '' : `Displaying last ${seconds} seconds pmd usage %\n`;
    return { text: title + rows.map((row, i) => formatUsage(threads[i] ?? null, row)).join(''), json: rows };
  });
  commands.registerCommand('dpif-netdev/pmd-rxq-rebalance', '[dp]', 0, 1, ([name]) => {
    const isKnown = name === undefined ? switchd.datapaths.size === 1 : hasDatapath(name);
    if (!isKnown) throw new OvsError('ENODEV', noDatapath);
    pmds.rebalance();
    return 'pmd rxq rebalance requested.\n';
  });
  commands.registerCommand('dpif-netdev/pmd-sleep-show', '[dp]', 0, 1, (args) => {
    const rows = threadsOf(select(args).views).map((t) => ({
      numa_id: t.numaId,
      core_id: t.coreId,
      max_sleep_us: maxSleepUs(switchd, t),
    }));
    const us = (n: number): string => `${n.toString().padStart(4)} us\n`;
    return {
      text:
        `Default max sleep: ${us(pmds.config.maxSleepUs)}` +
        rows
          .map(
            (r) =>
              `pmd thread numa_id ${r.numa_id} core_id ${r.core_id}:\n  max sleep: ${us(r.max_sleep_us)}`,
          )
          .join(''),
      json: { default_max_sleep_us: pmds.config.maxSleepUs, pmds: rows },
    };
  });

  commands.registerCommand(
    'dpif-netdev/pmd-perf-show',
    '[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]',
    0,
    8,
    (args) => {
      const rest = [...args];
      let histograms = true;
      const lengths = { '-it': 0, '-ms': 0 };
      for (let word = rest[0]; word !== undefined; word = rest[0]) {
        if (word === '-nh') {
          histograms = false;
          rest.shift();
        } else if ((word === '-it' || word === '-ms') && rest.length > 1) {
          lengths[word] = Math.min(Math.max(0, Number.parseInt(rest[1] ?? '', 10) || 0), PERF_HISTORY - 2);
          rest.splice(0, 2);
        } else break;
      }
      const threads = threadsOf(select(rest).views);
      const rows = threads.map((thread) => ({ core_id: thread.coreId, ...thread.meter.read() }));
      const text = threads.map((thread, i) => {
        const n = rows[i] ?? thread.meter.read();
        let page =
          `\nTime: ${new Date(switchd.clock.wallMs()).toISOString().slice(11, 23)}\n` +
          `Measurement duration: ${(n.sinceMs / 1000).toFixed(3)} s\n\n` +
          `${heading(thread)}\n${formatPerfSummary(n)}`;
        if (!thread.collectsPerf) return page;
        if (histograms) page += formatPerfHistograms(core, thread.perf);
        if (lengths['-it'] > 0) page += formatIterationHistory(core, thread.perf, lengths['-it']);
        if (lengths['-ms'] > 0) page += formatMillisecondHistory(core, thread.perf, lengths['-ms']);
        return page;
      });
      return { text: text.join(''), json: rows };
    },
  );
  const perfLogUsage = 'on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]';
  commands.registerCommand('dpif-netdev/pmd-perf-log-set', perfLogUsage, 0, 10, (args) => {
    if (!pmds.setPerfLog(args)) {
      throw new UsageError(
        `Usage: ovs-appctl dpif-netdev/pmd-perf-log-set [on|off] [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]`,
      );
    }
    return '';
  });
}

const heading = (thread: PmdThread | null): string =>
  thread === null ? 'main thread:\n' : `pmd thread numa_id ${thread.numaId} core_id ${thread.coreId}:\n`;

function maxSleepUs({ pmds }: Switchd, thread: PmdThread): number {
  return pmds.config.maxSleepUsOf.get(thread.coreId) ?? pmds.config.maxSleepUs;
}

/** A PMD of OVS polls where ours blocks: unless sleeping was asked for, the time counts as idle. */
function countIdle(switchd: Switchd, { thread, meter }: PmdView): PmdNumbers {
  const n = meter.read();
  return thread === null || maxSleepUs(switchd, thread) > 0 ? n : { ...n, idleNs: n.idleNs + n.sleepNs };
}

function formatStats(n: PmdNumbers): string {
  const passes = n.rxPackets > 0 ? (n.rxPackets + n.recirculations) / n.rxPackets : 0;
  const lookups = n.megaflowHits > 0 ? n.subtableLookups / n.megaflowHits : 0;
  const perBatch = n.txBatches > 0 ? n.txPackets / n.txBatches : 0;
  let text =
    `  packets received: ${n.rxPackets}\n` +
    `  packet recirculations: ${n.recirculations}\n` +
    `  avg. datapath passes per packet: ${passes.toFixed(2)}\n` +
    `  phwol hits: 0\n` +
    `  mfex opt hits: 0\n` +
    `  simple match hits: ${n.simpleHits}\n` +
    `  emc hits: ${n.emcHits}\n` +
    `  smc hits: ${n.smcHits}\n` +
    `  megaflow hits: ${n.megaflowHits}\n` +
    `  avg. subtable lookups per megaflow hit: ${lookups.toFixed(2)}\n` +
    `  miss with success upcall: ${n.missOk}\n` +
    `  miss with failed upcall: ${n.missFailed}\n` +
    `  avg. packets per output batch: ${perBatch.toFixed(2)}\n`;
  const cyclesPerNs = tscHz() / 1e9;
  const idle = Math.round(n.idleNs * cyclesPerNs);
  const busy = Math.round(n.busyNs * cyclesPerNs);
  const total = idle + busy;
  if (total === 0) return text;
  text +=
    `  idle cycles: ${idle} (${((100 * idle) / total).toFixed(2)}%)\n` +
    `  processing cycles: ${busy} (${((100 * busy) / total).toFixed(2)}%)\n`;
  if (n.rxPackets === 0) return text;
  return (
    text +
    `  avg cycles per packet: ${(total / n.rxPackets).toFixed(2)} (${total}/${n.rxPackets})\n` +
    `  avg processing cycles per packet: ${(busy / n.rxPackets).toFixed(2)} (${busy}/${n.rxPackets})\n`
  );
}

type Usage = {
  readonly core_id: number;
  readonly numa_id: number;
  readonly isolated: boolean;
  readonly queues: readonly {
    readonly port: string;
    readonly queue_id: number;
    readonly usage: number | null;
  }[];
  readonly overhead: number | null;
};

/** Percent of the PMD's time; null before there is a measurement. */
function usageOf({ pmds }: Switchd, thread: PmdThread, intervals: number): Usage {
  const totalNs = thread.total.sum(intervals) * 1e6;
  const percent = (ns: number): number | null =>
    totalNs > 0 ? Math.min(100, Math.max(0, Math.floor((100 * ns) / totalNs))) : null;
  const queues = pmds.queuesOf(thread);
  const shared = queues.reduce((sum, q) => sum + q.history.sum(intervals), 0);
  return {
    core_id: thread.coreId,
    numa_id: thread.numaId,
    isolated: thread.isolated,
    queues: queues.map((q) => ({
      port: q.port.attachment.name,
      queue_id: q.rxQueue,
      usage: percent(q.history.sum(intervals)),
    })),
    overhead: percent(thread.busy.sum(intervals) - shared),
  };
}

function formatUsage(thread: PmdThread | null, row: Usage): string {
  const shown = (percent: number | null): string =>
    percent === null ? 'NOT AVAIL' : `${percent.toString().padStart(2)} %`;
  const queues = row.queues.map(
    (q) =>
      `  port: ${q.port.padEnd(16)}  queue-id: ${q.queue_id.toString().padStart(2)} (enabled)   ` +
      `pmd usage: ${shown(q.usage)}\n`,
  );
  const overhead = row.queues.length > 0 ? `  overhead: ${shown(row.overhead)}\n` : '';
  return `${heading(thread)}  isolated : ${row.isolated}\n${queues.join('')}${overhead}`;
}
