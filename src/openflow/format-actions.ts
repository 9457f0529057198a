/**
 * Actions as ovs-ofctl prints them.
 *
 * `names` gives ports their names; without it they are numbers. An empty list is `drop`.
 */
import { formatFieldText } from '../flow/field-text.ts';
import { formatOfpPort } from '../flow/ofp-port-text.ts';
import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import { formatSubfield } from '../flow/subfield-text.ts';
import { formatIpv4Number, formatIpv6, formatMac, formatIpv4 } from '../wire/address.ts';
import { MAX_LEN_ALL } from './action-numbers.ts';
import type {
  Action,
  BundleAction,
  ControllerAction,
  CtAction,
  EncapAction,
  MultipathAction,
  NatAction,
  SampleAction,
  SetFieldAction,
} from './actions.ts';
import { loadSegments } from './bits.ts';
import { formatLearn } from './learn-text.ts';
import { OFPP_CONTROLLER, OFPP_IN_PORT, OFPP_MAX, OFPP_NONE } from './ports.ts';

const hex = (n: number | bigint): string => (n === 0 || n === 0n ? '0' : `0x${n.toString(16)}`);
const hexArg = (data: Uint8Array): string =>
  Array.from(data, (b) => b.toString(16).padStart(2, '0')).join('.');

function formatController(a: ControllerAction): string {
  const isPlain =
    a.reason === 'action' && a.controllerId === 0 && a.userdata.length === 0 && !a.pause && a.meterId === 0;
  if (isPlain) return `CONTROLLER:${a.maxLen}`;
  const parts: string[] = [];
  // The switch's own flows have reasons that no controller is told.
  const isInternal = a.reason === 'explicit_miss' || a.reason === 'implicit_miss';
  if (a.reason !== 'action') parts.push(`reason=${isInternal ? '' : a.reason}`);
  if (a.maxLen !== MAX_LEN_ALL) parts.push(`max_len=${a.maxLen}`);
  if (a.controllerId !== 0) parts.push(`id=${a.controllerId}`);
  if (a.userdata.length > 0) parts.push(`userdata=${hexArg(a.userdata)}`);
  if (a.pause) parts.push('pause');
  if (a.meterId !== 0) parts.push(`meter_id=${a.meterId}`);
  return `controller(${parts.join(',')})`;
}

function formatBundle(a: BundleAction, ports: PortMap): string {
  const name = a.dst ? 'bundle_load' : 'bundle';
  const dst = a.dst ? `${formatSubfield(a.dst)},` : '';
  const members = a.slaves.map((s) => (s === OFPP_NONE ? 'ANY' : formatOfpPort(s, ports))).join(',');
  return `${name}(${a.fields},${a.basis},${a.algorithm},ofport,${dst}members:${members})`;
}

function formatMultipath(a: MultipathAction): string {
  return `multipath(${a.fields},${a.basis},${a.algorithm},${a.maxLink + 1},${a.arg},${formatSubfield(a.dst)})`;
}

function formatSetField(a: SetFieldAction, ports: PortMap): string {
  if (a.raw === 'load') {
    return loadSegments(a.value, a.mask, a.field.bits)
      .map((s) => `load:${hex(s.value)}->${formatSubfield({ field: a.field, ofs: s.ofs, nBits: s.nBits })}`)
      .join(',');
  }
  return `set_field:${formatFieldText(a.field, a.value, a.mask, ports)}->${a.field.name}`;
}

const algNames: Readonly<Record<number, string>> = { 21: 'ftp', 69: 'tftp' };

function formatCt(a: CtAction, ports: PortMap): string {
  const parts: string[] = [];
  if (a.commit) parts.push('commit');
  if (a.force) parts.push('force');
  if (a.recircTable !== null) parts.push(`table=${a.recircTable}`);
  if (a.zoneSrc) parts.push(`zone=${formatSubfield(a.zoneSrc)}`);
  else if (a.zoneImm !== 0) parts.push(`zone=${a.zoneImm}`);
  const [first, ...rest] = a.actions;
  let exec = a.actions;
  if (first?.kind === 'nat') {
    parts.push(formatNat(first));
    exec = rest;
  }
  if (exec.length > 0) parts.push(`exec(${formatActions(exec, ports)})`);
  if (a.alg !== 0) parts.push(`alg=${algNames[a.alg] ?? a.alg}`);
  return `ct(${parts.join(',')})`;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.every((x, i) => x === b[i]);

function formatNat(a: NatAction): string {
  if (a.direction === null) return 'nat';
  let range = '';
  if (a.addrMin) {
    const withBrackets = a.protoMin !== undefined;
    const addr = (b: Uint8Array): string =>
      b.length === 4 ? formatIpv4(b) : withBrackets ? `[${formatIpv6(b)}]` : formatIpv6(b);
    range = `=${addr(a.addrMin)}`;
    if (a.addrMax && !sameBytes(a.addrMax, a.addrMin)) range += `-${addr(a.addrMax)}`;
    if (a.protoMin !== undefined) {
      range += `:${a.protoMin}`;
      if (a.protoMax !== undefined && a.protoMax !== a.protoMin) range += `-${a.protoMax}`;
    }
  }
  const flags: string[] = [];
  if (a.addrMin && a.persistent) flags.push('persistent');
  if (a.addrMin && a.portMode !== null) flags.push(a.portMode);
  return `nat(${[`${a.direction}${range}`, ...flags].join(',')})`;
}

function formatSample(a: SampleAction, ports: PortMap): string {
  let s =
    `sample(probability=${a.probability},collector_set_id=${a.collectorSetId}` +
    `,obs_domain_id=${a.obsDomainId},obs_point_id=${a.obsPointId}`;
  if (a.samplingPort !== OFPP_NONE) s += `,sampling_port=${formatOfpPort(a.samplingPort, ports)}`;
  if (a.direction !== 'default') s += `,${a.direction}`;
  return `${s})`;
}

/** Class, names of types: the only known class is 4, NSH. */
function formatEncapProps(a: EncapAction): string {
  return a.props
    .map((p) => {
      if (p.type === 1) return `md_type=${p.data[0] ?? 0}`;
      const tlvClass = ((p.data[0] ?? 0) << 8) | (p.data[1] ?? 0);
      return `tlv(${hex16(tlvClass)},${p.data[2] ?? 0},0x${hexPlain(p.data.subarray(4, 4 + (p.data[3] ?? 0)))})`;
    })
    .join(',');
}
const hex16 = (n: number): string => `0x${n.toString(16).padStart(4, '0')}`;
const hexPlain = (data: Uint8Array): string =>
  Array.from(data, (b) => b.toString(16).padStart(2, '0')).join('');

function formatEncap(a: EncapAction): string {
  const type = a.packetType === 0 ? 'ethernet' : a.packetType === 0x1894f ? 'nsh' : 'UNKNOWN';
  return `encap(${type}${a.props.length > 0 ? `(${formatEncapProps(a)})` : ''})`;
}

/** Text of one action. */
function formatAction(a: Action, ports: PortMap = noPorts): string {
  const port = (n: number): string => formatOfpPort(n, ports);
  switch (a.kind) {
    case 'output': {
      const prefix = a.port < OFPP_MAX ? 'output:' : '';
      const suffix = a.port === OFPP_CONTROLLER ? `:${a.maxLen}` : '';
      return `${prefix}${port(a.port)}${suffix}`;
    }
    case 'controller':
      return formatController(a);
    case 'enqueue':
      return `enqueue:${port(a.port)}:${a.queue}`;
    case 'output_reg':
      return `output:${formatSubfield(a.src)}`;
    case 'output_trunc':
      return `output(port=${port(a.port)},max_len=${a.maxLen})`;
    case 'group':
      return `group:${a.groupId}`;
    case 'bundle':
      return formatBundle(a, ports);
    case 'set_field':
      return formatSetField(a, ports);
    case 'reg_move':
      return `move:${formatSubfield(a.src)}->${formatSubfield(a.dst)}`;
    case 'stack_push':
      return `push:${formatSubfield(a.subfield)}`;
    case 'stack_pop':
      return `pop:${formatSubfield(a.subfield)}`;
    case 'strip_vlan':
      return a.raw;
    case 'push_vlan':
      return `push_vlan:${hex(a.ethertype)}`;
    case 'set_vlan_vid':
      return `${a.pushVlanIfNeeded ? 'mod_vlan_vid' : 'set_vlan_vid'}:${a.vid}`;
    case 'set_vlan_pcp':
      return `${a.pushVlanIfNeeded ? 'mod_vlan_pcp' : 'set_vlan_pcp'}:${a.pcp}`;
    case 'set_eth_src':
      return `mod_dl_src:${formatMac(a.mac)}`;
    case 'set_eth_dst':
      return `mod_dl_dst:${formatMac(a.mac)}`;
    case 'set_ipv4_src':
      return `mod_nw_src:${formatIpv4Number(a.ipv4)}`;
    case 'set_ipv4_dst':
      return `mod_nw_dst:${formatIpv4Number(a.ipv4)}`;
    case 'set_ip_dscp':
      return `mod_nw_tos:${a.dscp}`;
    case 'set_ip_ecn':
      return `mod_nw_ecn:${a.ecn}`;
    case 'set_ip_ttl':
      return `mod_nw_ttl:${a.ttl}`;
    case 'set_l4_src_port':
      return `mod_tp_src:${a.port}`;
    case 'set_l4_dst_port':
      return `mod_tp_dst:${a.port}`;
    case 'dec_ttl':
      return a.raw === 'dec_ttl_cnt_ids' ? `dec_ttl(${a.controllerIds.join(',')})` : 'dec_ttl';
    case 'set_mpls_label':
      return `set_mpls_label(${a.label})`;
    case 'set_mpls_tc':
      return `set_mpls_tc(${a.tc})`;
    case 'set_mpls_ttl':
      return `set_mpls_ttl(${a.ttl})`;
    case 'push_mpls':
      return `push_mpls:${hex16(a.ethertype)}`;
    case 'pop_mpls':
      return `pop_mpls:${hex16(a.ethertype)}`;
    case 'set_tunnel':
      return `set_tunnel${a.is64 || a.tunId > 0xffffffffn ? '64' : ''}:${hex(a.tunId)}`;
    case 'set_queue':
      return `set_queue:${a.queueId}`;
    case 'fin_timeout': {
      const parts: string[] = [];
      if (a.idleTimeoutSec !== 0) parts.push(`idle_timeout=${a.idleTimeoutSec}`);
      if (a.hardTimeoutSec !== 0) parts.push(`hard_timeout=${a.hardTimeoutSec}`);
      return `fin_timeout(${parts.join(',')})`;
    }
    case 'resubmit': {
      if (a.inPort !== OFPP_IN_PORT && a.tableId === 0xff) return `resubmit:${port(a.inPort)}`;
      const inPort = a.inPort === OFPP_IN_PORT ? '' : port(a.inPort);
      return `resubmit(${inPort},${a.tableId === 0xff ? '' : a.tableId}${a.withCtOrig ? ',ct' : ''})`;
    }
    case 'learn':
      return formatLearn(a, ports);
    case 'conjunction':
      return `conjunction(${a.id},${a.clause + 1}/${a.nClauses})`;
    case 'multipath':
      return formatMultipath(a);
    case 'note':
      return `note:${hexArg(a.data)}`;
    case 'sample':
      return formatSample(a, ports);
    case 'nat':
      return formatNat(a);
    case 'ct':
      return formatCt(a, ports);
    case 'clone':
      return `clone(${formatActions(a.actions, ports)})`;
    case 'check_pkt_larger':
      return `check_pkt_larger(${a.pktLen})->${formatSubfield(a.dst)}`;
    case 'encap':
      return formatEncap(a);
    case 'decap': {
      const isDefault = a.newPacketType === 0x0000fffe;
      const ns = a.newPacketType >>> 16;
      return `decap(${isDefault ? '' : `packet_type(ns=${ns},type=${hex(a.newPacketType & 0xffff)})`})`;
    }
    case 'delete_field':
      return `delete_field:${a.field.name}`;
    case 'meter':
      return `meter:${a.meterId}`;
    case 'write_actions':
      return `write_actions(${formatActions(a.actions, ports)})`;
    case 'write_metadata': {
      const mask = a.mask === 0xffffffffffffffffn ? '' : `/${hex(a.mask)}`;
      return `write_metadata:${hex(a.metadata)}${mask}`;
    }
    case 'goto_table':
      return `goto_table:${a.tableId}`;
    case 'unroll_xlate':
      return `unroll_xlate(table=${a.ruleTableId}, cookie=${a.ruleCookie})`;
    case 'dec_mpls_ttl':
    case 'dec_nsh_ttl':
    case 'pop_queue':
    case 'exit':
    case 'ct_clear':
    case 'clear_actions':
    case 'debug_recirc':
    case 'debug_slow':
      return a.kind;
  }
}

/** Text of a list of actions, comma separated. */
export function formatActions(actions: readonly Action[], ports: PortMap = noPorts): string {
  if (actions.length === 0) return 'drop';
  return actions.map((a) => formatAction(a, ports)).join(',');
}
