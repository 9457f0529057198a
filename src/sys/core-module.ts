import '../util/webassembly.ts';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { SystemError } from '../util/errors.ts';
import { coreFlags } from './core-flags.ts';
import { packageRoot } from './package-root.ts';

const $modules = new Map<string, WebAssembly.Module>();

/**
 * The compiled core.wasm of dist/. Compiled once a thread; post the Module to workers instead of calling this there.
 */
export function loadCoreModule(options: { readonly shared?: boolean } = {}): WebAssembly.Module {
  const file = options.shared === false ? 'core.unshared.wasm' : 'core.wasm';
  let module = $modules.get(file);
  if (module === undefined) {
    const path = join(packageRoot(), 'dist', file);
    if (!existsSync(path))
      throw new SystemError('ENOENT', 2, 'open', `${file} is not built: run npm run build`);
    for (const flag of coreFlags) setFlagsFromString(flag);
    module = new WebAssembly.Module(readFileSync(path));
    $modules.set(file, module);
  }
  return module;
}
