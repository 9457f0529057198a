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
export { counterAdd } from './counters';
export {
  ruleBytes,
  ruleCreate,
  ruleCredit,
  ruleDestroy,
  rulePackets,
  ruleRef,
  ruleResetCounts,
  ruleSetActions,
  ruleTryRef,
  ruleUnref,
  ruleVisible,
} from './rule';
export { keyClear, keyCopy, maskBits, ruleExpand, ruleMatchesLoose, ruleMatchesLooseBits } from './rule-match';
export {
  clsCreate,
  clsDestroy,
  clsFindExact,
  clsFindSame,
  clsFirst,
  clsInsert,
  clsNext,
  clsRemove,
  clsRestore,
  clsRuleCount,
  clsSetPrefixes,
  clsSubtableCount,
  ruleOverlaps,
} from './classifier';
export { clsSelect, rulesSum, rulesUnref } from './rule-select';
export { clsLookup } from './classifier-lookup';
export { extract, extractMany } from './extract';
export { hash5tuple, keyPresent } from './hash';
export {
  megaflowActions, megaflowActionsLength, megaflowDelete, megaflowExpand, megaflowFind, megaflowFindUfid,
  megaflowFlush, megaflowInstall, megaflowKey, megaflowLookup, megaflowReview, megaflowSetActions,
  megaflowSkipIdle, megaflowTryRef, megaflowUnref,
} from './megaflow';
export { pmdExecute, pmdPoll, pmdProcess, pmdRetry } from './pass';
export { pmdReset } from './burst';
export { pmdSetSmc } from './smc';
export { pmdCreate, pmdDestroy, pmdRank, pmdSetEmcInsertInvProb, pmdStatsClear, pmdSweep } from './pmd';
export { memoryReceive, memorySourceCreate, memorySourceDestroy, memoryTransmit } from './port-memory';
export { pmdSendSinks, pmdSetSink } from './transmit';
export { pmdSetChain } from './dpcls-chain';
export {
  portIoCreate, portIoDestroy, portIoEnableReceive, portPacketPrepare, portPacketReceived, portReceivedOne,
  portRingMapReceive,
} from './port-packet';
export {
  macAddStatic,
  macDelete,
  macEntryPort,
  macFirst,
  macLearn,
  macLearnBond,
  macLookup,
  macNext,
  macTableAge,
  macTableConfigure,
  macTableCreate,
  macTableDestroy,
  macTableFlush,
  macTableFlushPort,
} from './mac-table';
export {
  bytesEqual, headersEqual, xcacheCredit, xcacheDrop, xcacheKeep, xlateFinish, xlateStart, zeroBytes,
} from './translate';
export {
  umemCreate, umemDestroy, umemLost, umemOwned, umemReclaim, umemSweep,
} from './xsk-frames';
export {
  xskIoCreate, xskIoDestroy, xskReceive, xskReceiveStalled, xskReleaseBurst, xskRun, xskTransmit, xskUnsent,
} from './port-xsk';
export { finishPseudoChecksum } from './checksum-finish';
