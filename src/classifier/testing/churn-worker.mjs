// A thread of its own for tests and bench/spike: works on a classifier through core.wasm alone.
// workerData: { module, memory, cls, mode: 'write' | 'read', id, count, control }
// write: adds, looks up and removes `count` rules with metadata = id. read: looks up until control[0] is
// set; control[1], if there is one, counts the readers at work. Reports { lookups, found, errors, ms }.
import { parentPort, workerData } from 'node:worker_threads';

const { module, memory, cls, mode, id, count, control } = workerData;
const x = new WebAssembly.Instance(module, {
  env: { memory, table: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }) },
}).exports;
x.threadAttach(1);
x.threadOnline();
const dv = new DataView(memory.buffer);
const u8 = new Uint8Array(memory.buffer);
const version = new BigUint64Array(memory.buffer, 65536 + 32, 1);
const flow = x.alloc(768) >>> 0;
const mask = x.alloc(768) >>> 0;
const wc = x.alloc(768) >>> 0;
const METADATA = 704,
  NW_DST = 40,
  TP_DST = 46,
  DL_TYPE = 20,
  COOKIE = 64;
let seed = 12345 + id;
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 8;

/** Rule `n` of writer `w`: each shape has another mask. Its cookie tells who it is. */
function load(w, n) {
  u8.fill(0, flow, flow + 768);
  u8.fill(0, mask, mask + 768);
  dv.setUint32(flow + METADATA + 4, w);
  dv.setBigUint64(mask + METADATA, 0xffff_ffff_ffff_ffffn);
  dv.setUint16(flow + DL_TYPE, 0x0800);
  dv.setUint16(mask + DL_TYPE, 0xffff);
  dv.setUint32(flow + NW_DST, 0x0a000000 + (n << 4));
  dv.setUint32(mask + NW_DST, n % 3 === 0 ? 0xffff_fff0 : 0xffff_ffff);
  if (n % 2 === 0) {
    dv.setUint16(flow + TP_DST, n & 0xffff);
    dv.setUint16(mask + TP_DST, 0xffff);
  }
}
const cookieOf = (w, n) => BigInt(w) * 0x1_0000_0000n + BigInt(n);
const cookie = (rule) => dv.getBigUint64(rule + COOKIE, true);

const result = { lookups: 0, found: 0, errors: 0, ms: 0 };
const startMs = performance.now();
if (mode === 'write') {
  const live = new Map();
  for (let i = 0; i < count; i++) {
    const n = random() % 2000;
    const old = live.get(n);
    if (old === undefined) {
      load(id, n);
      const rule = x.ruleCreate(flow, mask, 10 + (n % 7)) >>> 0;
      if (rule === 0) throw new Error('arena full');
      dv.setBigUint64(rule + COOKIE, cookieOf(id, n), true);
      if (x.clsInsert(cls, rule, Number(Atomics.load(version, 0)) + 1) === 0) throw new Error('arena full');
      Atomics.add(version, 0, 1n);
      live.set(n, rule);
    } else {
      x.clsRemove(cls, old, Number(Atomics.load(version, 0)) + 1);
      Atomics.add(version, 0, 1n);
      live.delete(n);
    }
    // What this thread did, it must see.
    load(id, n);
    const got = x.clsLookup(cls, Number(Atomics.load(version, 0)), flow, wc) >>> 0;
    if (old === undefined ? got === 0 || cookie(got) !== cookieOf(id, n) : got !== 0) result.errors++;
    result.lookups++;
    if (i % 64 === 0) x.quiesce();
  }
  for (const rule of live.values()) {
    x.clsRemove(cls, rule, Number(Atomics.load(version, 0)) + 1);
    Atomics.add(version, 0, 1n);
  }
} else {
  const held = [];
  // Says that it looks up, so that writers need not be done before.
  if (control.length > 1) Atomics.add(control, 1, 1);
  while (Atomics.load(control, 0) === 0) {
    held.length = 0;
    for (let i = 0; i < 500; i++) {
      // Writer 0's rules stay all the time; the others come and go.
      const w = i % 3;
      const n = random() % (w === 0 ? 200 : 2000);
      load(w, n);
      const got = x.clsLookup(cls, Number(Atomics.load(version, 0)), flow, wc) >>> 0;
      if (got === 0 ? w === 0 : cookie(got) !== cookieOf(w, n)) result.errors++;
      if (got !== 0) {
        result.found++;
        held.push([got, cookieOf(w, n)]);
      }
      result.lookups++;
    }
    // All of them are good until the quiescent point.
    for (const [rule, expected] of held) if (cookie(rule) !== expected) result.errors++;
    x.quiesce();
  }
}
result.ms = performance.now() - startMs;
for (const key of [flow, mask, wc]) x.free(key);
x.threadDetach();
parentPort.postMessage(result);
