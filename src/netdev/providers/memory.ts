import { readFileSync } from 'node:fs';
import { allocOrThrow, type Core } from '../../arena/core.ts';
import { systemError } from '../../sys/errno.ts';
import { ArenaFullError, UsageError, WireError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { decodePcap } from '../../wire/pcap.ts';
import { NetdevBase } from '../base.ts';
import { netdevEnvironment } from '../environment.ts';
import { MemorySinkLayout } from '../generated/memory-sink.ts';
import { MemorySourceLayout } from '../generated/memory-source.ts';
import { FAST_PORT_MEMORY, MEMORY_SINK_SHARD_BYTES, MEMORY_SINK_SHARDS } from '../memory-port.layout.ts';
import type { NetdevProvider, PortAttachment, PortIo } from '../provider.ts';

const log = vlog('netdev_memory');
const cellHeader = 16;
/** As DPDK's net_null. */
const nullFrameBytes = 64;
const maxQueues = 64;
const EIO = 5;

const isTrue = (text: string | undefined): boolean => text === 'true';

/** Frames of one rx queue, as cells (memory-port.layout.ts). */
interface Cells {
  readonly address: number;
  readonly bytes: number;
  readonly longest: number;
}

function storeCells(core: Core, frames: readonly Uint8Array[]): Cells {
  const sizeOf = (frame: Uint8Array): number => cellHeader + 16 * Math.ceil(frame.length / 16);
  const bytes = frames.reduce((sum, frame) => sum + sizeOf(frame), 0);
  const address = allocOrThrow(core, Math.max(bytes, 16));
  let at = address;
  let longest = 0;
  for (const frame of frames) {
    core.dv.setUint32(at, frame.length, true);
    core.dv.setUint32(at + 4, sizeOf(frame), true);
    core.u8.set(frame, at + cellHeader);
    at += sizeOf(frame);
    longest = Math.max(longest, frame.length);
  }
  return { address, bytes, longest };
}

function readFrames(name: string, file: string): Uint8Array[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const errno = error instanceof Error && 'errno' in error ? -Number(error.errno) : EIO;
    throw systemError(errno, 'open', `${name}: could not read ${file}`);
  }
  try {
    return decodePcap(bytes).map((packet) => packet.bytes);
  } catch (error) {
    if (error instanceof WireError) throw new UsageError(`${name}: ${file}: ${error.message}`);
    throw error;
  }
}

/**
 * Ports without a device, for measuring: `null` swallows what is sent and with `options:rx=true` gives
 * endless zero frames of 64 bytes; `pcap` replays `options:rx_pcap=FILE` from memory, once or with
 * `options:infinite=true` for ever, and swallows too. With `options:n_rxq=N` the frames are dealt to N
 * queues in turn, so that each has flows of its own.
 *
 * They move inside core.wasm (assembly/port-memory.ts): no call into JavaScript a burst. Main owns the
 * frames, and the records with the counters; threads only read their addresses.
 */
class MemoryNetdev extends NetdevBase {
  readonly #core = netdevEnvironment().core;
  readonly #sink: number;
  readonly #endless: boolean;
  readonly #frames: readonly (readonly Uint8Array[])[];
  #cells: Cells[] = [];
  #sources: number[] = [];

  /** @param frames Frames of each rx queue. */
  constructor(
    type: string,
    name: string,
    mac: Uint8Array,
    frames: readonly (readonly Uint8Array[])[],
    endless: boolean,
  ) {
    super(name, type, mac);
    this.#frames = frames;
    this.#endless = endless;
    this.#sink = allocOrThrow(this.#core, MemorySinkLayout.size);
    this.#core.dv.setUint32(this.#sink + MemorySinkLayout.kind, FAST_PORT_MEMORY, true);
    this.#core.dv.setUint32(this.#sink + MemorySinkLayout.up, 1, true);
  }
  override setAdminUp(up: boolean): void {
    super.setAdminUp(up);
    this.#core.dv.setUint32(this.#sink + MemorySinkLayout.up, up ? 1 : 0, true);
  }
  override statistics(): Record<string, number> {
    const { dv } = this.#core;
    const sum = (at: number): number =>
      this.#sources.reduce((total, source) => total + dv.getFloat64(source + at, true), 0);
    const sent = (at: number): number => {
      let total = 0;
      for (let shard = 0; shard < MEMORY_SINK_SHARDS; shard++) {
        total += Number(dv.getBigUint64(this.#sink + shard * MEMORY_SINK_SHARD_BYTES + at, true));
      }
      return total;
    };
    return {
      rx_bytes: sum(MemorySourceLayout.rxBytes),
      rx_packets: sum(MemorySourceLayout.rxPackets),
      tx_bytes: sent(MemorySinkLayout.txBytes),
      tx_packets: sent(MemorySinkLayout.txPackets),
    };
  }
  /** @throws ArenaFullError */
  attach(odpPort: number): PortAttachment {
    this.#free();
    const { x } = this.#core;
    for (const frames of this.#frames) {
      const cells = storeCells(this.#core, frames);
      this.#cells.push(cells);
      const source = x.memorySourceCreate(
        this.#sink,
        odpPort,
        cells.address,
        cells.bytes,
        cells.longest,
        this.#endless,
      );
      if (source === 0) throw new ArenaFullError(cells.longest);
      this.#sources.push(source >>> 0);
    }
    return {
      kind: 'memory',
      name: this.name,
      odpPort,
      polledByMain: false,
      rxQueues: this.#sources.length,
      sink: this.#sink,
      sources: this.#sources,
    };
  }
  #free(): void {
    for (const source of this.#sources) this.#core.x.memorySourceDestroy(source);
    for (const cells of this.#cells) this.#core.x.free(cells.address);
    this.#sources = [];
    this.#cells = [];
  }
  close(): void {
    this.#free();
    this.#core.x.free(this.#sink);
  }
}

/** A thread's side: all of it is in the records. */
class MemoryPortIo implements PortIo {
  readonly odpPort: number;
  readonly pollFds: readonly number[] = [];
  readonly source: number;
  readonly sink: number;
  readonly #core: Core;

  constructor(core: Core, attachment: PortAttachment, rxQueue: number | null) {
    this.#core = core;
    this.odpPort = attachment.odpPort;
    this.sink = Number(attachment['sink']);
    const sources = attachment['sources'] as readonly number[];
    this.source = rxQueue === null ? 0 : (sources[rxQueue] ?? 0);
  }
  receive(batch: number): number {
    return this.#core.x.memoryReceive(this.source, batch);
  }
  transmit(list: number, count: number): void {
    this.#core.x.memoryTransmit(this.sink, list, count);
  }
  /** Only an endless or unfinished source that is up has frames, and then its thread does not block. */
  pending(): boolean {
    return false;
  }
  close(): void {
    // The records are main's.
  }
}

export function openMemoryPortIo(attachment: PortAttachment, core: Core, rxQueue: number | null): PortIo {
  return new MemoryPortIo(core, attachment, rxQueue);
}

/** `options:n_rxq`, at least 1. */
function queueCount(options: ReadonlyMap<string, string>): number {
  const n = Number(options.get('n_rxq') ?? 1);
  return Number.isInteger(n) && n >= 1 ? Math.min(n, maxQueues) : 1;
}

/** Deals frames to n queues in turn. */
function deal(frames: readonly Uint8Array[], n: number): Uint8Array[][] {
  return Array.from({ length: n }, (_, queue) => frames.filter((_frame, i) => i % n === queue));
}

export function memoryProviders(randomMac: () => Uint8Array): NetdevProvider[] {
  return [
    {
      type: 'null',
      open(name, options) {
        const queues = queueCount(options);
        const frames = isTrue(options.get('rx')) ? [new Uint8Array(nullFrameBytes)] : [];
        const all = Array.from({ length: queues }, () => frames);
        return new MemoryNetdev('null', name, randomMac(), all, true);
      },
    },
    {
      type: 'pcap',
      open(name, options) {
        const file = options.get('rx_pcap');
        const frames = file === undefined ? [] : readFrames(name, file);
        if (file !== undefined) log.info(`${name}: ${frames.length} frames of ${file}`);
        const endless = isTrue(options.get('infinite'));
        return new MemoryNetdev('pcap', name, randomMac(), deal(frames, queueCount(options)), endless);
      },
    },
  ];
}
