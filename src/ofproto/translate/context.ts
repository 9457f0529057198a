import type { Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { allocOrThrow } from '../../arena/core.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { formatFlow } from '../../flow/match-format.ts';
import { readKey } from '../../arena/keys.ts';
import { OdpActionWriter } from '../../odp/action-writer.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import type { XBridge } from '../snapshot.ts';
import type { TraceKind, TraceSink, XlateError, XlateInput } from './types.ts';
import { xlateErrors } from './types.ts';
import { unrefFrozen } from './frozen.ts';
import { BytePool, Layers } from './layers.ts';

const log = vlog('ofproto_dpif_xlate');
const errorLimit = rateLimit(1, 5);

/** OVS's MAX_DEPTH and MAX_RESUBMITS. */
export const MAX_DEPTH = 64;
export const MAX_RESUBMITS = MAX_DEPTH * MAX_DEPTH;

const actionBytes = 256 * 1024;
const xcacheBytes = 64 * 1024;
/** Saved flows: each level of depth may save the flow and the base flow, a few times. */
const saveSlots = 4 * (MAX_DEPTH + 4);

/** The parts of a translation that call each other; the Translator joins them. */
export interface Pipeline {
  /** Looks up a table and executes the rule found; `clone`: what it does to the packet is undone. */
  tableAction(
    ctx: XlateContext,
    inPort: number,
    tableId: number,
    mayPacketIn: boolean,
    honorMiss: boolean,
    isLast: boolean,
    clone: boolean,
  ): void;
  executeActionSet(ctx: XlateContext): void;
  outputToPort(ctx: XlateContext, ofp: number, isLast: boolean, truncate: boolean): void;
}

/**
 * The state of one translation (OVS's `struct xlate_ctx`).
 *
 * Owned by a Translator and reused: starting a translation makes no garbage. `flow` is the packet as the
 * pipeline sees it, `base` as the datapath has it after the actions written so far, `wc` the bits that were
 * looked at; all three are arena addresses of full keys.
 */
export class XlateContext {
  readonly core: Core;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly dv: DataView;
  readonly x: Core['x'];
  readonly flow: number;
  readonly base: number;
  readonly wc: number;
  readonly odp: OdpActionWriter;
  readonly actionsAt: number;
  readonly xcacheAt: number;
  readonly #saveAt: number;
  #saved = 0;
  xcacheWords = 0;
  xcacheOverflow = false;

  input!: XlateInput;
  bridge!: XBridge;
  trace: TraceSink | null = null;
  version = 0;
  error: XlateError = xlateErrors.OK;
  slow = 0;
  depth = 0;
  resubmits = 0;
  tableId = 0;
  /** Arena rule being executed, 0 = none. */
  rule = 0;
  ruleCookieHi = 0xffffffff;
  ruleCookieLo = 0xffffffff;
  exit = false;
  inActionSet = false;
  inPacketOut = false;
  origSkbPriority = 0;
  /** write_actions so far: word address and words of each list, alternating. */
  readonly actionSet = new Layers<number>();
  actionSetHasGroup = false;
  /** Entries of the pipeline's stack, network order; arrays of `values`. */
  readonly stack = new Layers<Uint8Array>();
  readonly values = new BytePool();
  stackBytes = 0;
  /** The next rule's actions run on a copy of the packet. */
  cloneNext = false;
  /** Frozen states that the result holds a reference of. */
  recircs: number[] = [];
  readonly pipeline: Pipeline;

  constructor(core: Core, pipeline: Pipeline) {
    this.core = core;
    this.pipeline = pipeline;
    this.u8 = core.u8;
    this.u32 = core.u32;
    this.dv = core.dv;
    this.x = core.x;
    this.flow = allocOrThrow(core, KEY_SIZE * 3);
    this.base = this.flow + KEY_SIZE;
    this.wc = this.base + KEY_SIZE;
    this.actionsAt = allocOrThrow(core, actionBytes);
    this.odp = new OdpActionWriter(core.u8, this.actionsAt, actionBytes);
    this.xcacheAt = allocOrThrow(core, xcacheBytes);
    this.#saveAt = allocOrThrow(core, saveSlots * KEY_SIZE);
  }

  /** Frees the scratch memory, and gives back the references of the last result. */
  destroy(): void {
    this.#dropRecircs();
    for (const at of [this.flow, this.actionsAt, this.xcacheAt, this.#saveAt]) this.core.x.free(at);
  }

  start(input: XlateInput): void {
    this.input = input;
    this.bridge = input.bridge;
    this.trace = input.trace;
    this.x.xlateStart(input.flow, this.flow, this.base, this.wc);
    this.odp.reset(this.actionsAt, actionBytes);
    this.xcacheWords = 0;
    this.xcacheOverflow = false;
    this.#saved = 0;
    this.version = this.tablesVersion();
    this.error = xlateErrors.OK;
    this.slow = 0;
    this.depth = 0;
    this.resubmits = 0;
    this.tableId = 0;
    this.rule = 0;
    this.ruleCookieHi = 0xffffffff;
    this.ruleCookieLo = 0xffffffff;
    this.exit = false;
    this.inActionSet = false;
    this.inPacketOut = input.ofpacts !== 0;
    this.actionSet.reset();
    this.actionSetHasGroup = false;
    this.stack.reset();
    this.values.reset();
    this.stackBytes = 0;
    this.#dropRecircs();
    this.origSkbPriority = this.dv.getUint32(this.flow + K.skbPriority);
  }

  #dropRecircs(): void {
    if (this.recircs.length === 0) return;
    for (const id of this.recircs) unrefFrozen(this.core, id);
    this.recircs = [];
  }

  /** The published version of all tables, as a number. */
  tablesVersion(): number {
    const at = (ARENA_ROOT + ArenaRootLayout.tablesVersion) >>> 2;
    const lo = Atomics.load(this.u32, at);
    return Atomics.load(this.u32, at + 1) * 4294967296 + lo;
  }

  /** Keeps a copy of a key until `restoreKey`; last in, first out. */
  saveKey(key: number): number {
    const slot = this.#saveAt + this.#saved++ * KEY_SIZE;
    this.core.x.keyCopy(slot, key);
    return slot;
  }

  restoreKey(key: number, slot: number): void {
    this.core.x.keyCopy(key, slot);
    this.#saved = (slot - this.#saveAt) / KEY_SIZE;
  }

  get inPort(): number {
    return this.dv.getUint32(this.flow + K.inPort);
  }

  report(kind: TraceKind, text: string): void {
    this.trace?.report(kind, text);
  }

  /** An error that the log shows when nobody traces. */
  reportError(text: string): void {
    if (this.trace !== null) this.trace.report('error', text);
    else if (log.enabled('warn')) {
      const flow = formatFlow(readKey(this.core, this.base));
      log.warn(`${text} on bridge ${this.bridge.name} while processing ${flow}`, errorLimit);
    }
  }

  /** Begins a record of the side-effect list. @returns Word index of its first argument, -1 when not wanted. */
  xcacheEntry(kind: number, words: number): number {
    if (!this.input.wantXcache) return -1;
    const at = (this.xcacheAt >>> 2) + this.xcacheWords;
    if ((this.xcacheWords + words + 1) * 4 > xcacheBytes) {
      this.xcacheOverflow = true;
      return -1;
    }
    this.u32[at] = kind | ((words + 1) << 16);
    this.xcacheWords += words + 1;
    return at + 1;
  }

  // -- what translation often asks of the flow ----------------------------------------------

  get dlType(): number {
    return this.dv.getUint16(this.flow + K.dlType);
  }

  get isIpAny(): boolean {
    const type = this.dv.getUint16(this.flow + K.dlType);
    return type === 0x0800 || type === 0x86dd;
  }

  maskBytes(offset: number, length: number): void {
    // TypedArray.fill on shared memory costs ten times as much for a few bytes.
    const end = this.wc + offset + length;
    for (let at = this.wc + offset; at < end; at++) this.u8[at] = 0xff;
  }

  /** ORs into a 16-bit slot of the mask. */
  mask16(offset: number, bits: number): void {
    const at = this.wc + offset;
    this.dv.setUint16(at, this.dv.getUint16(at) | bits);
  }
}
