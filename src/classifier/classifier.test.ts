import { describe, expect, it } from 'vitest';
import { ARENA_ROOT } from '../arena/arena.layout.ts';
import type { Core } from '../arena/core.ts';
import { ArenaRootLayout } from '../arena/generated/arena-root.ts';
import { allocKey, readKey, writeKey } from '../arena/keys.ts';
import { memoryStats } from '../arena/memory-stats.ts';
import { settle, testCore } from '../arena/testing/test-core.ts';
import { KeyLayout } from '../flow/generated/key.ts';
import { keyLayout, keyStages } from '../flow/key.layout.ts';
import { SeededRandom } from '../util/random.ts';
import { RuleLayout, ruleWords } from './generated/rule.ts';

const K = KeyLayout;

interface Spec {
  readonly flow: Uint8Array;
  readonly mask: Uint8Array;
  readonly priority: number;
}
interface NaiveRule extends Spec {
  readonly address: number;
  readonly add: number;
  remove: number;
}

/** Random keys and matches from a small universe, so that rules meet packets. */
class Universe {
  readonly random: SeededRandom;
  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }
  pick(n: number): number {
    return this.random.u32() % n;
  }
  key(): Uint8Array {
    const key = new Uint8Array(768);
    const dv = new DataView(key.buffer);
    dv.setUint32(K.inPort, 1 + this.pick(3));
    dv.setUint16(K.dlType, [0x0800, 0x0800, 0x86dd, 0x0806][this.pick(4)] ?? 0);
    dv.setUint8(K.nwProto, [6, 17][this.pick(2)] ?? 0);
    dv.setUint8(K.nwTos, this.pick(2) * 4);
    dv.setUint16(K.tcpFlags, this.pick(3));
    dv.setUint16(K.vlanTci0, this.pick(3) === 0 ? 0x1000 + this.pick(3) : 0);
    dv.setUint32(K.nwSrc, this.address());
    dv.setUint32(K.nwDst, this.address());
    dv.setUint16(K.tpSrc, this.port());
    dv.setUint16(K.tpDst, this.port());
    for (const at of [K.ipv6Src, K.ipv6Dst]) {
      dv.setUint32(at, 0x2001_0db8);
      dv.setUint32(at + 4, this.pick(2));
      dv.setUint32(at + 12, this.address());
    }
    dv.setUint8(K.dlDst + 5, this.pick(4));
    dv.setUint32(K.regs + 4 * this.pick(2), this.pick(3));
    dv.setUint32(K.ctState, this.pick(2) << 5);
    dv.setUint32(K.mplsLse0, this.pick(2) << 12);
    return key;
  }
  address(): number {
    return (0x0a00_0000 | (this.pick(4) << 16) | (this.pick(3) << 8) | this.pick(6)) >>> 0;
  }
  port(): number {
    return [80, 81, 443, 1024 + this.pick(16)][this.pick(4)] ?? 0;
  }
  match(): Spec {
    const flow = this.key();
    const mask = new Uint8Array(768);
    const dv = new DataView(mask.buffer);
    const on = (chance: number): boolean => this.pick(100) < chance;
    const prefix = (): number => {
      const n = [32, 24, 16, 8, 20, 30, 1 + this.pick(32)][this.pick(7)] ?? 32;
      return (0xffff_ffff << (32 - n)) >>> 0;
    };
    if (on(30)) dv.setUint32(K.inPort, 0xffff_ffff);
    if (on(70)) dv.setUint16(K.dlType, 0xffff);
    if (on(30)) dv.setUint8(K.nwProto, 0xff);
    if (on(10)) dv.setUint8(K.nwTos, 0xfc);
    if (on(10)) dv.setUint16(K.tcpFlags, 1 + this.pick(3));
    if (on(15)) dv.setUint16(K.vlanTci0, 0x1fff);
    if (on(40)) dv.setUint32(K.nwDst, on(10) ? 0xff00_ffff : prefix());
    if (on(30)) dv.setUint32(K.nwSrc, on(10) ? 0x0000_00ff : prefix());
    if (on(20)) dv.setUint16(K.tpDst, on(50) ? 0xffff : 0xfff0);
    if (on(15)) dv.setUint16(K.tpSrc, 0xffff);
    if (on(15)) {
      mask.fill(0xff, K.ipv6Dst, K.ipv6Dst + 8);
      if (on(50)) mask.fill(0xff, K.ipv6Dst + 8, K.ipv6Dst + 16);
    }
    if (on(15)) dv.setUint8(K.dlDst + 5, 0xff);
    if (on(10)) dv.setUint32(K.regs, 0xffff_ffff);
    if (on(10)) dv.setUint32(K.ctState, 1 << 5);
    if (on(5)) dv.setUint32(K.mplsLse0, 0xffff_f000);
    for (let i = 0; i < 768; i++) flow[i] = (flow[i] ?? 0) & (mask[i] ?? 0);
    return { flow, mask, priority: this.pick(8) };
  }
}

const matches = (spec: Spec, key: Uint8Array): boolean =>
  spec.mask.every((m, i) => (((key[i] ?? 0) ^ (spec.flow[i] ?? 0)) & m) === 0);
const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((v, i) => v === b[i]);

/** A classifier and the list that tells what it must answer. */
class Pair {
  readonly core: Core;
  readonly cls: number;
  readonly f: number;
  readonly m: number;
  rules: NaiveRule[] = [];
  version = 1;
  constructor(core: Core) {
    this.core = core;
    this.cls = core.x.clsCreate() >>> 0;
    this.f = allocKey(core);
    this.m = allocKey(core);
  }
  publish(): void {
    const u64 = new BigUint64Array(this.core.memory.buffer);
    Atomics.store(u64, (ARENA_ROOT + ArenaRootLayout.tablesVersion) / 8, BigInt(++this.version));
  }
  load(flow: Uint8Array, mask: Uint8Array): void {
    writeKey(this.core, this.f, flow);
    writeKey(this.core, this.m, mask);
  }
  exact(spec: Spec, version = this.version): number {
    this.load(spec.flow, spec.mask);
    return this.core.x.clsFindExact(this.cls, this.f, this.m, spec.priority, version) >>> 0;
  }
  /** Adds as a flow_mod does: the rule with the same match and priority is replaced in the next version. */
  add(spec: Spec): void {
    const old = this.exact(spec, this.version + 1);
    const naiveOld = this.rules.find(
      (r) =>
        this.alive(r) && r.priority === spec.priority && same(r.mask, spec.mask) && same(r.flow, spec.flow),
    );
    expect(old).toBe(naiveOld?.address ?? 0);
    if (naiveOld !== undefined) this.remove(naiveOld);
    this.load(spec.flow, spec.mask);
    const address = this.core.x.ruleCreate(this.f, this.m, spec.priority) >>> 0;
    expect(this.core.x.clsInsert(this.cls, address, this.version + 1)).toBe(1);
    this.rules.push({ ...spec, address, add: this.version + 1, remove: Infinity });
  }
  alive(r: NaiveRule): boolean {
    return r.remove === Infinity;
  }
  remove(rule: NaiveRule): void {
    this.core.x.clsRemove(this.cls, rule.address, this.version + 1);
    rule.remove = this.version + 1;
  }
  lookup(key: Uint8Array, version: number): { rule: number; wc: Uint8Array } {
    this.load(key, new Uint8Array(768));
    const rule = this.core.x.clsLookup(this.cls, version, this.f, this.m) >>> 0;
    const wc = readKey(this.core, this.m);
    expect(this.core.x.clsLookup(this.cls, version, this.f, 0) >>> 0).toBe(rule);
    return { rule, wc };
  }
  check(key: Uint8Array, version: number): { rule: number; wc: Uint8Array } {
    const got = this.lookup(key, version);
    const fits = this.rules.filter((r) => r.add <= version && version < r.remove && matches(r, key));
    const best = Math.max(...fits.map((r) => r.priority));
    const allowed = fits.filter((r) => r.priority === best).map((r) => r.address);
    if (allowed.length === 0) expect(got.rule).toBe(0);
    else expect(allowed).toContain(got.rule);
    return got;
  }
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('classifier, random rules %i', (seed) => {
  it('finds what a plain search finds, in each version, with a mask that tells all that decided', () => {
    const core = testCore({ seed });
    const u = new Universe(seed);
    const pair = new Pair(core);
    if (seed % 3 === 0) core.x.clsSetPrefixes(pair.cls, K.ipv6Dst | (128 << 16), K.nwSrc | (32 << 16), 0);
    settle(core);
    const blocksBefore = memoryStats(core).blocksInUse;
    const masks = Array.from({ length: 12 }, () => u.match());
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 20; i++) {
        const spec = u.match();
        const shape = masks[u.pick(masks.length)];
        // Half of the rules share masks, so that subtables fill up.
        if (u.pick(2) === 0 && shape !== undefined) {
          const key = u.key();
          const flow = key.map((b, at) => b & (shape.mask[at] ?? 0));
          pair.add({ flow, mask: shape.mask, priority: u.pick(8) });
        } else pair.add(spec);
      }
      for (const r of pair.rules) if (pair.alive(r) && u.pick(6) === 0) pair.remove(r);
      const before = pair.version;
      // Unpublished: readers of the version before see nothing of it.
      core.x.quiesce();
      for (let i = 0; i < 10; i++) pair.check(u.key(), before);
      pair.publish();
      if (round === 6 && seed % 2 === 0)
        core.x.clsSetPrefixes(pair.cls, K.nwSrc | (32 << 16), K.ipv6Dst | (128 << 16), K.nwDst | (32 << 16));
      for (let i = 0; i < 25; i++) {
        const key = u.key();
        pair.check(key, before);
        const { rule, wc } = pair.check(key, pair.version);
        // Any packet that agrees on the bits of wc gets the same rule.
        for (let j = 0; j < 10; j++) {
          const other = u.key().map((b, at) => (b & ~(wc[at] ?? 0)) | ((key[at] ?? 0) & (wc[at] ?? 0)));
          expect(pair.lookup(other, pair.version).rule).toBe(rule);
        }
      }
      settle(core);
      expect(core.x.clsRuleCount(pair.cls)).toBe(pair.rules.filter((r) => pair.alive(r)).length);
      pair.rules = pair.rules.filter((r) => pair.alive(r));
    }
    const walked: number[] = [];
    for (let r = core.x.clsFirst(pair.cls) >>> 0; r !== 0; r = core.x.clsNext(pair.cls, r) >>> 0)
      walked.push(r);
    expect(walked).toEqual(pair.rules.map((r) => r.address));
    for (const r of pair.rules) pair.remove(r);
    pair.publish();
    settle(core);
    expect(core.x.clsSubtableCount(pair.cls)).toBe(0);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: blocksBefore, limboBlocks: 0, badFrees: 0 });
    core.x.clsDestroy(pair.cls);
    core.x.free(pair.f);
    core.x.free(pair.m);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: 0, badFrees: 0 });
  });
});

describe('match words', () => {
  it('come in the order of keyStages, each bit of each field once', () => {
    const core = testCore({ sizeMb: 16 });
    const [f, m] = [allocKey(core), allocKey(core)];
    const mask = new Uint8Array(768);
    const stageOfByte = new Array<number>(768).fill(-1);
    for (const [name, field] of Object.entries(keyLayout.fields)) {
      const size =
        field.type === 'bytes' ? field.length : { u8: 1, be16: 2, be32: 4, be64: 8, mac: 6 }[field.type];
      mask.fill(0xff, field.at, field.at + size);
      stageOfByte.fill(keyStages[name as keyof typeof keyStages], field.at, field.at + size);
    }
    writeKey(core, f, mask);
    writeKey(core, m, mask);
    const rule = core.x.ruleCreate(f, m, 1) >>> 0;
    const words = ruleWords(core.dv, rule);
    const seen = new Uint8Array(768);
    let stage = 0;
    for (let i = 0; i < words; i++) {
      const at = core.dv.getUint16(rule + RuleLayout.size + words * 8 + i * 2, true);
      for (let b = 0; b < 4; b++) {
        if (core.dv.getUint8(rule + RuleLayout.size + (words + i) * 4 + b) === 0) continue;
        expect(stageOfByte[at + b]).toBeGreaterThanOrEqual(stage);
        stage = stageOfByte[at + b] ?? 0;
        seen[at + b] = (seen[at + b] ?? 0) + 1;
      }
    }
    expect(stage).toBe(3);
    expect(seen.every((n, at) => n === (mask[at] === 0 ? 0 : 1))).toBe(true);
  });
});

describe('selection', () => {
  it('expands a rule to the match it was made of, and selects by loose match and overlap', () => {
    const core = testCore();
    const u = new Universe(99);
    const pair = new Pair(core);
    const a = allocKey(core);
    const b = allocKey(core);
    for (let i = 0; i < 60; i++) pair.add({ ...u.match(), priority: u.pick(3) });
    pair.publish();
    pair.rules = pair.rules.filter((r) => pair.alive(r));
    for (const r of pair.rules) {
      core.x.ruleExpand(r.address, a, b);
      expect(same(readKey(core, a), r.flow) && same(readKey(core, b), r.mask)).toBe(true);
    }
    let loose = 0;
    for (let i = 0; i < 200; i++) {
      const q = u.match();
      let overlaps = false;
      for (const r of pair.rules) {
        const isWithin = q.mask.every(
          (m, at) => (m & ~(r.mask[at] ?? 0)) === 0 && (((r.flow[at] ?? 0) ^ (q.flow[at] ?? 0)) & m) === 0,
        );
        pair.load(q.flow, q.mask);
        expect(core.x.ruleMatchesLoose(r.address, pair.f, pair.m)).toBe(isWithin ? 1 : 0);
        if (isWithin) loose++;
        if (r.priority === 1)
          overlaps ||= q.mask.every(
            (m, at) => (((r.flow[at] ?? 0) ^ (q.flow[at] ?? 0)) & m & (r.mask[at] ?? 0)) === 0,
          );
      }
      pair.load(q.flow, q.mask);
      expect(core.x.ruleOverlaps(pair.cls, pair.f, pair.m, 1, pair.version)).toBe(overlaps ? 1 : 0);
    }
    expect(loose).toBeGreaterThan(0);
  });

  it('takes an unpublished removal back', () => {
    const core = testCore();
    const u = new Universe(5);
    const pair = new Pair(core);
    const spec = u.match();
    pair.add(spec);
    pair.publish();
    const rule = pair.exact(spec);
    core.x.clsRemove(pair.cls, rule, pair.version + 1);
    core.x.quiesce();
    core.x.clsRestore(pair.cls, rule);
    settle(core);
    pair.publish();
    settle(core);
    expect(pair.exact(spec)).toBe(rule);
    core.x.clsRemove(pair.cls, rule, pair.version + 1);
    core.x.clsRestore(pair.cls, rule);
    core.x.clsRemove(pair.cls, rule, pair.version + 1);
    pair.publish();
    settle(core);
    expect(pair.exact(spec)).toBe(0);
    expect(memoryStats(core)).toMatchObject({ badFrees: 0, limboBlocks: 0 });
  });

  it('keeps a removed rule that is still referenced', () => {
    const core = testCore();
    const pair = new Pair(core);
    const spec = new Universe(3).match();
    pair.add(spec);
    pair.publish();
    const rule = pair.exact(spec);
    core.x.ruleRef(rule);
    core.x.clsRemove(pair.cls, rule, pair.version + 1);
    pair.publish();
    settle(core);
    core.x.ruleCredit(rule, 3, 300, 12.5);
    core.x.ruleCredit(rule, 2, 2 ** 33, 11);
    expect([core.x.rulePackets(rule), core.x.ruleBytes(rule)]).toEqual([5, 300 + 2 ** 33]);
    const before = memoryStats(core).blocksInUse;
    core.x.ruleUnref(rule);
    settle(core);
    expect(memoryStats(core).blocksInUse).toBe(before - 1);
  });
});

describe('a full arena', () => {
  it('refuses a rule whole, and answers as before', () => {
    const core = testCore({ sizeMb: 16 });
    const u = new Universe(17);
    const pair = new Pair(core);
    let refused = 0;
    for (let i = 0; refused < 50; i++) {
      const spec = u.match();
      new DataView(spec.flow.buffer).setUint32(K.nwDst, u.random.u32());
      new DataView(spec.mask.buffer).setUint32(K.nwDst, 0xffff_ffff);
      new DataView(spec.flow.buffer).setUint32(K.metadata, i);
      new DataView(spec.mask.buffer).setUint32(K.metadata, 0xffff_ffff);
      pair.load(spec.flow, spec.mask);
      const rule = core.x.ruleCreate(pair.f, pair.m, 1) >>> 0;
      if (rule === 0 || core.x.clsInsert(pair.cls, rule, pair.version + 1) === 0) {
        refused++;
        if (rule !== 0) core.x.ruleDestroy(rule);
      } else if (i % 97 === 0)
        pair.rules.push({ ...spec, priority: 1, address: rule, add: pair.version + 1, remove: Infinity });
    }
    pair.publish();
    for (const r of pair.rules) {
      pair.load(r.flow, new Uint8Array(768));
      expect(core.x.clsLookup(pair.cls, pair.version, pair.f, pair.m) >>> 0).toBe(r.address);
    }
    core.x.clsDestroy(pair.cls);
    settle(core);
    expect(memoryStats(core)).toMatchObject({ blocksInUse: 2, badFrees: 0 });
  });
});
