/**
 * Many random transactions on our server and the stock one:
 * `npx tsx tests/soak/ovsdb-differential.ts [TRANSACTIONS [SEED [STEPS]]]`, e.g. `10000 1 250`. Each seed is a schema of its own; a
 * difference is printed with its seed and ends the run, `--all` goes on with the next seed.
 */
import { parseArgs } from 'node:util';
import { runWorld } from '../support/ovsdb-world.ts';

const { values, positionals } = parseArgs({
  options: { all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [wanted = 10_000, firstSeed = 1, steps = 250] = positionals.map(Number);
let transactions = 0;
let loose = 0;
let differences = 0;
const faults = new Map<string, number>();
let seed = firstSeed;
console.time('run');
for (; transactions < wanted && seed - firstSeed < wanted; seed++) {
  try {
    const result = await runWorld(seed, steps);
    transactions += result.transactions;
    loose += result.loose;
    const { stockFault } = result;
    if (stockFault !== null) faults.set(stockFault, (faults.get(stockFault) ?? 0) + 1);
  } catch (error) {
    differences++;
    const { cause } = error as Error;
    console.log(`${(error as Error).message}\n${cause instanceof Error ? cause.message : String(cause)}\n`);
    if (!values.all) break;
  }
}
console.timeEnd('run');
console.log(
  `seeds ${firstSeed} to ${seed - 1}: ${transactions} transactions, ${differences} differences; ` +
    `the stock server ${[...faults].map(([fault, count]) => `${fault} ${count} times`).join(', ') || 'did well'}; ${loose} errors equal but for the row, number or value that they name`,
);
process.exitCode = differences === 0 ? 0 : 1;
