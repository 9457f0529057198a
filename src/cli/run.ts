import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { coreFlags } from '../sys/core-flags.ts';
import { keepIgnored } from '../sys/ignored-signals.ts';

/** Of the bundle that this becomes; the others beside it share it. */
declare const require: NodeJS.Require;

/**
 * Starts the program, or the worker, that the first argument names: `node dist/programs/run.cjs ovs-vsctl show`.
 * The launchers in bin/ and the thread manager call it.
 *
 * Each program is one file beside this one, made by scripts/build.mjs, with V8's compiled code of it
 * (`NAME.cjs.code`), so that a tool answers in less time than loading its modules one by one would take, and a
 * daemon's first work is not spent compiling. Code of another Node version or other V8 flags is not taken; then it is
 * compiled as ever.
 *
 * `--write-code NAME...` writes these files; for the build.
 */
interface Program {
  main?(argv: readonly string[]): Promise<number>;
}

const here = dirname(fileURLToPath(import.meta.url));

function compile(name: string): { script: Script; file: string; codeFile: string } {
  const file = join(here, `${name}.cjs`);
  const codeFile = `${file}.code`;
  // The bundler writes ASCII only, which V8 keeps as it is.
  const text = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'latin1')}\n})`;
  const cachedData = existsSync(codeFile) ? readFileSync(codeFile) : undefined;
  const script = new Script(text, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  return { script, file, codeFile };
}

function start({ script, file }: { readonly script: Script; readonly file: string }): Program {
  const module = { exports: {} as Program };
  const run = script.runInThisContext() as (...args: unknown[]) => void;
  run(module.exports, require, module, file, here);
  return module.exports;
}

/** Compiles all functions of a program, not only those called at its start, and keeps the code. */
function writeCode(name: string): void {
  const { setFlagsFromString } = require('node:v8') as typeof import('node:v8');
  // As in a process that has loaded core.wasm (src/sys/core-module.ts): code is taken only under the same flags.
  if (name.endsWith('.worker')) for (const flag of coreFlags) setFlagsFromString(flag);
  setFlagsFromString('--no-lazy');
  const { script, codeFile } = compile(name);
  setFlagsFromString('--lazy');
  writeFileSync(codeFile, script.createCachedData());
}

keepIgnored();
const [name = '', ...args] = process.argv.slice(2);
if (name === '--write-code') {
  for (const program of args) writeCode(program);
} else if (existsSync(join(here, `${name}.cjs`))) {
  void start(compile(name))
    .main?.(args)
    .then((status) => {
      process.exitCode = status;
    });
} else {
  process.stderr.write(`run: no program ${name}\n`);
  process.exitCode = 1;
}
