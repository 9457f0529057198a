import { WireError } from '../util/errors.ts';

/**
 * The userdata of a datapath's userspace action: what the upcall is for.
 *
 * Layout (our own, little-endian, 48 bytes; the datapath only carries it):
 *
 *     0 type u16 | 4 ofp in_port u32 | 8 ofproto uuid, 16 bytes | 24 by type:
 *       sflow       24 vlan_tci be16 (network order), 28 output u32
 *       slow_path   28 reasons u32
 *       flow_sample 24 probability u16, 28 collector set, 32 domain, 36 point, 40 odp port, 44 direction u8
 *       ipfix       28 odp port
 *       controller  24 flags u8 (1 dont_send, 2 continuation), 26 reason u16, 28 recirc_id u32,
 *                   32 rule cookie u64 (low word first), 40 controller id u16, 42 max_len u16
 */
const USER_COOKIE_SIZE = 48;

const UserCookieType = {
  sflow: 1,
  slowPath: 2,
  flowSample: 3,
  ipfix: 4,
  controller: 5,
} as const;

interface CookieBase {
  readonly ofpInPort: number;
  /** 16 bytes; all zero when the reader knows the bridge by the in_port. */
  readonly ofprotoUuid?: Uint8Array;
}

export type UserCookie = CookieBase &
  (
    | { readonly type: 'sflow'; readonly vlanTci: number; readonly output: number }
    | { readonly type: 'slow_path'; readonly reasons: number }
    | {
        readonly type: 'flow_sample';
        readonly probability: number;
        readonly collectorSetId: number;
        readonly obsDomainId: number;
        readonly obsPointId: number;
        readonly outputPort: number;
        /** 0 default, 1 ingress, 2 egress. */
        readonly direction: number;
      }
    | { readonly type: 'ipfix'; readonly outputPort: number }
    | {
        readonly type: 'controller';
        readonly dontSend: boolean;
        readonly continuation: boolean;
        readonly reason: number;
        readonly recircId: number;
        readonly ruleCookie: bigint;
        readonly controllerId: number;
        readonly maxLen: number;
      }
  );

export function encodeUserCookie(cookie: UserCookie): Uint8Array {
  const out = new Uint8Array(USER_COOKIE_SIZE);
  const dv = new DataView(out.buffer);
  dv.setUint32(4, cookie.ofpInPort, true);
  if (cookie.ofprotoUuid) out.set(cookie.ofprotoUuid.subarray(0, 16), 8);
  switch (cookie.type) {
    case 'sflow':
      dv.setUint16(0, UserCookieType.sflow, true);
      dv.setUint16(24, cookie.vlanTci);
      dv.setUint32(28, cookie.output, true);
      break;
    case 'slow_path':
      dv.setUint16(0, UserCookieType.slowPath, true);
      dv.setUint32(28, cookie.reasons, true);
      break;
    case 'flow_sample':
      dv.setUint16(0, UserCookieType.flowSample, true);
      dv.setUint16(24, cookie.probability, true);
      dv.setUint32(28, cookie.collectorSetId, true);
      dv.setUint32(32, cookie.obsDomainId, true);
      dv.setUint32(36, cookie.obsPointId, true);
      dv.setUint32(40, cookie.outputPort, true);
      dv.setUint8(44, cookie.direction);
      break;
    case 'ipfix':
      dv.setUint16(0, UserCookieType.ipfix, true);
      dv.setUint32(28, cookie.outputPort, true);
      break;
    case 'controller':
      dv.setUint16(0, UserCookieType.controller, true);
      dv.setUint8(24, (cookie.dontSend ? 1 : 0) | (cookie.continuation ? 2 : 0));
      dv.setUint16(26, cookie.reason, true);
      dv.setUint32(28, cookie.recircId, true);
      dv.setBigUint64(32, BigInt.asUintN(64, cookie.ruleCookie), true);
      dv.setUint16(40, cookie.controllerId, true);
      dv.setUint16(42, cookie.maxLen, true);
      break;
  }
  return out;
}

/** @throws WireError when the bytes are no cookie of ours. */
export function decodeUserCookie(bytes: Uint8Array): UserCookie {
  if (bytes.length !== USER_COOKIE_SIZE) {
    throw new WireError('BAD_COOKIE', `user action cookie of ${bytes.length} bytes`, 0);
  }
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const base = { ofpInPort: dv.getUint32(4, true), ofprotoUuid: bytes.slice(8, 24) };
  const type = dv.getUint16(0, true);
  switch (type) {
    case UserCookieType.sflow:
      return { ...base, type: 'sflow', vlanTci: dv.getUint16(24), output: dv.getUint32(28, true) };
    case UserCookieType.slowPath:
      return { ...base, type: 'slow_path', reasons: dv.getUint32(28, true) };
    case UserCookieType.flowSample:
      return {
        ...base,
        type: 'flow_sample',
        probability: dv.getUint16(24, true),
        collectorSetId: dv.getUint32(28, true),
        obsDomainId: dv.getUint32(32, true),
        obsPointId: dv.getUint32(36, true),
        outputPort: dv.getUint32(40, true),
        direction: dv.getUint8(44),
      };
    case UserCookieType.ipfix:
      return { ...base, type: 'ipfix', outputPort: dv.getUint32(28, true) };
    case UserCookieType.controller:
      return {
        ...base,
        type: 'controller',
        dontSend: (dv.getUint8(24) & 1) !== 0,
        continuation: (dv.getUint8(24) & 2) !== 0,
        reason: dv.getUint16(26, true),
        recircId: dv.getUint32(28, true),
        ruleCookie: dv.getBigUint64(32, true),
        controllerId: dv.getUint16(40, true),
        maxLen: dv.getUint16(42, true),
      };
    default:
      throw new WireError('BAD_COOKIE', `user action cookie type ${type}`, 0);
  }
}
