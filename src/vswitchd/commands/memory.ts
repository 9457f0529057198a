import { memoryStats } from '../../arena/memory-stats.ts';
import { umemFrames } from '../../netdev/generated/umem.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { xskUmems } from '../../netdev/xsk-socket.ts';
import type { Switchd } from '../switchd.ts';

/** Numbers of memory/show: OVS's names, then the arena's. */
export function memoryUsage(switchd: Switchd): Record<string, number> {
  const { handlers, revalidators } = switchd.revalidators.counts;
  const usage: Record<string, number> = { handlers };
  let ports = 0;
  let rules = 0;
  for (const bridge of switchd.bridges.values()) {
    ports += bridge.ofproto.ports().length;
    rules += bridge.ofproto.memoryUsage()['rules'] ?? 0;
  }
  let keys = 0;
  for (const { pmd } of switchd.pmds.views())
    keys += switchd.core.dv.getUint32(pmd + PmdLayout.flowCount, true);
  usage['ports'] = ports;
  usage['revalidators'] = revalidators;
  usage['rules'] = rules;
  usage['udpif keys'] = keys;
  const m = memoryStats(switchd.core);
  usage['arena MB'] = Math.round(m.totalBytes / 2 ** 20);
  usage['arena used KB'] = Math.round(m.usedBytes / 1024);
  usage['arena peak KB'] = Math.round(m.peakBytes / 1024);
  usage['arena blocks'] = m.blocksInUse;
  usage['arena limbo'] = m.limboBlocks;
  usage['arena refused'] = m.failedAllocs;
  usage['arena bad frees'] = m.badFrees;
  for (const c of m.classes) if (c.blocksInUse > 0) usage[`arena ${c.strideBytes}B`] = c.blocksInUse;
  const umems = xskUmems();
  if (umems.length > 0) {
    const { x, dv } = switchd.core;
    usage['xsk frames'] = umems.reduce((sum, umem) => sum + umemFrames(dv, umem), 0);
    // Not 0 while packets move: what is just between two places.
    usage['xsk frames lost'] = umems.reduce((sum, umem) => sum + x.umemLost(umem), 0);
  }
  return usage;
}
