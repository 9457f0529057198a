import { beNicer } from '../../sys/threads.ts';
import { Revalidator } from '../../ofproto/upcall/revalidator.ts';
import { packetInEvents } from '../threads/packet-in-events.ts';
import type { RevalidatorSettings } from '../threads/revalidator-pool.ts';
import { hostWorker } from '../threads/worker-host.ts';

/** Half of main's share of a contended core. */
const revalidatorNice = 3;

/** Entry of a `revalidatorN` thread. */
hostWorker((context) => {
  const { core, clock, init } = context;
  const settings = init.settings as RevalidatorSettings;
  // A storm of flow_mods keeps revalidators busy; main, which takes them, shall get more of a core they share.
  beNicer(revalidatorNice);
  const revalidator = new Revalidator({
    core,
    clock,
    udpif: settings.udpif,
    index: settings.index,
    events: packetInEvents(context),
  });
  return {
    get wakeAtMs() {
      return revalidator.wakeAtMs;
    },
    step: (nowMs) => (revalidator.exited ? 0 : revalidator.step(nowMs)),
    request: (method) => {
      throw new Error(`unknown request ${method}`);
    },
    block(timeoutMs) {
      Atomics.wait(core.i32, revalidator.waitAddress >>> 2, revalidator.waitValue, timeoutMs);
    },
    close: () => revalidator.close(),
  };
});
