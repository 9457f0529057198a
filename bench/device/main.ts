/**
 * Both switches between two veth devices, in turn: frames a second, round trip, TCP, idle CPU. As root.
 *
 * Usage: main.ts [--types system,afxdp] [--kinds ours,stock] [--rounds 3] [--cases udp,ping,tcp,idle] [--seconds 3]
 */
import { parseArgs } from 'node:util';
import { DeviceRig } from './rig.ts';

const { values } = parseArgs({
  options: {
    types: { type: 'string', default: 'system,afxdp' },
    kinds: { type: 'string', default: 'ours,stock' },
    rounds: { type: 'string', default: '3' },
    cases: { type: 'string', default: 'udp,ping,tcp,idle' },
    seconds: { type: 'string', default: '3' },
    prefix: { type: 'string', default: 'devb' },
  },
});
const cases = values.cases.split(',');
const seconds = Number(values.seconds);
const found = new Map<string, number[]>();
const note = (key: string, value: number): void => {
  found.set(key, [...(found.get(key) ?? []), value]);
  console.log(`${key}: ${value.toPrecision(4)}`);
};

for (let round = 0; round < Number(values.rounds); round++) {
  for (const type of values.types.split(',')) {
    for (const kind of values.kinds.split(',') as ('ours' | 'stock')[]) {
      const rig = await DeviceRig.start({ kind, type }, values.prefix, 61);
      try {
        if (cases.includes('udp')) {
          for (const flows of [1, 10_000]) {
            const t = await rig.forward(flows, 60, seconds);
            note(`${type} ${kind} udp ${flows} kpps`, t.kpps);
            note(`${type} ${kind} udp ${flows} ns/packet`, t.nsPerPacket);
          }
        }
        if (cases.includes('ping')) note(`${type} ${kind} ping us`, rig.floodPing());
        if (cases.includes('tcp')) {
          const t = await rig.tcp(seconds);
          note(`${type} ${kind} tcp Gb/s`, t.gbps);
          note(`${type} ${kind} tcp pmd s/GB`, t.cpuSecondsPerGb);
        }
        if (cases.includes('idle')) note(`${type} ${kind} idle cores`, await rig.idleCores());
      } finally {
        await rig.stop();
      }
    }
  }
}
console.log('\nmedians (all)');
for (const [key, all] of found) {
  const sorted = [...all].sort((a, b) => a - b);
  console.log(
    `${key.padEnd(36)} ${(sorted[sorted.length >> 1] ?? NaN).toPrecision(4).padStart(9)}   ${all.map((v) => v.toPrecision(4)).join(' ')}`,
  );
}
