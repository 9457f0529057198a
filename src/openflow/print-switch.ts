/** Texts of what describes a switch: features, ports, tables, statistics. As `ovs-ofctl` prints them. */
import { formatOfpPort } from '../flow/ofp-port-text.ts';
import type { PortMap } from '../flow/port-map.ts';
import { formatMac } from '../wire/address.ts';
import { formatDuration } from './flow-text.ts';
import { PortConfig, PortFeature, PortState, UNKNOWN_COUNT } from './messages.ts';
import type {
  Capability,
  DescReply,
  FeaturesReply,
  GroupFeaturesReply,
  MeterFeaturesReply,
  PhyPort,
  PortModMessage,
  PortStats,
  QueueGetConfigReply,
  QueueStats,
  RoleMessage,
  SwitchConfig,
  TableStats,
  AsyncConfig,
} from './messages.ts';

const capabilityOrder: readonly Capability[] = [
  'FLOW_STATS', 'TABLE_STATS', 'PORT_STATS', 'GROUP_STATS', 'STP', 'IP_REASM', 'QUEUE_STATS', 'ARP_MATCH_IP',
  'PORT_BLOCKED', 'BUNDLES', 'FLOW_MONITORING',
]; // prettier-ignore

/** OFPAT10_* by bit. */
const of10Actions = [
  'output', 'set_vlan_vid', 'set_vlan_pcp', 'strip_vlan', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst',
  'mod_nw_tos', 'mod_tp_src', 'mod_tp_dst', 'enqueue',
] as const; // prettier-ignore
/** Order in which OVS lists kinds of actions. */
const actionOrder = [
  'output', 'enqueue', 'set_vlan_vid', 'set_vlan_pcp', 'strip_vlan', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src',
  'mod_nw_dst', 'mod_nw_tos', 'mod_tp_src', 'mod_tp_dst',
] as const; // prettier-ignore

/** Names of set bits, blank separated; unknown bits as one number; `0` for none. */
function formatBits(bits: number, names: Readonly<Record<string, number>>, separator = ' '): string {
  if (bits === 0) return '0';
  const parts: string[] = [];
  let left = bits;
  for (const [name, bit] of Object.entries(names)) {
    if ((left & bit) === 0) continue;
    parts.push(name);
    left &= ~bit;
  }
  if (left !== 0) parts.push(`0x${(left >>> 0).toString(16)}`);
  return parts.join(separator);
}

const featureNames: Readonly<Record<string, number>> = {
  '10MB-HD': PortFeature['10MB_HD'],
  '10MB-FD': PortFeature['10MB_FD'],
  '100MB-HD': PortFeature['100MB_HD'],
  '100MB-FD': PortFeature['100MB_FD'],
  '1GB-HD': PortFeature['1GB_HD'],
  '1GB-FD': PortFeature['1GB_FD'],
  '10GB-FD': PortFeature['10GB_FD'],
  '40GB-FD': PortFeature['40GB_FD'],
  '100GB-FD': PortFeature['100GB_FD'],
  '1TB-FD': PortFeature['1TB_FD'],
  OTHER: PortFeature.OTHER,
  COPPER: PortFeature.COPPER,
  FIBER: PortFeature.FIBER,
  AUTO_NEG: PortFeature.AUTO_NEG,
  AUTO_PAUSE: PortFeature.AUTO_PAUSE,
  AUTO_PAUSE_ASYM: PortFeature.AUTO_PAUSE_ASYM,
};

const stateNames: Readonly<Record<string, number>> = {
  LINK_DOWN: PortState.LINK_DOWN,
  BLOCKED: PortState.BLOCKED,
  LIVE: PortState.LIVE,
};
const stpNames: Readonly<Record<number, string>> = {
  [PortState.STP_LEARN]: 'STP_LEARN',
  [PortState.STP_FORWARD]: 'STP_FORWARD',
  [PortState.STP_BLOCK]: 'STP_BLOCK',
};

function formatState(state: number): string {
  const stp = stpNames[state & PortState.STP_MASK];
  const rest = state & ~PortState.STP_MASK;
  if (stp === undefined) return formatBits(rest, stateNames);
  return rest === 0 ? stp : `${stp}${formatBits(rest, stateNames)}`;
}

/** One port of show, dump-ports-desc and port_status, with the line's end. */
export function formatPhyPort(p: PhyPort): string {
  let s = ` ${formatOfpPort(p.port)}(${p.name}): addr:${formatMac(p.hwAddr)}\n`;
  s += `     config:     ${formatBits(p.config, PortConfig)}\n`;
  s += `     state:      ${formatState(p.state)}\n`;
  const lines: readonly (readonly [string, number])[] = [
    ['current:    ', p.curr],
    ['advertised: ', p.advertised],
    ['supported:  ', p.supported],
    ['peer:       ', p.peer],
  ];
  for (const [name, bits] of lines) if (bits !== 0) s += `     ${name}${formatBits(bits, featureNames)}\n`;
  s += `     speed: ${Math.floor(p.currSpeedKbps / 1000)} Mbps now, ${Math.floor(p.maxSpeedKbps / 1000)} Mbps max\n`;
  return s;
}

/** Ports in the order of their 16-bit numbers, LOCAL last. */
export function sortedPorts(list: readonly PhyPort[]): PhyPort[] {
  return [...list].sort((a, b) => a.port - b.port);
}

export function formatFeatures(m: FeaturesReply, version: number): string {
  let s = ` dpid:${m.datapathId.toString(16).padStart(16, '0')}\n`;
  s += `n_tables:${m.nTables}, n_buffers:${m.nBuffers}`;
  if (m.auxiliaryId !== 0) s += `, auxiliary_id:${m.auxiliaryId}`;
  s += '\ncapabilities: ';
  const caps = capabilityOrder.filter((c) => m.capabilities.has(c));
  s += `${caps.length === 0 ? '0' : caps.join(' ')}\n`;
  if (version === 1) {
    const names = new Set(of10Actions.filter((_, i) => (m.actions & (1 << i)) !== 0));
    s += `actions: ${actionOrder.filter((a) => names.has(a)).join(' ')}\n`;
  }
  if (version <= 3) for (const p of sortedPorts(m.ports)) s += formatPhyPort(p);
  return s;
}

export function formatSwitchConfig(m: SwitchConfig): string {
  const ttl = m.invalidTtlToController === true ? ' invalid_ttl_to_controller' : '';
  return ` frags=${m.frag}${ttl} miss_send_len=${m.missSendLen}\n`;
}

export function formatDesc(m: DescReply): string {
  return (
    `\nManufacturer: ${m.mfrDesc}\nHardware: ${m.hwDesc}\nSoftware: ${m.swDesc}\n` +
    `Serial Num: ${m.serialNum}\nDP Description: ${m.dpDesc}\n`
  );
}

const count = (n: bigint): string => (n === UNKNOWN_COUNT ? '?' : String(n));

export function formatPortStats(list: readonly PortStats[], ports: PortMap): string {
  let s = ` ${list.length} ports\n`;
  for (const p of list) {
    const number = formatOfpPort(p.port, ports);
    s += `  port ${p.port < 10 && /^\d+$/.test(number) ? ' ' : ''}${number}: `;
    s += `rx pkts=${count(p.rxPackets)}, bytes=${count(p.rxBytes)}, drop=${count(p.rxDropped)}, `;
    s += `errs=${count(p.rxErrors)}, frame=${count(p.rxFrameErr)}, over=${count(p.rxOverErr)}, crc=${count(p.rxCrcErr)}\n`;
    s += `           tx pkts=${count(p.txPackets)}, bytes=${count(p.txBytes)}, drop=${count(p.txDropped)}, `;
    s += `errs=${count(p.txErrors)}, coll=${count(p.collisions)}\n`;
    if (p.durationMs !== null) s += `           duration=${formatDuration(p.durationMs)}\n`;
  }
  return s;
}

/** What 1.0 tells that a table can match. */
const of10Matching = 'in_port eth_{src,dst,type} vlan_{vid,pcp} ip_{src,dst} nw_{proto,tos} tcp_{src,dst}';

/** Tables as dump-tables prints them: what repeats is `ditto`. */
export function formatTableStats(list: readonly TableStats[], version: number): string {
  const hasFeatures = version === 1;
  const sameStats = (a: TableStats, b: TableStats): boolean =>
    a.activeCount === b.activeCount && a.lookupCount === b.lookupCount && a.matchedCount === b.matchedCount;
  const sameFeatures = (a: TableStats, b: TableStats): boolean =>
    a.maxEntries === b.maxEntries && a.wildcards === b.wildcards;
  const isNamed = (t: TableStats): boolean => t.name !== '';
  let s = '\n';
  for (let i = 0; i < list.length; i++) {
    const t = list[i];
    const prev = list[i - 1];
    if (!t) continue;
    if (prev && sameStats(prev, t) && sameFeatures(prev, t) && isNamed(t)) {
      s += `  table ${t.tableId} ("${t.name}"): ditto\n`;
      continue;
    }
    if (prev && sameStats(prev, t) && sameFeatures(prev, t)) {
      let last = i;
      for (let j = i + 1; j < list.length; j++) {
        const next = list[j];
        if (!next || !sameStats(prev, next) || !sameFeatures(prev, next) || isNamed(next)) break;
        if (next.tableId !== (list[j - 1]?.tableId ?? 0) + 1) break;
        last = j;
      }
      const end = list[last]?.tableId ?? t.tableId;
      s += last === i ? `  table ${t.tableId}: ditto\n` : `  tables ${t.tableId}...${end}: ditto\n`;
      i = last;
    } else {
      s += `  table ${t.tableId}${isNamed(t) ? ` ("${t.name}")` : ''}:\n`;
      s += `    active=${t.activeCount}, lookup=${t.lookupCount}, matched=${t.matchedCount}\n`;
      if (hasFeatures) {
        if (prev && sameFeatures(prev, t)) s += '    (same features)\n';
        else {
          s += `    max_entries=${t.maxEntries}\n    matching:\n`;
          s += `      exact match or wildcard: ${of10Matching}\n`;
        }
      }
    }
    if (i < list.length - 1) s += '\n';
  }
  return s;
}

export function formatQueueStats(list: readonly QueueStats[], ports: PortMap): string {
  let s = ` ${list.length} queues\n`;
  for (const q of list) {
    s += `  port ${formatOfpPort(q.port, ports)} queue `;
    s += q.queueId === 0xffffffff ? 'ALL: ' : `${q.queueId}: `;
    s += `bytes=${count(q.txBytes)}, pkts=${count(q.txPackets)}, errors=${count(q.txErrors)}, `;
    s += `duration=${formatDuration(q.durationMs)}\n`;
  }
  return s;
}

export function formatQueueConfig(m: QueueGetConfigReply, ports: PortMap): string {
  let s = ` port=${formatOfpPort(m.port, ports)}\n`;
  const rate = (name: string, tenths: number): string =>
    tenths === 0xffff
      ? ''
      : tenths <= 1000
        ? ` ${name}:${Math.floor(tenths / 10)}.${tenths % 10}%`
        : ` ${name}:(disabled)`;
  for (const q of m.queues)
    s += `queue ${q.queueId}:${rate('min_rate', q.minRate)}${rate('max_rate', q.maxRate)}\n`;
  return s;
}

export function formatPortMod(m: PortModMessage, ports: PortMap): string {
  const features = m.advertise === 0 ? 'UNCHANGED' : formatBits(m.advertise, featureNames);
  return (
    ` port: ${formatOfpPort(m.port, ports)}: addr:${formatMac(m.hwAddr)}\n` +
    `     config: ${formatBits(m.config, PortConfig)}\n     mask:   ${formatBits(m.mask, PortConfig)}\n` +
    `     advertise: ${features}\n`
  );
}

export function formatRole(m: RoleMessage): string {
  const role = m.role === 'master' ? 'primary' : m.role === 'slave' ? 'secondary' : m.role;
  return ` role=${role}${m.generationId === null ? '' : ` generation_id=${m.generationId}`}\n`;
}

const packetInReasonNames = ['no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out'];
const portReasonNames = ['add', 'delete', 'modify'];
const flowReasonNames = ['idle', 'hard', 'delete', 'group_delete', 'meter_delete', 'eviction'];
const roleReasonNames = ['primary_request', 'configuration_changed', 'experimenter_data_changed'];
const tableReasonNames = ['', '', '', 'vacancy_down', 'vacancy_up'];
const forwardedNames = ['group_mod_request', 'meter_mod_request'];

export function formatAsync(m: AsyncConfig): string {
  const list = (bits: number, names: readonly string[]): string => {
    const on = names.filter((_, i) => (bits & (1 << i)) !== 0);
    return on.length === 0 ? ' (off)' : ` ${on.join(' ')}`;
  };
  let s = '\n';
  for (const [who, i] of [
    ['primary', 1],
    ['secondary', 0],
  ] as const) {
    s += ` ${who}:\n`;
    s += `       PACKET_IN:${list(m.packetIn[i], packetInReasonNames)}\n`;
    s += `     PORT_STATUS:${list(m.portStatus[i], portReasonNames)}\n`;
    s += `    FLOW_REMOVED:${list(m.flowRemoved[i], flowReasonNames)}\n`;
    s += `     ROLE_STATUS:${list(m.roleStatus?.[i] ?? 0, roleReasonNames)}\n`;
    s += `    TABLE_STATUS:${list(m.tableStatus?.[i] ?? 0, tableReasonNames)}\n`;
    s += `  REQUESTFORWARD:${list(m.requestForward?.[i] ?? 0, forwardedNames)}\n`;
    if (i === 1) s += '\n';
  }
  return s;
}

const groupTypes = ['all', 'select', 'indirect', 'fast failover'];
const groupActions = [
  [0, 'output'], [22, 'group'], [25, 'set_field'], [18, 'strip_vlan'], [17, 'push_vlan'], [23, 'mod_nw_ttl'],
  [24, 'dec_ttl'], [15, 'set_mpls_ttl'], [16, 'dec_mpls_ttl'], [19, 'push_mpls'], [20, 'pop_mpls'], [21, 'set_queue'],
] as const; // prettier-ignore

export function formatGroupFeatures(m: GroupFeaturesReply): string {
  let s = `\n Group table:\n    Types:  0x${m.types.toString(16)}\n    Capabilities:  0x${m.capabilities.toString(16)}\n`;
  for (const [i, name] of groupTypes.entries()) {
    if ((m.types & (1 << i)) === 0) continue;
    const bits = m.actions[i] ?? 0;
    const actions = groupActions.filter(([bit]) => (bits & (1 << bit)) !== 0).map(([, n]) => n);
    s += `    ${name} group:\n       max_groups=0x${(m.maxGroups[i] ?? 0).toString(16)}\n`;
    s += `       actions: ${actions.length === 0 ? '<none>' : actions.join(' ')}\n`;
  }
  return s;
}

export function formatMeterFeatures(m: MeterFeaturesReply): string {
  const bands: string[] = [];
  if ((m.bandTypes & 2) !== 0) bands.push('drop');
  if ((m.bandTypes & 4) !== 0) bands.push('dscp_remark');
  const caps = ['kbps', 'pktps', 'burst', 'stats'].filter((_, i) => (m.capabilities & (1 << i)) !== 0);
  return (
    `\nmax_meter:${m.maxMeters} max_bands:${m.maxBands} max_color:${m.maxColor}\n` +
    `band_types: ${bands.join(' ') || '0'}\ncapabilities: ${caps.join(' ') || '0'}\n`
  );
}
