import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuleLayout } from '../classifier/generated/rule.ts';
import type { CodecContext } from '../openflow/codec.ts';
import { flowStatsEntry } from '../openflow/flow-messages.ts';
import { parseFlow } from '../openflow/flow-text.ts';
import { sampleFlows } from '../openflow/testing/flows.ts';
import { FlowStatsWriter } from './flow-stats-writer.ts';
import { executeFlowMod } from './flow-mod.ts';
import type { FlowModHost } from './flow-mod.ts';
import { FlowTables } from './flow-tables.ts';
import { elapsedMs, flagsFromBits } from './rule-view.ts';
import { TestDependencies } from './testing/bench.ts';

/** Entries by plans are byte for byte those of the codec. */
const deps = new TestDependencies();
const tables = new FlowTables(deps.core, 1);
const host: FlowModHost = {
  tables,
  nowMs: () => deps.clock.nowMs(),
  added: () => undefined,
  replaced: () => undefined,
  removed: () => undefined,
  publish: () => undefined,
};

const forms: readonly CodecContext[] = [
  { version: 1, flowFormat: 'openflow10' },
  { version: 1, flowFormat: 'nxm' },
  { version: 3 },
  { version: 4 },
  { version: 5 },
];

function byCodec(rule: number, context: CodecContext): string {
  const { rules } = tables;
  const nowMs = deps.clock.nowMs();
  const sec = (ms: number): number => Math.floor(elapsedMs(ms, nowMs) / 1000);
  const entry = flowStatsEntry(
    {
      match: rules.match(rule),
      priority: rules.priority(rule),
      cookie: rules.cookie(rule),
      tableId: rules.tableId(rule),
      durationMs: elapsedMs(rules.createdMs(rule), nowMs),
      idleTimeoutSec: rules.idleTimeoutSec(rule),
      hardTimeoutSec: rules.hardTimeoutSec(rule),
      idleAgeSec: sec(rules.usedMs(rule)),
      hardAgeSec: sec(rules.modifiedMs(rule)),
      packetCount: rules.packets(rule),
      byteCount: rules.bytes(rule),
      flags: flagsFromBits(rules.flags(rule)),
      importance: rules.importance(rule),
      actions: rules.actions(rule),
    },
    context,
  );
  return Buffer.from(entry).toString('hex');
}

function add(text: string): void {
  executeFlowMod(host, parseFlow(text, 'add').flow);
}

function compareAll(): void {
  const found = [...tables.all(0), ...tables.all(3), ...tables.all(9)];
  for (const context of forms) {
    const writer = new FlowStatsWriter(deps.core, tables.rules, tables, context, deps.clock.nowMs());
    const out = new Uint8Array(0x1_0000);
    writer.newStep();
    // Twice: with plans that are made, and with those that are there.
    for (const rule of [...found, ...found]) {
      const length = writer.write(rule, out, 100);
      expect(Buffer.from(out.subarray(100, 100 + length)).toString('hex')).toBe(byCodec(rule, context));
    }
  }
}

test('flows of all kinds', () => {
  for (const [i, text] of sampleFlows.entries()) {
    if (!/table=254|goto_table/.test(text)) add(`priority=${i},${text}`);
  }
  deps.clock.advance(123_456);
  let n = 1;
  for (const rule of tables.all(0))
    deps.core.x.ruleCredit(rule, n, n++ * 2 ** 33, deps.clock.nowMs() - 5000 * n);
  compareAll();
});

test('many rules of the same masks with values of any kind', () => {
  const byte = fc.nat(255);
  const flow = fc.oneof(
    fc.tuple(byte, byte, byte).map(([a, b, c]) => `ip,nw_dst=10.${a}.${b}.${c}`),
    fc.tuple(byte, byte).map(([a, b]) => `tcp,nw_src=10.${a}.0.0/16,tp_dst=${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `udp,nw_src=10.${a}.0.0/16,tp_dst=${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `dl_vlan=${a},dl_vlan_pcp=${b & 7}`),
    fc.tuple(byte, byte).map(([a, b]) => `dl_type=${0x600 + a},reg1=${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `tcp6,ipv6_dst=fe80::${a}:${b}/${128 - (a & 15)}`),
    fc.tuple(byte, byte).map(([a, b]) => `icmp,icmp_type=${a},icmp_code=${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `arp,arp_op=${a},arp_tpa=1.2.3.${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `in_port=${a},metadata=${b}/0xff`),
  );
  const actions = fc.oneof(
    byte.map((p) => `output:${p + 1}`),
    fc.constant('drop'),
    byte.map((v) => `load:${v}->NXM_NX_REG0[0..7],resubmit(,3)`),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(flow, actions, fc.nat(65535)), { maxLength: 40 }), (list) => {
      for (const [match, action, priority] of list)
        add(`table=9,priority=${priority},${match},actions=${action}`);
      compareAll();
      // A rule that is held but gone is told too, without the plan of its former subtable.
      const [rule] = tables.all(9);
      if (rule !== undefined) {
        tables.change((change) => {
          tables.remove(change, rule);
        }, host);
        expect(deps.core.dv.getUint32(rule + RuleLayout.state, true)).not.toBe(1);
        const context = { version: 5 };
        const writer = new FlowStatsWriter(deps.core, tables.rules, tables, context, deps.clock.nowMs());
        const out = new Uint8Array(0x1_0000);
        const length = writer.write(rule, out, 0);
        expect(Buffer.from(out.subarray(0, length)).toString('hex')).toBe(byCodec(rule, context));
      }
      tables.change((change) => {
        for (const old of tables.all(9)) tables.remove(change, old);
      }, host);
      deps.core.x.quiesce();
    }),
    { numRuns: 40 },
  );
});
