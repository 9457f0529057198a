/** Commands about flows: add, modify, delete, dump, replace, diff. */
import { readFileSync } from 'node:fs';
import { decodeMessage } from '../../openflow/codec.ts';
import {
  formatFlowMatch,
  formatFlowStats,
  normalizedCopy,
  parseFlow,
  parseFlowStatsRequest,
} from '../../openflow/flow-text.ts';
import type { ParsedFlow } from '../../openflow/flow-text.ts';
import { formatActions } from '../../openflow/format-actions.ts';
import { formatMatch } from '../../flow/match-format.ts';
import { getMatchField } from '../../flow/match-set.ts';
import { prereqsMet } from '../../flow/prereqs.ts';
import { fieldByHeaderName, fieldByName } from '../../flow/fields.ts';
import { noFlowModFlags } from '../../openflow/messages.ts';
import type { FlowMod, FlowModCommand, FlowStats, OfpMessage } from '../../openflow/messages.ts';
import { P_ANY, P_TID, protocolsOfVersion } from '../../openflow/protocols.ts';
import { OFPG_ANY, OFPP_NONE, OFPTT_ALL, OFP_NO_BUFFER } from '../../openflow/ports.ts';
import { Match } from '../../flow/match.ts';
import { noPorts } from '../../flow/port-map.ts';
import type { PortMap } from '../../flow/port-map.ts';
import { OfpError, SystemError, UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { errnoOf, strerror } from '../../stream/errno.ts';
import { ExitError } from './session.ts';
import type { Session } from './session.ts';
import type { Vconn } from './vconn.ts';

const log = vlog('ofp_match');
const vconnLog = vlog('vconn');

/** Lines of a flow file with comments and blank lines taken out, with their numbers. */
export function readFlowLines(path: string): readonly (readonly [line: number, text: string])[] {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (e) {
    throw new UsageError(`${path}: open failed (${strerror(errnoOf(e).code)})`);
  }
  const out: (readonly [number, string])[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    if (line !== '') out.push([i + 1, line]);
  }
  return out;
}

/** Tells when the switch will not take the match as it was typed. */
function warnIfNormalized(flow: FlowMod): void {
  const { match, changed } = normalizedCopy(flow.match);
  if (!changed) return;
  log.info('normalization changed ofp_match, details:');
  log.info(` pre: ${formatMatch(flow.match)}`);
  log.info(`post: ${formatMatch(match)}`);
}

function readFlows(path: string, command: FlowModCommand | 'any', ports: PortMap): ParsedFlow[] {
  return readFlowLines(path).map(([line, text]) => {
    try {
      return parseFlow(text, command, ports);
    } catch (e) {
      if (e instanceof UsageError) throw new UsageError(`${path}:${line}: ${e.message}`);
      throw e;
    }
  });
}

async function sendFlows(s: Session, name: string, flows: readonly ParsedFlow[]): Promise<void> {
  const usable = flows.reduce((bits, f) => bits & f.usable, P_ANY);
  const vconn = await s.openForFlowMod(name, usable);
  try {
    for (const { flow } of flows) {
      warnIfNormalized(flow);
      if (!s.options.bundle) await s.transactNoReply(vconn, flow);
    }
    if (s.options.bundle) {
      const mods = flows.map((f) => f.flow);
      await s.transactBundle(vconn, mods);
    }
  } catch (e) {
    if (!(e instanceof SystemError)) throw e;
    throw new UsageError(`talking to ${vconn.name} (${e.code === 'EOF' ? 'End of file' : strerror(e.code)})`);
  } finally {
    vconn.close();
  }
}

async function flowMod(s: Session, args: readonly string[], command: FlowModCommand): Promise<void> {
  const [name = '', text = ''] = args;
  const ports = args.length > 1 ? await s.portsToAccept(name) : noPorts;
  const flows = text === '-' ? readFlows('-', command, ports) : [parseFlow(text, command, ports)];
  await sendFlows(s, name, flows);
}

export const addFlow = (s: Session, args: readonly string[]): Promise<void> => flowMod(s, args, 'add');
export const modFlows = (s: Session, args: readonly string[]): Promise<void> =>
  flowMod(s, args, s.options.strict ? 'modify_strict' : 'modify');
export const delFlows = (s: Session, args: readonly string[]): Promise<void> =>
  flowMod(s, args, s.options.strict ? 'delete_strict' : 'delete');

export async function addFlows(s: Session, args: readonly string[]): Promise<void> {
  const [name = '', file = ''] = args;
  const ports = await s.portsToAccept(name);
  // Lines may begin with a command word: add, delete, ...
  await sendFlows(s, name, readFlows(file, 'any', ports));
}

async function fetchFlows(s: Session, vconn: Vconn, text: string, ports: PortMap): Promise<Uint8Array[]> {
  const { request, usable } = parseFlowStatsRequest(text, 'flow_stats_request', ports);
  await s.setProtocolForDump(vconn, usable);
  return await s.replies(vconn, request);
}

function decoded(part: Uint8Array): OfpMessage {
  try {
    return decodeMessage(part).message;
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
    vconnLog.warn(`parse error in reply (${e.code})`);
    throw new UsageError('dump flows (Protocol error)');
  }
}

function flowsOf(parts: readonly Uint8Array[], s: Session): FlowStats[] {
  const flows: FlowStats[] = [];
  for (const part of parts) {
    const message = decoded(part);
    if (message.type === 'flow_stats_reply') flows.push(...message.flows);
    else {
      s.print(part);
      throw new ExitError(1);
    }
  }
  return flows;
}

/** Compares as --sort wants: by fields in turn; flows without a field come last. */
function compareFlows(a: FlowStats, b: FlowStats, s: Session): number {
  for (const { field: name, descending } of s.options.sort) {
    let order = 0;
    if (name.toLowerCase() === 'priority') order = a.priority - b.priority;
    else {
      const field = fieldByName(name) ?? fieldByHeaderName(name)?.field;
      if (!field) throw new UsageError(`${name}: unknown field name`);
      const x = getMatchField(a.match, field);
      const y = getMatchField(b.match, field);
      const isWild = (f: FlowStats, mask: Uint8Array): boolean =>
        !prereqsMet(field, f.match.flow, 0) || mask.every((v) => v === 0);
      const isWildA = isWild(a, x.mask);
      const isWildB = isWild(b, y.mask);
      if (isWildA || isWildB) {
        if (isWildA !== isWildB) return isWildA ? 1 : -1;
      } else {
        for (let i = 0; i < x.value.length && order === 0; i++) order = (x.value[i] ?? 0) - (y.value[i] ?? 0);
      }
    }
    if (order !== 0) return descending ? -order : order;
  }
  return 0;
}

export async function dumpFlows(s: Session, args: readonly string[]): Promise<void> {
  const [name = '', text = ''] = args;
  const accepted = args.length > 1 ? await s.portsToAccept(name) : noPorts;
  // The text is checked before anything is asked for.
  parseFlowStatsRequest(text, 'flow_stats_request', accepted);
  const shown = await s.portsToShow(name);
  await s.with(name, async (vconn) => {
    const parts = await fetchFlows(s, vconn, text, accepted);
    if (s.options.sort.length === 0 && s.options.showStats && shown === noPorts) {
      for (const part of parts) s.print(part, shown);
      return;
    }
    const flows = flowsOf(parts, s);
    if (s.options.sort.length > 0) flows.sort((a, b) => compareFlows(a, b, s));
    for (const f of flows) {
      // Ages are only shown in the switch's own words.
      const ageless = { ...f, idleAgeSec: -1, hardAgeSec: -1 };
      s.output.out(` ${formatFlowStats(ageless, { ports: shown, showStats: s.options.showStats })}\n`);
    }
  });
}

export async function dumpAggregate(s: Session, args: readonly string[]): Promise<void> {
  const [name = '', text = ''] = args;
  const ports = args.length > 1 ? await s.portsToAccept(name) : noPorts;
  const { request, usable } = parseFlowStatsRequest(text, 'aggregate_stats_request', ports);
  await s.with(name, async (vconn) => {
    await s.setProtocolForDump(vconn, usable);
    for (const part of await s.replies(vconn, request)) s.print(part);
  });
}

/** One flow of replace-flows and diff-flows. */
interface FlowVersion {
  readonly cookie: bigint;
  readonly idleTimeoutSec: number;
  readonly hardTimeoutSec: number;
  readonly importance: number;
  readonly sendFlowRem: boolean;
  readonly actions: FlowMod['actions'];
}

interface FlowPair {
  readonly tableId: number;
  readonly priority: number;
  readonly match: Match;
  readonly versions: [FlowVersion | undefined, FlowVersion | undefined];
}

type FlowSet = Map<string, FlowPair>;

function insert(
  set: FlowSet,
  tableId: number,
  priority: number,
  match: Match,
  v: FlowVersion,
  index: 0 | 1,
): void {
  const key = `${tableId}/${priority}/${formatMatch(match)}`;
  const pair = set.get(key) ?? { tableId, priority, match, versions: [undefined, undefined] };
  pair.versions[index] = v;
  set.set(key, pair);
}

const versionText = (v: FlowVersion): string => {
  let s = '';
  if (v.cookie !== 0n) s += ` cookie=0x${v.cookie.toString(16)}`;
  if (v.idleTimeoutSec !== 0) s += ` idle_timeout=${v.idleTimeoutSec}`;
  if (v.hardTimeoutSec !== 0) s += ` hard_timeout=${v.hardTimeoutSec}`;
  if (v.importance !== 0) s += ` importance=${v.importance}`;
  return `${s} actions=${formatActions(v.actions)}`;
};

function readFromFile(set: FlowSet, path: string, index: 0 | 1): number {
  let usable = P_ANY;
  for (const { flow, usable: bits } of readFlows(path, 'add', noPorts)) {
    usable &= bits;
    const { match } = normalizedCopy(flow.match);
    const tableId = flow.tableId === OFPTT_ALL ? 0 : flow.tableId;
    insert(
      set,
      tableId,
      flow.priority,
      match,
      {
        cookie: flow.newCookie,
        idleTimeoutSec: flow.idleTimeoutSec,
        hardTimeoutSec: flow.hardTimeoutSec,
        importance: flow.importance,
        sendFlowRem: flow.flags.sendFlowRem,
        actions: flow.actions,
      },
      index,
    );
  }
  return usable;
}

async function readFromSwitch(set: FlowSet, s: Session, vconn: Vconn, index: 0 | 1): Promise<void> {
  const { request } = parseFlowStatsRequest('', 'flow_stats_request');
  for (const f of flowsOf(await s.replies(vconn, request), s)) {
    insert(
      set,
      f.tableId,
      f.priority,
      f.match,
      {
        cookie: f.cookie,
        idleTimeoutSec: f.idleTimeoutSec,
        hardTimeoutSec: f.hardTimeoutSec,
        importance: f.importance,
        sendFlowRem: f.flags.sendFlowRem,
        actions: f.actions,
      },
      index,
    );
  }
}

function pairToFlowMod(p: FlowPair, index: 0 | 1, command: FlowModCommand): FlowMod {
  const v = p.versions[index];
  const isAdd = command === 'add';
  return {
    type: 'flow_mod',
    command,
    match: p.match,
    priority: p.priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: v?.cookie ?? 0n,
    modifyCookie: false,
    tableId: p.tableId,
    idleTimeoutSec: v?.idleTimeoutSec ?? 0,
    hardTimeoutSec: v?.hardTimeoutSec ?? 0,
    bufferId: OFP_NO_BUFFER,
    outPort: OFPP_NONE,
    outGroup: OFPG_ANY,
    flags: { ...noFlowModFlags, sendFlowRem: isAdd && (v?.sendFlowRem ?? false) },
    importance: v?.importance ?? 0,
    actions: isAdd ? (v?.actions ?? []) : [],
  };
}

/** Makes the switch's flows those of a file, changing only what differs. */
export async function replaceFlows(s: Session, args: readonly string[]): Promise<void> {
  const [name = '', file = ''] = args;
  const set: FlowSet = new Map();
  const usable = readFromFile(set, file, 0);
  const needsTables = [...set.values()].some((p) => p.tableId !== 0);
  await s.with(name, async (vconn) => {
    await s.setProtocolForDump(vconn, usable | protocolsOfVersion(vconn.version));
    await readFromSwitch(set, s, vconn, 1);
    if (vconn.version === 1 && (needsTables || [...set.values()].some((p) => p.tableId !== 0))) {
      const wanted = vconn.flowFormat === 'nxm' ? 1 << 3 : 1 << 1;
      if ((wanted & P_TID) !== 0) await s.trySetProtocol(vconn, wanted);
    }
    const mods: FlowMod[] = [];
    for (const p of set.values()) {
      if (p.versions[1] && !p.versions[0]) mods.push(pairToFlowMod(p, 1, 'delete_strict'));
    }
    for (const p of set.values()) {
      const [wanted, present] = p.versions;
      if (!wanted) continue;
      const isSame = present !== undefined && versionText(present) === versionText(wanted);
      if (!isSame || s.options.readd) mods.push(pairToFlowMod(p, 0, 'add'));
    }
    if (s.options.bundle) await s.transactBundle(vconn, mods);
    else for (const mod of mods) await s.transactNoReply(vconn, mod);
  });
}

async function readSource(set: FlowSet, s: Session, source: string, index: 0 | 1): Promise<void> {
  const isFile =
    source.startsWith('/') || source.startsWith('.') || (!source.includes(':') && isReadable(source));
  if (isFile) {
    readFromFile(set, source, index);
    return;
  }
  await s.with(source, async (vconn) => {
    await s.setProtocolForDump(vconn, P_ANY);
    await readFromSwitch(set, s, vconn, index);
  });
}

function isReadable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Prints what differs between two files or switches; exit status 2 if something does. */
export async function diffFlows(s: Session, args: readonly string[]): Promise<void> {
  const [first = '', second = ''] = args;
  const set: FlowSet = new Map();
  await readSource(set, s, first, 0);
  await readSource(set, s, second, 1);
  let differs = false;
  for (const p of set.values()) {
    const [a, b] = p.versions;
    if (a && b && versionText(a) === versionText(b)) continue;
    differs = true;
    const table = p.tableId === 0 ? '' : `table=${p.tableId} `;
    const match = formatFlowMatch(p.match, p.priority);
    const head = `${table}${match}`.trimEnd();
    if (a) s.output.out(`-${head}${versionText(a)}\n`);
    if (b) s.output.out(`+${head}${versionText(b)}\n`);
  }
  if (differs) throw new ExitError(2);
}
