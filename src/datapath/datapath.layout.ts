import type { LayoutSpec } from '../util/layout.ts';

/**
 * Records of the userspace datapath's packet path.
 *
 * A `pmd` owns an EMC, one dpcls (list of subtables) for each input port, a directory of its
 * megaflows and the lists that one burst leaves behind. Its thread alone looks packets up, without a
 * lock. Whoever inserts, deletes or changes a megaflow holds `pmd.lock` (the exported functions take it);
 * what was unlinked is freed through epochs.
 *
 * Counters and statistics are f64 with one writer (the pmd's thread): JavaScript reads them with one
 * aligned load and no BigInt.
 */
const pmdLayout = {
  name: 'pmd',
  size: 704,
  source: 'megaflow; counters of dpif-netdev/pmd-stats-show',
  fields: {
    lock: { at: 0, type: 'u32', doc: 'Writer lock: megaflows, subtables, directory.' },
    id: { at: 4, type: 'u32', doc: 'Core id, 0x7fffffff for the main thread (NON_PMD_CORE_ID).' },
    ports: { at: 12, type: 'ptr', doc: 'u32[1024]: head of the port records of each (port & 1023).' },
    emcInsertMin: {
      at: 16,
      type: 'u32',
      doc: 'An EMC entry is inserted if a random u32 is at most this; 0 = never.',
    },
    emc: { at: 20, type: 'ptr', doc: 'EMC entry headers, 16 bytes each: megaflow, present, hash, -.' },
    emcKeys: { at: 24, type: 'ptr', doc: 'EMC keys: block 0 of each entry, 64 bytes.' },
    emcRests: { at: 112, type: 'ptr', doc: 'The next three present blocks of each entry, 192 bytes.' },
    random: { at: 28, type: 'u32', doc: 'State of the xorshift generator.' },
    nowMs: { at: 32, type: 'f64', doc: 'Time of the burst.' },
    // What a burst leaves: read by the thread, cleared by pmdReset.
    misses: { at: 40, type: 'ptr', doc: 'u32[1024]: packets that met no megaflow.' },
    missCount: { at: 44, type: 'u32', doc: 'Entries of misses; may grow while pmdExecute or pmdRetry runs.' },
    upcalls: { at: 48, type: 'ptr', doc: 'pmd-upcall[1024]: packets that met a userspace action.' },
    upcallCount: { at: 52, type: 'u32', doc: 'Entries of upcalls; may grow like missCount.' },
    txFirst: { at: 56, type: 'ptr', doc: 'First tx-port with packets of this burst, linked by nextActive.' },
    txLast: { at: 60, type: 'ptr', doc: 'Last of them.' },
    // Scratch of a burst: the pmd's thread only.
    keys: { at: 64, type: 'ptr', doc: 'Scratch keys, 768 bytes each.' },
    keyStale: { at: 68, type: 'ptr', doc: 'u32 for each scratch key: blocks that are not zero.' },
    keysUsed: { at: 72, type: 'u32', doc: 'Scratch keys taken in this burst.' },
    batches: {
      at: 76,
      type: 'ptr',
      doc: 'Batches of 160 bytes: megaflow, count, bytes, tcpFlags, packets[32].',
    },
    clones: { at: 80, type: 'ptr', doc: 'Bump arena for copied descriptors and frames.' },
    clonesUsed: { at: 84, type: 'u32', doc: 'Bytes of clones taken.' },
    clonesSize: { at: 88, type: 'u32', doc: 'Bytes of clones.' },
    recircs: { at: 92, type: 'ptr', doc: 'u32[]: packets waiting for another pass.' },
    recircCount: { at: 96, type: 'u32', doc: 'Entries of recircs.' },
    txMap: {
      at: 100,
      type: 'ptr',
      doc: 'ptr[256] by port >> 8, each 0 or ptr[256] by port & 255: tx-port records, which stay.',
    },
    rxBatch: { at: 104, type: 'ptr', doc: 'u32[32]: packets that pmdPoll received.' },
    optimizeCount: { at: 116, type: 'u32', doc: 'Lookups since subtables were last ranked.' },
    // Directory.
    flowSlots: { at: 128, type: 'ptr', doc: 'u32[flowCapacity]: megaflow addresses, 0 = empty.' },
    flowCapacity: { at: 132, type: 'u32', doc: 'Slots; grows. Read it before flowSlots.' },
    flowCount: { at: 136, type: 'u32', doc: 'Megaflows.' },
    freeSlots: { at: 140, type: 'ptr', doc: 'u32[flowCapacity]: stack of empty slots.' },
    freeCount: { at: 144, type: 'u32', doc: 'Empty slots on the stack.' },
    generation: { at: 148, type: 'u32', doc: 'Grows with each megaflow made; a megaflow keeps its number.' },
    subtableCount: { at: 152, type: 'u32', doc: 'Subtables of all ports.' },
    maskScratch: { at: 164, type: 'ptr', doc: 'A mask in the making, under the lock.' },
    sweep: { at: 168, type: 'u32', doc: 'Next EMC entry to look at for dead megaflows.' },
    pending: {
      at: 176,
      type: 'ptr',
      doc: 'Packets on their way through the subtables (dpcls-lookup.ts).',
    },
    batchCount: { at: 172, type: 'u32', doc: 'Batches of the running pass.' },
    buckets: {
      at: 156,
      type: 'ptr',
      doc: 'Segments of 1,024 buckets: megaflows by the low bits of ufid0, chained by nextUfid.',
    },
    bucketCount: { at: 160, type: 'u32', doc: 'Buckets in use: linear hashing, one more with a megaflow.' },
    slotsUsed: {
      at: 120,
      type: 'u32',
      doc: 'Slots of flowSlots that were ever used. Read it before flowSlots.',
    },
    // pmd-stats-show.
    rxPackets: { at: 192, type: 'f64', doc: 'packets received' },
    recirculations: { at: 200, type: 'f64', doc: 'packet recirculations' },
    emcHits: { at: 208, type: 'f64', doc: 'emc hits' },
    smcHits: { at: 216, type: 'f64', doc: 'smc hits' },
    megaflowHits: { at: 224, type: 'f64', doc: 'megaflow hits' },
    subtableLookups: { at: 232, type: 'f64', doc: 'Subtables visited by megaflow hits.' },
    missOk: { at: 240, type: 'f64', doc: 'miss with success upcall (counted by the thread)' },
    missFailed: { at: 248, type: 'f64', doc: 'miss with failed upcall (counted by the thread)' },
    txPackets: { at: 256, type: 'f64', doc: 'Packets put on transmit lists.' },
    txBatches: { at: 264, type: 'f64', doc: 'Transmit lists handed over.' },
    rxBytes: { at: 272, type: 'f64', doc: 'Bytes received.' },
    simpleHits: { at: 280, type: 'f64', doc: 'simple match hits' },
    smc: { at: 288, type: 'ptr', doc: 'The signature match cache (assembly/smc.ts), 0 = off.' },
    // Why packets were dropped: names of OVS's coverage counters.
    dropRxInvalidPacket: { at: 320, type: 'f64', doc: 'datapath_drop_rx_invalid_packet' },
    dropUpcallError: { at: 328, type: 'f64', doc: 'datapath_drop_upcall_error (counted by the thread)' },
    dropLockError: { at: 336, type: 'f64', doc: 'datapath_drop_lock_error' },
    dropUserspaceActionError: { at: 344, type: 'f64', doc: 'datapath_drop_userspace_action_error' },
    dropRecircError: { at: 352, type: 'f64', doc: 'datapath_drop_recirc_error' },
    dropInvalidPort: {
      at: 360,
      type: 'f64',
      doc: 'datapath_drop_invalid_port (counted by the thread that has no such port)',
    },
    dropSampleError: { at: 368, type: 'f64', doc: 'datapath_drop_sample_error' },
    dropNshDecapError: { at: 376, type: 'f64', doc: 'datapath_drop_nsh_decap_error' },
    dropMeter: { at: 384, type: 'f64', doc: 'datapath_drop_meter' },
    dropTunnelPushError: { at: 392, type: 'f64', doc: 'datapath_drop_tunnel_push_error' },
    dropTunnelPopError: { at: 400, type: 'f64', doc: 'datapath_drop_tunnel_pop_error' },
    dropInvalidBond: { at: 408, type: 'f64', doc: 'datapath_drop_invalid_bond' },
    dropInvalidTnlPort: { at: 416, type: 'f64', doc: 'datapath_drop_invalid_tnl_port' },
    dropInvalidAction: {
      at: 424,
      type: 'f64',
      doc: 'datapath_drop_invalid_action (ours: an action not known here)',
    },
    dropNoBuffer: {
      at: 432,
      type: 'f64',
      doc: 'datapath_drop_no_buffer (ours: burst scratch memory used up)',
    },
    dropAction: { at: 440, type: 'f64', doc: 'Packets that met a drop action or an empty action list.' },
    dropXlate: {
      at: 448,
      type: 'bytes',
      length: 128,
      doc: 'f64[16]: packets that met a drop action, by xlate error (drop_action_*).',
    },
    // Where the thread's time goes (pmd-timer.ts): the thread writes, main reads.
    idleNs: { at: 576, type: 'f64', doc: 'Time of iterations that received nothing, blocking not included.' },
    busyNs: { at: 584, type: 'f64', doc: 'Time of iterations that received packets.' },
    sleepNs: { at: 592, type: 'f64', doc: 'Time blocked, up to the last wake-up.' },
    idleIterations: { at: 600, type: 'f64', doc: 'Iterations that received nothing.' },
    busyIterations: { at: 608, type: 'f64', doc: 'Iterations that received packets.' },
    sleepIterations: { at: 616, type: 'f64', doc: 'Iterations that blocked.' },
    upcallNs: { at: 624, type: 'f64', doc: 'Time of upcalls, while perf is set.' },
    blockedAtMs: { at: 632, type: 'f64', doc: 'When the thread began to block, 0 = it does not.' },
    perf: {
      at: 640,
      type: 'ptr',
      doc: 'Its pmd-perf while other_config:pmd-perf-metrics, else 0. Main sets it.',
    },
  },
} as const satisfies LayoutSpec;

/** A packet that met a userspace action. Lives until pmdReset. */
const pmdUpcallLayout = {
  name: 'pmd-upcall',
  size: 24,
  source: 'megaflow',
  fields: {
    packet: { at: 0, type: 'ptr', doc: 'Descriptor (a copy if the packet went on).' },
    key: { at: 4, type: 'ptr', doc: 'Key of the packet as it is now.' },
    attribute: { at: 8, type: 'ptr', doc: 'The OVS_ACTION_ATTR_USERSPACE attribute, header included.' },
    megaflow: { at: 12, type: 'ptr', doc: 'The megaflow whose action it is, 0 = pmdExecute.' },
    present: { at: 16, type: 'u32', doc: 'Bitmap of blocks present in key.' },
  },
} as const satisfies LayoutSpec;

/** Packets queued to one port. */
const txPortLayout = {
  name: 'tx-port',
  size: 32,
  source: 'megaflow',
  fields: {
    port: { at: 0, type: 'u32', doc: 'Datapath port.' },
    list: { at: 4, type: 'ptr', doc: 'u32[count]: packet descriptors.' },
    count: { at: 8, type: 'u32', doc: 'Packets queued.' },
    capacity: { at: 12, type: 'u32', doc: 'Packets that list can hold.' },
    nextActive: { at: 16, type: 'ptr', doc: 'Next port with packets of this burst.' },
    sink: {
      at: 20,
      type: 'ptr',
      doc: 'Record of a port that core.wasm sends on itself (first word: kind), 0 = JavaScript sends.',
    },
    linked: { at: 24, type: 'u32', doc: '1: in the list of this burst.' },
  },
} as const satisfies LayoutSpec;

/**
 * A megaflow, which is its own ukey (OVS keeps two records). The masked key follows, only the blocks
 * that the mask has, in rising order (the mask is the subtable's); then the key that it was made for,
 * which dumps print and revalidation translates, as in OVS.
 *
 * Blocks of the allocator start 16 bytes after a cache line, so the record's lines begin at 48, 112
 * and 176: a dump of flows that nothing happened to reads the first part and the third, a packet the third and
 * the masked key.
 */
const megaflowLayout = {
  name: 'megaflow',
  size: 176,
  source: "megaflow; OVS 'struct dp_netdev_flow' and 'struct udpif_key'",
  fields: {
    // The ukey: owned by the upcall and revalidator code (any thread, under `lock`).
    lock: { at: 0, type: 'u32', doc: 'Lock of the fields up to keyBlocks.' },
    state: {
      at: 4,
      type: 'u32',
      doc: 'OVS ukey state: 0 CREATED, 1 VISIBLE, 2 OPERATIONAL, 3 EVICTING, 4 EVICTED, 5 DELETED.',
    },
    createdMs: { at: 8, type: 'f64', doc: 'When it was installed.' },
    pushedPackets: { at: 16, type: 'f64', doc: 'Packets already credited to rules.' },
    pushedBytes: { at: 24, type: 'f64', doc: 'Bytes already credited.' },
    pushedUsedMs: { at: 32, type: 'f64', doc: 'usedMs already credited.' },
    dumpSeq: { at: 40, type: 'u32', doc: 'Round of the last revalidation.' },
    revalSeq: { at: 44, type: 'u32', doc: 'Tables generation of the last translation.' },
    xcache: { at: 48, type: 'ptr', doc: 'Side-effect list of the last translation, 0 = none.' },
    xcacheLength: { at: 52, type: 'u32', doc: 'Bytes of xcache.' },
    recircRefs: { at: 56, type: 'ptr', doc: 'Recirculation ids held, for the upcall code.' },
    pushedTcpFlags: { at: 60, type: 'u32', doc: 'TCP flags already credited.' },
    thread: { at: 64, type: 'u32', doc: 'Thread that last changed state.' },
    // Set when made.
    keyBlocks: {
      at: 68,
      type: 'u32',
      doc: 'Blocks of the key that it was made for; they follow those of the masked key.',
    },
    slot: { at: 72, type: 'u32', doc: 'Index in pmd.flowSlots.' },
    generation: {
      at: 76,
      type: 'u32',
      doc: 'Number of this megaflow in its pmd: address + generation name it for ever.',
    },
    inPort: { at: 80, type: 'u32', doc: 'Datapath port it belongs to.' },
    ufid0: { at: 84, type: 'u32', doc: 'Unique id, first word.' },
    ufid1: { at: 88, type: 'u32', doc: 'Unique id.' },
    ufid2: { at: 92, type: 'u32', doc: 'Unique id.' },
    ufid3: { at: 96, type: 'u32', doc: 'Unique id.' },
    nextUfid: { at: 100, type: 'ptr', doc: 'Next in the ufid bucket.' },
    // Touched by packets, next to the key: statistics have one writer, the pmd's thread; actions change under pmd.lock.
    packets: { at: 112, type: 'f64', doc: 'Packets.' },
    bytes: { at: 120, type: 'f64', doc: 'Bytes.' },
    usedMs: { at: 128, type: 'f64', doc: 'Time of the last packet, 0 = never.' },
    tcpFlags: { at: 136, type: 'u32', doc: 'TCP flags seen.' },
    batch: { at: 140, type: 'u32', doc: 'Scratch: batch of the current burst.' },
    actions: {
      at: 144,
      type: 'ptr',
      doc: 'Actions block: u32 length, three u32 unused, then the attributes at +16.',
    },
    quick: {
      at: 148,
      type: 'u32',
      doc: 'Port + 1 if the actions are one output, 0 = run them; one 64-bit word with actions.',
    },
    dead: { at: 152, type: 'u32', doc: '1 once deleted: cached references are void.' },
    refs: { at: 156, type: 'u32', doc: 'Subtable and EMC entries that hold it; freed when none does.' },
    subtable: { at: 160, type: 'ptr', doc: 'Its subtable, which has the mask.' },
    hash: { at: 164, type: 'u32', doc: 'Hash of the masked key.' },
    pmd: { at: 168, type: 'ptr', doc: 'Its pmd.' },
  },
} as const satisfies LayoutSpec;

/**
 * One mask of one input port. Behind the record: the mask's present blocks, then its quarters but the first
 * (16 bytes each of offset, mask, hash constants), then its word list.
 */
const subtableLayout = {
  name: 'subtable',
  size: 112,
  source: "megaflow; OVS 'struct dpcls_subtable'",
  fields: {
    table: {
      at: 0,
      type: 'ptr',
      doc: 'Hash table: u32 slot mask, u32 used, 8 bytes unused; u64 slots (megaflow << 32 | hash); the filter.',
    },
    sole: { at: 4, type: 'ptr', doc: 'The megaflow, if there is one only and that is known.' },
    filter: {
      at: 8,
      type: 'u64',
      doc: 'Filter of the table: address, and in the upper half 64 - log2 of its bits.',
    },
    present: { at: 16, type: 'u32', doc: 'Blocks that the mask has.' },
    blocks: { at: 20, type: 'u32', doc: 'Number of present blocks.' },
    count: { at: 24, type: 'u32', doc: 'Megaflows.' },
    hits: { at: 28, type: 'u32', doc: 'Hits since subtables were last ranked.' },
    port: { at: 32, type: 'ptr', doc: 'Its dpcls-port.' },
    maskHash: { at: 36, type: 'u32', doc: 'Hash of the mask.' },
    blockAt: { at: 40, type: 'bytes', length: 12, doc: 'Block number of each present block.' },
    words: { at: 52, type: 'u32', doc: '64-bit words of the mask that are not zero, without the first.' },
    wordList: {
      at: 56,
      type: 'ptr',
      doc: 'For each 24 bytes: u32 offset in the key, u32 offset in a masked key, u64 mask, u64 constant.',
    },
    quarters: {
      at: 60,
      type: 'u32',
      doc: 'Quarters of blocks (16 bytes) that are not zero, without the first.',
    },
    quarterList: {
      at: 64,
      type: 'ptr',
      doc: 'For each 48 bytes: u32 offset in the key; at 16 the mask; at 32 the constants.',
    },
    complex: { at: 68, type: 'u32', doc: '1: counted in complexMasks of its port.' },
    nextTable: { at: 72, type: 'ptr', doc: 'The bigger table in the making, 0 = none (dpcls-table.ts).' },
    cleared: { at: 76, type: 'u32', doc: 'Bytes of nextTable that are cleared.' },
    copied: { at: 80, type: 'u32', doc: 'Slots of table that nextTable has.' },
  },
} as const satisfies LayoutSpec;

/** The dpcls of one input port. */
const dpclsPortLayout = {
  name: 'dpcls-port',
  size: 32,
  source: "megaflow; OVS 'struct dpcls'",
  fields: {
    port: { at: 0, type: 'u32', doc: 'Datapath port.' },
    list: { at: 4, type: 'ptr', doc: 'u32 count, then subtable addresses by falling hits; replaced whole.' },
    next: { at: 8, type: 'ptr', doc: 'Next dpcls-port of the same chain.' },
    changes: { at: 12, type: 'u32', doc: 'How often list was replaced.' },
    complexMasks: {
      at: 20,
      type: 'u32',
      doc: 'Subtables whose mask has more than in_port, recirc_id, packet_type, dl_type, nw_frag and the outer tag.',
    },
    chain: { at: 16, type: 'ptr', doc: "Its dpcls-chain, 0 = none; the pmd's thread only." },
  },
} as const satisfies LayoutSpec;

/** A compiled chain of one input port; u32[] of its subtables in order follow. */
const dpclsChainLayout = {
  name: 'dpcls-chain',
  size: 16,
  source: 'megaflow',
  fields: {
    code: { at: 0, type: 'u32', doc: "Its function's place in the pmd thread's function table." },
    changes: { at: 4, type: 'u32', doc: 'dpcls-port.changes of the list it was made for.' },
    count: { at: 8, type: 'u32', doc: 'Subtables.' },
  },
} as const satisfies LayoutSpec;

/** A receive queue as its poller counts it; main owns the record, which outlives changes of the poller. */
const rxqLayout = {
  name: 'rxq',
  size: 16,
  source: 'megaflow; pmd usage of dpif-netdev/pmd-rxq-show',
  fields: {
    busyNs: { at: 0, type: 'f64', doc: "Its share of its pollers' busyNs, by samples." },
  },
} as const satisfies LayoutSpec;

/**
 * What a pmd tells of each iteration, for dpif-netdev/pmd-perf-show. Histograms are f64[PERF_BINS] each, in
 * the order of PERF_HISTOGRAMS. Both histories are rings of PERF_HISTORY records of PERF_RECORD bytes.
 */
const pmdPerfLayout = {
  name: 'pmd-perf',
  size: 64,
  source: "megaflow; OVS 'struct pmd_perf_stats'",
  fields: {
    clear: { at: 0, type: 'u32', doc: 'Main asks for a fresh start by another number.' },
    cleared: { at: 4, type: 'u32', doc: 'The number that the thread has seen.' },
    iteration: { at: 8, type: 'f64', doc: 'Iterations since the fresh start.' },
    iterationNext: { at: 16, type: 'u32', doc: 'Next record of the history of iterations.' },
    msNext: { at: 20, type: 'u32', doc: 'Record of the running millisecond.' },
    histograms: { at: 24, type: 'ptr', doc: 'f64[7][PERF_BINS].' },
    iterations: { at: 28, type: 'ptr', doc: 'Records of the last iterations.' },
    milliseconds: { at: 32, type: 'ptr', doc: 'Records of the last milliseconds with iterations.' },
    totals: { at: 36, type: 'ptr', doc: 'One record: sums since the fresh start.' },
    // dpif-netdev/pmd-perf-log-set.
    logEnabled: { at: 40, type: 'u32', doc: '1: suspicious iterations are logged.' },
    logBefore: { at: 44, type: 'u32', doc: 'Iterations shown before a suspicious one.' },
    logAfter: { at: 48, type: 'u32', doc: 'Iterations shown after it.' },
    logExtend: { at: 52, type: 'u32', doc: '1: another suspicious one meanwhile is shown too.' },
    logUs: { at: 56, type: 'u32', doc: 'Iterations longer than this are suspicious, in us.' },
    logQueue: { at: 60, type: 'u32', doc: 'Fill of a vhost queue that is suspicious: we have none.' },
  },
} as const satisfies LayoutSpec;

/** One record of a history, or the totals. */
const perfRecordLayout = {
  name: 'perf-record',
  size: 64,
  source: "megaflow; OVS 'struct iter_stats'",
  fields: {
    stamp: { at: 0, type: 'f64', doc: 'Number of the iteration, or the millisecond. 0 = empty.' },
    iterations: { at: 8, type: 'f64', doc: 'Iterations.' },
    ns: { at: 16, type: 'f64', doc: 'Time, blocking not included.' },
    busyNs: { at: 24, type: 'f64', doc: 'Time of iterations with packets.' },
    packets: { at: 32, type: 'f64', doc: 'Packets received.' },
    batches: { at: 40, type: 'f64', doc: 'Batches received.' },
    upcalls: { at: 48, type: 'f64', doc: 'Upcalls.' },
    upcallNs: { at: 56, type: 'f64', doc: 'Time of upcalls.' },
  },
} as const satisfies LayoutSpec;

/** Records in each history of a pmd-perf, as in OVS. */
export const PERF_HISTORY = 1000;
/** Bins of a histogram; the last one is for all that is more. */
export const PERF_BINS = 32;
export const PERF_HISTOGRAMS = 7;
/** Packets that one call of pmdProcess takes. */
export const PMD_BURST = 32;
export const NON_PMD_CORE_ID = 0x7fffffff;

export const datapathLayouts: readonly LayoutSpec[] = [
  pmdLayout,
  pmdUpcallLayout,
  txPortLayout,
  megaflowLayout,
  subtableLayout,
  dpclsPortLayout,
  dpclsChainLayout,
  rxqLayout,
  pmdPerfLayout,
  perfRecordLayout,
];
