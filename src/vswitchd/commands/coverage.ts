import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { counters } from '../../util/counters.ts';
import type { Switchd } from '../switchd.ts';

/** Drop counters of a PMD record under their coverage names. */
const pmdCounters: readonly (readonly [name: string, at: number])[] = [
  ['datapath_drop_rx_invalid_packet', PmdLayout.dropRxInvalidPacket],
  ['datapath_drop_upcall_error', PmdLayout.dropUpcallError],
  ['datapath_drop_lock_error', PmdLayout.dropLockError],
  ['datapath_drop_userspace_action_error', PmdLayout.dropUserspaceActionError],
  ['datapath_drop_recirc_error', PmdLayout.dropRecircError],
  ['datapath_drop_invalid_port', PmdLayout.dropInvalidPort],
  ['datapath_drop_sample_error', PmdLayout.dropSampleError],
  ['datapath_drop_nsh_decap_error', PmdLayout.dropNshDecapError],
  ['datapath_drop_meter', PmdLayout.dropMeter],
  ['datapath_drop_tunnel_push_error', PmdLayout.dropTunnelPushError],
  ['datapath_drop_tunnel_pop_error', PmdLayout.dropTunnelPopError],
  ['datapath_drop_invalid_bond', PmdLayout.dropInvalidBond],
  ['datapath_drop_invalid_tnl_port', PmdLayout.dropInvalidTnlPort],
  ['datapath_drop_invalid_action', PmdLayout.dropInvalidAction],
  ['datapath_drop_no_buffer', PmdLayout.dropNoBuffer],
];

/** Totals of every counter: main's, the workers' and those that PMDs keep in the arena. */
export async function collectCoverage(switchd: Switchd): Promise<ReadonlyMap<string, number>> {
  const totals = new Map<string, number>();
  const add = (name: string, n: number): void => void totals.set(name, (totals.get(name) ?? 0) + n);
  for (const [name, c] of counters()) add(name, c.total);
  const workers = [...switchd.threads.threads].map((t) => t.request('coverage', null).catch(() => []));
  for (const reply of await Promise.all(workers)) {
    for (const [name, total] of reply as [string, number][]) add(name, total);
  }
  for (const { pmd } of switchd.pmds.views()) {
    for (const [name, at] of pmdCounters) add(name, switchd.core.dv.getFloat64(pmd + at, true));
  }
  return totals;
}
