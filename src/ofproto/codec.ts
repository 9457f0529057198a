import { BugError } from '../util/errors.ts';
import type { PacketInReason } from '../openflow/actions.ts';
import type { FlowRemoved, OfpMessage, PhyPort } from '../openflow/messages.ts';
import type { OfConn } from './connection/ofconn.ts';
import type { PacketInEvent } from './ofproto-types.ts';

export const supportedVersions = 0b1111110;
export interface DecodedMessage {
  readonly message: OfpMessage;
  readonly version: number;
  readonly xid: number;
  readonly isMultipart: boolean;
}
export function decodeRequest(_conn: OfConn, _bytes: Uint8Array): DecodedMessage | null {
  throw new BugError('codec');
}
export function encodeReply(_request: DecodedMessage, _answer: OfpMessage): Uint8Array[] {
  throw new BugError('codec');
}
export function encodePacketInFor(_conn: OfConn, _event: PacketInEvent, _reason: PacketInReason): Uint8Array {
  throw new BugError('codec');
}
export function encodePortStatusFor(_conn: OfConn, _reason: 'add' | 'delete' | 'modify', _desc: PhyPort): Uint8Array {
  throw new BugError('codec');
}
export function encodeFlowRemovedFor(_conn: OfConn, _message: FlowRemoved): Uint8Array {
  throw new BugError('codec');
}
