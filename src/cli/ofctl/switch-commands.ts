/** Commands about a switch and its ports, packets and connections. */
import { performance } from 'node:perf_hooks';
import { randomBytes } from 'node:crypto';
import { decodeMessage } from '../../openflow/codec.ts';
import { PortConfig } from '../../openflow/messages.ts';
import type { OfpMessage, PhyPort, SwitchConfig, TableFeatures } from '../../openflow/messages.ts';
import { formatTableFeatures } from '../../openflow/print-table-features.ts';
import { protocolsOfVersions } from '../../openflow/protocols.ts';
import { inPortMetadata } from '../../openflow/packet-messages.ts';
import { parseActions, parseContext, parseHex } from '../../openflow/parse-actions.ts';
import { OFPP_MAX, OFPP_NONE, OFPQ_ALL, OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { parseOfpPort } from '../../flow/ofp-port-text.ts';
import type { PortMap } from '../../flow/port-map.ts';
import { splitKeyValues } from '../../flow/key-values.ts';
import { OfpError, UsageError } from '../../util/errors.ts';
import type { OfpPort } from '../../util/brand.ts';
import { makePortMap } from './session.ts';
import type { Session } from './session.ts';
import type { Vconn } from './vconn.ts';

type Args = readonly string[];

/** Bit n: version n has meters. */
const METER_VERSIONS = 0b1110000;

export async function show(s: Session, [name = '']: Args): Promise<void> {
  await s.with(name, async (vconn) => {
    s.print(await vconn.transact({ type: 'features_request' }));
    if (vconn.version >= 4) {
      for (const part of await s.replies(vconn, { type: 'port_desc_request', port: OFPP_NONE }))
        s.print(part);
    }
  });
  await s.dump(name, { type: 'get_config_request' });
}

export const dumpDesc = (s: Session, [name = '']: Args): Promise<void> =>
  s.dumpStats(name, { type: 'desc_request' });
export const dumpTables = (s: Session, [name = '']: Args): Promise<void> =>
  s.dumpStats(name, { type: 'table_stats_request' });
/** All tables as one list, whatever messages they came in. */
export async function dumpTableFeatures(s: Session, [name = '']: Args): Promise<void> {
  await s.with(name, async (vconn) => {
    if (vconn.version < 4) {
      throw new UsageError("dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')");
    }
    const tables: TableFeatures[] = [];
    for (const part of await s.replies(vconn, { type: 'table_features_request' })) {
      const message = readReply(part);
      if (message?.type === 'table_features_reply') tables.push(...message.tables);
      else s.print(part);
    }
    if (tables.length > 0) s.output.out(`${formatTableFeatures(tables, vconn.version)}\n`);
  });
}

function readReply(bytes: Uint8Array): OfpMessage | undefined {
  try {
    return decodeMessage(bytes).message;
  } catch (e) {
    if (e instanceof OfpError) return undefined;
    throw e;
  }
}

export const dumpGroupFeatures = (s: Session, [name = '']: Args): Promise<void> =>
  s.dumpStats(name, { type: 'group_features_request' });
export async function meterFeatures(s: Session, [name = '']: Args): Promise<void> {
  s.requireUsable(protocolsOfVersions(METER_VERSIONS));
  await s.dumpStats(name, { type: 'meter_features_request' });
}

async function findPort(s: Session, name: string, port: string): Promise<PhyPort> {
  const ports = await s.with(name, (vconn) => s.ports(vconn));
  const number = parseOfpPort(port, makePortMap(ports));
  const found = ports.find((p) => p.port === number);
  if (!found) throw new UsageError(`${name}: couldn't find port \`${port}'`);
  return found;
}

async function portNumber(s: Session, name: string, port: string): Promise<OfpPort> {
  const plain = parseOfpPort(port);
  if (plain !== undefined) return plain as OfpPort;
  const ports = await s.with(name, (vconn) => s.ports(vconn));
  const number = makePortMap(ports).byName(port);
  if (number === undefined) throw new UsageError(`${name}: unknown port \`${port}'`);
  return number as OfpPort;
}

export async function dumpPorts(s: Session, args: Args): Promise<void> {
  const [name = '', port] = args;
  const number = port === undefined ? OFPP_NONE : await portNumber(s, name, port);
  await s.dumpStats(name, { type: 'port_stats_request', port: number }, await s.portsToShow(name));
}

export async function dumpPortsDesc(s: Session, args: Args): Promise<void> {
  const [name = '', port] = args;
  const number = port === undefined ? OFPP_NONE : await portNumber(s, name, port);
  await s.dumpStats(name, { type: 'port_desc_request', port: number });
}

export async function queueStats(s: Session, args: Args): Promise<void> {
  const [name = '', port = 'all', queue = 'all'] = args;
  const isAll = (text: string): boolean => text === '' || text.toLowerCase() === 'all';
  const number = isAll(port) ? OFPP_NONE : await portNumber(s, name, port);
  const queueId = isAll(queue) ? OFPQ_ALL : Number.parseInt(queue, 10) || 0;
  await s.dumpStats(name, { type: 'queue_stats_request', port: number, queueId }, await s.portsToShow(name));
}

export async function queueGetConfig(s: Session, args: Args): Promise<void> {
  const [name = '', port = 'any'] = args;
  const number = await portNumber(s, name, port);
  await s.with(name, async (vconn) => {
    // 1.0 cannot ask for all ports at once.
    const isEach = vconn.version === 1 && number === OFPP_NONE;
    const ports = isEach ? (await s.ports(vconn)).map((p) => p.port).filter((p) => p < OFPP_MAX) : [number];
    for (const each of ports) {
      s.print(await vconn.transact({ type: 'queue_get_config_request', port: each, queueId: OFPQ_ALL }));
    }
  });
}

/** Words of mod-port: bit, and whether the word sets it. */
const portChanges: Readonly<Record<string, readonly [bit: number, on: boolean]>> = {
  up: [PortConfig.PORT_DOWN, false],
  down: [PortConfig.PORT_DOWN, true],
  stp: [PortConfig.NO_STP, false],
  receive: [PortConfig.NO_RECV, false],
  'receive-stp': [PortConfig.NO_RECV_STP, false],
  flood: [PortConfig.NO_FLOOD, false],
  forward: [PortConfig.NO_FWD, false],
  'packet-in': [PortConfig.NO_PACKET_IN, false],
};

export async function modPort(s: Session, args: Args): Promise<void> {
  const [name = '', port = '', command = ''] = args;
  const lower = command.toLowerCase();
  const isNegated = /^no-?/.test(lower);
  const word = lower.replace(/^no-?/, '');
  const change = Object.hasOwn(portChanges, word) ? portChanges[word] : undefined;
  if (!change || (isNegated && (word === 'up' || word === 'down'))) {
    throw new UsageError(`unknown mod-port command '${command}'`);
  }
  const found = await findPort(s, name, port);
  const [mask, on] = change;
  const config = on !== isNegated ? mask : 0;
  await s.with(name, (vconn) =>
    s.transactNoReply(vconn, {
      type: 'port_mod',
      port: found.port,
      hwAddr: found.hwAddr,
      config,
      mask,
      advertise: 0,
    }),
  );
}

export async function getConfig(vconn: Vconn): Promise<SwitchConfig> {
  const { message } = decodeMessage(await vconn.transact({ type: 'get_config_request' }));
  if (message.type !== 'get_config_reply') throw new UsageError(`${vconn.name}: bad reply to config request`);
  return message;
}

export async function getFrags(s: Session, [name = '']: Args): Promise<void> {
  await s.with(name, async (vconn) => {
    s.output.out(`${(await getConfig(vconn)).frag}\n`);
  });
}

export async function setFrags(s: Session, args: Args): Promise<void> {
  const [name = '', mode = ''] = args;
  const frag = (['normal', 'drop', 'reassemble', 'nx-match'] as const).find((m) => m === mode.toLowerCase());
  if (!frag) throw new UsageError(`${mode}: unknown fragment handling mode`);
  await s.with(name, async (vconn) => {
    const config = await getConfig(vconn);
    if (config.frag === frag) return;
    await s.transactNoReply(vconn, { ...config, type: 'set_config', frag });
    const now = await getConfig(vconn);
    if (now.frag !== frag) {
      throw new UsageError(
        `${name}: setting fragment handling mode failed (this switch probably doesn't support mode "${frag}")`,
      );
    }
  });
}

/** `in_port=1,packet=HEX,actions=...` or the older IN_PORT ACTIONS PACKET... */
export async function packetOut(s: Session, args: Args): Promise<void> {
  const [name = ''] = args;
  const ports = await s.portsToAccept(name);
  const list = args.length > 2 ? oldPacketOuts(args, ports) : [parsePacketOut(args[1] ?? '', ports)];
  const usable = list.reduce((bits, p) => bits & p.usable, -1);
  const vconn = await s.openForFlowMod(name, usable);
  try {
    for (const p of list) {
      await s.transactNoReply(vconn, packetOutMessage(p));
    }
  } finally {
    vconn.close();
  }
}

export function packetOutMessage({ inPort, actions, packet }: Packet): OfpMessage {
  return { type: 'packet_out', bufferId: OFP_NO_BUFFER, packet, metadata: inPortMetadata(inPort), actions };
}

interface Packet {
  readonly inPort: number;
  readonly actions: ReturnType<typeof parseActions>;
  readonly packet: Uint8Array;
  readonly usable: number;
}

function hexPacket(text: string): Uint8Array {
  const bytes = parseHex(text);
  if (!bytes) throw new UsageError('Trailing garbage in packet data');
  if (bytes.length < 14) throw new UsageError('Packet data too short for Ethernet');
  return bytes;
}

function oldPacketOuts(args: Args, ports: PortMap): Packet[] {
  const [, portText = '', actionsText = ''] = args;
  const context = parseContext(ports);
  const actions = parseActions(actionsText, context);
  const inPort = parseOfpPort(portText, ports);
  if (inPort === undefined) throw new UsageError(`unknown port \`${portText}'`);
  return args.slice(3).map((text) => ({ inPort, actions, usable: context.usable, packet: hexPacket(text) }));
}

/** `in_port=1,packet=HEX,actions=...`. @throws UsageError */
export function parsePacketOut(text: string, ports: PortMap): Packet {
  const at = text.search(/actions?=/);
  const context = parseContext(ports);
  const actions = at < 0 ? [] : parseActions(text.slice(text.indexOf('=', at) + 1), context);
  let inPort: number = OFPP_NONE;
  let packet: Uint8Array | undefined;
  for (const { key, value } of splitKeyValues(at < 0 ? text : text.slice(0, at))) {
    if (key === 'in_port') {
      const number = parseOfpPort(value, ports);
      if (number === undefined) throw new UsageError(`${value} is not a valid port`);
      inPort = number;
    } else if (key === 'packet') packet = hexPacket(value);
    else throw new UsageError(`unknown keyword ${key}`);
  }
  if (!packet) throw new UsageError('must specify packet');
  return { inPort, actions, usable: context.usable, packet };
}

export async function probe(s: Session, [name = '']: Args): Promise<void> {
  await s.with(name, async (vconn) => {
    const reply = await vconn.transact({ type: 'echo_request', data: new Uint8Array(0) });
    if (reply.length !== 8) throw new UsageError('reply does not match request');
  });
}

const MAX_PAYLOAD = 65535 - 8;

export async function ping(s: Session, args: Args): Promise<void> {
  const [name = '', sizeText = '64'] = args;
  const size = Number.parseInt(sizeText, 10) || 0;
  if (size > MAX_PAYLOAD) throw new UsageError(`payload must be between 0 and ${MAX_PAYLOAD} bytes`);
  await s.with(name, async (vconn) => {
    for (let i = 0; i < 10; i++) {
      const data = new Uint8Array(randomBytes(size));
      const start = performance.now();
      const xid = vconn.send({ type: 'echo_request', data });
      const reply = await vconn.receiveXid(xid);
      const ms = performance.now() - start;
      const isSame = reply[1] === 3 && reply.length === 8 + size && data.every((b, j) => b === reply[8 + j]);
      if (!isSame) s.output.out('Reply does not match request.\n');
      s.output.out(
        `${reply.length - 8} bytes from ${name}: xid=${xid.toString(16).padStart(8, '0')} time=${ms.toFixed(1)} ms\n`,
      );
    }
  });
}

export async function benchmark(s: Session, args: Args): Promise<void> {
  const [name = '', sizeText = '', countText = ''] = args;
  const size = Number.parseInt(sizeText, 10) || 0;
  const count = Number.parseInt(countText, 10) || 0;
  if (size > MAX_PAYLOAD) throw new UsageError(`payload must be between 0 and ${MAX_PAYLOAD} bytes`);
  const total = size + 8;
  s.output.out(`Sending ${count} packets * ${total} bytes (with header) = ${count * total} bytes total\n`);
  await s.with(name, async (vconn) => {
    const start = performance.now();
    for (let i = 0; i < count; i++)
      await vconn.transact({ type: 'echo_request', data: new Uint8Array(size) });
    const ms = performance.now() - start;
    const rate = (n: number): string => (n / (ms / 1000)).toFixed(0);
    s.output.out(
      `Finished in ${ms.toFixed(1)} ms (${rate(count)} packets/s) (${rate(count * total)} bytes/s)\n`,
    );
  });
}
