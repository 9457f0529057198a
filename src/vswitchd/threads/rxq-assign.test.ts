import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignRxQueues, type AssignPmd, type AssignQueue, type RxqAssignMode } from './rxq-assign.ts';

const pmdsOf = (...nodes: number[]): AssignPmd[] => nodes.map((numaId, coreId) => ({ coreId, numaId }));

/** Queues "p1:0", "p1:1" ... in the given order, with cycles. */
function queue(name: string, cycles = 0, more: Partial<AssignQueue> = {}): AssignQueue {
  const [portName = '', rxQueue = '0'] = name.split(':');
  const odpPort = Number(portName.replace(/\D/g, ''));
  return { portName, odpPort, rxQueue: Number(rxQueue), numaId: 0, cycles, pinnedCore: null, ...more };
}

function coresOf(
  pmds: readonly AssignPmd[],
  queues: readonly AssignQueue[],
  mode: RxqAssignMode,
  isolate = true,
): Record<string, number | undefined> {
  const { coreOf } = assignRxQueues(pmds, queues, { mode, isolate });
  return Object.fromEntries(queues.map((q) => [`${q.portName}:${q.rxQueue}`, coreOf.get(q)]));
}

describe('assignment of receive queues', () => {
  const fourAndOne = ['p1:0', 'p1:1', 'p1:2', 'p1:3', 'p2:0'].map((name) => queue(name));

  it('goes to and fro over the PMDs by falling cycles', () => {
    expect(coresOf(pmdsOf(0, 0, 0, 0), fourAndOne, 'cycles')).toEqual({
      'p1:0': 0,
      'p1:1': 1,
      'p1:2': 2,
      'p1:3': 3,
      'p2:0': 3,
    });
    const loads = [10, 80, 50, 70, 30, 60].map((cycles, i) => queue(`p1:${i}`, cycles));
    expect(coresOf(pmdsOf(0, 0, 0), loads, 'cycles')).toEqual({
      'p1:1': 0,
      'p1:3': 1,
      'p1:5': 2,
      'p1:2': 2,
      'p1:4': 1,
      'p1:0': 0,
    });
  });

  it('goes round in the given order, or takes the least loaded', () => {
    expect(coresOf(pmdsOf(0, 0, 0, 0), fourAndOne, 'roundrobin')).toMatchObject({ 'p1:3': 3, 'p2:0': 0 });
    expect(coresOf(pmdsOf(0, 0, 0, 0), fourAndOne, 'group')).toMatchObject({ 'p1:3': 3, 'p2:0': 0 });
    const loads = [90, 30, 30, 20].map((cycles, i) => queue(`p1:${i}`, cycles));
    expect(coresOf(pmdsOf(0, 0), loads, 'group')).toEqual({ 'p1:0': 0, 'p1:1': 1, 'p1:2': 1, 'p1:3': 1 });
  });

  it('pins, and isolates only when told to', () => {
    const queues = [queue('p1:0', 0, { pinnedCore: 1 }), queue('p1:1'), queue('p1:2')];
    const isolated = assignRxQueues(pmdsOf(0, 0), queues, { mode: 'cycles', isolate: true });
    expect([...isolated.isolated]).toEqual([1]);
    expect([...isolated.coreOf.values()]).toEqual([1, 0, 0]);
    expect(coresOf(pmdsOf(0, 0), queues, 'group', false)).toEqual({ 'p1:0': 1, 'p1:1': 0, 'p1:2': 0 });
    const busy = [queue('p1:0', 5, { pinnedCore: 1 }), queue('p1:1', 9), queue('p1:2', 3)];
    expect(coresOf(pmdsOf(0, 0), busy, 'group', false)).toEqual({ 'p1:0': 1, 'p1:1': 0, 'p1:2': 1 });
  });

  it('takes turns between nodes where a node has none to give, and says so', () => {
    const queues = [0, 1, 2].map((i) => queue(`p1:${i}`, 0, { numaId: 7 }));
    const { coreOf, crossesNuma, lines } = assignRxQueues(pmdsOf(0, 1), queues, {
      mode: 'cycles',
      isolate: true,
    });
    expect([...coreOf.values()]).toEqual([0, 1, 0]);
    expect(crossesNuma).toBe(true);
    expect(lines.map((l) => l.text).slice(0, 3)).toEqual([
      'Performing pmd to rx queue assignment using cycles algorithm.',
      "There's no available (non-isolated) pmd thread on numa node 7. Port 'p1' rx queue 0 will be assigned to " +
        'a pmd on numa node 0. This may lead to reduced performance.',
      "Core  0 on numa node 0 assigned port 'p1' rx queue 0 (measured processing cycles 0).",
    ]);
  });

  it('leaves queues alone when every PMD is isolated, and says so', () => {
    const queues = [queue('p1:0', 0, { pinnedCore: 0 }), queue('p2:0'), queue('p3:0', 0, { pinnedCore: 9 })];
    const { coreOf, lines } = assignRxQueues(pmdsOf(0), queues, { mode: 'roundrobin', isolate: true });
    expect(coreOf.size).toBe(1);
    expect(lines.map((l) => `${l.level} ${l.text}`)).toEqual([
      "info Core  0 on numa node 0 is pinned with port 'p1' rx queue 0",
      "warn Core  9 cannot be pinned with port 'p3' rx queue 0. Use pmd-cpu-mask to enable a pmd on core 9. " +
        'An alternative core will be assigned.',
      'info Performing pmd to rx queue assignment using roundrobin algorithm.',
      "warn No non-isolated pmd on any numa available for port 'p2' rx queue 0. This rx queue will not be polled.",
      "warn No non-isolated pmd on any numa available for port 'p3' rx queue 0. This rx queue will not be polled.",
    ]);
  });

  const cases = fc.record({
    nodes: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 0, maxLength: 6 }),
    queues: fc.array(
      fc.record({
        numaId: fc.integer({ min: 0, max: 3 }),
        cycles: fc.integer({ min: 0, max: 1000 }),
        pinnedCore: fc.option(fc.integer({ min: 0, max: 7 }), { freq: 3 }),
      }),
      { maxLength: 30 },
    ),
    mode: fc.constantFrom<RxqAssignMode>('cycles', 'roundrobin', 'group'),
    isolate: fc.boolean(),
  });

  it('keeps its rules for all PMDs and queues', () => {
    fc.assert(
      fc.property(cases, ({ nodes, queues: drawn, mode, isolate }) => {
        const pmds = pmdsOf(...nodes);
        const queues = drawn.map((q, i) => queue(`p${1 + (i >> 2)}:${i & 3}`, q.cycles, q));
        const { coreOf, isolated } = assignRxQueues(pmds, queues, { mode, isolate });
        const open = pmds.filter((p) => !isolated.has(p.coreId));
        for (const q of queues) {
          const pmd = pmds.find((p) => p.coreId === coreOf.get(q));
          if (q.pinnedCore !== null && q.pinnedCore < pmds.length) {
            expect(pmd?.coreId).toBe(q.pinnedCore);
            expect(isolated.has(q.pinnedCore)).toBe(isolate);
            continue;
          }
          // Everything that can be polled is, by a PMD that is open, on its own node if that has one.
          expect(pmd === undefined).toBe(open.length === 0);
          if (pmd === undefined) continue;
          expect(open).toContain(pmd);
          if (open.some((p) => p.numaId === q.numaId)) expect(pmd.numaId).toBe(q.numaId);
        }
      }),
    );
  });

  it('spreads unpinned queues of one node evenly, by count or by load', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(1000), { maxLength: 30 }), (n, cycles) => {
        const pmds = pmdsOf(...Array.from({ length: n }, () => 0));
        const queues = cycles.map((c, i) => queue(`p1:${i}`, c));
        for (const mode of ['cycles', 'roundrobin'] as const) {
          const { coreOf } = assignRxQueues(pmds, queues, { mode, isolate: true });
          const counts = pmds.map((p) => [...coreOf.values()].filter((c) => c === p.coreId).length);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(mode === 'cycles' ? 2 : 1);
        }
        const { coreOf } = assignRxQueues(pmds, queues, { mode: 'group', isolate: true });
        const loads = pmds.map((p) =>
          [...coreOf].reduce((sum, [q, core]) => sum + (core === p.coreId ? q.cycles : 0), 0),
        );
        // Whoever has most got its last queue when it had least.
        const largest = Math.max(0, ...cycles);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(largest);
      }),
    );
  });
});
