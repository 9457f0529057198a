import { alloc, free } from './memory';
import { deferFree } from './epoch';
import { TrieNode } from './generated/trie-node';

/**
 * Prefix tries, as in OVS: which prefixes of a field do rules have? A lookup says which prefix
 * lengths match a value, and how many of its bits tell it apart from all others, so that a megaflow
 * need not match more of them.
 *
 * Path-compressed; an edge holds up to 32 bits. Values and prefixes are in network order as in keys.
 * Readers hold no lock: the writer publishes new nodes and frees old ones after quiescence.
 */
// @ts-ignore: decorator
@inline const EDGE_BITS: u32 = 32;
// @ts-ignore: decorator
@inline const ONE_RULE: u32 = 1 << 8;

/** Bits of the edge to the node. */
// @ts-ignore: decorator
@inline
function nodeBits(node: usize): u32 {
  return load<u32>(node, TrieNode.bitsRules) & 0xff;
}

/** Distinct matches with exactly the node's prefix. */
// @ts-ignore: decorator
@inline
function nodeRules(node: usize): u32 {
  return load<u32>(node, TrieNode.bitsRules) >> 8;
}

/** Up to 32 bits of the value from bit `ofs` on, left-aligned; bits past `end` are not read. */
// @ts-ignore: decorator
@inline
function bitsAt(value: usize, ofs: u32, end: u32): u32 {
  const at = value + (<usize>(ofs >> 5) << 2);
  const shift = ofs & 31;
  let bits = bswap<u32>(load<u32>(at)) << shift;
  if (shift != 0 && (ofs | 31) + 1 < end) bits |= bswap<u32>(load<u32>(at, 4)) >> (32 - shift);
  return bits;
}

// @ts-ignore: decorator
@inline
function bitAt(value: usize, ofs: u32): u32 {
  return (bswap<u32>(load<u32>(value + (<usize>(ofs >> 5) << 2))) >> (31 - (ofs & 31))) & 1;
}

// @ts-ignore: decorator
@inline
function edgeAddr(node: usize, bit: u32): usize {
  return node + TrieNode.edge0 + (<usize>bit << 2);
}

/** How many bits of the node's edge equal the value from `ofs` on. */
// @ts-ignore: decorator
@inline
function equalBits(node: usize, value: usize, ofs: u32, end: u32): u32 {
  const diff = load<u32>(node, TrieNode.prefix) ^ bitsAt(value, ofs, end);
  return min<u32>(clz<u32>(diff), min<u32>(nodeBits(node), end - ofs));
}

/**
 * Follows `value` (of `bits` bits). Sets bit n - 1 of `plens` (u32[4], or 0 for none) for each prefix length n
 * of a rule that matches. Returns how many leading bits decide the outcome.
 */
export function trieLookup(root: usize, value: usize, bits: u32, plens: usize): u32 {
  let node = <usize>load<u32>(root);
  let prev: usize = 0;
  let length: u32 = 0;
  while (node != 0) {
    const equal = equalBits(node, value, length, bits);
    length += equal;
    if (equal < nodeBits(node)) return length + 1;
    if (plens != 0 && length != 0 && nodeRules(node) != 0) {
      const at = plens + (<usize>((length - 1) >> 5) << 2);
      store<u32>(at, load<u32>(at) | (1 << ((length - 1) & 31)));
    }
    if (length >= bits) return bits;
    prev = node;
    node = <usize>load<u32>(edgeAddr(node, bitAt(value, length)));
  }
  // The branch of the value does not exist: tell it from the other branch, if there is one.
  const isLeaf = prev == 0 || (load<u32>(prev, TrieNode.edge0) | load<u32>(prev, TrieNode.edge1)) == 0;
  return isLeaf ? length : length + 1;
}

function nodeNew(prefix: u32, bits: u32, rules: u32): usize {
  const node = alloc(<u32>TrieNode.SIZE);
  if (node == 0) return 0;
  store<u32>(node, prefix, TrieNode.prefix);
  store<u32>(node, bits | (rules << 8), TrieNode.bitsRules);
  return node;
}

/** Nodes for bits [ofs, plen) of the value, the last with one rule; 0 when the arena is full. */
function branchNew(value: usize, ofs: u32, plen: u32): usize {
  const bits = min<u32>(plen - ofs, EDGE_BITS);
  const isLast = ofs + bits == plen;
  const prefix = bitsAt(value, ofs, plen) & topBits(bits);
  const node = nodeNew(prefix, bits, isLast ? 1 : 0);
  if (node == 0 || isLast) return node;
  const rest = branchNew(value, ofs + bits, plen);
  if (rest == 0) {
    free(node);
    return 0;
  }
  store<u32>(edgeAddr(node, bitAt(value, ofs + bits)), <u32>rest);
  return node;
}

// @ts-ignore: decorator
@inline
function topBits(bits: u32): u32 {
  return bits == 0 ? 0 : bits >= 32 ? 0xffff_ffff : ~(0xffff_ffff >> bits);
}

function branchFree(node: usize): void {
  if (node == 0) return;
  branchFree(<usize>load<u32>(node, TrieNode.edge0));
  branchFree(<usize>load<u32>(node, TrieNode.edge1));
  free(node);
}

/** One more rule with the first `plen` (> 0) bits of `value`. False, with nothing changed, when the arena is full. */
export function trieInsert(root: usize, value: usize, plen: u32): bool {
  let edge = root;
  let ofs: u32 = 0;
  while (true) {
    const node = <usize>load<u32>(edge);
    if (node == 0) {
      const branch = branchNew(value, ofs, plen);
      if (branch == 0) return false;
      atomic.store<u32>(edge, <u32>branch);
      return true;
    }
    const equal = equalBits(node, value, ofs, plen);
    ofs += equal;
    if (equal < nodeBits(node)) return splitNode(edge, node, equal, value, ofs, plen);
    if (ofs == plen) {
      store<u32>(node, load<u32>(node, TrieNode.bitsRules) + ONE_RULE, TrieNode.bitsRules);
      return true;
    }
    edge = edgeAddr(node, bitAt(value, ofs));
  }
}

/** The value leaves the node's edge after `equal` bits: puts a parent above it there. */
function splitNode(edge: usize, node: usize, equal: u32, value: usize, ofs: u32, plen: u32): bool {
  const prefix = load<u32>(node, TrieNode.prefix);
  const parent = nodeNew(prefix & topBits(equal), equal, ofs == plen ? 1 : 0);
  const lower = nodeNew(prefix << equal, nodeBits(node) - equal, nodeRules(node));
  const branch = ofs < plen ? branchNew(value, ofs, plen) : 0;
  if (parent == 0 || lower == 0 || (ofs < plen && branch == 0)) {
    free(parent);
    free(lower);
    branchFree(branch);
    return false;
  }
  store<u32>(lower, load<u32>(node, TrieNode.edge0), TrieNode.edge0);
  store<u32>(lower, load<u32>(node, TrieNode.edge1), TrieNode.edge1);
  const oldBranch = (prefix << equal) >> 31;
  store<u32>(edgeAddr(parent, oldBranch), <u32>lower);
  if (ofs < plen) store<u32>(edgeAddr(parent, 1 - oldBranch), <u32>branch);
  atomic.store<u32>(edge, <u32>parent);
  deferFree(node);
  return true;
}

/** One rule less with the first `plen` bits of `value`; removes branches without rules. */
export function trieRemove(root: usize, value: usize, plen: u32): void {
  const node = <usize>load<u32>(root);
  if (node != 0) removeBelow(root, node, value, 0, plen);
}

/** Returns false when the prefix is not in the trie. The edges above are tidied on the way back. */
function removeBelow(edge: usize, node: usize, value: usize, at: u32, plen: u32): bool {
  const equal = equalBits(node, value, at, plen);
  if (equal < nodeBits(node)) return false;
  const ofs = at + equal;
  if (ofs == plen) {
    if (nodeRules(node) == 0) return false;
    store<u32>(node, load<u32>(node, TrieNode.bitsRules) - ONE_RULE, TrieNode.bitsRules);
  } else {
    const below = edgeAddr(node, bitAt(value, ofs));
    const next = <usize>load<u32>(below);
    if (next == 0 || !removeBelow(below, next, value, ofs, plen)) return false;
  }
  tidy(edge, node);
  return true;
}

/** Drops a node without rules and branches, joins one without rules and with one branch to it. */
function tidy(edge: usize, node: usize): void {
  if (nodeRules(node) != 0) return;
  const edge0 = <usize>load<u32>(node, TrieNode.edge0);
  const edge1 = <usize>load<u32>(node, TrieNode.edge1);
  if (edge0 != 0 && edge1 != 0) return;
  const only = edge0 != 0 ? edge0 : edge1;
  if (only == 0) {
    atomic.store<u32>(edge, 0);
    deferFree(node);
    return;
  }
  const bits = nodeBits(node);
  const onlyBits = nodeBits(only);
  if (bits + onlyBits > EDGE_BITS) return;
  const onlyPrefix = load<u32>(only, TrieNode.prefix);
  // Without memory the two nodes stay apart, which is the same trie.
  const joined = nodeNew(
    load<u32>(node, TrieNode.prefix) | (bits == 32 ? 0 : onlyPrefix >> bits),
    bits + onlyBits,
    nodeRules(only),
  );
  if (joined == 0) return;
  store<u32>(joined, load<u32>(only, TrieNode.edge0), TrieNode.edge0);
  store<u32>(joined, load<u32>(only, TrieNode.edge1), TrieNode.edge1);
  atomic.store<u32>(edge, <u32>joined);
  deferFree(node);
  deferFree(only);
}

/** Frees all nodes after quiescence and empties the trie. */
export function trieClear(root: usize): void {
  const node = <usize>load<u32>(root);
  atomic.store<u32>(root, 0);
  deferBranch(node);
}

function deferBranch(node: usize): void {
  if (node == 0) return;
  deferBranch(<usize>load<u32>(node, TrieNode.edge0));
  deferBranch(<usize>load<u32>(node, TrieNode.edge1));
  deferFree(node);
}
