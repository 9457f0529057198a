// Runs many command lines of our tools in one process, for `ToolBatch` of tool-batch.ts: requests are lines of
// JSON on standard input; each answer is what the tool itself wrote, then a mark on both outputs.
import { createInterface } from 'node:readline';

import { vlogModules } from '../../dist/util/log.js';

const dist = new URL('../../dist/cli/', import.meta.url);
for await (const line of createInterface({ input: process.stdin })) {
  const { program, argv, cwd } = JSON.parse(line);
  process.chdir(cwd);
  const { main } = await import(new URL(`${program}.js`, dist).href);
  // Each command line is to log as a process of its own would.
  for (const module of vlogModules().values()) module.honorRateLimits = false;
  let status;
  try {
    status = await main(argv);
  } catch (error) {
    status = `threw ${error.stack}`;
  }
  process.stderr.write('\0\n');
  process.stdout.write(`\0${JSON.stringify(status)}\n`);
}
