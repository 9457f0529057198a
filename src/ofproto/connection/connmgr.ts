import type { PacketInReason } from '../../openflow/actions.ts';
import type { FlowRemoved, PhyPort } from '../../openflow/messages.ts';
import { OvsError } from '../../util/errors.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { encodeFlowRemovedFor, encodePacketInFor, encodePortStatusFor } from '../codec.ts';
import type {
  ControllerConfig,
  ControllerStatus,
  FailMode,
  OfConnTransport,
  OfListener,
  OfprotoDependencies,
  PacketInEvent,
} from '../ofproto-types.ts';
import { flowRemovedReasonNumbers, packetInReasonNumbers, portReasonNumbers } from './async-config.ts';
import { FAIL_OPEN_PRIORITY, FailOpen } from './fail-open.ts';
import type { OfConn, RequestHandler } from './ofconn.ts';
import { Rconn } from './rconn.ts';
import type { ServiceContext } from './service.ts';
import { isPassiveTarget, Service, serviceType } from './service.ts';

/**
 * All OpenFlow connections of a bridge: who is connected, who is master, who gets what.
 *
 * What: makes and drops connections after the configuration, runs them, sends asynchronous messages
 * to those who want them, and keeps fail-mode: with no primary controller, standalone means a visible
 * rule of priority 0 with NORMAL; with controllers that went away, see FailOpen.
 */
const log = vlog('connmgr');
const snoopLimit = rateLimit(60, 5);
const ofp13 = 4;

/** What the manager does to the tables. */
export interface ConnmgrHost {
  readonly name: string;
  readonly deps: OfprotoDependencies;
  handleRequest: RequestHandler;
  /** Deletes all flows; calls `Connmgr.flushed` afterwards. */
  flushFlows(): void;
  addNormalRule(priority: number): void;
  removeFailOpenRule(): void;
  sendBogusPacketIn(): void;
  /** wantsPacketInOnMiss or the fail mode may have changed. */
  configChanged(): void;
}

export class Connmgr {
  readonly #host: ConnmgrHost;
  #services: Service[] = [];
  /** Holds connections that were accepted elsewhere. */
  #loose: Service | null = null;
  #snoops: { target: string; listener: OfListener }[] = [];
  readonly #snoopers: Rconn[] = [];
  #configs: readonly ControllerConfig[] = [];
  #allowedVersions = 0;
  #failMode: FailMode = 'secure';
  #failOpen: FailOpen | null = null;
  #electionId: bigint | null = null;
  #wantsMiss = false;

  constructor(host: ConnmgrHost) {
    this.#host = host;
  }

  get failMode(): FailMode {
    return this.#failMode;
  }
  get allowedVersions(): number {
    return this.#allowedVersions;
  }
  /** Whether any primary controller is configured. */
  get hasControllers(): boolean {
    return this.#services.some((s) => s.type === 'primary');
  }
  /** All connections, in a list of its own. */
  conns(): OfConn[] {
    const all: OfConn[] = [];
    for (const service of this.#services) all.push(...service.conns);
    if (this.#loose !== null) all.push(...this.#loose.conns);
    return all;
  }

  setAllowedVersions(bitmap: number): void {
    if (bitmap === this.#allowedVersions) return;
    this.#allowedVersions = bitmap;
    const configs = this.#configs;
    this.#configs = [];
    for (const service of this.#services) service.destroy();
    this.#services = [];
    this.#loose?.destroy();
    this.#loose = null;
    this.#applyControllers(configs);
  }

  setControllers(configs: readonly ControllerConfig[]): void {
    const had = this.hasControllers;
    this.#applyControllers(configs);
    this.#updateFailOpen();
    if (had !== this.hasControllers) this.#host.flushFlows();
    this.#host.deps.wake();
  }

  #applyControllers(configs: readonly ControllerConfig[]): void {
    this.#configs = configs;
    const kept: Service[] = [];
    const old = new Map(this.#services.map((s) => [s.target, s]));
    for (const config of configs) {
      const service = old.get(config.target);
      if (service !== undefined && service.type === serviceType(config)) {
        old.delete(config.target);
        service.configure(config);
        kept.push(service);
      }
    }
    for (const service of old.values()) {
      if (!isPassiveTarget(service.target))
        log.info(`${this.#host.name}: removed ${service.type} controller "${service.target}"`);
      service.destroy();
    }
    const known = new Set(kept.map((s) => s.target));
    for (const config of configs) {
      if (known.has(config.target)) continue;
      known.add(config.target);
      log.info(`${this.#host.name}: added ${serviceType(config)} controller "${config.target}"`);
      kept.push(new Service(config, this.#serviceContext()));
    }
    this.#services = kept;
  }

  setFailMode(mode: FailMode): void {
    if (mode === this.#failMode) return;
    this.#failMode = mode;
    this.#updateFailOpen();
    if (!this.hasControllers) this.#host.flushFlows();
    this.#host.configChanged();
  }

  setSnoops(targets: readonly string[]): void {
    for (const snoop of this.#snoops) if (!targets.includes(snoop.target)) snoop.listener.close();
    this.#snoops = this.#snoops.filter((s) => targets.includes(s.target));
    for (const target of targets) {
      if (this.#snoops.some((s) => s.target === target)) continue;
      try {
        const listener = this.#host.deps.connections.listen(target, 0, (transport) => {
          this.accept(transport, 'snoop');
        });
        this.#snoops.push({ target, listener });
      } catch (e) {
        if (!(e instanceof OvsError)) throw e;
        log.err(`failed to listen on ${target}: ${e.message}`);
      }
    }
  }

  accept(transport: OfConnTransport, kind: 'service' | 'snoop'): void {
    if (kind === 'service') {
      this.#loose ??= new Service(
        { target: '', type: 'service', inactivityProbeSec: 0 },
        this.#serviceContext(),
      );
      this.#loose.accept(transport);
    } else {
      this.#acceptSnooper(transport);
    }
    this.#host.deps.wake();
  }

  #serviceContext(): ServiceContext {
    return {
      bridgeName: this.#host.name,
      deps: this.#host.deps,
      allowedVersions: this.#allowedVersions,
    };
  }

  /** A snooper watches the best primary controller: the master, else the first that is connected. */
  #acceptSnooper(transport: OfConnTransport): void {
    const primaries = this.conns().filter((c) => c.type === 'primary');
    const watched =
      primaries.find((c) => c.role === 'master') ??
      primaries.find((c) => c.rconn.isConnected) ??
      primaries[0];
    if (watched === undefined) {
      log.info('no controller connection to snoop', snoopLimit);
      transport.close();
      return;
    }
    const snooper = Rconn.accept(transport, `${watched.name} (snoop)`, {
      clock: this.#host.deps.clock,
      factory: this.#host.deps.connections,
      maxBackoffSec: 0,
      probeIntervalSec: 0,
      allowedVersions: this.#allowedVersions,
      wake: () => {
        this.#host.deps.wake();
      },
    });
    watched.rconn.monitors.push(snooper);
    this.#snoopers.push(snooper);
  }

  /** The tables were emptied: puts back what the fail mode asks for. */
  flushed(): void {
    const nowMs = this.#host.deps.clock.nowMs();
    if (this.#failOpen?.shouldOpen(nowMs) === true) this.#host.addNormalRule(FAIL_OPEN_PRIORITY);
    if (!this.hasControllers && this.#failMode === 'standalone') this.#host.addNormalRule(0);
  }

  run(nowMs: number): number {
    let work = 0;
    const handle: RequestHandler = (conn, request) => {
      this.#failOpen?.maybeRecover();
      return this.#host.handleRequest(conn, request);
    };
    for (const service of this.#services) service.run(nowMs);
    this.#loose?.run(nowMs);
    for (const conn of this.conns()) work += conn.run(nowMs, handle);
    for (let i = this.#snoopers.length - 1; i >= 0; i--) {
      const snooper = this.#snoopers[i];
      if (snooper === undefined) continue;
      snooper.run(nowMs);
      while (snooper.receive() !== null) work++;
      if (!snooper.isAlive) this.#dropSnooper(i);
    }
    this.#failOpen?.run(nowMs);
    const wantsMiss = this.wantsPacketInOnMiss();
    if (wantsMiss !== this.#wantsMiss) {
      this.#wantsMiss = wantsMiss;
      this.#host.configChanged();
    }
    return work;
  }

  #dropSnooper(index: number): void {
    const [snooper] = this.#snoopers.splice(index, 1);
    for (const conn of this.conns()) {
      const at = conn.rconn.monitors.findIndex((m) => m === snooper);
      if (at >= 0) conn.rconn.monitors.splice(at, 1);
    }
  }

  get wakeAtMs(): number {
    let at = this.#failOpen?.wakeAtMs ?? Infinity;
    if (this.#failOpen !== null && !this.#anyAdmitted())
      at = Math.min(at, this.#host.deps.clock.nowMs() + 1000);
    for (const service of this.#services) at = Math.min(at, service.wakeAtMs);
    at = Math.min(at, this.#loose?.wakeAtMs ?? Infinity);
    for (const snooper of this.#snoopers) at = Math.min(at, snooper.wakeAtMs);
    return at;
  }

  destroy(): void {
    for (const service of this.#services) service.destroy();
    this.#loose?.destroy();
    for (const snooper of this.#snoopers) snooper.destroy();
    for (const snoop of this.#snoops) snoop.listener.close();
    this.#services = [];
    this.#snoops = [];
    this.#snoopers.length = 0;
  }

  /** Breaks all connections; those to controllers are made again. */
  reconnect(): void {
    for (const conn of this.conns()) conn.rconn.reconnect();
  }

  // -- roles --------------------------------------------------------------------------------

  get electionId(): bigint | null {
    return this.#electionId;
  }
  /** @returns false when the id is older than one seen before (distance as a signed 64-bit number). */
  setElectionId(id: bigint): boolean {
    if (this.#electionId !== null && BigInt.asIntN(64, id - this.#electionId) < 0n) return false;
    this.#electionId = id;
    return true;
  }
  setRole(conn: OfConn, role: 'equal' | 'master' | 'slave'): void {
    if (role === 'master' && conn.role !== 'master') {
      for (const other of this.conns()) if (other.role === 'master') other.role = 'slave';
    }
    conn.role = role;
  }

  // -- asynchronous messages ----------------------------------------------------------------

  /** Whether a miss in a table without a table-miss flow interests anyone: versions before 1.3. */
  wantsPacketInOnMiss(): boolean {
    return this.conns().some(
      (c) =>
        c.controllerId === 0 &&
        c.version > 0 &&
        c.version < ofp13 &&
        c.receives('packetIn', packetInReasonNumbers.no_match),
    );
  }

  sendPacketIn(event: PacketInEvent): void {
    const reason = wireReason(event);
    for (const conn of this.conns()) {
      if (conn.version === 0 || conn.controllerId !== event.controllerId) continue;
      if (event.miss === 'implicit' && conn.version >= ofp13) continue;
      if (!conn.receives('packetIn', packetInReasonNumbers[reason])) continue;
      conn.sendPacketIn(encodePacketInFor(conn, event, reason));
    }
  }

  sendPortStatus(source: OfConn | null, reason: 'add' | 'delete' | 'modify', desc: PhyPort): void {
    for (const conn of this.conns()) {
      // Before 1.5 the controller that changed a port is taken to know it.
      if (conn === source && conn.version < 6) continue;
      if (conn.receives('portStatus', portReasonNumbers[reason]))
        conn.sendAsync(encodePortStatusFor(conn, reason, desc));
    }
  }

  /** Whether `sendFlowRemoved` would reach anyone (spares building the message). */
  anyWantsFlowRemoved(reason: FlowRemoved['reason']): boolean {
    return this.conns().some((c) => c.receives('flowRemoved', flowRemovedReasonNumbers[reason]));
  }
  sendFlowRemoved(message: FlowRemoved): void {
    for (const conn of this.conns()) {
      if (conn.receives('flowRemoved', flowRemovedReasonNumbers[message.reason])) {
        conn.sendAsync(encodeFlowRemovedFor(conn, message));
      }
    }
  }

  // -- status -------------------------------------------------------------------------------

  status(): ControllerStatus[] {
    const nowMs = this.#host.deps.clock.nowMs();
    const rows: ControllerStatus[] = [];
    for (const service of this.#services) {
      const conn = service.conns[0];
      if (conn === undefined) continue;
      const status: Record<string, string> = {};
      const { lastError, lastConnectedMs, lastDisconnectedMs } = conn.rconn;
      if (lastError !== null) status['last_error'] = lastError;
      status['state'] = conn.rconn.state;
      if (lastConnectedMs !== null) status['sec_since_connect'] = seconds(nowMs - lastConnectedMs);
      if (lastDisconnectedMs !== null) status['sec_since_disconnect'] = seconds(nowMs - lastDisconnectedMs);
      rows.push({
        target: service.target,
        isConnected: conn.rconn.isConnected,
        role: conn.databaseRole,
        status,
      });
    }
    return rows;
  }

  // -- fail-open ----------------------------------------------------------------------------

  get failOpenActive(): boolean {
    return this.#failOpen?.isActive ?? false;
  }

  #primaries(): OfConn[] {
    return this.#services.filter((s) => s.type === 'primary').flatMap((s) => s.conns);
  }
  #anyAdmitted(): boolean {
    return this.#primaries().some((c) => c.rconn.isAdmitted);
  }

  #updateFailOpen(): void {
    const wanted = this.hasControllers && this.#failMode === 'standalone';
    if (!wanted) {
      this.#failOpen?.recover();
      this.#failOpen = null;
    } else if (this.#failOpen === null) {
      const host = this.#host;
      this.#failOpen = new FailOpen({
        failureDurationSec: (nowMs) => {
          const durations = this.#primaries().map((c) => c.rconn.failureDurationSec(nowMs));
          return durations.length === 0 ? 0 : Math.min(...durations);
        },
        maxProbeIntervalSec: () => Math.max(0, ...this.#primaries().map((c) => c.rconn.probeIntervalSec)),
        anyControllerAdmitted: () => this.#anyAdmitted(),
        anyControllerConnected: () => this.#primaries().some((c) => c.rconn.isConnected),
        flushFlows: () => {
          host.flushFlows();
        },
        removeFailOpenRule: () => {
          host.removeFailOpenRule();
        },
        sendBogusPacketIn: () => {
          host.sendBogusPacketIn();
        },
      });
    }
  }
}

function seconds(ms: number): string {
  return String(Math.floor(ms / 1000));
}

/** A miss is told apart from an action only by those who ask for it. */
function wireReason(event: PacketInEvent): PacketInReason {
  if (event.miss === 'none') return event.reason;
  return event.miss === 'implicit' ? 'implicit_miss' : 'explicit_miss';
}
