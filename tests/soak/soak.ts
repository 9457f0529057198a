import { parseArgs } from 'node:util';
import { readFileSync } from 'node:fs';
import { SeededRandom } from '../../src/util/random.ts';
import { SwitchUnderTest } from '../support/daemons.ts';
import { sh, TwoHosts } from '../support/netns.ts';
import { isRoot } from '../support/tools.ts';
import { pick, SoakSwitch, SteadyPing } from './soak-switch.ts';

/**
 * Random life of a switch: cycles of flow_mods, ports, bridges, VLANs, threads that change and die,
 * controllers and a database server that come and go; at the end of each cycle all of it is removed
 * and the arena must be as it was. By hand: `npx tsx tests/soak/soak.ts --seconds 120 --seed 1
 * [--dummy]`; without root, or with --dummy, on dummy ports.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    dummy: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const isDummy = values.dummy || !isRoot;
const random = new SeededRandom(seed);
const endMs = performance.now() + Number(values.seconds) * 1000;
const faults: string[] = [];
const fault = (text: string): void => {
  faults.push(text);
  console.log(`FAULT ${text}`);
};

const hosts = isDummy ? null : new TwoHosts('sk', 88);
if (!isDummy) sh('ip netns del skns 2>/dev/null; ip netns add skns');
const s = await SwitchUnderTest.start('ours', isDummy ? ['--enable-dummy'] : []);
const soak = new SoakSwitch(s, random, isDummy);
console.log(`seed ${seed}, ${isDummy ? 'dummy' : 'veth'} ports, ${s.rundir}`);

function cpuTicks(): number {
  const stat =
    readFileSync(`/proc/${s.pid('ovs-vswitchd')}/stat`, 'utf8')
      .split(') ')[1]
      ?.split(' ') ?? [];
  return Number(stat[11]) + Number(stat[12]);
}

async function restartServer(): Promise<void> {
  process.kill(s.pid('ovsdb-server'), 'SIGKILL');
  await s.startServer();
}

async function cycle(n: number): Promise<void> {
  const bridges = ['skbr1', 'skbr2'];
  for (const b of bridges) soak.addBridge(b);
  soak.vsctl(
    'add-port',
    'skbr1',
    'skpa',
    '--',
    'set',
    'interface',
    'skpa',
    'type=patch',
    'options:peer=skpb',
    '--',
    'add-port',
    'skbr2',
    'skpb',
    '--',
    'set',
    'interface',
    'skpb',
    'type=patch',
    'options:peer=skpa',
  );
  const ports = new Map<string, string>();
  let serial = 0;
  const addPort = (): void => {
    const name = `skv${n}x${serial++}`;
    const bridge = pick(random, bridges);
    soak.addPort(bridge, name);
    ports.set(name, bridge);
  };
  for (let i = 0; i < 3; i++) addPort();
  const steps: readonly (readonly [name: string, run: () => void | Promise<void>])[] = [
    ['flow_mods', () => soak.flowMods(pick(random, bridges), 300)],
    [
      'traffic',
      () => {
        for (const name of ports.keys()) soak.traffic(name);
      },
    ],
    [
      'traffic',
      () => {
        for (const name of ports.keys()) soak.traffic(name);
      },
    ],
    ['add port', addPort],
    [
      'del port',
      () => {
        const [name, bridge] = [...ports][0] ?? [];
        if (name === undefined || bridge === undefined) return;
        soak.delPort(bridge, name);
        ports.delete(name);
      },
    ],
    [
      'vlan',
      () => {
        const name = pick(random, [...ports.keys(), 'skpa']);
        soak.vsctl(
          'set',
          'port',
          name,
          ...pick(random, [
            ['tag=10'],
            ['trunks=10,20'],
            ['vlan_mode=native-untagged', 'tag=20'],
            ['tag=[]', 'trunks=[]', 'vlan_mode=[]'],
          ]),
        );
      },
    ],
    ['threads', () => soak.threads()],
    ['caches', () => soak.caches()],
    ['kill thread', () => soak.killThread()],
    [
      'controller',
      async () => {
        await soak.controllerOn(pick(random, bridges));
      },
    ],
    ['no controller', () => soak.controllerOff(pick(random, bridges))],
    ['del-flows', () => soak.ofctl('del-flows', pick(random, bridges))],
    [
      'dpctl/del-flows',
      () => {
        soak.appctl('dpctl/del-flows');
      },
    ],
    ['ovsdb restart', restartServer],
  ];
  for (let i = 0; i < 14; i++) {
    const [name, run] = pick(random, steps);
    process.stdout.write(`${name}; `);
    await run();
    for (const line of soak.unexplained()) fault(`cycle ${n}, ${name}: ${line}`);
  }
  for (const [name, bridge] of ports) soak.delPort(bridge, name);
  for (const b of bridges) soak.vsctl('del-br', b);
  soak.vsctl(
    'remove',
    'Open_vSwitch',
    '.',
    'other_config',
    'n-revalidator-threads',
    '--',
    'remove',
    'Open_vSwitch',
    '.',
    'other_config',
    'n-handler-threads',
    '--',
    'remove',
    'Open_vSwitch',
    '.',
    'other_config',
    'pmd-cpu-mask',
  );
  process.stdout.write('\n');
}

function counters(): void {
  // Each packet that came in met one rule.
  soak.ofctl('del-flows', 'skbr0');
  soak.ofctl('add-flow', 'skbr0', 'actions=NORMAL');
  // What hits a megaflow that no round has seen since is credited to the rule it was made by.
  soak.appctl('revalidator/wait');
  const received = (): number =>
    [...soak.ofctl('dump-ports', 'skbr0').matchAll(/rx pkts=(\d+)/g)].reduce((a, m) => a + Number(m[1]), 0);
  const before = received();
  if (hosts !== null) hosts.pingLoss(50);
  else soak.traffic('sk1', 20);
  let rules = -1;
  let got = 0;
  for (let tries = 0; tries < 50 && rules !== got; tries++) {
    soak.appctl('revalidator/wait');
    got = received() - before;
    rules = Number(/n_packets=(\d+)/.exec(soak.ofctl('dump-flows', 'skbr0'))?.[1]);
  }
  if (rules !== got) fault(`rules counted ${rules} packets, ports ${got}`);
}

let first: Map<string, number> | null = null;
let cycles = 0;
try {
  soak.addBridge('skbr0');
  for (const i of [1, 2])
    soak.vsctl(
      'add-port',
      'skbr0',
      `sk${i}`,
      ...(isDummy ? ['--', 'set', 'interface', `sk${i}`, 'type=dummy'] : []),
    );
  if (hosts !== null) hosts.pingLoss(5);
  do {
    const ping = hosts === null ? null : new SteadyPing('sk1', hosts.addresses[1]);
    await cycle(cycles++);
    const pinged = await ping?.stop();
    // A worker that was killed, or moved, may take what it held with it.
    if (pinged !== undefined) console.log(`steady ping: ${pinged.sent} sent, ${pinged.lost} lost`);
    counters();
    if (hosts !== null && hosts.pingLoss(20) !== 0)
      fault(`cycle ${cycles}: a ping is lost after all was removed`);
    const memory = await soak.settledMemory();
    if ((memory.get('arena bad frees') ?? 0) !== 0) fault(`bad frees: ${memory.get('arena bad frees')}`);
    // The second cycle starts from warm lists.
    if (cycles === 2) first = memory;
    if (first !== null && cycles > 2) {
      const grown = [...memory].filter(
        ([k, v]) => /^arena (\d+B|blocks)$/.test(k) && v > (first?.get(k) ?? 0),
      );
      console.log(
        `memory since cycle 2: ${grown.map(([k, v]) => `${k} +${v - (first?.get(k) ?? 0)}`).join(', ') || 'none'}`,
      );
    }
    const ticks = cpuTicks();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const percent = (cpuTicks() - ticks) / 1.5;
    if (percent > 3) fault(`idle, but ${percent.toFixed(1)}% of a core`);
  } while (performance.now() < endMs);
  // A thread that is killed takes its few private blocks with it.
  const last = await soak.settledMemory();
  for (const [k, v] of last) {
    const was = first?.get(k) ?? v;
    if (/^arena \d+B$/.test(k) && v - was >= Math.max(4, cycles - 2) + 4 * soak.kills)
      fault(`leak: ${k} ${was} -> ${v} in ${cycles - 2} cycles`);
  }
} catch (error) {
  fault(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  soak.end();
  if (faults.length > 0)
    console.log(
      s
        .log()
        .split('\n')
        .filter((l) => /\|(ERR|EMER)\|/.test(l))
        .slice(-20)
        .join('\n'),
    );
  await s.stop();
  hosts?.remove();
  if (!isDummy)
    sh('ip netns del skns; for d in $(ls /sys/class/net | grep "^skv"); do ip link del $d; done; true');
}
console.log(`${cycles} cycles, ${faults.length} faults (seed ${seed})`);
process.exitCode = faults.length > 0 ? 1 : 0;
