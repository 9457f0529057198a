/**
 * Packet source for benchmarks, to be run in a network namespace (`ip netns exec NS ...`).
 *
 * Usage: generate.ts DEVICE SECONDS LENGTH FLOWS DESTINATION_MAC   (prints {"packets", "kpps"} as made; the device may drop)
 *        generate.ts --drop DEVICE     (attaches a sink that drops all; prints "ready", runs until it is killed)
 *
 * The first form needs NAPI at the far end of DEVICE: see live-frames.ts. Pinned to core 0.
 */
import { readFileSync } from 'node:fs';
import { XDP_FLAGS_DRV_MODE, attachXdp } from '../../src/sys/bpf.ts';
import { pinThread } from '../../src/sys/threads.ts';
import { SystemClock } from '../../src/util/clock.ts';
import { loadDropProgram, loadFlowProgram, runLiveFrames } from './live-frames.ts';

/** Frames a system call; fewer make its fixed cost felt. */
const framesPerRun = 1 << 18;
const sys = (device: string, file: string): string =>
  readFileSync(`/sys/class/net/${device}/${file}`, 'utf8').trim();
const macBytes = (text: string): number[] => text.split(':').map((part) => parseInt(part, 16));

function udpFrame(length: number, from: string, to: string): Uint8Array {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  frame.set([...macBytes(to), ...macBytes(from), 0x08, 0x00, 0x45]);
  view.setUint16(16, length - 14);
  frame.set([64, 17], 22);
  frame.set([10, 77, 0, 1, 10, 77, 0, 2], 26);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  view.setUint16(24, ~((sum & 0xffff) + (sum >>> 16)));
  view.setUint16(36, 9);
  view.setUint16(38, length - 34);
  return frame;
}

const args = process.argv.slice(2);
pinThread(0);
if (args[0] === '--drop') {
  attachXdp(loadDropProgram(), Number(sys(args[1] ?? '', 'ifindex')), XDP_FLAGS_DRV_MODE);
  console.log('ready');
  setInterval(() => undefined, 1 << 30);
} else {
  const [device = '', seconds = '3', length = '60', flows = '1', mac = 'ff:ff:ff:ff:ff:ff'] = args;
  const program = loadFlowProgram(Number(sys(device, 'ifindex')), Number(flows));
  const frame = udpFrame(Number(length), sys(device, 'address'), mac);
  const clock = new SystemClock();
  const startMs = clock.nowMs();
  let packets = 0;
  while (clock.nowMs() - startMs < Number(seconds) * 1000) {
    if (runLiveFrames(program, frame, framesPerRun)) packets += framesPerRun;
  }
  console.log(JSON.stringify({ packets, kpps: Math.round(packets / (clock.nowMs() - startMs)) }));
}
