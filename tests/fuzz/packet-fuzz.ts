import { createArena } from '../../src/arena/core.ts';
import type { Core } from '../../src/arena/core.ts';
import { allocKey } from '../../src/arena/keys.ts';
import { PmdLayout as pmdAt } from '../../src/datapath/generated/pmd.ts';
import { ArenaPacket, packetBytes, pmdMisses, pmdTransmits } from '../../src/datapath/packet-path.ts';
import { mutate } from '../../src/datapath/testing/packets.ts';
import { extractFlow } from '../../src/flow/extract.ts';
import { KeyLayout } from '../../src/flow/generated/key.ts';
import { PacketLayout } from '../../src/netdev/generated/packet.ts';
import { OdpActionWriter } from '../../src/odp/action-writer.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import { SeededRandom } from '../../src/util/random.ts';

/**
 * Mutated packets through extraction and caches, in bursts of 32, each checked:
 *
 * - the key is the one that the TypeScript extractor finds, all 768 bytes, and so are the offsets;
 * - the verdict is that of a reference classifier over that key: a decision tree that asks for a few fields one
 *   after the other. The mask of the megaflow installed on a miss is exactly what the tree looked at,
 *   so megaflows are disjoint, and a packet that hits must have the tree's verdict;
 * - the frame that is to go out is the frame that came in;
 * - megaflows die at random, the EMC goes on and off: dead ones must never decide.
 */
export interface FuzzMismatch {
  readonly what: string;
  readonly frame: Uint8Array;
}

export interface FuzzResult {
  readonly packets: number;
  readonly misses: number;
  readonly emcHits: number;
  readonly megaflowHits: number;
  readonly megaflows: number;
  readonly mismatches: readonly FuzzMismatch[];
}

export interface FuzzOptions {
  readonly corpus: readonly Uint8Array[];
  readonly count: number;
  readonly seed: number;
  /** Called now and then with the number of packets done. */
  readonly progress?: (done: number) => void;
}

const IN_PORT = 7;
/** Longest frame: mutations repeat pieces, so a little above the corpus. */
const MAX_FRAME = 4096;
const BURST = 32;

/** Steps of the tree: fields (offset, mask byte) in the order in which the tree may ask for them. */
const questions: readonly (readonly [at: number, mask: number])[] = [
  [KeyLayout.dlType, 0xff],
  [KeyLayout.dlType + 1, 0xff],
  [KeyLayout.vlanTpid0, 0xff],
  [KeyLayout.vlanTci0 + 1, 0x07],
  [KeyLayout.nwFrag, 0xff],
  [KeyLayout.nwProto, 0xff],
  [KeyLayout.nwTtl, 0xc0],
  [KeyLayout.nwDst + 3, 0x83],
  [KeyLayout.ipv6Dst + 15, 0xff],
  [KeyLayout.ndTarget, 0xf0],
  [KeyLayout.arpSha + 2, 0x0f],
  [KeyLayout.mplsLse1 + 2, 0xff],
  [KeyLayout.igmpGroupIp4, 0x0f],
  [KeyLayout.nshTtl, 0x3f],
  [KeyLayout.tpSrc + 1, 0x1f],
  [KeyLayout.tpDst, 0xff],
  [KeyLayout.tcpFlags + 1, 0x02],
  [KeyLayout.dlSrc + 5, 0x01],
];

/** Verdict for a key: a port from 100 to 115, or 0 to drop; sets in `mask` every bit that was asked for. */
function decide(key: Uint8Array, mask: Uint8Array, salt: number): number {
  mask.fill(0);
  let state = (salt + 0x7f4a7c15) >>> 0;
  for (const [at, bits] of questions) {
    state = (Math.imul(state ^ at, 0x9e3779b1) + 0x85ebca6b) >>> 0;
    // Whether the tree asks depends on what it saw so far: masks differ from branch to branch.
    if (((state >>> 24) & 7) < 3) continue;
    mask[at] = (mask[at] ?? 0) | bits;
    state = (state ^ Math.imul(((key[at] ?? 0) & bits) + 1, 0xc2b2ae35)) >>> 0;
    state = (state ^ (state >>> 15)) >>> 0;
    if (((state >>> 20) & 31) === 0) break;
  }
  state = Math.imul(state, 0x9e3779b1) >>> 25;
  return (state & 7) === 0 ? 0 : 100 + ((state >>> 3) & 15);
}

export class PacketFuzzer {
  readonly #core: Core;
  readonly #pmd: number;
  readonly #random: SeededRandom;
  readonly #options: FuzzOptions;
  readonly #packets: ArenaPacket[];
  readonly #batch: number;
  readonly #mask: number;
  readonly #actions: number;
  readonly #writer: OdpActionWriter;
  readonly #mismatches: FuzzMismatch[] = [];
  readonly #maskBytes = new Uint8Array(KeyLayout.size);
  #misses = 0;
  /** Which tree decides; another one after each flush, so that a dead megaflow's verdict is wrong. */
  #salt: number;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#salt = options.seed;
    this.#core = createArena({
      module: loadCoreModule({ shared: false }),
      sizeMb: 256,
      shared: false,
      seed: options.seed,
      threadName: 'fuzz',
    });
    const { x } = this.#core;
    x.threadOnline();
    this.#pmd = x.pmdCreate(0) >>> 0;
    this.#packets = Array.from({ length: BURST }, () => new ArenaPacket(this.#core, MAX_FRAME));
    this.#batch = x.alloc(4 * BURST) >>> 0;
    this.#mask = allocKey(this.#core);
    this.#actions = x.alloc(64) >>> 0;
    this.#writer = new OdpActionWriter(this.#core.u8, this.#actions, 64);
  }

  run(): FuzzResult {
    const { count, corpus, progress } = this.#options;
    let done = 0;
    while (done < count && this.#mismatches.length < 20) {
      this.#core.x.quiesce();
      const n = Math.min(BURST, count - done);
      this.#burst(Array.from({ length: n }, () => this.#frame(corpus)));
      this.#disturb();
      done += n;
      if (done % 65536 === 0) progress?.(done);
    }
    const { dv } = this.#core;
    const f64 = (at: number): number => dv.getFloat64(this.#pmd + at, true);
    return {
      packets: done,
      misses: this.#misses,
      emcHits: f64(pmdAt.emcHits),
      megaflowHits: f64(pmdAt.megaflowHits),
      megaflows: dv.getUint32(this.#pmd + pmdAt.flowCount, true),
      mismatches: this.#mismatches,
    };
  }

  /** Half of all packets come from a small set of mutants, so that caches hit. */
  readonly #recent: Uint8Array[] = [];

  #frame(corpus: readonly Uint8Array[]): Uint8Array {
    const pick = this.#random.u32();
    if ((pick & 1) === 1 && this.#recent.length > 0) {
      return this.#recent[(pick >>> 1) % this.#recent.length] ?? new Uint8Array(0);
    }
    const base = corpus[(pick >>> 1) % corpus.length] ?? new Uint8Array(0);
    const frame = pick >>> 28 === 0 ? base : mutate(base, this.#random).subarray(0, MAX_FRAME);
    this.#recent[this.#random.u32() % Math.min(256, this.#recent.length + 1)] = frame;
    return frame;
  }

  #fail(what: string, frame: Uint8Array): void {
    this.#mismatches.push({ what, frame });
  }

  #burst(frames: readonly Uint8Array[]): void {
    const core = this.#core;
    const { x, dv } = core;
    const pmd = this.#pmd;
    const vlanLimit = 1;
    const expected = new Map<number, { frame: Uint8Array; port: number }>();
    frames.forEach((frame, i) => {
      const packet = this.#packets[i]?.load(frame, IN_PORT) ?? 0;
      dv.setUint32(this.#batch + 4 * i, packet, true);
      const slow = extractFlow(frame, { inPort: IN_PORT, vlanLimit });
      const port = frame.length < 14 ? 0 : decide(slow.flow, this.#maskBytes, this.#salt);
      expected.set(packet, { frame, port });
    });
    x.pmdProcess(pmd, this.#batch, frames.length, 1);

    for (const [packet, { frame }] of expected)
      if (frame.length >= 14) this.#checkKey(packet, frame, vlanLimit);
    for (const packet of pmdMisses(core, pmd)) {
      this.#misses++;
      if (x.pmdRetry(pmd, packet) !== 0) continue;
      const key = dv.getUint32(packet + PacketLayout.key, true);
      const port = decide(core.u8.subarray(key, key + KeyLayout.size), this.#maskBytes, this.#salt);
      core.u8.set(this.#maskBytes, this.#mask);
      this.#writer.reset(this.#actions, 64);
      if (port !== 0) this.#writer.output(port);
      const mf = x.megaflowInstall(pmd, key, this.#mask, this.#actions, this.#writer.length, 1) >>> 0;
      if (mf === 0) this.#fail('install failed', expected.get(packet)?.frame ?? new Uint8Array(0));
      else if (x.pmdRetry(pmd, packet) >>> 0 !== mf)
        this.#fail('a new megaflow does not match its packet', packetBytes(core, packet).slice());
    }
    const sent = new Map<number, number>();
    for (const [port, packets] of pmdTransmits(core, pmd))
      for (const packet of packets) sent.set(packet, port);
    for (const [packet, { frame, port }] of expected) {
      const got = sent.get(packet) ?? 0;
      if (got !== port) this.#fail(`verdict ${String(got)} instead of ${String(port)}`, frame);
      if (!same(packetBytes(core, packet), frame)) this.#fail('frame changed', frame);
    }
    x.pmdReset(pmd);
  }

  #checkKey(packet: number, frame: Uint8Array, vlanLimit: number): void {
    const { dv, u8 } = this.#core;
    const key = dv.getUint32(packet + PacketLayout.key, true);
    const slow = extractFlow(frame, { inPort: IN_PORT, vlanLimit });
    for (let at = 0; at < KeyLayout.size; at++) {
      if (u8[key + at] !== slow.flow[at]) {
        this.#fail(
          `key byte ${String(at)} is ${String(u8[key + at])} instead of ${String(slow.flow[at])}`,
          frame,
        );
        break;
      }
    }
    const offsets = [slow.l25, slow.l3, slow.l4].map((at) => at & 0xffff);
    const found = [PacketLayout.l25, PacketLayout.l3, PacketLayout.l4].map((at) =>
      dv.getUint16(packet + at, true),
    );
    if (offsets.some((at, i) => at !== found[i])) {
      this.#fail(`offsets ${found.join()} instead of ${offsets.join()}`, frame);
    }
  }

  /** Deletes some megaflows, changes the EMC's insertion probability. */
  #disturb(): void {
    const { x, dv } = this.#core;
    const pick = this.#random.u32();
    if (pick % 64 === 0) x.pmdSetEmcInsertInvProb(this.#pmd, [0, 1, 1, 2, 100][(pick >>> 8) % 5] ?? 1);
    if (pick % 512 === 1) {
      x.megaflowFlush(this.#pmd);
      this.#salt++;
    }
    if (pick % 4 !== 1) return;
    const slots = dv.getUint32(this.#pmd + pmdAt.flowSlots, true);
    const capacity = dv.getUint32(this.#pmd + pmdAt.flowCapacity, true);
    for (let i = 0; i < 8; i++) {
      const mf = dv.getUint32(slots + 4 * (this.#random.u32() % capacity), true);
      if (mf !== 0) x.megaflowDelete(mf);
    }
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
