import type { Clock } from '../../util/clock.ts';
import { counter } from '../../util/counters.ts';
import { OvsError } from '../../util/errors.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import type { OfConnFactory, OfConnTransport } from '../ofproto-types.ts';
import { MessageFramer } from './framer.ts';
import { encodeHello, encodeHelloFailed, formatVersions, helloVersions, highestVersion } from './hello.ts';

/**
 * A connection to one OpenFlow peer that is kept up: OVS's rconn with the vconn below it.
 *
 * What: connects (or takes an accepted transport), exchanges hellos, probes an idle peer with echo
 * requests, backs off between attempts, and queues messages both ways with bounds.
 *
 * Life cycle: VOID -> BACKOFF <-> CONNECTING -> ACTIVE <-> IDLE -> BACKOFF ... for a reliable
 * connection; CONNECTING -> ACTIVE <-> IDLE -> DISCONNECTED for an accepted one.
 *
 * Back-pressure: messages wait here while the transport holds more than `transportHighBytes`, so
 * that callers can count what has not left (`OutCounter`); reading stops while too many requests wait.
 *
 * Threads: main only. Nothing here sleeps: `run` acts when its time has come, `wakeAtMs` says when.
 */
export type RconnState = 'VOID' | 'BACKOFF' | 'CONNECTING' | 'ACTIVE' | 'IDLE' | 'DISCONNECTED';

/** How many messages (and bytes) of one kind have not been handed to the transport. */
export class OutCounter {
  packets = 0;
  bytes = 0;
}

export interface RconnOptions {
  readonly clock: Clock;
  readonly factory: OfConnFactory;
  /** Of the packets, 0-63. */
  readonly dscp?: number;
  readonly maxBackoffSec: number;
  /** 0: never probe. */
  readonly probeIntervalSec: number;
  /** Bit n: version n may be used. */
  readonly allowedVersions: number;
  /** Anything happened that `run` should see. */
  readonly wake: () => void;
}

interface OutMessage {
  readonly bytes: Uint8Array;
  readonly counter: OutCounter | null;
}

const log = vlog('rconn');
const vconnLog = vlog('vconn');
const badMessageLimit = rateLimit(60, 5);
const rconnSent = counter('rconn_sent');
const rconnQueued = counter('rconn_queued');
const rconnOverflow = counter('rconn_overflow');
const rconnDiscarded = counter('rconn_discarded');

const transportHighBytes = 256 * 1024;
const inHighBytes = 1024 * 1024;
const typeHello = 0;
const typeEchoRequest = 2;

export class Rconn {
  readonly target: string;
  name: string;
  readonly #options: RconnOptions;
  readonly #reliable: boolean;
  #maxBackoffSec: number;
  #probeIntervalSec: number;
  #allowedVersions: number;
  #state: RconnState = 'VOID';
  #stateEnteredMs: number;
  #transport: OfConnTransport | null = null;
  #framer = new MessageFramer();
  #in: Uint8Array[] = [];
  /** First message of #in not yet taken. */
  #inNext = 0;
  #inBytes = 0;
  /** The next message has been looked at. */
  #isPeeked = false;
  #inPaused = false;
  #out: OutMessage[] = [];
  #helloDone = false;
  #version = 0;
  #xid = 0;
  #backoffSec = 0;
  #backoffDeadlineMs = 0;
  #lastActivityMs: number;
  #lastConnectedMs: number | null = null;
  #lastDisconnectedMs: number | null = null;
  #lastAdmittedMs: number;
  #probablyAdmitted = false;
  #lastError: string | null = null;
  #connectionSeq = 0;
  /** Snoopers get every message in both directions. */
  readonly monitors: Rconn[] = [];

  private constructor(target: string, name: string, reliable: boolean, options: RconnOptions) {
    this.target = target;
    this.name = name;
    this.#reliable = reliable;
    this.#options = options;
    this.#maxBackoffSec = options.maxBackoffSec;
    this.#probeIntervalSec = clampProbe(options.probeIntervalSec);
    this.#allowedVersions = options.allowedVersions;
    const nowMs = options.clock.nowMs();
    this.#stateEnteredMs = nowMs;
    this.#lastActivityMs = nowMs;
    this.#lastAdmittedMs = nowMs;
  }

  /** Connects to `target` and again whenever the connection is lost. */
  static connect(target: string, name: string, options: RconnOptions): Rconn {
    const rconn = new Rconn(target, name, true, options);
    rconn.#reconnect();
    return rconn;
  }

  /** Serves a transport that was accepted; it is not made again once lost. */
  static accept(transport: OfConnTransport, name: string, options: RconnOptions): Rconn {
    const rconn = new Rconn(transport.name, name, false, options);
    rconn.#enter('CONNECTING');
    rconn.#attach(transport);
    return rconn;
  }

  get state(): RconnState {
    return this.#state;
  }
  get isConnected(): boolean {
    return this.#state === 'ACTIVE' || this.#state === 'IDLE';
  }
  /** False once an accepted connection is over. */
  get isAlive(): boolean {
    return this.#state !== 'VOID' && this.#state !== 'DISCONNECTED';
  }
  /** Negotiated version, 0 before. */
  get version(): number {
    return this.isConnected ? this.#version : 0;
  }
  /** Grows with each connection made or lost. */
  get connectionSeq(): number {
    return this.#connectionSeq;
  }
  /** Text of the last failure, as OVS's Controller.status:last_error. */
  get lastError(): string | null {
    return this.#lastError;
  }
  get lastConnectedMs(): number | null {
    return this.#lastConnectedMs;
  }
  get lastDisconnectedMs(): number | null {
    return this.#lastDisconnectedMs;
  }
  get probeIntervalSec(): number {
    return this.#probeIntervalSec;
  }
  /** The peer has shown that it accepts us as a switch (fail-open recovers). */
  get isAdmitted(): boolean {
    return this.isConnected && this.#lastAdmittedMs >= (this.#lastConnectedMs ?? Infinity);
  }
  /** Seconds since the peer last was an admitting controller, 0 while it is. */
  failureDurationSec(nowMs: number): number {
    return this.isAdmitted ? 0 : Math.max(0, Math.floor((nowMs - this.#lastAdmittedMs) / 1000));
  }

  setMaxBackoff(sec: number): void {
    this.#maxBackoffSec = Math.max(1, sec);
    if (this.#state === 'BACKOFF' && this.#backoffSec > this.#maxBackoffSec) {
      this.#backoffSec = this.#maxBackoffSec;
      this.#backoffDeadlineMs = Math.min(
        this.#backoffDeadlineMs,
        this.#options.clock.nowMs() + this.#maxBackoffSec * 1000,
      );
    }
  }
  setProbeInterval(sec: number): void {
    this.#probeIntervalSec = clampProbe(sec);
  }
  /** Takes effect at the next connection; drops the current one when its version is no longer allowed. */
  setAllowedVersions(bitmap: number): void {
    this.#allowedVersions = bitmap;
  }
  /** Drops the connection and, if reliable, makes it again. */
  reconnect(): void {
    if (this.isConnected) {
      log.info(`${this.name}: disconnecting`);
      this.#disconnect(null);
    }
  }

  /**
   * Queues a message.
   *
   * @param counter Counts the message until the transport has it.
   * @returns False when not connected: the message is dropped.
   */
  send(bytes: Uint8Array, counter: OutCounter | null = null): boolean {
    if (!this.isConnected) return false;
    for (const monitor of this.monitors) if (monitor.isConnected) monitor.send(bytes.slice());
    if (counter !== null) {
      counter.packets++;
      counter.bytes += bytes.length;
    }
    rconnQueued.add();
    this.#out.push({ bytes, counter });
    this.#flush();
    return true;
  }

  /** Like `send`, but drops (and counts) when `limit` messages of `counter` still wait. */
  sendWithLimit(bytes: Uint8Array, counter: OutCounter, limit: number): boolean {
    if (counter.packets >= limit) {
      rconnOverflow.add();
      return false;
    }
    return this.send(bytes, counter);
  }

  /** The next request, which stays the next one until `receive` takes it; or null. */
  peek(): Uint8Array | null {
    const message = this.#in[this.#inNext];
    if (message === undefined) return null;
    if (!this.#isPeeked) this.#noteAdmission(message);
    this.#isPeeked = true;
    return message;
  }

  #noteAdmission(message: Uint8Array): void {
    const nowMs = this.#options.clock.nowMs();
    if (
      this.#probablyAdmitted ||
      isAdmittedMessage(message) ||
      nowMs - (this.#lastConnectedMs ?? nowMs) >= 30_000
    ) {
      this.#probablyAdmitted = true;
      this.#lastAdmittedMs = nowMs;
    }
  }

  /** Takes the next request, or null. Echo requests are included. */
  receive(): Uint8Array | null {
    const message = this.#in[this.#inNext];
    if (message === undefined) return null;
    if (++this.#inNext === this.#in.length) {
      this.#in = [];
      this.#inNext = 0;
    }
    this.#inBytes -= message.length;
    if (this.#inPaused && this.#inBytes < inHighBytes / 2) {
      this.#inPaused = false;
      this.#transport?.setReading?.(true);
    }
    if (!this.#isPeeked) this.#noteAdmission(message);
    this.#isPeeked = false;
    for (const monitor of this.monitors) if (monitor.isConnected) monitor.send(message.slice());
    return message;
  }
  get hasInput(): boolean {
    return this.#in.length > this.#inNext;
  }

  get wakeAtMs(): number {
    switch (this.#state) {
      case 'BACKOFF':
        return this.#backoffDeadlineMs;
      case 'CONNECTING':
        return this.#stateEnteredMs + Math.max(1, this.#backoffSec) * 1000;
      case 'ACTIVE':
        return this.#probeIntervalSec === 0 ? Infinity : this.#idleSinceMs() + this.#probeIntervalSec * 1000;
      case 'IDLE':
        return this.#probeIntervalSec === 0 ? Infinity : this.#stateEnteredMs + this.#probeIntervalSec * 1000;
      default:
        return Infinity;
    }
  }

  /** Acts on time-outs and moves queued output. */
  run(nowMs: number): void {
    this.#flush();
    if (nowMs < this.wakeAtMs) return;
    switch (this.#state) {
      case 'BACKOFF':
        this.#reconnect();
        break;
      case 'CONNECTING':
        log.info(`${this.name}: connection timed out`);
        this.#disconnect('Connection timed out');
        break;
      case 'ACTIVE':
        log.dbg(`${this.name}: idle ${this.#probeIntervalSec} seconds, sending inactivity probe`);
        this.#enter('IDLE');
        this.send(echoRequest(this.#version, ++this.#xid));
        break;
      case 'IDLE':
        log.err(
          `${this.name}: no response to inactivity probe after ${Math.round((nowMs - this.#stateEnteredMs) / 1000)} seconds, disconnecting`,
        );
        this.#disconnect('Connection timed out');
        break;
      default:
        break;
    }
  }

  /** Ends it for good. */
  destroy(): void {
    this.#dropTransport();
    this.#enter('VOID');
  }

  #idleSinceMs(): number {
    return Math.max(this.#lastActivityMs, this.#stateEnteredMs);
  }

  #enter(state: RconnState): void {
    this.#state = state;
    this.#stateEnteredMs = this.#options.clock.nowMs();
  }

  #reconnect(): void {
    if (this.#backoffSec < this.#maxBackoffSec) log.info(`${this.name}: connecting...`);
    this.#backoffDeadlineMs = this.#options.clock.nowMs() + this.#backoffSec * 1000;
    this.#enter('CONNECTING');
    let transport: OfConnTransport;
    try {
      transport = this.#options.factory.connect(this.target, this.#options.dscp ?? 0);
    } catch (e) {
      if (!(e instanceof OvsError)) throw e;
      log.warn(`${this.name}: connection failed (${e.message})`);
      this.#disconnect(e.message);
      return;
    }
    this.#attach(transport);
  }

  #attach(transport: OfConnTransport): void {
    this.#transport = transport;
    this.#framer = new MessageFramer();
    this.#helloDone = false;
    this.#version = 0;
    transport.onConnect = () => {
      transport.send(encodeHello(this.#allowedVersions, ++this.#xid));
      this.#options.wake();
    };
    transport.onData = (bytes) => {
      if (this.#transport !== transport) return;
      this.#options.wake();
      const framed = this.#framer.push(bytes, (message) => {
        this.#received(message);
      });
      if (!framed && this.#transport === transport) {
        vconnLog.err(`${this.name}: received too-short ofp_header`, badMessageLimit);
        this.#lost('Protocol error');
      }
    };
    transport.onDrain = () => {
      this.#flush();
      this.#options.wake();
    };
    transport.onClose = (error) => {
      if (this.#transport !== transport) return;
      this.#transport = null;
      this.#options.wake();
      this.#lost(error);
    };
    if (transport.connected) transport.onConnect();
  }

  /** The transport failed or the peer closed it (`error` undefined). */
  #lost(error: string | undefined): void {
    if (this.#state === 'CONNECTING') {
      if (this.#reliable) log.warn(`${this.name}: connection failed (${error ?? 'End of file'})`);
    } else if (error !== undefined) {
      log.warn(`${this.name}: connection dropped (${error})`);
    } else if (this.#reliable) {
      log.info(`${this.name}: connection closed by peer`);
    }
    this.#disconnect(error ?? 'End of file');
  }

  #received(message: Uint8Array): void {
    this.#lastActivityMs = this.#options.clock.nowMs();
    if (!this.#helloDone) {
      this.#negotiate(message);
      return;
    }
    if (this.#state === 'IDLE') this.#enter('ACTIVE');
    this.#in.push(message);
    this.#inBytes += message.length;
    if (!this.#inPaused && this.#inBytes > inHighBytes) {
      this.#inPaused = true;
      this.#transport?.setReading?.(false);
    }
  }

  #negotiate(message: Uint8Array): void {
    if (message[1] !== typeHello || message[0] === 0) {
      vconnLog.warn(
        `${this.name}: received message (type ${message[1] ?? 0}) while expecting hello`,
        badMessageLimit,
      );
      this.#lost('Protocol error');
      return;
    }
    const peerVersions = helloVersions(message);
    const common = peerVersions & this.#allowedVersions;
    if (common === 0) {
      const we = formatVersions(this.#allowedVersions);
      const peer = formatVersions(peerVersions);
      vconnLog.warn(
        `${this.name}: version negotiation failed (we support ${we}, peer supports ${peer})`,
        badMessageLimit,
      );
      const text = `We support ${we}, you support ${peer}, no common versions.`;
      this.#transport?.send(encodeHelloFailed(highestVersion(peerVersions), text));
      this.#lost('Protocol error');
      return;
    }
    this.#version = highestVersion(common);
    vconnLog.dbg(`${this.name}: negotiated OpenFlow version 0x0${this.#version}`);
    this.#helloDone = true;
    if (this.#reliable) log.info(`${this.name}: connected`);
    this.#lastConnectedMs = this.#options.clock.nowMs();
    this.#probablyAdmitted = false;
    this.#connectionSeq++;
    this.#enter('ACTIVE');
  }

  #flush(): void {
    const transport = this.#transport;
    if (transport === null || this.#out.length === 0) return;
    let n = 0;
    while (n < this.#out.length && transport.queuedBytes < transportHighBytes) {
      const message = this.#out[n++];
      if (message === undefined) break;
      release(message);
      transport.send(message.bytes);
    }
    rconnSent.add(n);
    if (n === this.#out.length) this.#out = [];
    else if (n > 0) this.#out.splice(0, n);
  }

  #dropTransport(): void {
    const transport = this.#transport;
    this.#transport = null;
    transport?.close();
    for (const message of this.#out) release(message);
    rconnDiscarded.add(this.#out.length);
    this.#out = [];
    this.#in = [];
    this.#inNext = 0;
    this.#inBytes = 0;
    this.#isPeeked = false;
    this.#inPaused = false;
  }

  #disconnect(error: string | null): void {
    const wasConnected = this.isConnected;
    const wasConnecting = this.#state === 'CONNECTING';
    this.#dropTransport();
    this.#lastError = error;
    const nowMs = this.#options.clock.nowMs();
    if (wasConnected) {
      this.#lastDisconnectedMs = nowMs;
      this.#connectionSeq++;
    }
    if (!this.#reliable) {
      this.#enter('DISCONNECTED');
      return;
    }
    if (nowMs >= this.#backoffDeadlineMs && !wasConnecting) {
      this.#backoffSec = 1;
      if (wasConnected) log.info(`${this.name}: waiting ${this.#backoffSec} seconds before reconnect`);
    } else if (this.#backoffSec < this.#maxBackoffSec / 2) {
      this.#backoffSec = Math.max(1, 2 * this.#backoffSec);
      log.info(`${this.name}: waiting ${this.#backoffSec} seconds before reconnect`);
    } else {
      if (wasConnecting && this.#backoffSec < this.#maxBackoffSec) {
        log.info(
          `${this.name}: continuing to retry connections in the background but suppressing further logging`,
        );
      }
      this.#backoffSec = Math.max(1, this.#maxBackoffSec);
    }
    this.#backoffDeadlineMs = nowMs + this.#backoffSec * 1000;
    this.#enter('BACKOFF');
  }
}

function release(message: OutMessage): void {
  if (message.counter === null) return;
  message.counter.packets--;
  message.counter.bytes -= message.bytes.length;
}

/** OVS's rule: 0 disables, shorter than 5 seconds becomes 5. */
function clampProbe(sec: number): number {
  return sec === 0 ? 0 : Math.max(5, sec);
}

function echoRequest(version: number, xid: number): Uint8Array {
  const bytes = new Uint8Array(8);
  bytes[0] = version;
  bytes[1] = typeEchoRequest;
  bytes[3] = 8;
  new DataView(bytes.buffer).setUint32(4, xid);
  return bytes;
}

/**
 * Whether a message shows that the controller has admitted us: anything but what a controller
 * sends while it still decides (hello, errors, echoes, features, configuration, vendor, statistics).
 */
function isAdmittedMessage(message: Uint8Array): boolean {
  const version = message[0] ?? 0;
  const type = message[1] ?? 0;
  if (type <= 9) return false;
  return version === 1 ? type !== 16 && type !== 18 : type !== 18 && type !== 20 && type !== 24;
}
