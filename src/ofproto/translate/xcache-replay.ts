import type { Core } from '../../arena/core.ts';
import type { CompiledSnapshot } from '../snapshot.ts';
import { addPatchCounters, addTableCounter } from './counters.ts';
import { requestRevalidation } from './revalidation.ts';
import { reduceTimeouts } from './rules.ts';
import { xcacheKinds } from './xcache.ts';

/** What packets did since a list was last replayed. */
export interface FlowStatsDelta {
  packets: number;
  bytes: number;
  usedMs: number;
  tcpFlags: number;
}

const FIN_OR_RST = 5;

/**
 * Performs the side effects of a kept list for later packets.
 *
 * @param list Arena address of the list, `lengthBytes` long.
 */
export function replayXcache(
  core: Core,
  snapshot: CompiledSnapshot,
  list: number,
  lengthBytes: number,
  stats: FlowStatsDelta,
): void {
  const { u32, x } = core;
  x.xcacheCredit(list, lengthBytes >>> 2, stats.packets, stats.bytes, stats.usedMs);
  const end = (list + lengthBytes) >>> 2;
  for (let p = list >>> 2; p < end; p += (u32[p] ?? 0x10000) >>> 16) {
    const a = u32[p + 1] ?? 0;
    const b = u32[p + 2] ?? 0;
    switch ((u32[p] ?? 0) & 0xffff) {
      case xcacheKinds.table: {
        const counters = snapshot.bridgeById(a)?.config.tableCounters ?? 0;
        if (counters !== 0) addTableCounter(core, counters + 16 * (b & 0xff), b > 0xff, stats.packets);
        break;
      }
      case xcacheKinds.normal: {
        const bridge = snapshot.bridgeById(a);
        const table = bridge?.config.macTable ?? 0;
        if (table === 0 || (bridge?.port(b)?.bundle ?? null) === null) break;
        const mac = (p + 5) << 2;
        const isGratArp = (u32[p + 4] ?? 0) !== 0;
        if (x.macLearn(table, u32[p + 3] ?? 0, mac, b, isGratArp, stats.usedMs)) requestRevalidation(core);
        break;
      }
      case xcacheKinds.patch: {
        const tx = snapshot.bridgeById(a)?.port(b)?.counters ?? 0;
        const rx = snapshot.bridgeById(u32[p + 3] ?? 0)?.port(u32[p + 4] ?? 0)?.counters ?? 0;
        addPatchCounters(core, tx, rx, stats.packets, stats.bytes);
        break;
      }
      case xcacheKinds.finTimeout:
        if ((stats.tcpFlags & FIN_OR_RST) !== 0) reduceTimeouts(core, a, b & 0xffff, b >>> 16);
        break;
      default:
    }
  }
}
