import { Idl, type IdlChange, type IdlRow } from '../../ovsdb/client/index.ts';
import { processTls } from '../../stream/tls-identity.ts';
import { vlog } from '../../util/log.ts';
import type {
  BridgeConfig,
  ControllerRow,
  FlowTableConfig,
  InterfaceConfig,
  PortConfig,
  SwitchConfig,
} from './model.ts';
import type { ColumnValue, ConfigStore, RowUpdate } from './store.ts';

const log = vlog('bridge');

/** Columns that say what is wished; a change of any of them is a new configuration. */
const configColumns: Readonly<Record<string, readonly string[]>> = {
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
const statusColumns: Readonly<Record<string, readonly string[]>> = {
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

/** The configuration store over an OVSDB server: the daemon's normal one. */
export class OvsdbStore implements ConfigStore {
  readonly #idl: Idl;
  changeSeq = 0;
  onChange: () => void = () => undefined;

  /** @param wake Called whenever `changeSeq` moved. */
  static connect(remote: string, wake: () => void): OvsdbStore {
    return new OvsdbStore(remote, wake);
  }

  private constructor(remote: string, wake: () => void) {
    const tables = Object.fromEntries(
      Object.entries(configColumns).map(([table, columns]) => [
        table,
        [...columns, ...(statusColumns[table] ?? [])],
      ]),
    );
    const moved = (): void => {
      this.#configureTls();
      this.changeSeq++;
      this.onChange();
      wake();
    };
    this.#idl = new Idl({ remote, database: 'Open_vSwitch', tables, lock: 'ovs_vswitchd' });
    this.#idl.onChange((changes) => {
      if (changes.some(isConfigChange)) moved();
    });
    let contended = false;
    this.#idl.onState(() => {
      if (this.#idl.isLockContended && !contended) {
        log.err('another ovs-vswitchd process is running, disabling this process until it goes away');
      }
      contended = this.#idl.isLockContended;
      moved();
    });
    this.#idl.start();
  }

  /** The keys of connections to controllers; without a row those of the command line stay. */
  #configureTls(): void {
    const ssl = this.#idl.rows('SSL')[0];
    if (ssl === undefined) return;
    processTls.configure({
      privateKey: ssl.str('private_key'),
      certificate: ssl.str('certificate'),
      caCert: ssl.str('ca_cert'),
      isBootstrap: ssl.bool('bootstrap_ca_cert'),
    });
  }

  read(): SwitchConfig | null {
    if (!this.#idl.isReady || !this.#idl.hasLock) return null;
    const root = this.#idl.rows('Open_vSwitch')[0];
    if (root === undefined) return null;
    return {
      uuid: root.uuid,
      nextCfg: root.num('next_cfg'),
      curCfg: root.num('cur_cfg'),
      otherConfig: root.strMap('other_config'),
      bridges: this.#sorted(root, 'bridges').map((row) => this.#bridge(row)),
    };
  }

  get isEmpty(): boolean {
    return this.#idl.isReady && this.#idl.hasLock && this.#idl.rows('Open_vSwitch').length === 0;
  }

  async write(updates: readonly RowUpdate[]): Promise<boolean> {
    if (!this.#idl.isSynced) return false;
    const transaction = this.#idl.transaction();
    for (const { table, uuid, columns } of updates) {
      const row = this.#idl.row(table, uuid);
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
    this.#idl.close();
  }

  /** Rows of a reference column by name, so that numbers come out the same at every start. */
  #sorted(row: IdlRow, column: string): IdlRow[] {
    return this.#idl.refs(row, column).sort((a, b) => (a.str('name') < b.str('name') ? -1 : 1));
  }

  #bridge(row: IdlRow): BridgeConfig {
    const failMode = row.str('fail_mode');
    return {
      uuid: row.uuid,
      name: row.str('name'),
      datapathType: row.str('datapath_type'),
      failMode: failMode === 'secure' || failMode === 'standalone' ? failMode : '',
      protocols: row.strings('protocols'),
      controllers: this.#idl.refs(row, 'controller').map(controller),
      ports: this.#sorted(row, 'ports').map((port) => this.#port(port)),
      otherConfig: row.strMap('other_config'),
      flowTables: this.#flowTables(row),
    };
  }

  #flowTables(row: IdlRow): Map<number, FlowTableConfig> {
    const tables = new Map<number, FlowTableConfig>();
    for (const [id, uuid] of row.map('flow_tables')) {
      const table = this.#idl.row('Flow_Table', String(uuid));
      if (table === undefined) continue;
      const flowLimit = table.opt('flow_limit');
      tables.set(Number(id), {
        name: table.str('name'),
        flowLimit: flowLimit === undefined ? undefined : Number(flowLimit),
        prefixes: table.strings('prefixes'),
      });
    }
    return tables;
  }

  #port(row: IdlRow): PortConfig {
    const tag = row.opt('tag');
    return {
      uuid: row.uuid,
      name: row.str('name'),
      tag: tag === undefined ? undefined : Number(tag),
      trunks: row.numbers('trunks'),
      vlanMode: row.str('vlan_mode'),
      otherConfig: row.strMap('other_config'),
      interfaces: this.#sorted(row, 'interfaces').map(interfaceConfig),
    };
  }
}

function isConfigChange(change: IdlChange): boolean {
  if (change.kind !== 'modify') return true;
  const columns = configColumns[change.table] ?? [];
  return change.columns.some((c) => columns.includes(c));
}

function optional(row: IdlRow, column: string): number | undefined {
  const value = row.opt(column);
  return value === undefined ? undefined : Number(value);
}

function controller(row: IdlRow): ControllerRow {
  return {
    uuid: row.uuid,
    target: row.str('target'),
    maxBackoffMs: optional(row, 'max_backoff'),
    inactivityProbeMs: optional(row, 'inactivity_probe'),
    enableAsyncMessages: row.bool('enable_async_messages', true),
    rateLimit: optional(row, 'controller_rate_limit'),
    burstLimit: optional(row, 'controller_burst_limit'),
    otherConfig: row.strMap('other_config'),
    connectionMode: row.str('connection_mode'),
  };
}

function interfaceConfig(row: IdlRow): InterfaceConfig {
  return {
    uuid: row.uuid,
    name: row.str('name'),
    type: row.str('type'),
    options: row.strMap('options'),
    ofportRequest: optional(row, 'ofport_request'),
    ofport: optional(row, 'ofport'),
    mac: row.str('mac'),
    mtuRequest: optional(row, 'mtu_request'),
    otherConfig: row.strMap('other_config'),
  };
}

function inputValue(
  value: ColumnValue,
): string | number | boolean | (string | number | boolean)[] | Map<string, string | number> {
  if (value instanceof Map) return value as Map<string, string | number>;
  if (Array.isArray(value)) return [...(value as readonly (string | number | boolean)[])];
  return value as string | number | boolean;
}
