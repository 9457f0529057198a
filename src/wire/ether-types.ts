/** Ethertypes that OVS knows. */
export const EthType = {
  ipv4: 0x0800,
  arp: 0x0806,
  transEtherBridging: 0x6558,
  rarp: 0x8035,
  vlan8021q: 0x8100,
  ipv6: 0x86dd,
  lacp: 0x8809,
  mpls: 0x8847,
  mplsMulticast: 0x8848,
  vlan8021ad: 0x88a8,
  nsh: 0x894f,
  erspan1: 0x88be,
  erspan2: 0x22eb,
  lldp: 0x88cc,
  cfm: 0x8902,
} as const;

/** dl_type of a frame with a length field and no SNAP header. */
export const dlTypeNone = 0x05ff;

export const IpProto = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  gre: 47,
  icmpv6: 58,
  sctp: 132,
} as const;

export function isMplsType(ethertype: number): boolean {
  return ethertype === EthType.mpls || ethertype === EthType.mplsMulticast;
}

export function isVlanType(ethertype: number): boolean {
  return ethertype === EthType.vlan8021q || ethertype === EthType.vlan8021ad;
}

export const Icmpv6Type = {
  echoRequest: 128,
  echoReply: 129,
  routerSolicit: 133,
  routerAdvert: 134,
  neighborSolicit: 135,
  neighborAdvert: 136,
} as const;

/** TCP flag names by bit, in OVS's order of printing. */
export const tcpFlagNames = [
  [0x001, 'fin'],
  [0x002, 'syn'],
  [0x004, 'rst'],
  [0x008, 'psh'],
  [0x010, 'ack'],
  [0x020, 'urg'],
  [0x040, 'ece'],
  [0x080, 'cwr'],
  [0x100, 'ns'],
  [0x200, '[200]'],
  [0x400, '[400]'],
  [0x800, '[800]'],
] as const;
