import { PmdLayout } from '../../datapath/generated/pmd.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import type { Switchd } from '../switchd.ts';
import type { PmdView } from '../threads/pmd-pool.ts';

/** dpif-netdev/*. */
export function registerPmdCommands(commands: UnixctlCommands, switchd: Switchd): void {
  const { core } = switchd;

  /** Arguments `[-pmd core] [dp]`, as OVS takes them. */
  const select = (args: readonly string[]): PmdView[] => {
    let views = switchd.pmds.views();
    for (let i = 0; i < args.length; i++) {
      if (args[i] === '-pmd') {
        const coreId = Number(args[++i]);
        views = views.filter((v) => v.coreId === coreId);
      } else if (
        ![...switchd.datapaths.values()].some((d) => d.name === args[i] || `${d.type}@${d.name}` === args[i])
      ) {
        throw new OvsError('ENODEV', 'please specify an existing datapath');
      }
    }
    if (switchd.datapaths.size === 0) throw new OvsError('ENODEV', 'please specify an existing datapath');
    return views;
  };
  const heading = (v: PmdView): string =>
    v.coreId === null ? 'main thread:\n' : `pmd thread numa_id 0 core_id ${v.coreId}:\n`;

  const numbersOf = (v: PmdView) => {
    const f = (at: number): number => core.dv.getFloat64(v.pmd + at, true);
    const received = f(PmdLayout.rxPackets);
    const recirculations = f(PmdLayout.recirculations);
    const megaflowHits = f(PmdLayout.megaflowHits);
    const txBatches = f(PmdLayout.txBatches);
    return {
      received,
      recirculations,
      passes: received > 0 ? (received + recirculations) / received : 0,
      emcHits: f(PmdLayout.emcHits),
      smcHits: f(PmdLayout.smcHits),
      megaflowHits,
      lookups: megaflowHits > 0 ? f(PmdLayout.subtableLookups) / megaflowHits : 0,
      missOk: f(PmdLayout.missOk),
      missFailed: f(PmdLayout.missFailed),
      perBatch: txBatches > 0 ? f(PmdLayout.txPackets) / txBatches : 0,
    };
  };

  commands.registerCommand('dpif-netdev/pmd-stats-show', '[-pmd core] [dp]', 0, 3, (args) => {
    const views = select(args);
    const rows = views.map((v) => ({ thread: v.coreId, ...numbersOf(v) }));
    const text = views.map((v) => {
      const n = numbersOf(v);
      return (
        heading(v) +
        `  packets received: ${n.received}\n` +
        `  packet recirculations: ${n.recirculations}\n` +
        `  avg. datapath passes per packet: ${n.passes.toFixed(2)}\n` +
        `  phwol hits: 0\n` +
        `  mfex opt hits: 0\n` +
        `  simple match hits: 0\n` +
        `  emc hits: ${n.emcHits}\n` +
        `  smc hits: ${n.smcHits}\n` +
        `  megaflow hits: ${n.megaflowHits}\n` +
        `  avg. subtable lookups per megaflow hit: ${n.lookups.toFixed(2)}\n` +
        `  miss with success upcall: ${n.missOk}\n` +
        `  miss with failed upcall: ${n.missFailed}\n` +
        `  avg. packets per output batch: ${n.perBatch.toFixed(2)}\n`
      );
    });
    return { text: text.join(''), json: rows };
  });
  commands.registerCommand('dpif-netdev/pmd-stats-clear', '[-pmd core] [dp]', 0, 3, (args) => {
    for (const v of select(args)) core.x.pmdStatsClear(v.pmd);
    return '';
  });
  commands.registerCommand('dpif-netdev/pmd-rxq-show', '[-pmd core] [dp]', 0, 3, (args) => {
    let text = '';
    for (const v of select(args)) {
      if (v.coreId === null) continue;
      text += `${heading(v)}  isolated : false\n`;
      for (const port of v.rxPorts)
        text += `  port: ${port.padEnd(16)}  queue-id:  0 (enabled)   pmd usage: NOT AVAIL\n`;
    }
    return text;
  });
}
