// Installs and builds what is not current, then measures. `npm run bench -- --help` tells the options.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt, root } from './lib.mjs';

ensureBuilt();
const { status } = spawnSync(
  join(root, 'node_modules', '.bin', 'tsx'),
  [join(root, 'bench', 'main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
