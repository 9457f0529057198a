import type {
  Capability,
  DescReply,
  FeaturesReply,
  GroupFeaturesReply,
  MeterFeaturesReply,
  PortDescReply,
  PortStats,
  PortStatsReply,
  QueueGetConfigReply,
  QueueStatsReply,
  SwitchConfig,
  TableFeatures,
  TableFeaturesReply,
  TableStats,
  TableStatsReply,
} from '../../openflow/messages.ts';
import { UNKNOWN_COUNT } from '../../openflow/messages.ts';
import { OFPP_NONE, OFPQ_ALL } from '../../openflow/ports.ts';
import type { OfpPort } from '../../util/brand.ts';
import { OfpError } from '../../util/errors.ts';
import type { OfConn } from '../connection/ofconn.ts';
import { internalTable } from '../flow-tables.ts';
import type { OfPort } from '../port-table.ts';
import { elapsedMs } from '../rule-view.ts';
import type { SwitchState } from '../switch-state.ts';

/** Answers that only look: features, configuration, descriptions and statistics other than of flows. */
const capabilities: ReadonlySet<Capability> = new Set<Capability>([
  'FLOW_STATS',
  'TABLE_STATS',
  'PORT_STATS',
  'QUEUE_STATS',
  'GROUP_STATS',
  'ARP_MATCH_IP',
]);

/** OFPAT10_OUTPUT to OFPAT10_ENQUEUE. */
const allOpenFlow10Actions = 0xfff;
/** All OFPFW10_* wildcards. */
const allOpenFlow10Wildcards = 0x3f_ffff;
const defaultMaxEntries = 1_000_000;
/** Tables that controllers see: 0-253. */
const visibleTables = internalTable;

export function replyFeatures(sw: SwitchState, version: number): FeaturesReply {
  return {
    type: 'features_reply',
    datapathId: sw.datapathId,
    nBuffers: 0,
    nTables: visibleTables,
    auxiliaryId: 0,
    capabilities,
    actions: allOpenFlow10Actions,
    ports: version < 4 ? sw.portTable.all().map((p) => p.phyPort()) : [],
  };
}

export function replyGetConfig(sw: SwitchState, conn: OfConn): SwitchConfig {
  const [, master] = conn.asyncMasks.packetIn;
  return {
    type: 'get_config_reply',
    frag: sw.fragHandling,
    invalidTtlToController: (master & 4) !== 0,
    missSendLen: conn.missSendLen,
  };
}

export function replyDesc(sw: SwitchState): DescReply {
  const { manufacturer, hardware, software, serial, datapath } = sw.description;
  return {
    type: 'desc_reply',
    mfrDesc: manufacturer,
    hwDesc: hardware,
    swDesc: software,
    serialNum: serial,
    dpDesc: datapath,
  };
}

export function replyTableStats(sw: SwitchState): TableStatsReply {
  const tables: TableStats[] = [];
  for (let tableId = 0; tableId < visibleTables; tableId++) {
    const matched = sw.flowTables.matchedCount(tableId);
    const config = sw.flowTables.configOf(tableId);
    tables.push({
      tableId,
      name: config?.name ?? '',
      maxEntries: maxEntries(sw, tableId),
      activeCount: sw.flowTables.ruleCount(tableId),
      lookupCount: matched + sw.flowTables.missedCount(tableId),
      matchedCount: matched,
      wildcards: allOpenFlow10Wildcards,
    });
  }
  return { type: 'table_stats_reply', tables };
}

function maxEntries(sw: SwitchState, tableId: number): number {
  const limit = sw.flowTables.configOf(tableId)?.flowLimit ?? Infinity;
  return limit === Infinity ? defaultMaxEntries : limit;
}

export function replyTableFeatures(sw: SwitchState): TableFeaturesReply {
  const tables: TableFeatures[] = [];
  for (let tableId = 0; tableId < visibleTables; tableId++) {
    const nextTables: number[] = [];
    for (let next = tableId + 1; next < visibleTables; next++) nextTables.push(next);
    tables.push({
      tableId,
      name: sw.flowTables.configOf(tableId)?.name ?? '',
      metadataMatch: UNKNOWN_COUNT,
      metadataWrite: UNKNOWN_COUNT,
      maxEntries: maxEntries(sw, tableId),
      nextTables,
    });
  }
  return { type: 'table_features_reply', tables };
}

function selectPorts(sw: SwitchState, port: OfpPort): OfPort[] {
  if (port === OFPP_NONE) return sw.portTable.inTableOrder();
  const one = sw.portTable.get(port);
  return one === undefined ? [] : [one];
}

export function replyPortDesc(sw: SwitchState, port: OfpPort): PortDescReply {
  return { type: 'port_desc_reply', ports: selectPorts(sw, port).map((p) => p.phyPort()) };
}

export function replyPortStats(sw: SwitchState, port: OfpPort): PortStatsReply {
  const nowMs = sw.deps.clock.nowMs();
  return { type: 'port_stats_reply', ports: selectPorts(sw, port).map((p) => portStats(sw, p, nowMs)) };
}

function portStats(sw: SwitchState, port: OfPort, nowMs: number): PortStats {
  const s = sw.deps.portStats(port.ofport);
  return {
    port: port.ofport,
    rxPackets: s.rxPackets ?? UNKNOWN_COUNT,
    txPackets: s.txPackets ?? UNKNOWN_COUNT,
    rxBytes: s.rxBytes ?? UNKNOWN_COUNT,
    txBytes: s.txBytes ?? UNKNOWN_COUNT,
    rxDropped: s.rxDropped ?? UNKNOWN_COUNT,
    txDropped: s.txDropped ?? UNKNOWN_COUNT,
    rxErrors: s.rxErrors ?? UNKNOWN_COUNT,
    txErrors: s.txErrors ?? UNKNOWN_COUNT,
    rxFrameErr: s.rxFrameErr ?? UNKNOWN_COUNT,
    rxOverErr: s.rxOverErr ?? UNKNOWN_COUNT,
    rxCrcErr: s.rxCrcErr ?? UNKNOWN_COUNT,
    collisions: s.collisions ?? UNKNOWN_COUNT,
    durationMs: elapsedMs(port.createdMs, nowMs),
  };
}

/** Ports have no queues yet: all of them is none, one of them does not exist. */
export function replyQueueStats(sw: SwitchState, port: OfpPort, queueId: number): QueueStatsReply {
  const ports = selectPorts(sw, port);
  if (port !== OFPP_NONE && ports.length === 0) throw new OfpError('OFPQOFC_BAD_PORT');
  if (queueId !== OFPQ_ALL || ports.length === 0) throw new OfpError('OFPQOFC_BAD_QUEUE');
  return { type: 'queue_stats_reply', queues: [] };
}

export function replyQueueConfig(sw: SwitchState, port: OfpPort, queueId: number): QueueGetConfigReply {
  if (port !== OFPP_NONE && sw.portTable.get(port) === undefined) throw new OfpError('OFPQOFC_BAD_PORT');
  if (queueId !== OFPQ_ALL) throw new OfpError('OFPQOFC_BAD_QUEUE');
  return { type: 'queue_get_config_reply', port, queues: [] };
}

export function replyGroupFeatures(): GroupFeaturesReply {
  return {
    type: 'group_features_reply',
    types: 0,
    capabilities: 0,
    maxGroups: [0, 0, 0, 0],
    actions: [0, 0, 0, 0],
  };
}

export function replyMeterFeatures(): MeterFeaturesReply {
  return {
    type: 'meter_features_reply',
    maxMeters: 0,
    bandTypes: 0,
    capabilities: 0,
    maxBands: 0,
    maxColor: 0,
  };
}
