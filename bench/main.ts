import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureDebianPackages } from './against/packages.ts';
import { drawChart } from './frame/chart.ts';
import { makeCells } from './frame/cells.ts';
import { formatMarkdown, formatText } from './frame/report.ts';
import { Samples } from './frame/samples.ts';
import { control } from './macro/control.ts';
import { database } from './macro/database.ts';
import { devices } from './macro/devices.ts';
import { fastPath } from './macro/fast-path.ts';
import type { BenchContext } from './macro/pair.ts';
import { pinProcess } from './macro/pinning.ts';
import { scaling } from './macro/scaling.ts';
import { slowPath } from './macro/slow-path.ts';
import type { TargetKind } from './macro/target.ts';
import { compareWithBaseline, formatBaseline, readBaseline } from './micro/baseline.ts';
import { runMicro } from './micro/run.ts';

const here = dirname(fileURLToPath(import.meta.url));
const documents = join(here, '..', 'docs', 'performance');
const baselineFile = join(here, 'baseline.json');

const sections: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  'fast-path': fastPath,
  scaling,
  devices,
  'slow-path': slowPath,
  control,
  database,
};

const usage = `usage: npm run bench -- [OPTIONS]
Measures this switch, or this switch and Open vSwitch in turn.

  (no option)          micro benchmarks and ours alone as whole processes, about 2 minutes
  --against ovs        side by side with Open vSwitch (as root on Debian; installs it), about 25 minutes;
                       all cases measured: writes docs/performance/results.md and results.svg
  --only SECTION       micro, ${Object.keys(sections).join(', ')}
  --filter TEXT        cases whose name or table has TEXT in it
  --runs N             measurements of each case and switch (default 3 against ovs, else 1)
  --seconds N          length of one measurement (default 1 against ovs, else 0.5)
  --skip ours|ovs      leave one switch out of --against ovs
  --json FILE          writes the figures as JSON
  --check              micro: fails if one is worse than bench/baseline.json allows
  --update-baseline    micro: writes bench/baseline.json
  --help
`;

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    only: { type: 'string' },
    filter: { type: 'string' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    skip: { type: 'string' },
    json: { type: 'string' },
    check: { type: 'boolean', default: false },
    'update-baseline': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function fail(text: string): never {
  process.stderr.write(`bench: ${text}\n${usage}`);
  process.exit(1);
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value > 0)) fail(`--${name} takes a positive number, not ${text ?? ''}`);
  return value;
}

if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
if (values.against !== undefined && values.against !== 'ovs') fail(`--against knows ovs only`);
if (values.only !== undefined && values.only !== 'micro' && sections[values.only] === undefined)
  fail(`no section ${values.only}`);
const isAgainst = values.against === 'ovs';
const filter = values.filter ?? '';
const runs = Math.ceil(positive('runs', values.runs, isAgainst ? 3 : 1));
const seconds = positive('seconds', values.seconds, isAgainst ? 1 : 0.5);
const kinds = (isAgainst ? (['ours', 'ovs'] as const) : (['ours'] as const)).filter(
  (k: TargetKind) => k !== values.skip,
);
const isMicroOnly = values.check || values['update-baseline'];
const wantsSection = (name: string): boolean =>
  isMicroOnly ? name === 'micro' : values.only === undefined || values.only === name;

const machine = `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
const json: Record<string, unknown> = { machine };

/** How often what is worse than its baseline is measured again. */
const measuredAgain = 3;

function micro(): void {
  console.log(machine);
  const baseline = values.check ? readBaseline(baselineFile) : null;
  const wants = (name: string): boolean => name.includes(filter) && (baseline === null || baseline.has(name));
  const print = (line: string): void => {
    console.log(line);
  };
  let found = runMicro(isMicroOnly, wants, print);
  json['micro'] = found;
  if (values['update-baseline']) writeFileSync(baselineFile, formatBaseline(found.results));
  if (baseline === null) return;
  let worse = compareWithBaseline(found.results, baseline);
  // A busy machine is no regression: only what is worse each time is.
  for (let again = 1; again <= measuredAgain && worse.length > 0; again++) {
    console.log(`measured again: ${worse.map((w) => w.name).join('; ')}`);
    const names = new Set(worse.map((w) => w.name));
    found = runMicro(true, (name) => names.has(name), print);
    worse = compareWithBaseline(found.results, baseline);
  }
  for (const w of worse)
    console.log(
      `WORSE: ${w.name}: ${w.ratio.toFixed(2)} times the reference loop, baseline ${w.baseline.toFixed(2)}, ` +
        `allowed ${w.allowed.toFixed(2)} (bench/baseline.json)`,
    );
  if (worse.length > 0) process.exitCode = 1;
  else console.log(`${baseline.size} micro benchmarks are within bench/baseline.json`);
}

async function macro(): Promise<void> {
  const names = Object.keys(sections).filter(wantsSection);
  if (names.length === 0) return;
  if (isAgainst) ensureDebianPackages();
  pinProcess(0);
  const samples = new Samples();
  const startMs = performance.now();
  const context: BenchContext = {
    kinds,
    runs,
    seconds,
    wants: (table, name) => `${table}: ${name}`.includes(filter),
    add: (table, name, unit, kind, value) => {
      samples.add(table, name, unit, kind, value);
    },
    note: (text) => {
      samples.note(text);
    },
    progress: (text) => {
      console.error(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(5)} s] ${text}`);
    },
  };
  for (const name of names) await sections[name]?.(context);
  const cells = makeCells(samples);
  console.log(formatText(cells));
  for (const note of samples.notes) console.log(`note: ${note}`);
  json['cells'] = cells;
  json['notes'] = samples.notes;
  const isWhole = isAgainst && values.only === undefined && filter === '' && kinds.length === 2;
  if (!isWhole) return;
  const when = `${machine}; kernel ${readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()}`;
  const lines = [
    `\`npm run bench -- --against ovs\`: ${when}.`,
    `Medians of ${runs} runs A B A B; ± is half of the distance between the extremes.`,
    'Ratios are > 1 where megaflow is better, also where less is better. Mpps are packets at the sink for',
    'each second of CPU time of the PMD threads. Goals: [goals.md](goals.md). What is compared and how: [bench.md](bench.md).',
    '',
    '![Ratios](results.svg)',
  ];
  writeFileSync(join(documents, 'results.md'), formatMarkdown(cells, { lines, notes: samples.notes }));
  writeFileSync(join(documents, 'results.svg'), drawChart(cells, machine));
}

if (wantsSection('micro') && !isAgainst) micro();
if (!isMicroOnly) await macro();
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(json, null, 2)}\n`);
process.exit();
