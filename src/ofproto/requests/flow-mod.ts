import type { FlowMod } from '../../openflow/messages.ts';
import { OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { OfpError } from '../../util/errors.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { RequestOutcome } from '../connection/request-job.ts';
import { addRule, checkTableId, flowModSteps } from '../flow-mod.ts';
import { allTables, internalTable } from '../flow-tables.ts';
import type { SwitchState } from '../switch-state.ts';
import { runChange } from './change-job.ts';
import { checkActionsAgainstSwitch } from './check-actions.ts';

const isDelete = (request: FlowMod): boolean =>
  request.command === 'delete' || request.command === 'delete_strict';

function checkForm(request: FlowMod, version: number): void {
  // Emergency flows were dropped from OpenFlow; there is no table for them.
  if (request.flags.emergency) throw new OfpError('OFPFMFC_TABLE_FULL');
  if (version > 1 && request.tableId === allTables && !isDelete(request)) {
    throw new OfpError('OFPFMFC_BAD_TABLE_ID');
  }
}

function checkBuffer(request: FlowMod): void {
  // Packets are not buffered here, so every buffer is unknown; a deletion does not look at it.
  if (request.bufferId !== OFP_NO_BUFFER && !isDelete(request)) throw new OfpError('OFPBRC_BUFFER_UNKNOWN');
}

/** Checks what a flow_mod says by itself, as it is added to a bundle. @throws OfpError */
export function checkBundledFlowMod(request: FlowMod, version: number): void {
  checkForm(request, version);
  checkBuffer(request);
  checkTableId(request.tableId);
  if (request.command === 'add' && request.tableId === internalTable) throw new OfpError('OFPBRC_EPERM');
}

/** Checks a flow_mod, also against what exists in the switch. @throws OfpError */
export function checkFlowMod(request: FlowMod, version: number): void {
  checkForm(request, version);
  checkActionsAgainstSwitch(request.actions);
  checkBuffer(request);
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
