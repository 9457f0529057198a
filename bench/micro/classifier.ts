import { createArena } from '../../src/arena/core.ts';
import type { Core } from '../../src/arena/core.ts';
import { allocKey } from '../../src/arena/keys.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { KeyLayout as K } from '../../src/flow/generated/key.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { SeededRandom } from '../../src/util/random.ts';
import type { Benchmark, BenchmarkFactory } from './registry.ts';

const LOOKUPS = 1024;

/** A classifier of rules that share `subtables` masks of Ethernet type, address prefix, ports and in_port. */
export class ClassifierBench {
  readonly core: Core;
  readonly cls: number;
  readonly #flow: number;
  readonly #mask: number;
  readonly #wc: number;
  readonly #hits: Uint32Array;
  readonly #misses: Uint32Array;
  rules: number[] = [];
  /** Arena bytes a rule, with all its indexes. */
  bytesPerRule = 0;

  constructor(core: Core, ruleCount: number, subtables: number) {
    this.core = core;
    this.#flow = allocKey(core);
    this.#mask = allocKey(core);
    this.#wc = allocKey(core);
    this.cls = core.x.clsCreate() >>> 0;
    const before = memoryStats(core).blockBytes;
    this.add(ruleCount, subtables);
    this.bytesPerRule = (memoryStats(core).blockBytes - before) / ruleCount;
    const random = new SeededRandom(1);
    const range = Math.ceil(ruleCount / subtables) << 4;
    this.#hits = Uint32Array.from({ length: LOOKUPS * 64 }, () => 0x0a00_0000 + (random.u32() % range));
    this.#misses = this.#hits.map((ip) => (ip ^ 0x4000_0000) >>> 0);
    core.x.keyClear(this.#flow);
    this.#setFlow(0x0a00_0000, 80);
  }

  #setMask(k: number): void {
    const { dv, x } = this.core;
    x.keyClear(this.#mask);
    dv.setUint16(this.#mask + K.dlType, 0xffff);
    dv.setUint32(this.#mask + K.packetType, 0xffff_ffff);
    dv.setUint32(this.#mask + K.nwDst, (0xffff_ffff << (k % 12)) >>> 0);
    if (k >= 12) dv.setUint16(this.#mask + K.tpDst, 0xffff);
    if (k >= 24) dv.setUint32(this.#mask + K.inPort, 0xffff_ffff);
    if (k >= 36) dv.setUint8(this.#mask + K.nwProto, 0xff);
  }

  #setFlow(ip: number, port: number): void {
    const { dv } = this.core;
    dv.setUint16(this.#flow + K.dlType, 0x0800);
    dv.setUint8(this.#flow + K.nwProto, 6);
    dv.setUint32(this.#flow + K.inPort, 1);
    dv.setUint32(this.#flow + K.nwSrc, 0x0b00_0000 | (ip & 0xffff));
    dv.setUint32(this.#flow + K.nwDst, ip >>> 0);
    dv.setUint16(this.#flow + K.tpDst, port);
    dv.setUint16(this.#flow + K.tpSrc, 40_000);
  }

  /** Adds rules with 32 bytes of actions each. */
  add(count: number, subtables: number): void {
    const { x, dv } = this.core;
    for (let i = 0; i < count; i++) {
      const k = i % subtables;
      this.#setMask(k);
      this.#setFlow(0x0a00_0000 + (Math.floor(i / subtables) << (k % 12)), 80 + (k % 4));
      const rule = x.ruleCreate(this.#flow, this.#mask, 100 + k) >>> 0;
      dv.setUint32(rule + 56, x.alloc(32), true);
      if (x.clsInsert(this.cls, rule, 0) === 0) throw new Error('arena is full');
      this.rules.push(rule);
    }
  }

  removeAll(): void {
    for (const rule of this.rules) this.core.x.clsRemove(this.cls, rule, 0);
    this.rules = [];
    while (this.core.x.quiesce() > 0);
  }

  /** A run of LOOKUPS lookups of packets that match, or of packets that no rule matches. */
  lookups(kind: 'hit' | 'miss', withMask: boolean): () => void {
    const { x, dv } = this.core;
    const ips = kind === 'hit' ? this.#hits : this.#misses;
    const at = this.#flow + K.nwDst;
    let next = 0;
    return () => {
      for (let i = 0; i < LOOKUPS; i++) {
        dv.setUint32(at, ips[next++ & 0xffff] ?? 0);
        if (withMask) x.keyClear(this.#wc);
        x.clsLookup(this.cls, 0, this.#flow, withMask ? this.#wc : 0);
      }
    };
  }

  destroy(): void {
    const { x } = this.core;
    this.removeAll();
    x.clsDestroy(this.cls);
    for (const key of [this.#flow, this.#mask, this.#wc]) x.free(key);
    while (x.quiesce() > 0);
  }
}

export function benchCore(sizeMb: number): Core {
  const core = createArena({ module: loadCoreModule(), sizeMb, shared: true, seed: 1, threadName: 'bench' });
  core.x.threadOnline();
  return core;
}

const lookup =
  (kind: 'hit' | 'miss', ruleCount: number, subtables: number): BenchmarkFactory =>
  (): Benchmark => {
    const bench = new ClassifierBench(benchCore(256), ruleCount, subtables);
    return {
      name: `classifier ${kind} with mask, ${ruleCount} rules, ${subtables} masks`,
      unit: 'ns/lookup',
      operations: LOOKUPS,
      run: bench.lookups(kind, true),
    };
  };

function addAndDelete(): Benchmark {
  const bench = new ClassifierBench(benchCore(256), 10_000, 10);
  bench.removeAll();
  return {
    name: 'classifier rule added and deleted, 10 masks',
    unit: 'ns/rule',
    operations: 1000,
    run: () => {
      bench.add(1000, 10);
      bench.removeAll();
    },
  };
}

function macLearning(): Benchmark {
  const core = benchCore(64);
  const { x, dv } = core;
  const table = x.macTableCreate(8192, 300) >>> 0;
  const mac = x.alloc(8) >>> 0;
  let n = 0;
  return {
    name: 'MAC learn and look up, 4,096 addresses',
    unit: 'ns/packet',
    operations: 1024,
    run: () => {
      for (let i = 0; i < 1024; i++) {
        n = (n + 1) & 4095;
        dv.setUint32(mac, 2 + n * 65536, true);
        x.macLearn(table, 0, mac, n & 7, false, 0);
        x.macLookup(table, 0, mac);
      }
    },
  };
}

export const benchmarks: readonly BenchmarkFactory[] = [
  lookup('hit', 10_000, 1),
  lookup('hit', 10_000, 30),
  lookup('miss', 10_000, 10),
  lookup('miss', 10_000, 30),
  addAndDelete,
  macLearning,
];
