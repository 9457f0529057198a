import type { PortModMessage } from '../../openflow/messages.ts';
import { PortConfig } from '../../openflow/messages.ts';
import { OfpError } from '../../util/errors.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { OfPort } from '../port-table.ts';
import type { SwitchState } from '../switch-state.ts';

/** Configuration bits that a controller may change here. */
const changeable =
  PortConfig.PORT_DOWN |
  PortConfig.NO_STP |
  PortConfig.NO_RECV |
  PortConfig.NO_RECV_STP |
  PortConfig.NO_FLOOD |
  PortConfig.NO_FWD |
  PortConfig.NO_PACKET_IN;

/** The port that a port_mod is about. @throws OfpError OFPPMFC_* */
export function findPortToChange(sw: SwitchState, request: PortModMessage): OfPort {
  const port = sw.portTable.get(request.port);
  if (port === undefined) throw new OfpError('OFPPMFC_BAD_PORT');
  if (!request.hwAddr.every((byte, i) => byte === port.mac[i])) throw new OfpError('OFPPMFC_BAD_HW_ADDR');
  return port;
}

export function handlePortMod(sw: SwitchState, conn: OfConn, request: PortModMessage): void {
  const port = findPortToChange(sw, request);
  const toggled = (request.config ^ port.config) & request.mask & changeable;
  if (toggled === 0) return;
  port.config ^= toggled;
  port.refreshLive();
  if (toggled & PortConfig.PORT_DOWN) {
    sw.deps.setPortAdminUp(port.ofport, (port.config & PortConfig.PORT_DOWN) === 0);
  }
  sw.deps.configChanged();
  sw.connmgr.sendPortStatus(conn, 'modify', port.phyPort());
}
