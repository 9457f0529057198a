import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { allocKey } from '../../src/arena/keys.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { settle, testCore } from '../../src/arena/testing/test-core.ts';
import { MegaflowLayout } from '../../src/datapath/generated/megaflow.ts';
import { PmdLayout } from '../../src/datapath/generated/pmd.ts';
import { ArenaPacket, packetBytes, pmdMisses, pmdTransmits } from '../../src/datapath/packet-path.ts';
import { ethernet, ipv4, udp } from '../../src/datapath/testing/packets.ts';
import { KeyLayout } from '../../src/flow/generated/key.ts';
import { PacketLayout } from '../../src/netdev/generated/packet.ts';
import { SeededRandom } from '../../src/util/random.ts';

/**
 * What a worker does: installs, changes and deletes megaflows of the pmd as fast as it can. Every
 * megaflow sends to port 1 + last byte of nw_dst, or to that + 1000 after a change, so the pmd's
 * thread can judge each packet it forwards, whichever megaflow it met.
 */
const workerSource = `
const { workerData, parentPort } = require('node:worker_threads');
const { module, memory, pmd, seed, stop, at } = workerData;
const x = new WebAssembly.Instance(module, { env: { memory, table: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }) } }).exports;
x.threadAttach(0);
x.threadOnline();
const u8 = new Uint8Array(memory.buffer), dv = new DataView(memory.buffer), flag = new Int32Array(stop);
const key = x.alloc(768) >>> 0, mask = x.alloc(768) >>> 0, actions = x.alloc(64) >>> 0;
let state = seed;
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
const output = (port) => {
  dv.setUint32(actions, 8 | (1 << 16), true);
  dv.setUint32(actions + 4, port, true);
};
let installed = 0, deleted = 0, changed = 0, failed = 0;
while (Atomics.load(flag, 0) === 0) {
  x.quiesce();
  const dst = random() % 64;
  if (random() % 2 === 0) {
    u8.fill(0, key, key + 768);
    u8.fill(0, mask, mask + 768);
    dv.setUint32(key + at.inPort, 3);
    u8[key + at.nwDst + 3] = dst;
    u8[mask + at.nwDst + 3] = 255;
    // Some masks have more: the source port's low bits.
    const bits = [0, 0, 1, 3, 7, 15][random() % 6];
    u8[mask + at.tpSrc + 1] = bits;
    u8[key + at.tpSrc + 1] = random() & bits;
    output(1 + dst);
    if (x.megaflowInstall(pmd, key, mask, actions, 8, 1) !== 0) installed++;
    else failed++;
    continue;
  }
  const capacity = dv.getUint32(pmd + at.flowCapacity, true);
  const slots = dv.getUint32(pmd + at.flowSlots, true);
  const mf = dv.getUint32(slots + 4 * (random() % Math.min(capacity, 512)), true);
  if (mf === 0) continue;
  if (random() % 3 === 0) {
    const port = dv.getUint32((x.megaflowActions(mf) >>> 0) + 4, true);
    output(port > 1000 ? port - 1000 : port + 1000);
    if (x.megaflowSetActions(mf, actions, 8)) changed++;
  } else if (x.megaflowDelete(mf)) deleted++;
}
x.free(key); x.free(mask); x.free(actions);
x.threadOffline();
x.threadDetach();
parentPort.postMessage({ installed, deleted, changed, failed });
`;

describe('megaflows changed by other threads', () => {
  it('never lead a packet of the pmd astray, and leave no memory behind', async () => {
    const core = testCore({ sizeMb: 256 });
    const { x, dv } = core;
    const warm = x.pmdCreate(9) >>> 0;
    x.pmdDestroy(warm);
    settle(core);
    const random = new SeededRandom(11);
    const packets = Array.from({ length: 32 }, () => new ArenaPacket(core, 256));
    const batch = x.alloc(128) >>> 0;
    allocKey(core);
    const before = memoryStats(core).blocksInUse;
    const pmd = x.pmdCreate(0) >>> 0;
    x.pmdSetEmcInsertInvProb(pmd, 2);

    const stop = new SharedArrayBuffer(4);
    const at = {
      inPort: KeyLayout.inPort,
      nwDst: KeyLayout.nwDst,
      tpSrc: KeyLayout.tpSrc,
      flowSlots: PmdLayout.flowSlots,
      flowCapacity: PmdLayout.flowCapacity,
    };
    const workers = [1, 2].map((seed) => {
      const workerData = { module: core.module, memory: core.memory, pmd, seed: seed * 7919, stop, at };
      const worker = new Worker(workerSource, { eval: true, workerData });
      const done = new Promise<{ installed: number; deleted: number; changed: number; failed: number }>(
        (resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        },
      );
      return { worker, done };
    });
    await Promise.all(workers.map(({ worker }) => new Promise((resolve) => worker.once('online', resolve))));

    const wrong: string[] = [];
    let sent = 0;
    let missed = 0;
    // Until enough packets met a megaflow; the workers may need a while to start.
    for (let burst = 0; sent < 150_000 && burst < 2_000_000; burst++) {
      x.quiesce();
      packets.forEach((packet, i) => {
        const frame = ethernet(0x0800, ipv4(17, udp(random.u32() % 16, 9), { dst: random.u32() % 64 }));
        // Frames stay for eight bursts, so that the EMC hits.
        if (burst % 8 === 0) packet.load(frame, 3);
        dv.setUint32(batch + 4 * i, packet.address, true);
      });
      x.pmdProcess(pmd, batch, 32, burst);
      missed += pmdMisses(core, pmd).length;
      for (const [port, list] of pmdTransmits(core, pmd)) {
        sent += list.length;
        for (const p of list) {
          const dst = packetBytes(core, p)[33] ?? 0;
          if ((port > 1000 ? port - 1000 : port) !== 1 + dst)
            wrong.push(`nw_dst ${String(dst)} to ${String(port)}`);
          const mf = dv.getUint32(p + PacketLayout.megaflow, true);
          if (dv.getUint32(mf + MegaflowLayout.pmd, true) !== pmd) wrong.push('not a megaflow');
        }
      }
      x.pmdReset(pmd);
    }
    Atomics.store(new Int32Array(stop), 0, 1);
    x.threadOffline();
    const counts = await Promise.all(workers.map(({ done }) => done));
    x.threadOnline();
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(sent).toBeGreaterThanOrEqual(150_000);
    for (const c of counts) {
      expect(Math.min(c.installed, c.deleted, c.changed)).toBeGreaterThan(100);
      expect(c.failed).toBe(0);
    }
    expect(missed).toBeGreaterThan(0);
    expect(dv.getFloat64(pmd + PmdLayout.emcHits, true)).toBeGreaterThan(0);

    x.pmdDestroy(pmd);
    settle(core);
    const after = memoryStats(core);
    expect(after.badFrees).toBe(0);
    expect(after.blocksInUse).toBe(before);
  });
});
