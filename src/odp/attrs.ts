/**
 * Numbers of linux/openvswitch.h, and of OVS's own userspace-only additions, with the names that
 * OVS prints. `assembly/` uses the same numbers.
 */
export const OvsActionAttr = {
  output: 1,
  userspace: 2,
  set: 3,
  pushVlan: 4,
  popVlan: 5,
  sample: 6,
  recirc: 7,
  hash: 8,
  pushMpls: 9,
  popMpls: 10,
  setMasked: 11,
  ct: 12,
  trunc: 13,
  pushEth: 14,
  popEth: 15,
  ctClear: 16,
  pushNsh: 17,
  popNsh: 18,
  meter: 19,
  clone: 20,
  checkPktLen: 21,
  addMpls: 22,
  /** Userspace only, from here on. */
  tunnelPush: 23,
  tunnelPop: 24,
  drop: 25,
  lbOutput: 26,
} as const;

export const OvsKeyAttr = {
  encap: 1,
  priority: 2,
  inPort: 3,
  ethernet: 4,
  vlan: 5,
  ethertype: 6,
  ipv4: 7,
  ipv6: 8,
  tcp: 9,
  udp: 10,
  icmp: 11,
  icmpv6: 12,
  arp: 13,
  nd: 14,
  skbMark: 15,
  tunnel: 16,
  sctp: 17,
  tcpFlags: 18,
  dpHash: 19,
  recircId: 20,
  mpls: 21,
  ctState: 22,
  ctZone: 23,
  ctMark: 24,
  ctLabels: 25,
  ctOrigTupleIpv4: 26,
  ctOrigTupleIpv6: 27,
  nsh: 28,
  /** Userspace only, from here on. */
  packetType: 29,
  ndExtensions: 30,
} as const;

export const OvsUserspaceAttr = {
  pid: 1,
  userdata: 2,
  egressTunPort: 3,
  actions: 4,
} as const;

export const OvsCtAttr = {
  commit: 1,
  zone: 2,
  mark: 3,
  labels: 4,
  helper: 5,
  nat: 6,
  forceCommit: 7,
  eventmask: 8,
  timeout: 9,
} as const;

export const OvsNatAttr = {
  src: 1,
  dst: 2,
  ipMin: 3,
  ipMax: 4,
  protoMin: 5,
  protoMax: 6,
  persistent: 7,
  protoHash: 8,
  protoRandom: 9,
} as const;

export const OvsSampleAttr = { probability: 1, actions: 2 } as const;

export const OvsCheckPktLenAttr = { pktLen: 1, actionsIfGreater: 2, actionsIfLessEqual: 3 } as const;

export const OvsTunnelKeyAttr = {
  id: 0,
  ipv4Src: 1,
  ipv4Dst: 2,
  tos: 3,
  ttl: 4,
  dontFragment: 5,
  csum: 6,
  oam: 7,
  geneveOpts: 8,
  tpSrc: 9,
  tpDst: 10,
  vxlanOpts: 11,
  ipv6Src: 12,
  ipv6Dst: 13,
  pad: 14,
  erspanOpts: 15,
  gtpuOpts: 17,
} as const;

export const OvsNshKeyAttr = { base: 1, md1: 2, md2: 3 } as const;

/** Algorithms of the hash action. */
export const OvsHashAlg = { l4: 0, symL4: 1 } as const;

/** FLOW_TNL_F_* of the key's tunFlags. */
export const TunFlag = { oam: 1, dontFragment: 2, csum: 4, key: 8, udpif: 16 } as const;

/** CS_* bits of ct_state, in order of printing. */
export const ctStateNames = [
  [0x01, 'new'],
  [0x02, 'est'],
  [0x04, 'rel'],
  [0x08, 'rpl'],
  [0x10, 'inv'],
  [0x20, 'trk'],
  [0x40, 'snat'],
  [0x80, 'dnat'],
] as const;

/** Reasons for the slow path, as bits of a slow_path cookie. */
export const SlowPath = {
  cfm: 1,
  bfd: 2,
  lacp: 4,
  stp: 8,
  lldp: 16,
  action: 32,
  match: 64,
} as const;

/** Text of each slow-path reason in `ofproto/trace`. */
export const slowPathExplanations: readonly (readonly [bit: number, name: string, text: string])[] = [
  [SlowPath.cfm, 'cfm', 'Consists of CFM packets'],
  [SlowPath.bfd, 'bfd', 'Consists of BFD packets'],
  [SlowPath.lacp, 'lacp', 'Consists of LACP packets'],
  [SlowPath.stp, 'stp', 'Consists of STP packets'],
  [SlowPath.lldp, 'lldp', 'Consists of LLDP packets'],
  [SlowPath.action, 'action', 'Uses action(s) not supported by datapath'],
  [SlowPath.match, 'match', "Datapath can't match specifically enough"],
];
