// Writes generated/ from the *.layout.ts files: accessors for TypeScript and AssemblyScript.
import { join } from 'node:path';
import { root, run } from './lib.mjs';

run(join(root, 'node_modules', '.bin', 'tsx'), [join(root, 'tools', 'codegen', 'main.ts')]);
