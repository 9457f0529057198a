/**
 * Whether actions suit the flow they belong to: prerequisites of the fields they touch, ports and tables in
 * range (OVS's ofpacts_check).
 *
 * Some inconsistencies (setting an L4 port in a flow that may match ICMP) are errors from OpenFlow 1.1 on
 * but accepted by 1.0: they come back as `isConsistent: false`. The walk tracks what the actions do to the
 * packet's type, so `push_mpls` makes `set_mpls_label` right after it.
 */
import { requireField } from '../flow/fields.ts';
import type { Subfield } from '../flow/fields.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { Match } from '../flow/match.ts';
import { be16, be32, putBe16, putBe32 } from '../flow/numbers-text.ts';
import { prereqsMet } from '../flow/prereqs.ts';
import { writeSubfield } from '../flow/subfield.ts';
import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import { OfpError } from '../util/errors.ts';
import type { Action, LearnAction } from './actions.ts';
import { checkOutputPort } from './decode-actions.ts';
import { checkDestination, checkSource } from './nxm.ts';
import { OFPP_MAX } from './ports.ts';

const VLAN_CFI = 0x1000;
const PT_UNKNOWN = 0x0001ffff;
/** OFPM13_MAX. */
const METER_MAX = 0xffff0000;

export interface CheckActionsContext {
  readonly match: Match;
  /** Ports are below this, or reserved. */
  readonly maxPorts?: number;
  /** Table of the flow, 255 when unknown. */
  readonly tableId?: number;
  /** Number of tables, 255 when unknown. */
  readonly nTables?: number;
}

export interface CheckedActions {
  /** The actions, with what the flow tells about them filled in. */
  readonly actions: Action[];
  /** False: only OpenFlow 1.0 allows it. */
  readonly isConsistent: boolean;
}

const inconsistent = (): never => {
  throw new OfpError('OFPBAC_MATCH_INCONSISTENT');
};

class Checker {
  readonly #flow: Uint8Array;
  readonly #maxPorts: number;
  readonly #tableId: number;
  readonly #nTables: number;
  isConsistent = true;

  constructor(flow: Uint8Array, maxPorts: number, tableId: number, nTables: number) {
    this.#flow = flow;
    this.#maxPorts = maxPorts;
    this.#tableId = tableId;
    this.#nTables = nTables;
  }

  #dlType(): number {
    const packetType = be32(this.#flow, K.packetType);
    return packetType >>> 16 === 1 ? packetType & 0xffff : be16(this.#flow, K.dlType);
  }

  #isIp(): boolean {
    const type = this.#dlType();
    return type === EthType.ipv4 || type === EthType.ipv6;
  }

  #need(isOk: boolean): void {
    if (!isOk) this.isConsistent = false;
  }

  #source(sf: Subfield): void {
    checkSource(sf);
    if (!prereqsMet(sf.field, this.#flow, 0)) inconsistent();
  }

  #destination(sf: Subfield): void {
    this.#source(sf);
    checkDestination(sf);
  }

  get #tci(): number {
    return be16(this.#flow, K.vlanTci0);
  }

  /** Actions inside another one see the same flow and leave it as it was. */
  #nested(actions: readonly Action[], mayBeInconsistent: boolean): Action[] {
    const sub = new Checker(this.#flow.slice(), this.#maxPorts, this.#tableId, this.#nTables);
    const checked = sub.checkAll(actions);
    if (!mayBeInconsistent) this.#need(sub.isConsistent);
    return checked;
  }

  checkAll(actions: readonly Action[]): Action[] {
    return actions.map((a) => this.#check(a));
  }

  #check(a: Action): Action {
    const flow = this.#flow;
    switch (a.kind) {
      case 'output':
      case 'output_trunc':
        checkOutputPort(a.port, this.#maxPorts);
        return a;
      case 'enqueue':
        if (a.port >= this.#maxPorts && a.port !== 0xfffffff8 && a.port !== 0xfffffffe) {
          throw new OfpError('OFPBAC_BAD_OUT_PORT');
        }
        return a;
      case 'output_reg':
        this.#source(a.src);
        return a;
      case 'bundle':
        if (a.dst) this.#destination(a.dst);
        for (const slave of a.slaves) {
          if (slave === 0xffffffff) continue;
          checkOutputPort(slave, this.#maxPorts);
          if (slave === 0xfffffffd) throw new OfpError('OFPBAC_BAD_OUT_PORT');
        }
        return a;
      case 'set_field': {
        const isVlanVid = a.field.name === 'vlan_vid';
        if (!prereqsMet(a.field, flow, 0) || (isVlanVid && (this.#tci & VLAN_CFI) === 0)) inconsistent();
        if (a.field.name === 'vlan_tci') flow.set(a.value, K.vlanTci0);
        return a;
      }
      case 'set_vlan_vid':
      case 'set_vlan_pcp': {
        const flowHasVlan = (this.#tci & VLAN_CFI) !== 0;
        this.#need(flowHasVlan || a.pushVlanIfNeeded);
        putBe16(flow, K.vlanTci0, this.#tci | VLAN_CFI);
        return { ...a, flowHasVlan };
      }
      case 'strip_vlan':
        this.#need((this.#tci & VLAN_CFI) !== 0);
        flow.copyWithin(K.vlanTpid0, K.vlanTpid1, K.vlanTci1 + 2);
        flow.fill(0, K.vlanTpid1, K.vlanTci1 + 2);
        return a;
      case 'push_vlan':
        if ((be16(flow, K.vlanTci1) & VLAN_CFI) !== 0) throw new OfpError('OFPBAC_BAD_TAG');
        flow.copyWithin(K.vlanTpid1, K.vlanTpid0, K.vlanTci0 + 2);
        putBe16(flow, K.vlanTci0, VLAN_CFI);
        return a;
      case 'set_ipv4_src':
      case 'set_ipv4_dst':
        this.#need(this.#dlType() === EthType.ipv4);
        return a;
      case 'set_ip_dscp':
      case 'set_ip_ecn':
      case 'set_ip_ttl':
      case 'dec_ttl':
        this.#need(this.#isIp());
        return a;
      case 'set_l4_src_port':
      case 'set_l4_dst_port': {
        const proto = flow[K.nwProto] ?? 0;
        const isL4 = proto === IpProto.tcp || proto === IpProto.udp || proto === IpProto.sctp;
        this.#need(this.#isIp() && ((flow[K.nwFrag] ?? 0) & 2) === 0 && isL4);
        return { ...a, flowIpProto: proto };
      }
      case 'reg_move':
        this.#source(a.src);
        this.#destination(a.dst);
        return a;
      case 'stack_push':
        this.#source(a.subfield);
        return a;
      case 'stack_pop':
        this.#destination(a.subfield);
        return a;
      case 'set_mpls_label':
      case 'set_mpls_tc':
      case 'set_mpls_ttl':
      case 'dec_mpls_ttl':
        this.#need(isMplsType(this.#dlType()));
        return a;
      case 'push_mpls':
        this.#need(be32(flow, K.packetType) === 0);
        putBe16(flow, K.dlType, a.ethertype);
        flow[K.nwProto] = 0;
        return a;
      case 'pop_mpls':
        this.#need(be32(flow, K.packetType) === 0 && isMplsType(this.#dlType()));
        putBe16(flow, K.dlType, a.ethertype);
        return a;
      case 'dec_nsh_ttl':
        this.#need(be32(flow, K.packetType) === 0x1894f || be16(flow, K.dlType) === EthType.nsh);
        return a;
      case 'delete_field':
        if (!a.field.name.startsWith('tun_metadata')) throw new OfpError('OFPBAC_BAD_ARGUMENT');
        return a;
      case 'fin_timeout':
        this.#need(flow[K.nwProto] === IpProto.tcp);
        return a;
      case 'encap':
        putBe32(flow, K.packetType, a.packetType);
        if (a.packetType >>> 16 === 1) putBe16(flow, K.dlType, a.packetType & 0xffff);
        if (!this.#isIp()) flow[K.nwProto] = 0;
        return a;
      case 'decap':
        if (be32(flow, K.packetType) === 0)
          putBe32(flow, K.packetType, (0x10000 | be16(flow, K.dlType)) >>> 0);
        else {
          putBe32(flow, K.packetType, PT_UNKNOWN);
          putBe16(flow, K.dlType, 0xffff);
        }
        return a;
      case 'resubmit':
        if (a.withCtOrig && !prereqsMet(requireField('ct_nw_proto'), flow, 0)) inconsistent();
        return a;
      case 'learn':
        this.#learn(a);
        return a;
      case 'multipath':
        this.#destination(a.dst);
        return a;
      case 'clone':
        return { ...a, actions: this.#nested(a.actions, false) };
      case 'ct': {
        const proto = flow[K.nwProto] ?? 0;
        const isInvalid = ((flow[K.ctState + 3] ?? 0) & 0x10) !== 0;
        const isBad =
          !this.#isIp() ||
          (isInvalid && a.commit) ||
          (a.alg === 21 && proto !== IpProto.tcp) ||
          (a.alg === 69 && proto !== IpProto.udp);
        if (isBad) inconsistent();
        if (a.zoneSrc) {
          this.#source(a.zoneSrc);
          return a;
        }
        return { ...a, actions: this.#nested(a.actions, false) };
      }
      case 'nat': {
        const type = this.#dlType();
        const size = a.addrMin?.length;
        const isBad =
          !this.#isIp() || (size === 4 && type !== EthType.ipv4) || (size === 16 && type !== EthType.ipv6);
        if (isBad) inconsistent();
        return a;
      }
      case 'meter':
        if (a.meterId === 0 || a.meterId > METER_MAX) throw new OfpError('OFPMMFC_INVALID_METER');
        return a;
      case 'write_actions':
        return { ...a, actions: this.#nested(a.actions, true) };
      case 'goto_table':
        if (
          (this.#tableId !== 255 && a.tableId <= this.#tableId) ||
          (this.#nTables !== 255 && a.tableId >= this.#nTables)
        ) {
          throw new OfpError('OFPBIC_BAD_TABLE_ID');
        }
        return a;
      case 'unroll_xlate':
        throw new OfpError('OFPBAC_BAD_TYPE');
      default:
        return a;
    }
  }

  #learn(a: LearnAction): void {
    const learned = new Match();
    for (const spec of a.specs) {
      if (spec.source.type === 'field') this.#source(spec.source.src);
      if (spec.dstType === 'output') continue;
      checkSource(spec.dst);
      if (!prereqsMet(spec.dst.field, learned.flow, 0)) inconsistent();
      if (spec.dstType === 'load') checkDestination(spec.dst);
      else if (spec.source.type === 'immediate') {
        writeSubfield(learned.flow, 0, spec.dst, spec.source.value);
      }
    }
  }
}

/**
 * Checks actions against their flow.
 *
 * @throws OfpError for what no version allows.
 */
export function checkActions(actions: readonly Action[], context: CheckActionsContext): CheckedActions {
  const { match, maxPorts = OFPP_MAX, tableId = 255, nTables = 255 } = context;
  const checker = new Checker(match.flow.slice(), maxPorts, tableId, nTables);
  const checked = checker.checkAll(actions);
  return { actions: checked, isConsistent: checker.isConsistent };
}

/** As `checkActions`, and refuses what `version` does not allow. @throws OfpError */
export function checkActionsFor(
  actions: readonly Action[],
  version: number,
  context: CheckActionsContext,
): Action[] {
  const checked = checkActions(actions, context);
  if (!checked.isConsistent && version !== 1) inconsistent();
  return checked.actions;
}
