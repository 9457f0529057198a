import type { LayoutSpec } from '../util/layout.ts';

/**
 * An OpenFlow rule. After the record: the match as `words` entries in the order of the classifier's
 * stages: u32 value[words] (masked), u32 mask[words], u16 byte offset in the key[words].
 */
const ruleLayout = {
  name: 'rule',
  size: 128,
  source: 'megaflow; OVS cls_match and rule',
  fields: {
    classifier: { at: 0, type: 'ptr', doc: 'Classifier it is in, 0 = none.' },
    subtable: { at: 4, type: 'ptr', doc: 'Subtable it is in.' },
    nextSame: { at: 8, type: 'ptr', doc: 'Next rule with the same match, of lower or equal priority.' },
    priority: { at: 12, type: 'u32', doc: 'Priority as i32; hidden rules are above 65535.' },
    addVersion: { at: 16, type: 'u64', doc: 'First version in which it is visible.' },
    removeVersion: { at: 24, type: 'u64', doc: 'First version in which it is not visible any more.' },
    hash: { at: 32, type: 'u32', doc: 'Hash of the masked key.' },
    state: { at: 36, type: 'u32', doc: 'RULE_*: 0 free-standing, 1 inserted, 2 removed, 3 unlinked.' },
    refs: { at: 40, type: 'u32', doc: "References; one is the classifier's (or the maker's)." },
    prevAll: { at: 44, type: 'ptr', doc: 'Previous rule of the classifier in order of insertion.' },
    nextAll: { at: 48, type: 'ptr', doc: 'Next rule of the classifier.' },
    bridgeId: { at: 52, type: 'u32', doc: 'Bridge it belongs to.' },
    actions: { at: 56, type: 'ptr', doc: 'Action words, an arena block that the rule owns; 0 = none.' },
    actionsLength: {
      at: 60,
      type: 'u32',
      doc: 'Bytes of the action words; changes with `actions` in one store.',
    },
    cookie: { at: 64, type: 'u64', doc: 'Cookie.' },
    packets: { at: 72, type: 'u64', doc: 'Packets credited.' },
    bytes: { at: 80, type: 'u64', doc: 'Bytes credited.' },
    usedMs: { at: 88, type: 'f64', doc: 'Last use.' },
    createdMs: { at: 96, type: 'f64', doc: 'When it was added.' },
    modifiedMs: { at: 104, type: 'f64', doc: 'When its actions were last changed.' },
    flags: { at: 112, type: 'u16', doc: 'OFPFF_* flags.' },
    idleTimeoutSec: { at: 114, type: 'u16', doc: 'Idle time-out, 0 = none.' },
    hardTimeoutSec: { at: 116, type: 'u16', doc: 'Hard time-out, 0 = none.' },
    importance: { at: 118, type: 'u16', doc: 'Importance for eviction.' },
    tableId: { at: 120, type: 'u8', doc: 'Table.' },
    words: { at: 121, type: 'u8', doc: 'Entries of the match.' },
    removedReason: { at: 122, type: 'u8', doc: "Owner's: why it is being removed." },
    generation: { at: 124, type: 'u32', doc: 'Grows when the actions are changed.' },
  },
} as const satisfies LayoutSpec;

/** One OpenFlow table: subtables by falling priority, tries, all its rules. */
const clsLayout = {
  name: 'cls',
  size: 64,
  source: 'megaflow; OVS classifier',
  fields: {
    lock: { at: 0, type: 'u32', doc: 'Held by its one writer.' },
    ruleCount: { at: 4, type: 'u32', doc: 'Rules inserted and not removed.' },
    vector: {
      at: 8,
      type: 'ptr',
      doc: 'Subtables by falling priority (cls-vector), replaced at each change of order.',
    },
    tries: { at: 12, type: 'ptr', doc: 'Prefix tries (cls-tries), replaced when the prefix fields change.' },
    firstAll: { at: 16, type: 'ptr', doc: 'Oldest rule.' },
    lastAll: { at: 20, type: 'ptr', doc: 'Youngest rule.' },
    dead: { at: 24, type: 'u32', doc: '1 once destroyed.' },
    pending: {
      at: 32,
      type: 'ptr',
      doc: 'Vector with removals that is not sorted and published yet, 0 = none.',
    },
    deadSubtables: {
      at: 36,
      type: 'ptr',
      doc: 'Subtables that are not in `pending` any more, to free once it is published.',
    },
    trieGeneration: { at: 28, type: 'u32', doc: 'Generation of `tries`, 1..255.' },
  },
} as const satisfies LayoutSpec;

/** Header of the vector of subtables; then entries of 16 bytes {ptr subtable, i32 priority, u32 maskHash, u32 0}. */
const clsVectorLayout = {
  name: 'cls-vector',
  size: 16,
  source: 'OVS pvector',
  fields: { count: { at: 0, type: 'u32', doc: 'Entries.' } },
} as const satisfies LayoutSpec;

/** The tries of a classifier; then entries of 16 bytes {ptr root, u32 at, u32 bits, u32 dlType in network order}. */
const clsTriesLayout = {
  name: 'cls-tries',
  size: 16,
  source: 'OVS cls_trie',
  fields: {
    count: { at: 0, type: 'u32', doc: 'Tries, up to 3.' },
    generation: { at: 4, type: 'u32', doc: 'Matched with subtable.triePlens.' },
  },
} as const satisfies LayoutSpec;

/** A node of a prefix trie. */
const trieNodeLayout = {
  name: 'trie-node',
  size: 16,
  source: 'OVS trie_node',
  fields: {
    prefix: { at: 0, type: 'u32', doc: 'Bits of the edge to this node, from the top, in host order.' },
    bitsRules: {
      at: 4,
      type: 'u32',
      doc: 'How many bits, 0 to 32; from bit 8 on: distinct matches with exactly this prefix.',
    },
    edge0: { at: 8, type: 'ptr', doc: 'Continues with a 0 bit.' },
    edge1: { at: 12, type: 'ptr', doc: 'Continues with a 1 bit.' },
  },
} as const satisfies LayoutSpec;

/** Rules that share one mask. After the record: `words` entries {u32 byte offset, u32 mask} in stage order. */
const clsSubtableLayout = {
  name: 'cls-subtable',
  size: 88,
  source: 'megaflow; OVS cls_subtable',
  fields: {
    classifier: { at: 0, type: 'ptr', doc: 'Classifier.' },
    rules: { at: 4, type: 'ptr', doc: 'Slots of rules by hash (slot-table).' },
    words: { at: 8, type: 'u32', doc: 'Mask words.' },
    indexCount: { at: 12, type: 'u32', doc: 'Stages before the last, 0 to 3.' },
    index0: { at: 16, type: 'ptr', doc: 'Counts by hash up to the end of the first stage (slot-table).' },
    index1: { at: 20, type: 'ptr', doc: 'Up to the second.' },
    index2: { at: 24, type: 'ptr', doc: 'Up to the third.' },
    end0: { at: 28, type: 'u32', doc: 'Words of the first stage.' },
    end1: { at: 32, type: 'u32', doc: 'Words up to the second.' },
    end2: { at: 36, type: 'u32', doc: 'Words up to the third.' },
    end3: { at: 40, type: 'u32', doc: 'Words up to the fourth.' },
    triePlens: {
      at: 44,
      type: 'u32',
      doc: 'Prefix length of each trie field in the mask, a byte each; top byte: trie generation.',
    },
    trieStages: { at: 48, type: 'u32', doc: 'Stage at which each trie is asked, a byte each.' },
    portsMask: { at: 52, type: 'u32', doc: 'Mask of tpSrc, tpDst in key byte order.' },
    portsPlen: { at: 56, type: 'u32', doc: 'Bits of the ports trie, 0 = none.' },
    portsTrie: { at: 60, type: 'ptr', doc: 'Root of the ports trie.' },
    ruleCount: { at: 64, type: 'u32', doc: 'Rules.' },
    maxPriority: { at: 68, type: 'u32', doc: 'Highest priority (i32).' },
    maxCount: { at: 72, type: 'u32', doc: 'Rules of that priority.' },
    maskHash: { at: 76, type: 'u32', doc: 'Hash of the mask.' },
    nextDead: { at: 80, type: 'ptr', doc: 'Next of cls.deadSubtables.' },
  },
} as const satisfies LayoutSpec;

/** An open-addressing table of u64 slots {u32 hash, u32 value}; 0 = empty, value 1 or count 0 = deleted. */
const slotTableLayout = {
  name: 'slot-table',
  size: 16,
  source: 'megaflow',
  fields: {
    mask: { at: 0, type: 'u32', doc: 'Slots - 1, a power of two less one.' },
    live: { at: 4, type: 'u32', doc: 'Slots in use.' },
    filled: { at: 8, type: 'u32', doc: 'Slots in use or deleted.' },
  },
} as const satisfies LayoutSpec;

/** The MAC learning table of a bridge. */
const macTableLayout = {
  name: 'mac-table',
  size: 640,
  source: "megaflow; OVS 'struct mac_learning'",
  fields: {
    lock: { at: 0, type: 'u32', doc: 'Held for each operation.' },
    count: { at: 4, type: 'u32', doc: 'Entries.' },
    maxEntries: { at: 8, type: 'u32', doc: 'Most entries before one is evicted.' },
    idleSec: { at: 12, type: 'u32', doc: 'Seconds after which an unused entry expires.' },
    buckets: { at: 16, type: 'ptr', doc: 'u32[bucketMask + 1]: chains by hash.' },
    bucketMask: { at: 20, type: 'u32', doc: 'Buckets - 1.' },
    oldest: { at: 24, type: 'ptr', doc: 'Least recently used entry.' },
    newest: { at: 28, type: 'ptr', doc: 'Most recently used entry.' },
    ports: { at: 32, type: 'ptr', doc: 'First port that has or had entries.' },
    totalLearned: { at: 40, type: 'u64', doc: 'Entries made.' },
    totalExpired: { at: 48, type: 'u64', doc: 'Entries that grew too old.' },
    totalEvicted: { at: 56, type: 'u64', doc: 'Entries that made room.' },
    totalMoved: { at: 64, type: 'u64', doc: 'Entries that changed their port.' },
    floodVlans: { at: 128, type: 'bytes', length: 512, doc: 'Bitmap of VLANs that do not learn.' },
  },
} as const satisfies LayoutSpec;

/** One learned address. */
const macEntryLayout = {
  name: 'mac-entry',
  size: 64,
  source: "megaflow; OVS 'struct mac_entry'",
  fields: {
    nextHash: { at: 0, type: 'ptr', doc: 'Next in the bucket.' },
    older: { at: 4, type: 'ptr', doc: 'Used before this one.' },
    newer: { at: 8, type: 'ptr', doc: 'Used after this one.' },
    olderOnPort: { at: 12, type: 'ptr', doc: 'The same among entries of the port.' },
    newerOnPort: { at: 16, type: 'ptr', doc: 'The same among entries of the port.' },
    port: { at: 20, type: 'ptr', doc: 'The mac-port it was learned on.' },
    ofport: { at: 24, type: 'u32', doc: 'OpenFlow port.' },
    vlan: { at: 28, type: 'u16', doc: 'VLAN, 0 = none.' },
    mac: { at: 30, type: 'mac', doc: 'Address.' },
    expiresSec: { at: 40, type: 'f64', doc: 'When it expires; Infinity = static.' },
    gratArpLockSec: { at: 48, type: 'f64', doc: 'Until when gratuitous ARP over a bond does not move it.' },
  },
} as const satisfies LayoutSpec;

/** A port of a MAC table, for fair eviction and flushing. */
const macPortLayout = {
  name: 'mac-port',
  size: 32,
  source: "megaflow; OVS 'struct mac_learning_port'",
  fields: {
    next: { at: 0, type: 'ptr', doc: 'Next port of the table.' },
    ofport: { at: 4, type: 'u32', doc: 'OpenFlow port.' },
    count: { at: 8, type: 'u32', doc: 'Entries.' },
    oldest: { at: 12, type: 'ptr', doc: 'Least recently used entry.' },
    newest: { at: 16, type: 'ptr', doc: 'Most recently used entry.' },
  },
} as const satisfies LayoutSpec;

export const classifierLayouts: readonly LayoutSpec[] = [
  ruleLayout,
  clsLayout,
  clsVectorLayout,
  clsTriesLayout,
  trieNodeLayout,
  clsSubtableLayout,
  slotTableLayout,
  macTableLayout,
  macEntryLayout,
  macPortLayout,
];
