// Builds what is not current, then measures. Usage: npm run bench -- [--filter TEXT] [--json FILE]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const run = (command, args, cwd) => {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
run(process.execPath, [join(root, 'scripts', 'build.mjs'), '--wasm'], root);
run(
  join(root, 'node_modules', '.bin', 'tsx'),
  [join(root, 'bench', 'main.ts'), ...process.argv.slice(2)],
  process.cwd(),
);
