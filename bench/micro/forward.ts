import { createArena } from '../../src/arena/core.ts';
import type { Core } from '../../src/arena/core.ts';
import { allocKey } from '../../src/arena/keys.ts';
import { encodePortChain, InstalledChains, readPorts } from '../../src/datapath/chain/chain.ts';
import { ArenaPacket } from '../../src/datapath/packet-path.ts';
import { ethernet, ipv4, udp } from '../../src/datapath/testing/packets.ts';
import { KeyLayout } from '../../src/flow/generated/key.ts';
import { memoryProviders, openMemoryPortIo } from '../../src/netdev/providers/memory.ts';
import { setNetdevEnvironment } from '../../src/netdev/environment.ts';
import { OdpActionWriter } from '../../src/odp/action-writer.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { encodePcap } from '../../src/wire/pcap.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Benchmark, BenchmarkFactory } from './registry.ts';

/**
 * A pmd alone, from a pcap port to a null port: receive, extract, look up, send, as in table 1 of
 * docs/performance/goals.md; what `npm run bench -- --against ovs` measures with whole switches.
 */
interface Setup {
  readonly flows: number;
  /** Masks that the flows are dealt to; each differs in its prefixes of nw_src and nw_dst. */
  readonly subtables: number;
  /** One megaflow for each flow instead of one for each subtable. */
  readonly exact: boolean;
  /** other_config:emc-insert-inv-prob, 0 = off. */
  readonly emcInverse: number;
  /** With the compiled chain. */
  readonly chain?: boolean;
}

const BURST = 32;
const IN = 1;
const OUT = 2;

/** Flow i lies in the networks of subtable i % subtables. */
function frameOf(i: number, subtables: number): Uint8Array {
  const s = i % subtables;
  const host = Math.floor(i / subtables);
  return ethernet(
    0x0800,
    ipv4(17, udp(1024 + (host & 0xff), 53, 18), {
      src: (0x0a000000 | (s << 16) | ((host >>> 8) & 0xffff)) >>> 0,
      dst: ((20 + s) << 24) >>> 0,
    }),
    { dst: [2, 0, 0, 0, 0, 2], src: [2, 0, 0, 0, 0, 1] },
  );
}

/** The mask of subtable s: prefixes of nw_src (24 - s % 10 bits) and nw_dst (32 - s / 10 bits), type, fragment. */
function maskOf(s: number, exact: boolean, mask: Uint8Array): void {
  const dv = new DataView(mask.buffer, mask.byteOffset);
  const prefix = (bits: number): number => (bits >= 32 ? 0xffffffff : ~(0xffffffff >>> bits)) >>> 0;
  mask.fill(0xff, KeyLayout.dlType, KeyLayout.dlType + 2);
  mask[KeyLayout.nwFrag] = 0xff;
  dv.setUint32(KeyLayout.nwSrc, exact ? prefix(32) : prefix(16 - (s % 10)));
  if (exact) mask[KeyLayout.nwTos] = s % 10;
  dv.setUint32(KeyLayout.nwDst, prefix(32 - Math.floor(s / 10)));
  if (exact) dv.setUint32(KeyLayout.tpSrc, 0xffffffff);
}

function forward(name: string, setup: Setup): Benchmark {
  const core: Core = createArena({
    module: loadCoreModule(),
    sizeMb: 2048,
    shared: true,
    seed: 1,
    threadName: 'bench',
  });
  setNetdevEnvironment({
    core,
    clock: { nowMs: () => 0, wallMs: () => 0 },
    dummy: null,
    systemEnabled: true,
    wakeMain: () => undefined,
  });
  const { x } = core;
  x.threadOnline();
  const pmd = x.pmdCreate(0) >>> 0;
  x.pmdSetEmcInsertInvProb(pmd, setup.emcInverse);
  const key = allocKey(core);
  const mask = allocKey(core);
  const actions = x.alloc(64) >>> 0;
  const writer = new OdpActionWriter(core.u8, actions, 64);
  writer.output(OUT);
  const packet = new ArenaPacket(core, 256);
  const frames: Uint8Array[] = [];
  for (let i = 0; i < setup.flows; i++) {
    const frame = frameOf(i, setup.subtables);
    frames.push(frame);
    if (!setup.exact && i >= setup.subtables) continue;
    x.extract(packet.load(frame, IN), key);
    const view = core.u8.subarray(mask, mask + 768);
    view.fill(0);
    maskOf(i % setup.subtables, setup.exact, view);
    if (x.megaflowInstall(pmd, key, mask, actions, writer.length, 0) === 0)
      throw new Error('bench: arena is full');
  }
  const dir = mkdtempSync(join(tmpdir(), 'megaflow-bench-'));
  writeFileSync(join(dir, 'f.pcap'), encodePcap(frames.map((bytes) => ({ timeMs: 0, bytes }))));
  const [nullType, pcapType] = memoryProviders(() => new Uint8Array(6));
  const source = pcapType?.open(
    'in',
    new Map([
      ['rx_pcap', join(dir, 'f.pcap')],
      ['infinite', 'true'],
    ]),
  );
  const sink = nullType?.open('out', new Map());
  if (source === undefined || sink === undefined) throw new Error('bench: no memory ports');
  rmSync(dir, { recursive: true });
  const rx = openMemoryPortIo(source.attach(IN), core, 0);
  x.pmdSetSink(pmd, OUT, openMemoryPortIo(sink.attach(OUT), core, null).sink ?? 0);
  const poll = (bursts: number): void => {
    for (let i = 0; i < bursts; i++) {
      if (x.pmdPoll(pmd, rx.source ?? 0, 1) !== BURST) throw new Error('bench: a packet missed');
    }
  };
  poll(Math.max(2000, Math.ceil(setup.flows / BURST)));
  x.pmdRank(pmd);
  if (setup.chain === true) {
    const chains = new InstalledChains(core, pmd);
    for (const port of readPorts(core, pmd)) {
      const module = new WebAssembly.Module(encodePortChain(core, port));
      if (!chains.install({ ...port, module })) throw new Error('bench: no chain');
    }
    poll(2000);
  }
  const bursts = Math.max(512, Math.min(8192, Math.ceil(setup.flows / BURST)));
  return {
    name: `forward: ${name}`,
    unit: 'ns/packet',
    operations: bursts * BURST,
    run: () => {
      poll(bursts);
    },
  };
}

const one = (flows: number): readonly BenchmarkFactory[] => [
  () =>
    forward(`1 megaflow, ${flows} flows, EMC 1/100`, { flows, subtables: 1, exact: false, emcInverse: 100 }),
  () => forward(`1 megaflow, ${flows} flows, EMC off`, { flows, subtables: 1, exact: false, emcInverse: 0 }),
];
const many = (subtables: number): readonly BenchmarkFactory[] => [
  ...[false, true].map(
    (chain) => () =>
      forward(`${subtables} subtables, 1000 flows, EMC off${chain ? ', chain' : ''}`, {
        flows: 1000,
        subtables,
        exact: false,
        emcInverse: 0,
        chain,
      }),
  ),
  ...[false, true].map(
    (chain) => () =>
      forward(`${subtables} subtables, 100000 megaflows, EMC off${chain ? ', chain' : ''}`, {
        flows: 100_000,
        subtables,
        exact: true,
        emcInverse: 0,
        chain,
      }),
  ),
];
const exact = (flows: number): readonly BenchmarkFactory[] => [
  () => forward(`${flows} megaflows, EMC off`, { flows, subtables: 1, exact: true, emcInverse: 0 }),
];

export const benchmarks: readonly BenchmarkFactory[] = [
  ...[1, 1000, 10_000, 100_000, 1_000_000].flatMap(one),
  ...[10, 30, 100].flatMap(many),
  ...[50_000, 200_000].flatMap(exact),
];
