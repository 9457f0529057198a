import { afterEach, describe, expect, it } from 'vitest';
import { ArenaClock } from '../../src/arena/clock.ts';
import { createArena, type Core } from '../../src/arena/core.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { UpcallBench } from '../../src/ofproto/testing/upcall-bench.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { ThreadManager, type WorkerThread } from '../../src/vswitchd/threads/thread-manager.ts';

/**
 * Real revalidator threads over shared memory, while this thread forwards, changes rules, and replaces the
 * threads. Whatever the interleaving: every packet is credited once, no thread dies, and nothing stays
 * allocated.
 */
const ports = [1, 2, 3].map((i) => ({ name: `p${i}`, ofp: i, odp: i }));
const packet =
  'in_port=1,tcp,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1,tcp_dst=81';

describe('revalidator threads', () => {
  let running: WorkerThread[] = [];
  afterEach(async () => {
    await Promise.all(running.map((t) => t.stop()));
  });

  it('credit each packet once, through changes of rules and threads', async () => {
    const module = loadCoreModule();
    const core = createArena({ module, sizeMb: 128, shared: true, seed: 1, threadName: 'main' });
    core.x.threadOnline();
    const clock = new ArenaClock(core);
    const bench = new UpcallBench([{ name: 'br0', ports }], { maxIdleMs: 100 }, core);
    bench.clock.nowMs = () => clock.nowMs();
    const deaths: string[] = [];
    const threads = new ThreadManager(core, module, () => undefined);
    const start = (n: number): void => {
      bench.udpif.setThreads(n);
      running = Array.from({ length: n }, (_, index) => {
        const name = `revalidator${threads.nextId()}`;
        return threads.start('revalidator', name, { udpif: bench.udpif.address, index }, (t) =>
          deaths.push(t.name),
        );
      });
    };
    const round = async (): Promise<void> => {
      const target = bench.udpif.waitTarget();
      await offline(core, () => ((bench.udpif.roundSeq - target) | 0) >= 0);
    };

    const all = bench.addRule('br0', 'priority=5,tcp,actions=resubmit(,1)');
    bench.addRule('br0', 'table=1,priority=1,tcp,actions=move:NXM_OF_TCP_SRC[]->NXM_NX_REG0[0..15],2');
    const send = bench.sender(packet);
    const random = new SeededRandom(7);
    const extra: number[] = [];
    let sent = 1;
    for (const n of [4, 1, 3]) {
      start(n);
      await round();
      for (let i = 0; i < 150; i++) {
        for (let k = 0; k < 100; k++) send(random.u32() % 2000);
        sent += 100;
        core.x.quiesce();
        const [oldest] = extra;
        if (extra.length > 5 && oldest !== undefined) {
          bench.removeRule(oldest);
          extra.shift();
        }
        if (i % 5 === 0) {
          const match = `tcp_src=${random.u32() % 2000}/0xfff0`;
          const actions = random.u32() % 2 === 0 ? 'controller,3' : '2,3';
          extra.push(
            bench.addRule('br0', `table=1,priority=${10 + (i % 7)},tcp,${match},actions=${actions}`),
          );
        }
        if (i % 50 === 49) await round();
      }
      const old = running;
      bench.udpif.setThreads(0);
      await offline(
        core,
        () => old.every((t) => !t.alive),
        () => old.map((t) => t.stop()),
      );
    }
    start(2);
    bench.udpif.purge();
    await offline(core, () => bench.udpif.purged);
    // What was evicted is credited for good in the round after.
    await round();
    await round();
    expect(bench.packets(all)).toBe(sent);
    expect(bench.flows()).toEqual([]);
    expect(deaths).toEqual([]);
    for (const rule of extra) bench.removeRule(rule);
    await round();
    core.x.quiesce();
    const { badFrees, failedAllocs, blocksInUse } = memoryStats(core);
    expect({ badFrees, failedAllocs }).toEqual({ badFrees: 0, failedAllocs: 0 });
    // Some hundred blocks for bridges, tables, threads and scratch; flows would be thousands.
    expect(blocksInUse).toBeLessThan(400);
  });
});

/** Lets the event loop and the other threads go on until a condition holds; this thread holds nothing meanwhile. */
async function offline(
  core: Core,
  condition: () => boolean,
  first: () => unknown = () => undefined,
): Promise<void> {
  core.x.threadOffline();
  first();
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  core.x.threadOnline();
  core.x.quiesce();
}
