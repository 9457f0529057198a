/** One line about a packet: its flow and its layer 4 checksum. */
import { extractFlow } from '../flow/extract.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { IpProto } from '../wire/ether-types.ts';

/** [protocol, least header, offset of the checksum, its bytes, name]. */
const checksums: readonly (readonly [number, number, number, number, string])[] = [
  [IpProto.tcp, 20, 16, 2, 'tcp_csum'],
  [IpProto.udp, 8, 6, 2, 'udp_csum'],
  [IpProto.sctp, 12, 8, 4, 'sctp_csum'],
  [IpProto.icmp, 8, 2, 2, 'icmp_csum'],
  [IpProto.icmpv6, 4, 2, 2, 'icmp6_csum'],
];

/** @param formatFlow Prints the flow: given by the caller, who has the port names. */
export function formatPacket(packet: Uint8Array, formatFlow: (flow: Uint8Array) => string): string {
  const { flow, l4 } = extractFlow(packet, { vlanLimit: 2 });
  let s = formatFlow(flow);
  const proto = flow[K.nwProto] ?? 0;
  for (const [number, least, at, bytes, name] of checksums) {
    if (proto !== number || l4 < 0 || packet.length - l4 < least) continue;
    let sum = 0;
    for (let i = 0; i < bytes; i++) sum = sum * 256 + (packet[l4 + at + i] ?? 0);
    s += ` ${name}:${sum.toString(16)}`;
  }
  return `${s}\n`;
}
