// Builds dist/: codegen, core.wasm (shared and unshared memory), TypeScript. Skips what is current.
// Usage: node scripts/build.mjs [--wasm] [--ts] (default both)
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync, copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const only = process.argv.slice(2);
const wants = (part) => only.length === 0 || only.includes(`--${part}`);
const bin = (name) => join(root, 'node_modules', '.bin', name);

function run(command, args) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) {
    console.error(`build: ${command.split('/').at(-1)} ${args.join(' ')} failed`);
    process.exit(1);
  }
}

function files(dir, suffix) {
  return readdirSync(join(root, dir), { recursive: true })
    .map(String)
    .filter((f) => f.endsWith(suffix))
    .sort()
    .map((f) => join(dir, f));
}

/** Runs `make` unless the inputs have the same digest as when it last succeeded. */
function cached(name, inputs, outputs, make) {
  const digest = createHash('sha256');
  for (const file of inputs) digest.update(file).update(readFileSync(join(root, file)));
  const stamp = join(root, 'dist', `.${name}.stamp`);
  const want = digest.digest('hex');
  const isCurrent = existsSync(stamp) && readFileSync(stamp, 'utf8') === want;
  if (isCurrent && outputs.every((o) => existsSync(join(root, o)))) return;
  make();
  writeFileSync(stamp, want);
}

mkdirSync(join(root, 'dist'), { recursive: true });

if (wants('wasm')) {
  const inputs = ['package-lock.json', 'scripts/build.mjs', ...files('assembly', '.ts')];
  cached('wasm', inputs, ['dist/core.wasm', 'dist/core.unshared.wasm'], () => {
    const common = ['assembly/index.ts', '-O3', '--noAssert', '--runtime', 'stub', '--importMemory'];
    const features = ['--enable', 'simd', '--enable', 'bulk-memory'];
    run(bin('asc'), [
      ...common, ...features, '--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536',
      '--initialMemory', '16', '--bindings', 'raw', '-o', 'dist/core.wasm',
    ]);
    run(bin('asc'), [
      ...common, ...features, '--enable', 'threads', '--maximumMemory', '65536', '--initialMemory', '16',
      '-o', 'dist/core.unshared.wasm',
    ]);
    checkWasm('dist/core.wasm');
  });
}

/** Shared state must survive every instantiation: no start function, no data segments (design.md §8). */
function checkWasm(path) {
  const bytes = readFileSync(join(root, path));
  let at = 8;
  const leb = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = leb();
    const body = at;
    if (id === 8) fail('has a start function');
    if (id === 11 && leb() > 0) fail('has data segments');
    at = body + size;
  }
  function fail(what) {
    console.error(`build: ${path} ${what}; see design notes on arena and instances`);
    process.exit(1);
  }
}

if (wants('ts')) {
  const inputs = [
    'package-lock.json', 'tsconfig.json', 'tsconfig.base.json', ...files('src', '.ts'), ...files('src', 'tsconfig.json'),
  ];
  cached('ts', inputs, ['dist/util/errors.js'], () => run(bin('tsc'), ['-b', 'tsconfig.json']));
}
