import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { memoryStats } from '../arena/memory-stats.ts';
import { settle, testCore } from '../arena/testing/test-core.ts';

interface Report {
  readonly lookups: number;
  readonly found: number;
  readonly errors: number;
}

describe('threads', () => {
  it('add and delete rules while others look up: none is lost, none is read after it was freed', async () => {
    const core = testCore({ sizeMb: 128 });
    const { x, dv, u8 } = core;
    const cls = x.clsCreate() >>> 0;
    const [flow, mask] = [x.alloc(768) >>> 0, x.alloc(768) >>> 0];
    // Writer 0 of churn-worker.mjs: rules that stay.
    const kept: number[] = [];
    for (let n = 0; n < 200; n++) {
      u8.fill(0, flow, flow + 768);
      u8.fill(0, mask, mask + 768);
      u8.fill(0xff, mask + 704, mask + 712);
      dv.setUint16(flow + 20, 0x0800);
      dv.setUint16(mask + 20, 0xffff);
      dv.setUint32(flow + 40, 0x0a000000 + (n << 4));
      dv.setUint32(mask + 40, n % 3 === 0 ? 0xffff_fff0 : 0xffff_ffff);
      if (n % 2 === 0) {
        dv.setUint16(flow + 46, n);
        dv.setUint16(mask + 46, 0xffff);
      }
      const rule = x.ruleCreate(flow, mask, 10 + (n % 7)) >>> 0;
      dv.setBigUint64(rule + 64, BigInt(n), true);
      x.clsInsert(cls, rule, 0);
      kept.push(rule);
    }
    settle(core);
    const before = memoryStats(core);
    const control = new Int32Array(new SharedArrayBuffer(8));
    const start = (mode: 'read' | 'write', id: number, count: number): Promise<Report> =>
      new Promise((resolve, reject) => {
        const workerData = { module: core.module, memory: core.memory, cls, mode, id, count, control };
        const worker = new Worker(new URL('./testing/churn-worker.mjs', import.meta.url), { workerData });
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    // Main is a thread like the others: offline while it waits.
    x.threadOffline();
    const readers = [start('read', 3, 0), start('read', 4, 0)];
    while (Atomics.load(control, 1) < readers.length) await new Promise((resolve) => setImmediate(resolve));
    const writers = await Promise.all([start('write', 1, 20_000), start('write', 2, 20_000)]);
    Atomics.store(control, 0, 1);
    const reports = [...writers, ...(await Promise.all(readers))];
    x.threadOnline();
    expect(reports.map((r) => r.errors)).toEqual([0, 0, 0, 0]);
    expect(reports.map((r) => r.lookups > 0)).toEqual([true, true, true, true]);
    expect(x.clsRuleCount(cls)).toBe(kept.length);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: before.blocksInUse, limboBlocks: 0, badFrees: 0 });
    for (const rule of kept) x.clsRemove(cls, rule, 0);
    settle(core);
    x.clsDestroy(cls);
    x.free(flow);
    x.free(mask);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: 0, badFrees: 0 });
  });
});
