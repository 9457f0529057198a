/**
 * Flows as text: what `ovs-ofctl add-flow` and its kin read, and what `dump-flows` prints.
 */
import { normalizeMatch } from '../flow/match-set.ts';
import { splitKeyValues } from '../flow/key-values.ts';
import { formatMatch } from '../flow/match-format.ts';
import { parseMatchPart } from '../flow/match-parse.ts';
import { fieldByHeaderName, fieldByName } from '../flow/fields.ts';
import { parseFieldText } from '../flow/field-text.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { Match } from '../flow/match.ts';
import { be16 } from '../flow/numbers-text.ts';
import { EthType } from '../wire/ether-types.ts';
import { parseOfpPort } from '../flow/ofp-port-text.ts';
import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import type { OfpPort } from '../util/brand.ts';
import { OfpError, UsageError } from '../util/errors.ts';
import type { Action } from './actions.ts';
import { checkActions } from './check-actions.ts';
import { formatActions } from './format-actions.ts';
import { noFlowModFlags } from './messages.ts';
import type { FlowMod, FlowModCommand, FlowModFlags, FlowStats, FlowStatsRequest } from './messages.ts';
import { parseU16, parseU32, parseU64 } from './numbers.ts';
import { parseContext, parseInstructions } from './parse-actions.ts';
import type { ParseContext } from './parse-actions.ts';
import { OFPG_ANY, OFPP_NONE, OFPTT_ALL, OFP_NO_BUFFER } from './ports.ts';
import {
  P_ANY,
  P_NXM_OF11_UP,
  P_NXM_OXM_ANY,
  P_OF11_UP,
  P_OF12_UP,
  P_OF13_UP,
  P_TID,
  Protocol,
  P_OF10_ANY,
  usableForMatch,
} from './protocols.ts';
import { parseTableId } from './tables-text.ts';

export const DEFAULT_PRIORITY = 32768;
const ALL_ONES = 0xffffffffffffffffn;

function fail(message: string): never {
  throw new UsageError(message);
}

export interface ParsedFlow {
  readonly flow: FlowMod;
  /** Protocols that can carry it; never 0. */
  readonly usable: number;
}

/** Which keywords a command takes. */
interface Allowed {
  readonly outPort: boolean;
  readonly actions: boolean;
  readonly timeout: boolean;
  readonly priority: boolean;
  readonly flags: boolean;
}

const allowedFor: Readonly<Record<FlowModCommand | 'stats', Allowed>> = {
  stats: { outPort: true, actions: false, timeout: false, priority: false, flags: false },
  add: { outPort: false, actions: true, timeout: true, priority: true, flags: true },
  delete: { outPort: true, actions: false, timeout: false, priority: false, flags: false },
  delete_strict: { outPort: true, actions: false, timeout: false, priority: true, flags: false },
  modify: { outPort: false, actions: true, timeout: true, priority: false, flags: true },
  modify_strict: { outPort: false, actions: true, timeout: true, priority: true, flags: true },
};

const commandNames: Readonly<Record<string, FlowModCommand>> = {
  add: 'add',
  delete: 'delete',
  delete_strict: 'delete_strict',
  modify: 'modify',
  modify_strict: 'modify_strict',
};

const flagNames: Readonly<Record<string, readonly [flag: keyof FlowModFlags, usable: number]>> = {
  send_flow_rem: ['sendFlowRem', P_ANY],
  check_overlap: ['checkOverlap', P_ANY],
  reset_counts: ['resetCounts', P_OF12_UP],
  no_packet_counts: ['noPacketCounts', P_OF13_UP],
  no_byte_counts: ['noByteCounts', P_OF13_UP],
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function blankFlow(command: FlowModCommand | 'stats'): Mutable<FlowMod> {
  return {
    type: 'flow_mod',
    command: command === 'stats' ? 'add' : command,
    match: new Match(),
    priority: DEFAULT_PRIORITY,
    cookie: 0n,
    cookieMask: 0n,
    // Modifying leaves the cookie alone unless the text gives one.
    newCookie: command === 'modify' || command === 'modify_strict' ? ALL_ONES : 0n,
    modifyCookie: false,
    tableId: OFPTT_ALL,
    idleTimeoutSec: 0,
    hardTimeoutSec: 0,
    bufferId: OFP_NO_BUFFER,
    outPort: OFPP_NONE,
    outGroup: OFPG_ANY,
    flags: { ...noFlowModFlags },
    importance: 0,
    actions: [],
  };
}

/** Splits `..., actions=...` at the keyword; the match part is returned without it. */
function splitActions(text: string): { readonly fields: string; readonly actions: string | undefined } {
  const at = text.search(/(?:action|actions)\s*=/);
  const m = /actions?/.exec(text);
  if (m === null) return { fields: text, actions: undefined };
  const rest = text.slice(m.index);
  const equals = rest.indexOf('=');
  if (at < 0 || equals < 0) fail('must specify an action');
  return { fields: text.slice(0, m.index), actions: rest.slice(equals + 1) };
}

function parseCookie(
  fm: Mutable<FlowMod>,
  value: string,
  command: FlowModCommand | 'stats',
  c: ParseContext,
): void {
  const slash = value.indexOf('/');
  if (slash >= 0) {
    if (command === 'add') fail('flow additions cannot use a cookie mask');
    if (slash === 0) fail('flow additions cannot use a cookie mask');
    fm.cookieMask = parseU64(value.slice(slash + 1));
    fm.cookie = parseU64(value.slice(0, slash));
    // Only NXM and 1.1+ can match on cookies.
    c.usable &= P_NXM_OF11_UP;
    return;
  }
  if (command === 'delete' || command === 'delete_strict' || command === 'stats') {
    fail(`cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=${value}/-1)`);
  }
  fm.newCookie = parseU64(value);
  fm.modifyCookie = true;
}

/** One key of the flow's text that is no match field. */
function parseKeyword(
  fm: Mutable<FlowMod>,
  key: string,
  value: string,
  command: FlowModCommand | 'stats',
  c: ParseContext,
): void {
  const allow = allowedFor[command];
  const need = (): void => {
    if (value === '') fail(`field ${key} missing value`);
  };
  const flag = Object.hasOwn(flagNames, key) ? flagNames[key] : undefined;
  if (allow.flags && flag) {
    fm.flags = { ...fm.flags, [flag[0]]: true };
    c.usable &= flag[1];
    return;
  }
  if (key === 'allow_hidden_fields') {
    c.usable &= P_OF10_ANY;
    return;
  }
  switch (key) {
    case 'table':
      need();
      fm.tableId = parseTableId(value) ?? fail(`unknown table "${value}"`);
      if (fm.tableId !== 0xff) c.usable &= P_TID;
      return;
    case 'out_port':
      if (!allow.outPort) break;
      need();
      fm.outPort = (parseOfpPort(value, c.ports) ?? fail(`${value} is not a valid OpenFlow port`)) as OfpPort;
      return;
    case 'out_group':
      if (!allow.outPort) break;
      need();
      c.usable &= P_OF11_UP;
      fm.outGroup = parseU32(value);
      return;
    case 'priority':
      if (!allow.priority) break;
      need();
      fm.priority = parseU16(value, key);
      return;
    case 'idle_timeout':
      if (!allow.timeout) break;
      need();
      fm.idleTimeoutSec = parseU16(value, key);
      return;
    case 'hard_timeout':
      if (!allow.timeout) break;
      need();
      fm.hardTimeoutSec = parseU16(value, key);
      return;
    case 'importance':
      if (!allow.timeout) break;
      need();
      fm.importance = parseU16(value, key);
      return;
    case 'cookie':
      need();
      parseCookie(fm, value, command, c);
      return;
    // Printed by dump-flows; taken and forgotten, so that its output can be fed back.
    case 'duration':
    case 'n_packets':
    case 'n_bytes':
    case 'idle_age':
    case 'hard_age':
      return;
  }
  fail(`unknown keyword ${key}`);
}

/** Narrows the usable protocols by a field, as far as its text tells the mask. */
function narrow(key: string, value: string, c: ParseContext): void {
  const field = fieldByName(key) ?? fieldByHeaderName(key)?.field;
  if (!field || value === '') return;
  c.usable &= usableForMatch(field, parseFieldText(field, value, c.ports).mask);
}

/** Fields of IP and above in a match on IPv6: OpenFlow 1.0 and 1.1 have them for IPv4 only. */
function usesIpv6Fields(match: Match): boolean {
  if (be16(match.flow, K.dlType) !== EthType.ipv6) return false;
  const isUsed = (from: number, to: number): boolean => match.mask.subarray(from, to).some((b) => b !== 0);
  return (
    isUsed(K.nwProto, K.nwFrag + 1) || isUsed(K.tpSrc, K.tpDst + 2) || isUsed(K.tcpFlags, K.tcpFlags + 2)
  );
}

/**
 * Reads a flow.
 *
 * @param command What is done with it; `stats` reads the filter of dump-flows.
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseFlow(
  text: string,
  command: FlowModCommand | 'stats' | 'any',
  ports: PortMap = noPorts,
): ParsedFlow {
  const c = parseContext(ports);
  let body = text;
  let verb: FlowModCommand | 'stats' = command === 'any' ? 'add' : command;
  if (command === 'any') {
    const m = /^[\s,]*([A-Za-z_]+)/.exec(body);
    const named = m?.[1] !== undefined && Object.hasOwn(commandNames, m[1]) ? commandNames[m[1]] : undefined;
    if (m && named) {
      verb = named;
      body = body.slice(m[0].length);
    }
  }
  const fm = blankFlow(verb);
  const allow = allowedFor[verb];
  let actionsText: string | undefined;
  if (allow.actions) {
    const split = splitActions(body);
    if (split.actions === undefined) fail('must specify an action');
    body = split.fields;
    actionsText = split.actions;
  }
  for (const { key, value } of splitKeyValues(body)) {
    if (parseMatchPart(fm.match, key, value, ports)) {
      narrow(key, value, c);
    } else parseKeyword(fm, key, value, verb, c);
  }
  if (usesIpv6Fields(fm.match)) c.usable &= P_NXM_OXM_ANY;
  // A flow that modifying adds, for want of one to modify, gets cookie 0.
  if (fm.cookieMask === 0n && fm.newCookie === ALL_ONES && (verb === 'modify' || verb === 'modify_strict')) {
    fm.newCookie = 0n;
  }
  if (actionsText !== undefined) {
    const narrowed = c.usable;
    fm.actions = parseInstructions(actionsText, c);
    c.usable &= narrowed;
    fm.actions = checkAndNarrow(fm, c);
  }
  if (c.usable === 0) fail('no usable protocol');
  return { flow: fm, usable: c.usable };
}

function checkAndNarrow(fm: FlowMod, c: ParseContext): Action[] {
  try {
    const { actions, isConsistent } = checkActions(fm.actions, { match: fm.match, tableId: fm.tableId });
    if (!isConsistent) c.usable &= P_OF10_ANY;
    if (!isConsistent && c.usable === 0)
      fail('actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)');
    return actions;
  } catch (e) {
    if (e instanceof OfpError) fail(`actions are invalid with specified match (${e.code})`);
    throw e;
  }
}

/** The match after normalization, and whether that changed it (ovs-ofctl warns then). */
export function normalizedCopy(match: Match): { readonly match: Match; readonly changed: boolean } {
  const copy = match.clone();
  return { match: copy, changed: normalizeMatch(copy) };
}

/** Reads the filter of dump-flows and dump-aggregate. @throws UsageError */
export function parseFlowStatsRequest(
  text: string,
  type: FlowStatsRequest['type'],
  ports: PortMap = noPorts,
): { readonly request: FlowStatsRequest; readonly usable: number } {
  const { flow, usable } = parseFlow(text, 'stats', ports);
  const request: FlowStatsRequest = {
    type,
    match: flow.match,
    cookie: flow.cookie,
    cookieMask: flow.cookieMask,
    outPort: flow.outPort,
    outGroup: flow.outGroup,
    tableId: flow.tableId,
  };
  // A request names its table in every version: no extension is needed for that.
  let wider = usable;
  if ((usable & Protocol.OF10_STD_TID) !== 0) wider |= Protocol.OF10_STD;
  if ((usable & Protocol.OF10_NXM_TID) !== 0) wider |= Protocol.OF10_NXM;
  return { request, usable: wider };
}

/** Seconds: whole, or with milliseconds, or with nanoseconds, as exact as need be. */
export function formatDuration(durationMs: number | null): string {
  if (durationMs === null) return '?';
  const sec = Math.floor(durationMs / 1000);
  const nsec = Math.round((durationMs % 1000) * 1e6);
  if (nsec === 0) return `${sec}s`;
  if (nsec % 1e6 === 0) return `${sec}.${String(nsec / 1e6).padStart(3, '0')}s`;
  return `${sec}.${String(nsec).padStart(9, '0')}s`;
}

function formatFlags(flags: FlowModFlags): string {
  let s = '';
  if (flags.sendFlowRem) s += 'send_flow_rem ';
  if (flags.checkOverlap) s += 'check_overlap ';
  if (flags.resetCounts) s += 'reset_counts ';
  if (flags.noPacketCounts) s += 'no_packet_counts ';
  if (flags.noByteCounts) s += 'no_byte_counts ';
  return s;
}

export interface FormatFlowOptions {
  readonly ports?: PortMap;
  /** Print cookie, duration, counters and ages. Default true. */
  readonly showStats?: boolean;
}

/** One line of dump-flows, without indentation. */
export function formatFlowStats(f: FlowStats, options: FormatFlowOptions = {}): string {
  const { ports = noPorts, showStats = true } = options;
  let s = '';
  if (showStats || f.cookie !== 0n) s += `cookie=${hex(f.cookie)}, `;
  if (showStats) s += `duration=${formatDuration(f.durationMs)}, `;
  if (showStats || f.tableId !== 0) s += `table=${f.tableId}, `;
  if (showStats) {
    if (f.packetCount !== ALL_ONES) s += `n_packets=${f.packetCount}, `;
    if (f.byteCount !== ALL_ONES) s += `n_bytes=${f.byteCount}, `;
  }
  if (f.idleTimeoutSec !== 0) s += `idle_timeout=${f.idleTimeoutSec}, `;
  if (f.hardTimeoutSec !== 0) s += `hard_timeout=${f.hardTimeoutSec}, `;
  s += formatFlags(f.flags);
  if (f.importance !== 0) s += `importance=${f.importance}, `;
  if (showStats && f.idleAgeSec >= 0) s += `idle_age=${f.idleAgeSec}, `;
  if (showStats && f.hardAgeSec >= 0 && f.hardAgeSec !== Math.floor(f.durationMs / 1000)) {
    s += `hard_age=${f.hardAgeSec}, `;
  }
  const match = formatFlowMatch(f.match, f.priority, ports);
  if (match !== '') s += `${match} `;
  return `${s}actions=${formatActions(f.actions, ports)}`;
}

const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** A match with `priority=` unless that is the default. */
export function formatFlowMatch(match: Match, priority: number, ports: PortMap = noPorts): string {
  const text = formatMatch(match, ports);
  if (priority === DEFAULT_PRIORITY) return text;
  return text === '' ? `priority=${priority}` : `priority=${priority},${text}`;
}
