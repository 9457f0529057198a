import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePcap } from '../../bench/macro/frames.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { waitFor } from '../support/daemons.ts';
import type { SwitchUnderTest } from '../support/daemons.ts';
import { below, pick } from './soak-switch.ts';

const sink = 100;
const mainReplay = 1;
const maxExtraPorts = 6;
/** Of 8 addresses one is dropped by a rule that stays; nothing else may be lost. */
const dropMask = '0.0.0.7';

export interface Account {
  readonly received: number;
  readonly swallowed: number;
  readonly droppedByRule: number;
  /** `datapath_drop_*`, without those of copies to ports that have just gone. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly lostUpcalls: number;
}

/** Packets that came in and neither went out nor were dropped for a known reason. */
export function unaccounted(a: Account): number {
  const dropped = Object.values(a.dropped).reduce((sum, n) => sum + n, 0);
  return a.received - a.swallowed - a.droppedByRule - dropped;
}

/**
 * A switch whose PMD replays flows for ever into a port that swallows them, one megaflow a flow, while
 * rules and ports come and go. One rule drops an eighth of the flows and is never deleted, all others end
 * at the sink, so that every packet is accounted for: received = swallowed + dropped by reason.
 */
export class FullRateSwitch {
  readonly s: SwitchUnderTest;
  readonly flows: number;
  #random = new SeededRandom(0);
  /** A bridge is a device of the machine: two soaks at a time must not share it. */
  readonly #bridge = `frb${process.pid}`;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mf-replay-'));
  readonly #datapath: string;
  #extraReceived = 0;
  #extra: { name: string; isReplay: boolean }[] = [];
  #serial = 0;
  #dropsBefore: Record<string, number> = {};

  constructor(s: SwitchUnderTest, flows: number, datapath: 'netdev' | 'dummy') {
    this.s = s;
    this.flows = flows;
    this.#datapath = datapath;
    writePcap(join(this.#folder, 'main.pcap'), flows, (i) => ({
      nwSrc: 0x0a00_0000 + i,
      tpSrc: 1024 + (i % 60_000),
    }));
    writePcap(join(this.#folder, 'extra.pcap'), 512, (i) => ({ nwSrc: 0x0a80_0000 + i, tpSrc: 1024 + i }));
  }

  vsctl(...args: string[]): string {
    return this.s.stockOk('ovs-vsctl', '--timeout=60', ...args);
  }
  ofctl(...args: string[]): string {
    return this.s.stockOk('ovs-ofctl', '-O', 'OpenFlow13', ...args);
  }
  appctl(...args: string[]): string {
    return this.s.stockOk('ovs-appctl', ...args);
  }

  /**
   * Builds everything and waits until all megaflows stand.
   *
   * @param seed Of the changes that follow.
   */
  async begin(seed: number): Promise<void> {
    this.#random = new SeededRandom(seed);
    this.#serial = 0;
    this.#extraReceived = 0;
    this.#dropsBefore = this.#drops();
    this.vsctl(
      ...[
        'add-br',
        this.#bridge,
        '--',
        'set',
        'bridge',
        this.#bridge,
        `datapath_type=${this.#datapath}`,
        'fail_mode=secure',
      ],
      ...[
        '--',
        'set',
        'Open_vSwitch',
        '.',
        'other_config:max-idle=3600000',
        'other_config:flow-limit=1000000',
      ],
      ...['--', 'add-port', this.#bridge, 'frsink', '--', 'set', 'interface', 'frsink', 'type=null'],
      `ofport_request=${sink}`,
    );
    this.appctl('upcall/set-flow-limit', '1000000');
    this.ofctl('add-flow', this.#bridge, `table=0,priority=1000,ip,nw_src=0.0.0.0/${dropMask},actions=drop`);
    this.ofctl(
      'add-flow',
      this.#bridge,
      'table=0,priority=10,ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],resubmit(,1)',
    );
    this.ofctl('add-flow', this.#bridge, `table=1,priority=1,actions=output:${sink}`);
    this.#addReplay('frrx', 'main.pcap', mainReplay);
    // Those that the rule drops need one megaflow together.
    await waitFor(() => this.#megaflows() > this.flows * 0.8, `${this.flows} megaflows`, 120_000);
  }

  #addReplay(name: string, file: string, ofport: number): void {
    this.vsctl(
      ...['add-port', this.#bridge, name, '--', 'set', 'interface', name, 'type=pcap'],
      ...[`options:rx_pcap="${join(this.#folder, file)}"`, 'options:infinite=true'],
      `ofport_request=${ofport}`,
    );
  }

  #megaflows(): number {
    return Number(/flows\s*: \(current (\d+)\)/.exec(this.appctl('upcall/show'))?.[1]);
  }

  /** One change of rules or ports. Returns what it was. */
  change(): string {
    const r = this.#random;
    const n = this.#serial++;
    const steps: readonly (readonly [name: string, run: () => void])[] = [
      [
        'rules above',
        () => {
          const address = `10.${below(r, 4)}.${below(r, 256)}.0/24`;
          this.ofctl(
            'add-flow',
            this.#bridge,
            `table=1,priority=${2 + below(r, 50)},ip,nw_src=${address},actions=set_field:${n}->reg1,output:${sink}`,
          );
        },
      ],
      [
        'rules gone',
        () => this.ofctl('--strict', 'del-flows', this.#bridge, `table=1,priority=${2 + below(r, 50)}`),
      ],
      [
        'rules of a network gone',
        () => this.ofctl('del-flows', this.#bridge, `table=1,ip,nw_src=10.${below(r, 4)}.0.0/16`),
      ],
      [
        'actions changed',
        () =>
          this.ofctl(
            'mod-flows',
            this.#bridge,
            `table=1,actions=set_field:${below(r, 9)}->reg2,output:${sink}`,
          ),
      ],
      [
        'port added',
        () => {
          if (this.#extra.length === maxExtraPorts) this.#removeExtra();
          // PMDs keep a transmit record for each port number; on dummy datapaths that is the name's.
          let k = 1;
          while (this.#extra.some((e) => e.name === `frx${k}`)) k++;
          const name = `frx${k}`;
          const isReplay = below(r, 2) === 0;
          if (isReplay) this.#addReplay(name, 'extra.pcap', 200 + k);
          else this.vsctl('add-port', this.#bridge, name, '--', 'set', 'interface', name, 'type=null');
          this.#extra.push({ name, isReplay });
          if (!isReplay)
            this.ofctl(
              'add-flow',
              this.#bridge,
              `table=1,priority=60,ip,nw_src=10.0.${below(r, 256)}.0/24,actions=output:${name},output:${sink}`,
            );
        },
      ],
      ['port gone', () => this.#removeExtra()],
      [
        'caches',
        () =>
          this.vsctl(
            'set',
            'Open_vSwitch',
            '.',
            `other_config:emc-insert-inv-prob=${pick(r, ['0', '1', '100'])}`,
          ),
      ],
      ['dump', () => this.appctl('dpctl/dump-flows', '-m')],
      ['flow dump', () => this.ofctl('dump-flows', this.#bridge)],
    ];
    const [name, run] = pick(r, steps);
    run();
    return name;
  }

  /** A replay's counters go with its port: it is stopped and read before. */
  #removeExtra(): void {
    const port = this.#extra.shift();
    if (port === undefined) return;
    if (port.isReplay) this.#extraReceived += this.#stop(port.name);
    this.vsctl('del-port', this.#bridge, port.name);
  }

  /** Stops a replay; packets that it has given. */
  #stop(name: string): number {
    this.ofctl('mod-port', this.#bridge, name, 'down');
    let last = -1;
    for (let now = this.#received(name); now !== last; now = this.#received(name)) last = now;
    return last;
  }

  #received(name: string): number {
    return Number(/rx pkts=(\d+)/.exec(this.ofctl('dump-ports', this.#bridge, name))?.[1]);
  }

  /**
   * Waits until all megaflows stand again: on a busy machine rounds of the revalidators are slow, and the
   * flow limit falls as it does in OVS. Returns the fewest that were seen.
   */
  async standing(): Promise<number> {
    let fewest = Infinity;
    await waitFor(
      () => {
        this.appctl('upcall/set-flow-limit', '1000000');
        const now = this.#megaflows();
        fewest = Math.min(fewest, now);
        return now > this.flows * 0.8;
      },
      `${this.flows} megaflows stand again`,
      300_000,
    );
    return fewest;
  }

  /** Stops all traffic and counts. The switch must be quiet: everything received has been dealt with. */
  async account(): Promise<Account> {
    while (this.#extra.length > 0) this.#removeExtra();
    const received = this.#stop('frrx') + this.#extraReceived;
    const swallowedNow = (): number =>
      Number(/tx pkts=(\d+)/.exec(this.ofctl('dump-ports', this.#bridge, 'frsink'))?.[1]);
    let swallowed = -1;
    await waitFor(() => {
      const before = swallowed;
      swallowed = swallowedNow();
      return swallowed === before;
    }, 'the sink is quiet');
    let droppedByRule = -1;
    await waitFor(() => {
      const before = droppedByRule;
      this.appctl('revalidator/wait');
      const text = this.ofctl('dump-flows', this.#bridge, 'table=0,ip');
      droppedByRule = Number(/n_packets=(\d+)[^\n]*actions=drop/.exec(text)?.[1]);
      return droppedByRule === before;
    }, 'the drop rule has all its packets');
    const drops = this.#drops();
    const dropped: Record<string, number> = {};
    for (const [name, count] of Object.entries(drops)) {
      if (name !== 'datapath_drop_invalid_port') dropped[name] = count - (this.#dropsBefore[name] ?? 0);
    }
    const lost = [...this.appctl('dpif-netdev/pmd-stats-show').matchAll(/miss with failed upcall: (\d+)/g)];
    return {
      received,
      swallowed,
      droppedByRule,
      dropped,
      lostUpcalls: lost.reduce((sum, m) => sum + Number(m[1]), 0),
    };
  }

  #drops(): Record<string, number> {
    const lines = this.appctl('coverage/show').matchAll(
      /^(datapath_drop_\w+|drop_action_\w+) .*total: (\d+)/gm,
    );
    return Object.fromEntries([...lines].map((m) => [m[1] ?? '', Number(m[2])]));
  }

  /**
   * Takes everything down. What memory/show says once all megaflows are gone, nothing waits to be freed, and nothing has
   * changed for two seconds: a PMD without packets looks through its EMC for dead megaflows once a second.
   */
  async end(): Promise<Map<string, number>> {
    this.vsctl('--if-exists', 'del-br', this.#bridge);
    this.#extra = [];
    // Revalidators delete megaflows of ports that are gone; those of the hosts' bridge stay.
    await waitFor(() => this.#megaflows() < 50, 'the megaflows are gone', 120_000);
    let memory = new Map<string, number>();
    let blocks = '';
    let sinceMs = 0;
    await waitFor(
      () => {
        const words = this.appctl('memory/show')
          .trim()
          .split(/(?<=:\d+) /);
        memory = new Map(
          words.map((w) => [w.slice(0, w.lastIndexOf(':')), Number(w.slice(w.lastIndexOf(':') + 1))]),
        );
        const now = String(memory.get('arena 320B'));
        if (now !== blocks || memory.get('arena limbo') !== 0) {
          blocks = now;
          sinceMs = performance.now();
        }
        return performance.now() - sinceMs > 2000;
      },
      'nothing waits to be freed',
      60_000,
    );
    return memory;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
