import { describe, expect, it } from 'vitest';
import { allocKey } from '../../src/arena/keys.ts';
import { memoryStats } from '../../src/arena/memory-stats.ts';
import { testCore } from '../../src/arena/testing/test-core.ts';
import { PmdLayout } from '../../src/datapath/generated/pmd.ts';
import { packetBytes, pmdTransmits, pmdUpcalls } from '../../src/datapath/packet-path.ts';
import { mutate } from '../../src/datapath/testing/packets.ts';
import { PacketLayout } from '../../src/netdev/generated/packet.ts';
import { OdpActionWriter } from '../../src/odp/action-writer.ts';
import { OvsKeyAttr } from '../../src/odp/attrs.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { readCorpus } from './corpus.ts';

/**
 * Random actions on mutated frames, as a translation of other packets might have them: whatever the frame lacks,
 * nothing outside of it may be written, and every descriptor that comes out lies in memory it may use.
 */
const GUARD = 256;
const CAPACITY = 2048;

/** Key attributes with the bytes of their value. */
const fields: readonly (readonly [attr: number, size: number])[] = [
  [OvsKeyAttr.ethernet, 12],
  [OvsKeyAttr.ipv4, 12],
  [OvsKeyAttr.ipv6, 40],
  [OvsKeyAttr.tcp, 4],
  [OvsKeyAttr.udp, 4],
  [OvsKeyAttr.sctp, 4],
  [OvsKeyAttr.icmp, 2],
  [OvsKeyAttr.icmpv6, 2],
  [OvsKeyAttr.arp, 24],
  [OvsKeyAttr.nd, 28],
  [OvsKeyAttr.mpls, 4],
  [OvsKeyAttr.ndExtensions, 8],
  [OvsKeyAttr.skbMark, 4],
  [OvsKeyAttr.priority, 4],
];

class ActionFuzzer {
  readonly core = testCore({ shared: false, sizeMb: 64 });
  readonly pmd = this.core.x.pmdCreate(0) >>> 0;
  readonly #random: SeededRandom;
  readonly #block = this.core.x.alloc(PacketLayout.size + 2 * GUARD + CAPACITY) >>> 0;
  readonly #actions = this.core.x.alloc(4096) >>> 0;
  readonly #key = allocKey(this.core);

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(n: number): number {
    return this.#random.u32() % n;
  }

  #bytes(length: number, sparse: boolean): Uint8Array {
    return Uint8Array.from({ length }, () => (sparse && this.below(2) === 0 ? 0 : this.below(256)));
  }

  write(w: OdpActionWriter, depth: number): void {
    for (let n = 1 + this.below(6); n > 0; n--) {
      switch (this.below(13)) {
        case 0:
        case 1:
        case 2:
        case 3: {
          const [attr, size] = fields[this.below(fields.length)] ?? [OvsKeyAttr.ethernet, 12];
          const mask = this.#bytes(size, true);
          w.setMasked(
            attr,
            this.#bytes(size, false).map((byte, i) => byte & (mask[i] ?? 0)),
            mask,
          );
          break;
        }
        case 4:
          w.pushVlan(0x8100, this.below(65536));
          break;
        case 5:
          w.popVlan();
          break;
        case 6:
          w.pushMpls(this.#random.u32(), 0x8847);
          break;
        case 7:
          w.popMpls([0x0800, 0x8847, 0x86dd][this.below(3)] ?? 0x0800);
          break;
        case 8:
          w.trunc(14 + this.below(80));
          break;
        case 9:
          w.userspace(0, this.#bytes(8, false));
          break;
        case 10:
          w.hash(this.below(2), this.below(100));
          break;
        case 11: {
          if (depth > 2) break;
          const clone = w.beginClone();
          this.write(w, depth + 1);
          w.endNested(clone);
          break;
        }
        default:
          w.output(1 + this.below(4));
      }
    }
    w.output(9);
  }

  /** Runs one list on one frame; returns what went wrong. */
  run(frame: Uint8Array): string | null {
    const { u8, dv, x } = this.core;
    const p = this.#block;
    const guard = p + PacketLayout.size;
    const buffer = guard + GUARD;
    const data = buffer + this.below(3) * 4;
    u8.fill(0, p, guard);
    u8.fill(0xa5, guard, guard + 2 * GUARD + CAPACITY);
    u8.set(frame, data);
    dv.setUint32(p + PacketLayout.data, data, true);
    dv.setUint32(p + PacketLayout.length, frame.length, true);
    dv.setUint32(p + PacketLayout.bufferStart, buffer, true);
    dv.setUint32(p + PacketLayout.bufferEnd, data + frame.length, true);
    x.extract(p, this.#key);
    dv.setUint32(p + PacketLayout.key, this.#key, true);
    const w = new OdpActionWriter(u8, this.#actions, 4096);
    this.write(w, 0);
    x.pmdExecute(this.pmd, p, this.#actions, w.length);
    for (let at = guard; at < buffer; at++) if (u8[at] !== 0xa5) return 'wrote before the buffer';
    for (let at = data + frame.length; at < data + frame.length + GUARD; at++)
      if (u8[at] !== 0xa5) return 'wrote after the frame';
    const packets = [...pmdTransmits(this.core, this.pmd).values()].flat();
    for (const packet of [...packets, ...pmdUpcalls(this.core, this.pmd).map((u) => u.packet)]) {
      const f = (field: number): number => dv.getUint32(packet + field, true);
      const from = f(PacketLayout.data);
      if (from < f(PacketLayout.bufferStart) || from + f(PacketLayout.length) > f(PacketLayout.bufferEnd))
        return 'frame outside of its buffer';
      // Nothing of what stands around a frame gets into it.
      if (packetBytes(this.core, packet).length > frame.length + 64) return 'frame too long';
    }
    x.pmdReset(this.pmd);
    return null;
  }
}

describe('random actions on mutated frames', () => {
  it.each([1, 2])('stay inside of the frame, seed %i', (seed) => {
    const corpus = [...readCorpus().values()].filter((frame) => frame.length >= 14);
    const random = new SeededRandom(seed + 100);
    const fuzzer = new ActionFuzzer(seed);
    const { core, pmd } = fuzzer;
    const wrong: string[] = [];
    for (let i = 0; i < 30_000 && wrong.length === 0; i++) {
      core.x.quiesce();
      const frame = mutate(corpus[i % corpus.length] ?? new Uint8Array(0), random).subarray(0, 1500);
      if (frame.length < 14) continue;
      const what = fuzzer.run(frame);
      if (what !== null) wrong.push(`${what}: ${Buffer.from(frame).toString('hex')}`);
    }
    expect(wrong).toEqual([]);
    expect(memoryStats(core).badFrees).toBe(0);
    // Most lists run to their end.
    const refused = core.dv.getFloat64(pmd + PmdLayout.dropInvalidAction, true);
    expect(core.dv.getFloat64(pmd + PmdLayout.txPackets, true)).toBeGreaterThan(refused);
  });
});
