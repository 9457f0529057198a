import { storeBytes } from '../../arena/core.ts';
import { KeyLayout } from '../../flow/generated/key.ts';
import type { PacketOut } from '../../openflow/messages.ts';
import { OFPP_CONTROLLER, OFPP_LOCAL, OFPP_MAX, OFPP_NONE, OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { OfpError } from '../../util/errors.ts';
import { encodeOfpacts } from '../ofpact-words.ts';
import type { SwitchState } from '../switch-state.ts';
import { checkActionsAgainstSwitch } from './check-actions.ts';

/** Checks what a packet_out says by itself. @throws OfpError */
export function checkPacketOutForm(request: PacketOut): void {
  if (request.bufferId !== OFP_NO_BUFFER) throw new OfpError('OFPBRC_BUFFER_UNKNOWN');
  checkInPort(request.metadata.flow);
}

/** Checks a packet_out, also against what exists in the switch. @throws OfpError */
export function checkPacketOut(request: PacketOut): void {
  checkPacketOutForm(request);
  checkActionsAgainstSwitch(request.actions);
}

/** Sends a packet out. @throws OfpError */
export function handlePacketOut(sw: SwitchState, request: PacketOut): void {
  checkPacketOut(request);
  const words = encodeOfpacts(request.actions);
  if (words.length === 0) return;
  const { core } = sw.deps;
  const actions = storeBytes(core, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
  try {
    sw.deps.executePacketOut(sw, {
      packet: request.packet,
      flow: request.metadata.flow,
      actions,
      actionsLength: words.byteLength,
      version: sw.flowTables.version,
    });
  } finally {
    core.x.free(actions);
  }
}

function checkInPort(flow: Uint8Array): void {
  const port = new DataView(flow.buffer, flow.byteOffset, flow.byteLength).getUint32(KeyLayout.inPort);
  const isReserved = port >= OFPP_MAX;
  if (isReserved && port !== OFPP_LOCAL && port !== OFPP_NONE && port !== OFPP_CONTROLLER) {
    throw new OfpError('OFPBRC_BAD_PORT');
  }
}
