import type { FlowMod } from '../../openflow/messages.ts';
import { OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { OfpError } from '../../util/errors.ts';
import { executeFlowMod } from '../flow-mod.ts';
import { allTables } from '../flow-tables.ts';
import type { SwitchState } from '../switch-state.ts';
import { checkActionsAgainstSwitch } from './check-actions.ts';

/** Runs a flow_mod of a controller. @throws OfpError */
export function handleFlowMod(sw: SwitchState, request: FlowMod, version: number): void {
  // Emergency flows were dropped from OpenFlow; there is no table for them.
  if (request.flags.emergency) throw new OfpError('OFPFMFC_TABLE_FULL');
  const isDelete = request.command === 'delete' || request.command === 'delete_strict';
  if (version > 1 && request.tableId === allTables && !isDelete) throw new OfpError('OFPFMFC_BAD_TABLE_ID');
  checkActionsAgainstSwitch(request.actions);
  // Packets are not buffered here, so every buffer is unknown; a deletion does not look at it.
  if (request.bufferId !== OFP_NO_BUFFER && !isDelete) throw new OfpError('OFPBRC_BUFFER_UNKNOWN');
  executeFlowMod(sw.flowModHost, request);
}
