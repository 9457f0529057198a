import { allocOrThrow } from '../arena/core.ts';
import type { Core } from '../arena/core.ts';
import { PacketLayout } from '../netdev/generated/packet.ts';
import { PmdLayout } from './generated/pmd.ts';
import { PmdUpcallLayout } from './generated/pmd-upcall.ts';
import { TxPortLayout } from './generated/tx-port.ts';

/** Free bytes in front of a frame that JavaScript puts into the arena: room for tags and labels. */
const HEADROOM = 64;

/**
 * A packet descriptor and a buffer in the arena for packets that JavaScript makes (packet-outs, tests).
 * The caller frees it with `free`; its frame is overwritten by each `load`.
 */
export class ArenaPacket {
  readonly #core: Core;
  readonly #block: number;
  readonly #capacity: number;

  /** @param capacity Longest frame in bytes. */
  constructor(core: Core, capacity = 65536) {
    this.#core = core;
    this.#capacity = capacity;
    this.#block = allocOrThrow(core, PacketLayout.size + HEADROOM + capacity);
  }

  /** Address of the descriptor. */
  get address(): number {
    return this.#block;
  }

  /** Puts a frame in; metadata become zero. @throws RangeError when it is longer than the capacity. */
  load(frame: Uint8Array, inPort: number): number {
    if (frame.length > this.#capacity)
      throw new RangeError(`frame of ${String(frame.length)} bytes is too long`);
    const { u8, dv } = this.#core;
    const p = this.#block;
    const buffer = p + PacketLayout.size;
    u8.fill(0, p, p + PacketLayout.size);
    u8.set(frame, buffer + HEADROOM);
    dv.setUint32(p + PacketLayout.data, buffer + HEADROOM, true);
    dv.setUint32(p + PacketLayout.length, frame.length, true);
    dv.setUint32(p + PacketLayout.bufferStart, buffer, true);
    dv.setUint32(p + PacketLayout.bufferEnd, buffer + HEADROOM + this.#capacity, true);
    dv.setUint32(p + PacketLayout.inPort, inPort, true);
    return p;
  }

  free(): void {
    this.#core.x.free(this.#block);
  }
}

/** A view of a packet's frame, good until the packet changes. */
export function packetBytes(core: Core, packet: number): Uint8Array {
  const data = core.dv.getUint32(packet + PacketLayout.data, true);
  return core.u8.subarray(data, data + core.dv.getUint32(packet + PacketLayout.length, true));
}

/** Addresses of the packets that missed in this burst. */
export function pmdMisses(core: Core, pmd: number): number[] {
  const at = core.dv.getUint32(pmd + PmdLayout.misses, true);
  const count = core.dv.getUint32(pmd + PmdLayout.missCount, true);
  return Array.from({ length: count }, (_, i) => core.dv.getUint32(at + 4 * i, true));
}

export interface PmdUpcall {
  readonly packet: number;
  readonly key: number;
  readonly attribute: number;
  readonly megaflow: number;
}

/** Packets that met a userspace action in this burst. */
export function pmdUpcalls(core: Core, pmd: number): PmdUpcall[] {
  const base = core.dv.getUint32(pmd + PmdLayout.upcalls, true);
  const count = core.dv.getUint32(pmd + PmdLayout.upcallCount, true);
  return Array.from({ length: count }, (_, i) => {
    const at = base + i * PmdUpcallLayout.size;
    return {
      packet: core.dv.getUint32(at + PmdUpcallLayout.packet, true),
      key: core.dv.getUint32(at + PmdUpcallLayout.key, true),
      attribute: core.dv.getUint32(at + PmdUpcallLayout.attribute, true),
      megaflow: core.dv.getUint32(at + PmdUpcallLayout.megaflow, true),
    };
  });
}

/** Packets queued in this burst, by port. */
export function pmdTransmits(core: Core, pmd: number): Map<number, number[]> {
  const { dv } = core;
  const out = new Map<number, number[]>();
  for (let at = dv.getUint32(pmd + PmdLayout.txFirst, true); at !== 0;) {
    const list = dv.getUint32(at + TxPortLayout.list, true);
    const length = dv.getUint32(at + TxPortLayout.count, true);
    out.set(
      dv.getUint32(at + TxPortLayout.port, true),
      Array.from({ length }, (_, k) => dv.getUint32(list + 4 * k, true)),
    );
    at = dv.getUint32(at + TxPortLayout.nextActive, true);
  }
  return out;
}
