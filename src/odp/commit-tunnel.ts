import { KeyLayout as K } from '../flow/generated/key.ts';
import { isZero } from '../flow/numbers-text.ts';
import type { OdpActionWriter } from './action-writer.ts';
import { OvsActionAttr, OvsKeyAttr } from './attrs.ts';
import { TUNNEL_FROM, TUNNEL_TO, writeTunnelKey } from './tunnel-key.ts';

/**
 * Writes `set(tunnel(..))` before an output to a tunnel port, when the flow has a tunnel destination and the
 * packet's tunnel metadata is not that already.
 */
export function commitTunnel(u8: Uint8Array, flow: number, base: number, writer: OdpActionWriter): void {
  if (isZero(u8, flow + K.tunDst, 4) && isZero(u8, flow + K.tunIpv6Dst, 16)) return;
  let differ = false;
  for (let i = TUNNEL_FROM; i < TUNNEL_TO; i++) if (u8[flow + i] !== u8[base + i]) differ = true;
  if (!differ) return;
  u8.copyWithin(base + TUNNEL_FROM, flow + TUNNEL_FROM, flow + TUNNEL_TO);
  const set = writer.beginNested(OvsActionAttr.set);
  const nest = writer.beginNested(OvsKeyAttr.tunnel);
  writeTunnelKey(u8, base, writer);
  writer.endNested(nest);
  writer.endNested(set);
}
