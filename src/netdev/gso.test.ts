import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createArena } from '../arena/core.ts';
import type { Core } from '../arena/core.ts';
import { loadCoreModule } from '../sys/core-module.ts';
import {
  packetData,
  packetFlags,
  packetLength,
  setPacketCsumOffset,
  setPacketCsumStart,
  setPacketFlags,
  setPacketGsoSize,
  setPacketGsoType,
} from './generated/packet.ts';

/** The obvious ones' complement sum, folded, as a big-endian number. */
function sum16(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? (bytes[i] ?? 0) << 8 : (bytes[i] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

interface Case {
  readonly version: 4 | 6;
  readonly isTcp: boolean;
  readonly tags: number;
  readonly options: number;
  readonly payload: number;
  readonly gsoSize: number;
  readonly seed: number;
}

const cases = fc.record<Case>({
  version: fc.constantFrom(4 as const, 6 as const),
  isTcp: fc.boolean(),
  tags: fc.integer({ min: 0, max: 2 }),
  options: fc.integer({ min: 0, max: 10 }),
  payload: fc.integer({ min: 1, max: 6000 }),
  gsoSize: fc.integer({ min: 300, max: 3000 }),
  seed: fc.integer({ min: 0, max: 255 }),
});

interface Built {
  readonly frame: Uint8Array;
  readonly l3: number;
  readonly l4: number;
  readonly headers: number;
}

/** A super-frame as the kernel hands it over: L4 checksum field not finished. */
function build(c: Case): Built {
  const l3 = 14 + 4 * c.tags;
  const l4 = l3 + (c.version === 4 ? 20 : 40);
  const headers = l4 + (c.isTcp ? 20 + 4 * c.options : 8);
  const frame = Uint8Array.from({ length: headers + c.payload }, (_, i) => (i * 31 + c.seed * 17) & 0xff);
  const view = new DataView(frame.buffer);
  for (let t = 0; t < c.tags; t++) view.setUint16(12 + 4 * t, 0x8100);
  view.setUint16(l3 - 2, c.version === 4 ? 0x0800 : 0x86dd);
  const protocol = c.isTcp ? 6 : 17;
  if (c.version === 4) {
    frame[l3] = 0x45;
    frame[l3 + 9] = protocol;
    view.setUint16(l3 + 2, frame.length - l3);
  } else {
    view.setUint32(l3, 0x6000_0000);
    frame[l3 + 6] = protocol;
    view.setUint16(l3 + 4, frame.length - l4);
  }
  if (c.isTcp) frame[l4 + 12] = ((5 + c.options) << 4) | 0;
  return { frame, l3, l4, headers };
}

function pseudoSum(frame: Uint8Array, l3: number, l4Length: number, protocol: number): number {
  const addresses =
    (frame[l3] ?? 0) >> 4 === 4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
  return sum16(addresses, l4Length + protocol);
}

describe('software GSO', () => {
  let core: Core;
  let out: number;
  beforeAll(() => {
    core = createArena({ module: loadCoreModule(), sizeMb: 32, shared: true, seed: 1, threadName: 'main' });
    out = core.x.alloc(70_000) >>> 0;
  });
  const packetOf = (frame: Uint8Array, l4: number, csumOffset: number): number => {
    const packet = core.x.portFrameAlloc(frame.length) >>> 0;
    core.u8.set(frame, packetData(core.dv, packet));
    setPacketFlags(core.dv, packet, 1);
    setPacketCsumStart(core.dv, packet, l4);
    setPacketCsumOffset(core.dv, packet, csumOffset);
    return packet;
  };

  it('cuts super-frames into valid ones that carry all of the payload', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const { frame, l3, l4, headers } = build(c);
        const source = new DataView(frame.buffer);
        const packet = packetOf(frame, l4, c.isTcp ? 16 : 6);
        setPacketGsoType(core.dv, packet, c.isTcp ? (c.version === 4 ? 1 : 4) : 5);
        setPacketGsoSize(core.dv, packet, c.gsoSize);
        const count = core.x.gsoSegmentCount(packet);
        expect(count).toBe(Math.ceil(c.payload / c.gsoSize));
        const payload: number[] = [];
        for (let i = 0; i < count; i++) {
          const length = core.x.gsoSegment(packet, i, out);
          const segment = core.u8.slice(out, out + length);
          const view = new DataView(segment.buffer);
          const l4Length = length - l4;
          expect(length).toBeLessThanOrEqual(core.x.packetWireLength(packet));
          expect([...segment.subarray(0, l3)]).toEqual([...frame.subarray(0, l3)]);
          if (c.version === 4) {
            expect(view.getUint16(l3 + 2)).toBe(length - l3);
            expect(view.getUint16(l3 + 4)).toBe((source.getUint16(l3 + 4) + i) & 0xffff);
            expect(sum16(segment.subarray(l3, l3 + 20))).toBe(0xffff);
          } else {
            expect(view.getUint16(l3 + 4)).toBe(l4Length);
          }
          expect(sum16(segment.subarray(l4), pseudoSum(segment, l3, l4Length, c.isTcp ? 6 : 17))).toBe(
            0xffff,
          );
          if (c.isTcp) {
            expect(view.getUint32(l4 + 4)).toBe((source.getUint32(l4 + 4) + i * c.gsoSize) >>> 0);
            const flags =
              source.getUint8(l4 + 13) & (i === count - 1 ? 0xff : 0xf6) & (i === 0 ? 0xff : 0x7f);
            expect(view.getUint8(l4 + 13)).toBe(flags);
          } else {
            expect(view.getUint16(l4 + 4)).toBe(l4Length);
          }
          payload.push(...segment.subarray(headers));
        }
        expect(Uint8Array.from(payload)).toEqual(frame.subarray(headers));
        expect(
          core.u8.slice(packetData(core.dv, packet), packetData(core.dv, packet) + frame.length),
        ).toEqual(frame);
        core.x.free(packet);
      }),
      { numRuns: 150 },
    );
  });

  it('completes a checksum that holds the pseudo-header sum', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const { frame, l3, l4 } = build(c);
        const field = c.isTcp ? 16 : 6;
        const pseudo = pseudoSum(frame, l3, frame.length - l4, c.isTcp ? 6 : 17);
        new DataView(frame.buffer).setUint16(l4 + field, pseudo);
        const packet = packetOf(frame, l4, field);
        core.x.packetFinishChecksum(packet);
        const at = packetData(core.dv, packet);
        expect(packetFlags(core.dv, packet)).toBe(0);
        expect(sum16(core.u8.slice(at + l4, at + frame.length), pseudo)).toBe(0xffff);
        core.x.free(packet);
      }),
      { numRuns: 150 },
    );
  });

  it('never touches memory outside of a frame, whatever its metadata says', () => {
    const bytes = fc.uint8Array({ minLength: 14, maxLength: 200 });
    const word = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        bytes,
        word,
        word,
        word,
        fc.integer({ min: 0, max: 255 }),
        (frame, start, offset, size, type) => {
          const packet = packetOf(frame, start, offset);
          setPacketGsoType(core.dv, packet, type);
          setPacketGsoSize(core.dv, packet, size);
          const count = core.x.gsoSegmentCount(packet);
          const wireLength = core.x.packetWireLength(packet);
          expect(wireLength).toBeLessThanOrEqual(packetLength(core.dv, packet));
          for (let i = 0; type !== 0 && i < Math.min(count, 3); i++) {
            core.u8.fill(0xa5, out, out + 1000);
            const length = core.x.gsoSegment(packet, i, out);
            expect(length).toBeLessThanOrEqual(wireLength);
            expect(core.u8[out + wireLength]).toBe(0xa5);
          }
          if (type === 0) core.x.packetFinishChecksum(packet);
          core.x.free(packet);
        },
      ),
      { numRuns: 500 },
    );
  });
});
