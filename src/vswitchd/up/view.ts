import { PmdLayout } from '../../datapath/generated/pmd.ts';
import type { LabNetwork } from '../../lab/lab-network.ts';
import type { HostCounters } from '../../lab/virtual-host.ts';
import { shownPort } from '../port-text.ts';
import type { Switchd } from '../switchd.ts';

/** One reading of the counters that the view shows. */
interface Reading {
  readonly atMs: number;
  readonly rx: number;
  readonly emc: number;
  readonly megaflow: number;
  readonly missed: number;
}

const OFPP_LOCAL = 65534;

function portText(ofport: number | null): string {
  if (ofport === null) return '-';
  return shownPort(ofport) === OFPP_LOCAL ? 'LOCAL' : String(ofport);
}

/** The text of `megaflow up`: what the switch does now, and what to try next. */
export class LiveView {
  readonly #switchd: Switchd;
  readonly #lab: LabNetwork | null;
  readonly #hints: readonly string[];
  #last: Reading;

  constructor(switchd: Switchd, lab: LabNetwork | null, hints: readonly string[]) {
    this.#switchd = switchd;
    this.#lab = lab;
    this.#hints = hints;
    this.#last = this.#read();
  }

  #read(): Reading {
    const { core, pmds, clock } = this.#switchd;
    const reading = { atMs: clock.nowMs(), rx: 0, emc: 0, megaflow: 0, missed: 0 };
    for (const { pmd } of pmds.views()) {
      reading.rx += core.dv.getFloat64(pmd + PmdLayout.rxPackets, true);
      reading.emc += core.dv.getFloat64(pmd + PmdLayout.emcHits, true);
      reading.megaflow +=
        core.dv.getFloat64(pmd + PmdLayout.simpleHits, true) +
        core.dv.getFloat64(pmd + PmdLayout.smcHits, true) +
        core.dv.getFloat64(pmd + PmdLayout.megaflowHits, true);
      reading.missed += core.dv.getFloat64(pmd + PmdLayout.missOk, true);
    }
    return reading;
  }

  #megaflows(): number {
    const { core, pmds } = this.#switchd;
    return pmds.views().reduce((n, { pmd }) => n + core.dv.getUint32(pmd + PmdLayout.flowCount, true), 0);
  }

  /** The lines of one refresh; rates are since the last one. */
  lines(): string[] {
    const now = this.#read();
    const last = this.#last;
    this.#last = now;
    const sec = Math.max(0.001, (now.atMs - last.atMs) / 1000);
    const lines: string[] = [];
    for (const bridge of this.#switchd.bridges.values()) {
      lines.push(`bridge ${bridge.name} (${bridge.datapath.type})`);
      for (const i of bridge.interfaces.values()) {
        if (i.netdev === null) {
          lines.push(`  ${i.config.name.padEnd(10)} down: ${i.error ?? 'not open'}`);
          continue;
        }
        const s = i.netdev.statistics();
        lines.push(
          `  ${i.config.name.padEnd(10)} port ${portText(i.ofport).padEnd(6)} ${i.netdev.type.padEnd(9)}` +
            ` rx ${String(s['rx_packets'] ?? 0).padStart(10)}  tx ${String(s['tx_packets'] ?? 0).padStart(10)}`,
        );
      }
    }
    const share = (n: number, of: number): string => (of > 0 ? `${((100 * n) / of).toFixed(1)}%` : '-');
    const rx = now.rx - last.rx;
    const looked = rx > 0 ? rx : 0;
    lines.push(
      `packets ${(rx / sec).toFixed(0)}/s   EMC ${share(now.emc - last.emc, looked)}   ` +
        `megaflow ${share(now.megaflow - last.megaflow, looked)}   misses ${share(now.missed - last.missed, looked)}   ` +
        `megaflows ${this.#megaflows()}`,
    );
    if (this.#lab !== null) {
      const { hosts } = this.#lab;
      const sum = (pick: (c: HostCounters) => number): number =>
        hosts.reduce((n, h) => n + pick(h.counters), 0);
      lines.push(
        `lab: ping ${sum((c) => c.echoReplies)}/${sum((c) => c.echoRequests)} answered, ` +
          `udp echo ${sum((c) => c.udpEchoed)}/${sum((c) => c.udpSent)} answered`,
      );
    }
    return [...lines, ...this.#hints];
  }

  /** One last line when the switch stops. */
  summary(): string {
    const r = this.#read();
    const hosts = this.#lab?.hosts ?? [];
    const replies = hosts.reduce((n, h) => n + h.counters.echoReplies + h.counters.udpEchoed, 0);
    return (
      `received ${r.rx} packets: ${r.emc} EMC hits, ${r.megaflow} megaflow hits, ${r.missed} misses` +
      (this.#lab === null ? '' : `; the lab's hosts got ${replies} answers`)
    );
  }
}
