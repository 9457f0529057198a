import '../util/webassembly.ts';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { SystemError } from '../util/errors.ts';

const $modules = new Map<string, WebAssembly.Module>();

/**
 * V8 compiles a module function by function when first called, badly at first, and well in the background once
 * they are warm: a PMD took seconds at half its speed. Some 100 ms more at the start give the good code at once, also to
 * compiled chains (src/datapath/chain). Node 20 has no other way to ask for it.
 */
function compileWellAtOnce(): void {
  setFlagsFromString('--no-wasm-lazy-compilation');
  setFlagsFromString('--no-liftoff');
}

/**
 * The compiled core.wasm, found beside the compiled sources or in dist/ of the source tree. Compiled
 * once a thread; post the Module to workers instead of calling this there.
 */
export function loadCoreModule(options: { readonly shared?: boolean } = {}): WebAssembly.Module {
  const file = options.shared === false ? 'core.unshared.wasm' : 'core.wasm';
  let module = $modules.get(file);
  if (module === undefined) {
    const places = [`../${file}`, `../../dist/${file}`].map((p) =>
      fileURLToPath(new URL(p, import.meta.url)),
    );
    const path = places.find((p) => existsSync(p));
    if (path === undefined)
      throw new SystemError('ENOENT', 2, 'open', `${file} is not built: run npm run build`);
    compileWellAtOnce();
    module = new WebAssembly.Module(readFileSync(path));
    $modules.set(file, module);
  }
  return module;
}
