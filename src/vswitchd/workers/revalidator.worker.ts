import { Revalidator } from '../../ofproto/upcall/revalidator.ts';
import { packetInEvents } from '../threads/packet-in-events.ts';
import type { RevalidatorSettings } from '../threads/revalidator-pool.ts';
import { hostWorker } from '../threads/worker-host.ts';

/** Entry of a `revalidatorN` thread. */
hostWorker((context) => {
  const { core, clock, init } = context;
  const settings = init.settings as RevalidatorSettings;
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
