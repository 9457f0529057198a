import { Worker } from 'node:worker_threads';
import { createArena } from '../../src/arena/core.ts';
import type { Core } from '../../src/arena/core.ts';
import { allocKey } from '../../src/arena/keys.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { KeyLayout as K } from '../../src/flow/generated/key.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { SeededRandom } from '../../src/util/random.ts';

/**
 * The figures of docs/adr/0001-arena-encoding.md: what rules and keys in the arena cost when TypeScript
 * drives them. Usage: npx tsx bench/spike/arena.ts [--large]
 */
const sizeMb = process.argv.includes('--large') ? 1024 : 256;
const core = createArena({ module: loadCoreModule(), sizeMb, shared: true, seed: 1, threadName: 'main' });
const { x, dv, u8 } = core;
x.threadOnline();
const [flow, mask, wc] = [allocKey(core), allocKey(core), allocKey(core)];
const random = new SeededRandom(1);

/** Least of 7 runs, in ns an operation. */
function time(run: (n: number) => void, n: number): number {
  let best = Infinity;
  for (let i = 0; i < 7; i++) {
    const start = process.hrtime.bigint();
    run(n);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / n);
  }
  return best;
}
const row = (name: string, value: number, unit = 'ns'): void => {
  console.log(`${name.padEnd(58)} ${value.toFixed(value < 10 ? 1 : 0).padStart(8)} ${unit}`);
};

/** Mask `k` of up to 48: dl_type, nw_dst or ipv4 pairs, ports, in_port in different combinations. */
function setMask(k: number): void {
  x.keyClear(mask);
  dv.setUint16(mask + K.dlType, 0xffff);
  dv.setUint32(mask + K.packetType, 0xffff_ffff);
  dv.setUint32(mask + K.nwDst, (0xffff_ffff << (k % 12)) >>> 0);
  if (k >= 12) dv.setUint16(mask + K.tpDst, 0xffff);
  if (k >= 24) dv.setUint32(mask + K.inPort, 0xffff_ffff);
  if (k >= 36) dv.setUint8(mask + K.nwProto, 0xff);
}

function setFlow(ip: number, port: number): void {
  dv.setUint16(flow + K.dlType, 0x0800);
  dv.setUint8(flow + K.nwProto, 6);
  dv.setUint32(flow + K.inPort, 1);
  dv.setUint32(flow + K.nwSrc, 0x0b00_0000 | (ip & 0xffff));
  dv.setUint32(flow + K.nwDst, ip >>> 0);
  dv.setUint16(flow + K.tpDst, port);
  dv.setUint16(flow + K.tpSrc, 40_000);
}

function fill(
  rules: number,
  subtables: number,
): { cls: number; addNs: number; bytes: number; addresses: number[] } {
  const cls = x.clsCreate() >>> 0;
  const before = memoryStats(core).blockBytes;
  const addresses: number[] = [];
  const start = process.hrtime.bigint();
  for (let i = 0; i < rules; i++) {
    const k = i % subtables;
    setMask(k);
    setFlow(0x0a00_0000 + (Math.floor(i / subtables) << (k % 12)), 80 + (k % 4));
    const rule = x.ruleCreate(flow, mask, 100 + k) >>> 0;
    dv.setUint32(rule + 56, x.alloc(32), true);
    if (x.clsInsert(cls, rule, 0) === 0) throw new Error('arena is full');
    addresses.push(rule);
  }
  const addNs = Number(process.hrtime.bigint() - start) / rules;
  return { cls, addNs, bytes: (memoryStats(core).blockBytes - before) / rules, addresses };
}

function lookups(rules: number, subtables: number): void {
  const { cls, addNs, bytes, addresses } = fill(rules, subtables);
  const ips = Uint32Array.from(
    { length: 65536 },
    () => 0x0a00_0000 + (random.u32() % (Math.ceil(rules / subtables) << 4)),
  );
  const outside = Uint32Array.from(ips, (ip) => (ip ^ 0x4000_0000) >>> 0);
  const run =
    (gather: number, from: Uint32Array = ips) =>
    (n: number): void => {
      for (let i = 0; i < n; i++) {
        dv.setUint32(flow + K.nwDst, from[i & 0xffff] ?? 0);
        if (gather !== 0) x.keyClear(gather);
        x.clsLookup(cls, 0, flow, gather);
      }
    };
  u8.fill(0, flow, flow + 768);
  setFlow(0x0a00_0000, 80);
  const label = `${rules} rules, ${subtables} subtables`;
  row(`lookup, ${label}`, time(run(0), 50_000));
  row(`lookup with mask, ${label}`, time(run(wc), 50_000));
  row(`miss, ${label}`, time(run(0, outside), 50_000));
  row(`miss with mask, ${label}`, time(run(wc, outside), 50_000));
  row(`  add`, addNs);
  row(`  memory a rule with 32 bytes of actions`, bytes, 'bytes');
  const start = process.hrtime.bigint();
  for (const rule of addresses) x.clsRemove(cls, rule, 0);
  while (x.quiesce() > 0);
  row(`  delete, to memory free`, Number(process.hrtime.bigint() - start) / rules);
  x.clsDestroy(cls);
  while (x.quiesce() > 0);
}

function keys(): void {
  const key = new Uint8Array(768);
  const copy =
    (bytes: number) =>
    (n: number): void => {
      const part = key.subarray(0, bytes);
      for (let i = 0; i < n; i++) u8.set(part, flow);
    };
  for (const bytes of [64, 128, 768])
    row(`copy a key of ${bytes} bytes into the arena`, time(copy(bytes), 200_000));
  row(
    'clear a mask of 768 bytes (TypedArray.fill)',
    time((n) => {
      for (let i = 0; i < n; i++) u8.fill(0, wc, wc + 768);
    }, 200_000),
  );
  row(
    'clear a mask of 768 bytes (keyClear)',
    time((n) => {
      for (let i = 0; i < n; i++) x.keyClear(wc);
    }, 200_000),
  );
  row(
    'call of core.wasm that does nothing (layoutHash)',
    time((n) => {
      for (let i = 0; i < n; i++) x.layoutHash();
    }, 1_000_000),
  );
  row(
    'read of one rule field by generated accessor',
    time((n) => {
      let s = 0;
      for (let i = 0; i < n; i++) s += dv.getUint32(flow + K.nwDst, true);
      if (s < 0) throw new Error();
    }, 1_000_000),
  );
  row(
    'alloc + free, 200 bytes',
    time((n) => {
      for (let i = 0; i < n; i++) x.free(x.alloc(200));
    }, 500_000),
  );
  row(
    'lock + unlock, free',
    time((n) => {
      for (let i = 0; i < n; i++) {
        x.lock(wc);
        x.unlock(wc);
      }
    }, 500_000),
  );
  row(
    'quiesce, nothing in limbo',
    time((n) => {
      for (let i = 0; i < n; i++) x.quiesce();
    }, 500_000),
  );
}

interface Report {
  readonly lookups: number;
  readonly errors: number;
  readonly ms: number;
}

/** Two writers and a reader at once, as in src/classifier/threads.test.ts. */
async function threads(shared: Core, writers: number): Promise<void> {
  const cls = shared.x.clsCreate() >>> 0;
  const control = new Int32Array(new SharedArrayBuffer(4));
  const start = (mode: string, id: number, count: number): Promise<Report> =>
    new Promise((resolve, reject) => {
      const workerData = { module: shared.module, memory: shared.memory, cls, mode, id, count, control };
      const worker = new Worker(new URL('../../src/classifier/testing/churn-worker.mjs', import.meta.url), {
        workerData,
      });
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  x.threadOffline();
  // Writers 1 and 2 as the reader knows them; there are no permanent rules here, so misses of 0 are no errors.
  const writing = Array.from({ length: writers }, (_, i) => start('write', i + 1, 200_000));
  const reports = await Promise.all(writing);
  x.threadOnline();
  const perOp = Math.max(...reports.map((r) => r.ms)) / 200_000;
  row(`${writers} writer thread(s): add or delete, then look up, each`, perOp * 1e6);
  for (const r of reports) if (r.errors > 0) throw new Error(`${r.errors} wrong answers`);
  while (x.quiesce() > 0);
  x.clsDestroy(cls);
  while (x.quiesce() > 0);
}

keys();
for (const subtables of [1, 10, 30]) for (const rules of [100, 10_000, 100_000]) lookups(rules, subtables);
if (sizeMb === 1024) lookups(1_000_000, 30);
await threads(core, 1);
await threads(core, 2);
const stats = memoryStats(core);
console.log(
  `left over: ${stats.blocksInUse} blocks, ${stats.badFrees} bad frees, peak ${stats.peakBytes >> 20} MiB`,
);
