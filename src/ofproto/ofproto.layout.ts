import type { LayoutSpec } from '../util/layout.ts';

/**
 * The block that main, PMDs and revalidators share for upcalls and revalidation (OVS's `udpif`).
 * Made once by `createUdpif` (upcall/udpif.ts). Words are written by main unless said otherwise.
 */
export const udpifLayout = {
  name: 'udpif',
  size: 2048,
  source: "OVS 'struct udpif' (ofproto/ofproto-dpif-upcall.c); vswitchd.conf.db(5)",
  fields: {
    maxIdleMs: { at: 0, type: 'u32', doc: 'other_config:max-idle.' },
    maxRevalidatorMs: { at: 4, type: 'u32', doc: 'other_config:max-revalidator.' },
    minRevalidatePps: { at: 8, type: 'u32', doc: 'other_config:min-revalidate-pps.' },
    flowLimitMax: { at: 12, type: 'u32', doc: 'other_config:flow-limit, the ceiling.' },
    flowLimit: { at: 16, type: 'u32', doc: 'Limit in force; adapted by the leader.' },
    flags: { at: 20, type: 'u32', doc: '1 megaflows enabled, 2 ufid enabled.' },
    avgFlows: { at: 24, type: 'u32', doc: 'Average over rounds, written by the leader.' },
    maxFlows: { at: 28, type: 'u32', doc: 'Most flows seen at a round, written by the leader.' },
    dumpDurationMs: { at: 32, type: 'u32', doc: 'Milliseconds of the last round, written by the leader.' },
    wakeSeq: {
      at: 36,
      type: 'u32',
      doc: 'Hosts of idle revalidators wait on it (Atomics.wait); bumped with notify.',
    },
    nRevalidators: { at: 40, type: 'u32', doc: 'Threads of the current generation.' },
    generation: {
      at: 44,
      type: 'u32',
      doc: 'Grows when the set of threads changes: older threads leave at once.',
    },
    pause: { at: 48, type: 'u32', doc: 'Not 0: rounds do not start.' },
    paused: { at: 52, type: 'u32', doc: '1 while the leader stands still for a pause.' },
    purgeSeq: { at: 56, type: 'u32', doc: 'Grows for each revalidator/purge.' },
    purgedSeq: { at: 60, type: 'u32', doc: 'Purges done, written by the leader.' },
    phase: { at: 64, type: 'u32', doc: 'Barrier: phases opened so far, written by the last to arrive.' },
    arrived: {
      at: 68,
      type: 'u32',
      doc: 'Barrier: generation << 16 | threads that reached it (compare and swap).',
    },
    roundSeq: { at: 72, type: 'u32', doc: 'Rounds finished, written by the leader (revalidator/wait).' },
    inRound: { at: 76, type: 'u32', doc: '1 between start and end of a round, written by the leader.' },
    waitSeq: { at: 80, type: 'u32', doc: 'Grows for each revalidator/wait: a round starts at once.' },
    dumpOffset: { at: 84, type: 'u32', doc: 'Flow slots of this round handed out (atomic).' },
    purging: { at: 88, type: 'u32', doc: '1: this round deletes every flow, written by the leader.' },
    nPmds: { at: 92, type: 'u32', doc: 'Slots used in pmds.' },
    idle: {
      at: 108,
      type: 'u32',
      doc: '1 while the leader sleeps for longer than it would had it been asked: who asks wakes it, and takes the 1.',
    },
    roundStartMs: { at: 96, type: 'f64', doc: 'Start of the last round.' },
    roundRevalSeq: { at: 104, type: 'u32', doc: 'revalSeq that the round serves, written by the leader.' },
    ukeys: {
      at: 128,
      type: 'bytes',
      length: 256,
      doc: 'u32[64]: flows that each revalidator kept last round.',
    },
    pmds: {
      at: 384,
      type: 'bytes',
      length: 512,
      doc: 'u32[128]: addresses of PMD blocks | 1 when retired, 0 = free slot.',
    },
    capacities: {
      at: 896,
      type: 'bytes',
      length: 512,
      doc: 'u32[128]: flow slots of each PMD in this round.',
    },
  },
} as const satisfies LayoutSpec;

export const ofprotoLayouts: readonly LayoutSpec[] = [udpifLayout];
