import { alloc } from './memory';
import { deferFree } from './epoch';
import { MacEntry } from './generated/mac-entry';
import { MacPort } from './generated/mac-port';
import { MacTable } from './generated/mac-table';
import { HASH_CONSTANTS } from './hash';
import { lock, unlock } from './lock';

/**
 * MAC learning, as OVS's: entries by (VLAN, address), least recently used first in one list of the
 * table and one of each port. A full table evicts the oldest entry of the port that has most.
 *
 * Any thread learns and looks up, under the table's lock for a few instructions. Entries and ports are
 * freed after quiescence, so that an address from `macLookup` is good for the caller's step.
 */
// @ts-ignore: decorator
@inline const GRAT_ARP_LOCK_SEC: f64 = 5;

/** An empty table; 0 when the arena is full. */
export function macTableCreate(maxEntries: u32, idleSec: u32): usize {
  const table = alloc(<u32>MacTable.SIZE);
  if (table == 0) return 0;
  const buckets = alloc(64 * 4);
  if (buckets == 0) {
    deferFree(table);
    return 0;
  }
  store<u32>(table, <u32>buckets, MacTable.buckets);
  store<u32>(table, 63, MacTable.bucketMask);
  macTableConfigure(table, maxEntries, idleSec);
  return table;
}

/** Sets the limits; 10 entries at least. What is too much goes with the next `macTableAge`. */
export function macTableConfigure(table: usize, maxEntries: u32, idleSec: u32): void {
  lock(table + MacTable.lock);
  const had = load<u32>(table, MacTable.idleSec);
  const now = clampIdle(idleSec);
  if (had != 0 && had != now) shiftExpiry(table, <f64>now - <f64>had);
  store<u32>(table, now, MacTable.idleSec);
  store<u32>(table, max<u32>(10, min<u32>(maxEntries, 1_000_000)), MacTable.maxEntries);
  unlock(table + MacTable.lock);
}

function clampIdle(sec: u32): u32 {
  return max<u32>(15, min<u32>(sec, 3600));
}

function shiftExpiry(table: usize, deltaSec: f64): void {
  for (let e = <usize>load<u32>(table, MacTable.oldest); e != 0; e = <usize>load<u32>(e, MacEntry.newer)) {
    store<f64>(e, load<f64>(e, MacEntry.expiresSec) + deltaSec, MacEntry.expiresSec);
  }
}

// @ts-ignore: decorator
@inline
function hashOf(vlan: u32, mac: usize): u32 {
  const lo = <u64>load<u32>(mac);
  const hi = <u64>load<u16>(mac, 4) | (<u64>vlan << 16);
  return <u32>((lo * load<u64>(HASH_CONSTANTS) + hi * load<u64>(HASH_CONSTANTS, 8)) >> 32);
}

// @ts-ignore: decorator
@inline
function isMulticast(mac: usize): bool {
  return (load<u8>(mac) & 1) != 0;
}

// @ts-ignore: decorator
@inline
function isFloodVlan(table: usize, vlan: u32): bool {
  return ((load<u8>(table + MacTable.floodVlans + <usize>((vlan & 0xfff) >> 3)) >> (vlan & 7)) & 1) != 0;
}

// @ts-ignore: decorator
@inline
function bucketOf(table: usize, hash: u32): usize {
  return <usize>load<u32>(table, MacTable.buckets) + (<usize>(hash & load<u32>(table, MacTable.bucketMask)) << 2);
}

function find(table: usize, vlan: u32, mac: usize): usize {
  let e = <usize>load<u32>(bucketOf(table, hashOf(vlan, mac)));
  while (e != 0) {
    if (
      load<u16>(e, MacEntry.vlan) == <u16>vlan &&
      load<u32>(e, MacEntry.mac) == load<u32>(mac) &&
      load<u16>(e, MacEntry.mac + 4) == load<u16>(mac, 4)
    ) {
      return e;
    }
    e = <usize>load<u32>(e, MacEntry.nextHash);
  }
  return 0;
}

/** The entry of the address (6 bytes at `mac`), 0 when it is not known, multicast, or its VLAN floods. */
export function macLookup(table: usize, vlan: u32, mac: usize): usize {
  if (isMulticast(mac) || isFloodVlan(table, vlan)) return 0;
  lock(table + MacTable.lock);
  const e = find(table, vlan, mac);
  unlock(table + MacTable.lock);
  return e;
}

export function macEntryPort(entry: usize): u32 {
  return load<u32>(entry, MacEntry.ofport);
}

/** `macLearn` for a port of a bond, whose own gratuitous ARPs may come back. */
export function macLearnBond(table: usize, vlan: u32, mac: usize, ofport: u32, isGratArp: bool, nowMs: f64): bool {
  return learn(table, vlan, mac, ofport, isGratArp, true, nowMs);
}

/**
 * Notes that the address is behind `ofport`. Returns whether it was not known there: then megaflows
 * that depend on it must be revalidated.
 */
export function macLearn(table: usize, vlan: u32, mac: usize, ofport: u32, isGratArp: bool, nowMs: f64): bool {
  return learn(table, vlan, mac, ofport, isGratArp, false, nowMs);
}

function learn(table: usize, vlan: u32, mac: usize, ofport: u32, isGratArp: bool, isBond: bool, nowMs: f64): bool {
  if (isMulticast(mac) || isFloodVlan(table, vlan)) return false;
  const now = Math.floor(nowMs / 1000);
  lock(table + MacTable.lock);
  const changed = learnLocked(table, vlan, mac, ofport, isGratArp, isBond, now);
  unlock(table + MacTable.lock);
  return changed;
}

function learnLocked(table: usize, vlan: u32, mac: usize, ofport: u32, isGratArp: bool, isBond: bool, now: f64): bool {
  let e = find(table, vlan, mac);
  if (e == 0) {
    e = insert(table, vlan, mac, now);
    if (e == 0) return false;
  } else if (load<f64>(e, MacEntry.expiresSec) == Infinity) return false;
  else touch(table, e, now);
  if (isGratArp) {
    if (!isBond) store<f64>(e, now + GRAT_ARP_LOCK_SEC, MacEntry.gratArpLockSec);
    else if (now < load<f64>(e, MacEntry.gratArpLockSec)) return false;
  }
  const port = <usize>load<u32>(e, MacEntry.port);
  if (port != 0 && load<u32>(e, MacEntry.ofport) == ofport) return false;
  if (!moveTo(table, e, ofport)) {
    if (port == 0) remove(table, e);
    return false;
  }
  if (port != 0) bump(table + MacTable.totalMoved);
  return true;
}

/** Adds an entry that does not age and is not learned over; false when the arena is full. */
export function macAddStatic(table: usize, vlan: u32, mac: usize, ofport: u32, nowMs: f64): bool {
  lock(table + MacTable.lock);
  const now = Math.floor(nowMs / 1000);
  let e = find(table, vlan, mac);
  if (e == 0) e = insert(table, vlan, mac, now);
  let done = e != 0;
  if (done) {
    if (load<u32>(e, MacEntry.port) == 0 || load<u32>(e, MacEntry.ofport) != ofport) done = moveTo(table, e, ofport);
    if (done) store<f64>(e, Infinity, MacEntry.expiresSec);
    else if (load<u32>(e, MacEntry.port) == 0) remove(table, e);
  }
  unlock(table + MacTable.lock);
  return done;
}

/** Forgets an address; false when it was not known. */
export function macDelete(table: usize, vlan: u32, mac: usize): bool {
  lock(table + MacTable.lock);
  const e = find(table, vlan, mac);
  if (e != 0) remove(table, e);
  unlock(table + MacTable.lock);
  return e != 0;
}

// @ts-ignore: decorator
@inline
function bump(at: usize): void {
  store<u64>(at, load<u64>(at) + 1);
}

function insert(table: usize, vlan: u32, mac: usize, now: f64): usize {
  if (load<u32>(table, MacTable.count) >= load<u32>(table, MacTable.maxEntries)) evictFairly(table);
  const e = alloc(<u32>MacEntry.SIZE);
  if (e == 0) return 0;
  growBuckets(table);
  store<u16>(e, <u16>vlan, MacEntry.vlan);
  memory.copy(e + MacEntry.mac, mac, 6);
  store<f64>(e, now + <f64>load<u32>(table, MacTable.idleSec), MacEntry.expiresSec);
  store<f64>(e, -Infinity, MacEntry.gratArpLockSec);
  const bucket = bucketOf(table, hashOf(vlan, mac));
  store<u32>(e, load<u32>(bucket), MacEntry.nextHash);
  store<u32>(bucket, <u32>e);
  appendLru(table + MacTable.oldest, e, MacEntry.older);
  store<u32>(table, load<u32>(table, MacTable.count) + 1, MacTable.count);
  bump(table + MacTable.totalLearned);
  return e;
}

function touch(table: usize, e: usize, now: f64): void {
  removeLru(table + MacTable.oldest, e, MacEntry.older);
  appendLru(table + MacTable.oldest, e, MacEntry.older);
  const port = <usize>load<u32>(e, MacEntry.port);
  removeLru(port + MacPort.oldest, e, MacEntry.olderOnPort);
  appendLru(port + MacPort.oldest, e, MacEntry.olderOnPort);
  store<f64>(e, now + <f64>load<u32>(table, MacTable.idleSec), MacEntry.expiresSec);
}

/** Lists are {ptr oldest, ptr newest}; links of an entry are {ptr older, ptr newer}. */
function appendLru(list: usize, e: usize, links: usize): void {
  const newest = <usize>load<u32>(list, 4);
  store<u32>(e + links, <u32>newest);
  store<u32>(e + links, 0, 4);
  if (newest != 0) store<u32>(newest + links, <u32>e, 4);
  else store<u32>(list, <u32>e);
  store<u32>(list, <u32>e, 4);
}

function removeLru(list: usize, e: usize, links: usize): void {
  const older = <usize>load<u32>(e + links);
  const newer = <usize>load<u32>(e + links, 4);
  if (older != 0) store<u32>(older + links, <u32>newer, 4);
  else store<u32>(list, <u32>newer);
  if (newer != 0) store<u32>(newer + links, <u32>older);
  else store<u32>(list, <u32>older, 4);
}

/** Doubles the buckets when there are more entries; without memory chains grow longer. */
function growBuckets(table: usize): void {
  const mask = load<u32>(table, MacTable.bucketMask);
  if (load<u32>(table, MacTable.count) <= mask) return;
  const buckets = alloc((mask + 1) * 8);
  if (buckets == 0) return;
  deferFree(<usize>load<u32>(table, MacTable.buckets));
  store<u32>(table, <u32>buckets, MacTable.buckets);
  store<u32>(table, mask * 2 + 1, MacTable.bucketMask);
  for (let e = <usize>load<u32>(table, MacTable.oldest); e != 0; e = <usize>load<u32>(e, MacEntry.newer)) {
    const bucket = bucketOf(table, hashOf(<u32>load<u16>(e, MacEntry.vlan), e + MacEntry.mac));
    store<u32>(e, load<u32>(bucket), MacEntry.nextHash);
    store<u32>(bucket, <u32>e);
  }
}

function portFor(table: usize, ofport: u32): usize {
  let port = <usize>load<u32>(table, MacTable.ports);
  let empty: usize = 0;
  for (; port != 0; port = <usize>load<u32>(port, MacPort.next)) {
    if (load<u32>(port, MacPort.ofport) == ofport) return port;
    if (load<u32>(port, MacPort.count) == 0) empty = port;
  }
  if (empty == 0) {
    empty = alloc(<u32>MacPort.SIZE);
    if (empty == 0) return 0;
    store<u32>(empty, load<u32>(table, MacTable.ports), MacPort.next);
    store<u32>(table, <u32>empty, MacTable.ports);
  }
  store<u32>(empty, ofport, MacPort.ofport);
  return empty;
}

function moveTo(table: usize, e: usize, ofport: u32): bool {
  const port = portFor(table, ofport);
  if (port == 0) return false;
  leavePort(e);
  store<u32>(e, <u32>port, MacEntry.port);
  store<u32>(e, ofport, MacEntry.ofport);
  appendLru(port + MacPort.oldest, e, MacEntry.olderOnPort);
  store<u32>(port, load<u32>(port, MacPort.count) + 1, MacPort.count);
  return true;
}

function leavePort(e: usize): void {
  const port = <usize>load<u32>(e, MacEntry.port);
  if (port == 0) return;
  removeLru(port + MacPort.oldest, e, MacEntry.olderOnPort);
  store<u32>(port, load<u32>(port, MacPort.count) - 1, MacPort.count);
}

function remove(table: usize, e: usize): void {
  let link = bucketOf(table, hashOf(<u32>load<u16>(e, MacEntry.vlan), e + MacEntry.mac));
  while (<usize>load<u32>(link) != e) link = <usize>load<u32>(link) + MacEntry.nextHash;
  store<u32>(link, load<u32>(e, MacEntry.nextHash));
  removeLru(table + MacTable.oldest, e, MacEntry.older);
  leavePort(e);
  store<u32>(table, load<u32>(table, MacTable.count) - 1, MacTable.count);
  deferFree(e);
}

/** Oldest entry of the port with most entries. */
function evictFairly(table: usize): void {
  let most: usize = 0;
  for (let port = <usize>load<u32>(table, MacTable.ports); port != 0; port = <usize>load<u32>(port, MacPort.next)) {
    if (most == 0 || load<u32>(port, MacPort.count) > load<u32>(most, MacPort.count)) most = port;
  }
  const e: usize = most == 0 ? 0 : <usize>load<u32>(most, MacPort.oldest);
  if (e == 0) return;
  remove(table, e);
  bump(table + MacTable.totalEvicted);
}

/** Drops entries that are too old or too many; returns how many. Main, about once a second. */
export function macTableAge(table: usize, nowMs: f64): u32 {
  const now = Math.floor(nowMs / 1000);
  let dropped: u32 = 0;
  lock(table + MacTable.lock);
  let e = <usize>load<u32>(table, MacTable.oldest);
  while (e != 0) {
    const newer = <usize>load<u32>(e, MacEntry.newer);
    const isOver = load<u32>(table, MacTable.count) > load<u32>(table, MacTable.maxEntries);
    const expires = load<f64>(e, MacEntry.expiresSec);
    if (expires != Infinity) {
      if (!isOver && now < expires) break;
      remove(table, e);
      bump(table + MacTable.totalExpired);
      dropped++;
    }
    e = newer;
  }
  unlock(table + MacTable.lock);
  return dropped;
}

/** Forgets all that was learned (static entries stay); returns how many. */
export function macTableFlush(table: usize): u32 {
  lock(table + MacTable.lock);
  const dropped = flushList(table, load<u32>(table, MacTable.oldest), MacEntry.newer, false);
  unlock(table + MacTable.lock);
  return dropped;
}

/** Forgets all entries of a port that goes away, static ones too; returns how many. */
export function macTableFlushPort(table: usize, ofport: u32): u32 {
  let dropped: u32 = 0;
  lock(table + MacTable.lock);
  for (let port = <usize>load<u32>(table, MacTable.ports); port != 0; port = <usize>load<u32>(port, MacPort.next)) {
    if (load<u32>(port, MacPort.ofport) != ofport) continue;
    dropped = flushList(table, load<u32>(port, MacPort.oldest), MacEntry.newerOnPort, true);
  }
  unlock(table + MacTable.lock);
  return dropped;
}

function flushList(table: usize, first: u32, newerAt: usize, alsoStatic: bool): u32 {
  let dropped: u32 = 0;
  let e = <usize>first;
  while (e != 0) {
    const newer = <usize>load<u32>(e + newerAt);
    if (alsoStatic || load<f64>(e, MacEntry.expiresSec) != Infinity) {
      remove(table, e);
      dropped++;
    }
    e = newer;
  }
  return dropped;
}

/** Least recently used entry, 0 when empty; `macNext` goes on. Main takes the table's lock around the walk. */
export function macFirst(table: usize): usize {
  return <usize>load<u32>(table, MacTable.oldest);
}

export function macNext(entry: usize): usize {
  return <usize>load<u32>(entry, MacEntry.newer);
}

/** Frees the table after quiescence. */
export function macTableDestroy(table: usize): void {
  lock(table + MacTable.lock);
  flushList(table, load<u32>(table, MacTable.oldest), MacEntry.newer, true);
  let port = <usize>load<u32>(table, MacTable.ports);
  while (port != 0) {
    const next = <usize>load<u32>(port, MacPort.next);
    deferFree(port);
    port = next;
  }
  store<u32>(table, 0, MacTable.ports);
  deferFree(<usize>load<u32>(table, MacTable.buckets));
  unlock(table + MacTable.lock);
  deferFree(table);
}
