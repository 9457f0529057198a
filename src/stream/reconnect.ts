/**
 * When to connect, probe and give up: OVS's reconnect state machine (lib/reconnect).
 *
 * What: it only decides; its owner connects and sends. States: `void` (disabled), `backoff` (waiting
 * to try), `connecting`, `listening` (for the peer to connect), `active` (connected), `idle` (probe sent, waiting for
 * any sign of life).
 * The owner tells it what happens and calls `run` when `deadlineMs` has come.
 *
 * Back-off doubles from `minBackoffMs` to `maxBackoffMs` with each failure and starts over after a
 * connection that lived longer than its back-off. Who listens backs off only when listening fails, and never gives up.
 */
import { vlog } from '../util/log.ts';

const log = vlog('reconnect');

export type ReconnectState = 'void' | 'backoff' | 'connecting' | 'listening' | 'active' | 'idle';
export type ReconnectAction = 'connect' | 'disconnect' | 'probe';

export interface ReconnectOptions {
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Silence after which to probe; 0 = never. */
  readonly probeIntervalMs?: number;
  /** How many times to try to connect. */
  readonly maxTries?: number;
  /** Attempts in a row without back-off: so that several peers are tried one after the other. */
  readonly backoffFreeTries?: number;
  /** Whether the peer connects to us. */
  readonly isPassive?: boolean;
}

export class Reconnect {
  /** Of the peer, for logs; changes where there are several. */
  name: string;
  minBackoffMs: number;
  maxBackoffMs: number;
  probeIntervalMs: number;
  maxTries: number;
  backoffFreeTries: number;
  isPassive: boolean;
  #state: ReconnectState = 'void';
  #stateEnteredMs = 0;
  #backoffMs = 0;
  #lastActivityMs = 0;
  #connectedMs = -Infinity;
  #disconnectedMs = -Infinity;
  #isQuiet = false;

  constructor(name: string, options: ReconnectOptions = {}) {
    this.name = name;
    this.minBackoffMs = options.minBackoffMs ?? 1000;
    this.maxBackoffMs = options.maxBackoffMs ?? 8000;
    this.probeIntervalMs = options.probeIntervalMs ?? 5000;
    this.maxTries = options.maxTries ?? Infinity;
    this.backoffFreeTries = options.backoffFreeTries ?? 0;
    this.isPassive = options.isPassive ?? false;
  }

  get state(): ReconnectState {
    return this.#state;
  }
  get isConnected(): boolean {
    return this.#state === 'active' || this.#state === 'idle';
  }
  get backoffMs(): number {
    return this.#backoffMs;
  }
  get stateEnteredMs(): number {
    return this.#stateEnteredMs;
  }
  /** When the last connection was made, and lost; -Infinity if never. */
  get connectedMs(): number {
    return this.#connectedMs;
  }
  get disconnectedMs(): number {
    return this.#disconnectedMs;
  }

  #enter(state: ReconnectState, nowMs: number): void {
    this.#state = state;
    this.#stateEnteredMs = nowMs;
  }

  enable(nowMs: number): void {
    if (this.#state !== 'void' || this.maxTries <= 0) return;
    this.#backoffMs = 0;
    this.#enter('backoff', nowMs);
  }
  disable(nowMs: number): void {
    this.#enter('void', nowMs);
  }

  /** Waits for the peer. */
  listening(nowMs: number): void {
    log.info(`${this.name}: listening...`);
    this.#isQuiet = false;
    this.#enter('listening', nowMs);
  }
  /** Tries to connect or to listen, or the peer has connected and `connected` follows. */
  connecting(nowMs: number): void {
    if (!this.#isQuiet) log.info(`${this.name}: ${this.isPassive ? 'listening' : 'connecting'}...`);
    if (!this.isPassive) this.maxTries--;
    this.#enter('connecting', nowMs);
  }
  connected(nowMs: number): void {
    log.info(`${this.name}: connected`);
    this.#isQuiet = false;
    this.#connectedMs = nowMs;
    this.#lastActivityMs = nowMs;
    this.#enter('active', nowMs);
  }
  activity(nowMs: number): void {
    if (this.#state === 'idle') this.#enter('active', nowMs);
    this.#lastActivityMs = nowMs;
  }
  /** @param reason strerror text; empty if the peer closed in good order. */
  connectFailed(nowMs: number, reason: string): void {
    if (!this.#isQuiet)
      log.info(`${this.name}: ${this.isPassive ? 'listen' : 'connection'} attempt failed (${reason})`);
    this.#backOff(nowMs);
  }
  disconnected(nowMs: number, reason: string): void {
    if (reason === '') log.info(`${this.name}: connection closed by peer`);
    else log.warn(`${this.name}: connection dropped (${reason})`);
    this.#disconnectedMs = nowMs;
    this.#backOff(nowMs);
  }

  #backOff(nowMs: number): void {
    if (this.#state === 'void') return;
    const wasLong = this.isConnected && nowMs - this.#connectedMs >= this.#backoffMs;
    if (this.isPassive && this.isConnected) {
      this.#backoffMs = 0;
      this.#enter('backoff', nowMs);
      return;
    }
    if (this.maxTries <= 0) {
      this.#enter('void', nowMs);
      return;
    }
    if (this.backoffFreeTries > 1) {
      this.backoffFreeTries--;
      this.#backoffMs = 0;
      this.#enter('backoff', nowMs);
      return;
    }
    if (wasLong || this.#backoffMs < this.minBackoffMs) this.#backoffMs = this.minBackoffMs;
    else if (this.#backoffMs >= this.maxBackoffMs / 2) {
      if (!this.#isQuiet) {
        const what = this.isPassive ? 'try to listen' : 'reconnect';
        log.info(`${this.name}: continuing to ${what} in the background but suppressing further logging`);
        this.#isQuiet = true;
      }
      this.#backoffMs = this.maxBackoffMs;
    } else this.#backoffMs *= 2;
    if (!this.#isQuiet && this.#backoffMs > this.minBackoffMs) {
      const what = this.isPassive ? 'trying to listen again' : 'reconnect';
      log.info(`${this.name}: waiting ${Math.round(this.#backoffMs / 100) / 10} seconds before ${what}`);
    }
    this.#enter('backoff', nowMs);
  }

  /** When `run` will have something to say; Infinity if only events can change that. */
  get deadlineMs(): number {
    switch (this.#state) {
      case 'void':
      case 'listening':
        return Infinity;
      case 'backoff':
        return this.#stateEnteredMs + this.#backoffMs;
      case 'connecting':
        return this.#stateEnteredMs + Math.max(1000, this.#backoffMs);
      case 'active':
        if (this.probeIntervalMs <= 0) return Infinity;
        return Math.max(this.#lastActivityMs, this.#stateEnteredMs) + this.probeIntervalMs;
      case 'idle':
        return this.probeIntervalMs <= 0 ? Infinity : this.#stateEnteredMs + this.probeIntervalMs;
    }
  }

  /** What the owner should do now. A `disconnect` must be answered by `disconnected` or `connectFailed`. */
  run(nowMs: number): ReconnectAction | null {
    if (nowMs < this.deadlineMs) return null;
    switch (this.#state) {
      case 'void':
      case 'listening':
        return null;
      case 'backoff':
        return 'connect';
      case 'connecting':
        return 'disconnect';
      case 'active':
        log.dbg(
          `${this.name}: idle ${Math.round(nowMs - this.#lastActivityMs)} ms, sending inactivity probe`,
        );
        this.#enter('idle', nowMs);
        return 'probe';
      case 'idle':
        log.err(
          `${this.name}: no response to inactivity probe after ${this.probeIntervalMs / 1000} seconds, disconnecting`,
        );
        return 'disconnect';
    }
  }
}
