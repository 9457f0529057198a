import { memoryReport } from '../../arena/memory-report.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
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
  for (const { pmd } of switchd.pmds.views()) keys += switchd.core.dv.getUint32(pmd + PmdLayout.flowCount, true);
  usage['ports'] = ports;
  usage['revalidators'] = revalidators;
  usage['rules'] = rules;
  usage['udpif keys'] = keys;
  for (const [name, value] of Object.entries(memoryReport(switchd.core))) usage[`arena ${name}`] = value;
  return usage;
}
