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
 * @param mac Arena scratch of 8 bytes.
 */
export function replayXcache(
  core: Core,
  snapshot: CompiledSnapshot,
  list: number,
  lengthBytes: number,
  stats: FlowStatsDelta,
  mac: number,
): void {
  const { u32, x } = core;
  const end = (list + lengthBytes) >>> 2;
  for (let p = list >>> 2; p < end; p += (u32[p] ?? 0x10000) >>> 16) {
    const a = u32[p + 1] ?? 0;
    const b = u32[p + 2] ?? 0;
    switch ((u32[p] ?? 0) & 0xffff) {
      case xcacheKinds.rule:
        x.ruleCredit(a, stats.packets, stats.bytes, stats.usedMs);
        break;
      case xcacheKinds.table: {
        const counters = snapshot.bridgeById(a)?.config.tableCounters ?? 0;
        if (counters !== 0) addTableCounter(core, counters + 16 * (b & 0xff), b > 0xff, stats.packets);
        break;
      }
      case xcacheKinds.normal: {
        const bridge = snapshot.bridgeById(a);
        const table = bridge?.config.macTable ?? 0;
        if (table === 0 || (bridge?.port(b)?.bundle ?? null) === null) break;
        u32[mac >>> 2] = u32[p + 5] ?? 0;
        u32[(mac >>> 2) + 1] = u32[p + 6] ?? 0;
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

/** Copies a translation's list into a block of its own and references its rules. 0 = no memory or no list. */
export function keepXcache(core: Core, list: number, words: number): number {
  if (words === 0) return 0;
  const at = core.x.alloc(words * 4) >>> 0;
  if (at === 0) return 0;
  core.u32.copyWithin(at >>> 2, list >>> 2, (list >>> 2) + words);
  forEachRule(core, at, words, (rule) => {
    core.x.ruleRef(rule);
  });
  return at;
}

/** Gives up a kept list: its rules' references, then the block. */
export function dropXcache(core: Core, list: number, lengthBytes: number): void {
  if (list === 0) return;
  forEachRule(core, list, lengthBytes >>> 2, (rule) => {
    core.x.ruleUnref(rule);
  });
  core.x.free(list);
}

function forEachRule(core: Core, list: number, words: number, visit: (rule: number) => void): void {
  const { u32 } = core;
  const end = (list >>> 2) + words;
  for (let p = list >>> 2; p < end; p += (u32[p] ?? 0x10000) >>> 16) {
    if (((u32[p] ?? 0) & 0xffff) === xcacheKinds.rule) visit(u32[p + 1] ?? 0);
  }
}
