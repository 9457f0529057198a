// Writes generated/: accessors from the *.layout.ts files, for TypeScript and AssemblyScript; database types from schemas.
import { join } from 'node:path';
import { root, run } from './lib.mjs';

run(join(root, 'node_modules', '.bin', 'tsx'), [join(root, 'tools', 'codegen', 'main.ts')]);
run(join(root, 'node_modules', '.bin', 'tsx'), [join(root, 'tools', 'codegen', 'database-types.ts')]);
