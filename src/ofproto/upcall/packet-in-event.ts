import { KEY_SIZE } from '../../flow/key.layout.ts';
import { WireError } from '../../util/errors.ts';
import type { PacketInEvent, PacketInReason } from '../ofproto-types.ts';

/** A packet-in on its way from a PMD to main through the thread's event ring. */
export interface BridgePacketIn {
  readonly bridgeId: number;
  readonly event: PacketInEvent;
}

/** Order of the numbers on the ring. */
const reasons: readonly PacketInReason[] = [
  'no_match',
  'action',
  'invalid_ttl',
  'action_set',
  'group',
  'packet_out',
];
const misses = ['none', 'implicit', 'explicit'] as const;

/** bridge u32, reason u8, miss u8, table u8, has userdata u8, cookie u64, controller u16, max_len u16, userdata length u32. */
const FIXED = 24;

export function encodePacketIn(packetIn: BridgePacketIn): Uint8Array {
  const { event } = packetIn;
  const userdata = event.userdata ?? new Uint8Array(0);
  const out = new Uint8Array(FIXED + KEY_SIZE + userdata.length + event.packet.length);
  const dv = new DataView(out.buffer);
  dv.setUint32(0, packetIn.bridgeId, true);
  dv.setUint8(4, reasons.indexOf(event.reason));
  dv.setUint8(5, misses.indexOf(event.miss));
  dv.setUint8(6, event.tableId);
  dv.setUint8(7, event.userdata === undefined ? 0 : 1);
  dv.setBigUint64(8, event.cookie, true);
  dv.setUint16(16, event.controllerId, true);
  dv.setUint16(18, event.maxLen, true);
  dv.setUint32(20, userdata.length, true);
  out.set(event.flow, FIXED);
  out.set(userdata, FIXED + KEY_SIZE);
  out.set(event.packet, FIXED + KEY_SIZE + userdata.length);
  return out;
}

/** @param bytes A record of the ring; copied. @throws WireError */
export function decodePacketIn(bytes: Uint8Array): BridgePacketIn {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FIXED + KEY_SIZE)
    throw new WireError('BAD_LEN', `packet-in record of ${bytes.length} bytes`, 0);
  const reason = reasons[dv.getUint8(4)];
  const miss = misses[dv.getUint8(5)];
  const end = FIXED + KEY_SIZE + dv.getUint32(20, true);
  if (reason === undefined || miss === undefined || end > bytes.length) {
    throw new WireError('BAD_VALUE', 'packet-in record is broken', 4);
  }
  return {
    bridgeId: dv.getUint32(0, true),
    event: {
      reason,
      miss,
      tableId: dv.getUint8(6),
      cookie: dv.getBigUint64(8, true),
      controllerId: dv.getUint16(16, true),
      maxLen: dv.getUint16(18, true),
      flow: bytes.slice(FIXED, FIXED + KEY_SIZE),
      ...(dv.getUint8(7) === 0 ? {} : { userdata: bytes.slice(FIXED + KEY_SIZE, end) }),
      packet: bytes.slice(end),
    },
  };
}
