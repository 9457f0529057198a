import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let $root: string | undefined;

/**
 * The folder with this project's bin/, share/ and dist/: the nearest above this code that has share/, be it
 * run from src/, from dist/ or from a bundle.
 */
export function packageRoot(): string {
  if ($root !== undefined) return $root;
  const here = dirname(fileURLToPath(import.meta.url));
  let at = here;
  while (!existsSync(join(at, 'share', 'vswitch.ovsschema'))) {
    const parent = dirname(at);
    if (parent === at) return here;
    at = parent;
  }
  $root = at;
  return at;
}
