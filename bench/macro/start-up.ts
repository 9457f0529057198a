/**
 * How long a tool takes from its start to its end: `npx tsx bench/macro/start-up.ts [RUNS]` after `npm run build`.
 *
 * Each tool does its cheapest work on servers that run; `node -e 0`, in turn with them, is what Node alone takes, once
 * with and once without NODE_EXTRA_CA_CERTS, which the launchers take away. Median and slowest of the runs.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const runs = Number(process.argv[2] ?? 30);
const dir = mkdtempSync(join(tmpdir(), 'start-up-'));
const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
const { NODE_EXTRA_CA_CERTS: _, ...plainEnv }: NodeJS.ProcessEnv = env;
const bin = (name: string): string => join(root, 'bin', name);

function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = env): void {
  const { status, stderr } = spawnSync(program, args, {
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

const daemon = ['--detach', '--pidfile', '--log-file', '-vconsole:off'];
const database = join(dir, 'conf.db');
run(bin('ovsdb-tool'), ['create', database, join(root, 'share/vswitch.ovsschema')]);
run(bin('ovsdb-server'), [`--remote=punix:${dir}/db.sock`, ...daemon, database]);
try {
  run(bin('ovs-vswitchd'), ['--enable-dummy', ...daemon, `unix:${dir}/db.sock`]);
  try {
    run(bin('ovs-vsctl'), ['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy']);
    const cases: readonly (readonly [name: string, run: () => void])[] = [
      ['node -e 0', () => run(process.execPath, ['-e', '0'], plainEnv)],
      ['node -e 0, environment as it is', () => run(process.execPath, ['-e', '0'])],
      ['ovs-vsctl --version', () => run(bin('ovs-vsctl'), ['--version'])],
      ['ovs-vsctl show', () => run(bin('ovs-vsctl'), ['show'])],
      ['ovs-vsctl set bridge', () => run(bin('ovs-vsctl'), ['set', 'bridge', 'br0', 'external_ids:a=b'])],
      ['ovs-ofctl dump-flows', () => run(bin('ovs-ofctl'), ['dump-flows', 'br0'])],
      ['ovs-appctl vlog/list', () => run(bin('ovs-appctl'), ['vlog/list'])],
      ['ovs-dpctl dump-flows', () => run(bin('ovs-dpctl'), ['dump-flows'])],
      ['ovsdb-client list-dbs', () => run(bin('ovsdb-client'), ['list-dbs'])],
      ['ovsdb-client dump', () => run(bin('ovsdb-client'), ['dump'])],
      ['ovsdb-tool db-version', () => run(bin('ovsdb-tool'), ['db-version', database])],
    ];
    const times = new Map<string, number[]>(cases.map(([name]) => [name, []]));
    for (let i = -1; i < runs; i++) {
      for (const [name, once] of cases) {
        const start = process.hrtime.bigint();
        once();
        // The first round warms the page cache.
        if (i >= 0) times.get(name)?.push(Number(process.hrtime.bigint() - start) / 1e6);
      }
    }
    for (const [name, list] of times) {
      list.sort((a, b) => a - b);
      const [median = 0, slowest = 0] = [list[list.length >> 1], list.at(-1)];
      console.log(`${name.padEnd(34)} median ${median.toFixed(1)} ms, slowest ${slowest.toFixed(1)} ms`);
    }
  } finally {
    run(bin('ovs-appctl'), ['exit']);
  }
} finally {
  run(bin('ovs-appctl'), ['-t', 'ovsdb-server', 'exit']);
  rmSync(dir, { recursive: true, force: true });
}
