import { spawnSync } from 'node:child_process';

/** Runs a shell command that must succeed. */
export function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(`${command}: ${status}\n${stdout}${stderr}`);
  return stdout;
}

/**
 * Two hosts in network namespaces, each with an `eth0` whose other end is a veth device of the same
 * name as the namespace: `PREFIX1` (10.77.N.1) and `PREFIX2` (10.77.N.2).
 */
export class TwoHosts {
  readonly names: readonly [string, string];
  readonly addresses: readonly [string, string];

  constructor(prefix: string, subnet: number) {
    this.names = [`${prefix}1`, `${prefix}2`];
    this.addresses = [`10.77.${subnet}.1`, `10.77.${subnet}.2`];
    this.remove();
    this.names.forEach((name, i) => {
      sh(`ip netns add ${name} && ip link add ${name} type veth peer name eth0 netns ${name}`);
      sh(`ip -n ${name} addr add ${this.addresses[i] ?? ''}/24 dev eth0`);
      sh(`ip -n ${name} link set lo up && ip -n ${name} link set eth0 up && ip link set ${name} up`);
    });
  }

  /** Packets lost when the first host pings the second, in percent. */
  pingLoss(count: number): number {
    const { stdout } = spawnSync(
      'ip',
      [
        'netns',
        'exec',
        this.names[0],
        'ping',
        '-c',
        String(count),
        '-i',
        '0.02',
        '-W',
        '2',
        this.addresses[1],
      ],
      { encoding: 'utf8' },
    );
    return Number(/([0-9.]+)% packet loss/.exec(stdout)?.[1] ?? 100);
  }

  remove(): void {
    for (const name of this.names) {
      spawnSync('ip', ['link', 'del', name]);
      spawnSync('ip', ['netns', 'del', name]);
    }
  }
}
