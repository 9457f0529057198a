import { KeyLayout as K } from './generated/key.ts';
import { keyLayout, KEY_SIZE } from './key.layout.ts';
import { EthType, IpProto, isMplsType } from '../wire/ether-types.ts';
import { be16, be32, isZero } from './numbers-text.ts';

type KeyField = keyof typeof keyLayout.fields;

const widths: Record<string, number> = {
  u8: 1, u16: 2, u32: 4, u64: 8, f64: 8, ptr: 4, be16: 2, be32: 4, be64: 8, mac: 6,
}; // prettier-ignore

/** Bytes of a slot of the key. */
function keySlotSize(field: KeyField): number {
  const f = keyLayout.fields[field];
  return f.type === 'bytes' ? f.length : (widths[f.type] ?? 0);
}

function ones(mask: Uint8Array, ...names: KeyField[]): void {
  for (const name of names) {
    const at = keyLayout.fields[name].at;
    mask.fill(0xff, at, at + keySlotSize(name));
  }
}

/** Neighbour solicitation and advertisement, as OVS recognises them in a flow. */
export function isNd(flow: Uint8Array): boolean {
  return (
    be16(flow, K.dlType) === EthType.ipv6 &&
    flow[K.nwProto] === IpProto.icmpv6 &&
    be16(flow, K.tpDst) === 0 &&
    (be16(flow, K.tpSrc) === 135 || be16(flow, K.tpSrc) === 136)
  );
}

/**
 * The mask of every field that a packet with this flow has: what "exact match" means for it.
 * Registers, metadata, conj_id and actset_output stay wildcarded.
 */
export function wildcardsForPacket(flow: Uint8Array): Uint8Array {
  const m = new Uint8Array(KEY_SIZE);
  if (!isZero(flow, K.tunDst, 4) || !isZero(flow, K.tunIpv6Dst, 16)) {
    if ((be16(flow, K.tunFlags) & 8) !== 0) ones(m, 'tunId');
    ones(
      m,
      'tunSrc',
      'tunDst',
      'tunIpv6Src',
      'tunIpv6Dst',
      'tunFlags',
      'tunTos',
      'tunTtl',
      'tunTpSrc',
      'tunTpDst',
    );
    ones(m, 'tunGbpId', 'tunGbpFlags', 'tunErspanVer', 'tunErspanIdx', 'tunErspanDir', 'tunErspanHwid');
    ones(m, 'tunGtpuFlags', 'tunGtpuMsgtype');
    if (!isZero(flow, K.tunMetadataPresent, 8)) {
      m.set(flow.subarray(K.tunMetadataPresent, K.tunMetadataPresent + 8), K.tunMetadataPresent);
      ones(m, 'tunMetadata', 'tunMetadataTab');
    }
  } else if (!isZero(flow, K.tunId, 8)) {
    ones(m, 'tunId');
  }
  ones(m, 'skbPriority', 'pktMark', 'ctState', 'ctZone', 'ctMark', 'ctLabel', 'recircId', 'dpHash', 'inPort');
  ones(m, 'packetType');
  let dlType = be32(flow, K.packetType) & 0xffff;
  if (be32(flow, K.packetType) === 0) {
    ones(m, 'dlDst', 'dlSrc', 'vlanTpid0', 'vlanTci0');
    // A second tag is only shown behind a first.
    if (be16(flow, K.vlanTci0) !== 0) ones(m, 'vlanTpid1', 'vlanTci1');
    dlType = be16(flow, K.dlType);
    ones(m, 'dlType');
  }
  if (dlType === EthType.ipv4) {
    ones(m, 'nwSrc', 'nwDst', 'ctNwSrc', 'ctNwDst');
  } else if (dlType === EthType.ipv6) {
    ones(m, 'ipv6Src', 'ipv6Dst', 'ipv6Label');
    if (isNd(flow)) ones(m, 'arpSha', 'arpTha', 'ndTarget');
    else ones(m, 'ctIpv6Src', 'ctIpv6Dst');
  } else if (dlType === EthType.arp || dlType === EthType.rarp) {
    ones(m, 'nwSrc', 'nwDst', 'nwProto', 'arpSha', 'arpTha');
    return m;
  } else if (isMplsType(dlType)) {
    const slots = ['mplsLse0', 'mplsLse1', 'mplsLse2'] as const;
    for (const slot of slots) {
      ones(m, slot);
      if ((be32(flow, keyLayout.fields[slot].at) & 0x100) !== 0) break;
    }
    return m;
  } else if (dlType === EthType.nsh) {
    ones(m, 'nshFlags', 'nshTtl', 'nshMdtype', 'nshNp', 'nshPathHdr', 'nshC1', 'nshC2', 'nshC3', 'nshC4');
  } else {
    return m;
  }
  ones(m, 'nwFrag', 'nwTos', 'nwTtl', 'nwProto', 'ctNwProto', 'ctTpSrc', 'ctTpDst');
  const proto = flow[K.nwProto] ?? 0;
  if (((flow[K.nwFrag] ?? 0) & 2) === 0 && l4Protocols.has(proto)) {
    ones(m, 'tpSrc', 'tpDst');
    if (proto === IpProto.tcp) ones(m, 'tcpFlags');
    else if (proto === IpProto.igmp) ones(m, 'igmpGroupIp4');
  }
  return m;
}

const l4Protocols: ReadonlySet<number> = new Set([
  IpProto.icmp,
  IpProto.icmpv6,
  IpProto.tcp,
  IpProto.udp,
  IpProto.sctp,
  IpProto.igmp,
]);
