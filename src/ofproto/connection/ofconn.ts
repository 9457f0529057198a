import type { Clock } from '../../util/clock.ts';
import { counter } from '../../util/counters.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { OfpError } from '../../util/errors.ts';
import { encodeErrorReply } from '../../openflow/errors.ts';
import type { ControllerRole, PacketInFormat } from '../../openflow/messages.ts';
import type { AsyncKind, AsyncMasks } from './async-config.ts';
import { defaultAsyncMasks, noAsyncMasks } from './async-config.ts';
import { Bundles } from './bundles.ts';
import { FlowModReport } from './flow-mod-report.ts';
import { OutCounter } from './rconn.ts';
import type { RequestJob, RequestOutcome } from './request-job.ts';
import type { Rconn } from './rconn.ts';

/**
 * One OpenFlow connection with what its controller has set: role, formats, asynchronous messages.
 *
 * Life cycle: lives as long as its rconn; a reconnect puts every setting back to its default, since
 * the new session knows nothing of the old one.
 *
 * Bounds: requests are not read while `maxReplies` replies wait to be sent; asynchronous messages are
 * dropped and counted when `maxAsync` of their kind wait.
 */
export type OfConnType = 'primary' | 'service';

/** Handles one request. @throws OfpError to answer with an error message. */
export type RequestHandler = (conn: OfConn, request: Uint8Array) => RequestOutcome;

const log = vlog('connmgr');
const sentError = counter('ofconn_sent_error');
const packetInOverflow = counter('packet_in_overflow');
const errorLimit = rateLimit(60, 5);
const overflowLimit = rateLimit(60, 5);

const maxReplies = 100;
const maxAsync = 100;
/** Requests handled in one turn; a slice of a long one counts for many. */
const batch = 256;
const sliceWeight = 64;
const defaultMissSendLen = 128;

export interface OfConnOptions {
  readonly enableAsyncMessages: boolean;
  readonly band: 'in-band' | 'out-of-band';
  /** How long a bundle may stand idle. */
  readonly bundleIdleTimeoutMs: number;
}

export class OfConn {
  readonly type: OfConnType;
  readonly rconn: Rconn;
  readonly #clock: Clock;
  readonly #replies = new OutCounter();
  readonly #packetIns = new OutCounter();
  readonly #monitor = new OutCounter();
  #options: OfConnOptions;
  #seq = -1;

  role: Exclude<ControllerRole, 'nochange'> = 'equal';
  /** Form of flows that OpenFlow 1.0 has no room for; set by NXT_SET_FLOW_FORMAT. */
  flowFormat: 'openflow10' | 'nxm' = 'openflow10';
  /** OpenFlow 1.0 flow_mods carry a table id in their command (NXT_FLOW_MOD_TABLE_ID). */
  flowModTableId = false;
  packetInFormat: PacketInFormat = 'standard';
  controllerId = 0;
  missSendLen = 0;
  #asyncMasks: AsyncMasks | null = null;

  constructor(type: OfConnType, rconn: Rconn, clock: Clock, options: OfConnOptions) {
    this.type = type;
    this.rconn = rconn;
    this.#clock = clock;
    this.#options = options;
  }

  get name(): string {
    return this.rconn.name;
  }
  /** Negotiated version, 0 while not connected. */
  get version(): number {
    return this.rconn.version;
  }

  configure(options: OfConnOptions): void {
    this.#options = options;
  }

  get asyncMasks(): AsyncMasks {
    return (
      this.#asyncMasks ?? (this.#options.enableAsyncMessages ? defaultAsyncMasks(this.version) : noAsyncMasks)
    );
  }
  set asyncMasks(masks: AsyncMasks) {
    this.#asyncMasks = masks;
  }

  /** Whether this connection wants an asynchronous message. */
  receives(kind: AsyncKind, reason: number): boolean {
    if (this.version === 0) return false;
    if (this.type === 'service' && this.missSendLen === 0) return false;
    const [slave, master] = this.asyncMasks[kind];
    return ((this.role === 'slave' ? slave : master) & (1 << reason)) !== 0;
  }

  /** A request that is being worked off, and its message. */
  #job: RequestJob | null = null;
  #jobRequest: Uint8Array = new Uint8Array(0);

  readonly bundles = new Bundles();

  /** Notes a flow_mod for the log. */
  readonly flowMods = new FlowModReport();

  get wakeAtMs(): number {
    return Math.min(this.rconn.wakeAtMs, this.flowMods.dueMs, this.bundles.expireAtMs);
  }

  #reportFlowMods(nowMs: number): void {
    const line = this.flowMods.take(nowMs);
    if (line !== null) log.info(`${this.name}: ${line}`);
  }

  /** Work done, 0 when there was nothing to do. */
  run(nowMs: number, handle: RequestHandler): number {
    this.rconn.run(nowMs);
    if (this.rconn.connectionSeq !== this.#seq) this.#reset();
    if (nowMs >= this.flowMods.dueMs) this.#reportFlowMods(nowMs);
    this.bundles.expire(nowMs, this.#options.bundleIdleTimeoutMs, (bundle) => {
      this.sendError('OFPBFC_TIMEOUT', bundle.opener);
    });
    let work = 0;
    while (work < batch && this.#replies.packets < maxReplies) {
      if (this.#job !== null) {
        work += sliceWeight;
        this.#continue(this.#job);
        continue;
      }
      const request = this.rconn.peek();
      if (request === null || !this.#handleOne(request, handle)) break;
      work++;
    }
    return work;
  }

  /** @returns False when the request has to wait. */
  #handleOne(request: Uint8Array, handle: RequestHandler): boolean {
    try {
      const outcome = handle(this, request);
      if (outcome === 'later') return false;
      if (outcome !== 'done') {
        this.#job = outcome;
        this.#jobRequest = request;
      }
    } catch (e) {
      this.#failed(e, request);
    }
    this.rconn.receive();
    return true;
  }

  #continue(job: RequestJob): void {
    let isDone = true;
    try {
      isDone = job.step();
    } catch (e) {
      this.#failed(e, this.#jobRequest);
    }
    if (isDone) this.#job = null;
  }

  #failed(e: unknown, request: Uint8Array): void {
    if (e instanceof OfpError) this.sendError(e.code, request);
    else this.#giveUp(e, request);
  }

  /** A fault of our own ends this connection, not the switch. */
  #giveUp(fault: unknown, request: Uint8Array): void {
    const text = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
    log.err(`${this.name}: dropping connection: message type ${request[1] ?? 0} failed: ${text}`);
    this.rconn.reconnect();
  }

  /** A message in answer to a request; owned by the connection afterwards. */
  sendReply(message: Uint8Array): void {
    this.rconn.send(message, this.#replies);
  }

  sendError(code: string, request: Uint8Array): void {
    sentError.add();
    log.info(`${this.name}: sending ${code} error reply to message type ${request[1] ?? 0}`, errorLimit);
    this.sendReply(encodeErrorReply(code, request));
  }

  /** A packet-in. @returns false when it was dropped because too many wait. */
  sendPacketIn(message: Uint8Array): boolean {
    if (this.rconn.sendWithLimit(message, this.#packetIns, maxAsync)) return true;
    packetInOverflow.add();
    log.info(`${this.name}: dropping packet-in due to queue overflow`, overflowLimit);
    return false;
  }

  /** Port status and flow removed: never dropped while connected, as in OVS. */
  sendAsync(message: Uint8Array): void {
    this.rconn.send(message, this.#monitor);
  }

  /** Role column of the database; null before the first connection. */
  get databaseRole(): 'other' | 'master' | 'slave' | null {
    if (this.rconn.lastConnectedMs === null) return null;
    return this.role === 'equal' ? 'other' : this.role;
  }
  get sinceMs(): number {
    return this.rconn.lastConnectedMs ?? this.#clock.nowMs();
  }

  /** The connection is over for good. */
  destroy(): void {
    this.#reportFlowMods(this.#clock.nowMs());
    this.#dropRequests();
    this.rconn.destroy();
  }

  #dropRequests(): void {
    const job = this.#job;
    this.#job = null;
    job?.abandon();
    this.bundles.clear();
  }

  #reset(): void {
    this.#reportFlowMods(this.#clock.nowMs());
    this.#dropRequests();
    this.#seq = this.rconn.connectionSeq;
    this.role = 'equal';
    this.flowFormat = 'openflow10';
    this.flowModTableId = false;
    this.packetInFormat = 'standard';
    this.controllerId = 0;
    this.missSendLen = this.type === 'primary' ? defaultMissSendLen : 0;
    this.#asyncMasks = null;
  }
}
