import { workerData } from 'node:worker_threads';
import { attachArena } from '../../arena/core.ts';
import { PollSet } from '../../sys/poll.ts';
import type { PortAttachment } from '../provider.ts';
import { openPortIo } from '../registry.ts';

/** Echoes `count` frames, then ends. Blocks without a time-out: a lost wake-up would hang it for ever. */
const { module, memory, attachment, count } = workerData as {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  attachment: PortAttachment;
  count: number;
};
const core = attachArena({ module, memory, threadName: 'echo' });
core.x.threadOnline();
const io = openPortIo(attachment, core, 0);
const batch = core.x.alloc(4 * 32) >>> 0;
const poll = new PollSet();
for (const fd of io.pollFds) poll.add(fd);
for (let received = 0; received < count;) {
  const n = io.receive(batch);
  if (n > 0) {
    io.transmit(batch, n);
    received += n;
  } else if (!io.pending()) {
    poll.wait(-1);
  }
}
io.close();
