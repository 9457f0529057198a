import { KeyLayout as K } from '../flow/generated/key.ts';
import { be16, isZero } from '../flow/numbers-text.ts';
import type { OdpActionWriter } from './action-writer.ts';
import { OvsTunnelKeyAttr as T, TunFlag } from './attrs.ts';
import type { Attribute } from './attributes.ts';
import { parseAttributes } from './attributes.ts';

/** First and one-past-last key bytes of the tunnel slots. */
export const TUNNEL_FROM = K.tunDst;
export const TUNNEL_TO = K.tunMetadata + 256;

/**
 * Writes the attributes of OVS_KEY_ATTR_TUNNEL from a key (or, the same way, from its mask).
 *
 * @param base Address of the key in `u8`.
 */
export function writeTunnelKey(u8: Uint8Array, base: number, writer: OdpActionWriter): void {
  const put = (type: number, at: number, size: number): void => {
    writer.raw(type, u8.subarray(base + at, base + at + size));
  };
  const some = (at: number, size: number): boolean => !isZero(u8, base + at, size);
  const flags = be16(u8, base + K.tunFlags);
  if ((flags & TunFlag.key) !== 0 || some(K.tunId, 8)) put(T.id, K.tunId, 8);
  if (some(K.tunSrc, 4)) put(T.ipv4Src, K.tunSrc, 4);
  if (some(K.tunDst, 4)) put(T.ipv4Dst, K.tunDst, 4);
  if (some(K.tunIpv6Src, 16)) put(T.ipv6Src, K.tunIpv6Src, 16);
  if (some(K.tunIpv6Dst, 16)) put(T.ipv6Dst, K.tunIpv6Dst, 16);
  if (some(K.tunTos, 1)) put(T.tos, K.tunTos, 1);
  put(T.ttl, K.tunTtl, 1);
  if ((flags & TunFlag.dontFragment) !== 0) writer.flag(T.dontFragment);
  if ((flags & TunFlag.csum) !== 0) writer.flag(T.csum);
  if (some(K.tunTpSrc, 2)) put(T.tpSrc, K.tunTpSrc, 2);
  if (some(K.tunTpDst, 2)) put(T.tpDst, K.tunTpDst, 2);
  if ((flags & TunFlag.oam) !== 0) writer.flag(T.oam);
}

/** Reads the attributes of OVS_KEY_ATTR_TUNNEL into a key; unknown ones are left out. */
export function readTunnelKey(bytes: Uint8Array, key: Uint8Array): void {
  let flags = 0;
  for (const { type, payload } of parseAttributes(bytes)) {
    const place = tunnelPlaces.get(type);
    if (place !== undefined) {
      if (payload.length === place[1]) key.set(payload, place[0]);
      if (type === T.id) flags |= TunFlag.key;
    } else flags |= tunnelFlag(type);
  }
  key[K.tunFlags + 1] = flags;
}

function tunnelFlag(type: Attribute['type']): number {
  if (type === T.dontFragment) return TunFlag.dontFragment;
  if (type === T.csum) return TunFlag.csum;
  return type === T.oam ? TunFlag.oam : 0;
}

const tunnelPlaces: ReadonlyMap<number, readonly [at: number, size: number]> = new Map([
  [T.id, [K.tunId, 8]],
  [T.ipv4Src, [K.tunSrc, 4]],
  [T.ipv4Dst, [K.tunDst, 4]],
  [T.ipv6Src, [K.tunIpv6Src, 16]],
  [T.ipv6Dst, [K.tunIpv6Dst, 16]],
  [T.tos, [K.tunTos, 1]],
  [T.ttl, [K.tunTtl, 1]],
  [T.tpSrc, [K.tunTpSrc, 2]],
  [T.tpDst, [K.tunTpDst, 2]],
] as const);
