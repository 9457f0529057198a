// `npm test`: installs, builds, installs the interop tests' Debian packages when root, runs every test.
// Arguments go to vitest. Prints `N passed, N failed` on the last line, how many were skipped before it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, root } from './lib.mjs';

const packages = {
  'ovs-vsctl': 'openvswitch-switch',
  ip: 'iproute2',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  ping: 'iputils-ping',
  ethtool: 'ethtool',
  ps: 'procps',
  nc: 'netcat-openbsd',
  'ovn-northd': 'ovn-central',
};
const pythonModules = { os_ken: 'python3-os-ken', ovsdbapp: 'python3-ovsdbapp' };
const has = (tool) =>
  ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'].some((d) => existsSync(join(d, tool)));
const hasModule = (name) => existsSync(join('/usr/lib/python3/dist-packages', name));

function ensureDebianPackages() {
  const missing = Object.entries(packages)
    .filter(([tool]) => !has(tool))
    .map(([, p]) => p);
  for (const [name, p] of Object.entries(pythonModules)) if (!hasModule(name)) missing.push(p);
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || !existsSync('/usr/bin/apt-get')) {
    console.error(
      `interop tests that need ${missing.join(', ')} are skipped: ${isRoot ? 'no apt-get here' : 'not root'}`,
    );
    return;
  }
  console.error(`installing ${missing.join(', ')} for the interop tests ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args) =>
    spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  apt(['update', '-qq']);
  if (!apt(['install', '-y', '-qq', '--no-install-recommends', ...missing])) {
    console.error(
      'some packages could not be installed: the tests that need them will say that they are skipped',
    );
  }
}

ensureBuilt();
ensureDebianPackages();
mkdirSync(join(root, '.cache'), { recursive: true });
const report = join(root, '.cache', 'vitest.json');
const vitest = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
let result;
try {
  result = JSON.parse(readFileSync(report, 'utf8'));
} catch (cause) {
  console.error(`vitest left no report: ${cause.message}`);
  process.exit(1);
}
const failed =
  result.numFailedTests +
  (result.numFailedTestSuites > 0 && result.numFailedTests === 0 ? result.numFailedTestSuites : 0);
const skipped = result.numPendingTests + (result.numTodoTests ?? 0);
if (skipped > 0) console.log(`${skipped} skipped`);
console.log(`${result.numPassedTests} passed, ${failed} failed`);
process.exit(vitest.status === 0 && result.numPassedTests > 0 ? 0 : 1);
