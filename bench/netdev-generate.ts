/**
 * Sends UDP frames of one length through a device as fast as it takes them.
 *
 * Usage: netdev-generate.ts NAME SECONDS LENGTH FLOWS DESTINATION_MAC   (prints packets and kpps)
 */
import { createArena } from '../src/arena/core.ts';
import { setNetdevEnvironment } from '../src/netdev/environment.ts';
import { packetData } from '../src/netdev/generated/packet.ts';
import { openNetdev, openPortIo } from '../src/netdev/registry.ts';
import { loadCoreModule } from '../src/sys/core-module.ts';
import { pinThread } from '../src/sys/threads.ts';
import { SystemClock } from '../src/util/clock.ts';

const [name = '', seconds = '3', length = '60', flows = '1', mac = 'ff:ff:ff:ff:ff:ff'] =
  process.argv.slice(2);
pinThread(0);
const clock = new SystemClock();
const core = createArena({ module: loadCoreModule(), sizeMb: 64, shared: true, seed: 1, threadName: 'main' });
setNetdevEnvironment({ core, clock, dummy: null, systemEnabled: true, wakeMain: () => undefined });
const netdev = openNetdev('system', name, new Map());
const io = openPortIo(netdev.attach(1), core, null);
const list = core.x.alloc(4 * 32) >>> 0;
for (let i = 0; i < 32; i++) {
  const bytes = new Uint8Array(Number(length));
  bytes.set(mac.split(':').map((part) => parseInt(part, 16)));
  bytes.set(
    [
      ...netdev.mac,
      0x08,
      0x00,
      0x45,
      0,
      0,
      bytes.length - 14,
      0,
      0,
      0,
      0,
      64,
      17,
      0,
      0,
      10,
      77,
      0,
      1,
      10,
      77,
      0,
      2,
    ],
    6,
  );
  const packet = core.x.portFrameAlloc(bytes.length) >>> 0;
  core.u8.set(bytes, packetData(core.dv, packet));
  core.dv.setUint16(packetData(core.dv, packet) + 34, 1000 + (i % Number(flows)));
  core.dv.setUint16(packetData(core.dv, packet) + 36, 9);
  core.dv.setUint16(packetData(core.dv, packet) + 38, bytes.length - 34);
  core.u32[list / 4 + i] = packet;
}
const startMs = clock.nowMs();
let packets = 0;
while (clock.nowMs() - startMs < Number(seconds) * 1000) {
  for (let i = 0; i < 32; i++) io.transmit(list, 32);
  packets += 32 * 32;
}
console.log(JSON.stringify({ packets, kpps: Math.round(packets / (clock.nowMs() - startMs)) }));
io.close();
netdev.close();
