import { createArena } from '../../src/arena/core.ts';
import type { Core } from '../../src/arena/core.ts';
import { allocKey } from '../../src/arena/keys.ts';
import { ArenaPacket, pmdMisses } from '../../src/datapath/packet-path.ts';
import { ethernet, ipv4, ipv6, tcp, udp } from '../../src/datapath/testing/packets.ts';
import { KeyLayout } from '../../src/flow/generated/key.ts';
import { OdpActionWriter } from '../../src/odp/action-writer.ts';
import { OvsKeyAttr } from '../../src/odp/attrs.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { SeededRandom } from '../../src/util/random.ts';
import type { Benchmark, BenchmarkFactory } from './registry.ts';

const BURST = 32;

/** One arena, one pmd, a ring of packets of many flows that go through in bursts of 32. */
class Bench {
  readonly core: Core;
  readonly pmd: number;
  readonly #key: number;
  readonly #mask: number;
  readonly #actions: number;
  readonly #writer: OdpActionWriter;

  constructor(emcInverse: number) {
    this.core = createArena({
      module: loadCoreModule(),
      sizeMb: 512,
      shared: true,
      seed: 1,
      threadName: 'bench',
    });
    this.core.x.threadOnline();
    this.pmd = this.core.x.pmdCreate(0) >>> 0;
    this.core.x.pmdSetEmcInsertInvProb(this.pmd, emcInverse);
    this.#key = allocKey(this.core);
    this.#mask = allocKey(this.core);
    this.#actions = this.core.x.alloc(1024) >>> 0;
    this.#writer = new OdpActionWriter(this.core.u8, this.#actions, 1024);
  }

  /** Installs a megaflow for a frame under a mask, with actions. */
  install(frame: Uint8Array, mask: (u8: Uint8Array) => void, actions: (w: OdpActionWriter) => void): void {
    const packet = new ArenaPacket(this.core, 2048);
    const { x, u8 } = this.core;
    x.extract(packet.load(frame, 1), this.#key);
    const view = u8.subarray(this.#mask, this.#mask + 768);
    view.fill(0);
    mask(view);
    this.#writer.reset(this.#actions, 1024);
    actions(this.#writer);
    x.megaflowInstall(this.pmd, this.#key, this.#mask, this.#actions, this.#writer.length, 0);
    packet.free();
  }

  /** A runner that sends all frames once a call, in bursts. */
  sender(frames: readonly Uint8Array[]): { run: () => void; operations: number } {
    const { x, dv } = this.core;
    const count = frames.length - (frames.length % BURST);
    const list = x.alloc(count * 4) >>> 0;
    frames.slice(0, count).forEach((frame, i) => {
      dv.setUint32(list + 4 * i, new ArenaPacket(this.core, frame.length).load(frame, 1), true);
    });
    const { pmd } = this;
    const run = (): void => {
      for (let at = list; at < list + 4 * count; at += 4 * BURST) {
        x.pmdProcess(pmd, at, BURST, 1);
        x.pmdReset(pmd);
      }
    };
    run();
    x.pmdProcess(pmd, list, BURST, 1);
    if (pmdMisses(this.core, pmd).length > 0) throw new Error('bench: packets miss');
    x.pmdReset(pmd);
    return { run, operations: count };
  }
}

const outputOne = (w: OdpActionWriter): void => {
  w.output(2);
};

/** What NORMAL leaves: addresses, type, fragment bits, VLAN. */
const l2Mask = (mask: Uint8Array): void => {
  mask.fill(0xff, 0, KeyLayout.nwProto);
  mask[KeyLayout.nwFrag] = 0xff;
  mask.fill(0xff, KeyLayout.vlanTpid0, KeyLayout.vlanTpid1);
};

/** Flow i of a set: addresses differ, so that each flow needs its own megaflow. */
function flowFrame(i: number, subtable: number): Uint8Array {
  const src = [2, 0, subtable, (i >>> 16) & 255, (i >>> 8) & 255, i & 255];
  return ethernet(
    0x0800,
    ipv4(17, udp(1024 + (i & 0x3fff), 53, 18), { src: 0x0a000000 + i, tos: subtable << 2 }),
    { src },
  );
}

/** Mask s of a set: the exact DSCP, addresses, and a prefix of nw_dst that makes each mask different. */
const numberedMask =
  (subtable: number) =>
  (mask: Uint8Array): void => {
    l2Mask(mask);
    mask[KeyLayout.nwTos] = 0xfc;
    mask.fill(0xff, KeyLayout.nwSrc, KeyLayout.nwDst);
    new DataView(mask.buffer, mask.byteOffset).setUint32(
      KeyLayout.nwDst,
      (0xffffffff << (31 - subtable)) >>> 0,
    );
  };

function emcHit(flows: number): Benchmark {
  const bench = new Bench(1);
  const frames = Array.from({ length: flows }, (_, i) => flowFrame(i, 0));
  for (const frame of frames) bench.install(frame, l2Mask, outputOne);
  const many = Array.from(
    { length: Math.max(BURST, flows) },
    (_, i) => frames[i % flows] ?? new Uint8Array(0),
  );
  return { name: `EMC hit, ${String(flows)} flows, output`, unit: 'ns/packet', ...bench.sender(many) };
}

function dpclsHit(flows: number, subtables: number): Benchmark {
  const bench = new Bench(0);
  const frames = Array.from({ length: flows }, (_, i) => flowFrame(i, (i * 7919) % subtables));
  frames.forEach((frame, i) => {
    bench.install(frame, numberedMask((i * 7919) % subtables), outputOne);
  });
  // At most 8,192 packets in flight; their order is scattered over the flows.
  const sent = Math.min(flows - (flows % BURST), 8192);
  const random = new SeededRandom(1);
  const order = Array.from({ length: sent }, () => frames[random.u32() % flows] ?? new Uint8Array(0));
  return {
    name: `dpcls hit, ${String(flows)} flows, ${String(subtables)} subtables`,
    unit: 'ns/packet',
    ...bench.sender(order),
  };
}

function extraction(name: string, frame: Uint8Array): Benchmark {
  const bench = new Bench(0);
  const { x } = bench.core;
  const packets = Array.from({ length: BURST }, () => new ArenaPacket(bench.core, 2048).load(frame, 1));
  const keys = x.alloc(BURST * 768) >>> 0;
  const list = x.alloc(BURST * 4) >>> 0;
  packets.forEach((p, i) => {
    bench.core.dv.setUint32(list + 4 * i, p, true);
  });
  return {
    name: `extraction alone, ${name}`,
    unit: 'ns/packet',
    operations: BURST * 16,
    run: () => {
      for (let i = 0; i < 16; i++) x.extractMany(list, BURST, keys);
    },
  };
}

/** One flow through the EMC; what it costs above a lone output is the action's price. */
function action(name: string, write: (w: OdpActionWriter) => void, frame = flowFrame(1, 0)): Benchmark {
  const bench = new Bench(1);
  bench.install(frame, l2Mask, write);
  const sender = bench.sender(Array.from({ length: BURST }, () => frame));
  return { name: `actions ${name}`, unit: 'ns/packet', operations: sender.operations, run: sender.run };
}

const ipv4Key = Uint8Array.from([192, 168, 0, 1, 0, 0, 0, 0, 0, 0, 63, 0]);
const ipv4Mask = Uint8Array.from([255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 0]);

export const benchmarks: readonly BenchmarkFactory[] = [
  () => extraction('UDP/IPv4', flowFrame(1, 0)),
  () => extraction('TCP/IPv6', ethernet(0x86dd, ipv6(6, tcp(1, 2)))),
  () => emcHit(1),
  () => emcHit(1000),
  ...[1, 10, 30].flatMap((subtables) => [1000, 100000].map((flows) => () => dpclsHit(flows, subtables))),
  () => action('drop', () => undefined),
  () => action('output', outputOne),
  () =>
    action('output to 8 ports', (w) => {
      for (let port = 2; port < 10; port++) w.output(port);
    }),
  () =>
    action('set nw_src and ttl, output', (w) => {
      w.setMasked(OvsKeyAttr.ipv4, ipv4Key, ipv4Mask);
      w.output(2);
    }),
  () =>
    action('push_vlan, pop_vlan, output', (w) => {
      w.pushVlan(0x8100, 5);
      w.popVlan();
      w.output(2);
    }),
  () =>
    action('output, push_vlan, output (copy)', (w) => {
      w.output(2);
      w.pushVlan(0x8100, 5);
      w.output(3);
    }),
];
