import type { AsyncConfig, RoleMessage, SwitchConfig } from '../../openflow/messages.ts';
import { OfpError } from '../../util/errors.ts';
import { asyncMasksFrom, withInvalidTtl } from '../connection/async-config.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { SwitchState } from '../switch-state.ts';

/** What a controller sets for its own connection: role, asynchronous messages, configuration. */
export function handleRole(sw: SwitchState, conn: OfConn, request: RoleMessage): RoleMessage {
  if (request.role !== 'nochange') {
    const { role, generationId } = request;
    const isStale = role !== 'equal' && generationId !== null && !sw.connmgr.setElectionId(generationId);
    if (isStale) throw new OfpError('OFPRRFC_STALE');
    sw.connmgr.setRole(conn, request.role);
  }
  return { type: 'role_reply', role: conn.role, generationId: sw.connmgr.electionId };
}

export function handleSetAsync(conn: OfConn, request: AsyncConfig): void {
  conn.asyncMasks = asyncMasksFrom(request);
}

export function handleGetAsync(conn: OfConn): AsyncConfig {
  const { packetIn, portStatus, flowRemoved } = conn.asyncMasks;
  const [slave, master] = packetIn;
  const known = conn.version >= 5 ? 0x3f : 0x07;
  return { type: 'get_async_reply', packetIn: [slave & known, master & known], portStatus, flowRemoved };
}

export function handleSetConfig(sw: SwitchState, conn: OfConn, request: SwitchConfig): void {
  if (
    request.frag !== sw.fragHandling &&
    request.frag !== 'reassemble' &&
    (conn.type !== 'primary' || conn.role !== 'slave')
  ) {
    sw.fragHandling = request.frag;
    sw.deps.configChanged();
  }
  if (request.invalidTtlToController !== null) {
    conn.asyncMasks = withInvalidTtl(conn.asyncMasks, request.invalidTtlToController);
  }
  conn.missSendLen = request.missSendLen;
}
