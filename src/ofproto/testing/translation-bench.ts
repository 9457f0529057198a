import { allocKey, writeKey } from '../../arena/keys.ts';
import { storeBytes, type Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { createMacTable } from '../../classifier/mac-table.ts';
import { RuleLayout } from '../../classifier/generated/rule.ts';
import { parseFlow } from '../../openflow/flow-text.ts';
import { ManualClock } from '../../util/clock.ts';
import { encodeOfpacts } from '../ofpact-words.ts';
import { publishSnapshot, SnapshotReader, type SnapshotBridge, type SnapshotPort } from '../snapshot.ts';
import { runTrace } from '../trace.ts';
import { requestRevalidation } from '../translate/revalidation.ts';
import { Translator } from '../translate/translator.ts';
import { testCore } from './bench.ts';

export interface BenchPort extends Partial<SnapshotPort> {
  readonly name: string;
  readonly ofp: number;
}

/** A bridge of the bench: ports are bundles of their own unless `bundle` says otherwise. */
export interface BenchBridge extends Partial<Omit<SnapshotBridge, 'ports'>> {
  readonly name: string;
  readonly ports: readonly BenchPort[];
}

/**
 * Bridges, rules and a translator in an arena of their own: what tests and benchmarks of translation need.
 * Rules are given as ovs-ofctl text.
 */
export class TranslationBench {
  readonly core: Core;
  readonly clock = new ManualClock(1_000_000);
  readonly snapshots: SnapshotReader;
  readonly translator: Translator;
  readonly bridges: SnapshotBridge[] = [];
  #version = 1;

  constructor(bridges: readonly BenchBridge[], core = testCore()) {
    this.core = core;
    bridges.forEach((b, i) => this.bridges.push(this.#bridge(b, i + 1)));
    this.#setVersion(1);
    this.publish();
    this.snapshots = new SnapshotReader(core);
    this.translator = new Translator(core);
  }

  publish(): void {
    publishSnapshot(this.core, { bridges: this.bridges });
    requestRevalidation(this.core);
  }

  /** Adds a rule; visible at once. @returns Its address. */
  addRule(bridge: string, text: string): number {
    const { core } = this;
    const b = this.#find(bridge);
    const { flow } = parseFlow(text, 'add');
    const key = allocKey(core);
    const mask = allocKey(core);
    writeKey(core, key, flow.match.flow);
    writeKey(core, mask, flow.match.mask);
    const rule = core.x.ruleCreate(key, mask, flow.priority) >>> 0;
    const words = encodeOfpacts(flow.actions);
    if (words.length > 0) {
      const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
      core.x.ruleSetActions(rule, storeBytes(core, bytes), words.byteLength);
    }
    core.dv.setBigUint64(
      rule + RuleLayout.cookie,
      flow.newCookie === 0xffffffffffffffffn ? flow.cookie : flow.newCookie,
      true,
    );
    const table = flow.tableId === 0xff ? 0 : flow.tableId;
    core.dv.setUint8(rule + RuleLayout.tableId, table);
    const slot = (b.tablesPtr >>> 2) + table;
    if (core.u32[slot] === 0) {
      core.u32[slot] = core.x.clsCreate() >>> 0;
      // OVS's default prefix fields (nw_dst, nw_src) are set by clsCreate.
    }
    const cls = core.u32[slot] ?? 0;
    const old = core.x.clsFindExact(cls, key, mask, flow.priority, this.#version) >>> 0;
    this.#version++;
    if (old !== 0) core.x.clsRemove(cls, old, this.#version);
    core.x.clsInsert(cls, rule, this.#version);
    this.#setVersion(this.#version);
    core.x.free(key);
    core.x.free(mask);
    requestRevalidation(core);
    return rule;
  }

  removeRule(rule: number): void {
    const cls = this.core.dv.getUint32(rule + RuleLayout.classifier, true);
    this.#version++;
    this.core.x.clsRemove(cls, rule, this.#version);
    this.#setVersion(this.#version);
    requestRevalidation(this.core);
  }

  setActions(rule: number, text: string): void {
    const { core } = this;
    const words = encodeOfpacts(parseFlow(`actions=${text}`, 'add').flow.actions);
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    core.x.ruleSetActions(rule, words.length === 0 ? 0 : storeBytes(core, bytes), words.byteLength);
    requestRevalidation(core);
  }

  packets(rule: number): number {
    return this.core.x.rulePackets(rule);
  }

  /** `ofproto/trace ARGS`. */
  trace(...args: string[]): string {
    const { core, translator, clock } = this;
    return runTrace(args, { core, translator, clock, snapshot: this.snapshots.get() });
  }

  #setVersion(version: number): void {
    const at = (ARENA_ROOT + ArenaRootLayout.tablesVersion) >>> 2;
    Atomics.store(this.core.u32, at, version);
  }

  #find(name: string): SnapshotBridge {
    const b = this.bridges.find((x) => x.name === name);
    if (b === undefined) throw new Error(`no bridge ${name}`);
    return b;
  }

  #bridge(b: BenchBridge, id: number): SnapshotBridge {
    const { core } = this;
    return {
      id,
      datapathType: 'dummy',
      tablesPtr: core.x.alloc(1024) >>> 0,
      tableMiss: {},
      wantsPacketInOnMiss: false,
      tableCounters: core.x.alloc(255 * 16) >>> 0,
      macTable: createMacTable(core, 8192, 300),
      forwardBpdu: false,
      fragHandling: 'normal',
      failMode: 'secure',
      missRule: 0,
      noPacketInRule: 0,
      dropFragsRule: 0,
      bundles: b.ports.map((p) => ({
        name: p.name,
        vlanMode: 'trunk' as const,
        vlan: -1,
        priorityTags: 'no' as const,
        protected: false,
        floodable: true,
      })),
      ...b,
      ports: b.ports.map((p, i) => ({
        odp: p.peer === undefined ? p.ofp : -1,
        config: 0,
        mayEnable: true,
        mac: 'aa:55:aa:55:00:00',
        bundle: i,
        counters: 0,
        ...p,
      })),
    };
  }
}
