import type { Core } from '../arena/core.ts';
import { ArenaFullError } from '../util/errors.ts';
import { macEntryExpiresSec, MacEntryLayout, macEntryOfport, macEntryVlan } from './generated/mac-entry.ts';
import { MacTableLayout, macTableCount, macTableIdleSec, macTableMaxEntries } from './generated/mac-table.ts';

/**
 * The MAC learning table of a bridge, seen from control code. The table is in the arena
 * (assembly/mac-table.ts) and known by its address; any thread may use it. Whoever changes it here
 * must have megaflows revalidated.
 */
export interface MacEntry {
  readonly ofport: number;
  readonly vlan: number;
  readonly mac: Uint8Array;
  readonly ageSec: number;
  readonly isStatic: boolean;
}

export interface MacTableStats {
  readonly count: number;
  readonly maxEntries: number;
  readonly learned: number;
  readonly expired: number;
  readonly evicted: number;
  readonly moved: number;
}

/** Throws ArenaFullError. */
export function createMacTable(core: Core, maxEntries: number, agingSec: number): number {
  const table = core.x.macTableCreate(maxEntries, agingSec) >>> 0;
  if (table === 0) throw new ArenaFullError(MacTableLayout.size);
  return table;
}

/** Limits as in other_config:mac-table-size (10 to 1,000,000) and mac-aging-time (15 to 3600 s). */
export function configureMacTable(core: Core, table: number, maxEntries: number, agingSec: number): void {
  core.x.macTableConfigure(table, maxEntries, agingSec);
}

export function destroyMacTable(core: Core, table: number): void {
  core.x.macTableDestroy(table);
}

/** Forgets all learned entries; returns how many. */
export function flushMacTable(core: Core, table: number): number {
  return core.x.macTableFlush(table);
}

/** Forgets all entries of a port; returns how many. */
export function flushMacPort(core: Core, table: number, ofport: number): number {
  return core.x.macTableFlushPort(table, ofport);
}

/** Drops entries that are too old or too many; returns how many. To be called about once a second. */
export function ageMacTable(core: Core, table: number, nowMs: number): number {
  return core.x.macTableAge(table, nowMs);
}

/** VLANs that flood and do not learn (Bridge.flood_vlans). */
export function setMacFloodVlans(core: Core, table: number, vlans: Iterable<number>): void {
  const bitmap = core.u8.subarray(table + MacTableLayout.floodVlans, table + MacTableLayout.floodVlans + 512);
  bitmap.fill(0);
  for (const vlan of vlans) bitmap[vlan >>> 3] = (bitmap[vlan >>> 3] ?? 0) | (1 << (vlan & 7));
}

/** Copies of all entries, least recently used first as `fdb/show` prints them. */
export function macEntries(core: Core, table: number, nowMs: number): MacEntry[] {
  const { dv, u8, x } = core;
  const entries: MacEntry[] = [];
  const nowSec = Math.floor(nowMs / 1000);
  x.lock(table + MacTableLayout.lock);
  const idleSec = macTableIdleSec(dv, table);
  for (let e = x.macFirst(table) >>> 0; e !== 0; e = x.macNext(e) >>> 0) {
    const expiresSec = macEntryExpiresSec(dv, e);
    const isStatic = expiresSec === Infinity;
    entries.push({
      ofport: macEntryOfport(dv, e),
      vlan: macEntryVlan(dv, e),
      mac: u8.slice(e + MacEntryLayout.mac, e + MacEntryLayout.mac + 6),
      ageSec: isStatic ? 0 : idleSec - (expiresSec - nowSec),
      isStatic,
    });
  }
  x.unlock(table + MacTableLayout.lock);
  return entries;
}

export function macTableStats(core: Core, table: number): MacTableStats {
  const { dv } = core;
  const u64 = (at: number): number => Number(dv.getBigUint64(table + at, true));
  return {
    count: macTableCount(dv, table),
    maxEntries: macTableMaxEntries(dv, table),
    learned: u64(MacTableLayout.totalLearned),
    expired: u64(MacTableLayout.totalExpired),
    evicted: u64(MacTableLayout.totalEvicted),
    moved: u64(MacTableLayout.totalMoved),
  };
}
