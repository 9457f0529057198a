/**
 * Codecs of the messages about flows: flow_mod, flow_removed, flow and aggregate statistics.
 */
import { normalizeMatch } from '../flow/match-set.ts';
import type { Match } from '../flow/match.ts';
import { OfpError } from '../util/errors.ts';
import type { OfpPort } from '../util/brand.ts';
import { ByteWriter } from './byte-io.ts';
import type { ByteReader } from './byte-io.ts';
import type { CodecContext } from './codec.ts';
import { refuseTunnelOptions } from './tunnel-options.ts';
import { checkActionsFor } from './check-actions.ts';
import { decodeInstructions } from './decode-actions.ts';
import { encodeInstructions } from './encode-actions.ts';
import { pullNxMatch, pullOxmMatch, putNxMatch, putOxmMatch } from './match-nxm.ts';
import { pullOf10Match, putOf10Match } from './match-of10.ts';
import { noFlowModFlags } from './messages.ts';
import type {
  AggregateStatsReply,
  FlowMod,
  FlowModCommand,
  FlowModFlags,
  FlowRemoved,
  FlowRemovedReason,
  FlowStats,
  FlowStatsReply,
  FlowStatsRequest,
} from './messages.ts';
import { OFPG_ANY, OFPP_MAX, OFPP_NONE, OFPTT_ALL, ofp10ToOfp11Port } from './ports.ts';

const ALL_ONES = 0xffffffffffffffffn;

const commands = [
  'add',
  'modify',
  'modify_strict',
  'delete',
  'delete_strict',
] as const satisfies readonly FlowModCommand[];
const removedReasons = [
  'idle', 'hard', 'delete', 'group_delete', 'meter_delete', 'eviction',
] as const satisfies readonly FlowRemovedReason[]; // prettier-ignore

const FLAG = { SEND_FLOW_REM: 1, CHECK_OVERLAP: 2, EMERG_OR_RESET: 4, NO_PKT: 8, NO_BYT: 16 } as const;

function flagBits(flags: FlowModFlags, version: number): number {
  let bits = (flags.sendFlowRem ? FLAG.SEND_FLOW_REM : 0) | (flags.checkOverlap ? FLAG.CHECK_OVERLAP : 0);
  if (version === 1 && flags.emergency) bits |= FLAG.EMERG_OR_RESET;
  if (version >= 3 && flags.resetCounts) bits |= FLAG.EMERG_OR_RESET;
  if (version >= 4) bits |= (flags.noPacketCounts ? FLAG.NO_PKT : 0) | (flags.noByteCounts ? FLAG.NO_BYT : 0);
  return bits;
}

/** Flags that a version knows. */
function allowedFlags(version: number): number {
  return version >= 4 ? 31 : version === 2 ? 3 : 7;
}

function flagsOf(bits: number, version: number): FlowModFlags {
  const has = (bit: number): boolean => (bits & bit) !== 0;
  return {
    ...noFlowModFlags,
    sendFlowRem: has(FLAG.SEND_FLOW_REM),
    checkOverlap: has(FLAG.CHECK_OVERLAP),
    resetCounts: version >= 3 && has(FLAG.EMERG_OR_RESET),
    emergency: version === 1 && has(FLAG.EMERG_OR_RESET),
    noPacketCounts: version >= 4 && has(FLAG.NO_PKT),
    noByteCounts: version >= 4 && has(FLAG.NO_BYT),
  };
}

/** 1.0 and 1.1 always reset the counters of an added flow. */
function decodeFlags(bits: number, version: number, command: FlowModCommand): FlowModFlags {
  if ((bits & ~allowedFlags(version)) !== 0) throw new OfpError('OFPFMFC_BAD_FLAGS');
  const flags = flagsOf(bits, version);
  return version <= 2 && command === 'add' ? { ...flags, resetCounts: true } : flags;
}

/** Number of the command that adds. */
const ADD = 0;

function commandOf(number: number): FlowModCommand {
  const command = commands[number];
  if (!command) throw new OfpError('OFPFMFC_BAD_COMMAND');
  return command;
}

const port11 = (r: ByteReader): OfpPort => checkPort11(r.u32());

function checkPort11(port: number): OfpPort {
  if (port >= OFPP_MAX && port < 0xffffff00) throw new OfpError('OFPBAC_BAD_OUT_PORT');
  return port as OfpPort;
}

// flow_mod

export function putFlowMod(w: ByteWriter, m: FlowMod, c: CodecContext): void {
  const { version } = c;
  const isDelete = m.command.startsWith('delete');
  const number = commands.indexOf(m.command);
  if (version > 1) {
    const isAdd = m.command === 'add' || m.modifyCookie;
    w.u64(isAdd ? m.newCookie : m.cookie & m.cookieMask).u64(m.command === 'add' ? 0n : m.cookieMask);
    // "All tables" only means something to a deletion.
    w.u8(m.tableId === OFPTT_ALL && !isDelete ? 0 : m.tableId)
      .u8(number)
      .u16(m.idleTimeoutSec)
      .u16(m.hardTimeoutSec)
      .u16(m.priority)
      .u32(m.bufferId);
    w.u32(m.outPort)
      .u32(m.outGroup)
      .u16(flagBits(m.flags, version))
      .u16(version >= 5 ? m.importance : 0);
    putOxmMatch(w, m.match, version);
    encodeInstructions(w, m.actions, version);
    return;
  }
  const command = c.tableIdExtension ? number | (m.tableId << 8) : number;
  const outPort = (isDelete ? m.outPort : OFPP_NONE) & 0xffff;
  if (c.flowFormat === 'nxm') {
    w.u64(m.newCookie).u16(command).u16(m.idleTimeoutSec).u16(m.hardTimeoutSec).u16(m.priority);
    w.u32(m.bufferId)
      .u16(m.outPort & 0xffff)
      .u16(flagBits(m.flags, version));
    const at = w.length;
    w.u16(0).zeros(6);
    w.setU16(at, putNxMatch(w, m.match, m.cookie, m.cookieMask));
  } else {
    putOf10Match(w, m.match);
    w.u64(m.newCookie).u16(command).u16(m.idleTimeoutSec).u16(m.hardTimeoutSec).u16(m.priority);
    w.u32(m.bufferId)
      .u16(outPort === 0xffff ? m.outPort & 0xffff : outPort)
      .u16(flagBits(m.flags, version));
  }
  encodeInstructions(w, m.actions, version);
}

/** What comes before the actions; flags are checked after these only, as OVS does. */
interface FlowModHead extends Omit<FlowMod, 'type' | 'actions' | 'command' | 'flags'> {
  readonly commandNumber: number;
  readonly flagBits: number;
}

function finishFlowMod(r: ByteReader, head: FlowModHead, c: CodecContext): FlowMod {
  const { version } = c;
  const { commandNumber, flagBits: bits, ...m } = head;
  const command = commandOf(commandNumber);
  const list = decodeInstructions(r, r.left, version, c);
  const flags = decodeFlags(bits, version, command);
  // There is no table of emergency flows.
  if (flags.emergency) throw new OfpError('OFPFMFC_TABLE_FULL');
  if (c.hasTunnelOptions === false) refuseTunnelOptions(m.match, list);
  const actions = checkActionsFor(list, version, {
    match: m.match,
    maxPorts: c.maxPorts ?? OFPP_MAX,
    tableId: m.tableId,
    nTables: c.nTables ?? 255,
  });
  return { type: 'flow_mod', ...m, command, flags, actions };
}

export function pullOfp11FlowMod(r: ByteReader, c: CodecContext): FlowMod {
  const { version } = c;
  const wireCookie = r.u64();
  const wireMask = r.u64();
  const tableId = r.u8();
  const commandNumber = r.u8();
  const idleTimeoutSec = r.u16();
  const hardTimeoutSec = r.u16();
  const priority = r.u16();
  const bufferId = r.u32();
  const outPortNumber = r.u32();
  const outGroup = r.u32();
  const bits = r.u16();
  const importance = r.u16();
  const match = pullOxmMatch(r);
  const isAdd = commandNumber === ADD;
  const isDelete = commands[commandNumber]?.startsWith('delete') === true;
  if (tableId === OFPTT_ALL && !isDelete) throw new OfpError('OFPFMFC_BAD_TABLE_ID');
  const outPort = checkPort11(outPortNumber);
  return finishFlowMod(
    r,
    {
      commandNumber,
      match,
      priority,
      cookie: isAdd ? 0n : wireCookie,
      cookieMask: isAdd ? 0n : wireMask,
      newCookie: isAdd ? wireCookie : ALL_ONES,
      modifyCookie: false,
      tableId,
      idleTimeoutSec,
      hardTimeoutSec,
      bufferId,
      outPort,
      outGroup,
      flagBits: bits,
      importance: version >= 5 ? importance : 0,
    },
    c,
  );
}

function splitCommand(word: number, c: CodecContext): { commandNumber: number; tableId: number } {
  if (c.tableIdExtension) return { commandNumber: word & 0xff, tableId: word >>> 8 };
  return { commandNumber: word, tableId: OFPTT_ALL };
}

export function pullOfp10FlowMod(r: ByteReader, c: CodecContext): FlowMod {
  const match = pullOf10Match(r);
  normalizeMatch(match);
  const newCookie = r.u64();
  const { commandNumber, tableId } = splitCommand(r.u16(), c);
  const idleTimeoutSec = r.u16();
  const hardTimeoutSec = r.u16();
  // An exact match of 1.0 has the highest priority whatever it says.
  const priority = r.u16();
  const bufferId = r.u32();
  const outPort = ofp10ToOfp11Port(r.u16());
  const bits = r.u16();
  return finishFlowMod(
    r,
    {
      commandNumber, match, priority, cookie: 0n, cookieMask: 0n, newCookie, modifyCookie: newCookie !== ALL_ONES,
      tableId, idleTimeoutSec, hardTimeoutSec, bufferId, outPort, outGroup: OFPG_ANY, flagBits: bits, importance: 0,
    }, // prettier-ignore
    c,
  );
}

export function pullNxFlowMod(r: ByteReader, c: CodecContext): FlowMod {
  const newCookie = r.u64();
  const { commandNumber, tableId } = splitCommand(r.u16(), c);
  const idleTimeoutSec = r.u16();
  const hardTimeoutSec = r.u16();
  const priority = r.u16();
  const bufferId = r.u32();
  const outPort = ofp10ToOfp11Port(r.u16());
  const bits = r.u16();
  const matchLength = r.u16();
  r.skip(6);
  const { match, cookie, cookieMask } = pullNxMatch(r, matchLength, { allowCookie: true });
  // A cookie to match makes no sense for a flow that is added.
  if (commandNumber === ADD && cookieMask !== 0n) throw new OfpError('NXBRC_NXM_INVALID');
  return finishFlowMod(
    r,
    {
      commandNumber, match, priority, cookie, cookieMask, newCookie, modifyCookie: newCookie !== ALL_ONES,
      tableId, idleTimeoutSec, hardTimeoutSec, bufferId, outPort, outGroup: OFPG_ANY, flagBits: bits, importance: 0,
    }, // prettier-ignore
    c,
  );
}

// flow_removed

const seconds = (ms: number): number => Math.floor(ms / 1000);
const nanoseconds = (ms: number): number => Math.round((ms % 1000) * 1e6);
const toMs = (sec: number, nsec: number): number => sec * 1000 + nsec / 1e6;

export function putFlowRemoved(w: ByteWriter, m: FlowRemoved, c: CodecContext): void {
  const reason = removedReasons.indexOf(m.reason);
  const { version } = c;
  if (version === 1 && c.flowFormat !== 'nxm') {
    putOf10Match(w, m.match);
    w.u64(m.cookie)
      .u16(m.priority)
      .u8(reason > 2 ? 2 : reason)
      .u8(0);
    w.u32(seconds(m.durationMs)).u32(nanoseconds(m.durationMs)).u16(m.idleTimeoutSec).zeros(2);
    w.u64(known(m.packetCount)).u64(known(m.byteCount));
    return;
  }
  const isNx = version === 1;
  // Reasons that a version lacks are said as "deleted".
  const max = version >= 5 ? 5 : version >= 4 ? 4 : version >= 2 ? 3 : 2;
  w.u64(m.cookie)
    .u16(m.priority)
    .u8(reason > max ? 2 : reason)
    .u8(isNx ? m.tableId + 1 : m.tableId);
  w.u32(seconds(m.durationMs)).u32(nanoseconds(m.durationMs)).u16(m.idleTimeoutSec);
  const at = w.length;
  w.u16(isNx ? 0 : m.hardTimeoutSec)
    .u64(m.packetCount)
    .u64(m.byteCount);
  if (isNx) w.setU16(at, putNxMatch(w, m.match));
  else putOxmMatch(w, m.match, version);
}

/** 1.0 has no "unknown": it is said as 0. */
const known = (count: bigint): bigint => (count === ALL_ONES ? 0n : count);

export function pullOfp10FlowRemoved(r: ByteReader): FlowRemoved {
  const match = pullOf10Match(r);
  const cookie = r.u64();
  const priority = r.u16();
  const reason = removedReasons[r.u8()] ?? 'delete';
  r.skip(1);
  const durationMs = toMs(r.u32(), r.u32());
  const idleTimeoutSec = r.u16();
  r.skip(2);
  const packetCount = r.u64();
  const byteCount = r.u64();
  return {
    type: 'flow_removed', match, cookie, priority, reason, tableId: 255, durationMs, idleTimeoutSec,
    hardTimeoutSec: 0, packetCount, byteCount,
  }; // prettier-ignore
}

export function pullFlowRemoved(r: ByteReader, isNx: boolean): FlowRemoved {
  const cookie = r.u64();
  const priority = r.u16();
  const reason = removedReasons[r.u8()] ?? 'delete';
  const table = r.u8();
  const durationMs = toMs(r.u32(), r.u32());
  const idleTimeoutSec = r.u16();
  const word = r.u16();
  const packetCount = r.u64();
  const byteCount = r.u64();
  const match = isNx ? pullNxMatch(r, word).match : pullOxmMatch(r);
  if (isNx && r.left > 0) throw new OfpError('OFPBRC_BAD_LEN');
  return {
    type: 'flow_removed', match, cookie, priority, reason, tableId: isNx ? (table === 0 ? 255 : table - 1) : table,
    durationMs, idleTimeoutSec, hardTimeoutSec: isNx ? 0 : word, packetCount, byteCount,
  }; // prettier-ignore
}

// flow and aggregate statistics

export function putFlowStatsRequest(w: ByteWriter, m: FlowStatsRequest, c: CodecContext): void {
  const { version } = c;
  if (version > 1) {
    w.u8(m.tableId).zeros(3).u32(m.outPort).u32(m.outGroup).zeros(4).u64(m.cookie).u64(m.cookieMask);
    putOxmMatch(w, m.match, version);
  } else if (c.flowFormat === 'nxm') {
    w.u16(m.outPort & 0xffff);
    const at = w.length;
    w.u16(0).u8(m.tableId).zeros(3);
    w.setU16(at, putNxMatch(w, m.match, m.cookie, m.cookieMask));
  } else {
    putOf10Match(w, m.match);
    w.u8(m.tableId)
      .u8(0)
      .u16(m.outPort & 0xffff);
  }
}

export function pullFlowStatsRequest(
  r: ByteReader,
  type: FlowStatsRequest['type'],
  form: 'of10' | 'nx' | 'of11',
): FlowStatsRequest {
  if (form === 'of10') {
    const match = pullOf10Match(r);
    const tableId = r.u8();
    r.skip(1);
    const outPort = ofp10ToOfp11Port(r.u16());
    return { type, match, cookie: 0n, cookieMask: 0n, outPort, outGroup: OFPG_ANY, tableId };
  }
  if (form === 'nx') {
    const outPort = ofp10ToOfp11Port(r.u16());
    const matchLength = r.u16();
    const tableId = r.u8();
    r.skip(3);
    const pulled = pullNxMatch(r, matchLength, { allowCookie: true });
    if (r.left > 0) throw new OfpError('OFPBRC_BAD_LEN');
    return { type, ...pulled, outPort, outGroup: OFPG_ANY, tableId };
  }
  const tableId = r.u8();
  r.skip(3);
  const outPort = port11(r);
  const outGroup = r.u32();
  r.skip(4);
  const cookie = r.u64();
  const cookieMask = r.u64();
  return { type, match: pullOxmMatch(r), cookie, cookieMask, outPort, outGroup, tableId };
}

/** idle_age and hard_age on the wire: 0 is unknown, else seconds + 1. */
const ageToWire = (sec: number): number => (sec < 0 ? 0 : Math.min(sec + 1, 0xffff));

/** One entry of a flow_stats_reply. */
export function flowStatsEntry(f: FlowStats, c: CodecContext): Uint8Array {
  const { version } = c;
  const w = new ByteWriter();
  w.u16(0).u8(f.tableId).u8(0);
  const sec = seconds(f.durationMs);
  const nsec = nanoseconds(f.durationMs);
  if (version > 1) {
    w.u32(sec).u32(nsec).u16(f.priority).u16(f.idleTimeoutSec).u16(f.hardTimeoutSec);
    w.u16(version >= 4 ? flagBits(f.flags, version) : 0)
      .u16(version >= 5 ? f.importance : 0)
      .zeros(2);
    w.u64(f.cookie).u64(f.packetCount).u64(f.byteCount);
    putOxmMatch(w, f.match, version);
  } else if (c.flowFormat === 'nxm') {
    w.u32(sec).u32(nsec).u16(f.priority).u16(f.idleTimeoutSec).u16(f.hardTimeoutSec);
    const at = w.length;
    w.u16(0).u16(ageToWire(f.idleAgeSec)).u16(ageToWire(f.hardAgeSec));
    w.u64(f.cookie).u64(f.packetCount).u64(f.byteCount);
    w.setU16(at, putNxMatch(w, f.match));
  } else {
    putOf10Match(w, f.match);
    w.u32(sec).u32(nsec).u16(f.priority).u16(f.idleTimeoutSec).u16(f.hardTimeoutSec).zeros(6);
    w.u64(f.cookie).u64(known(f.packetCount)).u64(known(f.byteCount));
  }
  encodeInstructions(w, f.actions, version);
  w.setU16(0, w.length);
  return w.finish();
}

function pullFlowStatsEntry(r: ByteReader, form: 'of10' | 'nx' | 'of11', c: CodecContext): FlowStats {
  const length = r.peekU16();
  if (length < 4 || length > r.left) throw new OfpError('OFPBRC_BAD_LEN');
  const e = r.sub(length);
  e.skip(2);
  const tableId = e.u8();
  e.skip(1);
  let match: Match | undefined = form === 'of10' ? pullOf10Match(e) : undefined;
  const durationMs = toMs(e.u32(), e.u32());
  const priority = e.u16();
  const idleTimeoutSec = e.u16();
  const hardTimeoutSec = e.u16();
  let flags = noFlowModFlags;
  let importance = 0;
  let matchLength = 0;
  let idleAgeSec = -1;
  let hardAgeSec = -1;
  if (form === 'of11') {
    const bits = e.u16();
    if (c.version >= 4) flags = flagsOf(bits & allowedFlags(c.version), c.version);
    importance = e.u16();
    e.skip(2);
  } else if (form === 'nx') {
    matchLength = e.u16();
    idleAgeSec = e.u16() - 1;
    hardAgeSec = e.u16() - 1;
  } else e.skip(6);
  const cookie = e.u64();
  const packetCount = e.u64();
  const byteCount = e.u64();
  if (form === 'of11') match = pullOxmMatch(e, { loose: false });
  else if (form === 'nx') match = pullNxMatch(e, matchLength).match;
  if (!match) throw new OfpError('OFPBRC_BAD_LEN');
  const actions = decodeInstructions(e, e.left, c.version, c);
  return {
    match, priority, cookie, tableId, durationMs, idleTimeoutSec, hardTimeoutSec, idleAgeSec, hardAgeSec,
    packetCount, byteCount, flags, importance: c.version >= 5 ? importance : 0, actions,
  }; // prettier-ignore
}

export function pullFlowStatsReply(
  r: ByteReader,
  form: 'of10' | 'nx' | 'of11',
  c: CodecContext,
  more: boolean,
): FlowStatsReply {
  const flows = c.flowsRead ?? [];
  while (r.left > 0) flows.push(pullFlowStatsEntry(r, form, c));
  return { type: 'flow_stats_reply', flows, more };
}

export function putAggregateReply(w: ByteWriter, m: AggregateStatsReply): void {
  w.u64(m.packetCount).u64(m.byteCount).u32(m.flowCount).zeros(4);
}

export function pullAggregateReply(r: ByteReader): AggregateStatsReply {
  return { type: 'aggregate_stats_reply', packetCount: r.u64(), byteCount: r.u64(), flowCount: r.u32() };
}
