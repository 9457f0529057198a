/**
 * Any OpenFlow message as ovs-ofctl prints it (`ofp-print`, `monitor`, `snoop`, error replies).
 *
 * The first line names the message, its version and xid; then what it says. A message that cannot be
 * decoded prints the error and a hex dump. Every text ends in a newline.
 */
import { formatFlow, formatMatch } from '../flow/match-format.ts';
import { formatOfpPort } from '../flow/ofp-port-text.ts';
import { formatTableFeatures } from './print-table-features.ts';
import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import { OfpError, WireError } from '../util/errors.ts';
import { decodeMessage } from './codec.ts';
import type { DecodedMessage } from './codec.ts';
import { checkBundled } from './bundle-messages.ts';
import { decodeErrorBody } from './errors.ts';
import { DEFAULT_PRIORITY, formatDuration, formatFlowMatch, formatFlowStats } from './flow-text.ts';
import { formatActions } from './format-actions.ts';
import { decodeHeader, messageLength } from './header.ts';
import { BundleControlType, BundleFlag } from './messages.ts';
import type {
  FlowMod,
  FlowModCommand,
  FlowRemoved,
  FlowStats,
  FlowStatsRequest,
  OfpMessage,
  PacketIn,
  PacketOut,
  TableMod,
} from './messages.ts';
import { metadataInPort } from './packet-messages.ts';
import { OFPG_ALL, OFPG_ANY, OFPP_NONE, OFPTT_ALL, OFP_NO_BUFFER } from './ports.ts';
import {
  formatAsync,
  formatDesc,
  formatFeatures,
  formatGroupFeatures,
  formatMeterFeatures,
  formatPhyPort,
  formatPortMod,
  formatPortStats,
  formatQueueConfig,
  formatQueueStats,
  formatRole,
  formatSwitchConfig,
  formatTableStats,
  sortedPorts,
} from './print-switch.ts';
import { formatPacket } from './print-packet.ts';

export interface PrintOptions {
  readonly ports?: PortMap;
  /** 0 one line, 1 all, 2 with packets, 3 with hex. Default 1. */
  readonly verbosity?: number;
  /** Of dump-flows: cookies, counters, ages. Default true. */
  readonly showStats?: boolean;
}

/** ` (OF1.3)`, nothing for 1.0. */
function versionText(version: number): string {
  if (version === 1) return '';
  if (version >= 2 && version <= 6) return ` (OF1.${version - 1})`;
  return ` (OF 0x${version.toString(16).padStart(2, '0')})`;
}

/** `OFPST10_PORT_REPLY` prints as `OFPST_PORT reply`. */
function rawText(name: string): string {
  const m = /^(OFPT|OFPST|NXT|NXST|ONFT)\d*_(.*)$/.exec(name);
  const kind = m?.[1] ?? '';
  let rest = m?.[2] ?? name;
  if (kind.endsWith('ST')) rest = rest.replace(/_REPLY$/, ' reply').replace(/_REQUEST$/, ' request');
  return `${kind}_${rest}`;
}

/** Hex dump in OVS's form: 16 bytes a line, with text. */
export function hexDump(bytes: Uint8Array, withText = true): string {
  let s = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16);
    let hex = '';
    for (const [i, b] of line.entries()) hex += `${b.toString(16).padStart(2, '0')}${i === 7 ? '-' : ' '}`;
    if (!withText) {
      s += `${at.toString(16).padStart(8, '0')}  ${hex.replace(/ $/, '')}\n`;
      continue;
    }
    const text = Array.from(line, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
    s += `${at.toString(16).padStart(8, '0')}  ${hex.padEnd(48)}|${text.padEnd(16)}|\n`;
  }
  return s;
}

const commandTexts: Readonly<Record<FlowModCommand, string>> = {
  add: 'ADD',
  modify: 'MOD',
  modify_strict: 'MOD_STRICT',
  delete: 'DEL',
  delete_strict: 'DEL_STRICT',
};

function formatFlowMod(m: FlowMod, version: number, ports: PortMap): string {
  let s = ` ${commandTexts[m.command]}`;
  if (m.tableId !== 0) s += ` table:${m.tableId}`;
  const match = formatFlowMatch(m.match, m.priority, ports);
  s += match === '' ? ' ' : ` ${match} `;
  if (m.newCookie !== 0n && m.newCookie !== 0xffffffffffffffffn) s += `cookie:0x${m.newCookie.toString(16)} `;
  if (m.cookieMask !== 0n) s += `cookie:0x${m.cookie.toString(16)}/0x${m.cookieMask.toString(16)} `;
  if (m.idleTimeoutSec !== 0) s += `idle:${m.idleTimeoutSec} `;
  if (m.hardTimeoutSec !== 0) s += `hard:${m.hardTimeoutSec} `;
  if (m.importance !== 0) s += `importance:${m.importance} `;
  if (m.bufferId !== OFP_NO_BUFFER) s += `buf:0x${m.bufferId.toString(16)} `;
  if (m.outPort !== OFPP_NONE && m.outPort !== 0) s += `out_port:${formatOfpPort(m.outPort, ports)} `;
  if (m.flags.sendFlowRem) s += 'send_flow_rem ';
  if (m.flags.checkOverlap) s += 'check_overlap ';
  // Old versions reset the counters of an added flow without saying so.
  if (m.flags.resetCounts && version >= 3) s += 'reset_counts ';
  if (m.flags.noPacketCounts) s += 'no_packet_counts ';
  if (m.flags.noByteCounts) s += 'no_byte_counts ';
  if (m.flags.emergency) s += 'emerg ';
  return `${s}actions=${formatActions(m.actions, ports)}\n`;
}

function formatFlowRemoved(m: FlowRemoved, ports: PortMap): string {
  let s = ` ${formatFlowMatch(m.match, DEFAULT_PRIORITY, ports)}`;
  if (m.priority !== DEFAULT_PRIORITY) s = ` ${formatFlowMatch(m.match, m.priority, ports)}`;
  s += ` reason=${m.reason}`;
  if (m.tableId !== 255) s += ` table_id=${m.tableId}`;
  if (m.cookie !== 0n) s += ` cookie:0x${m.cookie.toString(16)}`;
  s += ` duration${formatDuration(m.durationMs)} idle${m.idleTimeoutSec}`;
  if (m.hardTimeoutSec !== 0) s += ` hard${m.hardTimeoutSec}`;
  return `${s} pkts${m.packetCount} bytes${m.byteCount}\n`;
}

function formatFlowStatsRequest(m: FlowStatsRequest, ports: PortMap): string {
  let s = '';
  if (m.tableId !== OFPTT_ALL) s += ` table=${m.tableId}`;
  if (m.outPort !== OFPP_NONE) s += ` out_port=${formatOfpPort(m.outPort, ports)}`;
  const match = formatMatch(m.match, ports);
  return `${s}${match === '' ? '' : ' '}${match}\n`;
}

function formatPacketInText(m: PacketIn, ports: PortMap, verbosity: number): string {
  let s = '';
  if (m.tableId !== 0) s += ` table_id=${m.tableId}`;
  if (m.cookie !== 0xffffffffffffffffn) s += ` cookie=0x${m.cookie.toString(16)}`;
  s += ` total_len=${m.totalLen} `;
  s += formatMatch(m.metadata, ports);
  s += ` (via ${m.reason})`;
  s += ` data_len=${m.packet.length}`;
  if (m.bufferId === OFP_NO_BUFFER) {
    s += ' (unbuffered)';
    if (m.totalLen !== m.packet.length) s += ' (***total_len != data_len***)';
  } else {
    s += ` buffer=0x${m.bufferId.toString(16).padStart(8, '0')}`;
    if (m.totalLen < m.packet.length) s += ' (***total_len < data_len***)';
  }
  s += '\n';
  if (m.userdata.length > 0) {
    s += ` userdata=${Array.from(m.userdata, (b) => b.toString(16).padStart(2, '0')).join('.')}\n`;
  }
  if (verbosity > 0 && m.packet.length > 0) s += formatPacket(m.packet, formatFlow);
  if (verbosity > 2) s += hexDump(m.packet, false);
  return s;
}

function formatPacketOut(m: PacketOut, ports: PortMap, verbosity: number): string {
  let s = ` in_port=${formatOfpPort(metadataInPort(m.metadata), ports)}`;
  s += ` actions=${formatActions(m.actions, ports)}`;
  if (m.bufferId !== OFP_NO_BUFFER) return `${s} buffer=0x${m.bufferId.toString(16).padStart(8, '0')}\n`;
  s += ` data_len=${m.packet.length}`;
  if (verbosity > 0 && m.packet.length > 0) s += `\n${formatPacket(m.packet, formatFlow)}`;
  else s += '\n';
  if (verbosity > 2) s += hexDump(m.packet, false);
  return s;
}

/** OFPM13_ALL. */
const METER_ALL = 0xffffffff;
const METER_MAX = 0xffff0000;

/** What 1.1 and 1.2 do with packets that no flow matches. */
const missConfigs = ['controller', 'continue', 'drop', 'controller'];

function formatTableMod(m: TableMod, version: number): string {
  const table = m.tableId === OFPTT_ALL ? ' table_id: ALL_TABLES' : ` table_id=${m.tableId}`;
  if (version <= 3) return `${table}, flow_miss_config=${missConfigs[m.config & 3] ?? ''}\n`;
  if (version === 4) return `${table}\n`;
  const onOff = (bit: number): string => ((m.config & bit) !== 0 ? 'on' : 'off');
  return `${table}, eviction=${onOff(4)}, vacancy=${onOff(8)}\n`;
}

function formatBody(
  bytes: Uint8Array,
  d: DecodedMessage,
  ports: PortMap,
  verbosity: number,
  showStats: boolean,
): string {
  const m: OfpMessage = d.message;
  switch (m.type) {
    case 'hello': {
      const versions = Array.from({ length: 32 }, (_, i) => i).filter(
        (i) => (m.versionBitmap & (1 << i)) !== 0,
      );
      const bitmap = `\n version bitmap: ${versions.map((v) => `0x${v.toString(16).padStart(2, '0')}`).join(', ')}\n`;
      return m.hasUnknown ? `${bitmap} unknown data in hello:\n${hexDump(bytes)}` : bitmap;
    }
    case 'echo_request':
    case 'echo_reply':
      return ` ${m.data.length} bytes of payload\n${verbosity > 1 ? hexDump(m.data) : ''}`;
    case 'features_reply':
      return formatFeatures(m, d.version);
    case 'set_config':
    case 'get_config_reply':
      return formatSwitchConfig(m);
    case 'port_status':
      return ` ${{ add: 'ADD', delete: 'DEL', modify: 'MOD' }[m.reason]}:${formatPhyPort(m.desc)}`;
    case 'port_mod':
      return formatPortMod(m, ports);
    case 'flow_mod':
      return formatFlowMod(m, d.version, ports);
    case 'flow_removed':
      return formatFlowRemoved(m, ports);
    case 'packet_in':
      return formatPacketInText(m, ports, verbosity);
    case 'nx_resume':
      return formatPacketInText(m.packetIn, ports, verbosity);
    case 'packet_out':
      return formatPacketOut(m, ports, verbosity);
    case 'flow_stats_request':
    case 'aggregate_stats_request':
      return formatFlowStatsRequest(m, ports);
    case 'flow_stats_reply':
      return m.flows.reduce((s, f) => `${s} ${formatFlowStats(f, { ports, showStats })}\n`, '\n');
    case 'aggregate_stats_reply':
      return ` packet_count=${m.packetCount} byte_count=${m.byteCount} flow_count=${m.flowCount}\n`;
    case 'table_stats_reply':
      return formatTableStats(m.tables, d.version);
    case 'port_stats_request':
      return ` port_no=${formatOfpPort(m.port, ports)}\n`;
    case 'port_desc_request':
      return ` port=${formatOfpPort(m.port, ports)}\n`;
    case 'group_desc_request':
      return ' group_id=ALL\n';
    case 'meter_stats_request':
    case 'meter_config_request':
      return ` meter=${m.meterId === METER_ALL ? 'all' : m.meterId > METER_MAX ? 'unknown' : m.meterId}\n`;
    case 'group_stats_request':
      return ` group_id=${m.groupId === OFPG_ALL ? 'ALL' : m.groupId === OFPG_ANY ? 'ANY' : m.groupId}\n`;
    case 'port_stats_reply':
      return formatPortStats(m.ports, ports);
    case 'port_desc_reply':
      return sortedPorts(m.ports).reduce((s, p) => s + formatPhyPort(p), '\n');
    case 'desc_reply':
      return formatDesc(m);
    case 'queue_stats_request':
      return ` port=${formatOfpPort(m.port, ports)} queue=${m.queueId === 0xffffffff ? 'ALL' : m.queueId}\n`;
    case 'queue_stats_reply':
      return formatQueueStats(m.queues, ports);
    case 'queue_get_config_request':
      return ` port=${formatOfpPort(m.port, ports)}\n`;
    case 'queue_get_config_reply':
      return formatQueueConfig(m, ports);
    case 'role_request':
    case 'role_reply':
      return formatRole(m);
    case 'set_async_config':
    case 'get_async_reply':
      return formatAsync(m);
    case 'nx_set_flow_format':
      return ` format=${m.format === 'nxm' ? 'nxm' : 'openflow10'}\n`;
    case 'nx_flow_mod_table_id':
      return ` ${m.enable ? 'enable' : 'disable'}\n`;
    case 'nx_set_packet_in_format':
      return ` format=${m.format}\n`;
    case 'nx_set_controller_id':
      return ` id=${m.controllerId}\n`;
    case 'table_mod':
      return formatTableMod(m, d.version);
    case 'table_features_reply':
      return `\n${formatTableFeatures(m.tables, d.version)}`;
    case 'group_features_reply':
      return formatGroupFeatures(m);
    case 'meter_features_reply':
      return formatMeterFeatures(m);
    case 'bundle_control': {
      const type = bundleTypes[m.controlType] ?? '';
      return `\n bundle_id=${cHex(m.bundleId)} type=${type} flags=${formatBundleFlags(m.flags)}\n`;
    }
    case 'bundle_add_message': {
      const head = `\n bundle_id=${cHex(m.bundleId)} flags=${formatBundleFlags(m.flags)}\n`;
      return head + formatMessage(checkBundled(m.message, d.version, d.xid), { ports, verbosity });
    }
    default:
      return '\n';
  }
}

/** By OFPBCT_* number. */
const bundleTypes = Object.keys(BundleControlType);

/** C's "%#x". */
const cHex = (n: number): string => (n === 0 ? '0' : `0x${n.toString(16)}`);

function formatBundleFlags(flags: number): string {
  const names: string[] = [];
  if ((flags & BundleFlag.ATOMIC) !== 0) names.push('atomic');
  if ((flags & BundleFlag.ORDERED) !== 0) names.push('ordered');
  const unknown = flags & ~(BundleFlag.ATOMIC | BundleFlag.ORDERED);
  if (unknown !== 0) names.push(cHex(unknown));
  return names.length === 0 ? '0' : names.join(' ');
}

function formatErrorBody(bytes: Uint8Array, version: number, options: PrintOptions): string {
  const { error, known, data } = decodeErrorBody(version, bytes);
  if (!known) throw new OfpError('OFPBRC_BAD_LEN');
  let s = ` ${error}\n`;
  if (error.startsWith('OFPHFC_')) {
    const text = Array.from(data, (b) =>
      b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`,
    );
    s += `${text.join('')}\n`;
  } else s += formatMessage(data, { ...options, verbosity: 1 });
  return s;
}

/** Flags of a multipart message; only a reply and, since 1.3, a request may have more to come. */
function formatMultipartFlags(flags: number, hasMore: boolean): string {
  if (flags === 0) return '';
  const unknown = hasMore ? flags & ~1 : flags;
  const more = unknown === flags ? '' : '[more]';
  return ` flags=${more}${unknown === 0 ? '' : `[***unknown flags 0x${unknown.toString(16).padStart(4, '0')}***]`}`;
}

/** Text of one message. Any bytes print as something. */
export function formatMessage(bytes: Uint8Array, options: PrintOptions = {}): string {
  const { ports = noPorts, verbosity = 1, showStats = true } = options;
  if (bytes.length < 8) {
    return `OpenFlow packet too short (only ${bytes.length} bytes):\n${hexDump(bytes)}`;
  }
  const length = messageLength(bytes);
  if (length > bytes.length) {
    const whole = formatTruncated(bytes, length);
    return whole;
  }
  if (length < bytes.length) {
    const extra = bytes.length - length;
    return (
      formatMessage(bytes.subarray(0, length), options) + ` (***${extra} bytes of trailing garbage***)\n`
    );
  }
  let head = '';
  const flowsRead: FlowStats[] = [];
  try {
    const { raw, version, xid, flags, body } = decodeHeader(bytes);
    head = `${rawText(raw.name)}${versionText(version)} (xid=0x${xid.toString(16)}):`;
    if (raw.name === 'OFPT_ERROR') return head + formatErrorBody(body.rest(), version, options);
    const decoded = decodeMessage(bytes, { tableIdExtension: true, flowsRead });
    head += formatMultipartFlags(flags, raw.isReply || version >= 4);
    const text = head + formatBody(bytes, decoded, ports, verbosity, showStats);
    return verbosity >= 3 ? text + hexDump(bytes) : text;
  } catch (e) {
    if (!(e instanceof OfpError) && !(e instanceof WireError)) throw e;
    const partial = flowsRead.reduce(
      (text, f) => `${text} ${formatFlowStats(f, { ports, showStats })}\n`,
      '\n',
    );
    if (flowsRead.length > 0) head += partial;
    const separator = head === '' || head.endsWith('\n') ? '' : head.endsWith(':') ? ' ' : '\n';
    return `${head}${separator}***decode error: ${e.code}***\n${hexDump(bytes)}`;
  }
}

function formatTruncated(bytes: Uint8Array, length: number): string {
  const fields = new DataView(bytes.buffer, bytes.byteOffset);
  const version = fields.getUint8(0);
  const xid = fields.getUint32(4);
  let name = '';
  try {
    // The header can be read when the length in it is made to fit.
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint16(2, copy.length);
    name = rawText(decodeHeader(copy).raw.name);
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
  }
  if (name === '') name = rawNameOf(bytes);
  return (
    `${name}${versionText(version)} (xid=0x${xid.toString(16)}): ` +
    `(***truncated to ${bytes.length} bytes from ${length}***)\n${hexDump(bytes)}`
  );
}

/** Name by header alone, for a body cut short. */
function rawNameOf(bytes: Uint8Array): string {
  for (let pad = 0; pad < 2048; pad += 8) {
    const copy = new Uint8Array(bytes.length + pad);
    copy.set(bytes);
    new DataView(copy.buffer).setUint16(2, copy.length);
    try {
      return rawText(decodeHeader(copy).raw.name);
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
      if (e.code !== 'OFPBRC_BAD_LEN') break;
    }
  }
  return `(***invalid type***)`;
}
