import { EthType, IpProto } from '../wire/ether-types.ts';
import { UsageError } from '../util/errors.ts';
import { parseFieldText, parseFieldValueText } from './field-text.ts';
import { fieldByName } from './fields.ts';
import type { Field } from './fields.ts';
import { KeyLayout as K } from './generated/key.ts';
import { splitKeyValues } from './key-values.ts';
import { KEY_SIZE } from './key.layout.ts';
import { Match } from './match.ts';
import { setDefaultPacketType, setMatchField } from './match-set.ts';
import { be16, isZero, putBe16, putBe32 } from './numbers-text.ts';
import type { PortMap } from './port-map.ts';
import { noPorts } from './port-map.ts';
import { prereqsMet } from './prereqs.ts';
import { wholeField, writeSubfield } from './subfield.ts';

/** Protocol words of flow text: dl_type and nw_proto (0 = not set). */
const protocolWords: ReadonlyMap<string, readonly [dlType: number, nwProto: number]> = new Map([
  ['ip', [EthType.ipv4, 0]],
  ['ipv4', [EthType.ipv4, 0]],
  ['ip4', [EthType.ipv4, 0]],
  ['arp', [EthType.arp, 0]],
  ['icmp', [EthType.ipv4, IpProto.icmp]],
  ['tcp', [EthType.ipv4, IpProto.tcp]],
  ['udp', [EthType.ipv4, IpProto.udp]],
  ['sctp', [EthType.ipv4, IpProto.sctp]],
  ['ipv6', [EthType.ipv6, 0]],
  ['ip6', [EthType.ipv6, 0]],
  ['icmp6', [EthType.ipv6, IpProto.icmpv6]],
  ['tcp6', [EthType.ipv6, IpProto.tcp]],
  ['udp6', [EthType.ipv6, IpProto.udp]],
  ['sctp6', [EthType.ipv6, IpProto.sctp]],
  ['rarp', [EthType.rarp, 0]],
  ['mpls', [EthType.mpls, 0]],
  ['mplsm', [EthType.mplsMulticast, 0]],
] as const);

/**
 * Adds one condition of flow text to a match: a protocol word (`tcp`) or `field=value[/mask]`; a field
 * without a value is a wildcard. Bits that the field does not have are dropped, as ovs-ofctl does.
 *
 * @param value Text after the `=`, empty for a word alone.
 * @returns False when the key is no match keyword (`priority`, `table`, ...): it is the caller's.
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseMatchPart(match: Match, key: string, value: string, ports: PortMap = noPorts): boolean {
  const words = protocolWords.get(key);
  if (words) {
    setDlType(match, words[0]);
    if (words[1] !== 0) setNwProto(match, words[1]);
    return true;
  }
  if (key === 'eth') {
    setDefaultPacketType(match);
    return true;
  }
  const field = fieldByName(key);
  if (!field) return false;
  // The place of a tunnel option depends on the switch's TLV table, which text does not know.
  if (key.startsWith('tun_metadata')) throw new UsageError(`${key}: tunnel options are not supported`);
  const { value: v, mask } = parseFieldText(field, value === '' ? '*' : value, ports);
  setMatchField(match, field, v, mask);
  if (field.prereqs !== 'none') setDefaultPacketType(match);
  return true;
}

function setDlType(match: Match, type: number): void {
  setDefaultPacketType(match);
  putBe16(match.flow, K.dlType, type);
  putBe16(match.mask, K.dlType, 0xffff);
}

function setNwProto(match: Match, proto: number): void {
  match.flow[K.nwProto] = proto;
  match.mask[K.nwProto] = 0xff;
}

/**
 * Reads a match alone: `tcp,nw_src=10.0.0.0/8`.
 *
 * @throws UsageError also for keys that are no match fields.
 */
export function parseMatchText(text: string, ports: PortMap = noPorts): Match {
  const match = new Match();
  for (const { key, value, delimiter } of splitKeyValues(text)) {
    if (parseMatchPart(match, key, value, ports)) continue;
    throw new UsageError(delimiter === '' ? `field ${key} missing value` : `unknown keyword ${key}`);
  }
  return match;
}

/** Whether the whole of a field is zero in a flow. */
function fieldIsZero(flow: Uint8Array, field: Field): boolean {
  const probe = new Uint8Array(KEY_SIZE);
  writeSubfield(probe, 0, wholeField(field), new Uint8Array(field.bytes).fill(0xff));
  for (let i = 0; i < KEY_SIZE; i++) if (((flow[i] ?? 0) & (probe[i] ?? 0)) !== 0) return false;
  return true;
}

/**
 * Reads a flow in OpenFlow syntax, each field with one exact value, as `ofproto/trace` and
 * `netdev-dummy/receive` take it. Fields must come after those they depend on (`tcp` before `tcp_src`).
 *
 * @returns A key; in_port is an OpenFlow port, 0xffffffff (NONE) when not given.
 * @throws UsageError with OVS's text.
 */
export function parseExactFlow(text: string, ports: PortMap = noPorts): Uint8Array {
  const flow = new Uint8Array(KEY_SIZE);
  putBe32(flow, K.actsetOutput, 0xfffffff7);
  for (const { key, value } of splitKeyValues(text)) {
    const words = protocolWords.get(key);
    if (words) {
      if (!isZero(flow, K.dlType, 2)) throw new UsageError(`${text}: Ethernet type set multiple times`);
      putBe16(flow, K.dlType, words[0]);
      if (words[1] !== 0) {
        if (flow[K.nwProto] !== 0) throw new UsageError(`${text}: network protocol set multiple times`);
        flow[K.nwProto] = words[1];
      }
      continue;
    }
    const field = fieldByName(key);
    if (!field) throw new UsageError(`${text}: unknown field ${key}`);
    if (!prereqsMet(field, flow, 0))
      throw new UsageError(`${text}: prerequisites not met for setting ${key}`);
    if (field.name !== 'actset_output' && !fieldIsZero(flow, field)) {
      throw new UsageError(`${text}: field ${key} set multiple times`);
    }
    try {
      setFlowField(flow, field, parseFieldValueText(field, value, ports));
    } catch (error) {
      if (error instanceof UsageError)
        throw new UsageError(`${text}: bad value for ${key} (${error.message})`);
      throw error;
    }
  }
  if (isZero(flow, K.inPort, 4)) putBe32(flow, K.inPort, 0xffffffff);
  return flow;
}

/**
 * Writes a whole value into a flow, with what the field's own meaning adds (the CFI bit of a VLAN). Bits
 * that the field does not have are dropped.
 */
function setFlowField(flow: Uint8Array, field: Field, value: Uint8Array): void {
  if (field.name === 'dl_vlan' || field.name === 'dl_vlan_pcp' || field.name === 'vlan_pcp') {
    const one = new Match(flow, new Uint8Array(KEY_SIZE));
    setMatchField(one, field, value);
  } else {
    writeSubfield(flow, 0, { field, ofs: 0, nBits: Math.max(field.stored, field.bits) }, value);
  }
  if (!isZero(flow, K.vlanTci0, 2) && isZero(flow, K.vlanTpid0, 2))
    putBe16(flow, K.vlanTpid0, EthType.vlan8021q);
}

/** Whether a flow has a VLAN tag. */
export function hasVlan(flow: Uint8Array): boolean {
  return (be16(flow, K.vlanTci0) & 0x1000) !== 0;
}
