import { OvsdbClient } from '../../ovsdb/client/index.ts';
import type { IdlChange } from '../../ovsdb/client/index.ts';
import { openVSwitch } from '../../ovsdb/generated/open-vswitch.ts';
import type {
  BridgeRow,
  ControllerRow,
  FlowTableRow,
  InterfaceRow,
  OpenVSwitchRow,
  OpenVSwitchTables,
  PortRow,
} from '../../ovsdb/generated/open-vswitch.ts';
import { processTls } from '../../stream/tls-identity.ts';
import { vlog } from '../../util/log.ts';
import type {
  BridgeConfig,
  ControllerRow as ControllerConfig,
  FlowTableConfig,
  InterfaceConfig,
  PortConfig,
  SwitchConfig,
} from './model.ts';
import type { ColumnValue, ConfigStore, RowUpdate } from './store.ts';

const log = vlog('bridge');

type TableName = keyof OpenVSwitchTables;
type Columns = {
  readonly [Table in TableName]?: readonly (keyof OpenVSwitchTables[Table]['columns'])[];
};

/** Columns that say what is wished; a change of any of them is a new configuration. */
const configColumns: Columns = {
  Open_vSwitch: ['bridges', 'next_cfg', 'other_config', 'ssl'],
  Bridge: [
    'name',
    'datapath_type',
    'fail_mode',
    'protocols',
    'controller',
    'ports',
    'other_config',
    'flow_tables',
  ],
  Port: ['name', 'tag', 'trunks', 'vlan_mode', 'other_config', 'interfaces'],
  Interface: ['name', 'type', 'options', 'ofport_request', 'mac', 'mtu_request', 'other_config'],
  Controller: [
    'target',
    'max_backoff',
    'inactivity_probe',
    'enable_async_messages',
    'controller_rate_limit',
    'controller_burst_limit',
    'connection_mode',
    'other_config',
  ],
  Flow_Table: ['name', 'flow_limit', 'prefixes'],
  SSL: ['private_key', 'certificate', 'ca_cert', 'bootstrap_ca_cert'],
};

/** Columns that we write: in the replica, so that only differences are sent. */
const statusColumns: Columns = {
  Open_vSwitch: ['cur_cfg', 'datapath_types', 'iface_types', 'dpdk_initialized', 'dpdk_version'],
  Bridge: ['datapath_id', 'datapath_version', 'status'],
  Port: ['status', 'statistics'],
  Interface: [
    'ofport',
    'error',
    'mac_in_use',
    'admin_state',
    'link_state',
    'link_speed',
    'duplex',
    'mtu',
    'ifindex',
    'link_resets',
    'statistics',
    'status',
  ],
  Controller: ['is_connected', 'role', 'status'],
  Flow_Table: [],
};

const tables = Object.fromEntries(
  Object.keys(configColumns).map((table) => [
    table,
    [...(configColumns[table as TableName] ?? []), ...(statusColumns[table as TableName] ?? [])],
  ]),
) as Columns;

/** The configuration store over an OVSDB server: the daemon's normal one. */
export class OvsdbStore implements ConfigStore {
  readonly #client: OvsdbClient<OpenVSwitchTables>;
  changeSeq = 0;
  onChange: () => void = () => undefined;

  /** @param wake Called whenever `changeSeq` moved. */
  static connect(remote: string, wake: () => void): OvsdbStore {
    return new OvsdbStore(remote, wake);
  }

  private constructor(remote: string, wake: () => void) {
    const moved = (): void => {
      this.#configureTls();
      this.changeSeq++;
      this.onChange();
      wake();
    };
    this.#client = new OvsdbClient(openVSwitch, { remote, tables, lock: 'ovs_vswitchd' });
    const { idl } = this.#client;
    idl.onChange((changes) => {
      if (changes.some(isConfigChange)) moved();
    });
    let contended = false;
    idl.onState(() => {
      if (idl.isLockContended && !contended) {
        log.err('another ovs-vswitchd process is running, disabling this process until it goes away');
      }
      contended = idl.isLockContended;
      moved();
    });
    idl.start();
  }

  /** The keys of connections to controllers; without a row those of the command line stay. */
  #configureTls(): void {
    const [ssl] = this.#client.tables.SSL.rows;
    if (ssl === undefined) return;
    processTls.configure({
      privateKey: ssl.private_key,
      certificate: ssl.certificate,
      caCert: ssl.ca_cert,
      isBootstrap: ssl.bootstrap_ca_cert,
    });
  }

  /** The one row of Open_vSwitch; the lock is ours then. */
  #root(): OpenVSwitchRow | undefined {
    const { idl, tables } = this.#client;
    return idl.isReady && idl.hasLock ? tables.Open_vSwitch.rows[0] : undefined;
  }

  read(): SwitchConfig | null {
    const root = this.#root();
    if (root === undefined) return null;
    return {
      uuid: root._uuid,
      nextCfg: root.next_cfg,
      curCfg: root.cur_cfg,
      otherConfig: root.other_config,
      bridges: byName(root.bridges).map(bridgeConfig),
    };
  }

  get isEmpty(): boolean {
    const { idl, tables } = this.#client;
    return idl.isReady && idl.hasLock && tables.Open_vSwitch.rows.length === 0;
  }

  async write(updates: readonly RowUpdate[]): Promise<boolean> {
    const { idl } = this.#client;
    if (!idl.isSynced) return false;
    const transaction = idl.transaction();
    for (const { table, uuid, columns } of updates) {
      const row = idl.row(table, uuid);
      if (row === undefined) continue;
      const known = Object.entries(columns).filter(([name]) => row.has(name));
      transaction.update(
        table,
        uuid,
        Object.fromEntries(known.map(([name, value]) => [name, inputValue(value)])),
      );
    }
    const status = await transaction.commit();
    if (status === 'error')
      log.warn(`status update failed: ${transaction.error?.message ?? 'unknown error'}`);
    return status === 'success' || status === 'unchanged' || status === 'error';
  }

  close(): void {
    this.#client.close();
  }
}

function isConfigChange(change: IdlChange): boolean {
  if (change.kind !== 'modify') return true;
  const columns: readonly string[] = configColumns[change.table as TableName] ?? [];
  return change.columns.some((c) => columns.includes(c));
}

/** So that numbers come out the same at every start. */
function byName<Row extends { readonly name: string }>(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function bridgeConfig(row: BridgeRow): BridgeConfig {
  return {
    uuid: row._uuid,
    name: row.name,
    datapathType: row.datapath_type,
    failMode: row.fail_mode ?? '',
    protocols: row.protocols,
    controllers: row.controller.map(controllerConfig),
    ports: byName(row.ports).map(portConfig),
    otherConfig: row.other_config,
    flowTables: new Map([...row.flow_tables].map(([id, table]) => [id, flowTableConfig(table)])),
  };
}

function flowTableConfig({ name, flow_limit: flowLimit, prefixes }: FlowTableRow): FlowTableConfig {
  return { name: name ?? '', flowLimit, prefixes };
}

function portConfig(row: PortRow): PortConfig {
  return {
    uuid: row._uuid,
    name: row.name,
    tag: row.tag,
    trunks: row.trunks,
    vlanMode: row.vlan_mode ?? '',
    otherConfig: row.other_config,
    interfaces: byName(row.interfaces).map(interfaceConfig),
  };
}

function controllerConfig(row: ControllerRow): ControllerConfig {
  return {
    uuid: row._uuid,
    target: row.target,
    maxBackoffMs: row.max_backoff,
    inactivityProbeMs: row.inactivity_probe,
    enableAsyncMessages: row.enable_async_messages ?? true,
    rateLimit: row.controller_rate_limit,
    burstLimit: row.controller_burst_limit,
    otherConfig: row.other_config,
    connectionMode: row.connection_mode ?? '',
  };
}

function interfaceConfig(row: InterfaceRow): InterfaceConfig {
  return {
    uuid: row._uuid,
    name: row.name,
    type: row.type,
    options: row.options,
    ofportRequest: row.ofport_request,
    ofport: row.ofport,
    mac: row.mac ?? '',
    mtuRequest: row.mtu_request,
    otherConfig: row.other_config,
  };
}

function inputValue(
  value: ColumnValue,
): string | number | boolean | (string | number | boolean)[] | Map<string, string | number> {
  if (value instanceof Map) return value as Map<string, string | number>;
  if (Array.isArray(value)) return [...(value as readonly (string | number | boolean)[])];
  return value as string | number | boolean;
}
