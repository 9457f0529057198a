import '../../util/webassembly.ts';
import type { Core } from '../../arena/core.ts';
import { vlog } from '../../util/log.ts';
import { encodePortChain, readPorts, type CompiledChain, type PortChain } from './chain.ts';

const log = vlog('dpif_netdev');
/** How often ports are looked at. */
const lookMs = 100;
/** Subtables must have stayed the same for so long: before, new ones keep coming. */
const settledMs = 300;
/** A chain whose order is no longer that of the ranks is made again at most so often. */
const reorderMs = 10_000;
/** Fewer subtables are interpreted as fast; more make a function that takes long to compile. */
const fewest = 3;
const most = 512;

/** A pmd whose chains are kept: its record, and the way to its thread. */
export interface ChainTarget {
  readonly pmd: number;
  /** Has the thread install a chain. @returns Whether it did. */
  install(chain: CompiledChain): Promise<boolean>;
}

interface Kept {
  changes: number;
  sinceMs: number;
  /** What was compiled last, or is being compiled. */
  made: PortChain | null;
  madeMs: number;
  isBusy: boolean;
}

/** Whether a chain tries often hit subtables late: among its first eight ranks one stands far behind. */
function isOutOfOrder(made: PortChain, now: PortChain): boolean {
  return now.order.slice(0, 8).some((subtable, rank) => made.order.indexOf(subtable) > 2 * rank + 4);
}

/**
 * Keeps compiled chains up to date, off the packet path: looks at each pmd's input ports, and once the set of
 * masks of one has settled, encodes its chain, has V8 compile it in the background, and posts it to the
 * thread. Until then, and after each change, lookups are interpreted.
 *
 * Threads: main only.
 */
export class ChainKeeper {
  readonly #core: Core;
  readonly #targets: () => Iterable<ChainTarget>;
  readonly #kept = new Map<string, Kept>();
  #lookAtMs = 0;

  constructor(core: Core, targets: () => Iterable<ChainTarget>) {
    this.#core = core;
    this.#targets = targets;
  }

  /** Whether some set of masks changed a short while ago: `run` is to be called again soon. */
  get isSettling(): boolean {
    for (const kept of this.#kept.values())
      if (this.#lookAtMs - kept.sinceMs <= settledMs + lookMs) return true;
    return false;
  }

  /** From main's loop, as often as one likes. */
  run(nowMs: number): void {
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + lookMs;
    const seen = new Set<string>();
    for (const target of this.#targets()) {
      for (const port of readPorts(this.#core, target.pmd)) {
        const name = `${target.pmd}.${port.inPort}`;
        seen.add(name);
        this.#look(name, target, port, nowMs);
      }
    }
    for (const name of this.#kept.keys()) if (!seen.has(name)) this.#kept.delete(name);
  }

  #look(name: string, target: ChainTarget, port: PortChain, nowMs: number): void {
    const kept = this.#kept.get(name);
    if (kept?.changes !== port.changes) {
      this.#kept.set(name, {
        changes: port.changes,
        sinceMs: nowMs,
        made: null,
        madeMs: 0,
        isBusy: kept?.isBusy ?? false,
      });
      return;
    }
    if (port.order.length < fewest || port.order.length > most) return;
    if (kept.isBusy || nowMs - kept.sinceMs < settledMs) return;
    if (kept.made !== null && (nowMs - kept.madeMs < reorderMs || !isOutOfOrder(kept.made, port))) return;
    kept.isBusy = true;
    kept.made = port;
    kept.madeMs = nowMs;
    this.#make(target, port)
      .catch((error: unknown) => {
        log.warn(`port ${port.inPort}: no chain: ${error instanceof Error ? error.message : String(error)}`);
      })
      .finally(() => {
        const latest = this.#kept.get(name);
        if (latest !== undefined) latest.isBusy = false;
      });
  }

  async #make(target: ChainTarget, port: PortChain): Promise<void> {
    const module = await WebAssembly.compile(encodePortChain(this.#core, port));
    const isInstalled = await target.install({ ...port, module });
    log.dbg(
      `port ${port.inPort}: chain of ${port.order.length} subtables ${isInstalled ? 'in force' : 'came too late'}`,
    );
  }
}
