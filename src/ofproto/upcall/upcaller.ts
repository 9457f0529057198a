import { allocOrThrow, type Core } from '../../arena/core.ts';
import { readKey } from '../../arena/keys.ts';
import { MegaflowLayout as M } from '../../datapath/generated/megaflow.ts';
import { PmdLayout as P } from '../../datapath/generated/pmd.ts';
import { PmdUpcallLayout } from '../../datapath/generated/pmd-upcall.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import { PacketLayout } from '../../netdev/generated/packet.ts';
import { OdpActionWriter } from '../../odp/action-writer.ts';
import { OvsUserspaceAttr } from '../../odp/attrs.ts';
import { decodeUserCookie, encodeUserCookie, type UserCookie } from '../../odp/user-cookie.ts';
import type { Clock } from '../../util/clock.ts';
import { counter } from '../../util/counters.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import type { PacketInReason } from '../ofproto-types.ts';
import { SnapshotReader, type CompiledSnapshot, type XPort } from '../snapshot.ts';
import { traceFlow } from '../trace.ts';
import { findFrozen } from '../translate/frozen.ts';
import { revalidationSeq } from '../translate/revalidation.ts';
import { Translator } from '../translate/translator.ts';
import { xlateErrors, type XlateInput, type XlateResult } from '../translate/types.ts';
import { ExactMasks } from './exact-mask.ts';
import type { BridgePacketIn } from './packet-in-event.ts';
import { Udpif } from './udpif.ts';
import { deleteMegaflow, ukeySetXcache, ukeyStates, ukeyTransition } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const limitLimit = rateLimit(1, 5);
const memoryLimit = rateLimit(1, 1);
const portLimit = rateLimit(5, 5);
const flowLimitHit = counter('upcall_flow_limit_hit');

/** A trace is long: one a minute and thread. */
const TRACE_INTERVAL_MS = 60_000;

export interface UpcallerOptions {
  readonly core: Core;
  readonly pmd: number;
  /** Address of the shared block. */
  readonly udpif: number;
  readonly clock: Clock;
  readonly events: { packetIn(event: BridgePacketIn): void };
  /** Shared with others of the thread; made if absent. */
  readonly snapshots?: SnapshotReader;
  readonly translator?: Translator;
}

/**
 * Upcalls of the userspace datapath, on the thread of the PMD.
 *
 * What: after each burst, `run` translates every packet that missed the caches, installs a megaflow for
 * it and executes the actions; packets that met a userspace action go to the controllers, or through the
 * slow path.
 * Why here: nothing has to be handed to another thread, and packets of a flow stay in order.
 */
export class Upcaller {
  readonly #core: Core;
  readonly #pmd: number;
  readonly #udpif: Udpif;
  readonly #clock: Clock;
  readonly #events: UpcallerOptions['events'];
  readonly #snapshots: SnapshotReader;
  readonly #translator: Translator;
  readonly #ownsTranslator: boolean;
  readonly #flow: number;
  readonly #exactMasks: ExactMasks;
  readonly #slowActions: number;
  readonly #input: XlateInput;
  #snapshot: CompiledSnapshot;
  #upcallsDone = 0;

  constructor(options: UpcallerOptions) {
    const { core } = options;
    this.#core = core;
    this.#pmd = options.pmd;
    this.#udpif = new Udpif(core, options.udpif);
    this.#clock = options.clock;
    this.#events = options.events;
    this.#snapshots = options.snapshots ?? new SnapshotReader(core);
    this.#ownsTranslator = options.translator === undefined;
    this.#translator = options.translator ?? new Translator(core);
    this.#snapshot = this.#snapshots.get();
    this.#flow = allocOrThrow(core, KEY_SIZE);
    this.#exactMasks = new ExactMasks(core);
    this.#slowActions = allocOrThrow(core, 256);
    this.#input = {
      bridge: null as unknown as XlateInput['bridge'],
      flow: this.#flow,
      packet: 0,
      packets: 1,
      bytes: 0,
      usedMs: 0,
      tcpFlags: 0,
      allowSideEffects: true,
      wantXcache: true,
      wantWc: true,
      ofpacts: 0,
      ofpactsWords: 0,
      trace: null,
    };
  }

  /** Frees the scratch memory: the thread ends. */
  close(): void {
    this.#core.x.free(this.#flow);
    this.#core.x.free(this.#slowActions);
    this.#exactMasks.destroy();
    if (this.#ownsTranslator) this.#translator.destroy();
  }

  /** Handles all misses and userspace actions of the burst. @returns Upcalls handled. */
  run(nowMs: number): number {
    const { dv } = this.#core;
    this.#snapshot = this.#snapshots.get();
    this.#upcallsDone = 0;
    // Without a megaflow before any miss was handled: left by actions that main executed (a packet-out).
    const before = dv.getUint32(this.#pmd + P.upcallCount, true);
    for (let i = 0; i < before; i++) {
      if (dv.getUint32(this.#upcallAt(i) + PmdUpcallLayout.megaflow, true) === 0) this.#upcall(i, nowMs);
    }
    let misses = 0;
    for (;;) {
      // Executing actions may add misses (recirculation) and upcalls.
      if (misses < dv.getUint32(this.#pmd + P.missCount, true)) {
        const packet = dv.getUint32(dv.getUint32(this.#pmd + P.misses, true) + 4 * misses, true);
        this.#miss(packet, nowMs);
        misses++;
      } else if (!this.#nextUpcall(nowMs)) break;
    }
    return misses + this.#upcallsDone;
  }

  #miss(packet: number, nowMs: number): void {
    const { core } = this;
    // An earlier miss of this burst may have brought the flow.
    if (core.x.pmdRetry(this.#pmd, packet) !== 0) return;
    const { dv } = core;
    const key = dv.getUint32(packet + PacketLayout.key, true);
    const revalSeq = revalidationSeq(core);
    const port = this.#translate(packet, key, nowMs, 1);
    if (port === undefined) return;
    const result = this.#result;
    const isOk = result.error === xlateErrors.OK;
    this.#count(isOk ? P.missOk : P.missFailed);
    this.#install(key, result, revalSeq, nowMs, port);
    // A failed translation drops, and so does its megaflow: a loop is not walked for each packet.
    this.#execute(packet, result, nowMs);
    const { error } = result;
    if (error === xlateErrors.RECURSION_TOO_DEEP || error === xlateErrors.TOO_MANY_RESUBMITS) {
      this.#logTrace(port, nowMs);
    }
  }

  #result!: XlateResult;
  #nextTraceMs = -Infinity;

  /** Shows once a minute how a flow ran into a limit of translation. */
  #logTrace(port: XPort, nowMs: number): void {
    if (nowMs < this.#nextTraceMs || !log.enabled('warn')) return;
    this.#nextTraceMs = nowMs + TRACE_INTERVAL_MS;
    const context = {
      core: this.#core,
      translator: this.#translator,
      snapshot: this.#snapshot,
      clock: this.#clock,
    };
    log.warn(traceFlow(context, port.bridge, readKey(this.#core, this.#flow)));
  }

  private get core(): Core {
    return this.#core;
  }

  /** Translates a packet into `#result`. @returns Its port, undefined when it is none of ours (counted). */
  #translate(packet: number, key: number, nowMs: number, packets: number): XPort | undefined {
    const { x, dv } = this.#core;
    const odp = dv.getUint32(key + K.inPort);
    const port = this.#snapshot.odpPort(odp);
    if (port === undefined) {
      log.info(`received packet on unassociated datapath port ${odp}`, portLimit);
      this.#count(P.missFailed);
      this.#count(P.dropUpcallError);
      return undefined;
    }
    x.keyCopy(this.#flow, key);
    dv.setUint32(this.#flow + K.inPort, port.ofp);
    const input = this.#input;
    input.bridge = port.bridge;
    input.packet = packet;
    input.packets = packets;
    input.bytes = dv.getUint32(packet + PacketLayout.length, true);
    input.usedMs = nowMs;
    input.tcpFlags = dv.getUint16(packet + PacketLayout.tcpFlags, true);
    this.#result = this.#translator.translate(input);
    return port;
  }

  #install(key: number, result: XlateResult, revalSeq: number, nowMs: number, port: XPort): void {
    const { core } = this;
    const { dv, x } = core;
    if (result.avoidCaching) return;
    const limit = this.#udpif.flowLimit;
    if (this.#udpif.flowCount >= limit) {
      flowLimitHit.add();
      log.warn(`upcall: datapath reached the dynamic limit of ${limit} flows.`, limitLimit);
      return;
    }
    let actions = result.actions;
    let length = result.actionsLength;
    if (result.slow !== 0) {
      length = composeSlowPath(core, this.#slowActions, result.slow, port.ofp);
      actions = this.#slowActions;
    }
    const mask = result.wc;
    if (!this.#udpif.megaflowsEnabled) this.#exactMasks.write(key, mask);
    maskVlanPresence(dv, mask);
    const before = dv.getUint32(this.#pmd + P.generation, true);
    const mf = x.megaflowInstall(this.#pmd, key, mask, actions, length, nowMs) >>> 0;
    if (mf === 0) {
      this.#refuse();
      return;
    }
    if (dv.getUint32(mf + M.generation, true) <= before) return;
    let isWhole = true;
    x.lock(mf + M.lock);
    if (dv.getUint32(mf + M.state, true) === ukeyStates.VISIBLE) {
      dv.setUint32(mf + M.revalSeq, revalSeq, true);
      isWhole = ukeySetXcache(core, mf, result.xcache, result.xcacheWords, result.recircs);
      if (isWhole) ukeyTransition(core, mf, ukeyStates.OPERATIONAL);
    }
    x.unlock(mf + M.lock);
    if (isWhole) return;
    deleteMegaflow(core, this.#snapshot, mf);
    this.#refuse();
  }

  /** The arena is full: the flow is not installed, its packets are translated one by one. */
  #refuse(): void {
    flowLimitHit.add();
    log.warn('upcall_cb failure: ukey installation fails', memoryLimit);
  }

  /** Runs a result's actions. They are in the translator's memory: what they leave is handled before it is used again. */
  #execute(packet: number, result: XlateResult, nowMs: number): void {
    const { dv, x } = this.#core;
    const before = dv.getUint32(this.#pmd + P.upcallCount, true);
    x.pmdExecute(this.#pmd, packet, result.actions, result.actionsLength);
    const after = dv.getUint32(this.#pmd + P.upcallCount, true);
    // These point into the translator's memory, unless a megaflow met on another pass has them.
    for (let i = before; i < after; i++) {
      if (dv.getUint32(this.#upcallAt(i) + PmdUpcallLayout.megaflow, true) === 0) this.#upcall(i, nowMs);
    }
  }

  #upcallAt(i: number): number {
    return this.#core.dv.getUint32(this.#pmd + P.upcalls, true) + i * PmdUpcallLayout.size;
  }

  /** Handles the next upcall that came from a megaflow's actions. @returns False when there is none. */
  #nextUpcall(nowMs: number): boolean {
    const { dv } = this.#core;
    const i = this.#upcallsDone;
    if (i >= dv.getUint32(this.#pmd + P.upcallCount, true)) return false;
    this.#upcallsDone++;
    if (dv.getUint32(this.#upcallAt(i) + PmdUpcallLayout.megaflow, true) !== 0) this.#upcall(i, nowMs);
    return true;
  }

  #upcall(i: number, nowMs: number): void {
    const { dv } = this.#core;
    const at = this.#upcallAt(i);
    const packet = dv.getUint32(at + PmdUpcallLayout.packet, true);
    const key = dv.getUint32(at + PmdUpcallLayout.key, true);
    const cookie = this.#cookieOf(dv.getUint32(at + PmdUpcallLayout.attribute, true));
    if (cookie === undefined) {
      this.#count(P.dropUserspaceActionError);
      return;
    }
    switch (cookie.type) {
      case 'controller':
        if (!cookie.dontSend) this.#packetIn(packet, key, cookie);
        return;
      case 'slow_path':
        // The megaflow's statistics credit the rules later.
        if (this.#translate(packet, key, nowMs, 0) !== undefined && this.#result.error === xlateErrors.OK) {
          this.#execute(packet, this.#result, nowMs);
        }
        return;
      default:
        // Samples go nowhere before there are collectors.
        return;
    }
  }

  #cookieOf(attribute: number): UserCookie | undefined {
    const { dv, u8 } = this.#core;
    const end = attribute + dv.getUint16(attribute, true);
    for (let at = attribute + 4; at + 4 <= end;) {
      const length = dv.getUint16(at, true);
      if (length < 4 || at + length > end) return undefined;
      if (dv.getUint16(at + 2, true) === OvsUserspaceAttr.userdata) {
        try {
          return decodeUserCookie(u8.slice(at + 4, at + length));
        } catch {
          return undefined;
        }
      }
      at += (length + 3) & ~3;
    }
    return undefined;
  }

  #packetIn(packet: number, key: number, cookie: UserCookie & { type: 'controller' }): void {
    const { core } = this;
    const state = findFrozen(core, cookie.recircId);
    if (state === undefined) return;
    const flow = core.u8.slice(key, key + KEY_SIZE);
    flow.set(state.pipeline, K.tunDst);
    new DataView(flow.buffer).setUint32(K.inPort, state.inPort);
    const data = core.dv.getUint32(packet + PacketLayout.data, true);
    const length = core.dv.getUint32(packet + PacketLayout.length, true);
    const { reason, miss } = reasonOf(cookie.reason);
    this.#events.packetIn({
      bridgeId: state.bridgeId,
      event: {
        packet: core.u8.slice(data, data + length),
        flow,
        reason,
        miss,
        tableId: state.tableId,
        cookie: cookie.ruleCookie,
        controllerId: cookie.controllerId,
        maxLen: cookie.maxLen,
        ...(state.userdata.length === 0 ? {} : { userdata: state.userdata }),
      },
    });
  }

  #count(field: number): void {
    const { dv } = this.#core;
    const at = this.#pmd + field;
    dv.setFloat64(at, dv.getFloat64(at, true) + 1, true);
  }
}

/**
 * A datapath flow always says whether there is a VLAN tag: a mask that looked at no bit of the TCI gets
 * VLAN id and presence.
 */
export function maskVlanPresence(dv: DataView, mask: number): void {
  if (dv.getUint16(mask + K.vlanTci0) === 0) dv.setUint16(mask + K.vlanTci0, 0x1fff);
}

/** Actions that bring packets to userspace for each of `reasons`. @returns Bytes written at `at` (256 there). */
export function composeSlowPath(core: Core, at: number, reasons: number, ofpInPort: number): number {
  const writer = new OdpActionWriter(core.u8, at, 256);
  writer.userspace(0, encodeUserCookie({ type: 'slow_path', ofpInPort, reasons }));
  return writer.length;
}

const reasonsByNumber: readonly PacketInReason[] = [
  'no_match',
  'action',
  'invalid_ttl',
  'action_set',
  'group',
  'packet_out',
];

/** OFPR_* of a cookie; 6 and 7 say how a table was missed. */
function reasonOf(n: number): { reason: PacketInReason; miss: 'none' | 'implicit' | 'explicit' } {
  if (n === 7) return { reason: 'no_match', miss: 'implicit' };
  if (n === 6) return { reason: 'no_match', miss: 'explicit' };
  return { reason: reasonsByNumber[n] ?? 'action', miss: 'none' };
}
