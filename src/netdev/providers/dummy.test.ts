import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { createArena } from '../../arena/core.ts';
import type { Core } from '../../arena/core.ts';
import { loadCoreModule } from '../../sys/core-module.ts';
import { ManualClock } from '../../util/clock.ts';
import { setNetdevEnvironment } from '../environment.ts';
import { openNetdev, openPortIo } from '../registry.ts';
import { testFrame, testNetdevProvider } from '../testing/contract.ts';
import { DummyNetdev } from './dummy.ts';
import { labPort } from './lab.ts';

testNetdevProvider({
  name: 'lab',
  unavailable: null,
  create: () => {
    const netdev = openNetdev('lab', 'l1', new Map());
    const port = labPort('l1');
    if (port === undefined) throw new Error('no lab port');
    const frames: Uint8Array[] = [];
    port.onFrame = (frame) => frames.push(frame.slice());
    return {
      netdev,
      inject: (frame) => port.send(frame),
      collect: () => {
        netdev.run(0);
        return frames.splice(0);
      },
      close: () => netdev.close(),
    };
  },
});

const pcapDir = mkdtempSync(join(tmpdir(), 'netdev-dummy-'));
testNetdevProvider({
  name: 'dummy',
  unavailable: null,
  create: () => {
    const path = join(pcapDir, 'tx.pcap');
    const netdev = openNetdev('dummy', 'd1', new Map([['tx_pcap', path]])) as DummyNetdev;
    let at = 24;
    return {
      netdev,
      inject: (frame) => netdev.receive(frame),
      collect: () => {
        netdev.run(0);
        const file = readFileSync(path);
        const frames: Uint8Array[] = [];
        while (at < file.length) {
          const length = file.readUInt32LE(at + 8);
          frames.push(Uint8Array.from(file.subarray(at + 16, at + 16 + length)));
          at += 16 + length;
        }
        return frames;
      },
      close: () => {
        netdev.close();
        rmSync(pcapDir, { recursive: true });
      },
    };
  },
});

describe('dummy', () => {
  let core: Core;
  const dir = mkdtempSync(join(tmpdir(), 'netdev-dummy-'));
  beforeAll(() => {
    core = createArena({ module: loadCoreModule(), sizeMb: 32, shared: true, seed: 1, threadName: 'main' });
    setNetdevEnvironment({
      core,
      clock: new ManualClock(0, 1_700_000_000_123),
      dummy: 'plain',
      systemEnabled: true,
      wakeMain: () => undefined,
    });
    return () => rmSync(dir, { recursive: true });
  });
  const open = (name: string, options: Record<string, string> = {}): DummyNetdev =>
    openNetdev('dummy', name, new Map(Object.entries(options))) as DummyNetdev;
  const loopback = (device: DummyNetdev): number => {
    const io = openPortIo(device.attach(1), core, 0);
    const batch = core.x.alloc(128) >>> 0;
    const n = io.receive(batch);
    io.transmit(batch, n);
    device.run(0);
    io.close();
    core.x.free(batch);
    return n;
  };

  it('numbers its MACs', () => {
    const [a, b] = [open('m1'), open('m2')];
    expect([...a.mac.subarray(0, 4)]).toEqual([0xaa, 0x55, 0xaa, 0x55]);
    expect((b.mac[5] ?? 0) - (a.mac[5] ?? 0)).toBe(1);
    a.close();
    b.close();
  });
  it('queues 100 frames and ignores runts', () => {
    const device = open('q1');
    expect(device.receive(new Uint8Array(13))).toBe(false);
    const taken = Array.from({ length: 120 }, () => device.receive(testFrame(60, 1))).filter(Boolean).length;
    expect(taken).toBe(100);
    device.close();
  });
  it('writes both directions to options:pcap', () => {
    const path = join(dir, 'both.pcap');
    const device = open('p1', { pcap: path });
    device.receive(testFrame(60, 1));
    expect(loopback(device)).toBe(1);
    const file = readFileSync(path);
    expect(file.subarray(0, 24).toString('hex')).toBe('d4c3b2a1020004000000000000000000ee05000001000000');
    expect(file.length).toBe(24 + 2 * (16 + 60));
    expect(file.readUInt32LE(24)).toBe(1_700_000_000);
    expect(file.readUInt32LE(28)).toBe(123_000);
    expect(file.subarray(40, 100)).toEqual(file.subarray(116));
    device.close();
  });
  it('speaks length-framed packets over pstream, whatever the cuts', async () => {
    const path = join(dir, 'p.sock');
    const device = open('s1', { pstream: `punix:${path}` });
    const client = connect(path);
    await once(client, 'connect');
    const frame = testFrame(70, 3);
    client.write(Uint8Array.of(0));
    client.write(Uint8Array.from([70, ...frame, 0, 70, ...frame.subarray(0, 20)]));
    client.write(frame.subarray(20));
    let received = 0;
    while (received < 2) {
      await new Promise((resolve) => setImmediate(resolve));
      received += loopback(device);
    }
    let back = Buffer.alloc(0);
    while (back.length < 144) back = Buffer.concat([back, ((await once(client, 'data')) as [Buffer])[0]]);
    expect([...back]).toEqual([0, 70, ...frame, 0, 70, ...frame]);
    expect(device.connectionState).toBe('unknown');
    client.destroy();
    device.close();
    expect(existsSync(path)).toBe(false);
  });
  it('connects to a stream and says so', async () => {
    const path = join(dir, 'a.sock');
    const device = open('s2', { stream: `unix:${path}` });
    await new Promise((resolve) => setImmediate(resolve));
    expect(device.connectionState).toBe('disconnected');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    for (let nowMs = 0; device.connectionState !== 'connected'; nowMs += 1000) {
      device.run(nowMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await accepted;
    device.close();
    server.close();
  });
  it('answers ARP for its address', () => {
    const device = open('arp');
    device.setIp4(Uint8Array.of(10, 0, 0, 1));
    const request = new Uint8Array(42);
    request.set([
      ...Array<number>(6).fill(0xff),
      2,
      0,
      0,
      0,
      0,
      9,
      8,
      6,
      0,
      1,
      8,
      0,
      6,
      4,
      0,
      1,
      2,
      0,
      0,
      0,
      0,
      9,
      10,
      0,
      0,
      2,
    ]);
    request.set([10, 0, 0, 1], 38);
    device.receive(request);
    loopback(device);
    const io = openPortIo(device.attach(1), core, 0);
    const batch = core.x.alloc(128) >>> 0;
    expect(io.receive(batch)).toBe(1);
    const data = core.dv.getUint32(core.dv.getUint32(batch, true), true);
    const reply = core.u8.slice(data, data + 42);
    expect([...reply.subarray(0, 12)]).toEqual([2, 0, 0, 0, 0, 9, ...device.mac]);
    expect([...reply.subarray(20, 42)]).toEqual([
      0,
      2,
      ...device.mac,
      10,
      0,
      0,
      1,
      2,
      0,
      0,
      0,
      0,
      9,
      10,
      0,
      0,
      2,
    ]);
    io.close();
    device.close();
  });
});
