import { join } from 'node:path';
import { packageRoot } from '../../sys/package-root.ts';

/** What starts programs and workers: built, since Node 20 cannot load TypeScript in a worker. Its argument names the worker. */
export function workerFile(): string {
  return join(packageRoot(), 'dist', 'programs', 'run.cjs');
}
