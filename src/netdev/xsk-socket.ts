import type { Core } from '../arena/core.ts';
import { allocOrThrow } from '../arena/core.ts';
import { libc } from '../sys/libc.ts';
import { MADV_DOFORK, MADV_DONTFORK, madvise, mapAnonymousOver, memoryAddress } from '../sys/memory.ts';
import {
  XDP_COPY,
  XDP_SHARED_UMEM,
  XDP_USE_NEED_WAKEUP,
  XDP_ZEROCOPY,
  bindXdp,
  mapXdpRing,
  openXdpSocket,
  registerUmem,
  setXdpRingSize,
  xdpRingOffsets,
  xdpRings,
} from '../sys/xdp.ts';
import type { XdpRing, XdpRingOffsets } from '../sys/xdp.ts';
import { ArenaFullError, BugError } from '../util/errors.ts';
import { umemBase } from './generated/umem.ts';
import { XskLayout } from './generated/xsk.ts';

/**
 * AF_XDP sockets and the memory of their frames, which is a part of the arena.
 *
 * All sockets of a kind share a UMEM, so that a frame goes from port to port without a copy: a first
 * socket registers it, each further one is bound with XDP_SHARED_UMEM. A UMEM serves a few
 * sockets; then, and for frames of another size or for zero copy, there is another one. The last
 * socket that closes takes its UMEM with it. Main thread only; threads move packets by assembly/port-xsk.ts.
 */
const pageBytes = 4096;
/**
 * Sizes by what a socket is for. A receiving one may have 4,096 frames in its fill and receive rings; what is
 * left of its UMEM is for copies and bursts. One that only transmits has frames only while the kernel sends them.
 */
const receiving = { frames: 16384, sockets: 3, slots: { rx: 2048, tx: 2048, fill: 2048, completion: 2048 } };
const transmitting = { frames: 2048, sockets: 64, slots: { rx: 0, tx: 512, fill: 64, completion: 512 } };
/** The kernel keeps XDP_PACKET_HEADROOM bytes of each frame free. */
const frameHeadroom = 256;
const frameSizes = [2048, 4096];

export interface XskSettings {
  readonly ifindex: number;
  readonly queue: number;
  /** False: frames are only sent, and no receive ring is made. */
  readonly receives: boolean;
  readonly zeroCopy: boolean;
  readonly needWakeup: boolean;
  readonly frameBytes: number;
  /** Arena address of the device's port-state. */
  readonly state: number;
}

interface Umem {
  /** Arena address (umem layout). */
  readonly address: number;
  readonly sizeBytes: number;
  readonly key: string;
  readonly sockets: Set<XskSocket>;
}

const $umems = new Set<Umem>();
let $nextId = 1;

/** Bytes of the frames that a device of this MTU needs, or null when none are large enough. */
export function xskFrameBytes(mtu: number): number | null {
  return frameSizes.find((size) => size - frameHeadroom >= mtu + 14 + 8) ?? null;
}

/** UMEMs in use, for accounting: `umemLost` of each is 0 when no packet moves. */
export function xskUmems(): number[] {
  return [...$umems].map((u) => u.address);
}

/** A free id for the words of frames; never one in use. */
function takeId(): number {
  const used = new Set([...$umems].flatMap((u) => [...u.sockets].map((s) => s.id)));
  do {
    $nextId = $nextId === 0xffff ? 1 : $nextId + 1;
  } while (used.has($nextId));
  return $nextId;
}

function hostAddress(core: Core, address: number): number {
  return memoryAddress(core.memory) + address;
}

/** @throws ArenaFullError */
function createUmem(core: Core, frameBytes: number, frames: number, key: string): Umem {
  const sizeBytes = frames * frameBytes;
  const block = allocOrThrow(core, sizeBytes + pageBytes);
  const base = Math.ceil(block / pageBytes) * pageBytes;
  const address = core.x.umemCreate(block, base, frames, Math.log2(frameBytes)) >>> 0;
  if (address === 0) {
    core.x.free(block);
    throw new ArenaFullError(8 * frames);
  }
  // A child's copy-on-write would part the pages from those that the kernel writes to.
  madvise(hostAddress(core, base), sizeBytes, MADV_DONTFORK);
  return { address, sizeBytes, key, sockets: new Set() };
}

function destroyUmem(core: Core, umem: Umem): void {
  $umems.delete(umem);
  madvise(hostAddress(core, umemBase(core.dv, umem.address)), umem.sizeBytes, MADV_DOFORK);
  core.x.umemDestroy(umem.address);
}

interface MappedRing {
  readonly block: number;
  readonly base: number;
  readonly sizeBytes: number;
}

/** One socket on one queue of a device, bound and with its rings in the arena. */
export class XskSocket {
  readonly fd: number;
  readonly id: number;
  /** Arena address (xsk layout). */
  readonly address: number;
  readonly #core: Core;
  readonly #umem: Umem;
  readonly #rings: MappedRing[] = [];

  /**
   * @throws SystemError: EOPNOTSUPP (no zero copy), EINVAL (no such queue), EBUSY (queue taken), EPERM,
   *   ENOBUFS (locked-memory limit)
   * @throws ArenaFullError
   */
  constructor(core: Core, settings: XskSettings) {
    const { frameBytes, zeroCopy, needWakeup } = settings;
    this.#core = core;
    const sizes = settings.receives ? receiving : transmitting;
    const key = [frameBytes, zeroCopy, needWakeup, settings.receives].join();
    const shared = [...$umems].find((u) => u.key === key && u.sockets.size < sizes.sockets);
    this.fd = openXdpSocket();
    let umem: Umem | undefined;
    let address = 0;
    try {
      umem = shared ?? createUmem(core, frameBytes, sizes.frames, key);
      this.#umem = umem;
      address = allocOrThrow(core, XskLayout.size);
      this.address = address;
      if (shared === undefined) {
        registerUmem(this.fd, hostAddress(core, umemBase(core.dv, umem.address)), umem.sizeBytes, frameBytes);
      }
      for (const ring of Object.keys(xdpRings) as XdpRing[]) {
        if (sizes.slots[ring] > 0) setXdpRingSize(this.fd, ring, sizes.slots[ring]);
      }
      const flags = (zeroCopy ? XDP_ZEROCOPY : XDP_COPY) | (needWakeup ? XDP_USE_NEED_WAKEUP : 0);
      const [first] = umem.sockets;
      if (first === undefined) bindXdp(this.fd, settings.ifindex, settings.queue, flags, 0);
      else bindXdp(this.fd, settings.ifindex, settings.queue, XDP_SHARED_UMEM, first.fd);
      this.id = takeId();
      this.#describe(settings.state, xdpRingOffsets(this.fd), sizes.slots);
    } catch (error) {
      this.#unmap();
      libc.close(this.fd);
      if (address !== 0) core.x.free(address);
      if (shared === undefined && umem !== undefined) destroyUmem(core, umem);
      throw error;
    }
    umem.sockets.add(this);
    $umems.add(umem);
  }

  /** Maps the rings and writes down where they are. */
  #describe(
    state: number,
    offsets: Readonly<Record<XdpRing, XdpRingOffsets>>,
    slots: Readonly<Record<XdpRing, number>>,
  ): void {
    const { dv } = this.#core;
    const put = (field: number, value: number): void => {
      dv.setUint32(this.address + field, value, true);
    };
    put(XskLayout.id, this.id);
    put(XskLayout.umem, this.#umem.address);
    put(XskLayout.state, state);
    put(XskLayout.fd, this.fd);
    const ring = (kind: XdpRing): { producer: number; consumer: number; desc: number; flags: number } => {
      const base = slots[kind] > 0 ? this.#mapRing(kind, offsets[kind].desc, slots[kind]) : 0;
      const { producer, consumer, desc, flags } = offsets[kind];
      return { producer: base + producer, consumer: base + consumer, desc: base + desc, flags: base + flags };
    };
    const [rx, tx, fill, completion] = [ring('rx'), ring('tx'), ring('fill'), ring('completion')];
    put(XskLayout.rxProducer, rx.producer);
    put(XskLayout.rxConsumer, rx.consumer);
    put(XskLayout.rxDescs, rx.desc);
    put(XskLayout.fillProducer, fill.producer);
    put(XskLayout.fillConsumer, fill.consumer);
    put(XskLayout.fillDescs, fill.desc);
    put(XskLayout.fillFlags, fill.flags);
    put(XskLayout.txProducer, tx.producer);
    put(XskLayout.txConsumer, tx.consumer);
    put(XskLayout.txDescs, tx.desc);
    put(XskLayout.txFlags, tx.flags);
    put(XskLayout.compProducer, completion.producer);
    put(XskLayout.compConsumer, completion.consumer);
    put(XskLayout.compDescs, completion.desc);
    put(XskLayout.rxMask, slots.rx - 1);
    put(XskLayout.fillMask, slots.fill - 1);
    put(XskLayout.txMask, slots.tx - 1);
    put(XskLayout.compMask, slots.completion - 1);
  }

  #mapRing(kind: XdpRing, headerBytes: number, slots: number): number {
    const core = this.#core;
    const bytes = headerBytes + slots * xdpRings[kind].descBytes;
    const sizeBytes = Math.ceil(bytes / pageBytes) * pageBytes;
    const block = allocOrThrow(core, sizeBytes + pageBytes);
    const base = Math.ceil(block / pageBytes) * pageBytes;
    // Listed first: releasing maps plain memory over it, whether or not the ring got there.
    this.#rings.push({ block, base, sizeBytes });
    mapXdpRing(this.fd, kind, hostAddress(core, base), sizeBytes);
    madvise(hostAddress(core, base), sizeBytes, MADV_DONTFORK);
    return base;
  }

  #unmap(): void {
    for (const { block, base, sizeBytes } of this.#rings.splice(0)) {
      mapAnonymousOver(hostAddress(this.#core, base), sizeBytes);
      this.#core.x.free(block);
    }
  }

  /** Arena address of the UMEM. */
  get umem(): number {
    return this.#umem.address;
  }

  /** Closes the socket and takes its frames back. Only after every thread has closed its side. */
  close(): void {
    const { x } = this.#core;
    if (!this.#umem.sockets.delete(this)) throw new BugError('AF_XDP socket closed twice');
    libc.close(this.fd);
    this.#unmap();
    x.umemSweep(this.#umem.address, this.id);
    x.free(this.address);
    if (this.#umem.sockets.size === 0) destroyUmem(this.#core, this.#umem);
  }
}
