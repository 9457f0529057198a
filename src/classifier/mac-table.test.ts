import { describe, expect, it } from 'vitest';
import { memoryStats } from '../arena/memory-stats.ts';
import { settle, testCore } from '../arena/testing/test-core.ts';
import { SeededRandom } from '../util/random.ts';
import {
  ageMacTable,
  configureMacTable,
  createMacTable,
  destroyMacTable,
  flushMacPort,
  flushMacTable,
  macEntries,
  macTableStats,
  setMacFloodVlans,
} from './mac-table.ts';

function setUp(maxEntries = 100, agingSec = 300) {
  const core = testCore({ sizeMb: 16 });
  const table = createMacTable(core, maxEntries, agingSec);
  const at = core.x.alloc(8) >>> 0;
  const mac = (n: number, first = 2): number => {
    core.dv.setUint8(at, first);
    core.dv.setUint8(at + 1, 0);
    core.dv.setUint32(at + 2, n);
    return at;
  };
  const learn = (n: number, port: number, nowMs: number, vlan = 0, isGratArp = false): boolean =>
    core.x.macLearn(table, vlan, mac(n), port, isGratArp, nowMs) !== 0;
  const portOf = (n: number, vlan = 0): number => {
    const entry = core.x.macLookup(table, vlan, mac(n)) >>> 0;
    return entry === 0 ? 0 : core.x.macEntryPort(entry) >>> 0;
  };
  return { core, table, mac, learn, portOf };
}

describe('MAC learning', () => {
  it('tells what changed, by VLAN and address', () => {
    const { core, table, mac, learn, portOf } = setUp();
    expect(learn(1, 5, 0)).toBe(true);
    expect(learn(1, 5, 1000)).toBe(false);
    expect(portOf(1)).toBe(5);
    expect(portOf(1, 10)).toBe(0);
    expect(learn(1, 6, 2000)).toBe(true);
    expect(portOf(1)).toBe(6);
    expect(core.x.macLearn(table, 0, mac(1, 3), 5, false, 0)).toBe(0);
    expect(macTableStats(core, table)).toMatchObject({ count: 1, learned: 1, moved: 1 });
  });

  it('ages what was not used, oldest first, and keeps static entries', () => {
    const { core, table, mac, learn, portOf } = setUp(100, 20);
    core.x.macAddStatic(table, 0, mac(9), 3, 0);
    learn(1, 1, 0);
    learn(2, 1, 5_000);
    learn(1, 1, 10_000);
    expect(macEntries(core, table, 12_000).map((e) => [e.mac[5], e.ageSec, e.isStatic])).toEqual([
      [9, 0, true],
      [2, 7, false],
      [1, 2, false],
    ]);
    expect(ageMacTable(core, table, 24_999)).toBe(0);
    expect(ageMacTable(core, table, 25_000)).toBe(1);
    expect([portOf(1), portOf(2), portOf(9)]).toEqual([1, 0, 3]);
    expect(learn(9, 1, 26_000)).toBe(false);
    expect(portOf(9)).toBe(3);
    expect(ageMacTable(core, table, 1e9)).toBe(1);
    expect(macTableStats(core, table)).toMatchObject({ count: 1, expired: 2 });
  });

  it('evicts the oldest entry of the port that has most', () => {
    const { core, table, learn, portOf } = setUp(20);
    for (let n = 0; n < 5; n++) learn(100 + n, 1, n);
    for (let n = 0; n < 15; n++) learn(n, 2, 1000 + n);
    learn(0, 2, 5000);
    learn(500, 3, 6000);
    expect(portOf(0)).toBe(2);
    expect(portOf(1)).toBe(0);
    expect(portOf(100)).toBe(1);
    expect(macTableStats(core, table)).toMatchObject({ count: 20, evicted: 1 });
  });

  it('flushes all, or what is behind a port', () => {
    const { core, table, mac, learn, portOf } = setUp();
    for (let n = 0; n < 10; n++) learn(n, 1 + (n % 2), 0);
    core.x.macAddStatic(table, 0, mac(20), 1, 0);
    expect(flushMacPort(core, table, 1)).toBe(6);
    expect([portOf(0), portOf(1)]).toEqual([0, 2]);
    expect(flushMacTable(core, table)).toBe(5);
    expect(macEntries(core, table, 0)).toEqual([]);
  });

  it('does not learn in VLANs that flood', () => {
    const { core, table, learn, portOf } = setUp();
    setMacFloodVlans(core, table, [10]);
    expect(learn(1, 1, 0, 10)).toBe(false);
    expect(learn(1, 1, 0, 11)).toBe(true);
    expect([portOf(1, 10), portOf(1, 11)]).toEqual([0, 1]);
  });

  it('does not move an address by a gratuitous ARP that comes back over a bond', () => {
    const { core, table, mac, learn, portOf } = setUp();
    learn(1, 1, 0, 0, true);
    expect(core.x.macLearnBond(table, 0, mac(1), 2, true, 4000)).toBe(0);
    expect(portOf(1)).toBe(1);
    expect(core.x.macLearnBond(table, 0, mac(1), 2, true, 6000)).toBe(1);
    expect(portOf(1)).toBe(2);
  });

  it('agrees with a map under random use, and gives all memory back', () => {
    const { core, table, mac, learn, portOf } = setUp(100_000);
    const random = new SeededRandom(3);
    const expected = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const n = random.u32() % 3000;
      const port = 1 + (random.u32() % 20);
      if (random.u32() % 10 === 0) {
        expect(core.x.macDelete(table, 0, mac(n)) !== 0).toBe(expected.delete(n));
      } else {
        expect(learn(n, port, i)).toBe(expected.get(n) !== port);
        expected.set(n, port);
      }
      if (i % 100 === 0) core.x.quiesce();
    }
    for (let n = 0; n < 3000; n++) expect(portOf(n)).toBe(expected.get(n) ?? 0);
    expect(macEntries(core, table, 0).length).toBe(expected.size);
    configureMacTable(core, table, 10, 300);
    ageMacTable(core, table, 0);
    expect(macTableStats(core, table).count).toBe(10);
    destroyMacTable(core, table);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: 1, badFrees: 0 });
  });
});
