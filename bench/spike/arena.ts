import { Worker } from 'node:worker_threads';
import { allocKey } from '../../src/arena/keys.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { KeyLayout as K } from '../../src/flow/generated/key.ts';
import { benchCore, ClassifierBench } from '../micro/classifier.ts';
import { time } from '../micro/registry.ts';

/**
 * The figures of docs/adr/0001-arena-encoding.md: what rules and keys in the arena cost when TypeScript
 * drives them. Prints Markdown. Usage: npx tsx bench/spike/arena.ts [--large]
 */
const isLarge = process.argv.includes('--large');
const core = benchCore(isLarge ? 1024 : 256);
const { x, dv, u8 } = core;
const [flow, wc] = [allocKey(core), allocKey(core)];

/** Best nanoseconds of CPU time an operation, with 1,000 operations a call. */
function perOperation(operation: (i: number) => void): string {
  const { best } = time(() => {
    for (let i = 0; i < 1000; i++) operation(i);
  }, 1000);
  return best.toFixed(best < 10 ? 1 : 0);
}

function keys(): void {
  const key = new Uint8Array(768);
  const rows: readonly (readonly [string, (i: number) => void])[] = [
    ['copy of a key into the arena, 64 bytes', () => u8.set(key.subarray(0, 64), flow)],
    ['copy of a key into the arena, 768 bytes', () => u8.set(key, flow)],
    ['768 bytes cleared, TypedArray.fill', () => u8.fill(0, wc, wc + 768)],
    ['768 bytes cleared, keyClear', () => x.keyClear(wc)],
    ['768 bytes copied, copyWithin', () => u8.copyWithin(wc, flow, flow + 768)],
    ['768 bytes copied, keyCopy', () => x.keyCopy(wc, flow)],
    ['call of core.wasm that does nothing', () => x.layoutHash()],
    ['read of a field by accessor', () => dv.getUint32(flow + K.nwDst, true)],
    ['alloc + free, 200 bytes', () => x.free(x.alloc(200))],
    ['lock + unlock', () => { x.lock(wc); x.unlock(wc); }], // prettier-ignore
    ['quiesce, nothing in limbo', () => x.quiesce()],
  ];
  console.log('| | ns |\n|---|---|');
  for (const [name, operation] of rows) console.log(`| ${name} | ${perOperation(operation)} |`);
}

function classifier(rules: number, masks: number): string {
  const cpuMs = (): number => process.cpuUsage().user / 1000;
  const bench = new ClassifierBench(core, rules, masks);
  const ns = (kind: 'hit' | 'miss', withMask: boolean): string =>
    time(bench.lookups(kind, withMask), 1024).best.toFixed(0);
  const cells = [ns('hit', false), ns('hit', true), ns('miss', false), ns('miss', true)];
  const bytes = bench.bytesPerRule.toFixed(0);
  let startMs = cpuMs();
  bench.removeAll();
  const removeNs = ((cpuMs() - startMs) * 1e6) / rules;
  startMs = cpuMs();
  bench.add(rules, masks);
  const addNs = ((cpuMs() - startMs) * 1e6) / rules;
  bench.destroy();
  return `| ${masks} | ${rules.toLocaleString('en')} | ${cells.join(' | ')} | ${addNs.toFixed(0)} | ${removeNs.toFixed(0)} | ${bytes} |`;
}

interface Report {
  readonly errors: number;
  readonly ms: number;
}

/** Threads that each add or delete a rule and look it up, as in src/classifier/threads.test.ts. */
async function threads(writers: number): Promise<string> {
  const count = 200_000;
  const cls = x.clsCreate() >>> 0;
  const control = new Int32Array(new SharedArrayBuffer(4));
  x.threadOffline();
  const reports = await Promise.all(
    Array.from({ length: writers }, (_, i) => {
      const workerData = {
        module: core.module,
        memory: core.memory,
        cls,
        mode: 'write',
        id: i + 1,
        count,
        control,
      };
      const worker = new Worker(new URL('../../src/classifier/testing/churn-worker.mjs', import.meta.url), {
        workerData,
      });
      return new Promise<Report>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  x.threadOnline();
  if (reports.some((r) => r.errors > 0)) throw new Error('wrong answers');
  while (x.quiesce() > 0);
  x.clsDestroy(cls);
  while (x.quiesce() > 0);
  return `${writers} writer(s): ${((Math.max(...reports.map((r) => r.ms)) / count) * 1e3).toFixed(1)} us an operation, wall time`;
}

keys();
console.log(
  '\n| masks | rules | hit | hit with mask | miss | miss with mask | add | delete | bytes a rule |',
);
console.log('|---|---|---|---|---|---|---|---|---|');
for (const masks of [1, 10, 30])
  for (const rules of [1000, 10_000, 100_000]) console.log(classifier(rules, masks));
if (isLarge) console.log(classifier(1_000_000, 30));
console.log(`\n${await threads(1)}; ${await threads(2)}`);
const stats = memoryStats(core);
console.log(`left over: ${stats.blocksInUse} blocks, ${stats.badFrees} bad frees`);
