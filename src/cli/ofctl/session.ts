/**
 * What the commands of ovs-ofctl share: options, output, opening connections, picking a protocol.
 */
import { decodeMessage } from '../../openflow/codec.ts';
import type { OfpMessage, PhyPort } from '../../openflow/messages.ts';
import { decodeErrorBody } from '../../openflow/errors.ts';
import { decodeHeader } from '../../openflow/header.ts';
import { formatMessage } from '../../openflow/print-message.ts';
import {
  P_OF10_NXM_ANY,
  P_TID,
  Protocol,
  formatProtocols,
  protocolVersion,
  protocolsOfVersion,
} from '../../openflow/protocols.ts';
import { OFPP_NONE } from '../../openflow/ports.ts';
import type { PortMap } from '../../flow/port-map.ts';
import { noPorts } from '../../flow/port-map.ts';
import { OfpError, SystemError, UsageError } from '../../util/errors.ts';
import { strerror } from '../../stream/errno.ts';
import type { OfctlOptions } from './options.ts';
import { openVconn } from './vconn.ts';
import type { Vconn } from './vconn.ts';

/** Ends the program with a status after output that was already written. */
export class ExitError extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

export interface Output {
  out(text: string): void;
  err(text: string): void;
}

export class Session {
  readonly options: OfctlOptions;
  readonly output: Output;

  constructor(options: OfctlOptions, output: Output) {
    this.options = options;
    this.output = output;
  }

  open(name: string, suffix?: string): Promise<Vconn> {
    return openVconn(name, this.options.versions, suffix);
  }

  /** Runs with a connection that is closed afterwards; a broken one ends the program as ovs-ofctl says. */
  async with<T>(name: string, run: (vconn: Vconn) => Promise<T>): Promise<T> {
    const vconn = await this.open(name);
    try {
      return await run(vconn);
    } catch (e) {
      if (!(e instanceof SystemError)) throw e;
      throw new UsageError(`talking to ${name} (${e.code === 'EOF' ? 'End of file' : strerror(e.code)})`);
    } finally {
      vconn.close();
    }
  }

  print(bytes: Uint8Array, ports: PortMap = noPorts): void {
    const { verbosity, showStats } = this.options;
    this.output.out(formatMessage(bytes, { ports, showStats, verbosity: verbosity + 1 }));
  }

  /** One request, one reply, printed. */
  async dump(name: string, request: OfpMessage, ports?: PortMap): Promise<void> {
    await this.with(name, async (vconn) => {
      this.print(await vconn.transact(request), ports);
    });
  }

  /** One request, all parts of its reply. */
  async replies(vconn: Vconn, request: OfpMessage): Promise<Uint8Array[]> {
    const xid = vconn.send(request);
    const parts: Uint8Array[] = [];
    for (;;) {
      const bytes = await vconn.receiveXid(xid);
      parts.push(bytes);
      const isMultipart = bytes[1] === (vconn.version === 1 ? 17 : 19);
      if (!isMultipart || ((bytes[11] ?? 0) & 1) === 0) return parts;
    }
  }

  /** A multipart request, each part of the reply printed. */
  async dumpStats(name: string, request: OfpMessage, ports?: PortMap): Promise<void> {
    await this.with(name, async (vconn) => {
      for (const part of await this.replies(vconn, request)) this.print(part, ports);
    });
  }

  /** Sends a request that only an error answers; prints the error and ends. */
  async transactNoReply(vconn: Vconn, request: OfpMessage): Promise<void> {
    const error = await vconn.transactNoReply(request);
    if (!error) return;
    const { verbosity } = this.options;
    this.output.err(formatMessage(error, { verbosity: verbosity + 2 }));
    throw new ExitError(1);
  }

  /** Has the switch do all of `messages` or none; prints what is wrong and ends. @throws UsageError */
  async transactBundle(vconn: Vconn, messages: readonly OfpMessage[]): Promise<void> {
    const failures = await vconn.transactBundle(messages);
    if (failures.length === 0) return;
    for (const { error, request } of failures) {
      const header = decodeHeader(error);
      const name = decodeErrorBody(header.version, header.body.rest()).error;
      const text = formatMessage(request, { verbosity: this.options.verbosity + 1 });
      this.output.err(`Error ${name} for: ${text}`);
    }
    throw new UsageError(`talking to ${vconn.name} (${strerror('EPROTO')})`);
  }

  /** All ports of a switch. */
  async ports(vconn: Vconn): Promise<PhyPort[]> {
    const found: PhyPort[] = [];
    const request: OfpMessage =
      vconn.version >= 4 ? { type: 'port_desc_request', port: OFPP_NONE } : { type: 'features_request' };
    for (const part of await this.replies(vconn, request)) {
      try {
        const { message } = decodeMessage(part);
        if (message.type === 'features_reply' || message.type === 'port_desc_reply')
          found.push(...message.ports);
      } catch (e) {
        if (!(e instanceof OfpError)) throw e;
      }
    }
    return found;
  }

  /** Names of ports to accept in what the user typed. */
  async portsToAccept(name: string): Promise<PortMap> {
    if (this.options.useNames === false) return noPorts;
    return await this.with(name, async (vconn) => makePortMap(await this.ports(vconn)));
  }

  /** Names of ports to show: on a terminal or when asked for. */
  async portsToShow(name: string): Promise<PortMap> {
    const show = this.options.useNames ?? process.stdout.isTTY;
    if (!show) return noPorts;
    return await this.with(name, async (vconn) => makePortMap(await this.ports(vconn)));
  }

  /** Switches a 1.0 connection to a protocol; later versions only have one. */
  async trySetProtocol(vconn: Vconn, want: number): Promise<boolean> {
    if (protocolVersion(want) !== vconn.version) return false;
    if (vconn.version !== 1) return true;
    const wantNxm = (want & P_OF10_NXM_ANY) !== 0;
    const format = wantNxm ? 'nxm' : 'openflow10';
    if (vconn.flowFormat !== format) {
      if (await vconn.transactNoReply({ type: 'nx_set_flow_format', format })) return false;
      vconn.flowFormat = format;
    }
    const enable = (want & P_TID) !== 0;
    if (vconn.tableIdExtension !== enable) {
      if (await vconn.transactNoReply({ type: 'nx_flow_mod_table_id', enable })) return false;
      vconn.tableIdExtension = enable;
    }
    return true;
  }

  /** Checks that a protocol may be used of those that can be. @throws UsageError */
  requireUsable(usable: number): void {
    const { protocols } = this.options;
    if ((usable & protocols) !== 0) return;
    throw new UsageError(
      `none of the usable flow formats (${formatProtocols(usable)}) is among the allowed flow ` +
        `formats (${formatProtocols(protocols)})`,
    );
  }

  /** Opens a connection for flow_mods that can carry `usable`. @throws UsageError */
  async openForFlowMod(name: string, usable: number): Promise<Vconn> {
    this.requireUsable(usable);
    const { protocols } = this.options;
    const vconn = await this.open(name);
    const current = vconn.version === 1 ? Protocol.OF10_STD : protocolsOfVersion(vconn.version);
    if ((usable & protocols & current) !== 0) return vconn;
    for (let i = 0; i < 9; i++) {
      const protocol = 1 << i;
      if (protocol === current || (protocol & usable & protocols) === 0) continue;
      if (await this.trySetProtocol(vconn, protocol)) return vconn;
    }
    vconn.close();
    throw new UsageError(
      `switch does not support any of the usable flow formats (${formatProtocols(usable)})`,
    );
  }

  /** Makes a connection able to dump flows of `usable`. @throws UsageError */
  async setProtocolForDump(vconn: Vconn, usable: number): Promise<void> {
    const { protocols } = this.options;
    const order = [
      Protocol.OF15_OXM, Protocol.OF14_OXM, Protocol.OF13_OXM, Protocol.OF12_OXM, Protocol.OF11_STD,
      Protocol.OF10_NXM, Protocol.OF10_STD,
    ]; // prettier-ignore
    for (const protocol of order) {
      if ((protocol & usable & protocols) === 0) continue;
      if (await this.trySetProtocol(vconn, protocol)) return;
    }
    if ((usable & protocols) !== 0) {
      throw new UsageError(
        `switch does not support any of the usable flow formats (${formatProtocols(usable & protocols)})`,
      );
    }
    throw new UsageError(
      `none of the usable flow formats (${formatProtocols(usable)}) is among the allowed flow ` +
        `formats (${formatProtocols(protocols)})`,
    );
  }
}

export function makePortMap(ports: readonly PhyPort[]): PortMap {
  const byName = new Map(ports.map((p) => [p.name, p.port as number]));
  const byNumber = new Map(ports.map((p) => [p.port as number, p.name]));
  return { byName: (name) => byName.get(name), byNumber: (port) => byNumber.get(port) };
}
