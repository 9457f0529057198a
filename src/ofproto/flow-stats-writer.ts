import type { Core } from '../arena/core.ts';
import { RuleLayout } from '../classifier/generated/rule.ts';
import { fieldByHeader } from '../flow/fields.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { ByteWriter } from '../openflow/byte-io.ts';
import type { CodecContext } from '../openflow/codec.ts';
import { encodeInstructions } from '../openflow/encode-actions.ts';
import { flowStatsEntry } from '../openflow/flow-messages.ts';
import { putNxMatch, putOxmMatch } from '../openflow/match-nxm.ts';
import type { FlowStats } from '../openflow/messages.ts';
import { IpProto } from '../wire/ether-types.ts';
import { decodeOfpacts } from './ofpact-words.ts';
import { elapsedMs, flagsFromBits } from './rule-view.ts';
import type { RuleView } from './rule-view.ts';

/**
 * Entries of a flow_stats_reply, straight from the arena.
 *
 * Rules of one subtable have one mask, so their matches differ only in values: the codec encodes the
 * first, and what it wrote is kept as a plan (the bytes, and where in them values of the key go). Actions
 * are encoded once for all rules that have the same words. What no plan can say goes through the codec, rule
 * by rule; so do rules that have left their subtable.
 *
 * Threads: main. Plans hold subtable addresses, so they end with the step (`newStep`).
 */
interface MatchPlan {
  /** The encoded match with its padding; null: rules of this shape need the codec. */
  readonly bytes: Uint8Array | null;
  /** Length without padding. */
  readonly length: number;
  /** [to, key offset, bytes] of each value. */
  readonly copies: readonly number[];
}

interface EncodedActions {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

const headLength = 48;
const noMatchPlan: MatchPlan = { bytes: null, length: 0, copies: [] };
const maxCachedActions = 4096;
/** Longest entry: a match of all fields and 64 KiB of actions would not fit into a message anyway. */
const maxEntry = 0xffff;

export class FlowStatsWriter {
  readonly #core: Core;
  readonly #rules: RuleView;
  readonly #flowKey: number;
  readonly #maskKey: number;
  readonly #context: CodecContext;
  readonly #nowMs: number;
  readonly #isNxm: boolean;
  readonly #hasPlans: boolean;
  readonly #plans = new Map<number, Map<number, MatchPlan>>();
  readonly #actions = new Map<number, EncodedActions>();
  #lastSubtable = 0;
  #lastShape = -1;
  #lastPlan: MatchPlan = noMatchPlan;
  #lastActions: EncodedActions = { words: new Uint32Array(0), bytes: new Uint8Array(0) };

  /** @param keys Two scratch keys of the arena. */
  constructor(
    core: Core,
    rules: RuleView,
    keys: { readonly flowKey: number; readonly maskKey: number },
    context: CodecContext,
    nowMs: number,
  ) {
    this.#core = core;
    this.#rules = rules;
    this.#flowKey = keys.flowKey;
    this.#maskKey = keys.maskKey;
    this.#context = context;
    this.#nowMs = nowMs;
    this.#isNxm = context.version === 1;
    this.#hasPlans = context.version !== 1 || context.flowFormat === 'nxm';
  }

  /** Addresses from before mean nothing any more. */
  newStep(): void {
    this.#plans.clear();
    this.#lastSubtable = 0;
  }

  /**
   * Writes the entry of a rule to `out` at `at`.
   *
   * @returns Its length, or its negative when it does not fit; then nothing was written.
   */
  write(rule: number, out: Uint8Array, at: number): number {
    const plan = this.#hasPlans && this.#rules.isInserted(rule) ? this.#planOf(rule) : noMatchPlan;
    if (plan.bytes === null) return this.#writeByCodec(rule, out, at);
    const actions = this.#actionsOf(rule);
    const length = headLength + plan.bytes.length + actions.length;
    if (length > maxEntry) return this.#writeByCodec(rule, out, at);
    if (at + length > 0xffff) return -length;
    this.#writeHead(rule, out, at, length, plan.length);
    let to = at + headLength;
    out.set(plan.bytes, to);
    const { u8 } = this.#core;
    const { copies } = plan;
    for (let i = 0; i < copies.length; i += 3) {
      const value = to + (copies[i] ?? 0);
      const key = this.#flowKey + (copies[i + 1] ?? 0);
      const n = copies[i + 2] ?? 0;
      for (let j = 0; j < n; j++) out[value + j] = u8[key + j] ?? 0;
    }
    to += plan.bytes.length;
    out.set(actions, to);
    return length;
  }

  #writeByCodec(rule: number, out: Uint8Array, at: number): number {
    const bytes = flowStatsEntry(this.#flowStats(rule), this.#context);
    if (at + bytes.length > 0xffff) return -bytes.length;
    out.set(bytes, at);
    return bytes.length;
  }

  // -- the part before the match --------------------------------------------------------------

  #writeHead(rule: number, out: Uint8Array, at: number, length: number, matchLength: number): void {
    const { dv, u8 } = this.#core;
    const { version } = this.#context;
    const ageMs = elapsedMs(dv.getFloat64(rule + RuleLayout.createdMs, true), this.#nowMs);
    put16(out, at, length);
    out[at + 2] = u8[rule + RuleLayout.tableId] ?? 0;
    out[at + 3] = 0;
    put32(out, at + 4, Math.floor(ageMs / 1000));
    put32(out, at + 8, (ageMs % 1000) * 1_000_000);
    put16(out, at + 12, dv.getInt32(rule + RuleLayout.priority, true));
    put16(out, at + 14, dv.getUint16(rule + RuleLayout.idleTimeoutSec, true));
    put16(out, at + 16, dv.getUint16(rule + RuleLayout.hardTimeoutSec, true));
    if (this.#isNxm) {
      put16(out, at + 18, matchLength);
      put16(out, at + 20, this.#age(dv.getFloat64(rule + RuleLayout.usedMs, true)));
      put16(out, at + 22, this.#age(dv.getFloat64(rule + RuleLayout.modifiedMs, true)));
    } else {
      // The bits of the rule are those of the wire, less the one of emergency flows.
      put16(out, at + 18, version >= 4 ? dv.getUint16(rule + RuleLayout.flags, true) & 31 : 0);
      put16(out, at + 20, version >= 5 ? dv.getUint16(rule + RuleLayout.importance, true) : 0);
      put16(out, at + 22, 0);
    }
    this.#put64(rule + RuleLayout.cookie, out, at + 24);
    this.#put64(rule + RuleLayout.packets, out, at + 32);
    this.#put64(rule + RuleLayout.bytes, out, at + 40);
  }

  #age(sinceMs: number): number {
    return Math.min(Math.floor(elapsedMs(sinceMs, this.#nowMs) / 1000) + 1, 0xffff);
  }

  /** A little-endian u64 of the arena, big-endian. */
  #put64(from: number, out: Uint8Array, at: number): void {
    const { u32 } = this.#core;
    put32(out, at, u32[(from >>> 2) + 1] ?? 0);
    put32(out, at + 4, u32[from >>> 2] ?? 0);
  }

  // -- matches --------------------------------------------------------------------------------

  /** The plan for a rule, whose match is left in the scratch keys. */
  #planOf(rule: number): MatchPlan {
    const { dv, x, u8 } = this.#core;
    x.ruleExpand(rule, this.#flowKey, this.#maskKey);
    const flow = this.#flowKey;
    const subtable = dv.getUint32(rule + RuleLayout.subtable, true);
    const dlType = ((u8[flow + K.dlType] ?? 0) << 8) | (u8[flow + K.dlType + 1] ?? 0);
    const hasVid = ((u8[flow + K.vlanTci0] ?? 0) & 0x1f) !== 0 || u8[flow + K.vlanTci0 + 1] !== 0;
    const hasCtProto = u8[flow + K.ctNwProto] !== 0;
    // All that decides which fields stand in a match, besides its mask.
    const shape =
      dlType | ((u8[flow + K.nwProto] ?? 0) << 16) | (hasVid ? 1 << 24 : 0) | (hasCtProto ? 1 << 25 : 0);
    if (subtable === this.#lastSubtable && shape === this.#lastShape) return this.#lastPlan;
    const shapes = this.#plans.get(subtable) ?? new Map<number, MatchPlan>();
    if (shapes.size === 0) this.#plans.set(subtable, shapes);
    let plan = shapes.get(shape);
    if (plan === undefined) shapes.set(shape, (plan = this.#makePlan(rule)));
    this.#lastSubtable = subtable;
    this.#lastShape = shape;
    this.#lastPlan = plan;
    return plan;
  }

  #makePlan(rule: number): MatchPlan {
    const { u8 } = this.#core;
    const flow = this.#flowKey;
    // Neighbour discovery and packets without Ethernet: values decide further.
    if (u8[flow + K.nwProto] === IpProto.icmpv6) return noMatchPlan;
    for (let i = 0; i < 4; i++) if (u8[flow + K.packetType + i] !== 0) return noMatchPlan;
    const match = this.#rules.match(rule);
    const w = new ByteWriter();
    if (this.#isNxm) {
      const length = putNxMatch(w, match);
      return planOf(w.finish(), 0, length);
    }
    putOxmMatch(w, match, this.#context.version);
    const bytes = w.finish();
    return planOf(bytes, 4, ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0));
  }

  // -- actions --------------------------------------------------------------------------------

  #actionsOf(rule: number): Uint8Array {
    const { u32, dv } = this.#core;
    const at = dv.getUint32(rule + RuleLayout.actions, true) >>> 2;
    const n = dv.getUint32(rule + RuleLayout.actionsLength, true) >>> 2;
    if (isSame(this.#lastActions.words, u32, at, n)) return this.#lastActions.bytes;
    let hash = n;
    for (let i = 0; i < n; i++) hash = (Math.imul(hash, 0x9e3779b1) + (u32[at + i] ?? 0)) | 0;
    let found = this.#actions.get(hash);
    if (found === undefined || !isSame(found.words, u32, at, n)) {
      const words = u32.slice(at, at + n);
      const w = new ByteWriter();
      encodeInstructions(w, decodeOfpacts(words), this.#context.version);
      found = { words, bytes: w.finish() };
      if (this.#actions.size >= maxCachedActions) this.#actions.clear();
      this.#actions.set(hash, found);
    }
    this.#lastActions = found;
    return found.bytes;
  }

  #flowStats(rule: number): FlowStats {
    const rules = this.#rules;
    const nowMs = this.#nowMs;
    return {
      match: rules.match(rule),
      priority: rules.priority(rule),
      cookie: rules.cookie(rule),
      tableId: rules.tableId(rule),
      durationMs: elapsedMs(rules.createdMs(rule), nowMs),
      idleTimeoutSec: rules.idleTimeoutSec(rule),
      hardTimeoutSec: rules.hardTimeoutSec(rule),
      idleAgeSec: Math.floor(elapsedMs(rules.usedMs(rule), nowMs) / 1000),
      hardAgeSec: Math.floor(elapsedMs(rules.modifiedMs(rule), nowMs) / 1000),
      packetCount: rules.packets(rule),
      byteCount: rules.bytes(rule),
      flags: flagsFromBits(rules.flags(rule)),
      importance: rules.importance(rule),
      actions: rules.actions(rule),
    };
  }
}

/** Finds the values in an encoded match: entries from `from` to `length`. */
function planOf(bytes: Uint8Array, from: number, length: number): MatchPlan {
  const copies: number[] = [];
  for (let at = from; at < length;) {
    const headerClass = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const number = bytes[at + 2] ?? 0;
    const field = headerClass === 0xffff ? undefined : fieldByHeader(0, headerClass, number >>> 1)?.field;
    const size = bytes[at + 3] ?? 0;
    if (field === undefined || field.name.startsWith('tun_metadata')) return noMatchPlan;
    if (field.shift !== 0 || field.lowest !== 0 || field.stored !== 8 * field.bytes) {
      // The packet type is Ethernet's here, whatever the rule.
      if (field.name !== 'packet_type') return noMatchPlan;
    }
    copies.push(at + 4, field.end - field.bytes, field.bytes);
    at += 4 + size;
  }
  return { bytes, length, copies };
}

function isSame(words: Uint32Array, u32: Uint32Array, at: number, n: number): boolean {
  if (words.length !== n) return false;
  for (let i = 0; i < n; i++) if (words[i] !== u32[at + i]) return false;
  return true;
}

function put16(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 8;
  out[at + 1] = value;
}
function put32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}
