import { parseArgs } from 'node:util';
import { SwitchUnderTest } from '../support/daemons.ts';
import { TwoHosts } from '../support/netns.ts';
import { isRoot } from '../support/tools.ts';
import { FullRateSwitch, unaccounted } from './full-rate-switch.ts';
import { SteadyPing } from './soak-switch.ts';

/**
 * A PMD at full rate for a long time: 200,000 megaflows stand, rules and ports come and go. Checks after
 * each cycle that every packet is accounted for, and that what was removed gave its memory back. As root
 * two hosts ping each other through a second bridge of the same PMD all the time.
 *
 * By hand: `npx tsx tests/soak/full-rate.ts --seconds 1800 [--seed 1] [--flows 200000] [--type system|afxdp]`
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
    flows: { type: 'string', default: '200000' },
    type: { type: 'string', default: 'system' },
  },
});
const endMs = performance.now() + Number(values.seconds) * 1000;
const flows = Number(values.flows);
/** Changes between two accounts. */
const changesACycle = 40;
let faults = 0;
const fault = (text: string): void => {
  faults++;
  console.log(`FAULT ${text}`);
};

const hosts = isRoot ? new TwoHosts(`fr${process.pid}x`, 89) : null;
const s = await SwitchUnderTest.start('ours', ['--arena-mb=3072', ...(isRoot ? [] : ['--enable-dummy'])]);
const soak = new FullRateSwitch(s, flows, isRoot ? 'netdev' : 'dummy');
console.log(
  `seed ${values.seed}, ${flows} flows, ${hosts === null ? 'no devices' : `${values.type} devices`}`,
);
const hostsBridge = `frh${process.pid}`;
let first: Map<string, number> | null = null;
let cycles = 0;
let total = 0;
try {
  if (hosts !== null) {
    soak.vsctl('add-br', hostsBridge, '--', 'set', 'bridge', hostsBridge, 'datapath_type=netdev');
    for (const name of hosts.names) {
      const type = values.type === 'system' ? '""' : values.type;
      soak.vsctl('add-port', hostsBridge, name, '--', 'set', 'interface', name, `type=${type}`);
    }
    hosts.pingLoss(5);
  }
  do {
    const ping = hosts === null ? null : new SteadyPing(hosts.names[0], hosts.addresses[1]);
    await soak.begin(Number(values.seed) + cycles);
    let fewest = Infinity;
    for (let i = 0; i < changesACycle && (performance.now() < endMs || i === 0); i++) {
      process.stdout.write(`${soak.change()}; `);
      fewest = Math.min(fewest, await soak.standing());
    }
    const pinged = await ping?.stop();
    const account = await soak.account();
    const left = unaccounted(account);
    if (left !== 0) fault(`cycle ${cycles}: ${left} packets unaccounted for: ${JSON.stringify(account)}`);
    total += account.received;
    const memory = await soak.end();
    console.log(
      `\ncycle ${cycles}: ${account.received} packets, ${account.droppedByRule} dropped by the rule, ` +
        `${JSON.stringify(Object.fromEntries(Object.entries(account.dropped).filter(([, n]) => n > 0)))}, at least ${fewest} megaflows` +
        (pinged === undefined ? '' : `; ping ${pinged.sent} sent, ${pinged.lost} lost`),
    );
    if ((memory.get('arena bad frees') ?? 0) !== 0) fault(`bad frees: ${memory.get('arena bad frees')}`);
    // Of afxdp devices: every frame of the UMEM is in a ring, a list, or free.
    const lost = memory.get('xsk frames lost') ?? 0;
    if (lost !== 0) fault(`cycle ${cycles}: ${lost} UMEM frames are lost`);
    // Lists and threads are warm after the first.
    first ??= cycles === 1 ? memory : null;
    for (const [k, v] of memory) {
      const was = first?.get(k) ?? (first === null ? v : 0);
      if (/^arena \d+B$/.test(k) && v - was > Math.max(6, cycles))
        fault(`cycle ${cycles}: ${k} ${was} -> ${v}`);
    }
    cycles++;
  } while (performance.now() < endMs);
  if (hosts !== null && hosts.pingLoss(20) !== 0) fault('a ping is lost after all was removed');
} catch (error) {
  fault(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  soak.close();
  await s.stop();
  hosts?.remove();
}
console.log(`${cycles} cycles, ${total} packets, ${faults} faults (seed ${values.seed})`);
process.exitCode = faults > 0 ? 1 : 0;
