import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Core } from '../arena/core.ts';
import { testCore } from '../arena/testing/test-core.ts';
import { packetData, packetInPort, packetLength } from './generated/packet.ts';
import { PortStateLayout, setPortStateMtu } from './generated/port-state.ts';
import { XskLayout } from './generated/xsk.ts';

/**
 * The rings' other end, as the kernel's copy mode keeps it: takes frames off the fill ring, gives them back on
 * the receive ring, takes the transmit ring when kicked and completes when it likes, in any order.
 */
class Kernel {
  readonly xsk: number;
  readonly id: number;
  readonly sent: Uint8Array[] = [];
  readonly #core: Core;
  readonly #base: number;
  readonly #slots: number;
  readonly #inFlight: number[] = [];

  constructor(core: Core, umem: number, base: number, state: number, id: number, slots: number) {
    this.#core = core;
    this.#base = base;
    this.#slots = slots;
    this.id = id;
    this.xsk = core.x.alloc(XskLayout.size) >>> 0;
    const put = (field: number, value: number): void => {
      core.dv.setUint32(this.xsk + field, value, true);
    };
    const words = core.x.alloc(64) >>> 0;
    put(XskLayout.id, id);
    put(XskLayout.umem, umem);
    put(XskLayout.state, state);
    for (const [i, field] of [
      XskLayout.rxProducer,
      XskLayout.rxConsumer,
      XskLayout.fillProducer,
      XskLayout.fillConsumer,
      XskLayout.fillFlags,
      XskLayout.txProducer,
      XskLayout.txConsumer,
      XskLayout.txFlags,
      XskLayout.compProducer,
      XskLayout.compConsumer,
    ].entries()) {
      put(field, words + 4 * i);
    }
    for (const field of [XskLayout.rxDescs, XskLayout.txDescs]) put(field, core.x.alloc(16 * slots) >>> 0);
    for (const field of [XskLayout.fillDescs, XskLayout.compDescs]) put(field, core.x.alloc(8 * slots) >>> 0);
    for (const field of [XskLayout.rxMask, XskLayout.fillMask, XskLayout.txMask, XskLayout.compMask]) {
      put(field, slots - 1);
    }
    this.#set(XskLayout.txFlags, 1);
  }
  #pointer(field: number): number {
    return this.#core.dv.getUint32(this.xsk + field, true);
  }
  #get(field: number): number {
    return this.#core.dv.getUint32(this.#pointer(field), true);
  }
  #set(field: number, value: number): void {
    this.#core.dv.setUint32(this.#pointer(field), value, true);
  }
  /** @returns false when it had to be dropped. */
  receive(frame: Uint8Array): boolean {
    const { dv, u8 } = this.#core;
    const [at, tail] = [this.#get(XskLayout.fillConsumer), this.#get(XskLayout.rxProducer)];
    if (at === this.#get(XskLayout.fillProducer)) return false;
    if (tail - this.#get(XskLayout.rxConsumer) === this.#slots) return false;
    const address =
      dv.getUint32(this.#pointer(XskLayout.fillDescs) + 8 * (at & (this.#slots - 1)), true) + 256;
    this.#set(XskLayout.fillConsumer, at + 1);
    u8.set(frame, this.#base + address);
    const desc = this.#pointer(XskLayout.rxDescs) + 16 * (tail & (this.#slots - 1));
    dv.setUint32(desc, address, true);
    dv.setUint32(desc + 8, frame.length, true);
    this.#set(XskLayout.rxProducer, tail + 1);
    return true;
  }
  kick(): void {
    const { dv, u8 } = this.#core;
    let at = this.#get(XskLayout.txConsumer);
    for (; at !== this.#get(XskLayout.txProducer); at++) {
      const desc = this.#pointer(XskLayout.txDescs) + 16 * (at & (this.#slots - 1));
      const [address, length] = [dv.getUint32(desc, true), dv.getUint32(desc + 8, true)];
      this.sent.push(u8.slice(this.#base + address, this.#base + address + length));
      this.#inFlight.push(address);
    }
    this.#set(XskLayout.txConsumer, at);
  }
  complete(seed: number): void {
    const [address] = this.#inFlight.splice(seed % Math.max(this.#inFlight.length, 1), 1);
    if (address === undefined) return;
    const at = this.#get(XskLayout.compProducer);
    const desc = this.#pointer(XskLayout.compDescs) + 8 * (at & (this.#slots - 1));
    this.#core.dv.setUint32(desc, address, true);
    this.#set(XskLayout.compProducer, at + 1);
  }
  get inFlight(): number {
    return this.#inFlight.length;
  }
}

const slots = 32;

class Bench {
  readonly core = testCore({ sizeMb: 32 });
  readonly umem: number;
  readonly kernels: readonly [Kernel, Kernel];
  readonly ios: readonly [number, number];
  readonly batch: number;

  /** @param frames Two full fill rings take 64. */
  constructor(frames: number) {
    const { core } = this;
    const block = core.x.alloc(frames * 2048 + 4096) >>> 0;
    const base = Math.ceil(block / 4096) * 4096;
    this.umem = core.x.umemCreate(block, base, frames, 11) >>> 0;
    const state = core.x.alloc(PortStateLayout.size) >>> 0;
    setPortStateMtu(core.dv, state, 1500);
    this.kernels = [1, 2].map((id) => new Kernel(core, this.umem, base, state, id, slots)) as [
      Kernel,
      Kernel,
    ];
    this.batch = core.x.alloc(4 * 32) >>> 0;
    this.ios = this.kernels.map((k, i) => core.x.xskIoCreate(k.xsk, i + 1, true) >>> 0) as [number, number];
  }
  counter(port: 0 | 1, field: 'txPackets' | 'txDropped' | 'txErrors' | 'txInPlace'): number {
    return this.core.dv.getFloat64(this.kernels[port].xsk + XskLayout[field], true);
  }
}

const frameOf = (n: number): Uint8Array => {
  const frame = Uint8Array.from({ length: 60 + (n % 900) }, (_, i) => (i * 7 + n) & 0xff);
  frame.set([0x88, 0xb5], 12);
  return frame;
};

describe('AF_XDP rings', () => {
  it('send a received frame from where it lies, a second time from a copy', () => {
    const bench = new Bench(72);
    const { core, kernels, ios, batch } = bench;
    const [a, b] = kernels;
    a.receive(frameOf(1));
    expect(core.x.xskReceive(ios[0], batch)).toBe(1);
    const packet = core.u32[batch >>> 2] ?? 0;
    expect(packetInPort(core.dv, packet)).toBe(1);
    const data = packetData(core.dv, packet);
    expect(core.u8.slice(data, data + packetLength(core.dv, packet))).toEqual(frameOf(1));
    expect(core.x.xskTransmit(ios[1], batch, 1)).not.toBe(0);
    expect(core.x.xskTransmit(ios[0], batch, 1)).not.toBe(0);
    for (const kernel of kernels) kernel.kick();
    expect([a.sent, b.sent]).toEqual([[frameOf(1)], [frameOf(1)]]);
    expect([bench.counter(0, 'txInPlace'), bench.counter(1, 'txInPlace')]).toEqual([0, 1]);
  });

  it('drop and count what the MTU or a full ring does not take', () => {
    const bench = new Bench(64);
    const { core, ios, batch } = bench;
    const send = (length: number): void => {
      const packet = core.x.portFrameAlloc(length) >>> 0;
      core.u32[batch >>> 2] = packet;
      core.x.xskTransmit(ios[0], batch, 1);
      core.x.free(packet);
    };
    send(1515);
    send(13);
    expect(bench.counter(0, 'txErrors')).toBe(2);
    // 64 frames less two full fill rings: none is left to copy into.
    send(1514);
    expect(bench.counter(0, 'txDropped')).toBe(1);
    expect(core.x.umemLost(bench.umem)).toBe(0);
  });

  it('keep every frame accounted for, whatever the order of things', () => {
    const step = fc.record({
      what: fc.constantFrom(
        'arrive',
        'forward',
        'forward',
        'flood',
        'read',
        'kick',
        'complete',
        'complete',
        'end',
      ),
      port: fc.constantFrom(0 as const, 1 as const),
      n: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const bench = new Bench(80);
        const { core, kernels, ios, batch, umem } = bench;
        let seed = 0;
        const arrived: [Uint8Array[], Uint8Array[]] = [[], []];
        const wanted: [Uint8Array[], Uint8Array[]] = [[], []];
        const receive = (port: 0 | 1): number => {
          const n = core.x.xskReceive(ios[port], batch);
          for (let i = 0; i < n; i++) {
            const packet = core.u32[(batch >>> 2) + i] ?? 0;
            const data = packetData(core.dv, packet);
            const frame = core.u8.slice(data, data + packetLength(core.dv, packet));
            expect(frame).toEqual(arrived[port].shift());
          }
          return n;
        };
        const send = (port: 0 | 1, n: number): void => {
          const before = ['txPackets', 'txDropped'].map((c) => bench.counter(port, c as 'txPackets'));
          const list = Array.from({ length: n }, (_, i) => core.u32[(batch >>> 2) + i] ?? 0);
          const data = list.map((p) =>
            core.u8.slice(packetData(core.dv, p), packetData(core.dv, p) + packetLength(core.dv, p)),
          );
          if (core.x.xskTransmit(ios[port], batch, n) !== 0) kernels[port].kick();
          const taken = bench.counter(port, 'txPackets') - (before[0] ?? 0);
          expect(taken + bench.counter(port, 'txDropped') - (before[1] ?? 0)).toBe(n);
          // Which ones were dropped for want of a frame is not said: then only their number is checked.
          if (taken === n) wanted[port].push(...data);
          else wanted[port].push(...kernels[port].sent.slice(wanted[port].length));
        };
        for (const { what, port, n } of steps) {
          const kernel = kernels[port];
          const other = (1 - port) as 0 | 1;
          if (what === 'arrive') {
            for (let i = 0; i < n; i++) {
              const frame = frameOf(seed++);
              if (kernel.receive(frame)) arrived[port].push(frame);
            }
          } else if (what === 'forward') send(other, receive(port));
          else if (what === 'flood') {
            const got = receive(port);
            send(other, got);
            send(port, got);
          } else if (what === 'read') receive(port);
          else if (what === 'kick') kernel.kick();
          else if (what === 'complete') for (let i = 0; i < n; i++) kernel.complete(n + i);
          else core.x.xskReleaseBurst(ios[port]);
          expect(core.x.umemLost(umem)).toBe(0);
        }
        expect([kernels[0].sent, kernels[1].sent]).toEqual(wanted);
        // Closed with frames everywhere: the rest is swept up.
        for (const io of ios) core.x.xskIoDestroy(io);
        for (const kernel of kernels) {
          core.x.umemSweep(umem, kernel.id);
          expect(core.x.umemOwned(umem, kernel.id)).toBe(0);
        }
        expect(core.x.umemLost(umem)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
