/**
 * The order in which OVS walks one of its hash tables (hmap), which shows in what it prints and in the
 * order of actions and numbers. Scripts compare such texts, hence the same order here.
 *
 * A node is put first in its bucket; a table that grows moves its nodes bucket by bucket.
 *
 * @param items In the order of their insertion.
 * @param hashOf OVS's hash of an item, u32.
 */
export function hmapOrder<T>(items: readonly T[], hashOf: (item: T) => number): T[] {
  let buckets: { hash: number; item: T }[][] = [[]];
  const insert = (entry: { hash: number; item: T }): void => {
    buckets[entry.hash % buckets.length]?.unshift(entry);
  };
  items.forEach((item, i) => {
    insert({ hash: hashOf(item), item });
    if ((i + 1) >>> 1 <= buckets.length - 1) return;
    const old = buckets;
    buckets = Array.from({ length: bucketCount(i + 1) }, () => []);
    for (const bucket of old) for (const entry of bucket) insert(entry);
  });
  return buckets.flat().map((entry) => entry.item);
}

/** Buckets of a table made for `capacity` nodes: a power of two, 1 or at least 4. */
function bucketCount(capacity: number): number {
  let count = 1;
  while (count <= capacity >>> 1) count *= 2;
  return count === 2 ? 4 : count;
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

function mix(hash: number, word: number): number {
  const data = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(hash ^ data, 13), 5) + 0xe6546b64) | 0;
}

function finish(hash: number, length: number): number {
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** OVS's hash_string(text, 0): MurmurHash3 over little-endian words, the last one padded with zeroes. */
export function hashString(text: string): number {
  const bytes = new TextEncoder().encode(text);
  let hash = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0;
    for (let i = 0; i < 4; i++) word |= (bytes[at + i] ?? 0) << (8 * i);
    hash = mix(hash, word);
  }
  return finish(hash, bytes.length);
}

/** OVS's hash_ofp_port(port), of a port number in 16 or 32 bits. */
export function hashOfpPort(ofp: number): number {
  // Reserved ports are kept in 16 bits.
  const port = ofp >= 0xffffff00 ? ofp & 0xffff : ofp;
  return finish(mix(mix(port, 0), 0), 8);
}
