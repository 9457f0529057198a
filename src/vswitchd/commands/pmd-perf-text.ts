import type { Core } from '../../arena/core.ts';
import { PERF_BINS } from '../../datapath/datapath.layout.ts';
import { PmdPerfLayout } from '../../datapath/generated/pmd-perf.ts';
import { perfHistograms } from '../../datapath/providers/userspace/perf-histogram.ts';
import {
  formatIterationRow,
  formatMillisecondRow,
  iterationHeading,
  millisecondHeading,
  readPerfHistory,
  readPerfTotals,
} from '../../datapath/providers/userspace/perf-record.ts';
import { tscHz } from '../../sys/numa.ts';
import type { PmdNumbers } from '../threads/pmd-meter.ts';

/** The texts of dpif-netdev/pmd-perf-show: labels, columns and alignment are OVS's. */
const count = (n: number): string => Math.round(n).toString().padStart(12);
/** As C prints 0/0. */
const real = (n: number, digits: number, width = 0): string =>
  (Number.isNaN(n) ? '-nan' : n.toFixed(digits)).padStart(width);
const percent = (part: number, whole: number): string => real((100 * part) / whole, 1, 5);
const quotient = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/** The summary of one PMD. Sleeping is blocking for packets, which costs no cycles. */
export function formatPerfSummary(n: PmdNumbers): string {
  const hz = tscHz();
  const cyclesPerNs = hz / 1e9;
  const usedNs = n.idleNs + n.busyNs;
  const iterations = n.idleIterations + n.busyIterations;
  const seconds = n.sinceMs / 1000;
  const sleepPart = iterations === 0 ? 0 : n.sleepIterations / iterations;
  let text =
    `  Iterations:         ${count(iterations)}  (${real(usedNs / 1000 / iterations, 2)} us/it)\n` +
    `  - Used TSC cycles:  ${count(usedNs * cyclesPerNs)}  (${percent(usedNs, seconds * 1e9)} % of total cycles)\n` +
    `  - idle iterations:  ${count(n.idleIterations)}  (${percent(n.idleNs, usedNs)} % of used cycles)\n` +
    `  - busy iterations:  ${count(n.busyIterations)}  (${percent(n.busyNs, usedNs)} % of used cycles)\n` +
    `  - sleep iterations: ${count(n.sleepIterations)}  (${percent(sleepPart, 1)} % of iterations)\n` +
    `  Sleep time (us):    ${count(n.sleepNs / 1000)}  ` +
    `(${real(quotient(n.sleepNs / 1000, n.sleepIterations), 0, 3)} us/iteration avg.)\n`;
  if (n.rxPackets === 0) {
    return `${text}  Rx packets:         ${count(0)}\n  Tx packets:         ${count(0)}\n\n`;
  }
  const passes = n.rxPackets + n.recirculations;
  const kpps = (packets: number): string => real(quotient(packets, seconds) / 1000, 0);
  const hits = (label: string, hit: number): string =>
    `  - ${`${label}:`.padEnd(18)}${count(hit)}  (${percent(hit, passes)} %`;
  text +=
    `  Rx packets:         ${count(n.rxPackets)}  ` +
    `(${kpps(n.rxPackets)} Kpps, ${real((n.busyNs * cyclesPerNs) / n.rxPackets, 0)} cycles/pkt)\n` +
    `  Datapath passes:    ${count(passes)}  (${real(passes / n.rxPackets, 2)} passes/pkt)\n` +
    `${hits('PHWOL hits', 0)})\n` +
    `${hits('MFEX Opt hits', 0)})\n` +
    `${hits('Simple Match hits', n.simpleHits)})\n` +
    `${hits('EMC hits', n.emcHits)})\n` +
    `${hits('SMC hits', n.smcHits)})\n` +
    `${hits('Megaflow hits', n.megaflowHits)}, ` +
    `${real(quotient(n.subtableLookups, n.megaflowHits), 2)} subtbl lookups/hit)\n` +
    `${hits('Upcalls', n.missOk)}, ${real(quotient(n.upcallNs / 1000, n.missOk), 1)} us/upcall)\n` +
    `${hits('Lost upcalls', n.missFailed)})\n` +
    `  Tx packets:         ${count(n.txPackets)}  (${kpps(n.txPackets)} Kpps)\n`;
  if (n.txBatches > 0) {
    text += `  Tx batches:         ${count(n.txBatches)}  (${real(n.txPackets / n.txBatches, 2)} pkts/batch)\n`;
  }
  return text;
}

/** The seven histograms side by side, and the averages. */
export function formatPerfHistograms(core: Core, perf: number): string {
  const at = core.dv.getUint32(perf + PmdPerfLayout.histograms, true);
  const bin = (histogram: number, i: number): number =>
    core.dv.getFloat64(at + 8 * (histogram * PERF_BINS + i), true);
  const line = (cells: readonly string[]): string => `   ${cells.map((c) => c.padEnd(21)).join('  ')}\n`;
  const rows = Array.from({ length: PERF_BINS }, (_, i) =>
    line(
      perfHistograms.map((h, column) => {
        const wall = i < h.walls.length ? String(h.walls[i]) : '>';
        return `${wall.padEnd(9)} ${String(bin(column, i)).padEnd(11)}`;
      }),
    ),
  );
  const t = readPerfTotals(core, perf);
  const cycles = tscHz() / 1e9;
  const averages = [
    String(Math.floor(quotient(t.ns * cycles, t.iterations))),
    quotient(t.packets, t.iterations).toFixed(5),
    String(Math.floor(quotient(t.busyNs * cycles, t.packets))),
    quotient(t.packets, t.batches).toFixed(5),
    (0).toFixed(5),
    quotient(t.upcalls, t.iterations).toFixed(5),
    String(Math.floor(quotient(t.upcallNs * cycles, t.upcalls))),
  ];
  return (
    `\nHistograms\n${line(perfHistograms.map((h) => h.heading))}${rows.join('')}` +
    `${'-'.repeat(154)}\n${line(perfHistograms.map((h) => h.average))}${line(averages)}`
  );
}

/** The newest `length` iterations. */
export function formatIterationHistory(core: Core, perf: number, length: number): string {
  const rows = readPerfHistory(core, perf, 'iterations', length);
  return `\n${iterationHeading}${rows.map((r) => formatIterationRow(r, tscHz() / 1e9)).join('')}`;
}

/** The newest `length` milliseconds in which there were iterations. */
export function formatMillisecondHistory(core: Core, perf: number, length: number): string {
  const rows = readPerfHistory(core, perf, 'milliseconds', length);
  return `\n${millisecondHeading}${rows.map((r) => formatMillisecondRow(r, tscHz() / 1e9)).join('')}`;
}
