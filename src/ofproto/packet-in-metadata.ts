import { KeyLayout as K } from '../flow/generated/key.ts';
import { Match } from '../flow/match.ts';

/** Pipeline fields that a packet-in reports, [offset, bytes]: only where they are not zero. */
const reported: readonly (readonly [number, number])[] = [
  [K.dpHash, 4],
  [K.recircId, 4],
  [K.tunId, 8],
  [K.tunFlags, 2],
  [K.tunSrc, 4],
  [K.tunDst, 4],
  [K.tunIpv6Src, 16],
  [K.tunIpv6Dst, 16],
  [K.tunGbpId, 2],
  [K.tunGbpFlags, 1],
  [K.tunErspanVer, 1],
  [K.tunErspanIdx, 4],
  [K.tunErspanDir, 1],
  [K.tunErspanHwid, 1],
  [K.tunGtpuFlags, 1],
  [K.tunGtpuMsgtype, 1],
  [K.metadata, 8],
  [K.pktMark, 4],
  ...Array.from({ length: 16 }, (_, i): readonly [number, number] => [K.regs + 4 * i, 4]),
];

/** Reported together when the packet went through connection tracking. */
const connection: readonly (readonly [number, number])[] = [
  [K.ctState, 4],
  [K.ctZone, 2],
  [K.ctMark, 4],
  [K.ctLabel, 16],
];

/**
 * The metadata of a packet-in: what of the flow is not in the packet itself, in_port always.
 *
 * @param flow 768 bytes with the OpenFlow in_port.
 */
export function packetInMetadata(flow: Uint8Array): Match {
  const match = new Match();
  const take = ([at, length]: readonly [number, number], always: boolean): void => {
    const value = flow.subarray(at, at + length);
    if (!always && value.every((byte) => byte === 0)) return;
    match.flow.set(value, at);
    match.mask.fill(0xff, at, at + length);
  };
  take([K.inPort, 4], true);
  for (const range of reported) take(range, false);
  if (flow.subarray(K.ctState, K.ctState + 4).some((byte) => byte !== 0)) {
    take([K.ctState, 4], true);
    for (const range of connection) take(range, false);
  }
  return match;
}
