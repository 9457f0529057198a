import type { Core } from '../../../arena/core.ts';
import { PERF_HISTORY } from '../../datapath.layout.ts';
import { PerfRecordLayout } from '../../generated/perf-record.ts';
import { PmdPerfLayout } from '../../generated/pmd-perf.ts';

/** A record of a history, or the totals. Times in nanoseconds. */
export interface PerfRecord {
  readonly stamp: number;
  readonly iterations: number;
  readonly ns: number;
  readonly busyNs: number;
  readonly packets: number;
  readonly batches: number;
  readonly upcalls: number;
  readonly upcallNs: number;
}

function readRecord(core: Core, at: number): PerfRecord {
  const f = (field: number): number => core.dv.getFloat64(at + field, true);
  return {
    stamp: f(PerfRecordLayout.stamp),
    iterations: f(PerfRecordLayout.iterations),
    ns: f(PerfRecordLayout.ns),
    busyNs: f(PerfRecordLayout.busyNs),
    packets: f(PerfRecordLayout.packets),
    batches: f(PerfRecordLayout.batches),
    upcalls: f(PerfRecordLayout.upcalls),
    upcallNs: f(PerfRecordLayout.upcallNs),
  };
}

export function readPerfTotals(core: Core, perf: number): PerfRecord {
  return readRecord(core, core.dv.getUint32(perf + PmdPerfLayout.totals, true));
}

/** The newest records of a history, newest first, at most `count`. Of milliseconds, the running one is left out. */
export function readPerfHistory(
  core: Core,
  perf: number,
  history: 'iterations' | 'milliseconds',
  count: number,
): PerfRecord[] {
  const ring = core.dv.getUint32(perf + PmdPerfLayout[history], true);
  const next = core.dv.getUint32(
    perf + (history === 'iterations' ? PmdPerfLayout.iterationNext : PmdPerfLayout.msNext),
    true,
  );
  const records: PerfRecord[] = [];
  for (let i = 1; i <= Math.min(count, PERF_HISTORY - 2); i++) {
    const index = (next - i + PERF_HISTORY) % PERF_HISTORY;
    const record = readRecord(core, ring + PerfRecordLayout.size * index);
    if (record.stamp === 0) break;
    records.push(record);
  }
  return records;
}

const quotient = (a: number, b: number): number => (b === 0 ? 0 : a / b);
const cell = (value: number): string => Math.floor(value).toString().padEnd(11);

function loadCells(r: PerfRecord, cyclesPerNs: number): number[] {
  return [
    quotient(r.busyNs * cyclesPerNs, r.packets),
    quotient(r.packets, r.batches),
    0,
    r.upcalls,
    quotient(r.upcallNs * cyclesPerNs, r.upcalls),
  ];
}

export const iterationHeading =
  '   iter                cycles       packets      cycles/pkt   pkts/batch   vhost qlen   upcalls      cycles/upcall\n';

/** A row of the history of iterations, as OVS's. */
export function formatIterationRow(r: PerfRecord, cyclesPerNs: number): string {
  const cells = [r.ns * cyclesPerNs, r.packets, ...loadCells(r, cyclesPerNs)].map(cell);
  return `   ${r.stamp.toString().padEnd(17)}   ${cells.join('  ')}\n`;
}

export const millisecondHeading =
  '   ms             iterations   cycles/it    Kpps         cycles/pkt   pkts/batch   vhost qlen   upcalls      cycles/upcall\n';

/** A row of the history of milliseconds: packets in one of them are Kpps. */
export function formatMillisecondRow(r: PerfRecord, cyclesPerNs: number): string {
  const cells = [
    r.iterations,
    quotient(r.ns * cyclesPerNs, r.iterations),
    r.packets,
    ...loadCells(r, cyclesPerNs),
  ].map(cell);
  return `   ${r.stamp.toString().padEnd(12)}   ${cells.join('  ')}\n`;
}
