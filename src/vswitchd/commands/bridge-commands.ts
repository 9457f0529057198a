import { flushMacTable, macEntries } from '../../classifier/mac-table.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import { formatMac } from '../../wire/address.ts';
import type { Bridge } from '../bridge.ts';
import { shownPort } from '../port-text.ts';
import type { Switchd } from '../switchd.ts';

const OFPP_LOCAL = 65534;

/** fdb/*, ofproto/list, bridge/*. */
export function registerBridgeCommands(commands: UnixctlCommands, switchd: Switchd): void {
  const bridgeOf = (name: string): Bridge => {
    const bridge = switchd.bridges.get(name);
    if (bridge === undefined) throw new OvsError('ENODEV', 'no such bridge');
    return bridge;
  };

  commands.registerCommand('fdb/show', 'bridge', 1, 1, ([name = '']) => {
    const bridge = bridgeOf(name);
    const entries = macEntries(switchd.core, bridge.macTable, switchd.clock.nowMs());
    const lines = entries.map((e) => {
      const port = shownPort(e.ofport) === OFPP_LOCAL ? 'LOCAL' : String(e.ofport);
      const age = e.isStatic ? 'static' : String(e.ageSec).padStart(3);
      return `${port.padStart(5)}  ${String(e.vlan).padStart(4)}  ${formatMac(e.mac)}  ${age}\n`;
    });
    return {
      text: ` port  VLAN  MAC                Age\n${lines.join('')}`,
      json: entries.map((e) => ({
        port: shownPort(e.ofport),
        vlan: e.vlan,
        mac: formatMac(e.mac),
        ...(e.isStatic ? { static: true } : { age: e.ageSec }),
      })),
    };
  });
  commands.registerCommand('fdb/flush', '[bridge]', 0, 1, ([name]) => {
    const bridges = name === undefined ? [...switchd.bridges.values()] : [bridgeOf(name)];
    for (const b of bridges) flushMacTable(switchd.core, b.macTable);
    switchd.udpif.revalidate();
    return 'table successfully flushed\n';
  });
  commands.registerCommand('ofproto/list', '', 0, 0, () => {
    const names = [...switchd.bridges.keys()];
    return { text: names.map((n) => `${n}\n`).join(''), json: names };
  });
  commands.registerCommand('bridge/dump-flows', '[--offload-stats] bridge', 1, 2, (args) => {
    const bridge = switchd.bridges.get(args.at(-1) ?? '');
    if (bridge === undefined) throw new OvsError('ENODEV', 'Unknown bridge');
    return bridge.ofproto
      .dumpFlows()
      .map((l) => `${l}\n`)
      .join('');
  });
  commands.registerCommand('bridge/reconnect', '[bridge]', 0, 1, ([name]) => {
    const bridges = name === undefined ? [...switchd.bridges.values()] : [switchd.bridges.get(name)];
    for (const b of bridges) {
      if (b === undefined) throw new OvsError('ENODEV', 'Unknown bridge');
      b.ofproto.connmgr.reconnect();
    }
    return '';
  });
}
