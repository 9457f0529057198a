import { allocOrThrow, type Core } from '../../arena/core.ts';
import { ARENA_ROOT } from '../../arena/arena.layout.ts';
import { ArenaRootLayout } from '../../arena/generated/arena-root.ts';
import { MegaflowLayout as M } from '../../datapath/generated/megaflow.ts';
import { PmdLayout as P } from '../../datapath/generated/pmd.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import { counter } from '../../util/counters.ts';
import { vlog } from '../../util/log.ts';
import { UdpifLayout as U } from '../generated/udpif.ts';
import { CompiledSnapshot } from '../snapshot.ts';
import { Translator } from '../translate/translator.ts';
import { xlateErrors, type XlateInput } from '../translate/types.ts';
import type { FlowStatsDelta } from '../translate/xcache-replay.ts';
import { ExactMasks } from './exact-mask.ts';
import type { Udpif } from './udpif.ts';
import { composeSlowPath, maskVlanPresence } from './upcaller.ts';
import {
  ukeyEvict,
  ukeyFinish,
  ukeyFinishEviction,
  ukeyPushStats,
  ukeySetXcache,
  ukeyState,
  ukeyStates,
} from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const flowLimitKill = counter('upcall_flow_limit_kill');
const contention = counter('upcall_ukey_contention');
const revalidated = counter('revalidate_translated');

/** With more flows than the limit, flows idle for so long go. */
const OVER_LIMIT_IDLE_MS = 100;

const KEEP = 0;
const MODIFY = 1;
const DELETE = 2;

/** What `megaflowReview` says. */
const UNCHANGED = 0;
const TOO_NARROW = 2;

/**
 * What a revalidator does with each flow of a round: credits what it did, and keeps, changes or
 * deletes it.
 *
 * Flows that were deleted are kept in hand until the sweep of the next round, when their PMD has surely
 * credited its last packets to them.
 */
export class FlowReview {
  /** Flows of this round that stay. */
  kept = 0;
  readonly #core: Core;
  readonly #udpif: Udpif;
  readonly #translator: Translator;
  readonly #exactMasks: ExactMasks;
  readonly #key: number;
  readonly #slowActions: number;
  readonly #input: XlateInput;
  readonly #delta: FlowStatsDelta = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  #snapshot = new CompiledSnapshot({ bridges: [] });
  #dumpSeq = 0;
  #revalSeq = 0;
  #warnKill = true;
  /** Evicted in this round, and in the one before. */
  #evicted: number[] = [];
  #evictedBefore: number[] = [];

  constructor(options: { core: Core; udpif: Udpif; translator?: Translator }) {
    const { core } = options;
    this.#core = core;
    this.#udpif = options.udpif;
    this.#translator = options.translator ?? new Translator(core);
    this.#exactMasks = new ExactMasks(core);
    this.#key = allocOrThrow(core, KEY_SIZE + 256);
    this.#slowActions = this.#key + KEY_SIZE;
    this.#input = {
      bridge: null as unknown as XlateInput['bridge'],
      flow: this.#key,
      packet: 0,
      packets: 0,
      bytes: 0,
      usedMs: 0,
      tcpFlags: 0,
      allowSideEffects: false,
      wantXcache: true,
      wantWc: true,
      ofpacts: 0,
      ofpactsWords: 0,
      trace: null,
    };
  }

  startRound(snapshot: CompiledSnapshot): void {
    this.#snapshot = snapshot;
    this.#dumpSeq = Atomics.load(this.#core.u32, (ARENA_ROOT + ArenaRootLayout.dumpSeq) >>> 2);
    this.#revalSeq = this.#udpif.get(U.roundRevalSeq);
    this.kept = 0;
    this.#warnKill = true;
  }

  /** Looks at flow slots [from, to) of a PMD; a retired one loses all its flows. */
  slots(pmd: number, from: number, to: number, isRetired: boolean, nowMs: number): void {
    const { dv, x } = this.#core;
    const udpif = this.#udpif;
    const limit = udpif.flowLimit;
    const flows = udpif.flowCount;
    let maxIdleMs = udpif.get(U.maxIdleMs);
    let killAll = isRetired || udpif.get(U.purging) !== 0;
    if (flows > limit) {
      if (flows > limit * 2) {
        killAll = true;
        flowLimitKill.add();
        if (this.#warnKill) {
          log.warn(
            `Number of datapath flows (${flows}) twice as high as current dynamic flow limit (${limit}).  Starting to delete flows unconditionally as an emergency measure.`,
          );
          this.#warnKill = false;
        }
      } else maxIdleMs = OVER_LIMIT_IDLE_MS;
    }
    const oldestMs = nowMs - maxIdleMs;
    for (let i = from; i < to; i++) {
      if (!killAll) {
        const skipped = x.megaflowSkipIdle(pmd, i, to, this.#dumpSeq, this.#revalSeq, oldestMs);
        i += skipped & 0xff;
        this.kept += skipped >>> 8;
        if (i >= to) break;
      }
      // The array is replaced when it grows; old ones live until this thread is quiescent.
      const mf = dv.getUint32(dv.getUint32(pmd + P.flowSlots, true) + 4 * i, true);
      if (mf === 0) continue;
      if (x.tryLock(mf + M.lock) === 0) {
        contention.add();
        continue;
      }
      const isOrphan = ukeyState(this.#core, mf) === ukeyStates.EVICTING;
      const verdict = !isOrphan && this.#isDue(mf) ? this.#decide(mf, killAll, maxIdleMs, nowMs) : KEEP;
      x.unlock(mf + M.lock);
      if (isOrphan) {
        this.#adopt(mf);
        continue;
      }
      if (verdict === DELETE) this.#evict(mf);
      else this.kept++;
    }
  }

  /** Whether a flow is complete, alive, and was not looked at in this round. Under its lock. */
  #isDue(mf: number): boolean {
    const { dv } = this.#core;
    const state = ukeyState(this.#core, mf);
    if (state !== ukeyStates.OPERATIONAL && state !== ukeyStates.VISIBLE) return false;
    if (dv.getUint32(mf + M.dead, true) !== 0) return false;
    return dv.getUint32(mf + M.dumpSeq, true) !== this.#dumpSeq;
  }

  #evict(mf: number): void {
    if (!ukeyEvict(this.#core, mf)) return;
    // Statistics show at once; what is still on its way is credited in the next sweep.
    ukeyPushStats(this.#core, this.#snapshot, mf, this.#delta);
    this.#evicted.push(mf);
  }

  /** A flow whose deletion was begun by a thread that died in it: the states change under the lock only. */
  #adopt(mf: number): void {
    ukeyFinishEviction(this.#core, mf);
    this.#evicted.push(mf);
  }

  /** Finishes the flows that were evicted in the round before. */
  sweep(snapshot: CompiledSnapshot): void {
    for (const mf of this.#evictedBefore) ukeyFinish(this.#core, snapshot, mf, this.#delta);
    this.#evictedBefore = this.#evicted;
    this.#evicted = [];
  }

  /** Finishes all that is in hand, and frees the scratch memory. */
  destroy(snapshot: CompiledSnapshot): void {
    this.sweep(snapshot);
    this.sweep(snapshot);
    this.#core.x.free(this.#key);
    this.#exactMasks.destroy();
    this.#translator.destroy();
  }

  #decide(mf: number, killAll: boolean, maxIdleMs: number, nowMs: number): number {
    const { dv } = this.#core;
    dv.setUint32(mf + M.dumpSeq, this.#dumpSeq, true);
    const usedMs = dv.getFloat64(mf + M.usedMs, true) || dv.getFloat64(mf + M.createdMs, true);
    if (killAll || usedMs < nowMs - maxIdleMs) return DELETE;
    const lastUsedMs = dv.getFloat64(mf + M.pushedUsedMs, true);
    ukeyPushStats(this.#core, this.#snapshot, mf, this.#delta);
    if (dv.getUint32(mf + M.revalSeq, true) === this.#revalSeq) return KEEP;
    if (!this.#isWorthIt(this.#delta.packets, lastUsedMs, nowMs)) return DELETE;
    const verdict = this.#retranslate(mf);
    if (verdict === DELETE) return DELETE;
    dv.setUint32(mf + M.revalSeq, this.#revalSeq, true);
    return verdict;
  }

  /** Whether a flow sees packets often enough to be translated again when rounds are long. */
  #isWorthIt(packets: number, usedMs: number, nowMs: number): boolean {
    if (usedMs === 0) return true;
    if (this.#udpif.get(U.dumpDurationMs) < this.#udpif.get(U.maxRevalidatorMs) / 2) return true;
    const metric = (Math.max(usedMs, nowMs) - usedMs) / Math.max(packets, 1);
    return metric < 1000 / Math.max(this.#udpif.get(U.minRevalidatePps), 1e-9);
  }

  /** Translates a flow again and compares: as it was, with other actions, or too wide to stay. */
  #retranslate(mf: number): number {
    const core = this.#core;
    const { dv, x } = core;
    const key = this.#key;
    revalidated.add();
    x.megaflowKey(mf, key);
    const port = this.#snapshot.odpPort(dv.getUint32(key + K.inPort));
    if (port === undefined) return DELETE;
    dv.setUint32(key + K.inPort, port.ofp);
    this.#input.bridge = port.bridge;
    this.#input.tcpFlags = dv.getUint32(mf + M.tcpFlags, true);
    const result = this.#translator.translate(this.#input);
    if (result.error !== xlateErrors.OK || result.avoidCaching) return DELETE;
    let actions = result.actions;
    let length = result.actionsLength;
    if (result.slow !== 0) {
      length = composeSlowPath(core, this.#slowActions, result.slow, port.ofp);
      actions = this.#slowActions;
    }
    if (!this.#udpif.megaflowsEnabled) this.#exactMasks.write(key, result.wc);
    maskVlanPresence(dv, result.wc);
    const verdict = x.megaflowReview(mf, result.wc, actions, length);
    if (verdict === TOO_NARROW) return DELETE;
    if (!ukeySetXcache(core, mf, result.xcache, result.xcacheWords, result.recircs)) return DELETE;
    if (verdict === UNCHANGED) return KEEP;
    return x.megaflowSetActions(mf, actions, length) === 0 ? DELETE : MODIFY;
  }
}
