import { netdevTypes } from '../netdev/registry.ts';
import { formatMac } from '../wire/address.ts';
import type { Bridge, BridgeInterface } from './bridge.ts';
import type { SwitchConfig } from './config/model.ts';
import type { ColumnValue, RowUpdate } from './config/store.ts';
import { shownPort } from './port-text.ts';

/**
 * What the database should say of the running switch: status columns of Interface, Bridge,
 * Controller and Open_vSwitch (ovs-vswitchd.conf.db(5)). The store writes only what differs.
 */
export function statusUpdates(
  config: SwitchConfig,
  bridges: ReadonlyMap<string, Bridge>,
  dummyEnabled: boolean,
): RowUpdate[] {
  const updates: RowUpdate[] = [];
  for (const bridge of bridges.values()) {
    updates.push({
      table: 'Bridge',
      uuid: bridge.config.uuid,
      columns: {
        datapath_id: bridge.ofproto.datapathId.toString(16).padStart(16, '0'),
        datapath_version: '<unknown>',
      },
    });
    for (const iface of bridge.interfaces.values()) {
      if (iface.config.uuid === '') continue;
      updates.push({ table: 'Interface', uuid: iface.config.uuid, columns: interfaceStatus(iface) });
    }
    const controllers = new Map(bridge.ofproto.controllerStatus().map((c) => [c.target, c]));
    for (const row of bridge.config.controllers) {
      const status = controllers.get(row.target);
      updates.push({
        table: 'Controller',
        uuid: row.uuid,
        columns: {
          is_connected: status?.isConnected ?? false,
          role: status?.role == null ? [] : [status.role],
          status: new Map(Object.entries(status?.status ?? {})),
        },
      });
    }
  }
  for (const wanted of config.bridges) {
    if (bridges.has(wanted.name)) continue;
    for (const port of wanted.ports) {
      for (const iface of port.interfaces) {
        updates.push({ table: 'Interface', uuid: iface.uuid, columns: { ofport: -1 } });
      }
    }
  }
  const datapathTypes = [...(dummyEnabled ? ['dummy'] : []), 'netdev'];
  updates.push({
    table: 'Open_vSwitch',
    uuid: config.uuid,
    columns: {
      cur_cfg: config.nextCfg,
      datapath_types: datapathTypes,
      iface_types: netdevTypes(),
      dpdk_initialized: false,
      dpdk_version: 'none',
    },
  });
  return updates;
}

function interfaceStatus(iface: BridgeInterface): Record<string, ColumnValue> {
  const { netdev } = iface;
  if (netdev === null) {
    return {
      ofport: -1,
      error: [iface.error ?? ''],
      mac_in_use: [],
      admin_state: [],
      link_state: [],
      link_speed: [],
      duplex: [],
      mtu: [],
      ifindex: [],
      statistics: new Map(),
      status: new Map(),
    };
  }
  const { linkSpeed } = netdev;
  return {
    ofport: iface.ofport === null ? -1 : shownPort(iface.ofport),
    error: iface.error === null ? [] : [iface.error],
    mac_in_use: formatMac(netdev.mac),
    admin_state: netdev.adminUp ? 'up' : 'down',
    link_state: netdev.carrier ? 'up' : 'down',
    link_speed: linkSpeed > 0 ? [linkSpeed] : [],
    duplex: linkSpeed > 0 ? [netdev.fullDuplex ? 'full' : 'half'] : [],
    mtu: netdev.mtu > 0 ? [netdev.mtu] : [],
    // OVS derives a number from the name where the device has none.
    ifindex: netdev.ifindex,
    link_resets: netdev.carrierResets,
    statistics: new Map(Object.entries(netdev.statistics())),
    status: new Map(Object.entries(netdev.status())),
  };
}
