import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import '../../util/webassembly.ts';
import type { Core } from '../core.ts';
import { createArena } from '../core.ts';

/** For tests: core.wasm as `npm run build` left it, from sources or from dist/. */
export function testModule(shared = true): WebAssembly.Module {
  const file = shared ? 'core.wasm' : 'core.unshared.wasm';
  const path = fileURLToPath(new URL(import.meta.url)).replace(
    /\/(src|dist)\/arena\/testing\/.*$/,
    `/dist/${file}`,
  );
  return new WebAssembly.Module(readFileSync(path));
}

/** For tests: an arena of their own, with its main thread online. */
export function testCore(options: { sizeMb?: number; shared?: boolean; seed?: number } = {}): Core {
  const { sizeMb = 64, shared = true, seed = 1 } = options;
  const core = createArena({ module: testModule(shared), sizeMb, shared, seed, threadName: 'main' });
  core.x.threadOnline();
  return core;
}

/** Lets all that waits for quiescence go, as far as other threads allow. */
export function settle(core: Core): void {
  for (let i = 0; i < 100 && core.x.quiesce() > 0; i++);
}
