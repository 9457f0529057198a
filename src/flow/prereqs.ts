import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import type { Field } from './fields.ts';
import { KeyLayout as K } from './generated/key.ts';
import { be16, be32 } from './numbers-text.ts';

/**
 * Whether a flow has what a field needs to mean anything: OVS's prerequisites.
 *
 * `u8[base..]` is the flow's key. With `wcBase >= 0`, the bits of the flow that decided are set in the mask
 * at `u8[wcBase..]` too (translation); dl_type and packet_type are always part of that mask.
 */
export function prereqsMet(field: Field, u8: Uint8Array, base: number, wcBase = -1): boolean {
  switch (field.prereqs) {
    case 'none':
      return true;
    case 'ethernet':
      return isEthernet(u8, base, wcBase);
    case 'arp': {
      const type = dlType(u8, base, wcBase);
      return type === EthType.arp || type === EthType.rarp;
    }
    case 'vlan':
      if (!isEthernet(u8, base, wcBase)) return false;
      if (wcBase >= 0) u8[wcBase + K.vlanTci0] = (u8[wcBase + K.vlanTci0] ?? 0) | 0x10;
      return ((u8[base + K.vlanTci0] ?? 0) & 0x10) !== 0;
    case 'ipv4':
      return dlType(u8, base, wcBase) === EthType.ipv4;
    case 'ipv6':
      return dlType(u8, base, wcBase) === EthType.ipv6;
    case 'ip':
      return isIp(u8, base, wcBase);
    case 'nsh':
      return dlType(u8, base, wcBase) === EthType.nsh;
    case 'mpls':
      return isMplsType(dlType(u8, base, wcBase));
    case 'ct':
      return ctValid(u8, base, wcBase);
    case 'tcp':
      return l4(u8, base, wcBase, IpProto.tcp);
    case 'udp':
      return l4(u8, base, wcBase, IpProto.udp);
    case 'sctp':
      return l4(u8, base, wcBase, IpProto.sctp);
    case 'icmpv4':
      return dlType(u8, base, wcBase) === EthType.ipv4 && proto(u8, base, wcBase) === IpProto.icmp;
    case 'icmpv6':
      return dlType(u8, base, wcBase) === EthType.ipv6 && proto(u8, base, wcBase) === IpProto.icmpv6;
    case 'nd':
      return nd(u8, base, wcBase, 0);
    case 'nd solicit':
      return nd(u8, base, wcBase, 135);
    case 'nd advert':
      return nd(u8, base, wcBase, 136);
  }
}

function isEthernet(u8: Uint8Array, base: number, wcBase: number): boolean {
  if (wcBase >= 0) u8.fill(0xff, wcBase + K.packetType, wcBase + K.packetType + 4);
  return be32(u8, base + K.packetType) === 0;
}

function dlType(u8: Uint8Array, base: number, wcBase: number): number {
  if (wcBase >= 0) {
    u8[wcBase + K.dlType] = 0xff;
    u8[wcBase + K.dlType + 1] = 0xff;
  }
  const packetType = be32(u8, base + K.packetType);
  return packetType >>> 16 === 1 ? packetType & 0xffff : be16(u8, base + K.dlType);
}

function proto(u8: Uint8Array, base: number, wcBase: number): number {
  if (wcBase >= 0) u8[wcBase + K.nwProto] = 0xff;
  return u8[base + K.nwProto] ?? 0;
}

function isIp(u8: Uint8Array, base: number, wcBase: number): boolean {
  const type = dlType(u8, base, wcBase);
  return type === EthType.ipv4 || type === EthType.ipv6;
}

function l4(u8: Uint8Array, base: number, wcBase: number, want: number): boolean {
  if (!isIp(u8, base, wcBase) || proto(u8, base, wcBase) !== want) return false;
  // Later fragments have no transport header.
  if (wcBase >= 0) u8[wcBase + K.nwFrag] = (u8[wcBase + K.nwFrag] ?? 0) | 2;
  return ((u8[base + K.nwFrag] ?? 0) & 2) === 0;
}

function nd(u8: Uint8Array, base: number, wcBase: number, type: number): boolean {
  if (dlType(u8, base, wcBase) !== EthType.ipv6 || proto(u8, base, wcBase) !== IpProto.icmpv6) return false;
  if (wcBase >= 0) u8.fill(0xff, wcBase + K.tpDst, wcBase + K.tpDst + 2);
  if (be16(u8, base + K.tpDst) !== 0) return false;
  if (wcBase >= 0) u8.fill(0xff, wcBase + K.tpSrc, wcBase + K.tpSrc + 2);
  const actual = be16(u8, base + K.tpSrc);
  return type === 0 ? actual === 135 || actual === 136 : actual === type;
}

/** The original tuple is there for connections that are new, established or seen in reply direction. */
function ctValid(u8: Uint8Array, base: number, wcBase: number): boolean {
  if (wcBase >= 0) u8[wcBase + K.ctState + 3] = (u8[wcBase + K.ctState + 3] ?? 0) | 0x0b;
  return ((u8[base + K.ctState + 3] ?? 0) & 0x0b) !== 0;
}
