import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Core } from '../arena/core.ts';
import { allocKey, readKey } from '../arena/keys.ts';
import { settle, testCore } from '../arena/testing/test-core.ts';
import { memoryStats } from '../arena/memory-stats.ts';
import { extractFlow } from '../flow/extract.ts';
import { KeyLayout } from '../flow/generated/key.ts';
import { PacketLayout } from '../netdev/generated/packet.ts';
import { OdpActionWriter } from '../odp/action-writer.ts';
import { OvsKeyAttr } from '../odp/attrs.ts';
import { SeededRandom } from '../util/random.ts';
import { MegaflowLayout } from './generated/megaflow.ts';
import { PmdLayout } from './generated/pmd.ts';
import { ArenaPacket, packetBytes, pmdMisses, pmdTransmits, pmdUpcalls } from './packet-path.ts';
import { concat, ethernet, ipv4, ipv6, sampleFrames, tcp, udp } from './testing/packets.ts';

const IN_PORT = 3;
type Write = (w: OdpActionWriter) => void;

/** A pmd with what a test needs around it. */
class Path {
  readonly core: Core = testCore();
  readonly pmd = this.core.x.pmdCreate(1) >>> 0;
  readonly key = allocKey(this.core);
  readonly mask = allocKey(this.core);
  readonly #batch = this.core.x.alloc(128) >>> 0;
  readonly #actions = this.core.x.alloc(4096) >>> 0;
  readonly #packets: ArenaPacket[] = [];

  actions(write: Write): { at: number; length: number } {
    const w = new OdpActionWriter(this.core.u8, this.#actions, 4096);
    write(w);
    return { at: this.#actions, length: w.length };
  }

  /** Installs a megaflow that matches the given byte ranges of the frame's key. */
  install(
    frame: Uint8Array,
    ranges: readonly (readonly [number, number])[],
    write: Write,
    nowMs = 5,
  ): number {
    const { x, u8 } = this.core;
    u8.set(extractFlow(frame, { inPort: IN_PORT }).flow, this.key);
    u8.fill(0, this.mask, this.mask + KeyLayout.size);
    for (const [from, length] of ranges) u8.fill(0xff, this.mask + from, this.mask + from + length);
    const { at, length } = this.actions(write);
    return x.megaflowInstall(this.pmd, this.key, this.mask, at, length, nowMs) >>> 0;
  }

  process(frames: readonly Uint8Array[], nowMs = 10): number {
    frames.forEach((frame, i) => {
      const packet = (this.#packets[i] ??= new ArenaPacket(this.core, 70_000));
      this.core.dv.setUint32(this.#batch + 4 * i, packet.load(frame, IN_PORT), true);
    });
    return this.core.x.pmdProcess(this.pmd, this.#batch, frames.length, nowMs);
  }

  /** Frames on the transmit lists, by port, as hex. */
  sent(): Record<number, string[]> {
    const out: Record<number, string[]> = {};
    for (const [port, list] of pmdTransmits(this.core, this.pmd)) {
      out[port] = list.map((p) => Buffer.from(packetBytes(this.core, p)).toString('hex'));
    }
    return out;
  }

  reset(): void {
    this.core.x.pmdReset(this.pmd);
  }

  counter(at: number): number {
    return this.core.dv.getFloat64(this.pmd + at, true);
  }
}

const hex = (frame: Uint8Array): string => Buffer.from(frame).toString('hex');
const udpFrame = ethernet(0x0800, ipv4(17, udp(1, 2)));
const tcpFrame = ethernet(0x0800, ipv4(6, tcp(1, 80, 0x12)));
const l2: readonly (readonly [number, number])[] = [[KeyLayout.dlDst, 14]];

let path: Path;
beforeEach(() => {
  path = new Path();
});
afterEach(() => {
  path.core.x.pmdDestroy(path.pmd);
});

describe('extraction', () => {
  it.each([1, 2])('finds what the slow extractor finds, with up to %i tags', (vlanLimit) => {
    const { core, key } = path;
    const packet = new ArenaPacket(core);
    core.dv.setUint32(65536 + 172, vlanLimit, true);
    for (const [name, frame] of sampleFrames()) {
      const present = core.x.extract(packet.load(frame, 9), key);
      const slow = extractFlow(frame, { inPort: 9, vlanLimit });
      expect(hex(readKey(core, key)), name).toBe(hex(slow.flow));
      // Every block that is not zero is named.
      expect(core.x.keyPresent(key) & ~present, name).toBe(0);
      const offset = (at: number): number => core.dv.getUint16(packet.address + at, true);
      expect([offset(PacketLayout.l25), offset(PacketLayout.l3), offset(PacketLayout.l4)], name).toEqual(
        [slow.l25, slow.l3, slow.l4].map((at) => at & 0xffff),
      );
    }
  });

  it('leaves nothing of a longer key in a scratch key', () => {
    const long = sampleFrames().get('nd-both') ?? udpFrame;
    path.process([long]);
    path.reset();
    path.process([udpFrame]);
    const key = path.core.dv.getUint32((pmdMisses(path.core, path.pmd)[0] ?? 0) + PacketLayout.key, true);
    expect(hex(readKey(path.core, key))).toBe(hex(extractFlow(udpFrame, { inPort: IN_PORT }).flow));
  });
});

describe('a megaflow', () => {
  it('forwards what it matches and counts packets, bytes, time and TCP flags', () => {
    const mf = path.install(tcpFrame, l2, (w) => {
      w.output(7);
    });
    expect(path.process([tcpFrame, udpFrame], 42)).toBe(0);
    expect(path.sent()).toEqual({ 7: [hex(tcpFrame), hex(udpFrame)] });
    const { dv } = path.core;
    expect(dv.getFloat64(mf + MegaflowLayout.packets, true)).toBe(2);
    expect(dv.getFloat64(mf + MegaflowLayout.bytes, true)).toBe(tcpFrame.length + udpFrame.length);
    expect(dv.getFloat64(mf + MegaflowLayout.usedMs, true)).toBe(42);
    expect(dv.getUint32(mf + MegaflowLayout.tcpFlags, true)).toBe(0x12);
    expect(path.counter(PmdLayout.megaflowHits)).toBe(2);
    expect(path.counter(PmdLayout.rxPackets)).toBe(2);
  });

  it('is found by key, by unique id, and expands to the key it was made for', () => {
    const { core, pmd, key, mask } = path;
    const { x, dv, u8 } = core;
    const mf = path.install(udpFrame, [[KeyLayout.nwDst, 3]], (w) => {
      w.output(1);
    });
    expect(x.megaflowFind(pmd, key, mask) >>> 0).toBe(mf);
    expect(x.megaflowLookup(pmd, key) >>> 0).toBe(mf);
    const ufid = [0, 4, 8, 12].map((at) => dv.getUint32(mf + MegaflowLayout.ufid0 + at, true));
    expect(x.megaflowFindUfid(pmd, ufid[0] ?? 0, ufid[1] ?? 0, ufid[2] ?? 0, ufid[3] ?? 0) >>> 0).toBe(mf);
    // Installed again it is the same one.
    expect(
      path.install(udpFrame, [[KeyLayout.nwDst, 3]], (w) => {
        w.output(2);
      }),
    ).toBe(mf);
    const keyOut = allocKey(core);
    const maskOut = allocKey(core);
    x.megaflowExpand(mf, keyOut, maskOut);
    const wantMask = new Uint8Array(KeyLayout.size)
      .fill(0xff, 0, 8)
      .fill(0xff, KeyLayout.nwDst, KeyLayout.nwDst + 3);
    expect(hex(readKey(core, maskOut))).toBe(hex(wantMask));
    const flow = extractFlow(udpFrame, { inPort: IN_PORT }).flow;
    expect(hex(readKey(core, keyOut))).toBe(hex(flow));
    u8[key + KeyLayout.nwDst] = 99;
    expect(x.megaflowLookup(pmd, key)).toBe(0);
  });

  it('stops to match when deleted, also in the EMC, and gives its memory back', () => {
    const { core, pmd } = path;
    core.x.pmdSetEmcInsertInvProb(pmd, 1);
    const cycle = (): void => {
      const hits = path.counter(PmdLayout.emcHits);
      const mf = path.install(udpFrame, l2, (w) => {
        w.output(7);
      });
      for (let i = 0; i < 2; i++) {
        path.process([udpFrame, udpFrame]);
        path.reset();
      }
      expect(path.counter(PmdLayout.emcHits)).toBeGreaterThan(hits);
      expect(core.x.megaflowDelete(mf)).toBe(1);
      expect(path.process([udpFrame])).toBe(1);
      path.reset();
      // The cache lets go of it when it is swept.
      for (let i = 0; i < 8192; i++) path.process([]);
      settle(core);
    };
    const blocks = (): number => memoryStats(core).blocksInUse;
    cycle();
    const before = blocks();
    cycle();
    expect(blocks()).toBe(before);
  });

  it('takes other actions at once', () => {
    const mf = path.install(udpFrame, l2, (w) => {
      w.output(7);
    });
    const { at, length } = path.actions((w) => {
      w.output(8);
      w.output(9);
    });
    expect(path.core.x.megaflowSetActions(mf, at, length)).toBe(1);
    path.process([udpFrame]);
    expect(Object.keys(path.sent())).toEqual(['8', '9']);
    expect(path.core.x.megaflowActionsLength(mf)).toBe(length);
  });

  it('is found sooner when its subtable is hit most', () => {
    const { core, pmd } = path;
    core.x.pmdSetEmcInsertInvProb(pmd, 0);
    const lookups = (): number => {
      const before = path.counter(PmdLayout.subtableLookups);
      path.process([udpFrame]);
      path.reset();
      return path.counter(PmdLayout.subtableLookups) - before;
    };
    path.install(tcpFrame, [[KeyLayout.nwProto, 1]], (w) => {
      w.output(1);
    });
    path.install(tcpFrame, [[KeyLayout.tcpFlags, 2]], (w) => {
      w.output(1);
    });
    path.install(
      udpFrame,
      [
        [KeyLayout.nwProto, 1],
        [KeyLayout.nwDst, 4],
      ],
      (w) => {
        w.output(2);
      },
    );
    expect(lookups()).toBe(3);
    core.x.pmdRank(pmd);
    expect(lookups()).toBe(1);
  });

  it('belongs to its input port', () => {
    path.install(udpFrame, l2, (w) => {
      w.output(7);
    });
    const packet = new ArenaPacket(path.core);
    const batch = path.core.x.alloc(4) >>> 0;
    path.core.dv.setUint32(batch, packet.load(udpFrame, IN_PORT + 1024), true);
    expect(path.core.x.pmdProcess(path.pmd, batch, 1, 1)).toBe(1);
  });
});

describe('misses', () => {
  it('of one burst are looked up again once the first is installed', () => {
    const { core, pmd } = path;
    expect(path.process([udpFrame, udpFrame, tcpFrame])).toBe(3);
    const [first = 0, second = 0, third = 0] = pmdMisses(core, pmd);
    expect(core.x.pmdRetry(pmd, first)).toBe(0);
    const mf = path.install(udpFrame, l2, (w) => {
      w.output(7);
    });
    const { at, length } = path.actions((w) => {
      w.output(7);
    });
    core.x.pmdExecute(pmd, first, at, length);
    expect(core.x.pmdRetry(pmd, second) >>> 0).toBe(mf);
    expect(core.x.pmdRetry(pmd, third) >>> 0).toBe(mf);
    expect(path.sent()).toEqual({ 7: [hex(udpFrame), hex(udpFrame), hex(tcpFrame)] });
    // As in OVS, the packet that caused the megaflow is not counted by it.
    expect(core.dv.getFloat64(mf + MegaflowLayout.packets, true)).toBe(2);
  });

  it('drop runts, counted', () => {
    expect(path.process([udpFrame.slice(0, 13)])).toBe(0);
    expect(path.counter(PmdLayout.dropRxInvalidPacket)).toBe(1);
  });
});

describe('actions', () => {
  it('do not change what an earlier output sends', () => {
    path.install(udpFrame, l2, (w) => {
      w.output(1);
      w.pushVlan(0x8100, 5);
      w.output(2);
      w.popVlan();
      w.setMasked(OvsKeyAttr.ethernet, new Uint8Array(12), new Uint8Array(12).fill(255));
      w.output(3);
    });
    path.process([udpFrame]);
    const tagged = concat(udpFrame.slice(0, 12), [0x81, 0, 0, 5], udpFrame.slice(12));
    const anonymous = udpFrame.slice().fill(0, 0, 12);
    expect(path.sent()).toEqual({ 1: [hex(udpFrame)], 2: [hex(tagged)], 3: [hex(anonymous)] });
  });

  it('hand packets to the upcall list with the key they have then', () => {
    const mf = path.install(udpFrame, l2, (w) => {
      w.pushVlan(0x8100, 5);
      w.userspace(0, Uint8Array.from([1, 2, 3, 4]));
      w.popVlan();
      w.output(1);
    });
    path.process([udpFrame]);
    const [upcall, ...rest] = pmdUpcalls(path.core, path.pmd);
    expect(rest).toEqual([]);
    const tagged = concat(udpFrame.slice(0, 12), [0x81, 0, 0, 5], udpFrame.slice(12));
    expect(hex(packetBytes(path.core, upcall?.packet ?? 0))).toBe(hex(tagged));
    expect(hex(readKey(path.core, upcall?.key ?? 0))).toBe(
      hex(extractFlow(tagged, { inPort: IN_PORT }).flow),
    );
    expect(upcall?.megaflow).toBe(mf);
    expect(path.core.dv.getUint16((upcall?.attribute ?? 0) + 2, true)).toBe(2);
    expect(path.sent()).toEqual({ 1: [hex(udpFrame)] });
  });

  it('recirculate through the tables, hash and id in the key, at most six times', () => {
    const { core, pmd, key, mask } = path;
    path.install(udpFrame, l2, (w) => {
      w.hash(0, 77);
      w.recirc(9);
    });
    expect(path.process([udpFrame, tcpFrame])).toBe(2);
    const keys = pmdMisses(core, pmd).map((p) => core.dv.getUint32(p + PacketLayout.key, true));
    const hashes = keys.map((k) => core.dv.getUint32(k + KeyLayout.dpHash));
    expect(keys.map((k) => core.dv.getUint32(k + KeyLayout.recircId))).toEqual([9, 9]);
    expect(hashes[0]).not.toBe(hashes[1]);
    path.reset();
    // recirc(9) leads to itself.
    core.u8.set(extractFlow(udpFrame, { inPort: IN_PORT, recircId: 9 }).flow, key);
    core.u8.fill(0, mask, mask + KeyLayout.size);
    const { at, length } = path.actions((w) => {
      w.output(4);
      w.recirc(9);
    });
    core.x.megaflowInstall(pmd, key, mask, at, length, 0);
    expect(path.process([udpFrame])).toBe(0);
    expect(path.sent()[4]).toHaveLength(6);
    expect(path.counter(PmdLayout.dropRecircError)).toBe(1);
  });

  it('of clone and check_pkt_len do not leak into what follows; trunc cuts the next output only', () => {
    const gt = new OdpActionWriter(new Uint8Array(16));
    gt.output(5);
    const le = new OdpActionWriter(new Uint8Array(16));
    le.output(6);
    path.install(udpFrame, l2, (w) => {
      const clone = w.beginClone();
      w.pushVlan(0x8100, 1);
      w.output(1);
      w.endNested(clone);
      w.trunc(20);
      w.output(2);
      w.checkPktLen(udpFrame.length, gt.bytes(), le.bytes());
      w.output(3);
    });
    path.process([udpFrame]);
    const tagged = concat(udpFrame.slice(0, 12), [0x81, 0, 0, 1], udpFrame.slice(12));
    expect(path.sent()).toEqual({
      1: [hex(tagged)],
      2: [hex(udpFrame.slice(0, 20))],
      6: [hex(udpFrame)],
      3: [hex(udpFrame)],
    });
  });

  it('that are unknown or malformed drop the packet, counted', () => {
    for (const bytes of [
      [8, 0, 99, 0, 0, 0, 0, 0],
      [3, 0, 1, 0],
      [40, 0, 1, 0, 0, 0, 0, 0],
      [8, 0, 3, 0, 4, 0, 7, 0],
    ]) {
      const { core, pmd } = path;
      const drops = path.counter(PmdLayout.dropInvalidAction);
      const packet = new ArenaPacket(core);
      core.dv.setUint32(packet.load(udpFrame, 1) + PacketLayout.key, path.key, true);
      core.x.extract(packet.address, path.key);
      const at = core.x.alloc(64) >>> 0;
      core.u8.set(bytes, at);
      core.x.pmdExecute(pmd, packet.address, at, bytes.length);
      expect(path.counter(PmdLayout.dropInvalidAction)).toBe(drops + 1);
    }
    expect(path.sent()).toEqual({});
  });

  it('keep unfinished checksums unfinished: finishing after equals finishing before', () => {
    const { core } = path;
    const src = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    const cases: readonly (readonly [Uint8Array, number, Write])[] = [
      [
        tcpFrame,
        16,
        (w) => {
          w.setMasked(
            OvsKeyAttr.ipv4,
            Uint8Array.from([9, 8, 7, 6, 5, 4, 3, 2, 0, 0, 9, 0]),
            Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 255, 0]),
          );
        },
      ],
      [
        tcpFrame,
        16,
        (w) => {
          w.setMasked(OvsKeyAttr.tcp, Uint8Array.from([9, 8, 7, 6]), new Uint8Array(4).fill(255));
        },
      ],
      [
        udpFrame,
        6,
        (w) => {
          w.pushVlan(0x8100, 5);
          w.setMasked(OvsKeyAttr.udp, Uint8Array.from([9, 8, 7, 6]), new Uint8Array(4).fill(255));
        },
      ],
      [
        ethernet(0x86dd, ipv6(6, tcp(1, 2))),
        16,
        (w) => {
          w.setMasked(
            OvsKeyAttr.ipv6,
            concat(src, new Uint8Array(24)),
            concat(new Uint8Array(16).fill(255), new Uint8Array(24)),
          );
        },
      ],
    ];
    for (const [frame, checksumOffset, write] of cases) {
      const run = (isPartial: boolean): string => {
        const packet = new ArenaPacket(core);
        const p = packet.load(frame, 1);
        core.x.extract(p, path.key);
        core.dv.setUint32(p + PacketLayout.key, path.key, true);
        if (isPartial) {
          // As a kernel hands it over: the field has the sum of the pseudo header.
          const l4 = core.dv.getUint16(p + PacketLayout.l4, true);
          const field = core.dv.getUint32(p, true) + l4 + checksumOffset;
          core.dv.setUint16(field, 0);
          const body = packetBytes(core, p).subarray(l4);
          const want = (frame[l4 + checksumOffset] ?? 0) * 256 + (frame[l4 + checksumOffset + 1] ?? 0);
          let sum = (~want & 0xffff) + 0xffff * 2;
          for (let i = 0; i < body.length; i += 2)
            sum += 0xffff - ((body[i] ?? 0) * 256 + (body[i + 1] ?? 0));
          while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
          core.dv.setUint16(field, sum);
          core.dv.setUint8(p + PacketLayout.flags, 1);
          core.dv.setUint16(p + PacketLayout.csumStart, l4, true);
          core.dv.setUint16(p + PacketLayout.csumOffset, checksumOffset, true);
        }
        const { at, length } = path.actions((w) => {
          write(w);
          w.output(1);
        });
        core.x.pmdExecute(path.pmd, p, at, length);
        const out = pmdTransmits(core, path.pmd).get(1)?.[0] ?? 0;
        core.x.packetFinishChecksum(out);
        const bytes = hex(packetBytes(core, out));
        path.reset();
        packet.free();
        return bytes;
      };
      expect(run(true)).toBe(run(false));
    }
  });

  it('survive a flood wider than the scratch memory: what does not fit is dropped, counted', () => {
    const big = concat(udpFrame, new Uint8Array(60_000));
    path.install(big, l2, (w) => {
      for (let port = 10; port < 110; port++) {
        w.pushVlan(0x8100, port);
        w.output(port);
        w.popVlan();
      }
    });
    path.process(Array.from({ length: 32 }, () => big));
    const sent = Object.values(path.sent()).reduce((sum, list) => sum + list.length, 0);
    expect(sent).toBeGreaterThan(50);
    expect(path.counter(PmdLayout.dropNoBuffer)).toBeGreaterThan(0);
    path.reset();
    path.process([udpFrame]);
    expect(Object.keys(path.sent())).toHaveLength(100);
  });
});

describe('random megaflows', () => {
  it('decide as a list of masked keys does, while some are deleted and others installed', () => {
    const random = new SeededRandom(4);
    const { core, pmd, key, mask } = path;
    const { x, u8, dv } = core;
    x.pmdSetEmcInsertInvProb(pmd, 1);
    const frames = Array.from({ length: 300 }, () =>
      ethernet(
        0x0800,
        ipv4(17, udp(random.u32() % 4, random.u32() % 4), { src: random.u32() % 8, dst: random.u32() % 8 }),
      ),
    );
    // Each mask starts with a tag byte of its own (dl_dst[5] is part of every mask), so megaflows are disjoint.
    const masks = [
      [KeyLayout.nwSrc + 3],
      [KeyLayout.nwDst + 3],
      [KeyLayout.tpSrc + 1, KeyLayout.nwSrc + 3],
      [KeyLayout.tpDst + 1],
    ];
    const tagged = frames.map((frame) => {
      const copy = frame.slice();
      copy[5] = random.u32() % masks.length;
      return copy;
    });
    const live = new Map<string, { mf: number; port: number }>();
    const nameOf = (flow: Uint8Array): string => {
      const tag = flow[KeyLayout.dlDst + 5] ?? 0;
      return [tag, ...(masks[tag] ?? []).map((at) => flow[at] ?? 0)].join();
    };
    for (let round = 0; round < 3000; round++) {
      core.x.quiesce();
      const frame = tagged[random.u32() % tagged.length] ?? udpFrame;
      const flow = extractFlow(frame, { inPort: IN_PORT }).flow;
      const name = nameOf(flow);
      const known = live.get(name);
      const missed = path.process([frame, frame]);
      if (known === undefined) {
        expect(missed, name).toBe(2);
        u8.set(flow, key);
        u8.fill(0, mask, mask + KeyLayout.size);
        for (const at of [KeyLayout.dlDst + 5, ...(masks[frame[5] ?? 0] ?? [])]) u8[mask + at] = 0xff;
        const port = 1 + (random.u32() % 1000);
        const { at, length } = path.actions((w) => {
          w.output(port);
        });
        live.set(name, { mf: x.megaflowInstall(pmd, key, mask, at, length, 0) >>> 0, port });
      } else {
        expect(missed, name).toBe(0);
        expect(path.sent()).toEqual({ [known.port]: [hex(frame), hex(frame)] });
      }
      path.reset();
      if (random.u32() % 3 === 0) {
        const victims = [...live];
        const [victim, { mf }] = victims[random.u32() % victims.length] ?? ['', { mf: 0 }];
        expect(x.megaflowDelete(mf)).toBe(1);
        live.delete(victim);
      }
      expect(dv.getUint32(pmd + PmdLayout.flowCount, true)).toBe(live.size);
    }
    expect(x.megaflowFlush(pmd)).toBe(live.size);
    expect(dv.getUint32(pmd + PmdLayout.subtableCount, true)).toBe(0);
  });
});
