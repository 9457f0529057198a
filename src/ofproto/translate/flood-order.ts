import type { XBridge, XPort } from '../snapshot.ts';

/**
 * The order in which FLOOD and ALL visit ports: OVS walks a hash table, so outputs come in the order
 * of its buckets. Scripts compare action lists, hence the same order here.
 */
const orders = new WeakMap<XBridge, readonly XPort[]>();

export function floodOrder(bridge: XBridge): readonly XPort[] {
  let order = orders.get(bridge);
  if (order === undefined) {
    order = ovsPortOrder(bridge.ports, (p) => p.ofp);
    orders.set(bridge, order);
  }
  return order;
}

/** Ports in the order in which OVS walks its table of them. */
export function ovsPortOrder<T>(ports: readonly T[], ofpOf: (port: T) => number): T[] {
  let mask = 0;
  for (let i = 1; i <= ports.length; i++) if (i / 2 > mask) mask = bucketMask(i);
  const bucket = (port: T): number => (hashPort(ofp16(ofpOf(port))) & mask) >>> 0;
  return [...ports].sort((a, b) => bucket(a) - bucket(b));
}

/** OVS keeps reserved ports in 16 bits. */
const ofp16 = (ofp: number): number => (ofp >= 0xffffff00 ? ofp & 0xffff : ofp);

/** Buckets - 1 of an OVS hmap that was made for `capacity` nodes. */
function bucketMask(capacity: number): number {
  let mask = capacity >>> 1;
  for (const s of [1, 2, 4, 8, 16]) mask |= mask >>> s;
  return mask | ((mask & 1) << 1);
}

const rot = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** OVS's hash_int(x, 0): one round of MurmurHash3 over the words x, 0, 0 and its finish. */
function hashPort(x: number): number {
  const mix = (hash: number, data: number): number => {
    let k = Math.imul(data, 0xcc9e2d51);
    k = Math.imul(rot(k, 15), 0x1b873593);
    return (Math.imul(rot(hash ^ k, 13), 5) + 0xe6546b64) | 0;
  };
  let h = mix(mix(x, 0), 0) ^ 8;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
