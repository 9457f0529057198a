import type { Core } from '../arena/core.ts';
import { fields } from '../flow/fields.ts';
import type { Field } from '../flow/fields.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { prereqsMet } from '../flow/prereqs.ts';
import { OFPP_MAX, OFP_NO_BUFFER, ofp10ToOfp11Port } from '../openflow/ports.ts';
import { EthType, IpProto } from '../wire/ether-types.ts';
import type { FlowTables, RuleSpec } from './flow-tables.ts';
import { allTables, internalTable } from './flow-tables.ts';
import { ofpactKinds } from './ofpact-kinds.ts';
import { ruleFlags } from './rule-view.ts';

/**
 * The short way in for flow_mods: straight from the message into the tables' scratch keys and action
 * words, with no object made.
 *
 * It takes what controllers send by the hundred thousand (an addition without a buffer, plain fields, outputs
 * and goto_table) and only when it is right in every respect. Of anything else, errors included, it says
 * "not mine", and the codecs of src/openflow decide; a test compares the two.
 */
const typeFlowMod = 14;
const typeExperimenter = 4;
const nxVendorId = 0x2320;
const nxtFlowMod = 13;
const goTo = 1;
const applyActions = 4;
const maxWords = 192;

interface PlainField {
  readonly field: Field;
  /** Key offset of the value. */
  readonly at: number;
  readonly bytes: number;
  readonly maskable: boolean;
  readonly kind: 'bytes' | 'port' | 'vlan vid';
}

/** Fields whose value stands in the key as in the message, and two that nearly do, by class and number. */
const plainFields = new Map<number, PlainField>();
for (const field of fields) {
  const kind =
    field.name === 'in_port_oxm'
      ? 'port'
      : field.name === 'vlan_vid'
        ? 'vlan vid'
        : isPlain(field)
          ? 'bytes'
          : null;
  if (kind === null) continue;
  const { bytes, end, maskable } = field;
  for (const h of field.headers) {
    if (h.class !== 0xffff)
      plainFields.set((h.class << 7) | h.field, { field, at: end - bytes, bytes, maskable, kind });
  }
}

function isPlain(field: Field): boolean {
  const bits = field.bytes * 8;
  const isWhole = field.bits === bits && field.stored === bits && field.shift === 0 && field.lowest === 0;
  // Fields of a wider slot, and those whose values have rules of their own.
  const isOdd =
    /^(icmp|nd_options_type|tcp_flags|ip_frag|ct_state|in_port|actset_output|packet_type|tun_metadata|vlan|dl_vlan|ipv6_label|arp_op|nw_tos|nsh)/;
  return isWhole && !isOdd.test(field.name);
}

export class FlowModReader implements RuleSpec {
  readonly #core: Core;
  readonly #tables: FlowTables;
  // The rule as read, good until the next `read`.
  tableId = 0;
  priority = 0;
  cookie = 0n;
  idleTimeoutSec = 0;
  hardTimeoutSec = 0;
  importance = 0;
  flags = 0;
  readonly words = new Uint32Array(maxWords);
  nWords = 0;
  /** The message, while it is read. */
  #b: Uint8Array = new Uint8Array(0);
  #end = 0;

  constructor(core: Core, tables: FlowTables) {
    this.#core = core;
    this.#tables = tables;
  }

  /**
   * Reads a whole message.
   *
   * @param hasTableId OpenFlow 1.0: the command has a table id in its upper byte.
   * @returns True: the rule to add is here and its match is the loaded one. False: not mine.
   */
  read(message: Uint8Array, hasTableId: boolean): boolean {
    this.#b = message;
    this.#end = message.length;
    const version = message[0] ?? 0;
    const type = message[1] ?? 0;
    if (message.length < 24 || this.#u16(2) !== message.length) return false;
    if (version === 1) {
      if (type === typeFlowMod) return this.#readOf10(hasTableId);
      const isNx = type === typeExperimenter && this.#u32(8) === nxVendorId && this.#u32(12) === nxtFlowMod;
      return isNx && this.#readNx(hasTableId);
    }
    return version >= 3 && version <= 5 && type === typeFlowMod && this.#readOf12(version);
  }

  #u16(at: number): number {
    const b = this.#b;
    return ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
  }
  #u32(at: number): number {
    const b = this.#b;
    return (
      (((b[at] ?? 0) << 24) | ((b[at + 1] ?? 0) << 16) | ((b[at + 2] ?? 0) << 8) | (b[at + 3] ?? 0)) >>> 0
    );
  }
  #readCookie(at: number): void {
    const high = this.#u32(at);
    const low = this.#u32(at + 4);
    if (high === 0) this.cookie = low === 0 ? 0n : BigInt(low);
    else this.cookie = (BigInt(high) << 32n) | BigInt(low);
  }

  #clearKeys(): void {
    const { x } = this.#core;
    x.keyClear(this.#tables.flowKey);
    x.keyClear(this.#tables.maskKey);
  }

  // -- heads ----------------------------------------------------------------------------------

  #readOf12(version: number): boolean {
    if (this.#end < 56) return false;
    const b = this.#b;
    this.tableId = b[24] ?? 0;
    if (b[25] !== 0 || this.tableId >= internalTable) return false;
    this.#readCookie(8);
    this.idleTimeoutSec = this.#u16(26);
    this.hardTimeoutSec = this.#u16(28);
    this.priority = this.#u16(30);
    const outPort = this.#u32(36);
    if (this.#u32(32) !== OFP_NO_BUFFER || (outPort >= OFPP_MAX && outPort < 0xffffff00)) return false;
    const flags = this.#u16(44);
    const known = version >= 4 ? 31 : 7;
    if ((flags & ~known) !== 0) return false;
    // Bits are those of ruleFlags, from send_flow_rem to no_byte_counts.
    this.flags = flags;
    this.importance = version >= 5 ? this.#u16(46) : 0;
    const length = this.#u16(50);
    const padded = (length + 7) & ~7;
    if (this.#u16(48) !== 1 || length < 4 || 48 + padded > this.#end) return false;
    this.#clearKeys();
    return this.#readFields(52, 48 + length) && this.#readInstructions(48 + padded);
  }

  #readNx(hasTableId: boolean): boolean {
    if (this.#end < 48) return false;
    this.#readCookie(16);
    const length = this.#u16(40);
    const padded = (length + 7) & ~7;
    if (48 + padded > this.#end || !this.#readHead10(24, hasTableId)) return false;
    this.#clearKeys();
    return this.#readFields(48, 48 + length) && this.#readActions(48 + padded, this.#end, 1);
  }

  #readOf10(hasTableId: boolean): boolean {
    if (this.#end < 72) return false;
    this.#readCookie(48);
    if (!this.#readHead10(56, hasTableId)) return false;
    this.#clearKeys();
    return this.#readMatch10() && this.#readActions(72, this.#end, 1);
  }

  /** From the command on: command, time-outs, priority, buffer, out_port, flags. */
  #readHead10(at: number, hasTableId: boolean): boolean {
    const command = this.#u16(at);
    if ((hasTableId ? command & 0xff : command) !== 0) return false;
    const tableId = hasTableId ? command >>> 8 : allTables;
    this.tableId = tableId === allTables ? 0 : tableId;
    if (this.tableId >= internalTable) return false;
    this.idleTimeoutSec = this.#u16(at + 2);
    this.hardTimeoutSec = this.#u16(at + 4);
    this.priority = this.#u16(at + 6);
    const flags = this.#u16(at + 14);
    if (this.#u32(at + 8) !== OFP_NO_BUFFER || (flags & ~3) !== 0) return false;
    this.flags = flags | ruleFlags.RESET_COUNTS;
    this.importance = 0;
    return true;
  }

  // -- matches --------------------------------------------------------------------------------

  #readFields(from: number, end: number): boolean {
    const b = this.#b;
    const { u8 } = this.#core;
    const { flowKey, maskKey } = this.#tables;
    let at = from;
    while (at < end) {
      if (end - at < 4) return false;
      const header = b[at + 2] ?? 0;
      const plain = plainFields.get((this.#u16(at) << 7) | (header >>> 1));
      if (plain === undefined) return false;
      const { field, bytes } = plain;
      const hasMask = (header & 1) !== 0;
      const length = b[at + 3] ?? 0;
      at += 4;
      if (length !== (hasMask ? 2 * bytes : bytes) || at + length > end) return false;
      if (hasMask && (!plain.maskable || plain.kind !== 'bytes')) return false;
      if (!prereqsMet(field, u8, flowKey)) return false;
      const to = plain.at;
      if (plain.kind === 'vlan vid') {
        const vid = this.#u16(at);
        if ((vid & 0xe000) !== 0 || ((u8[maskKey + to] ?? 0) | (u8[maskKey + to + 1] ?? 0)) !== 0)
          return false;
        u8[maskKey + to] = 0x1f;
        u8[maskKey + to + 1] = 0xff;
        u8[flowKey + to] = vid >>> 8;
        u8[flowKey + to + 1] = vid & 0xff;
      } else {
        if (plain.kind === 'port') {
          const port = this.#u32(at);
          if (port >= OFPP_MAX && port < 0xffffff00) return false;
        }
        let seen = 0;
        for (let i = 0; i < bytes; i++) {
          const value = b[at + i] ?? 0;
          const mask = hasMask ? (b[at + bytes + i] ?? 0) : 0xff;
          if ((u8[maskKey + to + i] ?? 0) !== 0 || (value & ~mask) !== 0) return false;
          u8[flowKey + to + i] = value;
          u8[maskKey + to + i] = mask;
          seen |= mask;
        }
        if (seen === 0) return false;
      }
      if (field.prereqs !== 'none') this.#setExact(K.packetType, 4);
      at += length;
    }
    return true;
  }

  #setExact(at: number, bytes: number): void {
    const { u8 } = this.#core;
    const to = this.#tables.maskKey + at;
    for (let i = 0; i < bytes; i++) u8[to + i] = 0xff;
  }
  #copyExact(from: number, to: number, bytes: number): void {
    const { u8 } = this.#core;
    const flow = this.#tables.flowKey + to;
    for (let i = 0; i < bytes; i++) u8[flow + i] = this.#b[from + i] ?? 0;
    this.#setExact(to, bytes);
  }

  /** The ofp_match at 8, without what has no meaning for its protocols. */
  #readMatch10(): boolean {
    const b = this.#b;
    const { u8 } = this.#core;
    const { flowKey, maskKey } = this.#tables;
    const wild = this.#u32(8);
    const has = (bit: number): boolean => (wild & (1 << bit)) === 0;
    const dlType = has(4) ? this.#u16(30) : 0;
    // IPv6 and tags are left to the codec.
    if (dlType === EthType.ipv6 || has(1) || has(20)) return false;
    const isIp = dlType === EthType.ipv4;
    const isArp = dlType === EthType.arp || dlType === EthType.rarp;
    const proto = has(5) && (isIp || isArp) ? (b[33] ?? 0) : -1;
    const srcBits = Math.min((wild >>> 8) & 63, 32);
    const dstBits = Math.min((wild >>> 14) & 63, 32);
    if (has(0)) {
      const port = ofp10ToOfp11Port(this.#u16(12));
      for (let i = 0; i < 4; i++) u8[flowKey + K.inPort + i] = (port >>> (24 - 8 * i)) & 0xff;
      this.#setExact(K.inPort, 4);
    }
    const headers = 0x3000fe;
    if ((~wild & headers) !== 0 || srcBits < 32 || dstBits < 32) this.#setExact(K.packetType, 4);
    if (has(2)) this.#copyExact(14, K.dlSrc, 6);
    if (has(3)) this.#copyExact(20, K.dlDst, 6);
    if (has(4)) this.#copyExact(30, K.dlType, 2);
    if (has(21) && isIp) {
      u8[flowKey + K.nwTos] = (b[32] ?? 0) & 0xfc;
      u8[maskKey + K.nwTos] = 0xfc;
    }
    if (proto >= 0) this.#copyExact(33, K.nwProto, 1);
    if (isIp || isArp) {
      this.#copyPrefix(36, K.nwSrc, srcBits);
      this.#copyPrefix(40, K.nwDst, dstBits);
    }
    const hasPorts =
      isIp &&
      (proto === IpProto.tcp || proto === IpProto.udp || proto === IpProto.sctp || proto === IpProto.icmp);
    if (hasPorts && has(6)) this.#copyExact(44, K.tpSrc, 2);
    if (hasPorts && has(7)) this.#copyExact(46, K.tpDst, 2);
    return true;
  }

  #copyPrefix(from: number, to: number, wildBits: number): void {
    if (wildBits === 32) return;
    const { u8 } = this.#core;
    const mask = (0xffffffff << wildBits) >>> 0;
    for (let i = 0; i < 4; i++) {
      const m = (mask >>> (24 - 8 * i)) & 0xff;
      u8[this.#tables.flowKey + to + i] = (this.#b[from + i] ?? 0) & m;
      u8[this.#tables.maskKey + to + i] = m;
    }
  }

  // -- actions --------------------------------------------------------------------------------

  /** None, or apply_actions, then perhaps goto_table. */
  #readInstructions(from: number): boolean {
    let at = from;
    this.nWords = 0;
    if (at === this.#end) return true;
    if (this.#end - at < 8) return false;
    if (this.#u16(at) === applyActions) {
      const length = this.#u16(at + 2);
      if (length < 8 || length % 8 !== 0 || at + length > this.#end) return false;
      if (!this.#readActions(at + 8, at + length, 2)) return false;
      at += length;
      if (at === this.#end) return true;
    }
    if (this.#end - at !== 8 || this.#u16(at) !== goTo || this.#u16(at + 2) !== 8) return false;
    const next = this.#b[at + 4] ?? 0;
    if (next <= this.tableId || next >= internalTable) return false;
    this.words[this.nWords++] = ofpactKinds.goto_table | (2 << 16);
    this.words[this.nWords++] = next;
    return true;
  }

  /** Outputs only. */
  #readActions(from: number, end: number, version: number): boolean {
    const size = version === 1 ? 8 : 16;
    this.nWords = 0;
    if ((end - from) % size !== 0) return false;
    for (let at = from; at < end; at += size) {
      if (this.#u16(at) !== 0 || this.#u16(at + 2) !== size || this.nWords + 3 > maxWords - 2) return false;
      const port = version === 1 ? ofp10ToOfp11Port(this.#u16(at + 4)) : this.#u32(at + 4);
      const isReserved = port >= 0xfffffff8 && port <= 0xfffffffe;
      if (!isReserved && port >= OFPP_MAX) return false;
      this.words[this.nWords++] = ofpactKinds.output | (3 << 16);
      this.words[this.nWords++] = port;
      this.words[this.nWords++] = this.#u16(version === 1 ? at + 6 : at + 8);
    }
    return true;
  }
}
