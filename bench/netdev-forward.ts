/**
 * The smallest switch: everything from one device to the other. Measures what the ports cost without
 * a packet path between them.
 *
 * Usage: netdev-forward.ts TYPE1:NAME1 TYPE2:NAME2   (prints "ready", runs until it is killed)
 */
import { createArena } from '../src/arena/core.ts';
import { setNetdevEnvironment } from '../src/netdev/environment.ts';
import { openNetdev, openPortIo } from '../src/netdev/registry.ts';
import type { PortIo } from '../src/netdev/provider.ts';
import { loadCoreModule } from '../src/sys/core-module.ts';
import { PollSet } from '../src/sys/poll.ts';
import { initVlog } from '../src/sys/vlog-sink.ts';
import { SystemClock } from '../src/util/clock.ts';

initVlog('netdev-forward');
const clock = new SystemClock();
const core = createArena({ module: loadCoreModule(), sizeMb: 64, shared: true, seed: 1, threadName: 'main' });
setNetdevEnvironment({ core, clock, dummy: null, systemEnabled: true, wakeMain: () => undefined });
const netdevs = process.argv.slice(2).map((argument) => {
  const [type = '', name = ''] = argument.split(':');
  const netdev = openNetdev(type, name, new Map());
  netdev.setAdminUp(true);
  return netdev;
});
const ios = netdevs.map((netdev, i) => openPortIo(netdev.attach(i + 1), core, 0));
const [a, b] = ios;
if (a === undefined || b === undefined) throw new Error('two ports are needed');
const batch = core.x.alloc(4 * 32) >>> 0;
const poll = new PollSet();
let packets = 0;
let bursts = 0;

function forward(from: PortIo, to: PortIo): number {
  const n = from.receive(batch);
  if (n > 0) {
    to.transmit(batch, n);
    packets += n;
    bursts++;
  }
  return n;
}

function slice(): void {
  const untilMs = clock.nowMs() + 100;
  do {
    if (forward(a as PortIo, b as PortIo) + forward(b as PortIo, a as PortIo) > 0) continue;
    if (ios.some((io) => io.pending())) continue;
    poll.clear();
    for (const io of ios) for (const fd of io.pollFds) poll.add(fd);
    poll.wait(50);
  } while (clock.nowMs() < untilMs);
  setImmediate(slice);
}

process.on('SIGTERM', () => {
  console.log(
    JSON.stringify({
      packets,
      bursts,
      ports: netdevs.map((n) => n.statistics()),
      memory: process.memoryUsage().rss,
      cpu: process.cpuUsage(),
    }),
  );
  process.exit(0);
});
console.log('ready');
slice();
