import { readFileSync } from 'node:fs';
import { createArena } from '../../arena/core.ts';
import type { Core } from '../../arena/core.ts';
import type { OfpPort } from '../../util/brand.ts';
import { ManualClock } from '../../util/clock.ts';
import { SeededRandom } from '../../util/random.ts';
import type {
  OfConnFactory,
  OfConnTransport,
  OfListener,
  OfPortStats,
  OfprotoDependencies,
  PacketOutRequest,
} from '../ofproto-types.ts';

/**
 * A workbench for tests: an arena of its own, a clock that tests move, connections in memory.
 */
export function testCore(): Core {
  const module = new WebAssembly.Module(
    readFileSync(new URL('../../../dist/core.unshared.wasm', import.meta.url)),
  );
  const core = createArena({ module, sizeMb: 64, shared: false, seed: 1, threadName: 'main' });
  core.x.threadOnline();
  return core;
}

/** One end of a connection in memory; what is sent arrives at the other end at once. */
export class MemoryTransport implements OfConnTransport {
  readonly name: string;
  connected = false;
  queuedBytes = 0;
  /** While set, sent bytes stay here, as if the peer did not read. */
  blocked: Uint8Array[] | null = null;
  onData: (bytes: Uint8Array) => void = () => undefined;
  onConnect: () => void = () => undefined;
  onClose: (error: string | undefined) => void = () => undefined;
  onDrain: () => void = () => undefined;
  peer: MemoryTransport | null = null;

  constructor(name: string) {
    this.name = name;
  }

  send(bytes: Uint8Array): void {
    if (this.blocked !== null) {
      this.blocked.push(bytes);
      this.queuedBytes += bytes.length;
      return;
    }
    this.peer?.onData(bytes);
  }
  unblock(): void {
    const held = this.blocked ?? [];
    this.blocked = null;
    this.queuedBytes = 0;
    for (const bytes of held) this.send(bytes);
    this.onDrain();
  }
  close(): void {
    const { peer } = this;
    this.peer = null;
    this.connected = false;
    if (peer !== null) {
      peer.peer = null;
      peer.connected = false;
      peer.onClose(undefined);
    }
  }
}

export function connectPair(a: MemoryTransport, b: MemoryTransport): void {
  a.peer = b;
  b.peer = a;
  a.connected = true;
  b.connected = true;
}

/** Connections of a switch under test: `dial` answers its connection attempts. */
export class MemoryConnections implements OfConnFactory {
  readonly attempts: { target: string; transport: MemoryTransport }[] = [];
  readonly listeners = new Map<string, (transport: OfConnTransport) => void>();

  connect(target: string): OfConnTransport {
    const transport = new MemoryTransport(target);
    this.attempts.push({ target, transport });
    return transport;
  }
  listen(target: string, _dscp: number, onAccept: (transport: OfConnTransport) => void): OfListener {
    this.listeners.set(target, onAccept);
    return {
      close: () => {
        this.listeners.delete(target);
      },
    };
  }
}

export class TestDependencies implements OfprotoDependencies {
  readonly core: Core;
  readonly clock = new ManualClock(1_000_000);
  readonly random = new SeededRandom(1);
  readonly connections = new MemoryConnections();
  readonly packetOuts: PacketOutRequest[] = [];
  tablesChanges = 0;
  configChanges = 0;
  readonly adminUp = new Map<number, boolean>();
  stats: OfPortStats = {};

  constructor(core: Core = testCore()) {
    this.core = core;
  }
  wake(): void {
    // Tests call run themselves.
  }
  tablesChanged(): void {
    this.tablesChanges++;
  }
  configChanged(): void {
    this.configChanges++;
  }
  executePacketOut(_ofproto: unknown, request: PacketOutRequest): void {
    this.packetOuts.push({ ...request, packet: request.packet.slice(), flow: request.flow.slice() });
  }
  portStats(_port: OfpPort): OfPortStats {
    return this.stats;
  }
  setPortAdminUp(port: OfpPort, up: boolean): void {
    this.adminUp.set(port, up);
  }
}
