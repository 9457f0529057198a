// Runs many command lines of our tools in one process, for `ToolBatch` of tool-batch.ts: requests are lines of
// JSON on standard input; each answer is what the tool itself wrote, then a mark on both outputs.
import { createInterface } from 'node:readline';

import { vlogModules } from '../../dist/util/log.js';

// What a command line leaves to be done later (--timeout) would have ended with its process.
const timers = [];
const { setTimeout: startTimer } = globalThis;
globalThis.setTimeout = (...args) => {
  const timer = startTimer(...args);
  timers.push(timer);
  return timer;
};

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
  for (const timer of timers.splice(0)) clearTimeout(timer);
  process.stderr.write('\0\n');
  process.stdout.write(`\0${JSON.stringify(status)}\n`);
}
