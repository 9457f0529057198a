import '../../util/webassembly.ts';
import type { Core } from '../../arena/core.ts';
import { DpclsChainLayout } from '../generated/dpcls-chain.ts';
import { DpclsPortLayout } from '../generated/dpcls-port.ts';
import { PmdLayout } from '../generated/pmd.ts';
import { SubtableLayout } from '../generated/subtable.ts';
import { encodeChain, type ChainSubtable } from './chain-code.ts';

/**
 * Chains of a pmd's input ports: reading what subtables there are, and putting a compiled chain in force.
 *
 * Life cycle: main looks at each pmd's ports now and then (`readPorts`), encodes and compiles what has settled
 * (chain-keeper.ts), and posts the module to the pmd's thread, which calls `installChain` between two bursts. A
 * chain that comes too late, because the subtables have changed meanwhile, is refused.
 */

/** Offsets in pmd.pending that the code uses (assembly/dpcls-chain.ts). */
const places = { keys: 0, starts: 1024, found: 1152 };
const portBuckets = 1024;
const wordBytes = 24;

/** An input port's subtables at one moment. */
export interface PortChain {
  readonly inPort: number;
  /** dpcls-port.changes: as long as it is the same, so are the subtables. */
  readonly changes: number;
  /** Arena addresses, in the order of their rank. */
  readonly order: readonly number[];
}

/** What the pmd's thread needs to put a chain in force. Can be posted. */
export interface CompiledChain extends PortChain {
  readonly module: WebAssembly.Module;
}

/** The subtables of all input ports of a pmd. Any online thread; addresses are good within its step. */
export function readPorts(core: Core, pmd: number): PortChain[] {
  const { dv } = core;
  const heads = dv.getUint32(pmd + PmdLayout.ports, true);
  const ports: PortChain[] = [];
  for (let i = 0; i < portBuckets; i++) {
    let port = dv.getUint32(heads + 4 * i, true);
    for (; port !== 0; port = dv.getUint32(port + DpclsPortLayout.next, true)) {
      const changes = dv.getUint32(port + DpclsPortLayout.changes, true);
      const list = dv.getUint32(port + DpclsPortLayout.list, true);
      const length = dv.getUint32(list, true);
      const order = Array.from({ length }, (_, k) => dv.getUint32(list + 4 + 4 * k, true));
      ports.push({ inPort: dv.getUint32(port + DpclsPortLayout.port, true), changes, order });
    }
  }
  return ports;
}

function readSubtable(core: Core, subtable: number): ChainSubtable {
  const { dv } = core;
  const list = dv.getUint32(subtable + SubtableLayout.wordList, true);
  const words = dv.getUint32(subtable + SubtableLayout.words, true);
  return {
    filterAt: subtable + SubtableLayout.filter,
    words: Array.from({ length: words }, (_, i) => ({
      at: dv.getUint32(list + wordBytes * i, true),
      mask: dv.getBigUint64(list + wordBytes * i + 8, true),
      constant: dv.getBigUint64(list + wordBytes * i + 16, true),
    })),
  };
}

/** The module's bytes for what `readPorts` just told of a port, in the same step. */
export function encodePortChain(core: Core, port: PortChain): Uint8Array {
  const shared = !(core.memory.buffer instanceof ArrayBuffer);
  return encodeChain(
    port.order.map((subtable) => readSubtable(core, subtable)),
    places,
    shared,
  );
}

/** The chains that are in force on a pmd's thread, by input port: their places in the function table. */
export class InstalledChains {
  readonly #core: Core;
  readonly #pmd: number;
  readonly #slots = new Map<number, number>();
  readonly #free: number[] = [];

  constructor(core: Core, pmd: number) {
    this.#core = core;
    this.#pmd = pmd;
  }

  /** Puts a chain in force, between two bursts. @returns False when it came too late or the arena is full. */
  install(chain: CompiledChain): boolean {
    const { x, dv, table, memory } = this.#core;
    const block = x.alloc(DpclsChainLayout.size + 4 * chain.order.length) >>> 0;
    if (block === 0) return false;
    const slot = this.#slots.get(chain.inPort) ?? this.#free.pop() ?? table.grow(1);
    dv.setUint32(block + DpclsChainLayout.code, slot, true);
    dv.setUint32(block + DpclsChainLayout.changes, chain.changes, true);
    dv.setUint32(block + DpclsChainLayout.count, chain.order.length, true);
    chain.order.forEach((subtable, i) => {
      dv.setUint32(block + DpclsChainLayout.size + 4 * i, subtable, true);
    });
    const instance = new WebAssembly.Instance(chain.module, { env: { memory } });
    if (x.pmdSetChain(this.#pmd, chain.inPort, block) === 0) {
      x.free(block);
      if (!this.#slots.has(chain.inPort)) this.#free.push(slot);
      return false;
    }
    table.set(slot, instance.exports['chain']);
    this.#slots.set(chain.inPort, slot);
    return true;
  }

  /** Drops all chains. */
  clear(): void {
    for (const [inPort, slot] of this.#slots) {
      this.#core.x.pmdSetChain(this.#pmd, inPort, 0);
      this.#core.table.set(slot, null);
      this.#free.push(slot);
    }
    this.#slots.clear();
  }
}
