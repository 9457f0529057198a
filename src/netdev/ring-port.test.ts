import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createArena } from '../arena/core.ts';
import { loadCoreModule } from '../sys/core-module.ts';
import { ManualClock } from '../util/clock.ts';
import { setNetdevEnvironment } from './environment.ts';
import { labPort } from './providers/lab.ts';
import { openNetdev } from './registry.ts';
import { testFrame } from './testing/contract.ts';

describe('ring ports between threads', () => {
  it('lose no frame and no wake-up while both sides keep falling asleep', async () => {
    const module = loadCoreModule();
    const core = createArena({ module, sizeMb: 32, shared: true, seed: 1, threadName: 'main' });
    core.x.threadOnline();
    let woken: () => void = () => undefined;
    setNetdevEnvironment({
      core,
      clock: new ManualClock(),
      dummy: null,
      systemEnabled: true,
      wakeMain: () => woken(),
    });
    const netdev = openNetdev('lab', 'w1', new Map());
    const port = labPort('w1');
    if (port === undefined) throw new Error('no port');
    const lengths: number[] = [];
    port.onFrame = (frame) => lengths.push(frame.length);
    const count = 3000;
    const worker = new Worker(new URL('./testing/ring-worker.mjs', import.meta.url), {
      workerData: { module, memory: core.memory, attachment: netdev.attach(5), count },
    });
    const ended = once(worker, 'exit');
    // Nothing but the worker's signals brings main back here while frames are under way.
    const keepAlive = setInterval(() => undefined, 1e6);
    const sent: number[] = [];
    while (lengths.length < count) {
      const burst = Math.min(1 + ((sent.length * 7) % 40), count - sent.length);
      for (let i = 0; i < burst; i++) {
        const length = 60 + (sent.length % 500);
        if (!port.send(testFrame(length, 1))) break;
        sent.push(length);
      }
      const signal = new Promise<void>((resolve) => (woken = resolve));
      netdev.run(0);
      if (lengths.length < sent.length) await signal;
    }
    clearInterval(keepAlive);
    await ended;
    expect(lengths).toEqual(sent);
    expect(netdev.statistics()).toMatchObject({
      rx_packets: count,
      tx_packets: count,
      rx_dropped: 0,
      tx_dropped: 0,
    });
    netdev.close();
  });
});
