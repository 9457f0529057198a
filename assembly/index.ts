import { LAYOUT_HASH } from './generated/layout-hash';

/** Hash of all layouts, compared at start with the one TypeScript was generated with. */
export function layoutHash(): u32 {
  return LAYOUT_HASH;
}

export { arenaInit } from './arena';
export { threadAttach, threadMarkDead } from './thread';
export { lock, tryLock, unlock, breakLocks } from './lock';
export { alloc, free, blockGeneration } from './memory';
export { deferFree, quiesce, threadDetach, threadOffline, threadOnline, threadReap } from './epoch';
export {
  portFrameAlloc, portHeldFree, portRingClear, portRingCreate, portRingDestroy, portRingPending, portRingPush,
  portRingReceive, portRingTransmit,
} from './port-ring';
export { gsoHeaderLength, gsoSegment, gsoSegmentCount, packetFinishChecksum, packetWireLength } from './gso';
