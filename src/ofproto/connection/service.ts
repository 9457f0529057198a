import { OvsError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import type { ControllerConfig, OfConnTransport, OfListener, OfprotoDependencies } from '../ofproto-types.ts';
import type { OfConnOptions, OfConnType } from './ofconn.ts';
import { OfConn } from './ofconn.ts';
import { Rconn } from './rconn.ts';
import type { RconnOptions } from './rconn.ts';

/**
 * One configured controller: a kept-up connection for an active target (`tcp:`, `unix:`), or a listener and
 * the connections it accepted for a passive one (`ptcp:`, `punix:`). With an empty target it only holds
 * connections that it is given.
 */
const log = vlog('connmgr');
const defaultBundleIdleTimeoutMs = 10_000;

export function isPassiveTarget(target: string): boolean {
  return /^(ptcp|punix|pssl):/.test(target);
}

/** What of the manager a service needs. */
export interface ServiceContext {
  readonly bridgeName: string;
  readonly deps: OfprotoDependencies;
  readonly allowedVersions: number;
}

export class Service {
  readonly target: string;
  readonly type: OfConnType;
  readonly conns: OfConn[] = [];
  #config: ControllerConfig;
  readonly #context: ServiceContext;
  #listener: OfListener | null = null;
  #retryMs = 0;

  constructor(config: ControllerConfig, context: ServiceContext) {
    this.target = config.target;
    this.type = serviceType(config);
    this.#config = config;
    this.#context = context;
    if (config.target === '') return;
    if (isPassiveTarget(config.target)) this.#listen();
    else
      this.#addConn(
        Rconn.connect(config.target, `${context.bridgeName}<->${config.target}`, this.#rconnOptions()),
      );
  }

  get band(): 'in-band' | 'out-of-band' {
    return this.#config.band ?? 'out-of-band';
  }

  /** Takes over changed settings of the same target. */
  configure(config: ControllerConfig): void {
    this.#config = config;
    const options = this.#rconnOptions();
    for (const conn of this.conns) {
      conn.configure(this.#connOptions());
      conn.rconn.setMaxBackoff(options.maxBackoffSec);
      conn.rconn.setProbeInterval(options.probeIntervalSec);
    }
  }

  /** Serves a connection that came in by this listener (or was accepted elsewhere). */
  accept(transport: OfConnTransport): OfConn {
    const name = `${this.#context.bridgeName}<->${transport.name}`;
    return this.#addConn(Rconn.accept(transport, name, this.#rconnOptions()));
  }

  /** Listens again where it failed, forgets connections that are over. */
  run(nowMs: number): void {
    if (this.#listener === null && isPassiveTarget(this.target) && nowMs >= this.#retryMs) this.#listen();
    for (let i = this.conns.length - 1; i >= 0; i--) {
      if (this.conns[i]?.rconn.isAlive !== false) continue;
      this.conns[i]?.destroy();
      this.conns.splice(i, 1);
    }
  }

  get wakeAtMs(): number {
    let at = this.#listener === null && isPassiveTarget(this.target) ? this.#retryMs : Infinity;
    for (const conn of this.conns) at = Math.min(at, conn.wakeAtMs);
    return at;
  }

  destroy(): void {
    this.#listener?.close();
    this.#listener = null;
    for (const conn of this.conns) conn.destroy();
    this.conns.length = 0;
  }

  #addConn(rconn: Rconn): OfConn {
    const conn = new OfConn(this.type, rconn, this.#context.deps.clock, this.#connOptions());
    this.conns.push(conn);
    return conn;
  }

  #listen(): void {
    try {
      this.#listener = this.#context.deps.connections.listen(
        this.target,
        this.#config.dscp ?? 0,
        (transport) => {
          this.accept(transport);
          this.#context.deps.wake();
        },
      );
    } catch (e) {
      if (!(e instanceof OvsError)) throw e;
      log.err(`failed to listen on ${this.target}: ${e.message}`);
      this.#retryMs = this.#context.deps.clock.nowMs() + 1000;
    }
  }

  #connOptions(): OfConnOptions {
    return {
      enableAsyncMessages: this.#config.enableAsyncMessages ?? true,
      band: this.band,
      bundleIdleTimeoutMs: this.#context.deps.bundleIdleTimeoutMs ?? defaultBundleIdleTimeoutMs,
    };
  }

  #rconnOptions(): RconnOptions {
    const { deps, allowedVersions } = this.#context;
    return {
      clock: deps.clock,
      factory: deps.connections,
      dscp: this.#config.dscp ?? 0,
      maxBackoffSec: this.#config.maxBackoffSec ?? 8,
      probeIntervalSec: this.#config.inactivityProbeSec ?? 5,
      allowedVersions,
      wake: () => {
        deps.wake();
      },
    };
  }
}

/** The configured type, else what the target suggests. */
export function serviceType(config: ControllerConfig): OfConnType {
  return config.type ?? (isPassiveTarget(config.target) ? 'service' : 'primary');
}
