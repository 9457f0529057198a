// What the entry scripts share: the package root, running a command, installing npm packages when stale.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command with our stdio; ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (done.error !== undefined) {
    console.error(`${command}: ${done.error.message}`);
    process.exit(1);
  }
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** `npm ci` unless node_modules was installed from this very lock file. */
export function ensurePackages() {
  const want = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.megaflow-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  console.error('installing npm packages ...');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, want);
}

/** Installs packages if needed and builds what is not current. */
export function ensureBuilt() {
  ensurePackages();
  run(process.execPath, [join(root, 'scripts', 'build.mjs')]);
}
