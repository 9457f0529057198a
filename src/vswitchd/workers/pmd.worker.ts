import { InstalledChains, type CompiledChain } from '../../datapath/chain/chain.ts';
import { PmdTimer } from '../../datapath/providers/userspace/pmd-timer.ts';
import { PmdLoop } from '../../datapath/providers/userspace/pmd-loop.ts';
import { openPortIo } from '../../netdev/registry.ts';
import { Upcaller } from '../../ofproto/upcall/upcaller.ts';
import { drainEventFd } from '../../sys/eventfd.ts';
import { PollSet } from '../../sys/poll.ts';
import { pinThread } from '../../sys/threads.ts';
import { vlog } from '../../util/log.ts';
import { hostWorker } from '../threads/worker-host.ts';
import { packetInEvents } from '../threads/packet-in-events.ts';
import type { PmdSettings, PortAddArgs } from '../threads/pmd-thread.ts';

const log = vlog('dpif_netdev');
/** How often a thread without packets lets go of dead megaflows. */
const sweepMs = 1000;

/** Entry of a `pmd-cNN/id:N` thread. */
hostWorker((context) => {
  const { core, init, clock } = context;
  const settings = init.settings as PmdSettings;
  if (settings.pin) {
    try {
      pinThread(settings.coreId);
    } catch (error) {
      log.warn(error instanceof Error ? error.message : String(error));
    }
  }
  const timer = new PmdTimer(core, clock, settings.pmd);
  const loop = new PmdLoop(core, settings.pmd, openPortIo, timer);
  const upcaller = new Upcaller({
    core,
    pmd: settings.pmd,
    udpif: settings.udpif,
    clock,
    events: packetInEvents(context),
  });
  loop.setUpcalls(upcaller);
  const chains = new InstalledChains(core, settings.pmd);
  const polls = new PollSet();
  let sweptMs = 0;
  return {
    wakeAtMs: Infinity,
    step: (nowMs) => loop.step(nowMs),
    request(method, args) {
      switch (method) {
        case 'port-add': {
          const { attachment, rxQueues, rxqs } = args as PortAddArgs;
          loop.addPort(attachment, rxQueues, rxqs);
          return null;
        }
        case 'port-del':
          loop.delPort(args as number);
          return null;
        case 'chain':
          return chains.install(args as CompiledChain);
        default:
          throw new Error(`unknown request ${method}`);
      }
    },
    block(timeoutMs) {
      if (loop.pending()) return;
      const nowMs = clock.nowMs();
      if (nowMs - sweptMs >= sweepMs) {
        sweptMs = nowMs;
        core.x.pmdSweep(settings.pmd);
      }
      timer.blocks(nowMs);
      polls.clear();
      polls.add(init.eventFd);
      for (const io of loop.rxPorts) for (const fd of io.pollFds) polls.add(fd);
      polls.wait(Math.ceil(timeoutMs));
      drainEventFd(init.eventFd);
    },
    close: () => {
      timer.close(clock.nowMs());
      loop.close();
      upcaller.close();
    },
  };
});
