import { MegaflowLayout } from '../../datapath/generated/megaflow.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import type { UserspaceDatapath } from '../../datapath/providers/userspace/userspace-datapath.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import { formatOdpActions } from '../../odp/actions-format.ts';
import type { OdpPortNames } from '../../odp/key-format.ts';
import { formatOdpKey } from '../../odp/key-text.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import { shownPort } from '../port-text.ts';
import type { Switchd } from '../switchd.ts';
import type { PmdView } from '../threads/pmd-pool.ts';

/** One megaflow as dumped: copied out of the arena, so that it stays good. */
interface DumpedFlow {
  readonly ufid: string;
  readonly flow: Uint8Array;
  readonly mask: Uint8Array;
  readonly packets: number;
  readonly bytes: number;
  readonly usedMs: number;
  readonly tcpFlags: number;
  readonly actions: Uint8Array;
}

interface DpStats {
  hits: number;
  missed: number;
  lost: number;
  flows: number;
}

/** dpctl/* and dpif/* over the userspace datapaths. */
export function registerDpctlCommands(commands: UnixctlCommands, switchd: Switchd): void {
  const { core } = switchd;
  const datapathOf = (name: string | undefined): UserspaceDatapath => {
    const all = [...switchd.datapaths.values()];
    if (name === undefined) {
      const only = all[0];
      if (all.length !== 1 || only === undefined) {
        throw new OvsError(
          'EINVAL',
          all.length === 0 ? 'no datapaths exist' : 'multiple datapaths, specify one',
        );
      }
      return only;
    }
    const [type, plain] = name.includes('@') ? name.split('@') : [undefined, name];
    const found = all.find((d) => d.name === plain && (type === undefined || d.type === type));
    if (found === undefined) throw new OvsError('EINVAL', 'datapath not found (Invalid argument)');
    return found;
  };
  const scratch = core.x.alloc(2 * KEY_SIZE) >>> 0;

  const dumpPmd = (view: PmdView, datapath: UserspaceDatapath): DumpedFlow[] => {
    const { dv, u8, x } = core;
    const flows: DumpedFlow[] = [];
    const capacity = dv.getUint32(view.pmd + PmdLayout.flowCapacity, true);
    const slots = dv.getUint32(view.pmd + PmdLayout.flowSlots, true);
    for (let i = 0; i < capacity; i++) {
      const mf = dv.getUint32(slots + 4 * i, true);
      if (mf === 0 || dv.getUint32(mf + MegaflowLayout.dead, true) !== 0) continue;
      if (datapath.port(dv.getUint32(mf + MegaflowLayout.inPort, true)) === undefined) continue;
      x.megaflowExpand(mf, scratch, scratch + KEY_SIZE);
      const actions = x.megaflowActions(mf) >>> 0;
      const words = [0, 4, 8, 12].map((at) =>
        dv
          .getUint32(mf + MegaflowLayout.ufid0 + at, true)
          .toString(16)
          .padStart(8, '0'),
      );
      const hex = words.join('');
      flows.push({
        ufid: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
        flow: u8.slice(scratch, scratch + KEY_SIZE),
        mask: u8.slice(scratch + KEY_SIZE, scratch + 2 * KEY_SIZE),
        packets: dv.getFloat64(mf + MegaflowLayout.packets, true),
        bytes: dv.getFloat64(mf + MegaflowLayout.bytes, true),
        usedMs: dv.getFloat64(mf + MegaflowLayout.usedMs, true),
        tcpFlags: dv.getUint32(mf + MegaflowLayout.tcpFlags, true),
        actions: u8.slice(actions, actions + (x.megaflowActionsLength(mf) >>> 0)),
      });
    }
    return flows;
  };

  const formatFlow = (flow: DumpedFlow, ports: OdpPortNames | undefined, verbose: boolean): string => {
    const key = formatOdpKey(flow.flow, flow.mask, { verbose, ...(ports === undefined ? {} : { ports }) });
    const used =
      flow.usedMs === 0 ? 'never' : `${((switchd.clock.nowMs() - flow.usedMs) / 1000).toFixed(3)}s`;
    const flags = flow.tcpFlags === 0 ? '' : `, flags:${formatTcpFlags(flow.tcpFlags)}`;
    const actions = formatOdpActions(flow.actions, ports);
    return (
      `${verbose ? `ufid:${flow.ufid}, ` : ''}${key}, packets:${flow.packets}, bytes:${flow.bytes}, used:${used}${flags}` +
      `${verbose ? ', dp:ovs' : ''}, actions:${actions}\n`
    );
  };

  /** Every thread with flows, under OVS's headings. */
  const dumpFlows = (datapath: UserspaceDatapath, verbose: boolean, names: boolean, headings: boolean) => {
    const ports = names ? portNames(datapath) : undefined;
    let text = '';
    const json: unknown[] = [];
    for (const view of switchd.pmds.views()) {
      const flows = dumpPmd(view, datapath);
      if (flows.length === 0) continue;
      if (headings) {
        text += `flow-dump from ${view.coreId === null ? 'the main thread' : `pmd on cpu core: ${view.coreId}`}:\n`;
      }
      for (const f of flows) {
        text += formatFlow(f, ports, verbose);
        json.push({
          ufid: f.ufid,
          core: view.coreId,
          match: formatOdpKey(f.flow, f.mask, { verbose, ...(ports === undefined ? {} : { ports }) }),
          packets: f.packets,
          bytes: f.bytes,
          usedMs: f.usedMs === 0 ? null : switchd.clock.nowMs() - f.usedMs,
          tcpFlags: f.tcpFlags,
          actions: formatOdpActions(f.actions, ports),
        });
      }
    }
    return { text, json: json as never };
  };

  const statsOf = (datapath: UserspaceDatapath): DpStats => {
    const { dv } = core;
    const total: DpStats = { hits: 0, missed: 0, lost: 0, flows: 0 };
    for (const view of switchd.pmds.views()) {
      const f = (at: number): number => dv.getFloat64(view.pmd + at, true);
      total.hits +=
        f(PmdLayout.simpleHits) + f(PmdLayout.emcHits) + f(PmdLayout.smcHits) + f(PmdLayout.megaflowHits);
      total.missed += f(PmdLayout.missOk);
      total.lost += f(PmdLayout.missFailed);
      total.flows += dumpPmd(view, datapath).length;
    }
    return total;
  };

  commands.registerCommand('dpctl/dump-dps', '', 0, 2, () => {
    const names = [...switchd.datapaths.values()].map((d) => `${d.type}@${d.name}`);
    return { text: names.map((n) => `${n}\n`).join(''), json: names };
  });
  commands.registerCommand('dpctl/show', '[-s] [dp...]', 0, Infinity, (args) => {
    const wanted = args.filter((a) => !a.startsWith('-'));
    const datapaths = wanted.length > 0 ? wanted.map(datapathOf) : [...switchd.datapaths.values()];
    return datapaths
      .map((d) =>
        showDatapath(
          d,
          statsOf(d),
          args.some((a) => a === '-s' || a === '--statistics'),
        ),
      )
      .join('');
  });
  commands.registerCommand(
    'dpctl/dump-flows',
    '[-m] [--names | --no-names] [dp] [filter=..] [type=..] [pmd=..]',
    0,
    6,
    (args) => {
      const { datapath, verbose, names } = dumpArguments(args, datapathOf);
      return dumpFlows(datapath, verbose, names, true);
    },
  );
  commands.registerCommand('dpctl/del-flows', '[dp]', 0, 2, async (args) => {
    datapathOf(args.find((a) => !a.startsWith('-')));
    await switchd.purgeFlows();
    return '';
  });
  commands.registerCommand('dpif/dump-dps', '', 0, 0, () => {
    const names = [...switchd.bridges.values()].map((b) => `${b.datapath.type}@${b.name}`);
    return { text: names.map((n) => `${n}\n`).join(''), json: names };
  });
  commands.registerCommand('dpif/dump-flows', '[-m] [--names | --no-names] bridge', 1, 3, (args) => {
    const bridge = switchd.bridges.get(args.find((a) => !a.startsWith('-')) ?? '');
    if (bridge === undefined) throw new OvsError('ENODEV', 'no such bridge');
    const datapath = bridge.datapath as UserspaceDatapath;
    const { verbose, names } = dumpArguments(
      args.filter((a) => a.startsWith('-')),
      () => datapath,
    );
    const mine = new Set([...bridge.interfaces.values()].map((i) => i.dpPort?.odpPort));
    const ports = names ? portNames(datapath) : undefined;
    return switchd.pmds
      .views()
      .flatMap((view) => dumpPmd(view, datapath))
      .filter((f) => mine.has(new DataView(f.flow.buffer).getUint32(4)))
      .map((f) => formatFlow(f, ports, verbose))
      .join('');
  });
  commands.registerCommand('dpif/show', '', 0, 0, () => {
    let text = '';
    for (const datapath of switchd.datapaths.values()) {
      const { hits, missed } = statsOf(datapath);
      text += `${datapath.type}@${datapath.name}: hit:${hits} missed:${missed}\n`;
      const bridges = [...switchd.bridges.values()].filter((b) => b.datapath === datapath);
      for (const bridge of bridges.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        text += `  ${bridge.name}:\n`;
        const rows = [...bridge.interfaces.values()].filter((i) => i.netdev !== null && i.ofport !== null);
        for (const i of rows.sort((a, b) => (a.config.name < b.config.name ? -1 : 1))) {
          const shown = i.config.type === 'patch' ? i.config.options : i.netdev?.config?.();
          text += `    ${i.config.name} ${shownPort(i.ofport ?? 0)}/${i.dpPort?.odpPort ?? 'none'}: (${shownType(i.netdev?.type ?? '')}${shownConfig(shown)})\n`;
        }
      }
    }
    return text;
  });
}

function shownConfig(config: ReadonlyMap<string, string> | undefined): string {
  const parts = [...(config ?? [])].sort().map(([key, value]) => `${key}=${value}`);
  return parts.length > 0 ? `: ${parts.join(', ')}` : '';
}

/** OVS opens internal ports of userspace datapaths as taps and says so. */
const shownType = (type: string): string => (type === 'internal' ? 'tap' : type);

function showDatapath(datapath: UserspaceDatapath, stats: DpStats, withPortStats: boolean): string {
  let text =
    `${datapath.type}@${datapath.name}:\n` +
    `  lookups: hit:${stats.hits} missed:${stats.missed} lost:${stats.lost}\n` +
    `  flows: ${stats.flows}\n` +
    `  port 0: ${datapath.name} (${datapath.type === 'dummy' ? 'dummy-internal' : 'tap'})\n`;
  for (const { odpPort, netdev } of datapath.ports()) {
    text += `  port ${odpPort}: ${netdev.name} (${shownType(netdev.type)}${shownConfig(netdev.config?.())})\n`;
    if (!withPortStats) continue;
    const s = netdev.statistics();
    const n = (key: string): string => String(s[key] ?? '?');
    text +=
      `    RX packets:${n('rx_packets')} errors:${n('rx_errors')} dropped:${n('rx_dropped')} overruns:${n('rx_over_err')} frame:${n('rx_frame_err')}\n` +
      `    TX packets:${n('tx_packets')} errors:${n('tx_errors')} dropped:${n('tx_dropped')} aborted:${n('tx_aborted_errors')} carrier:${n('tx_carrier_errors')}\n` +
      `    collisions:${n('collisions')}\n` +
      `    RX bytes:${n('rx_bytes')}  TX bytes:${n('tx_bytes')}\n`;
  }
  return text;
}

function portNames(datapath: UserspaceDatapath): OdpPortNames {
  return {
    byName: (name) => datapath.portByName(name)?.odpPort,
    byNumber: (odp) => datapath.port(odp)?.netdev.name,
  };
}

/** As OVS: -m implies port names unless --no-names is given. */
function dumpArguments(
  args: readonly string[],
  datapathOf: (name: string | undefined) => UserspaceDatapath,
): { datapath: UserspaceDatapath; verbose: boolean; names: boolean } {
  const verbose = args.some((a) => a === '-m' || a === '--more');
  const names = args.includes('--names') || (verbose && !args.includes('--no-names'));
  const name = args.find((a) => !a.startsWith('-') && !a.includes('='));
  return { datapath: datapathOf(name), verbose, names };
}

/** As `flags:` of dump-flows: letters of tcpdump's order. */
function formatTcpFlags(flags: number): string {
  const letters = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'C', 'N'];
  let text = '';
  letters.forEach((letter, bit) => {
    if ((flags >> bit) & 1) text += letter;
  });
  for (let bit = 9; bit < 12; bit++) if ((flags >> bit) & 1) text += `[${1 << bit}]`;
  return text;
}
