/**
 * One connection method of a server: a listener with its clients, or a connection that the server makes
 * to a client that listens, again whenever it is lost.
 */
import { StreamSession, isPassiveTarget, listenStream } from '../../stream/index.ts';
import type { StreamTarget } from '../../stream/index.ts';
import type { OvsdbServer } from './server.ts';
import type { ServerSession, SessionSettings } from './session.ts';

const defaultProbeMs = 5000;
const defaultMaxBackoffMs = 8000;

/** What a row of a database or a configuration file may say of a remote. */
export interface RemoteOptions {
  /** As the user wrote it. */
  readonly target: string;
  readonly maxBackoffMs?: number | undefined;
  readonly probeIntervalMs?: number | undefined;
  readonly isReadOnly?: boolean;
  readonly role?: string;
  /** Of the packets; a remote whose DSCP changes is opened anew. */
  readonly dscp?: number;
}

/** Columns `is_connected` and `status` of such a row. */
interface RemoteStatus {
  readonly isConnected: boolean;
  readonly status: Readonly<Record<string, string>>;
}

export interface OpenRemote {
  readonly options: RemoteOptions;
  /** Changes everything but the target; clients whose rights change lose their connection. */
  setOptions(options: RemoteOptions): void;
  status(): RemoteStatus;
  close(): void;
}

function settingsOf(options: RemoteOptions, target: StreamTarget): SessionSettings {
  return {
    probeIntervalMs: options.probeIntervalMs ?? (target.kind === 'unix' ? 0 : defaultProbeMs),
    isReadOnly: options.isReadOnly ?? false,
    role: options.role ?? '',
  };
}

/** @throws SystemError (as rejection) if it cannot listen */
export async function openRemote(
  server: OvsdbServer,
  options: RemoteOptions,
  target: StreamTarget,
): Promise<OpenRemote> {
  if (isPassiveTarget(options.target)) return await PassiveRemote.open(server, options, target);
  return new ActiveRemote(server, options, target);
}

class PassiveRemote implements OpenRemote {
  readonly #target: StreamTarget;
  readonly #sessions = new Set<ServerSession>();
  #options: RemoteOptions;
  #boundPort = 0;
  #closeListener: () => void = () => undefined;

  private constructor(options: RemoteOptions, target: StreamTarget) {
    this.#options = options;
    this.#target = target;
  }

  static async open(
    server: OvsdbServer,
    options: RemoteOptions,
    target: StreamTarget,
  ): Promise<PassiveRemote> {
    const remote = new PassiveRemote(options, target);
    const listener = await listenStream(target, (stream) => {
      const session = server.accept(
        stream,
        settingsOf(remote.#options, target),
        () => void remote.#sessions.delete(session),
      );
      remote.#sessions.add(session);
    });
    remote.#boundPort = listener.boundPort;
    remote.#closeListener = () => void listener.close();
    return remote;
  }

  get options(): RemoteOptions {
    return this.#options;
  }
  setOptions(options: RemoteOptions): void {
    this.#options = options;
    for (const session of [...this.#sessions]) session.setSettings(settingsOf(options, this.#target));
  }

  status(): RemoteStatus {
    const count = this.#sessions.size;
    return {
      isConnected: count > 0,
      status: {
        sec_since_connect: '0',
        sec_since_disconnect: '0',
        ...(count > 1 ? { n_connections: String(count) } : {}),
        ...(this.#boundPort === 0 ? {} : { bound_port: String(this.#boundPort) }),
      },
    };
  }

  close(): void {
    this.#closeListener();
    for (const session of [...this.#sessions]) session.disconnect('remote deconfigured');
  }
}

class ActiveRemote implements OpenRemote {
  readonly #server: OvsdbServer;
  readonly #target: StreamTarget;
  readonly #link: StreamSession;
  #options: RemoteOptions;
  #session: ServerSession | null = null;
  /** Why the last connection was lost; an attempt that failed is no error here. */
  #lastError = '';

  constructor(server: OvsdbServer, options: RemoteOptions, target: StreamTarget) {
    this.#server = server;
    this.#target = target;
    this.#options = options;
    this.#link = new StreamSession({
      name: options.target,
      target,
      timers: server.timers,
      maxBackoffMs: options.maxBackoffMs ?? defaultMaxBackoffMs,
      // The server session probes.
      probeIntervalMs: 0,
      onConnect: (stream) => {
        const session = server.adopt(stream, settingsOf(this.#options, target), () => {
          if (this.#session === session) this.#session = null;
        });
        this.#session = session;
        return session.handlers;
      },
      onDisconnect: (reason) => {
        this.#lastError = reason;
      },
      onProbe: () => undefined,
    });
    this.#link.start();
  }

  get options(): RemoteOptions {
    return this.#options;
  }
  setOptions(options: RemoteOptions): void {
    this.#options = options;
    this.#link.reconnect.maxBackoffMs = options.maxBackoffMs ?? defaultMaxBackoffMs;
    this.#session?.setSettings(settingsOf(options, this.#target));
  }

  status(): RemoteStatus {
    const { state, connectedMs, disconnectedMs } = this.#link.reconnect;
    const nowMs = this.#server.timers.clock.nowMs();
    const since = (ms: number): string => String(Math.trunc((nowMs - ms) / 1000));
    const locks = this.#session === null ? null : this.#server.locks.namesOf(this.#session);
    const list = (key: string, names: readonly string[] | undefined): Record<string, string> =>
      names === undefined || names.length === 0 ? {} : { [key]: names.join(' ') };
    return {
      isConnected: this.#link.isConnected,
      status: {
        state: state.toUpperCase(),
        ...(this.#lastError === '' ? {} : { last_error: this.#lastError }),
        ...(connectedMs === -Infinity ? {} : { sec_since_connect: since(connectedMs) }),
        ...(disconnectedMs === -Infinity ? {} : { sec_since_disconnect: since(disconnectedMs) }),
        ...list('locks_held', locks?.held),
        ...list('locks_waiting', locks?.waiting),
        ...list('locks_lost', locks?.lost),
      },
    };
  }

  close(): void {
    this.#link.stop();
  }
}
