import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createArena } from '../../arena/core.ts';
import type { Core } from '../../arena/core.ts';
import { loadCoreModule } from '../../sys/core-module.ts';
import { ManualClock } from '../../util/clock.ts';
import { setNetdevEnvironment } from '../environment.ts';
import { packetData, packetInPort, packetLength } from '../generated/packet.ts';
import type { Netdev, PortIo } from '../provider.ts';
import { openPortIo } from '../registry.ts';

/** A device under test, with a way to put frames in and take frames out at its far end. */
export interface DeviceUnderTest {
  readonly netdev: Netdev;
  /** Lets a frame arrive at the device from outside. */
  inject(frame: Uint8Array): void;
  /** Frames that left the device for the outside since the last call. */
  collect(): Uint8Array[];
  close(): void;
}

export interface NetdevContract {
  readonly name: string;
  /** Reason why the provider cannot be tested here, or null. */
  readonly unavailable: string | null;
  /** Makes the device, up and with an MTU of 1500. */
  create(core: Core): DeviceUnderTest;
  /** Deviations, by name of the test. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
}

/** A frame of `length` bytes of an experimental EtherType with recognisable contents. */
export function testFrame(length: number, seed: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 13) & 0xff);
  frame.set([0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5]);
  return frame;
}

const odpPort = 7;
const isTest = (f: Uint8Array): boolean => f[12] === 0x88 && f[13] === 0xb5;
const isTagged = (f: Uint8Array): boolean =>
  (f[12] === 0x81 && f[13] === 0) || (f[12] === 0x88 && f[13] === 0xa8);

/** Every provider that moves packets passes this suite. */
export function testNetdevProvider(contract: NetdevContract): void {
  const reasons = new Map(contract.skip?.flatMap((s) => s.tests.map((t) => [t, s.reason] as const)) ?? []);
  const suite = contract.unavailable === null ? describe : describe.skip;
  suite(
    `netdev contract: ${contract.name}${contract.unavailable === null ? '' : ` (${contract.unavailable})`}`,
    () => {
      let core: Core;
      let device: DeviceUnderTest;
      let io: PortIo;
      let batch: number;

      /** Packets come through the kernel on its own time: poll, bounded by turns and not by time. */
      const receive = (want: number, isOurs = isTest): Uint8Array[] => {
        const frames: Uint8Array[] = [];
        for (let turn = 0; turn < 100_000 && frames.length < want; turn++) {
          const n = io.receive(batch);
          for (let i = 0; i < n; i++) {
            const packet = core.u32[batch / 4 + i] ?? 0;
            expect(packetInPort(core.dv, packet)).toBe(odpPort);
            const data = packetData(core.dv, packet);
            frames.push(core.u8.slice(data, data + packetLength(core.dv, packet)));
          }
        }
        return frames.filter(isOurs);
      };
      const transmit = (frames: readonly Uint8Array[]): void => {
        const packets = frames.map((bytes) => {
          const packet = core.x.portFrameAlloc(bytes.length) >>> 0;
          core.u8.set(bytes, packetData(core.dv, packet));
          return packet;
        });
        const list = core.x.alloc(4 * packets.length) >>> 0;
        core.u32.set(packets, list / 4);
        io.transmit(list, packets.length);
        for (const packet of packets) core.x.free(packet);
        core.x.free(list);
      };
      const collect = (want: number, isOurs = isTest): Uint8Array[] => {
        const frames: Uint8Array[] = [];
        for (let turn = 0; turn < 100_000 && frames.length < want; turn++) {
          frames.push(...device.collect().filter(isOurs));
        }
        return frames;
      };
      const test = (name: string, body: () => void): void => {
        const reason = reasons.get(name);
        if (reason === undefined) it(name, body);
        else it.skip(`${name} (${reason})`, body);
      };

      beforeAll(() => {
        core = createArena({
          module: loadCoreModule(),
          sizeMb: 2560,
          shared: true,
          seed: 1,
          threadName: 'main',
        });
        // From here on addresses are above 2 GiB, where a forgotten `>>> 0` shows.
        expect(core.x.alloc(2100 << 20) >>> 0).not.toBe(0);
        core.x.threadOnline();
        setNetdevEnvironment({
          core,
          clock: new ManualClock(),
          dummy: 'plain',
          systemEnabled: true,
          wakeMain: () => undefined,
        });
        device = contract.create(core);
        batch = core.x.alloc(4 * 32) >>> 0;
        io = openPortIo(device.netdev.attach(odpPort), core, 0);
      });
      afterAll(() => {
        io.close();
        device.close();
      });

      test('describes itself', () => {
        const { netdev } = device;
        expect(netdev.mac).toHaveLength(6);
        expect(netdev.mtu).toBe(1500);
        expect(netdev.present).toBe(true);
        expect(netdev.adminUp).toBe(true);
        expect(io.odpPort).toBe(odpPort);
      });
      test('receives what arrives, unchanged and in order', () => {
        const frames = [60, 61, 1000, 1514, 64].map((length, i) => testFrame(length, i));
        for (const frame of frames) device.inject(frame);
        expect(receive(frames.length)).toEqual(frames);
      });
      test('keeps the frames of a burst apart', () => {
        const frames = Array.from({ length: 40 }, (_, i) => testFrame(60 + i, i));
        for (const frame of frames) device.inject(frame);
        expect(receive(frames.length)).toEqual(frames);
      });
      test('keeps VLAN tags both ways', () => {
        const frames = [
          [0x81, 0, 0x20, 5],
          [0x81, 0, 0x60, 6, 0x81, 0, 0, 7],
          [0x88, 0xa8, 0, 8],
        ].map((tags, i) => {
          const inner = testFrame(100, i);
          return Uint8Array.from([...inner.subarray(0, 12), ...tags, ...inner.subarray(12)]);
        });
        for (const frame of frames) device.inject(frame);
        expect(receive(frames.length, isTagged)).toEqual(frames);
        transmit(frames);
        expect(collect(frames.length, isTagged)).toEqual(frames);
      });
      test('transmits lists longer than a burst, unchanged and in order', () => {
        const frames = Array.from({ length: 70 }, (_, i) => testFrame(60 + i * 20, i));
        transmit(frames);
        expect(collect(frames.length)).toEqual(frames);
      });
      test('counts packets and bytes', () => {
        const before = device.netdev.statistics();
        device.inject(testFrame(100, 1));
        receive(1);
        transmit([testFrame(200, 2)]);
        collect(1);
        const after = device.netdev.statistics();
        const grown = (key: string): number => (after[key] ?? NaN) - (before[key] ?? NaN);
        expect(grown('rx_packets')).toBeGreaterThanOrEqual(1);
        expect(grown('rx_bytes')).toBeGreaterThanOrEqual(100);
        expect(grown('tx_packets')).toBeGreaterThanOrEqual(1);
        expect(grown('tx_bytes')).toBeGreaterThanOrEqual(200);
      });
      test('does not send what is longer than the MTU', () => {
        transmit([testFrame(1600, 1), testFrame(99, 2)]);
        expect(collect(1)).toEqual([testFrame(99, 2)]);
      });
      test('follows its MTU', () => {
        device.netdev.setMtu(2000);
        expect(device.netdev.mtu).toBe(2000);
        device.netdev.setMtu(1500);
        expect(device.netdev.mtu).toBe(1500);
      });
      test('follows its MAC', () => {
        const mac = Uint8Array.of(0x02, 1, 2, 3, 4, 5);
        const seq = device.netdev.changeSeq;
        device.netdev.setMac(mac);
        expect([...device.netdev.mac]).toEqual([...mac]);
        expect(device.netdev.changeSeq).toBeGreaterThan(seq);
      });
      test('goes down and up', () => {
        device.netdev.setAdminUp(false);
        expect(device.netdev.adminUp).toBe(false);
        expect(device.netdev.carrier).toBe(false);
        device.netdev.setAdminUp(true);
        expect(device.netdev.adminUp).toBe(true);
        expect(device.netdev.carrier).toBe(true);
      });
      test('returns 0 and lets block when nothing waits', () => {
        while (io.receive(batch) > 0) continue;
        expect(io.receive(batch)).toBe(0);
      });
    },
  );
}
