import { beforeEach, describe, expect, test } from 'vitest';
import { parseMatchText } from '../flow/match-parse.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowMod, FlowRemovedReason } from '../openflow/messages.ts';
import { noFlowModFlags } from '../openflow/messages.ts';
import { OFPG_ANY, OFPP_NONE, OFP_NO_BUFFER } from '../openflow/ports.ts';
import type { OfpPort } from '../util/brand.ts';
import { FlowLife } from './flow-life.ts';
import type { FlowModHost } from './flow-mod.ts';
import { addInternalFlow, executeFlowMod, looseRules } from './flow-mod.ts';
import { FlowTables } from './flow-tables.ts';
import { TestDependencies } from './testing/bench.ts';

const output = (port: number): Action => ({ kind: 'output', port: port as OfpPort, maxLen: 0 });

interface Options extends Partial<Omit<FlowMod, 'match' | 'actions' | 'flags'>> {
  actions?: readonly Action[];
  flags?: Partial<FlowMod['flags']>;
}

function flowMod(text: string, options: Options = {}): FlowMod {
  const { flags, ...rest } = options;
  return {
    type: 'flow_mod',
    command: 'add',
    match: parseMatchText(text),
    priority: 32768,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: 0n,
    modifyCookie: false,
    tableId: 0,
    idleTimeoutSec: 0,
    hardTimeoutSec: 0,
    bufferId: OFP_NO_BUFFER,
    outPort: OFPP_NONE,
    outGroup: OFPG_ANY,
    importance: 0,
    actions: [],
    ...rest,
    flags: { ...noFlowModFlags, ...flags },
  };
}

let deps: TestDependencies;
let tables: FlowTables;
let life: FlowLife;
let host: FlowModHost;
let removed: [number, FlowRemovedReason][];

beforeEach(() => {
  deps = new TestDependencies();
  tables = new FlowTables(deps.core, 1);
  life = new FlowLife(deps.core, tables.rules, deps.clock.nowMs());
  removed = [];
  host = {
    tables,
    nowMs: () => deps.clock.nowMs(),
    added: (rule) => {
      life.watch(rule);
    },
    replaced: (rule, successor, keep) => {
      life.replaced(rule, successor, keep, deps.clock.nowMs());
    },
    removed: (rule, reason) => {
      removed.push([rule, reason]);
    },
    publish: () => {
      deps.tablesChanged();
    },
  };
});

const run = (text: string, options: Options = {}): void => {
  executeFlowMod(host, flowMod(text, options));
};
const codeOf = (fn: () => void): string => {
  try {
    fn();
  } catch (e) {
    return (e as { code: string }).code;
  }
  return 'none';
};
function all(tableId = 0): number[] {
  const m = flowMod('', { tableId });
  const found = looseRules(tables, m);
  const rules = [...found];
  found.free();
  return rules;
}

describe('add', () => {
  test('makes a rule that the next version shows', () => {
    const before = tables.version;
    run('tcp,tp_dst=80', { priority: 7, newCookie: 5n, tableId: 3, actions: [output(1)] });
    expect(tables.version).toBe(before + 1);
    expect(deps.tablesChanges).toBe(1);
    const [rule = 0] = all(3);
    expect(tables.rules.priority(rule)).toBe(7);
    expect(tables.rules.cookie(rule)).toBe(5n);
    expect(tables.rules.actions(rule)).toEqual([output(1)]);
    expect(tables.rules.match(rule).equals(parseMatchText('tcp,tp_dst=80'))).toBe(true);
    expect(tables.ruleCount(3)).toBe(1);
    expect(deps.core.dv.getUint32(tables.tablesPtr + 12, true)).toBe(tables.classifier(3));
  });

  test('of the same match replaces: new cookie and age, counts kept unless reset, last use kept', () => {
    run('ip', { newCookie: 1n, actions: [output(1)] });
    const [old = 0] = all();
    deps.core.x.ruleCredit(old, 3, 300, deps.clock.nowMs() + 500);
    deps.clock.advance(4000);
    run('ip', { newCookie: 2n, actions: [output(2)] });
    let [rule = 0] = all();
    expect(all()).toHaveLength(1);
    expect([tables.rules.packets(rule), tables.rules.bytes(rule)]).toEqual([3n, 300n]);
    expect(tables.rules.cookie(rule)).toBe(2n);
    expect(tables.rules.createdMs(rule)).toBe(deps.clock.nowMs());
    expect(tables.rules.usedMs(rule)).toBe(deps.clock.nowMs() - 3500);
    run('ip', { flags: { resetCounts: true } });
    [rule = 0] = all();
    expect(tables.rules.packets(rule)).toBe(0n);
  });

  test('late statistics of a replaced rule reach its successor, through several replacements', () => {
    run('ip');
    const [first = 0] = all();
    run('ip', { command: 'modify', actions: [output(1)], newCookie: 9n });
    const [second = 0] = all();
    run('ip', { command: 'modify', actions: [output(2)], newCookie: 9n });
    const [third = 0] = all();
    deps.core.x.ruleCredit(first, 5, 500, deps.clock.nowMs() + 10);
    deps.core.x.ruleCredit(second, 1, 100, deps.clock.nowMs() + 20);
    life.settle(deps.clock.nowMs());
    expect([tables.rules.packets(third), tables.rules.bytes(third)]).toEqual([6n, 600n]);
    expect(tables.rules.usedMs(third)).toBe(deps.clock.nowMs() + 20);
  });

  test('check_overlap refuses only an overlapping rule of the same priority', () => {
    run('ip,nw_dst=10.0.0.0/8');
    const flags = { checkOverlap: true };
    expect(
      codeOf(() => {
        run('tcp', { flags });
      }),
    ).toBe('OFPFMFC_OVERLAP');
    expect(
      codeOf(() => {
        run('tcp', { flags, priority: 1 });
      }),
    ).toBe('none');
    expect(
      codeOf(() => {
        run('arp', { flags });
      }),
    ).toBe('none');
  });

  test('a full table refuses, and keeps replacing', () => {
    tables.config(0).flowLimit = 1;
    run('ip');
    expect(
      codeOf(() => {
        run('arp');
      }),
    ).toBe('OFPFMFC_TABLE_FULL');
    run('ip', { actions: [output(1)] });
    expect(all()).toHaveLength(1);
  });

  test("table 255 means 0; table 254 is the switch's own", () => {
    run('ip', { tableId: 255 });
    expect(all()).toHaveLength(1);
    expect(
      codeOf(() => {
        run('ip', { tableId: 254 });
      }),
    ).toBe('OFPBRC_EPERM');
  });
});

describe('modify', () => {
  test('changes actions of all more specific rules in one version and leaves the rest', () => {
    run('tcp', { newCookie: 1n, idleTimeoutSec: 9, actions: [output(1)], flags: { sendFlowRem: true } });
    run('udp', { newCookie: 2n, actions: [output(1)] });
    run('arp', { actions: [output(1)] });
    deps.clock.advance(2000);
    const version = tables.version;
    run('ip', { command: 'modify', newCookie: 7n, modifyCookie: true, actions: [output(3)] });
    expect(tables.version).toBe(version + 1);
    const { rules } = tables;
    const ports = all().map((r) => [
      rules.match(r).flow[20],
      rules.cookie(r),
      rules.idleTimeoutSec(r),
      rules.actions(r),
    ]);
    expect(ports).toHaveLength(3);
    const tcp = all().find((r) => rules.idleTimeoutSec(r) === 9) ?? 0;
    expect(rules.actions(tcp)).toEqual([output(3)]);
    expect(rules.cookie(tcp)).toBe(7n);
    expect(rules.flags(tcp)).toBe(1);
    expect(deps.clock.nowMs() - rules.createdMs(tcp)).toBe(2000);
    expect(rules.modifiedMs(tcp)).toBe(deps.clock.nowMs());
    expect(
      all().filter((r) => JSON.stringify(rules.actions(r)) === JSON.stringify([output(1)])),
    ).toHaveLength(1);
  });

  test('strict changes only the same match and priority', () => {
    run('tcp', { priority: 5 });
    run('tcp', { priority: 6 });
    run('tcp', { command: 'modify_strict', priority: 6, actions: [output(1)], newCookie: 0n });
    const changed = all().filter((r) => tables.rules.actions(r).length > 0);
    expect(changed.map((r) => tables.rules.priority(r))).toEqual([6]);
  });

  test('adds when nothing is found, but not when it looked for a cookie', () => {
    run('tcp', { command: 'modify', actions: [output(1)] });
    expect(all()).toHaveLength(1);
    run('udp', { command: 'modify', cookie: 1n, cookieMask: 1n });
    run('icmp', { command: 'modify', newCookie: 0xffff_ffff_ffff_ffffn });
    expect(all()).toHaveLength(1);
  });
});

describe('delete', () => {
  beforeEach(() => {
    run('tcp', { newCookie: 0x11n, actions: [output(1)] });
    run('udp', { newCookie: 0x12n, actions: [{ kind: 'write_actions', actions: [output(2)] }] });
    run('arp', { newCookie: 0x21n, tableId: 2 });
  });

  test('loose takes more specific rules, of one table or all', () => {
    run('ip', { command: 'delete' });
    expect(removed.map(([, reason]) => reason)).toEqual(['delete', 'delete']);
    expect(all(0xff)).toHaveLength(1);
    run('', { command: 'delete', tableId: 0xff });
    expect(all(0xff)).toHaveLength(0);
  });
  test('by cookie and mask', () => {
    run('', { command: 'delete', tableId: 0xff, cookie: 0x10n, cookieMask: 0xf0n });
    expect(all(0xff).map((r) => tables.rules.cookie(r))).toEqual([0x21n]);
  });
  test('by output port', () => {
    run('', { command: 'delete', outPort: 2 as OfpPort });
    expect(all().map((r) => tables.rules.cookie(r))).toEqual([0x11n]);
  });
  test('strict needs the priority', () => {
    run('tcp', { command: 'delete_strict', priority: 1 });
    expect(all()).toHaveLength(2);
    run('tcp', { command: 'delete_strict' });
    expect(all()).toHaveLength(1);
  });
  test('leaves hidden rules alone', () => {
    addInternalFlow(host, 0, parseMatchText(''), 0xf0f0f0, []);
    run('', { command: 'delete' });
    expect(all()).toHaveLength(0);
    expect([...tables.all(0)]).toHaveLength(1);
  });
});

describe('time-outs', () => {
  const expired: string[] = [];
  const second = (): void => {
    deps.clock.advance(1000);
    tables.change((change) => {
      life.run(deps.clock.nowMs(), (rule, reason) => {
        tables.remove(change, rule);
        expired.push(`${tables.rules.cookie(rule)} ${reason} ${deps.clock.nowMs() - 1_000_000}`);
      });
    }, host);
    deps.core.x.quiesce();
  };

  test('hard counts from the last change, idle from the last packet', () => {
    expired.length = 0;
    run('tcp', { newCookie: 1n, hardTimeoutSec: 3 });
    run('udp', { newCookie: 2n, idleTimeoutSec: 3 });
    run('arp', { newCookie: 3n, hardTimeoutSec: 40, idleTimeoutSec: 50 });
    run('icmp', { newCookie: 4n, hardTimeoutSec: 4 });
    for (let i = 0; i < 2; i++) second();
    const udp = all().find((r) => tables.rules.cookie(r) === 2n) ?? 0;
    deps.core.x.ruleCredit(udp, 1, 60, deps.clock.nowMs());
    run('icmp', { command: 'modify', actions: [output(1)], newCookie: 0xffff_ffff_ffff_ffffn });
    for (let i = 0; i < 50; i++) second();
    expect(expired).toEqual(['1 hard 4000', '2 idle 6000', '4 hard 7000', '3 hard 41000']);
    expect(all()).toHaveLength(0);
  });
});

test('a change that fails leaves the tables as they were', () => {
  run('tcp', { newCookie: 1n, actions: [output(1)] });
  run('udp', { newCookie: 2n, actions: [output(1)] });
  const version = tables.version;
  expect(() => {
    tables.change((change) => {
      for (const rule of all()) tables.remove(change, rule);
      throw new Error('stop');
    }, host);
  }).toThrow('stop');
  expect(tables.version).toBe(version);
  expect(
    all()
      .map((r) => tables.rules.cookie(r))
      .sort(),
  ).toEqual([1n, 2n]);
});
