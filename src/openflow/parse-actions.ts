/**
 * Actions and instructions from text, as `actions=` of ovs-ofctl has them.
 *
 * Reading an action also narrows the protocols in which the flow can be sent (`usable` of the context).
 */
import { formatFieldText, parseFieldText } from '../flow/field-text.ts';
import { fieldByHeaderName, fieldByName } from '../flow/fields.ts';
import { splitKeyValues } from '../flow/key-values.ts';
import type { KeyValue } from '../flow/key-values.ts';
import { valueIsValid } from '../flow/match-set.ts';
import { parseOfpPort } from '../flow/ofp-port-text.ts';
import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import { parseSubfieldPrefix, parseSubfieldText } from '../flow/subfield-text.ts';
import type { OfpPort } from '../util/brand.ts';
import { OfpError, UsageError } from '../util/errors.ts';
import { CT_RECIRC_NONE, MAX_LEN_ALL } from './action-numbers.ts';
import { verifyActions } from './action-order.ts';
import type { Action, PacketInReason } from './actions.ts';
import { packetInReasons } from './action-numbers.ts';
import { bigintToBytes, putBits } from './bits.ts';
import { parseLearn } from './learn-text.ts';
import { parseInteger, parseU16, parseU32, parseU64, parseU8, requireIpv4, requireMac } from './numbers.ts';
import {
  parseBundle,
  parseEncap,
  parseDecap,
  parseMultipath,
  parseNat,
  parseSample,
} from './parse-long-actions.ts';
import { OFPP_CONTROLLER, OFPP_IN_PORT, OFPP_LOCAL, OFPP_MAX } from './ports.ts';
import { P_ANY, P_NXM_OF11_UP, P_OF11_UP, P_OF13_UP, P_OF15_UP, usableForSet } from './protocols.ts';
import { parseTableId } from './tables-text.ts';

export interface ParseContext {
  readonly ports: PortMap;
  /** Protocols that can carry what was read so far. */
  usable: number;
  depth: number;
}

/** @see ParseContext */
export function parseContext(ports: PortMap = noPorts): ParseContext {
  return { ports, usable: P_ANY, depth: 0 };
}

const MAX_DEPTH = 100;
const ETH_HEADER_LEN = 14;

function fail(message: string): never {
  throw new UsageError(message);
}

/** Hex digits, two by two, blanks and dots between them allowed; undefined for anything else. */
export function parseHex(text: string): Uint8Array | undefined {
  const out: number[] = [];
  let rest = text;
  for (;;) {
    rest = rest.replace(/^[ .\t\r\n]+/, '');
    if (rest === '') return Uint8Array.from(out);
    const m = /^[0-9a-fA-F]{2}/.exec(rest);
    if (!m) return undefined;
    out.push(parseInt(m[0], 16));
    rest = rest.slice(2);
  }
}

function parsePort(text: string, c: ParseContext): OfpPort | undefined {
  return parseOfpPort(text, c.ports) as OfpPort | undefined;
}

function parseTruncated(arg: string, c: ParseContext): Action {
  let port = 0 as OfpPort;
  let maxLen = 0;
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'port') {
      port = parsePort(value, c) ?? fail(`output to unknown truncate port: ${value}`);
      if (port >= OFPP_MAX && port !== OFPP_LOCAL && port !== OFPP_IN_PORT) {
        fail(`output to unsupported truncate port: ${value}`);
      }
    } else if (key === 'max_len') {
      maxLen = parseU32(value);
      if (maxLen < ETH_HEADER_LEN) fail(`max_len ${maxLen} is less than the minimum value ${ETH_HEADER_LEN}`);
    } else fail(`invalid key '${key}' in output_trunc argument`);
  }
  return { kind: 'output_trunc', port, maxLen };
}

function parseOutput(arg: string, c: ParseContext): Action {
  if (arg.includes('port') && arg.includes('max_len')) return parseTruncated(arg, c);
  const port = parsePort(arg, c);
  if (port !== undefined) return { kind: 'output', port, maxLen: port === OFPP_CONTROLLER ? MAX_LEN_ALL : 0 };
  try {
    return { kind: 'output_reg', src: parseSubfieldText(arg), maxLen: MAX_LEN_ALL };
  } catch (e) {
    if (!(e instanceof UsageError)) throw e;
    return fail(`${arg}: output to unknown port`);
  }
}

function parseController(arg: string): Action {
  let reason: PacketInReason = 'action';
  let controllerId = 0;
  let maxLen = MAX_LEN_ALL;
  let meterId = 0;
  let userdata = new Uint8Array(0);
  let pause = false;
  if (/^\d+$/.test(arg)) maxLen = parseU16(arg, 'max_len');
  else {
    for (const { key, value } of splitKeyValues(arg)) {
      if (key === 'reason') {
        const lower = value.toLowerCase();
        reason = packetInReasons.find((r) => r === lower) ?? fail(`unknown reason "${value}"`);
      } else if (key === 'max_len') maxLen = parseU16(value, 'max_len');
      else if (key === 'id') controllerId = parseU16(value, 'id');
      else if (key === 'userdata') {
        userdata = new Uint8Array(parseHex(value) ?? fail("bad hex digit in `controller' action `userdata'"));
      } else if (key === 'pause') pause = true;
      else if (key === 'meter_id') meterId = parseU32(value);
      else fail(`unknown key "${key}" parsing controller action`);
    }
  }
  if (reason === 'action' && controllerId === 0 && userdata.length === 0 && !pause && meterId === 0) {
    return { kind: 'output', port: OFPP_CONTROLLER, maxLen };
  }
  return { kind: 'controller', maxLen, reason, controllerId, pause, userdata, meterId };
}

function parseEnqueue(arg: string, c: ParseContext): Action {
  const m = /^[:q,]*([^:q,]+)[:q,](.+)$/.exec(arg);
  if (!m) return fail('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"');
  const port = parsePort(m[1] ?? '', c) ?? fail(`${m[1] ?? ''}: enqueue to unknown port`);
  return { kind: 'enqueue', port, queue: parseU32(m[2] ?? '') };
}

function splitArrow(arg: string): { readonly value: string; readonly key: string } {
  const at = arg.indexOf('->');
  if (at < 0) fail(`${arg}: missing \`->'`);
  if (at + 2 >= arg.length) fail(`${arg}: missing field name following \`->'`);
  return { value: arg.slice(0, at), key: arg.slice(at + 2) };
}

function parseSetField(arg: string, c: ParseContext): Action {
  const { value: text, key } = splitArrow(arg);
  const field =
    fieldByName(key) ?? fieldByHeaderName(key)?.field ?? fail(`${key} is not a valid OXM field name`);
  if (!field.writable) fail(`${key} is read-only`);
  const { value, mask } = parseFieldText(field, text, c.ports);
  if (!valueIsValid(field, value)) fail(`${text} is not a valid value for field ${key}`);
  c.usable &= usableForSet(field);
  return { kind: 'set_field', field, value: value.map((b, i) => b & (mask[i] ?? 0)), mask, raw: 'set_field' };
}

function parseLoad(arg: string): Action {
  const { value: text, key } = splitArrow(arg);
  const dst = parseSubfieldText(key);
  const size = dst.field.bytes;
  const number = parseInteger(text);
  if (number === undefined || number < 0n || number >> BigInt(8 * size) !== 0n) {
    return fail(`${arg}: cannot parse integer value`);
  }
  if (number >> BigInt(dst.nBits) !== 0n) {
    const shown = formatFieldText(dst.field, bigintToBytes(number, size));
    fail(`${arg}: value ${shown} does not fit into ${dst.nBits} bits`);
  }
  const value = new Uint8Array(size);
  const mask = new Uint8Array(size);
  putBits(value, dst.ofs, dst.nBits, number);
  putBits(mask, dst.ofs, dst.nBits, (1n << BigInt(dst.nBits)) - 1n);
  return { kind: 'set_field', field: dst.field, value, mask, raw: 'load' };
}

function parseMove(arg: string): Action {
  const { subfield: src, rest } = parseSubfieldPrefix(arg);
  if (!rest.startsWith('->')) fail(`${arg}: missing \`->' following source`);
  const { subfield: dst, rest: tail } = parseSubfieldPrefix(rest.slice(2));
  if (tail !== '') fail('unexpected input following field syntax');
  if (src.nBits !== dst.nBits) {
    fail(`${arg}: source field is ${src.nBits} bits wide but destination is ${dst.nBits} bits wide`);
  }
  return { kind: 'reg_move', src, dst };
}

function parseStack(kind: 'stack_push' | 'stack_pop', arg: string): Action {
  const { subfield, rest } = parseSubfieldPrefix(arg);
  if (rest !== '') fail(`${rest}: trailing garbage following push or pop`);
  return { kind, subfield };
}

function parseVlanVid(arg: string, pushVlanIfNeeded: boolean): Action {
  const vid = parseU16(arg, 'VLAN VID');
  if (vid > 0xfff) fail(`${arg}: not a valid VLAN VID`);
  return { kind: 'set_vlan_vid', vid, pushVlanIfNeeded, flowHasVlan: false };
}

function parseVlanPcp(arg: string, pushVlanIfNeeded: boolean): Action {
  const pcp = parseU8(arg, 'VLAN PCP');
  if (pcp > 7) fail(`${arg}: not a valid VLAN PCP`);
  return { kind: 'set_vlan_pcp', pcp, pushVlanIfNeeded, flowHasVlan: false };
}

function parsePushVlan(arg: string, c: ParseContext): Action {
  c.usable &= P_OF11_UP;
  const ethertype = parseU16(arg, 'ethertype');
  if (ethertype !== 0x8100 && ethertype !== 0x88a8) fail(`${arg}: not a valid VLAN ethertype`);
  return { kind: 'push_vlan', ethertype };
}

function parseTos(arg: string): Action {
  const dscp = parseU8(arg, 'TOS');
  if ((dscp & 3) !== 0) fail(`${arg}: not a valid TOS`);
  return { kind: 'set_ip_dscp', dscp };
}

function parseEcn(arg: string): Action {
  const ecn = parseU8(arg, 'ECN');
  if (ecn > 3) fail(`${arg}: not a valid ECN`);
  return { kind: 'set_ip_ecn', ecn };
}

function parseDecTtl(arg: string): Action {
  if (arg === '') return { kind: 'dec_ttl', controllerIds: [0], raw: 'dec_ttl' };
  const ids = arg.split(/[, ]+/).filter((x) => x !== '');
  if (ids.length === 0) fail('dec_ttl_cnt_ids: expected at least one controller id.');
  const controllerIds = ids.map((id) => (parseInt(id, 10) || 0) & 0xffff);
  return { kind: 'dec_ttl', controllerIds, raw: 'dec_ttl_cnt_ids' };
}

function parseMplsLabel(arg: string): Action {
  if (arg === '') fail('set_mpls_label: expected label.');
  const label = parseU32(arg);
  if (label > 0xfffff) fail(`${arg}: not a valid MPLS label`);
  return { kind: 'set_mpls_label', label };
}

function parseMplsTc(arg: string): Action {
  if (arg === '') fail('set_mpls_tc: expected tc.');
  const tc = parseU8(arg, 'MPLS TC');
  if (tc > 7) fail(`${arg}: not a valid MPLS TC`);
  return { kind: 'set_mpls_tc', tc };
}

function parseFinTimeout(arg: string): Action {
  let idleTimeoutSec = 0;
  let hardTimeoutSec = 0;
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'idle_timeout') idleTimeoutSec = parseU16(value, key);
    else if (key === 'hard_timeout') hardTimeoutSec = parseU16(value, key);
    else fail(`invalid key '${key}' in 'fin_timeout' argument`);
  }
  return { kind: 'fin_timeout', idleTimeoutSec, hardTimeoutSec };
}

function parseResubmit(arg: string, c: ParseContext): Action {
  const [port = '', table = '', ct = ''] = arg.split(',');
  const inPort =
    port === '' ? OFPP_IN_PORT : (parsePort(port, c) ?? fail(`${port}: resubmit to unknown port`));
  const tableId = table === '' ? 255 : (parseTableId(table) ?? fail(`${table}: resubmit to unknown table`));
  if (ct !== '' && ct !== 'ct') fail(`${ct}: unknown parameter`);
  if (inPort === OFPP_IN_PORT && tableId === 255) {
    fail('at least one "in_port" or "table" must be specified on resubmit');
  }
  const withCtOrig = ct === 'ct';
  return {
    kind: 'resubmit',
    inPort,
    tableId,
    withCtOrig,
    raw: withCtOrig ? 'resubmit_table_ct' : 'resubmit_table',
  };
}

function parseConjunction(arg: string): Action {
  const m = /^\s*(\d+|0[xX][0-9a-fA-F]+)\s*,\s*(\d+)\s*\/\s*(\d+)\s*$/.exec(arg);
  if (!m) return fail('"conjunction" syntax is "conjunction(id,i/n)"');
  const id = Number(m[1]);
  const clause = Number(m[2]);
  const nClauses = Number(m[3]);
  if (nClauses < 2) fail('conjunction must have at least 2 clauses');
  if (nClauses > 64) fail('conjunction must have at most 64 clauses');
  if (clause < 1) fail('clause index must be positive');
  if (clause > nClauses) fail('clause index must be less than or equal to number of clauses');
  return { kind: 'conjunction', id, clause: clause - 1, nClauses };
}

function parseNote(arg: string): Action {
  return { kind: 'note', data: parseHex(arg) ?? fail("bad hex digit in `note' argument") };
}

function parseCheckLarger(arg: string): Action {
  const { value, key } = splitArrow(arg);
  const dst = parseSubfieldText(key);
  if (dst.nBits !== 1) fail('Only 1-bit destination field is allowed');
  return { kind: 'check_pkt_larger', pktLen: parseU16(value.replace(/\)$/, ''), '(null)'), dst };
}

function parseCt(arg: string, c: ParseContext): Action {
  let commit = false;
  let force = false;
  let recircTable: number | null = null;
  let zoneImm = 0;
  let zoneSrc;
  let alg = 0;
  const actions: Action[] = [];
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'commit') commit = true;
    else if (key === 'force') force = true;
    else if (key === 'table') {
      recircTable = parseTableId(value) ?? fail(`unknown table ${value}`);
      if (recircTable === CT_RECIRC_NONE) fail('invalid table 0xff');
    } else if (key === 'zone') {
      const number = parseInteger(value);
      if (number !== undefined && number >= 0n && number <= 0xffffn) zoneImm = Number(number);
      else zoneSrc = parseSubfieldText(value);
    } else if (key === 'alg') {
      alg = value === 'ftp' ? 21 : value === 'tftp' ? 69 : fail(`invalid conntrack helper "${value}"`);
    } else if (key === 'nat') actions.push(parseNat(value));
    else if (key === 'exec') {
      const usable = c.usable;
      actions.push(...parseNested(value, c, 'ct'));
      c.usable &= usable;
    } else fail(`invalid argument to "ct" action: \`${key}'`);
  }
  if (force && !commit) fail('"force" flag requires "commit" flag.');
  return { kind: 'ct', commit, force, zoneImm, recircTable, alg, actions, ...(zoneSrc && { zoneSrc }) };
}

function parseMetadata(arg: string, c: ParseContext): Action {
  c.usable &= P_NXM_OF11_UP;
  const slash = arg.indexOf('/');
  const mask = slash < 0 ? 0xffffffffffffffffn : parseU64(arg.slice(slash + 1));
  return { kind: 'write_metadata', metadata: parseU64(slash < 0 ? arg : arg.slice(0, slash)), mask };
}

function parseField(arg: string): Action {
  const field = fieldByName(arg) ?? fieldByHeaderName(arg)?.field ?? fail(`unknown field \`${arg}'`);
  return { kind: 'delete_field', field };
}

/** Readers by (lower-case) name. */
const parsers: Readonly<Record<string, (arg: string, c: ParseContext) => Action>> = {
  output: parseOutput,
  group: (arg) => ({ kind: 'group', groupId: parseU32(arg) }),
  controller: parseController,
  enqueue: parseEnqueue,
  output_reg: parseOutput,
  output_trunc: (arg) => fail(`unknown action ${arg}`),
  bundle: (arg, c) => parseBundle(arg, c.ports, false),
  bundle_load: (arg, c) => parseBundle(arg, c.ports, true),
  set_field: parseSetField,
  load: parseLoad,
  set_vlan_vid: (arg) => parseVlanVid(arg, false),
  mod_vlan_vid: (arg) => parseVlanVid(arg, true),
  set_vlan_pcp: (arg) => parseVlanPcp(arg, false),
  mod_vlan_pcp: (arg) => parseVlanPcp(arg, true),
  strip_vlan: () => ({ kind: 'strip_vlan', raw: 'strip_vlan' }),
  pop_vlan: () => ({ kind: 'strip_vlan', raw: 'pop_vlan' }),
  push_vlan: parsePushVlan,
  mod_dl_src: (arg) => ({ kind: 'set_eth_src', mac: requireMac(arg) }),
  mod_dl_dst: (arg) => ({ kind: 'set_eth_dst', mac: requireMac(arg) }),
  mod_nw_src: (arg) => ({ kind: 'set_ipv4_src', ipv4: requireIpv4(arg) }),
  mod_nw_dst: (arg) => ({ kind: 'set_ipv4_dst', ipv4: requireIpv4(arg) }),
  mod_nw_tos: parseTos,
  mod_nw_ecn: parseEcn,
  mod_nw_ttl: (arg) => ({ kind: 'set_ip_ttl', ttl: parseU8(arg, 'TTL') }),
  set_nw_ttl: (arg) => ({ kind: 'set_ip_ttl', ttl: parseU8(arg, 'TTL') }),
  mod_tp_src: (arg) => ({ kind: 'set_l4_src_port', port: parseU16(arg, 'source port'), flowIpProto: 0 }),
  mod_tp_dst: (arg) => ({ kind: 'set_l4_dst_port', port: parseU16(arg, 'destination port'), flowIpProto: 0 }),
  move: parseMove,
  push: (arg) => parseStack('stack_push', arg),
  pop: (arg) => parseStack('stack_pop', arg),
  dec_ttl: parseDecTtl,
  set_mpls_label: parseMplsLabel,
  set_mpls_tc: parseMplsTc,
  set_mpls_ttl: (arg) =>
    arg === ''
      ? fail('set_mpls_ttl: expected ttl.')
      : { kind: 'set_mpls_ttl', ttl: parseU8(arg, 'MPLS TTL') },
  dec_mpls_ttl: () => ({ kind: 'dec_mpls_ttl' }),
  push_mpls: (arg) => ({ kind: 'push_mpls', ethertype: parseU16(arg, 'push_mpls') }),
  pop_mpls: (arg) => ({ kind: 'pop_mpls', ethertype: parseU16(arg, 'pop_mpls') }),
  dec_nsh_ttl: () => ({ kind: 'dec_nsh_ttl' }),
  set_tunnel: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: false }),
  set_tunnel64: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: true }),
  set_queue: (arg) => ({ kind: 'set_queue', queueId: parseU32(arg) }),
  pop_queue: () => ({ kind: 'pop_queue' }),
  fin_timeout: parseFinTimeout,
  resubmit: parseResubmit,
  learn: (arg, c) => parseLearn(arg, c.ports),
  conjunction: parseConjunction,
  multipath: parseMultipath,
  note: parseNote,
  exit: () => ({ kind: 'exit' }),
  unroll_xlate: () => fail("UNROLL is an internal action that shouldn't be used via OpenFlow"),
  sample: (arg, c) => parseSample(arg, c.ports),
  debug_recirc: () => ({ kind: 'debug_recirc' }),
  debug_slow: () => ({ kind: 'debug_slow' }),
  ct: parseCt,
  ct_clear: () => ({ kind: 'ct_clear' }),
  nat: parseNat,
  clone: (arg, c) => ({ kind: 'clone', actions: parseNested(arg, c, 'clone') }),
  encap: (arg, c) => {
    c.usable &= P_OF13_UP;
    return parseEncap(arg);
  },
  decap: parseDecap,
  check_pkt_larger: parseCheckLarger,
  delete_field: parseField,
  meter: (arg, c) => {
    c.usable &= P_OF13_UP;
    return { kind: 'meter', meterId: parseU32(arg) };
  },
  clear_actions: () => ({ kind: 'clear_actions' }),
  write_actions: (arg, c) => ({ kind: 'write_actions', actions: parseNested(arg, c, 'write_actions') }),
  write_metadata: parseMetadata,
  goto_table: (arg) => ({ kind: 'goto_table', tableId: parseTableId(arg) ?? fail(`unknown table "${arg}"`) }),
};

/** `set_field:1->reg0` and `check_pkt_larger(1)->reg0[0]` hold their arrow outside of what splits values. */
function joinArrows(parts: readonly KeyValue[]): KeyValue[] {
  const out: KeyValue[] = [];
  for (const part of parts) {
    const last = out.at(-1);
    if (last?.delimiter === '(' && part.key.startsWith('->')) {
      out[out.length - 1] = { ...last, value: `${last.value})${part.key}${part.delimiter}${part.value}` };
    } else out.push(part);
  }
  return out;
}

function parseList(
  text: string,
  c: ParseContext,
  allowInstructions: boolean,
  outer?: 'ct' | 'clone' | 'write_actions',
): Action[] {
  if (c.depth >= MAX_DEPTH) fail('Action nested too deeply');
  c.depth++;
  const out: Action[] = [];
  let isDrop = false;
  for (const { key, value } of joinArrows(splitKeyValues(text))) {
    const name = key.toLowerCase();
    const parse = Object.hasOwn(parsers, name) ? parsers[name] : undefined;
    if (parse) {
      out.push(parse(value, c));
      if (name === 'meter' && !allowInstructions) c.usable &= P_OF15_UP;
    } else if (name === 'drop') isDrop = true;
    else if (name === 'apply_actions') fail('apply_actions is the default instruction');
    else {
      const port = parsePort(key, c) ?? fail(`unknown action ${key}`);
      out.push({ kind: 'output', port, maxLen: 0 });
    }
  }
  if (isDrop && out.length > 0) fail('"drop" must not be accompanied by any other action or instruction');
  try {
    verifyActions(out, 2, allowInstructions, outer);
  } catch (e) {
    if (e instanceof OfpError) fail(e.message);
    throw e;
  }
  c.depth--;
  return out;
}

function parseNested(text: string, c: ParseContext, outer: 'ct' | 'clone' | 'write_actions'): Action[] {
  return parseList(text, c, false, outer);
}

/**
 * Reads a list of actions, without instructions.
 *
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseActions(text: string, context: ParseContext = parseContext()): Action[] {
  return parseList(text, context, false);
}

/** Reads actions and instructions, as a flow has them. @throws UsageError */
export function parseInstructions(text: string, context: ParseContext = parseContext()): Action[] {
  return parseList(text, context, true);
}
