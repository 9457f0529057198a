/**
 * Codecs of bundle messages (OpenFlow 1.4 §7.3.9; EXT-230 in OpenFlow 1.3).
 *
 *     bundle_id 32 | type 16 | flags 16                bundle_control
 *     bundle_id 32 | pad 16  | flags 16 | message ...  bundle_add_message
 */
import { OfpError } from '../util/errors.ts';
import type { ByteReader, ByteWriter } from './byte-io.ts';
import { decodeHeader, messageLength, OFP_HEADER_SIZE } from './header.ts';
import type { RawName } from './messages.table.ts';
import type { BundleAddMessage, BundleControl } from './messages.ts';

export function pullBundleControl(r: ByteReader): BundleControl {
  const bundleId = r.u32();
  const controlType = r.u16();
  return { type: 'bundle_control', bundleId, controlType, flags: r.u16() };
}

export function putBundleControl(w: ByteWriter, m: BundleControl): void {
  w.u32(m.bundleId).u16(m.controlType).u16(m.flags);
}

/** Reads the body; what the message inside may be is checked by `checkBundled`. */
export function pullBundleAddMessage(r: ByteReader): BundleAddMessage {
  const bundleId = r.u32();
  r.skip(2);
  const flags = r.u16();
  return { type: 'bundle_add_message', bundleId, flags, message: r.rest() };
}

export function putBundleAddMessage(w: ByteWriter, m: BundleAddMessage): void {
  w.u32(m.bundleId).zeros(2).u16(m.flags).bytes(m.message);
}

/** The message inside a whole bundle_add_message that was checked, as a view. */
export function bundledPart(bytes: Uint8Array): Uint8Array {
  const at = bytes[1] === OFPT_EXPERIMENTER ? 24 : 16;
  return bytes.subarray(at, at + messageLength(bytes, at));
}

const OFPT_EXPERIMENTER = 4;
const bundlable: ReadonlySet<RawName> = new Set<RawName>([
  'OFPT10_FLOW_MOD', 'OFPT11_FLOW_MOD', 'NXT_FLOW_MOD', 'OFPT10_PORT_MOD', 'OFPT11_PORT_MOD', 'OFPT14_PORT_MOD',
  'OFPT11_GROUP_MOD', 'OFPT15_GROUP_MOD', 'OFPT10_PACKET_OUT', 'OFPT11_PACKET_OUT', 'OFPT15_PACKET_OUT',
]); // prettier-ignore

/**
 * Checks the message inside a bundle_add_message of this version and xid.
 *
 * @returns The message without what follows it.
 * @throws OfpError OFPBFC_BAD_VERSION, OFPBFC_MSG_BAD_LEN, OFPBFC_MSG_BAD_XID, OFPBFC_MSG_UNSUP
 */
export function checkBundled(message: Uint8Array, version: number, xid: number): Uint8Array {
  if (message.length >= OFP_HEADER_SIZE && message[0] !== version) throw new OfpError('OFPBFC_BAD_VERSION');
  const length = messageLength(message);
  if (length < OFP_HEADER_SIZE || length > message.length) throw new OfpError('OFPBFC_MSG_BAD_LEN');
  const view = new DataView(message.buffer, message.byteOffset, OFP_HEADER_SIZE);
  if (view.getUint32(4) !== xid) throw new OfpError('OFPBFC_MSG_BAD_XID');
  const inner = message.subarray(0, length);
  if (!isBundlable(inner)) throw new OfpError('OFPBFC_MSG_UNSUP');
  return inner;
}

function isBundlable(message: Uint8Array): boolean {
  try {
    return bundlable.has(decodeHeader(message).raw.name);
  } catch (e) {
    if (e instanceof OfpError) return false;
    throw e;
  }
}
