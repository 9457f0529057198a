import type { TableMod } from '../../openflow/messages.ts';
import type { TableMiss } from '../ofproto-types.ts';
import { allTables, internalTable } from '../flow-tables.ts';
import { checkTableId } from '../flow-mod.ts';
import { OfpError } from '../../util/errors.ts';
import type { SwitchState } from '../switch-state.ts';

/** OFPTC11_TABLE_MISS_*: what OpenFlow 1.1 and 1.2 say about misses. */
const misses: readonly TableMiss[] = ['controller', 'continue', 'drop', 'default'];

export function handleTableMod(sw: SwitchState, request: TableMod, version: number): void {
  checkTableId(request.tableId);
  if (request.tableId === internalTable) throw new OfpError('OFPTMFC_EPERM');
  // From 1.3 on a table-miss flow says it; the field is there but has no meaning.
  if (version !== 2 && version !== 3) return;
  const miss = misses[request.config & 3] ?? 'default';
  const first = request.tableId === allTables ? 0 : request.tableId;
  const last = request.tableId === allTables ? internalTable - 1 : request.tableId;
  for (let id = first; id <= last; id++) sw.flowTables.config(id).miss = miss;
  sw.deps.configChanged();
}
