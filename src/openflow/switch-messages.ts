/** Codecs of what describes a switch and its connections: features, configuration, roles, tables, queues. */
import { OfpError } from '../util/errors.ts';
import { ByteWriter } from './byte-io.ts';
import type { ByteReader } from './byte-io.ts';
import { pullProperty } from './decode-long-actions.ts';
import type {
  AsyncConfig,
  Capability,
  ControllerRole,
  DescReply,
  FeaturesReply,
  HelloMessage,
  QueueConfig,
  QueueGetConfigReply,
  QueueStats,
  RoleMessage,
  SwitchConfig,
  TableStats,
} from './messages.ts';
import { portFromOfp11, pullDuration, pullPort, putDuration, putPort } from './port-messages.ts';
import { ofp10ToOfp11Port } from './ports.ts';

const CONFIG_FRAG_MASK = 3;
const CONFIG_INVALID_TTL = 4;
const fragModes = ['normal', 'drop', 'reassemble', 'nx-match'] as const;

// hello

/** Bits of all versions from 1.0 up to `version`. */
function versionsUpTo(version: number): number {
  return ((1 << (Math.min(version, 30) + 1)) - 1) & ~1;
}

export function putHello(w: ByteWriter, m: HelloMessage): void {
  // 1.0 to n without a hole goes without saying.
  const above = (m.versionBitmap >>> 1) + 1;
  if ((above & (above - 1)) !== 0) w.u16(1).u16(8).u32(m.versionBitmap);
}

/** Reads the elements of a hello; broken ones are skipped, as the specification asks. */
export function pullHello(r: ByteReader, version: number): HelloMessage {
  let versionBitmap = versionsUpTo(version);
  let hasUnknown = false;
  while (r.left >= 4) {
    const type = r.peekU16();
    const length = r.peekU16(2);
    const padded = Math.ceil(length / 8) * 8;
    if (length < 4 || padded > r.left) break;
    const bitmap = type === 1 && length >= 8 && length % 4 === 0 ? r.peekU32(4) & ~1 : 0;
    if (bitmap === 0) hasUnknown = true;
    else versionBitmap = bitmap >>> 0;
    r.skip(padded);
  }
  if (r.left > 0) hasUnknown = true;
  return { type: 'hello', versionBitmap, ...(hasUnknown && { hasUnknown }) };
}

// features

interface CapabilityBit {
  readonly bit: number;
  readonly name: Capability;
  readonly from: number;
  readonly to: number;
}

const capabilityBits: readonly CapabilityBit[] = [
  { bit: 0, name: 'FLOW_STATS', from: 1, to: 6 },
  { bit: 1, name: 'TABLE_STATS', from: 1, to: 6 },
  { bit: 2, name: 'PORT_STATS', from: 1, to: 6 },
  { bit: 3, name: 'STP', from: 1, to: 1 },
  { bit: 3, name: 'GROUP_STATS', from: 2, to: 6 },
  { bit: 5, name: 'IP_REASM', from: 1, to: 6 },
  { bit: 6, name: 'QUEUE_STATS', from: 1, to: 6 },
  { bit: 7, name: 'ARP_MATCH_IP', from: 1, to: 2 },
  { bit: 8, name: 'PORT_BLOCKED', from: 3, to: 6 },
  { bit: 9, name: 'BUNDLES', from: 5, to: 6 },
  { bit: 10, name: 'FLOW_MONITORING', from: 5, to: 6 },
];

export function putFeatures(w: ByteWriter, m: FeaturesReply, version: number): void {
  let bits = 0;
  for (const c of capabilityBits) {
    if (m.capabilities.has(c.name) && version >= c.from && version <= c.to) bits |= 1 << c.bit;
  }
  w.u64(m.datapathId)
    .u32(m.nBuffers)
    .u8(m.nTables)
    .u8(version >= 4 ? m.auxiliaryId : 0)
    .zeros(2);
  w.u32(bits).u32(version === 1 ? m.actions : 0);
  if (version <= 3) for (const port of m.ports) putPort(w, port, version);
}

export function pullFeatures(r: ByteReader, version: number): FeaturesReply {
  const datapathId = r.u64();
  const nBuffers = r.u32();
  const nTables = r.u8();
  const auxiliaryId = r.u8();
  r.skip(2);
  const bits = r.u32();
  const actions = r.u32();
  const capabilities = new Set<Capability>();
  for (const c of capabilityBits) {
    if ((bits & (1 << c.bit)) !== 0 && version >= c.from && version <= c.to) capabilities.add(c.name);
  }
  const ports = [];
  if (version <= 3) while (r.left > 0) ports.push(pullPort(r, version));
  return {
    type: 'features_reply', datapathId, nBuffers, nTables, auxiliaryId: version >= 4 ? auxiliaryId : 0,
    capabilities, actions: version === 1 ? actions : 0, ports,
  }; // prettier-ignore
}

// configuration

export function putSwitchConfig(w: ByteWriter, m: SwitchConfig, version: number): void {
  const ttl = m.invalidTtlToController === true && version < 4 ? CONFIG_INVALID_TTL : 0;
  w.u16(fragModes.indexOf(m.frag) | ttl).u16(m.missSendLen);
}

export function pullSwitchConfig(r: ByteReader, type: SwitchConfig['type'], version: number): SwitchConfig {
  const flags = r.u16();
  const missSendLen = r.u16();
  const hasTtl = version < 4;
  const known = CONFIG_FRAG_MASK | (hasTtl ? CONFIG_INVALID_TTL : 0);
  if (type === 'set_config' && (flags & ~known) !== 0) throw new OfpError('OFPSCFC_BAD_FLAGS');
  const frag = fragModes[flags & CONFIG_FRAG_MASK] ?? 'normal';
  return {
    type,
    frag,
    missSendLen,
    invalidTtlToController: hasTtl ? (flags & CONFIG_INVALID_TTL) !== 0 : null,
  };
}

// roles and asynchronous messages

const roles = ['nochange', 'equal', 'master', 'slave'] as const satisfies readonly ControllerRole[];
const nxRoles = ['equal', 'master', 'slave'] as const satisfies readonly ControllerRole[];

export function putRole(w: ByteWriter, m: RoleMessage, isNx: boolean): void {
  if (isNx) w.u32(Math.max((nxRoles as readonly string[]).indexOf(m.role), 0));
  else
    w.u32(roles.indexOf(m.role))
      .zeros(4)
      .u64(m.generationId ?? 0xffffffffffffffffn);
}

export function pullRole(r: ByteReader, type: RoleMessage['type'], isNx: boolean): RoleMessage {
  const number = r.u32();
  const role = isNx ? nxRoles[number] : roles[number];
  if (!role) throw new OfpError('OFPRRFC_BAD_ROLE');
  if (isNx) return { type, role, generationId: null };
  r.skip(4);
  const generationId = r.u64();
  const isGiven = (type === 'role_reply' || role !== 'nochange') && generationId !== 0xffffffffffffffffn;
  return { type, role, generationId: isGiven ? generationId : null };
}

export function putAsync(w: ByteWriter, m: AsyncConfig): void {
  for (const [slave, master] of [m.packetIn, m.portStatus, m.flowRemoved]) w.u32(master).u32(slave);
}

type AsyncMask = Exclude<keyof AsyncConfig, 'type'>;

/** Masks of 1.4: property 2n for slaves, 2n + 1 for masters, with the reasons that exist. */
const asyncProperties: readonly (readonly [key: AsyncMask, reasons: number])[] = [
  ['packetIn', 0x3f],
  ['portStatus', 0x07],
  ['flowRemoved', 0x3f],
  ['roleStatus', 0x07],
  ['tableStatus', 0x18],
  ['requestForward', 0x03],
];

export function putAsyncProperties(w: ByteWriter, m: AsyncConfig): void {
  for (const [i, [key, reasons]] of asyncProperties.entries()) {
    for (const who of [0, 1] as const)
      w.u16(2 * i + who)
        .u16(8)
        .u32((m[key]?.[who] ?? 0) & reasons);
  }
}

/** @param basis What stays of masks that are not named. */
export function pullAsyncProperties(
  r: ByteReader,
  type: AsyncConfig['type'],
  basis: Partial<AsyncConfig> = {},
): AsyncConfig {
  const masks = new Map<AsyncMask, [number, number]>();
  for (const [key] of asyncProperties) masks.set(key, [...(basis[key] ?? [0, 0])]);
  while (r.left > 0) {
    const property = pullProperty(r);
    const [key, reasons] = asyncProperties[property.type >>> 1] ?? [];
    const pair = key === undefined ? undefined : masks.get(key);
    const isReply = type === 'get_async_reply';
    if (!pair || reasons === undefined) {
      if (isReply) continue;
      throw new OfpError('OFPACFC_UNSUPPORTED');
    }
    if (property.body.left !== 4) throw new OfpError('OFPBPC_BAD_LEN');
    const mask = property.body.u32();
    if ((mask & ~reasons) !== 0 && !isReply) throw new OfpError('OFPACFC_INVALID');
    pair[property.type & 1] = mask & reasons;
  }
  const of = (key: AsyncMask): [number, number] => masks.get(key) ?? [0, 0];
  return {
    type,
    packetIn: of('packetIn'),
    portStatus: of('portStatus'),
    flowRemoved: of('flowRemoved'),
    roleStatus: of('roleStatus'),
    tableStatus: of('tableStatus'),
    requestForward: of('requestForward'),
  };
}

/** Reasons of a packet-in that versions before 1.4 have. */
const OLD_PACKET_IN_REASONS = 7;

export function pullAsync(r: ByteReader, type: AsyncConfig['type'], version: number): AsyncConfig {
  const pair = (): readonly [number, number] => {
    const master = r.u32();
    return [r.u32(), master];
  };
  const [slave, master] = pair();
  const known = version < 5 ? OLD_PACKET_IN_REASONS : 0xffffffff;
  const packetIn = [(slave & known) >>> 0, (master & known) >>> 0] as const;
  return { type, packetIn, portStatus: pair(), flowRemoved: pair() };
}

// description and tables

export function putDesc(w: ByteWriter, m: DescReply): void {
  w.text(m.mfrDesc, 256).text(m.hwDesc, 256).text(m.swDesc, 256).text(m.serialNum, 32).text(m.dpDesc, 256);
}

export function pullDesc(r: ByteReader): DescReply {
  return {
    type: 'desc_reply',
    mfrDesc: r.text(256),
    hwDesc: r.text(256),
    swDesc: r.text(256),
    serialNum: r.text(32),
    dpDesc: r.text(256),
  };
}

export function tableStatsEntry(t: TableStats, version: number): Uint8Array {
  const w = new ByteWriter();
  w.u8(t.tableId);
  if (version >= 4) return w.zeros(3).u32(t.activeCount).u64(t.lookupCount).u64(t.matchedCount).finish();
  if (version === 1) {
    w.zeros(3)
      .text(t.name, 32)
      .u32(t.wildcards ?? 0)
      .u32(t.maxEntries)
      .u32(t.activeCount);
    return w.u64(t.lookupCount).u64(t.matchedCount).finish();
  }
  w.zeros(7).text(t.name, 32);
  if (version === 3) {
    // match, wildcards, write_actions, apply_actions, write_setfields, apply_setfields: everything.
    w.u64(OXM_ALL).u64(OXM_ALL).u32(ACTIONS_12).u32(ACTIONS_12).u64(OXM_ALL).u64(OXM_ALL);
    w.u64(ALL).u64(ALL).u32(INSTRUCTIONS_12).u32(0);
  } else {
    w.u32(0).u32(0).u32(INSTRUCTIONS_12).u32(ACTIONS_12).u32(ACTIONS_12).u32(0);
  }
  w.u32(t.maxEntries).u32(t.activeCount).u64(t.lookupCount).u64(t.matchedCount);
  return w.finish();
}

const ALL = 0xffffffffffffffffn;
/** OFPXMT12_OFB_* of 1.2: fields 0-35. */
const OXM_ALL = (1n << 36n) - 1n;
/** Output and OFPAT 15-25. */
const ACTIONS_12 = 0x03ff8001;
/** goto_table ... clear_actions. */
const INSTRUCTIONS_12 = 0x3e;

export function pullTableStats(r: ByteReader, version: number): TableStats {
  const tableId = r.u8();
  if (version >= 4) {
    r.skip(3);
    return {
      tableId,
      name: '',
      maxEntries: 0,
      activeCount: r.u32(),
      lookupCount: r.u64(),
      matchedCount: r.u64(),
    };
  }
  r.skip(version === 1 ? 3 : 7);
  const name = r.text(32);
  let wildcards: number | undefined;
  if (version === 1) wildcards = r.u32();
  else r.skip(version === 3 ? 64 : 24);
  const maxEntries = r.u32();
  const activeCount = r.u32();
  return {
    tableId, name, maxEntries, activeCount, lookupCount: r.u64(), matchedCount: r.u64(),
    ...(wildcards !== undefined && { wildcards }),
  }; // prettier-ignore
}

// queues

export function queueStatsEntry(q: QueueStats, version: number): Uint8Array {
  const w = new ByteWriter();
  if (version === 1)
    w.u16(q.port & 0xffff)
      .zeros(2)
      .u32(q.queueId);
  else if (version >= 5) w.u16(48).zeros(6).u32(q.port).u32(q.queueId);
  else w.u32(q.port).u32(q.queueId);
  w.u64(q.txBytes).u64(q.txPackets).u64(q.txErrors);
  if (version >= 4) putDuration(w, q.durationMs);
  return w.finish();
}

export function pullQueueStats(r: ByteReader, version: number): QueueStats {
  if (version >= 5) r.skip(8);
  const port = version === 1 ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32());
  if (version === 1) r.skip(2);
  const queueId = r.u32();
  const txBytes = r.u64();
  const txPackets = r.u64();
  const txErrors = r.u64();
  return { port, queueId, txBytes, txPackets, txErrors, durationMs: version >= 4 ? pullDuration(r) : null };
}

const RATE_UNKNOWN = 0xffff;

export function putQueueConfig(w: ByteWriter, m: QueueGetConfigReply, version: number): void {
  if (version === 1) w.u16(m.port & 0xffff).zeros(6);
  else w.u32(m.port).zeros(4);
  for (const q of m.queues) {
    const start = w.length;
    w.u32(q.queueId);
    if (version >= 3) w.u32(q.port);
    const at = w.length;
    w.u16(0).zeros(version >= 3 ? 6 : 2);
    if (q.minRate !== RATE_UNKNOWN) w.u16(1).u16(16).zeros(4).u16(q.minRate).zeros(6);
    if (q.maxRate !== RATE_UNKNOWN && version >= 3) w.u16(2).u16(16).zeros(4).u16(q.maxRate).zeros(6);
    w.setU16(at, w.length - start);
  }
}

export function pullQueueConfig(r: ByteReader, version: number): QueueGetConfigReply {
  const port = version === 1 ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32());
  r.skip(version === 1 ? 6 : 4);
  const queues: QueueConfig[] = [];
  while (r.left > 0) {
    const queueId = r.u32();
    const queuePort = version >= 3 ? portFromOfp11(r.u32()) : port;
    const length = r.u16();
    r.skip(version >= 3 ? 6 : 2);
    const header = version >= 3 ? 16 : 8;
    if (length < header) throw new OfpError('OFPBRC_BAD_LEN');
    const props = r.sub(length - header);
    let minRate = RATE_UNKNOWN;
    let maxRate = RATE_UNKNOWN;
    while (props.left > 0) {
      const { type, body } = pullProperty(props);
      if (type !== 1 && type !== 2) continue;
      body.skip(4);
      if (type === 1) minRate = body.u16();
      else maxRate = body.u16();
    }
    queues.push({ port: queuePort, queueId, minRate, maxRate });
  }
  return { type: 'queue_get_config_reply', port, queues };
}
