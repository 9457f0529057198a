import type { FlowMod } from '../../openflow/messages.ts';
import { OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { OfpError } from '../../util/errors.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { RequestOutcome } from '../connection/request-job.ts';
import { addRule, flowModSteps } from '../flow-mod.ts';
import { allTables } from '../flow-tables.ts';
import type { SwitchState } from '../switch-state.ts';
import { runChange } from './change-job.ts';
import { checkActionsAgainstSwitch } from './check-actions.ts';

/** Checks a flow_mod but for what depends on the tables as they are. @throws OfpError */
export function checkFlowMod(request: FlowMod, version: number): void {
  // Emergency flows were dropped from OpenFlow; there is no table for them.
  if (request.flags.emergency) throw new OfpError('OFPFMFC_TABLE_FULL');
  const isDelete = request.command === 'delete' || request.command === 'delete_strict';
  if (version > 1 && request.tableId === allTables && !isDelete) throw new OfpError('OFPFMFC_BAD_TABLE_ID');
  checkActionsAgainstSwitch(request.actions);
  // Packets are not buffered here, so every buffer is unknown; a deletion does not look at it.
  if (request.bufferId !== OFP_NO_BUFFER && !isDelete) throw new OfpError('OFPBRC_BUFFER_UNKNOWN');
}

/** Runs a flow_mod of a controller. @throws OfpError */
export function handleFlowMod(
  sw: SwitchState,
  conn: OfConn,
  request: FlowMod,
  version: number,
): RequestOutcome {
  conn.flowMods.count(request.command, sw.deps.clock.nowMs());
  checkFlowMod(request, version);
  return runChange(sw, (change) => flowModSteps(sw.flowModHost, change, request));
}

/** Runs a message that is a flow_mod of the plain kind. @returns False when it is not one. @throws OfpError */
export function handlePlainFlowMod(sw: SwitchState, conn: OfConn, bytes: Uint8Array): boolean {
  if (conn.role === 'slave' || bytes[0] !== conn.version) return false;
  const { flowModReader, flowModHost, flowTables } = sw;
  if (!flowModReader.read(bytes, conn.flowModTableId)) return false;
  conn.flowMods.count('add', sw.deps.clock.nowMs());
  flowTables.change((change) => {
    addRule(flowModHost, change, flowModReader);
  }, flowModHost);
  return true;
}
