import { encodePacketIn, type BridgePacketIn } from '../../ofproto/upcall/packet-in-event.ts';
import { counter } from '../../util/counters.ts';
import { eventKinds } from './events.ts';
import type { WorkerContext } from './worker-host.ts';

const dropped = counter('packet_in_queue_full');

/** Sends a worker's packet-ins to main through its event ring; full = dropped and counted. */
export function packetInEvents(context: WorkerContext): { packetIn(event: BridgePacketIn): void } {
  return {
    packetIn(event) {
      if (!context.event(eventKinds.packetIn, encodePacketIn(event))) dropped.add();
    },
  };
}
