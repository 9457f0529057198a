/**
 * The order in which OVS opens the ports of a bridge: it walks a hash table of their names. Numbers
 * are given in that order, so that scripts which add several ports at once see OVS's numbers.
 */
export function ovsNameOrder<T>(items: readonly T[], nameOf: (item: T) => string): T[] {
  let buckets: { hash: number; item: T }[][] = [[]];
  const insert = (hash: number, item: T): void => {
    buckets[hash % buckets.length]?.unshift({ hash, item });
  };
  items.forEach((item, i) => {
    insert(hashString(nameOf(item)), item);
    const count = i + 1;
    if (Math.floor(count / 2) <= buckets.length - 1) return;
    const old = buckets;
    buckets = Array.from({ length: bucketCount(count) }, () => []);
    for (const bucket of old) for (const entry of bucket) insert(entry.hash, entry.item);
  });
  return buckets.flat().map((entry) => entry.item);
}

/** Buckets of an OVS hmap made for `capacity` nodes: a power of two, 1 or at least 4. */
function bucketCount(capacity: number): number {
  let count = 1;
  while (count <= capacity >>> 1) count *= 2;
  return count === 2 ? 4 : count;
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** OVS's hash_string(name, 0): MurmurHash3 over little-endian words, the last one padded with zeroes. */
function hashString(name: string): number {
  const bytes = new TextEncoder().encode(name);
  let hash = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0;
    for (let i = 0; i < 4; i++) word |= (bytes[at + i] ?? 0) << (8 * i);
    word = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
    hash = (Math.imul(rotate(hash ^ word, 13), 5) + 0xe6546b64) | 0;
  }
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
