/**
 * Bytes to actions: lists of actions, instructions, and the order and nesting rules that hold for
 * both whatever their form (OVS's ofpacts_verify).
 */
import { requireField } from '../flow/fields.ts';
import { OfpError } from '../util/errors.ts';
import type { OfpPort } from '../util/brand.ts';
import { pullAction } from './action-header.ts';
import type { PulledAction } from './action-header.ts';
import {
  CT_COMMIT,
  CT_FORCE,
  CT_RECIRC_NONE,
  bundleAlgorithms,
  hashFields,
  multipathAlgorithms,
  sampleDirections,
} from './action-numbers.ts';
import { isAllowedInActionSet, verifyActions } from './action-order.ts';
import type { Action, SampleAction } from './actions.ts';
import { putBits } from './bits.ts';
import type { ByteReader } from './byte-io.ts';
import {
  decodeController,
  decodeController2,
  decodeEncap,
  decodeLearn,
  decodeNat,
} from './decode-long-actions.ts';
import {
  checkDestination,
  checkSource,
  decodeOfsNbits,
  pullActionEntry,
  pullFieldHeader,
  pullShortHeader,
  shortHeader,
} from './nxm.ts';
import { valueIsValid } from '../flow/match-set.ts';
import { OFPP_MAX, ofp10ToOfp11Port } from './ports.ts';

/** Actions nested deeper than this are refused (clone in clone...). */
const MAX_DEPTH = 100;

export interface DecodeActionsOptions {
  /** Accept debug_recirc and debug_slow (--enable-dummy). */
  readonly debugActions?: boolean;
}

const bad = (code: string): never => {
  throw new OfpError(code);
};

function port11(r: ByteReader): OfpPort {
  const port = r.u32();
  if (port >= OFPP_MAX && port < 0xffffff00) bad('OFPBAC_BAD_OUT_PORT');
  return port as OfpPort;
}

function port16(r: ByteReader): OfpPort {
  return ofp10ToOfp11Port(r.u16());
}

/** Checks a port of an output action. @throws OfpError OFPBAC_BAD_OUT_PORT */
export function checkOutputPort(port: number, maxPorts: number = OFPP_MAX): void {
  const isReserved = port >= 0xfffffff8 && port <= 0xfffffffe;
  if (!isReserved && port >= maxPorts) bad('OFPBAC_BAD_OUT_PORT');
}

function allZeros(r: ByteReader, code: string): void {
  if (!r.allZeros(r.left)) bad(code);
}

function decodeSetField(r: ByteReader, version: number): Action {
  const { field, value, mask, hasMask } = pullActionEntry(r);
  if (hasMask && version < 6) bad('OFPBAC_BAD_SET_MASK');
  allZeros(r, 'OFPBAC_BAD_SET_ARGUMENT');
  if (field.name === 'in_port_oxm' || !field.writable) bad('OFPBAC_BAD_SET_ARGUMENT');
  const isVlanVid = field.name === 'vlan_vid';
  const lacksPresent = isVlanVid && (((mask[0] ?? 0) & 0x10) === 0 || ((value[0] ?? 0) & 0x10) === 0);
  if (!valueIsValid(field, value) || lacksPresent) bad('OFPBAC_BAD_SET_ARGUMENT');
  return { kind: 'set_field', field, value, mask, raw: 'set_field' };
}

function decodeRegLoad(r: ByteReader): Action {
  const ofsNbits = r.u16();
  const field = pullShortHeader(r);
  const dst = checkDestination(decodeOfsNbits(field, ofsNbits));
  const bits = r.u64();
  if (dst.nBits < 64 && bits >> BigInt(dst.nBits) !== 0n) bad('OFPBAC_BAD_ARGUMENT');
  const value = new Uint8Array(field.bytes);
  const mask = new Uint8Array(field.bytes);
  putBits(value, dst.ofs, dst.nBits, bits);
  putBits(mask, dst.ofs, dst.nBits, (1n << 64n) - 1n);
  return { kind: 'set_field', field, value, mask, raw: 'load' };
}

function decodeRegLoad2(r: ByteReader): Action {
  const { field, value, mask } = pullActionEntry(r);
  allZeros(r, 'OFPBAC_BAD_SET_ARGUMENT');
  if (!field.writable) bad('OFPBAC_BAD_SET_ARGUMENT');
  return { kind: 'set_field', field, value, mask, raw: 'load2' };
}

function decodeMove(r: ByteReader, skipped: number): Action {
  const nBits = r.u16();
  const srcOfs = r.u16();
  const dstOfs = r.u16();
  r.skip(skipped);
  const src = { field: pullFieldHeader(r), ofs: srcOfs, nBits };
  const dst = { field: pullFieldHeader(r), ofs: dstOfs, nBits };
  allZeros(r, 'NXBRC_MUST_BE_ZERO');
  return { kind: 'reg_move', src: checkSource(src), dst: checkDestination(dst) };
}

function decodeStack(r: ByteReader, kind: 'stack_push' | 'stack_pop'): Action {
  const ofs = r.u16();
  const subfield = { field: pullFieldHeader(r), ofs, nBits: r.u16() };
  allZeros(r, 'NXBRC_MUST_BE_ZERO');
  if (kind === 'stack_push') checkSource(subfield);
  else checkDestination(subfield);
  return { kind, subfield };
}

function decodeBundle(r: ByteReader, isLoad: boolean): Action {
  const algorithm = bundleAlgorithms[r.u16()];
  const fields = hashFields[r.u16()];
  const basis = r.u16();
  const slaveType = r.u32();
  const nSlaves = r.u16();
  const ofsNbits = r.u16();
  if (r.left < 8 + nSlaves * 2) bad('OFPBAC_BAD_LEN');
  const dstBits = r.peekU32();
  if (!fields || nSlaves > 2048 || !algorithm || slaveType !== shortHeader(requireField('in_port'))) {
    return bad('OFPBAC_BAD_ARGUMENT');
  }
  let dst;
  if (isLoad) {
    dst = checkDestination(decodeOfsNbits(pullShortHeader(r), ofsNbits));
    if (dst.nBits < 16) bad('OFPBAC_BAD_ARGUMENT');
  } else {
    r.skip(4);
    if (ofsNbits !== 0 || dstBits !== 0) bad('OFPBAC_BAD_ARGUMENT');
  }
  if (!r.allZeros(4)) bad('OFPBAC_BAD_ARGUMENT');
  const slaves: OfpPort[] = [];
  for (let i = 0; i < nSlaves; i++) {
    const slave = port16(r);
    if (slave !== 0xffffffff) checkOutputPort(slave);
    if (slave === 0xfffffffd) bad('OFPBAC_BAD_OUT_PORT');
    slaves.push(slave);
  }
  return { kind: 'bundle', fields, basis, algorithm, slaves, ...(dst && { dst }) };
}

function decodeMultipath(r: ByteReader): Action {
  const fields = hashFields[r.u16()];
  const basis = r.u16();
  r.skip(2);
  const algorithm = multipathAlgorithms[r.u16()];
  const maxLink = r.u16();
  const arg = r.u32();
  r.skip(2);
  const ofsNbits = r.u16();
  const dst = decodeOfsNbits(pullShortHeader(r), ofsNbits);
  if (!fields || !algorithm || dst.nBits < Math.ceil(Math.log2(maxLink + 1)))
    return bad('OFPBAC_BAD_ARGUMENT');
  return { kind: 'multipath', fields, basis, algorithm, maxLink, arg, dst: checkDestination(dst) };
}

function decodeSample(r: ByteReader, raw: SampleAction['raw']): Action {
  const probability = r.u16();
  const collectorSetId = r.u32();
  const obsDomainId = r.u32();
  const obsPointId = r.u32();
  const samplingPort = raw === 'sample' ? (0xffffffff as OfpPort) : port16(r);
  let direction: SampleAction['direction'] = 'default';
  if (raw === 'sample3') {
    direction = sampleDirections[r.u8()] ?? bad('OFPBAC_BAD_ARGUMENT');
    allZeros(r, 'NXBRC_MUST_BE_ZERO');
  }
  if (probability === 0) bad('OFPBAC_BAD_ARGUMENT');
  return {
    kind: 'sample',
    probability,
    collectorSetId,
    obsDomainId,
    obsPointId,
    samplingPort,
    direction,
    raw,
  };
}

function decodeCt(r: ByteReader, version: number, depth: number, o: DecodeActionsOptions): Action {
  const flags = r.u16();
  const commit = (flags & CT_COMMIT) !== 0;
  const force = (flags & CT_FORCE) !== 0;
  if (force && !commit) bad('OFPBAC_BAD_ARGUMENT');
  const hasZoneSrc = r.peekU32() !== 0;
  let zoneSrc;
  let zoneImm = 0;
  if (hasZoneSrc) {
    const field = pullShortHeader(r);
    zoneSrc = checkSource(decodeOfsNbits(field, r.u16()));
    if (zoneSrc.nBits !== 16) bad('OFPBAC_BAD_SET_LEN');
  } else {
    r.skip(4);
    zoneImm = r.u16();
  }
  const table = r.u8();
  r.skip(3);
  const alg = r.u16();
  const actions = decodeList(r, version, depth + 1, o);
  verifyActions(actions, version, false, 'ct');
  const isPlainNat = (a: Action): boolean =>
    a.kind === 'nat' && a.direction === null && !a.persistent && a.portMode === null && !a.addrMin;
  if (!commit && !actions.every(isPlainNat)) bad('OFPBAC_BAD_ARGUMENT');
  const recircTable = table === CT_RECIRC_NONE ? null : table;
  return { kind: 'ct', commit, force, zoneImm, recircTable, alg, actions, ...(zoneSrc && { zoneSrc }) };
}

function decodeTable(pulled: PulledAction, withCtOrig: boolean): Action {
  const r = pulled.body;
  const inPort = port16(r);
  const tableId = r.u8();
  if (!r.allZeros(3)) bad('OFPBAC_BAD_ARGUMENT');
  return {
    kind: 'resubmit',
    inPort,
    tableId,
    withCtOrig,
    raw: withCtOrig ? 'resubmit_table_ct' : 'resubmit_table',
  };
}

function vlanVid(vid: number, pushVlanIfNeeded: boolean): Action {
  if (vid > 0xfff) bad('OFPBAC_BAD_ARGUMENT');
  return { kind: 'set_vlan_vid', vid, pushVlanIfNeeded, flowHasVlan: false };
}

function vlanPcp(pcp: number, pushVlanIfNeeded: boolean): Action {
  if (pcp > 7) bad('OFPBAC_BAD_ARGUMENT');
  return { kind: 'set_vlan_pcp', pcp, pushVlanIfNeeded, flowHasVlan: false };
}

function decodeOne(p: PulledAction, version: number, depth: number, o: DecodeActionsOptions): Action {
  const r = p.body;
  const arg = Number(p.arg);
  switch (p.name) {
    case 'OFPAT10_OUTPUT': {
      const port = port16(r);
      checkOutputPort(port);
      return { kind: 'output', port, maxLen: r.u16() };
    }
    case 'OFPAT11_OUTPUT': {
      const port = port11(r);
      checkOutputPort(port);
      return { kind: 'output', port, maxLen: r.u16() };
    }
    case 'OFPAT10_SET_VLAN_VID':
      return vlanVid(arg, true);
    case 'OFPAT11_SET_VLAN_VID':
      return vlanVid(arg, false);
    case 'OFPAT10_SET_VLAN_PCP':
      return vlanPcp(arg, true);
    case 'OFPAT11_SET_VLAN_PCP':
      return vlanPcp(arg, false);
    case 'OFPAT11_PUSH_VLAN':
      if (arg !== 0x8100 && arg !== 0x88a8) bad('OFPBAC_BAD_ARGUMENT');
      return { kind: 'push_vlan', ethertype: arg };
    case 'OFPAT10_STRIP_VLAN':
      return { kind: 'strip_vlan', raw: 'strip_vlan' };
    case 'OFPAT11_POP_VLAN':
      return { kind: 'strip_vlan', raw: 'pop_vlan' };
    case 'OFPAT_SET_DL_SRC':
      return { kind: 'set_eth_src', mac: r.bytes(6) };
    case 'OFPAT_SET_DL_DST':
      return { kind: 'set_eth_dst', mac: r.bytes(6) };
    case 'OFPAT_SET_NW_SRC':
      return { kind: 'set_ipv4_src', ipv4: arg };
    case 'OFPAT_SET_NW_DST':
      return { kind: 'set_ipv4_dst', ipv4: arg };
    case 'OFPAT_SET_NW_TOS':
      if ((arg & 3) !== 0) bad('OFPBAC_BAD_ARGUMENT');
      return { kind: 'set_ip_dscp', dscp: arg };
    case 'OFPAT11_SET_NW_ECN':
      if (arg > 3) bad('OFPBAC_BAD_ARGUMENT');
      return { kind: 'set_ip_ecn', ecn: arg };
    case 'OFPAT11_SET_NW_TTL':
      return { kind: 'set_ip_ttl', ttl: arg };
    case 'OFPAT_SET_TP_SRC':
      return { kind: 'set_l4_src_port', port: arg, flowIpProto: 0 };
    case 'OFPAT_SET_TP_DST':
      return { kind: 'set_l4_dst_port', port: arg, flowIpProto: 0 };
    case 'OFPAT10_ENQUEUE': {
      const port = port16(r);
      if (port >= OFPP_MAX && port !== 0xfffffff8 && port !== 0xfffffffe) bad('OFPBAC_BAD_OUT_PORT');
      r.skip(6);
      return { kind: 'enqueue', port, queue: r.u32() };
    }
    case 'OFPAT_SET_MPLS_LABEL':
      return { kind: 'set_mpls_label', label: arg };
    case 'OFPAT_SET_MPLS_TC':
      return { kind: 'set_mpls_tc', tc: arg };
    case 'OFPAT_SET_MPLS_TTL':
      return { kind: 'set_mpls_ttl', ttl: arg };
    case 'OFPAT_DEC_MPLS_TTL':
      return { kind: 'dec_mpls_ttl' };
    case 'OFPAT_PUSH_MPLS':
      if (arg !== 0x8847 && arg !== 0x8848) bad('OFPBAC_BAD_ARGUMENT');
      return { kind: 'push_mpls', ethertype: arg };
    case 'OFPAT_POP_MPLS':
      return { kind: 'pop_mpls', ethertype: arg };
    case 'OFPAT_SET_QUEUE':
      return { kind: 'set_queue', queueId: arg };
    case 'OFPAT_GROUP':
      return { kind: 'group', groupId: arg };
    case 'OFPAT_DEC_NW_TTL':
      return { kind: 'dec_ttl', controllerIds: [0], raw: 'dec_ttl' };
    case 'NXAST_DEC_TTL_CNT_IDS': {
      const count = r.u16();
      if (!r.allZeros(4)) bad('NXBRC_MUST_BE_ZERO');
      if (r.left < count * 2) bad('OFPBAC_BAD_LEN');
      const controllerIds = Array.from({ length: count }, () => r.u16());
      return { kind: 'dec_ttl', controllerIds, raw: 'dec_ttl_cnt_ids' };
    }
    case 'OFPAT12_SET_FIELD':
    case 'OFPAT15_SET_FIELD':
      return decodeSetField(r, version);
    case 'NXAST_REG_LOAD':
      return decodeRegLoad(r);
    case 'NXAST_REG_LOAD2':
      return decodeRegLoad2(r);
    case 'NXAST_REG_MOVE':
      return decodeMove(r, 0);
    case 'OFPAT15_COPY_FIELD':
      return decodeMove(r, 2);
    case 'ONFACT13_COPY_FIELD':
      r.skip(2);
      return decodeMove(r, 2);
    case 'OFPAT15_METER':
      return { kind: 'meter', meterId: arg };
    case 'NXAST_RESUBMIT':
      return {
        kind: 'resubmit',
        inPort: ofp10ToOfp11Port(arg),
        tableId: 0xff,
        withCtOrig: false,
        raw: 'resubmit',
      };
    case 'NXAST_RESUBMIT_TABLE':
      return decodeTable(p, false);
    case 'NXAST_RESUBMIT_TABLE_CT':
      return decodeTable(p, true);
    case 'NXAST_SET_TUNNEL':
      return { kind: 'set_tunnel', tunId: p.arg, is64: false };
    case 'NXAST_SET_TUNNEL64':
      return { kind: 'set_tunnel', tunId: p.arg, is64: true };
    case 'NXAST_POP_QUEUE':
      return { kind: 'pop_queue' };
    case 'NXAST_NOTE':
      return { kind: 'note', data: r.rest() };
    case 'NXAST_MULTIPATH':
      return decodeMultipath(r);
    case 'NXAST_BUNDLE':
      return decodeBundle(r, false);
    case 'NXAST_BUNDLE_LOAD':
      return decodeBundle(r, true);
    case 'NXAST_OUTPUT_REG': {
      const ofsNbits = r.u16();
      const src = checkSource(decodeOfsNbits(pullShortHeader(r), ofsNbits));
      const maxLen = r.u16();
      allZeros(r, 'OFPBAC_BAD_ARGUMENT');
      return { kind: 'output_reg', src, maxLen };
    }
    case 'NXAST_OUTPUT_REG2': {
      const ofsNbits = r.u16();
      const maxLen = r.u16();
      const src = checkSource(decodeOfsNbits(pullFieldHeader(r), ofsNbits));
      allZeros(r, 'NXBRC_MUST_BE_ZERO');
      return { kind: 'output_reg', src, maxLen };
    }
    case 'NXAST_LEARN':
      return decodeLearn(r, false);
    case 'NXAST_LEARN2':
      return decodeLearn(r, true);
    case 'NXAST_EXIT':
      return { kind: 'exit' };
    case 'NXAST_FIN_TIMEOUT':
      return { kind: 'fin_timeout', idleTimeoutSec: r.u16(), hardTimeoutSec: r.u16() };
    case 'NXAST_CONTROLLER':
      return decodeController(r);
    case 'NXAST_CONTROLLER2':
      return decodeController2(r);
    case 'NXAST_WRITE_METADATA':
      if (!r.allZeros(6)) bad('NXBRC_MUST_BE_ZERO');
      return { kind: 'write_metadata', metadata: r.u64(), mask: r.u64() };
    case 'NXAST_STACK_PUSH':
      return decodeStack(r, 'stack_push');
    case 'NXAST_STACK_POP':
      return decodeStack(r, 'stack_pop');
    case 'NXAST_SAMPLE':
      return decodeSample(r, 'sample');
    case 'NXAST_SAMPLE2':
      return decodeSample(r, 'sample2');
    case 'NXAST_SAMPLE3':
      return decodeSample(r, 'sample3');
    case 'NXAST_CONJUNCTION': {
      const clause = r.u8();
      const nClauses = r.u8();
      if (nClauses < 2 || nClauses > 64 || clause >= nClauses) bad('NXBAC_BAD_CONJUNCTION');
      return { kind: 'conjunction', id: r.u32(), clause, nClauses };
    }
    case 'NXAST_CT':
      return decodeCt(r, version, depth, o);
    case 'NXAST_NAT':
      return decodeNat(r);
    case 'NXAST_OUTPUT_TRUNC': {
      const port = port16(r);
      const maxLen = r.u32();
      if (maxLen < 14) bad('OFPBAC_BAD_ARGUMENT');
      return { kind: 'output_trunc', port, maxLen };
    }
    case 'NXAST_CLONE': {
      r.skip(6);
      const actions = decodeList(r, version, depth + 1, o);
      verifyActions(actions, version, false);
      return { kind: 'clone', actions };
    }
    case 'NXAST_CT_CLEAR':
      return { kind: 'ct_clear' };
    case 'NXAST_ENCAP':
      return decodeEncap(r);
    case 'NXAST_DECAP': {
      r.skip(2);
      const newPacketType = r.u32();
      if (r.left > 0) bad('NXBAC_UNKNOWN_ED_PROP');
      return { kind: 'decap', newPacketType };
    }
    case 'NXAST_DEC_NSH_TTL':
      return { kind: 'dec_nsh_ttl' };
    case 'NXAST_CHECK_PKT_LARGER': {
      const pktLen = r.u16();
      const ofs = r.u16();
      const field = pullFieldHeader(r);
      allZeros(r, 'NXBRC_MUST_BE_ZERO');
      const dst = checkDestination({ field, ofs, nBits: 1 });
      return { kind: 'check_pkt_larger', pktLen, dst };
    }
    case 'NXAST_DELETE_FIELD':
      return { kind: 'delete_field', field: pullFieldHeader(r) };
    case 'NXAST_DEBUG_SLOW':
    case 'NXAST_DEBUG_RECIRC':
      if (o.debugActions !== true) bad('OFPBAC_BAD_VENDOR_TYPE');
      return { kind: p.name === 'NXAST_DEBUG_SLOW' ? 'debug_slow' : 'debug_recirc' };
  }
}

function decodeList(r: ByteReader, version: number, depth: number, o: DecodeActionsOptions): Action[] {
  if (depth > MAX_DEPTH) bad('OFPBAC_TOO_MANY');
  const out: Action[] = [];
  while (r.left > 0) out.push(decodeOne(pullAction(r, version), version, depth, o));
  return out;
}

/**
 * Decodes the next `length` bytes as a plain list of actions (packet_out; flow_mod of 1.0 calls
 * `decodeInstructions`).
 *
 * @throws OfpError
 */
export function decodeActions(
  r: ByteReader,
  length: number,
  version: number,
  options: DecodeActionsOptions = {},
): Action[] {
  if (length % 8 !== 0 || length > r.left) throw new OfpError('OFPBRC_BAD_LEN');
  const actions = decodeList(r.sub(length), version, 0, options);
  verifyActions(actions, version, false);
  return actions;
}

type Instructions = Map<number, ByteReader>;

/** Lengths of the instructions of 1.1+ by type: exact, or least for those that hold actions. */
const instructionSizes: Readonly<Record<number, number>> = { 1: 8, 2: 24, 3: 8, 4: 8, 5: 8, 6: 8 };

function splitInstructions(r: ByteReader, version: number): Instructions {
  const found: Instructions = new Map();
  while (r.left > 0) {
    if (r.left < 8) bad('OFPBIC_BAD_LEN');
    const type = r.peekU16();
    const length = r.peekU16(2);
    if (length % 8 !== 0 || length < 8 || length > r.left) bad('OFPBIC_BAD_LEN');
    if (type === 0xffff) bad('OFPBIC_BAD_EXPERIMENTER');
    const size = instructionSizes[type];
    if (size === undefined) return bad('OFPBIC_UNKNOWN_INST');
    const isExtensible = type === 3 || type === 4;
    if (isExtensible ? length < size : length !== size) bad('OFPBIC_BAD_LEN');
    if (type === 6 && version >= 6) bad('OFPBIC_UNKNOWN_INST');
    if (found.has(type)) bad('OFPBIC_DUP_INST');
    const body = r.sub(length, 'OFPBIC_BAD_LEN');
    body.skip(4);
    found.set(type, body);
  }
  return found;
}

/**
 * Decodes the next `length` bytes as instructions (1.1+) or as the actions of a 1.0 flow.
 *
 * @throws OfpError
 */
export function decodeInstructions(
  r: ByteReader,
  length: number,
  version: number,
  options: DecodeActionsOptions = {},
): Action[] {
  if (version === 1) {
    if (length % 8 !== 0 || length > r.left) throw new OfpError('OFPBRC_BAD_LEN');
    const list = decodeList(r.sub(length), version, 0, options);
    verifyActions(list, version, true);
    return list;
  }
  if (length % 8 !== 0 || length > r.left) throw new OfpError('OFPBIC_BAD_LEN');
  const found = splitInstructions(r.sub(length), version);
  const out: Action[] = [];
  const meter = found.get(6);
  if (meter) out.push({ kind: 'meter', meterId: meter.u32() });
  const apply = found.get(4);
  if (apply) {
    apply.skip(4);
    out.push(...decodeList(apply, version, 0, options));
  }
  if (found.has(5)) out.push({ kind: 'clear_actions' });
  const write = found.get(3);
  if (write) {
    write.skip(4);
    const actions = decodeList(write, version, 0, options);
    if (!actions.every(isAllowedInActionSet)) bad('OFPBAC_BAD_TYPE');
    out.push({ kind: 'write_actions', actions });
  }
  const metadata = found.get(2);
  if (metadata) {
    metadata.skip(4);
    out.push({ kind: 'write_metadata', metadata: metadata.u64(), mask: metadata.u64() });
  }
  const table = found.get(1);
  if (table) out.push({ kind: 'goto_table', tableId: table.u8() });
  verifyActions(out, version, true);
  return out;
}
