import type { PacketInEvent } from '../ofproto-types.ts';

/** A packet-in on its way from a PMD to main through the thread's event ring (kind `eventKinds.packetIn`). */
export interface BridgePacketIn {
  readonly bridgeId: number;
  readonly event: PacketInEvent;
}
